"""Tracked activities: one per Message-ID, linked to every mailbox that holds it (design §4)."""

from django.conf import settings
from django.db import models
from django.db.models.functions import Lower
from django.utils.translation import gettext_lazy as _

from mailboxes.models import Folder, Mailbox


class RecordKind(models.TextChoices):
    """The kinds of record that an activity can be about or an address can belong to."""

    CONTACT = "contact", _("contact")
    LEAD = "lead", _("lead")
    ACCOUNT = "account", _("account")
    OPPORTUNITY = "opportunity", _("opportunity")
    CASE = "case", _("case")


class Direction(models.TextChoices):
    """Which way a message went, seen from the organisation."""

    INCOMING = "incoming", _("incoming")
    OUTGOING = "outgoing", _("outgoing")


class Correlation(models.TextChoices):
    """How a message found its thread; the first that hits wins."""

    NONE = "none", _("starts a thread")
    REPLY_HEADERS = "reply_headers", _("reply headers")
    TOKEN = "token", _("tracking token")
    CONVERSATION = "conversation", _("conversation id")
    SMART = "smart", _("subject and people")


class RegardingBy(models.TextChoices):
    """How a message came by its regarding record; what a person chose (`MANUAL`) is never overruled."""

    MANUAL = "manual", _("by hand")
    FOLDER = "folder", _("by its folder")
    THREAD = "thread", _("from its thread")
    RECORD = "record", _("with a record")


class Thread(models.Model):
    """Messages that answer each other."""

    subject = models.CharField(_("subject"), max_length=400, blank=True)
    first_at = models.DateTimeField(_("first message"))
    last_at = models.DateTimeField(_("last message"))
    messages = models.PositiveIntegerField(_("messages"), default=0)

    class Meta:
        """Latest first."""

        ordering = ["-last_at"]
        indexes = [
            models.Index(fields=["-last_at", "-id"], name="thread_latest"),
            # How matching by subject finds candidates (`tracking.engine.correlation`).
            models.Index(Lower("subject"), name="thread_subject"),
        ]

    def __str__(self) -> str:
        """Return the subject."""
        return self.subject


class ThreadKey(models.Model):
    """A message or conversation that a thread speaks of, tracked or not: how a late parent finds its children.

    Each key belongs to exactly one thread; two threads that turn out to share one are merged.
    """

    thread = models.ForeignKey(Thread, on_delete=models.CASCADE, related_name="keys")
    key = models.CharField(max_length=64, unique=True)

    def __str__(self) -> str:
        """Return the key."""
        return self.key


class Activity(models.Model):
    """A tracked message. Immutable but for its links: what it is regarding, who holds it, which thread it is in.

    `message_key` identifies the message across mailboxes (`tracking.sync.identity`): a digest, so that a Message-ID
    of any length fits an index. `conversation_key` likewise.
    """

    thread = models.ForeignKey(Thread, on_delete=models.PROTECT, related_name="activities")
    message_key = models.CharField(max_length=64, unique=True)
    message_id = models.TextField(_("Message-ID"), blank=True)
    conversation_key = models.CharField(max_length=64, blank=True)
    # The key of the message it answers, tracked or not: what it takes along when its thread is split.
    answers = models.CharField(max_length=64, blank=True)
    parent = models.ForeignKey("self", on_delete=models.SET_NULL, null=True, related_name="replies")
    correlation = models.CharField(
        _("found its thread by"), max_length=20, choices=Correlation, default=Correlation.NONE
    )

    direction = models.CharField(_("direction"), max_length=10, choices=Direction)
    subject = models.TextField(_("subject"), blank=True)
    sender_email = models.CharField(_("from"), max_length=400, blank=True)
    sender_name = models.CharField(_("sender's name"), max_length=400, blank=True)
    sent_at = models.DateTimeField(_("sent"), null=True)
    received_at = models.DateTimeField(_("received"))
    importance = models.CharField(_("importance"), max_length=10, default="Normal")
    size = models.PositiveBigIntegerField(_("size"), default=0)
    has_attachments = models.BooleanField(_("has attachments"), default=False)

    regarding_kind = models.CharField(_("regarding"), max_length=12, choices=RecordKind, blank=True)
    regarding_id = models.PositiveBigIntegerField(null=True)
    # Also set when a person took the regarding record away: then it is by hand that there is none.
    regarding_by = models.CharField(_("regarding set"), max_length=8, choices=RegardingBy, blank=True)
    # The rule that set it, when that was by its folder.
    regarding_folder = models.ForeignKey("TrackedFolder", on_delete=models.SET_NULL, null=True, related_name="regards")
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="activities", verbose_name=_("owner")
    )
    tracked_at = models.DateTimeField(_("tracked"))

    class Meta:
        """Oldest first within a thread."""

        ordering = ["received_at", "id"]
        verbose_name_plural = _("activities")
        indexes = [
            models.Index(fields=["thread", "received_at"], name="activity_of_thread"),
            models.Index(
                fields=["conversation_key"], name="activity_conversation", condition=~models.Q(conversation_key="")
            ),
            models.Index(fields=["regarding_kind", "regarding_id"], name="activity_regarding"),
            models.Index(fields=["tracked_at"], name="activity_tracked"),
        ]

    def __str__(self) -> str:
        """Return the subject."""
        return self.subject


class EmailBody(models.Model):
    """The body of a message, outside the activity's row: lists never read it. As the sender wrote it, not sanitised."""

    activity = models.OneToOneField(Activity, on_delete=models.CASCADE, primary_key=True, related_name="body")
    html = models.TextField(blank=True)
    text = models.TextField(blank=True)

    def __str__(self) -> str:
        """Return whose body it is, never the body."""
        return f"body of activity {self.pk}"


class Participant(models.Model):
    """One address of a message and the record it belongs to, if exactly one does (else `ambiguous`)."""

    class Role(models.TextChoices):
        """Where the address stood."""

        FROM = "from", _("from")
        TO = "to", _("to")
        CC = "cc", _("cc")
        BCC = "bcc", _("bcc")

    class Chosen(models.TextChoices):
        """How far the choice among several records reached; empty: there was nothing to choose."""

        MESSAGE = "message", _("for this message")
        THREAD = "thread", _("for this thread")
        ADDRESS = "address", _("for this address")

    activity = models.ForeignKey(Activity, on_delete=models.CASCADE, related_name="participants")
    role = models.CharField(max_length=4, choices=Role)
    email = models.CharField(_("address"), max_length=400)
    name = models.CharField(_("name"), max_length=400, blank=True)
    record_kind = models.CharField(max_length=12, choices=RecordKind, blank=True)
    record_id = models.PositiveBigIntegerField(null=True)
    ambiguous = models.BooleanField(default=False)
    chosen = models.CharField(max_length=8, choices=Chosen, blank=True)

    class Meta:
        """Found by address and by record."""

        indexes = [
            models.Index(fields=["activity"], name="participant_ambiguous", condition=models.Q(ambiguous=True)),
            models.Index(Lower("email"), name="participant_email"),
            models.Index(
                fields=["record_kind", "record_id"], name="participant_record", condition=~models.Q(record_kind="")
            ),
        ]

    def __str__(self) -> str:
        """Return the address."""
        return self.email


class Attachment(models.Model):
    """An attachment; its bytes lie in the blob store under `sha256`. Empty: they were not fetched, `missing` says why."""

    activity = models.ForeignKey(Activity, on_delete=models.CASCADE, related_name="attachments")
    position = models.PositiveSmallIntegerField()
    name = models.CharField(_("name"), max_length=400, blank=True)
    content_type = models.CharField(_("type"), max_length=200, blank=True)
    size = models.PositiveBigIntegerField(_("size"), default=0)
    sha256 = models.CharField(max_length=64, blank=True)
    inline = models.BooleanField(default=False)
    content_id = models.CharField(max_length=400, blank=True)
    missing = models.CharField(_("why it is missing"), max_length=60, blank=True)

    class Meta:
        """In the order of the message."""

        ordering = ["activity", "position"]
        constraints = [models.UniqueConstraint(fields=["activity", "position"], name="attachment_once")]
        indexes = [models.Index(fields=["sha256"], name="attachment_blob")]

    def __str__(self) -> str:
        """Return the name."""
        return self.name


class Holder(models.Model):
    """A mailbox that holds a tracked message, and as which item. A removal is a soft mark: moves look like one."""

    activity = models.ForeignKey(Activity, on_delete=models.CASCADE, related_name="holders")
    mailbox = models.ForeignKey(Mailbox, on_delete=models.PROTECT, related_name="held")
    folder = models.ForeignKey(Folder, on_delete=models.SET_NULL, null=True, related_name="+")
    item_id = models.CharField(max_length=1000)
    change_key = models.CharField(max_length=400, blank=True)
    since = models.DateTimeField()
    removed_at = models.DateTimeField(null=True)

    class Meta:
        """One row per item of a mailbox."""

        constraints = [models.UniqueConstraint(fields=["mailbox", "item_id"], name="holder_once")]
        indexes = [models.Index(fields=["activity", "mailbox"], name="holder_of_activity")]

    def __str__(self) -> str:
        """Return who holds what."""
        return f"activity {self.activity_id} in mailbox {self.mailbox_id}"
