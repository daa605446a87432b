"""The table of deletions, row by row; and the brake."""

import re
from itertools import product
from pathlib import Path

import pytest

from mailboxes.provider.entries import EntryKind
from tracking.sync.removal import TABLE, Brake, Event, Pair, Remedy, Removal, removal

A, C, T = EntryKind.APPOINTMENT, EntryKind.CONTACT, EntryKind.TASK
DELETED, GONE = Event.RECORD_DELETED, Event.ENTRY_GONE

EXAMPLES = {
    "access_lost": (Pair(A, Event.ACCESS_LOST), Remedy.UNLINK),
    "filter_left": (Pair(C, Event.FILTER_LEFT), Remedy.UNLINK),
    "untracked": (Pair(T, Event.UNTRACKED), Remedy.UNLINK),
    "occurrences_called_off": (Pair(A, Event.OCCURRENCES_CALLED_OFF, past=True), Remedy.CALL_OFF),
    "appointment_deleted_past": (Pair(A, DELETED, past=True), Remedy.UNLINK),
    "appointment_deleted_not_organizer": (Pair(A, DELETED, organizes=False), Remedy.UNLINK),
    "appointment_deleted": (Pair(A, DELETED), Remedy.DELETE_ENTRY),
    "appointment_gone_past": (Pair(A, GONE, past=True), Remedy.UNLINK),
    "appointment_gone_completed": (Pair(A, GONE, completed=True), Remedy.UNLINK),
    "appointment_gone_not_organizer": (Pair(A, GONE, organizes=False), Remedy.UNLINK),
    "appointment_gone_no_right": (Pair(A, GONE, writable=False), Remedy.UNLINK),
    "appointment_gone": (Pair(A, GONE), Remedy.DELETE_RECORD),
    "contact_deleted_own": (Pair(C, DELETED), Remedy.UNLINK),
    "contact_deleted": (Pair(C, DELETED, owns=False), Remedy.DELETE_ENTRY),
    "contact_gone": (Pair(C, GONE, owns=False), Remedy.UNLINK),
    "task_deleted_completed": (Pair(T, DELETED, completed_there=True), Remedy.UNLINK),
    "task_deleted": (Pair(T, DELETED, completed=True), Remedy.DELETE_ENTRY),
    "task_gone_completed": (Pair(T, GONE, completed=True), Remedy.UNLINK),
    "task_gone_no_right": (Pair(T, GONE, writable=False), Remedy.UNLINK),
    "task_gone": (Pair(T, GONE), Remedy.DELETE_RECORD),
}


@pytest.mark.parametrize("code", [row.code for row in TABLE])
def test_every_row_of_the_table(code):
    pair, remedy = EXAMPLES[code]
    assert removal(pair) == Removal(remedy, code)


def test_s13_seeing_less_never_deletes_anything_and_every_case_has_its_row():
    for kind, event, flags in product(EntryKind, Event, product((False, True), repeat=6)):
        found = removal(Pair(kind, event, *flags))
        if event in (Event.ACCESS_LOST, Event.FILTER_LEFT, Event.UNTRACKED):
            assert found.remedy is Remedy.UNLINK
        if found.remedy is Remedy.DELETE_RECORD:
            assert event is Event.ENTRY_GONE
        if found.remedy is Remedy.DELETE_ENTRY:
            assert event is Event.RECORD_DELETED


def test_nobody_but_the_organizer_calls_a_meeting_off():
    # Of single days the plan of exceptions decides before anything is to be removed (test_exceptions.py).
    whole = set(Event) - {Event.OCCURRENCES_CALLED_OFF}
    for event, (past, completed, owns) in product(whole, product((False, True), repeat=3)):
        pair = Pair(A, event, past=past, completed=completed, owns=owns, organizes=False)
        assert removal(pair).remedy is Remedy.UNLINK


@pytest.mark.parametrize(
    ("deletions", "linked", "holds"),
    [(0, 0, False), (4, 4, False), (5, 5, True), (5, 25, False), (6, 25, True), (20, 1000, False), (21, 1000, True)],
)
def test_the_brake_holds_above_a_count_or_a_share(deletions, linked, holds):
    assert Brake().holds(deletions, linked) is holds


def test_the_documentation_names_every_row_and_no_other():
    text = (Path(__file__).parents[3] / "docs" / "sync.md").read_text(encoding="utf-8")
    table = text.partition("### When one side is gone")[2].partition("*Thrown away*")[0]
    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == [row.code for row in TABLE]
