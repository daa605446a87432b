"""Two who act at the same moment: a person and a run, or two people. Neither's last word is lost, and none is misheard."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from mailboxes.provider.entries import EntryKind, Field
from mailboxes.provider.errors import ItemGone, ItemUnreadable, Unavailable
from security.models import User
from tracking import channels
from tracking.channels import Channel
from tracking.linked import channel, settle
from tracking.linked.session import PUSHED_AT_ONCE
from tracking.models import Activity, FieldConflict, ItemLink, LinkState

pytestmark = pytest.mark.django_db
TASK = EntryKind.TASK


def test_what_is_written_anew_while_it_is_being_sent_stands(at):
    desk = at(TASK)
    task = desk.record(subject="Call")
    desk.sync()
    task.refresh_from_db()
    task.subject = "Call Kim"
    task.save()

    def colleague():
        # Before our own write of the first correction is noted there.
        type(task).objects.filter(pk=task.pk).update(subject="Call Kim at nine", modified_at=desk.now)
        desk.now += timedelta(seconds=1)

    desk.server.before("update_entry", colleague)
    desk.sync()
    desk.sync()
    task.refresh_from_db()
    (entry,) = desk.there()
    assert (task.subject, entry.values[Field.SUBJECT]) == ("Call Kim at nine", "Call Kim at nine")
    assert not FieldConflict.objects.exists()


def switch(desk, *, on):
    channel.switch(desk.mailbox, on=on, by="marta", now=desk.now)


@pytest.fixture
def full_desk(at):
    """A desk with many tasks that are not in the mailbox yet."""
    desk = at(TASK)
    switch(desk, on=True)
    for number in range(60):
        desk.record(subject=f"Call {number}")
    return desk


def test_s15_a_channel_that_is_switched_off_in_the_middle_of_a_run_writes_no_more(full_desk):
    desk = full_desk
    desk.server.before("create_entry", lambda: switch(desk, on=False), nth=5)
    desk.office.sync(desk.mailbox)
    made = len(desk.there())
    assert made <= PUSHED_AT_ONCE
    desk.office.sync(desk.mailbox)
    assert len(desk.there()) == made
    switch(desk, on=True)
    desk.office.sync(desk.mailbox)
    assert len(desk.there()) == 60


def test_s15_a_channel_that_was_switched_off_before_its_turn_writes_nothing(full_desk):
    desk = full_desk
    desk.office.sync(desk.mailbox)
    task = desk.record(subject="Late")
    desk.server.before("counters", lambda: switch(desk, on=False))
    desk.office.sync(desk.mailbox, full=False)
    assert not [entry for entry in desk.there() if entry.values[Field.SUBJECT] == task.subject]


def test_s15_mail_is_read_no_more_once_its_channel_is_off(at):
    desk = at(TASK)
    for _number in range(3):
        desk.server.deliver(desk.mailbox.address, sender="kim@customer.example", to=[desk.mailbox.address])
    desk.server.before(
        "counters", lambda: channels.switch(desk.mailbox, Channel.INCOMING, on=False, by="marta", now=desk.now)
    )
    desk.office.sync(desk.mailbox)
    assert not Activity.objects.exists()


def test_a_brake_lets_go_what_was_listed_when_it_was_released(at):
    desk = at(TASK)
    tasks = [desk.record(subject=f"Call {number}") for number in range(30)]
    desk.sync()

    def throw_away(some):
        desk.now += timedelta(minutes=1)
        type(tasks[0]).objects.filter(pk__in=[each.pk for each in some]).update(
            deleted_at=desk.now, modified_at=desk.now
        )

    throw_away(tasks[:10])
    desk.sync()
    state = LinkState.objects.get()
    assert len(state.brake) == 10
    throw_away(tasks[10:20])
    # While a run is at what came later, somebody lets go what the page lists.
    seen = settle.listed(state)
    desk.server.before("entries", lambda: settle.release_brake(state, seen=seen, by="marta", now=desk.now))
    desk.sync()
    desk.sync(full=True)
    assert len(desk.there()) == 20
    state.refresh_from_db()
    assert (len(state.brake), state.released_at) == (10, None)


def test_a_list_that_grew_since_it_was_looked_at_is_looked_at_again(at):
    desk = at(TASK)
    for number in range(10):
        desk.record(subject=f"Call {number}")
    desk.sync()
    desk.now += timedelta(minutes=1)
    desk.record(subject="later").__class__.objects.filter(subject__startswith="Call").update(
        deleted_at=desk.now, modified_at=desk.now
    )
    desk.sync()
    state = LinkState.objects.get()
    seen = settle.listed(state)
    LinkState.objects.update(brake=[*state.brake, {"link": 1, "remedy": "delete_entry", "code": "task_deleted"}])
    with pytest.raises(settle.ListChanged):
        settle.release_brake(state, seen=seen, by="marta", now=desk.now)
    assert LinkState.objects.get().released_at is None


def test_what_others_change_that_does_not_concern_a_mailbox_is_not_gone_through_by_it(at):
    desk = at(TASK)
    mine = desk.record(subject="Mine")
    desk.sync()
    ben = User.objects.create(username="ben")

    def statements(number):
        type(mine).objects.bulk_create(type(mine)(owner=ben, subject=f"Ben's {each}") for each in range(number))
        with CaptureQueriesContext(connection) as captured:
            desk.sync()
        return len(captured)

    statements(1)
    assert statements(PUSHED_AT_ONCE * 5) == statements(1)
    assert len(desk.there()) == 1


def test_an_entry_that_is_thrown_away_while_it_is_compared_keeps_nothing_else_from_being_done(at):
    desk = at(TASK)
    tasks = [desk.record(subject=f"Call {number}") for number in range(3)]
    desk.sync()
    desk.now += timedelta(minutes=1)
    for task in tasks:
        task.refresh_from_db()
        task.description = "new"
        task.save()
    item = ItemLink.objects.get(record_id=tasks[0].pk).item_id
    desk.server.before("update_entry", lambda: desk.server.remove(item))
    desk.server.fail("update_entry", ItemGone())
    desk.sync()
    assert [entry.values[Field.BODY] for entry in desk.there()] == ["new", "new"]
    desk.sync()
    assert ItemLink.objects.get(item_id=item).gone_at is not None


def test_an_entry_that_cannot_be_read_after_a_crash_keeps_no_other_from_being_made(at):
    desk = at(TASK)
    desk.record(subject="First")
    desk.server.lose("create_entry", Unavailable())
    with pytest.raises(Unavailable):
        desk.sync()
    (item,) = desk.server.item_ids(desk.mailbox.address, "tasks")
    desk.server.fail_item(item, ItemUnreadable())
    desk.record(subject="Second")
    desk.sync()
    assert len(desk.server.item_ids(desk.mailbox.address, "tasks")) == 2
