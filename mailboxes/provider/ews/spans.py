"""When an appointment is, in the protocol's words and back: moments in UTC, a zone beside them, and whole days.

The one idea: whole days have no zone, but Exchange keeps them as midnights of one. They are written as midnights of the
owner's zone, so that Outlook shows them on the right day, and read in the zone that the item names. Where that zone is
unknown, the nearest day counts, never the zone of this machine (UTC-11 to UTC+12 are right by that).
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from mailboxes.provider.entries import Span
from mailboxes.provider.ews.zones import UTC_NAME, iana_name, windows_name, zone

_MINUTE: Final = timedelta(minutes=1)
_HALF_A_DAY: Final = timedelta(hours=12)
# What Exchange understands by "no date".
_NEVER: Final = 4500


@dataclass(frozen=True, slots=True)
class WrittenSpan:
    """A span as it goes out: two moments in UTC, the Windows id of their zone, and the zone's own name."""

    start: datetime
    end: datetime
    all_day: bool
    windows_zone: str
    zone: str


def written(span: Span, owner_zone: str) -> WrittenSpan:
    """Return how a span is written; `owner_zone` (IANA) is where the owner's whole days begin. Raises OverflowError."""
    if isinstance(span.start, datetime) and isinstance(span.end, datetime):
        name = span.zone if zone(span.zone) is not None else UTC_NAME
        start, end = (each.astimezone(UTC) for each in (span.start, span.end))
        return WrittenSpan(start, end, all_day=False, windows_zone=windows_name(name), zone=name)
    # The server finds the days by the rules of Windows' zone, so its midnights count, not those of the owner's own.
    where = zone(iana_name(windows_name(owner_zone))) or ZoneInfo(UTC_NAME)
    start, end = _midnight(span.start, where), _midnight(span.end, where)
    if end.astimezone(where).time() != time():
        # Midnight is skipped: the day before has to end before it, or a server adds the day that has begun.
        end -= _MINUTE
    return WrittenSpan(start, end, all_day=True, windows_zone=windows_name(where.key), zone=where.key)


def zone_name(zone_id: str, note: str) -> str:
    """Return the zone (IANA) of an item by the id it names and our own note on it, "" for one that nobody knows.

    The note counts as long as the item still is in the zone that it stands for.
    """
    return note if note and windows_name(note) == zone_id else iana_name(zone_id)


def read(start: datetime, end: datetime, *, all_day: bool, zone_name: str, wall: tuple[str, str]) -> Span:
    """Return the span of an item by its moments in UTC and its zone.

    `wall` is how the item's own clock tells start and end, "" where a server does not say: it is needed for whole days in
    a zone that nobody knows.
    """
    if not all_day:
        return Span(start, end, zone_name)
    if all(wall) and zone(zone_name) is None:
        days = [date.fromisoformat(text[:10]) for text in wall]
    else:
        days = [local_day(each, zone_name) for each in (start, end)]
    return Span(days[0], max(days[1], days[0] + timedelta(days=1)))


def local_day(moment: datetime, zone_name: str) -> date:
    """Return the day whose midnight in a zone is nearest; in one that nobody knows, nearest in UTC."""
    where = zone(zone_name)
    return nearest_day(moment if where is None else moment.astimezone(where))


def nearest_day(moment: datetime) -> date:
    """Return the day whose midnight is nearest by the moment's own clock."""
    return (moment.replace(tzinfo=None) + _HALF_A_DAY).date()


def day(moment: datetime | None) -> date | None:
    """Return the day that a property without a zone means (a birthday, when a task is due); None for none.

    Programs write midnight in UTC, midnight in their own zone, or a minute before noon: the nearest midnight in UTC is
    right for all of these.
    """
    if moment is None or moment.year > _NEVER:
        return None
    return nearest_day(moment)


def _midnight(day_: date, where: ZoneInfo) -> datetime:
    # Where midnight is skipped, this is the first moment of the day.
    return datetime(day_.year, day_.month, day_.day, tzinfo=where).astimezone(UTC)
