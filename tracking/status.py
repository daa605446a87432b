"""How the installation is doing, in numbers: for `sync_status` and whoever scripts it."""

from datetime import datetime
from typing import Any

from django.conf import settings
from django.db.models import Count
from redis.exceptions import RedisError

from mailboxes import promise
from mailboxes.catalogue import lookup
from mailboxes.models import Mailbox, Run
from mailboxes.states import Intent
from tracking.models import Activity
from tracking.workers.transport import queue


def status(now: datetime) -> dict[str, Any]:
    """Return the numbers; `queues` is None when Redis does not answer (what is in it is not lost: design §1).

    `problems` holds what the catalogue says of what is wrong with crmsync's own services.
    """
    queues = _queues()
    on = Mailbox.objects.filter(intent=Intent.ON)
    return {
        "mailboxes": Mailbox.objects.count(),
        "by_intent": _counts("intent"),
        "by_state": _counts("state"),
        "tracked": Activity.objects.count(),
        "promise": {name: _share(now, name) for name in promise.WINDOWS},
        "due": on.filter(due_at__lte=now).count(),
        "running": Run.objects.filter(finished_at=None).exclude(worker="").count(),
        "late": promise.open_late(now).count(),
        "queues": queues,
        "problems": [] if queues is not None else [_problem("queue_gone")],
    }


def _counts(field: str) -> dict[str, int]:
    return dict(Mailbox.objects.order_by(field).values_list(field).annotate(Count("pk")))


def _share(now: datetime, window: str) -> dict[str, Any]:
    share = promise.share(now, promise.WINDOWS[window])
    return {"kept": share.kept, "gaps": share.ended, "open_late": share.open_late, "ratio": share.ratio}


def _problem(code: str) -> dict[str, str]:
    entry = lookup(code)
    return {"code": code, "sentence": str(entry.sentence), "remedy": str(entry.remedy)}


def _queues() -> dict[str, int] | None:
    try:
        return {name: queue(name).count for name in settings.QUEUES}
    except RedisError:
        return None
