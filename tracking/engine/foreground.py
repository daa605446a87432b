"""A run in the foreground: the same claim, pipeline and settlement as a worker's, to the end of what is there; and work
beside the schedule under the same lease, which leaves due time and state of the mailbox alone.
"""

import time
from collections.abc import Callable
from datetime import datetime, timedelta

from django.conf import settings

from mailboxes import claims, runs
from mailboxes.connection import open_provider
from mailboxes.models import Mailbox, Run
from mailboxes.provider.errors import ProviderError
from mailboxes.provider.writing import WholeProvider
from mailboxes.report import RunReport
from mailboxes.states import Trigger
from security.secrets import SecretUnreadable
from tracking.engine.apply import LeaseLost
from tracking.engine.faults import LeaseGone, SecretLost
from tracking.engine.pipeline import sync
from tracking.workers import leases

Clock = Callable[[], datetime]
# What a run in the foreground does: takes run, provider and heartbeat, returns what came of it.
Work = Callable[[Run, WholeProvider, Callable[[], None]], RunReport]


def sync_now(
    mailbox: Mailbox, *, clock: Clock, wait_s: float = 60.0, on_wait: Callable[[Run], object] = lambda _run: None
) -> tuple[Run, RunReport]:
    """Sync the mailbox in this process and return the settled run with its report.

    A run that another process is doing is waited for, `wait_s` seconds at most, after `on_wait` was called with it; then
    `claims.AlreadyRunning` is raised. One whose process has died on this host is taken over at once.
    """

    def work(run: Run, provider: WholeProvider, beat: Callable[[], None]) -> RunReport:
        return sync(run, provider, clock=clock, yield_after_s=None, beat=beat)

    return as_run(mailbox, work, clock=clock, wait_s=wait_s, on_wait=on_wait)


def as_run(
    mailbox: Mailbox,
    work: Work,
    *,
    clock: Clock,
    wait_s: float = 60.0,
    on_wait: Callable[[Run], object] = lambda _run: None,
) -> tuple[Run, RunReport]:
    """Do `work`, which brings the mailbox up to date, as a run in this process; waits and returns as `sync_now` does."""
    run = _claim(mailbox, clock=clock, until=time.monotonic() + wait_s, on_wait=on_wait)
    runs.begin(run, leases.command_name(), clock())
    report = _done(run, work, Heartbeat(run, clock), clock)
    runs.settle(run, report, clock())
    run.refresh_from_db()
    return run, report


def beside(mailbox: Mailbox, work: Work, *, clock: Clock, wait_s: float = 60.0) -> tuple[Run, RunReport]:
    """Have `work` done in this process under the mailbox's lease, beside its schedule; return run and report.

    A run that a worker is doing is waited for, as in `sync_now`. An error is settled like any run's.
    """
    run = _claim(mailbox, clock=clock, until=time.monotonic() + wait_s)
    run.worker, run.started_at = leases.command_name(), clock()
    Run.objects.filter(pk=run.pk).update(worker=run.worker, started_at=run.started_at)
    report = _done(run, work, Heartbeat(run, clock, shown=False), clock)
    if report.error is not None:
        runs.settle(run, report, clock())
    else:
        runs.set_down(run, report, clock())
    run.refresh_from_db()
    return run, report


def _done(run: Run, work: Work, beat: "Heartbeat", clock: Clock) -> RunReport:
    try:
        return work(run, open_provider(run.mailbox), beat)
    except ProviderError as error:
        # Before the first request: the server profile does not lead to a connection at all.
        return RunReport(error=error)
    except SecretUnreadable as error:
        return RunReport(error=SecretLost(str(error)))
    except LeaseLost:
        # Whoever ended the run has the mailbox now; settling it changes nothing any more.
        return RunReport(error=LeaseGone())
    except BaseException:
        # The command is stopped, or something unforeseen happened: the next run may start at once.
        runs.abandon(run, clock())
        raise


def _claim(
    mailbox: Mailbox, *, clock: Clock, until: float, on_wait: Callable[[Run], object] = lambda _run: None
) -> Run:
    waiting = False
    while True:
        try:
            run = claims.claim_one(mailbox, Trigger.COMMAND, "", clock())
        except claims.AlreadyRunning as error:
            # Where no dispatcher runs, nobody else ends the run of a process that died.
            if runs.abandon_stale(clock()) or leases.abandon_dead(error.run, clock()):
                continue
            if not waiting:
                waiting = True
                on_wait(error.run)
            if time.monotonic() >= until:
                raise
            time.sleep(0.5)
        else:
            run.mailbox = mailbox
            return run


class Heartbeat:
    """Keeps the lease, a statement every quarter of its length at most; raises `LeaseLost` once others have ended the run."""

    def __init__(self, run: Run, clock: Clock, *, shown: bool = True) -> None:
        self.run, self.clock = run, clock
        self.current = run if shown else None
        self.last = clock()

    def __call__(self) -> None:
        now = self.clock()
        if now - self.last >= timedelta(seconds=settings.LEASE_SECONDS / 4):
            self.last = now
            if self.run.pk not in runs.heartbeat([self.run], self.current, now):
                raise LeaseLost
