"""Handing out due mailboxes: who is next, and who has to wait (design §5).

The idea: a claim is a row. Within one transaction due mailboxes are locked, those that somebody else is claiming are
skipped, and an unfinished run is written for each: that run is the lease, and the database refuses a second one. Runs
of one job share a batch id and take one of their server's request slots, because a job works through its mailboxes one
after the other. Servers take turns, the most overdue mailbox of a server goes first.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import uuid4

from django.db import connection, transaction

from mailboxes.models import Mailbox, Run, ServerProfile
from mailboxes.promise import BOUND_SECONDS, LEAD_LEAST, bound_seconds
from mailboxes.states import WAITS_FOR_PERSON, Intent, Trigger

IMMEDIATE, SYNC, BULK, MAINTENANCE = "immediate", "sync", "bulk", "maintenance"

# A job has costs of its own, as much as several idle mailboxes: fewer than these are not spread over more slots.
FEWEST = 4


class AlreadyRunning(Exception):
    """The mailbox is leased: `run` is the unfinished run that has it."""

    def __init__(self, run: Run) -> None:
        super().__init__(f"{run.mailbox} is being synced already (run {run.pk}).")
        self.run = run


@dataclass(frozen=True, slots=True)
class Claim:
    """One job to enqueue: mailboxes of one server, each with a run of its own. `job_id` is the runs' `batch`."""

    job_id: str
    queue: str
    server_id: int
    run_ids: tuple[int, ...]


@dataclass(slots=True)
class _Server:
    """A server's slots. Bulk jobs take one when they start; until then they may not keep `sync` from its turn."""

    id: int
    cap: int
    trying: bool
    stopped: bool
    ahead: int
    bulk: int
    bulk_started: int

    def room(self, queue: str) -> int:
        if self.trying:
            return 0 if self.ahead or self.bulk else 1
        if queue == SYNC:
            return max(0, self.cap - self.ahead - self.bulk_started)
        # One slot stays free of bulk where there is more than one, so that the schedule never waits for a backlog.
        return max(0, min(self.cap - self.ahead, max(1, self.cap - 1)) - self.bulk)


@dataclass(frozen=True, slots=True)
class _Due:
    mailbox_id: int
    server_id: int
    since: datetime


@dataclass(frozen=True, slots=True)
class _Search:
    """When, how many mailboxes to a job, and how many seconds ahead of their bound."""

    now: datetime
    batch: int
    lead: float


def claim_due(now: datetime, *, limit: int, batch: int, lead: float = LEAD_LEAST) -> list[Claim]:
    """Claim at most `limit` due mailboxes, at most `batch` to a job, and return the jobs to enqueue, in turn of servers.

    Due is what has reached its time, or is within `lead` seconds of its bound. Left out is what is leased, held back,
    stopped, or has no free slot at its server. A server that failed gets one mailbox at a time until one succeeds.
    Nobody else can claim these mailboxes until their runs are finished, released or abandoned.
    """
    search = _Search(now, batch, lead)
    with transaction.atomic():
        servers = _servers(now)
        claims = _claim(servers, SYNC, search, limit)
        for claim in claims:
            servers[claim.server_id].ahead += 1
        # A backlog is one mailbox's long work: a job of its own, so that no other mailbox is leased behind it.
        left = limit - sum(len(claim.run_ids) for claim in claims)
        claims += _claim(servers, BULK, replace(search, batch=1), left)
        ServerProfile.objects.filter(pk__in={claim.server_id for claim in claims}).update(claimed_at=now)
    return claims


def _servers(now: datetime) -> dict[int, _Server]:
    """Return the servers that are not held back, the one that has waited longest for its turn first."""
    with connection.cursor() as cursor:
        cursor.execute(_SERVERS, [BULK, BULK, BULK, now])
        return {row[0]: _Server(*row) for row in cursor.fetchall()}


_SERVERS = """
SELECT s.id, s.concurrency, s.failures > 0, s.stopped_at IS NOT NULL,
       coalesce(u.ahead, 0), coalesce(u.bulk, 0), coalesce(u.bulk_started, 0)
FROM mailboxes_serverprofile s
LEFT JOIN (
    SELECT m.server_id,
           count(DISTINCT r.batch) FILTER (WHERE r.queue <> %s) AS ahead,
           count(DISTINCT r.batch) FILTER (WHERE r.queue = %s) AS bulk,
           count(DISTINCT r.batch) FILTER (WHERE r.queue = %s AND r.worker <> '') AS bulk_started
    FROM mailboxes_run r JOIN mailboxes_mailbox m ON m.id = r.mailbox_id
    WHERE r.finished_at IS NULL
    GROUP BY m.server_id
) u ON u.server_id = s.id
WHERE s.not_before IS NULL OR s.not_before <= %s
ORDER BY s.claimed_at NULLS FIRST, s.id
"""


def _claim(servers: dict[int, _Server], queue: str, search: _Search, limit: int) -> list[Claim]:
    """Claim for one queue: lock what is due, cut it into jobs, write the runs."""
    rooms = {server.id: room for server in servers.values() if (room := server.room(queue))}
    if not rooms or limit <= 0:
        return []
    wanted = {pk: 1 if servers[pk].trying else min(limit, room * search.batch) for pk, room in rooms.items()}
    due = _due([servers[pk] for pk in rooms], wanted, queue, search)
    jobs = [(uuid4().hex, part) for part in _in_turn(_cut(due, rooms, search.batch), limit)]
    run_of = _leased(jobs, queue, search.now)
    claims = []
    for job, part in jobs:
        run_ids = tuple(run_of[key] for one in part if (key := (job, one.mailbox_id)) in run_of)
        if run_ids:
            claims.append(Claim(job, queue, part[0].server_id, run_ids))
    return claims


def _leased(jobs: Sequence[tuple[str, list[_Due]]], queue: str, now: datetime) -> dict[tuple[str, int], int]:
    """Write the runs; return their ids by job and mailbox. Whoever lost a race for a mailbox finds no run of his job."""
    runs = [
        Run(mailbox_id=one.mailbox_id, queue=queue, batch=job, due_at=one.since, claimed_at=now, heartbeat_at=now)
        for job, part in jobs
        for one in part
    ]
    Run.objects.bulk_create(runs, ignore_conflicts=True)
    leased = Run.objects.filter(finished_at=None, mailbox__in=[run.mailbox_id for run in runs])
    return {(batch, mailbox): pk for pk, batch, mailbox in leased.values_list("pk", "batch", "mailbox_id")}


def _due(servers: Sequence[_Server], wanted: dict[int, int], queue: str, search: _Search) -> dict[int, list[_Due]]:
    """Lock and return what is due, per server in turn, most overdue first; `since` is when it could first be claimed."""
    with connection.cursor() as cursor:
        cursor.execute(
            _DUE,
            {
                "ids": [server.id for server in servers],
                "ks": [wanted[server.id] for server in servers],
                "trying": [server.trying for server in servers],
                "stopped": [server.stopped for server in servers],
                "on": Intent.ON,
                "waits": list(WAITS_FOR_PERSON),
                "now": search.now,
                "ahead": search.now + timedelta(seconds=search.lead),
                "bound": BOUND_SECONDS,
                "lead": search.lead,
                "bulk": queue == BULK,
            },
        )
        due: dict[int, list[_Due]] = {}
        for row in cursor.fetchall():
            due.setdefault(row[1], []).append(_Due(*row))
    return due


# Bulk is what has a backlog, as long as its bound is far: a long queue of first syncs must not break the promise.
_DUE = """
SELECT d.id, w.server_id, d.since
FROM unnest(%(ids)s::bigint[], %(ks)s::int[], %(trying)s::bool[], %(stopped)s::bool[]) WITH ORDINALITY
     AS w(server_id, k, trying, stopped, turn)
JOIN mailboxes_serverprofile s ON s.id = w.server_id
CROSS JOIN LATERAL (
    SELECT m.id, greatest(least(m.due_at, b.owed_by - make_interval(secs => %(lead)s)), m.not_before, s.not_before)
                 AS since
    FROM mailboxes_mailbox m
    JOIN mailboxes_syncprofile p ON p.id = m.sync_profile_id
    CROSS JOIN LATERAL (
        SELECT m.measured_from + make_interval(secs => greatest(p.max_seconds, %(bound)s)) AS owed_by
    ) b
    WHERE m.server_id = w.server_id AND m.intent = %(on)s AND NOT m.state = ANY(%(waits)s)
      AND (NOT w.stopped OR m.username <> '')
      AND m.due_at <= %(ahead)s AND (m.due_at <= %(now)s OR b.owed_by <= %(ahead)s)
      AND (m.not_before IS NULL OR m.not_before <= %(now)s)
      AND ((m.backlog OR NOT m.first_sync_done) AND coalesce(b.owed_by, %(ahead)s) > %(ahead)s) = %(bulk)s
      AND NOT EXISTS (SELECT 1 FROM mailboxes_run r WHERE r.mailbox_id = m.id AND r.finished_at IS NULL)
    ORDER BY CASE WHEN w.trying THEN m.failures ELSE 0 END, coalesce(b.owed_by, m.due_at), m.id
    LIMIT w.k
    FOR NO KEY UPDATE OF m SKIP LOCKED
) d
ORDER BY w.turn
"""


def _cut(due: dict[int, list[_Due]], rooms: dict[int, int], batch: int) -> list[deque[list[_Due]]]:
    """Return each server's due mailboxes as jobs: spread over its free slots, but not thinner than is worth a job."""
    cut = []
    for server_id, mailboxes in due.items():
        size = min(batch, max(FEWEST, -(-len(mailboxes) // rooms[server_id])))
        cut.append(deque(mailboxes[at : at + size] for at in range(0, len(mailboxes), size)))
    return cut


def _in_turn(servers: list[deque[list[_Due]]], limit: int) -> Iterator[list[_Due]]:
    """Yield one job of each server after the other, until `limit` mailboxes are handed out."""
    while servers and limit > 0:
        for jobs in servers:
            part = jobs.popleft()[:limit]
            limit -= len(part)
            if part:
                yield part
        servers = [jobs for jobs in servers if jobs]


def claim_one(mailbox: Mailbox, trigger: Trigger, queue: str, now: datetime) -> Run:
    """Lease `mailbox` for one run that a person or a command asked for, due or not; raises `AlreadyRunning`."""
    run = Run(
        mailbox=mailbox, trigger=trigger, queue=queue, batch=uuid4().hex, due_at=now, claimed_at=now, heartbeat_at=now
    )
    Run.objects.bulk_create([run], ignore_conflicts=True)
    # The lease that was in the way may end at any moment; then the mailbox is free and the next attempt gets it.
    holder = Run.objects.filter(mailbox=mailbox, finished_at=None).first()
    if holder is None:
        return claim_one(mailbox, trigger, queue, now)
    if holder.batch != run.batch:
        raise AlreadyRunning(holder)
    holder.mailbox = mailbox
    return holder


def slot_is_free(server: ServerProfile, batch: str) -> bool:
    """Return whether the jobs that other workers do for `server` leave a request slot to the job `batch`."""
    others = Run.objects.filter(mailbox__server=server, finished_at=None).exclude(worker="").exclude(batch=batch)
    return others.values("batch").distinct().count() < server.concurrency


def owed_by(mailbox: Mailbox) -> datetime | None:
    """Return until when the mailbox's next run has to start; None while nothing is owed."""
    if mailbox.measured_from is None:
        return None
    return mailbox.measured_from + timedelta(seconds=bound_seconds(mailbox.sync_profile))
