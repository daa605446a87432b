"""What a policy says of the mail of the last days in one mailbox. Nothing is written, and no content is asked for.

Of tracked messages it is judged from what is stored; each as if it came now and everything else were as it is. Of refused
ones only hashes are kept, so their envelopes are read again, held in memory, and planned as a run would plan them: what
it would track on the way counts as tracked for what comes later.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final

from django.db.models import Q, QuerySet

from mailboxes.models import Folder, Mailbox, SyncProfile
from mailboxes.provider.entries import HOMES
from mailboxes.provider.errors import ItemUnreadable
from mailboxes.provider.port import Address, Envelope, FolderRole, MailProvider
from tracking.dryrun.outcomes import Answer
from tracking.engine.content import read_envelopes
from tracking.engine.folder_rules import rule_in
from tracking.engine.lookups import known_messages, rules_of
from tracking.engine.pipeline import PAGE_ITEMS
from tracking.models import Activity, ItemDecision, Participant, PolicyChange
from tracking.sync import identity
from tracking.sync.decide import Correlated, correlate, promote
from tracking.sync.facts import FolderRule, Known, KnownActivity, Outcome, Reason, RecordRef, Rules
from tracking.sync.plan import Action, Link, Refuse, Track, plan_page

# Refusals that a policy can turn; the others hold whatever it says (not mail, private, a stopped thread).
_BY_POLICY: Final = (
    Reason.BLOCKED, Reason.AUTOMATED, Reason.INTERNAL, Reason.TRACKING_OFF, Reason.NOT_A_REPLY, Reason.NO_RECORD,
)  # fmt: skip
# What its owner asked for by hand stays, whatever the policy says.
_BY_HAND: Final = (Reason.TRACKED_FOLDER, Reason.MARKED)
_TRACKED_AT_ONCE: Final = 500
_ORDER: Final = {FolderRole.INBOX.value: 0, FolderRole.SENT.value: 1}


def refused(mailboxes: QuerySet[Mailbox], since: datetime) -> QuerySet[ItemDecision]:
    """Return the refusals of the window that a policy can turn, of mail that is still where it was."""
    return _of_mail(mailboxes, since).filter(outcome=Outcome.REFUSED, reason__in=_BY_POLICY)


def tracked(mailboxes: QuerySet[Mailbox], since: datetime) -> QuerySet[ItemDecision]:
    """Return the decisions of the window by which a message was tracked of itself."""
    found = _of_mail(mailboxes, since).filter(outcome=Outcome.TRACKED, activity__isnull=False)
    return found.exclude(reason__in=_BY_HAND)


def _of_mail(mailboxes: QuerySet[Mailbox], since: datetime) -> QuerySet[ItemDecision]:
    # With its channel off nothing of mail is read, and no policy changes that (S15).
    read = mailboxes.filter(incoming=True).order_by().values("pk")
    followed = Folder.objects.filter(mailbox__in=read, followed=True, gone_at=None).exclude(role__in=HOMES)
    return ItemDecision.objects.filter(
        mailbox__in=read, decided_at__gte=since, folder__in=followed.order_by().values("pk")
    )


def not_automated_since(profile: SyncProfile) -> datetime | None:
    """Return since when no automated mail was tracked by the profile; None: it may be now."""
    if not profile.exclude_automated:
        return None
    for change in PolicyChange.objects.filter(sync_profile=profile).order_by("-published_at", "-pk"):
        if change.before["settings"].get("exclude_automated") is False:
            return change.published_at
    return datetime.min.replace(tzinfo=UTC)


def unclear(rows: QuerySet[ItemDecision], since: datetime | None, *, exclude_automated: bool) -> QuerySet[ItemDecision]:
    """Return the tracked ones of which what is stored does not say enough: whether a program sent them."""
    if not exclude_automated:
        return rows.none()
    return rows if since is None else rows.filter(activity__tracked_at__lt=since)


@dataclass(slots=True)
class Judge:
    """Answers by one policy, for mailbox after mailbox; what it would track counts for what comes later."""

    activities: dict[str, KnownActivity] = field(default_factory=dict)
    conversations: dict[str, KnownActivity] = field(default_factory=dict)

    def plan(
        self, mailbox: Mailbox, folder: Folder, answers: Sequence[tuple[str, Envelope | ItemUnreadable]]
    ) -> dict[str, Answer]:
        """Return the answer for each item of a page."""
        rules = rules_of(mailbox)
        readable = [answer for _item_id, answer in answers if isinstance(answer, Envelope)]
        known = known_messages(mailbox, readable)
        known = replace(
            known,
            activities={**self.activities, **known.activities},
            conversations={**self.conversations, **known.conversations},
        )
        plan = plan_page(
            answers,
            sent=folder.role == FolderRole.SENT,
            rules=rules,
            known=known,
            folder=rule_in(folder, mailbox.owner),
        )
        return dict(self._noted(mailbox, action) for action in plan.actions)

    def _noted(self, mailbox: Mailbox, action: Action) -> tuple[str, Answer]:
        match action:
            case Track():
                tracked = KnownActivity(action.message_key, mailboxes=frozenset({mailbox.pk}))
                self.activities[action.message_key] = tracked
                if key := identity.conversation_key(action.envelope):
                    self.conversations[key] = tracked
                return action.envelope.item_id, Answer(kept=True, reason=action.reason)
            case Link():
                return action.envelope.item_id, Answer(kept=True, reason=action.reason)
            case Refuse():
                return action.item_id, Answer(kept=False, reason=action.reason)
        return action.item_id, Answer(kept=None)


def of_refused(
    policies: Sequence[tuple[Judge, Mailbox]],
    rows: Sequence[ItemDecision],
    provider: MailProvider,
    *,
    beat: Callable[[], None],
) -> list[dict[int, Answer]]:
    """Return the answers for refused items, by decision, for each of the policies: read once, judged by all."""
    found: list[dict[int, Answer]] = [{} for _policy in policies]
    for folder, part in _pages(rows):
        answers = read_envelopes(provider, [row.item_id for row in part], beat=beat)
        for (judge, mailbox), told in zip(policies, found, strict=True):
            by_item = judge.plan(mailbox, folder, answers)
            told.update({row.pk: by_item.get(row.item_id, Answer(kept=None)) for row in part})
    return found


def _pages(rows: Sequence[ItemDecision]) -> Iterator[tuple[Folder, list[ItemDecision]]]:
    """Yield the items folder by folder, in pages as a run reads them."""
    by_folder: dict[Folder, list[ItemDecision]] = {}
    for row in rows:
        if row.folder is not None:
            by_folder.setdefault(row.folder, []).append(row)
    for folder in sorted(by_folder, key=lambda each: (_ORDER.get(each.role, 2), each.pk)):
        for start in range(0, len(by_folder[folder]), PAGE_ITEMS):
            yield folder, by_folder[folder][start : start + PAGE_ITEMS]


def of_tracked(
    mailboxes: Sequence[Mailbox],
    rows: QuerySet[ItemDecision],
    unclear_ids: set[int],
    read: Mapping[str, Envelope],
) -> list[dict[int, Answer]]:
    """Return the answers for tracked messages, by decision, for each policy (a mailbox with its sync profile).

    `unclear_ids`: decisions of which what is stored says too little; `read` are the envelopes of those that were read.
    """
    found: list[dict[int, Answer]] = [{} for _mailbox in mailboxes]
    ids = list(rows.order_by("pk").values_list("pk", flat=True))
    for start in range(0, len(ids), _TRACKED_AT_ONCE):
        part = list(
            ItemDecision.objects.filter(pk__in=ids[start : start + _TRACKED_AT_ONCE])
            .select_related("folder", "activity", "activity__parent")
            .prefetch_related("activity__participants")
        )
        stored = [_Stored.of(row, read) for row in part]
        others = _others([each.activity for each in stored])
        folders = {row.folder for row in part if row.folder is not None}
        in_folder = {folder.pk: rule_in(folder, mailboxes[0].owner) for folder in folders}
        for mailbox, told in zip(mailboxes, found, strict=True):
            known = known_messages(mailbox, [each.envelope for each in stored])
            rules = rules_of(mailbox)
            for each in stored:
                untold = each.row.pk in unclear_ids and each.row.item_id not in read
                told[each.row.pk] = Answer(kept=None) if untold else each.answer(rules, known, others, in_folder)
    return found


@dataclass(frozen=True, slots=True)
class _Stored:
    row: ItemDecision
    activity: Activity
    envelope: Envelope

    @classmethod
    def of(cls, row: ItemDecision, read: Mapping[str, Envelope]) -> "_Stored":
        if row.activity is None:
            raise ValueError("a message that was tracked has its activity")
        return cls(row, row.activity, read.get(row.item_id) or _envelope(row, row.activity))

    def answer(
        self, rules: Rules, known: Known, others: "_Others", in_folder: Mapping[int, FolderRule | None]
    ) -> Answer:
        folder = self.row.folder
        verdict = promote(
            self.envelope,
            sent=folder is not None and folder.role == FolderRole.SENT,
            rules=rules,
            known=known,
            found=self._found(rules, known, others),
            folder=in_folder[folder.pk] if folder is not None else None,
        )
        return Answer(kept=verdict.outcome is Outcome.TRACKED, reason=verdict.reason)

    def _found(self, rules: Rules, known: Known, others: "_Others") -> Correlated | None:
        """Return what it answers, apart from itself: in the engine's order, from what is stored."""
        own = self.activity
        bare = replace(
            known,
            activities={key: each for key, each in known.activities.items() if each.id != own.pk},
            conversations={},
            similar={},
        )
        if by_name := correlate(self.envelope, bare, rules):
            return by_name
        if own.parent is not None and own.correlation == "token":
            return Correlated(_known(own.parent), own.correlation)
        if answered := others.answered(own):
            return Correlated(_known(answered), "reply_headers")
        if in_conversation := others.in_conversation(own):
            return Correlated(_known(in_conversation), "conversation")
        similar = {
            words: tuple(each for each in alike if each.activity.id != own.pk) for words, alike in known.similar.items()
        }
        return correlate(self.envelope, replace(bare, similar=similar), rules)


def _known(activity: Activity) -> KnownActivity:
    regarding = RecordRef(activity.regarding_kind, activity.regarding_id) if activity.regarding_id is not None else None
    return KnownActivity(activity.message_key, activity.pk, regarding)


def _envelope(row: ItemDecision, activity: Activity) -> Envelope:
    """Return as much of the envelope as is stored of a tracked message."""
    people: dict[str, list[Address]] = {}
    for person in activity.participants.all():
        people.setdefault(person.role, []).append(Address(person.email, person.name))
    parent = activity.parent if activity.correlation == "reply_headers" else None
    return Envelope(
        item_id=row.item_id,
        change_key=row.change_key,
        sender=next(iter(people.get(Participant.Role.FROM, [])), None),
        to=tuple(people.get(Participant.Role.TO, [])),
        cc=tuple(people.get(Participant.Role.CC, [])),
        bcc=tuple(people.get(Participant.Role.BCC, [])),
        subject=activity.subject,
        received_at=activity.received_at,
        message_id=activity.message_id,
        in_reply_to=parent.message_id if parent is not None else "",
    )


@dataclass(frozen=True, slots=True)
class _Others:
    """The other messages of the threads and conversations concerned."""

    threads: Mapping[int, list[Activity]]
    conversations: Mapping[str, list[Activity]]

    def answered(self, activity: Activity) -> Activity | None:
        """Return the message of its thread that it answers: it was tracked later, so nothing points to it. Two answers to
        a message that is not tracked are of one thread as well, and answer nothing of it.
        """
        of_thread = self.threads.get(activity.thread_id, []) if activity.answers else []
        return next((each for each in of_thread if each.message_key == activity.answers), None)

    def in_conversation(self, activity: Activity) -> Activity | None:
        """Return another message of its conversation."""
        of_conversation = self.conversations.get(activity.conversation_key, []) if activity.conversation_key else []
        return next((each for each in of_conversation if each.pk != activity.pk), None)


def _others(activities: Iterable[Activity]) -> _Others:
    found = list(activities)
    keys = {each.conversation_key for each in found if each.conversation_key}
    near = Activity.objects.filter(
        Q(thread__in={each.thread_id for each in found}) | Q(conversation_key__in=keys)
    ).only("thread", "conversation_key", "message_key", "received_at", "regarding_kind", "regarding_id")
    threads: dict[int, list[Activity]] = {}
    conversations: dict[str, list[Activity]] = {}
    for each in near.order_by("-received_at", "-pk"):
        threads.setdefault(each.thread_id, []).append(each)
        if each.conversation_key:
            conversations.setdefault(each.conversation_key, []).append(each)
    return _Others(threads, conversations)
