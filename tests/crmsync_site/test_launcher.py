"""`manage.py run` with everything it really starts. Slow, so each test is one stretch of a launcher's life."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from crmsync_site.launcher import lock, ports, static_files
from crmsync_site.launcher.errors import LauncherError
from crmsync_site.launcher.lock import only_launcher
from tests.crmsync_site.shell import PROJECT, environment, processes_of, wait_until

Manage = Callable[..., "subprocess.CompletedProcess[str]"]
Install = Callable[[Path], None]
READY_SECONDS = 120
# Each kind of child has its patience, then it is killed; the servers come last.
STOP_SECONDS = 20


class Launcher:
    """A launcher in a shell of its own; its output goes to a file beside `var`."""

    def __init__(self, var: Path, port: int, *options: str, through_shell: bool = False) -> None:
        self.var, self.port = var, port
        self.log = var / "terminal.log"
        command = [sys.executable, str(PROJECT / "manage.py"), "run", *options]
        if through_shell:  # as below make: a parent that waits
            command = ["/bin/sh", "-c", '"$@"; exit $?', "sh", *command, "--stop-with-parent"]
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                command, env=environment(var, CRMSYNC_PORT=str(port)), stdout=log, stderr=subprocess.STDOUT
            )

    def output(self) -> str:
        return self.log.read_text()

    def wait_ready(self) -> None:
        done = wait_until(lambda: "crmsync is ready" in self.output() or self.process.poll() is not None, READY_SECONDS)
        assert done, self.output()
        assert self.process.poll() is None, self.output()

    def health(self) -> dict[str, Any]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health/", timeout=10) as answer:
                return dict(json.load(answer))
        except urllib.error.HTTPError as error:
            return dict(json.load(error))

    def answers(self) -> bool:
        try:
            return bool(self.health())
        except OSError:
            return False

    def wait_workers(self) -> None:
        assert wait_until(lambda: self.health()["workers"] == 2, 30), self.output()

    def end(self, how: signal.Signals) -> float:
        """Send a signal and return how many seconds the launcher took to end."""
        started = time.monotonic()
        self.process.send_signal(how)
        self.process.wait(30)
        return time.monotonic() - started


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def pid_of(var: Path, words: str) -> int:
    return next(pid for pid, command in processes_of(var).items() if words in command)


@pytest.mark.slow
def test_a_killed_launcher_leaves_nothing_and_the_next_one_goes_on(
    empty_var: Path, install: Install, manage: Manage
) -> None:
    install(empty_var)
    port = free_port()
    first = Launcher(empty_var, port)
    first.wait_ready()
    first.wait_workers()
    assert first.health()["status"] == "ok"
    mailboxes = first.health()["mailboxes"]
    assert mailboxes > 0
    assert f"http://127.0.0.1:{port}/" in first.output()
    assert "marta" in first.output()

    again = manage("run", CRMSYNC_PORT=str(free_port()))
    assert again.returncode == 1
    assert f"already running at http://127.0.0.1:{port}/" in again.stderr

    keeper = pid_of(empty_var, "embedded.keeper")
    status = manage("sync_status", "--json")
    assert json.loads(status.stdout)["mailboxes"] == mailboxes
    assert pid_of(empty_var, "embedded.keeper") == keeper

    os.kill(pid_of(empty_var, "rqworker immediate"), signal.SIGKILL)
    assert wait_until(lambda: "worker-1   | ended (signal SIGKILL)" in first.output(), 10)
    first.wait_workers()

    # The site is two processes; the one that is left must not keep the port.
    os.kill(min(pid for pid, command in processes_of(empty_var).items() if "granian" in command), signal.SIGKILL)
    assert wait_until(lambda: "web        | ended (signal SIGKILL)" in first.output(), 10)
    assert wait_until(first.answers, 30), first.output()

    first.end(signal.SIGKILL)
    assert wait_until(lambda: not processes_of(empty_var), 15), processes_of(empty_var)

    second = Launcher(empty_var, port, "--no-demo", through_shell=True)
    second.wait_ready()
    assert second.health()["mailboxes"] == mailboxes
    second.end(signal.SIGKILL)  # the shell, as when make is killed
    assert wait_until(lambda: not processes_of(empty_var), 15), processes_of(empty_var)
    assert "crmsync has stopped" in second.output()


@pytest.mark.slow
def test_two_copies_run_side_by_side_and_stop_each_for_itself(empty_var: Path, install: Install) -> None:
    copies = []
    for name in ("first", "second copy"):
        (empty_var / name).mkdir()
        install(empty_var / name)
        copies.append(Launcher(empty_var / name, free_port(), "--no-demo"))
    first, second = copies
    for launcher in copies:
        launcher.wait_ready()
        assert launcher.health()["database"] == "ok"
    assert first.end(signal.SIGINT) < STOP_SECONDS, first.output()
    assert first.process.returncode == 0, first.output()
    assert wait_until(lambda: not processes_of(first.var), 1), processes_of(first.var)
    assert second.health()["database"] == "ok"
    assert second.end(signal.SIGTERM) < STOP_SECONDS, second.output()
    assert second.process.returncode == 0, second.output()
    assert wait_until(lambda: not processes_of(second.var), 1), processes_of(second.var)
    assert "Traceback" not in first.output() + second.output()


def test_a_port_in_use_is_named_before_anything_is_started(empty_var: Path, manage: Manage) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        done = manage("run", CRMSYNC_PORT=str(port))
    assert done.returncode == 1
    assert f"Port {port} is in use" in done.stderr
    assert "CRMSYNC_PORT" in done.stderr
    assert not (empty_var / "services.lock").exists()


def test_one_launcher_per_var(tmp_path: Path) -> None:
    with (
        only_launcher(tmp_path, "http://127.0.0.1:1/"),
        pytest.raises(LauncherError, match=rf"running at http://127\.0\.0\.1:1/ \(process {os.getpid()}\)"),
        only_launcher(tmp_path, "http://127.0.0.1:2/"),
    ):
        pass
    with only_launcher(tmp_path, "http://127.0.0.1:2/"):
        assert json.loads((tmp_path / "launcher.lock").read_text())["url"] == "http://127.0.0.1:2/"


def test_a_launcher_that_stops_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "_NOTICE_SECONDS", 0.0)
    with ThreadPoolExecutor() as pool:
        with only_launcher(tmp_path, "http://127.0.0.1:1/") as stopping:
            stopping()

            def next_one() -> str:
                with only_launcher(tmp_path, "http://127.0.0.1:2/"):
                    return "started"

            waiting = pool.submit(next_one)
            time.sleep(0.3)
            assert not waiting.done()
        assert waiting.result(10) == "started"


def test_a_remembered_port_is_kept_while_it_is_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "sandbox" / "port"
    port = ports.remembered(file)
    assert ports.remembered(file) == port
    monkeypatch.setattr(ports, "_PATIENCE_SECONDS", 0.1)
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        other.listen()
        assert ports.answers(port)
        another = ports.remembered(file)
    assert another != port
    assert ports.remembered(file) == another
    assert not ports.answers(port)


def test_static_files_are_collected_once_per_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[str] = []
    monkeypatch.setattr(static_files, "call_command", lambda name, **_: called.append(name))
    assert static_files.collect_if_changed(tmp_path)
    assert not static_files.collect_if_changed(tmp_path)
    assert called == ["collectstatic"]
    (tmp_path / "static.collected").write_text("older sources")
    assert static_files.collect_if_changed(tmp_path)
