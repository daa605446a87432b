"""What was decided for each item, and why; and what could not be decided."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from mailboxes.models import Folder, Mailbox, Run
from tracking.models.activity import Activity


class ItemDecision(models.Model):
    """The last decision for one item of a mailbox. All that is kept of refused mail (design §4, promotion check).

    `message_hash` is the keyed hash of the Message-ID (HMAC-SHA256, hex). `facts` are the parameters of the reason's
    sentence (`tracking.decisions.reasons`): for a refusal they never say anything of the mail itself. Of a discarded item they
    hold who discarded it and why (`by`, `why`) and what it was set aside for (`code`, `was`).
    """

    class Outcome(models.TextChoices):
        """What became of the item."""

        TRACKED = "tracked", _("tracked")
        UPDATED = "updated", _("updated")
        REFUSED = "refused", _("refused")
        QUARANTINED = "quarantined", _("quarantined")
        DISCARDED = "discarded", _("discarded")

    mailbox = models.ForeignKey(Mailbox, on_delete=models.CASCADE, related_name="decisions")
    # None: the item left its folder.
    folder = models.ForeignKey(Folder, on_delete=models.SET_NULL, null=True, related_name="+")
    run = models.ForeignKey(Run, on_delete=models.SET_NULL, null=True, related_name="decisions")
    item_id = models.CharField(max_length=1000)
    change_key = models.CharField(max_length=400, blank=True)
    message_hash = models.CharField(max_length=64, blank=True)
    outcome = models.CharField(_("outcome"), max_length=12, choices=Outcome)
    reason = models.CharField(_("reason"), max_length=40)
    facts = models.JSONField(default=dict, blank=True)
    activity = models.ForeignKey(Activity, on_delete=models.SET_NULL, null=True, related_name="decisions")
    decided_at = models.DateTimeField(_("decided"))
    # Set while an expired cursor is replaced: which items the new listing has named (`Folder.listing_before`).
    listed_at = models.DateTimeField(null=True)

    class Meta:
        """One row per item of a mailbox: the last word."""

        constraints = [models.UniqueConstraint(fields=["mailbox", "item_id"], name="decision_once")]
        indexes = [
            models.Index(fields=["mailbox", "-decided_at", "-id"], name="decision_latest"),
            models.Index(
                fields=["mailbox", "message_hash"], name="decision_message", condition=~models.Q(message_hash="")
            ),
            models.Index(fields=["run"], name="decision_of_run"),
            models.Index(fields=["mailbox"], name="decision_stopped", condition=models.Q(reason="thread_stopped")),
            models.Index(fields=["folder", "outcome"], name="decision_count"),
        ]

    def __str__(self) -> str:
        """Return outcome and reason."""
        return f"{self.outcome}: {self.reason}"


class ItemFailure(models.Model):
    """An item that could not be read or stored. Retried with back-off; after three failures it is quarantined.

    `attempts` is written before the attempt it counts. Resolved rows stay, so that a mailbox shows what healed; that of
    a discarded item, too, so that it can be taken back.
    """

    mailbox = models.ForeignKey(Mailbox, on_delete=models.CASCADE, related_name="failures_of_items")
    folder = models.ForeignKey(Folder, on_delete=models.CASCADE, related_name="failures_of_items")
    item_id = models.CharField(max_length=1000)
    change_key = models.CharField(max_length=400, blank=True)
    code = models.CharField(_("error"), max_length=60)
    detail = models.TextField(_("detail"), blank=True)
    attempts = models.PositiveSmallIntegerField(default=1)
    first_at = models.DateTimeField()
    last_at = models.DateTimeField()
    retry_at = models.DateTimeField(null=True)
    quarantined_at = models.DateTimeField(null=True)
    resolved_at = models.DateTimeField(null=True)

    class Meta:
        """One row per item of a mailbox."""

        constraints = [models.UniqueConstraint(fields=["mailbox", "item_id"], name="item_failure_once")]
        indexes = [
            models.Index(
                fields=["mailbox", "retry_at"], name="item_failure_due", condition=models.Q(resolved_at__isnull=True)
            )
        ]

    def __str__(self) -> str:
        """Return the error's code."""
        return self.code
