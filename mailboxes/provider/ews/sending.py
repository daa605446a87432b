"""`MailSender` over EWS, for one mailbox: a draft that carries our id, then SendItem, then the copy that says so.

CreateItem can make and send in one, but gives no id then: an answer that is lost would leave nothing to find.
"""

from collections.abc import Iterator
from datetime import timedelta
from typing import Final

from lxml import etree

from mailboxes.provider.errors import FolderGone
from mailboxes.provider.ews import answers, entry_requests, soap
from mailboxes.provider.ews.calls import MailboxCalls
from mailboxes.provider.writing import FoundMessage, LeftDraft, OutgoingMail

# Where a message of ours may lie. In the first two it has been sent whatever its flags say: a server that is about to
# hand it on keeps it in the Outbox.
_GONE_OUT: Final = ("sentitems", "outbox")
_PLACES: Final = (*_GONE_OUT, "drafts", "deleteditems")
_COPIES: Final = 10
# Making a message may take the server a moment, which it calls a change.
_WHILE_MADE: Final = timedelta(seconds=5)


class EwsSending(MailboxCalls):
    """Sends mail from one mailbox."""

    def create_message(self, message: OutgoingMail, *, stamp: str) -> FoundMessage:
        """Make a draft in Drafts that carries `stamp`; nothing is sent. Raises `WriteRefused`."""
        body = entry_requests.create_message(self._distinguished("drafts"), message, stamp)
        item_id, change_key = self._written_item(body, "CreateItem")
        return FoundMessage(item_id, change_key, sent=False, message_id=message.message_id)

    def find_message(self, stamp: str) -> FoundMessage | None:
        """Return the message that carries the stamp: sent if a copy says so, else its draft (one request)."""
        folders = [self._distinguished(each) for each in _PLACES]
        body = entry_requests.find_stamp(folders, stamp, entry_requests.FOUND, limit=_COPIES)
        found: list[FoundMessage] = []
        with self._translated():
            messages = self._expect(self._call(body), "FindItem", len(folders))
            for place, message in zip(_PLACES, messages, strict=True):
                refusal = soap.refusal(message)
                if refusal is None:
                    found += _found(message, place)
                elif not isinstance(error := self._about_folder(refusal), FolderGone):
                    raise error
        return next((each for each in found if each.sent), next(iter(found), None))

    def find_drafts(self, stamp: str) -> list[LeftDraft]:
        """Return every draft in Drafts that carries the stamp (one request)."""
        body = entry_requests.find_stamp([self._distinguished("drafts")], stamp, entry_requests.MADE, limit=_COPIES)
        with self._translated():
            try:
                return list(_drafts(answers.only(self._call(body), "FindItem")))
            except soap.Refusal as refusal:
                raise self._about_folder(refusal) from refusal

    def send_message(self, item_id: str, change_key: str) -> None:
        """Send a draft and keep a copy in Sent Items; the draft's id ends."""
        self._written_item(
            entry_requests.send_message(item_id, change_key, self._distinguished("sentitems")), "SendItem"
        )


def _found(message: etree._Element, place: str) -> Iterator[FoundMessage]:
    for item in answers.listed_items(message):
        identity = item.find(f"{soap.T}ItemId")
        if identity is not None:
            said = {str(child.tag)[len(soap.T) :]: child.text or "" for child in item}
            sent = place in _GONE_OUT or said.get("IsSubmitted") == "true" or said.get("IsDraft", "true") == "false"
            message_id = said.get("InternetMessageId", "")
            yield FoundMessage(identity.get("Id", ""), identity.get("ChangeKey", ""), sent, message_id)


def _drafts(message: etree._Element) -> Iterator[LeftDraft]:
    for item in answers.listed_items(message):
        identity = item.find(f"{soap.T}ItemId")
        if identity is None or item.findtext(f"{soap.T}IsDraft") == "false":
            continue
        made = answers.moment(item.findtext(f"{soap.T}DateTimeCreated"))
        changed = answers.moment(item.findtext(f"{soap.T}LastModifiedTime"))
        # What cannot be told is taken for somebody's work.
        touched = made is None or changed is None or changed - made > _WHILE_MADE
        yield LeftDraft(identity.get("Id", ""), identity.get("ChangeKey", ""), touched)
