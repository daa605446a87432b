"""Tasks: status, progress and dates keep to each other, and a recurring task comes again when it is done.

The protocol has one item for a recurring task. Completing it leaves a finished task under a new id, and the
item itself moves on to its next turn, which is why a client may get another id back than it sent.
"""

from collections.abc import Collection
from datetime import UTC, date, datetime
from typing import Final

from mailboxes.sandbox.contents import said, text_of
from mailboxes.sandbox.model import Content, Item, Mailbox
from mailboxes.sandbox.recurrence import BadRecurrence, check, fewer, next_day, regenerates
from mailboxes.sandbox.soap import EwsError
from mailboxes.sandbox.store import SandboxStore
from mailboxes.sandbox.xmltext import boolean, leaf, moment, moment_in, raw_leaf

_DAY: Final = 86_400
_DESCRIPTIONS: Final = {
    "NotStarted": "Not Started",
    "InProgress": "In Progress",
    "Completed": "Completed",
    "WaitingOnOthers": "Waiting on someone else",
    "Deferred": "Deferred",
}


def complete(content: Content, owner: Mailbox, now: int, names: Collection[str]) -> None:
    """Set what follows from a task's status, progress and dates; `names` are the properties just written.

    Raises EwsError for a recurrence that makes no sense.
    """
    kept = said(content, "Recurrence")
    if kept:
        try:
            check(kept)
        except BadRecurrence as error:
            raise EwsError("ErrorCalendarInvalidRecurrence", f"The recurrence is invalid: {error}.") from error
    for name, text in (
        ("Owner", leaf("Owner", owner.display_name)),
        ("Status", raw_leaf("Status", "NotStarted")),
        ("PercentComplete", raw_leaf("PercentComplete", "0")),
        ("Importance", raw_leaf("Importance", "Normal")),
        ("Sensitivity", raw_leaf("Sensitivity", "Normal")),
    ):
        if not said(content, name):
            content.values[name] = text
    status, percent = _progress(content, set(names))
    changes = text_of(content, "ChangeCount")
    content.values |= {
        "Status": raw_leaf("Status", status),
        "PercentComplete": raw_leaf("PercentComplete", percent),
        "IsComplete": boolean("IsComplete", status == "Completed"),
        "IsRecurring": boolean("IsRecurring", bool(kept)),
        "StatusDescription": leaf("StatusDescription", _DESCRIPTIONS[status]),
        "ChangeCount": raw_leaf("ChangeCount", str(int(changes or 0) + 1)),
    }
    if status != "Completed":
        content.values["CompleteDate"] = ""
    elif not said(content, "CompleteDate"):
        content.values["CompleteDate"] = moment("CompleteDate", now - now % _DAY)


def _progress(content: Content, names: set[str]) -> tuple[str, str]:
    """Return status and percentage; of two that contradict each other the one just written counts."""
    status, percent = text_of(content, "Status"), text_of(content, "PercentComplete")
    part = float(percent)
    told = {
        "Status": status == "Completed",
        "PercentComplete": part >= 100,
        "CompleteDate": bool(said(content, "CompleteDate")),
    }
    written = {name: done for name, done in told.items() if name in names}
    if any((written or told).values()):
        return "Completed", "100"
    if "Status" in names or not written:
        return status, "0" if part >= 100 or status == "NotStarted" else percent
    if "PercentComplete" in names and part > 0:
        return ("InProgress" if status in ("NotStarted", "Completed") else status), percent
    return ("NotStarted" if status in ("Completed", "InProgress") else status), "0"


def moves_on(store: SandboxStore, item: Item) -> Item:
    """Return the item that stands for what was just completed: of a recurring task a finished one of its own."""
    content = item.content
    if text_of(content, "IsComplete") != "true" or not said(content, "Recurrence"):
        return item
    finished = content.copy()
    finished.values |= {"Recurrence": "", "IsRecurring": boolean("IsRecurring", False)}
    if not advance(store, item):
        item.content = finished
        return item
    done = store.add_item(item.folder, finished)
    done.is_read = True
    return done


def advance(store: SandboxStore, item: Item) -> bool:
    """Move a recurring task on to its next turn and say whether there is one; without one nothing is changed."""
    content = item.content
    kept = said(content, "Recurrence")
    due = _day(content, "DueDate") or _day(content, "StartDate") or store.now().date()
    following = next_day(kept, due, _day(content, "CompleteDate") or store.now().date())
    left = fewer(kept) if regenerates(kept) else kept
    if following is None or not left:
        return False
    moved = content.copy()
    for name in ("StartDate", "DueDate"):
        day = _day(content, name)
        if day is not None:
            there = following + (day - due)
            moved.values[name] = moment(name, int(datetime(there.year, there.month, there.day, tzinfo=UTC).timestamp()))
    moved.values |= {
        "Recurrence": left,
        "Status": raw_leaf("Status", "NotStarted"),
        "StatusDescription": leaf("StatusDescription", _DESCRIPTIONS["NotStarted"]),
        "PercentComplete": raw_leaf("PercentComplete", "0"),
        "IsComplete": boolean("IsComplete", False),
        "CompleteDate": "",
    }
    item.content = moved
    store.touch(item)
    return True


def _day(content: Content, name: str) -> date | None:
    text = text_of(content, name)
    return moment_in(text).date() if text else None
