"""`GET /health/`: whether crmsync can do its work, for monitors and for the launcher. Says nothing that needs a sign-in.

The parts are asked at the same time, each with a bound, because the question is asked most when something hangs.
"""

import asyncio
from collections.abc import Callable
from typing import TypeVar

import redis
from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.db import DEFAULT_DB_ALIAS, connections
from django.db import Error as DatabaseError
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from redis.backoff import NoBackoff
from redis.retry import Retry
from rq import Worker

from mailboxes.models import Mailbox

PATIENCE_SECONDS = 1.2  # leaves the rest of the two seconds to a busy machine

Answer = TypeVar("Answer")


@never_cache
@require_safe
@login_not_required
async def health(request: HttpRequest) -> JsonResponse:  # noqa: ARG001 -- Django's signature
    """Answer 200 when database and queue can be used, otherwise 503, within two seconds.

    `status` is ok, degraded (no worker, so nothing syncs) or failing; `database` and `redis` are ok or unreachable;
    `workers` and `mailboxes` are numbers, null when they cannot be known.
    """
    mailboxes, workers = await asyncio.gather(_bounded(count_mailboxes), _bounded(count_workers))
    reachable = mailboxes is not None and workers is not None
    status = "failing" if not reachable else "ok" if workers else "degraded"
    answer = {
        "status": status,
        "database": "unreachable" if mailboxes is None else "ok",
        "redis": "unreachable" if workers is None else "ok",
        "workers": workers,
        "mailboxes": mailboxes,
    }
    return JsonResponse(answer, status=200 if reachable else 503)


def count_mailboxes() -> int | None:
    """Return the number of mailboxes, or None when the database does not answer. Runs in a thread of its own."""
    fresh = connections.create_connection(DEFAULT_DB_ALIAS)
    # Two seconds is the least that libpq knows; whoever asks has his answer before (see `_bounded`).
    options = {**fresh.settings_dict["OPTIONS"], "connect_timeout": 2}
    fresh.settings_dict = {**fresh.settings_dict, "OPTIONS": options}
    try:
        with fresh.cursor() as cursor:
            cursor.execute("SELECT set_config('statement_timeout', %s, false)", [str(int(PATIENCE_SECONDS * 1000))])
            cursor.execute(f"SELECT count(*) FROM {fresh.ops.quote_name(Mailbox._meta.db_table)}")  # noqa: S608 -- our own table
            return int(cursor.fetchone()[0])
    except DatabaseError:
        return None
    finally:
        fresh.close()


def count_workers() -> int | None:
    """Return the number of living workers, or None when the queue's server does not answer."""
    try:
        with redis.Redis.from_url(
            settings.REDIS_URL,
            socket_timeout=PATIENCE_SECONDS,
            socket_connect_timeout=PATIENCE_SECONDS,
            retry=Retry(NoBackoff(), 0),
        ) as client:
            return len(Worker.all(connection=client))
    except (redis.RedisError, OSError):
        return None


async def _bounded(question: Callable[[], Answer | None]) -> Answer | None:
    """Ask in a thread; what takes too long counts as no answer (the thread ends by its own time-outs)."""
    try:
        return await asyncio.wait_for(asyncio.to_thread(question), PATIENCE_SECONDS)
    except TimeoutError:
        return None
