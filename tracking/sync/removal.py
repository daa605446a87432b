"""One side of a linked pair is gone, or no longer meant for this mailbox: what becomes of the other side (S13).

The one idea: unlinking is the rule, deleting the exception that a row of this table names. A link that ends stays as a
note, so that what its owner threw away is not made again. What is deleted can be had back: an entry from the mailbox's
deleted items, a record from the CRM's.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from mailboxes.provider.entries import EntryKind


class Event(StrEnum):
    """What happened to a linked pair."""

    RECORD_DELETED = "record_deleted"
    ACCESS_LOST = "access_lost"
    FILTER_LEFT = "filter_left"
    ENTRY_GONE = "entry_gone"
    UNTRACKED = "untracked"
    OCCURRENCES_CALLED_OFF = "occurrences_called_off"


class Remedy(StrEnum):
    """What is done about it."""

    UNLINK = "unlink"
    DELETE_ENTRY = "delete_entry"
    DELETE_RECORD = "delete_record"
    CALL_OFF = "call_off"


@dataclass(frozen=True, slots=True)
class Pair:
    """What decides, of a linked pair. `past`: it is over (of a series: its last occurrence is).

    `completed` and `completed_there`: the record, the entry is done with (a finished task, a cancelled appointment).
    `organizes`: the mailbox's owner is the organiser. `owns`: the record belongs to the mailbox's owner.
    `writable`: the owner may delete the record.
    """

    kind: EntryKind
    event: Event
    past: bool = False
    completed: bool = False
    completed_there: bool = False
    organizes: bool = True
    owns: bool = True
    writable: bool = True


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the table; the first that fits decides. `code` is the reason that is stored and shown."""

    code: str
    fits: Callable[[Pair], bool]
    remedy: Remedy


@dataclass(frozen=True, slots=True)
class Removal:
    """The answer, with the code of the row it comes from."""

    remedy: Remedy
    code: str


TABLE: tuple[Row, ...] = (
    # Whatever the kind: nothing is deleted because somebody may see less than before.
    Row("access_lost", lambda p: p.event is Event.ACCESS_LOST, Remedy.UNLINK),
    Row("filter_left", lambda p: p.event is Event.FILTER_LEFT, Remedy.UNLINK),
    Row("untracked", lambda p: p.event is Event.UNTRACKED, Remedy.UNLINK),
    # Of a series that stays some days go; it counts once, however many they are.
    Row("occurrences_called_off", lambda p: p.event is Event.OCCURRENCES_CALLED_OFF, Remedy.CALL_OFF),
    # Appointments. History stays on both sides, and only its organiser calls a meeting off.
    Row(
        "appointment_deleted_past",
        lambda p: p.kind is EntryKind.APPOINTMENT and p.event is Event.RECORD_DELETED and p.past,
        Remedy.UNLINK,
    ),
    Row(
        "appointment_deleted_not_organizer",
        lambda p: p.kind is EntryKind.APPOINTMENT and p.event is Event.RECORD_DELETED and not p.organizes,
        Remedy.UNLINK,
    ),
    Row(
        "appointment_deleted",
        lambda p: p.kind is EntryKind.APPOINTMENT and p.event is Event.RECORD_DELETED,
        Remedy.DELETE_ENTRY,
    ),
    Row("appointment_gone_past", lambda p: p.kind is EntryKind.APPOINTMENT and p.past, Remedy.UNLINK),
    Row("appointment_gone_completed", lambda p: p.kind is EntryKind.APPOINTMENT and p.completed, Remedy.UNLINK),
    Row("appointment_gone_not_organizer", lambda p: p.kind is EntryKind.APPOINTMENT and not p.organizes, Remedy.UNLINK),
    Row("appointment_gone_no_right", lambda p: p.kind is EntryKind.APPOINTMENT and not p.writable, Remedy.UNLINK),
    Row("appointment_gone", lambda p: p.kind is EntryKind.APPOINTMENT, Remedy.DELETE_RECORD),
    # Contacts. An address book belongs to its owner, a contact of the organisation to everybody.
    Row(
        "contact_deleted_own",
        lambda p: p.kind is EntryKind.CONTACT and p.event is Event.RECORD_DELETED and p.owns,
        Remedy.UNLINK,
    ),
    Row(
        "contact_deleted",
        lambda p: p.kind is EntryKind.CONTACT and p.event is Event.RECORD_DELETED,
        Remedy.DELETE_ENTRY,
    ),
    Row("contact_gone", lambda p: p.kind is EntryKind.CONTACT, Remedy.UNLINK),
    # Tasks. What is done is history.
    Row(
        "task_deleted_completed",
        lambda p: p.kind is EntryKind.TASK and p.event is Event.RECORD_DELETED and p.completed_there,
        Remedy.UNLINK,
    ),
    Row(
        "task_deleted",
        lambda p: p.kind is EntryKind.TASK and p.event is Event.RECORD_DELETED,
        Remedy.DELETE_ENTRY,
    ),
    Row("task_gone_completed", lambda p: p.kind is EntryKind.TASK and p.completed, Remedy.UNLINK),
    Row("task_gone_no_right", lambda p: p.kind is EntryKind.TASK and not p.writable, Remedy.UNLINK),
    Row("task_gone", lambda p: p.kind is EntryKind.TASK, Remedy.DELETE_RECORD),
)  # fmt: skip


def removal(pair: Pair) -> Removal:
    """Return what becomes of the other side: the first row of `TABLE` that fits."""
    row = next(row for row in TABLE if row.fits(pair))
    return Removal(row.remedy, row.code)


@dataclass(frozen=True, slots=True)
class Brake:
    """When a run stops and waits for a person: more deletions than `count`, or than `share` of what is linked."""

    count: int = 20
    share: float = 0.2
    # Below this many a share says nothing: one of two is half.
    share_from: int = 5

    def holds(self, deletions: int, linked: int) -> bool:
        """Tell whether so many deletions, of so many linked pairs, are too many to do unasked."""
        return deletions > self.count or (deletions >= self.share_from and deletions > self.share * linked)
