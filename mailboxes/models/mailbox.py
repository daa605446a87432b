"""Mailboxes and the folders that are followed in them."""

from django.conf import settings
from django.db import models
from django.db.models.functions import Lower
from django.utils.translation import gettext_lazy as _

from mailboxes.models.server import ServerProfile
from mailboxes.models.sync_profile import SyncProfile
from mailboxes.provider.port import FolderRole
from mailboxes.states import Intent, State, Track
from security.secrets import EncryptedTextField


class Mailbox(models.Model):
    """One person's mailbox: what is wanted of it (intent), what is so (state), and when it is due next.

    `arrivals` is the schedule's memory: pairs [epoch second of a run, messages that had arrived], newest last.
    A lease is an unfinished `Run`; nothing here says whether a run is under way but the copy in `state`.
    """

    address = models.EmailField(_("address"))
    server = models.ForeignKey(
        ServerProfile, on_delete=models.PROTECT, related_name="mailboxes", verbose_name=_("server")
    )
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="mailboxes", verbose_name=_("owner")
    )
    sync_profile = models.ForeignKey(
        SyncProfile, on_delete=models.PROTECT, related_name="mailboxes", verbose_name=_("sync profile")
    )
    track = models.CharField(
        _("track"), max_length=10, choices=Track, blank=True, help_text=_("Empty: as the sync profile says.")
    )
    # The three channels (S15). What reads a mailbox as its owner's approval says is on; what writes into it, or speaks in
    # its owner's name, is off until somebody switches it on.
    incoming = models.BooleanField(_("read mail"), default=True)
    outgoing = models.BooleanField(_("send mail written in the CRM"), default=False)
    entries = models.BooleanField(_("keep appointments, contacts and tasks in step"), default=False)
    # Own credentials, where the server profile does not impersonate.
    username = models.CharField(_("user name"), max_length=254, blank=True)
    secret = EncryptedTextField(_("password"), blank=True, null=True)

    intent = models.CharField(_("intent"), max_length=10, choices=Intent, default=Intent.PENDING)
    paused_until = models.DateTimeField(_("paused until"), null=True)
    changed_by = models.CharField(_("intent set by"), max_length=150, blank=True)

    state = models.CharField(_("state"), max_length=20, choices=State, default=State.NEVER_TESTED)
    state_since = models.DateTimeField(_("since"), auto_now_add=True)
    issue_code = models.CharField(_("issue"), max_length=60, blank=True)
    issue_detail = models.TextField(_("detail"), blank=True)

    due_at = models.DateTimeField(_("next run"), null=True)
    not_before = models.DateTimeField(_("held back until"), null=True)
    # When the next attempt at a mail that was written in the CRM is due: an idle run asks nobody else whether there is one.
    mail_due_at = models.DateTimeField(_("next mail to send"), null=True)
    interval_s = models.PositiveIntegerField(_("interval"), null=True)
    interval_reason = models.CharField(_("reason for the interval"), max_length=300, blank=True)
    arrivals = models.JSONField(_("recent arrivals"), default=list, blank=True)
    failures = models.PositiveIntegerField(_("failures in a row"), default=0)

    first_sync_done = models.BooleanField(_("first sync done"), default=False)
    backlog = models.BooleanField(_("more to come"), default=False)
    # Start of the last run that reached its server: what the promise is measured from (design §5).
    attempted_at = models.DateTimeField(_("last start"), null=True)
    # Since when the promise is owed: the last such start, or the later moment from which nothing but crmsync keeps the
    # next one away (turned on, resumed, repaired). None while it is not owed: not on, or waiting for a person.
    measured_from = models.DateTimeField(_("promise owed since"), null=True)
    synced_at = models.DateTimeField(_("last success"), null=True)
    full_pass_at = models.DateTimeField(_("last full pass"), null=True)
    # When somebody last asked for one (`mailboxes.intents.want_full_pass`): a run that began before does not count.
    full_pass_asked_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(_("added"), auto_now_add=True)

    class Meta:
        """Found by address; claimed by due time."""

        ordering = ["address"]
        constraints = [models.UniqueConstraint(Lower("address"), name="mailbox_address_once")]
        indexes = [
            models.Index(fields=["due_at"], name="mailbox_due", condition=models.Q(intent=Intent.ON)),
            models.Index(
                fields=["server", "due_at"], name="mailbox_due_of_server", condition=models.Q(intent=Intent.ON)
            ),
            models.Index(fields=["state"], name="mailbox_state"),
            models.Index(fields=["owner"], name="mailbox_owner"),
        ]

    def __str__(self) -> str:
        """Return the address."""
        return self.address

    @property
    def effective_track(self) -> str:
        """Return the tracking option in force: the mailbox's own, unless its sync profile locks it, else the profile's."""
        profile = self.sync_profile
        return profile.track if profile.track_locked else self.track or profile.track


class Folder(models.Model):
    """A folder of a mailbox, bound to the folder's id (survives rename and move), with the cursor of a followed one.

    `attempts` counts pages begun and not ended since the last page that was stored: it is written before a page's
    items are read, so that an item that kills its worker is found and set aside; `careful` is how many items are then
    still to be read one by one.
    `listing_before` is set while an expired cursor is being replaced: items are then matched by stable keys.
    """

    mailbox = models.ForeignKey(Mailbox, on_delete=models.CASCADE, related_name="folders")
    provider_id = models.CharField(max_length=1000)
    name = models.CharField(_("name"), max_length=400)
    role = models.CharField(_("role"), max_length=10, choices=[(r.value, r.value) for r in FolderRole])
    parent_id_at_provider = models.CharField(max_length=1000, blank=True)
    followed = models.BooleanField(_("followed"), default=False)
    # Holds entries that are kept in step with records (`Mailbox.entries`); mail is read from followed folders only.
    in_step = models.BooleanField(_("kept in step"), default=False)
    cursor = models.TextField(null=True)  # noqa: DJ001 -- None (from the beginning) is not an empty cursor
    counters = models.CharField(max_length=200, blank=True)
    more = models.BooleanField(default=False)
    listing_before = models.DateTimeField(null=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    careful = models.PositiveSmallIntegerField(default=0)
    changed_at = models.DateTimeField(_("last change"), null=True)
    synced_at = models.DateTimeField(_("last read"), null=True)
    gone_at = models.DateTimeField(_("gone since"), null=True)
    issue_code = models.CharField(_("issue"), max_length=60, blank=True)

    # Counts that tracking writes with each page.
    total = models.PositiveIntegerField(_("in Exchange"), null=True)
    tracked = models.PositiveIntegerField(_("tracked"), default=0)
    refused = models.PositiveIntegerField(_("refused"), default=0)
    quarantined = models.PositiveIntegerField(_("quarantined"), default=0)
    discarded = models.PositiveIntegerField(_("discarded"), default=0)

    class Meta:
        """One row per folder id and mailbox."""

        ordering = ["mailbox", "role", "name"]
        constraints = [models.UniqueConstraint(fields=["mailbox", "provider_id"], name="folder_once")]

    def __str__(self) -> str:
        """Return the folder's name."""
        return self.name
