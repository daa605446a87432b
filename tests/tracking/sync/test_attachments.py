"""Files on both sides, merged as sets: a truth table, and what holds whatever hangs where."""

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailboxes.provider.port import AttachmentInfo, AttachmentKind
from tracking.sync.attachments import Changes, Left, Piece, changes, left_there, name_of, pieces, stored
from tracking.sync.directions import Direction

PLAN, OTHER = Piece("plan.pdf", "a" * 64), Piece("plan.pdf", "b" * 64)
RENAMED = Piece("plan (final).pdf", PLAN.sha256)
BOTH, TO_CRM, TO_EXCHANGE, NONE = Direction.BOTH, Direction.TO_CRM, Direction.TO_EXCHANGE, Direction.NONE


def moved(found: Changes) -> dict[str, tuple[Piece, ...]]:
    names = ("to_exchange", "off_exchange", "to_crm", "off_crm")
    return {name: getattr(found, name) for name in names if getattr(found, name)}


# Was on both sides, is in the CRM, is in Exchange: what moves, and whether both have had it then.
TABLE = {
    (False, False, False): ({}, False),
    (False, True, True): ({}, True),  # added to both, or a crash after the upload: it is the same file
    (False, True, False): ({"to_exchange": (PLAN,)}, True),
    (False, False, True): ({"to_crm": (PLAN,)}, True),
    (True, True, True): ({}, True),
    (True, True, False): ({"off_crm": (PLAN,)}, False),
    (True, False, True): ({"off_exchange": (PLAN,)}, False),
    (True, False, False): ({}, False),  # both took it away
}


@pytest.mark.parametrize("where", TABLE)
def test_where_a_file_was_and_is_says_what_moves(where: tuple[bool, bool, bool]) -> None:
    base, ours, theirs = ({PLAN} if yes else set() for yes in where)
    wanted, remembered = TABLE[where]
    found = changes(base, ours, theirs, direction=BOTH)
    assert moved(found) == wanted
    assert found.base == ({PLAN} if remembered else set())


def test_both_adding_different_files_of_one_name_keep_both() -> None:
    assert moved(changes(set(), {PLAN}, {OTHER}, direction=BOTH)) == {"to_exchange": (PLAN,), "to_crm": (OTHER,)}


def test_a_file_taken_away_here_and_rewritten_there_is_kept_as_it_is_there() -> None:
    assert moved(changes({PLAN}, set(), {OTHER}, direction=BOTH)) == {"to_crm": (OTHER,)}
    assert moved(changes({PLAN}, {OTHER}, set(), direction=BOTH)) == {"to_exchange": (OTHER,)}


def test_a_renamed_file_is_one_gone_and_one_come() -> None:
    found = changes({PLAN}, {PLAN}, {RENAMED}, direction=BOTH)
    assert moved(found) == {"to_crm": (RENAMED,), "off_crm": (PLAN,)}
    assert found.base == {RENAMED}


def test_rewritten_on_both_sides_both_are_kept() -> None:
    third = Piece(PLAN.name, "c" * 64)
    found = changes({PLAN}, {OTHER}, {third}, direction=BOTH)
    assert moved(found) == {"to_exchange": (OTHER,), "to_crm": (third,)}
    assert found.base == {OTHER, third}


@pytest.mark.parametrize(
    ("direction", "where", "wanted"),
    [
        (TO_CRM, (False, True, False), {}),
        (TO_CRM, (True, False, True), {}),
        (TO_CRM, (False, False, True), {"to_crm": (PLAN,)}),
        (TO_CRM, (True, True, False), {"off_crm": (PLAN,)}),
        (TO_EXCHANGE, (False, False, True), {}),
        (TO_EXCHANGE, (True, True, False), {}),
        (TO_EXCHANGE, (False, True, False), {"to_exchange": (PLAN,)}),
        (TO_EXCHANGE, (True, False, True), {"off_exchange": (PLAN,)}),
    ],
)
def test_what_may_not_flow_stays_and_is_not_brought_back(
    direction: Direction, where: tuple[bool, bool, bool], wanted: dict[str, tuple[Piece, ...]]
) -> None:
    base, ours, theirs = ({PLAN} if yes else set() for yes in where)
    found = changes(base, ours, theirs, direction=direction)
    assert moved(found) == wanted
    if not wanted:
        assert found.base == base, "what was taken away on one side is not brought back to it"


def test_who_may_not_write_the_record_adds_nothing_to_it_and_takes_nothing_off_it() -> None:
    found = changes({PLAN}, {PLAN, RENAMED}, {OTHER}, direction=BOTH, may_write=False)
    assert moved(found) == {"to_exchange": (RENAMED,)}
    assert found.base == {PLAN, RENAMED}


@pytest.mark.parametrize("where", [each for each in product([True, False], repeat=3) if each[1] is not each[2]])
def test_what_could_not_be_read_there_changes_nothing_of_its_name(where: tuple[bool, bool, bool]) -> None:
    base, ours, theirs = ({PLAN} if yes else set() for yes in where)
    found = changes(base, ours, theirs, direction=BOTH, unsure={PLAN.name})
    assert moved(found) == {}
    assert found.base == base


PIECES = st.sets(st.sampled_from([Piece(name, digest * 64) for name in ("a", "b") for digest in "123"]))


@settings(deadline=None)
@given(base=PIECES, ours=PIECES, theirs=PIECES)
def test_one_comparison_brings_both_sides_together_and_a_second_does_nothing(
    base: set[Piece], ours: set[Piece], theirs: set[Piece]
) -> None:
    found = changes(base, ours, theirs, direction=BOTH)
    here = ours - set(found.off_crm) | set(found.to_crm)
    there = theirs - set(found.off_exchange) | set(found.to_exchange)
    assert here == there == found.base
    # Nothing that is new on either side is lost.
    assert (ours | theirs) - base <= here
    assert moved(changes(found.base, here, there, direction=BOTH)) == {}


@settings(deadline=None)
@given(base=PIECES, ours=PIECES, theirs=PIECES, direction=st.sampled_from(Direction), may_write=st.booleans())
def test_nothing_moves_against_its_direction_and_a_second_comparison_does_nothing(
    base: set[Piece], ours: set[Piece], theirs: set[Piece], direction: Direction, *, may_write: bool
) -> None:
    found = changes(base, ours, theirs, direction=direction, may_write=may_write)
    if not direction.reaches_exchange:
        assert not found.to_exchange + found.off_exchange
    if not (direction.reaches_crm and may_write):
        assert not found.to_crm + found.off_crm
    here = ours - set(found.off_crm) | set(found.to_crm)
    there = theirs - set(found.off_exchange) | set(found.to_exchange)
    assert moved(changes(found.base, here, there, direction=direction, may_write=may_write)) == {}


@settings(deadline=None)
@given(base=PIECES, ours=PIECES, theirs=PIECES, done=st.integers(0, 6))
def test_dying_after_any_of_the_moves_comes_to_the_same(
    base: set[Piece], ours: set[Piece], theirs: set[Piece], done: int
) -> None:
    """The mailbox is written first, the database last: what was done there before is found done."""
    found = changes(base, ours, theirs, direction=BOTH)
    there = set(theirs)
    for piece in (*found.to_exchange, *found.off_exchange)[:done]:
        there ^= {piece}
    again = changes(base, ours, there, direction=BOTH)
    assert again.base == found.base
    assert set(again.to_exchange) <= set(found.to_exchange)
    assert (again.to_crm, again.off_crm) == (found.to_crm, found.off_crm)


@pytest.mark.parametrize(
    ("info", "why"),
    [
        (AttachmentInfo("1", "a", size=10), None),
        (AttachmentInfo("1", "a", size=11), Left.TOO_LARGE),
        (AttachmentInfo("1", "a", size=10, inline=True), Left.INLINE),
        (AttachmentInfo("1", "a", size=11, kind=AttachmentKind.ITEM), Left.ITEM),
        (AttachmentInfo("1", "a", kind=AttachmentKind.REFERENCE), Left.LINK),
    ],
)
def test_what_is_not_read_says_why(info: AttachmentInfo, why: Left | None) -> None:
    assert left_there(info, most_bytes=10) is why


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ("plan.pdf", "plan.pdf"),
        (" a\x00 \tb\r\n.pdf ", "a b .pdf"),
        ("", "attachment"),
        ("\x00", "attachment"),
        ("x" * 300, "x" * 255),
    ],
)
def test_names_are_compared_in_one_form(said: str, name: str) -> None:
    assert name_of(said) == name


@settings(deadline=None)
@given(st.text(max_size=600))
def test_the_form_of_a_name_is_its_own_form(text: str) -> None:
    assert name_of(name_of(text)) == name_of(text)


@settings(deadline=None)
@given(PIECES)
def test_pieces_are_stored_and_read_again(found: set[Piece]) -> None:
    assert pieces(stored(found)) == found
