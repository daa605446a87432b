"""What both sides agreed on is kept as JSON and comes back as it was."""

import json
from datetime import UTC, date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailboxes.provider.entries import (
    FIELDS,
    Attendee,
    EntryKind,
    Every,
    FullName,
    PostalAddress,
    Recurrence,
    Span,
    Type,
)
from tracking.sync.codec import decode_all, encode_all

days = st.dates(date(1970, 1, 1), date(2100, 1, 1))
moments = st.datetimes(timezones=st.just(UTC))
lines = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20)
OF_TYPE = {
    Type.LINE: lines,
    Type.TEXT: lines,
    Type.CHOICE: lines,
    Type.NUMBER: st.integers(0, 100),
    Type.DAY: days,
    Type.MOMENT: moments,
    Type.SPAN: st.builds(Span, moments, moments, st.just("Europe/Madrid")) | st.builds(Span, days, days),
    Type.RECURRENCE: st.builds(
        Recurrence,
        st.sampled_from(Every),
        days,
        interval=st.integers(1, 99),
        weekdays=st.sampled_from([(), ("MO",), ("MO", "FR")]),
        until=st.none() | days,
        count=st.none() | st.integers(1, 99),
    ),
    Type.PEOPLE: st.lists(st.builds(Attendee, lines, lines, lines), max_size=3).map(tuple),
    Type.NAME: st.builds(FullName, lines, lines, lines),
    Type.ADDRESS: st.builds(PostalAddress, lines, lines, lines, lines, lines),
}


def values_of(kind: EntryKind):
    """Return a strategy for the values of a kind, each of which may be missing or None."""
    return st.fixed_dictionaries(
        {}, optional={name: st.none() | OF_TYPE[holds] for name, holds in FIELDS[kind].items()}
    )


@pytest.mark.parametrize("kind", EntryKind)
@given(data=st.data())
def test_values_come_back_as_they_were(kind, data):
    values = data.draw(values_of(kind))
    assert decode_all(kind, json.loads(json.dumps(encode_all(values)))) == values


def test_a_field_that_is_no_more_is_left_out():
    assert decode_all(EntryKind.TASK, {"subject": "a", "location": "b", "of old": "c"}) == {"subject": "a"}
