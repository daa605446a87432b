"""The change log of one folder (of its items) or of one mailbox (of its folders).

The one idea: a sync state is a position in an append-only list. Reading the log between two
positions and folding what happened to each member gives the changes to report: one per member, and
none for a member that came and went in between.
"""

from bisect import bisect_left
from collections.abc import Callable
from enum import StrEnum
from typing import NamedTuple


class Change(StrEnum):
    """What happened to a member. READ is an update of nothing but the read flag."""

    CREATE = "create"
    UPDATE = "update"
    READ = "read"
    DELETE = "delete"


class Cursor(NamedTuple):
    """A sync state: the client knows all before `start`, and of start..horizon what lies before `position`."""

    start: int = 0
    position: int = 0
    horizon: int = 0


class Page(NamedTuple):
    """Changes in log order (kind, member's number), where to go on, whether that is the end for now."""

    changes: list[tuple[Change, int]]
    cursor: Cursor
    last: bool


class ChangeLog:
    """An append-only log of changes to members known by number."""

    __slots__ = ("_positions", "entries")

    def __init__(self) -> None:
        self.entries: list[tuple[Change, int]] = []
        self._positions: dict[int, list[int]] = {}

    def append(self, change: Change, number: int) -> None:
        """Write one entry. The first entry of a member must be its creation."""
        self._positions.setdefault(number, []).append(len(self.entries))
        self.entries.append((change, number))

    def knows(self, cursor: Cursor) -> bool:
        """Say whether `cursor` can come from this log (a restored state file may be older than a client)."""
        return 0 <= cursor.start <= cursor.position <= cursor.horizon <= len(self.entries)

    def page(self, cursor: Cursor, limit: int, alive: Callable[[int], bool], *, newest_first: bool = False) -> Page:
        """Return at most `limit` changes after `cursor`; `alive` says which members exist now.

        A pass over many pages works on the log as it was when the pass began (`horizon`), so that a
        member changed during the pass is reported again in the next one, never skipped. With
        `newest_first` the very first pass runs backwards, as on a real Exchange.
        """
        start, position, horizon = cursor
        if position == horizon:
            start, horizon = position, len(self.entries)
        backwards = newest_first and start == 0
        changes: list[tuple[Change, int]] = []
        while position < horizon:
            place = horizon - 1 - position if backwards else position
            outcome = self._outcome(place, start, horizon, alive)
            if outcome is not None:
                if len(changes) == limit:
                    break
                changes.append(outcome)
            position += 1
        return Page(changes, Cursor(start, position, horizon), position == len(self.entries))

    def _outcome(
        self, position: int, start: int, horizon: int, alive: Callable[[int], bool]
    ) -> tuple[Change, int] | None:
        """Fold all that happened to the member at `position`, told once, at its first entry in the window."""
        number = self.entries[position][1]
        places = self._positions[number]
        first = bisect_left(places, start)
        if places[first] != position:
            return None
        born_here = places[0] >= start
        if not alive(number):
            return None if born_here else (Change.DELETE, number)
        if born_here:
            return Change.CREATE, number
        kinds = {self.entries[place][0] for place in places[first:] if place < horizon}
        return (Change.READ if kinds == {Change.READ} else Change.UPDATE), number
