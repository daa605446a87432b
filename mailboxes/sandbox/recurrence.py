"""iCalendar's recurrence rules in the protocol's words.

The protocol knows six patterns and three kinds of end; what does not fit one of them (an hourly rule,
two days of a month) gives "".
"""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any, Final

from mailboxes.sandbox.xmltext import raw_leaf

_DAYS: Final = {
    "MO": "Monday",
    "TU": "Tuesday",
    "WE": "Wednesday",
    "TH": "Thursday",
    "FR": "Friday",
    "SA": "Saturday",
    "SU": "Sunday",
}
_WEEKS: Final = {"1": "First", "2": "Second", "3": "Third", "4": "Fourth", "-1": "Last"}
_MONTHS: Final = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)


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
    if frequency == "MONTHLY" and len(days) <= 1:
        return _in_month(rule, start, "Monthly", interval, "")
    months = _many(rule, "BYMONTH") or [str(start.month)]
    if frequency == "YEARLY" and len(days) <= 1 and len(months) == 1 and _one(rule, "INTERVAL", "1") == "1":
        return _in_month(rule, start, "Yearly", "", raw_leaf("Month", _MONTHS[int(months[0]) - 1]))
    return ""


def _in_month(rule: Mapping[str, Any], start: date, kind: str, interval: str, month: str) -> str:
    """Return the pattern of one day in a month: the second Tuesday, or the 14th."""
    day = _one(rule, "BYDAY", "").upper()
    if day:
        week = _WEEKS.get(day[:-2].lstrip("+") or _one(rule, "BYSETPOS", ""))
        if week is None or day[-2:] not in _DAYS:
            return ""
        which = raw_leaf("DaysOfWeek", _DAYS[day[-2:]]) + raw_leaf("DayOfWeekIndex", week)
        return f"<t:Relative{kind}Recurrence>{interval}{which}{month}</t:Relative{kind}Recurrence>"
    numbers = _many(rule, "BYMONTHDAY") or [str(start.day)]
    if len(numbers) > 1 or not 1 <= int(numbers[0]) <= 31:
        return ""
    which = raw_leaf("DayOfMonth", numbers[0])
    return f"<t:Absolute{kind}Recurrence>{interval}{which}{month}</t:Absolute{kind}Recurrence>"


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
