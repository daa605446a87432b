"""What a backfill looks at, part by part: of a range what the mail server lists, of a record what was refused.

The idea: both are the same to whoever counts or reads. A part names a folder, the items in it that are to be decided
on, and where the next part begins; what is tracked, set aside or discarded is counted and left alone.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from django.db.models import QuerySet

from mailboxes.models import Folder
from mailboxes.provider.port import FolderRole, Listing
from mailboxes.provider.writing import WholeProvider
from tracking.models import Backfill, ItemDecision
from tracking.sync.facts import Reason

_Outcome = ItemDecision.Outcome
_TRACKED = (_Outcome.TRACKED, _Outcome.UPDATED)
_ASIDE = (_Outcome.QUARANTINED, _Outcome.DISCARDED)
# Refusals that an address more on a record, or a message more that is tracked, may turn.
OPEN_REASONS = (Reason.NO_RECORD, Reason.NOT_A_REPLY)
# Folders that mail is never taken from, whoever asks.
_NEVER = (
    FolderRole.DRAFTS, FolderRole.DELETED, FolderRole.JUNK, FolderRole.CALENDAR, FolderRole.CONTACTS, FolderRole.TASKS,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Part:
    """Some items of a folder. `listed` counts them all; `items` are to be decided on, `known` are tracked, `aside` failed
    or were discarded, `settled` were decided by this very backfill. `place` and `offset`: where the next part begins.
    """

    folder: Folder
    listed: int
    items: tuple[str, ...]
    place: int
    offset: int
    known: int = 0
    aside: int = 0


def mail_folders(row: Backfill) -> QuerySet[Folder]:
    """Return the folders that a backfill looks into, in a lasting order."""
    there = row.mailbox.folders.filter(gone_at=None, in_step=False).exclude(role__in=_NEVER).order_by("pk")
    return there.filter(pk=row.folder_id) if row.folder_id else there.filter(followed=True)


def may_be_read(folder: Folder) -> bool:
    """Tell whether mail can be taken from a folder when somebody names it."""
    return folder.gone_at is None and not folder.in_step and folder.role not in _NEVER


def next_part(row: Backfill, provider: WholeProvider, limit: int, beat: Callable[[], None]) -> Part | None:
    """Return what comes next, at most `limit` items; None at the end. Raises `ProviderError`s."""
    folder = mail_folders(row).filter(pk__gte=row.place).first()
    if folder is None:
        return None
    offset = row.offset if folder.pk == row.place else 0
    if row.kind == Backfill.Kind.RECORD:
        return _refused(folder, offset, limit)
    beat()
    return _of_range(row, folder, provider.listing(folder.provider_id, offset, limit, since=row.since, until=row.until))


def skipped(folder: Folder) -> Part:
    """Return the part that leads past a folder which cannot be read."""
    return Part(folder, 0, (), folder.pk + 1, 0)


def _of_range(row: Backfill, folder: Folder, listing: Listing) -> Part:
    ids = [change.item_id for change in listing.changes]
    decided = {
        item_id: (outcome, at)
        for item_id, outcome, at in ItemDecision.objects.filter(mailbox=row.mailbox_id, item_id__in=ids).values_list(
            "item_id", "outcome", "decided_at"
        )
    }
    outcomes = [outcome for outcome, _at in decided.values()]
    since = row.confirmed_at

    def is_open(item_id: str) -> bool:
        outcome, at = decided.get(item_id, ("", None))
        if outcome in _TRACKED or outcome in _ASIDE:
            return False
        # Decided since it was confirmed: an earlier pass, or a run before it was killed.
        return at is None or since is None or at < since

    place, offset = (folder.pk + 1, 0) if listing.offset is None else (folder.pk, listing.offset)
    return Part(
        folder,
        len(ids),
        tuple(item_id for item_id in ids if is_open(item_id)),
        place,
        offset,
        known=sum(outcome in _TRACKED for outcome in outcomes),
        aside=sum(outcome in _ASIDE for outcome in outcomes),
    )


def _refused(folder: Folder, after: int, limit: int) -> Part:
    found = list(refusals([folder]).filter(pk__gt=after).order_by("pk").values_list("pk", "item_id")[:limit])
    if len(found) < limit:
        place, offset = folder.pk + 1, 0
    else:
        place, offset = folder.pk, found[-1][0]
    return Part(folder, len(found), tuple(item_id for _pk, item_id in found), place, offset)


def refusals(folders: Sequence[Folder] | QuerySet[Folder]) -> QuerySet[ItemDecision]:
    """Return the refusals in these folders that may be decided otherwise now."""
    return ItemDecision.objects.filter(folder__in=folders, outcome=_Outcome.REFUSED, reason__in=OPEN_REASONS)
