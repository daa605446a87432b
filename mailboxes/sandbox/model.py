"""What a mailbox is made of: folders with their change counters, items, contents, attachments.

The one idea: `Content` is what an item says and is shared by copies, `Item` is where and since when
it stands in a folder. A content that came as bytes keeps the bytes and nothing else; what they mean
is read when somebody asks (`properties.py`), and `values` holds only what was changed since.
"""

import uuid
from dataclasses import dataclass, field

from mailboxes.sandbox.changelog import ChangeLog
from mailboxes.sandbox.ids import encode_change_key, encode_id, encode_occurrence_id


@dataclass(slots=True)
class Attachment:
    """A file (`data`) or an item (`item`) that hangs on an item; `number` stays when others are removed."""

    number: int
    name: str
    content_type: str = "application/octet-stream"
    content_id: str = ""
    content_location: str = ""
    is_inline: bool = False
    data: bytes = field(default=b"", repr=False)
    item: "Content | None" = None


@dataclass(slots=True)
class Altered:
    """An occurrence that differs from its series: `content` is all of it, `names` says what of it is its own."""

    names: set[str]
    content: "Content"


@dataclass(slots=True)
class Content:
    """What an item says. `kind` is its element in the protocol (Message, CalendarItem, Contact, Task, …).

    raw       the message's bytes as they came, or None for an item made of properties
    values    property → XML fragment, over what `raw` says; an empty fragment hides what `raw` says
    body      ("HTML" or "Text", text), over the body of `raw`
    extended  canonical name of an extended property → its XML (`extended.py`)
    categories  names of categories, colours are the clients' affair
    attached  attachments added one by one; `removed` numbers those of `raw` that were deleted
    altered   of a series: original start (UTC seconds) → occurrence that differs
    cancelled   of a series: original starts of occurrences that were deleted
    light     what was read from `raw` without its body, kept once read; never saved
    """

    kind: str
    raw: bytes | None = field(default=None, repr=False)
    values: dict[str, str] = field(default_factory=dict)
    body: tuple[str, str] | None = None
    extended: dict[str, str] = field(default_factory=dict)
    categories: tuple[str, ...] = ()
    attached: list[Attachment] = field(default_factory=list)
    removed: set[int] = field(default_factory=set)
    altered: dict[int, Altered] = field(default_factory=dict)
    cancelled: set[int] = field(default_factory=set)
    light: dict[str, str] | None = field(default=None, repr=False)

    def copy(self) -> "Content":
        """Return an independent content; bytes and attachments, which never change, are shared."""
        return Content(
            self.kind,
            self.raw,
            dict(self.values),
            self.body,
            dict(self.extended),
            self.categories,
            list(self.attached),
            set(self.removed),
            {start: Altered(set(one.names), one.content.copy()) for start, one in self.altered.items()},
            set(self.cancelled),
            self.light,
        )


@dataclass(slots=True)
class Item:
    """One item in one folder. Times are UTC seconds since 1970.

    A move ends this item and makes another with a new number, hence a new id; `search_key` is what
    stays the same. `written` says in which version a client last wrote a property, to find conflicts.

    An occurrence of a series is no item of a folder: it is made for the moment (`series.py`), with the
    series as its `master` and its start by the pattern as `original`.
    """

    number: int
    folder: "Folder" = field(repr=False)
    content: Content
    search_key: bytes
    created: int
    received: int
    modified: int
    version: int
    is_read: bool = False
    is_draft: bool = False
    written: dict[str, int] = field(default_factory=dict, repr=False)
    cache: dict[str, str] = field(default_factory=dict, repr=False)
    master: "Item | None" = field(default=None, repr=False)
    original: int = 0

    @property
    def id(self) -> str:
        """The opaque id on the wire."""
        known = self.cache.get("id")
        if known is None:
            guid = self.folder.mailbox.guid
            known = (
                encode_id(guid, "I", self.number)
                if self.master is None
                else encode_occurrence_id(guid, self.number, self.original)
            )
            self.cache["id"] = known
        return known

    @property
    def change_key(self) -> str:
        """The opaque version on the wire; differs after every change."""
        return encode_change_key(self.folder.mailbox.guid, self.version)


@dataclass(slots=True, eq=False)
class Folder:
    """One folder. `distinguished` is "" for folders people made.

    commit_second and deleted_count are the change counters (0x670a, 0x670b). The protocol carries
    whole seconds, so a second change within one second would be invisible; once the counter has been
    `observed`, the next change moves it on by at least one second. Real servers give no such
    guarantee, which is why clients need their regular full pass.

    `configurations` are the documents clients keep with the folder, by name and part (XML fragments).
    """

    number: int
    mailbox: "Mailbox" = field(repr=False)
    parent: "Folder | None" = field(repr=False)
    name: str
    folder_class: str
    distinguished: str = ""
    version: int = 1
    commit_second: int = 0
    deleted_count: int = 0
    observed: bool = False
    extended: dict[str, str] = field(default_factory=dict, repr=False)
    items: dict[int, Item] = field(default_factory=dict, repr=False)
    configurations: dict[str, dict[str, str]] = field(default_factory=dict, repr=False)
    log: ChangeLog = field(default_factory=ChangeLog, repr=False)

    @property
    def id(self) -> str:
        """The opaque id on the wire; never changes."""
        return encode_id(self.mailbox.guid, "F", self.number)

    @property
    def change_key(self) -> str:
        """The opaque version on the wire."""
        return encode_change_key(self.mailbox.guid, self.version)

    def committed(self, now: int) -> None:
        """Move the change counter, visibly if anybody has looked at it since."""
        self.commit_second = max(now, self.commit_second + (1 if self.observed else 0))
        self.observed = False

    def below(self) -> "list[Folder]":
        """Return the direct subfolders in the order they were made."""
        return [folder for folder in self.mailbox.folders.values() if folder.parent is self]

    def deep(self) -> "list[Folder]":
        """Return all folders below, parents before children."""
        found: list[Folder] = []
        for child in self.below():
            found.append(child)
            found.extend(child.deep())
        return found

    def is_within(self, other: "Folder") -> bool:
        """Say whether this folder is `other` or lies below it."""
        folder: Folder | None = self
        while folder is not None:
            if folder is other:
                return True
            folder = folder.parent
        return False


@dataclass(slots=True, eq=False)
class Mailbox:
    """One mailbox and who may use it. `address` is as it was given, compared without case.

    An impersonator may act as every other mailbox; `delegates` (lower-case addresses) may open this one.
    """

    address: str
    password: str = field(repr=False)
    display_name: str
    language: str = "en"
    impersonator: bool = False
    delegates: set[str] = field(default_factory=set)
    guid: str = field(default_factory=lambda: str(uuid.uuid4()))
    folders: dict[int, Folder] = field(default_factory=dict, repr=False)
    distinguished: dict[str, Folder] = field(default_factory=dict, repr=False)
    log: ChangeLog = field(default_factory=ChangeLog, repr=False)

    def item(self, number: int) -> Item | None:
        """Return the item with this number, wherever it stands now."""
        return next((folder.items[number] for folder in self.folders.values() if number in folder.items), None)
