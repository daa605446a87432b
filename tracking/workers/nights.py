"""The nightly comparison of all mailboxes, as a job of the least urgent queue.

The idea: it never stands in anybody's way. One mailbox at a time is leased like for any run; after two seconds the job
looks whether anything else waits for a worker, and if so puts itself at the end of the queue. How far each folder has come
is kept in its row, so a night of many short turns comes to the same as one long one.
"""

import logging
from collections.abc import Callable
from datetime import datetime

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone
from redis.exceptions import RedisError
from rq.timeouts import JobTimeoutException

from mailboxes import claims, runs
from mailboxes.connection import open_provider
from mailboxes.models import Folder, Mailbox, Run
from mailboxes.provider.errors import ProviderError
from mailboxes.report import RunReport
from mailboxes.states import WAITS_FOR_PERSON, Intent, Trigger
from security.logs import traceback_of
from security.secrets import SecretUnreadable
from tracking.backfill import retro
from tracking.engine.apply import LeaseLost
from tracking.engine.faults import OurFault, SecretLost
from tracking.engine.foreground import Heartbeat
from tracking.models import Reconciliation
from tracking.repair.reconcile import compared_folders, night_of, reconcile
from tracking.workers import jobs, leases
from tracking.workers.transport import anything_waits, have_backfilled, have_reconciled

log = logging.getLogger(__name__)

Clock = Callable[[], datetime]
# Local hours in which mailboxes are compared: when people sleep and mail is slow.
HOURS = range(1, 6)
# A turn lasts at least the first, when anything else waits, and at most the second.
LEAST_SECONDS = jobs.YIELD_SECONDS
MOST_SECONDS = 300.0


def begin(now: datetime) -> None:
    """If it is night, have the comparison begun where any mailbox has not been compared, and records matched that changed."""
    if timezone.localtime(now).hour not in HOURS:
        return
    if waiting(now).exists():
        have_reconciled()
    if retro.sweep(now):
        have_backfilled()


def waiting(now: datetime) -> QuerySet[Mailbox]:
    """Return the mailboxes that are on, well, and not wholly compared tonight."""
    compared = Reconciliation.objects.filter(folder=OuterRef("pk"), night=night_of(now), finished_at__isnull=False)
    open_folders = compared_folders(Folder.objects.filter(~Exists(compared), mailbox=OuterRef("pk")))
    return (
        Mailbox.objects.filter(Exists(open_folders), intent=Intent.ON, first_sync_done=True, failures=0, backlog=False)
        .exclude(state__in=WAITS_FOR_PERSON)
        .filter(Q(not_before=None) | Q(not_before__lte=now), server__stopped_at=None, server__failures=0)
        .order_by("pk")
    )


def reconcile_some() -> None:
    """Compare mailboxes until the turn is over; put itself into the queue again while there is more to do."""
    if Turn(leases.worker_name(), clock=timezone.now).work():
        have_reconciled()


class Turn:
    """One turn of the nightly job."""

    def __init__(self, worker: str, *, clock: Clock) -> None:
        self._worker, self._clock = worker, clock
        self._began = clock()

    def work(self) -> bool:
        """Compare one mailbox after the other; return whether there is more to do tonight."""
        after = 0
        while timezone.localtime(self._clock()).hour in HOURS:
            mailbox = waiting(self._clock()).select_related("server", "sync_profile").filter(pk__gt=after).first()
            if mailbox is None:
                # What was leased or failed on the way is looked at again by the next housekeeping.
                return False
            after = mailbox.pk
            self._compare(mailbox)
            if self._is_over():
                return not jobs.STOP.is_set()
        return False

    def _is_over(self) -> bool:
        seconds = (self._clock() - self._began).total_seconds()
        if jobs.STOP.is_set() or seconds >= MOST_SECONDS:
            return True
        if seconds < LEAST_SECONDS:
            return False
        try:
            return anything_waits()
        except RedisError:
            return True

    def _compare(self, mailbox: Mailbox) -> None:
        """Compare one mailbox under its lease; whatever happens is settled as its run's outcome."""
        try:
            run = claims.claim_one(mailbox, Trigger.SCHEDULE, claims.BULK, self._clock())
        except claims.AlreadyRunning:
            return
        if not claims.slot_is_free(mailbox.server, run.batch):
            runs.release([run.pk])
            return
        run.mailbox = mailbox
        runs.begin(run, self._worker, self._clock())
        try:
            report = self._report(run)
        except LeaseLost:
            log.warning("Run %s of %s was given up by others; leaving it", run.pk, mailbox)
            return
        runs.settle(run, report, self._clock())
        missing = Reconciliation.objects.filter(mailbox=mailbox, night=night_of(self._clock()), missing__gt=0).count()
        if missing:
            log.error("Items are missing in %d folders of %s: its page Repair counts them", missing, mailbox)

    def _report(self, run: Run) -> RunReport:
        try:
            return reconcile(
                run,
                open_provider(run.mailbox),
                clock=self._clock,
                beat=Heartbeat(run, self._clock),
                gives_way=self._is_over,
                yield_after_s=LEAST_SECONDS,
            )
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
    log.error("The comparison of %s failed\n%s", run.mailbox, traceback_of(error))
