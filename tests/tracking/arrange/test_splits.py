"""Splitting threads: what a person has put apart is never put together again but by a person (complaint 14)."""

import random
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection, transaction
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from tests.tracking.office import Office
from tracking.arrange import splits, stops
from tracking.models import Activity, Thread, ThreadCut, ThreadKey, ThreadStop, TrackingEvent

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _blobs(tmp_path, settings):
    settings.BLOB_ROOT = tmp_path


@pytest.fixture
def office() -> Office:
    return Office()


def deliver(office, mailbox, n, *, answers=(), conversation="c1", **fields):
    """Deliver message `n` that answers the first of `answers` and names all of them."""
    return office.server.deliver(
        mailbox.address, message_id=f"<{n}@c.example>", in_reply_to=f"<{answers[0]}@c.example>" if answers else "",
        references=[f"<{each}@c.example>" for each in reversed(answers)], conversation_id=conversation,
        sender="kim@customer.example", to=[mailbox.address], subject=f"Message {n}", **fields,
    )  # fmt: skip


def thread_of(n: int) -> int:
    return Activity.objects.values_list("thread_id", flat=True).get(message_id=f"<{n}@c.example>")


def split_off(office, *numbers, by="anna", why="two subjects"):
    ids = list(
        Activity.objects.filter(message_id__in=[f"<{n}@c.example>" for n in numbers]).values_list("pk", flat=True)
    )
    thread = Thread.objects.get(pk=thread_of(numbers[0]))
    return splits.split(thread, ids, by=by, why=why, now=office.now)


def chain(office, mailbox, count=4):
    """Track a conversation in which each message answers the one before and names all."""
    for n in range(1, count + 1):
        deliver(office, mailbox, n, answers=tuple(range(n - 1, 0, -1)))
    office.sync(mailbox)


def test_a_later_reply_goes_where_the_message_lies_that_it_answers(office):
    anna = office.mailbox("anna")
    chain(office, anna)
    old = thread_of(1)
    new = split_off(office, 3, 4)
    assert {thread_of(1), thread_of(2)} == {old}
    assert {thread_of(3), thread_of(4)} == {new.pk}
    # All name the whole conversation in their references and share its id.
    deliver(office, anna, 5, answers=(4, 3, 2, 1))
    deliver(office, anna, 6, answers=(2, 1))
    deliver(office, anna, 7, answers=(6, 2, 1))
    office.sync(anna)
    assert {thread_of(n) for n in (3, 4, 5)} == {new.pk}
    assert {thread_of(n) for n in (1, 2, 6, 7)} == {old}
    assert (Thread.objects.get(pk=old).messages, Thread.objects.get(pk=new.pk).messages) == (4, 3)
    assert new.subject == "Message 3"
    event = TrackingEvent.objects.get()
    assert (event.what, event.by, event.why, event.facts["messages"]) == ("split", "anna", "two subjects", 2)


def test_without_reply_headers_the_conversation_goes_on_where_it_was_last(office):
    anna = office.mailbox("anna")
    chain(office, anna)
    new = split_off(office, 4)
    deliver(office, anna, 5)
    office.sync(anna)
    assert thread_of(5) == new.pk


def test_what_a_message_answers_comes_with_it_when_it_arrives_late(office):
    anna = office.mailbox("anna")
    deliver(office, anna, 1, conversation="c1")
    deliver(office, anna, 3, answers=(2, 1), conversation="c1")
    office.sync(anna)
    new = split_off(office, 3)
    deliver(office, anna, 2, answers=(1,), conversation="c1")
    office.sync(anna)
    assert thread_of(2) == new.pk
    assert thread_of(1) != new.pk


def test_a_third_thread_does_not_bring_two_together_that_were_split(office):
    anna = office.mailbox("anna")
    chain(office, anna)
    new = split_off(office, 3, 4)
    deliver(office, anna, 10, conversation="c9")
    deliver(office, anna, 11, answers=(10, 1), conversation="c9")
    office.sync(anna)
    assert thread_of(11) == thread_of(10) == thread_of(1)
    deliver(office, anna, 12, answers=(11, 10, 4), conversation="c9")
    office.sync(anna)
    assert thread_of(12) == thread_of(1)
    assert thread_of(4) == new.pk


def test_joining_takes_a_split_back_and_both_stay_in_the_history(office):
    anna = office.mailbox("anna")
    chain(office, anna)
    old, new = Thread.objects.get(), split_off(office, 3, 4)
    newer = split_off(office, 4)
    assert splits.apart_from(newer) == {old.pk, new.pk}
    joined = splits.join(new, old, by="ben", why="it was one after all", now=office.now)
    assert (joined, joined.messages) == (old, 3)
    assert splits.apart_from(joined) == {newer.pk}
    assert [event.what for event in TrackingEvent.objects.order_by("pk")] == ["split", "split", "joined"]
    with pytest.raises(splits.NotPossible):
        splits.join(new, old, by="ben", why="", now=office.now)
    deliver(office, anna, 5, answers=(4, 3, 2, 1))
    deliver(office, anna, 6, answers=(3, 2, 1))
    office.sync(anna)
    assert (thread_of(5), thread_of(6)) == (newer.pk, old.pk)


def test_nothing_is_split_that_is_not_there_or_that_would_leave_nothing(office):
    anna = office.mailbox("anna")
    chain(office, anna, 2)
    thread = Thread.objects.get()
    for messages in ([], list(Activity.objects.values_list("pk", flat=True)), [0]):
        with pytest.raises(splits.NotPossible):
            splits.split(thread, messages, by="anna", why="", now=office.now)
    gone = Thread(pk=thread.pk + 1000, subject="gone")
    with pytest.raises(splits.NotPossible):
        splits.split(gone, [1], by="anna", why="", now=office.now)
    assert not TrackingEvent.objects.exists()


def test_what_comes_of_a_stopped_thread_is_stopped(office):
    anna = office.mailbox("anna")
    chain(office, anna)
    stops.stop(Thread.objects.get(), mailbox=anna, by="anna", why="", now=office.now)
    new = split_off(office, 3, 4)
    deliver(office, anna, 5, answers=(4, 3))
    assert dict(office.sync(anna).refused) == {"thread_stopped": 1}
    stops.resume(ThreadStop.objects.get(thread=new), by="anna", why="", now=office.now)
    deliver(office, anna, 6, answers=(4, 3))
    deliver(office, anna, 7, answers=(2, 1))
    report = office.sync(anna)
    assert (report.tracked, dict(report.refused)) == (1, {"thread_stopped": 1})
    assert thread_of(6) == new.pk


@pytest.mark.django_db(transaction=True)
def test_a_person_who_splits_and_joins_while_mail_arrives_loses_nothing():
    office = Office()
    anna = office.mailbox("anna")
    chain(office, anna, 6)

    def arriving():
        try:
            for n in range(7, 22):
                deliver(office, anna, n, answers=tuple(range(n - 1, 0, -2)))
                office.sync(anna)
        finally:
            connection.close()

    def arranging():
        try:
            for _ in range(4):
                new = split_off(office, 3, 4)
                old = Thread.objects.get(pk=thread_of(1))
                splits.join(new, old, by="anna", why="", now=office.now)
            return split_off(office, 3, 4).pk
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        mail, apart = pool.submit(arriving), pool.submit(arranging)
        mail.result()
        new = apart.result()
    assert Activity.objects.count() == 21
    assert {thread_of(3), thread_of(4)} == {new}
    assert thread_of(1) != new
    keys = dict(ThreadKey.objects.values_list("key", "thread_id"))
    for activity in Activity.objects.all():
        assert keys[activity.message_key] == activity.thread_id
    for thread in Thread.objects.all():
        assert thread.messages == thread.activities.count()


class Desk:
    """Random mail of one conversation and more, arriving in any order, and a person who splits and joins."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.office = Office()
        self.anna = self.office.mailbox("anna")
        self.parents: dict[int, tuple[int, ...]] = {}
        self.conversations: dict[int, str] = {}
        for n in range(1, self.random.randint(6, 14)):
            parent = self.random.randint(0, n - 1)
            above = (parent, *self.parents[parent]) if parent else ()
            self.parents[n] = above[: self.random.choice((1, 2, 9))]
            self.conversations[n] = self.random.choice(("", "c1", "c2"))
        self.waiting = list(self.parents)
        self.random.shuffle(self.waiting)
        self.here: list[int] = []
        self.apart: set[frozenset[int]] = set()

    def step(self) -> None:
        work = [self.arrive] * 3 if self.waiting else []
        if len(self.here) > 2:
            work.append(self.split)
        if self.apart and self.random.random() < 0.3:
            work.append(self.join)
        if work:
            self.random.choice(work)()
            self.check()

    def arrive(self) -> None:
        count = self.random.randint(1, 3)
        page, self.waiting = self.waiting[:count], self.waiting[count:]
        for place, n in enumerate(page):
            deliver(
                self.office, self.anna, n, answers=self.parents[n], conversation=self.conversations[n],
                received_at=self.office.now + timedelta(seconds=place),
            )  # fmt: skip
        self.office.sync(self.anna)
        self.here += page

    def split(self) -> None:
        threads = [t for t in Thread.objects.order_by("pk") if t.messages > 1]
        if not threads:
            return
        thread = self.random.choice(threads)
        rows = list(thread.activities.order_by("received_at", "pk"))
        if self.random.random() < 0.5:
            moving = rows[self.random.randint(1, len(rows) - 1) :]
        else:
            moving = self.random.sample(rows, self.random.randint(1, len(rows) - 1))
        splits.split(thread, [row.pk for row in moving], by="anna", why="", now=self.office.now)
        left = [row for row in rows if row not in moving]
        self.apart |= {frozenset((a.pk, b.pk)) for a in moving for b in left}

    def join(self) -> None:
        cut = self.random.choice(list(ThreadCut.objects.order_by("pk").select_related("low", "high")))
        of = {t: set(t.activities.values_list("pk", flat=True)) for t in (cut.low, cut.high)}
        splits.join(cut.low, cut.high, by="anna", why="", now=self.office.now)
        self.apart -= {frozenset((a, b)) for a in of[cut.low] for b in of[cut.high]}

    def check(self) -> None:
        threads = dict(Activity.objects.values_list("pk", "thread_id"))
        for pair in self.apart:
            first, second = pair
            assert threads[first] != threads[second]
        keys = dict(ThreadKey.objects.values_list("key", "thread_id"))
        for activity in Activity.objects.all():
            assert keys[activity.message_key] == activity.thread_id
        for thread in Thread.objects.all():
            rows = list(thread.activities.order_by("received_at"))
            assert (thread.messages, thread.first_at, thread.last_at) == (
                len(rows), rows[0].received_at, rows[-1].received_at,
            )  # fmt: skip

    def components(self) -> set[frozenset[str]]:
        """Return what would be one thread had nobody split anything: what names or shares a conversation, transitively."""
        groups: list[set[str]] = []
        for n, above in self.parents.items():
            names = {f"m{n}", *(f"m{each}" for each in above)} | ({self.conversations[n]} - {""})
            touching = [group for group in groups if group & names]
            groups = [group for group in groups if not group & names] + [set().union(names, *touching)]
        return {frozenset(f"<{x[1:]}@c.example>" for x in group if x.startswith("m")) for group in groups}


@given(st.integers(0, 2**32))
@example(1)
@settings(
    max_examples=40, deadline=None, phases=[Phase.explicit, Phase.generate], derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)  # fmt: skip
def test_whatever_arrives_in_whatever_order_what_was_split_stays_split_until_it_is_joined(seed):
    with transaction.atomic():
        desk = Desk(seed)
        for _ in range(30):
            desk.step()
        while desk.waiting:
            desk.arrive()
            desk.check()
        # Taking every split back leads to what there would be had there been none.
        while ThreadCut.objects.exists():
            desk.join()
            desk.check()
        threads = {frozenset(thread.activities.values_list("message_id", flat=True)) for thread in Thread.objects.all()}
        assert threads == desk.components()
        transaction.set_rollback(True)
