"""Time zones as the protocol carries them: by a Windows name, or written out in full.

A server that knows the name goes by its own table; of a zone it does not know ("Customized Time Zone",
tzone://Microsoft/Custom) the definition that comes along counts: periods, each an offset, and
the transitions between them, once for ever or every year.
"""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from lxml import etree
from tzlocal.windows_tz import tz_win, win_tz

from mailboxes.sandbox import grammar
from mailboxes.sandbox.xmltext import T, children, escape, fragment, local_name, parse_fragment

_DAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_DURATION = re.compile(r"(-?)P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)(?:\.\d+)?S)?)?")
_LONGEST: Final = timedelta(hours=24)
_EVER: Final = datetime(1, 1, 1)  # noqa: DTZ001 - wall clock
CUSTOM: Final = "tzone://Microsoft/Custom"
UTC_ZONE: Final = ' Id="UTC" Name="(UTC) Coordinated Universal Time"'


class BadZone(ValueError):
    """The element names no zone that is known and describes none that makes sense (ErrorTimeZone)."""


@dataclass(frozen=True, slots=True)
class _Yearly:
    """A transition of every year: to a period, at a local time of a day told as the nth weekday or as a day."""

    period: str
    at: timedelta
    month: int
    weekday: int | None
    number: int

    def moment(self, year: int) -> datetime:
        """Return when it happens in a year, in the wall clock that ends then."""
        if self.weekday is None:
            return datetime(year, self.month, self.number) + self.at  # noqa: DTZ001 - wall clock
        first = date(year, self.month, 1)
        day = first + timedelta(days=(self.weekday - first.weekday()) % 7 + 7 * (max(self.number, 1) - 1))
        if self.number < 0 or day.month != self.month:
            after = date(year + self.month // 12, self.month % 12 + 1, 1) - timedelta(days=1)
            day = after - timedelta(days=(after.weekday() - self.weekday) % 7)
        return datetime(day.year, day.month, day.day) + self.at  # noqa: DTZ001 - wall clock


class WrittenZone(tzinfo):
    """A zone by its written definition."""

    def __init__(
        self,
        name: str,
        periods: dict[str, timedelta],
        groups: dict[str, tuple[str, tuple[_Yearly, ...]]],
        spans: list[tuple[datetime, str]],
    ) -> None:
        self._name, self._periods, self._groups, self._spans = name, periods, groups, spans

    def utcoffset(self, when: datetime | None) -> timedelta:
        """Return the offset of a wall clock, of one that comes twice or never as PEP 495 has it (fold)."""
        plain = datetime(2000, 1, 1) if when is None else when.replace(tzinfo=None)  # noqa: DTZ001 - wall clock
        offset, before, after = (self._offset(plain + timedelta(hours=hours)) for hours in (0, -3, 3))
        if before < offset and self._offset(plain - (offset - before)) == before:  # skipped when the clock went forward
            return offset if plain.fold else before
        if after < offset and self._offset(plain + (offset - after)) == after:  # shown again when it goes back
            return after if plain.fold else offset
        return offset

    def _offset(self, plain: datetime) -> timedelta:
        group = next((name for begins, name in reversed(self._spans) if begins <= plain), self._spans[0][1])
        fixed, yearly = self._groups[group]
        if not yearly:
            return self._periods[fixed]
        passed = sorted((one.moment(plain.year), one.period) for one in yearly)
        return self._periods[next((period for at, period in reversed(passed) if at <= plain), passed[-1][1])]

    def fromutc(self, when: datetime) -> datetime:
        """Return the wall clock of a moment, with fold=1 if it has been shown once before."""
        for fold in (0, 1):
            for offset in sorted(set(self._periods.values()), reverse=True):
                wall = (when + offset).replace(fold=fold)
                if self.utcoffset(wall) == offset:
                    return wall
        return when + max(self._periods.values())

    def dst(self, when: datetime | None) -> timedelta:
        """Return how far the clock is ahead of the zone's least offset."""
        return self.utcoffset(when) - min(self._periods.values())

    def tzname(self, _: datetime | None) -> str:
        """Return the name the definition gives itself."""
        return self._name


def definition(element: etree._Element, name: str) -> str:
    """Return a t:TimeZoneDefinition, t:StartTimeZone, … as the fragment to keep, named `name`. Raises BadZone."""
    zone_of(element)
    wrong = grammar.problem(element)
    if wrong:
        raise BadZone(wrong)
    inner = "".join(map(fragment, children(element)))
    attributes = "".join(f' {key}="{escape(element.get(key, ""))}"' for key in ("Id", "Name") if element.get(key))
    return f"<t:{name}{attributes}>{inner}</t:{name}>" if inner else f"<t:{name}{attributes}/>"


def named(zone: tzinfo) -> str | None:
    """Return the Windows name of a zone of the tz database, None if it has none."""
    key = str(getattr(zone, "key", None) or zone)
    return "UTC" if zone is UTC or key.upper() == "UTC" else tz_win.get(key)


@lru_cache(maxsize=256)
def zone_in(text: str) -> tzinfo:
    """Return the zone of a kept fragment; without one, or of one that cannot be read, UTC."""
    try:
        return zone_of(parse_fragment(text)) if text else UTC
    except BadZone:
        return UTC


def zone_of(element: etree._Element) -> tzinfo:
    """Return the zone of an element: by its Id if that is a Windows name, else by its definition. Raises BadZone."""
    identifier = element.get("Id", "")
    known = win_tz.get(identifier)
    if known is not None:
        return UTC if known == "Etc/UTC" else ZoneInfo(known)
    if identifier in ("tzone://Microsoft/Utc", "Etc/UTC"):
        return UTC
    if element.find(f"{T}Periods") is None:
        raise BadZone(f"the zone {identifier!r} is not known and comes without a definition")
    try:
        return _written(element)
    except (ValueError, KeyError, IndexError, OverflowError) as error:
        raise BadZone(f"the definition of zone {identifier!r} makes no sense: {error}") from error


def _written(element: etree._Element) -> WrittenZone:
    periods = {one.get("Id", ""): -_duration(one.get("Bias", "")) for one in element.iterfind(f"{T}Periods/{T}Period")}
    groups = {
        one.get("Id", ""): _group(one, periods) for one in element.iterfind(f"{T}TransitionsGroups/{T}TransitionsGroup")
    }
    if not periods:
        raise ValueError("no period")
    if not groups:
        groups = {"0": (next(iter(periods)), ())}
    spans: list[tuple[datetime, str]] = []
    for one in element.iterfind(f"{T}Transitions/*"):
        begins = one.findtext(f"{T}DateTime")
        at = datetime.fromisoformat(begins).replace(tzinfo=None) if begins else _EVER
        group = one.findtext(f"{T}To") or ""
        if group not in groups:
            raise ValueError(f"no group {group!r}")
        spans.append((at, group))
    spans = sorted(spans) or [(_EVER, next(iter(groups)))]
    made = WrittenZone(element.get("Name", ""), periods, groups, spans)
    made.utcoffset(datetime(2024, 1, 1))  # noqa: DTZ001 - a trial: a day there is not shows itself here
    return made


def _group(element: etree._Element, periods: dict[str, timedelta]) -> tuple[str, tuple[_Yearly, ...]]:
    fixed, yearly = "", []
    for one in children(element):
        period = one.findtext(f"{T}To") or ""
        if period not in periods:
            raise ValueError(f"no period {period!r}")
        if local_name(one) == "Transition":
            fixed = period
            continue
        day = one.findtext(f"{T}DayOfWeek")
        number = int(one.findtext(f"{T}Occurrence" if day else f"{T}Day") or "1")
        at = _duration(one.findtext(f"{T}TimeOffset") or "PT0S")
        yearly.append(
            _Yearly(period, at, int(one.findtext(f"{T}Month") or ""), _DAYS.index(day) if day else None, number)
        )
    if not fixed and not yearly:
        raise ValueError("a group without transitions")
    for transition in yearly:
        transition.moment(2024)
    return fixed, tuple(yearly)


def _duration(text: str) -> timedelta:
    found = _DURATION.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text!r} is no duration")
    sign, *numbers = found.groups()
    days, hours, minutes, seconds = (int(number or 0) for number in numbers)
    length = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
    if length >= _LONGEST:
        raise ValueError(f"{text!r} is longer than a day")
    return -length if sign else length


# -- zones of the tz database, written for the protocol


def written(when: date, name: str) -> str:
    """Return the zone of a time as t:`name`: by its Windows name, or as a custom zone with its definition.

    A day, and a time without a zone, are UTC.
    """
    zone = when.tzinfo if isinstance(when, datetime) else None
    known = "UTC" if zone is None else named(zone)
    if known is None and isinstance(when, datetime) and zone is not None:
        return described(zone, when.year, name, CUSTOM, "Customized Time Zone")
    return f'<t:{name} Id="{escape(known or "UTC")}" Name="{escape(known or "UTC")}"/>'


def described(zone: tzinfo, year: int, name: str, identifier: str, title: str) -> str:
    """Return a zone written out as t:`name`, as its clock goes in one year."""
    changes = _changes(zone, year)
    offsets = sorted({offset for _, _, offset in changes} or {_offset(zone, datetime(year, 1, 1))})  # noqa: DTZ001 - wall clock
    periods = "".join(
        f'<t:Period Bias="{_bias(offset)}" Name="{title}" Id="trule:{number}"/>'
        for number, offset in enumerate(offsets)
    )
    inner = "".join(_transition(wall, f"trule:{offsets.index(offset)}") for wall, _, offset in changes)
    inner = inner or '<t:Transition><t:To Kind="Period">trule:0</t:To></t:Transition>'
    return (
        f'<t:{name} Id="{escape(identifier)}" Name="{escape(title)}"><t:Periods>{periods}</t:Periods>'
        f'<t:TransitionsGroups><t:TransitionsGroup Id="0">{inner}</t:TransitionsGroup></t:TransitionsGroups>'
        f'<t:Transitions><t:Transition><t:To Kind="Group">0</t:To></t:Transition></t:Transitions></t:{name}>'
    )


def _offset(zone: tzinfo, wall: datetime) -> timedelta:
    return wall.replace(tzinfo=zone).utcoffset() or timedelta(0)


def _changes(zone: tzinfo, year: int) -> list[tuple[datetime, timedelta, timedelta]]:
    """Return the changes of a zone's clock in a year: wall clock that ends, offset before, offset after."""
    found = []
    first = datetime(year, 1, 1)  # noqa: DTZ001 - wall clock
    days = [first + timedelta(days=number) for number in range(366)]
    changing = [day for day in days if _offset(zone, day) != _offset(zone, day + timedelta(days=1))]
    for at in (day + timedelta(hours=hour) for day in changing if day.year == year for hour in range(24)):
        following = at + timedelta(hours=1)
        before, after = _offset(zone, at), _offset(zone, following)
        if before != after:
            # Forward the clock skips an hour that begins here; back, the earlier of two counts until its end.
            found.append((following if after < before else at + _step(zone, at), before, after))
    return found


def _step(zone: tzinfo, at: datetime) -> timedelta:
    instant = at.replace(tzinfo=zone).astimezone(UTC)
    for minutes in range(0, 121, 15):
        if (instant + timedelta(minutes=minutes)).astimezone(zone).utcoffset() != _offset(zone, at):
            return timedelta(minutes=minutes)
    return timedelta(hours=1)


def _bias(offset: timedelta) -> str:
    minutes = int(-offset.total_seconds()) // 60
    return f"{'-' if minutes < 0 else ''}PT{abs(minutes)}M"


def _transition(wall: datetime, period: str) -> str:
    number = (wall.day - 1) // 7 + 1
    last = (wall + timedelta(days=7)).month != wall.month
    return (
        f'<t:RecurringDayTransition><t:To Kind="Period">{period}</t:To>'
        f"<t:TimeOffset>PT{wall.hour * 60 + wall.minute}M</t:TimeOffset><t:Month>{wall.month}</t:Month>"
        f"<t:DayOfWeek>{_DAYS[wall.weekday()]}</t:DayOfWeek><t:Occurrence>{-1 if last else number}</t:Occurrence>"
        "</t:RecurringDayTransition>"
    )
