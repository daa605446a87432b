"""docs/sync.md tells what becomes of every change, kind by kind: each row names a test that exists and is for that kind,
and every test of the rows is named.
"""

import re

import pytest

from mailboxes.provider.entries import EntryKind
from tests.docs import named
from tests.tracking.linked import test_rows

KINDS = {"Appointments": EntryKind.APPOINTMENT, "Contacts": EntryKind.CONTACT, "Tasks": EntryKind.TASK, "Mail": None}
ROWS = "tests/tracking/linked/test_rows.py"


def tables() -> dict[str, list[list[str]]]:
    """Return the cells of the rows of each kind's table."""
    section = (
        (named.ROOT / "docs/sync.md").read_text().partition("### What becomes of every change")[2].partition("\n## ")[0]
    )
    parts = re.split(r"^#### (\w+)$", section, flags=re.MULTILINE)[1:]
    return {
        name: [
            [cell.strip() for cell in line.strip("|").split("|")]
            for line in text.splitlines() if line.startswith("| ") and not line.startswith("| what |")
        ]
        for name, text in zip(parts[::2], parts[1::2], strict=True)
    }  # fmt: skip


def kinds_of(function: str) -> set[EntryKind]:
    """Return the kinds that a test of the rows is run with."""
    marks = getattr(test_rows, function).pytestmark
    return {kind for mark in marks if mark.name == "parametrize" for kind in mark.args[1]}


def test_there_is_a_table_for_every_kind():
    assert tables().keys() == KINDS.keys()


@pytest.mark.parametrize("name", KINDS)
def test_each_row_says_all_of_it_once_and_names_a_test_that_exists(name):
    rows = tables()[name]
    assert all(len(row) == 7 for row in rows)
    said = [tuple(row[:5]) for row in rows]
    assert len(said) == len(set(said))
    for row in rows:
        file, _, function = row[6].strip("`").partition("::")
        named.assert_is_there(f"{file}::{function}")
        assert file != ROWS or KINDS[name] in kinds_of(function), row


def test_every_test_of_a_row_is_named_for_each_of_its_kinds():
    told = {
        (kind, row[6].strip("`").partition("::")[2])
        for name, kind in KINDS.items() for row in tables()[name] if ROWS in row[6]
    }  # fmt: skip
    assert told == {(kind, function) for function in named.tests_in(ROWS) for kind in kinds_of(function)}
