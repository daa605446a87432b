"""Whatever dies, and wherever: exactly one mail arrives, one activity is kept, and no draft is left behind (design §4)."""

from itertools import count

import pytest

from mailboxes.provider.errors import AuthRejected, Throttled, Unavailable
from tests.tracking.outgoing.post import Death, MemoryPost, Post, assert_one, deal
from tracking import blobs
from tracking.models import Activity, OutgoingFile, OutgoingMail


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
        post.settle(2)
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
