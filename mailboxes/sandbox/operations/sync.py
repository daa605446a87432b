"""SyncFolderItems and SyncFolderHierarchy: changes since a state, in bounded pages."""

from collections.abc import Callable
from typing import Final

from lxml import etree

from mailboxes.sandbox.changelog import Change, Cursor
from mailboxes.sandbox.ids import MalformedId, decode_state, encode_id, encode_state
from mailboxes.sandbox.model import Folder, Mailbox
from mailboxes.sandbox.operations.caller import Caller, number_of, one_of
from mailboxes.sandbox.operations.folder_shapes import FolderShape, folder_shape
from mailboxes.sandbox.operations.shapes import Shape, item_shape
from mailboxes.sandbox.soap import EwsError, Fault, failure, response, success
from mailboxes.sandbox.xmltext import M, boolean, children

MOST: Final = 512
_HIERARCHY_PAGE: Final = 200


def sync_folder_items(caller: Caller, element: etree._Element) -> bytes:
    """Answer SyncFolderItems: at most MaxChangesReturned (1 to 512) changes, and the state after them."""
    operation = "SyncFolderItems"
    limit = number_of(element.find(f"{M}MaxChangesReturned"), "", MOST)
    if not 1 <= limit <= MOST:
        raise Fault(
            "ErrorSchemaValidation", f"The request failed schema validation: MaxChangesReturned is 1 to {MOST}."
        )
    shape = item_shape(element.find(f"{M}ItemShape"), summary=True)
    target = one_of(element, "SyncFolderId")
    ignored = {child.get("Id", "") for wrapper in element.iterfind(f"{M}Ignore") for child in children(wrapper)}

    def answer() -> str:
        folder = _synced(caller, target)
        cursor = _cursor(element, folder.mailbox, "I", folder)
        # A page of one that repeats its last would never end.
        most = min(limit, max(caller.repeat, 2)) if caller.repeat else limit
        page = folder.log.page(cursor, most, folder.items.__contains__, newest_first=caller.store.newest_first)
        if caller.repeat and not page.last:
            page = page._replace(cursor=page.cursor._replace(position=page.cursor.position - 1))
        inner = "".join([_item_change(folder, shape, *change, ignored) for change in page.changes])
        state = encode_state(folder.mailbox.guid, "I", folder.number, page.cursor)
        return (
            f"<m:SyncState>{state}</m:SyncState><m:IncludesLastItemInRange>{'true' if page.last else 'false'}"
            f"</m:IncludesLastItemInRange><m:Changes>{inner}</m:Changes>"
        )

    empty = "<m:SyncState/><m:IncludesLastItemInRange>true</m:IncludesLastItemInRange>"
    return response(operation, [_guarded(caller, operation, answer, empty)])


def _guarded(caller: Caller, operation: str, answer: Callable[[], str], empty: str) -> str:
    try:
        scripted = caller.fault(0, "")
        if scripted is not None:
            raise scripted
        return success(operation, answer())
    except Fault:
        raise
    except EwsError as error:
        return failure(operation, error, empty)


def _synced(caller: Caller, target: etree._Element) -> Folder:
    try:
        return caller.folder(target)
    except EwsError as error:
        if error.code != "ErrorFolderNotFound":
            raise
        raise EwsError("ErrorSyncFolderNotFound", "The folder to synchronize was not found.") from error


def _item_change(folder: Folder, shape: Shape, change: Change, number: int, ignored: set[str]) -> str:
    if change is Change.DELETE:
        return f'<t:Delete><t:ItemId Id="{encode_id(folder.mailbox.guid, "I", number)}"/></t:Delete>'
    item = folder.items[number]
    if item.id in ignored:
        return ""
    if change is Change.READ:
        identifier = f'<t:ItemId Id="{item.id}" ChangeKey="{item.change_key}"/>'
        return f"<t:ReadFlagChange>{identifier}{boolean('IsRead', item.is_read)}</t:ReadFlagChange>"
    name = "Create" if change is Change.CREATE else "Update"
    return f"<t:{name}>{shape.item(item)}</t:{name}>"


def sync_folder_hierarchy(caller: Caller, element: etree._Element) -> bytes:
    """Answer SyncFolderHierarchy: folders below SyncFolderId (all of the mailbox's own if it is left out)."""
    operation = "SyncFolderHierarchy"
    shape = folder_shape(element.find(f"{M}FolderShape"), counters=caller.store.change_counters)
    target = one_of(element, "SyncFolderId") if element.find(f"{M}SyncFolderId") is not None else None

    def answer() -> str:
        top = _synced(caller, target) if target is not None else caller.acting.distinguished["msgfolderroot"]
        mailbox = top.mailbox
        cursor = _cursor(element, mailbox, "H", top)

        def visible(number: int) -> bool:
            folder = mailbox.folders.get(number)
            return folder is not None and folder is not top and folder.is_within(top)

        page = mailbox.log.page(cursor, _HIERARCHY_PAGE, visible)
        inner = "".join([_folder_change(mailbox, shape, *change) for change in page.changes])
        state = encode_state(mailbox.guid, "H", top.number, page.cursor)
        return (
            f"<m:SyncState>{state}</m:SyncState><m:IncludesLastFolderInRange>{'true' if page.last else 'false'}"
            f"</m:IncludesLastFolderInRange><m:Changes>{inner}</m:Changes>"
        )

    empty = "<m:SyncState/><m:IncludesLastFolderInRange>true</m:IncludesLastFolderInRange>"
    return response(operation, [_guarded(caller, operation, answer, empty)])


def _folder_change(mailbox: Mailbox, shape: FolderShape, change: Change, number: int) -> str:
    if change is Change.DELETE:
        return f'<t:Delete><t:FolderId Id="{encode_id(mailbox.guid, "F", number)}"/></t:Delete>'
    name = "Create" if change is Change.CREATE else "Update"
    return f"<t:{name}>{shape.folder(mailbox.folders[number])}</t:{name}>"


def _cursor(element: etree._Element, mailbox: Mailbox, scope: str, folder: Folder) -> Cursor:
    """Return where the client stands. Raises EwsError for a state of another folder or of another life of the store."""
    text = element.findtext(f"{M}SyncState")
    if not text:
        return Cursor()
    log = folder.log if scope == "I" else mailbox.log
    try:
        cursor = decode_state(text.strip(), mailbox.guid, scope, folder.number)
    except MalformedId as error:
        raise EwsError(
            "ErrorInvalidSyncStateData", f"Synchronization state data is corrupt or otherwise invalid: {error}."
        ) from error
    if not log.knows(cursor):
        raise EwsError("ErrorInvalidSyncStateData", "Synchronization state data is newer than the mailbox.")
    return cursor
