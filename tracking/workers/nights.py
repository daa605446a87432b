"""The nightly comparison of all mailboxes, as a job of the least urgent queue.

The idea: it goes on in turns (`tracking.workers.turn`), and puts itself at the end of the queue after each. How far each
folder has come is kept in its row.
"""

import logging
from datetime import datetime

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from mailboxes import runs
from mailboxes.models import Folder, Mailbox, Run
from mailboxes.provider.writing import WholeProvider
from mailboxes.report import RunReport
from mailboxes.states import WAITS_FOR_PERSON, Intent
from tracking.backfill import retro
from tracking.engine.foreground import Heartbeat
from tracking.models import Reconciliation
from tracking.repair.reconcile import compared_folders, night_of, reconcile
from tracking.workers import jobs, leases, turn
from tracking.workers.transport import have_backfilled, have_reconciled

log = logging.getLogger(__name__)

# Local hours in which mailboxes are compared: when people sleep and mail is slow.
HOURS = range(1, 6)


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


class Turn(turn.Turn):
    """One turn of the nightly job."""

    most_seconds = 300.0
    subject = "The comparison"

    def work(self) -> bool:
        """Compare one mailbox after the other; return whether there is more to do tonight."""
        after = 0
        while timezone.localtime(self._clock()).hour in HOURS:
            rows = waiting(self._clock()).select_related("server", "sync_profile").filter(pk__gt=after)
            # A secret that cannot be decrypted fails when it is used: then it is its own mailbox's trouble.
            mailbox = rows.defer("secret", "server__secret").first()
            if mailbox is None:
                # What was leased or failed on the way is looked at again by the next housekeeping.
                return False
            after = mailbox.pk
            self._compare(mailbox)
            if self._is_over():
                return not jobs.STOP.is_set()
        return False

    def _compare(self, mailbox: Mailbox) -> None:
        """Compare one mailbox under its lease; whatever happens is settled as its run's outcome."""
        run = self._leased(mailbox)
        if run is None:
            return
        runs.begin(run, self._worker, self._clock())
        report = self._done(run, self._reconciled)
        if report is None:
            return
        runs.settle(run, report, self._clock())
        missing = Reconciliation.objects.filter(mailbox=mailbox, night=night_of(self._clock()), missing__gt=0).count()
        if missing:
            log.error("Items are missing in %d folders of %s: its page Repair counts them", missing, mailbox)

    def _reconciled(self, run: Run, provider: WholeProvider) -> RunReport:
        return reconcile(
            run,
            provider,
            clock=self._clock,
            beat=Heartbeat(run, self._clock),
            gives_way=self._is_over,
            yield_after_s=self.LEAST_SECONDS,
        )
