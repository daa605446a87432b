"""Who is told of a meeting: requests, updates and cancellations of its organiser, answers of the invited.

Whoever changes a calendar must say whether others are told. A program that syncs must say no:
everything that leaves is written down (`SandboxStore.departed`) and counted (`meeting_messages`).
Only an organiser's copy invites; an invited person's copy can but decline.
"""

import email.utils
from collections.abc import Iterable
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from typing import Final

from mailboxes.sandbox import delivery, itip
from mailboxes.sandbox.appointments import ATTENDEES
from mailboxes.sandbox.compose import new_message_id, people_in
from mailboxes.sandbox.contents import body_of, text_of
from mailboxes.sandbox.model import Content, Item
from mailboxes.sandbox.store import SandboxStore
from mailboxes.sandbox.xmltext import boolean, one_line, raw_leaf

SENDING: Final = ("SendToNone", "SendOnlyToAll", "SendToAllAndSaveCopy")
SENDING_UPDATES: Final = (*SENDING, "SendOnlyToChanged", "SendToChangedAndSaveCopy")
# A change of one of these asks the invited to decide anew (RFC 5546 §2.1.4), so it counts the sequence up.
_DECISIVE: Final = frozenset(("Start", "End", "Recurrence", "IsAllDayEvent", "StartTimeZone", "Location"))
_PREFIXES: Final = {
    "cancellation": "Canceled: ",
    "Accept": "Accepted: ",
    "Decline": "Declined: ",
    "Tentative": "Tentative: ",
}


def invited(content: Content) -> list[str]:
    """Return the addresses of everybody invited, in lower case, without the organiser."""
    organizer = organizer_of(content)
    found = (address.lower() for element in ATTENDEES for _, address in people_in(content, element) if address)
    return [address for address in dict.fromkeys(found) if address != organizer]


def organizer_of(content: Content) -> str:
    """Return the organiser's address in lower case, "" if none is named."""
    return next((address.lower() for _, address in people_in(content, "Organizer")), "")


def organizes(item: Item) -> bool:
    """Say whether an appointment is organised from the mailbox it lies in."""
    return organizer_of(item.content) in ("", item.folder.mailbox.address.lower())


def invite(store: SandboxStore, item: Item, sending: str) -> None:
    """Tell everybody invited of a new meeting, as `sending` (SendMeetingInvitations) says."""
    if sending != "SendToNone" and organizes(item):
        _tell(store, item, "request", invited(item.content), keep=sending.endswith("SaveCopy"))


def update(store: SandboxStore, item: Item, before: list[str], names: Iterable[str], sending: str) -> None:
    """Tell of a change: those still invited get an update, those no longer a cancellation.

    `before` are the addresses invited before it, `names` the properties that changed, `sending` is
    SendMeetingInvitationsOrCancellations: to all, or to those who came or went ("Changed").
    """
    if not organizes(item):
        return
    after = invited(item.content)
    master = item.master or item
    if _DECISIVE & set(names) and (before or after):
        number = int(text_of(item.content, "AppointmentSequenceNumber") or 0) + 1
        for content in {id(one): one for one in (item.content, master.content)}.values():
            content.values["AppointmentSequenceNumber"] = raw_leaf("AppointmentSequenceNumber", str(number))
    if sending == "SendToNone":
        return
    keep = sending.endswith("SaveCopy")
    gone = [address for address in before if address not in after]
    new = [address for address in after if address not in before]
    known = [] if "Changed" in sending else [address for address in after if address in before]
    _tell(store, item, "cancellation", gone, keep=keep)
    _tell(store, item, "request", new, keep=keep)
    _tell(store, item, "update", known, keep=keep)


def end(store: SandboxStore, item: Item, sending: str, body: str = "") -> None:
    """Tell that a meeting goes: its organiser cancels it, an invited person declines it."""
    if sending == "SendToNone" or text_of(item.content, "IsMeeting") != "true":
        return
    keep = sending.endswith("SaveCopy")
    if organizes(item):
        _tell(store, item, "cancellation", invited(item.content), keep=keep, body=body)
    elif text_of(item.content, "IsCancelled") != "true":
        owner = item.folder.mailbox
        reply(store, item, itip.Answer((owner.display_name, owner.address), "Decline"), body, keep=keep)


def reply(store: SandboxStore, item: Item, answer: itip.Answer, body: str, *, keep: bool) -> None:
    """Send an invited person's answer to the organiser."""
    organizer = organizer_of(item.content)
    if organizer:
        _post(store, item, "response", [organizer], answer, body, keep=keep)


def _tell(store: SandboxStore, item: Item, kind: str, to: list[str], *, keep: bool, body: str = "") -> None:
    if not to:
        return
    for one in (item, item.master):
        if one is not None and kind != "cancellation":
            one.content.values["MeetingRequestWasSent"] = boolean("MeetingRequestWasSent", True)
    _post(store, item, kind, to, None, body, keep=keep)


def _post(
    store: SandboxStore, item: Item, kind: str, to: list[str], answer: itip.Answer | None, body: str, *, keep: bool
) -> None:
    owner = item.folder.mailbox
    raw = _message(store, item, kind, to, answer, body)
    delivery.post(store, owner.address, to, raw, kind=kind, uid=text_of(item.content, "UID"))
    if keep:
        store.item(store.deliver_mime(owner.address, raw, folder="sentitems", is_read=True))


def _message(store: SandboxStore, item: Item, kind: str, to: list[str], answer: itip.Answer | None, body: str) -> bytes:
    content, owner = item.content, item.folder.mailbox
    method = {"cancellation": itip.CANCEL, "response": itip.REPLY}.get(kind, itip.REQUEST)
    whole = MIMEMultipart("alternative")
    whole["From"] = email.utils.formataddr((owner.display_name, owner.address))
    whole["To"] = ", ".join(to)
    prefix = _PREFIXES.get(answer.response if answer else kind, "")
    whole["Subject"] = prefix + one_line(text_of(content, "Subject"))
    whole["Date"] = email.utils.format_datetime(store.now())
    whole["Message-ID"] = new_message_id()
    sensitivity = text_of(content, "Sensitivity")
    if sensitivity in ("Private", "Personal"):
        whole["Sensitivity"] = sensitivity
    text = body if answer is not None or body else body_of(content, "Text")[1]
    whole.attach(MIMEText(text, "plain", "utf-8"))
    if answer is None and not body and content.body is not None and content.body[0] == "HTML":
        whole.attach(MIMEText(content.body[1], "html", "utf-8"))
    calendar = itip.calendar(item, method, store.now(), answer)
    part = MIMEText(calendar.decode("utf-8"), "calendar", "utf-8")
    part.set_param("method", "COUNTER" if answer is not None and answer.start is not None else method)
    whole.attach(part)
    return whole.as_bytes()
