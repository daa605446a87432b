"""What the page of linked records shows: each kind, what the brake holds, conflicts, values that stayed where they were."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count, Max, Q, QuerySet, TextField
from django.db.models.functions import Cast, Coalesce

from mailboxes.catalogue import ENTRIES
from mailboxes.issues import Issue, issue_of
from mailboxes.models import Mailbox
from mailboxes.provider.entries import EntryKind, Field
from security import privileges
from security.access import visible
from security.models import User
from tracking.engine.filter_queries import MODELS
from tracking.linked import words
from tracking.linked.exceptions import WHOLE
from tracking.linked.records import rights_of
from tracking.linked.settle import listed
from tracking.models import FieldConflict, ItemLink, LinkState
from tracking.models.link import LinkedKind
from tracking.models.record import Owned
from tracking.sync.exceptions import CANCELLED
from tracking.sync.removal import Remedy

CONFLICTS_SHOWN = 50
HELD_BACK_SHOWN = 50
BRAKED_SHOWN = 100
NOT_WRITTEN_SHOWN = 50


@dataclass(frozen=True, slots=True)
class Would:
    """One deletion that waits: the record's name ("" where the reader may not see it) and what would be deleted."""

    name: str
    remedy: str


@dataclass(frozen=True, slots=True)
class KindRow:
    """One kind in one mailbox."""

    label: str
    linked: int
    ended: int
    compared_at: datetime | None
    state: LinkState | None
    would: Sequence[Would]
    more: int
    # Stands for the whole list (`tracking.linked.settle`): what is let go is what was looked at.
    listed: str


@dataclass(frozen=True, slots=True)
class ConflictRow:
    """A field that both sides changed."""

    conflict: FieldConflict
    name: str
    field: str
    ours: str
    theirs: str
    can_undo: bool


@dataclass(frozen=True, slots=True)
class HeldBack:
    """A value that stayed where it was, and why."""

    name: str
    field: str
    why: str


@dataclass(frozen=True, slots=True)
class NotWritten:
    """A record whose entry could not be made or changed, and what is to be done about it."""

    name: str
    issue: Issue | None
    since: datetime | None


def kinds(person: User, mailbox: Mailbox) -> list[KindRow]:
    """Return a row for each kind."""
    active = Q(unlinked_at=None)
    counted: dict[str, dict[str, Any]] = {
        row["kind"]: dict(row)
        for row in visible(person, ItemLink)
        .filter(mailbox=mailbox)
        .order_by()
        .values("kind")
        .annotate(linked=Count("pk", filter=active), ended=Count("pk", filter=~active), at=Max("synced_at"))
    }
    states = {state.kind: state for state in visible(person, LinkState).filter(mailbox=mailbox)}
    rows = []
    for kind in LinkedKind:
        found = counted.get(kind.value, {})
        state = states.get(kind.value)
        would = _would(person, EntryKind(kind.value), state.brake[:BRAKED_SHOWN]) if state and state.braked_at else []
        more = len(state.brake) - len(would) if state and would else 0
        name = listed(state) if state and would else ""
        rows.append(
            KindRow(
                str(kind.label), found.get("linked", 0), found.get("ended", 0), found.get("at"), state, would, more, name
            )
        )  # fmt: skip
    return rows


def _of_visible_records(person: User, link: str = "") -> Q:
    """Return what picks links of records that the person may see, before any are counted off; `link` leads to the link."""
    seen = Q(pk__in=[])
    for kind in EntryKind:
        seen |= Q(**{f"{link}kind": kind, f"{link}record_id__in": visible(person, MODELS[kind]).values("pk")})
    return seen


def _names(person: User, kind: EntryKind, ids: Iterable[int]) -> dict[int, Owned]:
    return {record.pk: record for record in visible(person, MODELS[kind]).filter(pk__in=set(ids))}


def _deleted_names(person: User, kind: EntryKind, ids: Iterable[int]) -> dict[int, Owned]:
    """Return records that are deleted, too: whoever could see one until then may know what is to go with it."""
    found: QuerySet[Owned] = MODELS[kind]._default_manager.filter(pk__in=set(ids))
    if not person.has_perm(privileges.READ_ALL_RECORDS):
        found = found.filter(owner=person)
    return {record.pk: record for record in found}


def _would(person: User, kind: EntryKind, brake: Sequence[dict[str, Any]]) -> list[Would]:
    ids = dict(ItemLink.objects.filter(pk__in=[each["link"] for each in brake]).values_list("pk", "record_id"))
    seen = _deleted_names(person, kind, ids.values())
    return [
        Would(
            str(seen.get(ids.get(each["link"], 0)) or ""),
            str(words.REMEDIES[Remedy(each["remedy"])]),
        )
        for each in brake
    ]


def conflicts(person: User, mailbox: Mailbox) -> list[ConflictRow]:
    """Return the latest conflicts about records that the person may see: a conflict shows values."""
    theirs = _of_visible_records(person, "link__")
    rows_of_mailbox = visible(person, FieldConflict).filter(theirs, link__mailbox=mailbox).select_related("link")
    found = list(rows_of_mailbox[:CONFLICTS_SHOWN])
    seen = {
        kind: _names(person, kind, (each.link.record_id for each in found if each.link.kind == kind))
        for kind in EntryKind
    }
    rows = []
    for each in found:
        kind = EntryKind(each.link.kind)
        record = seen[kind].get(each.link.record_id)
        if record is None:
            continue
        rights = rights_of(record, person)
        # Whether it is called off goes with when it is.
        field = Field.SPAN if each.field == CANCELLED else each.field
        if field not in rights.unreadable:
            can_undo = each.undone_at is None and field not in rights.unwritable
            rows.append(
                ConflictRow(
                    each,
                    words.of_occurrence(record, each.original),
                    words.field_name(kind, each.field),
                    words.value(kind, each.field, each.ours),
                    words.value(kind, each.field, each.theirs),
                    can_undo,
                )
            )
    return rows


def held_back(person: User, mailbox: Mailbox) -> list[HeldBack]:
    """Return the fields that differ and stay so, with the reason; of records that the person may see."""
    links = list(
        visible(person, ItemLink)
        .filter(_of_visible_records(person), mailbox=mailbox, unlinked_at=None)
        .exclude(withheld={}, exceptions_withheld={})
        .order_by("-synced_at")[:HELD_BACK_SHOWN]
    )
    rows = []
    for kind in EntryKind:
        mine = [link for link in links if link.kind == kind]
        seen = _names(person, kind, (link.record_id for link in mine))
        rows += [
            HeldBack(str(seen[link.record_id]), words.field_name(kind, name), words.why(reason))
            for link in mine
            if link.record_id in seen
            for name, reason in link.withheld.items()
            if name != WHOLE
        ]
        rows += [
            HeldBack(words.of_occurrence(seen[link.record_id], at), words.field_name(kind, name), words.why(reason))
            for link in mine
            if link.record_id in seen
            for at, held in _held_occurrences(link)
            for name, reason in held.items()
            if name != WHOLE or reason in words.REASONS
        ]
    return rows[:HELD_BACK_SHOWN]


def _held_occurrences(link: ItemLink) -> list[tuple[datetime, dict[str, str]]]:
    return [(datetime.fromisoformat(at), held) for at, held in link.exceptions_withheld.items()]


def not_written(person: User, mailbox: Mailbox) -> list[NotWritten]:
    """Return the records that the person may see whose entries the mail server would not have, the latest first."""
    codes = list(ENTRIES)
    never_made = Q(unlinked_at__isnull=False, item_id="", reason__in=codes)
    not_changed = Q(unlinked_at=None) & (Q(withheld__has_key=WHOLE) | Q(held__contains=f'"{WHOLE}"'))
    links = list(
        visible(person, ItemLink)
        .alias(held=Cast("exceptions_withheld", TextField()))
        .filter(never_made | not_changed, _of_visible_records(person), mailbox=mailbox)
        .order_by(Coalesce("unlinked_at", "synced_at", "linked_at").desc())[:NOT_WRITTEN_SHOWN]
    )
    seen = {kind: _names(person, kind, (link.record_id for link in links if link.kind == kind)) for kind in EntryKind}
    rows = [
        NotWritten(name, issue_of(code, mailbox=mailbox.address), link.unlinked_at or link.synced_at)
        for link in links
        if link.record_id in seen[EntryKind(link.kind)]
        for name, code in _refused(link, seen[EntryKind(link.kind)][link.record_id])
    ]
    return rows[:NOT_WRITTEN_SHOWN]


def _refused(link: ItemLink, record: Owned) -> list[tuple[str, str]]:
    """Return what of a record could not be written, and the code of why: the whole, or occurrences of a series."""
    whole = link.withheld.get(WHOLE) or (link.reason if link.unlinked_at else "")
    of_days = [
        (words.of_occurrence(record, at), held[WHOLE])
        for at, held in _held_occurrences(link)
        if WHOLE in held and held[WHOLE] not in words.REASONS
    ]
    return ([(str(record), whole)] if whole else []) + of_days
