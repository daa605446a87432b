"""List pages: what a person asked for in the query string (sort, page) made safe, and said back to the template.

Two pagers. `numbered` counts all rows and suits lists of thousands. `keyset` goes from one page to the next by the
sort key of the last row, so that page one of a million rows and page ten thousand cost the same.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Generic, TypeVar

from django.core.paginator import Page, Paginator
from django.db.models import F, Model, OrderBy, Q, QuerySet

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

Row = TypeVar("Row", bound=Model)
PAGE_SIZE = 50
_MOST_WORDS = 200  # characters of a search: more than anybody types
_LONGEST_NUMBER = 18  # digits of a mark's numbers: what a database's big integer surely holds
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Column:
    """A column's key in the query string, its heading, and the fields that order by it (none: it does not sort)."""

    key: str
    label: "StrOrPromise"
    order: tuple[str, ...] = ()
    numeric: bool = False


@dataclass(frozen=True, slots=True)
class Sorting:
    """The order in force: which column, which way, and all the columns there are."""

    columns: Sequence[Column]
    key: str
    descending: bool

    def apply(self, queryset: QuerySet[Row]) -> QuerySet[Row]:
        """Return `queryset` in this order; empty values last, ties by primary key so that pages never overlap."""
        column = next(column for column in self.columns if column.key == self.key)
        fields: list[OrderBy] = [
            F(name).desc(nulls_last=True) if self.descending else F(name).asc(nulls_last=True) for name in column.order
        ]
        return queryset.order_by(*fields, "pk")


def sorting(params: Mapping[str, str], columns: Sequence[Column], *, default: str) -> Sorting:
    """Return the order that `sort=key` or `sort=-key` asks for; `default` (same form) for anything unknown."""
    sortable = {column.key for column in columns if column.order}
    wanted = params.get("sort", "")
    if wanted.removeprefix("-") not in sortable:
        wanted = default
    return Sorting(columns, wanted.removeprefix("-"), wanted.startswith("-"))


def words(params: Mapping[str, str], key: str) -> str:
    """Return the search words under `key`, without the NUL that no text of a database holds."""
    return params.get(key, "").replace("\x00", "")[:_MOST_WORDS]


def numbered(params: Mapping[str, str], queryset: QuerySet[Row], *, size: int = PAGE_SIZE) -> "Page[Row]":
    """Return the page that `page=n` asks for: the nearest one that exists for any other value."""
    return Paginator(queryset, size).get_page(params.get("page"))


@dataclass(frozen=True, slots=True)
class KeysetPage(Generic[Row]):
    """Rows, newest first, and the query strings of the pages beside them (empty: there is none)."""

    rows: Sequence[Row]
    newer: str
    older: str

    @property
    def beside(self) -> bool:
        """Return whether there is any other page."""
        return bool(self.newer or self.older)


def keyset(params: Mapping[str, str], queryset: QuerySet[Row], *, field: str, size: int = PAGE_SIZE) -> KeysetPage[Row]:
    """Return one page of `queryset` by `field` (a date-time that is never null), newest first, one query.

    `before=` and `after=` in `params` hold the mark of the row next to which the page begins; what cannot be read as
    one is taken as the first page.
    """
    before, after = _unmark(params.get("before", "")), _unmark(params.get("after", ""))
    if after is not None:
        at, pk = after
        nearest = queryset.filter(Q(**{f"{field}__gt": at}) | Q(**{field: at, "pk__gt": pk}))
        found = list(nearest.order_by(field, "pk")[: size + 1])
        rows = found[:size][::-1]
        return _page(rows, field, more_newer=len(found) > size, more_older=True)
    if before is not None:
        at, pk = before
        queryset = queryset.filter(**{f"{field}__lte": at}).exclude(**{field: at, "pk__gte": pk})
    found = list(queryset.order_by(f"-{field}", "-pk")[: size + 1])
    return _page(found[:size], field, more_newer=before is not None, more_older=len(found) > size)


def _page(rows: Sequence[Row], field: str, *, more_newer: bool, more_older: bool) -> KeysetPage[Row]:
    if not rows:
        return KeysetPage(rows, "", "")
    return KeysetPage(
        rows,
        f"after={_mark(rows[0], field)}" if more_newer else "",
        f"before={_mark(rows[-1], field)}" if more_older else "",
    )


def _mark(row: Model, field: str) -> str:
    at: datetime = getattr(row, field)
    return f"{(at - _EPOCH) // timedelta(microseconds=1)}-{row.pk}"


def _unmark(mark: str) -> tuple[datetime, int] | None:
    microseconds, _, pk = mark.partition("-")
    for number in (microseconds, pk):
        if not (number.isascii() and number.isdigit() and len(number) <= _LONGEST_NUMBER):
            return None
    try:
        return _EPOCH + timedelta(microseconds=int(microseconds)), int(pk)
    except OverflowError:
        return None


def number_in(text: str) -> int | None:
    """Return the number of a row that somebody sent, None for anything else: a database knows none of 19 digits and more."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None
