"""Series in the protocol's words and back.

The protocol has six patterns for appointments (those of tasks that are counted from completion are read, never written)
and three kinds of end. A year has no interval: what comes every second year cannot be said.
"""

from collections.abc import Mapping
from datetime import date
from typing import Final

from lxml import etree

from mailboxes.provider.entries import WEEK, Every, Recurrence
from mailboxes.provider.errors import WriteRefused
from mailboxes.provider.ews.soap import T

_DAYS: Final = dict(
    zip(WEEK, ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"), strict=True)
)
_NAMES: Final = {name: day for day, name in _DAYS.items()}
# Days that one word stands for where a pattern has one weekday only.
_SETS: Final[Mapping[tuple[str, ...], str]] = {WEEK: "Day", WEEK[:5]: "Weekday", WEEK[5:]: "WeekendDay"}
_SET_NAMES: Final = {name: days for days, name in _SETS.items()}
_INDEXES: Final = {1: "First", 2: "Second", 3: "Third", 4: "Fourth", -1: "Last"}
_INDEX_NAMES: Final = {name: index for index, name in _INDEXES.items()}
_MONTHS: Final = (
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
)
_PATTERNS: Final = {
    "DailyRecurrence": Every.DAY,
    "WeeklyRecurrence": Every.WEEK,
    "AbsoluteMonthlyRecurrence": Every.MONTH,
    "RelativeMonthlyRecurrence": Every.MONTH_ON_WEEKDAY,
    "AbsoluteYearlyRecurrence": Every.YEAR,
    "RelativeYearlyRecurrence": Every.YEAR_ON_WEEKDAY,
    "DailyRegeneration": Every.REGENERATED,
    "WeeklyRegeneration": Every.REGENERATED,
    "MonthlyRegeneration": Every.REGENERATED,
    "YearlyRegeneration": Every.REGENERATED,
}


def _leaf(name: str, value: object) -> str:
    return f"<t:{name}>{value}</t:{name}>"


def recurrence_xml(series: Recurrence) -> str:
    """Return t:Recurrence for a canonical series; raises `WriteRefused` for a pattern that the protocol has not."""
    element, inner = _pattern(series)
    return f"<t:Recurrence><t:{element}>{inner}</t:{element}>{_range(series)}</t:Recurrence>"


def _pattern(series: Recurrence) -> tuple[str, str]:
    interval = _leaf("Interval", series.interval)
    if series.interval < 1 or (series.interval > 1 and series.every in (Every.YEAR, Every.YEAR_ON_WEEKDAY)):
        raise _unsupported(series)
    match series.every:
        case Every.DAY:
            return "DailyRecurrence", interval
        case Every.WEEK:
            days = " ".join(_DAYS[day] for day in series.weekdays)
            first = _DAYS.get(series.week_starts, "Monday")
            return "WeeklyRecurrence", interval + _leaf("DaysOfWeek", days) + _leaf("FirstDayOfWeek", first)
        case Every.MONTH:
            return "AbsoluteMonthlyRecurrence", interval + _day_of_month(series)
        case Every.YEAR:
            return "AbsoluteYearlyRecurrence", _day_of_month(series) + _month(series)
        case Every.MONTH_ON_WEEKDAY:
            return "RelativeMonthlyRecurrence", interval + _weekday(series)
        case Every.YEAR_ON_WEEKDAY:
            return "RelativeYearlyRecurrence", _weekday(series) + _month(series)
    raise _unsupported(series)


def _day_of_month(series: Recurrence) -> str:
    if not 1 <= series.day <= 31:
        raise _unsupported(series)
    return _leaf("DayOfMonth", series.day)


def _month(series: Recurrence) -> str:
    if not 1 <= series.month <= 12:
        raise _unsupported(series)
    return _leaf("Month", _MONTHS[series.month - 1])


def _weekday(series: Recurrence) -> str:
    days = _DAYS[series.weekdays[0]] if len(series.weekdays) == 1 else _SETS.get(series.weekdays)
    if days is None or series.index not in _INDEXES:
        raise _unsupported(series)
    return _leaf("DaysOfWeek", days) + _leaf("DayOfWeekIndex", _INDEXES[series.index])


def _unsupported(series: Recurrence) -> WriteRefused:
    return WriteRefused(f"no pattern for {series.every}, every {series.interval}", code="series_unsupported")


def _range(series: Recurrence) -> str:
    first = _leaf("StartDate", series.starts.isoformat())
    if series.until is not None:
        return f"<t:EndDateRecurrence>{first}{_leaf('EndDate', series.until.isoformat())}</t:EndDateRecurrence>"
    if series.count is not None:
        return f"<t:NumberedRecurrence>{first}{_leaf('NumberOfOccurrences', series.count)}</t:NumberedRecurrence>"
    return f"<t:NoEndRecurrence>{first}</t:NoEndRecurrence>"


def recurrence_in(element: etree._Element | None) -> Recurrence | None:
    """Return the series in t:Recurrence, None for none. Raises ValueError or LookupError for what makes no sense."""
    if element is None or len(element) != 2:
        return None
    pattern, ends = element
    every = _PATTERNS[etree.QName(pattern).localname]
    starts = _date(ends.findtext(f"{T}StartDate"))
    until, count = ends.findtext(f"{T}EndDate"), ends.findtext(f"{T}NumberOfOccurrences")
    months = pattern.findtext(f"{T}Month")
    return Recurrence(
        every,
        starts,
        interval=int(pattern.findtext(f"{T}Interval") or 1),
        weekdays=_weekdays(pattern.findtext(f"{T}DaysOfWeek", "")),
        day=int(pattern.findtext(f"{T}DayOfMonth") or 0),
        index=_INDEX_NAMES[pattern.findtext(f"{T}DayOfWeekIndex") or "First"] if "Relative" in str(pattern.tag) else 0,
        month=_MONTHS.index(months) + 1 if months else 0,
        until=_date(until) if until else None,
        count=int(count) if count else None,
        week_starts=_NAMES.get(pattern.findtext(f"{T}FirstDayOfWeek", ""), "MO"),
    )


def _weekdays(text: str) -> tuple[str, ...]:
    named = text.split()
    if len(named) == 1 and named[0] in _SET_NAMES:
        return _SET_NAMES[named[0]]
    return tuple(day for day in WEEK if _DAYS[day] in named)


def _date(text: str | None) -> date:
    # Servers write a zone behind it, which means nothing.
    return date.fromisoformat((text or "").strip()[:10])
