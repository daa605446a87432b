"""What syncs and how often: plain values, shared by the mailboxes that point here."""

from django.core.validators import MinValueValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

from mailboxes.states import Track, Unknown


class SyncProfile(models.Model):
    """Tracking option, exclusions and schedule bounds. Defaults: replies; 2, 5 and 12 minutes (S9)."""

    name = models.CharField(_("name"), max_length=100, unique=True)
    track = models.CharField(_("track"), max_length=10, choices=Track, default=Track.REPLIES)
    # Nobody chooses for a mailbox what its profile locks.
    track_locked = models.BooleanField(_("mailboxes may not choose another option"), default=False)
    exclude_internal = models.BooleanField(_("leave out mail among colleagues"), default=True)
    exclude_automated = models.BooleanField(_("leave out automated mail"), default=True)
    blocked = models.TextField(
        _("blocked addresses and domains"), blank=True, help_text=_("One address or domain a line.")
    )
    internal_domains = models.TextField(_("domains of the organisation"), blank=True, help_text=_("One domain a line."))
    unknown_senders = models.CharField(
        _("unknown senders become"), max_length=10, choices=Unknown, default=Unknown.NOTHING
    )
    min_seconds = models.PositiveIntegerField(_("shortest interval"), default=120, validators=[MinValueValidator(30)])
    normal_seconds = models.PositiveIntegerField(_("usual interval"), default=300)
    max_seconds = models.PositiveIntegerField(_("longest interval"), default=720)

    class Meta:
        """Listed by name; bounds in order."""

        ordering = ["name"]
        constraints = [
            models.CheckConstraint(
                name="interval_bounds_in_order",
                condition=models.Q(min_seconds__lte=models.F("normal_seconds"))
                & models.Q(normal_seconds__lte=models.F("max_seconds")),
            )
        ]

    def __str__(self) -> str:
        """Return the name."""
        return self.name
