"""What a server does by itself when a meeting message arrives, before anybody reads it.

A request puts the meeting into the calendar as tentative, an update changes it and asks again if
time or place changed, a cancellation marks it, an answer is written down in the organiser's copy.
"""

from lxml import etree

from mailboxes.sandbox import appointments, ics, mime, series
from mailboxes.sandbox.contents import said, text_of
from mailboxes.sandbox.model import Content, Item, Mailbox
from mailboxes.sandbox.soap import EwsError
from mailboxes.sandbox.store import SandboxStore
from mailboxes.sandbox.xmltext import (
    T,
    boolean,
    fragment,
    leaf,
    moment_in,
    moment_text,
    parse_fragment,
    raw_leaf,
)

# What an update takes over from the organiser; the rest of an invited person's copy is that person's own.
_TOLD = (
    *("Subject", "Location", "Start", "End", "IsAllDayEvent", "StartTimeZone", "EndTimeZone", "Recurrence"),
    *("Sensitivity", "Importance", "Organizer", "AppointmentSequenceNumber", "DateTimeStamp", *appointments.ATTENDEES),
)
_ASKS_AGAIN = ("Start", "End", "Recurrence", "Location", "IsAllDayEvent")


def calendar_item(mailbox: Mailbox, uid: str) -> Item | None:
    """Return the appointment of a UID in a mailbox's calendars, None if there is none."""
    if not uid:
        return None
    calendar = mailbox.distinguished["calendar"]
    for folder in [calendar, *calendar.deep()]:
        for item in folder.items.values():
            if item.content.kind == "CalendarItem" and text_of(item.content, "UID") == uid:
                return item
    return None


def associated(item: Item) -> Item | None:
    """Return the appointment, or occurrence, that a meeting message is about; None if it is not (any more) there."""
    found = calendar_item(item.folder.mailbox, text_of(item.content, "UID"))
    original = text_of(item.content, "RecurrenceId")
    if found is None or not original:
        return found
    try:
        return series.occurrence(found, int(moment_in(original).timestamp()))
    except EwsError:
        return None


def arrived(store: SandboxStore, item: Item) -> None:
    """Do what a meeting message that has just been delivered asks for; anything else is left alone."""
    raw = item.content.raw
    if raw is None or item.content.kind not in ("MeetingRequest", "MeetingResponse", "MeetingCancellation"):
        return
    calendar = mime.parse(raw).calendar
    try:
        told = ics.contents(calendar) if calendar is not None else []
    except ics.UnreadableCalendar:
        return
    for content in told:
        if content.kind == "CalendarItem" and text_of(content, "UID"):
            try:
                _one(store, item, content)
            except EwsError:
                # A meeting that makes no sense stays a message.
                continue


def _one(store: SandboxStore, message: Item, told: Content) -> None:
    mailbox = message.folder.mailbox
    known = calendar_item(mailbox, text_of(told, "UID"))
    place = text_of(told, "RecurrenceId")
    occurrence = None
    if known is not None and place and text_of(known.content, "CalendarItemType") == "RecurringMaster":
        occurrence = series.occurrence(known, int(moment_in(place).timestamp()))
    if message.content.kind == "MeetingResponse":
        _answered(store, occurrence or known, told)
    elif message.content.kind == "MeetingCancellation":
        _cancelled(store, occurrence or known)
    elif known is None:
        _invited(store, message, told)
    else:
        _updated(store, message, occurrence or known, told)


def _invited(store: SandboxStore, message: Item, told: Content) -> None:
    mailbox = message.folder.mailbox
    content = told.copy()
    content.body = _body(message)
    _ask(content, told)
    content.values["MeetingRequestWasSent"] = boolean("MeetingRequestWasSent", True)
    appointments.complete(content, mailbox, int(store.clock()))
    for altered in content.altered.values():
        for name in ("MyResponseType", "LegacyFreeBusyStatus"):
            altered.content.values[name] = content.values[name]
        altered.names -= {"MyResponseType", "LegacyFreeBusyStatus"}
    item = store.add_item(mailbox.distinguished["calendar"], content)
    item.is_read = True
    _mark(message, "NewMeetingRequest")


def _ask(content: Content, told: Content) -> None:
    """Make a copy one that waits for its owner's answer."""
    content.values["IntendedFreeBusyStatus"] = raw_leaf(
        "IntendedFreeBusyStatus", text_of(told, "LegacyFreeBusyStatus") or "Busy"
    )
    content.values["LegacyFreeBusyStatus"] = raw_leaf("LegacyFreeBusyStatus", "Tentative")
    content.values["MyResponseType"] = raw_leaf("MyResponseType", "NoResponseReceived")


def _updated(store: SandboxStore, message: Item, known: Item, told: Content) -> None:
    if text_of(known.content, "MyResponseType") == "Organizer":
        return
    if _sequence(told) < _sequence(known.content):
        message.content.values["IsOutOfDate"] = boolean("IsOutOfDate", True)
        _mark(message, "Outdated")
        return
    content = known.content.copy()
    names = {name for name in _TOLD if known.master is None or name != "Recurrence"}
    changed = {name for name in names if said(content, name) != said(told, name)}
    for name in names:
        content.values[name] = said(told, name)
    content.values["IsCancelled"] = boolean("IsCancelled", False)
    content.body = _body(message)
    decisive = bool(changed.intersection(_ASKS_AGAIN))
    if decisive:
        _ask(content, told)
    if known.master is None:
        content.altered, content.cancelled = told.copy().altered, set(told.cancelled)
    appointments.complete(content, known.folder.mailbox, int(store.clock()))
    keep(store, known, content, changed | {"Body", "IsCancelled", "MyResponseType", "LegacyFreeBusyStatus"})
    _mark(message, "FullUpdate" if decisive else "InformationalUpdate")


def _cancelled(store: SandboxStore, known: Item | None) -> None:
    if known is None or text_of(known.content, "MyResponseType") == "Organizer":
        return
    content = known.content.copy()
    subject = text_of(content, "Subject")
    content.values |= {
        "Subject": leaf("Subject", subject if subject.startswith("Canceled: ") else f"Canceled: {subject}"),
        "IsCancelled": boolean("IsCancelled", True),
        "LegacyFreeBusyStatus": raw_leaf("LegacyFreeBusyStatus", "Free"),
    }
    appointments.complete(content, known.folder.mailbox, int(store.clock()))
    keep(store, known, content, {"Subject", "IsCancelled", "LegacyFreeBusyStatus", "AppointmentState"})


def _answered(store: SandboxStore, known: Item | None, told: Content) -> None:
    if known is None or text_of(known.content, "MyResponseType") != "Organizer":
        return
    answers = {
        address: one.findtext(f"{T}ResponseType") or "Unknown"
        for element in appointments.ATTENDEES
        if said(told, element)
        for one in parse_fragment(said(told, element))
        for address in [(one.findtext(f"{T}Mailbox/{T}EmailAddress") or "").lower()]
    }
    content = known.content.copy()
    names = set()
    for element in appointments.ATTENDEES:
        kept = said(content, element)
        people = parse_fragment(kept) if kept else ()
        inner = "".join(_person(one, answers, int(store.clock())) for one in people)
        if inner and f"<t:{element}>{inner}</t:{element}>" != kept:
            content.values[element] = f"<t:{element}>{inner}</t:{element}>"
            names.add(element)
    if names:
        keep(store, known, content, names)


def _person(one: etree._Element, answers: dict[str, str], now: int) -> str:
    box = one.find(f"{T}Mailbox")
    answer = answers.get((one.findtext(f"{T}Mailbox/{T}EmailAddress") or "").lower())
    if box is None or answer is None:
        return fragment(one)
    return (
        f"<t:Attendee>{fragment(box)}{raw_leaf('ResponseType', answer)}"
        f"{raw_leaf('LastResponseTime', moment_text(now))}</t:Attendee>"
    )


def keep(store: SandboxStore, item: Item, content: Content, names: set[str]) -> None:
    """Let an item, or an occurrence of a series, be `content` from now on."""
    if item.master is None:
        item.content = content
    else:
        series.alter(item, content, names)
    store.touch(item)


def _sequence(content: Content) -> int:
    text = text_of(content, "AppointmentSequenceNumber")
    return int(text) if text.isdecimal() else 0


def _mark(message: Item, kind: str) -> None:
    message.content.values["MeetingRequestType"] = raw_leaf("MeetingRequestType", kind)


def _body(message: Item) -> tuple[str, str] | None:
    parsed = mime.parse(message.content.raw or b"")
    if parsed.html is not None:
        return "HTML", parsed.html
    return None if not parsed.text else ("Text", parsed.text.replace("\r\n", "\n").rstrip("\n"))
