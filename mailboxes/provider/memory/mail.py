"""A message as tests give it, and as a provider tells of it."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from mailboxes.provider.port import Address, AttachmentInfo, AttachmentKind, Content, Envelope
from mailboxes.provider.text import clean


@dataclass(frozen=True, slots=True)
class File:
    """An attachment to deliver."""

    name: str
    data: bytes = field(repr=False)
    content_type: str = "application/octet-stream"
    kind: AttachmentKind = AttachmentKind.FILE
    inline: bool = False
    content_id: str = ""


@dataclass(frozen=True, slots=True)
class Mail:
    """All that a message says. Addresses may be given as plain strings; None asks for a value made up by the server."""

    sender: Address | str | None = "sender@example.org"
    to: Iterable[Address | str] = ()
    cc: Iterable[Address | str] = ()
    bcc: Iterable[Address | str] = ()
    subject: str = "A subject"
    item_class: str = "IPM.Note"
    received_at: datetime | None = None
    sensitivity: str = "Normal"
    categories: tuple[str, ...] = ()
    message_id: str | None = None
    in_reply_to: str = ""
    references: tuple[str, ...] = ()
    conversation_id: str = ""
    auto_submitted: str = ""
    search_key: str | None = None
    stamp: str = ""
    is_draft: bool = False
    html: str = ""
    text: str = "A text"
    sent_at: datetime | None = None
    importance: str = "Normal"
    size: int | None = None
    files: tuple[File, ...] = ()
    token: str = ""


def _address(given: Address | str) -> Address:
    return Address(clean(given)) if isinstance(given, str) else Address(clean(given.email), clean(given.name))


def envelope(item_id: str, change_key: str, mail: Mail) -> Envelope:
    """Return what a provider may tell of a message before the decision."""
    return Envelope(
        item_id=item_id,
        change_key=change_key,
        sender=None if mail.sender is None else _address(mail.sender),
        to=tuple(map(_address, mail.to)),
        cc=tuple(map(_address, mail.cc)),
        bcc=tuple(map(_address, mail.bcc)),
        subject=clean(mail.subject),
        item_class=mail.item_class,
        received_at=mail.received_at,
        sensitivity=mail.sensitivity,
        categories=tuple(map(clean, mail.categories)),
        message_id=mail.message_id or "",
        in_reply_to=mail.in_reply_to,
        references=mail.references,
        conversation_id=mail.conversation_id,
        auto_submitted=mail.auto_submitted,
        search_key=mail.search_key or "",
        stamp=mail.stamp,
        token=mail.token,
        is_draft=mail.is_draft,
    )


def content(item_id: str, change_key: str, mail: Mail) -> Content:
    """Return body and list of attachments; the attachments' ids are the item's and a number."""
    infos = tuple(
        AttachmentInfo(
            id=f"{item_id}/{number}",
            name=clean(each.name),
            content_type=each.content_type,
            size=len(each.data),
            kind=each.kind,
            inline=each.inline,
            content_id=each.content_id,
        )
        for number, each in enumerate(mail.files)
    )
    return Content(
        item_id=item_id,
        change_key=change_key,
        html=clean(mail.html),
        text=clean(mail.text) if not mail.html else "",
        sent_at=mail.sent_at or mail.received_at,
        importance=mail.importance,
        size=mail.size if mail.size is not None else len(mail.html or mail.text) + sum(len(f.data) for f in mail.files),
        attachments=infos,
    )
