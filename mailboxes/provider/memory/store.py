"""What the mail system in memory holds, and what happens in it."""

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from mailboxes.provider.errors import CursorExpired, FolderGone, MailboxGone
from mailboxes.provider.memory.entries import Kept
from mailboxes.provider.memory.mail import Mail
from mailboxes.provider.port import Change, ChangeKind, ChangePage, FolderRole

_FIRST_ARRIVAL: Final = datetime(2026, 1, 5, 8, 0, tzinfo=UTC)


@dataclass(slots=True)
class Item:
    """One message in one folder, or (with `entry`) an appointment, contact or task."""

    id: str
    folder: "Folder"
    mail: Mail
    version: int
    entry: Kept | None = None

    @property
    def change_key(self) -> str:
        """Return what differs after every change."""
        return f"ck-{self.version}"


@dataclass(slots=True, eq=False)
class Folder:
    """One folder. A cursor is the epoch of its log and a place in it; `created_at` is where each item's story begins."""

    id: str
    mailbox: "Mailbox"
    name: str
    role: FolderRole
    parent_id: str | None = None
    epoch: int = 1
    commits: int = 0
    removals: int = 0
    log: list[tuple[ChangeKind, str]] = field(default_factory=list)
    created_at: dict[str, int] = field(default_factory=dict)
    items: dict[str, Item] = field(default_factory=dict)

    def page(self, cursor: str | None, limit: int) -> ChangePage:
        """Return at most `limit` changes after `cursor`; raises `CursorExpired`."""
        start = 0
        if cursor is not None:
            epoch, _, index = cursor.partition("/")
            if epoch != str(self.epoch) or not index.isdecimal() or int(index) > len(self.log):
                raise CursorExpired(f"the cursor of folder {self.name} is not known any more")
            start = int(index)
        changes: list[Change] = []
        index_after = start
        for position in range(start, len(self.log)):
            change = self._told(position, start)
            if change is not None:
                if len(changes) == limit:
                    return ChangePage(tuple(changes), f"{self.epoch}/{index_after}", more=True)
                changes.append(change)
            index_after = position + 1
        return ChangePage(tuple(changes), f"{self.epoch}/{index_after}", more=False)

    def _told(self, position: int, start: int) -> Change | None:
        """Return the change at `position` of the log, unless what happened since makes it untold to a reader at `start`."""
        kind, item_id = self.log[position]
        if kind is ChangeKind.REMOVED:
            return Change(kind, item_id) if self.created_at[item_id] < start else None
        item = self.items.get(item_id)
        return None if item is None else Change(kind, item_id, item.change_key)


@dataclass(slots=True, eq=False)
class Mailbox:
    """One mailbox."""

    address: str
    folders: dict[str, Folder] = field(default_factory=dict)
    # Its own list of categories, id and name; None: a server that keeps no list for us.
    categories: dict[str, str] | None = field(default_factory=dict)


class MailStore:
    """Mailboxes by address, and everything that tests do to them. All methods may be called from any thread.

    `counters=False` is a server without change counters; `silent` names the changes that do not move them.
    A folder is named by its role (`"inbox"`, `FolderRole.SENT`) or by the id of its `FolderInfo`.
    """

    def __init__(
        self,
        *,
        counters: bool = True,
        silent: Iterable[ChangeKind] = (),
        clock: Callable[[], datetime] | None = None,
    ) -> None:
        self._clock = clock
        self.counters = counters
        self.silent = frozenset(silent)
        self._mailboxes: dict[str, Mailbox] = {}
        self._items: dict[str, Item] = {}
        self._number = 0
        self.lock = threading.RLock()

    # -- mailboxes and folders

    def add_mailbox(self, address: str) -> None:
        """Make a mailbox with one folder of each role (`deliver` and `provider` do it as needed)."""
        with self.lock:
            mailbox = self._mailboxes.setdefault(address.lower(), Mailbox(address))
            if not mailbox.folders:
                for role in FolderRole:
                    if role is not FolderRole.OTHER:
                        self._new_folder(mailbox, role.value.title(), role, None)

    def remove_mailbox(self, address: str) -> None:
        """End a mailbox: every later call to its provider raises `MailboxGone`."""
        with self.lock:
            for folder in list(self.mailbox(address).folders.values()):
                self._drop_items(folder)
            del self._mailboxes[address.lower()]

    def add_folder(self, address: str, name: str, *, parent: str | None = None) -> str:
        """Make a folder and return its id; `parent` is a folder as in `deliver`, None the root."""
        with self.lock:
            self.add_mailbox(address)
            above = None if parent is None else self._folder(address, parent).id
            return self._new_folder(self.mailbox(address), name, FolderRole.OTHER, above).id

    def rename_folder(self, address: str, folder: str, name: str) -> None:
        """Give a folder another name; its id stays."""
        with self.lock:
            self._folder(address, folder).name = name

    def move_folder(self, address: str, folder: str, parent: str | None) -> None:
        """Put a folder below another one, or (None) below the root; its id stays."""
        with self.lock:
            moved = self._folder(address, folder)
            moved.parent_id = None if parent is None else self._folder(address, parent).id

    def remove_folder(self, address: str, folder: str) -> None:
        """End a folder with its items."""
        with self.lock:
            gone = self._folder(address, folder)
            self._drop_items(gone)
            del gone.mailbox.folders[gone.id]

    def folder_id(self, address: str, folder: str) -> str:
        """Return the id of a folder named by its role."""
        with self.lock:
            return self._folder(address, folder).id

    # -- mail

    def deliver(self, address: str, folder: str = "inbox", /, **fields: Any) -> str:
        """Put a message with the fields of `Mail` into a folder; return its item id."""
        with self.lock:
            self.add_mailbox(address)
            mail = Mail(**fields)
            self._number += 1
            mail = replace(
                mail,
                message_id=f"<{self._number}@memory.test>" if mail.message_id is None else mail.message_id,
                search_key=f"{self._number:032x}" if mail.search_key is None else mail.search_key,
                received_at=mail.received_at or _FIRST_ARRIVAL + timedelta(minutes=self._number),
            )
            return self._put(self._folder(address, folder), mail).id

    def move(self, item_id: str, folder: str) -> str:
        """Put an item into another folder of its mailbox; the old id ends, the new one is returned."""
        with self.lock:
            item = self._items[item_id]
            target = self._folder(item.folder.mailbox.address, folder)
            moved = self._put(target, item.mail, item.entry)
            self.remove(item_id)
            return moved.id

    def copy(self, item_id: str, address: str, folder: str = "inbox") -> str:
        """Put the same message into another mailbox (or again into this one), with a search key of its own."""
        with self.lock:
            self.add_mailbox(address)
            self._number += 1
            mail = replace(self._items[item_id].mail, search_key=f"{self._number:032x}")
            return self._put(self._folder(address, folder), mail, self._items[item_id].entry).id

    def touch(self, item_id: str, **fields: Any) -> None:
        """Change an item: the given fields of `Mail`, and in any case its change key."""
        with self.lock:
            item = self._items[item_id]
            item.mail = replace(item.mail, **fields)
            self._log(item.folder, ChangeKind.UPDATED, item)

    def set_read(self, item_id: str) -> None:
        """Change an item's read flag."""
        with self.lock:
            item = self._items[item_id]
            self._log(item.folder, ChangeKind.READ_FLAG, item)

    def announce(self, item_id: str) -> None:
        """Tell of an item once more although nothing changed, as servers do."""
        with self.lock:
            item = self._items[item_id]
            item.folder.log.append((ChangeKind.UPDATED, item_id))
            item.folder.commits += 1

    def remove(self, item_id: str) -> None:
        """End an item for good."""
        with self.lock:
            item = self._items.pop(item_id)
            del item.folder.items[item_id]
            item.folder.log.append((ChangeKind.REMOVED, item_id))
            item.folder.removals += 1
            if ChangeKind.REMOVED not in self.silent:
                item.folder.commits += 1

    def expire_cursor(self, address: str, folder: str = "inbox") -> None:
        """Forget every cursor handed out for a folder: the next read with one raises `CursorExpired`."""
        with self.lock:
            self._folder(address, folder).epoch += 1

    # -- what a test compares with

    def item_ids(self, address: str, folder: str = "inbox") -> list[str]:
        """Return the ids of the items in a folder, oldest first."""
        with self.lock:
            return list(self._folder(address, folder).items)

    def mail(self, item_id: str) -> Mail:
        """Return what an item says; raises KeyError when it is gone."""
        with self.lock:
            return self._items[item_id].mail

    # -- inside

    def mailbox(self, address: str) -> Mailbox:
        """Return a mailbox; raises `MailboxGone`."""
        try:
            return self._mailboxes[address.lower()]
        except KeyError:
            raise MailboxGone(f"there is no mailbox {address}") from None

    def _folder(self, address: str, folder: str) -> Folder:
        mailbox = self.mailbox(address)
        found = mailbox.folders.get(folder) or next(
            (each for each in mailbox.folders.values() if each.role == folder and each.role is not FolderRole.OTHER),
            None,
        )
        if found is None:
            raise FolderGone(f"there is no folder {folder}")
        return found

    def _new_folder(self, mailbox: Mailbox, name: str, role: FolderRole, parent_id: str | None) -> Folder:
        self._number += 1
        folder = Folder(f"folder-{self._number}", mailbox, name, role, parent_id)
        mailbox.folders[folder.id] = folder
        return folder

    def now(self) -> datetime:
        """Return the server's time, aware, in UTC."""
        return self._clock() if self._clock else _FIRST_ARRIVAL + timedelta(minutes=self._number)

    def _put(self, folder: Folder, mail: Mail, entry: Kept | None = None) -> Item:
        self._number += 1
        item = Item(f"item-{self._number}", folder, mail, self._number, entry)
        self._items[item.id] = folder.items[item.id] = item
        folder.created_at[item.id] = len(folder.log)
        self._log(folder, ChangeKind.CREATED, item)
        return item

    def _log(self, folder: Folder, kind: ChangeKind, item: Item) -> None:
        self._number += 1
        item.version = self._number
        folder.log.append((kind, item.id))
        if kind not in self.silent:
            folder.commits += 1

    def _drop_items(self, folder: Folder) -> None:
        for item_id in list(folder.items):
            del self._items[item_id]
        folder.items.clear()

    def item(self, mailbox: Mailbox, item_id: str) -> Item | None:
        """Return an item of a mailbox, None when it is gone."""
        found = self._items.get(item_id)
        return found if found is not None and found.folder.mailbox is mailbox else None
