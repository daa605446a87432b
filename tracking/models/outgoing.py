"""Mail that is written in the CRM, from the first draft of it until its copy in Sent Items is tracked (design §4).

The one idea: what is about to be done at the mail server is written here before it is done. Whatever dies, the row says
what may have happened, and the mail server, asked for our stamp, says what has.
"""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from mailboxes.models import Mailbox
from tracking.models.activity import Activity, RecordKind


class OutgoingMail(models.Model):
    """One mail. `to`, `cc` and `bcc` are lists of {"email", "name"}; `html` is sent if it is not empty, else `text`.

    `stamp` and `message_id` are chosen when Send is pressed at the latest, and stay: the form that a draft came from may
    have named it already, so that it is written once. `try_at` is set as long as there is something to do at the mail
    server: to send it, to track its copy, or to take a draft away that was given up; the earliest of a mailbox stands in
    `Mailbox.mail_due_at`. Once the copy is tracked, text and files are kept there alone.
    """

    class State(models.TextChoices):
        """How far it is. `UNKNOWN`: it was made once, and nobody can say any more whether it was sent."""

        DRAFT = "draft", _("draft")
        WAITING = "waiting", _("waiting")
        SENDING = "sending", _("being sent")
        SENT = "sent", _("sent")
        FAILED = "failed", _("failed")
        UNKNOWN = "unknown", _("unknown")
        DISCARDED = "discarded", _("discarded")

    mailbox = models.ForeignKey(
        Mailbox, on_delete=models.PROTECT, related_name="outgoing_mail", verbose_name=_("mailbox")
    )
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="outgoing_mail", verbose_name=_("author")
    )
    to = models.JSONField(_("to"), default=list)
    cc = models.JSONField(_("cc"), default=list)
    bcc = models.JSONField(_("bcc"), default=list)
    subject = models.CharField(_("subject"), max_length=255, blank=True)
    text = models.TextField(_("text"), blank=True)
    html = models.TextField(_("HTML"), blank=True)
    answers = models.ForeignKey(Activity, on_delete=models.SET_NULL, null=True, related_name="+")
    regarding_kind = models.CharField(_("regarding"), max_length=12, choices=RecordKind, blank=True)
    regarding_id = models.PositiveBigIntegerField(null=True)

    state = models.CharField(_("state"), max_length=10, choices=State, default=State.DRAFT)
    state_since = models.DateTimeField(_("since"))
    created_at = models.DateTimeField(_("written"))
    # By whom the last word on it was said: who pressed Send, or decided what became of it.
    decided_by = models.CharField(_("decided by"), max_length=150, blank=True)

    stamp = models.CharField(max_length=64, blank=True)
    message_id = models.CharField(_("Message-ID"), max_length=400, blank=True)
    # What was asked of the mail server, each written before it was asked; what it answered.
    make_asked_at = models.DateTimeField(null=True)
    item_id = models.CharField(max_length=1000, blank=True)
    change_key = models.CharField(max_length=400, blank=True)
    send_asked_at = models.DateTimeField(null=True)
    sent_at = models.DateTimeField(_("sent"), null=True)
    # A person has seen that the draft was changed in the mailbox and wants it sent as it is.
    as_it_is = models.BooleanField(default=False)

    try_at = models.DateTimeField(_("next attempt"), null=True)
    attempts = models.PositiveSmallIntegerField(_("attempts"), default=0)
    # When to look next whether a draft has turned up that was asked for and given up for lost; None: there can be none.
    stray_at = models.DateTimeField(null=True)
    error_code = models.CharField(_("error"), max_length=60, blank=True)
    error_detail = models.TextField(_("detail"), blank=True)
    activity = models.ForeignKey(
        Activity, on_delete=models.SET_NULL, null=True, related_name="written_here", verbose_name=_("tracked as")
    )

    class Meta:
        """Latest first; found by what is due in a mailbox, and by stamp."""

        ordering = ["-state_since", "-id"]
        verbose_name_plural = _("outgoing mail")
        constraints = [models.UniqueConstraint(fields=["stamp"], name="outgoing_stamp_once", condition=~Q(stamp=""))]
        indexes = [
            models.Index(fields=["mailbox", "try_at"], name="outgoing_due", condition=Q(try_at__isnull=False)),
            models.Index(fields=["mailbox", "stray_at"], name="outgoing_stray", condition=Q(stray_at__isnull=False)),
            models.Index(fields=["author", "-state_since"], name="outgoing_of_author"),
            models.Index(fields=["-state_since", "-id"], name="outgoing_latest"),
            # What is not done yet, beside any number of mails that are.
            models.Index(
                fields=["-state_since", "-id"],
                name="outgoing_open",
                condition=Q(state__in=("waiting", "sending", "failed", "unknown")),
            ),
        ]

    def __str__(self) -> str:
        """Return the subject."""
        return self.subject


class OutgoingFile(models.Model):
    """A file that goes along; its bytes lie in the blob store under `sha256`."""

    mail = models.ForeignKey(OutgoingMail, on_delete=models.CASCADE, related_name="files")
    name = models.CharField(_("name"), max_length=255)
    content_type = models.CharField(_("type"), max_length=200, default="application/octet-stream")
    size = models.PositiveBigIntegerField(_("size"))
    sha256 = models.CharField(max_length=64)

    class Meta:
        """In the order in which they were added."""

        ordering = ["mail", "id"]

    def __str__(self) -> str:
        """Return the name."""
        return self.name
