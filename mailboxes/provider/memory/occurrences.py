"""Occurrences of a series in the mail system in memory: whether there is one, and the id under which it can be changed.

As in Exchange an occurrence is no item of its own: its id names the series and the start it has by the pattern.
"""

from datetime import UTC, datetime, time, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from dateutil import rrule

from mailboxes.provider.entries import WEEK, EntryKind, Every, Exceptional, Field, Recurrence, Span, Value, canonical
from mailboxes.provider.memory.entries import Kept

_MARK: Final = "@"
_WEEKDAYS: Final = dict(zip(WEEK, (rrule.MO, rrule.TU, rrule.WE, rrule.TH, rrule.FR, rrule.SA, rrule.SU), strict=True))
_DAY: Final = timedelta(days=1)


def occurrence_id(item_id: str, original: datetime) -> str:
    """Return the id of an occurrence."""
    return f"{item_id}{_MARK}{original.isoformat()}"


def split(item_id: str) -> tuple[str, datetime | None]:
    """Return the series that an id names and the start of its occurrence; None when it names an item itself."""
    series, mark, original = item_id.partition(_MARK)
    try:
        return series, datetime.fromisoformat(original) if mark else None
    except ValueError:
        return item_id, None


def exception_of(kept: Kept, original: datetime) -> Exceptional | None:
    """Return how an occurrence differs from its series, None when it does not."""
    return next((each for each in kept.exceptions if each.original == original), None)


def said_by(kept: Kept, original: datetime) -> dict[Field, Value]:
    """Return what an occurrence says: what its series says, at its own time, and what is its own."""
    own = exception_of(kept, original)
    if own is not None:
        return dict(own.values)
    said = dict(kept.values)
    said.pop(Field.RECURRENCE, None)
    span = said.get(Field.SPAN)
    if isinstance(span, Span) and isinstance(span.start, datetime) and isinstance(span.end, datetime):
        said[Field.SPAN] = Span(original, original + (span.end - span.start), span.zone)
    elif isinstance(span, Span) and not isinstance(span.start, datetime) and not isinstance(span.end, datetime):
        said[Field.SPAN] = Span(original.date(), original.date() + (span.end - span.start))
    return said


def takes_place(kept: Kept, original: datetime) -> bool:
    """Tell whether a series has an occurrence that starts then by its pattern."""
    span = kept.values.get(Field.SPAN)
    series = canonical(EntryKind.APPOINTMENT, Field.RECURRENCE, kept.values.get(Field.RECURRENCE))
    if not isinstance(span, Span) or not isinstance(series, Recurrence):
        return False
    zone = ZoneInfo(span.zone or "UTC")
    at = span.start.astimezone(zone).time() if isinstance(span.start, datetime) else time()
    wanted = original.astimezone(zone).replace(tzinfo=None)
    near = rrule.rrule(
        **_pattern(series),
        dtstart=datetime.combine(series.starts, at),
        interval=series.interval,
        count=series.count,
        until=None if series.until is None else datetime.combine(series.until, time.max),
        wkst=_WEEKDAYS[series.week_starts],
    ).between(wanted - _DAY, wanted + _DAY, inc=True)
    return any(each.replace(tzinfo=zone).astimezone(UTC) == original for each in near)


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
