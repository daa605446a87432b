"""One launcher per `CRMSYNC_VAR`: a flock, which a killed launcher cannot leave behind, and who holds it in the file."""

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from crmsync_site.embedded import locks
from crmsync_site.launcher.errors import LauncherError

NAME = "launcher.lock"
# A launcher whose terminal or `make` was killed needs a moment to notice; once it says that it stops, it gets its time.
_NOTICE_SECONDS = 2.0
_STOP_SECONDS = 25.0


@contextlib.contextmanager
def only_launcher(var: Path, url: str) -> Iterator[Callable[[], None]]:
    """Be the only launcher of `var` for the length of the block; raises `LauncherError` when there is one.

    Gives the block a function to call when it begins to stop, so that the next launcher waits instead of giving up.
    """
    lock = locks.open_lock(var / NAME)
    try:
        started = time.monotonic()
        while not locks.try_exclusive(lock):
            patience = _STOP_SECONDS if _read(lock).get("stopping") else _NOTICE_SECONDS
            if time.monotonic() - started > patience:
                raise LauncherError(
                    f"crmsync is already running at {_holder(lock)}. CRMSYNC_VAR and CRMSYNC_PORT make a second copy."
                )
            time.sleep(0.05)
        _write(lock, {"url": url, "pid": os.getpid()})
        yield lambda: _write(lock, {"url": url, "pid": os.getpid(), "stopping": True})
    finally:
        os.close(lock)


def _holder(lock: int) -> str:
    found = _read(lock)
    return f"{found['url']} (process {found['pid']})" if found else "an address it has not written down yet"


def _read(lock: int) -> dict[str, object]:
    try:
        return dict(json.loads(os.pread(lock, 1000, 0)))
    except (ValueError, TypeError):
        return {}


def _write(lock: int, state: dict[str, object]) -> None:
    text = json.dumps(state).encode()
    os.pwrite(lock, text, 0)
    os.ftruncate(lock, len(text))
