"""What tracking adds to the pages of a mailbox: decisions with their reasons, failed items, the run asked for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.db.models import QuerySet

from mailboxes.issues import Issue, issue_of
from mailboxes.models import Folder, Mailbox, Run
from mailboxes.queries_page import OUTCOME_TONES as RUN_TONES
from security.access import Person, visible
from tracking.decisions import reasons
from tracking.models import Activity, ItemDecision, ItemFailure
from tracking.repair import quarantine
from tracking.sync.facts import Reason

OUTCOME_TONES: dict[str, str] = {
    ItemDecision.Outcome.TRACKED: "ok",
    ItemDecision.Outcome.UPDATED: "busy",
    ItemDecision.Outcome.REFUSED: "off",
    ItemDecision.Outcome.QUARANTINED: "warn",
    ItemDecision.Outcome.DISCARDED: "off",
}


@dataclass(frozen=True, slots=True)
class DecisionRow:
    """One decision. `activity` is what was tracked, if the person may read it; of refused mail there is nothing."""

    decision: ItemDecision
    sentence: str
    tone: str
    activity: Activity | None


@dataclass(frozen=True, slots=True)
class Narrowed:
    """What a list of decisions is narrowed to; "" and None for what it is not."""

    outcome: str = ""
    reason: str = ""
    folder: Folder | None = None

    @property
    def sentence(self) -> str:
        """Return the sentence of the one reason, as it stands for any item."""
        return reasons.sentence(self.reason) if self.reason else ""


def narrowed(person: Person, mailbox: Mailbox, asked: Mapping[str, str]) -> Narrowed:
    """Return what a query string asks for; what there is not is passed over."""
    outcome, reason, folder = (asked.get(name, "") for name in ("outcome", "reason", "folder"))
    number = int(folder) if folder.isascii() and folder.isdigit() and len(folder) < 19 else 0
    return Narrowed(
        outcome if outcome in ItemDecision.Outcome.values else "",
        reason if reason in set(Reason) else "",
        visible(person, Folder).filter(mailbox=mailbox, pk=number).first() if number else None,
    )


def decisions(person: Person, mailbox: Mailbox, only: Narrowed) -> QuerySet[ItemDecision]:
    """Return the decisions of a mailbox, narrowed to what was asked for."""
    found = visible(person, ItemDecision).filter(mailbox=mailbox).select_related("folder").defer("folder__cursor")
    if only.outcome:
        found = found.filter(outcome=only.outcome)
    if only.reason:
        found = found.filter(reason=only.reason)
    return found.filter(folder=only.folder) if only.folder else found


def decision_rows(person: Person, found: Sequence[ItemDecision]) -> list[DecisionRow]:
    """Return decisions as a table shows them; one query."""
    ids = [decision.activity_id for decision in found if decision.activity_id]
    readable = visible(person, Activity).in_bulk(ids)
    return [
        DecisionRow(
            decision,
            reasons.sentence(decision.reason, decision.facts),
            OUTCOME_TONES[decision.outcome],
            readable.get(decision.activity_id) if decision.activity_id else None,
        )
        for decision in found
    ]


@dataclass(frozen=True, slots=True)
class FailedRow:
    """An item that could not be read or stored, with what the catalogue says of its error."""

    failure: ItemFailure
    issue: Issue | None
    # Of a discarded one: who gave it up and why.
    decision: ItemDecision | None = None


UNRESOLVED, DISCARDED, HEALED = "", "discarded", "healed"


def failed(person: Person, mailbox: Mailbox, show: str) -> QuerySet[ItemFailure]:
    """Return the items of a mailbox that failed: those that still do, those a person gave up, or those that healed."""
    found = visible(person, ItemFailure).filter(mailbox=mailbox).select_related("folder").defer("folder__cursor")
    if show == UNRESOLVED:
        return found.filter(resolved_at__isnull=True)
    if show == DISCARDED:
        return quarantine.only_discarded(found)
    return quarantine.without_discarded(found.filter(resolved_at__isnull=False))


def failed_rows(person: Person, found: Sequence[ItemFailure]) -> list[FailedRow]:
    """Return failed items as a table shows them; one query."""
    given_up = visible(person, ItemDecision).filter(
        mailbox__in={failure.mailbox_id for failure in found},
        item_id__in=[failure.item_id for failure in found],
        outcome=ItemDecision.Outcome.DISCARDED,
    )
    decisions = {decision.item_id: decision for decision in given_up}
    return [
        FailedRow(failure, issue_of(failure.code, failure.detail), decisions.get(failure.item_id)) for failure in found
    ]


@dataclass(frozen=True, slots=True)
class Asked:
    """How a run that was asked for gets on. `refusal` says why none was begun; empty when one was, or none was asked for."""

    run: Run | None
    refusal: str = ""

    @property
    def going(self) -> bool:
        """Return whether there is something to wait for."""
        return self.run is not None and self.run.finished_at is None

    @property
    def tone(self) -> str:
        """Return the tone of the run's outcome."""
        return RUN_TONES[self.run.outcome] if self.run else "off"

    @property
    def refused(self) -> int:
        """Return how many items the run refused."""
        return sum(self.run.refused.values()) if self.run else 0

    @property
    def issue(self) -> Issue | None:
        """Return what ended the run, if anything did."""
        return issue_of(self.run.error_code) if self.run else None


def asked(person: Person, mailbox: Mailbox, run: str) -> Asked:
    """Return how the run with this primary key (as text) gets on; for any other text, the run that is under way now."""
    runs = visible(person, Run).filter(mailbox=mailbox)
    if run.isascii() and run.isdigit() and len(run) < 19:
        return Asked(runs.filter(pk=int(run)).first())
    return Asked(runs.filter(finished_at=None).first())
