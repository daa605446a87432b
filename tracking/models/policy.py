"""Changes of policy before and after they count: drafts, what trying one came to, and who published what.

The idea: what is proposed is one JSON document beside the one that it started from (`tracking.policy.document`), so that
it can be compared, tried, published and taken back as a whole. A subject is a sync profile, or a mailbox for its owner's
own filters.
"""

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from mailboxes.models import Mailbox, SyncProfile

_ONE_SUBJECT = models.Q(sync_profile__isnull=False, mailbox=None) | models.Q(sync_profile=None, mailbox__isnull=False)


class PolicyDraft(models.Model):
    """A change that somebody prepares. `base` is what was in force when it was begun, `proposed` what is to be.

    `revision` counts saves: who saves over a newer one is told so.
    """

    sync_profile = models.ForeignKey(SyncProfile, on_delete=models.CASCADE, null=True, related_name="drafts")
    mailbox = models.ForeignKey(Mailbox, on_delete=models.CASCADE, null=True, related_name="drafts")
    base = models.JSONField()
    proposed = models.JSONField()
    revision = models.PositiveIntegerField(default=1)
    made_by = models.CharField(_("begun by"), max_length=150)
    made_at = models.DateTimeField(_("begun"))
    changed_by = models.CharField(_("changed by"), max_length=150)
    changed_at = models.DateTimeField(_("changed"))

    class Meta:
        """Latest first; about one thing."""

        ordering = ["-changed_at", "-pk"]
        constraints = [models.CheckConstraint(name="draft_of_one_subject", condition=_ONE_SUBJECT)]

    def __str__(self) -> str:
        """Return what it is a change of."""
        return str(self.sync_profile or self.mailbox)


class PolicyChange(models.Model):
    """A publication: who put what in force, and what was in force before. Never changed."""

    sync_profile = models.ForeignKey(SyncProfile, on_delete=models.CASCADE, null=True, related_name="changes")
    mailbox = models.ForeignKey(Mailbox, on_delete=models.CASCADE, null=True, related_name="policy_changes")
    before = models.JSONField()
    after = models.JSONField()
    published_by = models.CharField(_("published by"), max_length=150)
    published_at = models.DateTimeField(_("published"))

    class Meta:
        """Latest first; about one thing."""

        ordering = ["-published_at", "-pk"]
        constraints = [models.CheckConstraint(name="change_of_one_subject", condition=_ONE_SUBJECT)]

    def __str__(self) -> str:
        """Return what was changed."""
        return str(self.sync_profile or self.mailbox)


class DryRun(models.Model):
    """What a proposed change would have come to. `result` holds counts and ids, never what a message or record says.

    `proposed` is the document as it was tried: the draft may go on.
    `read_mailboxes`: envelopes and linked entries may be read from Exchange, in memory only.
    """

    class State(models.TextChoices):
        """How far it is."""

        WAITING = "waiting", _("waiting")
        RUNNING = "running", _("running")
        DONE = "done", _("done")
        FAILED = "failed", _("failed")

    draft = models.ForeignKey(PolicyDraft, on_delete=models.CASCADE, related_name="dry_runs")
    revision = models.PositiveIntegerField()
    proposed = models.JSONField()
    days = models.PositiveSmallIntegerField(_("days"))
    read_mailboxes = models.BooleanField(_("reads from Exchange"), default=False)
    state = models.CharField(_("state"), max_length=10, choices=State, default=State.WAITING)
    done = models.PositiveIntegerField(default=0)
    total = models.PositiveIntegerField(default=0)
    result = models.JSONField(default=dict)
    error = models.CharField(_("error"), max_length=60, blank=True)
    asked_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="dry_runs")
    asked_at = models.DateTimeField(_("asked for"))
    finished_at = models.DateTimeField(_("finished"), null=True)
    expires_at = models.DateTimeField(_("kept until"))

    class Meta:
        """Latest first."""

        ordering = ["-asked_at", "-pk"]
        indexes = [models.Index(fields=["expires_at"], name="dry_run_expires")]

    def __str__(self) -> str:
        """Return what was tried, and for how many days."""
        return f"{self.draft}, {self.days} days"
