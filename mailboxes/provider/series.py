"""When the occurrences of a series are, by its pattern: the arithmetic that everybody who looks at one must agree on.

The one idea: days are counted on the wall clock of the zone that the series was made in, so that ten o'clock stays ten
o'clock when the clocks change. An occurrence is named by the start it has by the pattern (`Exceptional.original`):
aware UTC, of whole days midnight UTC.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from itertools import islice
from typing import Any, Final
from zoneinfo import ZoneInfo

from dateutil import rrule

from mailboxes.provider.entries import WEEK, EntryKind, Every, Field, Recurrence, Span, canonical

_WEEKDAYS: Final = dict(zip(WEEK, (rrule.MO, rrule.TU, rrule.WE, rrule.TH, rrule.FR, rrule.SA, rrule.SU), strict=True))
_DAY: Final = timedelta(days=1)


def occurrence_span(span: Span, original: datetime) -> Span:
    """Return when an occurrence is that is as its series has it; `span` is that of the series."""
    if isinstance(span.start, datetime) and isinstance(span.end, datetime):
        zone = ZoneInfo(span.zone or "UTC")
        lasts = span.end.astimezone(zone).replace(tzinfo=None) - span.start.astimezone(zone).replace(tzinfo=None)
        ends = original.astimezone(zone).replace(tzinfo=None) + lasts
        return Span(original, ends.replace(tzinfo=zone).astimezone(UTC), span.zone)
    first = original.date()
    return Span(first, first + (_day(span.end) - _day(span.start)))


def takes_place(span: Span, series: Recurrence, original: datetime) -> bool:
    """Tell whether the pattern has an occurrence that starts then."""
    zone = ZoneInfo(span.zone or "UTC")
    wanted = original.astimezone(zone).replace(tzinfo=None)
    near = _rule(span, series).between(wanted - _DAY, wanted + _DAY, inc=True)
    return any(each.replace(tzinfo=zone).astimezone(UTC) == original for each in near)


def starts(span: Span, series: Recurrence, after: datetime, limit: int) -> list[datetime]:
    """Return the first starts by the pattern that are not before a moment, at most so many, in order."""
    zone = ZoneInfo(span.zone or "UTC")
    wall = _rule(span, series).xafter(after.astimezone(zone).replace(tzinfo=None), inc=True)
    found: Iterator[datetime] = (each.replace(tzinfo=zone).astimezone(UTC) for each in wall)
    return list(islice(found, limit))


def _day(value: date | datetime) -> date:
    return value.date() if isinstance(value, datetime) else value


def _rule(span: Span, series: Recurrence) -> rrule.rrule:
    """Return the pattern on the wall clock of the series' zone."""
    plain = canonical(EntryKind.APPOINTMENT, Field.RECURRENCE, series)
    if not isinstance(plain, Recurrence):
        raise TypeError("A canonical series is a series.")
    at = span.start.astimezone(ZoneInfo(span.zone or "UTC")).time() if isinstance(span.start, datetime) else time()
    return rrule.rrule(
        **_pattern(plain),
        dtstart=datetime.combine(plain.starts, at),
        interval=plain.interval,
        count=plain.count,
        until=None if plain.until is None else datetime.combine(plain.until, time.max),
        wkst=_WEEKDAYS[plain.week_starts],
    )


def _pattern(series: Recurrence) -> dict[str, Any]:
    days = [_WEEKDAYS[day] for day in series.weekdays]
    # Where a month is too short, its last day counts.
    of_month = {"bymonthday": range(min(series.day, 28), series.day + 1), "bysetpos": -1}
    match series.every:
        case Every.WEEK:
            return {"freq": rrule.WEEKLY, "byweekday": days}
        case Every.MONTH:
            return {"freq": rrule.MONTHLY, **of_month}
        case Every.MONTH_ON_WEEKDAY:
            return {"freq": rrule.MONTHLY, "byweekday": days, "bysetpos": series.index}
        case Every.YEAR:
            return {"freq": rrule.YEARLY, "bymonth": series.month, **of_month}
        case Every.YEAR_ON_WEEKDAY:
            return {"freq": rrule.YEARLY, "bymonth": series.month, "byweekday": days, "bysetpos": series.index}
    return {"freq": rrule.DAILY}
