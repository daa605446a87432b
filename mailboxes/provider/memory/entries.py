"""Appointments, contacts and tasks as the mail system in memory keeps them.

It does to values what real servers do: they are kept in one form, of a task's status, percent and day of completion one
follows from the other, what has no words in the protocol is refused.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import Final

from mailboxes.provider.entries import (
    CHOICES,
    FIELDS,
    TOLD,
    WEEK,
    Attendee,
    Entry,
    EntryKind,
    Every,
    Exceptional,
    Field,
    Marks,
    Recurrence,
    Span,
    Value,
    canonical,
)
from mailboxes.provider.errors import WriteRefused
from mailboxes.provider.memory.mail import File
from mailboxes.provider.port import AttachmentInfo

ITEM_CLASSES: Final = {
    EntryKind.APPOINTMENT: "IPM.Appointment",
    EntryKind.CONTACT: "IPM.Contact",
    EntryKind.TASK: "IPM.Task",
}
_ONE_WORD: Final = (WEEK, WEEK[:5], WEEK[5:], *((day,) for day in WEEK))


@dataclass(frozen=True, slots=True)
class Hung:
    """A file that hangs on an entry. `number` stays its own whatever hangs beside it; `version` counts its bytes' changes."""

    number: int
    file: File
    version: int = 1

    def info(self, item_id: str) -> AttachmentInfo:
        """Return what is told of it before its bytes are read."""
        file = self.file
        return AttachmentInfo(
            f"{item_id}/{self.number}", file.name, file.content_type, len(file.data), file.kind, file.inline,
            file.content_id, str(self.version),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Kept:
    """One entry: what `Marks` and `Entry` tell of it."""

    kind: EntryKind
    values: Mapping[Field, Value] = field(default_factory=dict)
    stamp: str = ""
    uid: str = ""
    categories: tuple[str, ...] = ()
    sensitivity: str = "Normal"
    modified_at: datetime | None = None
    organized_here: bool = True
    assigned: bool = False
    recurring: bool = False
    exceptions: tuple[Exceptional, ...] = ()
    files: tuple[Hung, ...] = ()

    def marks(self, item_id: str, change_key: str) -> Marks:
        """Return what may be known of it before it is linked."""
        recurs = self.recurring and self.kind is EntryKind.TASK
        told = (self.categories, self.sensitivity, self.uid, self.stamp, self.modified_at, self.assigned, recurs)
        return Marks(self.kind, item_id, change_key, *told)

    def entry(self, item_id: str, change_key: str) -> Entry:
        """Return all of it."""
        return Entry(
            self.marks(item_id, change_key),
            {name: canonical(self.kind, name, self.values.get(name)) for name in FIELDS[self.kind]},
            organized_here=self.organized_here,
            assigned=self.assigned,
            recurring=self.recurring or self.values.get(Field.RECURRENCE) is not None,
            exceptions=tuple(sorted(self.exceptions, key=lambda each: each.original)),
        )


@dataclass(frozen=True, slots=True)
class Notice:
    """An invitation, an update or a cancellation that left for the people invited."""

    sender: str
    to: tuple[str, ...]
    what: str
    item_id: str


def written(kept: Kept, values: Mapping[Field, Value], *, owner: str, today: date) -> Kept:
    """Return the entry with values written by its owner; raises `WriteRefused`, KeyError for a field it has not."""
    given = {name: canonical(kept.kind, name, value) for name, value in values.items() if name not in TOLD}
    if given.get(Field.COMPLETED, True) is None:
        # It goes with the status, and by no other way.
        del given[Field.COMPLETED]
    for name, value in given.items():
        _check(name, value)
    if given.get(Field.COMPLETED) is not None:
        given.setdefault(Field.STATUS, "Completed")
    merged = {**kept.values, **given}
    if kept.kind is EntryKind.APPOINTMENT:
        if not isinstance(merged.get(Field.SPAN), Span):
            raise WriteRefused("an appointment has a start and an end")
        merged.setdefault(Field.ORGANIZER, (Attendee(owner, "", "organizer"),))
    if kept.kind is EntryKind.TASK:
        _settle(merged, given.keys(), today)
    return replace(kept, values=merged)


def _check(name: Field, value: Value) -> None:
    if name in CHOICES and value not in CHOICES[name]:
        raise WriteRefused(f"{name} has no choice {value!r}")
    if isinstance(value, Span) and value.end < value.start:
        raise WriteRefused("the end is before the start")
    if isinstance(value, Recurrence):
        yearly, by_weekday = (Every.YEAR, Every.YEAR_ON_WEEKDAY), (Every.MONTH_ON_WEEKDAY, Every.YEAR_ON_WEEKDAY)
        if (
            value.every is Every.REGENERATED
            or (value.every in yearly and value.interval > 1)
            or (value.every in by_weekday and (value.weekdays not in _ONE_WORD or value.index not in (1, 2, 3, 4, -1)))
        ):
            raise WriteRefused(f"no pattern for {value.every}", code="series_unsupported")


def _settle(values: dict[Field, Value], names: Collection[Field], today: date) -> None:
    """Let status, percent and day of completion of a task agree; of those that contradict the ones just written count."""
    status, percent = str(values.get(Field.STATUS) or "NotStarted"), _number(values.get(Field.PERCENT))
    says = {
        Field.STATUS: status == "Completed",
        Field.PERCENT: percent >= 100,
        Field.COMPLETED: values.get(Field.COMPLETED) is not None,
    }
    written_ones = {name: done for name, done in says.items() if name in names}
    if any((written_ones or says).values()):
        values.update({Field.STATUS: "Completed", Field.PERCENT: 100})
        values[Field.COMPLETED] = values.get(Field.COMPLETED) or today
        return
    if Field.STATUS in names or not written_ones:
        percent = 0 if percent >= 100 or status == "NotStarted" else percent
    elif Field.PERCENT in names and percent:
        status = "InProgress" if status in ("NotStarted", "Completed") else status
    else:
        status, percent = ("NotStarted" if status in ("Completed", "InProgress") else status), 0
    values.update({Field.STATUS: status, Field.PERCENT: percent, Field.COMPLETED: None})


def _number(value: Value) -> int:
    return value if isinstance(value, int) else 0


def next_turn(kept: Kept) -> Kept:
    """Return a recurring task as it stands after one turn of it was completed: not begun, a week later."""
    values: dict[Field, Value] = {**kept.values, Field.STATUS: "NotStarted", Field.PERCENT: 0, Field.COMPLETED: None}
    for name in (Field.START, Field.DUE):
        day = values.get(name)
        if isinstance(day, date):
            values[name] = day + timedelta(days=7)
    return replace(kept, values=values)
