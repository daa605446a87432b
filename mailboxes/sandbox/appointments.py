"""What a server works out when an appointment is saved: days whole, series begun, meeting or not.

Whoever makes an appointment organises it. Whether it is a meeting follows from whether anybody is
invited. Its UID has the form Exchange gives its own, from which the global object id is read.
"""

import base64
import struct
import uuid
from datetime import datetime, time, timedelta
from typing import Final

from mailboxes.sandbox import series
from mailboxes.sandbox.compose import people_in
from mailboxes.sandbox.contents import said, text_of
from mailboxes.sandbox.model import Content, Mailbox
from mailboxes.sandbox.soap import EwsError
from mailboxes.sandbox.xmltext import T, boolean, leaf, moment, moment_in, parse_fragment, raw_leaf, recipient
from mailboxes.sandbox.zones import UTC_ZONE, zone_in

_OBJECT_HEAD: Final = bytes.fromhex("040000008200E00074C5B7101A82E008")
ATTENDEES: Final = ("RequiredAttendees", "OptionalAttendees", "Resources")
# What of a series' own makes its exceptions meaningless when it changes.
PATTERN: Final = frozenset(("Recurrence", "Start", "StartTimeZone", "IsAllDayEvent"))
_LONGEST: Final = timedelta(days=5 * 366)


def complete(content: Content, owner: Mailbox, now: int) -> None:
    """Set what follows from what was written; may be called again after a change. Raises EwsError."""
    start, end = text_of(content, "Start"), text_of(content, "End")
    if not start or not end:
        raise EwsError("ErrorRequiredPropertyMissing", "An appointment needs Start and End.")
    if moment_in(end) < moment_in(start):
        raise EwsError("ErrorCalendarEndDateIsEarlierThanStartDate", "End is earlier than Start.")
    if moment_in(end) - moment_in(start) > _LONGEST:
        raise EwsError("ErrorCalendarDurationIsTooLong", "An appointment lasts five years at most.")
    for name, text in _defaults(owner, now).items():
        if not said(content, name):
            content.values[name] = text
    if text_of(content, "IsAllDayEvent") == "true":
        _whole_days(content)
    kind = text_of(content, "CalendarItemType")
    if kind not in ("Occurrence", "Exception"):
        series.to_first(content)
        recurring = bool(said(content, "Recurrence"))
        kind = "RecurringMaster" if recurring else "Single"
        series.tidy(content)
    meeting = any(said(content, name) for name in ATTENDEES)
    content.values["IsRecurring"] = boolean("IsRecurring", kind != "Single")
    content.values["IsMeeting"] = boolean("IsMeeting", meeting)
    content.values["CalendarItemType"] = raw_leaf("CalendarItemType", kind)
    content.values["AppointmentState"] = raw_leaf("AppointmentState", str(_state(content, meeting)))


def join(content: Content, owner: Mailbox) -> None:
    """Say of an appointment that came from elsewhere what its owner answered: organiser, attendee, or nothing yet."""
    organizer = next((address.lower() for _, address in people_in(content, "Organizer")), "")
    if organizer in ("", owner.address.lower()):
        return
    answers = {
        (one.findtext(f"{T}Mailbox/{T}EmailAddress") or "").lower(): one.findtext(f"{T}ResponseType") or ""
        for element in ATTENDEES
        if said(content, element)
        for one in parse_fragment(said(content, element))
    }
    answer = answers.get(owner.address.lower(), "")
    known = answer if answer in ("Accept", "Decline", "Tentative") else "NoResponseReceived"
    content.values["MyResponseType"] = raw_leaf("MyResponseType", known)


def _defaults(owner: Mailbox, now: int) -> dict[str, str]:
    return {
        "UID": leaf("UID", new_uid()),
        "DateTimeStamp": moment("DateTimeStamp", now),
        "Organizer": recipient("Organizer", (owner.display_name, owner.address)),
        "IsAllDayEvent": boolean("IsAllDayEvent", False),
        "LegacyFreeBusyStatus": raw_leaf("LegacyFreeBusyStatus", "Busy"),
        "Sensitivity": raw_leaf("Sensitivity", "Normal"),
        "Importance": raw_leaf("Importance", "Normal"),
        "IsCancelled": boolean("IsCancelled", False),
        "MeetingRequestWasSent": boolean("MeetingRequestWasSent", False),
        "IsResponseRequested": boolean("IsResponseRequested", True),
        "MyResponseType": raw_leaf("MyResponseType", "Organizer"),
        "AppointmentSequenceNumber": raw_leaf("AppointmentSequenceNumber", "0"),
        "StartTimeZone": f"<t:StartTimeZone{UTC_ZONE}/>",
        "EndTimeZone": f"<t:EndTimeZone{UTC_ZONE}/>",
    }


def _state(content: Content, meeting: bool) -> int:
    """Return the flags of an appointment: 1 a meeting, 2 received, 4 cancelled."""
    received = text_of(content, "MyResponseType") != "Organizer"
    return (1 if meeting else 0) | (2 if received else 0) | (4 if text_of(content, "IsCancelled") == "true" else 0)


def _whole_days(content: Content) -> None:
    """Stretch an all-day appointment to whole days of its zone: back to midnight, and on to the next."""
    zone = zone_in(said(content, "StartTimeZone"))
    start, end = (moment_in(text_of(content, name)).astimezone(zone) for name in ("Start", "End"))
    first, last = start.date(), end.date()
    if end.time() != time.min or last == first:
        last += timedelta(days=1)
    for name, day in (("Start", first), ("End", last)):
        content.values[name] = moment(name, int(datetime.combine(day, time.min, tzinfo=zone).timestamp()))


def new_uid() -> str:
    """Return a UID as Exchange gives: the hexadecimal digits of a global object id."""
    return (_OBJECT_HEAD + bytes(20) + struct.pack("<I", 16) + uuid.uuid4().bytes).hex().upper()


def global_object_id(content: Content) -> str:
    """Return the global object id (base64) that belongs to an appointment's UID, "" if it has none.

    A UID of another system is wrapped, as MS-OXOCAL has it (vCal-Uid).
    """
    uid = text_of(content, "UID")
    if not uid:
        return ""
    try:
        whole = bytes.fromhex(uid)
    except ValueError:
        whole = b""
    if not whole.startswith(_OBJECT_HEAD):
        data = b"vCal-Uid\x01\x00\x00\x00" + uid.encode("utf-8", "replace") + b"\x00"
        whole = _OBJECT_HEAD + bytes(20) + struct.pack("<I", len(data)) + data
    return base64.b64encode(whole).decode("ascii")
