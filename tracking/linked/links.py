"""What planning must know of linked pairs, and what is stored of them."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Final, NamedTuple
from uuid import uuid4

from django.db import connection
from django.db.models import Q, QuerySet
from django.utils.timezone import localdate

from mailboxes.models import Folder, Mailbox, Run
from mailboxes.provider.entries import EntryKind, Field, Marks, Value
from security import privileges
from security.access import visible
from security.models import User
from tracking.engine.filter_queries import MODELS, Flow, flowing
from tracking.models import FieldConflict, FieldDirection, ItemLink, LinkState, SyncFilter
from tracking.models.record import Owned
from tracking.sync.codec import decode_all, encode, encode_all
from tracking.sync.directions import Addresses, Direction, directions
from tracking.sync.filters import Asker
from tracking.sync.merge import Conflict, Merge, Side

# A record may be stored a little after the moment that it says: transactions take time.
OVERLAP: Final = timedelta(minutes=2)
# A move looks like a removal, and its arrival may be told a run later.
GRACE: Final = timedelta(minutes=10)


def directions_of(mailbox: Mailbox, kind: EntryKind) -> dict[Field, Direction]:
    """Return the directions in force for a mailbox: those of its sync profile, else the defaults."""
    return all_directions_of(mailbox)[kind]


def all_directions_of(mailbox: Mailbox) -> dict[EntryKind, dict[Field, Direction]]:
    """Return the same of every kind, with one query."""
    chosen: dict[EntryKind, dict[Field, Direction]] = {kind: {} for kind in EntryKind}
    for row in FieldDirection.objects.filter(sync_profile=mailbox.sync_profile_id):
        chosen[EntryKind(row.kind)][Field(row.field)] = Direction(row.direction)
    addresses = Addresses(mailbox.sync_profile.contact_addresses)
    return {kind: directions(kind, fields, addresses=addresses) for kind, fields in chosen.items()}


def rules_digest(owner: User, chosen: Mapping[Field, Direction], files: Direction = Direction.NONE) -> str:
    """Return a digest of what says, beside the values, what flows: it differs when pairs must be compared anew."""
    sees_all = owner.has_perm(privileges.READ_ALL_RECORDS)
    told = [f"{name}={direction}" for name, direction in sorted(chosen.items())]
    # Unsaid while they stay where they are, as before there were any.
    told += [f"files={files}"] if files is not Direction.NONE else []
    return sha256(f"{sees_all} {' '.join(told)}".encode()).hexdigest()


def asker_of(mailbox: Mailbox, now: datetime) -> Asker:
    """Return on whose behalf the filters of a mailbox are asked."""
    # The installation's day, until people have a zone of their own.
    return Asker(mailbox.owner_id, now, localdate(now))


def filters_of(mailbox: Mailbox, kind: EntryKind | None = None) -> list[SyncFilter]:
    """Return the filters of a mailbox, of one kind or of all: those of its sync profile, and its owner's."""
    everybodys = Q(sync_profile=mailbox.sync_profile_id, scope=SyncFilter.Scope.SYSTEM)
    found = SyncFilter.objects.filter(everybodys | Q(mailbox=mailbox))
    return list(found if kind is None else found.filter(kind=kind))


def flowing_records(mailbox: Mailbox, kind: EntryKind, now: datetime) -> Flow:
    """Return what the filters in force let into the mailbox."""
    return flowing(kind, filters_of(mailbox, kind), mailbox.owner, asker_of(mailbox, now))


def records_by_id(kind: EntryKind, ids: Iterable[int], owner: User) -> dict[int, Owned]:
    """Return those of the records that the owner may see."""
    found: QuerySet[Owned] = visible(owner, MODELS[kind]).filter(pk__in=list(ids))
    return {record.pk: record for record in found}


def is_unchanged(record: Owned) -> bool:
    """Lock a record's row for this transaction and tell whether it still is what was read."""
    rows = type(record)._default_manager.select_for_update().filter(pk=record.pk).values_list("modified_at")
    return list(rows) == [(record.modified_at,)]


def new_link(
    mailbox: Mailbox, kind: EntryKind, record_id: int, *, born_in: Side, folder: Folder, now: datetime
) -> ItemLink:
    """Make the link before there is an entry: its stamp is how the entry is found after a crash."""
    return ItemLink.objects.create(
        mailbox=mailbox,
        kind=kind,
        record_id=record_id,
        stamp=uuid4().hex,
        born_in=born_in,
        folder=folder,
        linked_at=now,
    )


def note_entry(link: ItemLink, marks: Marks, folder: Folder | None = None) -> None:
    """Note which entry it is now, and as of which change."""
    link.item_id, link.change_key = marks.item_id, marks.change_key or link.change_key
    link.uid = marks.uid or link.uid
    link.gone_at = None
    link.folder = folder or link.folder
    link.save(update_fields=["item_id", "change_key", "uid", "gone_at", "folder"])


def note_written(link: ItemLink, values: Mapping[Field, Value]) -> None:
    """Note that an entry says what its record said: from this moment both agree on it."""
    link.base = {**link.base, **encode_all(values)}
    link.save(update_fields=["base"])


def note_merge(link: ItemLink, merged: Merge, *, record: Owned, now: datetime) -> None:
    """Store what both sides agree on now, and what stayed where it was."""
    link.base = encode_all(merged.base)
    link.withheld = {name.value: reason.value for name, reason in merged.withheld.items()}
    link.record_seen_at, link.synced_at = record.modified_at, now
    link.save(update_fields=["base", "withheld", "record_seen_at", "synced_at"])


def note_conflicts(
    link: ItemLink, found: Iterable[tuple[datetime | None, Conflict]], *, run: Run, now: datetime
) -> int:
    """Store both values of each conflict, once however often the comparison is begun; return how many are new.

    With each stands the original start of the occurrence that it is about, None for the record itself.
    """
    made = 0
    for original, conflict in found:
        _row, new = FieldConflict.objects.get_or_create(
            link=link,
            original=original,
            field=conflict.name,
            ours=encode(conflict.ours),
            theirs=encode(conflict.theirs),
            ours_at=conflict.ours_at,
            theirs_at=conflict.theirs_at,
            defaults={
                "run": run, "base": encode(conflict.base), "winner": conflict.winner, "found_at": now,
            },
        )  # fmt: skip
        made += new
    return made


def end_link(link: ItemLink, reason: str, now: datetime) -> None:
    """End a link. It stays as a note, so that what was thrown away is not made again."""
    link.unlinked_at, link.reason = now, reason
    link.save(update_fields=["unlinked_at", "reason"])


def revive(link: ItemLink) -> None:
    """Take up a link again; nothing that happened meanwhile is forgotten, for the base is still there."""
    link.unlinked_at, link.reason = None, ""
    link.save(update_fields=["unlinked_at", "reason"])


_WAITING = """
SELECT s.kind,
    s.records_seen_at IS NULL
    OR s.kind = 'appointment' AND EXISTS (
        SELECT 1 FROM tracking_appointment r WHERE r.modified_at >= s.records_seen_at - %(overlap)s * interval '1 second')
    OR s.kind = 'contact' AND EXISTS (
        SELECT 1 FROM tracking_contact r WHERE r.modified_at >= s.records_seen_at - %(overlap)s * interval '1 second')
    OR s.kind = 'task' AND EXISTS (
        SELECT 1 FROM tracking_task r WHERE r.modified_at >= s.records_seen_at - %(overlap)s * interval '1 second'),
    COALESCE(l.unfinished, false), COALESCE(l.gone, false), s.braked_at IS NOT NULL
FROM tracking_linkstate s LEFT JOIN LATERAL (
    SELECT bool_or(l.item_id = '') AS unfinished, bool_or(l.gone_at <= %(gone)s) AS gone
    FROM tracking_itemlink l
    WHERE l.mailbox_id = s.mailbox_id AND l.kind = s.kind AND l.unlinked_at IS NULL
    AND (l.item_id = '' OR l.gone_at IS NOT NULL)) l ON true
WHERE s.mailbox_id = %(mailbox)s
"""


_SEEN = """
UPDATE tracking_linkstate s SET records_seen_at = %s, rules = %s
FROM mailboxes_run r
WHERE s.id = %s AND r.id = %s AND r.mailbox_id = s.mailbox_id AND r.finished_at IS NULL
"""


class Waiting(NamedTuple):
    """What waits of one kind in a mailbox: records that changed, links without an entry, links whose entry left; and
    whether the brake holds, which keeps the last of these from being looked at by every run.
    """

    records: bool
    unfinished: bool
    gone: bool
    braked: bool

    @property
    def anything(self) -> bool:
        """Tell whether there is something to do."""
        return self.records or self.unfinished or (self.gone and not self.braked)


def waiting(mailbox: Mailbox, now: datetime) -> dict[EntryKind, Waiting]:
    """Return what waits since the mailbox was last looked at, of each kind that ever was: one statement, for it is asked
    in every run in which nothing happened.
    """
    with connection.cursor() as cursor:
        cursor.execute(_WAITING, {"mailbox": mailbox.pk, "overlap": OVERLAP.total_seconds(), "gone": now - GRACE})
        return {EntryKind(kind): Waiting(*rest) for kind, *rest in cursor.fetchall()}


def note_seen(state: LinkState, rules: str, *, run: Run, began: datetime) -> bool:
    """Note that a kind was looked at to its end: one statement, which every look ends with.

    Return whether the run still had its lease; without it nothing is noted.
    """
    with connection.cursor() as cursor:
        cursor.execute(_SEEN, [began, rules, state.pk, run.pk])
        return bool(cursor.rowcount)


def start_anew(link: ItemLink) -> None:
    """Take up a link whose entry is gone for good: it gets a new one, under a stamp of its own."""
    link.unlinked_at, link.reason, link.item_id, link.change_key = None, "", "", ""
    link.gone_at, link.base, link.stamp = None, {}, uuid4().hex
    link.exceptions_base, link.exceptions_withheld = None, {}
    link.save()


def by_item(mailbox: Mailbox, item_ids: Iterable[str]) -> dict[str, ItemLink]:
    """Return the links, ended ones too, of these items."""
    found = ItemLink.objects.filter(mailbox=mailbox, item_id__in=list(item_ids))
    return {link.item_id: link for link in found}


def by_uid(mailbox: Mailbox, uids: Iterable[str]) -> dict[str, ItemLink]:
    """Return the links of appointments with these iCalendar UIDs in the mailbox: received ones carry no stamp."""
    found = ItemLink.objects.filter(mailbox=mailbox, uid__in=[uid for uid in uids if uid])
    return {link.uid: link for link in found}


def by_stamp(stamps: Iterable[str]) -> Mapping[str, ItemLink]:
    """Return the links of these stamps, of whatever mailbox."""
    # Found without regard to case, as a mail server may give it back.
    wanted = {stamp.lower() for stamp in stamps if stamp}
    return {link.stamp: link for link in ItemLink.objects.filter(stamp__in=wanted)}


def base_of(link: ItemLink) -> dict[Field, Value]:
    """Return what both sides last agreed on."""
    return decode_all(EntryKind(link.kind), link.base)
