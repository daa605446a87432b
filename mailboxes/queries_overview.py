"""The overview: how many mailboxes are in which state, whether the promise is kept, what needs a person, what goes on."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from django.db.models import Count, F, Min, QuerySet, Sum
from django.db.models.functions import Coalesce
from django.urls import reverse

from mailboxes import promise
from mailboxes.issues import Issue, issue_of
from mailboxes.models import Alert, Mailbox, Run
from mailboxes.queries_list import DAY
from mailboxes.states import INTENT_TONES, STATE_TONES, Intent, State
from security.access import Person, visible

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise


@dataclass(frozen=True, slots=True)
class InState:
    """Mailboxes in one state (of those that are on) or with another intent; `url` lists exactly these."""

    label: "StrOrPromise"
    tone: str
    count: int
    url: str


@dataclass(frozen=True, slots=True)
class Kept:
    """The promise over one window: key (`1h`, `24h`, `7d`), the share, and the gaps behind it."""

    window: str
    share: promise.Share
    tone: str


@dataclass(frozen=True, slots=True)
class Late:
    """A late gap with its cause in words."""

    gap: promise.Offender
    issue: Issue | None


@dataclass(frozen=True, slots=True)
class Cause:
    """One thing that is wrong, however many mailboxes it holds up; `url` lists exactly the `mailboxes` counted."""

    issue: Issue
    place: str
    since: datetime
    mailboxes: int
    url: str


def states(person: Person) -> list[InState]:
    """Return the mailboxes by state, those that are not on by intent; only what exists; one query."""
    counts = visible(person, Mailbox).order_by().values_list("intent", "state").annotate(Count("pk"))
    on = {state: count for intent, state, count in counts if intent == Intent.ON}
    off: dict[str, int] = {}
    for intent, _state, count in counts:
        if intent != Intent.ON:
            off[intent] = off.get(intent, 0) + count
    return [
        *(InState(s.label, STATE_TONES[s], on[s], _list_url(intent=Intent.ON, state=s)) for s in State if s in on),
        *(InState(i.label, INTENT_TONES[i], off[i], _list_url(intent=i)) for i in Intent if i in off),
    ]


def _list_url(**params: str) -> str:
    return f"{reverse('mailboxes')}?{urlencode(params)}"


def kept(now: datetime) -> list[Kept]:
    """Return how the promise was kept over 1 hour, 24 hours and 7 days, over all mailboxes."""
    shares = [(key, promise.share(now, window)) for key, window in promise.WINDOWS.items()]
    return [Kept(key, share, _kept_tone(share.ratio)) for key, share in shares]


def _kept_tone(ratio: float | None) -> str:
    if ratio is None:
        return "off"
    return "ok" if ratio >= 0.999 else "warn" if ratio >= 0.97 else "bad"


def worst(now: datetime, n: int = 5) -> list[Late]:
    """Return the longest late gaps with their causes."""
    return [Late(gap, issue_of(gap.cause)) for gap in promise.worst(now, n)]


def causes(person: Person) -> list[Cause]:
    """Return what is wrong now, grouped by cause and server, the most mailboxes first; two queries."""
    alerts = (
        visible(person, Alert)
        .filter(resolved_at=None)
        .order_by()
        .annotate(at=Coalesce("server", "mailbox__server", "folder__mailbox__server"))
        .annotate(place=Coalesce("server__name", "mailbox__server__name", "folder__mailbox__server__name"))
        .values_list("code", "at", "place")
        .annotate(Min("since"), Count("pk"))
    )
    held = {
        (code, server): count
        for code, server, count in visible(person, Mailbox)
        .exclude(issue_code="")
        .order_by()
        .values_list("issue_code", "server")
        .annotate(Count("pk"))
    }
    found = []
    for code, server, place, since, _count in alerts:
        issue = issue_of(code, server=place or "")
        if issue:
            url = _list_url(issue=code, **({"server": str(server)} if server else {}))
            found.append(Cause(issue, place or "", since, held.get((code, server), 0), url))
    return sorted(found, key=lambda cause: (-cause.mailboxes, cause.since))


@dataclass(frozen=True, slots=True)
class Volume:
    """What the runs of the last 24 hours did; `runs` are those that found something to do."""

    runs: int
    tracked: int
    refused: int
    quarantined: int


def volume(person: Person, now: datetime) -> Volume:
    """Return what the runs of the last 24 hours did; one query."""
    sums = (
        visible(person, Run)
        .filter(started_at__gt=now - DAY, examined__gt=0)
        .aggregate(
            runs=Count("pk"),
            tracked_sum=Sum("tracked", default=0),
            refused_sum=Sum(F("examined") - F("tracked") - F("updated") - F("quarantined"), default=0),
            quarantined_sum=Sum("quarantined", default=0),
        )
    )
    return Volume(sums["runs"], sums["tracked_sum"], sums["refused_sum"], sums["quarantined_sum"])


def recent(person: Person, now: datetime, n: int = 8) -> Sequence[Run]:
    """Return the latest runs of the last 24 hours that found something to do."""
    busy = visible(person, Run).filter(started_at__gt=now - DAY, examined__gt=0)
    return list(_with_mailbox(busy).order_by("-started_at")[:n])


def _with_mailbox(runs: QuerySet[Run]) -> QuerySet[Run]:
    return runs.select_related("mailbox").defer("mailbox__secret", "mailbox__arrivals")


def upcoming(person: Person, n: int = 8) -> Sequence[Mailbox]:
    """Return the mailboxes that are due next."""
    due = visible(person, Mailbox).filter(intent=Intent.ON, due_at__isnull=False)
    return list(due.defer("secret", "arrivals").order_by("due_at")[:n])
