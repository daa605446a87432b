"""Budgets: how much one mailbox may ask before it is told to wait.

The one idea: a budget is a bucket of tokens that fills by itself. A request costs one token per item it
is about, may overdraw a bucket that is not empty, and is refused by an empty one. A refusal costs as
well, so a client that keeps on asking waits longer, as it does with a real server.
"""

import contextlib
import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Final

from lxml import etree

from mailboxes.sandbox.soap import Fault
from mailboxes.sandbox.xmltext import M, children

_WAYS: Final = ("busy", "http")
_LISTS: Final = ("ItemIds", "Items", "ItemChanges", "FolderIds", "AttachmentIds", "Attachments", "ParentFolderIds")


@dataclass(frozen=True, slots=True)
class Budget:
    """What one mailbox may do; None is no limit. Raises ValueError for nonsense.

    requests, seconds   so many tokens fill up in so many seconds
    concurrency         requests under way at once (ErrorExceededConnectionCount beyond)
    messages            messages sent in a minute (ErrorSubmissionQuotaExceeded beyond)
    how, status         of a refusal: "busy" is ErrorServerBusy with BackOffMilliseconds, "http" an HTTP
                        status (429 or 503) with Retry-After
    """

    requests: int | None = None
    seconds: float = 60.0
    concurrency: int | None = None
    messages: int | None = None
    how: str = "busy"
    status: int = 503

    def __post_init__(self) -> None:
        for name in ("requests", "concurrency", "messages"):
            limit = getattr(self, name)
            if limit is not None and (not isinstance(limit, int) or isinstance(limit, bool) or limit < 1):
                raise ValueError(f"{name} is a number from 1, or null for no limit")
        if not isinstance(self.seconds, int | float) or self.seconds <= 0:
            raise ValueError("seconds is more than 0")
        if self.how not in _WAYS or self.status not in (429, 503):
            raise ValueError("how is busy or http, status is 429 or 503")


class OverBudget(Exception):
    """A request that is refused for now. `seconds` is how long to wait; the budget says how to tell."""

    def __init__(self, budget: Budget, seconds: float) -> None:
        super().__init__(f"wait for {seconds:.3f} s")
        self.budget, self.seconds = budget, seconds

    @property
    def retry_after(self) -> int:
        """Whole seconds, as Retry-After has them."""
        return max(1, math.ceil(self.seconds))

    def fault(self) -> Fault:
        """Return the refusal as the protocol tells it."""
        wait = {"BackOffMilliseconds": str(max(1, math.ceil(self.seconds * 1000)))}
        return Fault("ErrorServerBusy", "The server cannot service this request right now. Try again later.", wait)


class Throttling:
    """The budget in force and what every mailbox has left of it. Safe to use from any thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._lock = threading.Lock()
        self._clock = clock
        self.set(Budget())

    @property
    def limited(self) -> bool:
        """Say whether requests are counted at all."""
        return self.budget.requests is not None

    def set(self, budget: Budget) -> None:
        """Put a budget in force; everybody begins with a full one."""
        with self._lock:
            self.budget = budget
            self._left: dict[str, tuple[float, float]] = {}
            self._under_way: Counter[str] = Counter()
            self._sent: dict[str, list[float]] = {}
            self.refused: Counter[str] = Counter()

    def set_json(self, wanted: Any) -> dict[str, Any]:
        """Put a budget of JSON in force and return what is. Raises ValueError."""
        if not isinstance(wanted, Mapping):
            raise ValueError("a budget is an object")  # noqa: TRY004 - told to the client as any bad value
        unknown = wanted.keys() - {one.name for one in fields(Budget)}
        if unknown:
            raise ValueError(f"a budget has no {', '.join(sorted(unknown))}")
        self.set(Budget(**wanted))
        return self.listed()

    def listed(self) -> dict[str, Any]:
        """Return the budget in force, and how often which mailbox was refused, as JSON."""
        with self._lock:
            return asdict(self.budget) | {"refused": dict(self.refused)}

    @contextlib.contextmanager
    def admitted(self, mailbox: str, cost: int) -> Iterator[None]:
        """Let a request of so many tokens pass, or raise OverBudget, or Fault for too many at once."""
        name = mailbox.lower()
        with self._lock:
            budget = self.budget
            if budget.concurrency is not None and self._under_way[name] >= budget.concurrency:
                self.refused[name] += 1
                raise Fault("ErrorExceededConnectionCount", "There are too many requests under way.")
            self._pay(name, cost)
            self._under_way[name] += 1
        try:
            yield
        finally:
            with self._lock:
                self._under_way[name] -= 1

    def _pay(self, name: str, cost: int) -> None:
        budget = self.budget
        if budget.requests is None:
            return
        rate = budget.requests / budget.seconds
        now = self._clock()
        left, at = self._left.get(name, (float(budget.requests), now))
        left = min(float(budget.requests), left + (now - at) * rate)
        if left >= 1:
            self._left[name] = (left - cost, now)
            return
        left = max(left - 1, min(left, -float(budget.requests)))
        self._left[name] = (left, now)
        self.refused[name] += 1
        raise OverBudget(budget, (1 - left) / rate)

    def may_send(self, mailbox: str) -> bool:
        """Count a message that is to be sent and say whether it may be."""
        name, now = mailbox.lower(), self._clock()
        with self._lock:
            if self.budget.messages is None:
                return True
            recent = [at for at in self._sent.get(name, []) if now - at < 60]
            if len(recent) >= self.budget.messages:
                self._sent[name] = recent
                self.refused[name] += 1
                return False
            self._sent[name] = [*recent, now]
            return True


def cost_of(operation: etree._Element) -> int:
    """Return what a request costs: one token per item, folder or attachment it is about, at least one."""
    found = [operation.find(f"{M}{name}") for name in _LISTS]
    return max(1, sum(len(children(one)) for one in found if one is not None))
