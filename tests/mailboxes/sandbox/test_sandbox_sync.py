"""Sync states, pages and change counters of the sandbox, through exchangelib and raw."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
from exchangelib import Account, ExtendedProperty
from exchangelib.errors import ErrorInvalidSyncStateData
from exchangelib.fields import FieldPath
from exchangelib.folders import Folder, FolderCollection, Inbox
from exchangelib.properties import FolderId
from exchangelib.services import SyncFolderItems

from mailboxes.sandbox.server import SandboxServer
from mailboxes.sandbox.store import SandboxStore
from tests.mailboxes.sandbox.wire import ANNA, BEN, ENVELOPE, Ask, Reply, mail, over_http, signed

Open = Callable[..., Account]

COUNTERS = (
    "<m:GetFolder><m:FolderShape><t:BaseShape>IdOnly</t:BaseShape><t:AdditionalProperties>"
    '<t:ExtendedFieldURI PropertyTag="0x670a" PropertyType="SystemTime"/>'
    '<t:ExtendedFieldURI PropertyTag="0x670b" PropertyType="Integer"/></t:AdditionalProperties></m:FolderShape>'
    '<m:FolderIds><t:DistinguishedFolderId Id="inbox"/></m:FolderIds></m:GetFolder>'
)


def bare_inbox(account: Account) -> Inbox:
    inbox = Inbox(root=account.root)
    inbox.to_id()
    return inbox


def sync(inbox: Inbox) -> list[tuple[str, Any]]:
    return list(inbox.sync_items(sync_state=inbox.item_sync_state, only_fields=[], max_changes_returned=512))


def page(ask: Ask, state: str = "", most: int = 512, folder: str = "inbox") -> Reply:
    held = f"<m:SyncState>{state}</m:SyncState>" if state else ""
    return ask(
        "<m:SyncFolderItems><m:ItemShape><t:BaseShape>IdOnly</t:BaseShape></m:ItemShape>"
        f'<m:SyncFolderId><t:DistinguishedFolderId Id="{folder}"/></m:SyncFolderId>{held}'
        f"<m:MaxChangesReturned>{most}</m:MaxChangesReturned></m:SyncFolderItems>"
    )


def test_what_happened_is_told_once_and_by_its_kind(store: SandboxStore, account: Open) -> None:
    kept, read, gone = (store.item(store.deliver_mime(ANNA, mail(number=number))) for number in range(3))
    inbox = bare_inbox(account(ANNA))
    assert [kind for kind, _ in sync(inbox)] == ["create"] * 3
    assert sync(inbox) == []
    kept.content.categories = ("Red",)
    store.touch(kept)
    store.set_read(read, True)
    gone_id = gone.id
    store.remove(gone)
    changes = dict(sync(inbox))
    assert changes["update"].id == kept.id
    assert changes["read_flag_change"][0].id == read.id
    assert changes["read_flag_change"][1] is True
    assert changes["delete"].id == gone_id
    assert sync(inbox) == []


def test_what_came_and_went_in_between_is_not_told(store: SandboxStore, account: Open) -> None:
    inbox = bare_inbox(account(ANNA))
    sync(inbox)
    store.remove(store.item(store.deliver_mime(ANNA, mail())))
    assert sync(inbox) == []


def test_a_read_flag_of_a_changed_item_is_an_update(store: SandboxStore, account: Open) -> None:
    item = store.item(store.deliver_mime(ANNA, mail()))
    inbox = bare_inbox(account(ANNA))
    sync(inbox)
    store.set_read(item, True)
    store.touch(item)
    assert [kind for kind, _ in sync(inbox)] == ["update"]


def test_a_move_is_a_deletion_here_and_a_creation_there(store: SandboxStore, account: Open) -> None:
    item = store.item(store.deliver_mime(ANNA, mail()))
    anna = account(ANNA)
    inbox = bare_inbox(anna)
    sync(inbox)
    moved = store.move(item, store.folder(ANNA, "deleteditems"))
    assert [(kind, one.id) for kind, one in sync(inbox)] == [("delete", item.id)]
    assert [(kind, one.id) for kind, one in anna.trash.sync_items(only_fields=[])] == [("create", moved.id)]


@pytest.mark.parametrize("most", [1, 3, 7, 512])
def test_pages_are_bounded_and_together_complete(store: SandboxStore, ask: Ask, most: int) -> None:
    ids = {store.deliver_mime(ANNA, mail(number=number)) for number in range(10)}
    told: list[str] = []
    state, last = "", "false"
    while last == "false":
        reply = page(ask, state, most)
        found = [element.get("Id", "") for element in reply.all("t:ItemId")]
        assert len(found) <= most
        told += found
        (state,), (last,) = reply.texts("m:SyncState"), reply.texts("m:IncludesLastItemInRange")
    assert len(told) == 10
    assert set(told) == ids


def test_a_first_sync_can_run_from_the_newest_to_the_oldest(store: SandboxStore, ask: Ask) -> None:
    store.newest_first = True
    ids = [store.deliver_mime(ANNA, mail(number=number)) for number in range(5)]
    first = page(ask, most=3)
    second = page(ask, first.texts("m:SyncState")[0])
    told = [element.get("Id") for reply in (first, second) for element in reply.all("t:ItemId")]
    assert told == ids[::-1]
    later = [store.deliver_mime(ANNA, mail(number=number)) for number in (6, 7)]
    third = page(ask, second.texts("m:SyncState")[0])
    assert [element.get("Id") for element in third.all("t:ItemId")] == later


def test_changes_between_pages_are_neither_lost_nor_doubled(store: SandboxStore, ask: Ask) -> None:
    items = [store.item(store.deliver_mime(ANNA, mail(number=number))) for number in range(6)]
    first = page(ask, most=3)
    assert first.texts("m:IncludesLastItemInRange") == ["false"]
    store.touch(items[0])
    store.remove(items[5])
    newcomer = store.deliver_mime(ANNA, mail(number=7))
    second = page(ask, first.texts("m:SyncState")[0])
    assert [element.get("Id") for element in second.all("t:Create/t:Message/t:ItemId")] == [items[3].id, items[4].id]
    assert second.texts("m:IncludesLastItemInRange") == ["false"]
    third = page(ask, second.texts("m:SyncState")[0])
    assert [element.get("Id") for element in third.all("t:Update/t:Message/t:ItemId")] == [items[0].id]
    assert [element.get("Id") for element in third.all("t:Create/t:Message/t:ItemId")] == [newcomer]
    assert third.texts("m:IncludesLastItemInRange") == ["true"]


def test_the_page_limit_of_the_protocol_holds(store: SandboxStore, ask: Ask) -> None:
    for number in range(520):
        store.deliver_mime(ANNA, mail(number=number))
    assert len(page(ask).all("t:Create")) == 512
    too_many = (
        "<m:SyncFolderItems><m:ItemShape><t:BaseShape>IdOnly</t:BaseShape></m:ItemShape>"
        '<m:SyncFolderId><t:DistinguishedFolderId Id="inbox"/></m:SyncFolderId>'
        "<m:MaxChangesReturned>513</m:MaxChangesReturned></m:SyncFolderItems>"
    )
    assert ask(too_many, valid=False).codes == ["ErrorSchemaValidation"]


def test_a_state_is_good_for_its_own_folder_and_life_of_the_store_only(store: SandboxStore, ask: Ask) -> None:
    store.deliver_mime(ANNA, mail())
    state = page(ask).texts("m:SyncState")[0]
    assert page(ask, state).codes == ["NoError"]
    assert page(ask, state, folder="drafts").codes == ["ErrorInvalidSyncStateData"]
    assert page(ask, state[:-8]).codes == ["ErrorInvalidSyncStateData"]
    assert page(ask, "H4sIAAAA").codes == ["ErrorInvalidSyncStateData"]
    store.folder(ANNA, "inbox").log.entries.clear()
    refused = page(ask, state)
    assert refused.codes == ["ErrorInvalidSyncStateData"]
    assert refused.texts("m:SyncState") == [""]


def test_a_folder_that_is_gone_cannot_be_synced(store: SandboxStore, ask: Ask) -> None:
    folder_id = store.create_folder(ANNA, "inbox", "Projects")
    store.remove_folder(store.folder(ANNA, "inbox/Projects"))
    sync_gone = (
        "<m:SyncFolderItems><m:ItemShape><t:BaseShape>IdOnly</t:BaseShape></m:ItemShape>"
        f'<m:SyncFolderId><t:FolderId Id="{folder_id}"/></m:SyncFolderId><m:MaxChangesReturned>10</m:MaxChangesReturned></m:SyncFolderItems>'
    )
    assert ask(sync_gone).codes == ["ErrorSyncFolderNotFound"]
    assert ask(sync_gone, user=BEN).codes == ["ErrorAccessDenied"]
    unknown = sync_gone.replace(f'<t:FolderId Id="{folder_id}"/>', '<t:DistinguishedFolderId Id="voicemail"/>')
    assert ask(unknown).codes == ["ErrorSyncFolderNotFound"]


def test_exchangelib_raises_on_a_state_that_is_none(account: Open) -> None:
    anna = account(ANNA)
    inbox = bare_inbox(anna)
    with pytest.raises(ErrorInvalidSyncStateData):
        list(inbox.sync_items(sync_state="rubbish", only_fields=[]))
    service = SyncFolderItems(account=anna)
    changes = service.call(
        folder=inbox,
        shape="IdOnly",
        additional_fields=None,
        sync_state=None,
        ignore=None,
        max_changes_returned=5,
        sync_scope=None,
    )
    assert list(changes) == []
    assert len(service.sync_state) > 255, "a column too short for real states must fail here"


def test_ignored_items_are_left_out(store: SandboxStore, ask: Ask) -> None:
    ids = [store.deliver_mime(ANNA, mail(number=number)) for number in range(2)]
    reply = ask(
        "<m:SyncFolderItems><m:ItemShape><t:BaseShape>IdOnly</t:BaseShape></m:ItemShape>"
        '<m:SyncFolderId><t:DistinguishedFolderId Id="inbox"/></m:SyncFolderId>'
        f'<m:Ignore><t:ItemId Id="{ids[0]}"/></m:Ignore><m:MaxChangesReturned>10</m:MaxChangesReturned></m:SyncFolderItems>'
    )
    assert [element.get("Id") for element in reply.all("t:ItemId")] == [ids[1]]


# -- change counters


class CommitTime(ExtendedProperty):  # type: ignore[misc]  # exchangelib has no types
    property_tag = 0x670A
    property_type = "SystemTime"


class DeletedCount(ExtendedProperty):  # type: ignore[misc]  # exchangelib has no types
    property_tag = 0x670B
    property_type = "Integer"


def counters(ask: Ask) -> tuple[str, ...]:
    return tuple(ask(COUNTERS).texts("t:Value"))


def test_every_change_moves_a_counter_even_within_one_second(ask: Ask) -> None:
    store = SandboxStore(clock=lambda: 1_800_000_000.0)
    store.add_mailbox(ANNA, "anna-pw", "Anna")
    server = SandboxServer(store)

    def told() -> tuple[str, ...]:
        return tuple(ask(COUNTERS, of=server).texts("t:Value"))

    seen = [told()]
    assert told() == seen[0], "looking changes nothing"
    item = store.item(store.deliver_mime(ANNA, mail()))
    seen.append(told())
    store.set_read(item, True)
    seen.append(told())
    store.touch(item)
    seen.append(told())
    item = store.move(item, store.folder(ANNA, "drafts"))
    seen.append(told())
    store.move(item, store.folder(ANNA, "inbox"))
    seen.append(told())
    assert len(set(seen)) == len(seen)
    assert seen[4][1] == "1", "what left the folder counts as deleted there"
    server.stop()


def test_exchangelib_reads_the_counters_of_many_folders_in_one_request(
    store: SandboxStore, server: SandboxServer, account: Open
) -> None:
    anna = account(ANNA)
    folders = [
        Folder(root=anna.root, _id=FolderId(id=store.folder(ANNA, name).id))
        for name in ("inbox", "sentitems", "calendar")
    ]
    server.requests.reset()
    Folder.register("commit_time", CommitTime)
    Folder.register("deleted_count", DeletedCount)
    try:
        fields = {FieldPath(field=Folder.get_field_by_fieldname(name)) for name in ("commit_time", "deleted_count")}
        from_server = list(FolderCollection(account=anna, folders=folders).get_folders(additional_fields=fields))
    finally:
        Folder.deregister("commit_time")
        Folder.deregister("deleted_count")
    assert server.requests.listed()["operations"] == {"GetFolder": 1}
    assert [folder.deleted_count for folder in from_server] == [0, 0, 0]
    assert all(abs((folder.commit_time - datetime.now(UTC)).total_seconds()) < 60 for folder in from_server)


def test_a_server_without_counters_leaves_them_out(store: SandboxStore, ask: Ask) -> None:
    store.change_counters = False
    assert ask(COUNTERS).codes == ["NoError"]
    assert counters(ask) == ()


# -- folders


def hierarchy(ask: Ask, state: str = "", **how: str) -> Reply:
    held = f"<m:SyncState>{state}</m:SyncState>" if state else ""
    return ask(
        "<m:SyncFolderHierarchy><m:FolderShape><t:BaseShape>Default</t:BaseShape></m:FolderShape>"
        f'<m:SyncFolderId><t:DistinguishedFolderId Id="msgfolderroot"/></m:SyncFolderId>{held}</m:SyncFolderHierarchy>',
        **how,
    )


def test_folders_are_followed_through_creation_renaming_move_and_end(store: SandboxStore, ask: Ask) -> None:
    first = hierarchy(ask)
    assert len(first.all("t:Create")) == 11
    assert first.texts("m:IncludesLastFolderInRange") == ["true"]
    folder_id = store.create_folder(ANNA, "inbox", "Projects")
    second = hierarchy(ask, first.texts("m:SyncState")[0])
    assert [element.get("Id") for element in second.all("t:Create/t:Folder/t:FolderId")] == [folder_id]
    folder = store.folder(ANNA, "inbox/Projects")
    store.rename_folder(folder, "Offers")
    store.move_folder(folder, store.folder(ANNA, "msgfolderroot"))
    third = hierarchy(ask, second.texts("m:SyncState")[0])
    assert [element.get("Id") for element in third.all("t:Update/t:Folder/t:FolderId")] == [folder_id]
    assert third.texts("t:DisplayName") == ["Offers"]
    store.remove_folder(folder)
    fourth = hierarchy(ask, third.texts("m:SyncState")[0])
    assert [element.get("Id") for element in fourth.all("t:Delete/t:FolderId")] == [folder_id]
    assert hierarchy(ask, "rubbish").codes == ["ErrorInvalidSyncStateData"]


def test_without_a_folder_the_hierarchy_of_the_whole_mailbox_is_followed(ask: Ask) -> None:
    reply = ask(
        "<m:SyncFolderHierarchy><m:FolderShape><t:BaseShape>IdOnly</t:BaseShape></m:FolderShape></m:SyncFolderHierarchy>"
    )
    assert len(reply.all("t:Create")) == 11


def test_folder_names_follow_the_mailbox_language(ask: Ask) -> None:
    assert "Safata d'entrada" in hierarchy(ask, user=BEN).texts("t:DisplayName")
    assert "Inbox" in hierarchy(ask).texts("t:DisplayName")


def test_many_clients_at_once_see_all_that_arrives_meanwhile(store: SandboxStore, server: SandboxServer) -> None:
    body = ENVELOPE % (
        "",
        "<m:SyncFolderItems><m:ItemShape><t:BaseShape>Default</t:BaseShape></m:ItemShape>"
        '<m:SyncFolderId><t:DistinguishedFolderId Id="inbox"/></m:SyncFolderId>%s'
        "<m:MaxChangesReturned>7</m:MaxChangesReturned></m:SyncFolderItems>",
    )
    delivered = threading.Event()

    def follow(_: int) -> set[str]:
        seen: set[str] = set()
        state = ""
        while True:
            done = delivered.is_set()
            held = f"<m:SyncState>{state}</m:SyncState>" if state else ""
            status, _, answer = over_http(server, "POST", "/EWS/Exchange.asmx", (body % held).encode(), **signed(ANNA))
            reply = Reply(status, answer)
            seen |= {element.get("Id", "") for element in reply.all("t:Create/t:Message/t:ItemId")}
            (state,) = reply.texts("m:SyncState")
            if done and reply.texts("m:IncludesLastItemInRange") == ["true"]:
                return seen

    with ThreadPoolExecutor(4) as pool:
        followers = [pool.submit(follow, number) for number in range(4)]
        ids = {store.deliver_mime(ANNA, mail(number=number)) for number in range(60)}
        delivered.set()
        assert all(follower.result() == ids for follower in followers)
