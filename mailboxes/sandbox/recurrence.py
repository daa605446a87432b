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


def _pattern(rule: Mapping[str, Any], start: date) -> str:
    frequency = "".join(_many(rule, "FREQ")).upper()
    interval = raw_leaf("Interval", next(iter(_many(rule, "INTERVAL")), "1"))
    days = [day.upper() for day in _many(rule, "BYDAY")]
    if frequency == "DAILY" and not days:
        return f"<t:DailyRecurrence>{interval}</t:DailyRecurrence>"
    if frequency == "WEEKLY":
        named = [_DAYS[day] for day in days if day in _DAYS] or [start.strftime("%A")]
        return f"<t:WeeklyRecurrence>{interval}{raw_leaf('DaysOfWeek', ' '.join(named))}</t:WeeklyRecurrence>"
    if frequency not in ("MONTHLY", "YEARLY") or len(days) > 1:
        return ""
    month = ""
    if frequency == "YEARLY":
        months = _many(rule, "BYMONTH") or [str(start.month)]
        if len(months) > 1 or next(iter(_many(rule, "INTERVAL")), "1") != "1":
            return ""
        month = raw_leaf("Month", _MONTHS[int(months[0]) - 1])
        interval = ""
    kind = "Monthly" if frequency == "MONTHLY" else "Yearly"
    if days:
        week = _WEEKS.get(days[0][:-2].lstrip("+") or next(iter(_many(rule, "BYSETPOS")), ""))
        if week is None or days[0][-2:] not in _DAYS:
            return ""
        day = raw_leaf("DaysOfWeek", _DAYS[days[0][-2:]]) + raw_leaf("DayOfWeekIndex", week)
        return f"<t:Relative{kind}Recurrence>{interval}{day}{month}</t:Relative{kind}Recurrence>"
    numbers = _many(rule, "BYMONTHDAY") or [str(start.day)]
    if len(numbers) > 1 or not 1 <= int(numbers[0]) <= 31:
        return ""
    return f"<t:Absolute{kind}Recurrence>{interval}{raw_leaf('DayOfMonth', numbers[0])}{month}</t:Absolute{kind}Recurrence>"


def _range(rule: Mapping[str, Any], start: date) -> str:
    first = raw_leaf("StartDate", start.isoformat())
    count = next(iter(_many(rule, "COUNT")), "")
    until = next(iter(rule.get("UNTIL", [])), None) if isinstance(rule.get("UNTIL"), list) else rule.get("UNTIL")
    if count:
        return f"<t:NumberedRecurrence>{first}{raw_leaf('NumberOfOccurrences', count)}</t:NumberedRecurrence>"
    if isinstance(until, date):
        day = until.date() if isinstance(until, datetime) else until
        return f"<t:EndDateRecurrence>{first}{raw_leaf('EndDate', day.isoformat())}</t:EndDateRecurrence>"
    return f"<t:NoEndRecurrence>{first}</t:NoEndRecurrence>"
