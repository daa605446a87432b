"""The processes of a bench: a sandbox Exchange, a real worker, plain exchangelib; and what they have cost so far."""

import json
import os
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast
from urllib.request import Request, urlopen

from django.conf import settings
from rq import Worker

from mailboxes.claims import SYNC
from tracking.workers.transport import queue

_TICKS = os.sysconf("SC_CLK_TCK")
_STOP_SECONDS = 20.0


class ChildFailed(Exception):
    """A process of the bench ended or said something unexpected."""


def cpu_seconds(pid: int) -> float:
    """Return the user and system time that a process has used, all its threads together."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        raise ChildFailed(f"Process {pid} is gone, or this system has no /proc.") from None
    # The name in brackets may hold anything; what follows it are numbers, utime and stime the 12th and 13th.
    fields = text.rpartition(")")[2].split()
    if fields[0] == "Z":
        raise ChildFailed(f"Process {pid} has ended; what precedes says why.")
    return (int(fields[11]) + int(fields[12])) / _TICKS


def weight_mb(pid: int) -> float:
    """Return the proportional set size of a process in megabytes (10^6 bytes): its memory, what it shares by its share."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except FileNotFoundError:
        raise ChildFailed(f"Process {pid} is gone, or this system has no /proc.") from None
    found = next((line for line in text.splitlines() if line.startswith("Pss:")), None)
    if found is None:
        raise ChildFailed(f"Process {pid} has ended; what precedes says why.")
    return round(int(found.split()[1]) * 1024 / 1e6, 1)


class Sandbox:
    """A sandbox Exchange in a process of its own."""

    def __init__(self, process: "subprocess.Popen[str]", ready: dict[str, Any]) -> None:
        self.pid = process.pid
        self.url = str(ready["url"])
        self.service_address = str(ready["service_account"]["address"])
        self.service_password = str(ready["service_account"]["password"])

    def reset(self) -> None:
        """Count requests from nought."""
        self._ask("requests/reset", b"")

    def requests(self) -> int:
        """Return the number of requests of the protocol since the last reset."""
        return int(self._ask("requests")["total"])

    def count(self, operation: str) -> int:
        """Return how often an operation was asked since the last reset."""
        return int(self._ask("requests")["operations"].get(operation, 0))

    def deliver(self, to: str, mime: bytes) -> None:
        """Have a message (RFC 5322) arrive from outside."""
        self._ask("deliver", json.dumps({"to": to, "mime": b64encode(mime).decode()}).encode())

    def _ask(self, path: str, body: bytes | None = None) -> dict[str, Any]:
        root = self.url.removesuffix("/EWS/Exchange.asmx")
        with urlopen(Request(f"{root}/_/{path}", data=body), timeout=30) as answer:  # noqa: S310 -- our own child on loopback
            return cast(dict[str, Any], json.load(answer))


@contextmanager
def sandbox(env: Mapping[str, str], *options: str) -> Iterator[Sandbox]:
    """Run `manage.py sandbox` with these options for the length of the block."""
    with _manage(env, "sandbox", "--json", "--empty", *options, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None  # noqa: S101 -- told to the type checker; it is a pipe
        line = process.stdout.readline()
        if not line:
            raise ChildFailed("The sandbox Exchange did not start; what precedes says why.")
        yield Sandbox(process, json.loads(line))


@contextmanager
def worker(env: Mapping[str, str], *queues: str) -> Iterator[int]:
    """Run one `manage.py rqworker` for the length of the block; yield its process id. No queues named: all of them."""
    with _manage({**env, "CRMSYNC_LOG_LEVEL": "WARNING"}, "rqworker", *queues, stdout=subprocess.DEVNULL) as process:
        yield process.pid


@contextmanager
def dispatcher(env: Mapping[str, str]) -> Iterator[int]:
    """Run `manage.py dispatch` for the length of the block; yield its process id."""
    with _manage({**env, "CRMSYNC_LOG_LEVEL": "WARNING"}, "dispatch", stdout=subprocess.DEVNULL) as process:
        yield process.pid


def wait_for_worker(pid: int, patience_s: float = 60.0, *, count: int = 1) -> None:
    """Wait until `count` workers listen to the queues; raises `ChildFailed` when this one ends or they do not come up."""
    end = time.monotonic() + patience_s
    while Worker.count(queue=queue(SYNC)) < count:
        if time.monotonic() > end:
            raise ChildFailed(f"No worker came up within {patience_s:.0f} s.")
        cpu_seconds(pid)
        time.sleep(0.05)


@contextmanager
def _manage(env: Mapping[str, str], *arguments: str, stdout: int) -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, str(Path(settings.BASE_DIR) / "manage.py"), *arguments]
    with subprocess.Popen(command, env=dict(env), stdin=subprocess.DEVNULL, stdout=stdout, text=True) as process:  # noqa: S603 -- our own commands
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


def plain(*arguments: str, password: str) -> dict[str, Any]:
    """Run `plain.py`, exchangelib as its makers ship it, in a process that knows nothing of ours; return what it says."""
    command: Sequence[str] = [sys.executable, "-I", str(Path(__file__).with_name("plain.py")), *arguments]
    code, answer = run(command, env=os.environ, given=password)
    if code != 0:
        raise ChildFailed(f"Plain exchangelib failed (exit code {code}); what precedes says why.")
    return cast(dict[str, Any], json.loads(answer))


def run(command: Sequence[str], *, env: Mapping[str, str], given: str) -> tuple[int, str]:
    """Run a command with `given` as its standard input; return its exit code and what it wrote to standard output."""
    with subprocess.Popen(  # noqa: S603 -- our own commands
        command, env=dict(env), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            answer, _none = process.communicate(given)
        except BaseException:
            process.terminate()  # not killed: it has children of its own to end
            process.wait(_STOP_SECONDS)
            raise
    return process.returncode, answer
