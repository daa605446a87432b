"""The base of every management command that administrators script with.

The one idea: stdout is for the answer alone. With `--json` it carries exactly one JSON document, also when the command
fails; notes, warnings and whatever a library prints go to stderr. Exit codes: 0 done, 1 failed, 2 wrong use.
"""

import contextlib
import json
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.core.serializers.json import DjangoJSONEncoder
from django.db import DatabaseError, InterfaceError, OperationalError

from security.logs import told


class Failed(CommandError):
    """The command was understood and could not do it: exit code 1. `code` is for programs, the message for people."""

    def __init__(self, message: str, *, code: str = "failed") -> None:
        super().__init__(message, returncode=1)
        self.code = code


class WrongUse(CommandError):
    """The command was called in a way that makes no sense: exit code 2."""

    def __init__(self, message: str, *, code: str = "wrong_use") -> None:
        super().__init__(message, returncode=2)
        self.code = code


def refusing(parser: CommandParser) -> CommandParser:
    """Return the parser, made to raise `WrongUse` for what it cannot parse instead of ending the process by itself."""

    def refuse(message: str) -> NoReturn:
        raise WrongUse(f"{message[:1].upper()}{message[1:]} ({' '.join(parser.format_usage().split())})")

    parser.error = refuse  # type: ignore[method-assign]  # argparse's own hook, replaced for this parser only
    return parser


class JsonCommand(BaseCommand, ABC):
    """A command with `--json`. Subclasses write `arguments` and `run`; `run` calls `result` once and raises to fail.

    A command that has called `result` and then raises `Failed` leaves its document standing and exits with 1.
    """

    requires_system_checks = ()
    _called_from_command_line = False
    _wants_json = False
    _written = False

    def arguments(self, parser: CommandParser) -> None:
        """Add the command's own arguments."""

    @abstractmethod
    def run(self, **options: Any) -> None:
        """Do the work. Raises `Failed` or `WrongUse`, with a sentence that says what to do."""

    def result(self, document: Mapping[str, Any], human: str | Callable[[], str]) -> None:
        """Write the answer: `document` with `--json`, else `human` (or what it returns)."""
        if self._written:
            raise RuntimeError("a command has one result")
        self._written = True
        if self._wants_json:
            text = json.dumps(document, cls=DjangoJSONEncoder, ensure_ascii=False, indent=2)
        else:
            text = human if isinstance(human, str) else human()
        self.stdout.write(text)
        self.stdout.flush()

    def say(self, text: str) -> None:
        """Write a line of the answer that is ready before the rest: to stdout for people, to stderr with `--json`."""
        (self.stderr if self._wants_json else self.stdout).write(text, style_func=str)

    def note(self, text: str) -> None:
        """Write a line for the person who watches, to stderr."""
        self.stderr.write(text, style_func=str)

    def warn(self, text: str) -> None:
        """Write a line that the person should not overlook, to stderr."""
        self.stderr.write(f"Warning: {text}", style_func=self.style.WARNING)

    # -- what Django calls

    def add_arguments(self, parser: CommandParser) -> None:
        """Add `--json` to what the command takes."""
        self.arguments(parser)
        parser.add_argument(
            "--json", action="store_true", help="Write one JSON document to stdout, all else to stderr."
        )

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        """Return the parser; what it cannot parse is `WrongUse`, so that it is reported like everything else."""
        return refusing(super().create_parser(prog_name, subcommand, **kwargs))

    def run_from_argv(self, argv: list[str]) -> None:
        """Run as typed by a person; exits with 2 when the arguments cannot be parsed."""
        try:
            super().run_from_argv(argv)
        except WrongUse as error:
            self._wants_json = "--json" in argv
            self._report(error, error.code)
            sys.exit(error.returncode)

    def handle(self, *_args: Any, **options: Any) -> None:
        """Run the command; report how it failed, and exit accordingly when it was typed by a person."""
        self._wants_json = bool(options.pop("json", False))
        self._written = False
        try:
            with contextlib.redirect_stdout(sys.stderr):
                self.run(**options)
        except (Failed, WrongUse) as error:
            self._fail(error, error.code)
        except CommandError as error:
            self._fail(error, "failed")
        except (OperationalError, InterfaceError) as error:
            gone = Failed(f"The database does not answer: {str(error).strip()}", code="database_gone")
            gone.__cause__ = error
            self._fail(gone, gone.code)
        except DatabaseError as error:
            # Its text may quote a row, which is somebody's mail.
            refused = Failed(f"The database refused what was to be stored: {told(error)}", code="internal_error")
            refused.__suppress_context__ = True
            self._fail(refused, refused.code)
        except Exception as error:
            self._document({"error": "internal_error", "message": f"{type(error).__name__}: {error}"})
            raise

    def _fail(self, error: CommandError, code: str) -> NoReturn:
        if not self._called_from_command_line:
            self._document({"error": code, "message": str(error)})
            raise error
        self._report(error, code)
        sys.exit(error.returncode)

    def _report(self, error: CommandError, code: str) -> None:
        self._document({"error": code, "message": str(error)})
        self.stderr.write(str(error))

    def _document(self, document: Mapping[str, Any]) -> None:
        if self._wants_json and not self._written:
            self.result(document, "")
