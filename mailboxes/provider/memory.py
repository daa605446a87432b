"""A mail system made of dictionaries that honours the whole contract of the port, with faults by script.

The engine's property tests break it at random and still expect convergence. It behaves as the real ones do where that
is inconvenient: a move ends the item's id, an item is announced twice, a removal is told of items never announced,
what is announced may be gone when it is read, cursors expire.
"""

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar

from mailboxes.provider.errors import CursorExpired, FolderGone, ItemGone, ItemUnreadable, MailboxGone
from mailboxes.provider.port import (
    Address,
    AttachmentBytes,
    AttachmentInfo,
    AttachmentKind,
    Change,
    ChangeKind,
    ChangePage,
    Content,
    Envelope,
    FolderInfo,
    FolderRole,
)
from mailboxes.provider.text import clean

Action = Callable[[], None]
Answer = TypeVar("Answer")

_ANY: Final = "*"
_FIRST_ARRIVAL: Final = datetime(2026, 1, 5, 8, 0, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class File:
    """An attachment to deliver."""

    name: str
    data: bytes = field(repr=False)
    content_type: str = "application/octet-stream"
    kind: AttachmentKind = AttachmentKind.FILE
    inline: bool = False
    content_id: str = ""


@dataclass(frozen=True, slots=True)
class Mail:
    """All that a message says. Addresses may be given as plain strings; None asks for a value made up by the server."""

    sender: Address | str | None = "sender@example.org"
    to: Iterable[Address | str] = ()
    cc: Iterable[Address | str] = ()
    bcc: Iterable[Address | str] = ()
    subject: str = "A subject"
    item_class: str = "IPM.Note"
    received_at: datetime | None = None
    sensitivity: str = "Normal"
    categories: tuple[str, ...] = ()
    message_id: str | None = None
    in_reply_to: str = ""
    references: tuple[str, ...] = ()
    conversation_id: str = ""
    auto_submitted: str = ""
    search_key: str | None = None
    stamp: str = ""
    is_draft: bool = False
    html: str = ""
    text: str = "A text"
    sent_at: datetime | None = None
    importance: str = "Normal"
    size: int | None = None
    files: tuple[File, ...] = ()


@dataclass(slots=True)
class _Item:
    id: str
    folder: "_Folder"
    mail: Mail
    version: int


@dataclass(slots=True, eq=False)
class _Folder:
    id: str
    mailbox: "_Mailbox"
    name: str
    role: FolderRole
    parent_id: str | None = None
    epoch: int = 1
    commits: int = 0
    removals: int = 0
    log: list[tuple[ChangeKind, str]] = field(default_factory=list)
    created_at: dict[str, int] = field(default_factory=dict)
    items: dict[str, _Item] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class _Mailbox:
    address: str
    folders: dict[str, _Folder] = field(default_factory=dict)


@dataclass(slots=True)
class _Scripted:
    """Something that happens when `method` is called: the `nth` time from now on and `times` times in a row."""

    method: str
    action: Action
    nth: int
    times: int

    def due(self, method: str) -> bool:
        """Count this call and say whether the action belongs to it."""
        if self.method not in (_ANY, method):
            return False
        self.nth -= 1
        return self.nth <= 0 and self.nth > -self.times


class MemoryServer:
    """Mailboxes by address. All methods may be called from any thread.

    `counters=False` is a server without change counters; `silent` names the changes that do not move them.
    A folder is named by its role (`"inbox"`, `FolderRole.SENT`) or by the id of its `FolderInfo`.
    """

    def __init__(self, *, counters: bool = True, silent: Iterable[ChangeKind] = ()) -> None:
        self.counters = counters
        self.silent = frozenset(silent)
        self.calls: Counter[tuple[str, str]] = Counter()
        self._mailboxes: dict[str, _Mailbox] = {}
        self._items: dict[str, _Item] = {}
        self._script: list[_Scripted] = []
        self._bad_items: dict[str, tuple[ItemUnreadable, frozenset[str]]] = {}
        self._number = 0
        self._lock = threading.RLock()

    # -- mailboxes and folders

    def add_mailbox(self, address: str) -> None:
        """Make a mailbox with one folder of each role (`deliver` and `provider` do it as needed)."""
        with self._lock:
            mailbox = self._mailboxes.setdefault(address.lower(), _Mailbox(address))
            if not mailbox.folders:
                for role in FolderRole:
                    if role is not FolderRole.OTHER:
                        self._new_folder(mailbox, role.value.title(), role, None)

    def remove_mailbox(self, address: str) -> None:
        """End a mailbox: every later call to its provider raises `MailboxGone`."""
        with self._lock:
            for folder in list(self._mailbox(address).folders.values()):
                self._drop_items(folder)
            del self._mailboxes[address.lower()]

    def add_folder(self, address: str, name: str, *, parent: str | None = None) -> str:
        """Make a folder and return its id; `parent` is a folder as in `deliver`, None the root."""
        with self._lock:
            self.add_mailbox(address)
            above = None if parent is None else self._folder(address, parent).id
            return self._new_folder(self._mailbox(address), name, FolderRole.OTHER, above).id

    def rename_folder(self, address: str, folder: str, name: str) -> None:
        """Give a folder another name; its id stays."""
        with self._lock:
            self._folder(address, folder).name = name

    def remove_folder(self, address: str, folder: str) -> None:
        """End a folder with its items."""
        with self._lock:
            gone = self._folder(address, folder)
            self._drop_items(gone)
            del gone.mailbox.folders[gone.id]

    def folder_id(self, address: str, folder: str) -> str:
        """Return the id of a folder named by its role."""
        with self._lock:
            return self._folder(address, folder).id

    # -- mail

    def deliver(self, address: str, folder: str = "inbox", /, **fields: Any) -> str:
        """Put a message with the fields of `Mail` into a folder; return its item id."""
        with self._lock:
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
        with self._lock:
            item = self._items[item_id]
            target = self._folder(item.folder.mailbox.address, folder)
            moved = self._put(target, item.mail)
            self.remove(item_id)
            return moved.id

    def copy(self, item_id: str, address: str, folder: str = "inbox") -> str:
        """Put the same message into another mailbox (or again into this one), with a search key of its own."""
        with self._lock:
            self.add_mailbox(address)
            self._number += 1
            mail = replace(self._items[item_id].mail, search_key=f"{self._number:032x}")
            return self._put(self._folder(address, folder), mail).id

    def touch(self, item_id: str, **fields: Any) -> None:
        """Change an item: the given fields of `Mail`, and in any case its change key."""
        with self._lock:
            item = self._items[item_id]
            item.mail = replace(item.mail, **fields)
            self._log(item.folder, ChangeKind.UPDATED, item)

    def set_read(self, item_id: str) -> None:
        """Change an item's read flag."""
        with self._lock:
            item = self._items[item_id]
            self._log(item.folder, ChangeKind.READ_FLAG, item)

    def announce(self, item_id: str) -> None:
        """Tell of an item once more although nothing changed, as servers do."""
        with self._lock:
            item = self._items[item_id]
            item.folder.log.append((ChangeKind.UPDATED, item_id))
            item.folder.commits += 1

    def remove(self, item_id: str) -> None:
        """End an item for good."""
        with self._lock:
            item = self._items.pop(item_id)
            del item.folder.items[item_id]
            item.folder.log.append((ChangeKind.REMOVED, item_id))
            item.folder.removals += 1
            if ChangeKind.REMOVED not in self.silent:
                item.folder.commits += 1

    def expire_cursor(self, address: str, folder: str = "inbox") -> None:
        """Forget every cursor handed out for a folder: the next read with one raises `CursorExpired`."""
        with self._lock:
            self._folder(address, folder).epoch += 1

    # -- what a test compares with

    def item_ids(self, address: str, folder: str = "inbox") -> list[str]:
        """Return the ids of the items in a folder, oldest first."""
        with self._lock:
            return list(self._folder(address, folder).items)

    def mail(self, item_id: str) -> Mail:
        """Return what an item says; raises KeyError when it is gone."""
        with self._lock:
            return self._items[item_id].mail

    # -- faults

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

    def fail_item(
        self, item_id: str, error: ItemUnreadable, *, methods: Iterable[str] = ("envelopes", "contents", "attachments")
    ) -> None:
        """Answer `error` in the item's place (for attachments: of every attachment of the item) until `heal`."""
        with self._lock:
            self._bad_items[item_id] = (error, frozenset(methods))

    def heal(self) -> None:
        """Forget every scripted fault and every bad item."""
        with self._lock:
            self._script.clear()
            self._bad_items.clear()

    # -- the port

    def provider(self, address: str) -> "MemoryProvider":
        """Return a provider that speaks for one mailbox, made if there is none."""
        self.add_mailbox(address)
        return MemoryProvider(self, address)

    def _call(self, address: str, method: str, work: Callable[[_Mailbox], Answer]) -> Answer:
        with self._lock:
            self.calls[address.lower(), method] += 1
            due = [entry for entry in self._script if entry.due(method)]
            self._script = [entry for entry in self._script if entry.nth > 1 - entry.times]
            for entry in due:
                entry.action()
            return work(self._mailbox(address))

    def _refusal(self, item_id: str, method: str) -> ItemUnreadable | None:
        error, methods = self._bad_items.get(item_id, (None, frozenset[str]()))
        return error if method in methods else None

    # -- inside

    def _mailbox(self, address: str) -> _Mailbox:
        try:
            return self._mailboxes[address.lower()]
        except KeyError:
            raise MailboxGone(f"there is no mailbox {address}") from None

    def _folder(self, address: str, folder: str) -> _Folder:
        mailbox = self._mailbox(address)
        found = mailbox.folders.get(folder) or next(
            (each for each in mailbox.folders.values() if each.role == folder and each.role is not FolderRole.OTHER),
            None,
        )
        if found is None:
            raise FolderGone(f"there is no folder {folder}")
        return found

    def _new_folder(self, mailbox: _Mailbox, name: str, role: FolderRole, parent_id: str | None) -> _Folder:
        self._number += 1
        folder = _Folder(f"folder-{self._number}", mailbox, name, role, parent_id)
        mailbox.folders[folder.id] = folder
        return folder

    def _put(self, folder: _Folder, mail: Mail) -> _Item:
        self._number += 1
        item = _Item(f"item-{self._number}", folder, mail, self._number)
        self._items[item.id] = folder.items[item.id] = item
        folder.created_at[item.id] = len(folder.log)
        self._log(folder, ChangeKind.CREATED, item)
        return item

    def _log(self, folder: _Folder, kind: ChangeKind, item: _Item) -> None:
        self._number += 1
        item.version = self._number
        folder.log.append((kind, item.id))
        if kind not in self.silent:
            folder.commits += 1

    def _drop_items(self, folder: _Folder) -> None:
        for item_id in list(folder.items):
            del self._items[item_id]
        folder.items.clear()

    def _page(self, folder: _Folder, cursor: str | None, limit: int) -> ChangePage:
        start = 0
        if cursor is not None:
            epoch, _, index = cursor.partition("/")
            if epoch != str(folder.epoch) or not index.isdecimal() or int(index) > len(folder.log):
                raise CursorExpired(f"the cursor of folder {folder.name} is not known any more")
            start = int(index)
        changes: list[Change] = []
        index_after = start
        for position in range(start, len(folder.log)):
            change = self._told(folder, position, start)
            if change is not None:
                if len(changes) == limit:
                    return ChangePage(tuple(changes), f"{folder.epoch}/{index_after}", more=True)
                changes.append(change)
            index_after = position + 1
        return ChangePage(tuple(changes), f"{folder.epoch}/{index_after}", more=False)

    def _told(self, folder: _Folder, position: int, start: int) -> Change | None:
        """Return the change at `position` of the log, unless what happened since makes it untold to a reader at `start`."""
        kind, item_id = folder.log[position]
        if kind is ChangeKind.REMOVED:
            return Change(kind, item_id) if folder.created_at[item_id] < start else None
        item = folder.items.get(item_id)
        return None if item is None else Change(kind, item_id, f"ck-{item.version}")

    def _item_of(self, mailbox: _Mailbox, item_id: str, method: str) -> _Item | ItemUnreadable:
        item = self._items.get(item_id)
        if item is None or item.folder.mailbox is not mailbox:
            return ItemGone(f"there is no item {item_id}")
        return self._refusal(item_id, method) or item


class MemoryProvider:
    """A `MailProvider` and `DraftProbe` over one mailbox of a `MemoryServer`."""

    def __init__(self, server: MemoryServer, address: str) -> None:
        self._server = server
        self._address = address
        self._requests = 0

    @property
    def requests(self) -> int:
        """Return how many calls were made, failed ones included."""
        return self._requests

    def _call(self, method: str, work: Callable[[_Mailbox], Answer]) -> Answer:
        self._requests += 1
        return self._server._call(self._address, method, work)

    def well_known_folders(self) -> list[FolderInfo]:
        """Return the folders that have a role."""
        found = self._call("well_known_folders", lambda mailbox: [_info(each) for each in mailbox.folders.values()])
        return [info for info in found if info.role is not FolderRole.OTHER]

    def folders(self) -> list[FolderInfo]:
        """Return every folder."""
        return self._call("folders", lambda mailbox: [_info(each) for each in mailbox.folders.values()])

    def counters(self, folder_ids: Sequence[str]) -> dict[str, str | None]:
        """Return each existing folder's counters, None on a server without them."""

        def work(mailbox: _Mailbox) -> dict[str, str | None]:
            known = [mailbox.folders[each] for each in folder_ids if each in mailbox.folders]
            if not self._server.counters:
                return {each.id: None for each in known}
            return {each.id: f"{each.commits}/{each.removals}" for each in known}

        return self._call("counters", work)

    def changes(self, folder_id: str, cursor: str | None, limit: int) -> ChangePage:
        """Return at most `limit` changes after `cursor`; raises `CursorExpired`, `FolderGone`."""

        def work(mailbox: _Mailbox) -> ChangePage:
            if folder_id not in mailbox.folders:
                raise FolderGone(f"there is no folder {folder_id}")
            return self._server._page(mailbox.folders[folder_id], cursor, limit)

        return self._call("changes", work)

    def envelopes(self, item_ids: Sequence[str]) -> list[Envelope | ItemUnreadable]:
        """Return the envelopes, an error in the place of each that cannot be read."""
        return self._call(
            "envelopes", lambda mailbox: [self._read(mailbox, each, "envelopes", _envelope) for each in item_ids]
        )

    def contents(self, item_ids: Sequence[str]) -> list[Content | ItemUnreadable]:
        """Return bodies and lists of attachments, an error in the place of each that cannot be read."""
        return self._call(
            "contents", lambda mailbox: [self._read(mailbox, each, "contents", _content) for each in item_ids]
        )

    def attachments(self, attachments: Sequence[AttachmentInfo]) -> list[AttachmentBytes | ItemUnreadable]:
        """Return the bytes; a reference attachment has none and is unreadable, as in the real ones."""

        def one(mailbox: _Mailbox, info: AttachmentInfo) -> AttachmentBytes | ItemUnreadable:
            item_id, _, number = info.id.rpartition("/")

            def data(item: _Item) -> AttachmentBytes | ItemUnreadable:
                files = item.mail.files
                if not number.isdecimal() or int(number) >= len(files):
                    return ItemGone(f"there is no attachment {info.id}")
                if files[int(number)].kind is AttachmentKind.REFERENCE:
                    return ItemUnreadable("a link to a file elsewhere has no bytes", code="attachment_is_link")
                return AttachmentBytes(info.id, files[int(number)].data)

            return self._read(mailbox, item_id, "attachments", data)

        return self._call("attachments", lambda mailbox: [one(mailbox, each) for each in attachments])

    def _read(
        self, mailbox: _Mailbox, item_id: str, method: str, form: Callable[[_Item], Answer]
    ) -> Answer | ItemUnreadable:
        item = self._server._item_of(mailbox, item_id, method)
        return item if isinstance(item, ItemUnreadable) else form(item)

    # -- DraftProbe

    def create_draft(self, subject: str) -> str:
        """Create a draft and return its id."""
        return self._call(
            "create_draft",
            lambda mailbox: self._server.deliver(
                mailbox.address, "drafts", subject=subject, sender=None, is_draft=True, message_id=""
            ),
        )

    def touch_draft(self, item_id: str) -> str:
        """Change the draft's subject and return its id."""

        def work(_mailbox: _Mailbox) -> str:
            try:
                self._server.touch(item_id, subject=self._server.mail(item_id).subject + " (changed)")
            except KeyError:
                raise ItemGone(f"there is no item {item_id}") from None
            return item_id

        return self._call("touch_draft", work)

    def delete_draft(self, item_id: str) -> None:
        """Delete the draft for good."""

        def work(_mailbox: _Mailbox) -> None:
            try:
                self._server.remove(item_id)
            except KeyError:
                raise ItemGone(f"there is no item {item_id}") from None

        self._call("delete_draft", work)


def _info(folder: _Folder) -> FolderInfo:
    return FolderInfo(folder.id, clean(folder.name), folder.role, folder.parent_id, len(folder.items))


def _address(given: Address | str) -> Address:
    return Address(clean(given)) if isinstance(given, str) else Address(clean(given.email), clean(given.name))


def _envelope(item: _Item) -> Envelope:
    mail = item.mail
    return Envelope(
        item_id=item.id,
        change_key=f"ck-{item.version}",
        sender=None if mail.sender is None else _address(mail.sender),
        to=tuple(map(_address, mail.to)),
        cc=tuple(map(_address, mail.cc)),
        bcc=tuple(map(_address, mail.bcc)),
        subject=clean(mail.subject),
        item_class=mail.item_class,
        received_at=mail.received_at,
        sensitivity=mail.sensitivity,
        categories=tuple(map(clean, mail.categories)),
        message_id=mail.message_id or "",
        in_reply_to=mail.in_reply_to,
        references=mail.references,
        conversation_id=mail.conversation_id,
        auto_submitted=mail.auto_submitted,
        search_key=mail.search_key or "",
        stamp=mail.stamp,
        is_draft=mail.is_draft,
    )


def _content(item: _Item) -> Content:
    mail = item.mail
    infos = tuple(
        AttachmentInfo(
            id=f"{item.id}/{number}",
            name=clean(each.name),
            content_type=each.content_type,
            size=len(each.data),
            kind=each.kind,
            inline=each.inline,
            content_id=each.content_id,
        )
        for number, each in enumerate(mail.files)
    )
    return Content(
        item_id=item.id,
        change_key=f"ck-{item.version}",
        html=clean(mail.html),
        text=clean(mail.text) if not mail.html else "",
        sent_at=mail.sent_at or mail.received_at,
        importance=mail.importance,
        size=mail.size if mail.size is not None else len(mail.html or mail.text) + sum(len(f.data) for f in mail.files),
        attachments=infos,
    )
