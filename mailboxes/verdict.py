"""What a finished run means for its mailbox: state, next run, and why. Decided here from the report, written by `runs`.

The idea: one frozen value holds every column that changes, so that the runs of a whole job are written with one
statement, and what a run leads to can be tested without a database.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from mailboxes.backoff import Hold, hold_for
from mailboxes.models import Mailbox, Run
from mailboxes.report import RunReport
from mailboxes.schedule import Bounds, Interval, as_pairs, next_interval, remember
from mailboxes.states import Outcome, State


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of the mailbox. `arrivals` None: as they are. `measured_from` None: nothing is owed from now on."""

    state: State
    due_at: datetime
    interval: Interval
    outcome: Outcome
    arrivals: list[list[int]] | None
    hold: Hold | None
    issue_code: str = ""
    issue_detail: str = ""

    @property
    def waits_for_person(self) -> bool:
        """Return whether nothing happens until a person acts."""
        return self.hold is not None and self.hold.until is None


def bounds_of(mailbox: Mailbox) -> Bounds:
    """Return the bounds of the mailbox's sync profile."""
    profile = mailbox.sync_profile
    return Bounds(profile.min_seconds, profile.normal_seconds, profile.max_seconds)


def judge(run: Run, report: RunReport, *, now: datetime, jitter: float) -> Verdict:
    """Return what `report` means for the mailbox of `run`, which has started and ends `now`; `jitter` in [-1, 1]."""
    mailbox = run.mailbox
    started = run.started_at or now
    stored = (
        remember(mailbox.arrivals, at=started.timestamp(), arrived=report.arrived) if report.reached_server else None
    )
    if report.error is not None:
        return _failed(run, report, stored, now, jitter)
    arrivals = as_pairs(mailbox.arrivals if stored is None else stored)
    interval = next_interval(
        arrivals, backlog=report.more, bounds=bounds_of(mailbox), now=started.timestamp(), jitter=jitter
    )
    # What is left of a backlog goes on as soon as there is a slot; the schedule's interval is for what comes after.
    due_at = now if report.more else started + timedelta(seconds=interval.seconds)
    folder_error = next(iter(report.folder_errors.values()), None)
    return Verdict(
        state=_state(mailbox, report),
        due_at=due_at,
        interval=interval,
        outcome=Outcome.PAUSED if report.more else Outcome.DONE,
        arrivals=stored,
        hold=None,
        issue_code=folder_error.code if folder_error else "",
        issue_detail=folder_error.detail if folder_error else "",
    )


def _state(mailbox: Mailbox, report: RunReport) -> State:
    if report.more and not mailbox.first_sync_done:
        return State.FIRST_SYNC
    return State.DEGRADED if report.folder_errors else State.IDLE


def _failed(run: Run, report: RunReport, arrivals: list[list[int]] | None, now: datetime, jitter: float) -> Verdict:
    assert report.error is not None  # noqa: S101 -- told to the type checker; the one caller has looked
    mailbox = run.mailbox
    hold = hold_for(
        report.error,
        now=now,
        failures=mailbox.failures,
        server_failures=mailbox.server.failures,
        own_credential=bool(mailbox.username),
        bounds=bounds_of(mailbox),
        jitter=jitter,
    )
    # A mailbox of a server that is held back stays due: it goes when the server answers again.
    due_at = now if hold.server or hold.until is None else hold.until
    wait = max(0, round(((hold.until or now) - now).total_seconds()))
    return Verdict(
        state=hold.state,
        due_at=due_at,
        interval=Interval(wait, hold.reason),
        outcome=Outcome.FAILED,
        arrivals=arrivals,
        hold=hold,
        issue_code=report.error.code,
        issue_detail=report.error.detail,
    )
