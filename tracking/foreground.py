"""A run in the foreground: the same claim, pipeline and settlement as a worker's, to the end of what is there."""

import os
import socket
import time
from collections.abc import Callable
from datetime import datetime, timedelta

from django.conf import settings

from mailboxes import claims, runs
from mailboxes.connection import open_provider
from mailboxes.models import Mailbox, Run
from mailboxes.provider.errors import ProviderError
from mailboxes.report import RunReport
from mailboxes.states import Trigger
from security.secrets import SecretUnreadable
from tracking import leases
from tracking.faults import SecretLost
from tracking.pipeline import sync

Clock = Callable[[], datetime]


def sync_now(
    mailbox: Mailbox, *, clock: Clock, wait_s: float = 60.0, on_wait: Callable[[Run], object] = lambda _run: None
) -> tuple[Run, RunReport]:
    """Sync the mailbox in this process and return the settled run with its report.

    A run that another process is doing is waited for, `wait_s` seconds at most, after `on_wait` was called with it; then
    `claims.AlreadyRunning` is raised. One whose process has died on this host is taken over at once.
    """
    run = _claim(mailbox, clock=clock, until=time.monotonic() + wait_s, on_wait=on_wait)
    runs.begin(run, f"command {socket.gethostname()} {os.getpid()}", clock())
    beat = _Heartbeat(run, clock)
    try:
        report = sync(run, open_provider(mailbox), clock=clock, yield_after_s=None, beat=beat)
    except ProviderError as error:
        # Before the first request: the server profile does not lead to a connection at all.
        report = RunReport(error=error)
    except SecretUnreadable as error:
        report = RunReport(error=SecretLost(str(error)))
    except BaseException:
        # The command is stopped, or something unforeseen happened: the next run may start at once.
        runs.abandon(run, clock())
        raise
    runs.settle(run, report, clock())
    run.refresh_from_db()
    return run, report


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


class _Heartbeat:
    """Keeps the lease, a statement every quarter of its length at most."""

    def __init__(self, run: Run, clock: Clock) -> None:
        self.run, self.clock = run, clock
        self.last = clock()

    def __call__(self) -> None:
        now = self.clock()
        if now - self.last >= timedelta(seconds=settings.LEASE_SECONDS / 4):
            self.last = now
            runs.heartbeat([self.run], self.run, now)
