"""What people did to threads, messages and addresses: who, when, what, why. Rows are added and never changed.

The database itself refuses to change or delete one (a trigger). Objects are named by kind and id, never by foreign key, so
that the row outlives them. `activity` is a message that the event is about or, of an event about a thread, one of its
messages: threads can become one, messages stay.
"""

from django.db import models
from django.utils.translation import gettext_lazy as _


class TrackingEvent(models.Model):
    """One act. `facts` are the parameters of its sentence (`tracking.arrange.history`); `why` is what the person wrote."""

    class What(models.TextChoices):
        """What was done."""

        STOPPED = "stopped", _("stopped")
        RESUMED = "resumed", _("taken up again")
        SPLIT = "split", _("split")
        JOINED = "joined", _("joined again")
        REGARDING = "regarding", _("regarding set")
        RESOLVED = "resolved", _("ambiguity resolved")
        CHOICE_UNDONE = "choice_undone", _("choice taken back")
        ACCEPTED = "accepted", _("sender accepted")
        CREATED = "created", _("record created")
        IGNORED = "ignored", _("sender ignored")
        UNIGNORED = "unignored", _("sender listed again")

    at = models.DateTimeField(_("when"))
    by = models.CharField(_("who"), max_length=150)
    what = models.CharField(_("what"), max_length=20, choices=What)
    thread_id = models.PositiveBigIntegerField(null=True)
    activity_id = models.PositiveBigIntegerField(null=True)
    mailbox_id = models.PositiveBigIntegerField(null=True)
    facts = models.JSONField(default=dict, blank=True)
    why = models.CharField(_("why"), max_length=300, blank=True)

    class Meta:
        """Newest first."""

        ordering = ["-at", "-id"]
        indexes = [
            models.Index(fields=["activity_id", "-at"], name="event_of_activity"),
            models.Index(fields=["thread_id", "-at"], name="event_of_thread"),
        ]

    def __str__(self) -> str:
        """Return who did what."""
        return f"{self.by}: {self.what}"
