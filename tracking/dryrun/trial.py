"""One dry run from end to end: which mailboxes, what must be read, and the outcomes. Writes nothing anywhere (S16)."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from django.db.models import QuerySet

from mailboxes.models import Mailbox, SyncProfile
from mailboxes.provider.entries import EntryKind
from mailboxes.provider.errors import ProviderError
from mailboxes.provider.port import Envelope
from mailboxes.provider.writing import WholeProvider
from mailboxes.states import Intent
from security.secrets import SecretUnreadable
from tracking.dryrun import mail, outcomes, records
from tracking.dryrun.closed import Closed
from tracking.dryrun.outcomes import Answer, Outcomes
from tracking.dryrun.policies import Policy, in_force, proposed
from tracking.engine.content import read_envelopes
from tracking.engine.faults import SecretLost
from tracking.models import ItemDecision, ItemLink
from tracking.policy.document import Document, Subject, unsaved_profile
from tracking.policy.document import in_force as document_in_force
from tracking.policy.drafts import changes_mail

# Envelopes and entries that one dry run reads at most: about what a hundred requests bring.
MOST_READ: Final = 5_000
MOST_DAYS: Final = 365

OpenProvider = Callable[[Mailbox], WholeProvider]


@dataclass(frozen=True, slots=True)
class Cost:
    """What a dry run asks for: messages judged from what is stored, items that would have to be read from Exchange."""

    stored: int
    reads: int
    mailboxes: int


@dataclass(slots=True)
class Result:
    """Outcomes; what was read and what was not for the cap's sake; mailboxes that could not be read, by error."""

    outcomes: Outcomes = field(default_factory=Outcomes)
    read: int = 0
    not_read: int = 0
    errors: dict[int, str] = field(default_factory=dict)


class Trial:
    """A document tried over the last days. `now` is what time it is throughout."""

    def __init__(self, subject: Subject, document: Document, *, days: int, now: datetime) -> None:
        self.subject, self.document, self.now = subject, document, now
        self.since = now - timedelta(days=min(max(days, 1), MOST_DAYS))
        self.concerns_mail = isinstance(subject, SyncProfile) and changes_mail(document_in_force(subject), document)
        self._settled = mail.not_automated_since(subject) if isinstance(subject, SyncProfile) else None

    def mailboxes(self) -> QuerySet[Mailbox]:
        """Return the mailboxes that the change concerns: those that sync, or are paused."""
        found = Mailbox.objects.filter(intent__in=(Intent.ON, Intent.PAUSED)).order_by("pk")
        found = (
            found.filter(sync_profile=self.subject)
            if isinstance(self.subject, SyncProfile)
            else found.filter(pk=self.subject.pk)
        )
        # Secrets are decrypted when they are used: one that cannot be is its own mailbox's trouble.
        return found.select_related("server", "sync_profile", "owner").defer("secret", "server__secret")

    def policies(self) -> Iterator[tuple[Policy, Policy]]:
        """Yield each mailbox's policy as it is and as it would be."""
        for mailbox in self.mailboxes().iterator(chunk_size=200):
            present = in_force(mailbox)
            yield present, proposed(present, self.subject, self.document)

    def cost(self) -> Cost:
        """Return what the dry run would ask for: counts, and as many queries whatever the number of mailboxes."""
        boxes = self.mailboxes()
        stored = reads = 0
        # Directions are the profile's: which kinds are turned is the same for all of its mailboxes.
        one = next(self.policies(), None)
        if one is not None and (kinds := records.turned_kinds(*one)):
            reads += records.pairs(boxes, kinds).count()
        if self.concerns_mail:
            rows = mail.tracked(boxes, self.since)
            stored = rows.count()
            reads += mail.refused(boxes, self.since).count() + self.unclear(rows).count()
        return Cost(stored, reads, boxes.count())

    def run(
        self, open_provider: OpenProvider | None, *, progress: Callable[[int], None] = lambda _done: None,
        most_read: int = MOST_READ, listed: int | None = None,
    ) -> Result:  # fmt: skip
        """Return what the change comes to. `open_provider` None: nothing is read from Exchange, and what needs it is
        unclear. `progress` is told after each mailbox how many are done; `listed` bounds the items kept (`Outcomes`).
        """
        result = Result(Outcomes(listed))
        judges, closed = (mail.Judge(), mail.Judge()), Closed(self.now)
        for done, (before, after) in enumerate(self.policies(), start=1):
            one = _OneMailbox(self, before, after, judges, closed, result, most_read - result.read)
            one.records()
            one.from_exchange(open_provider)
            progress(done)
        return result

    def unclear(self, rows: QuerySet[ItemDecision]) -> QuerySet[ItemDecision]:
        """Return the tracked ones that must be read to be judged."""
        excluded = (
            isinstance(self.subject, SyncProfile) and unsaved_profile(self.subject, self.document).exclude_automated
        )
        return mail.unclear(rows, self._settled, exclude_automated=excluded).order_by("pk")


@dataclass(slots=True)
class _OneMailbox:
    trial: Trial
    before: Policy
    after: Policy
    judges: tuple[mail.Judge, mail.Judge]
    closed: Closed
    result: Result
    room: int
    _fates: dict[EntryKind, dict[int, outcomes.Fate]] = field(default_factory=dict)

    @property
    def pk(self) -> int:
        return self.before.mailbox.pk

    @property
    def _box(self) -> QuerySet[Mailbox]:
        return Mailbox.objects.filter(pk=self.pk)

    def records(self) -> None:
        """Compare the fates of records: what would be made, linked again, unlinked."""
        for kind in EntryKind:
            old = records.fates(self.before, kind, self.trial.now)
            self._fates[kind] = records.fates(self.after, kind, self.trial.now)
            self.result.outcomes.add(outcomes.of_records(self.pk, kind.value, old, self._fates[kind]))

    def from_exchange(self, open_provider: OpenProvider | None) -> None:
        """Judge what must be read, as far as there is room; what cannot be read is unclear."""
        turned = {
            kind: records.kept(self._fates[kind], list(records.pairs(self._box, [kind])))
            for kind in records.turned_kinds(self.before, self.after)
        }
        refusals = self._refusals()
        unclear = self._unclear()
        read: dict[str, Envelope] = {}
        wanted = open_provider is not None and bool(refusals or unclear or any(turned.values()))
        if wanted and (code := self.closed.why(self.before.mailbox)):
            self.result.errors[self.pk] = code
        elif open_provider is not None and wanted:
            try:
                provider = open_provider(self.before.mailbox)
                for kind in list(turned):
                    self._compare_pairs(kind, turned[kind], provider)
                    del turned[kind]
                self._judge_refused(refusals, provider)
                refusals = []
                read = self._envelopes(unclear, provider)
            except ProviderError as error:
                self.closed.note(self.before.mailbox, error)
                self.result.errors[self.pk] = error.code
            except SecretUnreadable:
                self.result.errors[self.pk] = SecretLost.code
        self._unread(turned, refusals)
        self._judge_tracked(unclear, read)

    def _take(self, wanted: int) -> int:
        """Return how many of so many items may still be read, and note both."""
        may = min(wanted, self.room)
        self.room -= may
        self.result.read += may
        self.result.not_read += wanted - may
        return may

    # -- pairs

    def _compare_pairs(self, kind: EntryKind, linked: list[ItemLink], provider: WholeProvider) -> None:
        part = linked[: self._take(len(linked))]
        self.result.outcomes.add(records.moves(self.before, self.after, kind, part, provider, beat=lambda: None))
        self._unclear_pairs(kind, linked[len(part) :])

    def _unclear_pairs(self, kind: EntryKind, linked: list[ItemLink]) -> None:
        self.result.outcomes.add(
            outcomes.Item(self.pk, kind.value, outcomes.Effect.UNCLEAR, link.record_id) for link in linked
        )

    def _unread(self, turned: dict[EntryKind, list[ItemLink]], refusals: list[ItemDecision]) -> None:
        for kind, linked in turned.items():
            self._unclear_pairs(kind, linked)
            self.result.not_read += len(linked)
        self._unclear_refusals(refusals)
        self.result.not_read += len(refusals)

    # -- mail

    def _refusals(self) -> list[ItemDecision]:
        if not self.trial.concerns_mail:
            return []
        return list(mail.refused(self._box, self.trial.since).select_related("folder").order_by("pk"))

    def _unclear(self) -> list[ItemDecision]:
        if not self.trial.concerns_mail:
            return []
        return list(self.trial.unclear(mail.tracked(self._box, self.trial.since)))

    def _judge_refused(self, rows: list[ItemDecision], provider: WholeProvider) -> None:
        # The latest first: they are what people remember; in a run's order all the same.
        part = rows[len(rows) - self._take(len(rows)) :]
        policies = [(self.judges[0], self.before.mailbox), (self.judges[1], self.after.mailbox)]
        old, new = mail.of_refused(policies, part, provider, beat=lambda: None)
        self.result.outcomes.add(outcomes.of_mail(self.pk, old, new, is_kept=False))
        self._unclear_refusals(rows[: len(rows) - len(part)])

    def _unclear_refusals(self, rows: list[ItemDecision]) -> None:
        untold = {row.pk: Answer(kept=None, reason=row.reason) for row in rows}
        self.result.outcomes.add(outcomes.of_mail(self.pk, untold, untold, is_kept=False))

    def _envelopes(self, rows: list[ItemDecision], provider: WholeProvider) -> dict[str, Envelope]:
        wanted = [row.item_id for row in rows[: self._take(len(rows))]]
        answers = read_envelopes(provider, wanted, beat=lambda: None)
        return {item_id: answer for item_id, answer in answers if isinstance(answer, Envelope)}

    def _judge_tracked(self, unclear: list[ItemDecision], read: dict[str, Envelope]) -> None:
        if not self.trial.concerns_mail:
            return
        rows = mail.tracked(self._box, self.trial.since)
        boxes = [self.before.mailbox, self.after.mailbox]
        old, new = mail.of_tracked(boxes, rows, {row.pk for row in unclear}, read)
        self.result.outcomes.add(outcomes.of_mail(self.pk, old, new, is_kept=True))


def totals(result: Result) -> Counter[tuple[str, str]]:
    """Return how many items there are by kind and effect."""
    found: Counter[tuple[str, str]] = Counter()
    for (_mailbox, kind, effect, _before, _after), number in result.outcomes.counts.items():
        found[kind, effect.value] += number
    return found
