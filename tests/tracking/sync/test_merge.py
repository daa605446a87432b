"""Three values decide, field by field; what may not flow is left alone, and nothing is overwritten unseen."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailboxes.provider.entries import Attendee, EntryKind, Field
from tracking.sync.directions import DEFAULTS, Addresses, Direction, Locked, directions
from tracking.sync.merge import Merge, Rights, Side, Version, Withheld, merge

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
TASK = EntryKind.TASK
SUBJECT = Field.SUBJECT


def one(
    base: str | None,
    ours: str | None,
    theirs: str | None,
    *,
    direction: Direction = Direction.BOTH,
    theirs_newer: bool = True,
    rights: Rights = Rights(),  # noqa: B008 -- frozen, and nobody writes into it
) -> Merge:
    """Merge a task of which only the subject matters."""
    return merge(
        TASK,
        {SUBJECT: base},
        Version({SUBJECT: ours}, NOON),
        Version({SUBJECT: theirs}, NOON + timedelta(minutes=1 if theirs_newer else -1)),
        directions={SUBJECT: direction},
        rights=rights,
    )


def test_what_one_side_changed_goes_to_the_other():
    assert one("old", "old", "new").to_crm == {SUBJECT: "new"}
    assert one("old", "new", "old").to_exchange == {SUBJECT: "new"}
    assert one("old", "old", None).to_crm == {SUBJECT: None}


def test_both_the_same_change_is_agreement():
    merged = one("old", "new", "new")
    assert merged.nothing
    assert (merged.base, merged.conflicts) == ({SUBJECT: "new"}, [])


@pytest.mark.parametrize(("theirs_newer", "winner"), [(True, Side.EXCHANGE), (False, Side.CRM)])
def test_where_both_changed_the_newer_wins_and_the_other_value_is_kept(theirs_newer, winner):
    merged = one("old", "ours", "theirs", theirs_newer=theirs_newer)
    (conflict,) = merged.conflicts
    assert (conflict.base, conflict.ours, conflict.theirs, conflict.winner) == ("old", "ours", "theirs", winner)
    if winner is Side.EXCHANGE:
        assert (merged.to_crm, merged.to_exchange) == ({SUBJECT: "theirs"}, {})
    else:
        assert (merged.to_crm, merged.to_exchange) == ({}, {SUBJECT: "ours"})


def test_a_tie_goes_to_the_crm():
    merged = merge(
        TASK, {}, Version({SUBJECT: "a"}, NOON), Version({SUBJECT: "b"}, NOON),
        directions={SUBJECT: Direction.BOTH}, rights=Rights(),
    )  # fmt: skip
    assert merged.to_exchange == {SUBJECT: "a"}


@pytest.mark.parametrize(
    ("direction", "to_crm", "to_exchange"),
    [
        (Direction.BOTH, True, True),
        (Direction.TO_CRM, True, False),
        (Direction.TO_EXCHANGE, False, True),
        (Direction.NONE, False, False),
    ],
)
def test_a_direction_opens_and_closes_ways(direction, to_crm, to_exchange):
    assert bool(one("old", "old", "new", direction=direction).to_crm) is to_crm
    assert bool(one("old", "new", "old", direction=direction).to_exchange) is to_exchange


def test_a_field_that_does_not_flow_is_not_even_mentioned():
    assert one("old", "ours", "theirs", direction=Direction.NONE).withheld == {}


def test_s13_what_the_owner_may_not_read_never_leaves():
    merged = one("old", "secret", "old", rights=Rights(unreadable=frozenset({SUBJECT})))
    assert merged.nothing
    assert merged.withheld == {SUBJECT: Withheld.MAY_NOT_READ}


def test_s13_what_the_owner_may_not_write_is_left_alone_and_said():
    merged = one("old", "old", "my own words", rights=Rights(unwritable=frozenset({SUBJECT})))
    assert merged.nothing
    assert merged.withheld == {SUBJECT: Withheld.MAY_NOT_WRITE}


def test_the_owners_own_words_are_left_alone_also_when_the_record_changes():
    merged = one("old", "new", "my own words", rights=Rights(unwritable=frozenset({SUBJECT})))
    assert merged.nothing
    assert merged.withheld == {SUBJECT: Withheld.MAY_NOT_WRITE}


def test_a_value_that_gives_way_to_one_that_may_flow_is_kept():
    merged = one("old", "new", "theirs", direction=Direction.TO_EXCHANGE)
    assert merged.to_exchange == {SUBJECT: "new"}
    assert [conflict.theirs for conflict in merged.conflicts] == ["theirs"]
    merged = one(
        "old", "changed by a colleague", "new", rights=Rights(unreadable=frozenset({SUBJECT})), theirs_newer=False
    )
    assert merged.to_crm == {SUBJECT: "new"}
    assert [conflict.ours for conflict in merged.conflicts] == ["changed by a colleague"]


def test_what_only_the_organizer_may_change_is_not_written_to_an_invitation():
    merged = one("old", "new", "old", rights=Rights(fixed=frozenset({SUBJECT})))
    assert merged.nothing
    assert merged.withheld == {SUBJECT: Withheld.NOT_ORGANIZER}
    assert one("old", "old", "moved", rights=Rights(fixed=frozenset({SUBJECT}))).to_crm == {SUBJECT: "moved"}


@pytest.mark.parametrize(
    ("name", "first", "second"),
    [
        (Field.SUBJECT, "An  offer ", "An offer"),
        (Field.SUBJECT, "", None),
        (Field.BODY, "one\r\ntwo  \r\n\r\n", "one\ntwo"),
    ],
)
def test_what_servers_add_without_meaning_is_no_change(name, first, second):
    merged = merge(
        TASK, {name: first}, Version({name: first}, NOON), Version({name: second}, NOON),
        directions={name: Direction.BOTH}, rights=Rights(),
    )  # fmt: skip
    assert merged.nothing


def test_the_order_and_the_names_of_attendees_are_no_change():
    first = (Attendee("Kim@c.example", "Kim"), Attendee("li@c.example"))
    second = (Attendee("li@c.example", "Li"), Attendee("kim@c.example"))
    merged = merge(
        EntryKind.APPOINTMENT, {}, Version({Field.REQUIRED: first}, NOON), Version({Field.REQUIRED: second}, NOON),
        directions={Field.REQUIRED: Direction.BOTH}, rights=Rights(),
    )  # fmt: skip
    assert merged.nothing


values = st.sampled_from([None, "a", "b", "c"])
field_sets = st.frozensets(st.sampled_from([Field.SUBJECT, Field.BODY]))


@given(
    base=st.fixed_dictionaries({Field.SUBJECT: values, Field.BODY: values}),
    ours=st.fixed_dictionaries({Field.SUBJECT: values, Field.BODY: values}),
    theirs=st.fixed_dictionaries({Field.SUBJECT: values, Field.BODY: values}),
    direction=st.sampled_from(Direction),
    newer=st.booleans(),
    rights=st.builds(Rights, field_sets, field_sets, field_sets),
)
def test_one_merge_is_enough_and_respects_every_bar(base, ours, theirs, direction, newer, rights):
    ways = dict.fromkeys((Field.SUBJECT, Field.BODY), direction)
    later = NOON + timedelta(minutes=1 if newer else -1)
    merged = merge(TASK, base, Version(ours, NOON), Version(theirs, later), directions=ways, rights=rights)
    for name in merged.to_exchange:
        assert direction.reaches_exchange
        assert name not in rights.unreadable | rights.fixed
    for name in merged.to_crm:
        assert direction.reaches_crm
        assert name not in rights.unwritable
    assert not set(merged.to_crm) & set(merged.to_exchange)
    # Whatever is overwritten and was not the value agreed on is kept in a conflict.
    kept = {(conflict.name, conflict.theirs) for conflict in merged.conflicts if conflict.winner is Side.CRM}
    kept |= {(conflict.name, conflict.ours) for conflict in merged.conflicts if conflict.winner is Side.EXCHANGE}
    lost = {(name, theirs[name]) for name in merged.to_exchange if theirs[name] != base[name]}
    lost |= {(name, ours[name]) for name in merged.to_crm if ours[name] != base[name]}
    assert lost == kept
    again = merge(
        TASK,
        merged.base,
        Version({**ours, **merged.to_crm}, NOON),
        Version({**theirs, **merged.to_exchange}, later),
        directions=ways,
        rights=rights,
    )
    assert again.nothing
    assert not again.conflicts
    assert again.withheld == merged.withheld


def test_directions_start_from_the_defaults_and_locked_ones_stay():
    chosen = directions(TASK, {Field.BODY: Direction.TO_CRM})
    assert (chosen[Field.BODY], chosen[Field.SUBJECT]) == (Direction.TO_CRM, Direction.BOTH)
    assert set(chosen) == set(DEFAULTS[TASK])
    with pytest.raises(Locked, match="importance"):
        directions(TASK, {Field.IMPORTANCE: Direction.NONE})
    assert directions(TASK, {Field.IMPORTANCE: Direction.BOTH})[Field.IMPORTANCE] is Direction.BOTH
    with pytest.raises(KeyError):
        directions(TASK, {Field.LOCATION: Direction.BOTH})


@pytest.mark.parametrize(
    ("chosen", "flowing"),
    [
        ("business", {Field.BUSINESS_ADDRESS}),
        ("home", {Field.HOME_ADDRESS}),
        ("other", {Field.OTHER_ADDRESS}),
        ("all", {Field.BUSINESS_ADDRESS, Field.HOME_ADDRESS, Field.OTHER_ADDRESS}),
    ],
)
def test_of_three_addresses_those_flow_that_are_chosen_each_by_its_direction(chosen, flowing):
    ways = directions(EntryKind.CONTACT, {Field.BUSINESS_ADDRESS: Direction.TO_CRM}, addresses=Addresses(chosen))
    postal = {Field.BUSINESS_ADDRESS, Field.HOME_ADDRESS, Field.OTHER_ADDRESS}
    assert {name for name in postal if ways[name] is not Direction.NONE} == flowing
    assert ways[Field.BUSINESS_ADDRESS] in (Direction.TO_CRM, Direction.NONE)
    assert {ways[name] for name in (Field.EMAIL1, Field.EMAIL2, Field.EMAIL3)} == {Direction.BOTH}
    closed = directions(EntryKind.CONTACT, dict.fromkeys(postal, Direction.NONE), addresses=Addresses(chosen))
    assert {closed[name] for name in postal} == {Direction.NONE}
    assert directions(TASK, {}, addresses=Addresses(chosen)).keys() == DEFAULTS[TASK].keys()


@pytest.mark.parametrize(("ours", "theirs"), [("here", None), (None, "there"), ("here", "there")])
def test_what_did_not_flow_for_a_while_fills_and_never_empties(ours, theirs):
    closed = one("agreed", ours, theirs, direction=Direction.NONE)
    assert (closed.nothing, closed.withheld) == (True, {})
    kept = closed.base.get(SUBJECT)
    assert kept is None or isinstance(kept, str)
    opened = one(kept, ours, theirs)
    assert None not in [*opened.to_crm.values(), *opened.to_exchange.values()]
    # Where both say something, the newer stands and the other is kept.
    assert len(opened.conflicts) == (ours is not None and theirs is not None)
