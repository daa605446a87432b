"""Reading again from the start: the cursor of a folder, all decisions of a folder, or of the whole mailbox.

The idea: nothing is thrown away to be fetched again. A cursor is set back and the folder is listed anew, matched by stable
keys as after an expired cursor; what is tracked stays tracked and is not read. To have items decided again (what was set
aside in any case, refused ones on demand) their change keys are forgotten, so that the listing finds them changed. What is
not listed any more is marked as gone, never deleted. A preview says first what would be read.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from django.db import transaction
from django.db.models import Count, Q

from mailboxes.models import Folder, Mailbox
from tracking.models import ItemDecision

_Outcome = ItemDecision.Outcome
_TRACKED = (_Outcome.TRACKED, _Outcome.UPDATED)
# Decided again when a folder is: what a person discarded is not (it is taken back one by one).
_OPEN = (_Outcome.REFUSED, _Outcome.QUARANTINED)
_COUNTED = ("known", "kept", "open", "aside")


class What(StrEnum):
    """How much is read again."""

    CURSOR = "cursor"
    FOLDER = "folder"
    MAILBOX = "mailbox"


@dataclass(frozen=True, slots=True)
class FolderPreview:
    """What reading one folder again comes to, from what is known now.

    `held`: items in Exchange as last counted (None: never). `kept`: tracked ones, matched and not read. `matched`: others
    that are matched and not read. `reread`: known items whose envelopes are read again. `unknown`: items without a decision,
    read as any new one is.
    """

    folder: Folder
    held: int | None
    kept: int
    matched: int
    reread: int
    unknown: int


class NotFollowed(Exception):
    """The folder is not read at all, so there is nothing to read again."""


def folders_of(mailbox: Mailbox, what: What, folder: Folder | None) -> list[Folder]:
    """Return the folders concerned; raises `NotFollowed` for one that is gone or not read.

    Deciding again is for mail: what is kept in step with records is looked at whenever it changes, on either side.
    """
    if what is What.MAILBOX:
        return list(mailbox.folders.filter(followed=True, gone_at=None).order_by("role", "name"))
    if folder is None or folder.mailbox_id != mailbox.pk or folder.gone_at is not None:
        raise NotFollowed
    if not (folder.followed or (folder.in_step and what is What.CURSOR)):
        raise NotFollowed
    return [folder]


def preview(folders: Sequence[Folder], what: What) -> list[FolderPreview]:
    """Return what reading these folders again would come to; one query, nothing is asked of the server."""
    rows = (
        ItemDecision.objects.filter(folder__in=folders)
        .order_by()
        .values("folder_id")
        .annotate(
            known=Count("pk"),
            kept=Count("pk", filter=Q(outcome__in=_TRACKED)),
            open=Count("pk", filter=Q(outcome__in=_OPEN)),
            aside=Count("pk", filter=Q(outcome=_Outcome.QUARANTINED)),
        )
        .values_list("folder_id", *_COUNTED)
    )
    counts = {folder_id: dict(zip(_COUNTED, numbers, strict=True)) for folder_id, *numbers in rows}
    nothing = dict.fromkeys(_COUNTED, 0)
    return [_of_folder(folder, what, counts.get(folder.pk, nothing)) for folder in folders]


def _of_folder(folder: Folder, what: What, counts: dict[str, int]) -> FolderPreview:
    reread = counts["aside"] if what is What.CURSOR else counts["open"]
    return FolderPreview(
        folder=folder,
        held=folder.total,
        kept=counts["kept"],
        matched=counts["known"] - counts["kept"] - reread,
        reread=reread,
        unknown=max(0, (folder.total or 0) - counts["known"]),
    )


def reset(mailbox: Mailbox, folders: Sequence[Folder], what: What, now: datetime) -> None:
    """Have the next run read these folders again. The caller has the mailbox's lease, or has kept others from beginning."""
    ids = [folder.pk for folder in folders]
    with transaction.atomic():
        again = (_Outcome.QUARANTINED,) if what is What.CURSOR else _OPEN
        ItemDecision.objects.filter(folder__in=ids, outcome__in=again).update(change_key="")
        Folder.objects.filter(pk__in=ids).update(
            cursor=None, counters="", more=False, listing_before=now, attempts=0, careful=0
        )
        if what is What.MAILBOX:
            # The list of folders as well.
            Mailbox.objects.filter(pk=mailbox.pk).update(full_pass_at=None)
