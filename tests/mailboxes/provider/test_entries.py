"""How values compare: what servers and people add without meaning is no difference."""

from datetime import UTC, date, datetime, timedelta, timezone

import pytest

from mailboxes.provider.entries import (
    CHOICES,
    FIELDS,
    TOLD,
    Attendee,
    EntryKind,
    Every,
    Field,
    FullName,
    PostalAddress,
    Recurrence,
    Span,
    Type,
    Value,
    canonical,
)

A, C, K = EntryKind.APPOINTMENT, EntryKind.CONTACT, EntryKind.TASK
NINE = datetime(2026, 3, 4, 8, tzinfo=UTC)
MARCH = date(2026, 3, 4)  # a Wednesday

SAME: list[tuple[EntryKind, Field, Value, Value]] = [
    (C, Field.JOB_TITLE, "  Head\tof \n sales ", "Head of sales"),
    (C, Field.JOB_TITLE, " \x0b\u200a", None),
    (C, Field.JOB_TITLE, "a\x00b", "ab"),
    (C, Field.NOTES, "\r\n a  \r\n\r\nb\r", "\n a\n\nb"),
    (C, Field.NOTES, "\n \n", None),
    (C, Field.CHILDREN, "Aina ,Biel,, ", "Aina, Biel"),
    (C, Field.NAME, FullName(" Ana ", "", "Coll\n"), FullName("Ana", last="Coll")),
    (C, Field.NAME, FullName(" "), None),
    (C, Field.HOME_ADDRESS, PostalAddress("Carrer 1 \r\n2n", " Lleida"), PostalAddress("Carrer 1\n2n", "Lleida")),
    (C, Field.HOME_ADDRESS, PostalAddress("\n"), None),
    (A, Field.IMPORTANCE, None, "Normal"),
    (A, Field.SHOW_AS, "", "Busy"),
    (K, Field.STATUS, None, "NotStarted"),
    (K, Field.PERCENT, None, 0),
    (A, Field.REQUIRED, (), None),
    (A, Field.REQUIRED, (Attendee("B@x", "B"), Attendee(" a@X\n")), (Attendee("a@x"), Attendee("b@x"))),
    (A, Field.REQUIRED, (Attendee("", "nobody"),), None),
    (A, Field.SPAN, Span(NINE, NINE, "Etc/UTC"), Span(NINE, NINE)),
    (
        A,
        Field.SPAN,
        Span(NINE.replace(microsecond=7), NINE.astimezone(timezone(timedelta(hours=5))), "Europe/Madrid"),
        Span(NINE, NINE, "Europe/Madrid"),
    ),
    (A, Field.SPAN, Span(MARCH, date(2026, 3, 5), "Europe/Madrid"), Span(MARCH, date(2026, 3, 5))),
    (A, Field.RECURRENCE, Recurrence(Every.WEEK, MARCH), Recurrence(Every.WEEK, MARCH, weekdays=("WE",))),
    (
        A,
        Field.RECURRENCE,
        Recurrence(Every.WEEK, MARCH, weekdays=("FR", "MO"), week_starts="SU", day=3, index=1),
        Recurrence(Every.WEEK, MARCH, weekdays=("MO", "FR")),
    ),
    (A, Field.RECURRENCE, Recurrence(Every.MONTH, MARCH, weekdays=("MO",)), Recurrence(Every.MONTH, MARCH, day=4)),
    (A, Field.RECURRENCE, Recurrence(Every.YEAR, MARCH), Recurrence(Every.YEAR, MARCH, day=4, month=3)),
    (
        A,
        Field.RECURRENCE,
        Recurrence(Every.DAY, MARCH, until=date(2026, 4, 1), count=3, month=7),
        Recurrence(Every.DAY, MARCH, until=date(2026, 4, 1)),
    ),
    (
        A,
        Field.RECURRENCE,
        Recurrence(Every.YEAR_ON_WEEKDAY, MARCH, weekdays=("WE",), index=1),
        Recurrence(Every.YEAR_ON_WEEKDAY, MARCH, weekdays=("WE",), index=1, month=3),
    ),
]
DIFFERENT: list[tuple[EntryKind, Field, Value, Value]] = [
    (C, Field.JOB_TITLE, "Head", "head"),
    (C, Field.NOTES, "a\n\nb", "a\nb"),
    (A, Field.REQUIRED, (Attendee("a@x"),), (Attendee("a@x", response="accepted"),)),
    (A, Field.SPAN, Span(NINE, NINE, "Europe/Madrid"), Span(NINE, NINE, "Europe/Paris")),
    (A, Field.SPAN, Span(NINE, NINE), Span(MARCH, date(2026, 3, 5))),
    (
        A,
        Field.RECURRENCE,
        Recurrence(Every.WEEK, MARCH, interval=2, week_starts="SU"),
        Recurrence(Every.WEEK, MARCH, interval=2),
    ),
    (A, Field.RECURRENCE, Recurrence(Every.DAY, MARCH, count=3), Recurrence(Every.DAY, MARCH, count=4)),
    (K, Field.PERCENT, 1, None),
]


@pytest.mark.parametrize(("kind", "name", "one", "other"), SAME)
def test_these_are_the_same(kind: EntryKind, name: Field, one: Value, other: Value) -> None:
    assert canonical(kind, name, one) == canonical(kind, name, other)
    assert canonical(kind, name, canonical(kind, name, one)) == canonical(kind, name, one)


@pytest.mark.parametrize(("kind", "name", "one", "other"), DIFFERENT)
def test_these_differ(kind: EntryKind, name: Field, one: Value, other: Value) -> None:
    assert canonical(kind, name, one) != canonical(kind, name, other)


def test_every_choice_is_listed_and_what_is_told_is_a_field() -> None:
    for fields in FIELDS.values():
        assert {name for name, type_ in fields.items() if type_ is Type.CHOICE} <= set(CHOICES)
    assert set(FIELDS[A]) >= TOLD


@pytest.mark.parametrize(
    ("span", "over"),
    [
        (Span(NINE, NINE + timedelta(hours=1)), False),
        (Span(NINE - timedelta(hours=1), NINE), True),
        (Span(date(2026, 3, 2), date(2026, 3, 3)), True),
        (Span(date(2026, 3, 3), MARCH), False),
    ],
    ids=["now", "before", "days over everywhere", "a day that somewhere still is"],
)
def test_what_is_past_is_past_everywhere(span: Span, *, over: bool) -> None:
    assert span.is_past(NINE) is over
