"""Of an occurrence three values decide, too: what it has of its own; called off it is for good, and the past stays."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from types import MappingProxyType

from hypothesis import given
from hypothesis import strategies as st

from mailboxes.provider.entries import EntryKind, Every, Field, Recurrence, Span, Value, canonical
from tracking.sync.directions import Direction
from tracking.sync.exceptions import (
    CANCELLED,
    OF_ITS_OWN,
    PLAIN,
    Own,
    Settled,
    Terms,
    Told,
    own_values,
    plain_values,
    settle_exceptions,
)
from tracking.sync.merge import Rights, Side, Withheld

WEEK = timedelta(days=7)
HOUR = timedelta(hours=1)
NINE = datetime(2026, 3, 4, 8, tzinfo=UTC)  # nine in Madrid, a Wednesday
NOW = NINE + 2 * WEEK - HOUR
NEXT = NINE + 2 * WEEK  # the first that is to come
SERIES: Mapping[Field, Value] = MappingProxyType(
    {
        Field.SUBJECT: "Review",
        Field.LOCATION: "Room 1",
        Field.SPAN: Span(NINE, NINE + HOUR, "Europe/Madrid"),
        Field.RECURRENCE: Recurrence(Every.WEEK, date(2026, 3, 4), count=10),
    }
)
ALL_WAYS = dict.fromkeys(OF_ITS_OWN, Direction.BOTH)
OFF = Own(cancelled=True)


def own(subject=None, **more):
    return Own(({} if subject is None else {Field.SUBJECT: subject}) | more.pop("values", {}), **more)


def one(base, ours, theirs, *, at=NEXT, theirs_newer=True, **terms) -> Settled:
    """Settle one occurrence of the weekly review."""
    later = NOW + timedelta(minutes=1 if theirs_newer else -1)
    found = settle_exceptions(
        None if base is None else ({at: base} if base != PLAIN else {}),
        {at: Told(ours, NOW)},
        {at: Told(theirs, later)},
        terms=Terms(**{"series": SERIES, "directions": ALL_WAYS, "rights": Rights(), "now": NOW, **terms}),
        ours_at=NOW,
        theirs_at=later,
    )
    return found[at]


def test_what_one_side_says_of_an_occurrence_goes_to_the_other():
    there = one(PLAIN, PLAIN, own("Once"))
    assert (there.ours, there.base, there.to_exchange) == (own("Once"), own("Once"), {})
    here = one(PLAIN, own("Once"), PLAIN)
    assert (here.to_exchange, here.base) == ({Field.SUBJECT: "Once"}, own("Once"))


def test_what_an_occurrence_has_not_of_its_own_is_as_the_series_has_it():
    taken_back = one(own("Once"), PLAIN, own("Once"))
    assert (taken_back.to_exchange, taken_back.base) == ({Field.SUBJECT: "Review"}, PLAIN)
    taken_back_there = one(own("Once"), own("Once"), PLAIN)
    assert (taken_back_there.ours, taken_back_there.to_exchange) == (PLAIN, {})
    assert one(PLAIN, own("Review"), PLAIN).to_exchange == {}


def test_two_fields_of_one_occurrence_are_merged_and_one_field_is_a_conflict():
    room = own(values={Field.LOCATION: "Room 2"})
    both = one(PLAIN, own("Once"), room)
    assert (both.ours, both.to_exchange) == (own("Once", values=dict(room.values)), {Field.SUBJECT: "Once"})
    assert both.conflicts == []
    (conflict,) = one(PLAIN, own("here"), own("there")).conflicts
    assert (conflict.name, conflict.ours, conflict.theirs, conflict.winner) == (
        Field.SUBJECT, "here", "there", Side.EXCHANGE,
    )  # fmt: skip
    assert one(PLAIN, own("here"), own("there"), theirs_newer=False).to_exchange == {Field.SUBJECT: "here"}


def test_called_off_there_it_is_called_off_here_and_keeps_what_it_said():
    settled = one(own("Once"), own("Once"), OFF)
    assert (settled.ours, settled.base) == (own("Once", cancelled=True), own("Once", cancelled=True))
    assert (settled.to_exchange, settled.call_off) == ({}, False)


def test_called_off_here_it_is_taken_out_there():
    settled = one(PLAIN, OFF, PLAIN)
    assert (settled.call_off, settled.ours, settled.to_exchange, settled.withheld) == (True, OFF, {}, {})
    assert one(Own(settled.base.values), OFF, OFF).base == OFF, "that is agreement"


def test_called_off_here_and_changed_there_later_it_takes_place_and_both_are_kept():
    settled = one(PLAIN, OFF, own("there"))
    assert (settled.ours, settled.call_off) == (own("there"), False)
    (conflict,) = settled.conflicts
    assert (conflict.name, conflict.ours, conflict.theirs, conflict.winner) == (CANCELLED, True, False, Side.EXCHANGE)


def test_called_off_here_after_it_was_changed_there_what_was_said_there_is_kept():
    settled = one(PLAIN, OFF, own("there"), theirs_newer=False)
    assert (settled.call_off, settled.base) == (True, own("there"))
    assert [(each.name, each.theirs, each.winner) for each in settled.conflicts] == [(Field.SUBJECT, "there", Side.CRM)]


def test_what_the_mail_system_took_out_it_does_not_put_back():
    settled = one(OFF, PLAIN, OFF)
    assert (settled.withheld, settled.to_exchange) == ({CANCELLED: Withheld.CANNOT_RESTORE}, {})


def test_what_takes_place_again_there_does_so_here():
    assert one(OFF, OFF, PLAIN).ours == PLAIN
    assert one(OFF, own("Once", cancelled=True), own("Once")).ours == own("Once")


def test_the_past_is_not_written_and_a_past_day_that_is_tidied_away_there_stays_here():
    gone_by = NEXT - WEEK
    assert one(PLAIN, OFF, PLAIN, at=gone_by).withheld == {CANCELLED: Withheld.PAST}
    changed = one(PLAIN, own("Once"), PLAIN, at=gone_by)
    assert (changed.to_exchange, changed.withheld) == ({}, {Field.SUBJECT: Withheld.PAST})
    tidied = one(own("Once"), own("Once"), OFF, at=gone_by)
    assert (tidied.ours, tidied.withheld) == (own("Once"), {CANCELLED: Withheld.PAST})
    assert one(PLAIN, PLAIN, own("Once"), at=gone_by).ours == own("Once"), "what is said of it is taken over"


def test_what_was_called_off_stays_so_in_a_series_that_is_made_anew():
    gone_by = NEXT - WEEK
    assert one(PLAIN, OFF, PLAIN, at=gone_by, fresh=True).call_off
    assert one(None, PLAIN, OFF, at=gone_by).ours == OFF, "seen for the first time, its past is taken over as well"


def test_a_past_day_that_was_moved_to_come_is_not_past_and_the_other_way_round():
    later = Span(NEXT + HOUR, NEXT + 2 * HOUR, "Europe/Madrid")
    moved = own(values={Field.SPAN: later})
    assert one(moved, OFF, moved, at=NEXT - WEEK).call_off
    earlier = own(values={Field.SPAN: Span(NOW - 2 * HOUR, NOW - HOUR, "Europe/Madrid")})
    assert one(earlier, OFF, earlier, at=NEXT).withheld == {CANCELLED: Withheld.PAST}


def test_what_a_pattern_has_no_more_ends_if_it_was_to_come():
    tuesday = NEXT - timedelta(days=1)
    assert one(own("Once"), own("Once"), PLAIN, at=tuesday + WEEK, rewritten=True).ours == PLAIN
    past = one(own("Once"), own("Once"), PLAIN, at=tuesday, rewritten=True)
    assert (past.ours, past.to_exchange) == (own("Once"), {})


def test_nothing_is_written_to_a_series_that_somebody_else_organises():
    settled = one(PLAIN, own("Once"), PLAIN, organized=False)
    assert (settled.to_exchange, settled.withheld) == ({}, {Field.SUBJECT: Withheld.NOT_ORGANIZER})
    assert one(PLAIN, OFF, PLAIN, organized=False).withheld == {CANCELLED: Withheld.NOT_ORGANIZER}
    assert one(PLAIN, PLAIN, OFF, organized=False).ours == PLAIN, "a guest's own calendar calls nothing off"


def test_whole_days_are_known_by_midnight():
    days: dict[Field, Value] = dict(SERIES) | {
        Field.SPAN: Span(date(2026, 3, 4), date(2026, 3, 6)),
        Field.RECURRENCE: Recurrence(Every.WEEK, date(2026, 3, 4), count=10),
    }
    midnight = datetime(2026, 3, 25, tzinfo=UTC)
    assert plain_values(days, midnight)[Field.SPAN] == Span(date(2026, 3, 25), date(2026, 3, 27))
    moved = own(values={Field.SPAN: Span(date(2026, 3, 26), date(2026, 3, 27))})
    assert one(PLAIN, moved, PLAIN, at=midnight, series=days).to_exchange == dict(moved.values)
    assert one(PLAIN, OFF, PLAIN, at=midnight + timedelta(days=1), series=days, rewritten=True).ours == PLAIN


def test_an_occurrence_across_the_change_of_the_clocks_lasts_as_long_by_the_clock():
    night = {
        Field.SPAN: Span(datetime(2026, 3, 7, 21, tzinfo=UTC), datetime(2026, 3, 8, 5, tzinfo=UTC), "Europe/Madrid")
    }
    # 28 March, ten at night to six in the morning; the clocks go forward at two.
    at = datetime(2026, 3, 28, 21, tzinfo=UTC)
    assert plain_values(night, at)[Field.SPAN] == Span(at, datetime(2026, 3, 29, 4, tzinfo=UTC), "Europe/Madrid")
    # A week later the same ten o'clock is an hour earlier in UTC.
    assert one(PLAIN, OFF, PLAIN, at=NINE + 4 * WEEK - HOUR).call_off


# -- whatever the sides say

VALUES = st.fixed_dictionaries(
    {},
    optional={
        Field.SUBJECT: st.sampled_from(["Review", "a", "b", None]),
        Field.LOCATION: st.sampled_from(["Room 1", "Room 2", None]),
        Field.SPAN: st.sampled_from(
            [Span(NEXT + n * HOUR, NEXT + (n + 1) * HOUR, "Europe/Madrid") for n in (-30, 0, 1)]
        ),
    },
)
OWNS = st.builds(Own, VALUES, st.booleans())
AT = st.sampled_from([NEXT, NEXT - WEEK])
WAYS = st.dictionaries(st.sampled_from(OF_ITS_OWN), st.sampled_from(Direction))
NAMES = st.frozensets(st.sampled_from(OF_ITS_OWN), max_size=2)
TERMS = st.fixed_dictionaries(
    {
        "rights": st.builds(Rights, unreadable=NAMES, unwritable=NAMES),
        "organized": st.booleans(),
        "fresh": st.booleans(),
        "directions": WAYS.map(lambda chosen: ALL_WAYS | chosen),
    }
)
PLACES = (AT, st.none() | OWNS, OWNS, OWNS, TERMS, st.booleans())


def whole(said: Own, at: datetime) -> dict[Field, Value]:
    plain = plain_values(SERIES, at)
    return {name: canonical(EntryKind.APPOINTMENT, name, {**plain, **said.values}.get(name)) for name in OF_ITS_OWN}


def there_after(settled: Settled, theirs: Own, at: datetime) -> Own:
    """Return what the mail system says once it is done."""
    plain = plain_values(SERIES, at)
    if theirs.cancelled:
        assert not settled.to_exchange
        return theirs
    return Own(own_values({**plain, **theirs.values, **settled.to_exchange}, plain), cancelled=settled.call_off)


@given(*PLACES)
def test_done_once_it_is_done(at, base, ours, theirs, terms, newer):
    settled = one(base, ours, theirs, at=at, theirs_newer=newer, **terms)
    # Once the series was made anew it is no news any more.
    calm = terms | {"fresh": False}
    again = one(settled.base, settled.ours, there_after(settled, theirs, at), at=at, theirs_newer=newer, **calm)
    assert (again.to_exchange, again.call_off, again.conflicts) == ({}, False, [])
    assert (whole(again.ours, at), again.ours.cancelled) == (whole(settled.ours, at), settled.ours.cancelled)


@given(*PLACES)
def test_nothing_that_somebody_wrote_is_lost(at, base, ours, theirs, terms, newer):
    settled = one(base, ours, theirs, at=at, theirs_newer=newer, **terms)
    before = whole(base or PLAIN, at)
    after = [whole(settled.ours, at), whole(there_after(settled, theirs, at), at)]
    for said in (ours, theirs):
        for name, value in whole(said, at).items():
            if value == before[name] or (said.cancelled and said is theirs):
                continue
            kept = {each.ours for each in settled.conflicts if each.name == name}
            kept |= {each.theirs for each in settled.conflicts if each.name == name}
            assert value in [
                *(each[name] for each in after),
                *(canonical(EntryKind.APPOINTMENT, name, v) for v in kept),
            ]


@given(*PLACES)
def test_nothing_goes_where_it_may_not(at, base, ours, theirs, terms, newer):
    settled = one(base, ours, theirs, at=at, theirs_newer=newer, **terms)
    rights, ways = terms["rights"], terms["directions"]
    for name in settled.to_exchange:
        assert ways[name].reaches_exchange
        assert name not in rights.unreadable
    for name in OF_ITS_OWN:
        if name in rights.unwritable or not ways[name].reaches_crm:
            assert whole(settled.ours, at)[name] == whole(ours, at)[name]
    if not terms["organized"]:
        assert (settled.to_exchange, settled.call_off) == ({}, False)
    span = {**plain_values(SERIES, at), **theirs.values}[Field.SPAN]
    if span.is_past(NOW) and not terms["fresh"]:
        assert (settled.to_exchange, settled.call_off) == ({}, False)
    if settled.ours.cancelled != ours.cancelled:
        assert terms["organized"]
        assert Field.SPAN not in rights.unwritable


@given(AT, OWNS, TERMS, st.booleans())
def test_what_both_sides_agree_on_moves_nothing(at, said, terms, newer):
    settled = one(said, said, said, at=at, theirs_newer=newer, **terms)
    assert (settled.to_exchange, settled.call_off, settled.conflicts, settled.withheld) == ({}, False, [], {})
    assert (whole(settled.ours, at), settled.ours.cancelled) == (whole(said, at), said.cancelled)
