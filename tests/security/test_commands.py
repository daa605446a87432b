"""What scripts may rely on in every command: exit codes, and stdout for the answer alone."""

import io
import json
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError, CommandParser
from django.db import OperationalError

from security.commands import Failed, JsonCommand, WrongUse


class Greet(JsonCommand):
    """Greets; fails, is used wrongly or breaks by name."""

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name")

    def run(self, **options: Any) -> None:
        print("chatter of a library")  # noqa: T201 -- the point of the test
        self.note("a note")
        self.warn("a warning")
        match options["name"]:
            case "nobody":
                raise Failed("There is nobody.", code="nobody")
            case "":
                raise WrongUse("A name is needed.")
            case "broken":
                raise KeyError("broken")
            case "offline":
                raise OperationalError("connection refused\n")
            case "django":
                raise CommandError("as Django says it")
        self.result({"hello": options["name"]}, lambda: f"Hello {options['name']}")
        if options["name"] == "half":
            raise Failed("Only half was done.")


def typed(*argv: str) -> tuple[int, str, str]:
    """Return exit code, stdout and stderr of the command as typed in a shell."""
    out, err = io.StringIO(), io.StringIO()
    try:
        Greet(stdout=out, stderr=err, no_color=True).run_from_argv(["manage.py", "greet", *argv])
    except SystemExit as done:
        return int(str(done.code or 0)), out.getvalue(), err.getvalue()
    return 0, out.getvalue(), err.getvalue()


@pytest.fixture(autouse=True)
def _no_database(monkeypatch: pytest.MonkeyPatch) -> None:
    # run_from_argv closes Django's connections when done, which a test inside a transaction would not survive.
    monkeypatch.setattr("django.core.management.base.connections.close_all", lambda: None)


def test_human_answer_alone_is_on_stdout() -> None:
    assert typed("Ana") == (0, "Hello Ana\n", "a note\nWarning: a warning\n")


def test_json_answer_is_one_document() -> None:
    code, out, _err = typed("Ana", "--json")
    assert (code, json.loads(out)) == (0, {"hello": "Ana"})


@pytest.mark.parametrize(
    ("argv", "code", "error"),
    [
        (["nobody"], 1, "nobody"),
        ([""], 2, "wrong_use"),
        ([], 2, "wrong_use"),
        (["Ana", "--loud"], 2, "wrong_use"),
        (["offline"], 1, "database_gone"),
        (["django"], 1, "failed"),
    ],
)
def test_failures_exit_by_kind_and_say_so_in_json_too(argv: list[str], code: int, error: str) -> None:
    exit_code, out, err = typed(*argv)
    assert (exit_code, out) == (code, "")
    assert err.strip()
    exit_code, out, err = typed(*argv, "--json")
    document = json.loads(out)
    assert (exit_code, document["error"]) == (code, error)
    assert document["message"] in err


def test_failure_after_the_answer_leaves_the_answer_and_exits_1() -> None:
    code, out, err = typed("half", "--json")
    assert (code, json.loads(out)) == (1, {"hello": "half"})
    assert "Only half was done." in err


def test_a_defect_leaves_a_document_and_its_traceback() -> None:
    out = io.StringIO()
    with pytest.raises(KeyError):
        Greet(stdout=out, stderr=io.StringIO()).run_from_argv(["manage.py", "greet", "broken", "--json"])
    assert json.loads(out.getvalue())["error"] == "internal_error"


def test_called_from_code_it_raises() -> None:
    with pytest.raises(Failed, match="nobody"):
        call_command(Greet(stdout=io.StringIO(), stderr=io.StringIO()), "nobody")
    with pytest.raises(WrongUse):
        call_command(Greet(stdout=io.StringIO(), stderr=io.StringIO()))


def test_second_result_is_a_defect() -> None:
    command = Greet(stdout=io.StringIO(), stderr=io.StringIO())
    command.result({}, "one")
    with pytest.raises(RuntimeError):
        command.result({}, "two")
