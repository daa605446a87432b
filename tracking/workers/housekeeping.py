"""What is thrown away, and when: runs that tell nothing any more, and rq's own leftovers.

The idea: small bites. Each bite is a transaction of its own, so that tidying never holds up the schedule.
"""

from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import QuerySet
from django.utils import timezone
from rq.registry import clean_registries

from mailboxes.models import Alert, LateGap, PromiseBucket, Run
from mailboxes.states import Outcome
from tracking.canary.tending import KEPT as ROUNDS_KEPT
from tracking.dryrun import rows as dry_runs
from tracking.models import CanaryRound, DryRun, Reconciliation
from tracking.workers import blob_sweep, nights
from tracking.workers.transport import TIDIED_EVERY, queue

# A run in which nothing happened is of interest while people look at today and yesterday.
IDLE_KEPT = timedelta(days=2)
RUNS_KEPT = timedelta(days=90)
# Figures of the promise go back seven days; some more, so that a window is never cut short.
MEASURED_KEPT = timedelta(days=14)
BITE = 2_000


def tidy() -> None:
    """Delete what is past its time, rows and files, end what was lost, clean the queues' registries, and at night have
    mailboxes compared.

    Safe to run twice at once.
    """
    now = timezone.now()
    prune(now)
    dry_runs.give_up(now)
    for name in settings.QUEUES:
        clean_registries(queue(name))
    nights.begin(now)
    blob_sweep.sweep_next(now, TIDIED_EVERY)


def prune(now: datetime) -> int:
    """Delete runs, figures and resolved alerts that are past their time; return how many rows."""
    return sum(
        _delete(rows)
        for rows in (
            Run.objects.filter(outcome=Outcome.DONE, examined=0, finished_at__lt=now - IDLE_KEPT),
            Run.objects.filter(started_at__lt=now - RUNS_KEPT, finished_at__isnull=False),
            PromiseBucket.objects.filter(begins_at__lt=now - MEASURED_KEPT),
            LateGap.objects.filter(until__lt=now - MEASURED_KEPT),
            Alert.objects.filter(resolved_at__lt=now - RUNS_KEPT),
            Reconciliation.objects.filter(begun_at__lt=now - RUNS_KEPT),
            CanaryRound.objects.filter(cleaned_at__lt=now - ROUNDS_KEPT),
            DryRun.objects.filter(expires_at__lt=now),
        )
    )


def _delete(
    rows: "QuerySet[Any]",
) -> int:
    deleted = 0
    while ids := list(rows.order_by().values_list("pk", flat=True)[:BITE]):
        rows.model._default_manager.filter(pk__in=ids).delete()
        deleted += len(ids)
    return deleted
