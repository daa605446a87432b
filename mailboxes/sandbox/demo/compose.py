"""Builds the raw bytes of an authored letter: headers by hand, content by the library.

Headers are written here rather than by `EmailMessage`, which would turn every encoded
word into UTF-8: the corpus must show the charsets that real mail shows. Nothing in the
result depends on a clock, a host name or randomness; boundaries are named by the key.
"""

from __future__ import annotations

import html
import zlib
from collections.abc import Iterator, Mapping
from datetime import datetime
from email import message_from_bytes
from email.header import Header
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, formataddr
from typing import cast
from zoneinfo import ZoneInfo

from mailboxes.sandbox.demo import files
from mailboxes.sandbox.demo.cast import Person, companies, people_by_key
from mailboxes.sandbox.demo.diary import Meeting, calendar
from mailboxes.sandbox.demo.script import Letter, moment

_COMPANY_NAMES = {company.key: company.name for company in companies}
_REPLY_PREFIX = {"de": "AW: "}
_FORWARD_PREFIX = {"de": "WG: "}
_WROTE = {
    "ar": "كتب {}:",
    "ca": "{} va escriure:",
    "de": "{} schrieb:",
    "el": "Ο/Η {} έγραψε:",
    "ja": "{} さんは書きました:",
    "ru": "{} пишет:",
}


def compose(letter: Letter, letters: Mapping[str, Letter], now: datetime) -> bytes:
    """The message as it travels: CRLF line ends, headers first, Bcc left out."""
    content = _content(letter, letters, now)
    _name_boundaries(content, letter.key)
    head = "".join(f"{name}: {value}\r\n" for name, value in _headers(letter, letters, now))
    return head.encode("ascii") + content.as_bytes(policy=SMTP)


def message_id(letter: Letter) -> str:
    """The letter's Message-ID; it depends on nothing but key and sender."""
    domain = people_by_key[letter.sender].domain
    return f"<{letter.key}.{zlib.crc32(letter.key.encode()):08x}@{domain}>"


def subject(letter: Letter, letters: Mapping[str, Letter]) -> str:
    """The subject in plain text: the author's, or the prefix and subject of the thread."""
    if letter.subject or not letter.parent:
        return letter.subject
    root = letter
    while root.parent and not root.subject:
        root = letters[root.parent]
    language = people_by_key[letter.sender].language
    if letter.forwards:
        return _FORWARD_PREFIX.get(language, "Fwd: ") + root.subject
    return _REPLY_PREFIX.get(language, "Re: ") + root.subject


def _headers(letter: Letter, letters: Mapping[str, Letter], now: datetime) -> Iterator[tuple[str, str]]:
    sender = people_by_key[letter.sender]
    sent = moment(letter.when, sender.zone, now).astimezone(ZoneInfo(sender.zone))
    charset = letter.charset
    if sender.role == "external":
        relay = f"from mail.{sender.domain} (mail.{sender.domain} [192.0.2.25])"
        yield "Received", f"{relay}\r\n\tby mx.turia.example with ESMTPS; {format_datetime(sent)}"
    yield "Date", format_datetime(sent)
    yield "From", _addresses((letter.sender,), charset)
    for name, keys in (("To", letter.to), ("Cc", letter.cc)):
        if keys:
            yield name, _addresses(keys, charset)
    yield "Subject", _encoded(subject(letter, letters), charset, "Subject")
    yield "Message-ID", message_id(letter)
    if chain := [message_id(ancestor) for ancestor in _ancestors(letter, letters)]:
        yield "In-Reply-To", chain[-1]
        yield "References", "\r\n ".join(chain)
    for line in letter.headers:
        name, _, value = line.partition(":")
        yield name, value.strip()


def _ancestors(letter: Letter, letters: Mapping[str, Letter]) -> list[Letter]:
    """The letters that this one refers to, the first of them first (RFC 5322 §3.6.4).

    A forward refers to its original like an answer does, as Outlook writes it.
    """
    chain: list[Letter] = []
    while letter.parent and "loose" not in letter.traits:
        letter = letters[letter.parent]
        chain.insert(0, letter)
    return chain


def _encoded(text: str, charset: str, name: str) -> str:
    if text.isascii():
        return Header(text, "us-ascii", header_name=name).encode(linesep="\r\n")
    return Header(text, _able(text, charset), header_name=name).encode(linesep="\r\n")


def _addresses(keys: tuple[str, ...], charset: str) -> str:
    pairs = []
    for key in keys:
        person = people_by_key[key]
        pairs.append(formataddr((person.display, person.address), _able(person.display, charset)))
    return ",\r\n ".join(pairs)


def _able(text: str, charset: str) -> str:
    """`charset` where it can hold the text, else UTF-8."""
    try:
        text.encode(charset)
    except UnicodeEncodeError:
        return "utf-8"
    return charset


def _content(letter: Letter, letters: Mapping[str, Letter], now: datetime) -> EmailMessage:
    content = EmailMessage(policy=SMTP)
    if "htmlonly" in letter.traits:
        page = _page(letter, letters)
        content.set_content(page, subtype="html", charset=_able(page, letter.charset))
    else:
        _set_plain(content, letter, letters)
    if "html" in letter.traits or letter.inline:
        _add_html(content, letter, letters)
    if letter.invite:
        _add_invitation(content, letter, now)
    for spec in letter.attach:
        _attach(content, spec, letters, now)
    return content


def _set_plain(content: EmailMessage, letter: Letter, letters: Mapping[str, Letter]) -> None:
    flowed = "flowed" in letter.traits
    plain = _plain_text(letter, letters)
    content.set_content(
        _flowed(plain) if flowed else plain,
        charset=_able(plain, letter.charset),
        cte=letter.transfer or None,
        params={"format": "flowed"} if flowed else None,
    )


def _plain_text(letter: Letter, letters: Mapping[str, Letter]) -> str:
    parts = [letter.body, _signature(people_by_key[letter.sender])]
    if letter.parent and "noquote" not in letter.traits:
        parent = letters[letter.parent]
        lines = (f"> {line}".rstrip() for line in parent.body.splitlines())
        parts.append(_wrote(letter, parent) + "\n" + "\n".join(lines))
    return "\n\n".join(parts) + "\n"


def _signature(person: Person) -> str:
    return f"-- \n{person.display}\n{person.title}, {_COMPANY_NAMES.get(person.company, person.company)}"


def _wrote(letter: Letter, parent: Letter) -> str:
    pattern = _WROTE.get(people_by_key[letter.sender].language, "{} wrote:")
    return pattern.format(people_by_key[parent.sender].display)


def _flowed(text: str) -> str:
    """Soft line ends inside paragraphs (RFC 3676 §4.2); quotes and signature stay fixed."""
    lines = text.split("\n")
    flowed = []
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        soft = line and following and not line.startswith((">", "-")) and not following.startswith((">", "-"))
        flowed.append(line + " " if soft else line)
    return "\n".join(flowed)


def _add_html(content: EmailMessage, letter: Letter, letters: Mapping[str, Letter]) -> None:
    page = _page(letter, letters)
    content.add_alternative(page, subtype="html", charset=_able(page, letter.charset))
    rendered = cast("list[EmailMessage]", content.get_payload())[-1]
    for name in letter.inline:
        cid = f"<{_content_id(letter, name)}>"
        rendered.add_related(files.png(name), "image", "png", cid=cid, filename=f"{name}.png", disposition="inline")


def _page(letter: Letter, letters: Mapping[str, Letter]) -> str:
    blocks = [_block(block) for block in letter.body.split("\n\n")]
    blocks += [f'<p><img src="cid:{_content_id(letter, name)}" alt="{name}"></p>' for name in letter.inline]
    blocks += [f"<p>{html.escape(people_by_key[letter.sender].display)}</p>"]
    if letter.parent and "noquote" not in letter.traits:
        parent = letters[letter.parent]
        quoted = "".join(_block(block) for block in parent.body.split("\n\n"))
        blocks.append(f"<p>{html.escape(_wrote(letter, parent))}</p><blockquote>{quoted}</blockquote>")
    return f"<html><body>{''.join(blocks)}</body></html>\n"


def _content_id(letter: Letter, name: str) -> str:
    return f"{name}.{letter.key}@{people_by_key[letter.sender].domain}"


def _block(block: str) -> str:
    """One paragraph, list (lines start with `- `) or table (cells between `|`) as HTML."""
    lines = [html.escape(line) for line in block.splitlines()]
    if all(line.startswith("- ") for line in lines):
        return "<ul>" + "".join(f"<li>{line[2:]}</li>" for line in lines) + "</ul>"
    if all(line.startswith("|") for line in lines):
        rows = ("".join(f"<td>{cell.strip()}</td>" for cell in line.strip("|").split("|")) for line in lines)
        return '<table border="1">' + "".join(f"<tr>{row}</tr>" for row in rows) + "</table>"
    return "<p>" + "\n".join(lines) + "</p>"


def _add_invitation(content: EmailMessage, letter: Letter, now: datetime) -> None:
    meeting = Meeting.parse(letter.invite)
    sender = people_by_key[letter.sender]
    guests = tuple(people_by_key[key] for key in letter.to)
    if meeting.method == "REPLY":  # the one who answers is the attendee, the reader organises
        raw = calendar(meeting, guests[0], (sender,), now)
    else:
        raw = calendar(meeting, sender, guests, now)
    content.add_alternative(raw.decode(), subtype="calendar", params={"method": meeting.method})


def _attach(content: EmailMessage, spec: str, letters: Mapping[str, Letter], now: datetime) -> None:
    """Adds one `kind | file name | text`; kind `eml` wraps the letter whose key is the text."""
    kind, name, text = (part.strip() for part in spec.split("|", 2))
    if kind == "eml":
        inner = message_from_bytes(compose(letters[text], letters, now), policy=SMTP)
        content.add_attachment(inner)
        return
    maintype, subtype = files.MEDIA_TYPES[kind]
    content.add_attachment(files.draw(kind, name, text), maintype, subtype, filename=name)


def _name_boundaries(content: EmailMessage, key: str) -> None:
    for number, part in enumerate(content.walk()):
        if part.is_multipart() and part.get_content_maintype() == "multipart" and not part.get_boundary():
            part.set_boundary(f"=_{key}_{number}")
