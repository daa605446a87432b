"""Each property of an item, whether kept, read from its bytes, or worked out now.

The one idea: `fragment(item, name)` returns the XML of one property or "", and it looks in three
places in this order: what the server works out itself, what was written since the item came, what
its bytes say. Rendering an answer is then a walk over the kind's list of properties.
"""

import base64
import hashlib
from collections.abc import Callable
from typing import Final, NamedTuple

from mailboxes.sandbox import appointments, attendant, mime, people, series
from mailboxes.sandbox.compose import mime_of
from mailboxes.sandbox.contents import attachments_of, body_of, said, size_of, text_of, thread_root
from mailboxes.sandbox.extended import ExtendedField, header_of, value
from mailboxes.sandbox.ids import encode_attachment_id
from mailboxes.sandbox.kinds import KINDS
from mailboxes.sandbox.model import Attachment, Content, Item
from mailboxes.sandbox.xmltext import (
    boolean,
    escape,
    leaf,
    mailbox,
    moment,
    moment_in,
    parse_fragment,
    raw_leaf,
    strings,
)


def fragment(item: Item, name: str, bodies: str = "Best") -> str:
    """Return one property of an item as XML, "" if the item has none of that name."""
    if name in _WORKED_OUT:
        return _WORKED_OUT[name](item)
    return content_fragment(item.content, name, item.id, (), bodies)


class _Asked(NamedTuple):
    """One property of one content, and where the content is found: `path` leads to it from the item."""

    content: Content
    name: str
    item_id: str
    path: tuple[int, ...]
    bodies: str


def content_fragment(content: Content, name: str, item_id: str, path: tuple[int, ...], bodies: str = "Best") -> str:
    """Return one property of a content. `path` leads from the item to it, through item attachments."""
    worked_out = _OF_CONTENT.get(name)
    return said(content, name) if worked_out is None else worked_out(_Asked(content, name, item_id, path, bodies))


def _mime(asked: _Asked) -> str:
    data = base64.b64encode(mime_of(asked.content)).decode("ascii")
    return f'<t:MimeContent CharacterSet="UTF-8">{data}</t:MimeContent>'


def _attachments(asked: _Asked) -> str:
    inner = "".join(attachment_head(one, asked.item_id, asked.path) for one in attachments_of(asked.content))
    return f"<t:Attachments>{inner}</t:Attachments>" if inner else ""


def _has_attachments(asked: _Asked) -> str:
    return boolean("HasAttachments", any(not one.is_inline for one in attachments_of(asked.content)))


def _item_class(asked: _Asked) -> str:
    return said(asked.content, "ItemClass") or raw_leaf("ItemClass", KINDS[asked.content.kind].item_class)


def _any_body(asked: _Asked) -> str:
    return _body(asked.content, asked.name, "Text" if asked.name == "TextBody" else asked.bodies)


_OF_CONTENT: Final[dict[str, Callable[[_Asked], str]]] = {
    "CompleteName": lambda asked: people.complete_name(asked.content) if asked.content.kind == "Contact" else "",
    "Body": _any_body,
    "TextBody": _any_body,
    "UniqueBody": _any_body,
    "NormalizedBody": _any_body,
    "MimeContent": _mime,
    "Attachments": _attachments,
    "HasAttachments": _has_attachments,
    "ItemClass": _item_class,
    "Categories": lambda asked: strings("Categories", asked.content.categories),
    "Size": lambda asked: raw_leaf("Size", str(size_of(asked.content))),
}


def _body(content: Content, name: str, wanted: str) -> str:
    cache = mime.parse(content.raw).bodies if content.raw is not None and content.body is None else {}
    known = cache.get(name + wanted)
    if known is None:
        kind, body = body_of(content, wanted)
        known = cache[name + wanted] = f'<t:{name} BodyType="{kind}">{escape(body)}</t:{name}>'
    return known


def attachment_head(attachment: Attachment, item_id: str, path: tuple[int, ...]) -> str:
    """Return an attachment without its content, as it stands among an item's properties."""
    element = "FileAttachment" if attachment.item is None else "ItemAttachment"
    return f"<t:{element}>{attachment_facts(attachment, item_id, path)}</t:{element}>"


def attachment_facts(attachment: Attachment, item_id: str, path: tuple[int, ...]) -> str:
    """Return the inner elements that every attachment has."""
    known = encode_attachment_id(item_id, (*path, attachment.number))
    size = len(attachment.data) if attachment.item is None else size_of(attachment.item)
    inner = f'<t:AttachmentId Id="{known}"/>' + leaf("Name", attachment.name)
    for element, text in (
        ("ContentType", attachment.content_type),
        ("ContentId", attachment.content_id),
        ("ContentLocation", attachment.content_location),
    ):
        if text:
            inner += leaf(element, text)
    return inner + raw_leaf("Size", str(size)) + boolean("IsInline", attachment.is_inline)


def extended(item: Item, field: ExtendedField) -> str:
    """Return an extended property of an item as XML, "" if the item has none."""
    if field.name == "tag:300b:Binary":
        return field.render(value(base64.b64encode(item.search_key).decode("ascii")))
    return content_extended(item.content, field)


def content_extended(content: Content, field: ExtendedField) -> str:
    """Return an extended property of a content as XML, "" if it has none."""
    kept = content.extended.get(field.name)
    if kept is not None:
        return field.render(kept) if kept else ""
    if field.name in _OBJECT_IDS and content.kind in ("CalendarItem", "MeetingRequest", "MeetingCancellation"):
        text = appointments.global_object_id(content)
        return field.render(value(text)) if text else ""
    named = _TAGS.get(field.name)
    if named is not None:
        text = text_of(content, named)
        return field.render(value(text)) if text else ""
    header = header_of(field.name)
    if header is not None and content.raw is not None:
        found = [text for name, text in mime.parse(content.raw).headers if name.lower() == header]
        if found:
            return field.render(value(found[0]))
    return ""


def header_fragment(content: Content, name: str) -> str:
    """Return t:InternetMessageHeaders with the fields of one name, "" if there are none."""
    if content.raw is None:
        return ""
    found = [(known, text) for known, text in mime.parse(content.raw).headers if known.lower() == name.lower()]
    return "".join(
        f'<t:InternetMessageHeader HeaderName="{escape(known)}">{escape(text)}</t:InternetMessageHeader>'
        for known, text in found
    )


# GlobalObjectId and CleanGlobalObjectId of the set "Meeting": what a search for a UID goes by.
_OBJECT_IDS: Final = frozenset(f"6ed8da90-450b-101b-98da-00aa003f1305:#{number}:Binary" for number in (3, 35))
_TAGS: Final = {
    "tag:1035:String": "InternetMessageId",
    "tag:1039:String": "References",
    "tag:1042:String": "InReplyTo",
    "tag:37:String": "Subject",
    "tag:70:String": "ConversationTopic",
}


# -- what the server works out itself


def _item_id(item: Item) -> str:
    return f'<t:ItemId Id="{item.id}" ChangeKey="{item.change_key}"/>'


def _parent(item: Item) -> str:
    return f'<t:ParentFolderId Id="{item.folder.id}" ChangeKey="{item.folder.change_key}"/>'


def _conversation(item: Item) -> str:
    if item.content.kind not in ("Message", "MeetingRequest", "MeetingResponse", "MeetingCancellation"):
        return ""
    index = text_of(item.content, "ConversationIndex")
    if len(index) >= 32:
        thread = index[:29]  # the first 22 bytes are the thread's, the rest says who answered when
    else:
        thread = thread_root(item.content) or f"{item.folder.mailbox.guid}/{item.search_key.hex()}"
    digest = hashlib.shake_128(f"{item.folder.mailbox.guid}/{thread}".encode("utf-8", "replace")).digest(48)
    return f'<t:ConversationId Id="{base64.b64encode(digest).decode("ascii")}"/>'


def _rights(_: Item) -> str:
    names = ("CreateAssociated", "CreateContents", "CreateHierarchy", "Delete", "Modify", "Read", "ViewPrivateItems")
    inner = "".join(
        boolean(name, name not in ("CreateAssociated", "CreateContents", "CreateHierarchy")) for name in names
    )
    return f"<t:EffectiveRights>{inner}</t:EffectiveRights>"


def _sent(item: Item) -> str:
    kept = said(item.content, "DateTimeSent")
    return kept or ("" if item.is_draft else moment("DateTimeSent", item.received))


def _read(item: Item) -> str:
    return boolean("IsRead", item.is_read)


def _owner(item: Item) -> str:
    owner = item.folder.mailbox
    return mailbox(owner.display_name, owner.address)


def _received_by(name: str) -> Callable[[Item], str]:
    def worked_out(item: Item) -> str:
        in_hand = not item.is_draft and item.folder.distinguished != "sentitems"
        return f"<t:{name}>{_owner(item)}</t:{name}>" if in_hand else ""

    return worked_out


def _instance_key(item: Item) -> str:
    return raw_leaf("InstanceKey", base64.b64encode(item.number.to_bytes(8, "big")).decode("ascii"))


def _flag(item: Item) -> str:
    return said(item.content, "Flag") or "<t:Flag><t:FlagStatus>NotFlagged</t:FlagStatus></t:Flag>"


def _duration(item: Item) -> str:
    start, end = text_of(item.content, "Start"), text_of(item.content, "End")
    if item.content.kind != "CalendarItem" or not start or not end:
        return ""
    seconds = int((moment_in(end) - moment_in(start)).total_seconds())
    return raw_leaf("Duration", f"PT{seconds // 3600}H{seconds % 3600 // 60}M")


def _is_organizer(item: Item) -> str:
    if item.content.kind != "CalendarItem":
        return ""
    return boolean("IsOrganizer", text_of(item.content, "MyResponseType") == "Organizer")


def _associated(item: Item) -> str:
    if item.content.kind not in ("MeetingRequest", "MeetingResponse", "MeetingCancellation"):
        return ""
    found = attendant.associated(item)
    return "" if found is None else f'<t:AssociatedCalendarItemId Id="{found.id}" ChangeKey="{found.change_key}"/>'


def _zone_id(item: Item, side: str) -> str:
    kept = said(item.content, f"{side}TimeZone") if item.content.kind == "CalendarItem" else ""
    return leaf(f"{side}TimeZoneId", parse_fragment(kept).get("Id", "")) if kept else ""


_WORKED_OUT: Final[dict[str, Callable[[Item], str]]] = {
    "ItemId": _item_id,
    "ParentFolderId": _parent,
    "ConversationId": _conversation,
    "EffectiveRights": _rights,
    "DateTimeReceived": lambda item: moment("DateTimeReceived", item.received),
    "DateTimeCreated": lambda item: moment("DateTimeCreated", item.created),
    "LastModifiedTime": lambda item: moment("LastModifiedTime", item.modified),
    "LastModifiedName": lambda item: leaf("LastModifiedName", item.folder.mailbox.display_name),
    "DateTimeSent": _sent,
    "IsRead": _read,
    "IsDraft": lambda item: boolean("IsDraft", item.is_draft),
    "IsSubmitted": lambda _: boolean("IsSubmitted", False),
    "IsFromMe": lambda item: boolean("IsFromMe", item.folder.distinguished == "sentitems"),
    "IsResend": lambda _: boolean("IsResend", False),
    "IsUnmodified": lambda item: boolean("IsUnmodified", not item.content.values),
    "IsAssociated": lambda _: boolean("IsAssociated", False),
    "ReceivedBy": _received_by("ReceivedBy"),
    "ReceivedRepresenting": _received_by("ReceivedRepresenting"),
    "InstanceKey": _instance_key,
    "StoreEntryId": lambda item: raw_leaf("StoreEntryId", base64.b64encode(item.id.encode("ascii")).decode("ascii")),
    "SearchKey": lambda item: raw_leaf("SearchKey", base64.b64encode(item.search_key).decode("ascii")),
    "Flag": _flag,
    "FirstOccurrence": series.first_occurrence,
    "LastOccurrence": series.last_occurrence,
    "ModifiedOccurrences": series.modified_occurrences,
    "DeletedOccurrences": series.deleted_occurrences,
    "Duration": _duration,
    "IsOrganizer": _is_organizer,
    "AssociatedCalendarItemId": _associated,
    "StartTimeZoneId": lambda item: _zone_id(item, "Start"),
    "EndTimeZoneId": lambda item: _zone_id(item, "End"),
}
