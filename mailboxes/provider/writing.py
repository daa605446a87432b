"""What the engine needs of a mail system to keep entries in step and to send mail: reading and writing of what is linked.

The one idea: a write can be repeated without harm. Everything that is made carries our stamp from its first moment, so
that after a lost answer it is found again and not made twice; every change names the change key it was decided on, so
that nobody's newer words are overwritten. Nobody is told of anything: no invitation, update or cancellation ever
leaves by these methods, and mail leaves by `send_message` alone (design §4).

Vocabulary beside that of `mailboxes.provider.port`
    entry        an appointment, contact or task (`mailboxes.provider.entries`)
    marks        what may be known of an entry that is not linked: nothing of what it says
    stamp        the id that crmsync writes on what it makes or links; opaque, found without regard to case

Methods raise `ProviderError`s and nothing else, and make each write once: an answer that is lost is an error, whatever
the server did.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Protocol

from mailboxes.provider.categories import CategoryProvider
from mailboxes.provider.entries import Entry, EntryKind, Field, Marks, Value
from mailboxes.provider.errors import ItemUnreadable
from mailboxes.provider.port import Address, AttachmentInfo, DraftProbe, MailProvider

# The header in which an outgoing message carries its tracking token.
TOKEN_HEADER: Final = "X-Crmsync-Token"  # noqa: S105 -- a header's name


class EntryProvider(Protocol):
    """Reads and writes the appointments, contacts and tasks of one mailbox.

    Sequences come back in the order of the ids asked for, one per id; something of another kind is an `OtherKind`. The
    `Marks` that a write returns hold id, change key and stamp as the write left them; the others are not read again and
    stay empty.
    """

    def marks(self, item_ids: Sequence[str]) -> list[Marks | ItemUnreadable]:
        """Return the control fields of entries: nothing of what an unlinked entry says is asked for."""
        ...

    def entries(self, item_ids: Sequence[str]) -> list[Entry | ItemUnreadable]:
        """Return entries with all fields of `FIELDS[kind]`, the exceptions of a series included."""
        ...

    def create_entry(self, folder_id: str, kind: EntryKind, values: Mapping[Field, Value], *, stamp: str) -> Marks:
        """Make an entry that carries `stamp`; nobody is invited. Raises `WriteRefused`, `FolderGone`.

        Values equal what `entries` returns later by `canonical`. An appointment needs a span. A task's status, percent
        and day of completion say one thing: of those that contradict each other the server decides which stands.
        """
        ...

    def update_entry(
        self,
        item_id: str,
        change_key: str,
        kind: EntryKind,
        values: Mapping[Field, Value],
        *,
        stamp: str | None = None,
    ) -> Marks:
        """Change the fields named, and no others; None clears one. Nobody is told.

        The item id returned may be another one: a recurring task that is completed makes room for its next. Raises
        `ChangedMeanwhile` when `change_key` is not the entry's any more, `ItemGone`, `WriteRefused`.
        """
        ...

    def delete_entry(self, item_id: str) -> None:
        """Move an entry to Deleted Items, a series as a whole; nobody is told. One that is gone is fine.

        An occurrence (by the id that `occurrence` or `Exceptional` gives) is taken out of its series alone.
        """
        ...

    def occurrence(self, folder_id: str, uid: str, original: datetime) -> Marks | None:
        """Return an occurrence of a series that is as the series has it, to be changed or taken out by its id.

        `uid` is that of the series, `original` as in `Exceptional`. None when there is none, or when it differs from its
        series already: then `Exceptional` has its id. Raises `FolderGone`.
        """
        ...

    def find_stamp(self, folder_id: str, stamp: str) -> str | None:
        """Return the id of the entry in a folder that carries the stamp; raises `FolderGone`."""
        ...

    def set_categories(self, item_id: str, change_key: str, kind: EntryKind, categories: Sequence[str]) -> Marks:
        """Give an entry these categories and no others; raises as `update_entry` does."""
        ...


@dataclass(frozen=True, slots=True)
class OutgoingFile:
    """A file to send along, or to hang on an entry.

    `inline` ones are shown where the HTML names their `content_id` (without brackets).
    """

    name: str
    data: bytes = field(repr=False)
    content_type: str = "application/octet-stream"
    inline: bool = False
    content_id: str = ""


@dataclass(frozen=True, slots=True)
class Attached:
    """What hangs on an entry, as of a change key. What the bytes are `MailProvider.attachments` tells."""

    item_id: str
    change_key: str
    attachments: tuple[AttachmentInfo, ...]


class AttachmentProvider(Protocol):
    """Reads and changes what hangs on the entries of one mailbox. Nobody is told of a change, attendees included.

    Each change gives the entry a new change key, and is announced like any other.
    """

    def attached(self, item_ids: Sequence[str]) -> list[Attached | ItemUnreadable]:
        """Return what hangs on entries; nothing else that they say is asked for."""
        ...

    def attach(self, item_id: str, file: OutgoingFile) -> None:
        """Hang a file on an entry, beside what hangs there, of the same name too.

        Raises `ItemGone`, `WriteRefused` (attachment_too_large: the server takes none of this size).
        """
        ...

    def detach(self, attachment_id: str) -> None:
        """Take an attachment off its entry. One that is gone, alone or with its entry, is fine. Raises `WriteRefused`."""
        ...


@dataclass(frozen=True, slots=True)
class OutgoingMail:
    """A message to send. `message_id` is chosen by crmsync, in angle brackets as those that it answers to.

    `sender` None is the mailbox itself. `html` or `text` is sent, the first that is not empty. `token` goes into the
    header `TOKEN_HEADER` when it is not empty.
    """

    message_id: str
    subject: str
    to: tuple[Address, ...]
    cc: tuple[Address, ...] = ()
    bcc: tuple[Address, ...] = ()
    sender: Address | None = None
    html: str = ""
    text: str = ""
    attachments: tuple[OutgoingFile, ...] = ()
    in_reply_to: str = ""
    references: tuple[str, ...] = ()
    token: str = ""
    importance: str = "Normal"


@dataclass(frozen=True, slots=True)
class FoundMessage:
    """A message that carries our stamp. `sent`: it has left our hands, whether or not it has arrived."""

    item_id: str
    change_key: str
    sent: bool
    message_id: str = ""


@dataclass(frozen=True, slots=True)
class LeftDraft:
    """A draft that carries our stamp. `touched`: somebody has changed it since it was made, and may be writing."""

    item_id: str
    change_key: str
    touched: bool


class MailSender(Protocol):
    """Sends mail so that exactly one leaves, whatever dies: make a draft, find it by its stamp, send it (design §4).

    After any failure look first: `find_message` tells whether there is a draft to send, or whether it has been sent.
    """

    def create_message(self, message: OutgoingMail, *, stamp: str) -> FoundMessage:
        """Make a draft in Drafts that carries `stamp`; nothing is sent. Raises `WriteRefused`."""
        ...

    def find_message(self, stamp: str) -> FoundMessage | None:
        """Return the message that carries the stamp: sent if a copy says so, else its draft.

        Drafts, Outbox, Sent Items and Deleted Items are searched. None for a message that was made means that somebody
        put it elsewhere: whether it was sent is then not known, and it must not be made again.
        """
        ...

    def find_drafts(self, stamp: str) -> list[LeftDraft]:
        """Return every draft in Drafts that carries the stamp: several, where a request that was given up was done late."""
        ...

    def send_message(self, item_id: str, change_key: str) -> None:
        """Send a draft and keep a copy in Sent Items; the draft's id ends.

        Raises `ItemGone` (it may be sent: look for it), `ChangedMeanwhile` (somebody has changed the draft),
        `WriteRefused` (recipients_refused, send_as_denied).
        """
        ...


class WholeProvider(
    MailProvider, EntryProvider, AttachmentProvider, MailSender, DraftProbe, CategoryProvider, Protocol
):
    """All that the engine needs of one mailbox; of `DraftProbe` it takes drafts of its own away, and no others."""
