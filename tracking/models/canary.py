"""Canaries: mailboxes in which something is put through the whole path again and again, so that silence is noticed."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from mailboxes.models import Mailbox


class Canary(models.Model):
    """A mailbox that serves nothing else. `active` False: nothing new is planted, what is under way is cleaned away."""

    mailbox = models.OneToOneField(Mailbox, on_delete=models.CASCADE, related_name="canary")
    every_minutes = models.PositiveSmallIntegerField(_("minutes between two rounds"), default=30)
    active = models.BooleanField(_("active"), default=True)
    set_by = models.CharField(_("set up by"), max_length=150, blank=True)

    class Meta:
        """In the order of their mailboxes."""

        ordering = ["mailbox"]
        verbose_name_plural = _("canaries")

    def __str__(self) -> str:
        """Return the mailbox's address."""
        return str(self.mailbox)


class CanaryRound(models.Model):
    """One item's way through everything, and how long each part took.

    A mail is written here, sent to the mailbox itself (`out_at`) and tracked from its Inbox (`in_at`). An appointment,
    contact or task is made here, stands in the mailbox (`out_at`), is changed there (`changed_at`), and the change comes
    back (`in_at`). `mark` is a word that stands in the item and nowhere else; `object_id` the mail or record.
    """

    class Kind(models.TextChoices):
        """What is put through."""

        MAIL = "mail", _("mail")
        APPOINTMENT = "appointment", _("appointment")
        CONTACT = "contact", _("contact")
        TASK = "task", _("task")

    canary = models.ForeignKey(Canary, on_delete=models.CASCADE, related_name="rounds")
    kind = models.CharField(_("kind"), max_length=12, choices=Kind)
    mark = models.CharField(max_length=40)
    object_id = models.PositiveBigIntegerField()
    planted_at = models.DateTimeField(_("planted"))
    out_at = models.DateTimeField(_("there"), null=True)
    changed_at = models.DateTimeField(_("changed there"), null=True)
    in_at = models.DateTimeField(_("back"), null=True)
    # Over: back, or given up after hours (`lost`); what it left behind is cleaned away then.
    ended_at = models.DateTimeField(_("ended"), null=True)
    lost = models.BooleanField(_("given up"), default=False)
    cleaned_at = models.DateTimeField(null=True)

    class Meta:
        """Latest first; found by what is open."""

        ordering = ["-planted_at", "kind"]
        indexes = [
            models.Index(fields=["canary", "kind", "-planted_at"], name="canary_latest"),
            models.Index(fields=["canary"], name="canary_open", condition=models.Q(cleaned_at=None)),
        ]

    def __str__(self) -> str:
        """Return kind and mark."""
        return f"{self.kind} {self.mark}"
