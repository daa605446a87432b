"""Why is this message tracked, refused, set aside, or unknown? Everything that is known of it in one mailbox (S12, S24).

The idea: of refused mail only a keyed hash of its Message-ID is kept, and that is enough to find its decision again by
whoever knows the Message-ID. Nothing here reads or shows what a message says.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db.models import Q

from mailboxes.issues import issue_of
from mailboxes.models import Folder, Mailbox, Run
from mailboxes.provider.errors import ProviderError
from mailboxes.provider.writing import WholeProvider
from mailboxes.report import RunReport
from tracking.decisions import reasons
from tracking.engine import pipeline
from tracking.engine.failures import count_attempt
from tracking.models import Activity, Holder, ItemDecision, ItemFailure
from tracking.sync import identity

Clock = Callable[[], datetime]
_TRACKED = (ItemDecision.Outcome.TRACKED, ItemDecision.Outcome.UPDATED)


@dataclass(slots=True)
class Again:
    """What evaluating again came to: items decided anew, and where the mail server has the message (folder names)."""

    evaluated: int = 0
    unchanged: int = 0
    lies_in: list[dict[str, Any]] = field(default_factory=list)


def found(mailbox: Mailbox, message_id: str) -> list[ItemDecision]:
    """Return the decisions of the mailbox on items with this Message-ID, oldest first; brackets may be left out.

    Appointments, contacts, tasks and lists have none: they are named by the item id that the list of decisions gives.
    """
    digest = identity.message_hash(message_id, settings.MESSAGE_ID_KEY)
    meant = Q(item_id=message_id.strip())
    rows = ItemDecision.objects.filter(meant | Q(message_hash=digest) if digest else meant, mailbox=mailbox)
    return list(rows.select_related("folder", "run", "activity").order_by("decided_at", "pk"))


def trace(mailbox: Mailbox, message_id: str) -> dict[str, Any]:
    """Return all that is known, as a document for JSON. `known` is False when no item with this Message-ID was decided on.

    `unidentified` counts items that were set aside before their Message-ID could be read: it may be one of them.
    """
    decisions = found(mailbox, message_id)
    digest = identity.message_hash(message_id, settings.MESSAGE_ID_KEY)
    elsewhere = ItemDecision.objects.filter(message_hash=digest).exclude(mailbox=mailbox).exclude(message_hash="")
    return {
        "address": mailbox.address,
        "message_id": f"<{identity.bare_message_id(message_id)}>",
        "known": bool(decisions),
        "items": [_item(mailbox, decision) for decision in decisions],
        "other_mailboxes": elsewhere.order_by().values("mailbox").distinct().count(),
        "unidentified": ItemDecision.objects.filter(
            mailbox=mailbox, message_hash="", outcome=ItemDecision.Outcome.QUARANTINED
        ).count(),
        "followed": list(
            mailbox.folders.filter(followed=True, gone_at=None).order_by("role", "name").values_list("name", flat=True)
        ),
    }


def _item(mailbox: Mailbox, decision: ItemDecision) -> dict[str, Any]:
    folder, run = decision.folder, decision.run
    failure = ItemFailure.objects.filter(mailbox=mailbox, item_id=decision.item_id).first()
    return {
        "item_id": decision.item_id,
        # None: it left its folder, by a move or for good.
        "folder": folder.name if folder else None,
        "folder_followed": bool(folder and folder.followed and folder.gone_at is None),
        "outcome": decision.outcome,
        "reason": decision.reason,
        "sentence": reasons.sentence(decision.reason, decision.facts),
        "facts": decision.facts,
        "decided_at": decision.decided_at,
        # None: the run is older than runs are kept.
        "run": {"id": run.pk, "started_at": run.started_at, "trigger": run.trigger} if run else None,
        "failure": _failure(failure) if failure else None,
        "activity": _activity(decision.activity, mailbox) if decision.activity else None,
    }


def _failure(failure: ItemFailure) -> dict[str, Any]:
    issue = issue_of(failure.code, failure.detail)
    return {
        "code": failure.code,
        "sentence": issue.sentence if issue else "",
        "remedy": issue.remedy if issue else "",
        "who": issue.who if issue else "",
        "detail": failure.detail,
        "attempts": failure.attempts,
        "first_at": failure.first_at,
        "last_at": failure.last_at,
        "retry_at": failure.retry_at,
        "quarantined_at": failure.quarantined_at,
        "resolved_at": failure.resolved_at,
    }


def _activity(activity: Activity, mailbox: Mailbox) -> dict[str, Any]:
    holders = Holder.objects.filter(activity=activity)
    here = holders.filter(mailbox=mailbox).order_by("removed_at", "pk").first()
    return {
        "id": activity.pk,
        "thread": activity.thread_id,
        "tracked_at": activity.tracked_at,
        "correlation": activity.correlation,
        "found_by": activity.get_correlation_display(),
        # The message it answers, where that is tracked.
        "answers": activity.parent_id,
        "regarding": f"{activity.regarding_kind} {activity.regarding_id}" if activity.regarding_kind else None,
        "held_since": here.since if here else None,
        "removed_at": here.removed_at if here else None,
        "holders": holders.filter(removed_at=None).values("mailbox").distinct().count(),
    }


def evaluate(
    run: Run, provider: WholeProvider, message_id: str, again: Again, *, clock: Clock, beat: Callable[[], None]
) -> RunReport:
    """Decide anew on the message's items in this mailbox, where the mail server has them now; notes in `again` what it met.

    Their envelopes are read again and held in memory only; the new decisions are stored as any page's. Items that are
    tracked are left alone: a copy is immutable. Items in folders that are not followed are named and not read.
    """
    mailbox = run.mailbox
    folders = {folder.provider_id: folder for folder in mailbox.folders.filter(gone_at=None)}
    total = RunReport(reached_server=True)
    try:
        beat()
        places = provider.find(f"<{identity.bare_message_id(message_id)}>", list(folders))
    except ProviderError as error:
        return RunReport(error=error, requests=provider.requests)
    wanted = _wanted(mailbox, message_id, [(folders[folder_id], item_id) for folder_id, item_id in places], again)
    for folder, item_ids in wanted.items():
        for failure in ItemFailure.objects.filter(mailbox=mailbox, item_id__in=item_ids, resolved_at=None):
            count_attempt(failure, clock())
        report = pipeline.take(run, provider, folder, item_ids, clock=clock, beat=beat)
        total.add(report)
        if report.error is not None:
            return total
        again.evaluated += len(item_ids)
    total.requests = provider.requests
    return total


def _wanted(
    mailbox: Mailbox, message_id: str, places: Sequence[tuple[Folder, str]], again: Again
) -> dict[Folder, list[str]]:
    """Return what to read, by folder: what lies in followed folders and is not tracked."""
    known = {decision.item_id: decision for decision in found(mailbox, message_id)}
    wanted: dict[Folder, list[str]] = {}
    for folder, item_id in places:
        again.lies_in.append({"folder": folder.name, "followed": folder.followed, "item_id": item_id})
        if not folder.followed:
            continue
        if item_id in known and known[item_id].outcome in _TRACKED:
            again.unchanged += 1
        else:
            wanted.setdefault(folder, []).append(item_id)
    return wanted
