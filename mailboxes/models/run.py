"""Runs: one sync of one mailbox. An unfinished run is the lease of its mailbox."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from mailboxes.models.mailbox import Mailbox
from mailboxes.states import Outcome, Trigger


class Run(models.Model):
    """One sync of one mailbox, from the claim to its end, with what it did and why it stopped.

    Of the unfinished runs a mailbox has at most one: that row is the lease, `heartbeat_at` keeps it, and every page
    is stored only while the row, locked, is still unfinished. A run whose heartbeat is stale is ended as abandoned.
    """

    mailbox = models.ForeignKey(Mailbox, on_delete=models.CASCADE, related_name="runs")
    trigger = models.CharField(_("started by"), max_length=10, choices=Trigger, default=Trigger.SCHEDULE)
    queue = models.CharField(_("queue"), max_length=20, blank=True)
    # Id of the job that carries this run, shared by all runs of the job: one of the server's request slots.
    batch = models.CharField(max_length=40, blank=True)
    # Empty until a worker begins the job.
    worker = models.CharField(_("worker"), max_length=120, blank=True)
    full_pass = models.BooleanField(_("full pass"), default=False)

    due_at = models.DateTimeField(_("due"), null=True)
    claimed_at = models.DateTimeField(_("claimed"))
    started_at = models.DateTimeField(_("started"), null=True)
    heartbeat_at = models.DateTimeField(_("last sign of life"))
    finished_at = models.DateTimeField(_("finished"), null=True)
    reached_server = models.BooleanField(_("reached the server"), default=False)

    outcome = models.CharField(_("outcome"), max_length=10, choices=Outcome, default=Outcome.RUNNING)
    error_code = models.CharField(_("error"), max_length=60, blank=True)
    error_detail = models.TextField(_("detail"), blank=True)

    requests = models.PositiveIntegerField(_("requests"), default=0)
    examined = models.PositiveIntegerField(_("examined"), default=0)
    tracked = models.PositiveIntegerField(_("tracked"), default=0)
    updated = models.PositiveIntegerField(_("updated"), default=0)
    refused = models.JSONField(_("refused"), default=dict, blank=True)
    quarantined = models.PositiveIntegerField(_("quarantined"), default=0)
    interval_s = models.PositiveIntegerField(_("next interval"), null=True)
    interval_reason = models.CharField(_("reason"), max_length=300, blank=True)

    class Meta:
        """Newest first; one unfinished run per mailbox."""

        ordering = ["-claimed_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["mailbox"], name="run_is_lease", condition=models.Q(finished_at__isnull=True)
            )
        ]
        indexes = [
            models.Index(fields=["mailbox", "-claimed_at"], name="run_of_mailbox"),
            models.Index(fields=["heartbeat_at"], name="run_stale", condition=models.Q(finished_at__isnull=True)),
            models.Index(fields=["started_at"], name="run_started"),
            models.Index(fields=["started_at"], name="run_busy", condition=models.Q(examined__gt=0)),
            models.Index(fields=["finished_at"], name="run_idle", condition=models.Q(outcome=Outcome.DONE, examined=0)),
        ]

    def __str__(self) -> str:
        """Return what ran and when."""
        return f"run {self.pk} of mailbox {self.mailbox_id}"
