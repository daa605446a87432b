"""A task in plain words, and what it is in the protocol.

Dates of tasks are whole days: Exchange keeps them as midnight UTC, and programs that show them in a
local zone are off by one. `complete_date` and `is_complete` follow from the status, as on a server.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Final

from icalendar import vRecur

from mailboxes.sandbox.model import Content
from mailboxes.sandbox.recurrence import recurrence
from mailboxes.sandbox.xmltext import boolean, leaf, moment, raw_leaf

STATUSES: Final = ("NotStarted", "InProgress", "Completed", "WaitingOnOthers", "Deferred")
DELEGATIONS: Final = ("NoMatch", "OwnNew", "Owned", "Accepted", "Declined", "Max")
IMPORTANCES: Final = ("Low", "Normal", "High")


@dataclass(frozen=True, slots=True)
class Task:
    """What a person would say about a task. Raises ValueError for values that do not exist.

    percent_complete is 0 to 100, work is in minutes, reminder is an aware moment. `rule` is an RRULE
    (RFC 5545) that starts with the first of start and due. A task that was assigned has a `delegation`
    (Owned, Accepted, Declined, …) and a `delegator`; the protocol can read these but not set them.
    """

    subject: str
    body: str = ""
    start: date | None = None
    due: date | None = None
    completed: date | None = None
    status: str = "NotStarted"
    percent_complete: int = 0
    importance: str = "Normal"
    owner: str = ""
    companies: tuple[str, ...] = ()
    actual_work: int | None = None
    total_work: int | None = None
    reminder: datetime | None = None
    rule: str = ""
    delegation: str = ""
    delegator: str = ""
    assigned: datetime | None = None

    def __post_init__(self) -> None:
        if self.status not in STATUSES:
            raise ValueError(f"task status {self.status!r}, known are {', '.join(STATUSES)}")
        if self.importance not in IMPORTANCES:
            raise ValueError(f"importance {self.importance!r}, known are {', '.join(IMPORTANCES)}")
        if not 0 <= self.percent_complete <= 100:
            raise ValueError("percent_complete is 0 to 100")
        if self.delegation not in ("", *DELEGATIONS):
            raise ValueError(f"delegation {self.delegation!r}, known are {', '.join(DELEGATIONS)}")
        if self.rule and not (self.start or self.due):
            raise ValueError("a recurring task needs a day to start from")


def content(task: Task) -> Content:
    """Return the task as the content of an item."""
    done = task.status == "Completed" or task.percent_complete == 100
    values = {
        "Subject": leaf("Subject", task.subject),
        "Importance": raw_leaf("Importance", task.importance),
        "Status": raw_leaf("Status", "Completed" if done else task.status),
        "PercentComplete": raw_leaf("PercentComplete", str(100 if done else task.percent_complete)),
        "IsComplete": boolean("IsComplete", done),
    }
    completed = task.completed or (task.due if done else None)
    for name, day in (("StartDate", task.start), ("DueDate", task.due), ("CompleteDate", completed)):
        if day is not None:
            values[name] = moment(name, int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()))
    values |= _work(task) | _recurring(task) | _delegated(task)
    return Content("Task", values=values, body=("Text", task.body) if task.body else None)


def _work(task: Task) -> dict[str, str]:
    values = {}
    if task.owner:
        values["Owner"] = leaf("Owner", task.owner)
    if task.companies:
        inner = "".join(leaf("String", company) for company in task.companies)
        values["Companies"] = f"<t:Companies>{inner}</t:Companies>"
    for name, minutes in (("ActualWork", task.actual_work), ("TotalWork", task.total_work)):
        if minutes is not None:
            values[name] = raw_leaf(name, str(minutes))
    if task.reminder is not None:
        values["ReminderIsSet"] = boolean("ReminderIsSet", True)
        values["ReminderDueBy"] = moment("ReminderDueBy", int(task.reminder.timestamp()))
    return values


def _recurring(task: Task) -> dict[str, str]:
    first = task.start or task.due
    found = recurrence(vRecur.from_ical(task.rule), first) if task.rule and first else ""
    return {"Recurrence": found, "IsRecurring": boolean("IsRecurring", True)} if found else {}


def _delegated(task: Task) -> dict[str, str]:
    values = {}
    if task.delegation:
        values["DelegationState"] = raw_leaf("DelegationState", task.delegation)
        values["Delegator"] = leaf("Delegator", task.delegator)
        values["IsAssignmentEditable"] = raw_leaf("IsAssignmentEditable", "0")
    if task.assigned is not None:
        values["AssignedTime"] = moment("AssignedTime", int(task.assigned.timestamp()))
    return values
