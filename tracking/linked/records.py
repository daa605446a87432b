"""Records of the CRM as values by field, and back: the only place that knows which column is which field."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from django.db.models import Model

from mailboxes.provider.entries import (
    FIELDS,
    Attendee,
    EntryKind,
    Field,
    FullName,
    PostalAddress,
    Span,
    Type,
    Value,
    canonical,
)
from security.access import visible
from security.models import User
from tracking.backfill.retro import addresses_changed
from tracking.engine.filter_queries import MODELS
from tracking.models import Account, Appointment, Attendance, Contact, Task
from tracking.models.activity import RecordKind
from tracking.models.record import Owned
from tracking.records.links import MODELS as RECORDS
from tracking.sync.codec import encode, recurrence
from tracking.sync.merge import Rights, Withheld

_ROLES = {
    Field.ORGANIZER: Attendance.Role.ORGANIZER,
    Field.REQUIRED: Attendance.Role.REQUIRED,
    Field.OPTIONAL: Attendance.Role.OPTIONAL,
}
_EMAILS = frozenset({Field.EMAIL1, Field.EMAIL2, Field.EMAIL3})
# Fields whose column has another name; the others are called alike.
_COLUMNS = {Field.BODY: "description"}
# Lengths of the columns that a value is spread over.
_NAME_ROOM, _ADDRESS_ROOM = 100, 400
_NAMES = {"first": "first_name", "middle": "middle_name", "last": "last_name"}


def kind_of(record: Owned) -> EntryKind:
    """Return what the record is in a mailbox."""
    return next(kind for kind, model in MODELS.items() if isinstance(record, model))


def values_of(record: Owned, owner: User) -> dict[Field, Value]:
    """Return the record's values as `owner`'s mailbox may show them: of other records, only names that they may see."""
    kind = kind_of(record)
    return {name: canonical(kind, name, _value(record, name, holds, owner)) for name, holds in FIELDS[kind].items()}


def _value(record: Any, name: Field, holds: Type, owner: User) -> Value:
    if name in _OF_RECORDS:
        return _OF_RECORDS[name](record, owner)
    if holds is Type.PEOPLE:
        people = (each for each in record.attendees.all() if each.role == _ROLES[name])
        return tuple(Attendee(each.email, each.name, each.response) for each in people)
    read = _READ.get(holds)
    if read is not None:
        return read(record, name)
    value: Value = getattr(record, _COLUMNS.get(name, name))
    return value


def _company(record: Contact, owner: User) -> str | None:
    return _name_of(visible(owner, Account).filter(contacts=record.pk).first())


def _regarding(record: Any, owner: User) -> str | None:
    model = RECORDS.get(record.regarding_kind)
    return None if model is None else _name_of(visible(owner, model).filter(pk=record.regarding_id).first())


_OF_RECORDS: Mapping[Field, Callable[[Any, User], Value]] = {Field.COMPANY: _company, Field.REGARDING: _regarding}
_READ: Mapping[Type, Callable[[Any, Field], Value]] = {
    Type.NAME: lambda record, _name: FullName(**{part: getattr(record, column) for part, column in _NAMES.items()}),
    Type.ADDRESS: lambda record, name: PostalAddress(**getattr(record, name)),
    Type.SPAN: lambda record, _name: _span(record),
    Type.RECURRENCE: lambda record, _name: recurrence(record.recurrence) if record.recurrence else None,
}


def is_past(record: Owned, now: datetime) -> bool:
    """Tell whether it is an appointment that is over; a series without a last day is taken to go on."""
    if not isinstance(record, Appointment):
        return False
    if record.recurrence is None:
        return _span(record).is_past(now)
    until = recurrence(record.recurrence).until
    # A day later its last occurrence is over everywhere on earth.
    return until is not None and until < now.date() - timedelta(days=1)


def is_done(record: Owned) -> bool:
    """Tell whether there is nothing left to do: a finished task, an appointment that was held or called off."""
    if isinstance(record, Task):
        return record.status == Task.Status.COMPLETED
    return isinstance(record, Appointment) and record.status != Appointment.Status.OPEN


def organizes(record: Owned, address: str) -> bool:
    """Tell whether the person with this address is the organiser, or nobody is."""
    if not isinstance(record, Appointment):
        return True
    people = record.attendees.filter(role=Attendance.Role.ORGANIZER)
    organizers = {email.lower() for email in people.values_list("email", flat=True)}
    return not organizers or address.lower() in organizers


def _span(record: Appointment) -> Span:
    start, end = record.first_day or record.starts_at, record.day_after or record.ends_at
    if start is None or end is None:
        raise ValueError("An appointment is either timed or all-day; the database holds it to that.")
    return Span(start, end, record.zone)


def _name_of(record: Owned | None) -> str | None:
    return None if record is None else str(record)


def rights_of(record: Owned, owner: User) -> Rights:
    """Return what `owner` may read and write of a record they may see. Records of others they may only read."""
    fields = frozenset(FIELDS[kind_of(record)])
    mine = record.owner_id is None or record.owner_id == owner.pk
    # A record that is named and may not be seen: its name neither leaves nor is replaced.
    hidden = frozenset(name for name in _OF_RECORDS if name in fields and _names_hidden(record, name, owner))
    return Rights(unreadable=hidden, unwritable=hidden if mine else fields)


def _names_hidden(record: Any, name: Field, owner: User) -> bool:
    names = record.account_id if name is Field.COMPANY else record.regarding_id
    return names is not None and _OF_RECORDS[name](record, owner) is None


@dataclass(slots=True)
class Taken:
    """What a record can take over of the values from a mailbox, and what it cannot, and why."""

    values: dict[Field, Value] = field(default_factory=dict)
    withheld: dict[Field, Withheld] = field(default_factory=dict)


def takeable(kind: EntryKind, values: Mapping[Field, Value], owner: User) -> Taken:
    """Sort the values of an entry: nothing is cut short to fit, and the name of a record is never guessed at."""
    taken = Taken()
    for name, value in values.items():
        reason = _why_not(kind, name, value, owner)
        if reason is None:
            taken.values[name] = value
        else:
            taken.withheld[name] = reason
    return taken


def _why_not(kind: EntryKind, name: Field, value: Value, owner: User) -> Withheld | None:
    if name is Field.REGARDING:
        return Withheld.NAME_ONLY
    if name is Field.COMPANY and value is not None and _account(str(value), owner) is None:
        return Withheld.NO_SUCH_RECORD
    if name is Field.SPAN and value is None:
        return Withheld.NOT_EMPTY
    return Withheld.TOO_LONG if _too_long(kind, name, value) else None


def _too_long(kind: EntryKind, name: Field, value: Value) -> bool:
    match value:
        case str():
            return len(value) > _room(kind, name)
        case FullName(first, middle, last):
            return max(len(first), len(middle), len(last)) > _NAME_ROOM
        case tuple():
            return any(len(each.email) > _ADDRESS_ROOM for each in value)
    return False


def _room(kind: EntryKind, name: Field) -> float:
    if name is Field.COMPANY:
        return math.inf
    return getattr(MODELS[kind]._meta.get_field(_COLUMNS.get(name, name)), "max_length", None) or math.inf


def _account(name: str, owner: User) -> Account | None:
    found = list(visible(owner, Account).filter(name__iexact=name)[:2])
    return found[0] if len(found) == 1 else None


def take(record: Any, values: Mapping[Field, Value], owner: User) -> None:
    """Write values of an entry into the record and save it; only those that `takeable` let through."""
    kind = kind_of(record)
    people: dict[Field, tuple[Attendee, ...]] = {}
    for name, value in values.items():
        if FIELDS[kind][name] is Type.PEOPLE:
            people[name] = value if isinstance(value, tuple) else ()
        else:
            _set(record, kind, name, value, owner)
    record.save()
    if kind is EntryKind.CONTACT and not _EMAILS.isdisjoint(values):
        # Mail that is tracked already may be theirs.
        addresses_changed(RecordKind.CONTACT, record.pk)
    for name, attendees in people.items():
        _set_people(record, name, attendees)


def _set(record: Any, kind: EntryKind, name: Field, value: Value, owner: User) -> None:
    match FIELDS[kind][name], value:
        case Type.NAME, _:
            name_parts = value if isinstance(value, FullName) else FullName()
            for part, column in _NAMES.items():
                setattr(record, column, getattr(name_parts, part))
        case Type.SPAN, Span():
            _set_span(record, value)
        case ((Type.ADDRESS | Type.RECURRENCE), _):
            empty: Any = {} if FIELDS[kind][name] is Type.ADDRESS else None
            setattr(record, name, empty if value is None else encode(value))
        case _, _ if name is Field.COMPANY:
            record.account = _account(str(value), owner) if value else None
        case _:
            column = _COLUMNS.get(name, name)
            setattr(record, column, _empty(MODELS[kind], column) if value is None else value)


def _empty(model: type[Model], column: str) -> Any:
    """Return what a column holds when nothing is said: its default, else nothing."""
    definition: Any = model._meta.get_field(column)
    return definition.get_default()


def _set_span(record: Appointment, span: Span) -> None:
    timed = isinstance(span.start, datetime)
    record.starts_at = span.start if isinstance(span.start, datetime) else None
    record.ends_at = span.end if isinstance(span.end, datetime) else None
    record.zone = span.zone if timed else ""
    record.first_day = None if timed else _day(span.start)
    record.day_after = None if timed else _day(span.end)


def _day(value: date | datetime) -> date:
    return value.date() if isinstance(value, datetime) else value


def _set_people(record: Appointment, name: Field, people: tuple[Attendee, ...]) -> None:
    # Each address once, whatever its case and however often it was named; rows that stay keep what else they say.
    named = {each.email.strip().lower(): each for each in people if each.email.strip()}
    rows = {row.email.strip().lower(): row for row in record.attendees.filter(role=_ROLES[name])}
    Attendance.objects.filter(pk__in=[row.pk for email, row in rows.items() if email not in named]).delete()
    for email, each in named.items():
        row = rows.get(email) or Attendance(appointment=record, role=_ROLES[name], email=email)
        row.name, row.response = each.name[:400] or row.name, each.response
        row.save()
