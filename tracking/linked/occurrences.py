"""What people do to one occurrence of a series in the CRM; the next run brings it to the mailboxes that it is linked in.

The one idea: what is over stays as it was, and what a mailbox took out nobody can put back, so both are refused here with
a sentence, instead of being accepted and then not done.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from django.db import transaction

from mailboxes import intents
from mailboxes.models import Mailbox
from mailboxes.provider.entries import EntryKind, Field, Span, Value
from security.access import visible
from security.models import User
from tracking.linked.exceptions import base_of, own_of
from tracking.linked.records import rights_of, takeable, values_of
from tracking.models import Appointment, ItemLink, OccurrenceChange
from tracking.sync.codec import encode_all
from tracking.sync.exceptions import OF_ITS_OWN, PLAIN, Own, has_occurrence, own_values, plain_values


class Refused(StrEnum):
    """Why an occurrence cannot be changed, or not like this."""

    NOT_YOURS = "not_yours"
    NONE_SUCH = "none_such"
    OVER = "over"
    TAKEN_OUT = "taken_out"
    DOES_NOT_FIT = "does_not_fit"


class NotPossible(Exception):
    """What was asked for cannot be done; `why` says it."""

    def __init__(self, why: Refused) -> None:
        super().__init__(why.value)
        self.why = why


@dataclass(frozen=True, slots=True)
class Occurrence:
    """One occurrence as the CRM has it: what it says, what of that is its own, and who has taken it out for good."""

    original: datetime
    plain: Mapping[Field, Value]
    own: Own
    over: bool
    taken_out: bool

    @property
    def values(self) -> dict[Field, Value]:
        """Return what it says."""
        return {**self.plain, **self.own.values}


def occurrence(record: Appointment, original: datetime, person: User, now: datetime) -> Occurrence | None:
    """Return an occurrence of a series; None when the series has none that starts then and the CRM knows of none."""
    series = values_of(record, person)
    row = record.changes.filter(original=original).first()
    if row is None and not has_occurrence(series, original):
        return None
    plain, own = plain_values(series, original), PLAIN if row is None else own_of(row)
    span = own.values.get(Field.SPAN, plain[Field.SPAN])
    over = isinstance(span, Span) and span.is_past(now)
    links = ItemLink.objects.filter(kind=EntryKind.APPOINTMENT, record_id=record.pk, unlinked_at=None)
    bases = (base_of(link) or {} for link in links.exclude(item_id=""))
    return Occurrence(original, plain, own, over, any(base.get(original, PLAIN).cancelled for base in bases))


def change(record_id: int, original: datetime, values: Mapping[Field, Value], *, by: User, now: datetime) -> None:
    """Have an occurrence say `values`; whatever else it has of its own stays. Raises `NotPossible`."""
    with transaction.atomic():
        record, found = _to_write(record_id, original, by, now, values)
        if found.own.cancelled:
            raise NotPossible(Refused.TAKEN_OUT)
        span = values.get(Field.SPAN)
        if isinstance(span, Span) and span.is_past(now):
            raise NotPossible(Refused.OVER)
        taken = takeable(EntryKind.APPOINTMENT, values, by)
        if taken.withheld:
            raise NotPossible(Refused.DOES_NOT_FIT)
        _store(record, original, Own(own_values({**found.values, **values}, found.plain)))


def call_off(record_id: int, original: datetime, *, by: User, now: datetime) -> None:
    """Call one occurrence off; what it says is kept. Raises `NotPossible`."""
    with transaction.atomic():
        record, found = _to_write(record_id, original, by, now, {Field.SPAN: None})
        _store(record, original, Own(found.own.values, cancelled=True))


def take_back(record_id: int, original: datetime, *, by: User, now: datetime) -> None:
    """Have an occurrence be as its series has it. Raises `NotPossible`, of one that a mailbox has taken out, too."""
    with transaction.atomic():
        record, found = _to_write(record_id, original, by, now, dict.fromkeys(OF_ITS_OWN))
        if found.own.cancelled and found.taken_out:
            raise NotPossible(Refused.TAKEN_OUT)
        _store(record, original, PLAIN)


def _to_write(
    record_id: int, original: datetime, by: User, now: datetime, names: Mapping[Field, Value]
) -> tuple[Appointment, Occurrence]:
    """Return the record, locked, and its occurrence, if the person may write these fields of it and it is to come."""
    record = visible(by, Appointment).select_for_update().filter(pk=record_id).first()
    if record is None or not rights_of(record, by).unwritable.isdisjoint(names):
        raise NotPossible(Refused.NOT_YOURS)
    found = occurrence(record, original, by, now)
    if found is None:
        raise NotPossible(Refused.NONE_SUCH)
    if found.over:
        raise NotPossible(Refused.OVER)
    return record, found


def _store(record: Appointment, original: datetime, own: Own) -> None:
    if own == PLAIN:
        record.changes.filter(original=original).delete()
    else:
        OccurrenceChange.objects.update_or_create(
            appointment=record,
            original=original,
            defaults={"cancelled": own.cancelled, "values": encode_all(own.values)},
        )
    # That the record changed is what its mailboxes hear of.
    record.save(update_fields=["modified_at"])
    linked = ItemLink.objects.filter(kind=EntryKind.APPOINTMENT, record_id=record.pk, unlinked_at=None)
    intents.make_due(Mailbox.objects.filter(pk__in=linked.values("mailbox")), record.modified_at)
