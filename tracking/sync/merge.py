"""A linked record and its entry in Exchange, field by field: what goes which way, and what two people both changed.

The one idea: three values decide, ours, theirs and the last one that both sides agreed on (`base`). Directions and the
owner's rights then close ways; what may not flow is left alone on both sides and said. Nothing is ever overwritten
unseen: where both changed, the newer wins and the other value is kept as a conflict with its undo (design §4).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from mailboxes.provider.entries import EntryKind, Field, Value, canonical
from tracking.sync.directions import Direction


class Side(StrEnum):
    """Where a value comes from."""

    CRM = "crm"
    EXCHANGE = "exchange"


class Withheld(StrEnum):
    """Why a changed value stayed where it was."""

    DIRECTION = "direction"
    MAY_NOT_READ = "may_not_read"
    MAY_NOT_WRITE = "may_not_write"
    NOT_ORGANIZER = "not_organizer"
    TOO_LONG = "too_long"
    NO_SUCH_RECORD = "no_such_record"
    NAME_ONLY = "name_only"
    NOT_EMPTY = "not_empty"
    PAST = "past"
    CANNOT_RESTORE = "cannot_restore"
    NO_OCCURRENCE = "no_occurrence"


@dataclass(frozen=True, slots=True)
class Rights:
    """What the owner of the mailbox may read and write of the record, as field names; and what the item allows.

    `fixed`: fields of the item that are not ours to change, `because` only somebody else may (the organiser of a meeting)
    or it is over. `untakable`: fields whose value in Exchange the record cannot hold as it is; it is left there rather
    than cut short or guessed at.
    """

    unreadable: frozenset[Field] = frozenset()
    unwritable: frozenset[Field] = frozenset()
    fixed: frozenset[Field] = frozenset()
    because: Withheld = Withheld.NOT_ORGANIZER
    untakable: Mapping[Field, Withheld] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Version:
    """One side as it is now: its values and when it was last changed (aware UTC)."""

    values: Mapping[Field, Value]
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class Conflict:
    """Both sides changed a field; `winner` says whose value stands now."""

    # A `Field`; of an occurrence of a series also whether it is called off.
    name: str
    base: Value
    ours: Value
    theirs: Value
    ours_at: datetime
    theirs_at: datetime
    winner: Side


@dataclass(slots=True)
class Merge:
    """What a sync of one linked pair comes to. `base` is what both sides will have agreed on once it is done."""

    to_crm: dict[Field, Value] = field(default_factory=dict)
    to_exchange: dict[Field, Value] = field(default_factory=dict)
    base: dict[Field, Value] = field(default_factory=dict)
    conflicts: list[Conflict] = field(default_factory=list)
    withheld: dict[Field, Withheld] = field(default_factory=dict)

    @property
    def nothing(self) -> bool:
        """Tell whether nothing moves."""
        return not self.to_crm and not self.to_exchange


def merge(
    kind: EntryKind,
    base: Mapping[Field, Value],
    ours: Version,
    theirs: Version,
    *,
    directions: Mapping[Field, Direction],
    rights: Rights,
) -> Merge:
    """Compare the fields that both sides have and say what moves. Pure; the order of fields does not matter."""
    result = Merge(base=dict(base))
    for name, direction in directions.items():
        if name in ours.values and name in theirs.values:
            _merge_field(kind, name, direction, ours=ours, theirs=theirs, rights=rights, result=result)
    return result


def _merge_field(
    kind: EntryKind, name: Field, direction: Direction, *, ours: Version, theirs: Version, rights: Rights, result: Merge
) -> None:
    mine = canonical(kind, name, ours.values[name])
    other = canonical(kind, name, theirs.values[name])
    if direction is Direction.NONE:
        if canonical(kind, name, None) in (mine, other):
            # What is taken away while it does not flow takes nothing with it once it does again: that fills.
            result.base.pop(name, None)
        return
    agreed = canonical(kind, name, result.base.get(name))
    if mine == other:
        # Also when both changed: they agree.
        result.base[name] = ours.values[name]
        return
    out = _barred(direction.reaches_exchange, name in rights.unreadable, Withheld.MAY_NOT_READ)
    if out is None and name in rights.fixed:
        out = rights.because
    back = _barred(direction.reaches_crm, name in rights.unwritable, Withheld.MAY_NOT_WRITE)
    if back is None:
        back = rights.untakable.get(name)
    both = agreed not in (mine, other)
    if other != agreed and back is not None and back is not Withheld.DIRECTION:
        # The owner's own words, which the record may not or cannot have, are left alone whatever happens to the record.
        result.withheld[name] = back
        return
    winner = _winner(out, back, both=both, ours_changed=mine != agreed, newer=_newer(ours, theirs))
    if winner is None:
        # Left alone on both sides: the owner's own text stays theirs.
        result.withheld[name] = (back if other != agreed else out) or Withheld.DIRECTION
        return
    if both:
        result.conflicts.append(
            Conflict(
                name, result.base.get(name), ours.values[name], theirs.values[name], ours.changed_at, theirs.changed_at,
                winner,
            )
        )  # fmt: skip
    if winner is Side.CRM:
        result.to_exchange[name] = result.base[name] = ours.values[name]
    else:
        result.to_crm[name] = result.base[name] = theirs.values[name]


def _winner(out: Withheld | None, back: Withheld | None, *, both: bool, ours_changed: bool, newer: Side) -> Side | None:
    """Return whose value is taken, of those that may flow and were changed."""
    if both and out is None and back is None:
        return newer
    if back is None and (both or not ours_changed):
        return Side.EXCHANGE
    if out is None and (both or ours_changed):
        return Side.CRM
    return None


def _newer(ours: Version, theirs: Version) -> Side:
    # A tie goes to the CRM: more people look at it.
    return Side.EXCHANGE if theirs.changed_at > ours.changed_at else Side.CRM


def _barred(open_way: bool, forbidden: bool, reason: Withheld) -> Withheld | None:
    if not open_way:
        return Withheld.DIRECTION
    return reason if forbidden else None
