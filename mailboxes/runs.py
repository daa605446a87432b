"""The life of a run: begun, kept alive, settled, or given up. An unfinished run is the lease of its mailbox (design §5).

The idea: every step is one statement over many runs that changes only runs still unfinished, and tells which ones those
were. A worker that lost a lease is told so by what is missing in the answer; it can never finish somebody else's run.
A run in which nothing happened therefore costs no statement of its own.
"""

import json
import logging
import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import OperationalError, connection, transaction

from mailboxes import alerts, intents, promise
from mailboxes.alerts import PATIENCE, Place
from mailboxes.models import Mailbox, Run, ServerProfile
from mailboxes.provider.errors import Kind, ProviderError
from mailboxes.provider.text import clean
from mailboxes.report import RunReport
from mailboxes.states import Intent, Outcome, State
from mailboxes.verdict import Verdict, judge
from security.secrets import SecretUnreadable

log = logging.getLogger(__name__)

# Why a run was given up: the row of the catalogue.
WORKER_LOST = "worker_lost"
# How often a statement is tried that two workers blocked each other with.
DEADLOCK_ATTEMPTS = 3
# What is kept of a server's own words.
DETAIL_CHARACTERS = 2_000


# -- while it runs ---------------------------------------------------------------------------------------------------


def begin_batch(run_ids: Collection[int], worker: str, now: datetime) -> list[Run]:
    """Take the runs that no worker has begun yet; return them in the order given, each with its mailbox and sync profile.

    Runs that were released, abandoned or begun elsewhere are left out. `started_at` stays open until a run's turn.
    """
    free = Run.objects.filter(pk__in=run_ids, finished_at=None, worker="")
    free.update(worker=worker, heartbeat_at=now)
    mine = Run.objects.filter(pk__in=run_ids, finished_at=None, worker=worker).select_related("mailbox__sync_profile")
    try:
        found = list(mine)
    except SecretUnreadable:
        # Whose password it is shows when it is used; the others of the batch are not to suffer for it.
        found = list(mine.defer("mailbox__secret"))
    place = {pk: at for at, pk in enumerate(run_ids)}
    return sorted(found, key=lambda run: place[run.pk])


def begin(run: Run, worker: str, now: datetime) -> None:
    """Start one run that was claimed with `claim_one` and is worked on at once, and show it as running."""
    run.worker, run.started_at, run.heartbeat_at = worker, now, now
    heartbeat([run], run, now)


def heartbeat(waiting: Sequence[Run], current: Run | None, now: datetime) -> set[int]:
    """Keep the leases of the runs a worker still has; return the ids of those that are still its own.

    `current` is the run it is working on: it shows as running from its first heartbeat on.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE mailboxes_run SET heartbeat_at = %s WHERE id = ANY(%s) AND finished_at IS NULL RETURNING id",
            [now, [run.pk for run in waiting]],
        )
        kept = {row[0] for row in cursor.fetchall()}
    if current is not None and current.pk in kept:
        Run.objects.filter(pk=current.pk).update(worker=current.worker, started_at=current.started_at)
        Mailbox.objects.filter(pk=current.mailbox_id).exclude(state=State.RUNNING).update(
            state=State.RUNNING, state_since=now
        )
    return kept


def release(run_ids: Collection[int]) -> int:
    """Give back leases of runs that have done nothing: their mailboxes stay as due as they were; return how many."""
    return Run.objects.filter(pk__in=run_ids, finished_at=None, started_at=None).delete()[0]


# -- given up --------------------------------------------------------------------------------------------------------


def abandon_stale(now: datetime) -> list[int]:
    """End every run whose heartbeat is older than the lease; return the ids. Their mailboxes are due at once."""
    return _abandon("heartbeat_at < %s", [now - timedelta(seconds=settings.LEASE_SECONDS)], now)


def abandon_of(workers: Collection[str], now: datetime) -> list[int]:
    """End every run of workers that are known to be dead; return the ids. Their mailboxes are due at once."""
    return _abandon("worker = ANY(%s)", [list(workers)], now) if workers else []


def abandon(run: Run, now: datetime) -> None:
    """End one run whose own process knows that it cannot go on; its mailbox is due at once."""
    _abandon("id = %s", [run.pk], now)


def _abandon(condition: str, values: list[Any], now: datetime) -> list[int]:
    """End the unfinished runs for which `condition` holds.

    One that never started is simply taken back: its job was lost on the way. One that did counts as a failure; from the
    third in a row on its mailbox waits a little longer each time, for it may be what kills the workers.
    """
    with connection.cursor() as cursor:
        # The condition is one of the literals above.
        cursor.execute(
            _ABANDON % {"condition": condition},
            [
                *values,
                now,
                now,
                Outcome.ABANDONED,
                WORKER_LOST,
                now,
                now,
                State.RUNNING,
                State.IDLE,
                State.FIRST_SYNC,
                now,
            ],
        )
        ended = [row[0] for row in cursor.fetchall()]
    if ended:
        log.warning("%d runs were given up: no sign of life of their workers", len(ended))
    return ended


_ABANDON = """
WITH lost AS (
    SELECT id, worker FROM mailboxes_run WHERE finished_at IS NULL AND %(condition)s FOR UPDATE SKIP LOCKED
), ended AS (
    UPDATE mailboxes_run r
    SET finished_at = %%s, started_at = coalesce(r.started_at, CASE WHEN r.worker <> '' THEN %%s::timestamptz END),
        outcome = %%s, error_code = %%s
    FROM lost WHERE r.id = lost.id
    RETURNING r.id, r.mailbox_id, r.worker <> '' AS begun
), due AS (
    UPDATE mailboxes_mailbox m
    SET due_at = least(m.due_at, %%s),
        failures = m.failures + ended.begun::int,
        not_before = CASE WHEN ended.begun AND m.failures >= 2
                     THEN %%s + make_interval(secs => least(300, 15 * 2 ^ least(m.failures - 2, 10)))
                     ELSE m.not_before END,
        state = CASE WHEN m.state = %%s THEN CASE WHEN m.first_sync_done THEN %%s ELSE %%s END ELSE m.state END,
        state_since = %%s
    FROM ended WHERE m.id = ended.mailbox_id
)
SELECT id FROM ended
"""


# -- settled ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Done:
    """A run that ended at `at`, with what it did. `run` carries mailbox, server and sync profile, and `started_at`."""

    run: Run
    report: RunReport
    at: datetime


def settle(run: Run, report: RunReport, now: datetime) -> bool:
    """Finish one run; return False when its lease was lost before, in which case nothing is written."""
    return bool(settle_many([Done(run, report, now)]))


def settle_many(done: Sequence[Done]) -> set[int]:
    """Finish runs with their reports: next run, state, holds, alerts and the promise; return the ids that were finished.

    Runs whose lease was lost in between change nothing. An idle run costs its share of one statement.
    """
    for one in done:
        _make_storable(one.report)
    # Where the schedule draws from is of no consequence to safety.
    verdicts = [judge(one.run, one.report, now=one.at, jitter=random.uniform(-1, 1)) for one in done]  # noqa: S311
    settled = _written(done, verdicts)
    for one, verdict in zip(done, verdicts, strict=True):
        if one.run.pk in settled:
            _tell(one, verdict)
    return settled


def set_down(run: Run, report: RunReport, now: datetime) -> bool:
    """Finish a run that worked beside the schedule (one item again): its counts are kept, and the mailbox's state, due
    time and promise stay as they are. Return False when its lease was lost before.

    A run that failed is none of these: what stopped it is settled as for any run.
    """
    return bool(
        Run.objects.filter(pk=run.pk, finished_at=None).update(
            started_at=run.started_at,
            finished_at=now,
            reached_server=report.reached_server,
            outcome=Outcome.DONE,
            requests=report.requests,
            examined=report.examined,
            tracked=report.tracked,
            updated=report.updated,
            refused=dict(report.refused),
            quarantined=report.quarantined,
        )
    )


def _make_storable(report: RunReport) -> None:
    """Cut what servers say down to what a row can hold: a sentence must never keep a run from its end."""
    for error in filter(None, [report.error, *report.folder_errors.values()]):
        error.detail = clean(error.detail)[:DETAIL_CHARACTERS]


def _written(done: Sequence[Done], verdicts: Sequence[Verdict]) -> set[int]:
    """Write runs, mailboxes and gaps in one transaction; two workers that block each other try again."""
    rows = json.dumps([_row(one, verdict) for one, verdict in zip(done, verdicts, strict=True)])
    for attempt in range(DEADLOCK_ATTEMPTS):
        try:
            with transaction.atomic():
                with connection.cursor() as cursor:
                    cursor.execute(_SETTLE, [rows, Intent.ON])
                    settled = {row[0] for row in cursor.fetchall()}
                gaps = (
                    promise.gap_of(one.run.mailbox, one.run.started_at or one.at)
                    for one in done
                    if one.run.pk in settled and one.report.reached_server
                )
                promise.record(gap for gap in gaps if gap is not None)
        except OperationalError as error:
            if attempt + 1 == DEADLOCK_ATTEMPTS or "deadlock" not in str(error):
                raise
        else:
            return settled
    raise AssertionError("the loop returns or raises")


def _row(one: Done, verdict: Verdict) -> dict[str, Any]:
    """Return the columns that change, as JSON for `jsonb_to_recordset`."""
    run, report, error = one.run, one.report, one.report.error
    started = run.started_at or one.at
    held = verdict.hold is not None and not verdict.hold.server and verdict.hold.until
    whole = error is None and not report.more
    return {
        "run_id": run.pk,
        "mailbox_id": run.mailbox_id,
        "started_at": started.isoformat(),
        "finished_at": one.at.isoformat(),
        "reached": report.reached_server,
        "full_pass": report.full_pass,
        "outcome": verdict.outcome,
        "error_code": error.code if error else "",
        "error_detail": error.detail if error else "",
        "requests": report.requests,
        "examined": report.examined,
        "tracked": report.tracked,
        "updated": report.updated,
        "refused": dict(report.refused),
        "quarantined": report.quarantined,
        "interval_s": verdict.interval.seconds,
        "interval_reason": str(verdict.interval.reason),
        "state": verdict.state,
        "issue_code": verdict.issue_code,
        "issue_detail": verdict.issue_detail,
        "due_at": verdict.due_at.isoformat(),
        "not_before": held.isoformat() if held else None,
        "failed": error is not None,
        "more": report.more,
        "whole": whole,
        "full_pass_at": started.isoformat() if whole and report.full_pass else None,
        "arrivals": verdict.arrivals,
        "waits": verdict.waits_for_person,
    }


_SETTLE = """
WITH v AS (
    SELECT * FROM jsonb_to_recordset(%s::jsonb) AS v(
        run_id bigint, mailbox_id bigint, started_at timestamptz, finished_at timestamptz, reached bool, full_pass bool,
        outcome text, error_code text, error_detail text, requests int, examined int, tracked int, updated int,
        refused jsonb, quarantined int, interval_s int, interval_reason text, state text, issue_code text,
        issue_detail text, due_at timestamptz, not_before timestamptz, failed bool, more bool, whole bool,
        full_pass_at timestamptz, arrivals jsonb, waits bool)
), ended AS (
    UPDATE mailboxes_run r
    SET started_at = v.started_at, finished_at = v.finished_at, reached_server = v.reached, full_pass = v.full_pass,
        outcome = v.outcome, error_code = v.error_code, error_detail = v.error_detail, requests = v.requests,
        examined = v.examined, tracked = v.tracked, updated = v.updated, refused = v.refused,
        quarantined = v.quarantined, interval_s = v.interval_s, interval_reason = v.interval_reason
    FROM v WHERE r.id = v.run_id AND r.finished_at IS NULL
    RETURNING r.id
)
UPDATE mailboxes_mailbox m
SET state = v.state,
    state_since = CASE WHEN m.state = v.state THEN m.state_since ELSE v.finished_at END,
    issue_code = v.issue_code, issue_detail = v.issue_detail,
    -- A mail that was written while the run was under way, or that is to be tried again, is not kept waiting.
    -- So is nobody who has asked meanwhile for everything to be looked at.
    due_at = CASE WHEN v.failed THEN v.due_at ELSE least(
        v.due_at,
        CASE WHEN m.outgoing THEN m.mail_due_at END,
        CASE WHEN m.full_pass_asked_at > v.started_at AND m.due_at = m.full_pass_asked_at THEN m.due_at END) END,
    not_before = v.not_before,
    interval_s = v.interval_s, interval_reason = v.interval_reason,
    failures = CASE WHEN v.failed THEN m.failures + 1 ELSE 0 END,
    arrivals = coalesce(v.arrivals, m.arrivals),
    backlog = CASE WHEN v.failed THEN m.backlog ELSE v.more END,
    first_sync_done = m.first_sync_done OR v.whole,
    full_pass_at = CASE WHEN m.full_pass_asked_at > v.started_at THEN NULL
                   ELSE coalesce(v.full_pass_at, m.full_pass_at) END,
    synced_at = CASE WHEN v.failed THEN m.synced_at ELSE v.finished_at END,
    attempted_at = CASE WHEN v.reached THEN v.started_at ELSE m.attempted_at END,
    measured_from = CASE WHEN m.intent <> %s OR v.waits THEN NULL
                    WHEN v.reached THEN greatest(m.measured_from, v.started_at)
                    ELSE m.measured_from END
FROM v JOIN ended ON ended.id = v.run_id
WHERE m.id = v.mailbox_id
RETURNING ended.id
"""


# -- what it leads to elsewhere --------------------------------------------------------------------------------------


def _tell(one: Done, verdict: Verdict) -> None:
    """Hold or free the server, raise or resolve alerts: only where something is wrong, or was."""
    mailbox, report = one.run.mailbox, one.report
    if report.error is not None and verdict.hold is not None:
        if verdict.hold.server:
            _hold_server(one, verdict, report.error)
            return
        _raise(report.error, Place(mailbox_id=mailbox.pk), mailbox.failures + 1, one.at)
    for folder_id, error in report.folder_errors.items():
        alerts.raise_alert(error.code, Place(mailbox_id=mailbox.pk, folder_id=folder_id), error.detail, one.at)
    if mailbox.issue_code or mailbox.failures:
        alerts.resolve_mailbox(
            mailbox.pk,
            one.at,
            but_folders=report.folder_errors.keys(),
            but_code=report.error.code if report.error else "",
        )
    if report.error is None:
        _free_server(one)


def _raise(error: ProviderError, place: Place, failures: int, now: datetime) -> None:
    passing = error.kind in {Kind.TRANSIENT, Kind.THROTTLED}
    if not passing or failures >= PATIENCE:
        alerts.raise_alert(error.code, place, error.detail, now)


def _hold_server(one: Done, verdict: Verdict, error: ProviderError) -> None:
    """Hold back the server once for everything that failed before the hold began."""
    server, until = one.run.mailbox.server, verdict.hold.until if verdict.hold else None
    started = one.run.started_at or one.at
    if until is None:
        alerts.raise_alert(error.code, Place(server_id=server.pk), error.detail, one.at)
        intents.stop_server(server, error, one.at)
        return
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE mailboxes_serverprofile SET not_before = greatest(not_before, %s), failures = failures + 1 "
            "WHERE id = %s AND (not_before IS NULL OR not_before <= %s) RETURNING not_before, failures",
            [until, server.pk, started],
        )
        held = cursor.fetchone()
    if held is None:
        # Others saw it first. What they imposed holds for us as well.
        server.refresh_from_db(fields=["not_before", "failures"])
        return
    server.not_before, server.failures = held
    _raise(error, Place(server_id=server.pk), server.failures, one.at)
    # One failure may be a hiccup; the second is an outage, and every mailbox of the server shows it.
    if server.failures == 2 or error.kind is Kind.THROTTLED:
        intents.show_waiting(server, verdict.hold.state if verdict.hold else State.WAITING_FOR_SERVER, error, one.at)


def _free_server(one: Done) -> None:
    """End the server's hold: a run that began after it was imposed has succeeded."""
    mailbox, server = one.run.mailbox, one.run.mailbox.server
    started = one.run.started_at or one.at
    if server.stopped_at is not None and started > server.stopped_at and not mailbox.username:
        intents.server_repaired(server, one.at)
    if server.failures and (server.not_before is None or server.not_before <= started):
        ServerProfile.objects.filter(pk=server.pk).update(failures=0)
        server.failures = 0
        alerts.resolve_server(server.pk, one.at)
