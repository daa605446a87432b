"""How a mailbox is spoken to over EWS: one request at a time, errors translated, many items in chunks.

When a whole chunk cannot be read because of one item in it, it is halved until that item stands alone. What is asked,
and what is made of the answers, is the subject of the classes that build on this one.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final, TypeVar

from lxml import etree

from mailboxes.provider.errors import (
    AccessRefused,
    AnswerUnreadable,
    FolderGone,
    ItemUnreadable,
    ProviderError,
    Unavailable,
)
from mailboxes.provider.ews import answers, operations, soap
from mailboxes.provider.ews.client import Client
from mailboxes.provider.ews.errors import PROPERTY_REFUSED, of_item
from mailboxes.provider.port import ServerFacts

Read = TypeVar("Read")

# One item can cause these for all that were asked for with it.
_PERHAPS_ONE_ITEM: Final = ("server_error", "answer_unreadable")
_STOPPED: Final = "ErrorBatchProcessingStopped"
_SHAPE_ERRORS: Final = (ValueError, LookupError, TypeError, AttributeError)


class MailboxCalls:
    """Speaks for the mailbox of one address, by impersonation or with the mailbox's own sign-in.

    `zone` (IANA) is where the owner's whole days begin, which Exchange keeps as midnights of a zone; "" when it is not
    known.
    """

    def __init__(self, client: Client, address: str, *, impersonate: bool, zone: str = "") -> None:
        self._client = client
        self._address = address
        self._impersonate = impersonate
        self._zone = zone
        self._requests = 0

    @property
    def requests(self) -> int:
        """Return how many requests this object has made so far."""
        return self._requests

    @property
    def facts(self) -> ServerFacts:
        """Return what the server has told of itself."""
        return self._client.facts

    # -- reading many

    def _items(
        self,
        item_ids: Sequence[str],
        at_once: int,
        ask: Callable[[Sequence[str]], etree._Element],
        convert: Callable[[str, etree._Element], Read | ItemUnreadable],
    ) -> list[Read | ItemUnreadable]:
        def read(ids: Sequence[str]) -> list[Read | ItemUnreadable]:
            return self._answered(ids, ask, convert)

        found: list[Read | ItemUnreadable] = []
        for start in range(0, len(item_ids), at_once):
            found += self._read(item_ids[start : start + at_once], read)
        return found

    def _answered(
        self,
        ids: Sequence[str],
        ask: Callable[[Sequence[str]], etree._Element],
        convert: Callable[[str, etree._Element], Read | ItemUnreadable],
    ) -> list[Read | ItemUnreadable]:
        """Ask for items and convert them. What a server left out because it was out of time is asked for again."""
        found: list[Read | ItemUnreadable] = []
        for item_id, message in zip(ids, self._expect(ask(ids), "GetItem", len(ids)), strict=True):
            refusal = soap.refusal(message)
            if refusal is None:
                found.append(_converted(item_id, message, convert))
            elif refusal.code == _STOPPED and found:
                return found + self._answered(ids[len(found) :], ask, convert)
            else:
                found.append(self._unreadable(refusal))
        return found

    def _unreadable(self, refusal: soap.Refusal) -> ItemUnreadable:
        error = of_item(refusal)
        if error is None:
            raise refusal
        return error

    def _read(
        self, ids: Sequence[str], ask: Callable[[Sequence[str]], list[Read | ItemUnreadable]]
    ) -> list[Read | ItemUnreadable]:
        """Ask for all ids at once, and for ever smaller parts while the whole cannot be read.

        Ends with the error when nothing at all could be read on the way to single items: then it is the server.
        """
        found: dict[str, Read | ItemUnreadable] = {}
        waiting: list[Sequence[str]] = [ids]
        failures, patience = 0, len(ids).bit_length() + 1
        while waiting:
            part = waiting.pop(0)
            try:
                with self._translated():
                    found.update(zip(part, ask(part), strict=True))
            except (AnswerUnreadable, Unavailable) as error:
                failures += 1
                if error.code not in _PERHAPS_ONE_ITEM or len(ids) == 1 or failures > patience:
                    raise
                if len(part) == 1:
                    found[part[0]] = ItemUnreadable(error.detail)
                else:
                    waiting[:0] = [part[: len(part) // 2], part[len(part) // 2 :]]
            else:
                failures = 0
        if len(ids) > 1 and all(
            isinstance(each, ItemUnreadable) and each.code == "item_unreadable" for each in found.values()
        ):
            self._doubt(found)
        return [found[each] for each in ids]

    def _doubt(self, found: dict[str, Read | ItemUnreadable]) -> None:
        """Raise when every one of several items has the server's own error: then it is not about the items."""
        texts = [str(each) for each in found.values()]
        if all(text.startswith("ErrorInternalServerError") for text in texts):
            raise Unavailable(texts[0], code="server_error")

    # -- calling

    def _call(self, body: str, *, again: bool = True) -> etree._Element:
        return self._client.call(
            body, mailbox=self._address, impersonate=self._impersonate, count=self._count, again=again
        )

    def _count(self) -> None:
        self._requests += 1

    def _call_optional(self, feature: str, full: Callable[[], str], plain: Callable[[], str]) -> etree._Element:
        """Ask in full, or, where a server calls that invalid, plainly now and from then on: only one is written out."""
        if feature not in self._client.without:
            try:
                element = self._call(full())
            except soap.Refusal as refusal:
                if refusal.code not in PROPERTY_REFUSED:
                    raise
            else:
                if not _all_refused(element):
                    return element
            element = self._call(plain())
            if not _all_refused(element):
                # Else it was not the optional properties, but what was asked about: no reason to go without them.
                self._client.without.add(feature)
            return element
        return self._call(plain())

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except soap.Refusal as refusal:
            raise self._client.refused(refusal) from refusal
        except soap.NotAnAnswer as error:
            raise AnswerUnreadable(str(error)) from error

    def _expect(self, element: etree._Element, operation: str, count: int) -> list[etree._Element]:
        """Return the response messages, one per thing asked for; one refusal may stand for all."""
        messages = answers.messages(element, operation)
        if len(messages) == count:
            return messages
        error = soap.refusal(messages[0]) if messages else None
        raise error or soap.NotAnAnswer(f"{operation} for {count} was answered {len(messages)} times")

    def _written(self, body: str, operation: str) -> tuple[str, str]:
        """Make a request that changes one item, once; return id and change key that the answer gives, "" for neither."""
        with self._translated():
            return self._write(body, operation)

    def _written_item(self, body: str, operation: str) -> tuple[str, str]:
        """Do the same with what a person wrote: what a server does not take is then about the item (`of_write`)."""
        try:
            return self._write(body, operation)
        except soap.Refusal as refusal:
            raise self._client.refused_write(refusal) from refusal
        except soap.NotAnAnswer as error:
            raise AnswerUnreadable(str(error)) from error

    def _write(self, body: str, operation: str) -> tuple[str, str]:
        message = answers.only(self._call(body, again=False), operation)
        written = next(message.iter(f"{soap.T}ItemId"), None)
        return ("", "") if written is None else (written.get("Id", ""), written.get("ChangeKey", ""))

    # -- folders

    def _distinguished(self, name: str) -> str:
        return operations.distinguished_id(name, "" if self._impersonate else self._address)

    def _about_folder(self, refusal: soap.Refusal) -> ProviderError:
        """Return the error of a request about one folder: an "item" that is gone is then the folder."""
        error = self._client.refused(refusal)
        if isinstance(error, ItemUnreadable):
            return FolderGone(str(refusal))
        if isinstance(error, AccessRefused) and error.code == "access_refused":
            return FolderGone(str(refusal), code="folder_refused")
        return error


def _converted(
    item_id: str, message: etree._Element, convert: Callable[[str, etree._Element], Read | ItemUnreadable]
) -> Read | ItemUnreadable:
    try:
        return convert(item_id, answers.item_element(message))
    except soap.NotAnAnswer as error:
        return ItemUnreadable(str(error))
    except _SHAPE_ERRORS as error:
        # Shaped unlike anything known: that costs the item, not the page.
        return ItemUnreadable(f"the item's properties cannot be read ({type(error).__name__})")


def _all_refused(element: etree._Element) -> bool:
    """Return whether every response message says that a property is not known."""
    found = element.find(f"{soap.M}ResponseMessages")
    messages = () if found is None else tuple(found)
    # Mostly the first message settles it.
    return bool(messages) and all(
        refusal is not None and refusal.code in PROPERTY_REFUSED for refusal in map(soap.refusal, messages)
    )
