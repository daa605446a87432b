"""iCalendar (RFC 5545) to appointments, tasks and the meeting part of invitations.

Basic but true: what stands in the file is what a client reads. Zones are given by their Windows
names, as Exchange gives them, and written out where they have none; a time without a zone counts as
UTC; an all-day event runs from midnight to midnight in UTC. A rule the protocol cannot express is left
out, its first occurrence kept. Changed occurrences (RECURRENCE-ID) and deleted ones (EXDATE) are kept
with their series if it is in the same file, else as appointments of their own.
"""

import warnings
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import icalendar

from mailboxes.sandbox import zones
from mailboxes.sandbox.headers import decode_bytes
from mailboxes.sandbox.model import Altered, Content
from mailboxes.sandbox.recurrence import recurrence
from mailboxes.sandbox.tasks import Task
from mailboxes.sandbox.tasks import content as task_content
from mailboxes.sandbox.xmltext import boolean, leaf, mailbox, moment, raw_leaf, recipient

# What the library raises on calendars that are none, or hold values that are none.
_UNREADABLE: Final = (ValueError, KeyError, IndexError, TypeError, AttributeError, OverflowError, RecursionError)
_CLASSES: Final = {"PRIVATE": "Private", "CONFIDENTIAL": "Confidential"}
_ANSWERS: Final = {"ACCEPTED": "Accept", "DECLINED": "Decline", "TENTATIVE": "Tentative"}
_CLASS_ENDS: Final = {"ACCEPTED": "Pos", "DECLINED": "Neg", "TENTATIVE": "Tent"}
_BUSY: Final = {
    "FREE": "Free",
    "TENTATIVE": "Tentative",
    "OOF": "OOF",
    "WORKINGELSEWHERE": "WorkingElsewhere",
    "BUSY": "Busy",
}
# What an occurrence has by its series, however it is written.
_NOT_OWN: Final = frozenset(
    (
        "RecurrenceId",
        "Recurrence",
        "CalendarItemType",
        "IsRecurring",
        "DateTimeStamp",
        "UID",
        "AppointmentSequenceNumber",
    )
)


class UnreadableCalendar(ValueError):
    """The bytes hold no appointment or task that could be read."""


def contents(raw: bytes) -> list[Content]:
    """Return each VEVENT and VTODO as the content of an item. Raises UnreadableCalendar."""
    try:
        components = _components(raw, ("VEVENT", "VTODO"))
        found = _in_series([(one, _task(one) if one.name == "VTODO" else _appointment(one)) for one in components])
    except _UNREADABLE as error:
        raise UnreadableCalendar(str(error) or type(error).__name__) from error
    if not found:
        raise UnreadableCalendar("no VEVENT and no VTODO in it")
    return found


def meeting_values(raw: bytes, kind: str) -> dict[str, str]:
    """Return the properties a meeting message of this kind has of its calendar part; {} if it is unreadable."""
    try:
        event = next(iter(_components(raw, ("VEVENT",))), None)
        if event is None:
            return {}
        values = _event_values(event)
        answer = next((a.params.get("PARTSTAT", "") for a in _people(event, "ATTENDEE")), "")
    except _UNREADABLE:
        return {}
    for name in ("Subject", "Importance", "Sensitivity", "MyResponseType"):
        values.pop(name, None)
    if kind == "MeetingResponse" and str(answer).upper() in _CLASS_ENDS:
        values["ItemClass"] = raw_leaf("ItemClass", f"IPM.Schedule.Meeting.Resp.{_CLASS_ENDS[str(answer).upper()]}")
    values["ResponseType"] = raw_leaf(
        "ResponseType",
        _ANSWERS.get(str(answer).upper(), "Unknown") if kind == "MeetingResponse" else "NoResponseReceived",
    )
    if kind == "MeetingResponse" and raw.upper().find(b"METHOD:COUNTER") >= 0:
        values |= {
            f"Proposed{name}": values[name].replace(f"t:{name}>", f"t:Proposed{name}>") for name in ("Start", "End")
        }
    if kind == "MeetingRequest":
        values["MeetingRequestType"] = raw_leaf("MeetingRequestType", "NewMeetingRequest")
    else:
        # An answer and a cancellation have this one as plain text, and no whole recurrence of ours.
        values.pop("CalendarItemType", None)
    return values


def _components(raw: bytes, names: tuple[str, ...]) -> list[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the library warns of every deviation; here none is news
        calendars: Iterable[Any] = icalendar.Calendar.from_ical(decode_bytes(raw), multiple=True)
        return [one for calendar in calendars for one in calendar.walk() if one.name in names]


def _in_series(found: list[tuple[Any, Content]]) -> list[Content]:
    """Put changed occurrences where their series is, and leave out of it what was deleted."""
    masters = {
        content.values["UID"]: content
        for _, content in found
        if content.values.get("Recurrence") and content.values.get("UID")
    }
    kept = []
    for component, content in found:
        master = masters.get(content.values.get("UID", ""))
        original = _when(component, "RECURRENCE-ID")
        if master is None or master is content or original is None:
            kept.append(content)
            continue
        names = {name for name, text in content.values.items() if text != master.values.get(name)} - _NOT_OWN
        names |= {name for name, own in (("Body", content.body), ("Categories", content.categories)) if own}
        master.altered[_epoch(original)] = Altered(names | {"Start", "End"}, content)
    for component, content in found:
        if content.values.get("Recurrence"):
            content.cancelled |= {_epoch(one) for one in _dates(component, "EXDATE")}
    return kept


def _dates(component: Any, name: str) -> list[date]:
    value = component.get(name)
    groups = value if isinstance(value, list) else [value] if value is not None else []
    days = [getattr(one, "dt", None) for group in groups for one in getattr(group, "dts", [])]
    return [day for day in days if isinstance(day, date)]


def _appointment(event: Any) -> Content:
    description = _text(event, "DESCRIPTION")
    return Content(
        "CalendarItem",
        values=_event_values(event),
        body=("Text", description) if description else None,
        categories=_categories(event),
    )


def _task(todo: Any) -> Content:
    status = {"COMPLETED": "Completed", "IN-PROCESS": "InProgress", "CANCELLED": "Deferred"}
    days = {name: _day(_when(todo, name)) for name in ("DTSTART", "DUE", "COMPLETED")}
    percent = _text(todo, "PERCENT-COMPLETE")
    found = task_content(
        Task(
            _text(todo, "SUMMARY"),
            _text(todo, "DESCRIPTION"),
            start=days["DTSTART"],
            due=days["DUE"],
            completed=days["COMPLETED"],
            status=status.get(_text(todo, "STATUS").upper(), "NotStarted"),
            percent_complete=int(percent) if percent.isdecimal() and int(percent) <= 100 else 0,
            importance=_importance(todo),
            rule=_rule(todo) if days["DTSTART"] or days["DUE"] else "",
        )
    )
    found.categories = _categories(todo)
    return found


def _rule(todo: Any) -> str:
    rule = todo.get("RRULE")
    return "" if rule is None or isinstance(rule, list) else rule.to_ical().decode("utf-8", "replace")


def _event_values(event: Any) -> dict[str, str]:
    start = _when(event, "DTSTART")
    if start is None:
        raise ValueError("an event without DTSTART")
    all_day = not isinstance(start, datetime)
    end = _end(event, start)
    rule = event.get("RRULE")
    recurring = recurrence(_in_zone(rule, start), _day(start) or date.min) if rule else ""
    values = {
        "Subject": leaf("Subject", _text(event, "SUMMARY")),
        "UID": leaf("UID", _text(event, "UID")),
        "Start": moment("Start", _epoch(start)),
        "End": moment("End", _epoch(end)),
        "IsAllDayEvent": boolean("IsAllDayEvent", all_day),
        "Location": leaf("Location", _text(event, "LOCATION")),
        "LegacyFreeBusyStatus": raw_leaf("LegacyFreeBusyStatus", _busy(event)),
        "AppointmentSequenceNumber": raw_leaf("AppointmentSequenceNumber", str(_sequence(event))),
        "IsCancelled": boolean("IsCancelled", _text(event, "STATUS").upper() == "CANCELLED"),
        "IsRecurring": boolean("IsRecurring", bool(recurring)),
        "CalendarItemType": raw_leaf("CalendarItemType", "RecurringMaster" if recurring else "Single"),
        "Recurrence": recurring,
        "Importance": raw_leaf("Importance", _importance(event)),
        "Sensitivity": raw_leaf("Sensitivity", _CLASSES.get(_text(event, "CLASS").upper(), "Normal")),
    }
    for name, when in (("StartTimeZone", start), ("EndTimeZone", end)):
        values[name] = zones.written(when, name)
    occurrence, stamp = _when(event, "RECURRENCE-ID"), _when(event, "DTSTAMP")
    if occurrence is not None:
        values["RecurrenceId"] = moment("RecurrenceId", _epoch(occurrence))
    if stamp is not None:
        values["DateTimeStamp"] = moment("DateTimeStamp", _epoch(stamp))
    return values | _meeting_people(event) | _reminder(event)


def _meeting_people(event: Any) -> dict[str, str]:
    organizer, attendees = _people(event, "ORGANIZER"), _people(event, "ATTENDEE")
    optional = [one for one in attendees if str(one.params.get("ROLE", "")).upper() == "OPT-PARTICIPANT"]
    resources = [one for one in attendees if str(one.params.get("CUTYPE", "")).upper() == "RESOURCE"]
    required = [one for one in attendees if one not in optional and one not in resources]
    values = {"IsMeeting": boolean("IsMeeting", bool(attendees))}
    for one in organizer[:1]:
        values["Organizer"] = recipient("Organizer", _person(one))
    for element, people in (
        ("RequiredAttendees", required),
        ("OptionalAttendees", optional),
        ("Resources", resources),
    ):
        if people:
            inner = "".join(
                f"<t:Attendee>{mailbox(*_person(one))}"
                f"<t:ResponseType>{_ANSWERS.get(str(one.params.get('PARTSTAT', '')).upper(), 'Unknown')}</t:ResponseType></t:Attendee>"
                for one in people
            )
            values[element] = f"<t:{element}>{inner}</t:{element}>"
    return values


def _reminder(event: Any) -> dict[str, str]:
    for alarm in event.walk("VALARM"):
        trigger = alarm.get("TRIGGER")
        before = getattr(trigger, "dt", None)
        if isinstance(before, timedelta) and before <= timedelta(0):
            minutes = int(-before.total_seconds()) // 60
            return {
                "ReminderIsSet": boolean("ReminderIsSet", True),
                "ReminderMinutesBeforeStart": raw_leaf("ReminderMinutesBeforeStart", str(minutes)),
            }
    return {"ReminderIsSet": boolean("ReminderIsSet", False)}


def _when(component: Any, name: str) -> date | None:
    value = getattr(component.get(name), "dt", None)
    return value if isinstance(value, date) else None


def _end(event: Any, start: date) -> date:
    end = _when(event, "DTEND")
    if end is not None and isinstance(end, datetime) is isinstance(start, datetime):
        return max(start, end, key=_epoch)
    duration = getattr(event.get("DURATION"), "dt", None)
    if isinstance(duration, timedelta):
        return start + max(duration, timedelta(0))
    return start if isinstance(start, datetime) else start + timedelta(days=1)


def _epoch(when: date) -> int:
    if isinstance(when, datetime):
        return int((when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp())
    return int(datetime(when.year, when.month, when.day, tzinfo=UTC).timestamp())


def _day(when: date | None) -> date | None:
    return when.date() if isinstance(when, datetime) else when


def _in_zone(rule: Any, start: date) -> dict[str, Any]:
    """Return a rule whose end is told in the zone of the start, as the protocol tells it."""
    until = rule.get("UNTIL")
    last = until[0] if isinstance(until, list) and until else until
    zone = start.tzinfo if isinstance(start, datetime) else None
    if isinstance(last, datetime) and last.tzinfo and zone is not None:
        return dict(rule) | {"UNTIL": [last.astimezone(zone)]}
    return dict(rule)


def _busy(event: Any) -> str:
    told = _BUSY.get(_text(event, "X-MICROSOFT-CDO-INTENDEDSTATUS").upper())
    return told or ("Free" if _text(event, "TRANSP").upper() == "TRANSPARENT" else "Busy")


def _sequence(event: Any) -> int:
    text = _text(event, "SEQUENCE")
    return int(text) if text.isdecimal() and len(text) < 10 else 0


def _text(component: Any, name: str) -> str:
    value = component.get(name)
    if isinstance(value, list):
        value = value[0] if value else None
    return "" if value is None else str(value)


def _people(component: Any, name: str) -> list[Any]:
    value = component.get(name)
    found = value if isinstance(value, list) else [value] if value is not None else []
    return [one for one in found if hasattr(one, "params")]


def _person(value: Any) -> tuple[str, str]:
    address = str(value)
    return str(value.params.get("CN", "")), address[7:] if address.lower().startswith("mailto:") else ""


def _categories(component: Any) -> tuple[str, ...]:
    value = component.get("CATEGORIES")
    groups = value if isinstance(value, list) else [value] if value is not None else []
    return tuple(dict.fromkeys(str(name) for group in groups for name in getattr(group, "cats", [group]) if str(name)))


def _importance(component: Any) -> str:
    priority = _text(component, "PRIORITY")
    return "High" if priority in ("1", "2", "3", "4") else "Low" if priority in ("6", "7", "8", "9") else "Normal"
