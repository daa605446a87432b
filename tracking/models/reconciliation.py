"""What Exchange holds against what is known here, counted folder by folder, once a night."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from mailboxes.models import Folder, Mailbox


class Reconciliation(models.Model):
    """One folder compared in one night. Unfinished while `finished_at` is None: `offset` says where its listing goes on.

    `held` counts what the mail server lists; `tracked`, `refused`, `quarantined` and `discarded` how much of that is
    decided, `recovered` what was not and was decided then and there, `missing` what could not be even so (it must be 0).
    `stale` counts what is decided here and was not listed. `matched`: listed items decided before this comparison began.
    """

    mailbox = models.ForeignKey(Mailbox, on_delete=models.CASCADE, related_name="reconciliations")
    folder = models.ForeignKey(Folder, on_delete=models.CASCADE, related_name="reconciliations")
    night = models.DateField(_("night"))
    begun_at = models.DateTimeField(_("begun"))
    finished_at = models.DateTimeField(_("compared"), null=True)
    offset = models.PositiveIntegerField(default=0)
    requests = models.PositiveIntegerField(_("requests"), default=0)
    held = models.PositiveIntegerField(_("in Exchange"), default=0)
    matched = models.PositiveIntegerField(default=0)
    tracked = models.PositiveIntegerField(_("tracked"), default=0)
    refused = models.PositiveIntegerField(_("refused"), default=0)
    quarantined = models.PositiveIntegerField(_("quarantined"), default=0)
    discarded = models.PositiveIntegerField(_("discarded"), default=0)
    recovered = models.PositiveIntegerField(_("recovered"), default=0)
    missing = models.PositiveIntegerField(_("missing"), default=0)
    stale = models.PositiveIntegerField(_("stale"), default=0)

    class Meta:
        """One row per folder and night."""

        constraints = [models.UniqueConstraint(fields=["folder", "night"], name="reconciliation_once")]
        indexes = [models.Index(fields=["mailbox", "-night"], name="reconciliation_of_mailbox")]

    def __str__(self) -> str:
        """Return what was compared."""
        return f"folder {self.folder_id}, {self.night}"
