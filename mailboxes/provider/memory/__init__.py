"""A mail system made of dictionaries that honours the whole contract of the port, with faults by script.

The engine's property tests break it at random and still expect convergence. It behaves as the real ones do where that
is inconvenient: a move ends the item's id, an item is announced twice, a removal is told of items never announced,
what is announced may be gone when it is read, cursors expire.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from datetime import datetime

from mailboxes.provider.errors import ItemUnreadable
from mailboxes.provider.memory.entries import Kept, Notice
from mailboxes.provider.memory.mail import File, Mail
from mailboxes.provider.memory.post import PostStore
from mailboxes.provider.memory.provider import MemoryProvider
from mailboxes.provider.memory.script import READING, Action, Script
from mailboxes.provider.port import ChangeKind

__all__ = ["File", "Kept", "Mail", "MemoryProvider", "MemoryServer", "Notice"]


class MemoryServer(PostStore):
    """All that is stored, with a script of faults and providers that look at it; `calls` counts by (address, method).

    `clock` is the server's; without one, time passes by a minute with everything that happens.
    """

    def __init__(
        self,
        *,
        counters: bool = True,
        silent: Iterable[ChangeKind] = (),
        clock: Callable[[], datetime] | None = None,
    ) -> None:
        super().__init__(counters=counters, silent=silent, clock=clock)
        self.calls: Counter[tuple[str, str]] = Counter()
        self._script = Script()

    def provider(self, address: str) -> MemoryProvider:
        """Return a provider that speaks for one mailbox, made if there is none."""
        self.add_mailbox(address)
        return MemoryProvider(self, self._script, self.calls, address)

    def fail(self, method: str, error: BaseException, *, nth: int = 1, times: int = 1) -> None:
        """Raise `error` at the `nth` call of a method from now on (`Script.fail`)."""
        self._script.fail(method, error, nth=nth, times=times)

    def lose(self, method: str, error: BaseException, *, nth: int = 1, times: int = 1) -> None:
        """Do the work of the `nth` call of a method from now on, then raise `error`: the answer is lost (`Script.lose`)."""
        self._script.lose(method, error, nth=nth, times=times)

    def before(self, method: str, action: Action, *, nth: int = 1, times: int = 1) -> None:
        """Run `action` just before the `nth` call of a method from now on (`Script.before`)."""
        self._script.before(method, action, nth=nth, times=times)

    def fail_item(self, item_id: str, error: ItemUnreadable, *, methods: Iterable[str] = READING) -> None:
        """Answer `error` in the item's place until `heal` (`Script.fail_item`)."""
        self._script.fail_item(item_id, error, methods=methods)

    def heal(self) -> None:
        """Forget every scripted fault and every bad item."""
        self._script.heal()
