"""What the page Delays shows of the canaries: per kind the last round, and how long both ways took in the last day."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median

from django.db.models import QuerySet

from mailboxes.models import Alert, Mailbox
from tracking.canary.tending import LATE, waiting_since
from tracking.models import Canary, CanaryRound

DAY = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Way:
    """One way, in seconds: the last time it was gone, and the middle and longest of a day; None: not yet."""

    last: float | None
    middle: float | None
    longest: float | None


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind in one canary mailbox. `waits_since`: the open round waits since then for the next part of its way."""

    name: str
    label: str
    out: Way
    back: Way
    rounds: int
    lost: int
    waits_since: datetime | None


@dataclass(frozen=True, slots=True)
class Bird:
    """A canary mailbox; `late_since`: something has not come through."""

    canary: Canary
    mailbox: Mailbox
    kinds: Sequence[Kind]
    late_since: datetime | None


def birds(canaries: QuerySet[Canary], now: datetime) -> list[Bird]:
    """Return the active ones of these canaries with their figures; three queries, or one where there is none."""
    found = list(canaries.filter(active=True).select_related("mailbox"))
    if not found:
        return []
    rounds = list(CanaryRound.objects.filter(canary__in=found, planted_at__gt=now - DAY).order_by("planted_at"))
    late = dict(
        Alert.objects.filter(code=LATE, resolved_at=None, mailbox__canary__in=found).values_list("mailbox", "since")
    )
    return [
        Bird(
            canary,
            canary.mailbox,
            [
                _kind(name, [row for row in rounds if row.canary_id == canary.pk and row.kind == name])
                for name in CanaryRound.Kind
            ],
            late.get(canary.mailbox_id),
        )
        for canary in found
    ]


def _kind(name: CanaryRound.Kind, rounds: Sequence[CanaryRound]) -> Kind:
    waiting = next((row for row in rounds if row.ended_at is None), None)
    return Kind(
        name.value,
        str(name.label),
        _way([(row.out_at - row.planted_at) for row in rounds if row.out_at]),
        _way([(row.in_at - came_from) for row in rounds if row.in_at and (came_from := row.changed_at or row.out_at)]),
        sum(row.ended_at is not None and not row.lost for row in rounds),
        sum(row.lost for row in rounds),
        waiting_since(waiting) if waiting else None,
    )


def _way(each: Sequence[timedelta]) -> Way:
    # Clocks of two machines, and a copy in Sent Items that was noticed after the one in the Inbox.
    seconds = [max(0.0, one.total_seconds()) for one in each]
    if not seconds:
        return Way(None, None, None)
    return Way(seconds[-1], median(seconds), max(seconds))
