"""Occurrences of a series in the mail system in memory: whether there is one, and the id under which it can be changed.

As in Exchange an occurrence is no item of its own: its id names the series and the start it has by the pattern.
"""

from dataclasses import replace
from datetime import datetime
from typing import Final

from mailboxes.provider import series
from mailboxes.provider.entries import Exceptional, Field, Recurrence, Span, Value
from mailboxes.provider.memory.entries import Kept

_MARK: Final = "@"


def occurrence_id(item_id: str, original: datetime) -> str:
    """Return the id of an occurrence."""
    return f"{item_id}{_MARK}{original.isoformat()}"


def split(item_id: str) -> tuple[str, datetime | None]:
    """Return the series that an id names and the start of its occurrence; None when it names an item itself."""
    series_id, mark, original = item_id.partition(_MARK)
    try:
        return series_id, datetime.fromisoformat(original) if mark else None
    except ValueError:
        return item_id, None


def exception_of(kept: Kept, original: datetime) -> Exceptional | None:
    """Return how an occurrence differs from its series, None when it does not."""
    return next((each for each in kept.exceptions if each.original == original), None)


def said_by(kept: Kept, original: datetime) -> dict[Field, Value]:
    """Return what an occurrence says: what its series says, at its own time, and what is its own."""
    own = exception_of(kept, original)
    said = dict(kept.values)
    said.pop(Field.RECURRENCE, None)
    span = said.get(Field.SPAN)
    if isinstance(span, Span):
        said[Field.SPAN] = series.occurrence_span(span, original)
    return said if own is None else {**said, **own.values}


def takes_place(kept: Kept, original: datetime) -> bool:
    """Tell whether a series has an occurrence that starts then by its pattern."""
    span, pattern = kept.values.get(Field.SPAN), kept.values.get(Field.RECURRENCE)
    if not isinstance(span, Span) or not isinstance(pattern, Recurrence):
        return False
    return series.takes_place(span, pattern, original)


def tidied(kept: Kept) -> Kept:
    """Return a series without the exceptions that its pattern does not have any more, as servers forget them."""
    return replace(kept, exceptions=tuple(each for each in kept.exceptions if takes_place(kept, each.original)))
