"""How the mail system in memory is called: counted, with the faults of its script, one call at a time."""

from collections import Counter
from collections.abc import Callable
from typing import TypeVar

from mailboxes.provider.errors import ItemGone, ItemUnreadable
from mailboxes.provider.memory.post import PostStore
from mailboxes.provider.memory.script import Script
from mailboxes.provider.memory.store import Item, Mailbox

Answer = TypeVar("Answer")


class MemoryCalls:
    """Speaks for one mailbox, as far as the script lets it."""

    def __init__(self, store: PostStore, script: Script, calls: Counter[tuple[str, str]], address: str) -> None:
        self._store = store
        self._script = script
        self._calls = calls
        self._address = address
        self._requests = 0

    @property
    def requests(self) -> int:
        """Return how many calls were made, failed ones included."""
        return self._requests

    def _call(self, method: str, work: Callable[[Mailbox], Answer]) -> Answer:
        self._requests += 1
        with self._store.lock:
            self._calls[self._address.lower(), method] += 1
            self._script.run(method)
            answer = work(self._store.mailbox(self._address))
            self._script.run(method, after=True)
            return answer

    def _read(
        self, mailbox: Mailbox, item_id: str, method: str, form: Callable[[Item], Answer]
    ) -> Answer | ItemUnreadable:
        item = self._store.item(mailbox, item_id)
        if item is None:
            return ItemGone(f"there is no item {item_id}")
        return self._script.refusal(item_id, method) or form(item)
