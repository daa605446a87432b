"""`MailSender` over the mail system in memory."""

from typing import Final

from mailboxes.provider.errors import ChangedMeanwhile, ItemGone, WriteRefused
from mailboxes.provider.memory.calls import MemoryCalls
from mailboxes.provider.memory.mail import File, Mail
from mailboxes.provider.memory.store import Mailbox
from mailboxes.provider.port import ChangeKind, FolderRole
from mailboxes.provider.writing import FoundMessage, LeftDraft, OutgoingMail

_PLACES: Final = (FolderRole.SENT, FolderRole.DRAFTS, FolderRole.DELETED)


class MemorySending(MemoryCalls):
    """Sends mail from one mailbox."""

    def create_message(self, message: OutgoingMail, *, stamp: str) -> FoundMessage:
        """Make a draft in Drafts that carries `stamp`; nothing is sent."""

        def work(mailbox: Mailbox) -> FoundMessage:
            item = self._store.draft(mailbox.address, _mail(message, stamp))
            return FoundMessage(item.id, item.change_key, sent=False, message_id=message.message_id)

        return self._call("create_message", work)

    def find_message(self, stamp: str) -> FoundMessage | None:
        """Return the message that carries the stamp: sent if a copy says so, else its draft."""

        def work(mailbox: Mailbox) -> FoundMessage | None:
            places = {each.role: each for each in mailbox.folders.values()}
            found = [
                FoundMessage(
                    item.id,
                    item.change_key,
                    not item.mail.is_draft or role is FolderRole.SENT,
                    item.mail.message_id or "",
                )
                for role in _PLACES
                if role in places
                for item in places[role].items.values()
                if item.mail.stamp.casefold() == stamp.casefold()
            ]
            return next((each for each in found if each.sent), next(iter(found), None))

        return self._call("find_message", work)

    def find_drafts(self, stamp: str) -> list[LeftDraft]:
        """Return every draft in Drafts that carries the stamp."""

        def work(mailbox: Mailbox) -> list[LeftDraft]:
            return [
                LeftDraft(item.id, item.change_key, touched=(ChangeKind.UPDATED, item.id) in folder.log)
                for folder in mailbox.folders.values()
                if folder.role is FolderRole.DRAFTS
                for item in folder.items.values()
                if item.mail.is_draft and item.mail.stamp.casefold() == stamp.casefold()
            ]

        return self._call("find_drafts", work)

    def send_message(self, item_id: str, change_key: str) -> None:
        """Send a draft and keep a copy in Sent Items; the draft's id ends."""

        def work(mailbox: Mailbox) -> None:
            item = self._store.item(mailbox, item_id)
            if item is None:
                raise ItemGone(f"there is no item {item_id}")
            if item.change_key != change_key:
                raise ChangedMeanwhile(f"the change key of {item_id} is {item.change_key} by now")
            if not item.mail.is_draft:
                raise WriteRefused("the message was sent already")
            self._store.send(item_id)

        self._call("send_message", work)


def _mail(message: OutgoingMail, stamp: str) -> Mail:
    return Mail(
        sender=message.sender,
        to=message.to,
        cc=message.cc,
        bcc=message.bcc,
        subject=message.subject,
        message_id=message.message_id,
        in_reply_to=message.in_reply_to,
        references=message.references,
        stamp=stamp,
        token=message.token,
        is_draft=True,
        html=message.html,
        text=message.text,
        importance=message.importance,
        files=tuple(
            File(each.name, each.data, each.content_type, inline=each.inline, content_id=each.content_id)
            for each in message.attachments
        ),
    )
