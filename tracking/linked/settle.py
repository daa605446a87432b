"""What people decide on linked records: let a brake go, have the other value of a conflict back."""

import json
from datetime import datetime
from hashlib import sha256
from typing import Any

from django.db import transaction

from mailboxes import intents
from mailboxes.models import Mailbox
from mailboxes.provider.entries import EntryKind, Field, canonical
from security.access import visible
from security.models import User
from tracking.engine.filter_queries import MODELS
from tracking.linked import occurrences
from tracking.linked.records import rights_of, take, takeable, values_of
from tracking.models import Appointment, FieldConflict, LinkState
from tracking.sync.codec import decode
from tracking.sync.exceptions import CANCELLED
from tracking.sync.merge import Side


class NotPossible(Exception):
    """What was asked for cannot be done any more, or not by this person."""


class ListChanged(NotPossible):
    """The brake holds something else by now than the person has looked at."""


def listed(state: LinkState) -> str:
    """Return what stands for the list of a brake as it is now: another list has another name."""
    return sha256(json.dumps(sorted((each["link"], each["remedy"]) for each in state.brake)).encode()).hexdigest()


def release_brake(state: LinkState, *, seen: str, by: str, now: datetime) -> None:
    """Let the next run delete what the brake lists; `seen` is the list that the person looked at (`listed`).

    Raises `NotPossible` when no brake holds, `ListChanged` when it holds something else.
    """
    with transaction.atomic():
        row = LinkState.objects.select_for_update().filter(pk=state.pk, braked_at__isnull=False).first()
        if row is None:
            raise NotPossible
        if listed(row) != seen:
            raise ListChanged
        row.released_at, row.released_by = now, by
        row.save(update_fields=["released_at", "released_by"])
    # Everything is looked at again, so that what is deleted is what would be deleted now.
    intents.want_full_pass(Mailbox.objects.filter(pk=state.mailbox_id), now)


def take_other(conflict: FieldConflict, *, by: User, now: datetime) -> None:
    """Write the value that gave way into the record again; the next run brings it to the mailbox.

    Raises `NotPossible` when the record is gone, may not be changed by this person, cannot hold the value, or the
    conflict was settled before.
    """
    if conflict.original is not None:
        _take_other_of_occurrence(conflict, conflict.original, by=by, now=now)
        return
    kind, name = EntryKind(conflict.link.kind), Field(conflict.field)
    stands, other = conflict.ours, conflict.theirs
    if conflict.winner == Side.EXCHANGE:
        stands, other = other, stands
    value = decode(kind, name, other)
    with transaction.atomic():
        record = visible(by, MODELS[kind]).select_for_update().filter(pk=conflict.link.record_id).first()
        if record is None or name in rights_of(record, by).unwritable:
            raise NotPossible
        if name not in takeable(kind, {name: value}, by).values:
            raise NotPossible
        if values_of(record, by)[name] != canonical(kind, name, decode(kind, name, stands)):
            # Somebody has written something else since: that is not to be lost for a value from before.
            raise NotPossible
        open_one = FieldConflict.objects.filter(pk=conflict.pk, undone_at=None)
        if not open_one.update(undone_at=now, undone_by=by.get_username()):
            raise NotPossible
        take(record, {name: value}, by)
    intents.make_due(Mailbox.objects.filter(pk=conflict.link.mailbox_id), now)


def _take_other_of_occurrence(conflict: FieldConflict, original: datetime, *, by: User, now: datetime) -> None:
    """Have the occurrence of a series say again what gave way, or be called off again."""
    stands, other = conflict.ours, conflict.theirs
    if conflict.winner == Side.EXCHANGE:
        stands, other = other, stands
    record_id = conflict.link.record_id
    try:
        with transaction.atomic():
            record = visible(by, Appointment).select_for_update().filter(pk=record_id).first()
            found = None if record is None else occurrences.occurrence(record, original, by, now)
            if found is None or not _stands(conflict.field, stands, found):
                raise NotPossible
            open_one = FieldConflict.objects.filter(pk=conflict.pk, undone_at=None)
            if not open_one.update(undone_at=now, undone_by=by.get_username()):
                raise NotPossible
            if conflict.field == CANCELLED:
                occurrences.call_off(record_id, original, by=by, now=now)
            else:
                name = Field(conflict.field)
                value = decode(EntryKind.APPOINTMENT, name, other)
                occurrences.change(record_id, original, {name: value}, by=by, now=now)
    except occurrences.NotPossible as error:
        raise NotPossible from error


def _stands(name: str, value: Any, found: occurrences.Occurrence) -> bool:
    """Tell whether an occurrence still says what stood when the conflict was settled."""
    if name == CANCELLED:
        return found.own.cancelled is bool(value)
    field, kind = Field(name), EntryKind.APPOINTMENT
    return canonical(kind, field, found.values[field]) == canonical(kind, field, decode(kind, field, value))
