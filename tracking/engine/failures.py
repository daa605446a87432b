"""Items that could not be read or stored: written down, tried again with back-off, settled when they heal (design §6)."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from django.db import connection, transaction
from django.db.models import F, Q

from mailboxes.models import Folder, Mailbox
from tracking.models import ItemDecision, ItemFailure
from tracking.sync.plan import Fail

# The code of an item that was announced and is not there when it is read.
GONE = "item_gone"
# Why a failure ended without its item: nothing is read from its folder any more.
FOLDER_GONE = "failed_folder_gone"
FOLDER_LEFT = "failed_folder_left"
RETRY_FIRST = timedelta(hours=1)
RETRY_LATER = timedelta(days=1)
# Some servers announce items before they can be read: one that is gone is looked for once more.
RETRY_GONE = timedelta(minutes=10)
# Written out, as what is asked in every pass over a mailbox is.
_ANY_DUE = """
SELECT EXISTS (SELECT 1 FROM tracking_itemfailure WHERE mailbox_id = %s AND resolved_at IS NULL AND retry_at <= %s)
"""


def record(failures: Sequence[Fail], *, folder: Folder, now: datetime) -> None:
    """Write failures down: new ones are set aside and due in an hour, repeated ones in a day."""
    known = {
        row.item_id: row
        for row in ItemFailure.objects.filter(
            mailbox_id=folder.mailbox_id, item_id__in=[failure.item_id for failure in failures]
        )
    }
    fresh = {failure.item_id: failure for failure in failures if failure.item_id not in known}
    ItemFailure.objects.bulk_create(
        ItemFailure(
            mailbox_id=folder.mailbox_id,
            folder=folder,
            item_id=failure.item_id,
            change_key=failure.change_key,
            code=failure.code,
            detail=failure.detail,
            first_at=now,
            last_at=now,
            retry_at=now + (RETRY_GONE if failure.code == GONE else RETRY_FIRST),
            quarantined_at=None if failure.code == GONE else now,
        )
        for failure in fresh.values()
    )
    for failure in failures:
        if (row := known.get(failure.item_id)) is not None:
            row.folder = folder
            _repeat(row, failure, now)


def _repeat(row: ItemFailure, failure: Fail, now: datetime) -> None:
    gone = failure.code == GONE
    if row.resolved_at is not None:
        # That was another time: what healed or was forgotten is owed all its attempts again.
        row.code, row.attempts, row.first_at, row.quarantined_at = "", 1, now, None
    # Twice not there is not there: nothing is owed any more.
    over = gone and row.code == GONE
    row.code, row.detail, row.last_at = failure.code, failure.detail, now
    row.quarantined_at = row.quarantined_at or (None if gone else now)
    row.resolved_at = now if over else None
    row.retry_at = None if over else now + _wait(row, gone=gone)
    row.save()


def _wait(row: ItemFailure, *, gone: bool) -> timedelta:
    if row.attempts > 1:
        return RETRY_LATER
    return RETRY_GONE if gone else RETRY_FIRST


def resolve(mailbox: Mailbox, item_ids: Collection[str], now: datetime) -> None:
    """Settle the failures of items that were decided on, or left."""
    ItemFailure.objects.filter(mailbox=mailbox, item_id__in=item_ids, resolved_at__isnull=True).update(
        resolved_at=now, retry_at=None
    )


def follow_folders(mailbox: Mailbox, now: datetime) -> None:
    """End the failures of folders that are gone or followed no more, with that reason; begin anew those of folders that
    are back. One query where there is nothing to do.
    """
    read = (Q(folder__followed=True) | Q(folder__in_step=True)) & Q(folder__gone_at=None)
    open_elsewhere, ended_here = ~read & Q(resolved_at=None), read & Q(code__in=(FOLDER_GONE, FOLDER_LEFT))
    rows = list(ItemFailure.objects.filter(open_elsewhere | ended_here, mailbox=mailbox).select_related("folder"))
    for row in rows:
        if (row.folder.followed or row.folder.in_step) and row.folder.gone_at is None:
            row.code, row.detail = row.detail, ""
            row.attempts, row.first_at, row.quarantined_at = 1, now, None
            row.resolved_at, row.retry_at = None, now
        else:
            row.code, row.detail = FOLDER_LEFT if row.folder.gone_at is None else FOLDER_GONE, row.code
            row.resolved_at, row.retry_at = now, None
    if not rows:
        return
    ended = [row for row in rows if row.resolved_at is not None]
    with transaction.atomic():
        ItemFailure.objects.bulk_update(
            rows, ["code", "detail", "attempts", "first_at", "quarantined_at", "resolved_at", "retry_at"]
        )
        # The decisions stay, as those of any item that left its folder, and count for none.
        ItemDecision.objects.filter(
            mailbox=mailbox,
            item_id__in=[row.item_id for row in ended],
            outcome=ItemDecision.Outcome.QUARANTINED,
        ).update(folder=None)
        Folder.objects.filter(pk__in={row.folder_id for row in ended}).update(quarantined=0)


def any_due(mailbox: Mailbox, now: datetime) -> bool:
    """Tell whether the time of any failure has come, in whatever folder: one short statement for every full pass."""
    with connection.cursor() as cursor:
        cursor.execute(_ANY_DUE, [mailbox.pk, now])
        (found,) = cursor.fetchone()
        return bool(found)


def take_due(mailbox: Mailbox, folders: Collection[Folder], *, limit: int, now: datetime) -> list[ItemFailure]:
    """Return failures whose time has come, at most `limit`."""
    rows = ItemFailure.objects.filter(
        mailbox=mailbox, resolved_at__isnull=True, retry_at__lte=now, folder__in=folders
    ).order_by("folder", "pk")
    return list(rows[:limit])


def count_attempt(failure: ItemFailure, now: datetime) -> None:
    """Count an attempt before it is made: one that ends the worker has been counted, and is not tried again today."""
    ItemFailure.objects.filter(pk=failure.pk).update(
        attempts=F("attempts") + 1, last_at=now, retry_at=now + RETRY_LATER
    )
