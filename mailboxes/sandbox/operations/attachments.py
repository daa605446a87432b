"""GetAttachment, CreateAttachment, DeleteAttachment."""

import base64
from typing import NamedTuple

from lxml import etree

from mailboxes.sandbox import attendant
from mailboxes.sandbox.contents import attachments_of, size_of
from mailboxes.sandbox.ids import MalformedId, decode_attachment_id
from mailboxes.sandbox.model import Attachment, Content, Item
from mailboxes.sandbox.operations.caller import Caller, many_of, needed
from mailboxes.sandbox.operations.shapes import Shape, item_shape
from mailboxes.sandbox.properties import attachment_facts, attachment_head
from mailboxes.sandbox.soap import EwsError, response
from mailboxes.sandbox.written import attach, attachment_in
from mailboxes.sandbox.xmltext import M, T


class Place(NamedTuple):
    """Where an attachment hangs: its item, the content it belongs to, itself, and the way to that content."""

    item: Item
    owner: Content
    attachment: Attachment
    path: tuple[int, ...]


def find_attachment(caller: Caller, attachment_id: str) -> Place:
    """Return the attachment of an id. Raises EwsError."""
    if not attachment_id:
        raise EwsError("ErrorInvalidIdEmpty", "The attachment's Id is empty.")
    try:
        item_id, path = decode_attachment_id(attachment_id)
    except MalformedId as error:
        raise EwsError("ErrorInvalidAttachmentId", f"The attachment's Id is malformed: {error}.") from error
    item = caller.item_by_id(item_id)
    owner = item.content
    for depth, number in enumerate(path):
        found = next((one for one in attachments_of(owner) if one.number == number), None)
        if found is None:
            raise EwsError("ErrorItemNotFound", "The attachment was not found.")
        if depth == len(path) - 1:
            return Place(item, owner, found, path[:-1])
        if found.item is None:
            break
        owner = found.item
    raise EwsError("ErrorItemNotFound", "The attachment was not found.")


def get_attachment(caller: Caller, element: etree._Element) -> bytes:
    """Answer GetAttachment: one message per id, in order; item attachments in the AttachmentShape (all if none)."""
    asked = element.find(f"{M}AttachmentShape")
    shape = item_shape(asked)
    if asked is None or asked.find(f"{T}BaseShape") is None:
        shape.base = "AllProperties"

    def answer(target: etree._Element) -> str:
        place = find_attachment(caller, target.get("Id", ""))
        return f"<m:Attachments>{_whole(place, shape)}</m:Attachments>"

    targets = many_of(element, "AttachmentIds")
    return response("GetAttachment", caller.each("GetAttachment", targets, answer, "<m:Attachments/>"))


def _whole(place: Place, shape: Shape) -> str:
    attachment = place.attachment
    facts = attachment_facts(attachment, place.item.id, place.path)
    if attachment.item is None:
        data = base64.b64encode(attachment.data).decode("ascii")
        return f"<t:FileAttachment>{facts}<t:Content>{data}</t:Content></t:FileAttachment>"
    inner = shape.content(attachment.item, place.item.id, (*place.path, attachment.number))
    return f"<t:ItemAttachment>{facts}{inner}</t:ItemAttachment>"


def create_attachment(caller: Caller, element: etree._Element) -> bytes:
    """Answer CreateAttachment: one message per attachment; each changes the parent's change key."""
    parent_id = needed(element, "ParentItemId")

    def answer(wanted: etree._Element) -> str:
        item = caller.item_by_id(parent_id.get("Id", ""))
        made = attachment_in(wanted, caller.zone)
        if size_of(item.content) + len(made.data) > caller.store.largest_item:
            raise EwsError("ErrorMessageSizeExceeded", "The message exceeds the maximum supported size.")
        attach(item.content, made)
        attendant.keep(caller.store, item, item.content, {"Attachments"})
        root = f' RootItemId="{item.id}" RootItemChangeKey="{item.change_key}"/>'
        head = attachment_head(made, item.id, ()).replace("/>", root, 1)
        return f"<m:Attachments>{head}</m:Attachments>"

    targets = many_of(element, "Attachments")
    return response("CreateAttachment", caller.each("CreateAttachment", targets, answer, "<m:Attachments/>"))


def delete_attachment(caller: Caller, element: etree._Element) -> bytes:
    """Answer DeleteAttachment: one message per id, with the parent's new change key."""

    def answer(target: etree._Element) -> str:
        place = find_attachment(caller, target.get("Id", ""))
        if place.attachment in place.owner.attached:
            place.owner.attached.remove(place.attachment)
        place.owner.removed.add(place.attachment.number)
        attendant.keep(caller.store, place.item, place.item.content, {"Attachments"})
        return f'<m:RootItemId RootItemId="{place.item.id}" RootItemChangeKey="{place.item.change_key}"/>'

    return response("DeleteAttachment", caller.each("DeleteAttachment", many_of(element, "AttachmentIds"), answer))
