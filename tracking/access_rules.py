"""Who may read tracked mail and records.

Mail: the owner of a mailbox that holds it, and people with the privilege to read every thread. A thread shows exactly
those of its messages that the person may read. A blind copy is known to the sender and to whoever got it: the copy that
was tracked may be the sender's, and those who hold another must not learn from it what theirs does not say. Decisions,
failures and links go with their mailbox: they say nothing of the mail itself. Records, appointments and tasks: their
owner, and people with the privilege to read every record; on every route, matching of addresses included (design §4).
Senders that no record knows are mail, too: for the owner of the mailbox they wrote to, and who may read every thread.
"""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Lower

from mailboxes.models import Mailbox
from security import privileges
from security.access import register, visible
from security.models import User
from tracking.models import (
    Account,
    Activity,
    AddressChoice,
    AddressMatch,
    Appointment,
    AppointmentFile,
    Attachment,
    Attendance,
    Backfill,
    Canary,
    Case,
    Contact,
    DryRun,
    EmailBody,
    FieldConflict,
    FilesInStep,
    Holder,
    IgnoredDomain,
    ItemDecision,
    ItemFailure,
    ItemLink,
    Lead,
    LinkState,
    OccurrenceChange,
    Opportunity,
    OutgoingMail,
    Participant,
    PolicyChange,
    PolicyDraft,
    ProfileEvent,
    Reconciliation,
    Task,
    Thread,
    ThreadStop,
    TrackedFolder,
    TrackingCategory,
    TrackingEvent,
    UnknownSender,
)
from tracking.models.record import Owned

Record = TypeVar("Record", bound=Owned)


def _reads_all(user: User) -> bool:
    return user.has_perm(privileges.READ_ALL_THREADS)


def _activities(user: User) -> QuerySet[Activity]:
    if _reads_all(user):
        return Activity.objects.all()
    return Activity.objects.filter(Exists(Holder.objects.filter(activity=OuterRef("pk"), mailbox__owner=user)))


def _threads(user: User) -> QuerySet[Thread]:
    if _reads_all(user):
        return Thread.objects.all()
    return Thread.objects.filter(Exists(_activities(user).filter(thread=OuterRef("pk"))))


def _of_activity(model: type[Any]) -> Callable[[User], QuerySet[Any]]:
    def rule(user: User) -> QuerySet[Any]:
        rows: QuerySet[Any] = model._default_manager.all()
        if _reads_all(user):
            return rows
        holding = Holder.objects.filter(activity=OuterRef("activity"), mailbox__owner=user)
        return rows.filter(Exists(holding))

    return rule


def _participants(user: User) -> QuerySet[Participant]:
    if _reads_all(user):
        return Participant.objects.all()
    holding = Holder.objects.filter(activity=OuterRef("activity"), mailbox__owner=user)
    told = holding.alias(address=Lower("mailbox__address")).filter(
        Q(address=Lower(OuterRef("activity__sender_email"))) | Q(address=Lower(OuterRef("email")))
    )
    return Participant.objects.filter(Exists(holding)).filter(~Q(role=Participant.Role.BCC) | Exists(told))


def _of_mailbox(model: type[Any]) -> Callable[[User], QuerySet[Any]]:
    def rule(user: User) -> QuerySet[Any]:
        rows: QuerySet[Any] = model._default_manager.all()
        return rows.filter(mailbox__in=visible(user, Mailbox).order_by().values("pk"))

    return rule


def _records(model: type[Record]) -> Callable[[User], QuerySet[Record]]:
    def rule(user: User) -> QuerySet[Record]:
        rows: QuerySet[Record] = model._default_manager.all()
        kept = rows.filter(deleted_at=None)
        return kept if user.has_perm(privileges.READ_ALL_RECORDS) else kept.filter(owner=user)

    return rule


def _of_appointment(model: type[Any]) -> Callable[[User], QuerySet[Any]]:
    def rule(user: User) -> QuerySet[Any]:
        rows: QuerySet[Any] = model._default_manager.all()
        return rows.filter(appointment__in=visible(user, Appointment).order_by().values("pk"))

    return rule


def _outgoing(user: User) -> QuerySet[OutgoingMail]:
    """Drafts are their author's alone; what was to be sent is known to the mailbox's owner, too, as what is sent is."""
    drafts = Q(state=OutgoingMail.State.DRAFT)
    if _reads_all(user):
        return OutgoingMail.objects.filter(~drafts | Q(author=user))
    # Two ways, each by its own index: asked for in one, every mail of the organisation would be looked at.
    written = OutgoingMail.objects.filter(author=user).order_by().values("pk")
    held = OutgoingMail.objects.filter(~drafts, mailbox__owner=user).order_by().values("pk")
    return OutgoingMail.objects.filter(pk__in=written.union(held))


def _files_in_step(user: User) -> QuerySet[FilesInStep]:
    return FilesInStep.objects.filter(link__in=visible(user, ItemLink).order_by().values("pk"))


def _conflicts(user: User) -> QuerySet[FieldConflict]:
    return FieldConflict.objects.filter(link__in=visible(user, ItemLink).order_by().values("pk"))


def holds(user: User, activities: Iterable[int]) -> bool:
    """Return whether mailboxes of `user` hold every one of these messages."""
    ids = set(activities)
    held = Holder.objects.filter(activity__in=ids, mailbox__owner=user).order_by().values("activity").distinct().count()
    return held == len(ids)


def may_arrange(user: User, activities: Iterable[int]) -> bool:
    """Return whether `user`, who may read these messages, may say which thread they are in and what they are about."""
    return user.has_perm(privileges.MANAGE_THREADS) or holds(user, activities)


def _unknown_senders(user: User) -> QuerySet[UnknownSender]:
    return UnknownSender.objects.all() if _reads_all(user) else UnknownSender.objects.filter(mailbox__owner=user)


def _ignored_domains(user: User) -> QuerySet[IgnoredDomain]:
    every = _reads_all(user) and user.has_perm(privileges.MANAGE_THREADS)
    return IgnoredDomain.objects.all() if every else IgnoredDomain.objects.filter(mailbox__owner=user)


def _choices(user: User) -> QuerySet[AddressChoice]:
    every = _reads_all(user) and user.has_perm(privileges.MANAGE_THREADS)
    return AddressChoice.objects.all() if every else AddressChoice.objects.filter(owner=user)


def _stops(user: User) -> QuerySet[ThreadStop]:
    seen = ThreadStop.objects.filter(thread__in=visible(user, Thread).order_by().values("pk"))
    return seen.filter(Q(mailbox=None) | Q(mailbox__in=visible(user, Mailbox).order_by().values("pk")))


def _events(user: User) -> QuerySet[TrackingEvent]:
    """Return what was done to messages they may read, but not by whose mailbox if that is none of theirs to see."""
    rows = TrackingEvent.objects.filter(Exists(_activities(user).filter(pk=OuterRef("activity_id"))))
    if _reads_all(user):
        rows = TrackingEvent.objects.all()
    else:
        # An address is told to those whom the message tells it: not that of a blind copy of others.
        named = _participants(user).alias(address=Lower("email"))
        told = named.filter(activity=OuterRef("activity_id"), address=OuterRef("about"))
        rows = rows.alias(about=KeyTextTransform("address", "facts")).filter(
            ~Q(facts__has_key="address") | Exists(told)
        )
    return rows.filter(Q(mailbox_id=None) | Q(mailbox_id__in=visible(user, Mailbox).order_by().values("pk")))


def _matches(user: User) -> QuerySet[AddressMatch]:
    """When a record was matched is known to those who see the record; how many messages of others were, is not shown."""
    seen = Q(pk=None)
    for kind, model in (("contact", Contact), ("lead", Lead), ("account", Account), ("case", Case)):
        seen |= Q(record_kind=kind, record_id__in=visible(user, model).order_by().values("pk"))
    return AddressMatch.objects.filter(seen)


def _drafts(user: User) -> QuerySet[PolicyDraft]:
    """Return drafts of policy: of sync profiles for those who manage them, of a mailbox's filters for its owner."""
    mine = Q(mailbox__owner=user)
    return PolicyDraft.objects.filter(mine | Q(mailbox=None) if user.has_perm(privileges.MANAGE_POLICY) else mine)


def _dry_runs(user: User) -> QuerySet[DryRun]:
    return DryRun.objects.filter(draft__in=visible(user, PolicyDraft).order_by().values("pk"))


def _policy_changes(user: User) -> QuerySet[PolicyChange]:
    """Return what was published: of a mailbox for those who see it, of sync profiles for managers and auditors."""
    seen = Q(mailbox__in=visible(user, Mailbox).order_by().values("pk"))
    every = user.has_perm(privileges.MANAGE_POLICY) or user.has_perm(privileges.READ_DIAGNOSTICS)
    return PolicyChange.objects.filter(seen | Q(mailbox=None) if every else seen)


def _profile_events(user: User) -> QuerySet[ProfileEvent]:
    """Return what was done with sync profiles as a whole, for managers and auditors; of a mailbox for those who see it."""
    if not (user.has_perm(privileges.MANAGE_POLICY) or user.has_perm(privileges.READ_DIAGNOSTICS)):
        return ProfileEvent.objects.none()
    seen = Q(mailbox__in=visible(user, Mailbox).order_by().values("pk"))
    return ProfileEvent.objects.filter(seen | Q(mailbox=None))


register(Activity, _activities)
register(Thread, _threads)
register(Participant, _participants)
for _model in (EmailBody, Attachment):
    register(_model, _of_activity(_model))
for _of in (
    Canary,
    ItemDecision,
    ItemFailure,
    Reconciliation,
    Holder,
    ItemLink,
    LinkState,
    TrackedFolder,
    TrackingCategory,
):
    register(_of, _of_mailbox(_of))
for _kind in (Account, Contact, Lead, Opportunity, Case, Appointment, Task):
    register(_kind, _records(_kind))
for _part in (AppointmentFile, Attendance, OccurrenceChange):
    register(_part, _of_appointment(_part))
register(FieldConflict, _conflicts)
register(FilesInStep, _files_in_step)
register(OutgoingMail, _outgoing)
register(UnknownSender, _unknown_senders)
register(Backfill, _of_mailbox(Backfill))
register(AddressMatch, _matches)
register(IgnoredDomain, _ignored_domains)
register(AddressChoice, _choices)
register(ThreadStop, _stops)
register(TrackingEvent, _events)
register(PolicyDraft, _drafts)
register(DryRun, _dry_runs)
register(PolicyChange, _policy_changes)
register(ProfileEvent, _profile_events)
