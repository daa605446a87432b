"""When a mailbox is synced next, as a pure function of its recent arrivals, with the reason in words (design §5).

The idea: silence stretches the interval from the usual towards the longest; mail that arrives pulls it towards the
shortest. Both are monotone, so more arrivals never lengthen an interval. An interval counts from the start of a run,
so that a long run does not push the next one away.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlencode

from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy

# Silence after which the longest interval is reached.
QUIET_SECONDS = 3600
# How fast an arrival is forgotten: after this time it weighs a third (1/e).
MEMORY_SECONDS = 1800
# Weighed arrivals at which the shortest interval is reached.
FAST = 10
# Mailboxes that became due together drift apart by up to this share of their interval.
JITTER_SHARE = 0.1
# An arrival older than this no longer weighs anything that shows in whole seconds.
FORGOTTEN_SECONDS = 5 * MEMORY_SECONDS

_SENTENCES = {
    "start": _("to begin with"),
    "backlog": _("more is waiting to be read"),
    "arriving": ngettext_lazy(
        "%(messages)s message arrived lately", "%(messages)s messages arrived lately", "messages"
    ),
    "quiet": ngettext_lazy("quiet for %(minutes)s minute", "quiet for %(minutes)s minutes", "minutes"),
    "retry": _("attempt %(attempt)s failed, the next one follows after a growing pause"),
    "throttled": _("the server asked crmsync to wait"),
    "outage": _("the server does not answer: one mailbox tries, the others wait"),
    "person": _("waits until a person acts"),
    "again": _("its worker stopped before the end"),
}


@dataclass(frozen=True, slots=True)
class Reason:
    """Why an interval is what it is: a stable code and its numbers, stored as text and put into words on the screen."""

    code: str
    numbers: Mapping[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        """Return the form in which it is stored: `quiet?minutes=42`."""
        return f"{self.code}?{urlencode(self.numbers)}" if self.numbers else self.code

    @classmethod
    def parse(cls, stored: str) -> "Reason":
        """Return the reason behind `str(reason)`."""
        code, _mark, numbers = stored.partition("?")
        return cls(code, {name: int(value) for name, value in parse_qsl(numbers)})

    @property
    def words(self) -> str:
        """Return the sentence in the active language; empty for the empty code."""
        return str(_SENTENCES[self.code] % self.numbers) if self.code else ""


def in_words(stored: str) -> str:
    """Return the sentence for a stored reason (`Mailbox.interval_reason`, `Run.interval_reason`)."""
    return Reason.parse(stored).words


@dataclass(frozen=True, slots=True)
class Bounds:
    """Shortest, usual and longest interval in seconds, in this order of size."""

    shortest: int = 120
    usual: int = 300
    longest: int = 720

    def __post_init__(self) -> None:
        """Refuse bounds out of order."""
        if not 0 < self.shortest <= self.usual <= self.longest:
            raise ValueError(f"intervals out of order: {self.shortest}, {self.usual}, {self.longest}")


@dataclass(frozen=True, slots=True)
class Interval:
    """Seconds from the start of this run to the start of the next, and why."""

    seconds: int
    reason: Reason


Arrivals = Sequence[tuple[float, int]]


def next_interval(arrivals: Arrivals, *, backlog: bool, bounds: Bounds, now: float, jitter: float) -> Interval:
    """Return how long after the start of this run the mailbox is synced again (S8).

    `arrivals` are pairs (epoch second of a run, messages that had arrived), in any order; a pair with 0 messages says
    that the mailbox was watched then and nothing came. No pairs at all: the usual interval, to begin with.
    `jitter` is drawn from [-1, 1] by the caller. The answer is never outside of `bounds`, whatever the jitter.
    """
    if backlog:
        return Interval(bounds.shortest, Reason("backlog"))
    quiet = _quiet_seconds(arrivals, now)
    weight = sum(count * math.exp(-max(0.0, now - at) / MEMORY_SECONDS) for at, count in arrivals if count > 0)
    calm = bounds.usual + (bounds.longest - bounds.usual) * min(1.0, quiet / QUIET_SECONDS)
    pull = min(1.0, weight / FAST)
    wanted = calm - (calm - bounds.shortest) * pull
    seconds = round(wanted * (1 + JITTER_SHARE * max(-1.0, min(1.0, jitter))))
    return Interval(min(bounds.longest, max(bounds.shortest, seconds)), _reason(weight, quiet, bounds, wanted))


def _quiet_seconds(arrivals: Arrivals, now: float) -> float:
    """Return how long the mailbox has been watched without anything coming: since the first 0 after the last mail."""
    last_mail = max((at for at, count in arrivals if count > 0), default=-math.inf)
    since = min((at for at, count in arrivals if count <= 0 and at > last_mail), default=now)
    return max(0.0, now - since)


def _reason(weight: float, quiet: float, bounds: Bounds, wanted: float) -> Reason:
    if wanted < bounds.usual:
        return Reason("arriving", {"messages": math.ceil(weight)})
    if quiet >= 60:
        return Reason("quiet", {"minutes": int(quiet // 60)})
    return Reason("start")


def remember(arrivals: Iterable[Sequence[float]], *, at: float, arrived: int) -> list[list[int]] | None:
    """Return the arrivals to keep after a run at `at` that found `arrived` new messages; None when nothing changes.

    Kept is what `next_interval` can still tell apart: recent mail, the newest mail, and the first empty run after it.
    A mailbox that stays quiet is therefore written once, not with every run.
    """
    kept = sorted([int(when), int(count)] for when, count in arrivals)
    if arrived <= 0 and kept and kept[-1][1] <= 0:
        return None
    kept.append([int(at), max(0, arrived)])
    mail = [pair for pair in kept if pair[1] > 0]
    recent = [pair for pair in mail if at - pair[0] <= FORGOTTEN_SECONDS] or mail[-1:]
    return recent if arrived > 0 else [*recent, kept[-1]]


def as_pairs(stored: Iterable[Sequence[float]]) -> list[tuple[float, int]]:
    """Return `Mailbox.arrivals` as `next_interval` takes them."""
    return [(float(at), int(count)) for at, count in stored]
