"""The job that workers do: a batch of mailboxes of one server, each with its own lease and run (design §5).

The idea: one mailbox's trouble is its own. Whatever happens in a run is settled as that run's outcome, and the batch
goes on; only what concerns the server ends the batch, and then the mailboxes that were not tried are given back as due
as they were. What idle runs found is written together, so that a run in which nothing happened costs almost nothing.
"""

import logging
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TypeVar

from django.conf import settings
from django.db import DatabaseError, InterfaceError, OperationalError, connection
from django.db.models import Q
from django.utils import timezone
from redis.exceptions import RedisError
from rq.timeouts import JobTimeoutException

from mailboxes import claims, runs
from mailboxes.connection import open_provider
from mailboxes.intents import is_on
from mailboxes.models import Folder, Run, ServerProfile
from mailboxes.provider.errors import ProviderError
from mailboxes.provider.writing import WholeProvider
from mailboxes.report import RunReport
from mailboxes.runs import Done
from mailboxes.states import Intent, Trigger
from security.logs import told
from security.secrets import SecretUnreadable
from tracking.engine import pipeline
from tracking.engine.apply import LeaseLost
from tracking.engine.faults import DatabaseGone, OurFault, OutOfTime, SecretLost
from tracking.workers import leases
from tracking.workers.transport import somebody_waits_for, urgent_work_waits

log = logging.getLogger(__name__)

Clock = Callable[[], datetime]
T = TypeVar("T")

# A mailbox gives way to the next one after this time, between pages.
YIELD_SECONDS = 2.0
# A backlog goes on in slices of that length while nothing more urgent waits, up to this time.
BACKLOG_SECONDS = 60.0
# Runs that ended are written at least this often, so that a slow batch does not keep finished mailboxes leased.
WRITE_SECONDS = 2.0
# Between mailboxes a worker asks this often whether a person waits for it.
ASK_SECONDS = 1.0
# A run that takes longer than this is shown as running.
SHOW_SECONDS = 1.0
# How long a worker waits for a database that is gone before it leaves its leases to run out.
DATABASE_PATIENCE_SECONDS = 60

# Set when the process is to end: the mailbox at hand is finished, the others are given back.
STOP = threading.Event()


def sync_batch(run_ids: list[int]) -> None:
    """Sync the mailboxes of these runs, one after the other. Runs that are not ours to begin (any more) are skipped."""
    try:
        Batch(run_ids, worker=leases.worker_name(), clock=timezone.now).work()
    except DatabaseError as error:
        # The queue logs and keeps what leaves a job, text and all.
        raise type(error)(told(error)) from None


class Batch:
    """The runs of one job, and how far they are."""

    def __init__(self, run_ids: list[int], *, worker: str, clock: Clock) -> None:
        self._ids, self._worker, self._clock = run_ids, worker, clock
        self._left: list[Run] = []
        self._current: Run | None = None
        self._shown: Run | None = None
        self._done: dict[int, Done] = {}
        self._folders: dict[int, list[Folder]] = {}
        self._beaten_at = self._written_at = self._asked_at = clock()

    def work(self) -> None:
        """Do all runs; settle every one that was begun, whatever happens."""
        self._left = patiently(self._begin)
        try:
            while self._left and not self._give_back_if_held() and not self._to_end_early():
                self._current = self._left[0]
                self._do(self._current)
                self._left.pop(0)
                self._current = None
                if self._pressing():
                    self._write()
            self._give_back()
            self._write()
        except JobTimeoutException:
            self._out_of_time()

    # -- begin

    def _begin(self) -> list[Run]:
        """Take the runs and read what they need: a constant number of queries, however many mailboxes."""
        begun = self._still_wanted(runs.begin_batch(self._ids, self._worker, self._clock()))
        servers = _in_bulk(ServerProfile, {run.mailbox.server_id for run in begun})
        for run in begun:
            run.mailbox.server = servers[run.mailbox.server_id]
            self._folders[run.mailbox_id] = []
        for folder in Folder.objects.filter(
            Q(followed=True) | Q(in_step=True), mailbox__in=self._folders, gone_at=None
        ).order_by():
            self._folders[folder.mailbox_id].append(folder)
        if begun and begun[0].queue == claims.BULK and not claims.slot_is_free(begun[0].mailbox.server, begun[0].batch):
            runs.release([run.pk for run in begun])
            return []
        return begun

    @staticmethod
    def _still_wanted(begun: list[Run]) -> list[Run]:
        """Give back the runs whose mailboxes were switched off while the job waited: off is off at once."""
        unwanted = [run.pk for run in begun if run.mailbox.intent != Intent.ON]
        if unwanted:
            runs.release(unwanted)
        return [run for run in begun if run.mailbox.intent == Intent.ON]

    # -- one run

    def _do(self, run: Run) -> None:
        """Run one mailbox and note what came of it; nothing but the job's time limit leaves this method."""
        run.started_at = self._clock()
        provider: WholeProvider | None = None
        report = RunReport()
        try:
            provider = open_provider(run.mailbox)
            report = self._synced(run, provider)
        except LeaseLost:
            log.warning("Run %s of %s was given up by others; leaving it", run.pk, run.mailbox)
            return
        except ProviderError as error:
            report.error = error
        except SecretUnreadable as error:
            report.error = SecretLost(str(error))
        except JobTimeoutException:
            raise
        except (OperationalError, InterfaceError) as error:
            log.exception("The database failed in the middle of run %s of %s", run.pk, run.mailbox)
            report = _cut_short(DatabaseGone(type(error).__name__), provider)
        except Exception as error:
            log.exception("Run %s of %s failed", run.pk, run.mailbox)
            report = _cut_short(OurFault(type(error).__name__), provider)
        self._done[run.pk] = Done(run, report, self._clock())

    def _synced(self, run: Run, provider: WholeProvider) -> RunReport:
        """Sync until the mailbox is up to date or has to give way."""
        report = self._slice(run, provider, self._folders.pop(run.mailbox_id, None))
        while self._may_go_on(run, report):
            report.add(self._slice(run, provider, None))
        return report

    def _slice(self, run: Run, provider: WholeProvider, folders: list[Folder] | None) -> RunReport:
        return pipeline.sync(
            run, provider, clock=self._clock, yield_after_s=YIELD_SECONDS, beat=self._beat, folders=folders or None
        )

    def _may_go_on(self, run: Run, report: RunReport) -> bool:
        """Return whether a backlog continues at once: nothing more urgent waits, and its turn is not over."""
        if (
            STOP.is_set()
            or run.queue != claims.BULK
            or not report.more
            or report.error is not None
            or run.started_at is None
        ):
            return False
        if self._clock() - run.started_at >= timedelta(seconds=BACKLOG_SECONDS) or not is_on(run.mailbox_id):
            return False
        try:
            return not urgent_work_waits()
        except RedisError:
            return False

    # -- signs of life

    def _beat(self) -> None:
        """Keep the leases of everything still in hand; raises `LeaseLost` when the current run's is gone."""
        now, current = self._clock(), self._current
        if now - self._beaten_at < timedelta(seconds=settings.LEASE_SECONDS / 4) and not self._to_be_shown(now):
            return
        self._beaten_at, self._shown = now, current
        kept = runs.heartbeat([*self._left, *(done.run for done in self._done.values())], current, now)
        self._left = [run for run in self._left if run.pk in kept or run is current]
        if current is not None and current.pk not in kept:
            raise LeaseLost

    def _to_be_shown(self, now: datetime) -> bool:
        """Return whether the current run takes long enough to be shown as running, and is not yet."""
        current = self._current
        if current is None or current is self._shown or current.started_at is None:
            return False
        return now - current.started_at >= timedelta(seconds=SHOW_SECONDS)

    # -- settle

    def _pressing(self) -> bool:
        """Return whether what has ended should be written now: it tells others something, or it has waited."""
        waited = self._clock() - self._written_at >= timedelta(seconds=WRITE_SECONDS)
        return waited or any(not done.report.idle for done in self._done.values())

    def _write(self) -> None:
        """Settle what has ended: together, or one by one when one of them cannot be written."""
        done = list(self._done.values())
        try:
            if done:
                patiently(lambda: runs.settle_many(done))
        except (OperationalError, InterfaceError, JobTimeoutException):
            raise
        except Exception:
            log.exception("%d runs could not be settled together", len(done))
            for one in done:
                self._write_alone(one)
        self._done.clear()
        self._written_at = self._clock()

    def _write_alone(self, one: Done) -> None:
        """Settle one run; if that fails, settle it as failed, so that its mailbox is not leased for nothing."""
        try:
            runs.settle(one.run, one.report, one.at)
        except (OperationalError, InterfaceError, JobTimeoutException):
            raise
        except Exception as error:
            log.exception("Run %s of %s could not be settled as what it was", one.run.pk, one.run.mailbox)
            runs.settle(one.run, RunReport(error=OurFault(type(error).__name__)), one.at)

    def _give_back_if_held(self) -> bool:
        """Return whether the server is held back by now; then what was not tried yet is given back."""
        mailbox = self._left[0].mailbox
        server = mailbox.server
        held = server.not_before is not None and server.not_before > self._clock()
        stopped = server.stopped_at is not None and not mailbox.username
        # What a person asked for is tried: he knows what the screen says of the server, and may have repaired it.
        if self._left[0].trigger != Trigger.SCHEDULE or not (held or stopped):
            return False
        self._give_back()
        return True

    def _to_end_early(self) -> bool:
        """Return whether the worker is to stop, or a person waits for it: asked once a second, after the first mailbox."""
        now = self._clock()
        if STOP.is_set() or self._left[0].queue == claims.IMMEDIATE:
            return STOP.is_set()
        if now - self._asked_at < timedelta(seconds=ASK_SECONDS):
            return False
        self._asked_at = now
        try:
            return somebody_waits_for(self._worker)
        except RedisError:
            return False

    def _give_back(self) -> None:
        """Give back what has not been tried."""
        left = [run.pk for run in self._left if run is not self._current]
        self._left = []
        if left:
            patiently(lambda: runs.release(left))

    def _out_of_time(self) -> None:
        """The time limit struck, anywhere: settle the run it struck in, give back the others."""
        log.warning("A job of worker %s reached its time limit", self._worker)
        # A statement that was cut off leaves its connection in the middle of an answer.
        if not connection.in_atomic_block:
            connection.close()
        current = self._current
        if current is not None and current.pk not in self._done:
            self._done[current.pk] = Done(current, _cut_short(OutOfTime(), None), self._clock())
        self._give_back()
        self._write()


def _in_bulk(model: type[ServerProfile], ids: set[int]) -> dict[int, ServerProfile]:
    """Return the servers; one whose secret cannot be decrypted fails when the secret is used, not here."""
    try:
        return model.objects.in_bulk(ids)
    except SecretUnreadable:
        return model.objects.defer("secret").in_bulk(ids)


def _cut_short(error: ProviderError, provider: WholeProvider | None) -> RunReport:
    """Return the report of a run that could not report itself: it reached the server if it made a request."""
    requests = provider.requests if provider is not None else 0
    return RunReport(error=error, requests=requests, reached_server=requests > 0)


def patiently(do: Callable[[], T], *, sleep: Callable[[float], object] = time.sleep) -> T:
    """Return `do()`; while the database is gone try again every second, for a minute at most."""
    for _attempt in range(DATABASE_PATIENCE_SECONDS):
        try:
            return do()
        except (OperationalError, InterfaceError):
            if connection.in_atomic_block:
                raise
            log.warning("The database is gone; waiting for it")
            connection.close()
            sleep(1.0)
    return do()
