"""Which sync profiles there are, and which mailboxes follow them: made, renamed, assigned, made the default, deleted.

The idea: each act is one transaction under the lock of the profile it is about, with its row of history. What following
another profile would change is told first, as the difference of two documents, and done only as it was told.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from json import dumps

from django.core.serializers.json import DjangoJSONEncoder
from django.db import IntegrityError, transaction
from django.db.models import QuerySet

from mailboxes import intents
from mailboxes.models import Mailbox, SyncProfile
from tracking.models import PolicyDraft, ProfileEvent
from tracking.policy import drafts, words
from tracking.policy.document import Document, in_force, write
from tracking.policy.words import Difference

_Act = ProfileEvent.Act


class NotPossible(Exception):
    """`code`: gone, name_taken, in_use (mailboxes follow it), default (new mailboxes do)."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True)
class Box:
    """A mailbox that would follow another profile, and the tracking option in force for it now and then."""

    mailbox: Mailbox
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Move:
    """The mailboxes that would leave one profile, and what that changes for each of them."""

    profile: SyncProfile
    boxes: Sequence[Box]
    differences: Sequence[Difference]


@dataclass(frozen=True, slots=True)
class Preview:
    """What assigning mailboxes would change. `told` stands for all of it: it is done only as long as that is the same."""

    moves: Sequence[Move]
    told: str

    @property
    def count(self) -> int:
        """Return how many mailboxes would follow the profile anew."""
        return sum(len(move.boxes) for move in self.moves)


def create(name: str, *, copy_of: SyncProfile | None, by: str, now: datetime) -> SyncProfile:
    """Make a profile that says what another one does, or the defaults. Raises `NotPossible` (name_taken)."""
    with transaction.atomic():
        made = _saved(SyncProfile(name=name))
        if copy_of is not None:
            write(made, in_force(copy_of))
        _note(_Act.CREATED, made, by, now, before=copy_of.name if copy_of else "")
    made.refresh_from_db()
    return made


def rename(profile: SyncProfile, name: str, *, by: str, now: datetime) -> None:
    """Give a profile another name. Raises `NotPossible` (gone, name_taken)."""
    with transaction.atomic():
        row = _locked(profile)
        before, row.name = row.name, name
        if before == name:
            return
        _saved(row)
        _note(_Act.RENAMED, row, by, now, before=before, after=name)


def make_default(profile: SyncProfile, *, by: str, now: datetime) -> bool:
    """Have new mailboxes follow a profile; return False if they do. Raises `NotPossible` (gone)."""
    with transaction.atomic():
        # All in one order, so that two people who choose at once choose one after the other.
        rows = {row.pk: row for row in SyncProfile.objects.select_for_update().order_by("pk")}
        row = rows.get(profile.pk)
        if row is None:
            raise NotPossible("gone")
        if row.is_default:
            return False
        before = next((each.name for each in rows.values() if each.is_default), "")
        SyncProfile.objects.filter(is_default=True).update(is_default=False)
        SyncProfile.objects.filter(pk=row.pk).update(is_default=True)
        _note(_Act.DEFAULT, row, by, now, before=before, after=row.name)
    return True


def delete(profile: SyncProfile, *, by: str, now: datetime) -> None:
    """Delete a profile that no mailbox follows, with its drafts and publications; what it said last is kept in its history.

    Raises `NotPossible` (gone, in_use, default).
    """
    with transaction.atomic():
        row = _locked(profile)
        if row.is_default:
            raise NotPossible("default")
        if Mailbox.objects.filter(sync_profile=row).exists():
            raise NotPossible("in_use")
        _note(_Act.DELETED, row, by, now, document=in_force(row))
        row.delete()


def preview(boxes: QuerySet[Mailbox], target: SyncProfile) -> Preview:
    """Return what it would change for mailboxes to follow `target`; those that do already are left out."""
    wanted = in_force(target)
    by_profile: dict[int, list[Mailbox]] = {}
    for mailbox in boxes.exclude(sync_profile=target).select_related("sync_profile", "owner").order_by("address"):
        by_profile.setdefault(mailbox.sync_profile_id, []).append(mailbox)
    moves, told = [], [str(target.pk)]
    for mailboxes in by_profile.values():
        profile = mailboxes[0].sync_profile
        present = in_force(profile)
        differences = words.differences(present, as_change_of(present, wanted))
        moves.append(Move(profile, [_box(each, target) for each in mailboxes], differences))
        told += [dumps([profile.pk, present, [each.pk for each in mailboxes]], cls=DjangoJSONEncoder, sort_keys=True)]
    told.append(dumps(wanted, cls=DjangoJSONEncoder, sort_keys=True))
    return Preview(moves, sha256("\n".join(told).encode()).hexdigest()[:32])


def _box(mailbox: Mailbox, target: SyncProfile) -> Box:
    before = mailbox.effective_track
    after = target.track if target.track_locked else mailbox.track or target.track
    return Box(mailbox, words.setting("track", before), words.setting("track", after))


def as_change_of(present: Document, wanted: Document) -> Document:
    """Return `wanted` as a change of `present`: a filter of the same scope, kind and name is the same filter, changed."""
    keys = {_identity(each): key for key, each in reversed(present["filters"].items())}
    filters = {}
    for key, each in wanted["filters"].items():
        filters[keys.pop(_identity(each), f"from-{key}")] = each
    return {**wanted, "filters": filters}


def _identity(each: Document) -> tuple[str, str, str]:
    return each["scope"], each["kind"], each["name"]


def assign(boxes: QuerySet[Mailbox], target: SyncProfile, *, told: str, by: str, now: datetime) -> int | None:
    """Have mailboxes follow `target`, from their next run on; return how many, or None if it is not any more as `told`.

    Entries and records are compared anew by that run; mail that was decided on stays as it is. Raises `NotPossible` (gone).
    """
    with transaction.atomic():
        target = _locked(target)
        rows = list(boxes.order_by("pk").select_for_update(of=["self"]).values_list("pk", flat=True))
        found = preview(Mailbox.objects.filter(pk__in=rows), target)
        if found.told != told:
            return None
        moved = [(move.profile, box.mailbox) for move in found.moves for box in move.boxes]
        chosen = Mailbox.objects.filter(pk__in=[mailbox.pk for _profile, mailbox in moved])
        chosen.update(sync_profile=target)
        intents.want_full_pass(chosen, now, at_once=False)
        for profile, mailbox in moved:
            _note(_Act.ASSIGNED, target, by, now, mailbox=mailbox, before=profile.name, after=target.name)
    return len(moved)


def trial(source: SyncProfile, target: SyncProfile, *, by: str, now: datetime) -> PolicyDraft:
    """Return a draft in which `source` says what `target` does: to be tried on the last days, and thrown away."""
    present = in_force(source)
    return drafts.begin(source, by=by, now=now, base=present, proposed=as_change_of(present, in_force(target)))


def _locked(profile: SyncProfile) -> SyncProfile:
    row = SyncProfile.objects.select_for_update().filter(pk=profile.pk).first()
    if row is None:
        raise NotPossible("gone")
    return row


def _saved(profile: SyncProfile) -> SyncProfile:
    others = SyncProfile.objects.filter(name__iexact=profile.name).exclude(pk=profile.pk)
    if others.exists():
        raise NotPossible("name_taken")
    try:
        with transaction.atomic():
            profile.save()
    except IntegrityError as error:
        raise NotPossible("name_taken") from error
    return profile


def _note(
    act: str, profile: SyncProfile, by: str, now: datetime, *, mailbox: Mailbox | None = None, before: str = "",
    after: str = "", document: Document | None = None,
) -> None:  # fmt: skip
    ProfileEvent.objects.create(
        act=act, sync_profile=profile, mailbox=mailbox, name=profile.name, before=before, after=after, document=document,
        by=by, at=now,
    )  # fmt: skip
