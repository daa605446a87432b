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
    """Return one header value as one line of text, encoded words decoded as far as they can be."""
    text = str(value)
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


def values(message: Message, name: str) -> list[str]:
    """Return the raw values of every field of this name, in order."""
    wanted = name.lower()
    return [str(value) for key, value in message.raw_items() if key.lower() == wanted]


def first(message: Message, name: str) -> str:
    """Return the first field of this name decoded, or ""."""
    found = values(message, name)
    return decoded(found[0]) if found else ""


def people(message: Message, name: str) -> list[tuple[str, str]]:
    """Return (display name, address) of every person in the fields of this name; either may be ""."""
    raw = [one_line(value) for value in values(message, name)]
    if not raw:
        return []
    try:
        pairs = email.utils.getaddresses(raw)
    except (ValueError, IndexError, TypeError, AttributeError, RecursionError):
        pairs = [("", address) for value in raw for address in _ADDRESS.findall(value)]
    found = []
    for display, address in pairs:
        person = (decoded(display), decoded(address).replace(" ", ""))
        if any(person):
            found.append(person)
    return found


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
