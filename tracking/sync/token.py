"""A mark on mail that crmsync sends, so that an answer finds its thread even where reply headers do not lead to it.

The one idea: a token is a name and its proof in one. It names a row (an activity, or a mail that is being sent) and can
be made and read by whoever holds the installation's key, and by nobody else: to everybody else it is 24 letters that say
nothing, not even which of two was made first. What it does not do is give rights: whether a token counts is decided by
`tracking.sync.decide` from who sent the mail that carries it.

For whoever sends mail: ask `tracking.engine.tokens.marks` once for each mail. It knows the switches of the sync profile and
returns the three things that a mail carries: `OutgoingMail.token` (the header), its `message_id` (which has the token
in its local part, for replies bring that back and lose private headers) and its `subject` (with the token in brackets
where that is switched on). Nothing else needs to be known of tokens.

The construction is that of a synthetic initialisation vector (RFC 5297 §2): the tag is a keyed hash of the name, and the
name is hidden by a keystream made from the tag. It takes no randomness, and equal names give equal tokens.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from mailboxes.provider.port import Envelope
from tracking.sync.identity import KEPT_REFERENCES

# In base32: 15 bytes are 24 letters, without padding, and every 24 letters are 15 bytes.
LENGTH: Final = 24
_TAG_BYTES: Final = 8
_ID_BYTES: Final = 6
MOST: Final = 2 ** (8 * _ID_BYTES) - 1
# What a subject may hold of them and be looked at: somebody may have pasted any number.
_IN_SUBJECT: Final = 3

_WHOLE: Final = re.compile(rf"[a-z2-7]{{{LENGTH}}}")
_IN_ID: Final = re.compile(rf"<?crm\.([a-z2-7]{{{LENGTH}}})\.", re.IGNORECASE)
# Bounded: a subject may be nothing but white space, which is searched from each of its places.
_BRACKETED: Final = re.compile(rf"\s{{0,9}}\[crm:([a-z2-7]{{{LENGTH}}})\]", re.IGNORECASE)


class Kind(IntEnum):
    """What a token names. Values are part of tokens that are out in the world: never to change."""

    ACTIVITY = 1
    OUTGOING = 2


@dataclass(frozen=True, slots=True)
class Named:
    """A row by kind and primary key."""

    kind: Kind
    id: int


def make(named: Named, key: str) -> str:
    """Return the token of a row: 24 lower-case letters and digits. Raises ValueError for an id out of range."""
    if not 0 < named.id <= MOST:
        raise ValueError(f"no token names row {named.id}")
    name = bytes([named.kind]) + named.id.to_bytes(_ID_BYTES, "big")
    tag = _keyed(key, b"tag", name)[:_TAG_BYTES]
    return base64.b32encode(tag + _hidden(name, tag, key)).decode().lower()


def read(text: str, key: str) -> Named | None:
    """Return what a token names; None for anything that was not made with this key. Never raises, whatever the text."""
    letters = text.strip().lower()
    if _WHOLE.fullmatch(letters) is None:
        return None
    data = base64.b32decode(letters.upper())
    tag, name = data[:_TAG_BYTES], _hidden(data[_TAG_BYTES:], data[:_TAG_BYTES], key)
    if not hmac.compare_digest(tag, _keyed(key, b"tag", name)[:_TAG_BYTES]):
        return None
    try:
        kind = Kind(name[0])
    except ValueError:
        return None
    return Named(kind, int.from_bytes(name[1:], "big"))


def _hidden(name: bytes, tag: bytes, key: str) -> bytes:
    """Return the name hidden, or a hidden one as it was."""
    stream = _keyed(key, b"name", tag)
    return bytes(left ^ right for left, right in zip(name, stream, strict=False))


def _keyed(key: str, purpose: bytes, data: bytes) -> bytes:
    # The purpose keeps both uses of the key apart, and these from whatever else it may be used for.
    own = hmac.new(key.encode("utf-8", "surrogatepass"), b"crmsync tracking token 1: " + purpose, hashlib.sha256)
    return hmac.new(own.digest(), data, hashlib.sha256).digest()


# -- where a mail carries it


def message_id(token: str, unique: str, domain: str) -> str:
    """Return a Message-ID that carries the token, or none when it is empty; `unique` makes it the mail's own."""
    return f"<crm.{token}.{unique}@{domain}>" if token else f"<{unique}@{domain}>"


def in_message_id(text: str) -> str:
    """Return what may be a token in a Message-ID, in lower case; "" where there is none."""
    found = _IN_ID.match(text.strip())
    return found[1].lower() if found else ""


def with_token(subject: str, token: str) -> str:
    """Return the subject with the token in brackets at its end, as people see it; one that stands there is replaced."""
    bare = without_tokens(subject)
    return f"{bare} [crm:{token}]".lstrip() if token else bare


def without_tokens(subject: str) -> str:
    """Return the subject as it was written: without the tokens that were added to it."""
    return _BRACKETED.sub("", subject)


def carried(envelope: Envelope, *, subject: bool) -> tuple[str, ...]:
    """Return what may be tokens of a message, in lower case and the order they count in, each once.

    The header first, then the Message-IDs it answers, nearest first; then its subject, where that is asked for.
    """
    return tuple(dict.fromkeys(_carried(envelope, subject=subject)))


def _carried(envelope: Envelope, *, subject: bool) -> Iterator[str]:
    header = envelope.token.strip().lower()
    if _WHOLE.fullmatch(header):
        yield header
    references = envelope.references[-KEPT_REFERENCES:]
    for text in (envelope.in_reply_to, *reversed(references)):
        if in_id := in_message_id(text):
            yield in_id
    if subject:
        for number, found in enumerate(_BRACKETED.finditer(envelope.subject)):
            if number == _IN_SUBJECT:
                return
            yield found[1].lower()
