"""The job that goes on with what is looked at again, in the queue of backlogs.

The idea: one mailbox at a time under its lease, as for any run, and never in anybody's way: after two seconds the job
looks whether anything waits, and if so puts itself behind it. How far each request is stands in its row.
"""

import logging
from collections.abc import Callable
from datetime import datetime

from django.utils import timezone
from redis.exceptions import RedisError
from rq.timeouts import JobTimeoutException

from mailboxes import claims, runs
from mailboxes.connection import open_provider
from mailboxes.models import Run
from mailboxes.provider.errors import ProviderError
from mailboxes.report import RunReport
from mailboxes.states import Trigger
from security.logs import traceback_of
from security.secrets import SecretUnreadable
from tracking.backfill import retro
from tracking.backfill.engine import work
from tracking.backfill.waiting import waiting
from tracking.engine.apply import LeaseLost
from tracking.engine.faults import OurFault, SecretLost
from tracking.engine.foreground import Heartbeat
from tracking.models import Backfill
from tracking.workers import jobs, leases
from tracking.workers.transport import anything_waits, have_backfilled

log = logging.getLogger(__name__)

Clock = Callable[[], datetime]
# A turn lasts at least the first, when anything else waits, and at most the second.
LEAST_SECONDS = jobs.YIELD_SECONDS
MOST_SECONDS = 60.0


def go_on() -> None:
    """Match, count and read until the turn is over; put itself into the queue again while there is more to do."""
    if Turn(leases.worker_name(), clock=timezone.now).work():
        have_backfilled()


class Turn:
    """One turn of the job."""

    def __init__(self, worker: str, *, clock: Clock) -> None:
        self._worker, self._clock = worker, clock
        self._began = clock()

    def work(self) -> bool:
        """Do what waits; return whether there is more that can be done now."""
        # Half of it is left to the mailboxes: after an import records may be matched for hours.
        more = retro.match_some(self._clock, lambda: self._is_over(0.5))
        tried: set[int] = set()
        while row := (
            waiting(self._clock())
            .select_related("mailbox__server", "mailbox__sync_profile", "mailbox__owner")
            .exclude(pk__in=tried)
            .first()
        ):
            if self._is_over():
                return not jobs.STOP.is_set()
            tried.add(row.pk)
            if self._go_on_with(row) and row.state in Backfill.WORKED_ON:
                tried.discard(row.pk)
        # What was leased or failed on the way is looked for again by the dispatcher.
        return more and not jobs.STOP.is_set()

    def _is_over(self, share: float = 1.0) -> bool:
        """Tell whether the turn, or that share of it, is over."""
        seconds = (self._clock() - self._began).total_seconds()
        if jobs.STOP.is_set() or seconds >= share * MOST_SECONDS:
            return True
        if seconds < share * LEAST_SECONDS:
            return False
        try:
            return anything_waits()
        except RedisError:
            return True

    def _go_on_with(self, row: Backfill) -> bool:
        """Work on one row under its mailbox's lease; return whether that went well."""
        try:
            run = claims.claim_one(row.mailbox, Trigger.SCHEDULE, claims.BULK, self._clock())
        except claims.AlreadyRunning:
            return False
        if not claims.slot_is_free(row.mailbox.server, run.batch):
            runs.release([run.pk])
            return False
        run.mailbox = row.mailbox
        run.worker, run.started_at = self._worker, self._clock()
        Run.objects.filter(pk=run.pk).update(worker=run.worker, started_at=run.started_at)
        try:
            report = self._report(row, run)
        except LeaseLost:
            log.warning("Run %s of %s was given up by others; leaving it", run.pk, run.mailbox)
            return False
        if report.error is not None:
            runs.settle(run, report, self._clock())
            return False
        # Beside the schedule: when the mailbox is due is not changed by looking at old mail.
        runs.set_down(run, report, self._clock())
        return True

    def _report(self, row: Backfill, run: Run) -> RunReport:
        beat = Heartbeat(run, self._clock, shown=False)

        def gives_way() -> bool:
            # Switched off meanwhile, or its channel: then nothing more is read, as in any run.
            return self._is_over() or not waiting(self._clock()).filter(pk=row.pk).exists()

        try:
            return work(row, run, open_provider(run.mailbox), clock=self._clock, beat=beat, gives_way=gives_way)
        except (LeaseLost, JobTimeoutException):
            raise
        except ProviderError as error:
            return RunReport(error=error)
        except SecretUnreadable as error:
            return RunReport(error=SecretLost(str(error)))
        except Exception as error:  # noqa: BLE001 -- whatever it is, one mailbox's trouble is its own
            _log(error, run)
            return RunReport(error=OurFault(type(error).__name__))


def _log(error: Exception, run: Run) -> None:
    """Log an error with its traceback, and without the row that a database's error quotes."""
    log.error("Looking again at mail of %s failed\n%s", run.mailbox, traceback_of(error))
