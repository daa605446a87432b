"""Policy in words: columns, questions, directions, and what differs between two documents."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from django.db.models import Field as Column
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from mailboxes.models import SyncProfile
from mailboxes.provider.entries import EntryKind, Field
from tracking.engine.filter_queries import COLUMNS, MODELS
from tracking.linked.words import field_name
from tracking.models import SyncFilter
from tracking.models.link import LinkedKind
from tracking.policy.document import SETTINGS, Document
from tracking.sync.directions import DEFAULTS, Direction
from tracking.sync.filters import BARE, Holds, Operator

OPERATORS: Final = {
    Operator.IS: gettext_lazy("is"),
    Operator.IS_NOT: gettext_lazy("is not"),
    Operator.CONTAINS: gettext_lazy("contains"),
    Operator.BEGINS_WITH: gettext_lazy("begins with"),
    Operator.IS_EMPTY: gettext_lazy("is empty"),
    Operator.IS_SET: gettext_lazy("is not empty"),
    Operator.AT_LEAST: gettext_lazy("is at least"),
    Operator.AT_MOST: gettext_lazy("is at most"),
    Operator.LAST_DAYS: gettext_lazy("lies in the last days"),
    Operator.NEXT_DAYS: gettext_lazy("lies in the next days"),
    Operator.IS_ME: gettext_lazy("is me"),
    Operator.IS_NOT_ME: gettext_lazy("is not me"),
}
# Of a day, "at least" is a date's: people say from and until.
_OF_DAYS: Final = {
    Operator.AT_LEAST: gettext_lazy("is on or after"),
    Operator.AT_MOST: gettext_lazy("is on or before"),
}
DIRECTIONS: Final = {
    Direction.BOTH: gettext_lazy("both ways"),
    Direction.TO_CRM: gettext_lazy("to the CRM only"),
    Direction.TO_EXCHANGE: gettext_lazy("to Exchange only"),
    Direction.NONE: gettext_lazy("not at all"),
}
# Why a direction cannot be chosen.
_TOGETHER: Final = gettext_lazy("Both sides need it to know what the entry is, so it always flows both ways.")
LOCKED: Final = {
    Field.SPAN: gettext_lazy("An appointment without its time is none, so the time always flows both ways."),
    Field.ORGANIZER: gettext_lazy("Who organises a meeting is settled by the mail system alone."),
    Field.REQUIRED: gettext_lazy("Who takes part must be the same on both sides."),
    Field.OPTIONAL: gettext_lazy("Who takes part must be the same on both sides."),
    Field.RECURRENCE: gettext_lazy("A series is one thing on both sides, or it falls apart."),
    Field.REGARDING: gettext_lazy("In the mailbox it is a name only, which the CRM keeps."),
    Field.NAME: gettext_lazy("A contact is known by its name on both sides."),
    Field.COMPANY: gettext_lazy("The account of a contact is its company on both sides."),
}


def fixed_because(name: Field, *, locked: bool, left_out: bool) -> str:
    """Return why the direction of a field cannot be chosen, "" where it can. `left_out`: an address that does not flow."""
    if left_out:
        return _("The settings of the profile say which postal addresses flow, and this is none of them.")
    return str(LOCKED.get(name, _TOGETHER)) if locked else ""


def column_of(kind: EntryKind, name: str) -> "Column[Any, Any] | None":
    """Return the model's field behind a column of filters; None for one that does not exist."""
    if name not in COLUMNS[kind]:
        return None
    column: Column[Any, Any] = MODELS[kind]._meta.get_field(name)  # type: ignore[assignment]  # columns of filters are no relations but one, which is a column too
    return column


def column_name(kind: EntryKind, name: str) -> str:
    """Return what a column is called; its own name for one that does not exist."""
    column = column_of(kind, name)
    return name if column is None else str(column.verbose_name)


def choices_of(kind: EntryKind, name: str) -> list[tuple[str, str]]:
    """Return the values that a column of choices has, with their labels."""
    column = column_of(kind, name)
    return [(str(value), str(label)) for value, label in (getattr(column, "choices", None) or [])]


def operator_name(operator: Operator, holds: Holds) -> str:
    """Return what a question is called for a column that holds this."""
    return str(_OF_DAYS.get(operator, OPERATORS[operator]) if holds is Holds.DAY else OPERATORS[operator])


def condition(kind: EntryKind, data: Mapping[str, Any]) -> str:
    """Return one stored condition in words, whatever it says."""
    name = str(data.get("column", ""))
    try:
        operator = Operator(data.get("operator", ""))
    except ValueError:
        return f"{name} ?"
    holds = COLUMNS[kind].get(name, Holds.TEXT)
    said = f"{column_name(kind, name)} {operator_name(operator, holds)}"
    if operator in BARE:
        return said
    value = data.get("value")
    labels = dict(choices_of(kind, name))
    labels |= {"True": _("yes"), "False": _("no")} if holds is Holds.FLAG else {}
    shown = labels.get(str(value), str(value))
    return f"{said} {shown}" if operator in (Operator.LAST_DAYS, Operator.NEXT_DAYS) else f"{said} “{shown}”"


def conditions(kind: EntryKind, data: Any) -> str:
    """Return a stored filter in words, whatever it says: groups in brackets."""
    parts = data.get("parts", []) if isinstance(data, Mapping) else []
    if not parts:
        return _("every one")
    said = [
        f"({conditions(kind, part)})" if isinstance(part, Mapping) and "parts" in part else condition(kind, part)
        for part in parts
        if isinstance(part, Mapping)
    ]
    return (_(" or ") if data.get("any") else _(" and ")).join(said)


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that two documents say differently, in words; "" for nothing."""

    what: str
    before: str
    after: str


def differences(before: Document, after: Document) -> list[Difference]:
    """Return what `after` says otherwise than `before`."""
    return [
        *_of_settings(before.get("settings", {}), after.get("settings", {})),
        *_of_filters(before["filters"], after["filters"]),
        *_of_directions(before.get("directions", {}), after.get("directions", {})),
    ]


def setting(name: str, value: Any) -> str:
    """Return the value of a setting in words."""
    column = SyncProfile._meta.get_field(name)
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    labels = {str(key): str(label) for key, label in (getattr(column, "choices", None) or [])}
    return labels.get(str(value), ", ".join(str(value).split("\n")) if value not in (None, "") else "")


def _of_settings(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterable[Difference]:
    for name in SETTINGS:
        if before.get(name) != after.get(name) and name in after:
            label = str(SyncProfile._meta.get_field(name).verbose_name)  # type: ignore[union-attr]  # settings are columns
            yield Difference(label, setting(name, before.get(name)), setting(name, after[name]))


def filter_in_words(each: Mapping[str, Any]) -> str:
    """Return what a filter of a document does."""
    kind = EntryKind(each["kind"])
    said = conditions(kind, each["conditions"])
    parts = [_("keeps out: %(what)s") % {"what": said} if each["excludes"] else said]
    if not each["active"]:
        parts.append(_("switched off"))
    if each["examples"]:
        parts.append(_("examples: %(n)s") % {"n": len(each["examples"])})
    return "; ".join(parts)


def _of_filters(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterable[Difference]:
    for key in sorted({*before, *after}):
        old, new = before.get(key), after.get(key)
        if old == new:
            continue
        each: Mapping[str, Any] = new or old or {}
        scope = str(SyncFilter.Scope(each["scope"]).label)
        kind = str(LinkedKind(each["kind"]).label)
        name = f"{old['name']} → {new['name']}" if old and new and old["name"] != new["name"] else each["name"]
        what = _("filter %(name)s (%(scope)s, %(kind)s)") % {"name": name, "scope": scope, "kind": kind}
        yield Difference(what, filter_in_words(old) if old else "", filter_in_words(new) if new else "")


def _of_directions(
    before: Mapping[str, Mapping[str, str]], after: Mapping[str, Mapping[str, str]]
) -> Iterable[Difference]:
    for kind in EntryKind:
        for name, rule in DEFAULTS[kind].items():
            old = before.get(kind.value, {}).get(name.value, rule.direction.value)
            new = after.get(kind.value, {}).get(name.value, rule.direction.value)
            if old != new:
                what = f"{LinkedKind(kind.value).label}: {field_name(kind, name.value)}"
                yield Difference(what, str(DIRECTIONS[Direction(old)]), str(DIRECTIONS[Direction(new)]))
