"""What the page of linked records, and that of an appointment, say of files that hang on one side only."""

from collections.abc import Iterable

from django.utils.translation import gettext as _

from mailboxes.catalogue import ENTRIES
from mailboxes.issues import issue_of
from mailboxes.models import Mailbox
from security.access import Person, visible
from security.models import User
from tracking.linked import words
from tracking.linked.pages import HeldBack, NotWritten
from tracking.models import Appointment, FilesInStep

SHOWN = 50

_Left = tuple[str, str, str, FilesInStep]


def _left(person: User, mailbox: Mailbox) -> list[_Left]:
    """Return files that hang on one side only, the latest first: record, name ("" for all), reason, and whose they are."""
    mine = visible(person, Appointment).order_by().values("pk")
    rows = list(
        visible(person, FilesInStep)
        .filter(link__mailbox=mailbox, link__unlinked_at=None, link__record_id__in=mine)
        .exclude(left={})
        .select_related("link")
        .order_by("-link__synced_at")[:SHOWN]
    )
    names = {record.pk: str(record) for record in visible(person, Appointment).filter(pk__in=_records(rows))}
    return [
        (names[row.link.record_id], "" if name == FilesInStep.EVERY else name, reason, row)
        for row in rows
        if row.link.record_id in names
        for name, reason in row.left.items()
    ]


def _records(rows: Iterable[FilesInStep]) -> set[int]:
    return {row.link.record_id for row in rows}


def on_one_side(person: User, mailbox: Mailbox) -> tuple[list[HeldBack], list[NotWritten]]:
    """Return the files that stay on their side as they are meant to, and those that the mail server would not have."""
    held, refused = [], []
    for record, name, reason, row in _left(person, mailbox):
        if reason in ENTRIES:
            refused.append(
                NotWritten(f"{record}: {name}", issue_of(reason, mailbox=mailbox.address), row.link.synced_at)
            )
        else:
            called = _("attachment %(name)s") % {"name": name} if name else _("attachments")
            held.append(HeldBack(record, called, words.why_file(reason)))
    return held, refused


def notes_of(person: Person, appointment: Appointment) -> list[tuple[str, str]]:
    """Return which files of an appointment hang on one side only, and why; in mailboxes that the person may see.

    The name is "" where it is about all of them.
    """
    rows = visible(person, FilesInStep).filter(
        link__kind="appointment", link__record_id=appointment.pk, link__unlinked_at=None
    )
    found = {
        ("" if name == FilesInStep.EVERY else name, words.why_file(reason))
        for row in rows.exclude(left={})
        for name, reason in row.left.items()
    }
    return sorted(found)
