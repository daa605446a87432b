"""Which changes move the counters, found out on any mail system; and no draft is left behind."""

import pytest

from mailboxes.counter_proof import COUNTER_SECONDS, prove
from mailboxes.provider.errors import AccessRefused, Unavailable
from mailboxes.provider.memory import MemoryServer
from mailboxes.provider.port import ChangeKind

ANA = "ana@example.com"


def proven(server: MemoryServer, pauses: list[float]) -> dict[str, bool]:
    provider = server.provider(ANA)
    return prove(provider, server.folder_id(ANA, "drafts"), pauses.append)


def test_counters_that_move_need_no_wait() -> None:
    server, pauses = MemoryServer(), list[float]()
    assert proven(server, pauses) == {"create": True, "change": True, "delete": True}
    assert pauses == []
    assert server.item_ids(ANA, "drafts") == []


def test_what_never_shows_is_tried_again_after_a_second() -> None:
    server, pauses = MemoryServer(silent=[ChangeKind.UPDATED]), list[float]()
    assert proven(server, pauses) == {"create": True, "change": False, "delete": True}
    assert pauses == [COUNTER_SECONDS]
    assert server.item_ids(ANA, "drafts") == []


@pytest.mark.parametrize("method", ["create_draft", "touch_draft", "counters"])
def test_a_proof_that_fails_leaves_no_draft(method: str) -> None:
    server = MemoryServer()
    server.provider(ANA)
    server.fail(method, Unavailable(), nth=2 if method == "counters" else 1)
    with pytest.raises(Unavailable):
        proven(server, [])
    assert server.item_ids(ANA, "drafts") == []


def test_a_draft_that_cannot_be_ended_does_not_hide_what_was_wrong() -> None:
    server = MemoryServer()
    server.provider(ANA)
    server.fail("delete_draft", AccessRefused(), times=9)
    with pytest.raises(AccessRefused):
        proven(server, [])
