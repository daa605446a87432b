"""What a process does that needs the embedded servers: `with using(var): ...`.

Whoever comes first starts them, whoever leaves last stops them and waits until they are gone; see `keeper` for how
the users are counted. When they run already, this costs a lock and the reading of one small file.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from crmsync_site.embedded import locks, process
from crmsync_site.embedded.addresses import KEEPER_LOCK, LOG, PROJECT, READY, USERS_LOCK
from crmsync_site.embedded.errors import ServiceError
from crmsync_site.embedded.files import state_folder

_START_SECONDS = 90.0
_STOP_SECONDS = 20.0
# The variables that name an external server; with _FILE after it, a file that holds the value.
_EXTERNAL = {"postgres": "DATABASE_URL", "valkey": "REDIS_URL"}


def needed() -> tuple[str, ...]:
    """Return which servers this environment wants embedded: those for which no URL of an external one is given."""
    return tuple(name for name, url in _EXTERNAL.items() if not (os.environ.get(url) or os.environ.get(f"{url}_FILE")))


@contextlib.contextmanager
def using(var: Path, names: Sequence[str], *, volatile: bool = False) -> Iterator[None]:
    """Have the named servers of `var` running for the length of the block.

    `volatile` (for tests) starts them without waiting for the disk. Raises `ServiceError`.
    """
    if not names:
        yield
        return
    state_folder(var)
    users = _open_users_lock(var)
    try:
        locks.share(users)
        ensure(var, names, volatile=volatile)
        yield
    finally:
        _leave(var, users)


def _open_users_lock(var: Path) -> int:
    """Open the users' lock; refuses a folder that another user (root for one) has used, whose files would not be ours."""
    users = var / USERS_LOCK
    try:
        lock = locks.open_lock(users)
    except PermissionError:
        lock = None
    if lock is None or users.stat().st_uid != os.geteuid():
        raise ServiceError(
            f"CRMSYNC_VAR {var} was used by another user. Run crmsync as that user, or choose another one."
        )
    return lock


def ensure(var: Path, names: Sequence[str], *, volatile: bool = False) -> None:
    """Start the servers unless they run, and wait until they answer; the caller holds the users' lock."""
    end = time.monotonic() + _START_SECONDS
    keeper: subprocess.Popen[bytes] | None = None
    while True:
        running = _running(var)
        if running is not None:
            missing = set(names) - set(running)
            if missing:
                raise ServiceError(
                    f"The servers of {var} were started by a process that had DATABASE_URL or REDIS_URL set, so "
                    f"{', '.join(sorted(missing))} does not run. Set the same variables here, or stop that process."
                )
            return
        if keeper is not None and keeper.poll():
            raise ServiceError(f"The embedded servers did not start:\n{_log_tail(var)}")
        if time.monotonic() > end:
            raise ServiceError(f"The embedded servers did not start within {_START_SECONDS:.0f} s:\n{_log_tail(var)}")
        if (keeper is None or keeper.poll() is not None) and not locks.is_held(var / KEEPER_LOCK):
            keeper = _start_keeper(var, names, volatile=volatile)
        time.sleep(0.01)


def running(var: Path) -> bool:
    """Whether a keeper has the servers of `var` up."""
    return _running(var) is not None


def _running(var: Path) -> list[str] | None:
    """Return the names of the running servers, or None while none are (or are still starting)."""
    try:
        found = json.loads((var / READY).read_text())
    except (OSError, ValueError):
        return None
    # The file of a keeper that was killed lies about; the lock cannot.
    return list(found["services"]) if locks.is_held(var / KEEPER_LOCK) else None


def _start_keeper(var: Path, names: Sequence[str], *, volatile: bool) -> subprocess.Popen[bytes]:
    (var / READY).unlink(missing_ok=True)
    options = ["--volatile"] if volatile else []
    return subprocess.Popen(  # noqa: S603 -- our own module
        [sys.executable, "-m", "crmsync_site.embedded.keeper", str(var), *options, *names],
        cwd=PROJECT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C in this terminal is not meant for it
    )


def _leave(var: Path, users: int) -> None:
    """Give up the users' lock; the last one has the keeper stop everything and waits for that."""
    try:
        if locks.try_exclusive(users):
            with contextlib.suppress(OSError, ValueError, KeyError):
                os.kill(json.loads((var / READY).read_text())["pid"], signal.SIGTERM)
            process.wait_until(lambda: not locks.is_held(var / KEEPER_LOCK), _STOP_SECONDS)
    finally:
        os.close(users)


def _log_tail(var: Path) -> str:
    try:
        return (var / LOG).read_text(errors="replace")[-3000:].strip() or "(no message)"
    except OSError as error:
        return f"({error})"
