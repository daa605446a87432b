"""What is measured (the 12-minute promise) and what is wrong (alerts)."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from mailboxes.models.mailbox import Folder, Mailbox
from mailboxes.models.server import ServerProfile


class PromiseBucket(models.Model):
    """Start-to-start gaps that ended in these five minutes: how many, and how many were within the bound (S9).

    Counted at the end of each gap, so that a window of 7 days costs 2,016 rows however many mailboxes there are.
    """

    begins_at = models.DateTimeField(unique=True)
    gaps = models.PositiveIntegerField(default=0)
    kept = models.PositiveIntegerField(default=0)

    def __str__(self) -> str:
        """Return kept of all."""
        return f"{self.kept} of {self.gaps}"


class LateGap(models.Model):
    """One gap over the bound: which mailbox, from when, until when (None: still open), and what was the cause."""

    mailbox = models.ForeignKey(Mailbox, on_delete=models.CASCADE, related_name="late_gaps")
    since = models.DateTimeField()
    until = models.DateTimeField(null=True)
    bound_s = models.PositiveIntegerField()
    cause = models.CharField(max_length=60, blank=True)

    class Meta:
        """One row per gap."""

        constraints = [models.UniqueConstraint(fields=["mailbox", "since"], name="late_gap_once")]
        indexes = [models.Index(fields=["until"], name="late_gap_until")]

    def __str__(self) -> str:
        """Return whose gap it is."""
        return f"late gap of mailbox {self.mailbox_id}"


class Alert(models.Model):
    """Something that is wrong, by cause and at its narrowest true scope; it resolves itself when the cause is gone.

    `code` is a row of `mailboxes.catalogue`. One open alert per code and place.
    """

    code = models.CharField(max_length=60)
    server = models.ForeignKey(ServerProfile, on_delete=models.CASCADE, null=True, related_name="alerts")
    mailbox = models.ForeignKey(Mailbox, on_delete=models.CASCADE, null=True, related_name="alerts")
    folder = models.ForeignKey(Folder, on_delete=models.CASCADE, null=True, related_name="alerts")
    detail = models.TextField(blank=True)
    since = models.DateTimeField(_("since"))
    seen_at = models.DateTimeField(_("last seen"))
    times = models.PositiveIntegerField(default=1)
    resolved_at = models.DateTimeField(_("resolved"), null=True)

    class Meta:
        """One open alert per cause and place."""

        constraints = [
            models.UniqueConstraint(
                fields=["code", "server", "mailbox", "folder"],
                name="alert_open_once",
                condition=models.Q(resolved_at__isnull=True),
                nulls_distinct=False,
            )
        ]
        indexes = [models.Index(fields=["resolved_at"], name="alert_resolved")]

    def __str__(self) -> str:
        """Return the code."""
        return self.code
