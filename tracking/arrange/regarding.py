"""What a message is about, set by hand: a record, another one, or none. It wins over everything that comes later.

Replies take over what the message that they answer is about, so a record set here reaches what is still to come.
"""

from collections.abc import Collection
from datetime import datetime

from django.db import transaction

from tracking.arrange import history
from tracking.models import Activity, Thread
from tracking.models.activity import RegardingBy
from tracking.sync.facts import RecordRef


class NotThere(Exception):
    """None of the messages is in that thread any more."""


def set_by_hand(
    thread: Thread, messages: Collection[int], record: RecordRef | None, *, by: str, why: str, now: datetime
) -> int:
    """Have these messages of a thread be about `record` (None: nothing) from now on; return how many; raises `NotThere`."""
    with transaction.atomic():
        rows = list(
            Activity.objects.select_for_update().filter(pk__in=messages, thread=thread).order_by("pk").only("pk", "regarding_kind", "regarding_id", "regarding_by")
        )  # fmt: skip
        if not rows:
            raise NotThere
        before = sorted({(row.regarding_kind, row.regarding_id or 0, row.regarding_by) for row in rows})
        Activity.objects.filter(pk__in=[row.pk for row in rows]).update(
            regarding_kind=record.kind if record else "", regarding_id=record.id if record else None,
            regarding_by=RegardingBy.MANUAL, regarding_folder=None,
        )  # fmt: skip
        history.record(
            history.What.REGARDING, by=by, now=now, thread=thread.pk, activity=rows[0].pk, why=why,
            kind=record.kind if record else "", id=record.id if record else None, messages=len(rows),
            before=[list(each) for each in before],
        )  # fmt: skip
    return len(rows)
