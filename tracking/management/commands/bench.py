"""`manage.py bench NAME`: measures, and shows both sides of each ratio (docs/benches.md).

The figures are taken in a scratch installation by a process that lives in it: this command, called by itself with
`--here`. So what is measured reads its settings as every other process does.
"""

import getpass
import json
import os
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import CommandParser

from security.commands import Failed, JsonCommand, WrongUse
from tracking.benches import dispatching, growth, idle, importing, memory, scratch, side
from tracking.benches.children import ChildFailed, run
from tracking.benches.stored import BASE, NAMES

IDLE, IMPORT, DISPATCH, GROWTH, MEMORY = "idle", "import", "dispatch", "growth", "memory"
_MODULES = {IDLE: idle, IMPORT: importing, DISPATCH: dispatching, GROWTH: growth, MEMORY: memory}
# Which options belong to which bench.
_OPTIONS = {
    IDLE: ("mailboxes", "runs"),
    IMPORT: ("messages", "rounds", "no_attachments", "ews", "username", "address", "auth", "password_file"),
    DISPATCH: ("mailboxes", "rounds"),
    GROWTH: ("activities", "pairs"),
    MEMORY: ("mailboxes", "runs"),
}
_ALL_OPTIONS = tuple(dict.fromkeys(name for names in _OPTIONS.values() for name in names))
_NUMBERS = ("mailboxes", "runs", "messages", "rounds", "activities", "pairs")


class Command(JsonCommand):
    """Measures what crmsync costs."""

    help = "Measures what crmsync costs, both sides of each ratio in one run. Your data is not touched."

    def arguments(self, parser: CommandParser) -> None:
        """Describe the arguments."""
        parser.add_argument("name", choices=tuple(_MODULES), help="what to measure")
        group = parser.add_argument_group("numbers")
        group.add_argument(
            "--mailboxes", type=int, metavar="N", help="idle (100), dispatch (2000), memory (20): mailboxes to sync"
        )
        group.add_argument("--runs", type=int, metavar="N", help="idle (1000), memory (1000): runs to measure")
        group.add_argument(
            "--rounds", type=int, metavar="N", help="import (3), dispatch (5): measurements; the median counts"
        )
        group.add_argument(
            "--activities", type=int, metavar="N", help="growth: activities stored on the larger side (1000000)"
        )
        group.add_argument("--pairs", type=int, metavar="N", help="growth: pairs to measure (9)")
        group = parser.add_argument_group("import")
        group.add_argument("--messages", type=int, metavar="N", help="messages to import (5000)")
        group.add_argument(
            "--no-attachments", action="store_const", const=True, help="bodies alone, where ours gains least"
        )
        group.add_argument(
            "--ews", metavar="URL", help="a server of yours instead of a sandbox; its Inbox is only read"
        )
        group.add_argument("--username", metavar="U", help="who signs in there; the password comes on standard input")
        group.add_argument("--address", metavar="A", help="address of the mailbox, if the user name is none")
        group.add_argument("--auth", choices=("basic", "ntlm"), help="kind of sign-in (basic)")
        group.add_argument("--password-file", type=Path, metavar="FILE", help="file that holds the password")
        parser.add_argument("--here", action="store_true", help="(used by bench itself, in its scratch installation)")
        parser.add_argument("--side", choices=NAMES, help="(used by bench growth itself)")

    def run(self, **options: Any) -> None:
        """Measure and report."""
        _check(options)
        if self._called_from_command_line:
            signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that nothing is left behind
        try:
            if options["side"]:
                self._side(options["side"])
                return
            found = self._here(options) if options["here"] else self._elsewhere(options)
        except (ChildFailed, scratch.NoScratch) as error:
            raise Failed(str(error)) from error
        self.result(found, lambda: _MODULES[options["name"]].table(found))

    def _elsewhere(self, options: dict[str, Any]) -> dict[str, Any]:
        """Have the figures taken in a scratch installation."""
        password = _password(options) if options["ews"] else ""
        given = [
            f"--{name.replace('_', '-')}" if options[name] is True else f"--{name.replace('_', '-')}={options[name]}"
            for name in _ALL_OPTIONS
            if options[name] is not None and name != "password_file"
        ]
        self.note(f"Measuring {options['name']}; this takes minutes with the full numbers.")
        with scratch.installation() as env:
            command = [sys.executable, str(Path(settings.BASE_DIR) / "manage.py"), "bench", options["name"]]
            code, answer = run([*command, *given, "--here", "--json"], env=env, given=password)
        try:
            found: dict[str, Any] = json.loads(answer)
        except ValueError:
            raise Failed(f"The bench ended with exit code {code}; what precedes says why.") from None
        if code != 0:
            raise Failed(str(found.get("message", "")), code=str(found.get("error", "failed")))
        return found

    def _here(self, options: dict[str, Any]) -> dict[str, Any]:
        """Take the figures in the installation that this process lives in."""
        _migrate_scratch("--here")
        with tempfile.TemporaryDirectory(prefix="bench-", dir=settings.BLOB_ROOT.parent) as name:
            return _measure(options, folder=Path(name))

    def _side(self, name: str) -> None:
        """Be one side of `bench growth`."""
        _migrate_scratch("--side")
        side.serve(name, sys.stdin, self._say)

    def _say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()


def _migrate_scratch(option: str) -> None:
    if not scratch.is_scratch():
        raise WrongUse(f"{option} is for bench itself: it would write into the data of this installation.")
    call_command("migrate", interactive=False, verbosity=0)


def _measure(options: dict[str, Any], *, folder: Path) -> dict[str, Any]:
    match options["name"]:
        case "idle":
            return idle.measure(_idle(options), env=os.environ, folder=folder)
        case "import":
            return importing.measure(_import(options), env=os.environ, folder=folder)
        case "dispatch":
            return dispatching.measure(
                dispatching.Options(**_given(options, "mailboxes", "rounds")), env=os.environ, folder=folder
            )
        case "growth":
            return growth.measure(growth.Options(**_given(options, "activities", "pairs")), env=os.environ)
        case _:
            return memory.measure(memory.Options(**_given(options, "mailboxes", "runs")), env=os.environ, folder=folder)


def _given(options: dict[str, Any], *names: str) -> dict[str, int]:
    return {name: options[name] for name in names if options[name] is not None}


def _check(options: dict[str, Any]) -> None:
    """Raise `WrongUse` for options that make no sense, or none for this bench."""
    for name in _ALL_OPTIONS:
        if options[name] is not None and name not in _OPTIONS[options["name"]]:
            raise WrongUse(f"--{name.replace('_', '-')} is no option of bench {options['name']}.")
    for name in _NUMBERS:
        if options[name] is not None and options[name] < 1:
            raise WrongUse(f"--{name} must be at least 1.")
    if (options["activities"] or BASE) % BASE:
        raise WrongUse(f"--activities must be a multiple of {BASE}.")
    if bool(options["ews"]) != bool(options["username"]):
        raise WrongUse("--ews and --username belong together.")
    if options["ews"] and "@" not in (options["address"] or options["username"]):
        raise WrongUse("--address is needed: the user name is no e-mail address.")
    if options["ews"] and options["messages"]:
        raise WrongUse("--messages is for the sandbox; at a server of yours all of its Inbox is read.")


def _password(options: dict[str, Any]) -> str:
    file: Path | None = options["password_file"]
    if file is not None:
        try:
            return file.read_text().rstrip("\n")
        except OSError as error:
            raise Failed(f"{file} cannot be read: {error.strerror}") from error
    if sys.stdin.isatty():
        return getpass.getpass(f"Password of {options['username']}: ")
    return sys.stdin.readline().rstrip("\n")


def _idle(options: dict[str, Any]) -> idle.Options:
    usual = idle.Options()
    mailboxes = options["mailboxes"] or usual.mailboxes
    runs = options["runs"] or mailboxes * usual.rounds
    return idle.Options(mailboxes, rounds=-(-runs // mailboxes))


def _import(options: dict[str, Any]) -> importing.Options:
    usual = importing.Options()
    return importing.Options(
        messages=options["messages"] or usual.messages,
        rounds=options["rounds"] or usual.rounds,
        attachments=not options["no_attachments"],
        url=options["ews"] or "",
        address=options["address"] or options["username"] or "",
        username=options["username"] or "",
        password=sys.stdin.readline().rstrip("\n") if options["ews"] else "",
        auth=options["auth"] or usual.auth,
    )
