"""One launcher per `CRMSYNC_VAR`: a flock, which a killed launcher cannot leave behind, and who holds it in the file."""

import contextlib
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

from crmsync_site.embedded import locks
from crmsync_site.launcher.errors import LauncherError

NAME = "launcher.lock"
# A launcher whose terminal or `make` was killed needs a moment to notice and to stop its children.
_WAIT_SECONDS = 2.0


@contextlib.contextmanager
def only_launcher(var: Path, url: str) -> Iterator[None]:
    """Be the only launcher of `var` for the length of the block; raises `LauncherError` when there is one."""
    lock = locks.open_lock(var / NAME)
    try:
        end = time.monotonic() + _WAIT_SECONDS
        while not locks.try_exclusive(lock):
            if time.monotonic() > end:
                raise LauncherError(
                    f"crmsync is already running at {_holder(lock)}. CRMSYNC_VAR and CRMSYNC_PORT make a second copy."
                )
            time.sleep(0.05)
        os.ftruncate(lock, 0)
        os.pwrite(lock, json.dumps({"url": url, "pid": os.getpid()}).encode(), 0)
        yield
    finally:
        os.close(lock)


def _holder(lock: int) -> str:
    try:
        found = json.loads(os.pread(lock, 1000, 0))
        return f"{found['url']} (process {found['pid']})"
    except (ValueError, KeyError, TypeError):
        return "an address it has not written down yet"
