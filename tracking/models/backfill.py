"""Mail that is looked at again: of a range of dates, or because a record has got an address (`tracking.backfill`)."""

from datetime import date, timedelta

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from mailboxes.models import Folder, Mailbox
from tracking.models.activity import RecordKind


class Backfill(models.Model):
    """One request for one mailbox: counted first, read when a person confirms it, and then at most once.

    `since` and `until` bound the received time of a range (from the first to before the second). Where it has got to is
    `place` (the folder's id in a range) and `offset` (items of that folder; for a record the last decision looked at).
    One that cannot go on by itself is `failed`, with `error_code`; it goes on from there when a person says so.
    `counted` holds a document per folder, by the folder's id: `name`, `held`, `known` (tracked already), `aside`,
    `would_track`, `would_link`, `unread`, and `refused` by reason. The columns beside it count what reading came to.
    """

    class Kind(models.TextChoices):
        """What is looked at."""

        RANGE = "range", _("a range of dates")
        RECORD = "record", _("mail of a record")

    class State(models.TextChoices):
        """How far it is."""

        COUNTING = "counting", _("being counted")
        COUNTED = "counted", _("counted")
        READING = "reading", _("being read")
        DONE = "done", _("done")
        CANCELLED = "cancelled", _("cancelled")
        FAILED = "failed", _("failed")

    OPEN = (State.COUNTING, State.COUNTED, State.READING)
    WORKED_ON = (State.COUNTING, State.READING)

    mailbox = models.ForeignKey(Mailbox, on_delete=models.CASCADE, related_name="backfills")
    kind = models.CharField(max_length=8, choices=Kind)
    state = models.CharField(_("state"), max_length=10, choices=State, default=State.COUNTING)
    # None: every folder that is read.
    folder = models.ForeignKey(Folder, on_delete=models.CASCADE, null=True, related_name="+", verbose_name=_("folder"))
    since = models.DateTimeField(_("from"), null=True)
    until = models.DateTimeField(_("to"), null=True)
    record_kind = models.CharField(max_length=12, choices=RecordKind, blank=True)
    record_id = models.PositiveBigIntegerField(null=True)

    asked_by = models.CharField(_("asked for by"), max_length=150)
    asked_at = models.DateTimeField(_("asked for"))
    confirmed_by = models.CharField(_("confirmed by"), max_length=150, blank=True)
    confirmed_at = models.DateTimeField(_("confirmed"), null=True)
    worked_at = models.DateTimeField(_("last worked on"), null=True)
    finished_at = models.DateTimeField(_("finished"), null=True)
    error_code = models.CharField(_("error"), max_length=60, blank=True)

    place = models.PositiveBigIntegerField(default=0)
    offset = models.PositiveBigIntegerField(default=0)
    # A range is read until a whole pass over it finds nothing more: `found` counts what the pass under way has.
    passes = models.PositiveSmallIntegerField(default=0)
    found = models.PositiveIntegerField(default=0)
    # Attempts at the part that is next, written before each; parts to be read one item at a time, since a whole one
    # ended its worker.
    attempts = models.PositiveSmallIntegerField(default=0)
    careful = models.PositiveSmallIntegerField(default=0)
    counted = models.JSONField(default=dict, blank=True)
    examined = models.PositiveIntegerField(_("looked at"), default=0)
    tracked = models.PositiveIntegerField(_("tracked"), default=0)
    updated = models.PositiveIntegerField(_("linked"), default=0)
    refused = models.PositiveIntegerField(_("refused"), default=0)
    quarantined = models.PositiveIntegerField(_("set aside"), default=0)
    requests = models.PositiveIntegerField(_("requests"), default=0)

    class Meta:
        """At most one open request of a kind for a mailbox, for a record one per mailbox."""

        ordering = ["-asked_at", "-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["mailbox"],
                name="backfill_range_once",
                condition=Q(kind="range", state__in=["counting", "counted", "reading"]),
            ),
            models.UniqueConstraint(
                fields=["mailbox", "record_kind", "record_id"],
                name="backfill_record_once",
                condition=Q(kind="record", state__in=["counting", "counted", "reading"]),
            ),
        ]
        indexes = [
            models.Index(fields=["worked_at"], name="backfill_waiting", condition=Q(state__in=["counting", "reading"])),
            models.Index(fields=["record_kind", "record_id"], name="backfill_of_record"),
            models.Index(fields=["mailbox", "-asked_at"], name="backfill_of_mailbox"),
        ]

    @property
    def last_day(self) -> date | None:
        """Return the last day of the range, in the time zone in force."""
        return timezone.localtime(self.until - timedelta(seconds=1)).date() if self.until else None

    def __str__(self) -> str:
        """Return what is looked at."""
        return f"{self.kind} of mailbox {self.mailbox_id}: {self.state}"


class AddressMatch(models.Model):
    """With which addresses a record was last matched against tracked mail, and whether it is to be matched again.

    `digest` stands for the record's addresses and owner as they were then (`tracking.backfill.retro`): what differs from it has
    changed since, whoever wrote it. `wanted_at` is set by whoever knows of a change, so that nobody waits for the night.
    """

    record_kind = models.CharField(max_length=12, choices=RecordKind)
    record_id = models.PositiveBigIntegerField()
    digest = models.CharField(max_length=32, blank=True)
    wanted_at = models.DateTimeField(null=True)
    matched_at = models.DateTimeField(_("matched"), null=True)
    linked = models.PositiveIntegerField(_("linked messages"), default=0)
    ambiguous = models.PositiveIntegerField(_("ambiguous messages"), default=0)

    class Meta:
        """One row per record."""

        constraints = [models.UniqueConstraint(fields=["record_kind", "record_id"], name="address_match_once")]
        indexes = [
            models.Index(fields=["wanted_at"], name="address_match_wanted", condition=Q(wanted_at__isnull=False))
        ]

    def __str__(self) -> str:
        """Return which record."""
        return f"{self.record_kind} {self.record_id}"
