"""The channel of appointments, contacts and tasks, for one mailbox: switched on and off by a person (S15).

Off, nothing of it flows either way; what is linked stays linked and goes on where it was when the channel comes back.
"""

from datetime import datetime
from typing import Any

from django.db import transaction

from mailboxes import intents
from mailboxes.models import Mailbox
from mailboxes.provider.entries import HOMES, EntryKind
from tracking.models import LinkState, SyncFilter

# What flows until somebody chooses otherwise: what belongs to the mailbox's owner and is not done with.
_MINE: dict[str, Any] = {"column": "owner", "operator": "is_me", "value": None}
STARTERS: dict[EntryKind, tuple[str, list[dict[str, Any]]]] = {
    EntryKind.APPOINTMENT: ("My appointments", [_MINE]),
    EntryKind.CONTACT: ("My active contacts", [_MINE, {"column": "active", "operator": "is", "value": True}]),
    EntryKind.TASK: ("My open tasks", [_MINE, {"column": "status", "operator": "is_not", "value": "Completed"}]),
}


def switch(mailbox: Mailbox, *, on: bool, by: str, now: datetime) -> None:
    """Switch the channel, by the person called `by`. Switched on, everything is looked at with the next run, now."""
    with transaction.atomic():
        row = Mailbox.objects.filter(pk=mailbox.pk)
        row.update(entries=on, changed_by=by)
        intents.want_full_pass(row, now)
        mailbox.folders.filter(role__in=HOMES).update(in_step=on)
        if on:
            for kind in EntryKind:
                LinkState.objects.get_or_create(mailbox=mailbox, kind=kind)
            _start_filters(mailbox)
    mailbox.entries = on


def _start_filters(mailbox: Mailbox) -> None:
    """Give a mailbox that never had filters its own copies of the profile's templates, or the starters."""
    for kind in EntryKind:
        if mailbox.filters.filter(kind=kind).exists():
            continue
        templates = SyncFilter.objects.filter(
            sync_profile=mailbox.sync_profile_id, kind=kind, scope=SyncFilter.Scope.TEMPLATE, active=True
        )
        copies = [(row.name, row.excludes, row.conditions) for row in templates]
        name, parts = STARTERS[kind]
        for each, excludes, conditions in copies or [(name, False, {"any": False, "parts": parts})]:
            SyncFilter.objects.create(
                scope=SyncFilter.Scope.OWNER, mailbox=mailbox, kind=kind, name=each, excludes=excludes,
                conditions=conditions,
            )  # fmt: skip
