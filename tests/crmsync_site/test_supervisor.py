"""The supervisor, with small real processes."""

import io
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from crmsync_site.launcher import supervisor as module
from crmsync_site.launcher.console import Console
from crmsync_site.launcher.errors import LauncherError
from crmsync_site.launcher.supervisor import Program, Supervisor
from tests.crmsync_site.shell import wait_until


class Terminal(io.StringIO):
    """What the launcher printed."""

    def lines(self) -> list[str]:
        return self.getvalue().splitlines()


@pytest.fixture
def terminal() -> Terminal:
    return Terminal()


@pytest.fixture
def supervisor(terminal: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Supervisor]:
    monkeypatch.setattr(module, "_FIRST_PAUSE", 0.01)
    made = Supervisor(Console(terminal), {**os.environ, "PYTHONUNBUFFERED": "1"}, tmp_path)
    yield made
    made.hurry()
    made.stop()


def python(name: str, code: str, patience: float = 5.0) -> Program:
    return Program(name, [sys.executable, "-S", "-u", "-c", code], patience)


def tend_until(supervisor: Supervisor, terminal: Terminal, text: str, seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while text not in terminal.getvalue():
        assert time.monotonic() < end, terminal.getvalue()
        supervisor.tend(0.02)


def test_every_line_bears_the_name_of_its_writer(supervisor: Supervisor, terminal: Terminal) -> None:
    code = "import sys, time; print('one'); print('twö', file=sys.stderr); sys.stdout.write('no end'); sys.stdout.flush(); time.sleep({})"
    supervisor.start(python("a", code.format(60)))
    supervisor.start(python("longer-name", "print(b'\\xff'); import time; time.sleep(60)"))
    tend_until(supervisor, terminal, "twö")
    tend_until(supervisor, terminal, "longer-name")
    assert "a          | one" in terminal.lines()
    assert "a          | twö" in terminal.lines()
    supervisor.stop()
    assert "a          | no end" in terminal.lines()


def test_a_terminal_that_went_away_stops_nobody(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as gone, pytest.MonkeyPatch.context():
        console = Console(gone)
        console.say("nobody hears this")
        console.line("a", "or this")
        os.dup2(os.open(os.devnull, os.O_WRONLY), writing)


def test_colour_only_for_people(monkeypatch: pytest.MonkeyPatch) -> None:
    class Person(Terminal):
        def isatty(self) -> bool:
            return True

    monkeypatch.delenv("NO_COLOR", raising=False)
    person = Person()
    Console(person).line("web", "hello")
    assert person.getvalue().startswith("\x1b[")
    monkeypatch.setenv("NO_COLOR", "1")
    plain = Person()
    Console(plain).line("web", "hello")
    assert plain.getvalue() == "web        | hello\n"


def test_who_dies_is_started_again(supervisor: Supervisor, terminal: Terminal, tmp_path: Path) -> None:
    code = "import os, pathlib; p = pathlib.Path('n'); n = int(p.read_text()) + 1 if p.exists() else 1; p.write_text(str(n)); print('life', n)\n"
    supervisor.start(python("mortal", code + "import time; time.sleep(60) if n == 3 else os._exit(7)"))
    tend_until(supervisor, terminal, "life 3")
    assert terminal.getvalue().count("exit code 7") == 2


def test_who_keeps_dying_ends_it_all_with_his_last_words(supervisor: Supervisor, terminal: Terminal) -> None:
    supervisor.start(python("broken", "import sys; sys.exit('cannot find the thing')"))
    with pytest.raises(LauncherError, match=r"(?s)broken does not run: exit code 1.*cannot find the thing"):
        tend_until(supervisor, terminal, "never")
    assert terminal.getvalue().count("started again") == 4


def test_who_was_killed_is_said_to_be(supervisor: Supervisor, terminal: Terminal) -> None:
    supervisor.start(python("victim", "import os, time; print('pid', os.getpid()); time.sleep(60)"))
    tend_until(supervisor, terminal, "pid ")
    os.kill(int(terminal.getvalue().rsplit(" ", 1)[1]), signal.SIGKILL)
    tend_until(supervisor, terminal, "signal SIGKILL")


def test_a_worker_that_retires_is_replaced_without_a_word(
    supervisor: Supervisor, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    supervisor.start(python("worker", "import time; print('at work'); time.sleep(1.1)"))
    tend_until(supervisor, terminal, "at work\nworker     | at work\n")
    assert "started again" not in terminal.getvalue()


def test_a_program_that_ends_gives_its_output_and_shows_its_errors(supervisor: Supervisor, terminal: Terminal) -> None:
    code = "import sys; print('out'); print('x' * 100_000); print('err', file=sys.stderr)"
    assert supervisor.run_to_end(python("demo", code)) == ["out", "x" * 100_000]
    assert terminal.lines() == ["demo       | err"]


def test_a_program_that_fails_is_an_error_in_words(supervisor: Supervisor) -> None:
    with pytest.raises(LauncherError, match=r"(?s)demo does not run: exit code 1.*no such thing"):
        supervisor.run_to_end(python("demo", "import sys; sys.exit('no such thing')"))


def test_waiting_is_bounded(supervisor: Supervisor) -> None:
    with pytest.raises(LauncherError, match="The tide did not happen within 0 s"):
        supervisor.wait_for(lambda: False, 0.05, "The tide")


def test_the_last_started_ends_first_and_neighbours_of_a_kind_together(
    supervisor: Supervisor, terminal: Terminal
) -> None:
    code = "import signal, time, sys\ndef end(*_):\n    time.sleep(0.3); print('ended', flush=True); sys.exit()\nsignal.signal(signal.SIGTERM, end); print('up'); time.sleep(60)"
    for name in ("web", "worker-1", "worker-2"):
        supervisor.start(python(name, code))
    end = time.monotonic() + 10
    while terminal.getvalue().count("up") < 3 and time.monotonic() < end:
        supervisor.tend(0.02)
    started = time.monotonic()
    supervisor.stop()
    assert time.monotonic() - started < 0.3 * 3
    ended = [line.split()[0] for line in terminal.lines() if line.endswith("ended")]
    assert sorted(ended[:2]) == ["worker-1", "worker-2"]
    assert ended[2] == "web"


def test_who_does_not_end_is_killed_with_all_he_started(supervisor: Supervisor, terminal: Terminal) -> None:
    code = "import os, signal, subprocess, sys, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nchild = subprocess.Popen(['sleep', '60'])\nprint('pids', os.getpid(), child.pid, flush=True)\ntime.sleep(60)"
    supervisor.start(python("stubborn", code, patience=0.2))
    tend_until(supervisor, terminal, "pids ")
    pids = [int(word) for word in terminal.lines()[0].split()[-2:]]
    supervisor.stop()
    assert wait_until(
        lambda: (
            not any(Path(f"/proc/{pid}/cmdline").exists() and Path(f"/proc/{pid}/cmdline").read_bytes() for pid in pids)
        )
    )
