"""The category by which an owner has items tracked."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from mailboxes.models import Mailbox

# What an owner puts on an item to have it tracked (S27), until they call it something else.
TRACKED_NAME = "Tracked in CRM"
UNTRACKABLE_NAME = "Cannot be tracked in CRM"


class TrackingCategory(models.Model):
    """One category per mailbox, for mail (`mail`, off until its owner switches it on) and for entries that are in step.

    Bound by `category_id` to the server's list of categories where the server has one ("": it refused, or was not
    asked yet); the name follows that list. Items that carry a former name stay tracked, and nothing new is tracked by it.
    """

    mailbox = models.OneToOneField(Mailbox, on_delete=models.CASCADE, related_name="tracking_category")
    mail = models.BooleanField(_("track mail by category"), default=False)
    name = models.CharField(_("category"), max_length=200, default=TRACKED_NAME)
    category_id = models.CharField(max_length=60, blank=True)
    untrackable = models.CharField(_("category for what cannot be tracked"), max_length=200, default=UNTRACKABLE_NAME)
    untrackable_id = models.CharField(max_length=60, blank=True)
    former = models.JSONField(default=list, blank=True)
    # Whether the server's list can be used; None: not tried yet.
    listed = models.BooleanField(null=True)
    switched_at = models.DateTimeField(_("switched"), null=True)
    looked_at = models.DateTimeField(_("list of categories read"), null=True)

    def __str__(self) -> str:
        """Return the name."""
        return self.name
