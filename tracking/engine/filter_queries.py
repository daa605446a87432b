"""Filters asked of whole tables: the same trees as `tracking.sync.filters.matches`, as conditions of a query."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from django.db.models import Q, QuerySet

from mailboxes.provider.entries import EntryKind
from security.access import visible
from security.models import User
from tracking.models import Appointment, Contact, SyncFilter, Task
from tracking.models.record import Owned
from tracking.sync.filters import Asker, Condition, FilterWrong, Group, Holds, Operator, read, span_of

MODELS: Mapping[EntryKind, type[Owned]] = MappingProxyType(
    {EntryKind.APPOINTMENT: Appointment, EntryKind.CONTACT: Contact, EntryKind.TASK: Task}
)

_OWNED = {"owner": Holds.PERSON, "created_at": Holds.MOMENT, "modified_at": Holds.MOMENT}
_PLANNED = {
    **_OWNED,
    "subject": Holds.TEXT,
    "description": Holds.TEXT,
    "importance": Holds.CHOICE,
    "regarding_kind": Holds.CHOICE,
    "status": Holds.CHOICE,
}
# Columns that can be asked for. Of people, "me" is the owner of the mailbox.
COLUMNS: Mapping[EntryKind, Mapping[str, Holds]] = MappingProxyType(
    {
        EntryKind.APPOINTMENT: MappingProxyType(
            {**_PLANNED, "location": Holds.TEXT, "starts_at": Holds.MOMENT, "first_day": Holds.DAY, "show_as": Holds.CHOICE}
        ),
        EntryKind.CONTACT: MappingProxyType(
            {
                **_OWNED,
                "active": Holds.FLAG,
                **dict.fromkeys(
                    (
                        "first_name", "last_name", "job_title", "department", "email1", "business_phone",
                        "mobile_phone", "notes",
                    ),
                    Holds.TEXT,
                ),
                "birthday": Holds.DAY,
            }
        ),
        EntryKind.TASK: MappingProxyType(
            {
                **_PLANNED,
                "kind": Holds.CHOICE,
                "start_date": Holds.DAY,
                "due_date": Holds.DAY,
                "percent_complete": Holds.NUMBER,
            }
        ),
    }
)  # fmt: skip

_LOOKUPS = {
    Operator.CONTAINS: "icontains",
    Operator.BEGINS_WITH: "istartswith",
    Operator.AT_LEAST: "gte",
    Operator.AT_MOST: "lte",
}


def as_q(group: Group, columns: Mapping[str, Holds], asker: Asker) -> Q:
    """Return the filter as a condition."""
    if not group.parts:
        return Q(pk__isnull=False)
    parts = [as_q(p, columns, asker) if isinstance(p, Group) else _as_q(p, columns, asker) for p in group.parts]
    whole = parts[0]
    for part in parts[1:]:
        whole = whole | part if group.any else whole & part
    return whole


def _as_q(condition: Condition, columns: Mapping[str, Holds], asker: Asker) -> Q:
    name, holds = condition.column, columns[condition.column]
    text = holds in (Holds.TEXT, Holds.CHOICE)
    empty = Q(**{name: ""}) if text else Q(**{f"{name}__isnull": True})
    equal = Q(**{f"{name}__iexact" if text else name: condition.value})
    match condition.operator:
        case Operator.IS_EMPTY | Operator.IS_SET:
            return empty if condition.operator is Operator.IS_EMPTY else ~empty
        case Operator.IS_ME | Operator.IS_NOT_ME:
            mine = Q(**{name: asker.user_id})
            return mine if condition.operator is Operator.IS_ME else ~mine
        case Operator.IS | Operator.IS_NOT:
            return equal if condition.operator is Operator.IS else ~equal
        case Operator.LAST_DAYS | Operator.NEXT_DAYS:
            return Q(**{f"{name}__range": span_of(condition, asker, of_moments=holds is Holds.MOMENT)})
    return Q(**{f"{name}__{_LOOKUPS[condition.operator]}": condition.value})


@dataclass(frozen=True, slots=True)
class Flow:
    """What the filters in force let through. `broken` ones cannot be asked: then that a record does not flow says nothing
    of it, and no link may end because of it.
    """

    records: QuerySet[Owned]
    broken: tuple[SyncFilter, ...] = ()


def flowing(kind: EntryKind, filters: Sequence[SyncFilter], owner: User, asker: Asker) -> Flow:
    """Return the records that flow into a mailbox of `owner`: of those they may see, every system filter and one of
    the owner's lets them through and none keeps them out. Without a filter of the owner's nothing flows.

    A filter that cannot be asked is set aside: by one that chooses nothing flows, beside one that keeps out or narrows
    nothing new does, since nobody can say what it would have held back.
    """
    columns = COLUMNS[kind]
    found: QuerySet[Owned] = visible(owner, MODELS[kind]).order_by()
    chosen: Q | None = None
    broken: list[SyncFilter] = []
    for each in filters:
        if each.kind != kind or not each.active:
            continue
        try:
            fits = as_q(read(each.conditions, columns), columns, asker)
        except FilterWrong:
            broken.append(each)
            continue
        if each.excludes:
            found = found.filter(~fits)
        elif each.scope == SyncFilter.Scope.SYSTEM:
            found = found.filter(fits)
        else:
            chosen = fits if chosen is None else chosen | fits
    closed = any(each.excludes or each.scope == SyncFilter.Scope.SYSTEM for each in broken)
    records = found.none() if chosen is None or closed else found.filter(chosen)
    return Flow(records, tuple(broken))
