"""Stopping a thread: no more of it is tracked, from one mailbox or from any. Taking it back, and what was refused meanwhile.

What is tracked already stays. Refused replies leave nothing but their decision, which names the stop; to evaluate them again
they are read again from the mail server. What an owner asks for by hand (category, folder) is tracked all the same.
"""

from collections.abc import Callable, Iterable
from datetime import datetime

from django.db import transaction
from django.db.models import QuerySet

from mailboxes.models import Folder, Mailbox, Run
from mailboxes.provider.writing import WholeProvider
from mailboxes.report import RunReport
from tracking.arrange import history
from tracking.engine import pipeline
from tracking.models import Activity, ItemDecision, Thread, ThreadStop
from tracking.sync.facts import Reason

Clock = Callable[[], datetime]


class AlreadySo(Exception):
    """The thread is stopped already, or the stop was taken back already."""


def stop(thread: Thread, *, mailbox: Mailbox | None, by: str, why: str, now: datetime) -> ThreadStop:
    """Track no more of a thread from `mailbox` (None: from any); raises `AlreadySo`."""
    with transaction.atomic():
        if not Thread.objects.select_for_update().filter(pk=thread.pk).exists():
            raise AlreadySo
        if ThreadStop.objects.filter(thread=thread, mailbox=mailbox, ended_at=None).exists():
            raise AlreadySo
        made = ThreadStop.objects.create(thread=thread, mailbox=mailbox, by=by, at=now, why=history.clean(why))
        _note(history.What.STOPPED, made, by=by, why=why, now=now)
    return made


def resume(stop: ThreadStop, *, by: str, why: str, now: datetime) -> None:
    """Take a stop back; raises `AlreadySo`. What was refused meanwhile stays refused until it is evaluated again."""
    with transaction.atomic():
        row = ThreadStop.objects.select_for_update().filter(pk=stop.pk, ended_at=None).first()
        if row is None:
            raise AlreadySo
        row.ended_at = now
        row.save(update_fields=["ended_at"])
        _note(history.What.RESUMED, row, by=by, why=why, now=now)


def _note(what: str, stop: ThreadStop, *, by: str, why: str, now: datetime) -> None:
    anchor = Activity.objects.filter(thread=stop.thread_id).order_by("received_at", "pk").first()
    history.record(
        what, by=by, now=now, thread=stop.thread_id, activity=anchor.pk if anchor else None, mailbox=stop.mailbox_id,
        why=why, stop=stop.pk,
    )  # fmt: skip


def refused(stops: Iterable[ThreadStop]) -> QuerySet[ItemDecision]:
    """Return what was refused because of these stops and still lies where it was."""
    return ItemDecision.objects.filter(
        reason=Reason.THREAD_STOPPED, outcome=ItemDecision.Outcome.REFUSED, folder__isnull=False,
        facts__stop__in=[stop.pk for stop in stops],
    )  # fmt: skip


def evaluate(
    run: Run, provider: WholeProvider, decisions: Iterable[ItemDecision], *, clock: Clock, beat: Callable[[], None]
) -> RunReport:
    """Read refused messages of the run's mailbox again and decide anew; nothing is kept of those that are refused again."""
    total = RunReport(reached_server=True)
    by_folder: dict[Folder, list[str]] = {}
    for decision in decisions:
        if decision.folder is not None:
            by_folder.setdefault(decision.folder, []).append(decision.item_id)
    for folder, item_ids in by_folder.items():
        report = pipeline.take(run, provider, folder, item_ids, clock=clock, beat=beat)
        total.add(report)
        if report.error is not None:
            break
    total.requests = provider.requests
    return total
