"""What an owner says of folders: have one tracked, change it, pause it, take the rule away (S27).

Nothing of a mailbox is read or written here. The next run does that, as a full pass, and at once (`tracking.engine.folder_rules`).
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext as _

from mailboxes import intents
from mailboxes.models import Folder, Mailbox
from security.models import User
from tracking.engine.folder_rules import places_of
from tracking.models import Activity, TrackedFolder
from tracking.models.activity import RegardingBy
from tracking.sync.folder_rules import indexed, may_be_tracked


class NotPossible(Exception):
    """The folder cannot be tracked; the sentence says why."""


class TooMany(NotPossible):
    """The mailbox has as many tracked folders as the installation allows."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What can be chosen for a tracked folder (`TrackedFolder`)."""

    subfolders: bool = False
    valid_from: datetime | None = None
    regarding_kind: str = ""
    regarding_id: int | None = None

    def fields(self) -> dict[str, Any]:
        """Return the columns by name."""
        return {
            "subfolders": self.subfolders,
            "valid_from": self.valid_from,
            "regarding_kind": self.regarding_kind,
            "regarding_id": self.regarding_id,
        }


def add(mailbox: Mailbox, folder: Folder, choice: Choice, *, by: User, now: datetime) -> TrackedFolder:
    """Have a folder tracked from the next run on; raises `NotPossible`, `TooMany`."""
    with transaction.atomic():
        # Two clicks at once must not get past the limit.
        Mailbox.objects.select_for_update().get(pk=mailbox.pk)
        refuse_if_impossible(mailbox, folder)
        made = {"mailbox": mailbox, "active": True, "made_by": by.get_username(), "made_at": now, "removed_at": None}
        rule, _made = TrackedFolder.objects.update_or_create(folder=folder, defaults={**made, **choice.fields()})
        _look_soon(mailbox, now)
    return rule


def refuse_if_impossible(mailbox: Mailbox, folder: Folder) -> None:
    """Raise `NotPossible` or `TooMany` when the folder cannot be tracked in this mailbox."""
    places = places_of(list(mailbox.folders.defer("cursor")))
    place = next((each for each in places if each.pk == folder.pk), None)
    if place is None or not may_be_tracked(place, indexed(places)):
        raise NotPossible(_("This folder is no place for mail that is kept: choose another one."))
    rules = TrackedFolder.objects.filter(mailbox=mailbox, removed_at=None)
    if rules.filter(folder=folder).exists():
        raise NotPossible(_("This folder is tracked already: change what is there."))
    if rules.count() >= settings.TRACKED_FOLDERS:
        raise TooMany(
            _("A mailbox may have %(n)d tracked folders, and this one has them all. Remove one, or track a folder above "
              "with its subfolders.") % {"n": settings.TRACKED_FOLDERS}
        )  # fmt: skip


def change(rule: TrackedFolder, choice: Choice, *, relink: bool = False, by: User, now: datetime) -> int:
    """Change a rule from the next run on. `relink`: what the folder said so far is said anew; return how many messages.

    Only links that the folder made are touched: what a person chose, or a thread brought along, stays.
    """
    with transaction.atomic():
        for name, value in choice.fields().items():
            setattr(rule, name, value)
        rule.made_by, rule.made_at = by.get_username(), now
        rule.save(update_fields=[*choice.fields(), "made_by", "made_at"])
        _look_soon(rule.mailbox, now)
        return _say_anew(rule) if relink else 0


def said(rule: TrackedFolder) -> int:
    """Return how many messages are about what this rule said, the ones that `change` would touch."""
    return Activity.objects.filter(regarding_folder=rule, regarding_by=RegardingBy.FOLDER).count()


def _say_anew(rule: TrackedFolder) -> int:
    rows = Activity.objects.filter(regarding_folder=rule, regarding_by=RegardingBy.FOLDER)
    if rule.regarding_id:
        return rows.update(regarding_kind=rule.regarding_kind, regarding_id=rule.regarding_id)
    return rows.update(regarding_kind="", regarding_id=None, regarding_by="", regarding_folder=None)


def pause(rule: TrackedFolder, *, paused: bool, by: User, now: datetime) -> None:
    """Take nothing more from a folder, or again; while paused it is also kept out of a tracked folder above it."""
    with transaction.atomic():
        rule.active, rule.made_by, rule.made_at = not paused, by.get_username(), now
        rule.save(update_fields=["active", "made_by", "made_at"])
        _look_soon(rule.mailbox, now)


def remove(rule: TrackedFolder, *, by: User, now: datetime) -> None:
    """Take the rule away: copies and what they are about stay, nothing new is taken."""
    with transaction.atomic():
        rule.removed_at, rule.made_by = now, by.get_username()
        rule.save(update_fields=["removed_at", "made_by"])
        _look_soon(rule.mailbox, now)


def _look_soon(mailbox: Mailbox, now: datetime) -> None:
    """Rules come into force with a full pass: ask for one now."""
    intents.want_full_pass(Mailbox.objects.filter(pk=mailbox.pk), now)
