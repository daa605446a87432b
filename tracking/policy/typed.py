"""A filter as it is being typed: every row as it was sent, right or wrong, so that nothing typed is ever lost.

The one idea: the form is the state. Each press of a button sends all rows; adding, removing and grouping make a new form
of them, and only saving asks whether they make sense. Rows are named by their path, as in `column-1-0`: the first row of
the second group.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final

from django.http import QueryDict
from django.utils.translation import gettext as _

from mailboxes.provider.entries import EntryKind
from tracking.engine.filter_queries import COLUMNS
from tracking.policy import words
from tracking.policy.document import MOST_CONDITIONS
from tracking.sync.filters import BARE, OPERATORS, Holds, Operator

# Groups in groups in groups: the editor shows no more, and nobody would read more.
DEEPEST: Final = 3
_DAYS: Final = (Operator.LAST_DAYS, Operator.NEXT_DAYS)
_MOST_DAYS: Final = 36_500
_LONGEST: Final = 400


class TooMuch(Exception):
    """More rows, or groups deeper in each other, than any form of ours sends."""


@dataclass(slots=True, eq=False)
class Row:
    """One condition as typed. `error` is set by `checked`."""

    kind: EntryKind
    path: str = ""
    column: str = ""
    operator: str = ""
    value: str = ""
    error: str = ""

    is_group: Final = False

    @property
    def holds(self) -> Holds | None:
        """Return what the column holds; None while none is chosen, or one that does not exist."""
        return COLUMNS[self.kind].get(self.column)

    @property
    def columns(self) -> list[tuple[str, str]]:
        """Return the columns to choose from, and the one that was chosen if it is none of them."""
        found = sorted(((name, words.column_name(self.kind, name)) for name in COLUMNS[self.kind]), key=lambda c: c[1])
        unknown = self.column and self.holds is None
        return [*found, (self.column, _("no such field: %(name)s") % {"name": self.column})] if unknown else found

    @property
    def operators(self) -> list[tuple[str, str]]:
        """Return what may be asked of the column."""
        holds = self.holds
        if holds is None:
            return []
        return [(each.value, words.operator_name(each, holds)) for each in OPERATORS[holds]]

    @property
    def asked(self) -> Operator | None:
        """Return what is asked; the first question of its column when the chosen one does not go with it."""
        holds = self.holds
        if holds is None:
            return None
        fitting = OPERATORS[holds]
        return Operator(self.operator) if self.operator in fitting else fitting[0]

    @property
    def widget(self) -> str:
        """Return how the value is given: none, days, day, number, choice, flag or text."""
        asked, holds = self.asked, self.holds
        if asked is None or holds is None or asked in BARE:
            return "none"
        if asked in _DAYS:
            return "days"
        return {Holds.DAY: "day", Holds.NUMBER: "number", Holds.CHOICE: "choice", Holds.FLAG: "flag"}.get(holds, "text")

    @property
    def choices(self) -> list[tuple[str, str]]:
        """Return the values to choose from, and the one that is there if it is none of them."""
        if self.widget == "flag":
            return [("true", _("yes")), ("false", _("no"))]
        found = words.choices_of(self.kind, self.column)
        return [*found, (self.value, self.value)] if self.value and self.value not in dict(found) else found

    def checked(self) -> dict[str, Any]:
        """Return the condition as JSON; what is wrong is noted in `error`."""
        asked = self.asked
        self.error, value = "", None
        if asked is None:
            self.error = (
                _("There is no field “%(name)s” any more. Choose another, or remove the row.") % {"name": self.column}
                if self.column
                else _("Choose a field, or remove the row.")
            )
        elif self.operator and self.operator != asked:
            self.error = _("This cannot be asked of the field. Choose again.")
        elif asked not in BARE:
            value = self._value()
        return {"column": self.column, "operator": asked.value if asked else "", "value": value}

    def _value(self) -> str | int | bool | None:
        text = self.value.strip()
        if self.widget == "choice" and text not in dict(words.choices_of(self.kind, self.column)):
            self.error = _("Choose a value.")
            return None
        try:
            return _READ.get(self.widget, _text)(text)
        except ValueError as error:
            self.error = str(error)
            return None


def _days(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 6) or int(text) > _MOST_DAYS:
        raise ValueError(_("Give a number of days, such as 30."))
    return int(text)


def _number(text: str) -> int:
    if not text.removeprefix("-").isdecimal() or len(text) > 9:
        raise ValueError(_("Give a whole number, such as 50."))
    return int(text)


def _day(text: str) -> str:
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        raise ValueError(_("Give a day, such as 2026-12-31.")) from None


def _flag(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError(_("Choose yes or no."))
    return text == "true"


def _text(text: str) -> str:
    if not text:
        raise ValueError(_("Give a value, or ask whether the field is empty."))
    if len(text) > _LONGEST:
        raise ValueError(_("This is too long: %(n)s characters are the most.") % {"n": _LONGEST})
    return text


_READ: Final[Mapping[str, Callable[[str], str | int | bool]]] = {
    "days": _days, "number": _number, "day": _day, "flag": _flag,
}  # fmt: skip


@dataclass(slots=True, eq=False)
class Rows:
    """A group of rows as typed, of which all must hold, or `any`."""

    kind: EntryKind
    path: str = ""
    any: bool = False
    parts: "list[Row | Rows]" = field(default_factory=list)
    error: str = ""

    is_group: Final = True

    @property
    def depth(self) -> int:
        """Return how deep it lies: 0 for the filter itself."""
        return len(self.path.split("-")) if self.path else 0

    @property
    def may_nest(self) -> bool:
        """Tell whether a group may lie in it."""
        return self.depth < DEEPEST

    def checked(self) -> dict[str, Any]:
        """Return the group as JSON; what is wrong is noted in the `error` of each part."""
        empty = not self.parts and self.path
        self.error = _("This group is empty. Add a condition to it, or remove it.") if empty else ""
        return {"any": self.any, "parts": [part.checked() for part in self.parts]}

    def walk(self) -> "Iterator[Row | Rows]":
        """Yield this group and everything in it."""
        yield self
        for part in self.parts:
            if isinstance(part, Rows):
                yield from part.walk()
            else:
                yield part

    def number(self) -> "Rows":
        """Name every part by where it stands now; return the group itself."""
        for place, part in enumerate(self.parts):
            part.path = f"{self.path}-{place}" if self.path else str(place)
            if isinstance(part, Rows):
                part.number()
        return self

    @property
    def errors(self) -> int:
        """Return how many parts are wrong, as of the last check."""
        return sum(bool(each.error) for each in self.walk())

    # -- what the buttons do

    def add(self, path: str) -> None:
        """Add an empty row to the group at `path`."""
        if (group := self._group(path)) is not None:
            group.parts.append(Row(self.kind))
            self.number()

    def nest(self, path: str) -> None:
        """Add a group with an empty row to the group at `path`."""
        group = self._group(path)
        if group is not None and group.may_nest:
            group.parts.append(Rows(self.kind, any=not group.any, parts=[Row(self.kind)]))
            self.number()

    def remove(self, path: str) -> None:
        """Take out the row or group at `path`."""
        for group in [each for each in self.walk() if isinstance(each, Rows)]:
            group.parts = [part for part in group.parts if part.path != path]
        self.number()

    def _group(self, path: str) -> "Rows | None":
        found = (each for each in self.walk() if isinstance(each, Rows) and each.path == path)
        return next(found, None)


def of_json(kind: EntryKind, data: Any) -> Rows:
    """Return a stored filter as rows, whatever it says."""
    return _of_json(kind, data, DEEPEST).number()


def _of_json(kind: EntryKind, data: Any, room: int) -> Rows:
    group = Rows(kind)
    if not isinstance(data, Mapping):
        return group
    group.any = data.get("any") is True
    for part in data.get("parts") or []:
        if isinstance(part, Mapping) and "parts" in part:
            if room:
                group.parts.append(_of_json(kind, part, room - 1))
        elif isinstance(part, Mapping):
            value = part.get("value")
            text = str(value).lower() if isinstance(value, bool) else "" if value is None else str(value)
            column, operator = str(part.get("column", "")), str(part.get("operator", ""))
            group.parts.append(Row(kind, column=column, operator=operator, value=text))
    return group


def of_post(kind: EntryKind, data: QueryDict) -> Rows:
    """Return the rows that a form sent; raises `TooMuch`. A row whose group was not sent is left out."""
    paths = data.getlist("row")
    if len(paths) > 2 * MOST_CONDITIONS:
        raise TooMuch
    root = Rows(kind, any=data.get("any-") == "1")
    groups = {"": root}
    for each in sorted(paths, key=_place):
        sort, _colon, path = each.partition(":")
        above = groups.get(path.rpartition("-")[0])
        if above is None:
            continue
        if sort == "g":
            if not above.may_nest:
                raise TooMuch
            groups[path] = Rows(kind, path=path, any=data.get(f"any-{path}") == "1")
            above.parts.append(groups[path])
        else:
            names = (data.get(f"{name}-{path}", "") for name in ("column", "operator", "value"))
            # No browser sends a NUL, and no database stores one.
            column, operator, value = (each.replace("\x00", "")[: 2 * _LONGEST] for each in names)
            above.parts.append(Row(kind, path, column, operator, value))
    if sum(isinstance(each, Row) for each in root.walk()) > MOST_CONDITIONS:
        raise TooMuch
    return root.number()


def _place(row: str) -> tuple[int, ...]:
    """Return where a row stands, so that the order in which a browser sends them does not matter."""
    path = row.partition(":")[2]
    return tuple(int(part) if part.isascii() and part.isdigit() and len(part) < 6 else 0 for part in path.split("-"))
