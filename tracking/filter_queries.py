"""Filters asked of whole tables: the same trees as `tracking.sync.filters.matches`, as conditions of a query."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from django.db.models import Q, QuerySet

from mailboxes.provider.entries import EntryKind
from security.access import visible
from security.models import User
from tracking.models import Appointment, Contact, SyncFilter, Task
from tracking.models.record import Owned
from tracking.sync.filters import Asker, Condition, Group, Holds, Operator, read, span_of

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


def flowing(kind: EntryKind, filters: Sequence[SyncFilter], owner: User, asker: Asker) -> QuerySet[Owned]:
    """Return the records that flow into a mailbox of `owner`: of those they may see, every system filter and one of
    the owner's lets them through and none keeps them out. Without a filter of the owner's nothing flows.
    """
    columns = COLUMNS[kind]
    found: QuerySet[Owned] = visible(owner, MODELS[kind]).order_by()
    chosen: Q | None = None
    for each in filters:
        if each.kind != kind or not each.active:
            continue
        fits = as_q(read(each.conditions, columns), columns, asker)
        if each.excludes:
            found = found.filter(~fits)
        elif each.scope == SyncFilter.Scope.SYSTEM:
            found = found.filter(fits)
        else:
            chosen = fits if chosen is None else chosen | fits
    return found.none() if chosen is None else found.filter(chosen)
