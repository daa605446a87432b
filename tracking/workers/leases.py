"""Whose lease need not be waited for: one of a process of this host that is provably no more.

The idea: two signs, each of which can mislead alone, must agree. A process id is missing also where it belongs to another
container of this host's name; a lock (`tracking.workers.presence`) is free also behind a pooler that shares sessions.
"""

import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime

from django.conf import settings
from django.db import Error as DatabaseError
from rq import get_current_job

from mailboxes import runs
from mailboxes.models import Run
from tracking.workers.presence import worker_lock


def command_name() -> str:
    """Return the name under which a command in this process has its runs."""
    return f"command {socket.gethostname()} {os.getpid()}"


def worker_name() -> str:
    """Return the name under which a job that runs in this process has its runs: its worker's."""
    job = get_current_job()
    return (job.worker_name if job else None) or f"{socket.gethostname()}.{os.getpid()}"


def patience_s() -> float:
    """Return how long a lease can outlive its process, and a little more."""
    lease: int = settings.LEASE_SECONDS
    return lease + 5.0


@contextmanager
def shown_alive() -> Iterator[None]:
    """Hold, under this command's name, the lock that is lost when the process dies; without a database go on without."""
    lock = worker_lock(command_name())
    with suppress(DatabaseError):
        lock.hold()
    try:
        yield
    finally:
        lock.release()


def abandon_dead(run: Run, now: datetime) -> bool:
    """End the runs of the process that has `run` if it has died on this host; return whether any was ended."""
    return _died_here(run.worker) and bool(runs.abandon_of([run.worker], now))


def _died_here(worker: str) -> bool:
    host = re.escape(socket.gethostname())
    found = re.fullmatch(rf"command {host} (?P<command>\d{{1,9}})|{host}\.(?P<worker>\d{{1,9}})\.[0-9a-f]+", worker)
    if found is None or _runs(int(found["command"] or found["worker"])):
        return False
    lock = worker_lock(worker)
    try:
        return lock.hold()
    except DatabaseError:
        return False
    finally:
        lock.release()


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
