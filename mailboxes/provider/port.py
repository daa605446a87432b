"""What the engine needs of a mail system, and nothing else. Adapters fit this Protocol; the engine sees only these types.

Vocabulary
    mailbox      one person's store; a `MailProvider` speaks for exactly one
    folder       a container of items; its id never changes
    item id      opaque, case-sensitive; changes when the item moves to another folder
    change key   opaque; differs whenever the item changed
    cursor       opaque; where reading a folder's changes goes on; None means from the beginning
    page         the changes between two cursors, of bounded size
    counters     opaque; equal as long as nothing in a folder changed
    envelope     what the promotion check may know of a message before the decision: sender, recipients, subject, and
                 control fields that carry no content (S24, design §4)
    content      body and list of attachments; read only after a yes

Every string is free of what PostgreSQL or XML cannot hold (NUL, lone surrogates). Every time is aware, in UTC.
Methods raise `ProviderError`s and nothing else, and never sleep: waiting is the schedule's.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from mailboxes.provider.errors import ItemUnreadable


class FolderRole(StrEnum):
    """What a folder is for. Found by the server's own mark, never by its (localised) name."""

    INBOX = "inbox"
    SENT = "sent"
    DRAFTS = "drafts"
    DELETED = "deleted"
    JUNK = "junk"
    CALENDAR = "calendar"
    CONTACTS = "contacts"
    TASKS = "tasks"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class FolderInfo:
    """One folder. `parent_id` is None for a folder directly below the root. `total` counts its items when known."""

    id: str
    name: str
    role: FolderRole
    parent_id: str | None = None
    total: int | None = None


class ChangeKind(StrEnum):
    """What happened to an item in a folder. A move is `REMOVED` in one folder and `CREATED` in another."""

    CREATED = "created"
    UPDATED = "updated"
    REMOVED = "removed"
    READ_FLAG = "read_flag"


@dataclass(frozen=True, slots=True)
class Change:
    """One change of one item; `change_key` is empty for a removal and where the server names none."""

    kind: ChangeKind
    item_id: str
    change_key: str = ""


@dataclass(frozen=True, slots=True)
class ChangePage:
    """Changes in server order, the cursor behind them, and whether there is more."""

    changes: tuple[Change, ...]
    cursor: str
    more: bool


@dataclass(frozen=True, slots=True)
class Listing:
    """Some of the items that lie in a folder, each told as if it had just been created.

    `offset` is where the next part begins, None at the end. Read part by part while items leave the folder, a listing
    may skip some: it is for counting and checking; what must not be missed is read by `changes`.
    """

    changes: tuple[Change, ...]
    offset: int | None


@dataclass(frozen=True, slots=True)
class Address:
    """An SMTP address as the message gives it (not lower-cased) and the display name beside it; both may be empty."""

    email: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class Envelope:
    """What the promotion check knows. The first three fields carry meaning, the rest are control fields (S24).

    `message_id`, `in_reply_to` and `references` keep their angle brackets, without white space; empty when absent.
    `auto_submitted` is the header's value in lower case (RFC 3834), empty when absent.
    `search_key` survives moves (PR_SEARCH_KEY, hex), empty where the server has none. `token` is what the header
    `mailboxes.provider.writing.TOKEN_HEADER` says, whoever wrote it: nothing to be believed.
    """

    item_id: str
    change_key: str
    sender: Address | None
    to: tuple[Address, ...]
    cc: tuple[Address, ...]
    bcc: tuple[Address, ...]
    subject: str
    item_class: str = "IPM.Note"
    received_at: datetime | None = None
    sensitivity: str = "Normal"
    categories: tuple[str, ...] = ()
    message_id: str = ""
    in_reply_to: str = ""
    references: tuple[str, ...] = ()
    conversation_id: str = ""
    auto_submitted: str = ""
    search_key: str = ""
    stamp: str = ""
    token: str = ""
    is_draft: bool = False


class AttachmentKind(StrEnum):
    """A file, another item of the mail system, or something crmsync cannot fetch (a link to a cloud file)."""

    FILE = "file"
    ITEM = "item"
    REFERENCE = "reference"


@dataclass(frozen=True, slots=True)
class AttachmentInfo:
    """What is known of an attachment before its bytes are read. `size` in bytes as the server counts it.

    `id` ends when the item moves.
    """

    id: str
    name: str
    content_type: str = "application/octet-stream"
    size: int = 0
    kind: AttachmentKind = AttachmentKind.FILE
    inline: bool = False
    content_id: str = ""
    # Opaque; differs when the bytes under this id do. Empty where the server tells none.
    version: str = ""


@dataclass(frozen=True, slots=True)
class Content:
    """What is read after the decision to track. `html` or `text` is set, as the sender wrote it; both may be empty."""

    item_id: str
    change_key: str
    html: str = ""
    text: str = ""
    sent_at: datetime | None = None
    importance: str = "Normal"
    size: int = 0
    attachments: tuple[AttachmentInfo, ...] = ()


@dataclass(frozen=True, slots=True)
class AttachmentBytes:
    """The bytes of one attachment; of an attached item, its MIME form."""

    id: str
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """What a first connection finds out and later ones need: stored on the server profile, passed back as hints."""

    build: str = ""
    api_version: str = ""
    auth_type: str = ""


class MailProvider(Protocol):
    """Reads one mailbox. Sequences come back in the order of the ids asked for, one entry per id."""

    def well_known_folders(self) -> list[FolderInfo]:
        """Return the folders that have a role and exist (one request)."""
        ...

    def folders(self) -> list[FolderInfo]:
        """Return every folder of the mailbox, with role, name and parent."""
        ...

    def counters(self, folder_ids: Sequence[str]) -> dict[str, str | None]:
        """Return each folder's change counters in one request; None where the server has none.

        A folder that is gone is left out of the answer.
        """
        ...

    def changes(self, folder_id: str, cursor: str | None, limit: int) -> ChangePage:
        """Return at most `limit` changes after `cursor`; raises `CursorExpired`, `FolderGone`."""
        ...

    def listing(
        self, folder_id: str, offset: int, limit: int, *, since: datetime | None = None, until: datetime | None = None
    ) -> Listing:
        """Return at most `limit` of the items in a folder from `offset` on, oldest first; raises `FolderGone`.

        Of those alone that were received from `since` on and before `until`, where these are given.
        """
        ...

    def find(self, message_id: str, folder_ids: Sequence[str]) -> list[tuple[str, str]]:
        """Return (folder id, item id) of the items in these folders that have a Message-ID, a few of each at most.

        A folder that is gone or out of reach is passed over.
        """
        ...

    def envelopes(self, item_ids: Sequence[str]) -> list[Envelope | ItemUnreadable]:
        """Return the envelopes of the items: sender, recipients, subject and control fields, no content (S24)."""
        ...

    def contents(self, item_ids: Sequence[str]) -> list[Content | ItemUnreadable]:
        """Return the bodies and lists of attachments of the items. Called only for items that will be tracked."""
        ...

    def attachments(self, attachments: Sequence[AttachmentInfo]) -> list[AttachmentBytes | ItemUnreadable]:
        """Return the bytes of the attachments."""
        ...

    @property
    def requests(self) -> int:
        """Return how many requests this object has made so far."""
        ...


class DraftProbe(Protocol):
    """The writes that `check_mailbox` needs to prove rights and change counters on a draft of its own (design §5)."""

    def create_draft(self, subject: str) -> str:
        """Create a draft that is sent to nobody; return its item id."""
        ...

    def touch_draft(self, item_id: str) -> str:
        """Change the draft's subject; return its item id."""
        ...

    def delete_draft(self, item_id: str) -> None:
        """Delete the draft for good."""
        ...
