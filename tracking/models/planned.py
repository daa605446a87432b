"""What people plan: appointments and tasks, about a record or not, kept in step with the mailboxes of those concerned."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from tracking.models.activity import RecordKind
from tracking.models.record import Owned


class Importance(models.TextChoices):
    """How much it matters; the values are those of the mail system."""

    LOW = "Low", _("low")
    NORMAL = "Normal", _("normal")
    HIGH = "High", _("high")


class Planned(Owned):
    """Something planned, about a record or nothing."""

    subject = models.CharField(_("subject"), max_length=400, blank=True)
    description = models.TextField(_("description"), blank=True)
    importance = models.CharField(_("importance"), max_length=10, choices=Importance, default=Importance.NORMAL)
    regarding_kind = models.CharField(_("regarding"), max_length=12, choices=RecordKind, blank=True)
    regarding_id = models.PositiveBigIntegerField(null=True, blank=True)

    class Meta:
        """A base, not a table; found by what it is about and by when it was changed."""

        abstract = True
        indexes = [
            models.Index(fields=["regarding_kind", "regarding_id"], name="%(class)s_regarding"),
            models.Index(fields=["modified_at"], name="%(class)s_modified"),
        ]

    def __str__(self) -> str:
        """Return the subject."""
        return self.subject


class Appointment(Planned):
    """A meeting or an entry in a calendar, or a series of them.

    Timed: `starts_at`, `ends_at` and the IANA `zone` it was made in. All-day: `first_day` and `day_after` without a zone.
    `recurrence` is the series as `tracking.sync.codec` writes it, None for a single one. An occurrence that differs from
    its series is an `OccurrenceChange`.
    """

    class Status(models.TextChoices):
        """Where it stands in the CRM."""

        OPEN = "open", _("open")
        COMPLETED = "completed", _("completed")
        CANCELLED = "cancelled", _("cancelled")

    class ShowAs(models.TextChoices):
        """What others see of that time; the values are those of the mail system."""

        FREE = "Free", _("free")
        TENTATIVE = "Tentative", _("tentative")
        BUSY = "Busy", _("busy")
        OUT = "OOF", _("out of office")
        ELSEWHERE = "WorkingElsewhere", _("working elsewhere")

    uid = models.CharField(_("iCalendar UID"), max_length=400, blank=True, db_index=True)
    location = models.CharField(_("location"), max_length=400, blank=True)
    starts_at = models.DateTimeField(_("start"), null=True, blank=True)
    ends_at = models.DateTimeField(_("end"), null=True, blank=True)
    zone = models.CharField(_("time zone"), max_length=64, blank=True)
    first_day = models.DateField(_("first day"), null=True, blank=True)
    day_after = models.DateField(_("day after the last"), null=True, blank=True)
    recurrence = models.JSONField(_("series"), null=True, blank=True)
    show_as = models.CharField(_("show time as"), max_length=20, choices=ShowAs, default=ShowAs.BUSY)
    status = models.CharField(_("status"), max_length=10, choices=Status, default=Status.OPEN)

    class Meta(Planned.Meta):
        """Latest first; either timed or all-day."""

        ordering = ["-starts_at", "-first_day"]
        constraints = [
            models.CheckConstraint(
                name="appointment_timed_or_all_day",
                condition=models.Q(
                    starts_at__isnull=False, ends_at__gte=models.F("starts_at"), first_day=None, day_after=None
                )
                | models.Q(
                    first_day__isnull=False, day_after__gt=models.F("first_day"), starts_at=None, ends_at=None, zone=""
                ),
            )
        ]


class Attendance(models.Model):
    """Somebody who takes part in an appointment, and what they answered."""

    class Role(models.TextChoices):
        """As what."""

        ORGANIZER = "organizer", _("organiser")
        REQUIRED = "required", _("required")
        OPTIONAL = "optional", _("optional")

    appointment = models.ForeignKey(Appointment, on_delete=models.CASCADE, related_name="attendees")
    role = models.CharField(max_length=10, choices=Role)
    email = models.CharField(_("address"), max_length=400)
    name = models.CharField(_("name"), max_length=400, blank=True)
    response = models.CharField(_("answer"), max_length=12, blank=True)
    record_kind = models.CharField(max_length=12, choices=RecordKind, blank=True)
    record_id = models.PositiveBigIntegerField(null=True, blank=True)

    class Meta:
        """Each once in each role."""

        constraints = [
            models.UniqueConstraint(fields=["appointment", "role", "email"], name="attendance_once"),
        ]

    def __str__(self) -> str:
        """Return the address."""
        return self.email


class OccurrenceChange(models.Model):
    """An occurrence of a series that was moved, changed or called off. `original` is the start it would have had.

    Of whole days `original` is midnight UTC. `values` are its own, as `tracking.sync.codec` writes them: what is not
    there is as the series has it. One that is called off keeps what was its own.
    """

    appointment = models.ForeignKey(Appointment, on_delete=models.CASCADE, related_name="changes")
    original = models.DateTimeField(_("original start"))
    cancelled = models.BooleanField(_("cancelled"), default=False)
    values = models.JSONField(default=dict)
    modified_at = models.DateTimeField(_("changed"), auto_now=True)

    class Meta:
        """One row per occurrence."""

        ordering = ["original"]
        constraints = [models.UniqueConstraint(fields=["appointment", "original"], name="occurrence_change_once")]

    def __str__(self) -> str:
        """Return which occurrence it is."""
        return f"{self.original:%Y-%m-%d %H:%M}"


class Task(Planned):
    """Something to be done: a task, or a phone call, letter or fax, all of which are tasks in a mailbox."""

    class Kind(models.TextChoices):
        """What is to be done."""

        TASK = "task", _("task")
        PHONE_CALL = "phone_call", _("phone call")
        LETTER = "letter", _("letter")
        FAX = "fax", _("fax")

    class Status(models.TextChoices):
        """How far it is; the values are those of the mail system."""

        NOT_STARTED = "NotStarted", _("not started")
        IN_PROGRESS = "InProgress", _("in progress")
        COMPLETED = "Completed", _("completed")
        WAITING = "WaitingOnOthers", _("waiting for others")
        DEFERRED = "Deferred", _("deferred")

    kind = models.CharField(_("kind"), max_length=10, choices=Kind, default=Kind.TASK)
    start_date = models.DateField(_("start"), null=True, blank=True)
    due_date = models.DateField(_("due"), null=True, blank=True)
    completed_on = models.DateField(_("completed"), null=True, blank=True)
    percent_complete = models.PositiveSmallIntegerField(_("per cent complete"), default=0)
    status = models.CharField(_("status"), max_length=16, choices=Status, default=Status.NOT_STARTED)

    class Meta(Planned.Meta):
        """What is due first, first."""

        ordering = ["due_date", "pk"]
