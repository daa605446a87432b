"""Tracked folders: what an owner moves there is tracked, whatever the tracking option says (design §4)."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from mailboxes.models import Folder, Mailbox
from tracking.models.activity import RecordKind


class TrackedFolder(models.Model):
    """An owner's rule for a folder, bound to the folder's id: it survives that the folder is renamed or moved.

    `valid_from`: mail received earlier is left alone; None takes everything that lies there. The nearest rule above a
    folder decides (`tracking.sync.folder_rules`), so a paused one keeps its folder out of what is tracked around it.
    A rule that was taken away stays as a row (`removed_at`), so that messages can still say which folder spoke for them.
    """

    mailbox = models.ForeignKey(Mailbox, on_delete=models.CASCADE, related_name="tracked_folders")
    folder = models.OneToOneField(Folder, on_delete=models.CASCADE, related_name="+", verbose_name=_("folder"))
    subfolders = models.BooleanField(_("with subfolders, new ones too"), default=False)
    valid_from = models.DateTimeField(_("mail received from"), null=True, blank=True)
    active = models.BooleanField(_("active"), default=True)
    regarding_kind = models.CharField(_("regarding"), max_length=12, choices=RecordKind, blank=True)
    regarding_id = models.PositiveBigIntegerField(null=True, blank=True)
    made_by = models.CharField(_("made by"), max_length=150)
    made_at = models.DateTimeField(_("made"))
    removed_at = models.DateTimeField(_("removed"), null=True)

    class Meta:
        """Found by mailbox."""

        ordering = ["mailbox", "folder__name"]

    def __str__(self) -> str:
        """Return which folder it is about."""
        return f"rule for folder {self.folder_id}"


class CoveredFolder(models.Model):
    """A folder in which a rule is in force, as the last full pass found it: what a page of the folder is planned by.

    `valid_from` is the rule's as it was then; when it moves back, the folder is read again.
    """

    folder = models.OneToOneField(Folder, on_delete=models.CASCADE, primary_key=True, related_name="+")
    rule = models.ForeignKey(TrackedFolder, on_delete=models.CASCADE, related_name="covered")
    valid_from = models.DateTimeField(null=True)

    def __str__(self) -> str:
        """Return folder and rule."""
        return f"folder {self.folder_id} by rule {self.rule_id}"
