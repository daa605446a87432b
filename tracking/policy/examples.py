"""Examples: records that a filter must and must not fit. A filter whose example fails does not come into force (S16).

Whoever may not see an example learns how the filter as it is stored answers for it, and no more: with conditions of one's
own choice the answers would tell the record's fields one by one. So such a filter keeps its conditions while they have it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils.timezone import localdate

from mailboxes.models import Mailbox
from mailboxes.provider.entries import EntryKind
from security.access import visible
from security.models import User
from tracking.engine.filter_queries import COLUMNS, MODELS
from tracking.models.record import Owned
from tracking.policy.document import Document, Subject
from tracking.sync.filters import Asker, FilterWrong, Group, Holds, Scalar, matches, read


@dataclass(frozen=True, slots=True)
class Failing:
    """An example that says otherwise than the filter. `gone`: the record is not there any more, so nobody can say."""

    filter_name: str
    kind: EntryKind
    record_id: int
    must: bool
    gone: bool


def row_of(kind: EntryKind, record: Owned) -> dict[str, Scalar]:
    """Return a record as column → value, as `matches` takes it; of people, their id."""
    return {
        column: getattr(record, f"{column}_id" if holds is Holds.PERSON else column)
        for column, holds in COLUMNS[kind].items()
    }


def fits(group: Group, kind: EntryKind, record: Owned, asker_id: int | None, now: datetime) -> bool:
    """Tell whether a record fits. "Me" is the mailbox's owner (`asker_id`); of a profile's filter, the record's."""
    me = asker_id if asker_id is not None else record.owner_id or 0
    return matches(group, row_of(kind, record), Asker(me, now, localdate(now)))


def unseen(person: User, kind: EntryKind, examples: Sequence[Mapping[str, Any]]) -> set[int]:
    """Return the ids of those of the examples that the person may not see, be it because they are gone."""
    ids = {int(each["record"]) for each in examples}
    return ids - set(visible(person, MODELS[kind]).filter(pk__in=ids).values_list("pk", flat=True)) if ids else set()


def same_conditions(kind: EntryKind, one: Any, other: Any) -> bool:
    """Tell whether two filters ask the same, however it is written down; what cannot be asked is like nothing else."""
    try:
        return one == other or read(one, COLUMNS[kind]) == read(other, COLUMNS[kind])
    except FilterWrong:
        return False


def failing(subject: Subject, document: Document, now: datetime) -> list[Failing]:
    """Return every example of every filter in use that fails; one query per kind."""
    asker_id = subject.owner_id if isinstance(subject, Mailbox) else None
    filters = [each for each in document["filters"].values() if each["active"] and each["examples"]]
    found: list[Failing] = []
    for kind in EntryKind:
        of_kind = [each for each in filters if each["kind"] == kind.value]
        records = _records(kind, [example["record"] for each in of_kind for example in each["examples"]])
        for each in of_kind:
            found += _failing_of(each, kind, records, asker_id, now)
    return found


def _records(kind: EntryKind, ids: Sequence[int]) -> dict[int, Owned]:
    if not ids:
        return {}
    rows = MODELS[kind]._default_manager.filter(pk__in=set(ids), deleted_at=None)
    return {record.pk: record for record in rows}


def _failing_of(
    each: Mapping[str, Any], kind: EntryKind, records: Mapping[int, Owned], asker_id: int | None, now: datetime
) -> list[Failing]:
    try:
        group = read(each["conditions"], COLUMNS[kind])
    except FilterWrong:
        # Said by `problems`: such a filter gives no answer at all.
        return []
    found = []
    for example in each["examples"]:
        record, must = records.get(example["record"]), bool(example["must"])
        if record is None or fits(group, kind, record, asker_id, now) is not must:
            found.append(Failing(each["name"], kind, example["record"], must, gone=record is None))
    return found
