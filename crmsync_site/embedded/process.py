"""One server process: started in a session of its own, dying with its parent where the system can do that."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

from crmsync_site.embedded.errors import ServiceError
from crmsync_site.embedded.privilege import Account, dies_with_parent

Process = subprocess.Popen[bytes]


def start(command: Sequence[str | Path], account: Account, log: IO[bytes], farewell: signal.Signals) -> Process:
    """Start a server as `account`; `farewell` is the signal that stops it cleanly, sent too when this process dies."""
    if account.own:
        return _spawn(command, log, dies_with_parent(farewell))
    # Changing the user clears the wish to die with the parent, so setpriv renews it after the change.
    options = ["--pdeathsig", farewell.name.removeprefix("SIG")]
    return _spawn([*account.prefix[:-1], *options, "--", *command], log, None)


def run(command: Sequence[str | Path], account: Account, given: str = "") -> None:
    """Run a program to its end as `account` with `given` on its standard input; raises `ServiceError` with its output."""
    done = subprocess.run(  # noqa: S603 -- programs of ours with our own arguments
        [*account.prefix, *command],
        input=given,
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        env=_environment(),
    )
    if done.returncode != 0:
        raise ServiceError(f"{Path(command[0]).name} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")


def output(command: Sequence[str]) -> str:
    """Return what a program of the system prints, or nothing when it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 -- fixed programs
    return done.stdout if done.returncode == 0 else ""


def stop(process: Process, steps: Sequence[tuple[signal.Signals, float]]) -> None:
    """Send each signal and wait its number of seconds until the process is gone; SIGKILL is the last resort."""
    for how, seconds in steps:
        if process.poll() is not None:
            return
        process.send_signal(how)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            continue
    if process.poll() is None:
        process.kill()
        process.wait()


def stop_stranger(pid: int, steps: Sequence[tuple[signal.Signals, float]]) -> None:
    """Stop a server that an earlier process of ours left behind; it is not our child, so it is watched by its id."""
    for how, seconds in (*steps, (signal.SIGKILL, 5.0)):
        try:
            os.kill(pid, how)
        except ProcessLookupError:
            return
        wait_until(lambda: not alive(pid), seconds)


def alive(pid: int) -> bool:
    """Whether a process of that id exists and is not a zombie."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return True
    return state not in {"Z", "X"}


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Wait until `condition` holds, at most `seconds`; return whether it does."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def _spawn(command: Sequence[str | Path], log: IO[bytes], first: Callable[[], None] | None) -> Process:
    return subprocess.Popen(  # noqa: S603 -- programs of ours with our own arguments
        command,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        cwd="/",
        env=_environment(),
        start_new_session=True,
        preexec_fn=first,  # noqa: PLW1509 -- the keeper has one thread
    )


def _environment() -> dict[str, str]:
    """Return what the servers see of our environment: nothing that could change them, no secret."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "HOME": "/"}
