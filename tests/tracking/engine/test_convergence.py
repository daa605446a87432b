"""Whatever happens to mail, server and worker, once it is quiet everything is there exactly once and nothing twice.

Hypothesis breaks the mail system at random between and during runs; then a quiet full pass must agree with a plain
look at the mailboxes.
"""

import random
from datetime import timedelta

import pytest
from django.db import transaction
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from mailboxes.models import Folder, Mailbox
from mailboxes.provider.errors import ItemUnreadable, ProviderError, Throttled, Unavailable
from mailboxes.states import Track
from tests.tracking.office import Office
from tracking.engine import pipeline
from tracking.models import Activity, Attachment, Holder, ItemDecision, Thread

pytestmark = pytest.mark.django_db
FOLDERS = ("inbox", "sent", "deleted")


class WorkerDied(BaseException):
    """Stands for a kill: nothing in the engine may catch it."""


class Chaos:
    """Two mailboxes and a source of randomness that does something to them."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.office = Office()
        self.boxes = [self.office.mailbox(name, Track.ALL) for name in ("anna", "ben")]
        self.seen: set[str] = set()
        self.number = 0

    def items(self) -> list[str]:
        return [i for box in self.boxes for f in FOLDERS for i in self.office.server.item_ids(box.address, f)]

    def step(self) -> None:
        actions = [self.deliver] * 5 + [self.run] * 4
        if self.items():
            actions += [
                self.copy,
                self.move,
                self.remove,
                self.touch,
                self.expire,
                self.fault,
                self.fault,
                self.bad_item,
            ]
        self.random.choice(actions)()

    def deliver(self) -> None:
        for _ in range(self.random.randint(1, 4)):
            self.number += 1
            box = self.random.choice(self.boxes)
            parent = f"<{self.random.randint(1, self.number)}@c.example>"
            self.office.server.deliver(
                box.address,
                self.random.choice(("inbox", "inbox", "sent")),
                message_id=f"<{self.number}@c.example>",
                in_reply_to=parent if self.random.random() < 0.4 else "",
                conversation_id=self.random.choice(("", "", "c1", "c2")),
                sender="kim@c.example",
                to=[box.address],
            )

    def copy(self) -> None:
        self.office.server.copy(self.random.choice(self.items()), self.random.choice(self.boxes).address)

    def move(self) -> None:
        self.office.server.move(self.random.choice(self.items()), self.random.choice(FOLDERS))

    def remove(self) -> None:
        self.office.server.remove(self.random.choice(self.items()))

    def touch(self) -> None:
        self.random.choice((self.office.server.touch, self.office.server.set_read, self.office.server.announce))(
            self.random.choice(self.items())
        )

    def expire(self) -> None:
        self.office.server.expire_cursor(self.random.choice(self.boxes).address, self.random.choice(("inbox", "sent")))

    def fault(self) -> None:
        error = self.random.choice((Unavailable(), Throttled(), WorkerDied(), WorkerDied(), ItemUnreadable()))
        method = "*" if not isinstance(error, ItemUnreadable) else "counters"
        self.office.server.fail(method, error, nth=self.random.randint(1, 6))

    def bad_item(self) -> None:
        self.office.server.fail_item(self.random.choice(self.items()), ItemUnreadable(code="item_corrupt"))

    def run(self, *, full: bool | None = None) -> None:
        for box in self.boxes:
            before = {i for f in ("inbox", "sent") for i in self.office.server.item_ids(box.address, f)}
            try:
                report = self.office.sync(
                    box,
                    full=self.random.random() < 0.2 if full is None else full,
                    yield_after_s=self.random.choice((None, 0)) if full is None else None,
                )
            except WorkerDied:
                continue
            assert report.error is None or isinstance(report.error, ProviderError)
            if full:
                self.seen |= before

    def settle(self) -> None:
        """Everything heals; what was set aside becomes due."""
        self.office.server.heal()
        for _ in range(3):
            self.office.now += timedelta(days=2)
            self.run(full=True)

    def check(self) -> None:
        live = {}
        for box in self.boxes:
            ids = {i for f in ("inbox", "sent") for i in self.office.server.item_ids(box.address, f)}
            live |= {i: self.office.server.mail(i).message_id for i in ids}
            decided = ItemDecision.objects.filter(mailbox=box, folder__isnull=False)
            assert set(decided.values_list("item_id", flat=True)) == ids
            assert not decided.exclude(outcome__in=("tracked", "updated")).exists()
            held = Holder.objects.filter(mailbox=box, removed_at__isnull=True)
            assert {h.item_id: h.activity.message_id for h in held.select_related("activity")} == {
                i: live[i] for i in ids
            }
        mine = Activity.objects.filter(holders__mailbox__in=self.boxes).distinct()
        assert set(live.values()) <= set(mine.values_list("message_id", flat=True))
        for activity in mine:
            assert activity.body.text == "A text"
        for thread in Thread.objects.filter(activities__in=mine).distinct():
            times = list(thread.activities.values_list("received_at", flat=True))
            assert (thread.messages, thread.first_at, thread.last_at) == (len(times), min(times), max(times))
        for folder in Folder.objects.filter(mailbox__in=self.boxes):
            counted = ItemDecision.objects.filter(folder=folder, outcome__in=("tracked", "updated")).count()
            assert (folder.tracked, folder.refused, folder.quarantined) == (counted, 0, 0)
        assert not Attachment.objects.exists()
        assert Mailbox.objects.count() == len(self.boxes)


def _one(seed: int, steps: int) -> None:
    with transaction.atomic():
        chaos = Chaos(seed)
        for _ in range(steps):
            chaos.step()
        chaos.settle()
        chaos.check()
        transaction.set_rollback(True)


@given(seed=st.integers(0, 2**32), steps=st.integers(1, 25))
# The seed is the whole example: a smaller one is not a simpler one.
@settings(
    max_examples=25, deadline=None, phases=[Phase.generate], suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_whatever_happens_it_converges(monkeypatch, seed, steps):
    monkeypatch.setattr(pipeline, "PAGE_ITEMS", 3)
    _one(seed, steps)


@pytest.mark.soak
def test_a_thousand_random_schedules_of_faults_converge(monkeypatch):
    monkeypatch.setattr(pipeline, "PAGE_ITEMS", 3)
    for seed in range(1000):
        _one(seed, 25)
