"""Whatever dies, and wherever: exactly one mail arrives, one activity is kept, and no draft is left behind (design §4)."""

from itertools import count, product

import pytest

from mailboxes.models import Mailbox
from mailboxes.provider.errors import ProviderError, Throttled, Unavailable
from tests.tracking.outgoing.post import Death, MemoryPost, Post, assert_one, deal
from tracking.models import Activity, OutgoingMail


def test_killed_at_every_step_exactly_one_mail_arrives(post: Post) -> None:
    """Before each request, after the server has done it, and before each statement and commit of the database."""
    post.settle(1)
    places: list[str] = []
    for n in count(1):
        mail = post.write(regarding_kind="opportunity", regarding_id=deal().pk)
        death = Death(n)
        post.run(death)
        if not death.struck:
            places = death.seen
            break
        post.settle(1)
        assert_one(post, mail)
    assert_one(post, mail)
    assert Activity.objects.count() == OutgoingMail.objects.count() == n
    assert sorted(post.arrived()) == sorted(OutgoingMail.objects.values_list("subject", flat=True))
    assert post.drafts() == []
    # Nothing was left out: requests of all kinds, their answers, commits.
    for name in ("create_message", "send_message", "find_message", "envelopes", "contents"):
        assert {f"before {name}", f"after {name}"} <= set(places)
    assert sum(place.startswith("RELEASE SAVEPOINT") for place in places) >= 6
    assert len(places) > 50


def test_killed_twice_in_a_row_exactly_one_mail_arrives(memory: MemoryPost) -> None:
    """A worker dies at a request, and the one that goes on from there dies as well."""
    killed_twice(memory, stride=5)


@pytest.mark.soak
@pytest.mark.slow
def test_killed_twice_in_a_row_at_every_pair_of_requests_exactly_one_mail_arrives(memory: MemoryPost) -> None:
    killed_twice(memory, stride=1)


def killed_twice(memory: MemoryPost, stride: int) -> None:
    """Die at every `stride`th of all pairs of requests."""
    memory.settle(1)
    edges = Edges()
    memory.write()
    memory.run(edges)
    requests = range(1, len(edges.seen) + 1)
    assert len(requests) >= 10
    for deaths in list(product(requests, requests))[::stride]:
        mail = memory.write()
        for nth in deaths:
            memory.run(Edges(nth))
        memory.settle(1)
        assert_one(memory, mail)
    assert memory.drafts() == []


class Edges(Death):
    """Strikes at the edges of requests alone."""

    def edge(self, name: str) -> None:
        if name.startswith(("before", "after")):
            super().edge(name)


FAULTS: dict[str, ProviderError] = {
    "timed_out": Unavailable("silence", code="timed_out"),
    "connection_lost": Unavailable("cut", code="connection_lost"),
    "unreachable": Unavailable("no way"),
    "server_busy": Throttled("wait"),
}


@pytest.mark.parametrize("code", FAULTS)
@pytest.mark.parametrize("lost", [False, True], ids=["refused", "answer lost"])
def test_whichever_request_fails_exactly_one_mail_arrives(memory: MemoryPost, code: str, *, lost: bool) -> None:
    memory.settle(1)
    for n in count(1):
        mail = memory.write()
        before = sum(memory.server.calls.values())
        (memory.server.lose if lost else memory.server.fail)("*", FAULTS[code], nth=n)
        report = memory.run()
        assert report is not None
        calls = sum(memory.server.calls.values()) - before
        memory.server.heal()
        Mailbox.objects.update(not_before=None)
        for _each in range(2):
            memory.run()
        assert_one(memory, mail)
        if calls < n:
            break
    assert n >= 6
    assert memory.drafts() == []
