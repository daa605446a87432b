"""What syncs and how often: plain values, shared by the mailboxes that point here."""

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

from mailboxes.states import Addresses, Attachments, Track, Unknown


class SyncProfile(models.Model):
    """Tracking option, exclusions, how mail finds thread and record, schedule bounds. Defaults: replies; 2, 5 and 12
    minutes (S9); correlation by what mail systems say of themselves, nothing guessed.
    """

    name = models.CharField(_("name"), max_length=100, unique=True)
    # What a mailbox follows that is added; not part of what the profile says.
    is_default = models.BooleanField(_("for new mailboxes"), default=False)
    track = models.CharField(_("track"), max_length=10, choices=Track, default=Track.REPLIES)
    # Nobody chooses for a mailbox what its profile locks.
    track_locked = models.BooleanField(_("mailboxes may not choose another option"), default=False)
    exclude_internal = models.BooleanField(_("leave out mail among colleagues"), default=True)
    exclude_automated = models.BooleanField(_("leave out automated mail"), default=True)
    blocked = models.TextField(
        _("blocked addresses and domains"), blank=True, help_text=_("One address or domain a line.")
    )
    internal_domains = models.TextField(_("domains of the organisation"), blank=True, help_text=_("One domain a line."))
    # Correlation (design §4): a token in outgoing mail, and a guess by subject and people; both only where wanted.
    token = models.BooleanField(_("mark outgoing mail with a tracking token"), default=False)
    token_in_subject = models.BooleanField(_("show the token in the subject"), default=False)
    smart = models.BooleanField(_("match by subject and people"), default=False)
    smart_days = models.PositiveSmallIntegerField(
        _("days within which a match counts"),
        default=14,
        validators=[MinValueValidator(1), MaxValueValidator(90)],
    )
    smart_words = models.PositiveSmallIntegerField(
        _("words a subject must have"), default=3, validators=[MinValueValidator(2), MaxValueValidator(20)]
    )
    # How an address finds its record.
    plus_addresses = models.BooleanField(_("take name+word@ for name@"), default=True)
    same_domains = models.TextField(
        _("domains that are the same"),
        blank=True,
        help_text=_("One group a line, the usual one first: gmail.com googlemail.com"),
    )
    retro_regarding = models.BooleanField(
        _("a record that gets an address becomes what its earlier threads are about"), default=False
    )
    unknown_senders = models.CharField(
        _("unknown senders become"), max_length=10, choices=Unknown, default=Unknown.NOTHING
    )
    contact_addresses = models.CharField(
        _("postal addresses of contacts"), max_length=10, choices=Addresses, default=Addresses.BUSINESS
    )
    # Off until somebody wants it: files may hold more than an appointment says (docs/privacy.md).
    appointment_attachments = models.CharField(
        _("attachments of appointments"), max_length=12, choices=Attachments, default=Attachments.NONE
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
            ),
            models.UniqueConstraint(
                fields=["is_default"], name="one_default_profile", condition=models.Q(is_default=True)
            ),
        ]

    def __str__(self) -> str:
        """Return the name."""
        return self.name
