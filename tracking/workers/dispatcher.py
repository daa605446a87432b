"""The dispatcher: about once a second it claims what is due and puts it into the queues (design §5).

The idea: one tick is a plain function of the clock, the database and the queue, and forgets nothing it cannot find
again. Claims are committed before they are enqueued; what could not be enqueued is given back; what got lost on the way
is found by its runs. So a tick may fail at any point, and the next one, in this process or another, goes on.
"""

import logging
from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from typing import Protocol

from django.db import Error as DatabaseError
from django.db import connection
from redis.exceptions import RedisError

from mailboxes import claims, intents, promise, runs
from mailboxes.models import Mailbox, Run
from security.logs import told
from tracking.backfill.waiting import backfill_waits
from tracking.canary.tending import to_tend
from tracking.workers.transport import TIDIED_EVERY, Transport

log = logging.getLogger(__name__)

Clock = Callable[[], datetime]

TICK_SECONDS = 1.0
# Mailboxes claimed at most in one tick, and in one job.
LIMIT = 500
BATCH = 25
# A job this old that no worker has begun is looked up in the queue.
UNBEGUN_SECONDS = 10
COMPLAINT_SECONDS = 10.0


class Watcher(Protocol):
    """Tells which of the named workers have died since it was asked last (`tracking.workers.presence.Watch`)."""

    def dead(self, names: Collection[str]) -> set[str]:
        """Return those that are known to be dead."""
        ...


class Ticking(Protocol):
    """What `serve` drives: a `Dispatcher`, or a stand-in."""

    def tick(self) -> int:
        """Do one round; return how many mailboxes were handed out."""
        ...


class Leadership(Protocol):
    """Makes this process the only one that dispatches (`tracking.workers.presence.dispatcher_lock`)."""

    def hold(self) -> bool:
        """Return whether this process leads."""
        ...


class Dispatcher:
    """What is done each tick. Everything that differs in a simulation comes from outside."""

    def __init__(
        self, transport: Transport, *, clock: Clock, watcher: Watcher, limit: int = LIMIT, batch: int = BATCH
    ) -> None:
        self._transport, self._clock, self._watcher = transport, clock, watcher
        self._limit, self._batch = limit, batch
        self._lead = promise.LEAD_LEAST
        self._duties = {
            self._find_lost_jobs: _Every(timedelta(seconds=5)),
            self._resume: _Every(timedelta(seconds=5)),
            self._measure: _Every(timedelta(minutes=1)),
            self._tidy: _Every(TIDIED_EVERY),
            self._tend_canaries: _Every(timedelta(minutes=1)),
            self._go_on_backfilling: _Every(timedelta(seconds=30)),
        }

    def tick(self) -> int:
        """Do one round; return how many mailboxes were handed out. Raises what database and queue raise when gone."""
        now = self._clock()
        runs.abandon_stale(now)
        self._bury(now)
        for duty, every in self._duties.items():
            if every.is_due(now):
                duty(now)
        return self._hand_out(now)

    def _hand_out(self, now: datetime) -> int:
        due = claims.claim_due(now, limit=self._limit, batch=self._batch, lead=self._lead)
        try:
            self._transport.enqueue(due)
        except RedisError:
            runs.release([pk for claim in due for pk in claim.run_ids])
            raise
        return sum(len(claim.run_ids) for claim in due)

    def _bury(self, now: datetime) -> None:
        """End the runs of workers that have died, long before their leases run out."""
        names = set(Run.objects.filter(finished_at=None).exclude(worker="").order_by().values_list("worker", flat=True))
        dead = self._watcher.dead(names)
        if dead:
            log.warning("Workers have died: %s", ", ".join(sorted(dead)))
            runs.abandon_of(dead, now)

    def _find_lost_jobs(self, now: datetime) -> None:
        """Keep the leases of jobs that still wait in their queue, give back those of jobs that are in no queue."""
        old = now - timedelta(seconds=UNBEGUN_SECONDS)
        unbegun = dict(
            Run.objects.filter(finished_at=None, worker="", heartbeat_at__lt=old).order_by().values_list("pk", "batch")
        )
        if not unbegun:
            return
        queued, lost = self._transport.waiting(set(unbegun.values()))
        Run.objects.filter(pk__in=[pk for pk, batch in unbegun.items() if batch in queued], finished_at=None).update(
            heartbeat_at=now
        )
        gone = [pk for pk, batch in unbegun.items() if batch in lost]
        # Somebody may have asked for a run before its time: the wish outlives its job.
        Mailbox.objects.filter(runs__in=gone, due_at__gt=now).update(due_at=now)
        released = runs.release(gone)
        if released:
            log.warning("%d runs were lost by the queue and are due again", released)

    def _resume(self, now: datetime) -> None:
        intents.resume_expired(now)

    def _measure(self, now: datetime) -> None:
        self._lead = promise.lead_seconds(now)

    def _tidy(self, _now: datetime) -> None:
        self._transport.tidy()

    def _tend_canaries(self, _now: datetime) -> None:
        if to_tend().exists():
            self._transport.tend_canaries()

    def _go_on_backfilling(self, now: datetime) -> None:
        if backfill_waits(now):
            self._transport.go_on_backfilling()


class _Every:
    """Something that is done once per period, the first time at once."""

    def __init__(self, period: timedelta) -> None:
        self._period, self._next = period, None

    _next: datetime | None

    def is_due(self, now: datetime) -> bool:
        if self._next is not None and now < self._next:
            return False
        self._next = now + self._period
        return True


class Complaints:
    """One log line each ten seconds about what goes on being wrong, and one when it is right again."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._since: float | None = None
        self._last = 0.0

    def failed(self, error: Exception) -> None:
        """Note a failure."""
        now = self._monotonic()
        if self._since is None:
            self._since = now
        elif now - self._last < COMPLAINT_SECONDS:
            return
        self._last = now
        log.error("Nothing can be dispatched for %d s now: %s", now - self._since, told(error))

    def worked(self) -> None:
        """Note that everything is well."""
        if self._since is not None:
            log.warning("Dispatching again after %d s", self._monotonic() - self._since)
            self._since = None


def serve(
    dispatcher: Ticking,
    leadership: Leadership,
    *,
    sleep: Callable[[float], object],
    monotonic: Callable[[], float],
    stopped: Callable[[], bool],
) -> None:
    """Tick about every second while this process leads, until `stopped`. Outlives database and queue being gone."""
    complaints = Complaints(monotonic)
    while not stopped():
        began = monotonic()
        try:
            if leadership.hold():
                dispatcher.tick()
            complaints.worked()
        except (DatabaseError, RedisError) as error:
            complaints.failed(error)
            if not connection.in_atomic_block:
                connection.close()
        sleep(max(0.05, TICK_SECONDS - (monotonic() - began)))
