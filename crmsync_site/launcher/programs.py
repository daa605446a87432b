"""What the launcher runs, in which order and why so.

Two workers: the first takes `immediate` before anything else and then helps with `sync`, but never takes `bulk`, so that
a click waits for one page of a running sync at the most and never for a first import. The second takes `sync`, `bulk`
and `maintenance` in this order. One that did `immediate` alone would idle all day on a small machine.
"""

import os
import sys
from pathlib import Path

from crmsync_site.embedded.addresses import PROJECT
from crmsync_site.launcher.supervisor import Program

# Seconds; together with the servers' own stop this stays below ten.
_WEB_PATIENCE = 4.0
_WORKER_PATIENCE = 5.0
# Often enough to see mailboxes of the demo drift apart: busy ones towards two minutes, quiet ones towards twelve.
_PULSE_SECONDS = 45


def manage(*arguments: str | Path) -> list[str | Path]:
    """Return the command line of a management command."""
    return [sys.executable, PROJECT / "manage.py", *arguments]


def environment(var: Path) -> dict[str, str]:
    """Return what every child sees: this process's environment, the same installation, output line by line."""
    return {**os.environ, "CRMSYNC_VAR": str(var), "PYTHONUNBUFFERED": "1", "CRMSYNC_AUTO_MIGRATE": "0"}


def sandbox(var: Path, port: int) -> Program:
    """The sandbox Exchange; its mail is kept in a file between runs, and now and then a letter arrives."""
    options: list[str | Path] = [
        "--port",
        str(port),
        "--state",
        var / "sandbox" / "state",
        "--pulse",
        str(_PULSE_SECONDS),
    ]
    return Program("sandbox", manage("sandbox", *options), patience=3.0)


def demo(port: int) -> Program:
    """Connects the sandbox Exchange and makes the demo organisation, once; prints the sign-ins, a line each."""
    return Program("demo", manage("demo", "--sandbox", f"http://127.0.0.1:{port}"))


def web(port: int) -> Program:
    """The site (docs/decisions/asgi-server.md). Event streams that stay open hold up its end for two seconds at most."""
    address = ["--host", "127.0.0.1", "--port", str(port)]
    options = ["--interface", "asginl", "--no-access-log", "--log-level", "warning", "--workers-kill-timeout", "2"]
    command = [sys.executable, "-m", "granian", "crmsync_site.asgi:application", *address, *options]
    return Program("web", command, _WEB_PATIENCE)


def dispatcher() -> Program:
    """Claims due mailboxes and puts them into the queues."""
    return Program("dispatcher", manage("dispatch"))


def workers() -> list[Program]:
    """The workers, and the order in which each looks at the queues (see the module's docstring)."""
    return [
        Program("worker-1", manage("rqworker", "immediate", "sync"), _WORKER_PATIENCE),
        Program("worker-2", manage("rqworker", "sync", "bulk", "maintenance"), _WORKER_PATIENCE),
    ]
