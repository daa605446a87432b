"""A recurring appointment and its occurrences.

The one idea: a series is one item, its master. An occurrence is worked out from the master's pattern
when somebody looks at it, and what differs from the pattern is kept with the master under the
occurrence's original start. Days follow the wall clock of the master's zone, so ten o'clock stays
ten o'clock across a change of the clocks.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import islice
from typing import Final

from dateutil.rrule import rrule

from mailboxes.sandbox.contents import said, text_of
from mailboxes.sandbox.ids import encode_occurrence_id
from mailboxes.sandbox.model import Altered, Content, Item
from mailboxes.sandbox.recurrence import BadRecurrence, days_of, end_of
from mailboxes.sandbox.soap import EwsError
from mailboxes.sandbox.xmltext import boolean, moment, moment_in, raw_leaf
from mailboxes.sandbox.zones import zone_in

# An endless series is looked through this far and no further.
_MOST_SEEN: Final = 20_000
_LAST: Final = 253_402_300_799
_OF_SERIES: Final = ("Recurrence", "FirstOccurrence", "LastOccurrence", "ModifiedOccurrences", "DeletedOccurrences")


@dataclass(frozen=True, slots=True)
class Series:
    """When a series takes place: wall clocks of its starts in `zone`, and how long each lasts by the wall clock."""

    rule: rrule
    zone: tzinfo
    length: timedelta

    def starts(self, after: datetime | None = None) -> Iterator[int]:
        """Yield the original starts (UTC seconds), from the first whose wall clock is not before `after`."""
        wall = iter(self.rule) if after is None else self.rule.xafter(after, inc=True)
        for one in islice(wall, _MOST_SEEN):
            try:
                yield self._epoch(one)
            except OverflowError:
                return

    def end(self, original: int) -> int:
        """Return the end of the occurrence that starts at `original`."""
        return self._epoch(self.wall(original) + self.length)

    def wall(self, epoch: int) -> datetime:
        """Return the series' wall clock (naive) at a moment."""
        return datetime.fromtimestamp(epoch, UTC).astimezone(self.zone).replace(tzinfo=None)

    def has(self, original: int) -> bool:
        """Say whether an occurrence starts at this moment by the pattern."""
        wall = self.wall(original)
        return any(start == original for start in islice(self.starts(wall - timedelta(days=1)), 4))

    def _epoch(self, wall: datetime) -> int:
        return int(wall.replace(tzinfo=self.zone).timestamp())


def series_of(content: Content) -> Series | None:
    """Return when a content takes place if it is a series. Raises BadRecurrence if its pattern makes no sense."""
    kept = said(content, "Recurrence")
    start, end = text_of(content, "Start"), text_of(content, "End")
    if content.kind != "CalendarItem" or not kept or not start or not end:
        return None
    zone = zone_in(said(content, "StartTimeZone"))
    begins, ends = (moment_in(text).astimezone(zone).replace(tzinfo=None) for text in (start, end))
    return Series(days_of(kept, begins.time()), zone, ends - begins)


def to_first(content: Content) -> None:
    """Move a series' own start and end to its first occurrence. Raises EwsError for a pattern that makes no sense."""
    try:
        series = series_of(content)
        first = next(series.starts(), None) if series else None
    except BadRecurrence as error:
        raise EwsError("ErrorCalendarInvalidRecurrence", f"The recurrence is invalid: {error}.") from error
    if series is None:
        return
    if first is None:
        raise EwsError("ErrorRecurrenceHasNoOccurrence", "The recurrence has no occurrence.")
    following = next(islice(series.starts(), 1, None), None)
    if following is not None and series.end(first) > following:
        raise EwsError("ErrorOccurrenceTimeSpanTooBig", "An occurrence lasts longer than the time to the next one.")
    content.values["Start"], content.values["End"] = moment("Start", first), moment("End", series.end(first))


def tidy(content: Content) -> None:
    """Forget occurrences that the pattern does not have (any more)."""
    series = series_of(content)
    content.altered = {start: one for start, one in content.altered.items() if series and series.has(start)}
    content.cancelled = {start for start in content.cancelled if series and series.has(start)}


def _known(master: Item) -> Series:
    series = series_of(master.content)
    if series is None:
        raise EwsError("ErrorCalendarCannotUseIdForRecurringMasterId", "The item is no recurring master.")
    return series


# -- one occurrence


def occurrence(master: Item, original: int) -> Item:
    """Return the occurrence that starts at `original` by the pattern. Raises EwsError if there is none (any more)."""
    series = _known(master)
    if not series.has(original):
        raise EwsError("ErrorItemNotFound", "The specified object was not found in the store.")
    if original in master.content.cancelled:
        raise EwsError("ErrorCalendarOccurrenceIsDeletedFromRecurrence", "The occurrence was deleted from the series.")
    return _made(master, series, original)


def occurrence_at(master: Item, index: int) -> Item:
    """Return an occurrence by its place in the pattern, counted from 1; deleted ones count. Raises EwsError."""
    original = next(islice(_known(master).starts(), index - 1, None), None) if index > 0 else None
    if original is None:
        raise EwsError(
            "ErrorCalendarOccurrenceIndexIsOutOfRecurrenceRange", "The series has no occurrence of that index."
        )
    return occurrence(master, original)


def _made(master: Item, series: Series, original: int) -> Item:
    whole, altered = master.content, master.content.altered.get(original)
    content = whole.copy()
    content.altered, content.cancelled = {}, set()
    for name in _OF_SERIES:
        content.values[name] = ""
    content.values |= {
        "Start": moment("Start", original),
        "End": moment("End", series.end(original)),
        "OriginalStart": moment("OriginalStart", original),
        "RecurrenceId": moment("RecurrenceId", original),
        "IsRecurring": boolean("IsRecurring", True),
        "CalendarItemType": raw_leaf("CalendarItemType", "Exception" if altered else "Occurrence"),
    }
    if altered is not None:
        for name in altered.names:
            _take_over(content, altered.content, name)
    made = Item(
        master.number,
        master.folder,
        content,
        master.search_key,
        master.created,
        master.received,
        master.modified,
        master.version,
        master.is_read,
        master=master,
        original=original,
    )
    own = f"#{original}#"
    made.written = {
        name.removeprefix(own): version for name, version in master.written.items() if name.startswith(own)
    } | {name: version for name, version in master.written.items() if not name.startswith("#")}
    return made


def _take_over(content: Content, own: Content, name: str) -> None:
    """Give `content` what `own` says of one property."""
    if name == "Body":
        content.body = own.body
    elif name == "Categories":
        content.categories = own.categories
    elif name == "Attachments":
        content.attached, content.removed = list(own.attached), set(own.removed)
    elif ":" in name:
        content.extended[name] = own.extended.get(name, "")
    else:
        content.values[name] = own.values.get(name, "")


def alter(one: Item, content: Content, names: set[str]) -> None:
    """Let an occurrence be `content` from now on, of which `names` are its own. Raises EwsError.

    An occurrence cannot be moved beyond its neighbours, nor onto the day of one.
    """
    master = one.master
    if master is None:
        raise ValueError("no occurrence")
    if names & {"Recurrence"}:
        raise EwsError("ErrorInvalidPropertySet", "An occurrence has no recurrence of its own.")
    if names & {"RequiredAttendees", "OptionalAttendees", "Resources"}:
        names = names | {"IsMeeting", "AppointmentState"}
    if names & {"Start", "End"}:
        _check_place(master, one.original, content)
        names = names | {"Start", "End"}
    known = master.content.altered.get(one.original)
    altered = Altered((known.names if known else set()) | names, content)
    content.values["CalendarItemType"] = raw_leaf("CalendarItemType", "Exception")
    master.content.altered[one.original] = altered


def delete(one: Item) -> None:
    """Take an occurrence out of its series. Raises EwsError for the last one, as a real server does."""
    master = one.master
    if master is None:
        raise ValueError("no occurrence")
    series = _known(master)
    gone = master.content.cancelled
    if not any(start != one.original and start not in gone for start in islice(series.starts(), len(gone) + 2)):
        raise EwsError("ErrorRecurrenceHasNoOccurrence", "The last occurrence of a series cannot be deleted.")
    gone.add(one.original)
    master.content.altered.pop(one.original, None)


def _check_place(master: Item, original: int, content: Content) -> None:
    series = _known(master)
    start, end = (int(moment_in(text_of(content, name)).timestamp()) for name in ("Start", "End"))
    day = series.wall(start).date()
    for neighbour, before in (
        (_neighbour(master, series, original, -1), True),
        (_neighbour(master, series, original, 1), False),
    ):
        if neighbour is None:
            continue
        begins, ends = neighbour
        apart = ends <= start if before else end <= begins
        if not apart or series.wall(begins).date() == day:
            raise EwsError("ErrorOccurrenceCrossingBoundary", "The occurrence would cross or share a day with another.")


def _neighbour(master: Item, series: Series, original: int, step: int) -> tuple[int, int] | None:
    """Return start and end of the nearest living occurrence before (-1) or after (1) one."""
    wall, found = series.wall(original), None
    for start in series.starts(wall if step > 0 else None):
        if start >= original and step < 0:
            break
        if start in master.content.cancelled or start == original:
            continue
        found = start
        if step > 0:
            break
    return None if found is None else _times(master, series, found)


def _times(master: Item, series: Series, original: int) -> tuple[int, int]:
    altered = master.content.altered.get(original)
    if altered is None or "Start" not in altered.names:
        return original, series.end(original)
    start, end = (int(moment_in(text_of(altered.content, name)).timestamp()) for name in ("Start", "End"))
    return start, end


# -- many


def within(master: Item, first: int, last: int) -> list[Item]:
    """Return the living occurrences of a series that touch first..last (UTC seconds), in order of their starts."""
    series = _known(master)
    found: dict[int, tuple[int, int]] = {}
    lead = max(timedelta(days=1), series.length)
    for start in series.starts(series.wall(max(first, 0)) - lead - timedelta(days=1)):
        if start > last:
            break
        found[start] = _times(master, series, start)
    for start in master.content.altered:
        found[start] = _times(master, series, start)
    living = [
        (begins, start)
        for start, (begins, ends) in found.items()
        if start not in master.content.cancelled and touches(begins, ends, first, last)
    ]
    return [_made(master, series, start) for _, start in sorted(living)]


def touches(begins: int, ends: int, first: int, last: int) -> bool:
    """Say whether begins..ends touches the span first..last, as a calendar view means it."""
    return begins < last and (ends > first or begins == ends == first)


# -- what a master says of its occurrences


def first_occurrence(master: Item) -> str:
    """Return t:FirstOccurrence of a series, "" of anything else."""
    return _edge(master, "FirstOccurrence", _originals(master))


def last_occurrence(master: Item) -> str:
    """Return t:LastOccurrence of a series that ends, "" of anything else."""
    kept = said(master.content, "Recurrence")
    if not kept or end_of(kept) is None:
        return ""
    return _edge(master, "LastOccurrence", reversed(list(_originals(master))))


def _originals(master: Item) -> Iterator[int]:
    series = series_of(master.content)
    return iter(()) if series is None else (one for one in series.starts() if one not in master.content.cancelled)


def _edge(master: Item, name: str, originals: Iterator[int]) -> str:
    original = next(originals, None)
    return "" if original is None else f"<t:{name}>{_info(master, original)}</t:{name}>"


def modified_occurrences(master: Item) -> str:
    """Return t:ModifiedOccurrences, "" if none differs."""
    inner = "".join(f"<t:Occurrence>{_info(master, one)}</t:Occurrence>" for one in sorted(master.content.altered))
    return f"<t:ModifiedOccurrences>{inner}</t:ModifiedOccurrences>" if inner else ""


def deleted_occurrences(master: Item) -> str:
    """Return t:DeletedOccurrences, "" if none was deleted."""
    inner = "".join(
        f"<t:DeletedOccurrence>{moment('Start', one)}</t:DeletedOccurrence>" for one in sorted(master.content.cancelled)
    )
    return f"<t:DeletedOccurrences>{inner}</t:DeletedOccurrences>" if inner else ""


def _info(master: Item, original: int) -> str:
    series = _known(master)
    start, end = _times(master, series, original)
    identifier = encode_occurrence_id(master.folder.mailbox.guid, master.number, original)
    return (
        f'<t:ItemId Id="{identifier}" ChangeKey="{master.change_key}"/>'
        f"{moment('Start', start)}{moment('End', end)}{moment('OriginalStart', original)}"
    )
