"""What people decided about addresses: whose one is that several records have, and who writes that no record knows.

Addresses are kept in lower case, as they are compared.
"""

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from mailboxes.models import Mailbox
from tracking.models.activity import RecordKind


class AddressChoice(models.Model):
    """Which of several records an address stands for in a person's mail; no record: none of them.

    Obeyed while the record still has the address and its owner may see it (`tracking.sync.people`).
    """

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="address_choices")
    address = models.CharField(_("address"), max_length=400)
    record_kind = models.CharField(_("record"), max_length=12, choices=RecordKind, blank=True)
    record_id = models.PositiveBigIntegerField(null=True)
    by = models.CharField(_("chosen by"), max_length=150)
    at = models.DateTimeField(_("chosen"))

    class Meta:
        """One answer per person and address."""

        ordering = ["address"]
        constraints = [models.UniqueConstraint(fields=["owner", "address"], name="address_choice_once")]

    def __str__(self) -> str:
        """Return the address."""
        return self.address


class UnknownSender(models.Model):
    """Somebody who wrote tracked mail to a mailbox and whom no record knows: waits for its owner to say what to do.

    `messages` counts tracked ones since the sender was first noticed. An ignored sender is counted, not asked about.
    """

    class State(models.TextChoices):
        """What became of the sender."""

        OPEN = "open", _("open")
        ACCEPTED = "accepted", _("accepted")
        IGNORED = "ignored", _("ignored")

    mailbox = models.ForeignKey(Mailbox, on_delete=models.CASCADE, related_name="unknown_senders")
    address = models.CharField(_("address"), max_length=400)
    name = models.CharField(_("name"), max_length=400, blank=True)
    first_at = models.DateTimeField(_("first seen"))
    last_at = models.DateTimeField(_("last seen"))
    noticed_at = models.DateTimeField(_("noticed"))
    messages = models.PositiveIntegerField(_("messages"), default=0)
    state = models.CharField(_("state"), max_length=10, choices=State, default=State.OPEN)
    settled_by = models.CharField(max_length=150, blank=True)
    settled_at = models.DateTimeField(null=True)

    class Meta:
        """One row per address and mailbox."""

        ordering = ["-last_at", "-id"]
        constraints = [models.UniqueConstraint(fields=["mailbox", "address"], name="unknown_sender_once")]
        indexes = [models.Index(fields=["mailbox", "state", "-last_at"], name="unknown_sender_list")]

    def __str__(self) -> str:
        """Return the address."""
        return self.address


class IgnoredDomain(models.Model):
    """A domain (and those below it) whose unknown senders nobody is asked about."""

    mailbox = models.ForeignKey(Mailbox, on_delete=models.CASCADE, related_name="ignored_domains")
    domain = models.CharField(_("domain"), max_length=253)
    by = models.CharField(_("ignored by"), max_length=150)
    at = models.DateTimeField(_("ignored"))

    class Meta:
        """Each domain once per mailbox."""

        ordering = ["domain"]
        constraints = [models.UniqueConstraint(fields=["mailbox", "domain"], name="ignored_domain_once")]

    def __str__(self) -> str:
        """Return the domain."""
        return self.domain
