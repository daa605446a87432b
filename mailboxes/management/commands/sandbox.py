"""`manage.py sandbox`: serves the sandbox Exchange until it is told to stop.

A teaching and testing server on loopback. It needs no database and keeps its own state file.
"""

import dataclasses
import json
import secrets
import signal
import sys
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError, CommandParser

from mailboxes.sandbox import demo, statefile
from mailboxes.sandbox.demo.pulse import Pulse
from mailboxes.sandbox.loaders import Loaded, load_folder
from mailboxes.sandbox.server import SandboxServer
from mailboxes.sandbox.store import SandboxError, SandboxStore
from security.commands import WrongUse, refusing

SERVICE_ACCOUNT: Final = "crmsync@sandbox.example"
IMPORT_MAILBOX: Final = "import@sandbox.example"


class Command(BaseCommand):
    help = "Serve the sandbox Exchange (a teaching and testing server) until Ctrl-C or SIGTERM."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--port", type=int, default=0, help="port to listen on (default: a free one)")
        parser.add_argument("--host", default="127.0.0.1", help="address to bind (default: loopback only)")
        parser.add_argument(
            "--load",
            action="append",
            default=[],
            type=Path,
            metavar="FOLDER",
            nargs="+",
            help="folder of .eml, .mbox, .ics, .vcf",
        )
        parser.add_argument(
            "--into",
            default=IMPORT_MAILBOX,
            metavar="ADDRESS",
            help=f"mailbox to load into (default: {IMPORT_MAILBOX})",
        )
        parser.add_argument(
            "--mailbox",
            action="append",
            default=[],
            metavar="ADDRESS:PASSWORD",
            nargs="+",
            help="make this mailbox, or set its password",
        )
        parser.add_argument("--state", type=Path, metavar="FILE", help="keep the state in this file")
        parser.add_argument("--empty", action="store_true", help="leave the demo corpus out")
        parser.add_argument(
            "--no-counters", action="store_true", help="give no change counters, as some servers do not"
        )
        parser.add_argument(
            "--newest-first",
            action="store_true",
            help="let a first sync run from the newest item to the oldest, as Exchange does",
        )
        parser.add_argument(
            "--pulse", type=float, metavar="SECONDS", help="let a letter of the demo arrive anew every so many seconds"
        )
        parser.add_argument("--json", action="store_true", help="print one JSON document when ready")

    _told = False

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        return refusing(super().create_parser(prog_name, subcommand, **kwargs))

    def run_from_argv(self, argv: list[str]) -> None:
        """Run as typed by a person; arguments that cannot be parsed are told like any other wrong use."""
        try:
            super().run_from_argv(argv)
        except WrongUse as error:
            if "--json" in argv:
                self.stdout.write(json.dumps({"error": error.code, "message": str(error)}))
            self.stderr.write(str(error))
            sys.exit(error.returncode)

    def handle(self, *_: Any, **options: Any) -> None:
        """Serve; with --json the reason why that cannot be is the one document."""
        try:
            self._serve(**options)
        except CommandError as error:
            if options["json"] and not self._told:
                code = "wrong_use" if error.returncode == 2 else "failed"
                self.stdout.write(json.dumps({"error": code, "message": str(error)}))
            raise

    def _serve(self, **options: Any) -> None:
        wanted = [_pair(one) for group in options["mailbox"] for one in group]
        if not 0 <= options["port"] <= 65_535:
            raise CommandError(f"{options['port']} is no port", returncode=2)
        if options["pulse"] is not None and options["pulse"] <= 0:
            raise CommandError("--pulse takes a number of seconds above 0", returncode=2)
        state: Path | None = options["state"]
        store = self._store(state, empty=options["empty"])
        store.change_counters = not options["no_counters"]
        store.newest_first = options["newest_first"]
        loaded = self._fill(store, wanted, [one for group in options["load"] for one in group], options["into"])
        try:
            server = SandboxServer(store, options["port"], host=options["host"])
        except OSError as error:
            raise CommandError(
                f"cannot listen on {options['host']} port {options['port']}: {error.strerror or error}"
            ) from error
        with ExitStack() as stack:
            stop = _heard_stop(stack)
            if state is not None:
                stack.enter_context(statefile.Saver(store, state))
            stack.enter_context(server)
            if options["pulse"]:
                stack.enter_context(Pulse(store, options["pulse"]))
            self._tell(server, loaded, state, as_json=options["json"])
            stop.wait()
            self.stderr.write("sandbox: stopping")
            try:
                stack.close()
            except OSError as error:
                raise CommandError(f"the state cannot be written to {state}: {error.strerror or error}") from error

    def _store(self, state: Path | None, *, empty: bool) -> SandboxStore:
        if state is not None and state.exists():
            try:
                return statefile.load(state)
            except statefile.StateError as error:
                raise CommandError(str(error)) from error
        if state is not None:
            try:
                state.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise CommandError(
                    f"there can be no folder {state.parent} to keep the state in: {error.strerror}"
                ) from error
        store = SandboxStore()
        if not empty:
            demo.load(store)
        return store

    def _fill(self, store: SandboxStore, wanted: list[tuple[str, str]], folders: list[Path], into: str) -> Loaded:
        loaded = Loaded()
        try:
            if not store.has_mailbox(SERVICE_ACCOUNT):
                store.add_mailbox(SERVICE_ACCOUNT, secrets.token_urlsafe(12), "crmsync service", impersonator=True)
            for address, password in wanted:
                if store.has_mailbox(address):
                    store.set_password(address, password)
                else:
                    store.add_mailbox(address, password)
            if folders and not store.has_mailbox(into):
                store.add_mailbox(into, secrets.token_urlsafe(12))
            for folder in folders:
                load_folder(store, folder, into, loaded)
        except (SandboxError, OSError) as error:
            raise CommandError(str(error)) from error
        return loaded

    def _tell(self, server: SandboxServer, loaded: Loaded, state: Path | None, *, as_json: bool) -> None:
        self._told = True
        store = server.store
        service = store.mailbox(SERVICE_ACCOUNT)
        ready = {
            "url": server.url,
            "mailboxes": store.overview(),
            "service_account": {"address": service.address, "password": service.password},
            "loaded": dataclasses.asdict(loaded),
            "state": None if state is None else str(state),
        }
        if as_json:
            self.stdout.write(json.dumps(ready))
        else:
            self.stdout.write(f"Sandbox Exchange, a teaching and testing server: {server.url}")
            for one in store.overview():
                self.stdout.write(f"  {one['address']}  password {one['password']}  {one['messages']} messages")
            self.stdout.write(f"{SERVICE_ACCOUNT} may impersonate everybody. Ctrl-C ends it.")
        self.stdout.flush()


def _heard_stop(stack: ExitStack) -> threading.Event:
    """Return an event that SIGINT and SIGTERM set, from before anybody is told the URL until the stack ends."""
    stop = threading.Event()
    for one in (signal.SIGINT, signal.SIGTERM):
        stack.callback(signal.signal, one, signal.signal(one, lambda *_: stop.set()))
    return stop


def _pair(text: str) -> tuple[str, str]:
    address, colon, password = text.partition(":")
    if not colon or "@" not in address or not password:
        raise CommandError(f"--mailbox takes ADDRESS:PASSWORD, not {text!r}", returncode=2)
    return address, password
