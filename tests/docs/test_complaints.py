"""docs/complaints.md tells the truth: all thirty are there, and those that are answered name tests that exist."""

import re

import pytest

from tests.docs.named import ROOT, assert_is_there

ROW = re.compile(r"^\| (\d+) \| (.+?) \| (.+?) \| (.+) \|$")
ROWS = [
    (int(found[1]), found[4])
    for line in (ROOT / "docs/complaints.md").read_text().splitlines()
    if (found := ROW.match(line))
]


def test_every_complaint_is_listed_once_in_order():
    assert [number for number, _tests in ROWS] == list(range(1, 31))


@pytest.mark.parametrize(("number", "tests"), ROWS, ids=[str(number) for number, _tests in ROWS])
def test_a_complaint_is_answered_by_tests_or_says_why_not(number, tests):
    named = re.findall(r"`([^`]+)`", tests)
    assert named or re.match(r"none: \w+", tests), f"complaint {number} names no test and no reason"
    for test in named:
        assert_is_there(test)


def test_at_least_twenty_five_are_answered():
    assert sum("`" in tests for _number, tests in ROWS) >= 25
