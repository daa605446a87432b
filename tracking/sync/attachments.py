"""What hangs on an appointment on both sides, merged as sets against what both last had. Pure.

The one idea: a file is its name and what its bytes hash to, nothing else. So a file that was rewritten is another file
beside one that went, a renamed one likewise, and two different files of one name can both be kept: nothing is ever
written over.
"""

from collections.abc import Collection, Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from mailboxes.provider.port import AttachmentInfo, AttachmentKind
from mailboxes.provider.text import clean
from tracking.sync.directions import Direction

NAME_CHARACTERS: Final = 255
# What has no name of its own.
_NAMELESS: Final = "attachment"


class Left(StrEnum):
    """Why a file hangs on one side only; beside these, the code of what a server said. `SERIES` and
    `NOT_ORGANIZER` are about all that hang there.
    """

    INLINE = "inline"
    ITEM = "item"
    LINK = "link"
    TOO_LARGE = "too_large"
    UNREADABLE = "unreadable"
    MISSING = "missing"
    NO_ANSWER = "no_answer"
    SERIES = "series"
    NOT_ORGANIZER = "not_organizer"


@dataclass(frozen=True, slots=True, order=True)
class Piece:
    """One file; `sha256` in hex."""

    name: str
    sha256: str

    @property
    def key(self) -> str:
        """Return it as one text."""
        return f"{self.sha256} {self.name}"


def name_of(text: str) -> str:
    """Return the name under which a file is compared and stored, whatever a side says. Applied twice it is the same."""
    return " ".join(clean(text).split())[:NAME_CHARACTERS].strip() or _NAMELESS


def left_there(info: AttachmentInfo, *, most_bytes: int) -> Left | None:
    """Return why an attachment is not read, before its bytes are; None: it is.

    Pictures within the text belong to its HTML, which is not kept in step. Attached items have no bytes of their own: a
    server writes them out anew each time, and they would never be the same twice.
    """
    if info.kind is AttachmentKind.ITEM:
        return Left.ITEM
    if info.kind is AttachmentKind.REFERENCE:
        return Left.LINK
    if info.inline:
        return Left.INLINE
    return Left.TOO_LARGE if info.size > most_bytes else None


@dataclass(frozen=True, slots=True)
class Changes:
    """What is to be done on each side. `base` is what both sides have had once that is done."""

    to_exchange: tuple[Piece, ...] = ()
    off_exchange: tuple[Piece, ...] = ()
    to_crm: tuple[Piece, ...] = ()
    off_crm: tuple[Piece, ...] = ()
    base: frozenset[Piece] = field(default_factory=frozenset)


def changes(
    base: AbstractSet[Piece],
    ours: AbstractSet[Piece],
    theirs: AbstractSet[Piece],
    *,
    direction: Direction,
    may_write: bool = True,
    unsure: Collection[str] = (),
) -> Changes:
    """Compare what hangs on the record, on its entry, and on both when last seen.

    `may_write`: the mailbox's owner may change the record. `unsure`: names of files there that could not be read; whatever
    is called so is left alone on both sides, for nobody knows whether it is gone.
    """
    back, out = direction.reaches_crm and may_write, direction.reaches_exchange
    moves: dict[str, list[Piece]] = {"to_exchange": [], "off_exchange": [], "to_crm": [], "off_crm": []}
    kept = set()
    for piece in sorted(base | ours | theirs):
        had, here, there = piece in base, piece in ours, piece in theirs
        if piece.name in unsure and here is not there:
            kept |= {piece} & base
        elif here is not there:
            # Where it is, it was put, or was left when the other side took it away.
            goes_out = here is not had
            move = ("off" if had else "to") + ("_exchange" if goes_out else "_crm")
            if out if goes_out else back:
                moves[move].append(piece)
                kept |= set() if had else {piece}
            else:
                # Known, so that what one side took away is not brought back to it.
                kept |= {piece} & base
        elif here:
            kept.add(piece)
    return Changes(
        to_exchange=tuple(moves["to_exchange"]),
        off_exchange=tuple(moves["off_exchange"]),
        to_crm=tuple(moves["to_crm"]),
        off_crm=tuple(moves["off_crm"]),
        base=frozenset(kept),
    )


def pieces(stored: Iterable[Iterable[str]]) -> frozenset[Piece]:
    """Return pieces from how they are stored: pairs of name and digest."""
    return frozenset(Piece(name, sha256) for name, sha256 in stored)


def stored(found: Iterable[Piece]) -> list[list[str]]:
    """Return pieces as they are stored, in a stable order."""
    return [[piece.name, piece.sha256] for piece in sorted(found)]
