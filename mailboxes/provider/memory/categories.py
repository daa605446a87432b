"""`CategoryProvider` over the mail system in memory."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from mailboxes.provider.categories import Category, standing
from mailboxes.provider.errors import ChangedMeanwhile, FolderGone, ItemGone
from mailboxes.provider.memory.calls import MemoryCalls
from mailboxes.provider.memory.store import Mailbox

_EARLIEST: Final = datetime.min.replace(tzinfo=UTC)


class MemoryCategories(MemoryCalls):
    """Keeps the list of categories of one mailbox, and puts categories on its messages."""

    def categories(self) -> list[Category] | None:
        """Return the mailbox's list; None: there is none for us."""
        return self._call("categories", _listed)

    def ensure_categories(self, wanted: Sequence[Category]) -> list[Category] | None:
        """See to it that the list has each of these; return them as they stand in it now."""

        def work(mailbox: Mailbox) -> list[Category] | None:
            if mailbox.categories is None:
                return None
            found = []
            for each in wanted:
                there = standing(each, _listed(mailbox) or [])
                if there is None:
                    there = Category(each.id or f"category-{len(mailbox.categories) + 1}-{each.name}", each.name)
                    mailbox.categories[there.id] = there.name
                found.append(there)
            return found

        return self._call("ensure_categories", work)

    def categorize(self, item_id: str, change_key: str, categories: Sequence[str]) -> str:
        """Give a message these categories and no others; return its new change key."""

        def work(mailbox: Mailbox) -> str:
            item = self._store.item(mailbox, item_id)
            if item is None:
                raise ItemGone(f"there is no item {item_id}")
            if item.change_key != change_key:
                raise ChangedMeanwhile(f"the change key of {item_id} is {item.change_key} by now")
            self._store.touch(item_id, categories=tuple(categories))
            return item.change_key

        return self._call("categorize", work)

    def count(self, folder_id: str, since: datetime | None) -> int:
        """Return how many items of a folder were received at `since` or later; raises `FolderGone`."""

        def work(mailbox: Mailbox) -> int:
            if folder_id not in mailbox.folders:
                raise FolderGone(f"there is no folder {folder_id}")
            items = mailbox.folders[folder_id].items.values()
            return sum(since is None or (each.mail.received_at or _EARLIEST) >= since for each in items)

        return self._call("count", work)


def _listed(mailbox: Mailbox) -> list[Category] | None:
    if mailbox.categories is None:
        return None
    return [Category(key, name) for key, name in mailbox.categories.items()]
