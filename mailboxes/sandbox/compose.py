"""Writes a message's bytes from its properties: for drafts that are sent, and for MimeContent.

The old, forgiving message classes of the standard library are used on purpose: a client may send any
text as a subject or a name, and it must go out encoded, never be refused.
"""

import email
import email.policy
import email.utils
import uuid
from email import encoders
from email.header import Header
from email.message import Message
from email.mime.base import MIMEBase
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from typing import Final

from mailboxes.sandbox import html, mime
from mailboxes.sandbox.contents import attachments_of, body_of, said, text_of
from mailboxes.sandbox.extended import header_of
from mailboxes.sandbox.kinds import words
from mailboxes.sandbox.model import Attachment, Content
from mailboxes.sandbox.xmltext import T, moment_in, one_line, parse_fragment

Person = tuple[str, str]

_SENSITIVITIES: Final = {"Personal": "Personal", "Private": "Private", "Confidential": "Company-Confidential"}
# Written from properties; a client's own header of one of these names must not double it.
_OWN: Final = frozenset(
    words(
        """
    from sender to cc bcc reply-to subject date message-id in-reply-to references thread-topic thread-index
    importance sensitivity mime-version content-type content-transfer-encoding
    """
    )
)


# What of a message's own bytes a change of these properties contradicts.
_IN_BYTES: Final = frozenset(
    words(
        """
    From Sender ToRecipients CcRecipients BccRecipients ReplyTo Subject InternetMessageId InReplyTo References
    ConversationIndex Importance Sensitivity
    """
    )
)


def new_message_id() -> str:
    """Return a Message-ID of this server."""
    return f"<{uuid.uuid4()}@sandbox.example>"


def people_in(content: Content, element: str) -> list[Person]:
    """Return (name, address) of everybody in a property such as ToRecipients, From or Organizer."""
    fragment = said(content, element)
    if not fragment:
        return []
    return [
        (one_line(box.findtext(f"{T}Name") or ""), one_line(box.findtext(f"{T}EmailAddress") or ""))
        for box in parse_fragment(fragment).iter(f"{T}Mailbox")
    ]


def mime_of(content: Content) -> bytes:
    """Return the message as bytes: as it came, or written from its properties."""
    whole = _untouched(content)
    return whole if whole is not None else message(content).as_bytes(policy=_WIRE)


def outgoing(content: Content) -> bytes:
    """Return the message as its recipients get it: like `mime_of`, without Bcc."""
    whole = _untouched(content)
    if whole is not None and not said(content, "BccRecipients"):
        return whole
    written = message(content)
    del written["Bcc"]
    return written.as_bytes(policy=_WIRE)


def _untouched(content: Content) -> bytes | None:
    """Return the bytes of a content that nothing was changed of that would be in them."""
    changed = content.body or content.attached or content.removed or _IN_BYTES & content.values.keys()
    return None if changed else content.raw


_WIRE: Final = email.policy.compat32.clone(linesep="\r\n")


def message(content: Content) -> Message:
    """Write a message from a content's properties, body and attachments."""
    written = _structure(content)
    for header, element in (("From", "From"), ("Sender", "Sender"), ("To", "ToRecipients"), ("Cc", "CcRecipients")):
        _write_people(written, header, people_in(content, element))
    _write_people(written, "Bcc", people_in(content, "BccRecipients"))
    _write_people(written, "Reply-To", people_in(content, "ReplyTo"))
    for header, element in (
        ("Subject", "Subject"),
        ("Message-ID", "InternetMessageId"),
        ("In-Reply-To", "InReplyTo"),
        ("References", "References"),
        ("Thread-Topic", "ConversationTopic"),
        ("Thread-Index", "ConversationIndex"),
    ):
        _write(written, header, text_of(content, element))
    sent = text_of(content, "DateTimeSent")
    _write(written, "Date", email.utils.format_datetime(moment_in(sent)) if sent else "")
    importance = text_of(content, "Importance")
    _write(written, "Importance", importance if importance in ("High", "Low") else "")
    _write(written, "Sensitivity", _SENSITIVITIES.get(text_of(content, "Sensitivity"), ""))
    if text_of(content, "IsReadReceiptRequested") == "true":
        _write_people(written, "Disposition-Notification-To", people_in(content, "From"))
    for name, kept in content.extended.items():
        header = header_of(name) or ""
        if header and header not in _OWN and kept:
            _write(written, header.title(), "".join(map(str, parse_fragment(kept).itertext())))
    for name, text in mime.parse(content.raw).headers if content.raw is not None else []:
        if name.lower() not in _OWN and name not in written:
            _write(written, name, text)
    return written


def _write(written: Message, header: str, text: str) -> None:
    """Write one field; a name that no header can have, and an empty value, are left out."""
    line = one_line(text)
    if not line or not all(33 <= ord(mark) <= 126 and mark != ":" for mark in header):
        return
    # Message-IDs must stay whole, so identifiers are never folded into encoded words.
    written[header] = line if line.isascii() else Header(line, "utf-8", header_name=header).encode()


def _write_people(written: Message, header: str, people: list[Person]) -> None:
    line = ", ".join(
        email.utils.formataddr((name if name != address else "", address))
        if address.isascii()
        else one_line(f"{name} <{address}>")
        for name, address in people
        if name or address
    )
    _write(written, header, line)


def _structure(content: Content) -> Message:
    kind, body = body_of(content, "Best")
    attachments = attachments_of(content)
    inner: Message = MIMEText(body, "plain", "utf-8")
    if kind == "HTML":
        rich: Message = MIMEText(body, "html", "utf-8")
        inline = [one for one in attachments if one.is_inline and one.content_id]
        attachments = [one for one in attachments if one not in inline]
        if inline:
            rich = _multipart("related", [rich, *map(_part, inline)])
        inner = _multipart("alternative", [MIMEText(html.to_text(body), "plain", "utf-8"), rich])
    return _multipart("mixed", [inner, *map(_part, attachments)]) if attachments else inner


def _multipart(kind: str, parts: list[Message]) -> Message:
    whole = MIMEMultipart(kind)
    for part in parts:
        del part["MIME-Version"]
        whole.attach(part)
    return whole


def _part(attachment: Attachment) -> Message:
    if attachment.item is not None:
        part: Message = MIMEBase("message", "rfc822")
        part.set_payload([email.message_from_bytes(mime_of(attachment.item), policy=email.policy.compat32)])
    else:
        main, _, sub = attachment.content_type.partition("/")
        known = main.isalnum() and sub and main not in ("multipart", "message")
        part = MIMEBase(main, sub) if known else MIMEBase("application", "octet-stream")
        part.set_payload(attachment.data)
        encoders.encode_base64(part)
    if attachment.content_id:
        _write(part, "Content-ID", f"<{attachment.content_id}>")
    part.add_header(
        "Content-Disposition",
        "inline" if attachment.is_inline else "attachment",
        filename=("utf-8", "", one_line(attachment.name)),
    )
    return part
