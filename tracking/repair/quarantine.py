"""What people can do about an item that was set aside: try it now, give it up with a reason, take its facts elsewhere.

The idea: nothing is thrown away. Discarding is a decision like any other, with a name and a reason; trying again takes it
back. An item that could not be read has left nothing of itself here, so there is nothing of it to show or to export.
"""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Exists, F, OuterRef, QuerySet
from django.db.models.functions import Greatest

from mailboxes import intents
from mailboxes.catalogue import lookup
from mailboxes.models import Folder, Mailbox, Run
from mailboxes.provider.writing import WholeProvider
from mailboxes.report import RunReport
from tracking.decisions import reasons
from tracking.engine import pipeline
from tracking.engine.failures import FOLDER_GONE, FOLDER_LEFT, count_attempt
from tracking.models import ItemDecision, ItemFailure
from tracking.sync.facts import Reason

Clock = Callable[[], datetime]
_QUARANTINED, _DISCARDED = ItemDecision.Outcome.QUARANTINED, ItemDecision.Outcome.DISCARDED
# What a reason may be long: it is a sentence, not a document.
WHY_CHARACTERS = 300


class NotSetAside(Exception):
    """The item is not in quarantine (any more): it healed, was given up, or is just being looked for."""


def discarded(mailbox: Mailbox) -> QuerySet[ItemFailure]:
    """Return the failures that a person has given up."""
    return only_discarded(ItemFailure.objects.filter(mailbox=mailbox))


def only_discarded(failures: QuerySet[ItemFailure]) -> QuerySet[ItemFailure]:
    """Return those of the failures that a person has given up."""
    return failures.filter(resolved_at__isnull=False).filter(_is_discarded())


def without_discarded(failures: QuerySet[ItemFailure]) -> QuerySet[ItemFailure]:
    """Return those of the failures that no person has given up."""
    return failures.exclude(_is_discarded())


def _is_discarded() -> Exists:
    return Exists(
        ItemDecision.objects.filter(mailbox=OuterRef("mailbox"), item_id=OuterRef("item_id"), outcome=_DISCARDED)
    )


def discard(failure: ItemFailure, *, why: str, by: str, now: datetime) -> None:
    """Give an item up for the reason `why` in the name of `by`; raises `NotSetAside`, and ValueError without a reason."""
    why = " ".join(why.split())[:WHY_CHARACTERS]
    if not why:
        raise ValueError("a reason is needed")
    with transaction.atomic():
        _outlast_page(failure.mailbox_id)
        row = ItemFailure.objects.select_for_update().get(pk=failure.pk)
        decision = _decision_of(row, _QUARANTINED)
        if decision is None or row.resolved_at is not None:
            raise NotSetAside
        facts = {"by": by, "why": why, "code": row.code, "was": decision.reason}
        _decide(decision, _DISCARDED, Reason.DISCARDED, facts, now)
        row.resolved_at, row.retry_at = now, None
        row.save(update_fields=["resolved_at", "retry_at"])


def retry(failures: Iterable[ItemFailure], *, now: datetime) -> list[ItemFailure]:
    """Make failures due now, taking back those that were discarded; return those that are, the healed ones left out.

    The next full pass of the mailbox tries them; whoever calls asks for one.
    """
    due = []
    for failure in failures:
        with transaction.atomic():
            _outlast_page(failure.mailbox_id)
            row = ItemFailure.objects.select_for_update().select_related("folder").get(pk=failure.pk)
            if row.resolved_at is not None and not _take_back(row, now):
                continue
            row.resolved_at, row.retry_at = None, now
            row.save(update_fields=["resolved_at", "retry_at"])
        due.append(row)
    if due:
        # Items that failed are tried by a full pass, and one without a time is due.
        intents.want_full_pass(Mailbox.objects.filter(pk__in={row.mailbox_id for row in due}), now, at_once=False)
    return due


def _take_back(row: ItemFailure, now: datetime) -> bool:
    decision = _decision_of(row, _DISCARDED)
    if decision is None or row.code in (FOLDER_GONE, FOLDER_LEFT):
        return False
    was = decision.facts.get("was", Reason.UNREADABLE)
    _decide(decision, _QUARANTINED, was, {"code": row.code}, now)
    return True


def _outlast_page(mailbox_id: int) -> None:
    """Wait for the page that is just being stored, so that counts and decisions of both come out right."""
    list(Run.objects.select_for_update().filter(mailbox=mailbox_id, finished_at=None).values_list("pk"))


def _decision_of(row: ItemFailure, outcome: str) -> ItemDecision | None:
    found = ItemDecision.objects.filter(mailbox=row.mailbox_id, item_id=row.item_id, outcome=outcome)
    return found.select_for_update().first()


def _decide(decision: ItemDecision, outcome: str, reason: str, facts: dict[str, str], now: datetime) -> None:
    before = decision.outcome
    decision.outcome, decision.reason, decision.facts, decision.decided_at = outcome, reason, facts, now
    decision.save(update_fields=["outcome", "reason", "facts", "decided_at"])
    if decision.folder_id is not None:
        counts = {before: Greatest(0, F(before) - 1), outcome: F(outcome) + 1}
        Folder.objects.filter(pk=decision.folder_id).update(**counts)


def try_now(
    run: Run, provider: WholeProvider, failures: Iterable[ItemFailure], *, clock: Clock, beat: Callable[[], None]
) -> RunReport:
    """Try these messages of the run's mailbox at once, each by itself; the attempt is counted before it is made.

    Appointments, contacts and tasks are left to the next run of their folder, which knows what they belong to.
    """
    total = RunReport()
    for failure in failures:
        if failure.folder.in_step:
            continue
        count_attempt(failure, clock())
        report = pipeline.take(run, provider, failure.folder, [failure.item_id], clock=clock, beat=beat)
        total.add(report)
        if report.error is not None:
            break
    return total


def export(failure: ItemFailure) -> dict[str, Any]:
    """Return everything that is known of a failed item, for JSON. Of its content nothing was kept (design §6)."""
    entry = lookup(failure.code)
    decision = ItemDecision.objects.filter(mailbox=failure.mailbox_id, item_id=failure.item_id).first()
    return {
        "mailbox": failure.mailbox.address,
        "folder": failure.folder.name,
        "item_id": failure.item_id,
        "change_key": failure.change_key,
        "error": {
            "code": failure.code,
            "kind": entry.kind,
            "scope": entry.scope,
            "sentence": str(entry.sentence),
            "cause": str(entry.cause),
            "remedy": str(entry.remedy),
            "who": entry.who,
            "detail": failure.detail,
        },
        "attempts": failure.attempts,
        "first_at": failure.first_at,
        "last_at": failure.last_at,
        "retry_at": failure.retry_at,
        "quarantined_at": failure.quarantined_at,
        "ended_at": failure.resolved_at,
        "decision": _exported(decision) if decision else None,
        "content": None,
    }


def _exported(decision: ItemDecision) -> dict[str, Any]:
    return {
        "outcome": decision.outcome,
        "reason": decision.reason,
        "sentence": reasons.sentence(decision.reason, decision.facts),
        "facts": decision.facts,
        "decided_at": decision.decided_at,
        "run": decision.run_id,
        # Whether its envelope could be read: then it failed after a yes.
        "envelope_read": bool(decision.message_hash),
    }
