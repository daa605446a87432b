"""One meeting in several mailboxes: one record, linked to each of them, and only the organiser's copy speaks for it."""

from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth.models import Permission

from mailboxes.provider.entries import Attendee, EntryKind, Field, Span, Value
from tests.tracking.linked.desk import Desk
from tracking.linked.compare import CATEGORY
from tracking.models import Appointment, ItemLink

pytestmark = pytest.mark.django_db

TEN = datetime(2026, 3, 9, 10, 0, tzinfo=UTC)
KIM = "kim@customer.example"


@pytest.fixture
def anna(at):
    return at(EntryKind.APPOINTMENT)


@pytest.fixture
def ben(anna):
    return Desk(EntryKind.APPOINTMENT, name="ben", office=anna.office)


def see_all(*desks: Desk) -> None:
    """Let people see everybody's records, but have nobody's flow to them beside their own."""
    for desk in desks:
        desk.owner.user_permissions.add(Permission.objects.get(codename="read_all_records"))


def meeting(desk: Desk, *, organizer: str, invited: tuple[str, ...], uid: str = "meeting-1", **more) -> str:
    """Have a copy of the meeting in a calendar, marked by its owner."""
    said: dict[Field, Value] = {
        Field.SUBJECT: "Offer", Field.BODY: "text", Field.SPAN: Span(TEN, TEN + timedelta(hours=1), "UTC"),
        Field.ORGANIZER: (Attendee(organizer),), Field.REQUIRED: tuple(map(Attendee, invited)),
    }  # fmt: skip
    here = organizer == desk.mailbox.address
    return desk.entry(said, uid=uid, organized_here=here, categories=(CATEGORY,), **more)


def both(anna: Desk, ben: Desk, organizer: str) -> tuple[str, str]:
    """Have the meeting in both calendars; return the ids of the copies."""
    invited = tuple(each.mailbox.address for each in (anna, ben) if each.mailbox.address != organizer)
    return meeting(anna, organizer=organizer, invited=invited), meeting(ben, organizer=organizer, invited=invited)


def body(desk: Desk, item: str) -> object:
    return desk.server.entry(item).values.get(Field.BODY)


@pytest.mark.parametrize("organizer", ["anna@office.example", KIM])
def test_the_second_copy_of_a_meeting_joins_the_record_of_the_first(anna, ben, organizer):
    see_all(ben)
    both(anna, ben, organizer)
    anna.sync()
    ben.sync()
    record = Appointment.objects.get()
    assert record.owner == anna.owner
    linked = ItemLink.objects.values_list("mailbox__address", "record_id")
    assert set(linked) == {(anna.mailbox.address, record.pk), (ben.mailbox.address, record.pk)}
    for desk in (anna, ben, anna):
        again = desk.sync(full=True)
        assert (again.written, again.taken, again.linked, again.conflicts) == (0, 0, 0, 0)


def test_who_may_not_see_the_record_gets_their_own(anna, ben):
    both(anna, ben, anna.mailbox.address)
    anna.sync()
    ben.sync()
    assert {row.owner.username for row in Appointment.objects.all()} == {"anna", "ben"}


def test_a_uid_alone_proves_nothing(anna, ben):
    see_all(ben)
    meeting(anna, organizer=anna.mailbox.address, invited=(KIM,))
    anna.sync()
    # The record does not name Ben; that his own copy does is what he wrote there.
    meeting(ben, organizer=anna.mailbox.address, invited=(KIM, ben.mailbox.address))
    ben.sync()
    assert Appointment.objects.count() == 2


def test_a_uid_under_another_organizer_is_another_meeting(anna, ben):
    see_all(ben)
    meeting(anna, organizer=KIM, invited=(anna.mailbox.address, ben.mailbox.address))
    anna.sync()
    meeting(ben, organizer="eve@elsewhere.example", invited=(anna.mailbox.address, ben.mailbox.address))
    ben.sync()
    assert Appointment.objects.count() == 2


def test_an_organizer_who_may_not_write_the_record_of_somebody_invited_gets_their_own(anna, ben):
    see_all(anna)
    both(anna, ben, anna.mailbox.address)
    ben.sync()
    anna.sync()
    assert {row.owner.username for row in Appointment.objects.all()} == {"anna", "ben"}


def test_the_organizers_change_reaches_the_record_and_no_other_calendar(anna, ben):
    see_all(ben)
    mine, theirs = both(anna, ben, anna.mailbox.address)
    anna.sync()
    ben.sync()
    anna.server.change_entry(mine, {Field.BODY: "later"})
    anna.sync()
    ben.sync()
    assert (Appointment.objects.get().description, body(ben, theirs)) == ("later", "text")


def test_a_copy_of_somebody_invited_never_writes_what_the_organizer_arranges(anna, ben):
    see_all(ben)
    mine, theirs = both(anna, ben, anna.mailbox.address)
    anna.sync()
    ben.sync()
    # Also when the record is Ben's by now.
    Appointment.objects.update(owner=ben.owner, modified_at=anna.now)
    see_all(anna)
    ben.server.change_entry(theirs, {Field.BODY: "my notes"})
    for desk in (ben, anna, ben, anna):
        desk.sync(full=True)
    assert (Appointment.objects.get().description, body(anna, mine), body(ben, theirs)) == ("text", "text", "my notes")
    assert ItemLink.objects.get(mailbox=ben.mailbox).withheld["body"] in ("not_organizer", "may_not_write")


def test_a_change_of_the_record_reaches_the_organizers_copy_alone(anna, ben):
    see_all(ben)
    mine, theirs = both(anna, ben, anna.mailbox.address)
    anna.sync()
    ben.sync()
    anna.now += timedelta(seconds=1)
    record = Appointment.objects.get()
    record.description = "ours"
    record.save()
    for desk in (ben, anna, ben, anna):
        desk.sync()
    assert (body(anna, mine), body(ben, theirs)) == ("ours", "text")
    assert anna.server.notices == []


def test_deleting_the_joined_record_leaves_the_copy_of_whoever_was_invited(anna, ben):
    see_all(ben)
    both(anna, ben, anna.mailbox.address)
    anna.sync()
    ben.sync()
    record = Appointment.objects.get()
    record.deleted_at = anna.now
    record.save()
    anna.sync()
    ben.sync()
    assert (len(anna.there()), len(ben.there())) == (0, 1)


def test_the_copy_beside_the_records_own_entry_is_no_second_link(anna, ben):
    see_all(ben)
    meeting(anna, organizer=anna.mailbox.address, invited=(ben.mailbox.address,))
    anna.sync()
    ben.filter.conditions = {"any": False, "parts": []}
    ben.filter.save()
    ben.sync()
    meeting(ben, organizer=anna.mailbox.address, invited=(ben.mailbox.address,))
    ben.sync()
    assert Appointment.objects.count() == 1
    assert ItemLink.objects.filter(mailbox=ben.mailbox).count() == 1


def test_dying_while_it_joins_links_once(anna, ben):
    see_all(ben)
    both(anna, ben, anna.mailbox.address)
    anna.sync()
    ben.server.fail("entries", KeyboardInterrupt(), nth=2)
    with pytest.raises(KeyboardInterrupt):
        ben.sync()
    ben.sync()
    assert Appointment.objects.count() == 1
    assert ItemLink.objects.filter(mailbox=ben.mailbox, unlinked_at=None).count() == 1
