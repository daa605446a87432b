"""What the pages of backfills show: requests with how far they are, and what could be looked at again for a record."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.db.models import Exists, OuterRef, Q, QuerySet, Sum
from django.db.models.functions import Lower
from django.utils.translation import gettext_lazy as _

from mailboxes.access_rules import may_sync
from mailboxes.issues import Issue, issue_of
from mailboxes.models import Folder, Mailbox
from mailboxes.states import Intent
from security.access import visible
from security.models import User
from tracking.backfill.parts import may_be_read
from tracking.backfill.retro import addresses_of
from tracking.decisions import reasons
from tracking.models import AddressMatch, Backfill, Holder, Participant
from tracking.models.record import Owned

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

_State = Backfill.State
TONES: dict[str, str] = {
    _State.COUNTING: "busy",
    _State.COUNTED: "warn",
    _State.READING: "busy",
    _State.DONE: "ok",
    _State.CANCELLED: "off",
    _State.FAILED: "bad",
}
SENTENCES: dict[str, "StrOrPromise"] = {
    "archived": _("This mailbox is archived. Switch it on first."),
    "channel_off": _("No mail is read from this mailbox: its channel for mail is off."),
    "order": _("The last day is before the first."),
    "too_early": _("The first day is too long ago. Write the year with four digits."),
    "future": _("The first day has not come yet."),
    "folder": _("No mail is read from this folder."),
    "reading": _("One is being read already. Wait until it has ended, or cancel it."),
    "not_counted": _("It has changed meanwhile: look again before you read it."),
}
_PAST = 10
_MAILBOXES = 20


@dataclass(frozen=True, slots=True)
class FolderCount:
    """What was counted in one folder; `refused` are (sentence, number), the most frequent first."""

    name: str
    held: int
    known: int
    aside: int
    would_track: int
    would_link: int
    unread: int
    refused: Sequence[tuple[str, int]]

    @property
    def refusals(self) -> int:
        """Return how many would be refused."""
        return sum(number for _sentence, number in self.refused)


@dataclass(frozen=True, slots=True)
class Shown:
    """A request as a page shows it. `total` is what it will have looked at by its end, None while that is not known."""

    row: Backfill
    folders: Sequence[FolderCount]
    total: int | None
    issue: Issue | None

    @property
    def tone(self) -> str:
        """Return the tone of its state."""
        return TONES[self.row.state]

    @property
    def going(self) -> bool:
        """Return whether it goes on by itself."""
        return self.row.state in Backfill.WORKED_ON

    @property
    def failed(self) -> bool:
        """Return whether it goes on only when a person says so."""
        return self.row.state == _State.FAILED

    @property
    def would_track(self) -> int:
        """Return how many messages would be tracked, or linked to a copy that is kept."""
        return sum(one.would_track + one.would_link for one in self.folders)

    @property
    def counted(self) -> int:
        """Return how many items have been looked at to be counted."""
        return sum(one.held for one in self.folders)

    @property
    def share(self) -> float | None:
        """Return how far reading is, 0 to 100; None when that is not known."""
        if self.row.state != _State.READING or not self.total:
            return None
        return min(100.0, 100.0 * self.row.examined / self.total)


def shown(row: Backfill) -> Shown:
    """Return a request as a page shows it; no query."""
    folders = [_folder(document) for document in row.counted.values()]
    total = sum(one.would_track + one.would_link + one.refusals + one.unread for one in folders) if folders else None
    return Shown(row, folders, total, issue_of(row.error_code) if row.error_code else None)


def _folder(document: dict[str, Any]) -> FolderCount:
    refused = sorted(document["refused"].items(), key=lambda each: (-each[1], each[0]))
    numbers = {name: document[name] for name in ("held", "known", "aside", "would_track", "would_link", "unread")}
    sentences = [(reasons.sentence(reason), number) for reason, number in refused]
    return FolderCount(document["name"], **numbers, refused=sentences)


def of_mailbox(person: User, mailbox: Mailbox) -> tuple[Shown | None, list[Shown]]:
    """Return the latest request for a range, and those before it; one query."""
    rows = visible(person, Backfill).filter(mailbox=mailbox, kind=Backfill.Kind.RANGE).select_related("folder")
    found = [shown(row) for row in rows.order_by("-asked_at", "-pk")[: _PAST + 1]]
    return (found[0], found[1:]) if found else (None, [])


def folder_choices(person: User, mailbox: Mailbox) -> list[tuple[int, str]]:
    """Return the folders that can be named, followed ones first."""
    rows = visible(person, Folder).filter(mailbox=mailbox, gone_at=None).defer("cursor").order_by("-followed", "name")
    return [(folder.pk, folder.name) for folder in rows if may_be_read(folder)]


# -- of a record


@dataclass(frozen=True, slots=True)
class Box:
    """A mailbox in which refused mail can be looked at for a record: at most so many envelopes, and how that gets on."""

    mailbox: Mailbox
    refused: int
    latest: Shown | None


@dataclass(frozen=True, slots=True)
class RecordMail:
    """What is tracked of a record's mail, as far as the person may read it, and where more could be."""

    messages: int
    ambiguous: int
    match: AddressMatch | None
    boxes: Sequence[Box]

    @property
    def going(self) -> bool:
        """Return whether anything goes on by itself."""
        waits = self.match is not None and self.match.wanted_at is not None
        return waits or any(box.latest is not None and box.latest.going for box in self.boxes)


def boxes_for(person: User, kind: str, record: Owned) -> QuerySet[Mailbox]:
    """Return the mailboxes in which the person may have mail looked at for a record: their own, and, for those who may
    start runs, those that have to do with it. Only of owners who may see the record: their rights decide.
    """
    part = Participant.objects.filter(record_kind=kind, record_id=record.pk)
    holding = Holder.objects.filter(mailbox=OuterRef("pk"), removed_at=None, activity__in=part.values("activity"))
    near = Q(owner=person) | Q(owner=record.owner_id) | Exists(holding)
    on = visible(person, Mailbox).filter(near, incoming=True).exclude(intent=Intent.ARCHIVED)
    return on.select_related("owner", "sync_profile").order_by("address")


def of_record(person: User, kind: str, record: Owned) -> RecordMail:
    """Return what the page of a record's mail shows."""
    named = visible(person, Participant).filter(record_kind=kind, record_id=record.pk)
    everybody = visible(person, Participant).alias(address=Lower("email"))
    unclear = everybody.filter(ambiguous=True, address__in=addresses_of(record))
    near = [mailbox for mailbox in boxes_for(person, kind, record)[:_MAILBOXES] if may_sync(person, mailbox)]
    sees = {
        owner.pk: visible(owner, type(record)).filter(pk=record.pk).exists()
        for owner in {mailbox.owner_id: mailbox.owner for mailbox in near}.values()
    }
    boxes = [mailbox for mailbox in near if sees[mailbox.owner_id]]
    refused = _refused(boxes)
    latest: dict[int, Backfill] = {}
    for row in visible(person, Backfill).filter(
        mailbox__in=boxes, kind=Backfill.Kind.RECORD, record_kind=kind, record_id=record.pk
    ).order_by("asked_at", "pk"):  # fmt: skip
        latest[row.mailbox_id] = row
    return RecordMail(
        named.values("activity").distinct().count(),
        unclear.values("activity").distinct().count(),
        visible(person, AddressMatch).filter(record_kind=kind, record_id=record.pk).first(),
        [
            Box(mailbox, refused.get(mailbox.pk, 0), shown(latest[mailbox.pk]) if mailbox.pk in latest else None)
            for mailbox in boxes
        ],
    )


def _refused(boxes: Sequence[Mailbox]) -> dict[int, int]:
    """Return how much mail was refused in the folders of each mailbox that are read, whatever the reason."""
    rows = Folder.objects.filter(mailbox__in=boxes, followed=True, in_step=False, gone_at=None)
    return dict(rows.order_by().values_list("mailbox").annotate(n=Sum("refused")))
