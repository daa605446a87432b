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
from tracking.benches import idle, importing, scratch
from tracking.benches.children import ChildFailed, run

IDLE, IMPORT = "idle", "import"
_TABLES = {IDLE: idle.table, IMPORT: importing.table}
# Which options belong to which bench.
_OF_IDLE = ("mailboxes", "runs")
_OF_IMPORT = ("messages", "rounds", "no_attachments", "ews", "username", "address", "auth", "password_file")


class Command(JsonCommand):
    """Measures what crmsync costs."""

    help = "Measures what crmsync costs, beside what plain exchangelib does. Your data is not touched."

    def arguments(self, parser: CommandParser) -> None:
        """Describe the arguments."""
        parser.add_argument("name", choices=(IDLE, IMPORT), help="what to measure")
        group = parser.add_argument_group("idle")
        group.add_argument("--mailboxes", type=int, metavar="N", help="mailboxes that are synced (100)")
        group.add_argument("--runs", type=int, metavar="N", help="idle runs to measure (1000)")
        group = parser.add_argument_group("import")
        group.add_argument("--messages", type=int, metavar="N", help="messages to import (5000)")
        group.add_argument("--rounds", type=int, metavar="N", help="measurements of each side; the median counts (3)")
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

    def run(self, **options: Any) -> None:
        """Measure and report."""
        _check(options)
        if self._called_from_command_line:
            signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that nothing is left behind
        try:
            found = self._here(options) if options["here"] else self._elsewhere(options)
        except (ChildFailed, scratch.NoScratch) as error:
            raise Failed(str(error)) from error
        self.result(found, lambda: _TABLES[options["name"]](found))

    def _elsewhere(self, options: dict[str, Any]) -> dict[str, Any]:
        """Have the figures taken in a scratch installation."""
        password = _password(options) if options["ews"] else ""
        given = [
            f"--{name.replace('_', '-')}" if options[name] is True else f"--{name.replace('_', '-')}={options[name]}"
            for name in (*_OF_IDLE, *_OF_IMPORT)
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
        if not scratch.is_scratch():
            raise WrongUse("--here is for bench itself: it would write into the data of this installation.")
        call_command("migrate", interactive=False, verbosity=0)
        with tempfile.TemporaryDirectory(prefix="bench-", dir=settings.BLOB_ROOT.parent) as folder:
            if options["name"] == IDLE:
                return idle.measure(_idle(options), env=os.environ, folder=Path(folder))
            return importing.measure(_import(options), env=os.environ, folder=Path(folder))


def _check(options: dict[str, Any]) -> None:
    """Raise `WrongUse` for options that make no sense, or none for this bench."""
    for name in _OF_IMPORT if options["name"] == IDLE else _OF_IDLE:
        if options[name] is not None:
            raise WrongUse(f"--{name.replace('_', '-')} is no option of bench {options['name']}.")
    for name in ("mailboxes", "runs", "messages", "rounds"):
        if options[name] is not None and options[name] < 1:
            raise WrongUse(f"--{name} must be at least 1.")
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
