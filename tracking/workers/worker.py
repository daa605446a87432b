"""The worker behind `manage.py rqworker`: one long-lived process that does job after job, and is replaced now and then.

The idea: a fork per job costs several times what an idle mailbox does, and forgets connections and sign-ins each time
(measured in docs/decisions/workers.md). What forking is good for is had otherwise: leases in the database survive a
worker that dies, and a worker that has grown or grown old ends after its job, to be started anew.
"""

import logging
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any
from uuid import uuid4

from django.conf import settings
from django.db import Error as DatabaseError
from django.db import close_old_connections, connection
from redis.exceptions import RedisError
from rq import Queue, SimpleWorker
from rq.job import Job
from rq.serializers import JSONSerializer

# Imports the adapters, exchangelib among them: no job pays for that.
from tracking.workers import jobs
from tracking.workers.presence import Lock, worker_lock

log = logging.getLogger(__name__)

PULSE_SECONDS = 5.0
# What Redis knows of a job expires this long after the last pulse, so that a dead worker's job is not shown for long.
_TRACE_SECONDS = 30
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class SyncWorker(SimpleWorker):
    """Does jobs in its own process. Outlives Redis and the database being gone; exits 0 when it is time for a new one."""

    # How rq looks after its registries and reconnects; the schedule does not wait for either.
    max_connection_wait_time = 5.0

    def __init__(self, queues: Any, name: str | None = None, **options: Any) -> None:
        options["serializer"] = options.get("serializer") or JSONSerializer
        options.setdefault("maintenance_interval", 30)
        options.setdefault("job_monitoring_interval", 10)
        super().__init__(queues, name or f"{socket.gethostname()}.{os.getpid()}.{uuid4().hex[:4]}", **options)
        self._jobs_done = 0
        self._job: Job | None = None

    def work(self, *args: Any, **options: Any) -> bool:
        """Work until told to stop, out of work (burst), grown or old."""
        with self._pulse():
            return bool(super().work(*args, **options))

    def execute_job(self, job: Job, queue: Queue) -> None:
        """Do one job in this process; what it did is in the database, whatever Redis hears of it."""
        _renew_connections()
        self._job = job
        try:
            super().execute_job(job, queue)
        except RedisError as error:
            self.executions.clear()
            log.warning("Redis was gone when a job ended (%s); nothing is lost", error)
        finally:
            self._job = None
            _renew_connections()
        self._jobs_done += 1
        if self._jobs_done >= settings.WORKER_JOBS or memory_mb() > settings.WORKER_MEMORY_MB:
            log.warning("Worker %s ends after %d jobs at %d MB", self.name, self._jobs_done, memory_mb())
            self._stop_requested = True

    def request_stop(self, signum: int, frame: FrameType | None) -> None:
        """Finish the mailbox at hand, give back the rest of its batch, then exit."""
        jobs.STOP.set()
        super().request_stop(signum, frame)  # type: ignore[no-untyped-call]  # rq does not annotate it

    def get_heartbeat_ttl(self, job: Job, working_time: float = 0.0) -> int:  # noqa: ARG002 -- rq's signature
        """Return how long Redis believes in this job without hearing of it again: the pulse says so in time."""
        return _TRACE_SECONDS

    # -- Redis may be gone: rq's loop would end the worker where it only wants to tell how it is

    def heartbeat(self, *args: Any, **options: Any) -> None:
        """Tell Redis that the worker lives, if Redis is there."""
        with suppress(RedisError):
            super().heartbeat(*args, **options)

    def set_state(self, *args: Any, **options: Any) -> None:
        """Tell Redis what the worker does, if Redis is there."""
        with suppress(RedisError):
            super().set_state(*args, **options)

    def check_for_suspension(self, burst: bool) -> None:
        """Wait while workers are suspended; without Redis nobody has suspended them."""
        with suppress(RedisError):
            super().check_for_suspension(burst)

    def run_maintenance_tasks(self) -> None:
        """Clean rq's registries, if Redis is there."""
        with suppress(RedisError):
            super().run_maintenance_tasks()  # type: ignore[no-untyped-call]  # rq does not annotate it

    def teardown(self) -> None:
        """Sign off, if Redis is there."""
        with suppress(RedisError):
            super().teardown()  # type: ignore[no-untyped-call]  # rq does not annotate it

    # -- signs of life while a job runs

    @contextmanager
    def _pulse(self) -> Iterator[None]:
        """Hold the worker's lock and keep its job's trace in Redis, from a thread of its own."""
        stop = threading.Event()
        lock = worker_lock(self.name)
        with suppress(DatabaseError):
            lock.hold()
        thread = threading.Thread(target=self._keep_pulse, args=(stop, lock), name="pulse", daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join(timeout=PULSE_SECONDS)
            lock.release()

    def _keep_pulse(self, stop: threading.Event, lock: Lock) -> None:
        while not stop.wait(PULSE_SECONDS):
            with suppress(DatabaseError):
                lock.hold()
            job, executions = self._job, list(self.executions.values())
            if job is not None and executions:
                with suppress(RedisError):
                    self.maintain_heartbeats(job, executions[0])


def _renew_connections() -> None:
    """Let go of database connections that are broken or old. A caller's transaction is not ours to cut off."""
    if not connection.in_atomic_block:
        close_old_connections()


def memory_mb() -> int:
    """Return the resident memory of this process in MB; 0 where the system does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except (OSError, IndexError, ValueError):
        return 0
    return pages * _PAGE_BYTES // 1_000_000
