"""The scripted faults of the mail system in memory, on which the engine's tests stand."""

import pytest

from mailboxes.provider.errors import FolderGone, ItemGone, ItemUnreadable, MailboxGone, Throttled, Unavailable
from mailboxes.provider.memory import File, MemoryServer
from mailboxes.provider.port import Address, AttachmentInfo, AttachmentKind, ChangeKind, Envelope

ANA = "ana@example.com"


@pytest.fixture
def server() -> MemoryServer:
    return MemoryServer()


def test_a_fault_hits_the_call_it_is_meant_for(server: MemoryServer) -> None:
    provider = server.provider(ANA)
    inbox = server.folder_id(ANA, "inbox")
    server.fail("changes", Throttled(), nth=2, times=2)
    provider.changes(inbox, None, 1)
    provider.counters([inbox])
    for _ in range(2):
        with pytest.raises(Throttled):
            provider.changes(inbox, None, 1)
    provider.changes(inbox, None, 1)
    assert provider.requests == 5
    assert server.calls[ANA, "changes"] == 4


def test_any_call_may_be_hit_and_healed(server: MemoryServer) -> None:
    provider = server.provider(ANA)
    server.fail("*", Unavailable(), times=100)
    with pytest.raises(Unavailable):
        provider.well_known_folders()
    server.heal()
    assert provider.folders()


def test_what_kills_a_worker_can_be_scripted(server: MemoryServer) -> None:
    provider = server.provider(ANA)
    server.fail("folders", SystemExit(9))
    with pytest.raises(SystemExit):
        provider.folders()


def test_mail_may_move_while_it_is_read(server: MemoryServer) -> None:
    provider, item = server.provider(ANA), server.deliver(ANA)
    server.before("envelopes", lambda: server.remove(item))
    assert isinstance(provider.envelopes([item])[0], ItemGone)


def test_a_bad_item_is_bad_for_the_methods_named(server: MemoryServer) -> None:
    item = server.deliver(ANA, files=(File("a", b"a"),))
    provider = server.provider(ANA)
    server.fail_item(item, ItemUnreadable("broken"), methods=["contents", "attachments"])
    assert isinstance(provider.envelopes([item])[0], Envelope)
    assert isinstance(provider.contents([item])[0], ItemUnreadable)
    assert isinstance(provider.attachments([AttachmentInfo(f"{item}/0", "a")])[0], ItemUnreadable)


def test_expired_cursors_end_and_new_ones_work(server: MemoryServer) -> None:
    provider, inbox = server.provider(ANA), server.folder_id(ANA, "inbox")
    server.deliver(ANA)
    cursor = provider.changes(inbox, None, 10).cursor
    server.expire_cursor(ANA)
    with pytest.raises(Exception, match="not known"):
        provider.changes(inbox, cursor, 10)
    assert len(provider.changes(inbox, None, 10).changes) == 1


def test_what_was_announced_and_never_read_may_be_reported_removed(server: MemoryServer) -> None:
    provider, inbox = server.provider(ANA), server.folder_id(ANA, "inbox")
    first, second = server.deliver(ANA), server.deliver(ANA)
    page = provider.changes(inbox, None, 1)
    assert [each.item_id for each in page.changes] == [first]
    server.remove(first)
    server.remove(second)
    later = provider.changes(inbox, page.cursor, 10)
    assert [(each.kind, each.item_id) for each in later.changes] == [(ChangeKind.REMOVED, first)]


def test_an_item_can_be_announced_twice(server: MemoryServer) -> None:
    provider, inbox = server.provider(ANA), server.folder_id(ANA, "inbox")
    item = server.deliver(ANA)
    server.announce(item)
    page = provider.changes(inbox, None, 10)
    assert [each.kind for each in page.changes] == [ChangeKind.CREATED, ChangeKind.UPDATED]
    assert len({each.change_key for each in page.changes}) == 1


def test_counters_may_overlook_kinds_of_changes() -> None:
    server = MemoryServer(silent=[ChangeKind.READ_FLAG, ChangeKind.REMOVED])
    provider, inbox = server.provider(ANA), server.folder_id(ANA, "inbox")
    item = server.deliver(ANA)
    before = provider.counters([inbox])
    server.set_read(item)
    assert provider.counters([inbox]) == before


def test_a_copy_is_the_same_message_elsewhere(server: MemoryServer) -> None:
    item = server.deliver(ANA)
    twin = server.copy(item, "ben@example.com")
    assert server.mail(twin).message_id == server.mail(item).message_id
    assert server.item_ids("ben@example.com") == [twin]
    assert server.provider("ben@example.com").envelopes([item]) != server.provider(ANA).envelopes([item])


def test_a_mailbox_that_is_removed_is_gone(server: MemoryServer) -> None:
    item, provider = server.deliver(ANA), server.provider(ANA)
    server.remove_mailbox(ANA)
    with pytest.raises(MailboxGone):
        provider.folders()
    with pytest.raises(KeyError):
        server.mail(item)


def test_folders_can_be_renamed_and_must_exist(server: MemoryServer) -> None:
    folder = server.add_folder(ANA, "Old")
    server.rename_folder(ANA, folder, "New")
    assert "New" in [info.name for info in server.provider(ANA).folders()]
    with pytest.raises(FolderGone):
        server.deliver(ANA, "nowhere")


def test_values_made_up_by_the_server_differ(server: MemoryServer) -> None:
    first, second = (server.mail(server.deliver(ANA)) for _ in range(2))
    assert first.message_id != second.message_id
    assert first.received_at is not None
    assert second.received_at is not None
    assert first.received_at < second.received_at


def test_links_and_unknown_attachments_are_unreadable(server: MemoryServer) -> None:
    link = File("plan", b"", kind=AttachmentKind.REFERENCE)
    item = server.deliver(ANA, sender=None, to=["a@x.example", Address("b@x.example")], files=(link,))
    provider = server.provider(ANA)
    found = provider.attachments([AttachmentInfo(f"{item}/{end}", "x") for end in ("0", "1", "x")])
    assert [each.code for each in found if isinstance(each, ItemUnreadable)] == [
        "attachment_is_link",
        "item_gone",
        "item_gone",
    ]
