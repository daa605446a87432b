"""What hangs on appointments, kept in step by whole runs over a mail system in memory."""

from datetime import UTC, datetime, timedelta

import pytest

from mailboxes.models import SyncProfile
from mailboxes.provider.entries import Attendee, EntryKind, Every, Field, Recurrence, Span, Value
from mailboxes.provider.errors import ItemUnreadable, Throttled, Unavailable
from mailboxes.provider.memory import File
from mailboxes.provider.port import AttachmentKind
from tests.tracking.linked.desk import Desk
from tracking.engine import blobs
from tracking.linked import files
from tracking.linked.compare import CATEGORY
from tracking.models import Appointment, AppointmentFile, FilesInStep, ItemDecision, ItemLink
from tracking.sync.codec import encode

pytestmark = pytest.mark.django_db

APPOINTMENT = EntryKind.APPOINTMENT
TEN = datetime(2026, 3, 9, 10, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
PLAN, NOTES = ("plan.pdf", b"%PDF the plan"), ("notes.txt", b"what was said")
MEETING: dict[Field, Value] = {Field.SUBJECT: "Offer", Field.SPAN: Span(TEN, TEN + HOUR, "Europe/Madrid")}


@pytest.fixture
def desk(at) -> Desk:
    return switched(at(APPOINTMENT))


def switched(desk: Desk, way: str = "both") -> Desk:
    SyncProfile.objects.filter(pk=desk.mailbox.sync_profile_id).update(appointment_attachments=way)
    return desk


def appointment(desk: Desk, *held: tuple[str, bytes], **fields) -> Appointment:
    record: Appointment = desk.record(
        subject="Offer", starts_at=TEN, ends_at=TEN + HOUR, zone="Europe/Madrid", **fields
    )
    for name, data in held:
        add(desk, record, name, data)
    return record


def add(desk: Desk, record: Appointment, name: str, data: bytes) -> None:
    """Add a file in the CRM, a minute later."""
    desk.now += timedelta(minutes=1)
    AppointmentFile.objects.create(
        appointment=record, name=name, size=len(data), sha256=blobs.put(data), added_at=desk.now, added_by="anna"
    )
    record.refresh_from_db()
    record.save()


def take(desk: Desk, record: Appointment, name: str) -> None:
    """Take a file away in the CRM, a minute later."""
    desk.now += timedelta(minutes=1)
    AppointmentFile.objects.filter(appointment=record, name=name).delete()
    record.refresh_from_db()
    record.save()


def here(record: Appointment) -> list[tuple[str, bytes]]:
    return sorted((each.name, blobs.get(each.sha256)) for each in AppointmentFile.objects.filter(appointment=record))


def there(desk: Desk) -> list[tuple[str, bytes]]:
    return sorted((each.file.name, each.file.data) for each in kept(desk).files)


def kept(desk: Desk):
    return desk.server.entry(desk.link().item_id)


def hang(desk: Desk, name: str, data: bytes, **facts) -> str:
    return desk.server.hang(desk.link().item_id, File(name, data, **facts))


def tracked(desk: Desk, *hung: tuple[str, bytes], **facts) -> Appointment:
    """Have the owner mark an appointment with files; return its record after a run."""
    item_id = desk.entry(MEETING, **facts)
    for name, data in hung:
        desk.server.hang(item_id, File(name, data))
    desk.server.change_entry(item_id, {}, categories=(CATEGORY,))
    desk.sync()
    return Appointment.objects.get()


def reads_all(desk: Desk) -> None:
    """Let a mailbox's owner have everybody's records in it."""
    desk.owner.is_superuser = True
    desk.owner.save()
    desk.filter.conditions = {"any": False, "parts": []}
    desk.filter.save()


def left(desk: Desk) -> dict[str, str]:
    found: dict[str, str] = FilesInStep.objects.get(link=desk.link()).left
    return found


def calls(desk: Desk, method: str) -> int:
    return desk.server.calls[desk.mailbox.address, method]


# -- from here to there and back --------------------------------------------------------------------------------------


def test_files_of_a_record_hang_on_its_new_entry_after_the_same_run(desk):
    record = appointment(desk, PLAN, NOTES)
    desk.sync()
    assert there(desk) == here(record) == [NOTES, PLAN]


def test_files_of_a_tracked_entry_are_stored_with_its_record(desk):
    record = tracked(desk, PLAN, NOTES)
    assert here(record) == there(desk) == [NOTES, PLAN]
    assert set(record.files.values_list("added_by", flat=True)) == {""}
    assert desk.there()[0].marks.stamp == desk.link().stamp
    assert ItemDecision.objects.get().outcome == "tracked"


def test_after_that_nothing_is_written_read_or_asked(desk):
    appointment(desk, PLAN)
    desk.sync()
    before = desk.server.calls.copy()
    again = desk.sync()
    assert (again.written, again.taken) == (0, 0)
    assert desk.server.calls - before == {(desk.mailbox.address, "changes"): 1}


def test_what_is_added_on_either_side_comes_to_the_other(desk):
    record = appointment(desk)
    desk.sync()
    add(desk, record, *PLAN)
    hang(desk, *NOTES)
    desk.sync()
    assert there(desk) == here(record) == [NOTES, PLAN]


def test_what_is_taken_away_on_either_side_goes_from_the_other(desk):
    record = appointment(desk, PLAN, NOTES)
    desk.sync()
    take(desk, record, "plan.pdf")
    desk.server.take_down(
        next(each.info(desk.link().item_id).id for each in kept(desk).files if each.file.name == "notes.txt")
    )
    desk.sync()
    assert there(desk) == here(record) == []


def test_what_both_took_away_is_gone_and_stays_gone(desk):
    record = appointment(desk, PLAN)
    desk.sync()
    take(desk, record, "plan.pdf")
    desk.server.take_down(kept(desk).files[0].info(desk.link().item_id).id)
    assert desk.sync().written == 0
    assert desk.sync(full=True).written == 0
    assert there(desk) == here(record) == []


def test_different_files_of_one_name_are_both_kept_on_both_sides(desk):
    record = appointment(desk)
    desk.sync()
    add(desk, record, "plan.pdf", b"ours")
    hang(desk, "plan.pdf", b"theirs")
    desk.sync()
    assert there(desk) == here(record) == [("plan.pdf", b"ours"), ("plan.pdf", b"theirs")]


def test_a_file_rewritten_where_it_hangs_takes_the_place_of_the_old_one(desk):
    record = appointment(desk, PLAN)
    desk.sync()
    (hung,) = kept(desk).files
    desk.server.rewrite(hung.info(desk.link().item_id).id, b"%PDF another plan")
    desk.sync()
    assert there(desk) == here(record) == [("plan.pdf", b"%PDF another plan")]


def test_taken_away_here_and_rewritten_there_is_kept_as_it_is_there(desk):
    record = appointment(desk, PLAN)
    desk.sync()
    take(desk, record, "plan.pdf")
    (hung,) = kept(desk).files
    desk.server.rewrite(hung.info(desk.link().item_id).id, b"%PDF better")
    desk.sync()
    assert there(desk) == here(record) == [("plan.pdf", b"%PDF better")]


def test_the_same_file_added_on_both_sides_is_one(desk):
    record = appointment(desk)
    desk.sync()
    add(desk, record, *PLAN)
    hang(desk, *PLAN)
    assert desk.sync().written == 0
    assert there(desk) == here(record) == [PLAN]


def test_hung_there_twice_it_is_one_here_and_both_go_with_it(desk):
    record = appointment(desk)
    desk.sync()
    hang(desk, *PLAN)
    hang(desk, *PLAN)
    desk.sync()
    assert (here(record), there(desk)) == ([PLAN], [PLAN, PLAN])
    take(desk, record, "plan.pdf")
    desk.sync()
    assert there(desk) == []


def test_a_file_and_a_field_changed_at_once_both_flow(desk):
    record = appointment(desk)
    desk.sync()
    hang(desk, *NOTES)
    desk.server.change_entry(desk.link().item_id, {Field.LOCATION: "Sala Gran"})
    add(desk, record, *PLAN)
    record.subject = "Better offer"
    record.save()
    desk.sync()
    record.refresh_from_db()
    assert (record.location, desk.there()[0].values[Field.SUBJECT]) == ("Sala Gran", "Better offer")
    assert there(desk) == here(record) == [NOTES, PLAN]


def test_names_that_a_server_may_write_otherwise_are_one(desk):
    record = appointment(desk)
    desk.sync()
    hang(desk, "  the \t plan.pdf ", b"1")
    hang(desk, "", b"2")
    hang(desk, "x" * 300, b"3")
    desk.sync()
    assert [name for name, _data in here(record)] == ["attachment", "the plan.pdf", "x" * 255]
    assert desk.sync(full=True).written == 0
    assert len(there(desk)) == 3


def test_bytes_are_read_once_whatever_else_changes(desk):
    appointment(desk, PLAN)
    desk.sync()
    hang(desk, *NOTES)
    desk.sync()
    before = calls(desk, "attachments")
    desk.server.change_entry(desk.link().item_id, {Field.LOCATION: "Sala Gran"})
    desk.sync()
    assert calls(desk, "attachments") == before


def test_an_entry_that_moved_away_and_back_has_its_files_still(desk):
    record = appointment(desk, PLAN)
    desk.sync()
    moved = desk.server.move(desk.link().item_id, "deleted")
    desk.sync(later=timedelta(minutes=1))
    desk.server.move(moved, "calendar")
    desk.sync(later=timedelta(minutes=1))
    assert there(desk) == here(record) == [PLAN]
    assert desk.sync(full=True).written == 0


def test_two_mailboxes_have_the_same_files(at):
    first = switched(at(APPOINTMENT))
    second = Desk(APPOINTMENT, "ben", first.office)
    reads_all(second)
    record = appointment(first, PLAN)
    first.sync()
    second.sync()
    assert there(second) == [PLAN]
    hang(first, *NOTES)
    first.sync()
    second.sync()
    assert there(first) == there(second) == here(record) == [NOTES, PLAN]


def test_in_the_mailbox_of_somebody_who_may_only_read_the_record_nothing_is_taken_over(at):
    first = switched(at(APPOINTMENT))
    second = Desk(APPOINTMENT, "ben", first.office)
    reads_all(second)
    record = appointment(first, PLAN)
    second.sync()
    hang(second, *NOTES)
    second.server.take_down(kept(second).files[0].info(second.link().item_id).id)
    second.sync()
    assert (here(record), there(second)) == ([PLAN], [NOTES])


# -- what may flow ----------------------------------------------------------------------------------------------------


def test_off_by_default_nothing_flows_and_nothing_is_asked(at):
    desk = at(APPOINTMENT)
    record = appointment(desk, PLAN)
    desk.sync()
    hang(desk, *NOTES)
    desk.sync()
    assert (here(record), there(desk)) == ([PLAN], [NOTES])
    assert calls(desk, "attached") == calls(desk, "attachments") == 0
    assert not FilesInStep.objects.exists()


def test_switched_on_the_next_look_fills_both_sides(at):
    desk = at(APPOINTMENT)
    record = appointment(desk, PLAN)
    other = tracked_beside(desk)
    desk.sync()
    hang_on(desk, record, NOTES)
    hang_on(desk, other, PLAN)
    desk.sync()
    switched(desk)
    desk.sync(full=True)
    assert here(record) == [NOTES, PLAN]
    assert here(other) == [PLAN]
    assert files_there(desk, record) == [NOTES, PLAN]


def tracked_beside(desk: Desk) -> Appointment:
    desk.entry({**MEETING, Field.SUBJECT: "Theirs"}, categories=(CATEGORY,))
    desk.sync()
    return Appointment.objects.get(subject="Theirs")


def hang_on(desk: Desk, record: Appointment, file: tuple[str, bytes]) -> None:
    desk.server.hang(ItemLink.objects.get(record_id=record.pk).item_id, File(*file))


def files_there(desk: Desk, record: Appointment) -> list[tuple[str, bytes]]:
    held = desk.server.entry(ItemLink.objects.get(record_id=record.pk).item_id).files
    return sorted((each.file.name, each.file.data) for each in held)


def test_switched_off_nothing_is_deleted_and_nothing_flows(desk):
    record = appointment(desk, PLAN)
    desk.sync()
    switched(desk, "none")
    desk.sync(full=True)
    assert there(desk) == here(record) == [PLAN]
    take(desk, record, "plan.pdf")
    hang(desk, *NOTES)
    desk.sync(full=True)
    assert (here(record), there(desk)) == ([], [NOTES, PLAN])


def test_switched_on_again_what_was_taken_away_meanwhile_takes_nothing_with_it(desk):
    record = appointment(desk, PLAN, NOTES)
    desk.sync()
    switched(desk, "none")
    desk.sync(full=True)
    take(desk, record, "plan.pdf")
    desk.server.take_down(
        next(each.info(desk.link().item_id).id for each in kept(desk).files if each.file.name == "notes.txt")
    )
    desk.sync()
    switched(desk)
    desk.sync(full=True)
    assert there(desk) == here(record) == [NOTES, PLAN]


@pytest.mark.parametrize(
    ("way", "ours", "theirs"),
    [
        ("to_crm", [NOTES, PLAN], [NOTES]),
        ("to_exchange", [PLAN], [NOTES, PLAN]),
        ("both", [NOTES, PLAN], [NOTES, PLAN]),
    ],
)
def test_the_direction_of_the_setting_holds(at, way, ours, theirs):
    desk = switched(at(APPOINTMENT), way)
    record = appointment(desk)
    desk.sync()
    add(desk, record, *PLAN)
    hang(desk, *NOTES)
    desk.sync()
    assert (here(record), there(desk)) == (ours, theirs)
    assert desk.sync(full=True).written == 0


def test_to_exchange_alone_the_bytes_of_the_owners_own_files_are_not_read(at):
    desk = switched(at(APPOINTMENT), "to_exchange")
    appointment(desk, PLAN)
    desk.sync()
    before = calls(desk, "attachments")
    hang(desk, *NOTES)
    desk.sync()
    assert calls(desk, "attachments") == before


def test_from_one_way_to_both_what_was_read_and_not_kept_is_read_again(at):
    desk = switched(at(APPOINTMENT), "to_exchange")
    record = appointment(desk, PLAN)
    desk.sync()
    hang(desk, "plan.pdf", b"theirs, and nobody else's")
    desk.sync()
    assert not blobs.path_of(blobs.digest(b"theirs, and nobody else's")).exists(), "compared, and not kept"
    switched(desk)
    desk.sync(full=True)
    assert here(record) == there(desk) == [("plan.pdf", b"%PDF the plan"), ("plan.pdf", b"theirs, and nobody else's")]


def test_only_the_organiser_s_meetings_have_files_that_flow(desk):
    theirs = {
        **MEETING,
        Field.ORGANIZER: (Attendee("bob@partner.example"),),
        Field.REQUIRED: (Attendee("anna@office.example"),),
    }
    item_id = desk.entry(theirs, organized_here=False, categories=(CATEGORY,))
    desk.server.hang(item_id, File(*PLAN))
    desk.sync()
    record = Appointment.objects.get()
    assert here(record) == []
    add(desk, record, *NOTES)
    desk.sync()
    assert there(desk) == [PLAN]
    assert left(desk) == {FilesInStep.EVERY: "not_organizer"}
    assert calls(desk, "attached") == calls(desk, "attach") == 0


def test_to_a_meeting_that_its_owner_organises_files_are_hung_and_nobody_is_told(desk):
    record = appointment(desk, PLAN)
    record.attendees.create(role="organizer", email="anna@office.example")
    record.attendees.create(role="required", email="bob@partner.example")
    desk.sync()
    take(desk, record, "plan.pdf")
    add(desk, record, *NOTES)
    desk.sync()
    assert there(desk) == [NOTES]
    # `Desk.sync` looks after each run that no invitation, update or mail has left.


def test_of_a_record_that_says_somebody_else_organises_it_nothing_flows(desk):
    record = appointment(desk, PLAN)
    record.attendees.create(role="organizer", email="ben@office.example")
    record.attendees.create(role="required", email="bob@partner.example")
    desk.sync()
    assert there(desk) == []
    assert left(desk) == {FilesInStep.EVERY: "not_organizer"}


def test_of_a_series_nothing_flows(desk):
    weekly = Recurrence(Every.WEEK, TEN.date(), weekdays=("MO",), count=3)
    record = appointment(desk, PLAN, recurrence=encode(weekly))
    desk.sync()
    hang(desk, *NOTES)
    desk.sync()
    assert (here(record), there(desk)) == ([PLAN], [NOTES])
    assert left(desk) == {FilesInStep.EVERY: "series"}
    assert calls(desk, "attached") == 0


def test_of_a_private_appointment_not_even_the_list_is_read(desk):
    record = appointment(desk)
    desk.sync()
    before = calls(desk, "attached")
    hang(desk, *PLAN)
    desk.server.change_entry(desk.link().item_id, {}, sensitivity="Private")
    desk.sync()
    assert here(record) == []
    assert calls(desk, "attached") == before


def test_of_an_appointment_that_is_not_linked_not_even_the_list_is_read(desk):
    item_id = desk.entry(MEETING)
    desk.server.hang(item_id, File(*PLAN))
    desk.sync()
    assert calls(desk, "attached") == 0


@pytest.mark.parametrize("kind", [EntryKind.CONTACT, EntryKind.TASK])
def test_of_other_kinds_nothing_is_asked(at, kind):
    desk = switched(at(kind))
    field = {EntryKind.CONTACT: Field.JOB_TITLE, EntryKind.TASK: Field.SUBJECT}[kind]
    desk.entry({field: "Call"}, categories=(CATEGORY,))
    desk.sync()
    assert desk.link().item_id
    assert calls(desk, "attached") == 0


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        ({"kind": AttachmentKind.ITEM}, "item"),
        ({"kind": AttachmentKind.REFERENCE}, "link"),
        ({"inline": True, "content_id": "c1"}, "inline"),
    ],
)
def test_what_is_no_file_of_its_own_stays_there_and_says_why(desk, facts, why):
    record = appointment(desk)
    desk.sync()
    hang(desk, "something", b"x", **facts)
    desk.sync()
    assert here(record) == []
    assert left(desk) == {"something": why}
    assert calls(desk, "attachments") == 0


# -- what cannot be written or read -----------------------------------------------------------------------------------


def test_what_the_server_does_not_take_says_so_and_is_not_sent_again(desk):
    desk.server.most_attached = 1000
    record = appointment(desk, ("film.mp4", b"x" * 1001), PLAN)
    count = desk.sync()
    assert there(desk) == [PLAN]
    assert left(desk) == {"film.mp4": "attachment_too_large"}
    assert count.linked == 1
    sent = calls(desk, "attach")
    for subject in ("One", "Two"):
        record.refresh_from_db()
        record.subject = subject
        record.save()
        desk.sync()
    assert calls(desk, "attach") == sent
    assert desk.there()[0].values[Field.SUBJECT] == "Two", "the fields go on flowing"
    assert here(record) == [("film.mp4", b"x" * 1001), PLAN]


def test_once_there_is_room_it_is_sent(desk):
    desk.server.most_attached = 1000
    record = appointment(desk, ("a.bin", b"x" * 600), ("b.bin", b"x" * 601))
    desk.sync()
    assert [name for name, _data in there(desk)] == ["a.bin"]
    take(desk, record, "a.bin")
    desk.sync()
    desk.sync(full=True)
    record.save()
    desk.sync()
    assert [name for name, _data in there(desk)] == ["b.bin"]
    assert left(desk) == {}


def test_what_is_larger_than_we_take_is_not_read(desk, monkeypatch):
    monkeypatch.setattr(files, "MOST_BYTES", 10)
    record = appointment(desk)
    desk.sync()
    hang(desk, "film.mp4", b"x" * 11)
    desk.sync()
    assert here(record) == []
    assert left(desk) == {"film.mp4": "too_large"}
    assert calls(desk, "attachments") == 0


def test_a_file_that_grew_too_large_there_is_not_taken_for_gone(desk, monkeypatch):
    monkeypatch.setattr(files, "MOST_BYTES", 20)
    record = appointment(desk, PLAN)
    desk.sync()
    (hung,) = kept(desk).files
    desk.server.rewrite(hung.info(desk.link().item_id).id, b"x" * 21)
    desk.sync()
    assert here(record) == [PLAN]
    assert there(desk) == [("plan.pdf", b"x" * 21)]


def test_a_file_that_cannot_be_read_is_neither_taken_for_gone_nor_sent_again(desk):
    record = appointment(desk, PLAN)
    desk.sync()
    (hung,) = kept(desk).files
    desk.server.rewrite(hung.info(desk.link().item_id).id, b"%PDF spoilt")
    desk.server.fail_item(
        desk.link().item_id, ItemUnreadable("bad", code="attachment_unreadable"), methods=["attachments"]
    )
    desk.sync()
    assert here(record) == [PLAN]
    assert there(desk) == [("plan.pdf", b"%PDF spoilt")]
    assert left(desk) == {"plan.pdf": "unreadable"}
    desk.server.heal()
    record.refresh_from_db()
    record.save()
    desk.sync()
    assert here(record) == there(desk) == [("plan.pdf", b"%PDF spoilt")]


def test_a_list_that_cannot_be_read_sets_the_appointment_aside_and_is_tried_again(desk):
    record = appointment(desk, PLAN)
    desk.sync()
    hang(desk, *NOTES)
    desk.server.fail_item(desk.link().item_id, ItemUnreadable("bad"), methods=["attached"])
    desk.sync()
    assert here(record) == [PLAN]
    assert ItemDecision.objects.get().outcome == "quarantined"
    desk.server.heal()
    desk.sync(full=True, later=timedelta(hours=2))
    assert here(record) == [NOTES, PLAN]


def test_one_taken_off_while_it_is_compared_is_looked_at_again(desk):
    record = appointment(desk, PLAN)
    desk.sync()
    hung = hang(desk, *NOTES)
    desk.server.before("attachments", lambda: desk.server.take_down(hung))
    desk.sync()
    assert here(record) == there(desk) == [PLAN]


def test_one_hung_there_while_another_is_sent_is_not_missed(desk):
    record = appointment(desk)
    desk.sync()
    add(desk, record, *PLAN)
    desk.server.before("attach", lambda: hang(desk, *NOTES))
    desk.sync()
    assert there(desk) == here(record) == [NOTES, PLAN]


def test_a_field_typed_while_a_file_is_sent_is_not_missed(desk):
    record = appointment(desk)
    desk.sync()
    add(desk, record, *PLAN)
    desk.server.before("attach", lambda: desk.server.change_entry(desk.link().item_id, {Field.LOCATION: "Sala Gran"}))
    desk.sync()
    record.refresh_from_db()
    assert record.location == "Sala Gran"


def test_one_added_to_the_record_while_it_is_compared_is_not_missed(desk):
    record = appointment(desk, PLAN)
    desk.sync()
    hang(desk, "third.txt", b"3")
    desk.server.before("attachments", lambda: add(desk, record, *NOTES))
    desk.sync()
    assert there(desk) == here(record) == [NOTES, PLAN, ("third.txt", b"3")]


def test_a_file_that_a_server_never_answers_for_is_given_up_after_three_times(desk):
    record = appointment(desk, PLAN)
    desk.server.fail("attach", Unavailable("cut", code="connection_lost"), times=9)
    for _each in range(3):
        with pytest.raises(Unavailable):
            desk.sync()
    assert desk.sync().written == 0
    assert left(desk) == {"plan.pdf": "no_answer"}
    assert calls(desk, "attach") == 3
    record.refresh_from_db()
    record.save()
    desk.sync()
    assert calls(desk, "attach") == 3


def test_a_busy_server_is_no_reason_to_give_a_file_up(desk):
    appointment(desk, PLAN)
    desk.server.fail("attach", Throttled("wait"), times=4)
    for _each in range(4):
        with pytest.raises(Throttled):
            desk.sync()
    desk.sync()
    assert there(desk) == [PLAN]


def test_a_file_whose_bytes_are_lost_says_so_and_the_others_flow(desk):
    record = appointment(desk, PLAN, NOTES)
    blobs.path_of(blobs.digest(PLAN[1])).unlink()
    desk.sync()
    assert there(desk) == [NOTES]
    assert left(desk) == {"plan.pdf": "missing"}
    assert record.files.count() == 2


def test_without_room_on_the_disk_nothing_is_noted_and_it_is_read_again(desk, monkeypatch):
    record = appointment(desk)
    desk.sync()
    hang(desk, *PLAN)

    def full(_data: bytes) -> str:
        raise OSError("no space")

    with monkeypatch.context() as patch:
        patch.setattr(blobs, "put", full)
        with pytest.raises(Unavailable) as raised:
            desk.sync()
    assert raised.value.code == "disk_full"
    assert here(record) == []
    desk.sync()
    assert here(record) == [PLAN]
