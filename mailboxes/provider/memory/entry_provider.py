"""`EntryProvider` over the mail system in memory."""

from collections.abc import Mapping, Sequence

from mailboxes.provider.entries import Entry, EntryKind, Field, Marks, Value
from mailboxes.provider.errors import ChangedMeanwhile, FolderGone, ItemGone, ItemUnreadable
from mailboxes.provider.memory.calls import MemoryCalls
from mailboxes.provider.memory.store import Item, Mailbox


class MemoryEntries(MemoryCalls):
    """Reads and writes the entries of one mailbox, telling nobody."""

    def marks(self, item_ids: Sequence[str]) -> list[Marks | ItemUnreadable]:
        """Return the control fields of entries."""
        return self._call("marks", lambda mailbox: [self._read(mailbox, each, "marks", _marks) for each in item_ids])

    def entries(self, item_ids: Sequence[str]) -> list[Entry | ItemUnreadable]:
        """Return entries with all fields of their kind, the exceptions of a series included."""
        return self._call(
            "entries", lambda mailbox: [self._read(mailbox, each, "entries", _entry) for each in item_ids]
        )

    def create_entry(self, folder_id: str, kind: EntryKind, values: Mapping[Field, Value], *, stamp: str) -> Marks:
        """Make an entry that carries `stamp`; nobody is invited."""

        def work(mailbox: Mailbox) -> Marks:
            if folder_id not in mailbox.folders:
                raise FolderGone(f"there is no folder {folder_id}")
            item_id = self._store.put_entry(mailbox.address, folder_id, kind, values, telling=False, stamp=stamp)
            return Marks(kind, item_id, self._own(mailbox, item_id).change_key, stamp=stamp)

        return self._call("create_entry", work)

    def update_entry(
        self,
        item_id: str,
        change_key: str,
        kind: EntryKind,
        values: Mapping[Field, Value],
        *,
        stamp: str | None = None,
    ) -> Marks:
        """Change the fields named, and no others; None clears one. Nobody is told."""

        def work(mailbox: Mailbox) -> Marks:
            self._unchanged(mailbox, item_id, change_key)
            mark = self._store.entry(item_id).stamp if stamp is None else stamp
            changed = self._store.change_entry(item_id, values, stamp=mark)
            return Marks(kind, changed, self._own(mailbox, changed).change_key, stamp=stamp or "")

        return self._call("update_entry", work)

    def set_categories(self, item_id: str, change_key: str, kind: EntryKind, categories: Sequence[str]) -> Marks:
        """Give an entry these categories and no others."""

        def work(mailbox: Mailbox) -> Marks:
            item = self._unchanged(mailbox, item_id, change_key)
            self._store.change_entry(item_id, {}, categories=tuple(categories))
            return Marks(kind, item_id, item.change_key, categories=tuple(categories))

        return self._call("set_categories", work)

    def delete_entry(self, item_id: str) -> None:
        """Move an entry to Deleted Items; nobody is told. One that is gone is fine."""

        def work(mailbox: Mailbox) -> None:
            if self._store.item(mailbox, item_id) is not None:
                self._store.bin_entry(item_id, telling=False)

        self._call("delete_entry", work)

    def find_stamp(self, folder_id: str, stamp: str) -> str | None:
        """Return the id of the entry in a folder that carries the stamp; raises `FolderGone`."""

        def work(mailbox: Mailbox) -> str | None:
            if folder_id not in mailbox.folders:
                raise FolderGone(f"there is no folder {folder_id}")
            items = mailbox.folders[folder_id].items.values()
            return next((each.id for each in items if each.entry and _same(each.entry.stamp, stamp)), None)

        return self._call("find_stamp", work)

    def _own(self, mailbox: Mailbox, item_id: str) -> Item:
        item = self._store.item(mailbox, item_id)
        if item is None or item.entry is None:
            raise ItemGone(f"there is no entry {item_id}")
        return item

    def _unchanged(self, mailbox: Mailbox, item_id: str, change_key: str) -> Item:
        item = self._own(mailbox, item_id)
        if item.change_key != change_key:
            raise ChangedMeanwhile(f"the change key of {item_id} is {item.change_key} by now")
        return item


def _same(stamp: str, other: str) -> bool:
    return stamp.casefold() == other.casefold()


def _marks(item: Item) -> Marks | ItemUnreadable:
    if item.entry is None:
        return ItemUnreadable("it is a message", code="entry_kind")
    return item.entry.marks(item.id, item.change_key)


def _entry(item: Item) -> Entry | ItemUnreadable:
    if item.entry is None:
        return ItemUnreadable("it is a message", code="entry_kind")
    return item.entry.entry(item.id, item.change_key)
