"""Meeting messages as iCalendar (RFC 5545, RFC 5546): what an appointment says, written for others to read.

Times are given in the appointment's zone, which is described along with them. A series goes out
with its exceptions and without its deleted occurrences, so that the receiver has it whole.
"""

from datetime import UTC, date, datetime
from typing import Any, Final, NamedTuple

from icalendar import Calendar, Event, Timezone, vCalAddress, vRecur, vText

from mailboxes.sandbox.compose import people_in
from mailboxes.sandbox.contents import body_of, said, text_of
from mailboxes.sandbox.model import Content, Item
from mailboxes.sandbox.recurrence import end_of, rule_of
from mailboxes.sandbox.series import occurrence
from mailboxes.sandbox.xmltext import T, moment_in, one_line, parse_fragment
from mailboxes.sandbox.zones import WrittenZone, zone_in

_OWN_ZONE: Final = "Customized Time Zone"
REQUEST: Final = "REQUEST"
CANCEL: Final = "CANCEL"
REPLY: Final = "REPLY"
_ROLES: Final = {
    "RequiredAttendees": ("REQ-PARTICIPANT", "INDIVIDUAL"),
    "OptionalAttendees": ("OPT-PARTICIPANT", "INDIVIDUAL"),
    "Resources": ("NON-PARTICIPANT", "RESOURCE"),
}
STATES: Final = {"Accept": "ACCEPTED", "Decline": "DECLINED", "Tentative": "TENTATIVE"}
_CLASSES: Final = {"Private": "PRIVATE", "Confidential": "CONFIDENTIAL", "Personal": "PRIVATE"}
_BUSY: Final = {"Free": "FREE", "Tentative": "TENTATIVE", "OOF": "OOF", "WorkingElsewhere": "WORKINGELSEWHERE"}


class Answer(NamedTuple):
    """Who answers an invitation, and how: Accept, Decline or Tentative; with a proposal of another time if any."""

    person: tuple[str, str]
    response: str
    start: datetime | None = None
    end: datetime | None = None


def calendar(item: Item, method: str, now: datetime, answer: Answer | None = None) -> bytes:
    """Return the iCalendar object of a request, cancellation, or (with `answer`) reply about an item.

    An occurrence is told of by its RECURRENCE-ID.
    """
    whole = Calendar()
    whole.add("prodid", "-//crmsync//sandbox//EN")
    whole.add("version", "2.0")
    whole.add("method", "COUNTER" if answer is not None and answer.start is not None else method)
    _describe_zone(whole, item.content)
    whole.add_component(_event(item, method, now, answer))
    if method == REQUEST:
        for original in sorted(item.content.altered):
            whole.add_component(_event(occurrence(item, original), method, now, None))
    years = [moment_in(text_of(item.content, "Start")).year]
    # The zone is described for the years that matter; by default it would be all since 1970.
    whole.add_missing_timezones(date(years[0] - 1, 1, 1), date(years[0] + 3, 1, 1))
    return bytes(whole.to_ical())


def _describe_zone(whole: Calendar, content: Content) -> None:
    """Write out a zone that only its definition knows; others are described by their names."""
    zone = zone_in(said(content, "StartTimeZone"))
    if isinstance(zone, WrittenZone):
        year = moment_in(text_of(content, "Start")).year
        whole.add_component(Timezone.from_tzinfo(zone, _OWN_ZONE, date(year - 1, 1, 1), date(year + 3, 1, 1)))


def _event(item: Item, method: str, now: datetime, answer: Answer | None) -> Event:
    content = item.content
    event = Event()
    event.add("uid", text_of(content, "UID"))
    event.add("dtstamp", now)
    event.add("sequence", int(text_of(content, "AppointmentSequenceNumber") or 0))
    event.add("summary", one_line(text_of(content, "Subject")))
    for name, side in (("dtstart", "Start"), ("dtend", "End")):
        proposed = (answer.start if side == "Start" else answer.end) if answer else None
        _add_time(event, name, content, side, proposed or moment_in(text_of(content, side)))
    if item.master is not None:
        _add_time(event, "recurrence-id", content, "Start", datetime.fromtimestamp(item.original, UTC))
    elif said(content, "Recurrence"):
        _add_rule(event, content)
    if text_of(content, "Location"):
        event.add("location", text_of(content, "Location"))
    if answer is None:
        _add_rest(event, content, method)
    organizer = next(iter(people_in(content, "Organizer")), ("", ""))
    if organizer[1]:
        event.add("organizer", _address(organizer))
    _add_attendees(event, content, answer)
    return event


def _add_rest(event: Event, content: Content, method: str) -> None:
    event.add("class", _CLASSES.get(text_of(content, "Sensitivity"), "PUBLIC"))
    event.add("priority", {"High": 1, "Low": 9}.get(text_of(content, "Importance"), 5))
    event.add("status", "CANCELLED" if method == CANCEL else "CONFIRMED")
    busy = text_of(content, "LegacyFreeBusyStatus")
    event.add("transp", "TRANSPARENT" if busy == "Free" else "OPAQUE")
    event.add("x-microsoft-cdo-intendedstatus", _BUSY.get(busy, "BUSY"))
    event.add("x-microsoft-cdo-importance", {"High": "2", "Low": "0"}.get(text_of(content, "Importance"), "1"))
    text = body_of(content, "Text")[1]
    if text:
        event.add("description", text)


def _add_rule(event: Event, content: Content) -> None:
    kept = said(content, "Recurrence")
    parts: dict[str, Any] = dict(rule_of(kept))
    end = end_of(kept)
    if isinstance(end, int):
        parts["COUNT"] = [end]
    elif end is not None:
        zone = zone_in(said(content, "StartTimeZone"))
        all_day = text_of(content, "IsAllDayEvent") == "true"
        parts["UNTIL"] = [
            end if all_day else datetime(end.year, end.month, end.day, 23, 59, 59, tzinfo=zone).astimezone(UTC)
        ]
    event.add("rrule", vRecur(parts))
    for original in sorted(content.cancelled):
        _add_time(event, "exdate", content, "Start", datetime.fromtimestamp(original, UTC))


def _add_time(event: Event, name: str, content: Content, side: str, when: datetime) -> None:
    """Write a time in the zone of its side, a day for an all-day appointment."""
    start_zone, zone = (zone_in(said(content, f"{one}TimeZone")) for one in ("Start", side))
    local = when.astimezone(zone)
    if text_of(content, "IsAllDayEvent") == "true":
        event.add(name, local.date())
    elif isinstance(zone, WrittenZone):
        # Only the zone of the start is described.
        wall = when.astimezone(start_zone if isinstance(start_zone, WrittenZone) else UTC).replace(tzinfo=None)
        own = isinstance(start_zone, WrittenZone)
        event.add(name, wall if own else when.astimezone(UTC), parameters={"TZID": _OWN_ZONE} if own else {})
    else:
        event.add(name, when.astimezone(UTC) if zone is UTC else local)


def _add_attendees(event: Event, content: Content, answer: Answer | None) -> None:
    if answer is not None:
        event.add("attendee", _address(answer.person, partstat=STATES[answer.response]))
        return
    for element, (role, kind) in _ROLES.items():
        kept = said(content, element)
        for one in parse_fragment(kept) if kept else ():
            box = one.find(f"{T}Mailbox")
            address = "" if box is None else box.findtext(f"{T}EmailAddress") or ""
            if address:
                state = STATES.get(one.findtext(f"{T}ResponseType") or "", "NEEDS-ACTION")
                person = (box.findtext(f"{T}Name") or "" if box is not None else "", address)
                event.add("attendee", _address(person, role=role, cutype=kind, partstat=state, rsvp="TRUE"))


def _address(person: tuple[str, str], **parameters: str) -> vCalAddress:
    address = vCalAddress(f"mailto:{one_line(person[1])}")
    if person[0]:
        address.params["CN"] = vText(one_line(person[0]).replace('"', "'"))
    for name, value in parameters.items():
        address.params[name.upper()] = vText(value)
    return address
