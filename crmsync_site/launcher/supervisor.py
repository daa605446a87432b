"""Keeps a set of child processes running: shows what they write, starts again what dies, stops them in reverse order.

One thread and one loop. Every child is the leader of a session of its own, so that Ctrl-C reaches the launcher alone,
and asks the kernel for SIGTERM when the launcher dies.
"""

import collections
import contextlib
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from crmsync_site.embedded.privilege import dies_with_parent
from crmsync_site.launcher.console import Console
from crmsync_site.launcher.errors import LauncherError

_TAIL_LINES = 30
_LONGEST_LINE = 64 * 1024
_QUICK_SECONDS = 10.0  # who dies sooner has not worked
_QUICK_DEATHS = 5
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 10.0


@dataclass(frozen=True)
class Program:
    """What a child runs. `patience` is how many seconds it gets to end after SIGTERM."""

    name: str
    command: Sequence[str | Path]
    patience: float = 5.0


class Child:
    """One running program, the last lines it wrote, and how often it died quickly in a row."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.process: subprocess.Popen[bytes] | None = None
        self.started = 0.0
        self.quick_deaths = 0
        self.next_start = 0.0
        self.tail: collections.deque[str] = collections.deque(maxlen=_TAIL_LINES)
        self.unfinished = b""


class Supervisor:
    """Starts children with `env`, in the order of the calls; `supervise` then keeps them running."""

    def __init__(self, console: Console, env: Mapping[str, str], directory: Path) -> None:
        self._console = console
        self._env = dict(env)
        self._directory = directory
        self._children: list[Child] = []
        self._selector = selectors.DefaultSelector()
        self._hurry = False

    # -- starting ---------------------------------------------------------------------------------

    def start(self, program: Program) -> None:
        """Start a program that is to run until `stop`."""
        child = Child(program)
        self._children.append(child)
        self._spawn(child)

    def run_to_end(self, program: Program) -> list[str]:
        """Run a program that ends by itself, and return the lines of its standard output; raises `LauncherError` if it fails.

        Its standard error is shown like that of every child.
        """
        child = Child(program)
        self._children.append(child)
        process = self._spawn(child, capture=True)
        output = bytearray()
        with cast(IO[bytes], process.stdout) as captured:  # a pipe, as asked for
            os.set_blocking(captured.fileno(), False)
            while process.poll() is None:
                self.look(0.05)
                output += captured.read() or b""
            output += captured.read() or b""
        self.look(0)
        self._children.remove(child)
        if process.returncode != 0:
            raise LauncherError(self._failure(child, process.returncode))
        return output.decode(errors="replace").splitlines()

    def wait_for(self, condition: Callable[[], bool], seconds: float, what: str) -> None:
        """Look after the children until `condition` holds; raises `LauncherError` naming `what` when it takes too long."""
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                raise LauncherError(f"{what} did not happen within {seconds:.0f} s; what precedes may say why.")
            self.tend(0.1)

    # -- keeping ----------------------------------------------------------------------------------

    def tend(self, seconds: float) -> None:
        """Show what children write for `seconds`, then start again those that died and whose pause is over."""
        self.look(seconds)
        now = time.monotonic()
        for child in self._children:
            if child.process is not None and child.process.poll() is not None:
                self._note_death(child, child.process.returncode, now)
            if child.process is None and now >= child.next_start:
                self._spawn(child)

    def look(self, seconds: float) -> None:
        """Show what children write, waiting at most `seconds` for something."""
        if not self._selector.get_map():
            time.sleep(seconds)
            return
        for key, _ in self._selector.select(seconds):
            self._read(key.data, key.fd)

    # -- stopping ---------------------------------------------------------------------------------

    def stop(self) -> None:
        """End every child, the last started first: SIGTERM, its patience, SIGKILL to its whole group. Called again, it hurries."""
        for child in self._children:
            child.next_start = float("inf")
        # Neighbours in the list that run the same kind of thing end together; the order between kinds is what matters.
        while self._children:
            kind = self._children[-1].program.name.rstrip("0123456789-")
            together = [child for child in self._children if child.program.name.rstrip("0123456789-") == kind]
            self._end(together)
            self._children = [child for child in self._children if child not in together]

    def hurry(self) -> None:
        """Have `stop` wait no longer."""
        self._hurry = True

    def _end(self, children: Sequence[Child]) -> None:
        for child in children:
            self._signal(child, signal.SIGTERM)
        end = time.monotonic() + max(child.program.patience for child in children)
        while any(_lives(child) for child in children) and time.monotonic() < end and not self._hurry:
            self.look(0.05)
        for child in children:
            self._signal(child, signal.SIGKILL)
            if child.process is not None:
                child.process.wait()
        self.look(0)

    def _signal(self, child: Child, how: signal.Signals) -> None:
        if child.process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(child.process.pid, how)

    # -- one child --------------------------------------------------------------------------------

    def _spawn(self, child: Child, *, capture: bool = False) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(  # noqa: S603 -- our own commands
            list(child.program.command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE if capture else subprocess.STDOUT,
            cwd=self._directory,
            env=self._env,
            start_new_session=True,
            preexec_fn=dies_with_parent(signal.SIGTERM),  # noqa: PLW1509 -- this process has one thread
        )
        child.process, child.started = process, time.monotonic()
        child.tail.clear()
        shown = cast(IO[bytes], process.stderr if capture else process.stdout)  # a pipe, as asked for
        os.set_blocking(shown.fileno(), False)
        self._selector.register(shown, selectors.EVENT_READ, child)
        return process

    def _read(self, child: Child, descriptor: int) -> None:
        try:
            piece = os.read(descriptor, 65536)
        except BlockingIOError:
            return
        if not piece:
            key = self._selector.unregister(descriptor)
            key.fileobj.close()  # type: ignore[union-attr]  # we registered a file object
        *lines, child.unfinished = (child.unfinished + piece).split(b"\n")
        if child.unfinished and (not piece or len(child.unfinished) > _LONGEST_LINE):
            lines.append(child.unfinished)
            child.unfinished = b""
        for line in lines:
            text = line.decode(errors="replace").rstrip("\r")
            child.tail.append(text)
            self._console.line(child.program.name, text)

    def _note_death(self, child: Child, code: int, now: float) -> None:
        self._signal(child, signal.SIGKILL)  # what it may have left behind in its group
        child.process = None
        name = child.program.name
        if now - child.started >= _QUICK_SECONDS:
            child.quick_deaths = 0
        if code == 0 and child.quick_deaths == 0 and now - child.started >= 1:
            child.next_start = now  # a worker that was due to be replaced by a fresh one
            return
        child.quick_deaths += 1
        if child.quick_deaths >= _QUICK_DEATHS:
            self.look(0.1)
            raise LauncherError(self._failure(child, code))
        pause = min(_FIRST_PAUSE * 2 ** (child.quick_deaths - 1), _LONGEST_PAUSE)
        child.next_start = now + pause
        self._console.line(name, f"ended ({_in_words(code)}) and is started again in {pause:.1f} s")

    def _failure(self, child: Child, code: int) -> str:
        tail = "\n".join(f"  {line}" for line in child.tail)
        return f"{child.program.name} does not run: {_in_words(code)}. Its last lines:\n{tail}"


def _lives(child: Child) -> bool:
    return child.process is not None and child.process.poll() is None


def _in_words(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
