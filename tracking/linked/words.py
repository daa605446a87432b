"""Fields, values, reasons and remedies of linked records in words."""

from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.utils.formats import date_format
from django.utils.timezone import localtime
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from mailboxes.catalogue import lookup
from mailboxes.provider.entries import (
    Attendee,
    EntryKind,
    Field,
    FullName,
    PostalAddress,
    Recurrence,
    Span,
    Value,
)
from tracking.engine.filter_queries import MODELS
from tracking.linked.exceptions import WHOLE
from tracking.linked.files import FILES
from tracking.models import Appointment
from tracking.models.record import Owned
from tracking.sync.attachments import Left
from tracking.sync.codec import decode
from tracking.sync.exceptions import CANCELLED
from tracking.sync.merge import Withheld
from tracking.sync.removal import Remedy

# Fields that are no single column; the others are called as their column is.
_FIELDS = {
    Field.NAME: gettext_lazy("name"),
    Field.COMPANY: gettext_lazy("company"),
    Field.BODY: gettext_lazy("description"),
    Field.SPAN: gettext_lazy("time"),
    Field.ORGANIZER: gettext_lazy("organiser"),
    Field.REQUIRED: gettext_lazy("required attendees"),
    Field.OPTIONAL: gettext_lazy("optional attendees"),
    Field.RECURRENCE: gettext_lazy("series"),
    Field.REGARDING: gettext_lazy("regarding"),
}
_CANCELLED = gettext_lazy("called off")
REASONS = {
    Withheld.DIRECTION: gettext_lazy("the sync profile does not let it flow this way"),
    Withheld.MAY_NOT_READ: gettext_lazy("the owner may not read this field, so it does not leave"),
    Withheld.MAY_NOT_WRITE: gettext_lazy("the owner may not change this field, so their own text stays in the mailbox"),
    Withheld.NOT_ORGANIZER: gettext_lazy("only the organiser of a meeting changes it"),
    Withheld.TOO_LONG: gettext_lazy("it is too long for the record, and nothing is cut short"),
    Withheld.NO_SUCH_RECORD: gettext_lazy("no account, or more than one, has this name"),
    Withheld.NAME_ONLY: gettext_lazy("in the mailbox it is a name only"),
    Withheld.NOT_EMPTY: gettext_lazy("an appointment needs a time"),
    Withheld.PAST: gettext_lazy("it is over, and the past is not rewritten"),
    Withheld.CANNOT_RESTORE: gettext_lazy("the mail system cannot put back a single day that was taken out"),
    Withheld.NO_OCCURRENCE: gettext_lazy("the series in the mailbox has no such day"),
}
FILE_REASONS = {
    Left.INLINE: gettext_lazy("a picture within the text, which is kept in step as plain text"),
    Left.ITEM: gettext_lazy("a mail or another item of the mailbox, not a file"),
    Left.LINK: gettext_lazy("a link to a file in a cloud: its bytes are not in the mailbox"),
    Left.TOO_LARGE: gettext_lazy("larger than 20 MB"),
    Left.UNREADABLE: gettext_lazy("the mail server could not give its bytes; tried again when either side changes"),
    Left.MISSING: gettext_lazy("its bytes are not on our disk: have the files restored, or add it anew"),
    Left.NO_ANSWER: gettext_lazy(
        "sent three times, and the mail server never answered; remove it, or add a smaller one"
    ),
    Left.SERIES: gettext_lazy("of a series no file flows"),
    Left.NOT_ORGANIZER: gettext_lazy("of a meeting that somebody else organises no file flows"),
}
REMEDIES = {
    Remedy.UNLINK: gettext_lazy("unlink"),
    Remedy.DELETE_ENTRY: gettext_lazy("delete from the mailbox"),
    Remedy.DELETE_RECORD: gettext_lazy("delete the record"),
    Remedy.CALL_OFF: gettext_lazy("take days that were called off out of the series in the mailbox"),
}


def why(reason: str) -> str:
    """Return why a value stayed where it was: a `Withheld`, or the code of what the server said."""
    if reason in REASONS:
        return str(REASONS[Withheld(reason)])
    return str(lookup(reason).sentence)


def why_file(reason: str) -> str:
    """Return why a file hangs on one side only: a `Left`, or the code of what the server said."""
    if reason in set(Left):
        return str(FILE_REASONS[Left(reason)])
    return str(lookup(reason).sentence)


def field_name(kind: EntryKind, name: str) -> str:
    """Return what a field is called."""
    if name == WHOLE:
        return _("everything")
    if name == FILES:
        return _("attachments")
    if name == CANCELLED:
        return str(_CANCELLED)
    field = Field(name)
    if field in _FIELDS:
        return str(_FIELDS[field])
    column: Any = MODELS[kind]._meta.get_field(field.value)
    return str(column.verbose_name)


def of_occurrence(record: Owned, original: datetime | None) -> str:
    """Return the name of a record, and which occurrence of it is meant."""
    if original is None or not isinstance(record, Appointment):
        return str(record)
    return f"{record} · {date_format(day_of(record, original), 'SHORT_DATE_FORMAT')}"


def day_of(record: Appointment, original: datetime) -> date:
    """Return the day of an occurrence where its series takes place; whole days are known by midnight UTC."""
    return original.astimezone(ZoneInfo(record.zone or "UTC")).date()


def value(kind: EntryKind, name: str, data: Any) -> str:
    """Return a stored value in words; "" for none."""
    if name == CANCELLED:
        return _("yes") if data else _("no")
    return _said(decode(kind, Field(name), data))


def _said(said: Value) -> str:
    match said:
        case None:
            return ""
        case Span(start, end):
            return f"{_said(start)} – {_said(end)}"
        case datetime():
            return date_format(localtime(said), "SHORT_DATETIME_FORMAT")
        case date():
            return date_format(said, "SHORT_DATE_FORMAT")
        case Recurrence():
            return _("a series")
    return _of_parts(said)


def _of_parts(said: Value) -> str:
    match said:
        case FullName(first, middle, last):
            return " ".join(part for part in (first, middle, last) if part)
        case PostalAddress(street, city, region, postal_code, country):
            return ", ".join(part for part in (street, postal_code, city, region, country) if part)
        case tuple():
            return ", ".join(each.email if isinstance(each, Attendee) else str(each) for each in said)
    return str(said)
