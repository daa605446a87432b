"""Records and entries kept in step by whole runs over a mail system in memory."""

from datetime import UTC, date, datetime, timedelta

import pytest

from mailboxes.provider.entries import Attendee, EntryKind, Field, FullName, Span
from mailboxes.provider.errors import Unavailable
from security.models import User
from tracking.engine.filter_queries import MODELS
from tracking.linked.compare import CATEGORY
from tracking.models import Appointment, Contact, FieldConflict, FieldDirection, ItemDecision, ItemLink, LinkState, Task

pytestmark = pytest.mark.django_db

TASK, CONTACT, APPOINTMENT = EntryKind.TASK, EntryKind.CONTACT, EntryKind.APPOINTMENT
TEN = datetime(2026, 3, 9, 10, 0, tzinfo=UTC)


def test_a_record_that_flows_gets_its_entry_and_the_next_run_finds_nothing_to_do(at):
    desk = at(TASK)
    desk.record(subject="Call Kim", due_date=date(2026, 3, 5))
    desk.record(subject="Somebody else's", owner=User.objects.create_user("ben"))
    assert desk.sync().written == 1
    (entry,) = desk.there()
    assert (entry.values[Field.SUBJECT], entry.values[Field.DUE]) == ("Call Kim", date(2026, 3, 5))
    assert entry.marks.stamp == desk.link().stamp
    before = desk.server.calls.copy()
    again = desk.sync()
    assert (again.written, again.taken, again.linked) == (0, 0, 0)
    assert desk.server.calls - before == {(desk.mailbox.address, "changes"): 1}


def test_changes_flow_both_ways_field_by_field(at):
    desk = at(TASK)
    task = desk.record(subject="Call Kim", description="About the offer")
    desk.sync()
    task.refresh_from_db()
    desk.now += timedelta(minutes=1)
    task.subject = "Call Kim back"
    task.save()
    desk.server.change_entry(desk.link().item_id, {Field.BODY: "About the price", Field.DUE: date(2026, 3, 6)})
    desk.sync()
    task.refresh_from_db()
    (entry,) = desk.there()
    assert (task.subject, task.description, task.due_date) == ("Call Kim back", "About the price", date(2026, 3, 6))
    assert (entry.values[Field.SUBJECT], entry.values[Field.BODY]) == ("Call Kim back", "About the price")
    assert not FieldConflict.objects.exists()


@pytest.mark.parametrize("newer", ["crm", "exchange"])
def test_where_both_sides_changed_the_newer_wins_and_both_values_are_kept(at, newer):
    desk = at(TASK)
    task = desk.record(subject="Offer")
    desk.sync()
    sides = [
        lambda: desk.server.change_entry(desk.link().item_id, {Field.SUBJECT: "theirs"}),
        lambda: (setattr(task, "subject", "ours"), task.save()),
    ]
    task.refresh_from_db()
    for change in sides if newer == "crm" else reversed(sides):
        desk.now += timedelta(minutes=1)
        change()
    desk.sync()
    conflict = FieldConflict.objects.get()
    assert (conflict.base, conflict.ours, conflict.theirs, conflict.winner) == ("Offer", "ours", "theirs", newer)
    wanted = "ours" if newer == "crm" else "theirs"
    task.refresh_from_db()
    assert (task.subject, desk.there()[0].values[Field.SUBJECT]) == (wanted, wanted)
    desk.sync()
    assert FieldConflict.objects.count() == 1


def test_what_nobody_marked_is_left_alone_and_not_read(at):
    desk = at(TASK)
    desk.entry({Field.SUBJECT: "Buy flowers"})
    desk.entry({Field.SUBJECT: "Doctor"}, sensitivity="Private", categories=(CATEGORY,))
    desk.sync()
    assert set(ItemDecision.objects.values_list("reason", flat=True)) == {"not_marked", "private"}
    assert desk.server.calls[desk.mailbox.address, "entries"] == 0
    assert not Task.objects.exists()


@pytest.mark.parametrize("kind", EntryKind)
def test_s27_what_its_owner_marks_becomes_a_record_and_flows_from_then_on(at, kind):
    values = {
        TASK: {Field.SUBJECT: "Call", Field.BODY: "About the offer"},
        CONTACT: {Field.NAME: FullName("Kim", "", "Puig"), Field.EMAIL1: "kim@c.example"},
        APPOINTMENT: {
            Field.SUBJECT: "Visit",
            Field.SPAN: Span(TEN, TEN + timedelta(hours=1), "Europe/Madrid"),
            Field.REQUIRED: (Attendee("kim@c.example", "Kim"),),
        },
    }[kind]
    desk = at(kind)
    item = desk.entry(values)
    desk.sync()
    assert not ItemLink.objects.exists()
    desk.server.change_entry(item, {}, categories=("Red", CATEGORY))
    assert desk.sync().linked == 1
    assert desk.link().born_in == "exchange"
    record = MODELS[kind]._default_manager.get(pk=desk.link().record_id)
    assert record.owner == desk.owner
    desk.sync()
    assert desk.there()[0].marks.stamp == desk.link().stamp
    # No filter speaks of it, and it stays linked all the same.
    desk.filter.delete()
    desk.sync(full=True)
    assert desk.link().unlinked_at is None
    name = Field.NAME if kind is CONTACT else Field.SUBJECT
    if kind is CONTACT:
        record.last_name = "Serra"
    else:
        record.subject = "Changed"
    record.save()
    desk.sync()
    entry = next(each for each in desk.there() if each.marks.item_id == desk.link().item_id)
    assert entry.values[name] == (FullName("Kim", "", "Serra") if kind is CONTACT else "Changed")


def test_s27_taking_the_category_away_unlinks_and_giving_it_again_links_again(at):
    desk = at(TASK)
    item = desk.entry({Field.SUBJECT: "Call"}, categories=(CATEGORY,))
    desk.sync()
    desk.server.change_entry(item, {Field.BODY: "mine alone"}, categories=())
    desk.sync()
    assert (desk.link().reason, Task.objects.get().description, Task.objects.get().deleted_at) == (
        "untracked",
        "",
        None,
    )
    desk.server.change_entry(item, {Field.BODY: "still mine"})
    desk.sync()
    assert Task.objects.get().description == ""
    assert ItemDecision.objects.get().reason == "not_marked"
    desk.server.change_entry(item, {}, categories=(CATEGORY,))
    desk.sync()
    assert (desk.link().unlinked_at, Task.objects.get().description) == (None, "still mine")
    assert Task.objects.count() == 1


def test_a_copy_of_a_linked_entry_is_no_second_record(at):
    desk = at(TASK)
    desk.record(subject="Call")
    desk.sync()
    desk.entry({Field.SUBJECT: "Call"}, stamp=desk.link().stamp, categories=(CATEGORY,))
    desk.sync()
    assert ItemDecision.objects.filter(reason="copy_of_linked").count() == 1
    assert Task.objects.count() == 1


@pytest.mark.parametrize("lost", [False, True])
def test_a_crash_while_an_entry_is_made_makes_none_twice(at, lost):
    desk = at(TASK)
    desk.record(subject="Call")
    (desk.server.lose if lost else desk.server.fail)("create_entry", Unavailable())
    with pytest.raises(Unavailable):
        desk.sync()
    desk.sync()
    assert len(desk.there()) == 1
    assert desk.link().item_id == desk.there()[0].marks.item_id
    desk.sync()
    assert (len(desk.there()), ItemLink.objects.count()) == (1, 1)


def test_a_crash_while_an_entry_is_changed_is_agreement_next_time(at):
    desk = at(TASK)
    task = desk.record(subject="Call")
    desk.sync()
    task.refresh_from_db()
    task.subject = "Call Kim"
    task.save()
    desk.server.lose("update_entry", Unavailable())
    with pytest.raises(Unavailable):
        desk.sync()
    desk.sync()
    assert desk.there()[0].values[Field.SUBJECT] == "Call Kim"
    assert not FieldConflict.objects.exists()


def test_somebody_who_writes_at_the_same_moment_is_not_overwritten(at):
    desk = at(TASK)
    task = desk.record(subject="Call", description="old")
    desk.sync()
    task.refresh_from_db()
    task.subject = "Call Kim"
    task.save()
    item = desk.link().item_id
    desk.server.before("update_entry", lambda: desk.server.change_entry(item, {Field.BODY: "new"}))
    desk.sync()
    task.refresh_from_db()
    (entry,) = desk.there()
    assert (entry.values[Field.SUBJECT], entry.values[Field.BODY]) == ("Call Kim", "new")
    assert (task.subject, task.description) == ("Call Kim", "new")


def test_a_colleague_who_changes_the_record_at_the_same_moment_loses_nothing(at):
    desk = at(TASK)
    task = desk.record(subject="Call", description="old")
    desk.sync()
    task.refresh_from_db()
    task.subject = "Call Kim"
    task.save()
    desk.server.change_entry(desk.link().item_id, {Field.BODY: "new"})

    def colleague():
        desk.now += timedelta(seconds=1)
        Task.objects.filter(pk=task.pk).update(due_date=date(2026, 3, 9), modified_at=desk.now)

    desk.server.before("update_entry", colleague)
    desk.sync()
    task.refresh_from_db()
    assert (task.subject, task.description, task.due_date) == ("Call Kim", "new", date(2026, 3, 9))
    desk.sync()
    (entry,) = desk.there()
    assert (entry.values[Field.SUBJECT], entry.values[Field.DUE]) == ("Call Kim", date(2026, 3, 9))
    assert not FieldConflict.objects.exists()


def test_an_entry_that_moves_and_comes_back_is_the_same(at):
    desk = at(TASK)
    desk.record(subject="Call")
    desk.sync()
    item = desk.server.move(desk.link().item_id, "drafts")
    desk.sync()
    assert desk.link().gone_at is not None
    desk.server.move(item, desk.folder.role)
    desk.sync()
    assert (desk.link().gone_at, desk.link().unlinked_at, Task.objects.get().deleted_at) == (None, None, None)
    assert desk.link().item_id == desk.there()[0].marks.item_id


def test_what_the_owner_throws_away_follows_the_table_and_is_not_made_again(at):
    desk = at(TASK)
    desk.record(subject="Call")
    desk.sync()
    desk.server.bin_entry(desk.link().item_id, telling=False)
    desk.sync()
    assert Task.objects.get().deleted_at is None
    desk.sync(later=timedelta(minutes=15))
    assert Task.objects.get().deleted_at is not None
    assert desk.link().reason == "task_gone"
    Task.objects.update(deleted_at=None, modified_at=desk.now)
    desk.sync(full=True)
    assert desk.there() == []


def test_an_entry_that_vanishes_takes_no_record_with_it(at):
    desk = at(TASK)
    desk.record(subject="Call")
    desk.sync()
    desk.server.remove(desk.link().item_id)
    desk.sync()
    desk.sync(later=timedelta(minutes=15))
    assert Task.objects.get().deleted_at is None
    assert desk.link().reason == "entry_vanished"


def test_a_record_that_is_deleted_takes_its_entry_along(at):
    desk = at(TASK)
    task = desk.record(subject="Call")
    desk.sync()
    desk.now += timedelta(minutes=1)
    Task.objects.filter(pk=task.pk).update(deleted_at=desk.now, modified_at=desk.now)
    desk.sync()
    assert desk.there() == []
    assert desk.link().reason == "task_deleted"


def test_s13_losing_sight_of_a_record_only_unlinks_and_getting_it_back_links_again(at):
    desk = at(CONTACT)
    contact = desk.record(last_name="Puig")
    desk.sync()
    ben = User.objects.create_user("ben")
    Contact.objects.update(owner=ben, modified_at=desk.now)
    desk.sync()
    assert (len(desk.there()), desk.link().reason) == (1, "access_lost")
    contact.refresh_from_db()
    contact.owner, contact.job_title = desk.owner, "Buyer"
    desk.now += timedelta(minutes=1)
    contact.save()
    desk.sync()
    assert desk.link().unlinked_at is None
    assert [entry.values[Field.JOB_TITLE] for entry in desk.there()] == ["Buyer"]


def test_s16_leaving_the_filter_only_unlinks(at):
    desk = at(TASK)
    desk.record(subject="Call")
    desk.sync()
    desk.filter.conditions = {"parts": [{"column": "subject", "operator": "is", "value": "Other"}]}
    desk.filter.save()
    desk.sync(full=True)
    assert (len(desk.there()), desk.link().reason) == (1, "filter_left")


def test_s13_a_record_of_somebody_else_is_shown_and_not_written(at):
    desk = at(CONTACT)
    ben = User.objects.create_user("ben")
    contact = desk.record(last_name="Puig", job_title="Buyer", owner=ben)
    desk.filter.conditions = {"parts": []}
    desk.filter.save()
    desk.owner.is_superuser = True
    desk.owner.save()
    desk.sync()
    desk.server.change_entry(desk.link().item_id, {Field.JOB_TITLE: "my own words"})
    desk.sync()
    contact.refresh_from_db()
    assert (contact.job_title, desk.there()[0].values[Field.JOB_TITLE]) == ("Buyer", "my own words")
    assert desk.link().withheld == {"job_title": "may_not_write"}


def test_s14_a_direction_holds(at):
    desk = at(TASK)
    FieldDirection.objects.create(
        sync_profile=desk.mailbox.sync_profile, kind=TASK, field=Field.BODY, direction="to_exchange"
    )
    task = desk.record(subject="Call", description="ours")
    desk.sync()
    desk.server.change_entry(desk.link().item_id, {Field.BODY: "theirs", Field.SUBJECT: "Call Kim"})
    desk.sync()
    task.refresh_from_db()
    assert (task.subject, task.description) == ("Call Kim", "ours")
    assert desk.there()[0].values[Field.BODY] == "theirs"


def test_past_appointments_are_not_made_and_a_meeting_of_somebody_else_is_not_written(at):
    desk = at(APPOINTMENT)
    desk.record(subject="Long ago", starts_at=desk.now - timedelta(days=2), ends_at=desk.now - timedelta(days=1))
    desk.sync()
    assert desk.there() == []
    span = Span(TEN, TEN + timedelta(hours=1), "Europe/Madrid")
    desk.entry(
        {Field.SUBJECT: "Their meeting", Field.SPAN: span, Field.REQUIRED: (Attendee(desk.mailbox.address),)},
        organized_here=False,
        categories=(CATEGORY,),
    )
    desk.sync()
    appointment = Appointment.objects.get(subject="Their meeting")
    appointment.subject = "Renamed"
    desk.now += timedelta(minutes=1)
    appointment.save()
    desk.sync()
    assert desk.there()[0].values[Field.SUBJECT] == "Their meeting"
    assert desk.link().withheld["subject"] == "not_organizer"


def test_the_brake_stops_a_run_that_would_delete_too_much_until_somebody_releases_it(at):
    desk = at(TASK)
    for number in range(10):
        desk.record(subject=f"Call {number}")
    desk.sync()
    desk.now += timedelta(minutes=1)
    Task.objects.update(deleted_at=desk.now, modified_at=desk.now)
    desk.sync()
    state = LinkState.objects.get()
    assert len(desk.there()) == 10
    assert (state.braked_at, len(state.brake)) == (desk.now, 10)
    desk.sync(full=True)
    assert len(desk.there()) == 10
    LinkState.objects.update(released_at=desk.now, released_by="marta")
    desk.sync(full=True)
    assert desk.there() == []
    state.refresh_from_db()
    assert (state.braked_at, state.brake) == (None, [])
