"""One meeting in several mailboxes is one record: who joins it, and whose copy speaks for it.

The one idea: a calendar's UID says which meeting it is, and proves nothing: anybody can write one. So a mailbox joins a
record only if its owner may see the record anyway and its address is among the people of both, the record and the copy
(docs/decisions/meetings.md). What the organiser arranges is said by the organiser's copy alone, once that is linked.
"""

from hashlib import sha256

from mailboxes.models import Mailbox
from mailboxes.provider.entries import Attendee, Entry, EntryKind, Field
from security.access import visible
from tracking.engine.locks import lock_keys
from tracking.linked.records import rights_of
from tracking.models import Appointment, Attendance, ItemLink

_PEOPLE = (Field.ORGANIZER, Field.REQUIRED, Field.OPTIONAL)


def record_to_join(mailbox: Mailbox, entry: Entry) -> Appointment | None:
    """Return the record that another mailbox made of this meeting, if this one may join it; None: it gets its own.

    Two mailboxes that ask for the same meeting do so one after the other: the lock is held to the transaction's end.
    """
    uid = entry.marks.uid
    if not uid or entry.marks.kind is not EntryKind.APPOINTMENT:
        return None
    lock_keys([sha256(f"meeting {uid}".encode()).hexdigest()])
    ids = ItemLink.objects.filter(kind=EntryKind.APPOINTMENT, uid=uid).values("record_id")
    for record in visible(mailbox.owner, Appointment).filter(pk__in=ids).order_by("pk"):
        if _takes_part(mailbox, record, entry) and _may_speak(mailbox, record, entry):
            return record
    return None


def _takes_part(mailbox: Mailbox, record: Appointment, entry: Entry) -> bool:
    """Tell whether record and copy both name the mailbox, and the same organiser."""
    people = {(role, email.lower()) for role, email in record.attendees.values_list("role", "email")}
    address = mailbox.address.lower()
    here = address in {email for _role, email in people}
    there = {email.lower() for name in _PEOPLE for email in _emails(entry, name)}
    organizers = {email for role, email in people if role == Attendance.Role.ORGANIZER}
    return here and address in there and organizers == {email.lower() for email in _emails(entry, Field.ORGANIZER)}


def _emails(entry: Entry, name: Field) -> list[str]:
    people = entry.values.get(name)
    return [each.email for each in people if isinstance(each, Attendee)] if isinstance(people, tuple) else []


def _may_speak(mailbox: Mailbox, record: Appointment, entry: Entry) -> bool:
    """Tell whether joining leaves the record with somebody to speak for it.

    An organiser who may not write the record would silence those who may.
    """
    return not entry.organized_here or not rights_of(record, mailbox.owner).unwritable


def speaks(link: ItemLink, record: Appointment, entry: Entry) -> bool:
    """Tell whether what this copy says is the organiser's word: it is their own, or theirs is in no linked mailbox."""
    if entry.organized_here:
        return True
    others = ItemLink.objects.filter(kind=EntryKind.APPOINTMENT, record_id=link.record_id, unlinked_at=None)
    named = record.attendees.filter(role=Attendance.Role.ORGANIZER)
    organizers = {email.lower() for email in named.values_list("email", flat=True)}
    addresses = others.exclude(pk=link.pk).values_list("mailbox__address", flat=True)
    return not organizers & {address.lower() for address in addresses}
