"""Faults by script: what goes wrong at which call, or with which item."""

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from mailboxes.provider.errors import ItemUnreadable

Action = Callable[[], object]

_ANY: Final = "*"
READING: Final = ("envelopes", "contents", "attachments", "marks", "entries", "attached")


@dataclass(slots=True)
class _Scripted:
    """Something that happens when `method` is called: the `nth` time from now on and `times` times in a row."""

    method: str
    action: Action
    nth: int
    times: int
    after: bool = False

    def due(self, method: str, *, after: bool) -> bool:
        """Count this call, before or after its work, and say whether the action belongs to it."""
        if self.method not in (_ANY, method) or self.after is not after:
            return False
        self.nth -= 1
        return self.nth <= 0 and self.nth > -self.times


class Script:
    """What goes wrong from now on. Safe to use from any thread."""

    def __init__(self) -> None:
        self._script: list[_Scripted] = []
        self._bad_items: dict[str, tuple[ItemUnreadable, frozenset[str]]] = {}
        self._lock = threading.Lock()

    def fail(self, method: str, error: BaseException, *, nth: int = 1, times: int = 1) -> None:
        """Raise `error` in place of the `nth` call of a provider's method from now on, and of `times` - 1 more.

        `method` is a name of the port, or "*" for any. Any exception may be raised: a `ProviderError`, or what kills a
        worker. A call that fails counts as a request, as it does at a real server.
        """

        def raise_it() -> None:
            raise error

        self.before(method, raise_it, nth=nth, times=times)

    def before(self, method: str, action: Action, *, nth: int = 1, times: int = 1) -> None:
        """Run `action` just before the `nth` call of a method (`times` calls in a row): mail moves while it is read."""
        with self._lock:
            self._script.append(_Scripted(method, action, nth, times))

    def lose(self, method: str, error: BaseException, *, nth: int = 1, times: int = 1) -> None:
        """Raise `error` after the work of the `nth` call of a method is done: the server did it, the answer is lost."""

        def raise_it() -> None:
            raise error

        with self._lock:
            self._script.append(_Scripted(method, raise_it, nth, times, after=True))

    def fail_item(self, item_id: str, error: ItemUnreadable, *, methods: Iterable[str] = READING) -> None:
        """Answer `error` in the item's place (for attachments: of every attachment of the item) until `heal`."""
        with self._lock:
            self._bad_items[item_id] = (error, frozenset(methods))

    def heal(self) -> None:
        """Forget every scripted fault and every bad item."""
        with self._lock:
            self._script.clear()
            self._bad_items.clear()

    def run(self, method: str, *, after: bool = False) -> None:
        """Do what is due before (or after) the work of a call of `method`; may raise anything."""
        with self._lock:
            due = [entry for entry in self._script if entry.due(method, after=after)]
            self._script = [entry for entry in self._script if entry.nth > 1 - entry.times]
        for entry in due:
            entry.action()

    def refusal(self, item_id: str, method: str) -> ItemUnreadable | None:
        """Return the error that stands in an item's place, None when it is good."""
        error, methods = self._bad_items.get(item_id, (None, frozenset[str]()))
        return error if method in methods else None
