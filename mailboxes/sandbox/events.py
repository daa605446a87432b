"""What happened in the mailboxes, in order, for those who subscribed to be told.

The one idea: there is one short memory of events for all, a watermark is a place in it, and a subscription
is a filter over it. Who asks too late has to look for changes in another way, as with a real server.
"""

import base64
import binascii
import struct
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

KINDS: Final = ("Copied", "Created", "Deleted", "Modified", "Moved", "NewMail", "FreeBusyChanged")
REMEMBERED: Final = 10_000
_HEAD: Final = b"AQ\x00"


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened to an item or (`is_folder`) a folder; ids are those of the wire.

    `at` is UTC seconds. `old_id` and `old_parent` are where a moved or copied thing comes from.
    """

    number: int
    kind: str
    at: int
    mailbox: str
    folder: int
    id: str
    parent: str
    old_id: str = ""
    old_parent: str = ""
    old_folder: int = 0
    is_folder: bool = False


class BadWatermark(ValueError):
    """A watermark that is none (ErrorInvalidWatermark)."""


class Forgotten(ValueError):
    """A watermark from before what is remembered (ErrorEventNotFound)."""


@dataclass(slots=True)
class Subscription:
    """Who wants to be told of what: kinds of event in folders (by number; None: in all) of one mailbox (its guid).

    A pull subscription ends when nobody has asked for `lifetime` seconds; a streaming one has none.
    """

    mailbox: str
    kinds: frozenset[str]
    folders: frozenset[int] | None
    lifetime: float | None
    asked: float
    id: str = field(default_factory=lambda: base64.b64encode(uuid.uuid4().bytes + b"sandbox").decode("ascii"))

    def wants(self, event: Event) -> bool:
        """Say whether this event is to be told."""
        if event.mailbox != self.mailbox or event.kind not in self.kinds:
            return False
        return self.folders is None or event.folder in self.folders or event.old_folder in self.folders


class Events:
    """The memory of events and the subscriptions to it. Safe to use from any thread; nothing of it is saved."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.subscriptions: dict[str, Subscription] = {}
        self._clock = clock
        self._change = threading.Condition()
        self._events: deque[Event] = deque(maxlen=REMEMBERED)
        self._last = 0

    @property
    def last(self) -> int:
        """The number of the newest event, 0 before there was one."""
        return self._last

    def happened(
        self, kind: str, at: int, mailbox: str, folder: int, id_: str, parent: str, **more: "str | int"
    ) -> None:
        """Write down an event and wake those who wait."""
        with self._change:
            self._last += 1
            self._events.append(Event(self._last, kind, at, mailbox, folder, id_, parent, **more))  # type: ignore[arg-type]  # the remaining fields by name
            self._change.notify_all()

    def subscribe(
        self, mailbox: str, kinds: frozenset[str], folders: frozenset[int] | None, lifetime: float | None
    ) -> Subscription:
        """Make a subscription and return it."""
        made = Subscription(mailbox, kinds, folders, lifetime, self._clock())
        with self._change:
            self.subscriptions[made.id] = made
        return made

    def alive(self, subscription_id: str) -> Subscription | None:
        """Return a subscription and note that it was asked for; None if it has ended or never was."""
        with self._change:
            found = self.subscriptions.get(subscription_id)
            if found is None:
                return None
            now = self._clock()
            if found.lifetime is not None and now - found.asked > found.lifetime:
                del self.subscriptions[subscription_id]
                return None
            found.asked = now
            return found

    def end(self, subscription_id: str) -> bool:
        """End a subscription; say whether there was one."""
        with self._change:
            return self.subscriptions.pop(subscription_id, None) is not None

    def count(self, mailbox: str) -> int:
        """Return how many subscriptions there are to a mailbox."""
        with self._change:
            return sum(one.mailbox == mailbox for one in self.subscriptions.values())

    def after(self, number: int, subscription: Subscription, limit: int) -> tuple[list[Event], bool]:
        """Return at most `limit` events after a place, and whether there are more. Raises Forgotten."""
        with self._change:
            oldest = self._events[0].number if self._events else self._last + 1
            if number + 1 < oldest or number > self._last:
                raise Forgotten("the events after that are forgotten")
            found = [event for event in self._events if event.number > number and subscription.wants(event)]
        return found[:limit], len(found) > limit

    def wait(self, number: int, seconds: float, stop: Callable[[], bool]) -> None:
        """Wait until something has happened after a place, for so many seconds at most."""
        with self._change:
            self._change.wait_for(lambda: self._last > number or stop(), timeout=seconds)

    def wake(self) -> None:
        """Wake those who wait, to look whether they must stop."""
        with self._change:
            self._change.notify_all()


def watermark(number: int) -> str:
    """Return a place in the order of events as the opaque text of the wire."""
    return base64.b64encode(_HEAD + struct.pack(">Q", number)).decode("ascii")


def place_of(text: str) -> int:
    """Return the place in a watermark. Raises BadWatermark."""
    try:
        data = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        raise BadWatermark("the watermark is not base64") from None
    if len(data) != len(_HEAD) + 8 or not data.startswith(_HEAD):
        raise BadWatermark("the watermark was cut or changed")
    return int(struct.unpack(">Q", data[len(_HEAD) :])[0])
