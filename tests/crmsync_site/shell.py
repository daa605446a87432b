"""What the tests of services and launcher share: an environment of somebody's shell, and a look at processes."""

import os
import time
from collections.abc import Callable
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent.parent


def processes_of(var: Path) -> dict[int, str]:
    """Return id and command line of every process that works in `var` or names it in its command line or environment."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            environment = (entry / "environ").read_bytes()
            folder = str((entry / "cwd").readlink())
        except OSError:
            continue
        named = any(f"CRMSYNC_VAR={var}{end}".encode() in environment for end in "\0/")
        if command and int(entry.name) != os.getpid() and (str(var) in command or folder.startswith(str(var)) or named):
            found[int(entry.name)] = command
    return found


def wait_until(condition: Callable[[], object], seconds: float = 10.0) -> bool:
    """Return whether `condition` became true within `seconds`."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def environment(var: Path, **more: str) -> dict[str, str]:
    """Return the environment of somebody's shell with this CRMSYNC_VAR: nothing of the test session's."""
    kept = {
        key: value for key, value in os.environ.items() if not key.startswith(("CRMSYNC_", "DJANGO_", "PYTEST", "COV_"))
    }
    return {**kept, "CRMSYNC_VAR": str(var), **more}
