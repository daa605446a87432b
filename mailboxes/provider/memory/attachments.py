"""`AttachmentProvider` over the mail system in memory."""

from collections.abc import Sequence

from mailboxes.provider.errors import ItemGone, ItemUnreadable, OtherKind
from mailboxes.provider.memory.calls import MemoryCalls
from mailboxes.provider.memory.mail import File
from mailboxes.provider.memory.store import Item, Mailbox
from mailboxes.provider.writing import Attached, OutgoingFile


class MemoryAttachments(MemoryCalls):
    """Reads and changes what hangs on the entries of one mailbox."""

    def attached(self, item_ids: Sequence[str]) -> list[Attached | ItemUnreadable]:
        """Return what hangs on entries."""
        return self._call(
            "attached", lambda mailbox: [self._read(mailbox, each, "attached", _attached) for each in item_ids]
        )

    def attach(self, item_id: str, file: OutgoingFile) -> None:
        """Hang a file on an entry, beside what hangs there; raises `ItemGone`, `WriteRefused`."""

        def work(mailbox: Mailbox) -> None:
            item = self._store.item(mailbox, item_id)
            if item is None or item.entry is None:
                raise ItemGone(f"there is no entry {item_id}")
            hung = File(
                file.name, file.data, file.content_type, inline=file.inline, content_id=file.content_id
            )  # fmt: skip
            self._store.hang(item_id, hung)

        self._call("attach", work)

    def detach(self, attachment_id: str) -> None:
        """Take an attachment off its entry. One that is gone, alone or with its entry, is fine."""

        def work(mailbox: Mailbox) -> None:
            item = self._store.item(mailbox, attachment_id.rpartition("/")[0])
            known = () if item is None or item.entry is None else item.entry.files
            if item is not None and attachment_id in {each.info(item.id).id for each in known}:
                self._store.take_down(attachment_id)

        self._call("detach", work)


def _attached(item: Item) -> Attached | ItemUnreadable:
    if item.entry is None:
        return OtherKind("it is a message")
    return Attached(item.id, item.change_key, tuple(each.info(item.id) for each in item.entry.files))
