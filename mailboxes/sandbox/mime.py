"""What a message's bytes say: properties, bodies, attachments. No bytes can make it fail.

The one idea: a message is read leniently by the standard library's parser, and where even that gives
up, the headers alone are read and the rest is the text. The bytes themselves are kept elsewhere and
never change, so what was read from them can be cached.
"""

import email
import email.errors
import email.parser
import email.policy
import re
from dataclasses import dataclass, field
from email.message import Message
from functools import lru_cache
from typing import Final

from mailboxes.sandbox import headers, html, ics
from mailboxes.sandbox.headers import decode_bytes, decoded
from mailboxes.sandbox.model import Attachment, Content
from mailboxes.sandbox.xmltext import boolean, escape, leaf, moment, one_line, raw_leaf, recipient, recipients

_HUGE: Final = 1_000_000
_NESTING: Final = 40
# Reading the parameters of a longer field takes the standard library minutes.
_LONGEST_TYPE: Final = 65_536
_SENSITIVITIES: Final = {"personal": "Personal", "private": "Private", "company-confidential": "Confidential"}
_MEETING_KINDS: Final = {
    "request": "MeetingRequest",
    "reply": "MeetingResponse",
    "cancel": "MeetingCancellation",
    "counter": "MeetingResponse",
}
_TOPIC_PREFIX = re.compile(r"^(?:\s*(?:re|fwd?|aw|wg|rv|tr|sv|vs|antw)(?:\[\d+\])?\s*:\s*)+", re.IGNORECASE)
_BASE64 = re.compile(r"[A-Za-z0-9+/]+={0,2}")
_HEAD_END = re.compile(rb"\r?\n\r?\n")
_RECEIVED = re.compile(rb"^received:((?:.*\n[ \t])*.*)", re.IGNORECASE | re.MULTILINE)
_DATE = re.compile(rb"^date:((?:.*\n[ \t])*.*)", re.IGNORECASE | re.MULTILINE)
# What the standard library's parser raises on hostile structure and fields.
_UNREADABLE: Final = (
    email.errors.MessageError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    RecursionError,
    AssertionError,
)


@dataclass(slots=True)
class Parsed:
    """What one message says. `values` are fragments by property; bodies are None where there is none.

    `bodies` keeps the fragments that were made of them, for whoever asks again.
    """

    kind: str = "Message"
    values: dict[str, str] = field(default_factory=dict)
    headers: list[tuple[str, str]] = field(default_factory=list)
    text: str | None = None
    html: str | None = None
    calendar: bytes | None = None
    method: str = ""
    attachments: list[Attachment] = field(default_factory=list)
    bodies: dict[str, str] = field(default_factory=dict)


def parse(raw: bytes) -> Parsed:
    """Read a message. Repeated reads of the same bytes cost nothing while they are in the cache."""
    return _parse_huge(raw) if len(raw) > _HUGE else _parse_usual(raw)


def kind_of(raw: bytes) -> str:
    """Return the element a message is in the protocol: Message, or a meeting's kind."""
    # Looking for the type in any case would copy every message that is loaded.
    return parse(raw).kind if b"alendar" in raw or b"ALENDAR" in raw else "Message"


def epoch_of(raw: bytes) -> int | None:
    """Return when a message was received: its newest Received field's time, else its Date; None if neither is one."""
    # A search instead of the parser: loading ten thousand messages must take seconds.
    head = raw[:262_144]
    end = _HEAD_END.search(head)
    head = head[: end.start()] if end else head
    for pattern in (_RECEIVED, _DATE):
        found = pattern.search(head)
        if found is not None:
            at = headers.epoch_of(decoded(found[1].decode("latin-1").rpartition(";")[2]))
            if at is not None:
                return at
    return None


def topic_of(subject: str) -> str:
    """Return the subject without its reply and forward prefixes, as Exchange's conversation topic."""
    return _TOPIC_PREFIX.sub("", subject).strip()


def _parse(raw: bytes) -> Parsed:
    parsed = Parsed()
    try:
        message = _message(raw)
        _take_parts(message, parsed, 0)
    except _UNREADABLE:
        message = _head(raw)
        rest = raw.partition(b"\n\n")[2] or raw.partition(b"\r\n\r\n")[2]
        parsed = Parsed(text=decode_bytes(rest))
    _take_headers(message, parsed)
    if parsed.calendar is not None and parsed.method in _MEETING_KINDS:
        parsed.kind = _MEETING_KINDS[parsed.method]
        parsed.values |= ics.meeting_values(parsed.calendar, parsed.kind)
    return parsed


def _message(raw: bytes) -> Message:
    """Read the structure. A message of a single part is cut in two here: the library would walk its body line by line."""
    end = _HEAD_END.search(raw)
    if end is not None:
        message: Message = email.message_from_bytes(raw[: end.end()], policy=email.policy.compat32)
        if message.get_content_maintype() not in ("multipart", "message") and not message.get_payload():
            message.set_payload(raw[end.end() :].decode("ascii", "surrogateescape"))
            return message
    return email.message_from_bytes(raw, policy=email.policy.compat32)


_parse_usual = lru_cache(maxsize=1024)(_parse)
_parse_huge = lru_cache(maxsize=2)(_parse)


def _head(raw: bytes) -> Message:
    """Read the header fields alone, of at most the first 256 KiB."""
    try:
        return email.message_from_bytes(_head_bytes(raw), policy=email.policy.compat32)
    except _UNREADABLE:
        return Message(policy=email.policy.compat32)


def _head_bytes(raw: bytes) -> bytes:
    ends = [at for at in (raw.find(b"\n\n"), raw.find(b"\r\n\r\n")) if at >= 0]
    head = raw[: min([*ends, 262_144])]
    # The body goes, so the structure must not be looked for either.
    return re.sub(rb"(?im)^content-type:", b"X-Content-Type:", head) + b"\n\n"


# -- header fields to properties


def _take_headers(message: Message, parsed: Parsed) -> None:
    fields = headers.fields_of(message)
    parsed.headers = [(name.strip(), decoded(value)) for name, value in message.raw_items() if name.strip()]
    values = parsed.values
    subject = headers.first(fields, "subject")
    if "subject" in fields:
        values["Subject"] = leaf("Subject", subject)
    values["ConversationTopic"] = leaf("ConversationTopic", topic_of(subject))
    _take_people(fields, values)
    _take_references(fields, values)
    _take_flags(fields, values)
    sent = headers.epoch_of(headers.first(fields, "date"))
    if sent is not None:
        values["DateTimeSent"] = moment("DateTimeSent", sent)
    start = parsed.text[:2000] if parsed.text is not None else html.to_text((parsed.html or "")[:50_000])
    preview = one_line(start)[:255]
    if preview:
        values["Preview"] = leaf("Preview", preview)
    if parsed.headers:
        inner = "".join(
            f'<t:InternetMessageHeader HeaderName="{escape(name)}">{escape(value)}</t:InternetMessageHeader>'
            for name, value in parsed.headers
        )
        values["InternetMessageHeaders"] = f"<t:InternetMessageHeaders>{inner}</t:InternetMessageHeaders>"


def _take_people(fields: headers.Fields, values: dict[str, str]) -> None:
    for element, name in (("ToRecipients", "To"), ("CcRecipients", "Cc"), ("BccRecipients", "Bcc")):
        people = headers.people(fields, name.lower())
        values[element] = recipients(element, people)
        values["Display" + name] = leaf("Display" + name, "; ".join(display or address for display, address in people))
    values["ReplyTo"] = recipients("ReplyTo", headers.people(fields, "reply-to"))
    author, sender = headers.people(fields, "from")[:1], headers.people(fields, "sender")[:1]
    for element, found in (("From", author or sender), ("Sender", sender or author)):
        values[element] = recipient(element, found[0]) if found else ""


def _take_references(fields: headers.Fields, values: dict[str, str]) -> None:
    message_id = headers.first(fields, "message-id")
    in_reply_to = headers.first(fields, "in-reply-to")
    references = headers.first(fields, "references")
    for element, text in (("InternetMessageId", message_id), ("InReplyTo", in_reply_to), ("References", references)):
        if text:
            values[element] = leaf(element, text)
    index = headers.first(fields, "thread-index").replace(" ", "")
    if len(index) % 4 == 0 and _BASE64.fullmatch(index):
        values["ConversationIndex"] = raw_leaf("ConversationIndex", index)
    roots = headers.message_ids(references) or headers.message_ids(in_reply_to) or headers.message_ids(message_id)
    # Not a property of the protocol: what the conversation's id is made from.
    values["#thread"] = roots[0] if roots else ""


def _take_flags(fields: headers.Fields, values: dict[str, str]) -> None:
    importance = headers.first(fields, "importance").lower() or headers.first(fields, "x-priority")[:1]
    word = {"high": "High", "low": "Low", "1": "High", "2": "High", "4": "Low", "5": "Low"}.get(importance, "Normal")
    values["Importance"] = raw_leaf("Importance", word)
    sensitivity = _SENSITIVITIES.get(headers.first(fields, "sensitivity").lower(), "Normal")
    values["Sensitivity"] = raw_leaf("Sensitivity", sensitivity)
    for element, name in (
        ("IsReadReceiptRequested", "disposition-notification-to"),
        ("IsDeliveryReceiptRequested", "return-receipt-to"),
    ):
        values[element] = boolean(element, name in fields)


# -- parts to bodies and attachments


def _take_parts(part: Message, parsed: Parsed, depth: int) -> None:
    for name in ("Content-Type", "Content-Disposition"):
        if len(str(part.get(name, ""))) > _LONGEST_TYPE:
            part.replace_header(name, str(part[name])[:_LONGEST_TYPE])
    kind = part.get_content_type()
    payload = part.get_payload()
    if isinstance(payload, list) and not kind.startswith("message/") and depth < _NESTING:
        for child in payload:
            if isinstance(child, Message):
                _take_parts(child, parsed, depth + 1)
        return
    attached = part.get_content_disposition() == "attachment" or bool(_file_name(part)) or isinstance(payload, list)
    if attached or not _take_body(part, kind, parsed):
        if kind == "text/calendar":
            _take_calendar(part, parsed)
        _take_attachment(part, kind, parsed)


def _take_body(part: Message, kind: str, parsed: Parsed) -> bool:
    """Take the first text, the first HTML, and an invitation for what they are; say whether it was one."""
    if kind == "text/plain" and parsed.text is None:
        parsed.text = _text(part)
    elif kind == "text/html" and parsed.html is None:
        parsed.html = _text(part)
    elif kind == "text/calendar" and parsed.calendar is None:
        _take_calendar(part, parsed)
        return parsed.method in _MEETING_KINDS
    else:
        return False
    return True


def _take_calendar(part: Message, parsed: Parsed) -> None:
    if parsed.calendar is None:
        parsed.calendar = _data(part)
        parsed.method = decoded(part.get_param("method", "")).lower()


def _take_attachment(part: Message, kind: str, parsed: Parsed) -> None:
    number = len(parsed.attachments)
    content_id = decoded(part.get("Content-ID", "")).strip("<> ")
    name = _file_name(part)
    location = decoded(part.get("Content-Location", ""))
    inline = bool(content_id) and part.get_content_disposition() != "attachment"
    attachment = Attachment(number, name, kind, content_id, location, inline)
    if kind == "message/rfc822" and (raw := _embedded(part)) is not None:
        attachment.item = Content("Message", raw)
        attachment.name = name or headers.first(headers.fields_of(_head(raw)), "subject") or "message"
    else:
        attachment.name = name or f"ATT{number + 1:05d}{'.txt' if kind.startswith('text/') else '.dat'}"
        attachment.data = _data(part)
    parsed.attachments.append(attachment)


def _file_name(part: Message) -> str:
    """Return the part's file name, decoded (RFC 2231, or encoded words as many programs send), or ""."""
    try:
        name = part.get_filename()
    except _UNREADABLE:
        return ""
    return decoded(name)[:255] if name else ""


def _data(part: Message) -> bytes:
    """Return a part's bytes with its transfer encoding undone, as far as that goes."""
    try:
        payload = part.get_payload(decode=True)
        if isinstance(payload, bytes):
            return payload
        children = part.get_payload()
        if isinstance(children, list):
            return b"\n".join(child.as_bytes() for child in children if isinstance(child, Message))
    except _UNREADABLE:
        pass
    return str(part.get_payload()).encode("utf-8", "replace")


def _text(part: Message) -> str:
    try:
        charset = part.get_content_charset() or ""
    except _UNREADABLE:
        charset = ""
    return decode_bytes(_data(part), charset)


def _embedded(part: Message) -> bytes | None:
    """Return the bytes of a message inside a message, None if there is no message in it."""
    children = part.get_payload()
    if not (isinstance(children, list) and children and isinstance(children[0], Message)):
        return None
    try:
        return children[0].as_bytes()
    except _UNREADABLE:
        return None
