"""All that the sandbox keeps, and the only way to change it.

Loaders, the demo corpus, tests and the protocol's operations all work through `SandboxStore`. Every
change takes the store's lock, moves the folder's change counter, writes the change log and counts
`generation` up, which is how the state file knows that there is something to save.
"""

import contextlib
import hashlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

from mailboxes.sandbox import appointments, ics, mime, people, tasks, vcf, xmltext
from mailboxes.sandbox.changelog import Change
from mailboxes.sandbox.events import Events
from mailboxes.sandbox.ids import MalformedId, decode_id
from mailboxes.sandbox.model import Content, Folder, Item, Mailbox
from mailboxes.sandbox.names import BORN, MAIL, folder_names
from mailboxes.sandbox.soap import EwsError


class SandboxError(ValueError):
    """A request to the store that makes no sense; the message is for the person who made it."""


@dataclass(frozen=True, slots=True)
class Outbound:
    """A mail to somebody outside the sandbox: recorded, never delivered."""

    sender: str
    recipient: str
    raw: bytes
    at: int


@dataclass(frozen=True, slots=True)
class Departure:
    """Something that left a mailbox by itself or by its owner's wish, to people inside or outside.

    `kind` is mail, request, update, cancellation or response; `uid` is a meeting's, "" for mail.
    """

    kind: str
    sender: str
    recipients: tuple[str, ...]
    subject: str
    uid: str
    at: int


@dataclass(frozen=True, slots=True)
class Moved:
    """A mailbox that lives on another server now: its password (to answer its owner), where, and what is said here."""

    password: str
    url: str
    then: str


@dataclass(slots=True)
class SandboxStore:
    """Mailboxes by address. `clock` returns UTC seconds; `change_counters=False` leaves 0x670a/0x670b out.

    `newest_first` makes the first sync of a folder run from the newest item to the oldest, as Exchange
    does; set it before anybody syncs.

    Addresses are compared without case. All methods may be called from any thread.
    """

    clock: Callable[[], float] = time.time
    change_counters: bool = True
    # What an item may come to with what hangs on it, in bytes (35 MB, as servers are set up).
    largest_item: int = 36_700_160
    newest_first: bool = False
    mailboxes: dict[str, Mailbox] = field(default_factory=dict)
    by_guid: dict[str, Mailbox] = field(default_factory=dict)
    outbound: list[Outbound] = field(default_factory=list)
    departed: list[Departure] = field(default_factory=list)
    meeting_messages: int = 0
    moving: set[str] = field(default_factory=set)
    moved: dict[str, Moved] = field(default_factory=dict)
    loaded: set[str] = field(default_factory=set)
    generation: int = 0
    events: Events = field(default_factory=Events, repr=False)
    _silent: bool = field(default=False, repr=False)
    next_number: int = 1
    next_version: int = 1
    lock: threading.RLock = field(default_factory=threading.RLock)

    # -- mailboxes and folders

    def add_mailbox(
        self, address: str, password: str, display_name: str = "", *, language: str = "en", impersonator: bool = False
    ) -> Mailbox:
        """Make a mailbox with the folders every mailbox has, named in `language` (en, de, ca).

        Raises SandboxError if the address is taken or is none; ValueError for an unknown language.
        """
        names = folder_names(language)
        local, at, domain = address.strip().partition("@")
        if not (local and at and domain) or any(mark in address for mark in ' \t\r\n,;<>"'):
            raise SandboxError(f"{address!r} is no e-mail address")
        with self.lock:
            if self.has_mailbox(address):
                raise SandboxError(f"there is a mailbox {address} already")
            mailbox = Mailbox(address.strip(), password, display_name or local, language, impersonator)
            self.adopt(mailbox)
            for born in BORN:
                parent = mailbox.distinguished.get(born.parent)
                folder = self._new_folder(mailbox, parent, names[born.distinguished], born.folder_class)
                folder.distinguished = born.distinguished
                mailbox.distinguished[born.distinguished] = folder
            return mailbox

    def set_password(self, address: str, password: str) -> None:
        """Give a mailbox another password; it counts from the next request on. Raises SandboxError."""
        with self.lock:
            self.mailbox(address).password = password
            self.generation += 1

    def adopt(self, mailbox: Mailbox) -> None:
        """Take in a mailbox that was made elsewhere (the state file)."""
        self.mailboxes[mailbox.address.lower()] = mailbox
        self.by_guid[mailbox.guid] = mailbox
        self.generation += 1

    def has_mailbox(self, address: str) -> bool:
        """Say whether there is a mailbox of this address."""
        return address.strip().lower() in self.mailboxes

    def mailbox(self, address: str) -> Mailbox:
        """Return the mailbox of this address. Raises SandboxError if there is none."""
        try:
            return self.mailboxes[address.strip().lower()]
        except KeyError:
            raise SandboxError(f"there is no mailbox {address}") from None

    def allow_delegate(self, address: str, delegate: str) -> None:
        """Let the person of mailbox `delegate` open mailbox `address` (full access, no impersonation)."""
        with self.lock:
            self.mailbox(address).delegates.add(self.mailbox(delegate).address.lower())
            self.generation += 1

    def folder(self, address: str, path: str) -> Folder:
        """Return a folder by id or by path: a distinguished id or top-level name, then names, joined by "/".

        "inbox", "sentitems", "inbox/Projects", "Clients/North" are paths. Raises SandboxError.
        """
        mailbox = self.mailbox(address)
        first, *rest = path.split("/")
        found = mailbox.distinguished.get(first.lower()) or self._child(mailbox.distinguished["msgfolderroot"], first)
        for name in rest:
            found = found and self._child(found, name)
        found = found or next((folder for folder in mailbox.folders.values() if folder.id == path), None)
        if found is None:
            raise SandboxError(f"mailbox {address} has no folder {path!r}")
        return found

    def create_folder(self, address: str, parent: str, name: str, *, folder_class: str = "") -> str:
        """Make a folder below `parent` (a path or id as in `folder`) and return its id.

        The class (IPF.Note, IPF.Appointment, IPF.Contact, IPF.Task) is the parent's unless given.
        Raises SandboxError if the parent has a folder of that name.
        """
        with self.lock:
            above = self.folder(address, parent)
            return self.add_folder(above, name, folder_class or above.folder_class or MAIL).id

    def add_folder(self, parent: Folder, name: str, folder_class: str) -> Folder:
        """Make a folder below `parent`. Raises SandboxError if the name is empty or taken there."""
        with self.lock:
            self._free_name(parent, name)
            return self._new_folder(parent.mailbox, parent, name.strip(), folder_class)

    def rename_folder(self, folder: Folder, name: str) -> None:
        """Give a folder another name. Raises SandboxError if the name is empty or taken."""
        with self.lock:
            if folder.parent is not None and name.strip().lower() != folder.name.lower():
                self._free_name(folder.parent, name)
            folder.name = name.strip()
            self.folder_changed(folder)

    def move_folder(self, folder: Folder, parent: Folder) -> None:
        """Put a folder elsewhere in its mailbox; its id stays. Raises SandboxError if it cannot be there."""
        with self.lock:
            if folder.distinguished or parent.is_within(folder) or parent.mailbox is not folder.mailbox:
                raise SandboxError(f"folder {folder.name!r} cannot be moved there")
            self._free_name(parent, folder.name)
            old, folder.parent = folder.parent, parent
            with self._silence():
                self.folder_changed(folder)
            self._tell_folder("Moved", folder, old)

    def remove_folder(self, folder: Folder) -> None:
        """End a folder with all below it, for good. Raises SandboxError for a folder the mailbox was born with."""
        with self.lock:
            if folder.distinguished:
                raise SandboxError(f"folder {folder.name!r} cannot be deleted")
            for gone in [*reversed(folder.deep()), folder]:
                for item in list(gone.items.values()):
                    self.remove(item)
                del gone.mailbox.folders[gone.number]
                gone.mailbox.log.append(Change.DELETE, gone.number)
                self._tell_folder("Deleted", gone)

    def folder_changed(self, folder: Folder) -> None:
        """Write down that a folder's own properties changed."""
        with self.lock:
            folder.version = self._version()
            folder.mailbox.log.append(Change.UPDATE, folder.number)
            self._tell_folder("Modified", folder)

    # -- putting things in

    def deliver_mime(
        self,
        address: str,
        raw: bytes,
        *,
        folder: str = "inbox",
        received: datetime | None = None,
        is_read: bool = False,
        categories: Iterable[str] = (),
    ) -> str:
        """Put a message in a folder (a path as in `folder`) as it is, and return the item's id.

        Any bytes are taken: what cannot be read as a message becomes an item all the same. `received`
        (aware; now if None) is its time of delivery. A message with an iTIP invitation, answer or
        cancellation (text/calendar with a method) becomes a MeetingRequest, MeetingResponse or
        MeetingCancellation. Nothing is sent and no copy goes to anybody.
        """
        content = Content(mime.kind_of(raw), raw, categories=tuple(categories))
        at = int(self.clock() if received is None else received.timestamp())
        with self.lock:
            item = self.add_item(self.folder(address, folder), content, received=at)
            item.is_read = is_read
            if item.folder.distinguished == "inbox":
                self._tell("NewMail", item)
            return item.id

    def add_ics(
        self, address: str, raw: bytes, *, folder: str = "calendar", categories: Iterable[str] = ()
    ) -> list[str]:
        """Put each VEVENT (and each VTODO, into Tasks) of an .ics file into a mailbox; return the items' ids.

        RFC 5545. A changed occurrence (RECURRENCE-ID) is kept with its series, or as an appointment of its
        own if the series is not in the file. Nobody is invited. Raises SandboxError if the bytes are no calendar.
        """
        try:
            contents = ics.contents(raw)
        except ics.UnreadableCalendar as error:
            raise SandboxError(f"no calendar: {error}") from error
        with self.lock:
            for content in contents:
                if content.kind == "CalendarItem":
                    _settle(content, self.mailbox(address), int(self.clock()))
            return [
                self._put(self.folder(address, "tasks" if content.kind == "Task" else folder), content, categories).id
                for content in contents
            ]

    def add_vcf(
        self, address: str, raw: bytes, *, folder: str = "contacts", categories: Iterable[str] = ()
    ) -> list[str]:
        """Put each card of a .vcf file (vCard 2.1 to 4.0) into a mailbox as a contact; return the items' ids.

        Raises SandboxError if the bytes hold no card.
        """
        try:
            contents = vcf.contents(raw)
        except vcf.UnreadableCard as error:
            raise SandboxError(f"no contact card: {error}") from error
        with self.lock:
            return [self._put(self.folder(address, folder), content, categories).id for content in contents]

    def add_task(self, address: str, task: tasks.Task, *, folder: str = "tasks", categories: Iterable[str] = ()) -> str:
        """Put a task into a mailbox and return the item's id."""
        with self.lock:
            return self._put(self.folder(address, folder), tasks.content(task), categories).id

    def add_list(
        self,
        address: str,
        name: str,
        members: Iterable[str],
        *,
        folder: str = "contacts",
        categories: Iterable[str] = (),
    ) -> str:
        """Put a distribution list of addresses into a mailbox and return the item's id. Raises SandboxError."""
        inner = "".join(f"<t:Member>{xmltext.mailbox('', one)}</t:Member>" for one in members)
        content = Content(
            "DistributionList",
            values={
                "DisplayName": xmltext.leaf("DisplayName", name),
                "Members": f"<t:Members>{inner}</t:Members>" if inner else "",
            },
        )
        try:
            people.complete_list(content)
        except EwsError as error:
            raise SandboxError(str(error)) from error
        with self.lock:
            return self._put(self.folder(address, folder), content, categories).id

    def _put(self, folder: Folder, content: Content, categories: Iterable[str]) -> Item:
        content.categories = tuple(dict.fromkeys([*content.categories, *categories]))
        item = self.add_item(folder, content)
        item.is_read = True
        return item

    # -- items

    def item(self, item_id: str) -> Item:
        """Return the item of this id. Raises SandboxError if it is gone (moved, deleted) or never was."""
        try:
            identity = decode_id(item_id)
        except MalformedId as error:
            raise SandboxError(str(error)) from error
        mailbox = self.by_guid.get(identity.guid)
        found = mailbox.item(identity.number) if mailbox is not None and identity.kind == "I" else None
        if found is None:
            raise SandboxError("there is no such item; an item's id ends when it is moved or deleted")
        return found

    def add_item(
        self, folder: Folder, content: Content, *, received: int | None = None, search_key: bytes = b""
    ) -> Item:
        """Put a content into a folder as a new item (unread, no draft)."""
        with self.lock:
            now = int(self.clock())
            number = self._number()
            key = search_key or hashlib.shake_128(f"{folder.mailbox.guid}/{number}".encode()).digest(16)
            at = now if received is None else received
            item = Item(number, folder, content, key, now, at, now, self._version())
            folder.items[number] = item
            folder.log.append(Change.CREATE, number)
            folder.committed(now)
            self._tell("Created", item)
            return item

    def touch(self, item: Item, *, only_read_flag: bool = False) -> None:
        """Write down that an item changed: new change key, change log, counters. Of an occurrence, its series did."""
        with self.lock:
            if item.master is not None:
                self.touch(item.master)
                item.version, item.modified = item.master.version, item.master.modified
                return
            now = int(self.clock())
            item.version = self._version()
            item.modified = now
            item.cache.clear()
            item.folder.log.append(Change.READ if only_read_flag else Change.UPDATE, item.number)
            item.folder.committed(now)
            self._tell("Modified", item)

    def set_read(self, item: Item, is_read: bool) -> None:
        """Set the read flag; no change, no entry in the log."""
        with self.lock:
            if item.is_read != is_read:
                item.is_read = is_read
                self.touch(item, only_read_flag=True)

    def remove(self, item: Item) -> None:
        """End an item for good."""
        with self.lock:
            del item.folder.items[item.number]
            item.folder.log.append(Change.DELETE, item.number)
            item.folder.deleted_count += 1
            item.folder.committed(int(self.clock()))
            self.generation += 1
            self._tell("Deleted", item)

    def move(self, item: Item, folder: Folder) -> Item:
        """Put an item elsewhere: the old one ends, the returned one has a new id and the same search key."""
        with self.lock:
            old_id = item.id
            with self._silence():
                moved = self._again(item, folder, item.content, item.search_key)
                self.remove(item)
            self._tell("Moved", moved, old_id, item.folder)
            return moved

    def copy(self, item: Item, folder: Folder) -> Item:
        """Put a copy of an item into a folder and return it."""
        with self.lock:
            with self._silence():
                twin = self._again(item, folder, item.content.copy(), item.search_key)
            self._tell("Copied", twin, item.id, item.folder)
            return twin

    def _again(self, item: Item, folder: Folder, content: Content, search_key: bytes) -> Item:
        twin = self.add_item(folder, content, received=item.received, search_key=search_key)
        twin.created, twin.is_read, twin.is_draft = item.created, item.is_read, item.is_draft
        return twin

    # -- telling

    @contextlib.contextmanager
    def _silence(self) -> Iterator[None]:
        self._silent = True
        try:
            yield
        finally:
            self._silent = False

    def _tell(self, kind: str, item: Item, old_id: str = "", old: Folder | None = None) -> None:
        """Write an event down for those who subscribed; of a calendar, that somebody's time changed as well."""
        if self._silent:
            return
        folder, guid = item.folder, item.folder.mailbox.guid
        now = int(self.clock())
        more: dict[str, str | int] = {}
        if old is not None:
            more = {"old_id": old_id, "old_parent": old.id, "old_folder": old.number}
        self.events.happened(kind, now, guid, folder.number, item.id, folder.id, **more)
        if item.content.kind == "CalendarItem":
            self.events.happened("FreeBusyChanged", now, guid, folder.number, item.id, folder.id)

    def _tell_folder(self, kind: str, folder: Folder, old: Folder | None = None) -> None:
        if self._silent:
            return
        parent = folder.parent or folder
        more: dict[str, str | int] = {"is_folder": True}
        if old is not None:
            more |= {"old_id": folder.id, "old_parent": old.id, "old_folder": old.number}
        guid = folder.mailbox.guid
        self.events.happened(kind, int(self.clock()), guid, parent.number, folder.id, parent.id, **more)

    # -- looking

    def overview(self) -> list[dict[str, str | int]]:
        """Return address, password and number of messages (Inbox and Sent Items) of every mailbox."""
        with self.lock:
            return [
                {
                    "address": mailbox.address,
                    "password": mailbox.password,
                    "messages": sum(len(mailbox.distinguished[name].items) for name in ("inbox", "sentitems")),
                }
                for mailbox in self.mailboxes.values()
            ]

    def now(self) -> datetime:
        """Return the store's time, aware, in UTC."""
        return datetime.fromtimestamp(int(self.clock()), UTC)

    # -- numbers

    def _number(self) -> int:
        self.generation += 1
        self.next_number += 1
        return self.next_number - 1

    def _version(self) -> int:
        self.generation += 1
        self.next_version += 1
        return self.next_version - 1

    def _child(self, parent: Folder, name: str) -> Folder | None:
        return next((folder for folder in parent.below() if folder.name.lower() == name.strip().lower()), None)

    def _free_name(self, parent: Folder, name: str) -> None:
        if not name.strip():
            raise SandboxError("a folder needs a name")
        if self._child(parent, name) is not None:
            raise SandboxError(f"there is a folder {name.strip()!r} already")

    def _new_folder(self, mailbox: Mailbox, parent: Folder | None, name: str, folder_class: str) -> Folder:
        folder = Folder(self._number(), mailbox, parent, name, folder_class, version=self._version())
        folder.commit_second = int(self.clock())
        mailbox.folders[folder.number] = folder
        mailbox.log.append(Change.CREATE, folder.number)
        self._tell_folder("Created", folder)
        return folder


def _settle(content: Content, owner: Mailbox, now: int) -> None:
    """Complete an appointment that was loaded; a series that makes no sense here is left its first occurrence."""
    appointments.join(content, owner)
    try:
        appointments.complete(content, owner, now)
    except EwsError:
        content.values["Recurrence"] = ""
        with contextlib.suppress(EwsError):
            appointments.complete(content, owner, now)
