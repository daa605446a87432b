"""Splitting a thread in two, and joining the two again: by people, with who, when and why.

What is split stays so: the two threads are kept apart (`ThreadCut`), whatever later message names both. A later reply goes
where the message lies that it answers. Joining takes a split back; both are events that stay.
"""

from collections.abc import Iterable
from datetime import datetime

from django.db import transaction
from django.db.models import Count, Max, Min

from tracking.arrange import history
from tracking.engine.locks import lock_keys
from tracking.engine.threads import absorb, cut_off, cuts, thread_subject
from tracking.models import Activity, Thread, ThreadCut, ThreadKey, ThreadStop


class NotPossible(Exception):
    """The thread is not what it was when the person looked at it, or nothing of it would stay behind."""


def split(thread: Thread, messages: Iterable[int], *, by: str, why: str, now: datetime) -> Thread:
    """Move these messages of a thread into one of their own, and return it; raises `NotPossible`.

    With a message goes what it answers, where that is not tracked (yet) and nothing that stays answers it, too.
    """
    ids = set(messages)
    with transaction.atomic():
        moving = list(Activity.objects.filter(pk__in=ids, thread=thread).order_by("received_at", "pk"))
        lock_keys(key for each in moving for key in (each.message_key, each.answers))
        if not Thread.objects.select_for_update().filter(pk=thread.pk).exists():
            raise NotPossible
        here = dict(Activity.objects.filter(thread=thread).values_list("pk", "message_key"))
        if not ids or not ids < set(here):
            raise NotPossible
        staying = Activity.objects.filter(thread=thread).exclude(pk__in=ids)
        kept = {key for pair in staying.values_list("message_key", "answers") for key in pair}
        keys = {each.message_key for each in moving} | ({each.answers for each in moving} - kept)
        new = Thread.objects.create(
            subject=thread_subject(moving[0].subject), first_at=moving[0].received_at, last_at=moving[-1].received_at
        )
        ThreadKey.objects.filter(thread=thread, key__in=keys - {""}).update(thread=new)
        Activity.objects.filter(pk__in=ids).update(thread=new)
        _recount(thread.pk)
        _recount(new.pk)
        cut_off(new.pk, {thread.pk} | cuts({thread.pk}).get(thread.pk, set()))
        _stop_as(thread, new)
        history.record(
            history.What.SPLIT, by=by, now=now, thread=thread.pk, activity=moving[0].pk, why=why,
            messages=len(moving), new=new.pk,
        )  # fmt: skip
    new.refresh_from_db()
    return new


def _recount(thread: int) -> None:
    row = Activity.objects.filter(thread=thread).aggregate(
        n=Count("pk"), first=Min("received_at"), last=Max("received_at")
    )
    Thread.objects.filter(pk=thread).update(messages=row["n"], first_at=row["first"], last_at=row["last"])


def _stop_as(thread: Thread, new: Thread) -> None:
    """What comes of a stopped thread is stopped: splitting must not make anything tracked."""
    stops = ThreadStop.objects.filter(thread=thread, ended_at=None)
    ThreadStop.objects.bulk_create(
        ThreadStop(thread=new, mailbox_id=each.mailbox_id, by=each.by, at=each.at, why=each.why) for each in stops
    )


def apart_from(thread: Thread) -> set[int]:
    """Return the threads that this one was split from, or that were split from it."""
    return cuts({thread.pk}).get(thread.pk, set())


def join(thread: Thread, other: Thread, *, by: str, why: str, now: datetime) -> Thread:
    """Make two threads that were split one again and return it, the older; raises `NotPossible`."""
    low, high = sorted((thread.pk, other.pk))
    with transaction.atomic():
        rows = list(Thread.objects.select_for_update().filter(pk__in=(low, high)).order_by("pk"))
        if len(rows) != 2 or not ThreadCut.objects.filter(low=low, high=high).exists():
            raise NotPossible
        keep, gone = rows
        anchor = Activity.objects.filter(thread=gone).order_by("received_at", "pk").values_list("pk", flat=True).first()
        absorb(keep, [gone])
        history.record(
            history.What.JOINED, by=by, now=now, thread=keep.pk, activity=anchor, why=why, gone=gone.pk
        )  # fmt: skip
    keep.refresh_from_db()
    return keep
