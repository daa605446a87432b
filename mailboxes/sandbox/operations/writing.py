"""CreateItem, SendItem, MoveItem, CopyItem, DeleteItem (UpdateItem is in `updating.py`)."""

from typing import Final

from lxml import etree

from mailboxes.sandbox import invitations, series, todo
from mailboxes.sandbox.contents import text_of
from mailboxes.sandbox.model import Content, Folder, Item
from mailboxes.sandbox.operations.caller import Caller, check_version, many_of, one_of
from mailboxes.sandbox.operations.folders import delete_type
from mailboxes.sandbox.operations.meetings import OBJECTS, respond
from mailboxes.sandbox.operations.sending import answer_to, send, send_draft
from mailboxes.sandbox.soap import EwsError, Fault, response
from mailboxes.sandbox.written import MESSAGE_KINDS, complete, content_in, write
from mailboxes.sandbox.xmltext import M, T, children, local_name, parse_fragment

DISPOSITIONS: Final = ("SaveOnly", "SendOnly", "SendAndSaveCopy")
_HOMES: Final = {"CalendarItem": "calendar", "Contact": "contacts", "DistributionList": "contacts", "Task": "tasks"}
_MISPLACED: Final = {
    "CalendarItem": ("IPF.Appointment", "ErrorCannotCreateCalendarItemInNonCalendarFolder"),
    "Contact": ("IPF.Contact", "ErrorCannotCreateContactInNonContactFolder"),
    "DistributionList": ("IPF.Contact", "ErrorCannotCreateContactInNonContactFolder"),
    "Task": ("IPF.Task", "ErrorCannotCreateTaskInNonTaskFolder"),
}
_ANSWERS: Final = ("ReplyToItem", "ReplyAllToItem", "ForwardItem")
_MESSAGE_FLAGS: Final = "tag:e07:Integer"
_UNSENT: Final = 8


def create_item(caller: Caller, element: etree._Element) -> bytes:
    """Answer CreateItem: one message per item; no ids for what was sent, as on a real server."""
    disposition = element.get("MessageDisposition", "")
    if disposition not in ("", *DISPOSITIONS):
        raise Fault("ErrorSchemaValidation", f"The request failed schema validation: no disposition {disposition!r}.")
    target = one_of(element, "SavedItemFolderId") if element.find(f"{M}SavedItemFolderId") is not None else None

    def answer(wanted: etree._Element) -> str:
        if local_name(wanted) in OBJECTS:
            return items_of(respond(caller, wanted, disposition))
        content = _answering(caller, wanted) if local_name(wanted) in _ANSWERS else content_in(wanted, caller.zone)
        folder = caller.folder(target) if target is not None else None
        if content.kind in MESSAGE_KINDS:
            return _create_message(caller, content, folder, disposition)
        home = folder or caller.acting.distinguished[_HOMES[content.kind]]
        folder_class, code = _MISPLACED.get(content.kind, ("", ""))
        if not home.folder_class.startswith(folder_class):
            raise EwsError(code, f"A {content.kind} cannot be made in folder {home.name}.")
        complete(content, home.mailbox, int(caller.store.clock()))
        sending = _sending(element, "SendMeetingInvitations") if content.kind == "CalendarItem" else "SendToNone"
        item = caller.store.add_item(home, content)
        item.is_read = True
        if content.kind == "CalendarItem":
            invitations.invite(caller.store, item, sending)
        return items_of([item])

    return response("CreateItem", caller.each("CreateItem", many_of(element, "Items"), answer, "<m:Items/>"))


def _create_message(caller: Caller, content: Content, folder: Folder | None, disposition: str) -> str:
    if not disposition:
        raise EwsError("ErrorMessageDispositionRequired", "A message needs a MessageDisposition.")
    owner = folder.mailbox if folder is not None else caller.acting
    marked_read = content.values.pop("IsRead", "")
    complete(content, owner, int(caller.store.clock()))
    if disposition != "SaveOnly":
        send(caller, owner, content)
        if disposition == "SendOnly":
            return "<m:Items/>"
    place = folder or owner.distinguished["drafts" if disposition == "SaveOnly" else "sentitems"]
    item = caller.store.add_item(place, content)
    item.is_draft = disposition == "SaveOnly" and _is_unsent(content)
    item.is_read = "false" not in marked_read
    return items_of([item]) if disposition == "SaveOnly" else "<m:Items/>"


def _is_unsent(content: Content) -> bool:
    """Say whether a saved message is a draft: yes, unless its message flags were set otherwise."""
    flags = content.extended.get(_MESSAGE_FLAGS, "")
    text = "".join(map(str, parse_fragment(flags).itertext())) if flags else str(_UNSENT)
    return not text.isdecimal() or bool(int(text) & _UNSENT)


def _answering(caller: Caller, wanted: etree._Element) -> Content:
    reference = wanted.find(f"{T}ReferenceItemId")
    if reference is None or not reference.get("Id"):
        raise EwsError("ErrorMissingInformationReferenceItemId", "An answer needs the id of what it answers.")
    item = caller.item_by_id(reference.get("Id", ""))
    content = answer_to(item, local_name(wanted))
    for child in children(wanted):
        name = local_name(child)
        if name == "NewBodyContent":
            quoted = content.body[1] if content.body else ""
            content.body = ("HTML" if child.get("BodyType") == "HTML" else "Text", (child.text or "") + quoted)
        elif name != "ReferenceItemId":
            write(content, child, caller.zone)
    return content


def _sending(element: etree._Element, name: str) -> str:
    """Return who is to be told. Raises EwsError if the client does not say, Fault for a word there is not."""
    sending = element.get(name)
    if sending is None:
        raise EwsError(f"Error{name}Required", f"{name} is required for a calendar item.")
    if sending not in invitations.SENDING:
        raise Fault("ErrorSchemaValidation", f"The request failed schema validation: {name} is no {sending!r}.")
    return sending


def send_item(caller: Caller, element: etree._Element) -> bytes:
    """Answer SendItem: one message per draft."""
    keep = element.get("SaveItemToFolder", "true") in ("true", "1")
    target = one_of(element, "SavedItemFolderId") if element.find(f"{M}SavedItemFolderId") is not None else None
    if target is not None and not keep:
        raise Fault("ErrorInvalidSendItemSaveSettings", "A folder to save to was named, but saving was switched off.")

    def answer(wanted: etree._Element) -> str:
        item = caller.item(wanted)
        check_version(item, wanted.get("ChangeKey", ""), strict=True)
        folder = caller.folder(target) if target is not None else item.folder.mailbox.distinguished["sentitems"]
        send_draft(caller, item, folder if keep else None)
        return ""

    return response("SendItem", caller.each("SendItem", many_of(element, "ItemIds"), answer))


def move_item(caller: Caller, element: etree._Element) -> bytes:
    """Answer MoveItem: one message per item, with its new id."""
    return _put(caller, element, "MoveItem")


def copy_item(caller: Caller, element: etree._Element) -> bytes:
    """Answer CopyItem: one message per item, with the copy's id."""
    return _put(caller, element, "CopyItem")


def _put(caller: Caller, element: etree._Element, operation: str) -> bytes:
    to = one_of(element, "ToFolderId")
    silent = element.findtext(f"{M}ReturnNewItemIds") in ("false", "0")

    def answer(wanted: etree._Element) -> str:
        item, folder = caller.item(wanted), caller.folder(to)
        if item.master is not None:
            raise EwsError("ErrorCalendarCannotMoveOrCopyOccurrence", "An occurrence cannot leave its series.")
        put = caller.store.move if operation == "MoveItem" else caller.store.copy
        there = put(item, folder)
        # As on a real server, the new id is not told across mailboxes.
        return items_of([] if silent or folder.mailbox is not item.folder.mailbox else [there])

    return response(operation, caller.each(operation, many_of(element, "ItemIds"), answer, "<m:Items/>"))


def delete_item(caller: Caller, element: etree._Element) -> bytes:
    """Answer DeleteItem: for good, into the recoverable items, or into Deleted Items."""
    kind = delete_type(element)

    def answer(wanted: etree._Element) -> str:
        item = caller.item(wanted)
        if _tell_of_end(caller, item, element):
            return ""
        born = item.folder.mailbox.distinguished
        recoverable, bin_folder = born["recoverableitemsdeletions"], born["deleteditems"]
        if kind == "HardDelete" or item.folder is recoverable:
            caller.store.remove(item)
        else:
            soft = kind == "SoftDelete" or item.folder.is_within(bin_folder)
            caller.store.move(item, recoverable if soft else bin_folder)
        return ""

    return response("DeleteItem", caller.each("DeleteItem", many_of(element, "ItemIds"), answer))


def _tell_of_end(caller: Caller, item: Item, element: etree._Element) -> bool:
    """Tell who is to be told that an item goes; say whether it is gone already, being an occurrence."""
    if item.content.kind == "Task":
        return _skips_a_turn(caller, item, element.get("AffectedTaskOccurrences"))
    if item.content.kind != "CalendarItem":
        return False
    sending = _sending(element, "SendMeetingCancellations")
    if item.master is None:
        invitations.end(caller.store, item, sending)
        return False
    series.delete(item)
    invitations.end(caller.store, item, sending)
    caller.store.touch(item)
    return True


def _skips_a_turn(caller: Caller, item: Item, affected: str | None) -> bool:
    """Move a recurring task on if only its present turn is to go, and say whether there is a next one."""
    if affected is None:
        raise EwsError("ErrorAffectedTaskOccurrencesRequired", "AffectedTaskOccurrences is required for a task.")
    if affected not in ("AllOccurrences", "SpecifiedOccurrenceOnly"):
        raise Fault("ErrorSchemaValidation", f"The request failed schema validation: no occurrences {affected!r}.")
    recurring = text_of(item.content, "IsRecurring") == "true"
    return recurring and affected == "SpecifiedOccurrenceOnly" and todo.advance(caller.store, item)


def items_of(items: list[Item]) -> str:
    """Return m:Items with nothing but ids."""
    inner = "".join(
        f'<t:{item.content.kind}><t:ItemId Id="{item.id}" ChangeKey="{item.change_key}"/></t:{item.content.kind}>'
        for item in items
    )
    return f"<m:Items>{inner}</m:Items>"
