"""What people arranged among threads: which are kept apart, and of which nothing more is tracked."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from mailboxes.models import Mailbox
from tracking.models.activity import Thread


class ThreadCut(models.Model):
    """Two threads that a person has split: whatever message names both of them, they are never merged.

    The pair is stored once, the smaller id as `low`.
    """

    low = models.ForeignKey(Thread, on_delete=models.CASCADE, related_name="+")
    high = models.ForeignKey(Thread, on_delete=models.CASCADE, related_name="+")

    class Meta:
        """Each pair once."""

        constraints = [
            models.UniqueConstraint(fields=["low", "high"], name="cut_once"),
            models.CheckConstraint(condition=models.Q(low__lt=models.F("high")), name="cut_in_order"),
        ]

    def __str__(self) -> str:
        """Return the pair."""
        return f"{self.low_id} | {self.high_id}"


class ThreadStop(models.Model):
    """Nothing more of a thread is tracked: from one mailbox, or (`mailbox` None) from any. `ended_at`: taken back."""

    thread = models.ForeignKey(Thread, on_delete=models.CASCADE, related_name="stops")
    mailbox = models.ForeignKey(Mailbox, on_delete=models.CASCADE, null=True, related_name="stops")
    by = models.CharField(_("stopped by"), max_length=150)
    at = models.DateTimeField(_("stopped"))
    why = models.CharField(_("why"), max_length=300, blank=True)
    ended_at = models.DateTimeField(_("taken back"), null=True)

    class Meta:
        """Those in force are looked for with every page of mail."""

        indexes = [models.Index(fields=["thread"], name="stop_in_force", condition=models.Q(ended_at__isnull=True))]

    def __str__(self) -> str:
        """Return what is stopped."""
        return f"thread {self.thread_id} stopped for {self.mailbox_id or 'everybody'}"
