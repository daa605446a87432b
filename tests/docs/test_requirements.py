"""docs/requirements.md tells the truth: every statement is there once, and what it calls done names tests that exist."""

import re

import pytest

from tests.docs.named import ROOT, assert_is_there

ROW = re.compile(r"^\| (S\d+) \| (.+?) \| (done|part|to come) \|(.*)\|$")


def rows() -> list[tuple[str, str, list[str]]]:
    lines = (ROOT / "docs/requirements.md").read_text().splitlines()
    found = [ROW.match(line) for line in lines if line.startswith("| S")]
    assert all(found), "a row of docs/requirements.md does not have the four columns"
    return [(match[1], match[3], re.findall(r"`([^`]+)`", match[4])) for match in found if match]


def test_every_statement_is_listed_once_in_order():
    assert [name for name, _state, _tests in rows()] == [f"S{number}" for number in range(1, 28)]


@pytest.mark.parametrize(("name", "state", "tests"), rows(), ids=[row[0] for row in rows()])
def test_a_claim_names_tests_that_exist(name, state, tests):
    assert bool(tests) == (state != "to come"), f"{name} is '{state}' and names {tests or 'no test'}"
    for test in tests:
        assert_is_there(test)
