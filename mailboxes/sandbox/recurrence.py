"""Recurrence patterns: the protocol's, RFC 5545's, and the days they fall on.

The protocol knows six patterns and three kinds of end; what of iCalendar does not fit one of them
(an hourly rule, two days of a month) gives "". Days are reckoned in one way only: a pattern
becomes a rule of RFC 5545, and dateutil reckons that.
"""

from collections.abc import Mapping
from datetime import date, datetime, time
from typing import Any, Final

from dateutil.relativedelta import relativedelta
from dateutil.rrule import rrule, rrulestr
from lxml import etree

from mailboxes.sandbox import grammar
from mailboxes.sandbox.xmltext import T, children, local_name, parse_fragment, raw_leaf

_DAYS: Final = {
    "MO": "Monday",
    "TU": "Tuesday",
    "WE": "Wednesday",
    "TH": "Thursday",
    "FR": "Friday",
    "SA": "Saturday",
    "SU": "Sunday",
}
_RANGES: Final = ("NoEndRecurrence", "EndDateRecurrence", "NumberedRecurrence")
_CODES: Final = {name: code for code, name in _DAYS.items()}
# Words for sets of days, which the protocol has for "the first working day" and the like.
_SETS: Final = {
    "Day": ("MO", "TU", "WE", "TH", "FR", "SA", "SU"),
    "Weekday": ("MO", "TU", "WE", "TH", "FR"),
    "WeekendDay": ("SA", "SU"),
}
_WEEKS: Final = {"1": "First", "2": "Second", "3": "Third", "4": "Fourth", "-1": "Last"}
_NUMBERS: Final = {name: number for number, name in _WEEKS.items()}
_MONTHS: Final = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
_REGENERATION: Final = {
    "DailyRegeneration": relativedelta(days=1),
    "WeeklyRegeneration": relativedelta(weeks=1),
    "MonthlyRegeneration": relativedelta(months=1),
    "YearlyRegeneration": relativedelta(years=1),
}
MOST_INSTANCES: Final = 999


class BadRecurrence(ValueError):
    """A recurrence that makes no sense (ErrorCalendarInvalidRecurrence)."""


# -- iCalendar to the protocol


def recurrence(rule: Mapping[str, Any], start: date) -> str:
    """Return t:Recurrence for a parsed RRULE that starts on `start`, "" if the protocol has no such pattern."""
    pattern = _pattern(rule, start)
    return f"<t:Recurrence>{pattern}{_range(rule, start)}</t:Recurrence>" if pattern else ""


def _many(rule: Mapping[str, Any], name: str) -> list[str]:
    value = rule.get(name, [])
    return [str(one) for one in value] if isinstance(value, list) else [str(value)]


def _one(rule: Mapping[str, Any], name: str, default: str) -> str:
    return next(iter(_many(rule, name)), default)


def _pattern(rule: Mapping[str, Any], start: date) -> str:
    frequency = _one(rule, "FREQ", "").upper()
    interval = raw_leaf("Interval", _one(rule, "INTERVAL", "1"))
    days = [day.upper() for day in _many(rule, "BYDAY")]
    if frequency == "DAILY" and not days:
        return f"<t:DailyRecurrence>{interval}</t:DailyRecurrence>"
    if frequency == "WEEKLY":
        named = [_DAYS[day] for day in days if day in _DAYS] or [start.strftime("%A")]
        return f"<t:WeeklyRecurrence>{interval}{raw_leaf('DaysOfWeek', ' '.join(named))}</t:WeeklyRecurrence>"
    if frequency == "MONTHLY":
        return _in_month(rule, start, "Monthly", interval, "")
    months = _many(rule, "BYMONTH") or [str(start.month)]
    if frequency == "YEARLY" and len(months) == 1 and _one(rule, "INTERVAL", "1") == "1":
        return _in_month(rule, start, "Yearly", "", raw_leaf("Month", _MONTHS[int(months[0]) - 1]))
    return ""


def _in_month(rule: Mapping[str, Any], start: date, kind: str, interval: str, month: str) -> str:
    """Return the pattern of one day in a month: the second Tuesday, the last working day, or the 14th."""
    days = [day.upper() for day in _many(rule, "BYDAY")]
    if days:
        week, word = _WEEKS.get(_one(rule, "BYSETPOS", "")), _set_word(days)
        if len(days) == 1 and days[0][-2:] in _DAYS:
            week, word = _WEEKS.get(days[0][:-2].lstrip("+"), week), _DAYS[days[0][-2:]]
        if week is None or not word:
            return ""
        which = raw_leaf("DaysOfWeek", word) + raw_leaf("DayOfWeekIndex", week)
        return f"<t:Relative{kind}Recurrence>{interval}{which}{month}</t:Relative{kind}Recurrence>"
    numbers = _many(rule, "BYMONTHDAY") or [str(start.day)]
    if (
        len(numbers) > 1
        and _one(rule, "BYSETPOS", "") == "-1"
        and numbers == [str(n) for n in range(28, int(numbers[-1]) + 1)]
    ):
        numbers = numbers[-1:]  # the last day there is, up to that one: how Exchange means the 31st
    if len(numbers) > 1 or not 1 <= int(numbers[0]) <= 31:
        return ""
    which = raw_leaf("DayOfMonth", numbers[0])
    return f"<t:Absolute{kind}Recurrence>{interval}{which}{month}</t:Absolute{kind}Recurrence>"


def _set_word(days: list[str]) -> str:
    return next((word for word, codes in _SETS.items() if set(codes) == set(days)), "")


def _range(rule: Mapping[str, Any], start: date) -> str:
    first = raw_leaf("StartDate", start.isoformat())
    count = _one(rule, "COUNT", "")
    until = rule.get("UNTIL")
    until = until[0] if isinstance(until, list) and until else until
    if count:
        return f"<t:NumberedRecurrence>{first}{raw_leaf('NumberOfOccurrences', count)}</t:NumberedRecurrence>"
    if isinstance(until, date):
        day = until.date() if isinstance(until, datetime) else until
        return f"<t:EndDateRecurrence>{first}{raw_leaf('EndDate', day.isoformat())}</t:EndDateRecurrence>"
    return f"<t:NoEndRecurrence>{first}</t:NoEndRecurrence>"


# -- the protocol to iCalendar, and to days


def rule_of(kept: str) -> dict[str, list[str]]:
    """Return the RRULE of a kept t:Recurrence without its end, values as text. Raises BadRecurrence."""
    pattern, _ = _parts(kept)
    kind = local_name(pattern)
    interval = _count(pattern, "Interval", 999)
    if kind == "DailyRecurrence":
        return {"FREQ": ["DAILY"], "INTERVAL": [interval]}
    if kind == "WeeklyRecurrence":
        first = pattern.findtext(f"{T}FirstDayOfWeek")
        if first is not None and first not in _CODES:
            raise BadRecurrence(f"no day {first!r}")
        begin = {"WKST": [_CODES[first]]} if first else {}
        return {"FREQ": ["WEEKLY"], "INTERVAL": [interval], "BYDAY": _week_days(pattern)} | begin
    monthly = {"FREQ": ["MONTHLY"], "INTERVAL": [interval]}
    if kind.endswith("YearlyRecurrence"):
        month = pattern.findtext(f"{T}Month") or ""
        if month not in _MONTHS:
            raise BadRecurrence(f"no month {month!r}")
        monthly = {"FREQ": ["YEARLY"], "BYMONTH": [str(_MONTHS.index(month) + 1)]}
    if kind in ("AbsoluteMonthlyRecurrence", "AbsoluteYearlyRecurrence"):
        day = int(_count(pattern, "DayOfMonth", 31))
        if day > 28:
            return monthly | {"BYMONTHDAY": [str(one) for one in range(28, day + 1)], "BYSETPOS": ["-1"]}
        return monthly | {"BYMONTHDAY": [str(day)]}
    if kind in ("RelativeMonthlyRecurrence", "RelativeYearlyRecurrence"):
        number = _NUMBERS.get(pattern.findtext(f"{T}DayOfWeekIndex") or "")
        days = _week_days(pattern)
        if number is None or len((pattern.findtext(f"{T}DaysOfWeek") or "").split()) != 1:
            raise BadRecurrence("no such DayOfWeekIndex")
        return monthly | ({"BYDAY": [number + days[0]]} if len(days) == 1 else {"BYDAY": days, "BYSETPOS": [number]})
    raise BadRecurrence(f"no pattern {kind}")


def start_of(kept: str) -> date:
    """Return the day a kept t:Recurrence begins on. Raises BadRecurrence."""
    return _date(_parts(kept)[1], "StartDate")


def end_of(kept: str) -> date | int | None:
    """Return a kept t:Recurrence's last possible day, or its number of instances, or None. Raises BadRecurrence."""
    _, span = _parts(kept)
    kind = local_name(span)
    if kind == "NumberedRecurrence":
        return int(_count(span, "NumberOfOccurrences", MOST_INSTANCES))
    return _date(span, "EndDate") if kind == "EndDateRecurrence" else None


def days_of(kept: str, clock: time) -> rrule:
    """Return the wall clocks (naive) of all instances of a kept t:Recurrence at a time of day. Raises BadRecurrence."""
    end = end_of(kept)
    text = ";".join(f"{name}={','.join(values)}" for name, values in rule_of(kept).items())
    if isinstance(end, int):
        text += f";COUNT={end}"
    elif end is not None:
        text += f";UNTIL={end:%Y%m%d}T235959"
    try:
        rule = rrulestr(text, dtstart=datetime.combine(start_of(kept), clock), cache=True)
    except ValueError as error:
        raise BadRecurrence(str(error)) from error
    if not isinstance(rule, rrule):
        raise BadRecurrence("more than one rule")
    return rule


def next_day(kept: str, day: date, done: date) -> date | None:
    """Return the day of a task's next instance after `day`, None if that was the last. Raises BadRecurrence.

    A regenerating task comes again so and so long after it was `done`.
    """
    pattern, _ = _parts(kept)
    unit = _REGENERATION.get(local_name(pattern))
    if unit is None:
        after = days_of(kept, time.min).after(datetime.combine(day, time.min))
        return after.date() if after else None
    return done + unit * int(_count(pattern, "Interval", 999))


def regenerates(kept: str) -> bool:
    """Say whether a kept t:Recurrence counts from when a task was done. Raises BadRecurrence."""
    return local_name(_parts(kept)[0]) in _REGENERATION


def fewer(kept: str) -> str:
    """Return a numbered t:Recurrence with one instance less, others as they are; "" when none is left."""
    end = end_of(kept)
    if not isinstance(end, int):
        return kept
    tag = "NumberOfOccurrences"
    return kept.replace(raw_leaf(tag, str(end)), raw_leaf(tag, str(end - 1))) if end > 1 else ""


def check(kept: str) -> None:
    """Raise BadRecurrence for a recurrence that is none, or that has no instance."""
    pattern, _ = _parts(kept)
    if local_name(pattern) in _REGENERATION:
        _count(pattern, "Interval", 999)
        start_of(kept)
        end_of(kept)
        return
    days_of(kept, time.min)


def _parts(kept: str) -> tuple[etree._Element, etree._Element]:
    parts = children(parse_fragment(kept))
    if len(parts) != 2:
        raise BadRecurrence("a recurrence is a pattern and a range")
    wrong = grammar.problem(parts[0]) or grammar.problem(parts[1])
    if wrong or local_name(parts[1]) not in _RANGES:
        raise BadRecurrence(wrong or "a recurrence ends with a range")
    return parts[0], parts[1]


def _week_days(pattern: etree._Element) -> list[str]:
    found: list[str] = []
    for word in (pattern.findtext(f"{T}DaysOfWeek") or "").split():
        codes = _SETS.get(word) or ((_CODES[word],) if word in _CODES else ())
        if not codes:
            raise BadRecurrence(f"no day {word!r}")
        found += [code for code in codes if code not in found]
    if not found:
        raise BadRecurrence("no day of the week")
    return found


def _count(element: etree._Element, name: str, most: int) -> str:
    text = element.findtext(f"{T}{name}")
    if text is None and name == "Interval":
        return "1"
    if text is None or not text.strip().isdecimal() or not 1 <= int(text) <= most:
        raise BadRecurrence(f"{name} is 1 to {most}, not {text!r}")
    return str(int(text))


def _date(element: etree._Element, name: str) -> date:
    text = (element.findtext(f"{T}{name}") or "").strip()
    try:
        # A day may come with a zone, which says nothing about a day.
        return date.fromisoformat(text[:10])
    except ValueError:
        raise BadRecurrence(f"{name} is no date: {text!r}") from None
