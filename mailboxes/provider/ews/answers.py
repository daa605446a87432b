"""From the elements of an answer to the types of the port. Written out for speed: this runs once per message.

Children are walked by tag: a path (`find`, `findtext`) is interpreted in Python at every call, which costs several times
what is found with it, and an idle run does little else than read counters.

Everything a server may leave out is optional here, unknown elements are passed over, and the strings need no cleaning:
what the parser let through is storable (`soap`).
"""

import base64
import binascii
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

from lxml import etree

from mailboxes.provider.errors import ItemUnreadable
from mailboxes.provider.ews.operations import STAMP_NAME
from mailboxes.provider.ews.soap import M, NotAnAnswer, T, refusal
from mailboxes.provider.port import (
    Address,
    AttachmentInfo,
    AttachmentKind,
    Change,
    ChangeKind,
    Content,
    Envelope,
)
from mailboxes.provider.text import header_ids
from mailboxes.provider.writing import TOKEN_HEADER

_PREFIX: Final = len(T)
_FOLDERS: Final = f"{M}Folders"
_ROOT_FOLDER: Final = f"{M}RootFolder"
_FOLDERS_LISTED: Final = f"{T}Folders"
_TOTAL: Final = f"{T}TotalCount"
_EXTENDED: Final = f"{T}ExtendedProperty"
_FIELD: Final = f"{T}ExtendedFieldURI"
_VALUE: Final = f"{T}Value"
_ITEM_ID: Final = f"{T}ItemId"
_KINDS: Final = {
    f"{T}FileAttachment": AttachmentKind.FILE,
    f"{T}ItemAttachment": AttachmentKind.ITEM,
    f"{T}ReferenceAttachment": AttachmentKind.REFERENCE,
}
_CHANGES: Final = {
    f"{T}Create": ChangeKind.CREATED,
    f"{T}Update": ChangeKind.UPDATED,
    f"{T}Delete": ChangeKind.REMOVED,
    f"{T}ReadFlagChange": ChangeKind.READ_FLAG,
}


def messages(element: etree._Element, operation: str) -> list[etree._Element]:
    """Return the response messages, one for each thing that was asked for; raises `NotAnAnswer`."""
    found = element.find(f"{M}ResponseMessages")
    if element.tag != f"{M}{operation}Response" or found is None:
        raise NotAnAnswer(f"the answer to {operation} is {etree.QName(element).localname}")
    return list(found)


def only(element: etree._Element, operation: str) -> etree._Element:
    """Return the one response message of a request about one thing; raises `Refusal` when it is one."""
    found = messages(element, operation)
    if len(found) != 1:
        raise NotAnAnswer(f"{operation} was answered {len(found)} times")
    error = refusal(found[0])
    if error is not None:
        raise error
    return found[0]


def moment(text: str | None) -> datetime | None:
    """Return a time in UTC, None for what is none; without a zone it is taken for UTC."""
    try:
        found = datetime.fromisoformat((text or "").strip())
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


# -- folders ----------------------------------------------------------------------------------------------------------


def folder_elements(message: etree._Element) -> Iterator[etree._Element]:
    """Yield the folders in a response message of GetFolder or FindFolder."""
    for child in message.iterchildren(_FOLDERS, _ROOT_FOLDER):
        if child.tag == _FOLDERS:
            yield from child
        else:
            for listed in child.iterchildren(_FOLDERS_LISTED):
                yield from listed


def folder_id(folder: etree._Element) -> str:
    """Return a folder's id; raises `NotAnAnswer` when it has none."""
    element = folder.find(f"{T}FolderId")
    if element is None or not element.get("Id"):
        raise NotAnAnswer("a folder without an id")
    return str(element.get("Id"))


def counters(folder: etree._Element) -> str | None:
    """Return the two change counters and the number of items as one text; None when the server gave no counter."""
    found: dict[str, str] = {}
    total = ""
    for child in folder:
        if child.tag == _EXTENDED:
            found.update(extended_of(child))
        elif child.tag == _TOTAL:
            total = child.text or ""
    committed, deleted = found.get("670a", ""), found.get("670b", "")
    return f"{committed}/{deleted}/{total}" if committed or deleted else None


def extended_of(element: etree._Element) -> Iterator[tuple[str, str]]:
    """Yield an extended property: its tag in hex without 0x, or its name in lower case, and its value."""
    field = value = None
    for child in element:
        if child.tag == _FIELD:
            field = child
        elif child.tag == _VALUE:
            value = child.text or ""
    if field is not None and value is not None:
        tag = field.get("PropertyTag")
        yield (f"{_number(tag):x}" if tag else (field.get("PropertyName") or "").lower()), value


def _number(tag: str) -> int:
    try:
        return int(tag, 16 if tag[:2] in ("0x", "0X") else 10)
    except ValueError:
        return 0


# -- changes ----------------------------------------------------------------------------------------------------------


def listed_items(message: etree._Element) -> Iterator[etree._Element]:
    """Yield the items in a response message of FindItem."""
    for root in message.iterchildren(_ROOT_FOLDER):
        for items in root.iterchildren(f"{T}Items"):
            yield from items


def listed(message: etree._Element) -> tuple[Iterator[Change], int | None]:
    """Return the items in a response message of FindItem, and where the next page begins; None after the last."""
    root = message.find(_ROOT_FOLDER)
    if root is None:
        raise NotAnAnswer("an answer to FindItem without a folder")
    ids = (each for item in listed_items(message) for each in item.iterchildren(_ITEM_ID))
    offset = root.get("IndexedPagingOffset", "")
    last = root.get("IncludesLastItemInRange", "true") == "true" or not offset.isdecimal()
    found = (Change(ChangeKind.CREATED, each.get("Id", ""), each.get("ChangeKey", "")) for each in ids)
    return found, None if last else int(offset)


def changes(message: etree._Element) -> Iterator[Change]:
    """Yield the changes in a response message of SyncFolderItems, in its order; what names no item is passed over."""
    for element in message.iterfind(f"{M}Changes/*"):
        kind = _CHANGES.get(str(element.tag))
        item = next(element.iter(f"{T}ItemId"), None)
        if kind is not None and item is not None and item.get("Id"):
            change_key = "" if kind is ChangeKind.REMOVED else item.get("ChangeKey", "")
            yield Change(kind, str(item.get("Id")), change_key)


# -- messages ---------------------------------------------------------------------------------------------------------


def item_element(message: etree._Element) -> etree._Element:
    """Return the one item in a response message, whatever kind it is; raises `NotAnAnswer`."""
    found = message.find(f"{M}Items/*")
    if found is None:
        raise NotAnAnswer("a success without an item")
    return found


def envelope(item_id: str, item: etree._Element) -> Envelope:
    """Return the envelope of an item that was asked for by `item_id`."""
    found: dict[str, etree._Element] = {}
    extended: dict[str, str] = {}
    for child in item:
        name = child.tag[_PREFIX:]
        if name == "ExtendedProperty":
            extended.update(extended_of(child))
        else:
            found[name] = child
    identity = found.get("ItemId")
    conversation = found.get("ConversationId")
    return Envelope(
        item_id=item_id,
        change_key="" if identity is None else identity.get("ChangeKey", ""),
        sender=_one_mailbox(found.get("From")) or _one_mailbox(found.get("Sender")),
        to=_mailboxes(found.get("ToRecipients")),
        cc=_mailboxes(found.get("CcRecipients")),
        bcc=_mailboxes(found.get("BccRecipients")),
        subject=_text(found, "Subject"),
        item_class=_text(found, "ItemClass") or "IPM.Note",
        received_at=moment(_text(found, "DateTimeReceived")),
        sensitivity=_text(found, "Sensitivity") or "Normal",
        categories=_strings(found.get("Categories")),
        message_id=_message_id(_text(found, "InternetMessageId")),
        in_reply_to=next(iter(header_ids(_text(found, "InReplyTo"))), ""),
        references=header_ids(_text(found, "References")),
        conversation_id="" if conversation is None else conversation.get("Id", ""),
        auto_submitted=extended.get("auto-submitted", "").strip().lower(),
        search_key=_hex(extended.get("300b", "")),
        stamp=extended.get(STAMP_NAME, ""),
        token=extended.get(TOKEN_HEADER.lower(), "").strip(),
        is_draft=_text(found, "IsDraft") == "true",
    )


def content(item_id: str, item: etree._Element) -> Content:
    """Return body and attachments' metadata of an item that was asked for by `item_id`."""
    found = {child.tag[_PREFIX:]: child for child in item}
    identity = found.get("ItemId")
    body = found.get("Body")
    text = "" if body is None else body.text or ""
    is_html = body is not None and body.get("BodyType", "").upper() == "HTML"
    listed = found.get("Attachments")
    return Content(
        item_id=item_id,
        change_key="" if identity is None else identity.get("ChangeKey", ""),
        html=text if is_html else "",
        text="" if is_html else text,
        sent_at=moment(_text(found, "DateTimeSent")) or moment(_text(found, "DateTimeReceived")),
        importance=_text(found, "Importance") or "Normal",
        size=_size(_text(found, "Size")),
        attachments=() if listed is None else tuple(attachment_infos(listed)),
    )


def attachment_infos(listed: etree._Element) -> Iterator[AttachmentInfo]:
    """Yield what an item's list of attachments tells of each; one without an id is passed over."""
    for element in listed:
        kind = _KINDS.get(str(element.tag), AttachmentKind.REFERENCE)
        identity = element.find(f"{T}AttachmentId")
        if identity is None or not identity.get("Id"):
            continue
        yield AttachmentInfo(
            id=str(identity.get("Id")),
            name=element.findtext(f"{T}Name", "").strip(),
            content_type=element.findtext(f"{T}ContentType", "").strip().lower() or _default_type(kind),
            size=_size(element.findtext(f"{T}Size", "")),
            kind=kind,
            inline=element.findtext(f"{T}IsInline", "") == "true",
            content_id=element.findtext(f"{T}ContentId", "").strip().strip("<>"),
            version=element.findtext(f"{T}LastModifiedTime", "").strip(),
        )


def _default_type(kind: AttachmentKind) -> str:
    return "message/rfc822" if kind is AttachmentKind.ITEM else "application/octet-stream"


def attachment_bytes(message: etree._Element) -> bytes | ItemUnreadable:
    """Return the bytes in a response message of GetAttachment, of an attached item its MIME form."""
    element = message.find(f"{M}Attachments/*")
    if element is None:
        return ItemUnreadable("the server gave no attachment", code="attachment_unreadable")
    encoded = element.findtext(f"{T}Content")
    if encoded is None:
        encoded = next((each.text or "" for each in element.iterfind(f"*/{T}MimeContent")), None)
    if encoded is None and element.tag != f"{T}FileAttachment":
        return ItemUnreadable("the attached item has no MIME form", code="attachment_unreadable")
    try:
        # Line breaks are fine, anything else foreign would be skipped in silence without `validate`.
        return base64.b64decode("".join((encoded or "").split()), validate=True)
    except (binascii.Error, ValueError) as error:
        return ItemUnreadable(f"the attachment is not base64: {error}", code="attachment_unreadable")


def _text(found: dict[str, etree._Element], name: str) -> str:
    element = found.get(name)
    return "" if element is None else (element.text or "")


def _message_id(text: str) -> str:
    """Return a Message-ID without white space; one without brackets gets them, so that it equals its references."""
    text = "".join(text.split())
    return text if not text or text.startswith("<") else f"<{text.rstrip('>')}>"


def _strings(element: etree._Element | None) -> tuple[str, ...]:
    return () if element is None else tuple(each.text for each in element if each.text)


def _mailboxes(element: etree._Element | None) -> tuple[Address, ...]:
    return () if element is None else tuple(_mailbox(each) for each in element)


def _one_mailbox(element: etree._Element | None) -> Address | None:
    return None if element is None or not len(element) else _mailbox(element[0])


def _mailbox(element: etree._Element) -> Address:
    """Return an address. What has no @ is no SMTP address but a directory's own name for somebody: the name stays."""
    email = name = ""
    for child in element:
        tag = child.tag[_PREFIX:]
        if tag == "EmailAddress":
            email = (child.text or "").strip()
        elif tag == "Name":
            name = (child.text or "").strip()
    return Address(email if "@" in email else "", name)


def _hex(text: str) -> str:
    try:
        return base64.b64decode(text).hex()
    except (binascii.Error, ValueError):
        return ""


def _size(text: str) -> int:
    return int(text) if text.strip().isdecimal() and len(text) < 19 else 0
