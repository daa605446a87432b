"""Geometry of the drawings: numbers in, coordinates out. The templates make SVG of them; nothing here knows colours.

Every drawing is beside a table or a list that holds the same numbers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

WIDTH, HEIGHT, LEFT, FOOT = 960, 150, 44, 20


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of a bar that is 100 wide."""

    x: float
    width: float
    tone: str
    title: str


def stacked(parts: Sequence[tuple["StrOrPromise", str, int]]) -> list[Segment]:
    """Return (label, tone, count) parts side by side, in proportion; none when all counts are zero."""
    total = sum(count for _, _, count in parts)
    segments: list[Segment] = []
    x = 0.0
    for label, tone, count in parts:
        if count:
            width = 100 * count / total
            segments.append(Segment(round(x, 3), round(width, 3), tone, f"{label}: {count}"))
            x += width
    return segments


@dataclass(frozen=True, slots=True)
class Span:
    """Something that took time: when it began, how many seconds, how it went (a tone), whether it failed, its title."""

    at: datetime
    seconds: float
    tone: str
    failed: bool
    title: str


@dataclass(frozen=True, slots=True)
class Bar:
    """One column of the timeline; `dot` marks a failure within it."""

    x: float
    y: float
    width: float
    height: float
    tone: str
    dot: bool
    title: str

    @property
    def middle(self) -> float:
        """Return the column's centre, where the dot stands."""
        return round(self.x + self.width / 2, 2)


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark on an axis."""

    place: float
    label: str


@dataclass(frozen=True, slots=True)
class Timeline:
    """Bars over time with both axes; `spans` is how many spans were drawn."""

    bars: Sequence[Bar]
    x_ticks: Sequence[Tick]
    y_ticks: Sequence[Tick]
    spans: int
    width: int = WIDTH
    height: int = HEIGHT + FOOT
    left: int = LEFT
    floor: int = HEIGHT


def timeline(spans: Sequence[Span], *, since: datetime, until: datetime, columns: int = 220) -> Timeline:
    """Draw `spans` between `since` and `until`; several in one column show the longest, and a dot if any failed."""
    length = (until - since).total_seconds()
    cell = (WIDTH - LEFT) / columns
    inside = [span for span in spans if since <= span.at <= until]
    top = _ceiling(max((span.seconds for span in inside), default=1.0))
    by_column: dict[int, list[Span]] = {}
    for span in inside:
        place = int((span.at - since).total_seconds() / length * columns)
        by_column.setdefault(min(place, columns - 1), []).append(span)
    bars = []
    for place, together in sorted(by_column.items()):
        longest = max(together, key=lambda span: (span.failed, span.seconds))
        high = max(3.0, max(span.seconds for span in together) / top * (HEIGHT - 14))
        title = longest.title if len(together) == 1 else f"{longest.title} (+{len(together) - 1})"
        bars.append(
            Bar(
                x=round(LEFT + place * cell + cell * 0.12, 2),
                y=round(HEIGHT - high, 2),
                width=round(cell * 0.76, 2),
                height=round(high, 2),
                tone=longest.tone,
                dot=any(span.failed for span in together),
                title=title,
            )
        )
    y_ticks = [Tick(round(HEIGHT - part * (HEIGHT - 14), 1), _seconds(top * part)) for part in (0.0, 0.5, 1.0)]
    return Timeline(bars, _hours(since, until), y_ticks, len(inside))


def _ceiling(value: float) -> float:
    """Return the next of 1, 2, 5 times a power of ten, at least 0.1."""
    step = 0.1
    while True:
        for factor in (1, 2, 5):
            if value <= step * factor:
                return step * factor
        step *= 10


def _seconds(value: float) -> str:
    return f"{value / 60:g} min" if value >= 120 else f"{value:g} s"


def _hours(since: datetime, until: datetime) -> list[Tick]:
    """Return at most eight marks at round hours or days of the zone of `since`."""
    hours = (until - since).total_seconds() / 3600
    every = next(step for step in (0.5, 1, 3, 6, 12, 24, 48, 24 * 7, 24 * 365) if hours / step <= 8)
    whole_days = every >= 24
    at = since.replace(hour=0, minute=0, second=0, microsecond=0)
    ticks = []
    while at <= until:
        # Words at the very edge would be cut off.
        if since + (until - since) * 0.02 <= at <= since + (until - since) * 0.98:
            place = LEFT + (at - since).total_seconds() / (hours * 3600) * (WIDTH - LEFT)
            ticks.append(Tick(round(place, 1), f"{at:%d.%m.}" if whole_days else f"{at:%H:%M}"))
        at += timedelta(hours=every)
    return ticks
