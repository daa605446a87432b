"""Answers to invitations, and what becomes of them: AcceptItem, TentativelyAcceptItem, DeclineItem, …

They come as items of CreateItem. An answer changes the calendar whatever is sent; whether the organiser
is told follows from the message disposition, and SaveOnly tells nobody.
"""

from datetime import datetime, timedelta
from typing import Final

from lxml import etree

from mailboxes.sandbox import attendant, invitations, series
from mailboxes.sandbox.contents import text_of
from mailboxes.sandbox.itip import Answer
from mailboxes.sandbox.model import Item
from mailboxes.sandbox.operations.caller import Caller
from mailboxes.sandbox.soap import EwsError, Fault
from mailboxes.sandbox.xmltext import T, boolean, local_name, moment, moment_in, raw_leaf

_RESPONSES: Final = {"AcceptItem": "Accept", "TentativelyAcceptItem": "Tentative", "DeclineItem": "Decline"}
OBJECTS: Final = (*_RESPONSES, "CancelCalendarItem", "RemoveItem")
_UNANSWERABLE: Final = {
    "Accept": "ErrorInvalidItemForOperationAcceptItem",
    "Tentative": "ErrorInvalidItemForOperationTentative",
    "Decline": "ErrorInvalidItemForOperationDeclineItem",
}


def respond(caller: Caller, wanted: etree._Element, disposition: str) -> list[Item]:
    """Do what a response object asks and return the items it left. Raises EwsError."""
    reference = wanted.find(f"{T}ReferenceItemId")
    if reference is None or not reference.get("Id"):
        raise EwsError("ErrorMissingInformationReferenceItemId", "An answer needs the id of what it answers.")
    item, name = caller.item_by_id(reference.get("Id", "")), local_name(wanted)
    body = (wanted.findtext(f"{T}Body") or wanted.findtext(f"{T}NewBodyContent") or "").strip()
    if name == "RemoveItem":
        return _remove(caller, item)
    if name == "CancelCalendarItem":
        return _cancel(caller, item, body)
    if not disposition:
        raise EwsError("ErrorMessageDispositionRequired", "An answer needs a MessageDisposition.")
    return _answer(caller, item, wanted, disposition, body)


def _answer(caller: Caller, item: Item, wanted: etree._Element, disposition: str, body: str) -> list[Item]:
    response = _RESPONSES[local_name(wanted)]
    meeting = _meeting(item, response)
    owner = meeting.folder.mailbox
    person = (owner.display_name, owner.address)
    answer = Answer(person, response, _moment(wanted, "ProposedStart"), _moment(wanted, "ProposedEnd"))
    if answer.start is not None and answer.end is None:
        answer = answer._replace(end=answer.start + _length(meeting))
    now = int(caller.store.clock())
    content = meeting.content.copy()
    busy = {"Accept": text_of(content, "IntendedFreeBusyStatus") or "Busy", "Tentative": "Tentative", "Decline": "Free"}
    content.values |= {
        "MyResponseType": raw_leaf("MyResponseType", response),
        "AppointmentReplyTime": moment("AppointmentReplyTime", now),
        "LegacyFreeBusyStatus": raw_leaf("LegacyFreeBusyStatus", busy[response]),
    }
    attendant.keep(caller.store, meeting, content, {"MyResponseType", "AppointmentReplyTime", "LegacyFreeBusyStatus"})
    if disposition != "SaveOnly":
        invitations.reply(caller.store, meeting, answer, body, keep=disposition == "SendAndSaveCopy")
    left = [] if item is meeting or item.content.kind == "CalendarItem" else [_to_bin(caller, item)]
    if response == "Decline":
        return [*_drop(caller, meeting), *left]
    return [meeting, *left]


def _meeting(item: Item, response: str) -> Item:
    """Return the appointment that is answered. Raises EwsError if it cannot be."""
    if item.content.kind not in ("CalendarItem", "MeetingRequest"):
        raise EwsError(_UNANSWERABLE[response], "The item cannot be answered.")
    meeting = item if item.content.kind == "CalendarItem" else attendant.associated(item)
    if meeting is None:
        raise EwsError("ErrorItemNotFound", "The meeting is not in the calendar.")
    if invitations.organizes(meeting):
        raise EwsError(f"ErrorCalendarIsOrganizerFor{response}", "The organizer cannot answer the own invitation.")
    if text_of(meeting.content, "IsCancelled") == "true":
        raise EwsError(f"ErrorCalendarIsCancelledFor{response}", "The meeting was cancelled.")
    if "true" in item.content.values.get("IsOutOfDate", ""):
        raise EwsError("ErrorCalendarMeetingRequestIsOutOfDate", "The invitation is out of date.")
    return meeting


def _moment(wanted: etree._Element, name: str) -> datetime | None:
    text = wanted.findtext(f"{T}{name}")
    if text is None:
        return None
    try:
        return moment_in(text)
    except ValueError:
        raise Fault("ErrorSchemaValidation", f"The request failed schema validation: {text!r} is no time.") from None


def _length(meeting: Item) -> timedelta:
    return moment_in(text_of(meeting.content, "End")) - moment_in(text_of(meeting.content, "Start"))


def _cancel(caller: Caller, item: Item, body: str) -> list[Item]:
    if item.content.kind != "CalendarItem":
        raise EwsError("ErrorInvalidItemForOperationCancelItem", "Only appointments can be cancelled.")
    if not invitations.organizes(item):
        raise EwsError("ErrorCalendarIsNotOrganizer", "Only the organizer can cancel a meeting.")
    invitations.end(caller.store, item, "SendToAllAndSaveCopy", body)
    return _drop(caller, item)


def _remove(caller: Caller, item: Item) -> list[Item]:
    if item.content.kind != "MeetingCancellation":
        raise EwsError("ErrorInvalidItemForOperationRemoveItem", "Only a cancelled meeting can be removed.")
    meeting = attendant.associated(item)
    left = [_to_bin(caller, item)]
    if meeting is None:
        return left
    if text_of(meeting.content, "MyResponseType") == "Organizer":
        raise EwsError("ErrorCalendarIsOrganizerForRemove", "The organizer's own meeting is not removed so.")
    return [*_drop(caller, meeting), *left]


def _drop(caller: Caller, meeting: Item) -> list[Item]:
    """Take an appointment off the calendar: into Deleted Items, an occurrence out of its series."""
    if meeting.master is None:
        return [_to_bin(caller, meeting)]
    series.delete(meeting)
    caller.store.touch(meeting)
    return []


def _to_bin(caller: Caller, item: Item) -> Item:
    if item.content.kind == "MeetingRequest":
        item.content.values["HasBeenProcessed"] = boolean("HasBeenProcessed", True)
    return caller.store.move(item, item.folder.mailbox.distinguished["deleteditems"])
