"""The queue as a means of transport: puts jobs in, in bulk, and asks what became of them. Redis keeps no truth of ours.

The idea: losing anything here must cost time only. Arguments are primary keys in JSON, results are rows in PostgreSQL,
and a job that is lost is found out by its runs that nobody began.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import timedelta
from typing import Protocol
from uuid import uuid4

from django_rq import get_queue
from redis.client import Pipeline
from rq import Queue
from rq.job import Job
from rq.worker import BaseWorker

from mailboxes.claims import BULK, IMMEDIATE, MAINTENANCE, SYNC, Claim

SYNC_BATCH = "tracking.workers.jobs.sync_batch"
HOUSEKEEPING = "tracking.workers.housekeeping.tidy"
RECONCILIATION = "tracking.workers.nights.reconcile_some"
CANARY, TEND_CANARIES = "tracking.canary.tending.tend", "tend-canaries"
BACKFILL, GO_ON_BACKFILLING = "tracking.backfill.turns.go_on", "go-on-backfilling"
# How often the dispatcher has housekeeping done.
TIDIED_EVERY = timedelta(minutes=10)
# What became of a failed job is in our rows and in the log; Redis forgets it after this time.
_FAILURE_SECONDS = 3600


class Transport(Protocol):
    """What the dispatcher needs of the queue."""

    def enqueue(self, claims: Sequence[Claim]) -> None:
        """Hand over one job per claim; raises `redis.RedisError` when that failed."""
        ...

    def waiting(self, job_ids: Collection[str]) -> tuple[set[str], set[str]]:
        """Return which of the jobs wait in a queue, and which are unknown (lost)."""
        ...

    def tidy(self) -> None:
        """Have a worker do the housekeeping when there is nothing more urgent."""
        ...

    def tend_canaries(self) -> None:
        """Have a worker look after the canaries, in turn with ordinary runs."""
        ...

    def go_on_backfilling(self) -> None:
        """Have a worker go on with what is looked at again, when nothing more urgent waits."""
        ...


def queue(name: str) -> Queue:
    """Return the queue `name`, which takes jobs at once: what they refer to has been committed."""
    return get_queue(name, commit_mode="auto")


class RedisTransport:
    """The real queue."""

    def enqueue(self, claims: Sequence[Claim]) -> None:
        """Put all jobs in with one round trip."""
        if not claims:
            return
        first = queue(claims[0].queue)
        with first.connection.pipeline() as pipeline:
            for name in {claim.queue for claim in claims}:
                _put(queue(name), [claim for claim in claims if claim.queue == name], pipeline)
            pipeline.execute()

    def waiting(self, job_ids: Collection[str]) -> tuple[set[str], set[str]]:
        """Ask for the status of each job with one round trip."""
        names = list(job_ids)
        with queue(SYNC).connection.pipeline(transaction=False) as pipeline:
            for name in names:
                pipeline.hget(Job.key_for(name), "status")
            answers = dict(zip(names, pipeline.execute(), strict=True))
        queued = {name for name, status in answers.items() if status == b"queued"}
        return queued, {name for name, status in answers.items() if status is None}

    def tidy(self) -> None:
        """Put the housekeeping job into its queue."""
        queue(MAINTENANCE).enqueue(HOUSEKEEPING, result_ttl=0, failure_ttl=_FAILURE_SECONDS)

    def tend_canaries(self) -> None:
        """Put the look at the canaries among ordinary runs, unless it waits there: what delays it delays them, too."""
        ordinary = queue(SYNC)
        # A name of its own each time: the end of one look takes its job away, not that of the next.
        if not any(name.startswith(TEND_CANARIES) for name in ordinary.get_job_ids()):
            ordinary.enqueue(
                CANARY, job_id=f"{TEND_CANARIES}-{uuid4().hex}", result_ttl=0, failure_ttl=_FAILURE_SECONDS
            )

    def go_on_backfilling(self) -> None:
        """Put it behind the backlogs."""
        have_backfilled()


def _put(into: Queue, claims: Iterable[Claim], pipeline: "Pipeline") -> None:
    into.enqueue_many(
        [
            Queue.prepare_data(
                SYNC_BATCH,
                args=(list(claim.run_ids),),
                job_id=claim.job_id,
                # enqueue_many does not look into the queue's settings as enqueue does.
                timeout=into._default_timeout,
                result_ttl=0,
                failure_ttl=_FAILURE_SECONDS,
                description=f"{len(claim.run_ids)} mailboxes of server {claim.server_id}",
            )
            for claim in claims
        ],
        pipeline=pipeline,
    )


def have_reconciled() -> None:
    """Put the nightly comparison into the least urgent queue, unless it waits there."""
    least = queue(MAINTENANCE)
    if not any(job.func_name == RECONCILIATION for job in least.jobs):
        least.enqueue(RECONCILIATION, result_ttl=0, failure_ttl=_FAILURE_SECONDS)


def have_backfilled() -> None:
    """Put what is looked at again into the queue of backlogs, unless it waits there."""
    backlogs = queue(BULK)
    # A name of its own each time: it is asked for from within a turn, whose end takes its own job away.
    if not any(name.startswith(GO_ON_BACKFILLING) for name in backlogs.get_job_ids()):
        backlogs.enqueue(
            BACKFILL, job_id=f"{GO_ON_BACKFILLING}-{uuid4().hex}", result_ttl=0, failure_ttl=_FAILURE_SECONDS
        )


def anything_waits() -> bool:
    """Return whether anything but maintenance waits for a worker."""
    return any(queue(name).count for name in (IMMEDIATE, SYNC, BULK))


def urgent_work_waits() -> bool:
    """Return whether something more urgent than a backlog waits for a worker."""
    return any(queue(name).count for name in (IMMEDIATE, SYNC))


def somebody_waits_for(worker: str) -> bool:
    """Return whether a person waits for a job (queue `immediate`) that the worker `worker` would do next."""
    urgent = queue(IMMEDIATE)
    with urgent.connection.pipeline(transaction=False) as pipeline:
        pipeline.llen(urgent.key)
        pipeline.hget(f"{BaseWorker.redis_worker_namespace_prefix}{worker}", "queues")
        waiting, listens_to = pipeline.execute()
    return bool(waiting) and IMMEDIATE in (listens_to or b"").decode().split(",")
