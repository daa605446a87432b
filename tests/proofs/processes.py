"""Real processes for proofs: `manage.py ...` with a log of its own, killed or stopped by the id that was started."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Self

from tests.crmsync_site.shell import PROJECT, wait_until


class Program:
    """`manage.py ARGUMENTS`, running. What it says to stderr is in `log`; as a context manager it is stopped."""

    def __init__(self, env: dict[str, str], log: Path, *arguments: str) -> None:
        self.log = log
        with log.open("ab") as stderr:
            self.process = subprocess.Popen(
                [sys.executable, PROJECT / "manage.py", *arguments],
                env=env,
                cwd=PROJECT,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=stderr,
            )

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self.process.poll() is None

    def read_json(self) -> dict[str, Any]:
        """Return the one line of JSON with which it says that it is ready."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.log.read_text()[-3000:]
        found: dict[str, Any] = json.loads(line)
        return found

    def kill(self) -> None:
        """End it with SIGKILL and wait until it is gone."""
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait(timeout=30)

    def stop(self) -> None:
        """End it with SIGTERM, after half a minute with SIGKILL."""
        if self.alive:
            self.process.terminate()
            try:
                self.process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                self.kill()
        if self.process.stdout is not None:
            self.process.stdout.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def until(condition: Any, seconds: float, *, logs: Path | None = None) -> None:
    """Wait for a condition; fail with the ends of the logs when it does not come true in time."""
    if wait_until(condition, seconds):
        return
    said = "" if logs is None else "\n".join(f"{each.name}: {each.read_text()[-1500:]}" for each in logs.glob("*.log"))
    raise AssertionError(f"not within {seconds:.0f} s\n{said}")
