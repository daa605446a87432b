"""Dry runs as rows: asked for, done at once or by a worker, read again, and forgotten after a week.

The idea: the row is all there is. A worker that dies leaves it as it was, and whoever waits tries again; what is kept of
an outcome are counts and ids, so that a page shows of it what its reader may see and nothing more.
"""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final

from django.utils import timezone

from mailboxes.claims import BULK
from mailboxes.connection import open_provider
from security.logs import traceback_of
from security.models import User
from tracking.dryrun.trial import Cost, OpenProvider, Result, Trial
from tracking.models import DryRun, PolicyDraft
from tracking.policy.drafts import subject_of
from tracking.workers.transport import queue

log = logging.getLogger(__name__)

KEPT: Final = timedelta(days=7)
# More than this is a worker's: a page should answer in the time that somebody waits for one.
STORED_AT_ONCE: Final = 2_000
MAILBOXES_AT_ONCE: Final = 50
# Items of each kind and effect that are kept to be listed; the counts are whole.
LISTED: Final = 500
JOB: Final = "tracking.dryrun.rows.work"
# Reading thousands of envelopes from a slow server takes its time.
_JOB_SECONDS: Final = 3600
# One that is not done so long after it was asked for never will be.
_LOST: Final = timedelta(hours=3)


def trial_of(draft: PolicyDraft, *, days: int, now: datetime) -> Trial:
    """Return the trial of what a draft proposes."""
    return Trial(subject_of(draft), draft.proposed, days=days, now=now)


def begin(
    draft: PolicyDraft, *, days: int, read: bool, by: User, now: datetime, cost: Cost, has_worker: bool = True
) -> DryRun:
    """Try a draft: at once if that is quick, else by a worker. Raises `redis.RedisError` when the queue is gone; then
    nothing is begun. `has_worker` False: at once however long it takes.
    """
    row = DryRun.objects.create(
        draft=draft, revision=draft.revision, proposed=draft.proposed, days=days, read_mailboxes=read, asked_by=by,
        asked_at=now, expires_at=now + KEPT, total=cost.mailboxes,
    )  # fmt: skip
    small = cost.stored <= STORED_AT_ONCE and cost.mailboxes <= MAILBOXES_AT_ONCE
    if not has_worker or (small and not (read and cost.reads)):
        carry_out(row)
        return row
    try:
        queue(BULK).enqueue(JOB, row.pk, job_timeout=_JOB_SECONDS, result_ttl=0, failure_ttl=_JOB_SECONDS)
    except Exception:
        row.delete()
        raise
    return row


def work(row_id: int) -> None:
    """Do a dry run that waits, as a job; one that is begun, done or gone is left alone."""
    begun = DryRun.objects.filter(pk=row_id, state=DryRun.State.WAITING).update(state=DryRun.State.RUNNING)
    row = DryRun.objects.filter(pk=row_id).select_related("draft__sync_profile", "draft__mailbox").first()
    if begun and row is not None:
        carry_out(row)


def carry_out(
    row: DryRun, *, open_with: OpenProvider = open_provider, clock: Callable[[], datetime] = timezone.now
) -> None:
    """Do a dry run and store its result; an error is stored as one and logged."""

    def progress(done: int) -> None:
        DryRun.objects.filter(pk=row.pk).update(done=done)

    try:
        trial = Trial(subject_of(row.draft), row.proposed, days=row.days, now=row.asked_at)
        result = trial.run(open_with if row.read_mailboxes else None, progress=progress, listed=LISTED)
    except Exception as error:  # noqa: BLE001 -- whoever waits is told, and the log has the rest
        _log(error, row)
        row.state, row.error = DryRun.State.FAILED, "internal_error"
    else:
        row.result = as_json(result)
        row.state, row.done = DryRun.State.DONE, row.total
    row.finished_at = clock()
    # Its draft, and with it the row, may have been published or thrown away meanwhile: then nobody waits any more.
    DryRun.objects.filter(pk=row.pk).update(
        result=row.result, state=row.state, error=row.error, done=row.done, finished_at=row.finished_at
    )


def give_up(now: datetime) -> int:
    """End dry runs whose worker died, or whose job was lost with the queue, so that nobody waits for them for ever."""
    lost = DryRun.objects.filter(state__in=(DryRun.State.WAITING, DryRun.State.RUNNING), asked_at__lt=now - _LOST)
    return lost.update(state=DryRun.State.FAILED, error="worker_lost", finished_at=now)


def _log(error: Exception, row: DryRun) -> None:
    """Log an error with its traceback, and without the row that a database's error quotes."""
    log.error("Dry run %s failed\n%s", row.pk, traceback_of(error))


def as_json(result: Result) -> dict[str, Any]:
    """Return what is kept of a result: counts, ids and reasons."""
    return {
        **result.outcomes.as_json(),
        "read": result.read,
        "not_read": result.not_read,
        "errors": {str(mailbox): code for mailbox, code in result.errors.items()},
    }
