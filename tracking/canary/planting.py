"""What is put through: how an item of each kind is made, found at the other end, changed there, and cleaned away.

The path is the one that everybody's items take: mail goes through the outgoing queue and the Inbox, records through the
owner's filters. Nothing here tells the engine of it.
"""

from contextlib import suppress
from datetime import datetime, time, timedelta
from typing import Any
from uuid import uuid4

from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone

from mailboxes.models import Mailbox
from mailboxes.provider.entries import Entry, EntryKind, Field
from mailboxes.provider.errors import ItemGone
from mailboxes.provider.port import FolderRole
from mailboxes.provider.writing import WholeProvider
from tracking.engine.filter_queries import MODELS
from tracking.models import Activity, Canary, CanaryRound, ItemDecision, ItemLink, OutgoingMail, Thread
from tracking.outgoing import decisions
from tracking.sync import identity

Kind = CanaryRound.Kind
ENTRIES = {Kind.APPOINTMENT: EntryKind.APPOINTMENT, Kind.CONTACT: EntryKind.CONTACT, Kind.TASK: EntryKind.TASK}
_TEXT = {EntryKind.APPOINTMENT: Field.BODY, EntryKind.CONTACT: Field.NOTES, EntryKind.TASK: Field.BODY}
_COLUMN = {EntryKind.APPOINTMENT: "description", EntryKind.CONTACT: "notes", EntryKind.TASK: "description"}


def plant(mailbox: Mailbox, kind: str, now: datetime) -> tuple[str, int]:
    """Make an item of this kind; return its mark and its id."""
    mark = f"canary-{uuid4().hex[:16]}"
    if kind == Kind.MAIL:
        return mark, _write(mailbox, mark, now)
    values: dict[str, Any] = {"owner": mailbox.owner}
    if kind == Kind.CONTACT:
        values["last_name"] = mark
    else:
        values["subject"] = mark
    if kind == Kind.APPOINTMENT:
        # To come, so that nothing is held to be past.
        day = timezone.localdate(now) + timedelta(days=30)
        start = timezone.make_aware(datetime.combine(day, time(3)))
        values |= {
            "starts_at": start,
            "ends_at": start + timedelta(minutes=5),
            "zone": str(start.tzinfo),
            "show_as": "Free",
        }
    return mark, MODELS[ENTRIES[Kind(kind)]]._default_manager.create(**values).pk


def _write(mailbox: Mailbox, mark: str, now: datetime) -> int:
    mail = OutgoingMail.objects.create(
        mailbox=mailbox,
        author=mailbox.owner,
        to=[{"email": mailbox.address, "name": ""}],
        subject=mark,
        text="crmsync looks whether mail is sent, arrives and is tracked.",
        state_since=now,
        created_at=now,
    )
    decisions.send(mail, by=mailbox.owner, now=now)
    return mail.pk


def look(row: CanaryRound, mailbox: Mailbox) -> None:
    """Note on the round how far its item has come; nothing is asked of the mail server."""
    if row.kind == Kind.MAIL:
        mail = OutgoingMail.objects.filter(pk=row.object_id).first()
        if mail is not None:
            row.out_at = row.out_at or mail.sent_at
            row.in_at = row.in_at or _arrived(mail, mailbox)
        return
    kind = ENTRIES[Kind(row.kind)]
    link = ItemLink.objects.filter(mailbox=mailbox, kind=kind, record_id=row.object_id).exclude(item_id="").first()
    if row.out_at is None and link is not None:
        row.out_at = link.synced_at or link.linked_at
    record = MODELS[kind]._default_manager.filter(pk=row.object_id).first()
    if row.changed_at is not None and record is not None and row.mark in getattr(record, _COLUMN[kind]):
        row.in_at = row.in_at or record.modified_at


def _arrived(mail: OutgoingMail, mailbox: Mailbox) -> datetime | None:
    decided = ItemDecision.objects.filter(
        mailbox=mailbox,
        folder__role=FolderRole.INBOX,
        activity__message_key=identity.key_of_message_id(mail.message_id),
    )
    return decided.values_list("decided_at", flat=True).first()


def change(row: CanaryRound, mailbox: Mailbox, provider: WholeProvider) -> bool:
    """Write the mark into the text of the item in the mailbox; return whether it was there."""
    kind = ENTRIES[Kind(row.kind)]
    link = ItemLink.objects.filter(mailbox=mailbox, kind=kind, record_id=row.object_id).first()
    if link is None:
        return False
    (entry,) = provider.entries([link.item_id])
    if not isinstance(entry, Entry):
        return False
    provider.update_entry(link.item_id, entry.marks.change_key, kind, {_TEXT[kind]: row.mark})
    return True


def clean(row: CanaryRound, mailbox: Mailbox, provider: WholeProvider) -> None:
    """Delete what the round left behind, on both sides; what is gone already is fine."""
    if row.kind == Kind.MAIL:
        _clean_mail(row, mailbox, provider)
        return
    kind = ENTRIES[Kind(row.kind)]
    links = ItemLink.objects.filter(mailbox=mailbox, kind=kind, record_id=row.object_id)
    for item_id in links.exclude(item_id="").values_list("item_id", flat=True):
        provider.delete_entry(item_id)
    with transaction.atomic():
        links.delete()
        MODELS[kind]._default_manager.filter(pk=row.object_id).delete()


def _clean_mail(row: CanaryRound, mailbox: Mailbox, provider: WholeProvider) -> None:
    mail = OutgoingMail.objects.filter(pk=row.object_id).first()
    if mail is None:
        return
    activity = Activity.objects.filter(message_key=identity.key_of_message_id(mail.message_id)).first()
    copies = (
        ItemDecision.objects.filter(mailbox=mailbox, activity=activity) if activity else ItemDecision.objects.none()
    )
    left = list(copies.values_list("item_id", flat=True))
    if activity is None and mail.make_asked_at is not None and (found := provider.find_message(mail.stamp)):
        # Given up on its way: a draft, or a copy of which nobody has taken note.
        left.append(found.item_id)
    for item_id in left:
        with suppress(ItemGone):
            provider.delete_draft(item_id)
    with transaction.atomic():
        copies.delete()
        mail.delete()
        if activity is not None:
            _forget(activity)


def latecomers(canary: Canary) -> QuerySet[Activity]:
    """Return the tracked mail of rounds that were given up and cleaned away before it arrived."""
    given_up = canary.rounds.filter(kind=Kind.MAIL, lost=True, cleaned_at__isnull=False)
    here = ItemDecision.objects.filter(mailbox=canary.mailbox_id, activity=OuterRef("pk"))
    return Activity.objects.filter(Exists(here), subject__in=given_up.values("mark"))


def take_away(activity: Activity, mailbox: Mailbox, provider: WholeProvider) -> None:
    """Delete mail that came too late, on both sides; what is gone already is fine."""
    copies = ItemDecision.objects.filter(mailbox=mailbox, activity=activity)
    for item_id in copies.values_list("item_id", flat=True):
        with suppress(ItemGone):
            provider.delete_draft(item_id)
    with transaction.atomic():
        copies.delete()
        _forget(activity)


def _forget(activity: Activity) -> None:
    thread = activity.thread_id
    activity.delete()
    Thread.objects.filter(pk=thread, activities=None).delete()
