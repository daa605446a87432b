"""Which records flow into a mailbox: conditions on fields, grouped with all/any, to include and to exclude (S14, S16).

The one idea: a filter is data, clicked together and never typed as a query. The same tree is asked of one record in
memory (examples, dry runs) and of the whole table (`tracking.engine.filter_queries`); a property test holds the two together.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any, Final

Scalar = str | int | bool | date | datetime | None


class Holds(StrEnum):
    """What a column holds, which says what may be asked of it."""

    TEXT = "text"
    CHOICE = "choice"
    NUMBER = "number"
    FLAG = "flag"
    DAY = "day"
    MOMENT = "moment"
    PERSON = "person"


class Operator(StrEnum):
    """What is asked of a column."""

    IS = "is"
    IS_NOT = "is_not"
    CONTAINS = "contains"
    BEGINS_WITH = "begins_with"
    IS_EMPTY = "is_empty"
    IS_SET = "is_set"
    AT_LEAST = "at_least"
    AT_MOST = "at_most"
    LAST_DAYS = "last_days"
    NEXT_DAYS = "next_days"
    IS_ME = "is_me"
    IS_NOT_ME = "is_not_me"


_EMPTY: Final = (Operator.IS_EMPTY, Operator.IS_SET)
_ORDER: Final = (Operator.AT_LEAST, Operator.AT_MOST)
_DAYS: Final = (Operator.LAST_DAYS, Operator.NEXT_DAYS)
# Operators that ask for nothing beside the column.
BARE: Final = frozenset({*_EMPTY, Operator.IS_ME, Operator.IS_NOT_ME})

OPERATORS: Mapping[Holds, tuple[Operator, ...]] = {
    Holds.TEXT: (Operator.IS, Operator.IS_NOT, Operator.CONTAINS, Operator.BEGINS_WITH, *_EMPTY),
    Holds.CHOICE: (Operator.IS, Operator.IS_NOT, *_EMPTY),
    Holds.NUMBER: (Operator.IS, Operator.IS_NOT, *_ORDER, *_EMPTY),
    Holds.FLAG: (Operator.IS,),
    Holds.DAY: (Operator.IS, *_ORDER, *_DAYS, *_EMPTY),
    Holds.MOMENT: (*_DAYS, *_EMPTY),
    Holds.PERSON: (Operator.IS_ME, Operator.IS_NOT_ME, *_EMPTY),
}


class FilterWrong(ValueError):
    """A filter that cannot be asked; the message says which condition and why."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One row of the editor. `value` is a string, a number of days for LAST_DAYS and NEXT_DAYS, None for bare ones."""

    column: str
    operator: Operator
    value: Scalar = None


@dataclass(frozen=True, slots=True)
class Group:
    """Conditions and groups of which all must hold, or any. An empty group holds."""

    parts: tuple["Condition | Group", ...] = ()
    any: bool = False


@dataclass(frozen=True, slots=True)
class Asker:
    """On whose behalf and when: "me" and "the last 7 days" mean something only then. `today`: the owner's day."""

    user_id: int
    now: datetime
    today: date


def read(data: Any, columns: Mapping[str, Holds], *, depth: int = 4) -> Group:
    """Return the filter that the stored or posted JSON `{"any": bool, "parts": […]}` says; raises `FilterWrong`."""
    if not isinstance(data, Mapping) or not isinstance(data.get("parts"), list):
        raise FilterWrong("A group of conditions must be a list of parts.")
    if depth == 0:
        raise FilterWrong("Groups lie too deep in each other; three levels are enough for anything.")
    parts: list[Condition | Group] = []
    for part in data["parts"]:
        if isinstance(part, Mapping) and "parts" in part:
            parts.append(read(part, columns, depth=depth - 1))
        else:
            parts.append(_condition(part, columns))
    return Group(tuple(parts), any=data.get("any") is True)


def _condition(data: Any, columns: Mapping[str, Holds]) -> Condition:
    if not isinstance(data, Mapping) or data.get("column") not in columns:
        raise FilterWrong(f"There is no column {data.get('column') if isinstance(data, Mapping) else data!r}.")
    holds = columns[data["column"]]
    try:
        operator = Operator(data.get("operator", ""))
    except ValueError:
        raise FilterWrong(f"{data['column']}: there is no condition {data.get('operator')!r}.") from None
    if operator not in OPERATORS[holds]:
        raise FilterWrong(f"{data['column']}: {operator} cannot be asked of it.")
    return Condition(data["column"], operator, _value(data, holds, operator))


def _value(data: Mapping[str, Any], holds: Holds, operator: Operator) -> Scalar:
    value = data.get("value")
    if operator in BARE:
        return None
    if operator in _DAYS:
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 36_500:
            raise FilterWrong(f"{data['column']}: a number of days, up to a hundred years, is needed.")
        return value
    match holds, value:
        case Holds.FLAG, bool():
            return value
        case Holds.NUMBER, int() if not isinstance(value, bool):
            return value
        case Holds.DAY, str():
            try:
                return date.fromisoformat(value)
            except ValueError:
                raise FilterWrong(f"{data['column']}: {value!r} is no day (2026-12-31).") from None
        case ((Holds.TEXT | Holds.CHOICE), str()) if value.strip():
            return value.strip()
    raise FilterWrong(f"{data['column']}: {value!r} is no value for it.")


def write(group: Group) -> dict[str, Any]:
    """Return the filter as JSON that `read` takes."""
    return {"any": group.any, "parts": [write(p) if isinstance(p, Group) else _written(p) for p in group.parts]}


def _written(condition: Condition) -> dict[str, Any]:
    value = condition.value.isoformat() if isinstance(condition.value, date) else condition.value
    return {"column": condition.column, "operator": condition.operator.value, "value": value}


def matches(group: Group, record: Mapping[str, Scalar], asker: Asker) -> bool:
    """Tell whether a record, given as column → value, fits. Text is compared without case; empty text is empty."""
    held = (
        matches(part, record, asker) if isinstance(part, Group) else _holds(part, record[part.column], asker)
        for part in group.parts
    )
    if not group.parts:
        return True
    return any(held) if group.any else all(held)


def _holds(condition: Condition, value: Any, asker: Asker) -> bool:
    wanted: Any = condition.value
    empty = value is None or value == ""
    match condition.operator:
        case Operator.IS_EMPTY | Operator.IS_SET:
            return empty is (condition.operator is Operator.IS_EMPTY)
        case Operator.IS_ME | Operator.IS_NOT_ME:
            return bool(value == asker.user_id) is (condition.operator is Operator.IS_ME)
        case Operator.IS_NOT:
            return bool(folded(value) != folded(wanted))
    if empty:
        return False
    if condition.operator in _DAYS:
        first, last = span_of(condition, asker, of_moments=isinstance(value, datetime))
        return bool(first <= value <= last)
    return _ASKED[condition.operator](folded(value), folded(wanted))


_ASKED: Mapping[Operator, Callable[[Any, Any], bool]] = {
    Operator.IS: lambda value, wanted: bool(value == wanted),
    Operator.CONTAINS: lambda value, wanted: wanted in value,
    Operator.BEGINS_WITH: lambda value, wanted: bool(value.startswith(wanted)),
    Operator.AT_LEAST: lambda value, wanted: bool(value >= wanted),
    Operator.AT_MOST: lambda value, wanted: bool(value <= wanted),
}


def folded(value: Any) -> Any:
    """Return text as it is compared, letter by letter as PostgreSQL's upper() does; anything else as it is."""
    if not isinstance(value, str):
        return value
    return "".join(upper if len(upper := letter.upper()) == 1 else letter for letter in value)


def span_of(condition: Condition, asker: Asker, *, of_moments: bool) -> tuple[Any, Any]:
    """Return the first and last day, or moment, that "the last" or "the next n days" means."""
    days = timedelta(days=condition.value if isinstance(condition.value, int) else 0)
    here = asker.now if of_moments else asker.today
    return (here - days, here) if condition.operator is Operator.LAST_DAYS else (here, here + days)


def chosen(
    record: Mapping[str, Scalar],
    include: Sequence[Group],
    exclude: Sequence[Group],
    system: Sequence[Group],
    asker: Asker,
) -> bool:
    """Tell whether a record flows: every system filter and one of the owner's lets it through and none excludes it.

    Without an including filter nothing flows.
    """
    return (
        all(matches(group, record, asker) for group in system)
        and any(matches(group, record, asker) for group in include)
        and not any(matches(group, record, asker) for group in exclude)
    )
