"""A worker whose lease is lost writes nothing more, wherever in its work that happens (design §5).

Each scene is run once for every moment at which the lease can go: at every look at the clock and every sign of life that
is not inside a transaction, which would hold whoever takes the lease away until its end.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection, transaction

from mailboxes.models import Folder, Mailbox, Run
from mailboxes.provider.entries import EntryKind, Field
from mailboxes.provider.errors import ItemUnreadable, WriteRefused
from security.models import User
from tests.tracking.linked.desk import Desk
from tracking.engine.apply import LeaseLost
from tracking.linked.compare import CATEGORY
from tracking.linked.session import Session
from tracking.models import FieldConflict, ItemDecision, ItemFailure, ItemLink, LinkState, Task

pytestmark = pytest.mark.django_db

TASK = EntryKind.TASK
WATCHED = (FieldConflict, Folder, ItemDecision, ItemFailure, ItemLink, LinkState, Task)


def linked(desk: Desk) -> Task:
    task: Task = desk.record(subject="Call", description="old")
    desk.sync()
    task.refresh_from_db()
    return task


def renamed(desk: Desk, task: Task) -> None:
    desk.now += timedelta(minutes=1)
    task.subject = "Call Kim"
    task.save()


def everything_new(desk: Desk) -> None:
    desk.record(subject="Call")
    desk.entry({Field.SUBJECT: "Marked"}, categories=(CATEGORY,))
    desk.entry({Field.SUBJECT: "Left alone"})


def entry_moved_away(desk: Desk) -> None:
    linked(desk)
    desk.server.move(desk.link().item_id, "drafts")


def entry_back(desk: Desk) -> None:
    entry_moved_away(desk)
    (item,) = desk.server.item_ids(desk.mailbox.address, "drafts")
    desk.sync()
    desk.server.move(item, desk.folder.role)


def entry_copied(desk: Desk) -> None:
    linked(desk)
    desk.entry({Field.SUBJECT: "Call"}, stamp=desk.link().stamp)


def private_copy_of_an_ended_link(desk: Desk) -> None:
    linked(desk)
    item, stamp = desk.link().item_id, desk.link().stamp
    desk.server.remove(item)
    desk.sync()
    desk.entry({Field.SUBJECT: "Call"}, stamp=stamp, sensitivity="Private")


def marked_again(desk: Desk) -> None:
    item = desk.entry({Field.SUBJECT: "Call"}, categories=(CATEGORY,))
    desk.sync()
    desk.server.change_entry(item, {}, categories=())
    desk.sync()
    desk.server.change_entry(item, {}, categories=(CATEGORY,))


def record_out_of_sight(desk: Desk) -> Task:
    task = linked(desk)
    Task.objects.filter(pk=task.pk).update(owner=User.objects.get_or_create(username="ben")[0], modified_at=desk.now)
    return task


def record_back_in_sight(desk: Desk) -> None:
    task = record_out_of_sight(desk)
    desk.sync()
    desk.now += timedelta(minutes=1)
    Task.objects.filter(pk=task.pk).update(owner=desk.owner, modified_at=desk.now)


def record_back_whose_entry_is_gone(desk: Desk) -> None:
    record_back_in_sight(desk)
    desk.server.remove(desk.link().item_id)


def deleted_record_had_back(desk: Desk) -> None:
    task = linked(desk)
    for deleted_at in (desk.now, None):
        desk.now += timedelta(minutes=1)
        Task.objects.filter(pk=task.pk).update(deleted_at=deleted_at, modified_at=desk.now)
        if deleted_at is not None:
            desk.sync()


def many_deleted(desk: Desk) -> None:
    for number in range(10):
        desk.record(subject=f"Call {number}")
    desk.sync()
    desk.now += timedelta(minutes=1)
    Task.objects.update(deleted_at=desk.now, modified_at=desk.now)


def brake_released(desk: Desk) -> None:
    many_deleted(desk)
    desk.sync()
    LinkState.objects.update(released_at=desk.now, released_by="marta")


def entry_vanished_untold(desk: Desk) -> None:
    linked(desk)
    desk.server.remove(desk.link().item_id)
    desk.sync(later=timedelta(seconds=1))
    ItemLink.objects.update(gone_at=None)


def entry_refused(desk: Desk) -> None:
    renamed(desk, linked(desk))
    desk.server.fail("update_entry", WriteRefused())


def both_sides_changed(desk: Desk) -> None:
    task = linked(desk)
    desk.server.change_entry(desk.link().item_id, {Field.SUBJECT: "theirs"})
    renamed(desk, task)


def failed_before(desk: Desk) -> None:
    item = desk.entry({Field.SUBJECT: "Broken"}, categories=(CATEGORY,))
    desk.server.fail_item(item, ItemUnreadable())
    desk.sync()
    ItemFailure.objects.update(retry_at=desk.now)


SCENES: list[Callable[[Desk], object]] = [
    everything_new, entry_moved_away, entry_back, entry_copied, private_copy_of_an_ended_link, marked_again,
    record_out_of_sight, record_back_in_sight, record_back_whose_entry_is_gone, deleted_record_had_back, many_deleted,
    brake_released, entry_vanished_untold, entry_refused, both_sides_changed, failed_before,
]  # fmt: skip


def written() -> dict[str, list[dict[str, Any]]]:
    return {model.__name__: [dict(row) for row in model._default_manager.order_by("pk").values()] for model in WATCHED}


@contextmanager
def undone() -> Iterator[None]:
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


class Losing:
    """Tells the time and takes the signs of life of one run, and has it ended by others at one of these moments."""

    def __init__(self, desk: Desk, moment: int) -> None:
        self.desk, self.moment = desk, moment
        self.depth = len(connection.savepoint_ids)
        self.run = Run.objects.create(
            mailbox=desk.mailbox, claimed_at=desk.now, started_at=desk.now, heartbeat_at=desk.now
        )
        self.before: dict[str, list[dict[str, Any]]] | None = None

    def __call__(self) -> None:
        if self.before is None and len(connection.savepoint_ids) == self.depth:
            if self.moment == 0:
                Run.objects.filter(pk=self.run.pk).update(finished_at=self.desk.now, outcome="abandoned")
                self.before = written()
            self.moment -= 1

    def clock(self) -> datetime:
        self()
        return self.desk.now


def lost_at(desk: Desk, moment: int) -> bool:
    """Do a full pass that loses its lease at this moment; return whether it came to that."""
    desk.now += timedelta(minutes=15)
    losing = Losing(desk, moment)
    losing.run.mailbox = Mailbox.objects.select_related("server", "sync_profile", "owner").get(pk=desk.mailbox.pk)
    desk.folder.refresh_from_db()
    session = Session(
        losing.run, desk.server.provider(desk.mailbox.address), TASK,
        clock=losing.clock, beat=losing, stored=lambda _stored: None,
    )  # fmt: skip
    with suppress(LeaseLost):
        session.sync(desk.folder, changed=True, full=True, pause=lambda: False)
    if losing.before is not None:
        now = written()
        for name, rows in losing.before.items():
            assert now[name] == rows, f"{name} was written at moment {moment} after the lease was lost"
    return losing.before is not None


@pytest.mark.parametrize("scene", SCENES)
def test_a_worker_that_lost_its_lease_writes_nothing(
    at: Callable[[EntryKind], Desk], scene: Callable[[Desk], object]
) -> None:
    moment, lost = 0, True
    while lost:
        with undone():
            desk = at(TASK)
            scene(desk)
            lost = lost_at(desk, moment)
        moment += 1
    assert moment > 5, "there was hardly a moment to lose it at"
