"""Locks between processes: flock(2), which the kernel drops when the holder dies, however it dies."""

import fcntl
import os
from pathlib import Path


def open_lock(path: Path) -> int:
    """Open (and make, 0600) a lock file; children started by exec do not inherit it."""
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def try_exclusive(lock: int) -> bool:
    """Take the lock for this process alone, without waiting; on a refusal a shared hold of `lock` is gone as well."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def share(lock: int) -> None:
    """Take the lock together with others that share it; waits while one holds it alone."""
    fcntl.flock(lock, fcntl.LOCK_SH)


def is_held(path: Path) -> bool:
    """Whether some process holds the lock for itself alone.

    Looking needs a moment of sharing it, so whoever wants it alone has to try more than once.
    """
    try:
        lock = open_lock(path)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False
