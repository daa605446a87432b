"""Header fields of messages as people send them, read without ever giving up.

The standard library's modern header classes raise on a good part of real mail; here every field is
taken as text, decoded as far as it goes (RFC 2047), and never refused.
"""

import contextlib
import email.errors
import email.header
import email.utils
import re
from email.message import Message
from typing import Final

from mailboxes.sandbox.xmltext import one_line

_ANGLE = re.compile(r"<[^<>\s]+>")
_ADDRESS = re.compile(r"[^\s<>\"',;:()]+@[^\s<>\"',;:()]+")
# Servers refuse fields this long. The standard library takes minutes over one of some megabytes, while others wait.
_LONGEST_DECODED: Final = 65_536
_LONGEST_PEOPLE: Final = 262_144
_ONE_PERSON = re.compile(r"(?:([^\s<>@:,;()\[\]\"\\.][^<>@:,;()\[\]\"\\.]*?) )?<?([\w.+=-]+@[\w.-]+)>?", re.ASCII)
_EPOCH_LIMIT: Final = 253_402_300_799  # 9999-12-31, the last moment XML and Python agree on


def decode_bytes(data: bytes, charset: str = "") -> str:
    """Return text of `data`, by its declared charset if that works, else UTF-8, else Windows-1252."""
    for name in (charset, "utf-8"):
        try:
            if name:
                return data.decode(name)
        except (LookupError, ValueError):
            continue
    return data.decode("cp1252", "replace")


def decoded(value: object) -> str:
    """Return one header value as one line of text, encoded words decoded as far as they can be and are not too many."""
    text = str(value)
    if len(text) > _LONGEST_DECODED:
        return one_line(decoded(text[:_LONGEST_DECODED]) + text[_LONGEST_DECODED:])
    if not text.isascii():
        text = decode_bytes(text.encode("utf-8", "surrogateescape"))
    if "=?" in text:
        # An encoded word that is none is shown as it came.
        with contextlib.suppress(email.errors.MessageError, LookupError, ValueError):
            text = "".join(
                part if isinstance(part, str) else decode_bytes(part, charset or "")
                for part, charset in email.header.decode_header(text)
            )
    return one_line(text)


Fields = dict[str, list[str]]


def fields_of(message: Message) -> Fields:
    """Return the raw values of every field by its lower-case name, in order."""
    found: Fields = {}
    for name, value in message.raw_items():
        found.setdefault(name.lower(), []).append(str(value))
    return found


def first(fields: Fields, name: str) -> str:
    """Return the first field of this (lower-case) name decoded, or ""."""
    found = fields.get(name)
    return decoded(found[0]) if found else ""


def people(fields: Fields, name: str) -> list[tuple[str, str]]:
    """Return (display name, address) of every person in the fields of this name; either may be ""."""
    found = []
    for display, address in _pairs([one_line(value[:_LONGEST_PEOPLE]) for value in fields.get(name, [])]):
        person = (decoded(display), decoded(address).replace(" ", ""))
        if any(person):
            found.append(person)
    return found


def _pairs(raw: list[str]) -> list[tuple[str, str]]:
    if len(raw) == 1 and (simple := _ONE_PERSON.fullmatch(raw[0])):
        # Most fields name one person plainly; the standard library takes fifty times as long.
        return [(simple[1] or "", simple[2])]
    try:
        return email.utils.getaddresses(raw) if raw else []
    except (ValueError, IndexError, TypeError, AttributeError, RecursionError):
        return [("", address) for value in raw for address in _ADDRESS.findall(value)]


def message_ids(text: str) -> list[str]:
    """Return the Message-IDs, with their angle brackets, in a References or In-Reply-To value."""
    return _ANGLE.findall(text)


def epoch_of(value: str) -> int | None:
    """Return a Date header (RFC 5322, or near it) as UTC seconds, None if it is none."""
    try:
        parts = email.utils.parsedate_tz(value)
        moment = email.utils.mktime_tz(parts) if parts else None
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return moment if moment is not None and 0 <= moment <= _EPOCH_LIMIT else None
