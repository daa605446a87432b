"""`AttachmentProvider` over EWS, for one mailbox.

CreateAttachment and DeleteAttachment change an item without UpdateItem, so without a word about invitations: Exchange
tells nobody of them. Neither asks for the item's change key, so neither fails because somebody typed meanwhile.
"""

from collections.abc import Sequence
from typing import Final

from lxml import etree

from mailboxes.provider.errors import AnswerUnreadable, ItemGone, ItemUnreadable, Misconfigured, OtherKind, WriteRefused
from mailboxes.provider.ews import answers, entry_requests, operations, soap
from mailboxes.provider.ews.calls import MailboxCalls
from mailboxes.provider.ews.entry_fields import ELEMENTS, field_path
from mailboxes.provider.writing import Attached, OutgoingFile

LISTS_AT_ONCE: Final = 50
_ENTRIES: Final = frozenset(f"{soap.T}{name}" for name in ELEMENTS.values())
_TOO_LARGE: Final = frozenset(
    {"ErrorMessageSizeExceeded", "ErrorDataSizeLimitExceeded", "ErrorAttachmentSizeLimitExceeded"}
)
# The web server in front of EWS has limits of its own. Beyond them it says 413, or 404 as if nothing were there; of a
# request of some size, and of no other, that is about its size.
_BEYOND_LIMITS: Final = frozenset({"request_refused", "no_ews_here"})
_OF_SOME_SIZE: Final = 1_000_000


class EwsAttachments(MailboxCalls):
    """Reads and changes what hangs on the entries of one mailbox."""

    def attached(self, item_ids: Sequence[str]) -> list[Attached | ItemUnreadable]:
        """Return what hangs on entries; nothing else that they say is asked for."""

        def ask(ids: Sequence[str]) -> etree._Element:
            return self._call(operations.get_item(ids, field_path("item:Attachments")))

        return self._items(item_ids, LISTS_AT_ONCE, ask, _attached)

    def attach(self, item_id: str, file: OutgoingFile) -> None:
        """Hang a file on an entry, beside what hangs there; raises `ItemGone`, `WriteRefused`."""
        try:
            answers.only(self._call(entry_requests.create_attachment(item_id, file), again=False), "CreateAttachment")
        except soap.Refusal as refusal:
            if refusal.code in _TOO_LARGE:
                raise WriteRefused(str(refusal), code="attachment_too_large") from refusal
            raise self._client.refused_write(refusal) from refusal
        except soap.NotAnAnswer as error:
            raise AnswerUnreadable(str(error)) from error
        except (AnswerUnreadable, Misconfigured) as error:
            if error.code not in _BEYOND_LIMITS or len(file.data) < _OF_SOME_SIZE:
                raise
            raise WriteRefused(error.detail, code="attachment_too_large") from error

    def detach(self, attachment_id: str) -> None:
        """Take an attachment off its entry. One that is gone, alone or with its entry, is fine."""
        try:
            self._written_item(entry_requests.delete_attachment(attachment_id), "DeleteAttachment")
        except ItemGone:
            return


def _attached(item_id: str, item: etree._Element) -> Attached | ItemUnreadable:
    if item.tag not in _ENTRIES:
        return OtherKind(f"it is a {etree.QName(item).localname}")
    identity, listed = item.find(f"{soap.T}ItemId"), item.find(f"{soap.T}Attachments")
    change_key = "" if identity is None else identity.get("ChangeKey", "")
    return Attached(item_id, change_key, () if listed is None else tuple(answers.attachment_infos(listed)))
