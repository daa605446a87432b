"""The job that goes on with what is looked at again, in the queue of backlogs.

The idea: it goes on in turns (`tracking.workers.turn`) that end as soon as anything else waits, and puts itself behind it.
How far each request is stands in its row.
"""

from django.utils import timezone

from mailboxes import runs
from mailboxes.models import Run
from mailboxes.provider.writing import WholeProvider
from mailboxes.report import RunReport
from tracking.backfill import retro
from tracking.backfill.engine import work
from tracking.backfill.waiting import waiting
from tracking.engine.foreground import Heartbeat
from tracking.models import Backfill
from tracking.workers import jobs, leases, turn
from tracking.workers.transport import have_backfilled


def go_on() -> None:
    """Match, count and read until the turn is over; put itself into the queue again while there is more to do."""
    if Turn(leases.worker_name(), clock=timezone.now).work():
        have_backfilled()


class Turn(turn.Turn):
    """One turn of the job."""

    most_seconds = 60.0
    subject = "Looking again at mail"

    def work(self) -> bool:
        """Do what waits; return whether there is more that can be done now."""
        # Half of it is left to the mailboxes: after an import records may be matched for hours.
        more = retro.match_some(self._clock, lambda: self._is_over(0.5))
        tried: set[int] = set()
        while row := (
            waiting(self._clock())
            .select_related("mailbox__server", "mailbox__sync_profile", "mailbox__owner")
            # Decrypted when they are used: one that cannot be is its own mailbox's trouble.
            .defer("mailbox__secret", "mailbox__server__secret")
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

    def _go_on_with(self, row: Backfill) -> bool:
        """Work on one row under its mailbox's lease; return whether that went well."""
        run = self._leased(row.mailbox)
        if run is None:
            return False
        run.worker, run.started_at = self._worker, self._clock()
        Run.objects.filter(pk=run.pk).update(worker=run.worker, started_at=run.started_at)
        report = self._done(run, lambda run, provider: self._worked_on(row, run, provider))
        if report is None:
            return False
        if report.error is not None:
            runs.settle(run, report, self._clock())
            return False
        # Beside the schedule: when the mailbox is due is not changed by looking at old mail.
        runs.set_down(run, report, self._clock())
        return True

    def _worked_on(self, row: Backfill, run: Run, provider: WholeProvider) -> RunReport:
        def gives_way() -> bool:
            # Switched off meanwhile, or its channel: then nothing more is read, as in any run.
            return self._is_over() or not waiting(self._clock()).filter(pk=row.pk).exists()

        beat = Heartbeat(run, self._clock, shown=False)
        return work(row, run, provider, clock=self._clock, beat=beat, gives_way=gives_way)
