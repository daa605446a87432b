"""Identifiers that look and behave like Exchange's: long, opaque, case-sensitive, of one mailbox.

An id is base64 over mailbox, kind and number, padded with a digest to Exchange's usual length, so
that a column that is too short or a comparison that ignores case fails here and not at a customer's.
Decoding checks the digest: a changed or cut id is malformed, not merely unknown.
"""

import base64
import binascii
import hashlib
import struct
from typing import NamedTuple

from mailboxes.sandbox.changelog import Cursor

_HEAD = b"\x00\x03\x00\x02"
_ITEM_FILL, _FOLDER_FILL, _ATTACHMENT_FILL, _STATE_FILL = 64, 40, 43, 150
# Of an item's id, and of an occurrence's, which says its original start as well.
_ITEM_BYTES, _OCCURRENCE_BYTES = 114, 122


class MalformedId(ValueError):
    """The text is no identifier of ours (ErrorInvalidIdMalformed on the wire)."""


class Identity(NamedTuple):
    """What an id says: the mailbox's guid, the kind, and the number in the store.

    Kinds are "I" item, "F" folder and "O" occurrence; of an occurrence, `number` is the recurring
    master's and `original` its start by the pattern, in UTC seconds.
    """

    guid: str
    kind: str
    number: int
    original: int = 0


def _fill(material: bytes, length: int) -> bytes:
    return hashlib.shake_128(material).digest(length)


def _encode(material: bytes, fill: int) -> str:
    return base64.b64encode(material + _fill(material, fill)).decode("ascii")


def _decode(text: str, fill: int) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise MalformedId("the identifier is not base64") from None
    material = data[:-fill]
    if not material or data[-fill:] != _fill(material, fill):
        raise MalformedId("the identifier was cut or changed")
    return material


def encode_id(guid: str, kind: str, number: int) -> str:
    """Return the wire form: 152 characters for an item, 120 for a folder."""
    material = _HEAD + guid.encode("ascii") + b"\x00" + kind.encode("ascii") + struct.pack(">Q", number)
    return _encode(material, _ITEM_FILL if kind == "I" else _FOLDER_FILL)


def encode_occurrence_id(guid: str, master: int, original: int) -> str:
    """Return the wire form of an occurrence's id, longer than an item's (164 characters)."""
    material = _HEAD + guid.encode("ascii") + b"\x00O" + struct.pack(">Qq", master, original)
    return _encode(material, _ITEM_FILL)


def decode_id(text: str) -> Identity:
    """Return what `encode_id` or `encode_occurrence_id` was given. Raises MalformedId."""
    fill = _ITEM_FILL if len(text) > 120 else _FOLDER_FILL
    material = _decode(text, fill)
    if len(material) == 58 and material.startswith(_HEAD) and material[41:42] == b"O":
        number, original = struct.unpack(">Qq", material[42:])
        return Identity(material[4:40].decode("latin-1"), "O", number, original)
    if len(material) != 50 or not material.startswith(_HEAD):
        raise MalformedId("the identifier is of another kind")
    return Identity(material[4:40].decode("latin-1"), chr(material[41]), struct.unpack(">Q", material[42:])[0])


def encode_attachment_id(item_id: str, path: tuple[int, ...]) -> str:
    """Return an attachment's id: its item's id and the way down through item attachments."""
    material = b"A" + base64.b64decode(item_id) + struct.pack(f">{len(path)}I", *path)
    return _encode(material, _ATTACHMENT_FILL)


def decode_attachment_id(text: str) -> tuple[str, tuple[int, ...]]:
    """Return (item id, path) of `encode_attachment_id`. Raises MalformedId."""
    material = _decode(text, _ATTACHMENT_FILL)
    end = 1 + (_OCCURRENCE_BYTES if material[42:43] == b"O" else _ITEM_BYTES)
    item, path = material[1:end], material[end:]
    if material[:1] != b"A" or len(item) != end - 1 or not path or len(path) % 4:
        raise MalformedId("the identifier is of another kind")
    return base64.b64encode(item).decode("ascii"), struct.unpack(f">{len(path) // 4}I", path)


def encode_change_key(guid: str, version: int) -> str:
    """Return the change key (40 characters) of one version."""
    seed = hashlib.shake_128(guid.encode("ascii")).digest(14)
    return base64.b64encode(b"\x09\x00\x00\x00\x16\x00\x00\x00" + seed + struct.pack(">Q", version)).decode("ascii")


def decode_change_key(text: str, guid: str) -> int:
    """Return the version in a change key of this mailbox. Raises MalformedId."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise MalformedId("the change key is not base64") from None
    version = int.from_bytes(data[-8:], "big")
    if encode_change_key(guid, version) != text:
        raise MalformedId("the change key was cut or changed")
    return version


def encode_state(guid: str, scope: str, number: int, cursor: Cursor) -> str:
    """Return a sync state for one folder's items (scope "I") or for what lies below a folder (scope "H")."""
    material = guid.encode("ascii") + scope.encode("ascii") + struct.pack(">4Q", number, *cursor)
    return _encode(b"\x01" + material, _STATE_FILL)


def decode_state(text: str, guid: str, scope: str, number: int) -> Cursor:
    """Return the cursor in `text`. Raises MalformedId when it is not one for this very folder and scope."""
    material = _decode(text, _STATE_FILL)
    expected = b"\x01" + guid.encode("ascii") + scope.encode("ascii") + struct.pack(">Q", number)
    if len(material) != len(expected) + 24 or not material.startswith(expected):
        raise MalformedId("the sync state belongs to another folder")
    return Cursor(*struct.unpack(">3Q", material[len(expected) :]))
