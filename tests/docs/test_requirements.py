"""docs/requirements.md tells the truth: every statement is there once, and what it calls done names tests that exist."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
ROW = re.compile(r"^\| (S\d+) \| (.+?) \| (done|part|to come) \|(.*)\|$")


def rows() -> list[tuple[str, str, list[str]]]:
    lines = (ROOT / "docs/requirements.md").read_text().splitlines()
    found = [ROW.match(line) for line in lines if line.startswith("| S")]
    assert all(found), "a row of docs/requirements.md does not have the four columns"
    return [(match[1], match[3], re.findall(r"`([^`]+)`", match[4])) for match in found if match]


def test_every_statement_is_listed_once_in_order():
    assert [name for name, _state, _tests in rows()] == [f"S{number}" for number in range(1, 28)]


def _tests_in(path: Path) -> set[str]:
    return {
        node.name
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and node.name.lower().startswith("test")
    }


@pytest.mark.parametrize(("name", "state", "tests"), rows(), ids=[row[0] for row in rows()])
def test_a_claim_names_tests_that_exist(name, state, tests):
    assert bool(tests) == (state != "to come"), f"{name} is '{state}' and names {tests or 'no test'}"
    for test in tests:
        file, _, function = test.partition("::")
        names = _tests_in(ROOT / file)
        assert names, f"{file} has no tests"
        assert not function or function in names, f"{file} has no {function}"
