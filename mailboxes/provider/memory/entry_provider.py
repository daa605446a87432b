"""`EntryProvider` over the mail system in memory."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from mailboxes.provider.entries import FIELDS, Entry, EntryKind, Exceptional, Field, Marks, Value
from mailboxes.provider.errors import ChangedMeanwhile, FolderGone, ItemGone, ItemUnreadable, OtherKind
from mailboxes.provider.memory.calls import Answer, MemoryCalls
from mailboxes.provider.memory.entries import Kept
from mailboxes.provider.memory.occurrences import exception_of, occurrence_id, said_by, split, takes_place
from mailboxes.provider.memory.store import Item, Mailbox


class MemoryEntries(MemoryCalls):
    """Reads and writes the entries of one mailbox, telling nobody."""

    def marks(self, item_ids: Sequence[str]) -> list[Marks | ItemUnreadable]:
        """Return the control fields of entries."""
        return self._call("marks", lambda mailbox: [self._told(mailbox, each, "marks", _marks) for each in item_ids])

    def entries(self, item_ids: Sequence[str]) -> list[Entry | ItemUnreadable]:
        """Return entries with all fields of their kind, the exceptions of a series included."""
        return self._call(
            "entries", lambda mailbox: [self._told(mailbox, each, "entries", _entry) for each in item_ids]
        )

    def create_entry(self, folder_id: str, kind: EntryKind, values: Mapping[Field, Value], *, stamp: str) -> Marks:
        """Make an entry that carries `stamp`; nobody is invited."""

        def work(mailbox: Mailbox) -> Marks:
            if folder_id not in mailbox.folders:
                raise FolderGone(f"there is no folder {folder_id}")
            item_id = self._store.put_entry(mailbox.address, folder_id, kind, values, telling=False, stamp=stamp)
            return Marks(kind, item_id, self._own(mailbox, item_id)[0].change_key, stamp=stamp)

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
            item, original = self._unchanged(mailbox, item_id, change_key)
            if original is not None:
                self._store.change_occurrence(item.id, original, values)
                return Marks(kind, item_id, item.change_key, stamp=stamp or "")
            mark = self._store.entry(item_id).stamp if stamp is None else stamp
            changed = self._store.change_entry(item_id, values, stamp=mark)
            return Marks(kind, changed, self._own(mailbox, changed)[0].change_key, stamp=stamp or "")

        return self._call("update_entry", work)

    def set_categories(self, item_id: str, change_key: str, kind: EntryKind, categories: Sequence[str]) -> Marks:
        """Give an entry these categories and no others."""

        def work(mailbox: Mailbox) -> Marks:
            item, _original = self._unchanged(mailbox, item_id, change_key)
            self._store.change_entry(item.id, {}, categories=tuple(categories))
            return Marks(kind, item_id, item.change_key, categories=tuple(categories))

        return self._call("set_categories", work)

    def delete_entry(self, item_id: str) -> None:
        """Move an entry to Deleted Items; nobody is told. One that is gone is fine."""

        def work(mailbox: Mailbox) -> None:
            try:
                item, original = self._own(mailbox, item_id)
            except ItemGone:
                return
            if original is None:
                self._store.bin_entry(item_id, telling=False)
            else:
                self._store.change_occurrence(item.id, original, None)

        self._call("delete_entry", work)

    def find_stamp(self, folder_id: str, stamp: str) -> str | None:
        """Return the id of the entry in a folder that carries the stamp; raises `FolderGone`."""

        def work(mailbox: Mailbox) -> str | None:
            if folder_id not in mailbox.folders:
                raise FolderGone(f"there is no folder {folder_id}")
            items = mailbox.folders[folder_id].items.values()
            return next((each.id for each in items if each.entry and _same(each.entry.stamp, stamp)), None)

        return self._call("find_stamp", work)

    def occurrence(self, folder_id: str, uid: str, original: datetime) -> Marks | None:
        """Return an occurrence of a series that is as the series has it; raises `FolderGone`."""

        def work(mailbox: Mailbox) -> Marks | None:
            if folder_id not in mailbox.folders:
                raise FolderGone(f"there is no folder {folder_id}")
            for item in mailbox.folders[folder_id].items.values():
                kept = item.entry
                if kept and kept.uid == uid and takes_place(kept, original) and not exception_of(kept, original):
                    return kept.marks(occurrence_id(item.id, original), item.change_key)
            return None

        return self._call("occurrence", work)

    def _told(
        self, mailbox: Mailbox, item_id: str, method: str, form: Callable[[str, Item, Kept], Answer]
    ) -> Answer | ItemUnreadable:
        """Return what is told of an entry, or of an occurrence."""

        def told(there: Item) -> Answer | ItemUnreadable:
            if there.entry is None:
                return OtherKind("it is no entry", is_list=there.mail.item_class == "IPM.DistList")
            try:
                item, original = self._own(mailbox, item_id)
            except ItemGone as error:
                return error
            kept = self._store.entry(item.id)
            if original is not None:
                kept = replace(kept, values=said_by(kept, original), exceptions=(), recurring=True)
            return form(item_id, item, kept)

        return self._read(mailbox, split(item_id)[0], method, told)

    def _own(self, mailbox: Mailbox, item_id: str) -> tuple[Item, datetime | None]:
        """Return an entry, and of an occurrence its series and its original start; raises `ItemGone`."""
        series, original = split(item_id)
        item = self._store.item(mailbox, series)
        if item is None or item.entry is None:
            raise ItemGone(f"there is no entry {item_id}")
        if original is not None:
            own = exception_of(item.entry, original)
            if (own is not None and own.cancelled) or not takes_place(item.entry, original):
                raise ItemGone(f"there is no occurrence {item_id}")
        return item, original

    def _unchanged(self, mailbox: Mailbox, item_id: str, change_key: str) -> tuple[Item, datetime | None]:
        item, original = self._own(mailbox, item_id)
        if item.change_key != change_key:
            raise ChangedMeanwhile(f"the change key of {item_id} is {item.change_key} by now")
        return item, original


def _same(stamp: str, other: str) -> bool:
    return stamp.casefold() == other.casefold()


def _marks(item_id: str, item: Item, kept: Kept) -> Marks:
    return kept.marks(item_id, item.change_key)


def _entry(item_id: str, item: Item, kept: Kept) -> Entry:
    told = kept.entry(item_id, item.change_key)
    exceptions = (each if each.cancelled else _whole(item, kept, each.original) for each in told.exceptions)
    return replace(told, exceptions=tuple(exceptions))


def _whole(item: Item, kept: Kept, original: datetime) -> Exceptional:
    said = said_by(kept, original)
    return Exceptional(
        original,
        occurrence_id(item.id, original),
        values={name: said.get(name) for name in FIELDS[EntryKind.APPOINTMENT] if name is not Field.RECURRENCE},
        change_key=item.change_key,
        modified_at=kept.modified_at,
    )
