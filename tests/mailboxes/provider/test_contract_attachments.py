"""What every adapter must do with what hangs on entries (mailboxes/provider/writing.py): one suite for all."""

import pytest

from mailboxes.provider.entries import Attendee, EntryKind, Field, Value
from mailboxes.provider.errors import ItemGone, OtherKind, Unavailable, WriteRefused
from mailboxes.provider.port import AttachmentBytes, AttachmentKind, ChangeKind, FolderRole
from mailboxes.provider.writing import Attached, OutgoingFile
from tests.mailboxes.provider.test_contract_entries import MEETING, WEEKLY, made, marks_of, place, read
from tests.mailboxes.provider.worlds import Letter, Provider, World, folder_of

APPOINTMENT = EntryKind.APPOINTMENT
PLAN = OutgoingFile("Plà <1> & 2.pdf", b"%PDF plan", "application/pdf")
EMPTY = OutgoingFile("empty", b"")
ALL_BYTES = OutgoingFile("all.bin", bytes(range(256)) * 40)


@pytest.fixture
def provider(world: World) -> Provider:
    return world.provider()


def meeting(provider: Provider, values: dict[Field, Value] | None = None) -> str:
    return made(provider, APPOINTMENT, values).item_id


def hanging(provider: Provider, item_id: str) -> Attached:
    (found,) = provider.attached([item_id])
    assert isinstance(found, Attached), found
    return found


def files(provider: Provider, item_id: str) -> list[tuple[str, bytes]]:
    infos = hanging(provider, item_id).attachments
    found = provider.attachments(infos)
    assert all(isinstance(each, AttachmentBytes) for each in found)
    return [
        (info.name, each.data) for info, each in zip(infos, found, strict=True) if isinstance(each, AttachmentBytes)
    ]


def test_what_was_hung_on_an_entry_hangs_there(provider: Provider) -> None:
    item_id = meeting(provider)
    assert hanging(provider, item_id).attachments == ()
    for file in (PLAN, EMPTY, ALL_BYTES):
        provider.attach(item_id, file)
    assert files(provider, item_id) == [(each.name, each.data) for each in (PLAN, EMPTY, ALL_BYTES)]
    first = hanging(provider, item_id).attachments[0]
    assert (first.content_type, first.kind, first.inline) == ("application/pdf", AttachmentKind.FILE, False)


@pytest.mark.parametrize("kind", list(EntryKind))
def test_files_hang_on_entries_of_every_kind(provider: Provider, kind: EntryKind) -> None:
    item_id = made(provider, kind).item_id
    provider.attach(item_id, PLAN)
    assert files(provider, item_id) == [(PLAN.name, PLAN.data)]


def test_two_of_one_name_hang_side_by_side_under_ids_of_their_own(provider: Provider) -> None:
    item_id = meeting(provider)
    provider.attach(item_id, PLAN)
    provider.attach(item_id, OutgoingFile(PLAN.name, b"another plan", PLAN.content_type))
    assert files(provider, item_id) == [(PLAN.name, PLAN.data), (PLAN.name, b"another plan")]
    first, second = hanging(provider, item_id).attachments
    assert first.id != second.id
    provider.detach(first.id)
    assert files(provider, item_id) == [(PLAN.name, b"another plan")]
    assert [each.id for each in hanging(provider, item_id).attachments] == [second.id], "the other's id stays"


def test_an_id_is_not_given_twice(provider: Provider) -> None:
    item_id = meeting(provider)
    provider.attach(item_id, PLAN)
    (first,) = hanging(provider, item_id).attachments
    provider.detach(first.id)
    provider.attach(item_id, ALL_BYTES)
    (second,) = hanging(provider, item_id).attachments
    assert (first.id, first.version) != (second.id, second.version)


def test_what_its_owner_hangs_there_is_told_with_its_kind(provider: Provider, world: World) -> None:
    item_id = meeting(provider)
    world.hang(item_id, "plan.txt", b"plan")
    world.hang(item_id, "logo.png", b"png", inline=True)
    world.hang(item_id, "a mail", Letter().mime(), item=True)
    found = hanging(provider, item_id).attachments
    assert [(each.name, each.kind, each.inline) for each in found] == [
        ("plan.txt", AttachmentKind.FILE, False),
        ("logo.png", AttachmentKind.FILE, True),
        ("a mail", AttachmentKind.ITEM, False),
    ]
    (data,) = provider.attachments(found[:1])
    assert data == AttachmentBytes(found[0].id, b"plan")


def test_each_change_gives_a_new_change_key_and_is_announced(provider: Provider) -> None:
    calendar = place(provider, APPOINTMENT)
    item_id = meeting(provider)
    cursor = provider.changes(calendar, None, 100).cursor
    before = provider.counters([calendar])
    keys = [marks_of(provider, item_id).change_key]
    provider.attach(item_id, PLAN)
    keys.append(marks_of(provider, item_id).change_key)
    assert hanging(provider, item_id).change_key == keys[-1]
    provider.detach(hanging(provider, item_id).attachments[0].id)
    keys.append(marks_of(provider, item_id).change_key)
    assert len(set(keys)) == 3
    assert provider.counters([calendar]) != before
    told = provider.changes(calendar, cursor, 100).changes
    assert {(each.kind, each.item_id) for each in told} == {(ChangeKind.UPDATED, item_id)}


def test_the_entry_says_what_it_said_and_keeps_its_stamp(provider: Provider) -> None:
    item_id = meeting(provider)
    before = read(provider, item_id)
    provider.attach(item_id, PLAN)
    after = read(provider, item_id)
    assert after.values == before.values
    assert after.marks.stamp == before.marks.stamp
    assert after.organized_here


def test_a_change_of_a_field_leaves_what_hangs_there(provider: Provider) -> None:
    item_id = meeting(provider)
    provider.attach(item_id, PLAN)
    (before,) = hanging(provider, item_id).attachments
    key = marks_of(provider, item_id).change_key
    provider.update_entry(item_id, key, APPOINTMENT, {Field.SUBJECT: "Another"})
    assert hanging(provider, item_id).attachments == (before,)


@pytest.mark.parametrize("people", [(), (Attendee("ben@example.com", "Ben"),)], ids=["alone", "with others"])
def test_nobody_is_told(provider: Provider, world: World, people: tuple[Attendee, ...]) -> None:
    item_id = meeting(provider, {**MEETING, Field.REQUIRED: people or None, Field.OPTIONAL: None})
    provider.attach(item_id, PLAN)
    provider.attach(item_id, EMPTY)
    provider.detach(hanging(provider, item_id).attachments[0].id)
    assert world.notices() == 0
    assert world.arrived() == []


def test_on_a_series_it_hangs_on_the_whole(provider: Provider) -> None:
    item_id = meeting(provider, {**MEETING, Field.RECURRENCE: WEEKLY})
    provider.attach(item_id, PLAN)
    assert files(provider, item_id) == [(PLAN.name, PLAN.data)]


def test_a_file_that_is_too_large_is_refused_and_what_hung_there_stays(provider: Provider, world: World) -> None:
    item_id = meeting(provider)
    provider.attach(item_id, PLAN)
    world.hang_at_most(1_000_000)
    with pytest.raises(WriteRefused) as refused:
        provider.attach(item_id, OutgoingFile("film.mp4", b"x" * 1_500_000))
    assert refused.value.code == "attachment_too_large"
    assert files(provider, item_id) == [(PLAN.name, PLAN.data)]


def test_lists_come_in_the_order_asked_for_with_an_error_in_its_place(provider: Provider, world: World) -> None:
    first, second = meeting(provider), meeting(provider)
    provider.attach(second, PLAN)
    mail = world.deliver(Letter())
    gone = meeting(provider)
    world.remove(gone)
    found = provider.attached([gone, second, mail, first])
    assert isinstance(found[0], ItemGone)
    assert isinstance(found[1], Attached)
    assert [each.name for each in found[1].attachments] == [PLAN.name]
    assert isinstance(found[2], OtherKind)
    assert isinstance(found[3], Attached)
    assert found[3].attachments == ()
    assert provider.attached([]) == []


def test_lists_of_many_are_one_request(provider: Provider) -> None:
    ids = [meeting(provider) for _each in range(20)]
    before = provider.requests
    provider.attached(ids)
    assert provider.requests - before == 1


def test_nothing_can_be_hung_on_what_is_gone(provider: Provider, world: World) -> None:
    item_id = meeting(provider)
    world.remove(item_id)
    with pytest.raises(ItemGone):
        provider.attach(item_id, PLAN)


def test_taking_off_what_is_gone_is_fine(provider: Provider, world: World) -> None:
    item_id = meeting(provider)
    provider.attach(item_id, PLAN)
    provider.attach(item_id, EMPTY)
    first, second = hanging(provider, item_id).attachments
    provider.detach(first.id)
    provider.detach(first.id)
    assert [each.id for each in hanging(provider, item_id).attachments] == [second.id]
    world.remove(item_id)
    provider.detach(second.id)


def test_ids_end_with_a_move_and_the_file_comes_along(provider: Provider, world: World) -> None:
    item_id = meeting(provider)
    provider.attach(item_id, PLAN)
    moved = world.move(item_id, folder_of(provider, FolderRole.DELETED))
    assert files(provider, moved) == [(PLAN.name, PLAN.data)]
    (old,) = provider.attached([item_id])
    assert isinstance(old, ItemGone)


@pytest.mark.parametrize("after", [False, True], ids=["not done", "answer lost"])
def test_a_lost_answer_is_an_error_and_the_file_hangs_there_once(
    provider: Provider, world: World, *, after: bool
) -> None:
    item_id = meeting(provider)
    world.break_request(provider, 1, after=after)
    with pytest.raises(Unavailable):
        provider.attach(item_id, PLAN)
    assert files(provider, item_id) == [(PLAN.name, PLAN.data)] * after
