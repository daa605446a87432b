"""The rows of the tables in docs/sync.md, one test each: create, change, delete × side × who × past or to come × linked.

Each runs whole: a record here, an entry there, and what a run makes of it. `mine` is a record of the mailbox's owner,
`theirs` one of somebody else that the owner may see and whose filter lets it in.
"""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission

from mailboxes.provider.entries import Attendee, EntryKind, Field, FullName, Span
from mailboxes.provider.port import FolderRole
from security.models import User
from tests.tracking.linked.desk import Desk
from tracking.engine.filter_queries import MODELS
from tracking.linked.compare import CATEGORY
from tracking.models import Appointment, Attendance, FieldConflict, ItemLink

pytestmark = pytest.mark.django_db

TASK, CONTACT, APPOINTMENT = EntryKind.TASK, EntryKind.CONTACT, EntryKind.APPOINTMENT
NAME = {TASK: Field.SUBJECT, APPOINTMENT: Field.SUBJECT, CONTACT: Field.NAME}
TEXT = {TASK: Field.BODY, APPOINTMENT: Field.BODY, CONTACT: Field.NOTES}
COLUMN = {Field.SUBJECT: "subject", Field.NAME: "last_name", Field.BODY: "description", Field.NOTES: "notes"}
each_kind = pytest.mark.parametrize("kind", EntryKind)


@pytest.fixture
def desk(at, kind):
    return at(kind)


def values(desk: Desk, *, days: int = 7) -> dict[Field, Any]:
    """Return what an entry says that is to be in so many days."""
    said = {NAME[desk.kind]: FullName("", "", "Name") if desk.kind is CONTACT else "Name", TEXT[desk.kind]: "text"}
    if desk.kind is APPOINTMENT:
        said[Field.SPAN] = Span(desk.now + timedelta(days=days), desk.now + timedelta(days=days, hours=1), "UTC")
    return said


def record(desk: Desk, *, days: int = 7, **fields: Any) -> Any:
    """Make a record that is to be in so many days."""
    if desk.kind is APPOINTMENT:
        starts = desk.now + timedelta(days=days)
        fields = {"starts_at": starts, "ends_at": starts + timedelta(hours=1)} | fields
    return desk.record(**{COLUMN[NAME[desk.kind]]: "Name", COLUMN[TEXT[desk.kind]]: "text"} | fields)


def theirs(desk: Desk, **fields: Any) -> Any:
    """Make a record of somebody else that the mailbox's owner sees, and that flows."""
    desk.owner.user_permissions.add(Permission.objects.get(codename="read_all_records"))
    desk.filter.conditions = {"any": False, "parts": []}
    desk.filter.save()
    return record(desk, owner=User.objects.create_user("ben"), **fields)


def text_here(desk: Desk) -> str:
    """Return the text of the one record."""
    row = MODELS[desk.kind]._default_manager.get()
    return str(getattr(row, COLUMN[TEXT[desk.kind]]))


def text_there(desk: Desk) -> Any:
    """Return the text of the one entry in its folder."""
    (entry,) = desk.there()
    return entry.values[TEXT[desk.kind]]


def write_here(desk: Desk, text: str = "changed here") -> None:
    """Have the record changed, a moment later."""
    desk.now += timedelta(seconds=1)
    row = MODELS[desk.kind]._default_manager.get()
    setattr(row, COLUMN[TEXT[desk.kind]], text)
    row.save()


def write_there(desk: Desk, text: str = "changed there", **facts: Any) -> None:
    """Have the entry changed by its owner."""
    (entry,) = desk.there()
    desk.server.change_entry(entry.marks.item_id, {TEXT[desk.kind]: text}, **facts)


def delete_here(desk: Desk) -> None:
    """Have the record thrown away."""
    row = MODELS[desk.kind]._default_manager.get()
    row.deleted_at = desk.now
    row.save()


def throw_away(desk: Desk) -> None:
    """Have the entry thrown away by its owner, and its absence noticed."""
    (entry,) = desk.there()
    desk.server.bin_entry(entry.marks.item_id, telling=False)
    desk.sync()
    desk.sync(later=timedelta(minutes=15))


def in_bin(desk: Desk) -> int:
    """Return how much lies among the deleted items."""
    return len(desk.server.item_ids(desk.mailbox.address, FolderRole.DELETED))


def is_deleted(desk: Desk) -> bool:
    """Tell whether the one record was thrown away."""
    return MODELS[desk.kind]._default_manager.get().deleted_at is not None


def received(desk: Desk, **more: Any) -> None:
    """Have somebody else's meeting in the mailbox, marked by the owner, and its record made."""
    said = values(desk, **more) | {
        Field.ORGANIZER: (Attendee("kim@customer.example"),),
        Field.REQUIRED: (Attendee(desk.mailbox.address),),
    }
    desk.entry(said, organized_here=False, categories=(CATEGORY,))
    desk.sync()


# -- created


@each_kind
def test_a_record_of_the_owners_becomes_an_entry(desk):
    record(desk)
    desk.sync()
    assert (text_there(desk), desk.link().born_in) == ("text", "crm")


@each_kind
def test_a_record_of_somebody_else_that_flows_becomes_an_entry(desk):
    theirs(desk)
    desk.sync()
    assert text_there(desk) == "text"


@each_kind
def test_a_record_out_of_the_owners_sight_becomes_nothing(desk):
    desk.filter.conditions = {"any": False, "parts": []}
    desk.filter.save()
    record(desk, owner=User.objects.create_user("ben"))
    desk.sync()
    assert (desk.there(), ItemLink.objects.count()) == ([], 0)


@each_kind
def test_a_record_that_the_filters_hold_back_becomes_nothing(desk):
    desk.filter.active = False
    desk.filter.save()
    record(desk)
    desk.sync()
    assert (desk.there(), ItemLink.objects.count()) == ([], 0)


@each_kind
def test_an_entry_that_its_owner_marks_becomes_a_record(desk):
    desk.entry(values(desk), categories=(CATEGORY,))
    desk.sync()
    assert (text_here(desk), desk.link().born_in) == ("text", "exchange")
    assert MODELS[desk.kind]._default_manager.get().owner == desk.owner


@each_kind
def test_an_entry_that_nobody_marks_is_left_alone(desk):
    desk.entry(values(desk))
    desk.sync()
    assert not MODELS[desk.kind]._default_manager.exists()
    assert not desk.server.calls[desk.mailbox.address, "entries"]


@each_kind
def test_a_private_entry_is_left_alone_marked_or_not(desk):
    desk.entry(values(desk), categories=(CATEGORY,), sensitivity="Private")
    desk.sync()
    assert not MODELS[desk.kind]._default_manager.exists()
    assert not desk.server.calls[desk.mailbox.address, "entries"]


@pytest.mark.parametrize("kind", [TASK])
def test_a_marked_task_that_comes_again_is_left_alone(desk):
    desk.entry(values(desk), categories=(CATEGORY,), recurring=True)
    desk.sync()
    assert (desk.reasons(), desk.server.calls[desk.mailbox.address, "entries"]) == (["recurring_task"], 0)
    assert not ItemLink.objects.exists()


@pytest.mark.parametrize("kind", [TASK])
def test_a_marked_task_that_somebody_was_given_is_left_alone(desk):
    desk.entry(values(desk), categories=(CATEGORY,), assigned=True)
    desk.sync()
    assert (desk.reasons(), desk.server.calls[desk.mailbox.address, "entries"]) == (["assigned_task"], 0)
    assert not ItemLink.objects.exists()


@pytest.mark.parametrize("kind", [APPOINTMENT])
def test_an_appointment_that_is_over_becomes_no_entry(desk):
    record(desk, days=-2)
    desk.sync()
    assert (desk.there(), ItemLink.objects.count()) == ([], 0)


@pytest.mark.parametrize("kind", [APPOINTMENT])
def test_an_entry_that_is_over_and_marked_becomes_a_record(desk):
    desk.entry(values(desk, days=-2), categories=(CATEGORY,))
    desk.sync()
    assert text_here(desk) == "text"


@pytest.mark.parametrize("kind", [APPOINTMENT])
def test_a_received_meeting_that_is_marked_becomes_a_record_and_is_not_touched(desk):
    received(desk)
    assert text_here(desk) == "text"
    (entry,) = desk.there()
    assert entry.marks.stamp == ""


@pytest.mark.parametrize("kind", [TASK])
def test_a_task_that_is_finished_becomes_an_entry_if_the_filters_let_it(desk):
    record(desk, status="Completed", percent_complete=100)
    desk.sync()
    assert desk.there()[0].values[Field.STATUS] == "Completed"


# -- changed


@each_kind
def test_a_change_of_the_owners_record_reaches_the_entry(desk):
    record(desk)
    desk.sync()
    write_here(desk)
    desk.sync()
    assert text_there(desk) == "changed here"


@each_kind
def test_a_change_of_somebody_elses_record_reaches_the_entry(desk):
    theirs(desk)
    desk.sync()
    write_here(desk)
    desk.sync()
    assert text_there(desk) == "changed here"


@each_kind
def test_a_change_of_the_entry_reaches_the_owners_record(desk):
    record(desk)
    desk.sync()
    write_there(desk)
    desk.sync()
    assert text_here(desk) == "changed there"


@each_kind
def test_a_change_of_the_entry_does_not_reach_somebody_elses_record(desk):
    theirs(desk)
    desk.sync()
    write_there(desk)
    desk.sync()
    assert (text_here(desk), text_there(desk)) == ("text", "changed there")
    assert desk.link().withheld[TEXT[desk.kind]] == "may_not_write"


@each_kind
def test_of_two_changes_the_newer_stands_and_both_are_kept(desk):
    record(desk)
    desk.sync()
    write_here(desk)
    desk.now += timedelta(minutes=1)
    write_there(desk)
    desk.sync()
    assert (text_here(desk), text_there(desk)) == ("changed there", "changed there")
    kept = FieldConflict.objects.get()
    assert (kept.ours, kept.theirs, kept.winner) == ("changed here", "changed there", "exchange")


@each_kind
def test_no_change_flows_once_the_link_has_ended(desk):
    record(desk)
    desk.sync()
    desk.filter.active = False
    desk.filter.save()
    desk.sync(full=True)
    write_here(desk)
    desk.sync()
    write_there(desk)
    desk.sync()
    assert (text_here(desk), text_there(desk)) == ("changed here", "changed there")


@each_kind
def test_a_change_that_makes_the_entry_private_is_not_read(desk):
    record(desk)
    desk.sync()
    write_there(desk, sensitivity="Private")
    desk.sync()
    assert (text_here(desk), desk.link().reason) == ("text", "made_private")


@pytest.mark.parametrize("kind", [TASK])
def test_a_change_that_makes_the_task_come_again_is_not_read(desk):
    record(desk)
    desk.sync()
    write_there(desk, recurring=True)
    desk.sync()
    assert (text_here(desk), desk.link().reason) == ("text", "recurring_task")


@pytest.mark.parametrize("kind", [TASK])
def test_a_change_that_gives_the_task_to_somebody_is_not_read_and_nothing_is_written_from_then_on(desk):
    record(desk)
    desk.sync()
    write_there(desk, assigned=True)
    desk.sync()
    write_here(desk)
    desk.sync(full=True)
    assert (text_here(desk), text_there(desk), desk.link().reason) == ("changed here", "changed there", "assigned_task")


@pytest.mark.parametrize("kind", [TASK])
def test_deleting_the_record_of_a_task_that_somebody_was_given_leaves_the_entry(desk):
    record(desk)
    desk.sync()
    write_there(desk, assigned=True)
    delete_here(desk)
    desk.sync(full=True)
    assert (len(desk.there()), in_bin(desk)) == (1, 0)


@pytest.mark.parametrize("kind", [TASK])
def test_throwing_a_task_away_that_somebody_was_given_leaves_the_record(desk):
    record(desk)
    desk.sync()
    write_there(desk, assigned=True)
    throw_away(desk)
    assert not is_deleted(desk)


@pytest.mark.parametrize("kind", [APPOINTMENT])
def test_changes_of_a_linked_appointment_flow_also_once_it_is_over(desk):
    record(desk, days=1)
    desk.sync()
    desk.now += timedelta(days=3)
    write_here(desk)
    desk.sync()
    assert text_there(desk) == "changed here"
    write_there(desk)
    desk.sync()
    assert text_here(desk) == "changed there"


@pytest.mark.parametrize("kind", [APPOINTMENT])
def test_a_change_of_its_record_does_not_reach_somebody_elses_meeting(desk):
    received(desk)
    write_here(desk)
    desk.sync()
    assert (text_there(desk), desk.link().withheld) == ("text", {"body": "not_organizer"})


@pytest.mark.parametrize("kind", [APPOINTMENT])
def test_a_change_by_its_organizer_reaches_the_record(desk):
    received(desk)
    write_there(desk)
    desk.sync()
    assert text_here(desk) == "changed there"


# -- deleted


@pytest.mark.parametrize("kind", [APPOINTMENT, TASK])
def test_deleting_a_record_takes_its_entry_to_the_deleted_items(desk):
    record(desk)
    desk.sync()
    delete_here(desk)
    desk.sync()
    assert (desk.there(), in_bin(desk)) == ([], 1)


@pytest.mark.parametrize("kind", [CONTACT])
def test_deleting_the_owners_contact_leaves_their_address_book_alone(desk):
    record(desk)
    desk.sync()
    delete_here(desk)
    desk.sync()
    assert (len(desk.there()), desk.link().reason) == (1, "contact_deleted_own")


@each_kind
def test_deleting_somebody_elses_record_takes_its_entry_to_the_deleted_items(desk):
    theirs(desk)
    desk.sync()
    delete_here(desk)
    desk.sync()
    assert (desk.there(), in_bin(desk)) == ([], 1)


@pytest.mark.parametrize("kind", [APPOINTMENT])
def test_deleting_the_record_of_an_appointment_that_is_over_leaves_the_entry(desk):
    record(desk, days=1)
    desk.sync()
    desk.now += timedelta(days=3)
    delete_here(desk)
    desk.sync()
    assert (len(desk.there()), desk.link().reason) == (1, "appointment_deleted_past")


@pytest.mark.parametrize("kind", [APPOINTMENT])
def test_deleting_the_record_of_somebody_elses_meeting_leaves_the_meeting(desk):
    received(desk)
    delete_here(desk)
    desk.sync()
    assert (len(desk.there()), desk.link().reason) == (1, "appointment_deleted_not_organizer")


@pytest.mark.parametrize("kind", [TASK])
def test_deleting_the_record_of_a_finished_task_leaves_the_entry(desk):
    record(desk, status="Completed", percent_complete=100)
    desk.sync()
    delete_here(desk)
    desk.sync()
    assert (len(desk.there()), desk.link().reason) == (1, "task_deleted_completed")


@pytest.mark.parametrize("kind", [APPOINTMENT, TASK])
def test_throwing_the_entry_away_deletes_the_owners_record(desk):
    record(desk)
    desk.sync()
    throw_away(desk)
    assert is_deleted(desk)


@pytest.mark.parametrize("kind", [CONTACT])
def test_throwing_the_entry_of_a_contact_away_leaves_the_record(desk):
    record(desk)
    desk.sync()
    throw_away(desk)
    assert (is_deleted(desk), desk.link().reason) == (False, "contact_gone")


@each_kind
def test_throwing_the_entry_away_leaves_somebody_elses_record(desk):
    theirs(desk)
    desk.sync()
    throw_away(desk)
    assert not is_deleted(desk)
    assert desk.link().unlinked_at is not None


@pytest.mark.parametrize("kind", [APPOINTMENT])
def test_throwing_an_appointment_away_that_is_over_leaves_the_record(desk):
    record(desk, days=1)
    desk.sync()
    desk.now += timedelta(days=3)
    throw_away(desk)
    assert (is_deleted(desk), desk.link().reason) == (False, "appointment_gone_past")


@pytest.mark.parametrize("kind", [APPOINTMENT])
def test_throwing_an_appointment_away_that_was_held_leaves_the_record(desk):
    record(desk, status="completed")
    desk.sync()
    throw_away(desk)
    assert (is_deleted(desk), desk.link().reason) == (False, "appointment_gone_completed")


@pytest.mark.parametrize("kind", [APPOINTMENT])
def test_throwing_somebody_elses_meeting_away_leaves_the_record(desk):
    record(desk)
    row = Appointment.objects.get()
    Attendance.objects.create(appointment=row, role=Attendance.Role.ORGANIZER, email="kim@customer.example")
    desk.sync()
    throw_away(desk)
    assert (is_deleted(desk), desk.link().reason) == (False, "appointment_gone_not_organizer")


@pytest.mark.parametrize("kind", [TASK])
def test_throwing_a_finished_task_away_leaves_the_record(desk):
    record(desk, status="Completed", percent_complete=100)
    desk.sync()
    throw_away(desk)
    assert (is_deleted(desk), desk.link().reason) == (False, "task_gone_completed")


@each_kind
def test_an_entry_that_vanishes_without_a_trace_leaves_the_record(desk):
    record(desk)
    desk.sync()
    desk.server.remove(desk.link().item_id)
    desk.sync()
    desk.sync(later=timedelta(minutes=15))
    assert (is_deleted(desk), desk.link().reason) == (False, "entry_vanished")


@each_kind
def test_losing_sight_of_a_record_leaves_both_sides(desk):
    record(desk)
    desk.sync()
    MODELS[desk.kind]._default_manager.update(owner=User.objects.create_user("ben"), modified_at=desk.now)
    desk.sync(full=True)
    assert (len(desk.there()), is_deleted(desk), desk.link().reason) == (1, False, "access_lost")


@each_kind
def test_leaving_the_filters_leaves_both_sides(desk):
    record(desk)
    desk.sync()
    desk.filter.active = False
    desk.filter.save()
    desk.sync(full=True)
    assert (len(desk.there()), is_deleted(desk), desk.link().reason) == (1, False, "filter_left")


@each_kind
def test_taking_the_category_away_leaves_both_sides(desk):
    item = desk.entry(values(desk), categories=(CATEGORY,))
    desk.sync()
    desk.server.change_entry(item, {}, categories=())
    desk.sync()
    assert (len(desk.there()), is_deleted(desk), desk.link().reason) == (1, False, "untracked")
