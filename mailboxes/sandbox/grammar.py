"""Which elements may stand inside which, for properties that are kept as they were written.

A server refuses what its schema forbids. This one has no schema at hand, only this small table of the
properties that are made of others; what is in order here can be given back as it came.
"""

import re
from typing import Final

from lxml import etree

from mailboxes.sandbox.kinds import words
from mailboxes.sandbox.xmltext import children, local_name

_ATTENDEES: Final = ("Attendee+",)
_PEOPLE: Final = ("Mailbox*",)
_PERSON: Final = ("Mailbox!",)
_ENTRIES: Final = ("Entry+",)
_STRINGS: Final = ("String*",)
# Children in order, "|" between those of which each may stand: "!" must be there, "*" any number, "+" at least one,
# else at most one.
_INSIDE: Final[dict[str, tuple[str, ...]]] = {
    **dict.fromkeys(("RequiredAttendees", "OptionalAttendees", "Resources"), _ATTENDEES),
    **dict.fromkeys(("ToRecipients", "CcRecipients", "BccRecipients", "ReplyTo"), _PEOPLE),
    **dict.fromkeys(("From", "Sender", "ReceivedBy", "ReceivedRepresenting"), _PERSON),
    **dict.fromkeys(("EmailAddresses", "PhoneNumbers", "PhysicalAddresses", "ImAddresses"), _ENTRIES),
    **dict.fromkeys(("Companies", "Contacts", "Children"), _STRINGS),
    "Attendee": ("Mailbox!", "ResponseType", "LastResponseTime", "ProposedStart", "ProposedEnd"),
    "Mailbox": words("Name EmailAddress RoutingType MailboxType ItemId OriginalDisplayName"),
    "Entry": words("Street City State CountryOrRegion PostalCode"),
    "Members": ("Member*",),
    "Member": ("Mailbox", "Status"),
    "ItemId": (),
    **dict.fromkeys(
        ("StartTimeZone", "EndTimeZone", "TimeZoneDefinition"), words("Periods TransitionsGroups Transitions")
    ),
    "Periods": ("Period+",),
    "Period": (),
    "TransitionsGroups": ("TransitionsGroup+",),
    **dict.fromkeys(
        ("TransitionsGroup", "Transitions"),
        ("Transition|AbsoluteDateTransition|RecurringDayTransition|RecurringDateTransition+",),
    ),
    "Transition": ("To!",),
    "AbsoluteDateTransition": ("To!", "DateTime!"),
    "RecurringDayTransition": words("To! TimeOffset! Month! DayOfWeek! Occurrence!"),
    "RecurringDateTransition": words("To! TimeOffset! Month! Day!"),
    "DailyRecurrence": ("Interval!",),
    "WeeklyRecurrence": ("Interval!", "DaysOfWeek!", "FirstDayOfWeek"),
    "AbsoluteMonthlyRecurrence": ("Interval!", "DayOfMonth!"),
    "RelativeMonthlyRecurrence": ("Interval!", "DaysOfWeek!", "DayOfWeekIndex!"),
    "AbsoluteYearlyRecurrence": ("DayOfMonth!", "Month!"),
    "RelativeYearlyRecurrence": ("DaysOfWeek!", "DayOfWeekIndex!", "Month!"),
    **dict.fromkeys(
        ("DailyRegeneration", "WeeklyRegeneration", "MonthlyRegeneration", "YearlyRegeneration"), ("Interval!",)
    ),
    "NoEndRecurrence": ("StartDate!",),
    "EndDateRecurrence": ("StartDate!", "EndDate!"),
    "NumberedRecurrence": ("StartDate!", "NumberOfOccurrences!"),
}
COMPOUND: Final = frozenset(_INSIDE)
_MOMENT: Final = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)?"
_DATE: Final = r"\d{4}-\d\d-\d\d(Z|[+-]\d\d:\d\d)?"
_TEXTS: Final = {
    "MailboxType": "Unknown|OneOff|Mailbox|PublicDL|PrivateDL|Contact|PublicFolder|GroupMailbox|ImplicitContact|User",
    "ResponseType": "Unknown|Organizer|Tentative|Accept|Decline|NoResponseReceived",
    "Status": "Unrecognized|Normal|Demoted",
    "LastResponseTime": _MOMENT,
    "ProposedStart": _MOMENT,
    "ProposedEnd": _MOMENT,
    "DateTime": _MOMENT,
    "StartDate": _DATE,
    "EndDate": _DATE,
}


def problem(element: etree._Element) -> str:
    """Return what is wrong inside an element, "" if nothing is or the table does not know it."""
    name = local_name(element)
    nested = children(element)
    inside = _INSIDE.get(name)
    if inside is None:
        expected = _TEXTS.get(name)
        fits = expected is None or re.fullmatch(expected, (element.text or "").strip())
        if name == "To" and element.get("Kind") not in ("Period", "Group"):
            return "To is of no kind"
        return "" if fits else f"{element.text!r} is no {name}"
    if name != "Entry" and (element.text or "").strip():
        return f"{name} holds no text"
    found = [local_name(one) for one in nested]
    pattern = "".join(_pattern(one) for one in inside)
    if not re.fullmatch(pattern, "".join(f"{one};" for one in found)):
        return f"{name} cannot hold {', '.join(found) or 'nothing'}"
    return next((said for one in nested if (said := problem(one))), "")


def _pattern(rule: str) -> str:
    names = "|".join(f"{name};" for name in rule.rstrip("!*+").split("|"))
    return f"(?:{names})" + {"!": "", "*": "*", "+": "+"}.get(rule[-1], "?")
