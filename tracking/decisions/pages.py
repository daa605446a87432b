"""What tracking adds to the pages of a mailbox: decisions with their reasons, failed items, the run asked for."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import QuerySet

from mailboxes.issues import Issue, issue_of
from mailboxes.models import Mailbox, Run
from mailboxes.queries_page import OUTCOME_TONES as RUN_TONES
from security.access import Person, visible
from tracking.decisions import reasons
from tracking.models import Activity, ItemDecision, ItemFailure
from tracking.repair import quarantine

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


def decisions(person: Person, mailbox: Mailbox, outcome: str = "") -> QuerySet[ItemDecision]:
    """Return the decisions of a mailbox, of one outcome if `outcome` names one."""
    found = visible(person, ItemDecision).filter(mailbox=mailbox).select_related("folder").defer("folder__cursor")
    return found.filter(outcome=outcome) if outcome in ItemDecision.Outcome.values else found


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
