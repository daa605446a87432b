"""Nobody's text, entry or record gets lost, or gets out, by the odd turns that life takes: each of these once did."""

from datetime import UTC, date, datetime, timedelta

import pytest
from django.contrib.auth.models import Permission

from mailboxes.models import Mailbox, Run
from mailboxes.provider.entries import Attendee, EntryKind, Every, Field, Recurrence, Span
from mailboxes.provider.errors import ItemUnreadable, Unavailable, WriteRefused
from security.models import User
from tracking.linked import settle
from tracking.linked.compare import CATEGORY
from tracking.linked.session import Session
from tracking.models import (
    Account,
    Appointment,
    Contact,
    FieldConflict,
    FieldDirection,
    ItemFailure,
    ItemLink,
    LinkState,
    Task,
)
from tracking.sync.codec import encode
from tracking.sync.directions import Direction

pytestmark = pytest.mark.django_db
TASK, CONTACT, APPOINTMENT = EntryKind.TASK, EntryKind.CONTACT, EntryKind.APPOINTMENT
TEN = datetime(2026, 3, 9, 10, 0, tzinfo=UTC)


def open_tasks(desk):
    desk.filter.conditions = {
        "any": False,
        "parts": [
            {"column": "owner", "operator": "is_me"},
            {"column": "status", "operator": "is_not", "value": "Completed"},
        ],
    }
    desk.filter.save()


def test_an_entry_that_was_tidied_away_while_it_was_not_linked_takes_no_record_along(at):
    desk = at(TASK)
    open_tasks(desk)
    task = desk.record(subject="Call")
    desk.sync()
    item = desk.link().item_id
    desk.now += timedelta(minutes=1)
    task.refresh_from_db()
    task.status = "Completed"
    task.save()
    desk.sync()
    assert desk.link().reason == "filter_left"
    desk.server.bin_entry(item, telling=False)  # owner tidies up
    desk.sync(later=timedelta(days=3))
    task.refresh_from_db()
    task.status = "InProgress"
    task.save()
    desk.sync()
    desk.sync(later=timedelta(minutes=15))
    task.refresh_from_db()
    assert task.deleted_at is None, desk.link().reason


def test_a_received_meeting_that_moves_is_no_second_record(at):
    desk = at(APPOINTMENT)
    item = desk.entry(
        {
            Field.SUBJECT: "M",
            Field.SPAN: Span(TEN, TEN + timedelta(hours=1), "Europe/Madrid"),
            Field.REQUIRED: (Attendee(desk.mailbox.address),),
        },
        organized_here=False,
        categories=(CATEGORY,),
    )
    desk.sync()
    item = desk.server.move(item, "drafts")
    desk.sync()
    desk.server.move(item, desk.folder.role)
    desk.sync()
    assert Appointment.objects.count() == 1


def test_a_received_meeting_can_be_tracked_again(at):
    desk = at(APPOINTMENT)
    item = desk.entry(
        {
            Field.SUBJECT: "M",
            Field.SPAN: Span(TEN, TEN + timedelta(hours=1), "Europe/Madrid"),
            Field.REQUIRED: (Attendee(desk.mailbox.address),),
        },
        organized_here=False,
        categories=(CATEGORY,),
    )
    desk.sync()
    desk.server.change_entry(item, {}, categories=())
    desk.sync()
    assert desk.link().reason == "untracked"
    desk.server.change_entry(item, {}, categories=(CATEGORY,))
    desk.sync()
    assert Appointment.objects.count() == 1


def test_a_brake_holds_until_it_is_released_or_nothing_is_left(at):
    desk = at(TASK)
    for n in range(10):
        desk.record(subject=f"Call {n}")
    desk.sync()
    desk.now += timedelta(minutes=1)
    Task.objects.update(deleted_at=desk.now, modified_at=desk.now)
    desk.sync()
    desk.sync(later=timedelta(minutes=10))
    assert LinkState.objects.get().braked_at is not None


def test_a_release_lets_go_what_was_looked_at_and_nothing_else(at):
    desk = at(TASK)
    for n in range(10):
        desk.record(subject=f"Call {n}")
    for n in range(40):
        desk.record(subject=f"Other {n}")
    desk.sync()
    desk.now += timedelta(minutes=1)
    Task.objects.filter(subject__startswith="Call").update(deleted_at=desk.now, modified_at=desk.now)
    LinkState.objects.update(
        released_at=desk.now,
        braked_at=desk.now,
        brake=[
            {"link": pk}
            for pk in ItemLink.objects.filter(record_id__in=Task.objects.exclude(deleted_at=None)).values_list(
                "pk", flat=True
            )
        ],
    )
    desk.sync(full=True)
    Task.objects.filter(deleted_at=None).update(deleted_at=desk.now, modified_at=desk.now)
    desk.sync(later=timedelta(minutes=30))
    assert len(desk.there()) == 40


def test_one_refused_write_does_not_keep_the_others_from_their_turn(at):
    desk = at(TASK)
    a = desk.record(subject="A")
    b = desk.record(subject="B")
    desk.sync()
    desk.now += timedelta(minutes=1)
    for t in (a, b):
        t.refresh_from_db()
        t.description = "x"
        t.save()
    desk.server.fail("update_entry", WriteRefused("no"), times=1)
    desk.sync()


def test_marking_an_entry_whose_record_is_deleted_does_not_delete_the_entry(at):
    desk = at(TASK)
    item = desk.entry({Field.SUBJECT: "mine"}, categories=(CATEGORY,))
    desk.sync()
    desk.server.change_entry(item, {}, categories=())
    desk.sync()
    desk.now += timedelta(minutes=1)
    Task.objects.update(deleted_at=desk.now, modified_at=desk.now)
    desk.sync(later=timedelta(days=1))
    desk.server.change_entry(item, {}, categories=(CATEGORY,))
    desk.sync()
    desk.sync(full=True)
    assert len(desk.there()) == 1, desk.link().reason


def test_bringing_an_entry_back_restores_no_record_of_somebody_else(at):
    "undelete of a record that belongs to somebody else by now"
    desk = at(TASK)
    desk.record(subject="Call")
    desk.sync()
    new = desk.server.bin_entry(desk.link().item_id, telling=False)
    desk.sync()
    desk.sync(later=timedelta(minutes=15))
    t = Task.objects.get()
    assert t.deleted_at
    Task.objects.update(owner=User.objects.create_user("ben"))
    desk.server.move(new, desk.folder.role)
    desk.sync()
    assert Task.objects.get().deleted_at is not None


def test_a_copy_in_the_bin_is_not_the_entry(at):
    desk = at(TASK)
    desk.record(subject="Call")
    desk.sync()
    link = desk.link()
    copy = desk.entry({Field.SUBJECT: "Call"}, stamp=link.stamp)
    desk.sync()
    desk.server.bin_entry(copy, telling=False)
    desk.sync()
    desk.server.move(desk.link().item_id, "drafts")
    desk.sync()
    desk.sync(later=timedelta(minutes=15))
    assert Task.objects.get().deleted_at is None


def test_the_name_of_an_account_that_is_out_of_sight_is_neither_cleared_nor_replaced(at):
    desk = at(CONTACT)
    ben = User.objects.create_user("ben")
    acme = Account.objects.create(name="ACME", owner=desk.owner)
    Account.objects.create(name="Beta", owner=desk.owner)
    c = desk.record(last_name="Puig", account=acme)
    desk.sync()
    Account.objects.filter(pk=acme.pk).update(owner=ben)
    desk.now += timedelta(minutes=1)
    c.refresh_from_db()
    c.job_title = "x"
    c.save()
    desk.sync()
    desk.server.change_entry(desk.link().item_id, {Field.COMPANY: "Beta"})
    desk.sync()
    c.refresh_from_db()
    assert c.account == acme
    assert desk.there()[0].values.get(Field.COMPANY)


def test_a_series_that_is_over_is_not_made(at):
    desk = at(APPOINTMENT)
    s = datetime(2020, 1, 6, 9, tzinfo=UTC)
    desk.record(
        subject="old",
        starts_at=s,
        ends_at=s + timedelta(hours=1),
        zone="UTC",
        recurrence=encode(Recurrence(Every.WEEK, date(2020, 1, 6), until=date(2020, 3, 1))),
    )
    desk.sync()
    assert desk.there() == []


def test_an_entry_that_cannot_be_read_once_stays_linked(at):
    desk = at(TASK)
    t = desk.record(subject="Call")
    desk.sync()
    desk.now += timedelta(minutes=1)
    t.refresh_from_db()
    t.subject = "x"
    t.save()
    desk.server.fail_item(desk.link().item_id, ItemUnreadable("bad"))
    desk.sync()
    desk.server.heal()
    desk.sync(later=timedelta(minutes=15))
    desk.sync(full=True)
    assert desk.link().unlinked_at is None, desk.link().reason
    assert desk.there()[0].values[Field.SUBJECT] == "x"


def test_an_entry_that_fails_again_is_tried_again_and_heals(at):
    desk = at(TASK)
    item = desk.entry({Field.SUBJECT: "mine"}, categories=(CATEGORY,))
    desk.server.fail_item(item, ItemUnreadable("bad"))
    desk.sync()
    desk.sync(full=True, later=timedelta(hours=2))
    desk.server.heal()
    for _ in range(4):
        desk.sync(full=True, later=timedelta(hours=25))
    assert Task.objects.count() == 1, ItemFailure.objects.values()


def test_what_its_owner_makes_private_flows_no_more(at):
    desk = at(TASK)
    item = desk.entry({Field.SUBJECT: "mine"}, categories=(CATEGORY,))
    desk.sync()
    desk.server.change_entry(item, {Field.BODY: "my diagnosis"}, sensitivity="Private")
    desk.sync()
    assert Task.objects.get().description == ""


def test_a_category_that_was_taken_away_is_not_forgotten_by_a_fault(at):
    desk = at(TASK)
    item = desk.entry({Field.SUBJECT: "mine"}, categories=(CATEGORY,))
    desk.sync()
    desk.record(subject="other")
    desk.server.change_entry(item, {}, categories=())
    desk.server.fail("create_entry", Unavailable())
    with pytest.raises(Unavailable):
        desk.sync()
    desk.sync()
    desk.sync(full=True, later=timedelta(hours=1))
    link = ItemLink.objects.get(born_in="exchange")
    desk.server.bin_entry(item, telling=False)
    desk.sync()
    desk.sync(later=timedelta(minutes=15))
    assert Task.objects.get(pk=link.record_id).deleted_at is None


def test_the_owners_own_words_stay_when_a_colleague_changes_the_record(at):
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
    desk.now += timedelta(minutes=1)
    contact.refresh_from_db()
    contact.job_title = "Head"
    contact.save()
    desk.sync()
    assert desk.there()[0].values[Field.JOB_TITLE] == "my own words"


def test_the_organizer_in_the_crm_is_not_rewritten_by_a_mailbox(at):
    desk = at(APPOINTMENT)
    a = desk.record(subject="M", starts_at=TEN, ends_at=TEN + timedelta(hours=1), zone="UTC")
    a.attendees.create(role="organizer", email="boss@c.example")
    a.attendees.create(role="required", email="Kim@C.example", record_kind="contact", record_id=7)
    desk.sync()
    desk.server.change_entry(desk.link().item_id, {Field.LOCATION: "here"})
    desk.sync()
    desk.server.change_entry(desk.link().item_id, {Field.LOCATION: "there"})
    desk.sync()
    assert a.attendees.get(role="organizer").email == "boss@c.example"


def test_a_record_that_is_had_back_gets_an_entry_again(at):
    desk = at(TASK)
    desk.record(subject="Call")
    desk.sync()
    desk.now += timedelta(minutes=1)
    Task.objects.update(deleted_at=desk.now, modified_at=desk.now)
    desk.sync()
    Task.objects.update(deleted_at=None, modified_at=desk.now)
    desk.sync()
    desk.sync(full=True)
    assert len(desk.there()) == 1


def test_a_deletion_and_a_new_owner_meanwhile_are_not_undone(at):
    desk = at(TASK)
    t = desk.record(subject="Call")
    desk.sync()
    t.refresh_from_db()
    t.subject = "C2"
    desk.now += timedelta(minutes=1)
    t.save()
    desk.server.change_entry(desk.link().item_id, {Field.BODY: "new"})
    desk.server.before(
        "update_entry",
        lambda: Task.objects.filter(pk=t.pk).update(
            deleted_at=desk.now, modified_at=desk.now, owner=User.objects.create_user("ben")
        ),
    )
    desk.sync()
    t.refresh_from_db()
    assert t.deleted_at is not None
    assert t.owner.username == "ben"


def test_a_new_entry_costs_one_request(at):
    desk = at(TASK)
    for n in range(30):
        desk.record(subject=str(n))
    desk.sync()
    assert desk.server.calls[desk.mailbox.address, "find_stamp"] == 0


def test_a_conflict_outlives_a_lost_answer(at):
    desk = at(TASK)
    t = desk.record(subject="Call", description="old")
    desk.sync()
    desk.server.change_entry(desk.link().item_id, {Field.BODY: "theirs, an hour of notes"})
    desk.now += timedelta(minutes=1)
    t.refresh_from_db()
    t.description = "ours"
    t.save()
    desk.server.lose("update_entry", Unavailable())
    with pytest.raises(Unavailable):
        desk.sync()
    desk.sync()
    desk.sync(full=True)
    t.refresh_from_db()
    assert FieldConflict.objects.count() == 1


def test_a_conflict_outlives_a_second_look(at):
    desk = at(TASK)
    t = desk.record(subject="Call", description="old")
    desk.sync()
    desk.server.change_entry(desk.link().item_id, {Field.BODY: "theirs, an hour of notes"})
    desk.now += timedelta(minutes=1)
    t.refresh_from_db()
    t.description = "ours"
    t.save()

    def colleague():
        desk.now += timedelta(seconds=1)
        Task.objects.filter(pk=t.pk).update(due_date=date(2026, 3, 9), modified_at=desk.now)

    desk.server.before("update_entry", colleague)
    desk.sync()
    desk.sync()
    assert FieldConflict.objects.count() == 1


def test_a_record_that_was_refused_gets_its_entry_once_it_is_corrected(at):
    desk = at(TASK)
    t = desk.record(subject="Call")
    desk.server.fail("create_entry", WriteRefused("no"))
    desk.sync()
    desk.now += timedelta(minutes=1)
    t.refresh_from_db()
    t.subject = "Better"
    t.save()
    desk.sync()
    desk.sync(full=True)
    assert len(desk.there()) == 1


def test_an_old_conflict_does_not_overwrite_what_was_agreed_later(at):
    desk = at(TASK)
    t = desk.record(subject="Offer")
    desk.sync()
    desk.server.change_entry(desk.link().item_id, {Field.SUBJECT: "theirs"})
    desk.now += timedelta(minutes=1)
    t.refresh_from_db()
    t.subject = "ours"
    t.save()
    desk.sync()
    t.refresh_from_db()
    t.subject = "much later, agreed by all"
    t.save()
    desk.sync()
    with pytest.raises(settle.NotPossible):
        settle.take_other(FieldConflict.objects.get(), by=desk.owner, now=desk.now)
    t.refresh_from_db()
    assert t.subject == "much later, agreed by all"


def test_what_the_brake_holds_costs_no_request_in_every_run(at):
    desk = at(TASK)
    for n in range(30):
        desk.record(subject=str(n))
    desk.sync()
    for link in list(ItemLink.objects.all()):
        desk.server.bin_entry(link.item_id, telling=False)
    desk.sync()
    desk.sync(later=timedelta(minutes=11))
    b = desk.server.calls.copy()
    desk.sync()
    assert (desk.server.calls - b)[desk.mailbox.address, "find_stamp"] == 0


def test_a_long_list_of_records_gives_way_to_other_mailboxes(at):
    desk = at(TASK)
    for n in range(450):
        desk.record(subject=str(n))
    run = Run.objects.create(mailbox=desk.mailbox, claimed_at=desk.now, started_at=desk.now, heartbeat_at=desk.now)
    run.mailbox = Mailbox.objects.select_related("server", "sync_profile", "owner").get(pk=desk.mailbox.pk)
    s = Session(
        run,
        desk.server.provider(desk.mailbox.address),
        TASK,
        clock=lambda: desk.now,
        beat=lambda: None,
        stored=lambda x: None,
    )
    more = s.sync(desk.folder, changed=True, full=True, pause=lambda: True)
    assert more
    assert ItemLink.objects.count() < 450


def test_a_record_given_away_and_deleted_is_lost_from_sight_not_deleted_there(at):
    "access lost and then deleted before the next run: the entry goes?"
    desk = at(CONTACT)
    desk.record(last_name="P")
    desk.sync()
    desk.now += timedelta(minutes=1)
    Contact.objects.update(owner=User.objects.create_user("ben"), deleted_at=desk.now, modified_at=desk.now)
    desk.sync()
    assert len(desk.there()) == 1, desk.link().reason


def test_a_direction_that_is_opened_lets_flow_what_waited(at):
    desk = at(EntryKind.TASK)
    closed = FieldDirection.objects.create(
        sync_profile=desk.office.profile, kind=EntryKind.TASK, field=Field.BODY, direction=Direction.TO_CRM
    )
    desk.record(subject="Offer", description="ours")
    desk.sync()
    assert desk.there()[0].values[Field.BODY] is None
    assert desk.link().withheld == {"body": "direction"}
    closed.delete()
    assert desk.sync().written == 1
    assert desk.there()[0].values[Field.BODY] == "ours"
    assert desk.link().withheld == {}


def test_what_an_entry_may_not_give_its_record_is_said_on_the_link(at):
    desk = at(EntryKind.TASK)
    FieldDirection.objects.create(
        sync_profile=desk.office.profile, kind=EntryKind.TASK, field=Field.BODY, direction=Direction.TO_EXCHANGE
    )
    desk.entry({Field.SUBJECT: "Mine", Field.BODY: "my own words"}, categories=(CATEGORY,))
    desk.sync()
    task = Task.objects.get()
    assert (task.subject, task.description) == ("Mine", "")
    assert desk.link().withheld == {"body": "direction"}


def test_a_right_that_is_given_takes_effect_with_the_next_run(at):
    desk = at(EntryKind.TASK)
    desk.filter.conditions = {"any": False, "parts": []}
    desk.filter.save()
    desk.record(subject="Somebody else's", owner=User.objects.create_user("ben"))
    assert desk.sync().linked == 0
    desk.owner.user_permissions.add(Permission.objects.get(codename="read_all_records"))
    assert desk.sync().linked == 1


def test_what_the_server_makes_of_a_task_that_is_begun_again_reaches_its_record(at):
    desk = at(TASK)
    desk.entry({Field.SUBJECT: "Call", Field.STATUS: "Completed"}, categories=(CATEGORY,))
    desk.sync()
    task = Task.objects.get()
    assert (task.status, task.percent_complete, task.completed_on) == ("Completed", 100, desk.now.date())
    desk.now += timedelta(minutes=1)
    task.status = "InProgress"
    task.save()
    desk.sync()
    task.refresh_from_db()
    (entry,) = desk.there()
    assert (entry.values[Field.PERCENT], entry.values[Field.COMPLETED]) == (0, None)
    assert (task.status, task.percent_complete, task.completed_on) == ("InProgress", 0, None)
    again = desk.sync()
    assert (again.written, again.taken) == (0, 0)


def test_a_task_whose_record_contradicts_itself_says_what_the_server_made_of_it(at):
    desk = at(TASK)
    desk.record(subject="Call", status="InProgress", percent_complete=100)
    desk.sync()
    (entry,) = desk.there()
    task = Task.objects.get()
    assert (task.status, task.percent_complete) == (entry.values[Field.STATUS], entry.values[Field.PERCENT])


def test_a_copy_of_an_entry_that_was_untracked_is_a_copy_still(at):
    desk = at(TASK)
    item = desk.entry({Field.SUBJECT: "Call"}, categories=(CATEGORY,))
    desk.sync()
    desk.server.change_entry(item, {}, categories=())
    desk.sync()
    copy = desk.server.copy(item, desk.mailbox.address, "tasks")
    desk.server.change_entry(copy, {}, categories=(CATEGORY,))
    desk.sync()
    assert desk.link().reason == "untracked"
    desk.server.change_entry(item, {}, categories=(CATEGORY,))
    desk.sync()
    assert (desk.link().unlinked_at, desk.link().item_id, desk.link().copied) == (None, item, True)
    # The copy in the bin says nothing of the entry, which vanishes.
    desk.server.bin_entry(copy, telling=False)
    desk.server.remove(item)
    desk.sync()
    desk.sync(later=timedelta(minutes=15))
    assert Task.objects.get().deleted_at is None


def test_a_private_copy_in_the_bin_is_not_the_entry_either(at):
    desk = at(TASK)
    desk.record(subject="Call")
    desk.sync()
    item = desk.link().item_id
    copy = desk.server.copy(item, desk.mailbox.address, "tasks")
    desk.server.change_entry(copy, {}, sensitivity="Private")
    # The entry is elsewhere while its copy is seen for the first time, and comes back.
    away = desk.server.move(item, "drafts")
    desk.sync()
    back = desk.server.move(away, "tasks")
    desk.sync()
    assert desk.link().item_id == back
    desk.server.bin_entry(copy, telling=False)
    desk.server.remove(back)
    desk.sync()
    desk.sync(later=timedelta(minutes=15))
    assert (desk.link().reason, Task.objects.get().deleted_at) == ("entry_vanished", None)
