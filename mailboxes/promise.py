"""The promise: every enabled mailbox starts a sync at least once every 12 minutes. Measured, not assumed (S9, design §5).

A gap goes from start to start; a start that reached no server ends none. A gap is owed only while the mailbox is on and
waits for no person: `Mailbox.measured_from` is its beginning, None while nothing is owed. Ended gaps are counted in
buckets of five minutes as runs are settled; open ones that are late already are looked up when somebody asks.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection
from django.db.models import (
    DateTimeField,
    DurationField,
    Exists,
    ExpressionWrapper,
    F,
    OuterRef,
    Q,
    QuerySet,
    Sum,
    Value,
)
from django.db.models.functions import Greatest

from mailboxes.models import Alert, LateGap, Mailbox, PromiseBucket, Run, SyncProfile
from mailboxes.states import WAITS_FOR_PERSON, Intent, Outcome, State

BOUND_SECONDS = 720
BUCKET = timedelta(minutes=5)
WINDOWS = {"1h": timedelta(hours=1), "24h": timedelta(hours=24), "7d": timedelta(days=7)}

# Mailboxes are claimed this many seconds before their bound: at least, and at most, whatever was measured.
LEAD_LEAST = 15.0
LEAD_MOST = 180.0
LEAD_WINDOW = timedelta(minutes=15)

# Nothing was wrong with mailbox or server: too few workers, or no dispatcher.
LATE_START = "late_start"
_HELD = frozenset({State.WAITING_FOR_SERVER, State.THROTTLED, State.UNREACHABLE})


def bound_seconds(profile: SyncProfile) -> int:
    """Return the bound of a mailbox with this profile: 12 minutes, or longer where an administrator raised it."""
    return max(BOUND_SECONDS, profile.max_seconds)


@dataclass(frozen=True, slots=True)
class Gap:
    """One gap that has ended. `cause` is a code of the catalogue, empty when it is to be found out."""

    mailbox_id: int
    since: datetime
    until: datetime
    bound_s: int
    cause: str = ""

    @property
    def kept(self) -> bool:
        """Return whether the gap was within its bound."""
        return (self.until - self.since).total_seconds() <= self.bound_s


def gap_of(mailbox: Mailbox, until: datetime) -> Gap | None:
    """Return the gap that ends at `until`, None when none was owed."""
    if mailbox.measured_from is None or mailbox.measured_from >= until:
        return None
    cause = mailbox.issue_code if mailbox.failures or mailbox.state in _HELD else ""
    return Gap(mailbox.pk, mailbox.measured_from, until, bound_seconds(mailbox.sync_profile), cause)


def record(gaps: Iterable[Gap]) -> None:
    """Count gaps that have ended; a late one is kept with its cause. Call it last in a transaction: its row is hot."""
    ended: Counter[datetime] = Counter()
    kept: Counter[datetime] = Counter()
    late = []
    for gap in gaps:
        ended[_bucket(gap.until)] += 1
        kept[_bucket(gap.until)] += gap.kept
        if not gap.kept:
            late.append(_late(gap))
    if late:
        LateGap.objects.bulk_create(late, ignore_conflicts=True)
    with connection.cursor() as cursor:
        for begins_at in sorted(ended):
            cursor.execute(
                "INSERT INTO mailboxes_promisebucket AS b (begins_at, gaps, kept) VALUES (%s, %s, %s) "
                "ON CONFLICT (begins_at) DO UPDATE SET gaps = b.gaps + excluded.gaps, kept = b.kept + excluded.kept",
                [begins_at, ended[begins_at], kept[begins_at]],
            )


def _bucket(at: datetime) -> datetime:
    return at.replace(minute=at.minute - at.minute % 5, second=0, microsecond=0)


def _late(gap: Gap) -> LateGap:
    cause = gap.cause or _found_cause(gap)
    return LateGap(mailbox_id=gap.mailbox_id, since=gap.since, until=gap.until, bound_s=gap.bound_s, cause=cause)


def _found_cause(gap: Gap) -> str:
    """Return what was wrong while the gap lasted: an alert of mailbox or server, else a worker that died, else us."""
    alert = (
        Alert.objects.filter(Q(mailbox=gap.mailbox_id) | Q(server__mailboxes=gap.mailbox_id), since__lt=gap.until)
        .filter(Q(resolved_at=None) | Q(resolved_at__gt=gap.since))
        .order_by("-since")
        .first()
    )
    if alert is not None:
        return alert.code
    run = Run.objects.filter(mailbox=gap.mailbox_id, claimed_at__gt=gap.since, outcome=Outcome.ABANDONED).first()
    return run.error_code if run is not None else LATE_START


@dataclass(frozen=True, slots=True)
class Share:
    """Gaps of a window: ended, kept, and those still open that are late already (each counts as one that broke)."""

    ended: int
    kept: int
    open_late: int

    @property
    def ratio(self) -> float | None:
        """Return the share kept, 0 to 1; None when nothing was measured."""
        counted = self.ended + self.open_late
        return self.kept / counted if counted else None


def share(now: datetime, window: timedelta) -> Share:
    """Return how the promise was kept over the `window` before `now`, to five minutes."""
    sums = PromiseBucket.objects.filter(begins_at__gt=now - window - BUCKET, begins_at__lte=now).aggregate(
        ended=Sum("gaps", default=0), kept=Sum("kept", default=0)
    )
    return Share(sums["ended"], sums["kept"], open_late(now).count())


def open_late(now: datetime) -> QuerySet[Mailbox]:
    """Return the mailboxes whose present gap is over its bound already, with `bound` (a duration) on each."""
    second = Value(timedelta(seconds=1), output_field=DurationField())
    bound = ExpressionWrapper(
        Greatest(F("sync_profile__max_seconds"), Value(BOUND_SECONDS)) * second, output_field=DurationField()
    )
    in_time = Run.objects.filter(mailbox=OuterRef("pk"), finished_at=None, started_at__lte=OuterRef("owed_by"))
    return (
        owed()
        .annotate(bound=bound)
        .annotate(owed_by=ExpressionWrapper(F("measured_from") + F("bound"), output_field=DateTimeField()))
        .filter(owed_by__lt=now)
        .exclude(Exists(in_time))
    )


def owed() -> QuerySet[Mailbox]:
    """Return the mailboxes to which the promise is owed now: on, and waiting for no person."""
    return (
        Mailbox.objects.filter(intent=Intent.ON, measured_from__isnull=False)
        .filter(Q(server__stopped_at=None) | ~Q(username=""))
        .exclude(state__in=WAITS_FOR_PERSON)
    )


@dataclass(frozen=True, slots=True)
class Offender:
    """A gap over its bound; `until` None while it lasts."""

    mailbox_id: int
    address: str
    since: datetime
    until: datetime | None
    seconds: int
    bound_s: int
    cause: str


def worst(now: datetime, n: int, window: timedelta = WINDOWS["24h"]) -> list[Offender]:
    """Return the `n` longest late gaps that ended in the window or are still open, longest first."""
    lasting = [
        Offender(
            m.pk,
            m.address,
            m.measured_from,
            None,
            _seconds(m.measured_from, now),
            bound_seconds(m.sync_profile),
            m.issue_code or m.server.stopped_code or LATE_START,
        )
        for m in open_late(now)
        .select_related("sync_profile", "server")
        .defer("secret", "server__secret")
        .order_by("measured_from")[:n]
        if m.measured_from
    ]
    ended = [
        Offender(g.mailbox_id, g.mailbox.address, g.since, g.until, _seconds(g.since, g.until), g.bound_s, g.cause)
        for g in LateGap.objects.filter(until__gt=now - window, until__lte=now)
        .select_related("mailbox")
        .defer("mailbox__secret")
        .annotate(length=F("until") - F("since"))
        .order_by("-length")[:n]
        if g.until
    ]
    return sorted([*lasting, *ended], key=lambda o: -o.seconds)[:n]


def _seconds(since: datetime, until: datetime) -> int:
    return int((until - since).total_seconds())


def stop_owing(mailboxes: QuerySet[Mailbox], now: datetime) -> None:
    """End the gaps of `mailboxes` without counting those that were within their bound: nothing is owed from now on.

    One that was late already stays late: switching a mailbox off does not embellish the past.
    """
    late = open_late(now).filter(pk__in=mailboxes.values("pk")).select_related("sync_profile")
    record(gap for mailbox in late.defer("secret") if (gap := gap_of(mailbox, now)))
    mailboxes.update(measured_from=None)


def lead_seconds(now: datetime) -> float:
    """Return how long before its bound a mailbox is claimed: p99 of due-to-start of late, 15 s at least (design §5)."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT percentile_cont(0.99) WITHIN GROUP (ORDER BY extract(epoch FROM started_at - due_at)) "
            "FROM mailboxes_run WHERE started_at > %s AND started_at <= %s AND trigger = 'schedule'",
            [now - LEAD_WINDOW, now],
        )
        measured = cursor.fetchone()[0]
    return min(LEAD_MOST, max(LEAD_LEAST, float(measured or 0)))
