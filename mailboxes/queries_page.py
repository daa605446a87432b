"""The page of one mailbox: its runs over time, what it follows, what went wrong and what to do about it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from crmsync_site.ui.charts import Span, Timeline, timeline
from mailboxes.issues import Issue, issue_of
from mailboxes.models import Folder, Mailbox, Run
from mailboxes.queries_list import Row, rows
from mailboxes.schedule import in_words
from mailboxes.states import Outcome
from security.access import Person, visible

WINDOWS = {"3h": timedelta(hours=3), "24h": timedelta(hours=24), "7d": timedelta(days=7)}
OUTCOME_TONES: dict[str, str] = {
    Outcome.RUNNING: "busy",
    Outcome.DONE: "ok",
    Outcome.PAUSED: "wait",
    Outcome.FAILED: "bad",
    Outcome.ABANDONED: "bad",
}
_FAILED = (Outcome.FAILED, Outcome.ABANDONED)


@dataclass(frozen=True, slots=True)
class RunRow:
    """One run as a table shows it."""

    run: Run
    issue: Issue | None

    @property
    def tone(self) -> str:
        """Return the tone of the outcome's badge."""
        return OUTCOME_TONES[self.run.outcome]

    @property
    def seconds(self) -> float | None:
        """Return how long it took; None while it waits or runs."""
        if self.run.finished_at is None:
            return None
        return (self.run.finished_at - (self.run.started_at or self.run.claimed_at)).total_seconds()

    @property
    def refused(self) -> int:
        """Return how many items were refused, for whatever reason."""
        return sum(self.run.refused.values())

    @property
    def interval_words(self) -> str:
        """Return why the next interval was chosen."""
        return in_words(self.run.interval_reason)


@dataclass(frozen=True, slots=True)
class Failure:
    """A code that ended runs of late: how often, when last, and what the catalogue says of it."""

    issue: Issue
    times: int
    last: datetime


@dataclass(frozen=True, slots=True)
class FolderRow:
    """A followed folder; `waiting` is what Exchange holds and no decision covers yet (None: not known)."""

    folder: Folder
    issue: Issue | None

    @property
    def waiting(self) -> int | None:
        """Return how many items have no decision yet, as far as the counts tell."""
        if self.folder.total is None:
            return None
        folder = self.folder
        decided = folder.tracked + folder.refused + folder.quarantined + folder.discarded
        return max(0, self.folder.total - decided)


def header(mailbox: Mailbox, now: datetime) -> Row:
    """Return what stands at the head of every page of a mailbox."""
    return rows([mailbox], now)[0]


def runs(person: Person, mailbox: Mailbox) -> QuerySet[Run]:
    """Return the runs of a mailbox."""
    return visible(person, Run).filter(mailbox=mailbox)


def run_rows(found: Sequence[Run]) -> list[RunRow]:
    """Return runs as a table shows them."""
    return [RunRow(run, issue_of(run.error_code, run.error_detail)) for run in found]


def drawn(found: QuerySet[Run], *, window: timedelta, now: datetime) -> Timeline:
    """Draw the runs of the `window` before `now`; one query."""
    since = timezone.localtime(now - window)
    values = found.filter(claimed_at__gte=since).values_list(
        "claimed_at", "started_at", "finished_at", "outcome", "examined", "tracked"
    )
    return timeline(list(_spans(values, now)), since=since, until=timezone.localtime(now))


def _spans(
    values: "QuerySet[Run, tuple[datetime, datetime | None, datetime | None, str, int, int]]", now: datetime
) -> Iterator[Span]:
    for claimed, started, finished, outcome, examined, tracked in values:
        begun = started or claimed
        seconds = ((finished or now) - begun).total_seconds()
        idle = outcome == Outcome.DONE and not examined
        tone = "off" if idle else "accent" if outcome == Outcome.DONE else OUTCOME_TONES[outcome]
        title = _("%(time)s: %(outcome)s, %(seconds)s s, %(tracked)s tracked of %(examined)s examined") % {
            "time": f"{timezone.localtime(begun):%Y-%m-%d %H:%M:%S}",
            "outcome": Outcome(outcome).label,
            "seconds": f"{seconds:.1f}",
            "tracked": tracked,
            "examined": examined,
        }
        yield Span(begun, seconds, tone, outcome in _FAILED, title)


def failures(found: QuerySet[Run], *, among: int = 200) -> list[Failure]:
    """Return what ended the latest `among` failed runs, by code, latest first; one query."""
    latest = found.filter(outcome__in=_FAILED).exclude(error_code="").order_by("-claimed_at")
    grouped: dict[str, list[tuple[datetime, str]]] = {}
    for code, at, detail in latest.values_list("error_code", "claimed_at", "error_detail")[:among]:
        grouped.setdefault(code, []).append((at, detail))
    made = []
    for code, times in grouped.items():
        issue = issue_of(code, times[0][1])
        if issue:
            made.append(Failure(issue, len(times), times[0][0]))
    return made


def folders(person: Person, mailbox: Mailbox) -> list[FolderRow]:
    """Return the followed folders, those with something to show before the silent ones; one query."""
    found = visible(person, Folder).filter(mailbox=mailbox, followed=True).defer("cursor").order_by("role", "name")
    return [FolderRow(folder, issue_of(folder.issue_code)) for folder in found]
