"""Properties as a client writes them: checked, brought into the form a server keeps, completed.

Most properties are kept as they were written. Moments are brought to UTC, words of a fixed list and
numbers are checked, so that what was accepted can be given back as a valid answer. What follows from
other properties (who organises, whether a task is complete) is set by `complete`.
"""

import base64
import binascii
import re
from collections.abc import Collection
from datetime import UTC, datetime, tzinfo
from typing import Final

from lxml import etree

from mailboxes.sandbox import appointments, compose, grammar, people, todo, zones
from mailboxes.sandbox.compose import people_in
from mailboxes.sandbox.contents import attachments_of, said, text_of
from mailboxes.sandbox.extended import BadExtendedField, ExtendedField, read_property
from mailboxes.sandbox.kinds import KINDS, READ_ONLY, words
from mailboxes.sandbox.mime import topic_of
from mailboxes.sandbox.model import Attachment, Content, Mailbox
from mailboxes.sandbox.soap import EwsError, Fault
from mailboxes.sandbox.xmltext import (
    T,
    boolean,
    children,
    fragment,
    leaf,
    local_name,
    moment,
    raw_leaf,
    recipient,
)

_MOMENTS: Final = frozenset(
    words(
        """
    Start End OriginalStart RecurrenceId DateTimeStamp ReminderDueBy ReminderNextTime AppointmentReplyTime
    AssignedTime Birthday WeddingAnniversary RetentionDate
    """
    )
)
_DAYS: Final = frozenset(("StartDate", "DueDate", "CompleteDate"))
_ZONES: Final = frozenset(("StartTimeZone", "EndTimeZone"))
_BOOLEANS: Final = frozenset(
    words(
        """
    IsAllDayEvent IsRead IsReadReceiptRequested IsDeliveryReceiptRequested IsResponseRequested ReminderIsSet
    IsComplete IsTeamTask MeetingRequestWasSent AllowNewTimeProposal IsOnlineMeeting
    """
    )
)
_WORDS: Final = {
    "Importance": {"Low", "Normal", "High"},
    "Sensitivity": {"Normal", "Personal", "Private", "Confidential"},
    "Status": {"NotStarted", "InProgress", "Completed", "WaitingOnOthers", "Deferred"},
    "PostalAddressIndex": {"None", "Business", "Home", "Other"},
    "FileAsMapping": set(people.MAPPINGS),
    "LegacyFreeBusyStatus": {"Free", "Tentative", "Busy", "OOF", "WorkingElsewhere", "NoData"},
}
_NUMBER = re.compile(r"-?\d+(\.\d+)?")
_WHOLE: Final = frozenset(("ActualWork", "TotalWork", "ReminderMinutesBeforeStart"))
_LARGEST: Final = 2**31
MESSAGE_KINDS: Final = frozenset(
    ("Message", "MeetingMessage", "MeetingRequest", "MeetingResponse", "MeetingCancellation", "PostItem", "Item")
)


def content_in(element: etree._Element, zone: str = "") -> Content:
    """Return the content of an item in a request whose times are in `zone` (a kept definition, "" is UTC).

    Raises Fault for what the schema forbids, EwsError else.
    """
    kind = local_name(element)
    if kind not in KINDS:
        raise EwsError("ErrorInvalidItemForOperationCreateItem", f"Items of kind {kind} cannot be made on this server.")
    content = Content(kind)
    own = element.find(f"{T}StartTimeZone")
    zone = zone if own is None else _kept("StartTimeZone", own, UTC)
    for child in children(element):
        write(content, child, zone)
    if zone and kind == "CalendarItem":
        _default(content, "StartTimeZone", zone)
        _default(content, "EndTimeZone", zone.replace("StartTimeZone", "EndTimeZone"))
    return content


def write(content: Content, element: etree._Element, zone: str = "") -> str:
    """Write one property as a client sent it and return its name. Raises Fault or EwsError, see `content_in`."""
    name = local_name(element)
    if name == "ExtendedProperty":
        field, value = _extended(element)
        content.extended[field.name] = value
        return field.name
    if name not in KINDS[content.kind].order:
        raise Fault("ErrorSchemaValidation", f"The request failed schema validation: a {content.kind} has no {name}.")
    if name == "MimeContent":
        content.raw = _bytes(element.text or "")
    elif name == "Body":
        content.body = ("HTML" if element.get("BodyType") == "HTML" else "Text", element.text or "")
    elif name == "Categories":
        content.categories = tuple(dict.fromkeys(one.text or "" for one in children(element)))
    elif name == "Attachments":
        for one in children(element):
            attach(content, attachment_in(one, zone))
    elif name in READ_ONLY:
        raise EwsError("ErrorInvalidPropertySet", f"The property {name} cannot be set.")
    else:
        content.values[name] = _kept(name, element, zones.zone_in(zone))
    return name


def clear(content: Content, name: str) -> None:
    """Take a property away. Raises EwsError for one that cannot go."""
    if name in READ_ONLY or name in ("MimeContent", "ItemClass", "IsRead"):
        raise EwsError("ErrorInvalidPropertyDelete", f"The property {name} cannot be deleted.")
    if name == "Body":
        content.body = ("Text", "")
    elif name == "Categories":
        content.categories = ()
    else:
        content.values[name] = ""


def _extended(element: etree._Element) -> tuple[ExtendedField, str]:
    try:
        return read_property(element)
    except BadExtendedField as error:
        raise Fault("ErrorInvalidExtendedProperty", f"The extended property is invalid: {error}.") from error


def _kept(name: str, element: etree._Element, zone: tzinfo) -> str:
    text = (element.text or "").strip()
    if name in _MOMENTS or name in _DAYS:
        return _time(name, text, zone)
    if name in _ZONES:
        try:
            return zones.definition(element, name)
        except zones.BadZone as error:
            raise EwsError("ErrorTimeZone", f"There is an error in the time zone: {error}.") from error
    if name in _BOOLEANS:
        if text not in ("true", "false", "1", "0"):
            raise _invalid(name, text)
        return boolean(name, text in ("true", "1"))
    wrong = grammar.problem(element) if name in grammar.COMPOUND else ""
    if wrong:
        raise Fault("ErrorSchemaValidation", f"The request failed schema validation: {wrong}.")
    if not _fits(name, text):
        raise _invalid(name, text)
    return fragment(element)


def _time(name: str, text: str, zone: tzinfo) -> str:
    try:
        when = datetime.fromisoformat(text)
        if name in _DAYS:  # the day it is for the client, whatever the clock says
            day = (when.astimezone(zone) if when.tzinfo and zone is not UTC else when).date()
            when = datetime(day.year, day.month, day.day, tzinfo=UTC)
        return moment(name, int((when if when.tzinfo else when.replace(tzinfo=zone)).timestamp()))
    except (ValueError, OverflowError):
        raise _invalid(name, text) from None


def _fits(name: str, text: str) -> bool:
    """Say whether a text is one of the words, or a number, that a property can have."""
    if name in _WHOLE:
        return bool(_NUMBER.fullmatch(text)) and "." not in text and abs(int(text)) < _LARGEST
    if name == "PercentComplete":
        return bool(_NUMBER.fullmatch(text)) and 0 <= float(text) <= 100
    return name not in _WORDS or text in _WORDS[name]


def _invalid(name: str, text: str) -> Fault:
    return Fault("ErrorSchemaValidation", f"The request failed schema validation: {text!r} is no value of {name}.")


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        raise Fault("ErrorSchemaValidation", "The request failed schema validation: no base64.") from None


# -- attachments


def attachment_in(element: etree._Element, zone: str = "") -> Attachment:
    """Return an attachment in a request, not yet numbered. Raises Fault or EwsError."""
    kind = local_name(element)
    found = Attachment(
        -1,
        element.findtext(f"{T}Name") or "",
        element.findtext(f"{T}ContentType") or "application/octet-stream",
        element.findtext(f"{T}ContentId") or "",
        element.findtext(f"{T}ContentLocation") or "",
        (element.findtext(f"{T}IsInline") or "") in ("true", "1"),
    )
    if kind == "FileAttachment":
        found.data = _bytes(element.findtext(f"{T}Content") or "")
        return found
    inner = [one for one in children(element) if local_name(one) in KINDS]
    if kind != "ItemAttachment" or len(inner) != 1:
        raise EwsError("ErrorMissingItemForCreateItemAttachment", "An item attachment needs an item.")
    found.item = content_in(inner[0], zone)
    return found


def attach(content: Content, attachment: Attachment) -> Attachment:
    """Hang an attachment on a content under a number of its own."""
    used = [one.number for one in [*attachments_of(content), *content.attached]]
    attachment.number = max([*used, *content.removed], default=-1) + 1
    content.attached.append(attachment)
    return attachment


# -- what follows from what was written


def complete(content: Content, owner: Mailbox, now: int, names: Collection[str] | None = None) -> None:
    """Set what a server works out when an item is saved; may be called again after a change.

    `names` are the properties that were written; None is all that the content has.
    """
    if content.kind in MESSAGE_KINDS:
        _complete_message(content, owner)
    elif content.kind == "CalendarItem":
        appointments.complete(content, owner, now)
    elif content.kind == "Contact":
        people.complete_contact(content)
    elif content.kind == "DistributionList":
        people.complete_list(content)
    elif content.kind == "Task":
        todo.complete(content, owner, now, content.values.keys() if names is None else names)


def _default(content: Content, name: str, value: str) -> None:
    if not said(content, name):
        content.values[name] = value


def _complete_message(content: Content, owner: Mailbox) -> None:
    if content.kind in ("PostItem", "Item"):
        return
    author = people_in(content, "From") or people_in(content, "Sender") or [(owner.display_name, owner.address)]
    _default(content, "From", recipient("From", author[0]))
    _default(content, "Sender", recipient("Sender", author[0]))
    _default(content, "InternetMessageId", leaf("InternetMessageId", compose.new_message_id()))
    _default(content, "Importance", raw_leaf("Importance", "Normal"))
    _default(content, "Sensitivity", raw_leaf("Sensitivity", "Normal"))
    content.values["ConversationTopic"] = leaf("ConversationTopic", topic_of(text_of(content, "Subject")))
    for element in ("To", "Cc", "Bcc"):
        names = "; ".join(name or address for name, address in people_in(content, f"{element}Recipients"))
        content.values[f"Display{element}"] = leaf(f"Display{element}", names)
