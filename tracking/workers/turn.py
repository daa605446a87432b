"""One turn of a job that goes from mailbox to mailbox and never stands in anybody's way.

The idea: each mailbox is leased like for any run, and its trouble is its own. After two seconds the turn looks whether
anything else waits for a worker, and is over then; whoever began it puts it behind that. How far the work is stands in
rows, so that many short turns come to the same as one long one.
"""

import logging
from collections.abc import Callable
from datetime import datetime
from typing import ClassVar

from redis.exceptions import RedisError
from rq.timeouts import JobTimeoutException

from mailboxes import claims, runs
from mailboxes.connection import open_provider
from mailboxes.models import Mailbox, Run
from mailboxes.provider.errors import ProviderError
from mailboxes.provider.writing import WholeProvider
from mailboxes.report import RunReport
from mailboxes.states import Trigger
from security.logs import traceback_of
from security.secrets import SecretUnreadable
from tracking.engine.apply import LeaseLost
from tracking.engine.faults import OurFault, SecretLost
from tracking.workers import jobs
from tracking.workers.transport import anything_waits

log = logging.getLogger(__name__)

Clock = Callable[[], datetime]
# What is done with one mailbox under its lease.
OnMailbox = Callable[[Run, WholeProvider], RunReport]


class Turn:
    """What such turns share. A turn lasts at least `LEAST_SECONDS`, when anything else waits, and at most `most_seconds`."""

    LEAST_SECONDS: ClassVar[float] = jobs.YIELD_SECONDS
    most_seconds: ClassVar[float]
    # Names the work in the log.
    subject: ClassVar[str]

    def __init__(self, worker: str, *, clock: Clock) -> None:
        self._worker, self._clock = worker, clock
        self._began = clock()

    def _is_over(self, share: float = 1.0) -> bool:
        """Tell whether the turn, or that share of it, is over."""
        seconds = (self._clock() - self._began).total_seconds()
        if jobs.STOP.is_set() or seconds >= share * self.most_seconds:
            return True
        if seconds < share * self.LEAST_SECONDS:
            return False
        try:
            return anything_waits()
        except RedisError:
            return True

    def _leased(self, mailbox: Mailbox) -> Run | None:
        """Return the lease of a mailbox; None when others have it, or its server has enough to do."""
        try:
            run = claims.claim_one(mailbox, Trigger.SCHEDULE, claims.BULK, self._clock())
        except claims.AlreadyRunning:
            return None
        if not claims.slot_is_free(mailbox.server, run.batch):
            runs.release([run.pk])
            return None
        run.mailbox = mailbox
        return run

    def _done(self, run: Run, work: OnMailbox) -> RunReport | None:
        """Do the work and return what came of it, whatever happened; None when the lease was lost on the way."""
        try:
            return work(run, open_provider(run.mailbox))
        except LeaseLost:
            log.warning("Run %s of %s was given up by others; leaving it", run.pk, run.mailbox)
            return None
        except JobTimeoutException:
            raise
        except ProviderError as error:
            return RunReport(error=error)
        except SecretUnreadable as error:
            return RunReport(error=SecretLost(str(error)))
        except Exception as error:  # noqa: BLE001 -- whatever it is, one mailbox's trouble is its own
            self._log(error, run)
            return RunReport(error=OurFault(type(error).__name__))

    def _log(self, error: Exception, run: Run) -> None:
        """Log an error with its traceback, and without the row that a database's error quotes."""
        log.error("%s of %s failed\n%s", self.subject, run.mailbox, traceback_of(error))
