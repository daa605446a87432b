"""What hangs on appointments: the files of the record, and how far they are kept in step with those of an entry."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from tracking.models.link import ItemLink
from tracking.models.planned import Appointment


class AppointmentFile(models.Model):
    """A file of an appointment. It is its name and its bytes, which lie in the blob store under `sha256`; never changed.

    `added_by` is empty for one that came from a mailbox. Whoever adds or takes away one saves the appointment, too, so
    that it is compared again.
    """

    appointment = models.ForeignKey(Appointment, on_delete=models.CASCADE, related_name="files")
    name = models.CharField(_("name"), max_length=255)
    content_type = models.CharField(_("type"), max_length=200, default="application/octet-stream")
    size = models.PositiveBigIntegerField(_("size"))
    sha256 = models.CharField(max_length=64)
    added_at = models.DateTimeField(_("added"))
    added_by = models.CharField(_("added by"), max_length=150, blank=True)

    class Meta:
        """Oldest first; each once."""

        ordering = ["appointment", "added_at", "id"]
        constraints = [models.UniqueConstraint(fields=["appointment", "name", "sha256"], name="appointment_file_once")]
        indexes = [models.Index(fields=["sha256"], name="appointment_file_blob")]

    def __str__(self) -> str:
        """Return the name."""
        return self.name


class FilesInStep(models.Model):
    """How far the files of a linked appointment are kept in step (`tracking.sync.attachments`).

    `base`: what both sides had when last seen, as pairs of name and digest. `read`: what is known of the entry's
    attachments, by their id: version, size and digest, so that none is read twice. `left`: which hang on one side only,
    and why, by name; under `EVERY` why none is looked at. `refused`: what the server would not have, by file: the code.
    `tries`: how often a file was sent without an answer; written before each attempt.
    """

    # Stands in `left` for all files.
    EVERY = "*"

    link = models.OneToOneField(ItemLink, on_delete=models.CASCADE, primary_key=True, related_name="files")
    base = models.JSONField(default=list)
    read = models.JSONField(default=dict)
    left = models.JSONField(default=dict)
    refused = models.JSONField(default=dict)
    tries = models.JSONField(default=dict)

    def __str__(self) -> str:
        """Return whose files they are."""
        return f"files of link {self.link_id}"
