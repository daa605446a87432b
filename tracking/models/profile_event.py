"""What was done with sync profiles as a whole: made, renamed, followed by other mailboxes, deleted; who did it and when.

The idea: what a profile says is changed by publications (`PolicyChange`); which profiles there are, and whom they concern, by
these. A row outlives its profile, since it says what that was called and, at the end, what it said.
"""

from django.db import models
from django.utils.translation import gettext_lazy as _

from mailboxes.models import Mailbox, SyncProfile


class ProfileEvent(models.Model):
    """One act. `name` is the profile's name then; `before` and `after` are names: of the profile that was renamed or copied,
    or of the profiles that the mailbox followed. `document` (deleted): what it said, as in `tracking.policy.document`.
    """

    class Act(models.TextChoices):
        """What was done."""

        CREATED = "created", _("created")
        RENAMED = "renamed", _("renamed")
        ASSIGNED = "assigned", _("assigned")
        DEFAULT = "default", _("made the default")
        DELETED = "deleted", _("deleted")

    act = models.CharField(max_length=10, choices=Act)
    sync_profile = models.ForeignKey(SyncProfile, on_delete=models.SET_NULL, null=True, related_name="events")
    mailbox = models.ForeignKey(Mailbox, on_delete=models.SET_NULL, null=True, related_name="profile_events")
    name = models.CharField(_("name"), max_length=100)
    before = models.CharField(max_length=100, blank=True)
    after = models.CharField(max_length=100, blank=True)
    document = models.JSONField(null=True)
    by = models.CharField(_("by"), max_length=150)
    at = models.DateTimeField(_("at"))

    class Meta:
        """Latest first."""

        ordering = ["-at", "-pk"]
        indexes = [models.Index(fields=["sync_profile", "-at"], name="profile_event_latest")]

    def __str__(self) -> str:
        """Return profile and act."""
        return f"{self.name}: {self.act}"
