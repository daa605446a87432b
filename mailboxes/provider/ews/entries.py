"""`EntryProvider` over EWS, for one mailbox."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from lxml import etree

from mailboxes.provider.entries import Entry, EntryKind, Field, Marks, Span, Value
from mailboxes.provider.errors import FolderGone, ItemGone, ItemUnreadable
from mailboxes.provider.ews import answers, entry_reading, entry_requests, operations, soap
from mailboxes.provider.ews.calls import MailboxCalls
from mailboxes.provider.ews.entry_parts import Part, categories_part, contact_labels, parts_of, stamp_part
from mailboxes.provider.ews.zones import UTC_NAME

MARKS_AT_ONCE: Final = 100
ENTRIES_AT_ONCE: Final = 25
NEWEST: Final = 25
_FARTHEST: Final = timedelta(hours=15)


class EwsEntries(MailboxCalls):
    """Reads and writes the appointments, contacts and tasks of one mailbox."""

    def marks(self, item_ids: Sequence[str]) -> list[Marks | ItemUnreadable]:
        """Return the control fields of entries: nothing of what an unlinked entry says is asked for."""

        def ask(ids: Sequence[str]) -> etree._Element:
            return self._call(operations.get_item(ids, entry_reading.MARKS))

        return self._items(item_ids, MARKS_AT_ONCE, ask, entry_reading.marks)

    def entries(self, item_ids: Sequence[str]) -> list[Entry | ItemUnreadable]:
        """Return entries with all fields of their kind, the exceptions of a series included."""
        read = self._read_entries(item_ids)
        changed = [each.item_id for entry in read if isinstance(entry, Entry) for each in entry.exceptions]
        wanted = [item_id for item_id in changed if item_id]
        said = dict(zip(wanted, self._read_entries(wanted), strict=True))
        return [_with_exceptions(each, said) if isinstance(each, Entry) else each for each in read]

    def _read_entries(self, item_ids: Sequence[str]) -> list[Entry | ItemUnreadable]:
        def ask(ids: Sequence[str]) -> etree._Element:
            return self._call_optional(
                "wall clocks",
                lambda: entry_requests.get_entries(ids, entry_reading.ENTRY + entry_reading.ENTRY_OPTIONAL),
                lambda: entry_requests.get_entries(ids, entry_reading.ENTRY),
            )

        convert = partial(entry_reading.entry, address=self._address)
        return self._items(item_ids, ENTRIES_AT_ONCE, ask, convert)

    # -- writing

    def create_entry(self, folder_id: str, kind: EntryKind, values: Mapping[Field, Value], *, stamp: str) -> Marks:
        """Make an entry that carries `stamp`; nobody is invited. Raises `WriteRefused`, `FolderGone`."""
        parts = [*parts_of(kind, values, owner_zone=self._owner_zone(values)), stamp_part(stamp)]
        if kind is EntryKind.CONTACT:
            parts += contact_labels(values, new=True)
        try:
            item_id, change_key = self._written_item(entry_requests.create_entry(folder_id, kind, parts), "CreateItem")
        except ItemGone as error:
            # The only thing named was the folder.
            raise FolderGone(error.detail) from error
        return Marks(kind, item_id, change_key, stamp=stamp)

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
        parts = parts_of(kind, values, owner_zone=self._owner_zone(values))
        if kind is EntryKind.CONTACT:
            parts += contact_labels(values, new=False)
        if stamp is not None:
            parts.append(stamp_part(stamp))
        return self._changed(item_id, change_key, kind, parts, stamp=stamp or "")

    def set_categories(self, item_id: str, change_key: str, kind: EntryKind, categories: Sequence[str]) -> Marks:
        """Give an entry these categories and no others."""
        found = self._changed(item_id, change_key, kind, [categories_part(categories)])
        return replace(found, categories=tuple(categories))

    def _changed(self, item_id: str, change_key: str, kind: EntryKind, parts: Sequence[Part], stamp: str = "") -> Marks:
        if not parts:
            # Nothing of it can be written: a day of completion that goes with the status.
            return Marks(kind, item_id, change_key, stamp=stamp)
        body = entry_requests.update_entry(item_id, change_key, kind, parts)
        new_id, new_key = self._written_item(body, "UpdateItem")
        return Marks(kind, new_id or item_id, new_key, stamp=stamp)

    def delete_entry(self, item_id: str) -> None:
        """Move an entry to Deleted Items, a series as a whole; nobody is told. One that is gone is fine."""
        try:
            self._written_item(entry_requests.delete_entry(item_id), "DeleteItem")
        except ItemGone:
            return

    def _owner_zone(self, values: Mapping[Field, Value]) -> str:
        """Return the zone whose midnights whole days are written as; asks for it once, and only for whole days."""
        span = values.get(Field.SPAN)
        if not self._zone and isinstance(span, Span) and span.all_day:
            body = entry_requests.find_newest(self._distinguished("calendar"), entry_reading.ZONE, limit=NEWEST)
            with self._translated():
                message = answers.only(self._call(body), "FindItem")
                self._zone = entry_reading.owner_zone(answers.listed_items(message)) or UTC_NAME
        return self._zone

    # -- finding

    def find_stamp(self, folder_id: str, stamp: str) -> str | None:
        """Return the id of the entry in a folder that carries the stamp; raises `FolderGone`."""
        body = entry_requests.find_stamp([operations.folder_id(folder_id)], stamp, limit=1)
        with self._translated():
            try:
                found, _following = answers.listed(answers.only(self._call(body), "FindItem"))
            except soap.Refusal as refusal:
                raise self._about_folder(refusal) from refusal
            return next((each.item_id for each in found), None)

    def occurrence(self, folder_id: str, uid: str, original: datetime) -> Marks | None:
        """Return an occurrence of a series that is as the series has it; raises `FolderGone`."""
        # Of whole days `original` is midnight in UTC, and they begin up to so many hours before or after it.
        begins, ends = original - _FARTHEST, original + _FARTHEST
        body = entry_requests.find_occurrences(folder_id, begins, ends, entry_reading.OCCURRENCE)
        with self._translated():
            try:
                message = answers.only(self._call(body), "FindItem")
            except soap.Refusal as refusal:
                raise self._about_folder(refusal) from refusal
            found = (entry_reading.occurrence(each, uid, original) for each in answers.listed_items(message))
            return next((each for each in found if each is not None), None)


def _with_exceptions(entry: Entry, said: Mapping[str, Entry | ItemUnreadable]) -> Entry:
    """Return a series with what its exceptions say; one that is gone by now, or private, says nothing."""
    exceptions = []
    for each in entry.exceptions:
        found, told = said.get(each.item_id), each
        if isinstance(found, Entry) and found.marks.sensitivity != "Private":
            values: dict[Field, Value] = {
                name: value for name, value in found.values.items() if name is not Field.RECURRENCE
            }
            marks = found.marks
            told = replace(each, values=values, change_key=marks.change_key, modified_at=marks.modified_at)
        exceptions.append(told)
    return replace(entry, exceptions=tuple(exceptions))
