"""What the pages of appointments show: the list, one appointment, its exceptions in words and its next days."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

from django.db.models import Count, Q, QuerySet
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from crmsync_site.ui.listing import Column
from mailboxes.provider.entries import EntryKind, Every, Field, Recurrence, Span, Value, canonical
from mailboxes.provider.series import starts
from security.access import Person, visible
from security.models import User
from tracking.linked import words
from tracking.linked.exceptions import WHOLE, own_of
from tracking.linked.records import rights_of, values_of
from tracking.models import Appointment, ItemLink
from tracking.sync.exceptions import OF_ITS_OWN, Own, plain_values

NEXT_SHOWN = 10
EXCEPTIONS_SHOWN = 200
# How the start of an occurrence is written in an address.
STAMP = "%Y%m%dT%H%M%SZ"
COLUMNS = (
    Column("subject", gettext_lazy("Subject"), ("subject",)),
    Column("when", gettext_lazy("When"), ("starts_at", "first_day")),
    Column("owner", gettext_lazy("Owner"), ("owner__last_name", "owner__first_name", "owner__username")),
    Column("changed", gettext_lazy("Changed days"), numeric=True),
)


@dataclass(frozen=True, slots=True)
class Difference:
    """One field of an occurrence that is not as its series has it, and what the series says."""

    field: str
    own: str
    usual: str


@dataclass(frozen=True, slots=True)
class Day:
    """One occurrence: how its address names it, when it would be, what differs, and what of that stayed apart."""

    key: str
    day: date
    cancelled: bool
    differences: Sequence[Difference]
    apart: Sequence[str]


@dataclass(frozen=True, slots=True)
class AppointmentRow:
    """An appointment as the list shows it."""

    record: Appointment
    when: str
    series: str
    changed: int


def appointments(person: Person, typed: str) -> QuerySet[Appointment]:
    """Return the appointments that the person may see whose subject or place holds every one of the words typed."""
    found = visible(person, Appointment).select_related("owner").annotate(changed=Count("changes"))
    for word in typed.split():
        found = found.filter(Q(subject__icontains=word) | Q(location__icontains=word))
    return found


def rows(found: Sequence[Appointment]) -> list[AppointmentRow]:
    """Return appointments as the list shows them; no query."""
    return [
        AppointmentRow(record, when(record), series_in_words(record), getattr(record, "changed", 0)) for record in found
    ]


def when(record: Appointment) -> str:
    """Return when an appointment is, of a series its first one, on the clock of the zone that it was made in."""
    start, end = record.first_day or record.starts_at, record.day_after or record.ends_at
    return "" if start is None or end is None else span_in_words(Span(start, end, record.zone))


def span_in_words(span: Span) -> str:
    """Return a span on its own zone's clock; the zone is named."""
    if not isinstance(span.start, datetime) or not isinstance(span.end, datetime):
        last = date.fromordinal(span.end.toordinal() - 1)
        first = date_format(span.start, "DATE_FORMAT")
        return first if last <= span.start else f"{first} – {date_format(last, 'DATE_FORMAT')}"
    zone = ZoneInfo(span.zone or "UTC")
    begins, ends = span.start.astimezone(zone), span.end.astimezone(zone)
    until = "TIME_FORMAT" if begins.date() == ends.date() else "DATETIME_FORMAT"
    return f"{date_format(begins, 'DATETIME_FORMAT')} – {date_format(ends, until)} ({zone.key})"


def series_in_words(record: Appointment) -> str:
    """Return how often a series takes place, "" for a single appointment."""
    if not record.recurrence:
        return ""
    every = Every(record.recurrence["every"])
    n = record.recurrence.get("interval") or 1
    said = {
        Every.DAY: ngettext("every day", "every %(n)s days", n),
        Every.WEEK: ngettext("every week", "every %(n)s weeks", n),
        Every.MONTH: ngettext("every month", "every %(n)s months", n),
        Every.MONTH_ON_WEEKDAY: ngettext("every month", "every %(n)s months", n),
        Every.YEAR: _("every year"),
        Every.YEAR_ON_WEEKDAY: _("every year"),
    }.get(every, _("a series"))
    return said % {"n": n} if "%(n)s" in said else said


def exceptions(person: User, record: Appointment) -> list[Day]:
    """Return the days of a series that are not as usual, and what of them stayed apart from a mailbox; three queries."""
    series, unreadable = values_of(record, person), rights_of(record, person).unreadable
    links = visible(person, ItemLink).filter(kind=EntryKind.APPOINTMENT, record_id=record.pk, unlinked_at=None)
    held: dict[str, list[str]] = {}
    for link in links:
        for at, said in link.exceptions_withheld.items():
            held.setdefault(at, []).extend(_apart(name, reason) for name, reason in said.items())
    shown = []
    for row in record.changes.all()[:EXCEPTIONS_SHOWN]:
        own, plain = own_of(row), plain_values(series, row.original)
        own = Own({name: value for name, value in own.values.items() if name not in unreadable}, own.cancelled)
        shown.append(
            Day(
                key(row.original),
                words.day_of(record, row.original),
                row.cancelled,
                differences(own, plain),
                held.get(row.original.isoformat(), ()),
            )
        )
    return shown


def _apart(name: str, reason: str) -> str:
    if name == WHOLE:
        return words.why(reason)
    return f"{words.field_name(EntryKind.APPOINTMENT, name)}: {words.why(reason)}"


def differences(own: Own, plain: dict[Field, Value]) -> list[Difference]:
    """Return in words what an occurrence has of its own."""
    kind = EntryKind.APPOINTMENT
    return [
        Difference(words.field_name(kind, name), in_words(own.values[name]), in_words(plain.get(name)))
        for name in OF_ITS_OWN
        if name in own.values and canonical(kind, name, own.values[name]) != canonical(kind, name, plain.get(name))
    ]


def in_words(value: Value) -> str:
    """Return a value of an occurrence in words, a dash for none."""
    if isinstance(value, Span):
        return span_in_words(value)
    return "–" if value in (None, "") else str(value)


def next_days(person: User, record: Appointment, now: datetime) -> list[Day]:
    """Return the next days of a series that are as usual."""
    series = values_of(record, person)
    span, pattern = series[Field.SPAN], series[Field.RECURRENCE]
    if not isinstance(span, Span) or not isinstance(pattern, Recurrence):
        return []
    taken = set(record.changes.values_list("original", flat=True))
    found = starts(span, pattern, now, NEXT_SHOWN + len(taken))
    usual = [at for at in found if at not in taken][:NEXT_SHOWN]
    return [Day(key(at), words.day_of(record, at), False, (), ()) for at in usual]


def key(original: datetime) -> str:
    """Return how the start of an occurrence is written in an address."""
    return original.astimezone(UTC).strftime(STAMP)


def original_in(text: str) -> datetime | None:
    """Return the start that an address names, None for what is none."""
    try:
        return datetime.strptime(text, STAMP).replace(tzinfo=UTC)
    except ValueError:
        return None
