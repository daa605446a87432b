"""Asking for a backfill, confirming it, cancelling it: what people do. Each is one statement that tells whether it was.

The idea: nothing is read that was not counted before and confirmed after. A new count takes the place of one that nobody
confirmed; what is being read has to end, or be cancelled, first. What failed goes on when a person says so.
"""

from datetime import date, datetime, time, timedelta

from django.db import IntegrityError, transaction
from django.utils import timezone

from mailboxes.models import Folder, Mailbox
from mailboxes.states import Intent
from tracking.backfill.parts import may_be_read
from tracking.models import Backfill

_State = Backfill.State
# Nothing was mailed before; a year that is typed with two digits is not meant.
EARLIEST = date(1980, 1, 1)


class NotPossible(Exception):
    """It cannot be asked for. `code`: archived, channel_off, order, too_early, future, folder, reading, not_counted."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def of_range(mailbox: Mailbox, first: date, last: date, folder: Folder | None, *, by: str, now: datetime) -> Backfill:
    """Ask for the mail received from the first day to the last (both included, in local time) to be counted."""
    _check(mailbox)
    if first > last:
        raise NotPossible("order")
    if first < EARLIEST:
        raise NotPossible("too_early")
    if first > timezone.localtime(now).date():
        raise NotPossible("future")
    if folder is not None and (folder.mailbox_id != mailbox.pk or not may_be_read(folder)):
        raise NotPossible("folder")
    # The day after it has to be one, too.
    last = min(last, date.max - timedelta(days=1))
    return _ask(
        Backfill(
            mailbox=mailbox, kind=Backfill.Kind.RANGE, folder=folder, since=_midnight(first),
            until=_midnight(last + timedelta(days=1)), asked_by=by, asked_at=now,
        )
    )  # fmt: skip


def of_record(mailbox: Mailbox, kind: str, pk: int, *, by: str, now: datetime) -> Backfill:
    """Ask for the refused mail of a mailbox to be counted that names an address of a record."""
    _check(mailbox)
    return _ask(
        Backfill(mailbox=mailbox, kind=Backfill.Kind.RECORD, record_kind=kind, record_id=pk, asked_by=by, asked_at=now)
    )


def confirm(row: Backfill, *, by: str, now: datetime) -> None:
    """Have read what was counted; raises `NotPossible`."""
    _check(row.mailbox)
    changed = Backfill.objects.filter(pk=row.pk, state=_State.COUNTED).update(
        state=_State.READING, confirmed_by=by, confirmed_at=now, place=0, offset=0, passes=0, found=0, attempts=0,
        careful=0, error_code="",
    )  # fmt: skip
    if not changed:
        raise NotPossible("not_counted")


def cancel(row: Backfill, now: datetime) -> bool:
    """Have nothing more counted or read; what was tracked stays. Return whether there was anything to cancel."""
    return bool(
        Backfill.objects.filter(pk=row.pk, state__in=Backfill.OPEN).update(state=_State.CANCELLED, finished_at=now)
    )


def resume(row: Backfill, now: datetime) -> None:
    """Have one that failed go on where it stopped; raises `NotPossible`."""
    _check(row.mailbox)
    if row.folder is not None and not may_be_read(row.folder):
        raise NotPossible("folder")
    state = _State.READING if row.confirmed_at else _State.COUNTING
    try:
        with transaction.atomic():
            changed = Backfill.objects.filter(pk=row.pk, state=_State.FAILED).update(
                state=state, attempts=0, careful=0, error_code="", finished_at=None, worked_at=now
            )
    except IntegrityError:
        # There is a newer one.
        changed = 0
    if not changed:
        raise NotPossible("not_counted")


def _check(mailbox: Mailbox) -> None:
    if mailbox.intent == Intent.ARCHIVED:
        raise NotPossible("archived")
    if not mailbox.incoming:
        raise NotPossible("channel_off")


def _ask(row: Backfill) -> Backfill:
    before = Backfill.objects.filter(
        mailbox=row.mailbox, kind=row.kind, record_kind=row.record_kind, record_id=row.record_id
    )
    try:
        with transaction.atomic():
            before.filter(state__in=(_State.COUNTING, _State.COUNTED)).update(
                state=_State.CANCELLED, finished_at=row.asked_at
            )
            row.save(force_insert=True)
    except IntegrityError as error:
        # One is being read, or somebody else has asked in this moment.
        raise NotPossible("reading") from error
    return row


def _midnight(day: date) -> datetime:
    return timezone.make_aware(datetime.combine(day, time.min))
