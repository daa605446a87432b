"""Records and entries that are kept in step: the links, what both sides last agreed on, and what both changed."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from mailboxes.models import Folder, Mailbox, Run, SyncProfile


class LinkedKind(models.TextChoices):
    """The kinds that flow both ways; the values are those of `mailboxes.provider.entries.EntryKind`."""

    APPOINTMENT = "appointment", _("appointment")
    CONTACT = "contact", _("contact")
    TASK = "task", _("task")


SIDES = [("crm", _("the CRM")), ("exchange", _("Exchange"))]


class ItemLink(models.Model):
    """A record and its entry in one mailbox.

    Made before the entry is: `stamp` is written on the entry, so that after a crash it is found and not made twice.
    A link that ended stays (`unlinked_at`, `reason`): what its owner threw away is not made again. `gone_at`: the entry
    left its folder; a move looks like that, so nothing is done about it at once.
    `base` is what both sides last agreed on, `withheld` which changed fields stayed where they were, and why.
    `exceptions_base` and `exceptions_withheld` say the same of the exceptions of a series, by their original start (ISO
    8601, UTC); `exceptions_base` is None until exceptions were first compared.
    """

    mailbox = models.ForeignKey(Mailbox, on_delete=models.CASCADE, related_name="links")
    kind = models.CharField(_("kind"), max_length=12, choices=LinkedKind)
    record_id = models.PositiveBigIntegerField()
    stamp = models.CharField(max_length=40, unique=True)
    folder = models.ForeignKey(Folder, on_delete=models.SET_NULL, null=True, related_name="+")
    # Its owner has a copy of the entry: the stamp alone does not say any more which of them was thrown away.
    copied = models.BooleanField(default=False)
    # Empty until the entry exists.
    item_id = models.CharField(max_length=1000, blank=True)
    change_key = models.CharField(max_length=400, blank=True)
    uid = models.CharField(max_length=400, blank=True)
    base = models.JSONField(default=dict)
    withheld = models.JSONField(default=dict)
    exceptions_base = models.JSONField(null=True)
    exceptions_withheld = models.JSONField(default=dict)
    # When the record was last changed, as of the last comparison: what is newer is to be compared again.
    record_seen_at = models.DateTimeField(null=True)
    # Which side was there first: what its owner had tracked stays linked whatever the filters say.
    born_in = models.CharField(max_length=10, choices=SIDES, default="crm")
    linked_at = models.DateTimeField(_("linked"))
    synced_at = models.DateTimeField(_("last compared"), null=True)
    gone_at = models.DateTimeField(_("entry gone since"), null=True)
    unlinked_at = models.DateTimeField(_("link ended"), null=True)
    reason = models.CharField(_("reason"), max_length=60, blank=True)

    class Meta:
        """One link per record and mailbox, one per entry."""

        constraints = [
            models.UniqueConstraint(fields=["mailbox", "kind", "record_id"], name="link_of_record_once"),
            models.UniqueConstraint(
                fields=["mailbox", "item_id"], name="link_of_item_once", condition=~models.Q(item_id="")
            ),
        ]
        indexes = [
            models.Index(fields=["kind", "record_id"], name="link_of_record"),
            models.Index(fields=["uid"], name="link_of_meeting", condition=~models.Q(uid="")),
            models.Index(
                fields=["mailbox", "kind"],
                name="link_waiting",
                condition=models.Q(unlinked_at=None) & (models.Q(item_id="") | models.Q(gone_at__isnull=False)),
            ),
        ]

    def __str__(self) -> str:
        """Return what is linked."""
        return f"{self.kind} {self.record_id} in mailbox {self.mailbox_id}"


class LinkState(models.Model):
    """How far one kind is kept in step in one mailbox, and whether the deletion brake holds.

    Records changed since `records_seen_at` are to be looked at. `brake` lists what would be deleted; until somebody
    releases it, nothing is.
    """

    mailbox = models.ForeignKey(Mailbox, on_delete=models.CASCADE, related_name="link_states")
    kind = models.CharField(_("kind"), max_length=12, choices=LinkedKind)
    records_seen_at = models.DateTimeField(null=True)
    braked_at = models.DateTimeField(_("brake holds since"), null=True)
    brake = models.JSONField(default=list, blank=True)
    released_at = models.DateTimeField(_("brake released"), null=True)
    released_by = models.CharField(_("released by"), max_length=150, blank=True)
    # A digest of the directions and rights that pairs were last compared under: under others, all are compared again.
    rules = models.CharField(max_length=64, blank=True)

    class Meta:
        """One per mailbox and kind."""

        constraints = [models.UniqueConstraint(fields=["mailbox", "kind"], name="link_state_once")]

    def __str__(self) -> str:
        """Return what it is about."""
        return f"{self.kind} of mailbox {self.mailbox_id}"


class FieldConflict(models.Model):
    """A field that both sides changed: both values, both times, who won; the other value can be had back (design §4)."""

    link = models.ForeignKey(ItemLink, on_delete=models.CASCADE, related_name="conflicts")
    run = models.ForeignKey(Run, on_delete=models.SET_NULL, null=True, related_name="+")
    field = models.CharField(_("field"), max_length=40)
    # Of one occurrence of a series: the start it would have had.
    original = models.DateTimeField(null=True)
    base = models.JSONField(null=True)
    ours = models.JSONField(null=True)
    theirs = models.JSONField(null=True)
    ours_at = models.DateTimeField()
    theirs_at = models.DateTimeField()
    winner = models.CharField(max_length=10, choices=SIDES)
    found_at = models.DateTimeField(_("found"))
    undone_at = models.DateTimeField(_("undone"), null=True)
    undone_by = models.CharField(_("undone by"), max_length=150, blank=True)

    class Meta:
        """Latest first."""

        ordering = ["-found_at", "-pk"]

    def __str__(self) -> str:
        """Return the field."""
        return self.field


class SyncFilter(models.Model):
    """Which records of a kind flow into mailboxes: conditions, clicked together (`tracking.sync.filters`).

    `mailbox` None: a system filter of the sync profile, which narrows what every owner's filters let through; of kind
    template, it is copied for each mailbox that is added. `examples`: records that must and must not fit.
    """

    class Scope(models.TextChoices):
        """Whose it is."""

        SYSTEM = "system", _("system")
        OWNER = "owner", _("owner")
        TEMPLATE = "template", _("template")

    scope = models.CharField(_("scope"), max_length=10, choices=Scope)
    sync_profile = models.ForeignKey(SyncProfile, on_delete=models.CASCADE, related_name="filters", null=True)
    mailbox = models.ForeignKey(Mailbox, on_delete=models.CASCADE, related_name="filters", null=True)
    kind = models.CharField(_("kind"), max_length=12, choices=LinkedKind)
    name = models.CharField(_("name"), max_length=100)
    excludes = models.BooleanField(_("keeps out what fits"), default=False)
    conditions = models.JSONField(default=dict)
    active = models.BooleanField(_("active"), default=True)
    examples = models.JSONField(default=list, blank=True)

    class Meta:
        """An owner's filter has a mailbox, the others a sync profile."""

        ordering = ["kind", "name"]
        constraints = [
            models.CheckConstraint(
                name="filter_of_profile_or_mailbox",
                condition=models.Q(scope="owner", mailbox__isnull=False, sync_profile=None)
                | models.Q(~models.Q(scope="owner"), mailbox=None, sync_profile__isnull=False),
            )
        ]

    def __str__(self) -> str:
        """Return the name."""
        return self.name


class FieldDirection(models.Model):
    """A direction that differs from the default, for the mailboxes of a sync profile (`tracking.sync.directions`)."""

    sync_profile = models.ForeignKey(SyncProfile, on_delete=models.CASCADE, related_name="directions")
    kind = models.CharField(_("kind"), max_length=12, choices=LinkedKind)
    field = models.CharField(_("field"), max_length=40)
    direction = models.CharField(_("direction"), max_length=12)

    class Meta:
        """One per field."""

        constraints = [
            models.UniqueConstraint(fields=["sync_profile", "kind", "field"], name="direction_once"),
        ]

    def __str__(self) -> str:
        """Return field and direction."""
        return f"{self.field}: {self.direction}"
