"""What is not kept in step, each with its reason: lists of people, tasks that come again, tasks that others have.

The rows are those of the table in docs/sync.md; both mail systems, in memory and over EWS.
"""

from datetime import date

import pytest

from mailboxes.provider.entries import Entry, EntryKind, Field
from tests.mailboxes.provider.conftest import sandbox  # noqa: F401 -- a fixture by its name
from tests.mailboxes.provider.worlds import EwsWorld, Letter, MemoryWorld
from tests.tracking.linked.places import Place, assign, put_list, repeat
from tracking.models import Contact, ItemDecision, ItemFailure, ItemLink, Task

pytestmark = pytest.mark.django_db
GIVEN = ("OwnNew", "Owned", "Accepted", "Declined")
# The error of what is left alone now, which earlier versions had.
AS_IT_WAS = "entry_kind"
TODO = {Field.SUBJECT: "Water the plants", Field.DUE: date(2026, 3, 6)}


@pytest.fixture(params=["memory", "ews"])
def world(request):
    return MemoryWorld() if request.param == "memory" else EwsWorld(request.getfixturevalue("sandbox"))


@pytest.fixture
def tasks(world):
    return Place(world, EntryKind.TASK)


@pytest.fixture
def read(monkeypatch):
    """Return the ids of what was read beyond its marks."""
    found = []

    def watch(place):
        entries = place.provider.entries
        monkeypatch.setattr(place.provider, "entries", lambda ids: found.extend(ids) or entries(ids))
        return found

    return watch


def subject_there(place, item_id):
    (found,) = place.provider.entries([item_id])
    assert isinstance(found, Entry)
    return found.values[Field.SUBJECT]


def test_a_distribution_list_is_left_alone_once_and_never_read_or_tried_again(world, read):
    place = Place(world, EntryKind.CONTACT)
    beyond = read(place)
    group = put_list(world)
    place.sync()
    decision = ItemDecision.objects.get(item_id=group)
    assert (decision.outcome, decision.reason) == ("refused", "distribution_list")
    assert not ItemFailure.objects.exists()
    decided = decision.decided_at
    place.sync(full=True)
    place.sync(full=True)
    decision.refresh_from_db()
    assert decision.decided_at == decided
    assert (beyond, Contact.objects.count(), ItemLink.objects.count()) == ([], 0, 0)


def test_a_message_among_the_tasks_is_left_alone(world, tasks):
    letter = world.deliver(Letter(), "tasks")
    tasks.sync()
    assert tasks.reasons() == {letter: "other_kind"}
    assert not ItemFailure.objects.exists()


def test_what_was_set_aside_for_its_kind_before_is_decided_on_when_it_is_due(world):
    place = Place(world, EntryKind.CONTACT)
    group = put_list(world)
    place.sync()
    decided = ItemDecision.objects.get()
    ItemDecision.objects.update(outcome="quarantined", reason="unreadable")
    ItemFailure.objects.create(
        mailbox=place.mailbox, folder=place.folder, item_id=group, code=AS_IT_WAS, first_at=decided.decided_at,
        last_at=decided.decided_at, retry_at=decided.decided_at, quarantined_at=decided.decided_at,
    )  # fmt: skip
    place.sync(full=True)
    assert place.reasons() == {group: "distribution_list"}
    assert ItemFailure.objects.get().resolved_at


@pytest.mark.parametrize("state", GIVEN)
def test_an_assigned_task_is_left_alone_however_it_is_marked_and_not_read(world, tasks, read, state):
    item = tasks.put(TODO)
    assign(world, item, state)
    beyond = read(tasks)
    tasks.sync()
    assert tasks.reasons() == {item: "assigned_task"}
    assert (beyond, Task.objects.count(), ItemLink.objects.count()) == ([], 0, 0)
    # Given back, it is one of theirs.
    assign(world, item, "NoMatch")
    tasks.sync()
    assert Task.objects.get().subject == TODO[Field.SUBJECT]


@pytest.mark.parametrize("regenerating", [False, True])
def test_a_recurring_task_is_left_alone_however_it_is_marked_and_not_read(world, tasks, read, regenerating):
    item = tasks.put(TODO)
    repeat(world, item, regenerating=regenerating)
    beyond = read(tasks)
    tasks.sync()
    assert tasks.reasons() == {item: "recurring_task"}
    assert (beyond, Task.objects.count()) == ([], 0)
    repeat(world, item, recurs=False)
    tasks.sync()
    assert Task.objects.get().subject == TODO[Field.SUBJECT]


def test_a_finished_turn_of_a_marked_task_is_a_task_of_its_own(world, tasks):
    item = tasks.put(TODO)
    repeat(world, item)
    tasks.sync()
    (marks,) = tasks.provider.marks([item])
    finished = tasks.provider.update_entry(item, marks.change_key, EntryKind.TASK, {Field.STATUS: "Completed"})
    tasks.sync()
    assert finished.item_id != item
    assert (Task.objects.get().status, ItemLink.objects.get().item_id) == ("Completed", finished.item_id)
    assert tasks.reasons()[item] == "recurring_task"


def given(world, item):
    assign(world, item, "Owned")


@pytest.mark.parametrize(("becomes", "reason"), [(given, "assigned_task"), (repeat, "recurring_task")])
@pytest.mark.parametrize("born_here", [True, False])
def test_a_linked_task_that_becomes_one_is_unlinked_unread_and_not_written(
    world, tasks, read, becomes, reason, born_here
):
    if born_here:
        tasks.record(subject=TODO[Field.SUBJECT], due_date=TODO[Field.DUE])
    else:
        tasks.put(TODO)
    tasks.sync()
    tasks.sync()
    item = ItemLink.objects.get().item_id
    beyond = read(tasks)
    becomes(world, item)
    Task.objects.update(subject="Changed here")
    task = Task.objects.get()
    task.save()
    tasks.sync()
    tasks.sync(full=True)
    link = ItemLink.objects.get()
    assert (link.reason, link.unlinked_at is not None, beyond) == (reason, True, [])
    assert tasks.reasons() == {item: reason}
    assert subject_there(tasks, item) == TODO[Field.SUBJECT]
    # What becomes of either side says nothing to the other.
    task.deleted_at = link.unlinked_at
    task.save()
    tasks.sync(full=True)
    assert subject_there(tasks, item) == TODO[Field.SUBJECT]


@pytest.mark.parametrize(
    ("becomes", "becomes_again"),
    [
        (given, lambda world, item: assign(world, item, "NoMatch")),
        (repeat, lambda world, item: repeat(world, item, recurs=False)),
    ],
)
def test_once_it_is_a_task_of_theirs_again_it_is_linked_again(world, tasks, becomes, becomes_again):
    task = tasks.record(subject="Before")
    tasks.sync()
    item = ItemLink.objects.get().item_id
    becomes(world, item)
    tasks.sync()
    task.subject = "After"
    task.save()
    tasks.sync()
    assert subject_there(tasks, item) == "Before"
    becomes_again(world, item)
    tasks.sync()
    assert (ItemLink.objects.get().unlinked_at, subject_there(tasks, item)) == (None, "After")
    assert tasks.reasons() == {item: "in_step"}


def test_a_finished_turn_of_what_was_linked_is_left_alone_as_its_copy(world, tasks):
    tasks.record(subject="Every day")
    tasks.sync()
    item = ItemLink.objects.get().item_id
    repeat(world, item)
    tasks.sync()
    (marks,) = tasks.provider.marks([item])
    finished = tasks.provider.update_entry(item, marks.change_key, EntryKind.TASK, {Field.STATUS: "Completed"})
    tasks.sync()
    assert tasks.reasons() == {item: "recurring_task", finished.item_id: "copy_of_linked"}
    assert (Task.objects.get().status, Task.objects.count()) == ("NotStarted", 1)
