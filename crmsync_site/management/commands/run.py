"""`manage.py run`, which is `make run`: the launcher."""

import argparse
import contextlib
import os
import signal
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from crmsync_site.embedded import preparation, services
from crmsync_site.embedded.addresses import PROJECT
from crmsync_site.embedded.errors import ServiceError
from crmsync_site.embedded.files import state_folder
from crmsync_site.embedded.privilege import dies_with_parent
from crmsync_site.launcher import ports, programs, static_files
from crmsync_site.launcher.console import Console
from crmsync_site.launcher.errors import LauncherError
from crmsync_site.launcher.lock import only_launcher
from crmsync_site.launcher.supervisor import Supervisor

_READY_SECONDS = 60.0
_SANDBOX_SECONDS = 30.0
_LOOK_SECONDS = 0.25


class Command(BaseCommand):
    """Run database, queue, sandbox Exchange, site, dispatcher and workers until Ctrl-C."""

    help = "Runs everything on this machine until Ctrl-C: servers, sandbox Exchange, site, dispatcher, two workers."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the options."""
        parser.add_argument("--port", type=int, default=settings.PORT, help="port of the site (CRMSYNC_PORT, 8000)")
        parser.add_argument(
            "--no-demo", action="store_true", help="without the sandbox Exchange and the demo organisation"
        )
        parser.add_argument(
            "--stop-with-parent", action="store_true", help="stop when the process that started this one is gone"
        )

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ARG002 -- Django's signature
        """Run until asked to stop; raises `CommandError` (exit code 1) when something that has to run cannot."""
        _interrupt_on_signals()
        var, port = Path(settings.VAR), int(options["port"])
        console = Console(sys.stdout)
        try:
            state_folder(var)
            with only_launcher(var, f"http://127.0.0.1:{port}/") as stopping, services_after_check(var, port):
                with_parent = bool(options["stop_with_parent"])
                launch(var, port, console, stopping, demo=not options["no_demo"], with_parent=with_parent)
        except (LauncherError, ServiceError) as error:
            raise CommandError(str(error)) from error
        except KeyboardInterrupt:
            console.say("crmsync has stopped.")


@contextlib.contextmanager
def services_after_check(var: Path, port: int) -> Iterator[None]:
    """Have the servers running for the length of the block; raises `LauncherError` first when the site's port is taken."""
    if not ports.wait_free(port, 2.0):
        raise LauncherError(
            f"Port {port} is in use by another program. CRMSYNC_PORT chooses another one: CRMSYNC_PORT=8001 make run"
        )
    with services.using(var, services.needed()):
        yield


def launch(
    var: Path, port: int, console: Console, stopping: Callable[[], None], *, demo: bool, with_parent: bool
) -> None:
    """Start everything in order, say when it is ready, keep it running; leaves by `KeyboardInterrupt` or an error.

    `stopping` is called when it begins to stop; `with_parent` has it stop when the process that started it is gone.
    """
    parent = os.getppid()
    die = dies_with_parent(signal.SIGTERM) if with_parent else None
    if die is not None:
        die()
    console.say("crmsync is starting ...")
    supervisor = Supervisor(console, programs.environment(var), PROJECT)
    try:
        preparation.prepare(var)
        if static_files.collect_if_changed(var):
            console.say("Static files were collected.")
        sign_ins = _start_sandbox(var, supervisor) if demo else []
        supervisor.start(programs.web(port))
        supervisor.start(programs.dispatcher())
        for worker in programs.workers():
            supervisor.start(worker)
        supervisor.wait_for(lambda: _site_answers(port), _READY_SECONDS, "The first answer of the site")
        _say_ready(console, var, port, sign_ins)
        while not (with_parent and os.getppid() != parent):
            supervisor.tend(_LOOK_SECONDS)
            if services.needed() and not services.running(var):
                console.say("The embedded servers are gone and are started again.")
                services.ensure(var, services.needed())
    finally:
        # A second Ctrl-C means: now.
        signal.signal(signal.SIGINT, lambda *_: supervisor.hurry())
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        stopping()
        console.say("Stopping ...")
        supervisor.stop()


def _start_sandbox(var: Path, supervisor: Supervisor) -> list[str]:
    """Start the sandbox Exchange, have the demo organisation made, and return its sign-ins."""
    port = ports.remembered(var / "sandbox" / "port")
    supervisor.start(programs.sandbox(var, port))
    supervisor.wait_for(lambda: ports.answers(port), _SANDBOX_SECONDS, "The first answer of the sandbox Exchange")
    return supervisor.run_to_end(programs.demo(port))


def _site_answers(port: int) -> bool:
    """Whether the site answers at all; what it says of its parts is for the reader of the page."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/", timeout=5):
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False


def _say_ready(console: Console, var: Path, port: int, sign_ins: list[str]) -> None:
    password = var / "admin-password"
    console.say("")
    console.say(f"crmsync is ready: http://127.0.0.1:{port}/")
    if password.is_file():
        console.say(f"  administrator: admin, password in {password}")
    for line in sign_ins:
        console.say(f"  {line}")
    console.say("Ctrl-C stops everything; the data stays.")
    console.say("")


def _interrupt_on_signals() -> None:
    """Have SIGTERM and SIGHUP end the launcher as Ctrl-C does."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)
