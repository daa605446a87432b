"""The port over the mail system in memory."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from mailboxes.provider.errors import FolderGone, ItemGone, ItemUnreadable
from mailboxes.provider.memory.attachments import MemoryAttachments
from mailboxes.provider.memory.categories import MemoryCategories
from mailboxes.provider.memory.entry_provider import MemoryEntries
from mailboxes.provider.memory.mail import File, content, envelope
from mailboxes.provider.memory.sending import MemorySending
from mailboxes.provider.memory.store import Folder, Item, Mailbox
from mailboxes.provider.port import (
    AttachmentBytes,
    AttachmentInfo,
    AttachmentKind,
    Change,
    ChangeKind,
    ChangePage,
    Content,
    DraftProbe,
    Envelope,
    FolderInfo,
    FolderRole,
    Listing,
    MailProvider,
)
from mailboxes.provider.text import clean
from mailboxes.provider.writing import AttachmentProvider, EntryProvider, MailSender

_EARLIEST: Final = datetime.min.replace(tzinfo=UTC)


class MemoryProvider(MemoryEntries, MemoryAttachments, MemorySending, MemoryCategories):
    """The whole port over one mailbox: reads its mail, keeps its entries (`MemoryEntries`) and what hangs on them
    (`MemoryAttachments`), sends (`MemorySending`), keeps its categories (`MemoryCategories`).
    """

    def well_known_folders(self) -> list[FolderInfo]:
        """Return the folders that have a role."""
        found = self._call("well_known_folders", lambda mailbox: [_info(each) for each in mailbox.folders.values()])
        return [info for info in found if info.role is not FolderRole.OTHER]

    def folders(self) -> list[FolderInfo]:
        """Return every folder."""
        return self._call("folders", lambda mailbox: [_info(each) for each in mailbox.folders.values()])

    def counters(self, folder_ids: Sequence[str]) -> dict[str, str | None]:
        """Return each existing folder's counters, None on a server without them."""

        def work(mailbox: Mailbox) -> dict[str, str | None]:
            known = [mailbox.folders[each] for each in folder_ids if each in mailbox.folders]
            if not self._store.counters:
                return {each.id: None for each in known}
            return {each.id: f"{each.commits}/{each.removals}" for each in known}

        return self._call("counters", work)

    def changes(self, folder_id: str, cursor: str | None, limit: int) -> ChangePage:
        """Return at most `limit` changes after `cursor`; raises `CursorExpired`, `FolderGone`."""

        def work(mailbox: Mailbox) -> ChangePage:
            if folder_id not in mailbox.folders:
                raise FolderGone(f"there is no folder {folder_id}")
            return mailbox.folders[folder_id].page(cursor, limit)

        return self._call("changes", work)

    def listing(
        self, folder_id: str, offset: int, limit: int, *, since: datetime | None = None, until: datetime | None = None
    ) -> Listing:
        """Return at most `limit` of the items in a folder from `offset` on; raises `FolderGone`."""

        def work(mailbox: Mailbox) -> Listing:
            if folder_id not in mailbox.folders:
                raise FolderGone(f"there is no folder {folder_id}")
            items = sorted(
                (
                    each
                    for each in mailbox.folders[folder_id].items.values()
                    if _within(each.mail.received_at, since, until)
                ),
                key=lambda each: each.mail.received_at or _EARLIEST,
            )
            part = items[offset : offset + limit]
            end = offset + len(part)
            told = tuple(Change(ChangeKind.CREATED, each.id, each.change_key) for each in part)
            return Listing(told, end if end < len(items) else None)

        return self._call("listing", work)

    def find(self, message_id: str, folder_ids: Sequence[str]) -> list[tuple[str, str]]:
        """Return folder and item id of the items in these folders that have a Message-ID."""

        def work(mailbox: Mailbox) -> list[tuple[str, str]]:
            return [
                (folder.id, item.id)
                for folder in (mailbox.folders[each] for each in folder_ids if each in mailbox.folders)
                for item in folder.items.values()
                if item.mail.message_id == message_id
            ]

        return self._call("find", work)

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

        def one(mailbox: Mailbox, info: AttachmentInfo) -> AttachmentBytes | ItemUnreadable:
            item_id, _, number = info.id.rpartition("/")

            def data(item: Item) -> AttachmentBytes | ItemUnreadable:
                file = _files(item).get(number)
                if file is None:
                    return ItemGone(f"there is no attachment {info.id}")
                if file.kind is AttachmentKind.REFERENCE:
                    return ItemUnreadable("a link to a file elsewhere has no bytes", code="attachment_is_link")
                return AttachmentBytes(info.id, file.data)

            return self._read(mailbox, item_id, "attachments", data)

        return self._call("attachments", lambda mailbox: [one(mailbox, each) for each in attachments])

    # -- DraftProbe

    def create_draft(self, subject: str) -> str:
        """Create a draft and return its id."""
        return self._call(
            "create_draft",
            lambda mailbox: self._store.deliver(
                mailbox.address, "drafts", subject=subject, sender=None, is_draft=True, message_id=""
            ),
        )

    def touch_draft(self, item_id: str) -> str:
        """Change the draft's subject and return its id."""

        def work(_mailbox: Mailbox) -> str:
            try:
                self._store.touch(item_id, subject=self._store.mail(item_id).subject + " (changed)")
            except KeyError:
                raise ItemGone(f"there is no item {item_id}") from None
            return item_id

        return self._call("touch_draft", work)

    def delete_draft(self, item_id: str) -> None:
        """Delete the draft for good."""

        def work(_mailbox: Mailbox) -> None:
            try:
                self._store.remove(item_id)
            except KeyError:
                raise ItemGone(f"there is no item {item_id}") from None

        self._call("delete_draft", work)


def _within(at: datetime | None, since: datetime | None, until: datetime | None) -> bool:
    """Tell whether a time lies within bounds; a message without one lies in none."""
    if at is None:
        return since is None and until is None
    return (since is None or since <= at) and (until is None or at < until)


def _info(folder: Folder) -> FolderInfo:
    return FolderInfo(folder.id, clean(folder.name), folder.role, folder.parent_id, len(folder.items))


def _files(item: Item) -> dict[str, File]:
    if item.entry is not None:
        return {str(each.number): each.file for each in item.entry.files}
    return {str(number): file for number, file in enumerate(item.mail.files)}


def _envelope(item: Item) -> Envelope:
    return envelope(item.id, item.change_key, item.mail)


def _content(item: Item) -> Content:
    return content(item.id, item.change_key, item.mail)


if TYPE_CHECKING:

    def _fits(
        provider: MemoryProvider,
    ) -> tuple[MailProvider, DraftProbe, EntryProvider, AttachmentProvider, MailSender]:
        return provider, provider, provider, provider, provider
