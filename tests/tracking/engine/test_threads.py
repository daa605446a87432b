"""Which thread a message belongs to, whatever the order of arrival."""

import itertools
from datetime import UTC, datetime, timedelta

import pytest

from tracking.engine.threads import Newcomer, place, thread_subject
from tracking.models import Thread, ThreadKey

pytestmark = pytest.mark.django_db
START = datetime(2026, 3, 2, tzinfo=UTC)


def newcomer(minute, *keys, subject="S"):
    return Newcomer(keys, subject, START + timedelta(minutes=minute))


def test_every_order_of_arrival_makes_the_same_threads():
    messages = [
        newcomer(0, "a"),
        newcomer(1, "b", "a"),
        newcomer(2, "c", "b"),
        newcomer(3, "x"),
        newcomer(4, "d", "c", "a"),
    ]
    for size in (1, 2, 5):
        for order in itertools.permutations(messages):
            Thread.objects.all().delete()
            for at in range(0, len(order), size):
                place(order[at : at + size])
            threads = {frozenset(thread.keys.values_list("key", flat=True)): thread for thread in Thread.objects.all()}
            assert set(threads) == {frozenset("abcd"), frozenset("x")}
            thread = threads[frozenset("abcd")]
            assert (thread.messages, thread.first_at, thread.last_at) == (4, START, START + timedelta(minutes=4))


def test_the_older_thread_stays_when_two_turn_out_to_be_one():
    (first,) = place([newcomer(0, "a")])
    (second,) = place([newcomer(1, "b")])
    assert first != second
    (joined,) = place([newcomer(2, "c", "b", "a")])
    assert joined == first
    assert ThreadKey.objects.filter(thread=first).count() == 3
    assert place([]) == []


@pytest.mark.parametrize(
    ("subject", "shown"),
    [
        ("RE: Offer", "Offer"),
        ("Re[2]: FW: AW:  Offer", "Offer"),
        ("Rv: Oferta", "Oferta"),
        ("回复:报价", "报价"),
        ("Result: fine", "Result: fine"),
        ("", ""),
        ("x" * 500, "x" * 400),
    ],
)
def test_a_thread_is_named_without_reply_prefixes(subject, shown):
    assert thread_subject(subject) == shown
