"""Appointments, contacts and tasks as a mail system holds them: one entry is a kind, its marks, and values by field.

The one idea: values are plain and canonical. A value that went to the server and came back compares equal to itself, so
that a difference always means that somebody changed something. `canonical` says what that is for each field.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from mailboxes.provider.port import FolderRole
from mailboxes.provider.text import clean


class EntryKind(StrEnum):
    """What flows both ways beside mail."""

    APPOINTMENT = "appointment"
    CONTACT = "contact"
    TASK = "task"


# A folder that is for one kind takes no other.
HOMES: Mapping[FolderRole, EntryKind] = MappingProxyType(
    {
        FolderRole.CALENDAR: EntryKind.APPOINTMENT,
        FolderRole.CONTACTS: EntryKind.CONTACT,
        FolderRole.TASKS: EntryKind.TASK,
    }
)


@dataclass(frozen=True, slots=True, order=True)
class Attendee:
    """Somebody who is invited. `response` is what they answered: "", accepted, tentative, declined, organizer."""

    email: str
    name: str = ""
    response: str = ""


@dataclass(frozen=True, slots=True)
class Span:
    """When an appointment is. Timed: `start` and `end` aware, in UTC, with the IANA name of the zone it was made in.

    All-day: dates without a zone (design §4), `end` being the first day that is free again (as RFC 5545's DTEND).
    """

    start: datetime | date
    end: datetime | date
    zone: str = ""

    @property
    def all_day(self) -> bool:
        """Tell whether it covers whole days."""
        return not isinstance(self.start, datetime)

    def is_past(self, now: datetime) -> bool:
        """Tell whether it is over. An all-day one is, once its days are over everywhere on earth."""
        if isinstance(self.end, datetime):
            return self.end <= now
        # UTC-12 is the last place where a day ends.
        ends = datetime(self.end.year, self.end.month, self.end.day, 12, tzinfo=UTC)
        return ends <= now


class Every(StrEnum):
    """The patterns of a series. `REGENERATED_…`: a task's next one is counted from when the last was completed."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    MONTH_ON_WEEKDAY = "month_on_weekday"
    YEAR = "year"
    YEAR_ON_WEEKDAY = "year_on_weekday"
    REGENERATED = "regenerated"


WEEK: Final = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")


@dataclass(frozen=True, slots=True)
class Recurrence:
    """A series: its pattern and how long it goes on (`until` or `count`; neither: for ever).

    `weekdays` are the names of RFC 5545 (MO, TU, …), in the order of the week. `index` 1 to 4, -1 for the last; with it
    `weekdays` are one day, MO to FR, SA and SU, or all seven ("the last working day"). `day` is a day of the month: where
    a month is too short, its last one counts.
    """

    every: Every
    starts: date
    interval: int = 1
    weekdays: tuple[str, ...] = ()
    day: int = 0
    index: int = 0
    month: int = 0
    until: date | None = None
    count: int | None = None
    # Where a week begins matters for every second week (RFC 5545 §3.3.10).
    week_starts: str = "MO"


@dataclass(frozen=True, slots=True)
class PostalAddress:
    """A postal address as people write it."""

    street: str = ""
    city: str = ""
    region: str = ""
    postal_code: str = ""
    country: str = ""


@dataclass(frozen=True, slots=True)
class FullName:
    """The parts of a person's name."""

    first: str = ""
    middle: str = ""
    last: str = ""


Value = str | int | date | datetime | Span | Recurrence | PostalAddress | FullName | tuple[Attendee, ...] | None


class Type(StrEnum):
    """What a field holds; `tracking.sync.codec` writes each as JSON."""

    LINE = "line"
    TEXT = "text"
    CHOICE = "choice"
    NUMBER = "number"
    DAY = "day"
    MOMENT = "moment"
    SPAN = "span"
    RECURRENCE = "recurrence"
    PEOPLE = "people"
    NAME = "name"
    ADDRESS = "address"


class Field(StrEnum):
    """Every field that can flow. Which kind has which: `FIELDS`."""

    SUBJECT = "subject"
    BODY = "body"
    LOCATION = "location"
    SPAN = "span"
    IMPORTANCE = "importance"
    SHOW_AS = "show_as"
    ORGANIZER = "organizer"
    REQUIRED = "required_attendees"
    OPTIONAL = "optional_attendees"
    RECURRENCE = "recurrence"

    START = "start_date"
    DUE = "due_date"
    COMPLETED = "completed_on"
    PERCENT = "percent_complete"
    STATUS = "status"

    NAME = "full_name"
    COMPANY = "company"
    BUSINESS_ADDRESS = "business_address"
    HOME_ADDRESS = "home_address"
    OTHER_ADDRESS = "other_address"
    EMAIL1 = "email1"
    EMAIL2 = "email2"
    EMAIL3 = "email3"
    BUSINESS_PHONE = "business_phone"
    BUSINESS_PHONE2 = "business_phone2"
    HOME_PHONE = "home_phone"
    HOME_PHONE2 = "home_phone2"
    MOBILE = "mobile_phone"
    PAGER = "pager"
    CALLBACK = "callback_phone"
    COMPANY_PHONE = "company_phone"
    ASSISTANT_PHONE = "assistant_phone"
    OTHER_PHONE = "other_phone"
    FAX = "business_fax"
    JOB_TITLE = "job_title"
    DEPARTMENT = "department"
    MANAGER = "manager"
    ASSISTANT = "assistant"
    NICKNAME = "nickname"
    SPOUSE = "spouse"
    CHILDREN = "children"
    BIRTHDAY = "birthday"
    ANNIVERSARY = "anniversary"
    WEBSITE = "website"
    NOTES = "notes"

    # The name of the record that an entry is about.
    REGARDING = "regarding"


_PHONES = (
    Field.BUSINESS_PHONE, Field.BUSINESS_PHONE2, Field.HOME_PHONE, Field.HOME_PHONE2, Field.MOBILE, Field.PAGER,
    Field.CALLBACK, Field.COMPANY_PHONE, Field.ASSISTANT_PHONE, Field.OTHER_PHONE, Field.FAX,
)  # fmt: skip
_LINES = (
    Field.JOB_TITLE, Field.DEPARTMENT, Field.MANAGER, Field.ASSISTANT, Field.NICKNAME, Field.SPOUSE, Field.CHILDREN,
    Field.WEBSITE, Field.COMPANY, Field.EMAIL1, Field.EMAIL2, Field.EMAIL3,
)  # fmt: skip

FIELDS: Mapping[EntryKind, Mapping[Field, Type]] = MappingProxyType(
    {
        EntryKind.APPOINTMENT: MappingProxyType(
            {
                Field.SUBJECT: Type.LINE,
                Field.BODY: Type.TEXT,
                Field.LOCATION: Type.LINE,
                Field.SPAN: Type.SPAN,
                Field.IMPORTANCE: Type.CHOICE,
                Field.SHOW_AS: Type.CHOICE,
                Field.ORGANIZER: Type.PEOPLE,
                Field.REQUIRED: Type.PEOPLE,
                Field.OPTIONAL: Type.PEOPLE,
                Field.RECURRENCE: Type.RECURRENCE,
                Field.REGARDING: Type.LINE,
            }
        ),
        EntryKind.CONTACT: MappingProxyType(
            {
                Field.NAME: Type.NAME,
                **dict.fromkeys(_LINES, Type.LINE),
                **dict.fromkeys(_PHONES, Type.LINE),
                Field.BUSINESS_ADDRESS: Type.ADDRESS,
                Field.HOME_ADDRESS: Type.ADDRESS,
                Field.OTHER_ADDRESS: Type.ADDRESS,
                Field.BIRTHDAY: Type.DAY,
                Field.ANNIVERSARY: Type.DAY,
                Field.NOTES: Type.TEXT,
            }
        ),
        EntryKind.TASK: MappingProxyType(
            {
                Field.SUBJECT: Type.LINE,
                Field.BODY: Type.TEXT,
                Field.START: Type.DAY,
                Field.DUE: Type.DAY,
                Field.COMPLETED: Type.DAY,
                Field.PERCENT: Type.NUMBER,
                Field.IMPORTANCE: Type.CHOICE,
                Field.STATUS: Type.CHOICE,
                Field.REGARDING: Type.LINE,
            }
        ),
    }
)


# The words of a field that holds one of a few; the first is what is meant where nothing is said.
CHOICES: Mapping[Field, tuple[str, ...]] = MappingProxyType(
    {
        Field.IMPORTANCE: ("Normal", "Low", "High"),
        Field.SHOW_AS: ("Busy", "Free", "Tentative", "OOF", "WorkingElsewhere"),
        Field.STATUS: ("NotStarted", "InProgress", "Completed", "WaitingOnOthers", "Deferred"),
    }
)

# What the mail system tells and nobody can write: it is passed over where values are written.
TOLD: frozenset[Field] = frozenset({Field.ORGANIZER})


@dataclass(frozen=True, slots=True)
class Marks:
    """What may be known of an entry that nobody has linked: nothing of what it says (design §4).

    `uid` is the iCalendar UID of an appointment, `stamp` the link id that crmsync wrote, `modified_at` aware UTC.
    Of a task, `assigned`: somebody was given it, or gave it away; `recurring`: it comes again.
    """

    kind: EntryKind
    item_id: str
    change_key: str
    categories: tuple[str, ...] = ()
    sensitivity: str = "Normal"
    uid: str = ""
    stamp: str = ""
    modified_at: datetime | None = None
    assigned: bool = False
    recurring: bool = False


@dataclass(frozen=True, slots=True)
class Exceptional:
    """An occurrence that differs from its series. `original` is the start it would have had, aware UTC.

    Of an all-day series `original` is midnight UTC of the day. An occurrence that could not be read, or that its owner
    made private, has no values. `change_key` and `modified_at` (aware UTC) are those of the occurrence; a cancelled one
    has none.
    """

    original: datetime
    item_id: str = ""
    cancelled: bool = False
    values: Mapping[Field, Value] = field(default_factory=dict)
    change_key: str = ""
    modified_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry that is linked or about to be: marks and values. A field that is absent was not told by the server.

    `organized_here`: the mailbox's owner is the organiser (true of appointments without attendees).
    `assigned`: a task that somebody was given, or gave away. `recurring`: a series, of appointments or of tasks.
    """

    marks: Marks
    values: Mapping[Field, Value]
    organized_here: bool = True
    assigned: bool = False
    recurring: bool = False
    exceptions: tuple[Exceptional, ...] = ()


def canonical(kind: EntryKind, name: Field, value: Value) -> Value:
    """Return the value as it compares: what servers and people add without meaning is taken off.

    None and the value that is meant where nothing is said are one. Applied twice it is the same as applied once.
    """
    found = value
    match FIELDS[kind][name], value:
        case Type.CHOICE, str() | None:
            found = _line(value or "") or CHOICES[name][0]
        case Type.NUMBER, None:
            found = 0
        case Type.LINE, str():
            # Several names in one line: where the commas stand is no difference.
            parts = value.split(",") if name is Field.CHILDREN else [value]
            found = ", ".join(filter(None, map(_line, parts))) or None
        case Type.TEXT, str():
            found = _text(value) or None
        case Type.PEOPLE, tuple():
            people = {_address(each.email): each for each in value if _address(each.email)}
            found = tuple(Attendee(email, "", people[email].response) for email in sorted(people)) or None
        case Type.SPAN, Span():
            found = _span(value)
        case Type.RECURRENCE, Recurrence():
            found = _recurrence(value)
        case Type.NAME | Type.ADDRESS, FullName() | PostalAddress():
            found = _parts(value)
    return found


def _line(text: str) -> str:
    return " ".join(clean(text).split())


def _text(text: str) -> str:
    lines = [line.rstrip() for line in clean(text).replace("\r\n", "\n").replace("\r", "\n").split("\n")]
    return "\n".join(lines).strip("\n")


def _address(email: str) -> str:
    return "".join(clean(email).split()).lower()


def _parts(value: FullName | PostalAddress) -> FullName | PostalAddress | None:
    if isinstance(value, FullName):
        name = FullName(_line(value.first), _line(value.middle), _line(value.last))
        return name if name != FullName() else None
    # A street may have several lines.
    rest = (_line(value.city), _line(value.region), _line(value.postal_code), _line(value.country))
    address = PostalAddress(_text(value.street), *rest)
    return address if address != PostalAddress() else None


def _span(value: Span) -> Span:
    if isinstance(value.start, datetime) and isinstance(value.end, datetime):
        start, end = (each.astimezone(UTC).replace(microsecond=0) for each in (value.start, value.end))
        return Span(start, end, "" if value.zone in ("UTC", "Etc/UTC") else value.zone)
    return Span(value.start, value.end)


def _recurrence(value: Recurrence) -> Recurrence:
    """Return the series said in one way: what its pattern does not use is left out, what it implies is put in."""
    weekdays = tuple(day for day in WEEK if day in value.weekdays)
    plain = Recurrence(
        value.every, value.starts, value.interval, until=value.until, count=None if value.until else value.count
    )
    match value.every:
        case Every.WEEK:
            # Where a week begins matters only when some weeks are left out.
            begins = value.week_starts if value.interval > 1 else "MO"
            return replace(plain, weekdays=weekdays or (WEEK[value.starts.weekday()],), week_starts=begins)
        case Every.MONTH:
            return replace(plain, day=value.day or value.starts.day)
        case Every.YEAR:
            return replace(plain, day=value.day or value.starts.day, month=value.month or value.starts.month)
        case Every.MONTH_ON_WEEKDAY:
            return replace(plain, weekdays=weekdays, index=value.index)
        case Every.YEAR_ON_WEEKDAY:
            return replace(plain, weekdays=weekdays, index=value.index, month=value.month or value.starts.month)
    return plain
