"""Invitations and cancellations, written when a client asks for them, and counted.

Whoever changes a calendar must say whether attendees are told. A program that syncs must say no, and
`SandboxStore.meeting_messages` counts every time one did not.
"""

import email.utils
from datetime import datetime
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText

from mailboxes.sandbox import delivery
from mailboxes.sandbox.compose import people_in
from mailboxes.sandbox.contents import body_of, text_of
from mailboxes.sandbox.model import Content, Mailbox
from mailboxes.sandbox.store import SandboxStore
from mailboxes.sandbox.xmltext import moment_in, one_line


def tell_attendees(store: SandboxStore, owner: Mailbox, content: Content, method: str) -> None:
    """Send REQUEST or CANCEL (RFC 5546) for an appointment of `owner` to everybody invited but the owner."""
    invited = [
        address
        for element in ("RequiredAttendees", "OptionalAttendees", "Resources")
        for _, address in people_in(content, element)
        if address and address.lower() != owner.address.lower()
    ]
    if not invited:
        return
    raw = _message(store.now(), owner, content, method, invited)
    store.meeting_messages += len(invited)
    delivery.post(store, owner.address, invited, raw)


def _message(now: datetime, owner: Mailbox, content: Content, method: str, invited: list[str]) -> bytes:
    whole = MIMEMultipart("alternative")
    whole["From"] = email.utils.formataddr((owner.display_name, owner.address))
    whole["To"] = ", ".join(invited)
    prefix = "Canceled: " if method == "CANCEL" else ""
    whole["Subject"] = prefix + one_line(text_of(content, "Subject"))
    whole["Date"] = email.utils.format_datetime(now)
    whole["Message-ID"] = delivery.new_message_id()
    whole.attach(MIMEText(body_of(content, "Text")[1], "plain", "utf-8"))
    calendar = MIMEText(_calendar(owner, content, method, invited), "calendar", "utf-8")
    calendar.set_param("method", method)
    whole.attach(calendar)
    return whole.as_bytes()


def _calendar(owner: Mailbox, content: Content, method: str, invited: list[str]) -> str:
    lines = [
        *("BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//crmsync//sandbox//EN", f"METHOD:{method}", "BEGIN:VEVENT"),
        f"UID:{_text(text_of(content, 'UID'))}",
        *(f"DT{name.upper()}:{moment_in(text_of(content, name)):%Y%m%dT%H%M%SZ}" for name in ("Start", "End")),
        f"SUMMARY:{_text(text_of(content, 'Subject'))}",
        f"LOCATION:{_text(text_of(content, 'Location'))}",
        f"ORGANIZER:mailto:{owner.address}",
        *(f"ATTENDEE;PARTSTAT=NEEDS-ACTION:mailto:{address}" for address in invited),
        *("END:VEVENT", "END:VCALENDAR", ""),
    ]
    return "\r\n".join(lines)


def _text(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace(";", "\\;").replace(",", "\\,")
    return escaped.replace("\r\n", "\n").replace("\n", "\\n")
