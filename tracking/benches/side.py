"""One side of `bench growth`: an installation with so many stored activities, and a process that syncs its mailbox.

Told what to be on the first line of standard input; each further line has the mailbox synced once, and is answered by
what that cost, a JSON document per line.
"""

import json
import time
from collections.abc import Callable, Iterable
from typing import Any

from django.db import connection
from django.utils import timezone

from mailboxes import claims
from mailboxes.models import Mailbox, Run
from mailboxes.states import Outcome, Trigger
from security.models import User
from tracking.benches.children import ChildFailed
from tracking.benches.stage import add, connect
from tracking.benches.stored import fill
from tracking.workers.jobs import Batch

# Mailboxes that hold the stored messages; the first is the one that is synced.
_MAILBOXES = 10

# What PostgreSQL counts per database; nobody but this process uses this one.
_COUNTED = """
SELECT active_time, tup_fetched, tup_returned, tup_inserted + tup_updated + tup_deleted, blks_hit, blks_read
FROM pg_stat_database WHERE datname = current_database()
"""
_NAMES = ("database_ms", "rows_fetched", "rows_scanned", "rows_written", "buffers_hit", "buffers_read")


def serve(name: str, lines: Iterable[str], say: Callable[[str], object]) -> None:
    """Be the side `name` until `lines` end. Raises `ChildFailed`."""
    lines = iter(lines)
    mailbox, stored = _prepare(name, json.loads(next(lines)))
    say(json.dumps(stored))
    for _line in lines:
        say(json.dumps(_cost(mailbox)))


def _prepare(name: str, told: dict[str, Any]) -> tuple[Mailbox, dict[str, int]]:
    profile = connect("growth", told["url"], username=told["username"], password=told["password"], impersonate=True)
    others = [f"other{number}@growth.example" for number in range(1, _MAILBOXES)]
    mailboxes = add(profile, [f"{name}@growth.example", *others])
    # An ordinary person: what a superuser may see is asked for in a simpler way.
    owner = User.objects.create_user(username="owner")
    Mailbox.objects.update(owner=owner, track="records")
    mailbox = Mailbox.objects.select_related("owner").get(pk=mailboxes[0].pk)
    _sync(mailbox)
    return mailbox, fill([mailbox, *Mailbox.objects.exclude(pk=mailbox.pk).order_by("pk")], int(told["size"]))


def _cost(mailbox: Mailbox) -> dict[str, float]:
    before = _counted()
    clock = time.process_time()
    run = _sync(mailbox)
    cpu = time.process_time() - clock
    counted = {name: after - earlier for name, after, earlier in zip(_NAMES, _counted(), before, strict=True)}
    return {
        "cpu_ms": round(cpu * 1000, 1),
        **{key: round(value, 1) for key, value in counted.items()},
        "tracked": run.tracked,
        "updated": run.updated,
        "refused": sum(run.refused.values()),
    }


def _sync(mailbox: Mailbox) -> Run:
    """Do a run as a worker does it."""
    run = claims.claim_one(mailbox, Trigger.SCHEDULE, claims.SYNC, timezone.now())
    Batch([run.pk], worker="bench", clock=timezone.now).work()
    run.refresh_from_db()
    if run.outcome != Outcome.DONE:
        raise ChildFailed(f"A run failed: {run.outcome} {run.error_code} {run.error_detail}".strip())
    return run


def _counted() -> tuple[float, ...]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_force_next_flush()")
        # What was counted so far is handed over at the end of a statement.
        cursor.execute("SELECT pg_stat_clear_snapshot()")
        cursor.execute(_COUNTED)
        row = cursor.fetchone()
    return tuple(float(value) for value in row)
