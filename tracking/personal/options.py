"""What the owner of a mailbox chooses for themselves, within what its sync profile permits (S27)."""

import logging
from dataclasses import dataclass
from enum import StrEnum

from django.db import transaction

from mailboxes.models import Mailbox, SyncProfile
from mailboxes.states import Track

log = logging.getLogger(__name__)


class Locked(Exception):
    """The sync profile keeps mailboxes from choosing."""


class Source(StrEnum):
    """Where a setting in force comes from."""

    PROFILE = "profile"
    OWN = "own"
    LOCKED = "locked"


@dataclass(frozen=True, slots=True)
class TrackSetting:
    """The tracking option in force for a mailbox, where it comes from, and what would hold without a choice."""

    value: Track
    source: Source
    of_profile: Track


def track_of(mailbox: Mailbox) -> TrackSetting:
    """Return the tracking option of a mailbox with its source (its sync profile is taken to be loaded)."""
    profile = mailbox.sync_profile
    chosen = Source.OWN if mailbox.track else Source.PROFILE
    source = Source.LOCKED if profile.track_locked else chosen
    return TrackSetting(Track(mailbox.effective_track), source, Track(profile.track))


def choose_track(mailbox: Mailbox, track: Track | None, *, by: str) -> None:
    """Choose a tracking option for a mailbox, or (None) leave it to the profile; mail that was decided on stays so.

    Raises `Locked`.
    """
    with transaction.atomic():
        # Not past a lock that somebody sets at this moment.
        profile = SyncProfile.objects.select_for_update().get(pk=mailbox.sync_profile_id)
        if profile.track_locked:
            raise Locked
        Mailbox.objects.filter(pk=mailbox.pk).update(track=track or "", changed_by=by)
    mailbox.track = track or ""


def lock_track(profile: SyncProfile, *, locked: bool, by: str) -> int:
    """Keep mailboxes from choosing a tracking option, or let them again; return how many own choices do not count now."""
    SyncProfile.objects.filter(pk=profile.pk).update(track_locked=locked)
    profile.track_locked = locked
    log.info("%s %s the tracking option of sync profile %s", by, "locked" if locked else "unlocked", profile.pk)
    return Mailbox.objects.filter(sync_profile=profile).exclude(track="").count() if locked else 0
