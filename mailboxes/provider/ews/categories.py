"""`CategoryProvider` over EWS, for one mailbox."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final
from uuid import uuid4

from lxml import etree

from mailboxes.provider.categories import Category, standing
from mailboxes.provider.ews import answers, category_list, operations, soap
from mailboxes.provider.ews.calls import MailboxCalls
from mailboxes.provider.ews.errors import CODES

_NOT_THERE: Final = frozenset({"ErrorItemNotFound", "ErrorFolderNotFound"})
# A server that answers so has no such operation, or not for us: that is an answer, and no failure.
_REFUSED: Final = frozenset({"request_refused", "access_refused", "item_unreadable", "folder_gone", "version_refused"})


class EwsCategories(MailboxCalls):
    """Keeps the list of categories, and puts categories on messages."""

    def categories(self) -> list[Category] | None:
        """Return the mailbox's list; None: the server keeps none for us."""
        with self._translated():
            try:
                root, _new = self._category_list()
            except soap.Refusal as refusal:
                if _says_no(refusal):
                    return None
                raise
            except soap.NotAnAnswer:
                # Somebody else's document, and not to be written over.
                return None
        return category_list.entries(root)

    def ensure_categories(self, wanted: Sequence[Category]) -> list[Category] | None:
        """See to it that the list has each of these; return them as they stand in it now, None as above."""
        with self._translated():
            try:
                root, new = self._category_list()
                listed = category_list.entries(root)
                found = [standing(each, listed) for each in wanted]
                made = [_with_id(each) for each, there in zip(wanted, found, strict=True) if there is None]
                if made:
                    folder = self._distinguished("calendar")
                    body = category_list.put(folder, category_list.add(root, made), new=new)
                    operation = "CreateUserConfiguration" if new else "UpdateUserConfiguration"
                    answers.only(self._call(body, again=False), operation)
            except soap.Refusal as refusal:
                if _says_no(refusal):
                    return None
                raise
            except soap.NotAnAnswer:
                return None
        fresh = iter(made)
        return [there or next(fresh) for there in found]

    def _category_list(self) -> tuple[etree._Element, bool]:
        """Return the document, and whether it is not there yet."""
        try:
            message = answers.only(
                self._call(category_list.get(self._distinguished("calendar"))), "GetUserConfiguration"
            )
        except soap.Refusal as refusal:
            if refusal.code not in _NOT_THERE:
                raise
            return category_list.read(""), True
        return category_list.read(message.findtext(f".//{soap.T}XmlData") or ""), False

    def categorize(self, item_id: str, change_key: str, categories: Sequence[str]) -> str:
        """Give a message these categories and no others; return its new change key."""
        _id, new_key = self._written_item(operations.set_categories(item_id, change_key, categories), "UpdateItem")
        return new_key

    def count(self, folder_id: str, since: datetime | None) -> int:
        """Return how many items of a folder were received at `since` or later; raises `FolderGone`."""
        with self._translated():
            try:
                message = answers.only(self._call(operations.count_items(folder_id, since)), "FindItem")
            except soap.Refusal as refusal:
                raise self._about_folder(refusal) from refusal
            page = message.find(f"{soap.M}RootFolder")
            total = "" if page is None else page.get("TotalItemsInView", "")
            if not total.isdecimal():
                raise soap.NotAnAnswer("a listing without a total")
            return int(total)


def _says_no(refusal: soap.Refusal) -> bool:
    row = CODES.get(refusal.code)
    return row is None or row.code in _REFUSED


def _with_id(category: Category) -> Category:
    return category if category.id else replace(category, id=f"{{{str(uuid4()).upper()}}}")
