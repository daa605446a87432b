"""How long mail takes from its arrival in the mailbox to being tracked: percentiles over windows of time.

Counted over messages that arrived after their mailbox was added: what a first sync fetches was never late.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import (
    Aggregate,
    Count,
    DurationField,
    Exists,
    ExpressionWrapper,
    F,
    Max,
    OuterRef,
    Q,
    QuerySet,
    Value,
)
from django.db.models.functions import Greatest

from mailboxes.models import Mailbox
from security.access import Person, visible
from tracking.models import Activity, Holder

WINDOWS = {"1h": timedelta(hours=1), "24h": timedelta(hours=24), "7d": timedelta(days=7)}
# Upper ends of the bars, in seconds; the promise is 12 minutes.
STEPS = (30, 60, 120, 300, 720, 3600)


class Percentile(Aggregate):
    """PostgreSQL's percentile_cont of a duration."""

    function = "percentile_cont"
    template = "%(function)s(%(share)s) WITHIN GROUP (ORDER BY %(expressions)s)"
    output_field = DurationField()

    def __init__(self, expression: str, *, share: float, **extra: Any) -> None:
        super().__init__(expression, share=share, **extra)


@dataclass(frozen=True, slots=True)
class Delay:
    """Delays of one window, in seconds; None when nothing arrived. `steps`: (upper end, messages), the last is beyond."""

    window: str
    messages: int
    p50: float | None
    p95: float | None
    longest: float | None
    steps: Sequence[tuple[int | None, int]]


def delays(person: Person, now: datetime) -> list[Delay]:
    """Return the delays over 1 hour, 24 hours and 7 days of the mailboxes that `person` may see; a query each."""
    return [_delay(person, key, now - window) for key, window in WINDOWS.items()]


def _delay(person: Person, window: str, since: datetime) -> Delay:
    # Times only, no mail: so the mailboxes a person sees are the measure, not the threads they may read.
    measured = _measured(visible(person, Mailbox), since)
    ends = [timedelta(seconds=step) for step in STEPS]
    bars = {f"step{step}": Count("pk", filter=Q(delay__lte=end)) for step, end in zip(STEPS, ends, strict=True)}
    sums = measured.aggregate(
        messages=Count("pk"),
        p50=Percentile("delay", share=0.5),
        p95=Percentile("delay", share=0.95),
        longest=Max("delay"),
        **bars,
    )
    below = [sums[f"step{step}"] for step in STEPS]
    counts = [count - before for count, before in zip(below, [0, *below], strict=False)]
    steps: list[tuple[int | None, int]] = [*zip(STEPS, counts, strict=True), (None, sums["messages"] - below[-1])]
    return Delay(
        window, sums["messages"], _seconds(sums["p50"]), _seconds(sums["p95"]), _seconds(sums["longest"]), steps
    )


def _measured(mailboxes: QuerySet[Mailbox], since: datetime) -> QuerySet[Activity]:
    holding = Holder.objects.filter(
        activity=OuterRef("pk"),
        mailbox__in=mailboxes.order_by().values("pk"),
        mailbox__created_at__lte=OuterRef("received_at"),
    )
    waited = ExpressionWrapper(F("tracked_at") - F("received_at"), output_field=DurationField())
    # A mail server's clock may be ahead of ours.
    delay = Greatest(waited, Value(timedelta(0)), output_field=DurationField())
    found = Activity.objects.filter(tracked_at__gt=since).filter(Exists(holding))
    return found.order_by().annotate(delay=delay)


def _seconds(delay: timedelta | None) -> float | None:
    return None if delay is None else delay.total_seconds()
