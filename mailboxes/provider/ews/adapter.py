"""`MailProvider` and `DraftProbe` over EWS, for one mailbox.

Folders are addressed by id or by what they are for, never by name. Items are asked for in chunks; when a whole chunk
cannot be read because of one item in it, it is halved until that item stands alone.
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
from mailboxes.provider.port import (
    AttachmentBytes,
    AttachmentInfo,
    AttachmentKind,
    ChangePage,
    Content,
    Envelope,
    FolderInfo,
    FolderRole,
    Listing,
    ServerFacts,
)

Read = TypeVar("Read")

ENVELOPES_AT_ONCE: Final = 100
CONTENTS_AT_ONCE: Final = 25
ATTACHMENTS_AT_ONCE: Final = 20
ATTACHMENT_BYTES_AT_ONCE: Final = 4_000_000
FOLDERS_AT_ONCE: Final = 500
LISTED_AT_ONCE: Final = 1000  # what Exchange allows unless its throttling policy says otherwise
SEARCHED_AT_ONCE: Final = 50
COPIES: Final = 10
CHANGES_AT_ONCE: Final = 512  # the schema's limit

# One item can cause these for all that were asked for with it.
_PERHAPS_ONE_ITEM: Final = ("server_error", "answer_unreadable")
_STOPPED: Final = "ErrorBatchProcessingStopped"
_SHAPE_ERRORS: Final = (ValueError, LookupError, TypeError, AttributeError)


class EwsProvider:
    """Speaks for the mailbox of one address, by impersonation or with the mailbox's own sign-in."""

    def __init__(self, client: Client, address: str, *, impersonate: bool) -> None:
        self._client = client
        self._address = address
        self._impersonate = impersonate
        self._requests = 0

    @property
    def requests(self) -> int:
        """Return how many requests this object has made so far."""
        return self._requests

    @property
    def facts(self) -> ServerFacts:
        """Return what the server has told of itself."""
        return self._client.facts

    # -- folders

    def well_known_folders(self) -> list[FolderInfo]:
        """Return the folders that have a role and exist (one request)."""
        roles = list(operations.DISTINGUISHED)
        body = operations.get_folder(
            [self._distinguished(operations.DISTINGUISHED[role]) for role in roles], operations.FOLDER
        )
        found = []
        with self._translated():
            messages = self._expect(self._call(body), "GetFolder", len(roles))
            for role, message in zip(roles, messages, strict=True):
                element = self._folder_of(message, required=role is FolderRole.INBOX)
                if element is not None:
                    found.append(_info(element, role))
        # Of these, the parent is the root (None) unless it is one of them.
        ids = {info.id for info in found}
        return [_below(info, ids) for info in found]

    def folders(self) -> list[FolderInfo]:
        """Return every folder of the mailbox that holds items of its own."""
        roles = {info.id: info.role for info in self.well_known_folders()}
        root = self._distinguished("msgfolderroot")
        found: list[FolderInfo] = []
        with self._translated():
            while True:
                body = operations.find_folder(root, operations.FOLDER, offset=len(found), limit=FOLDERS_AT_ONCE)
                message = answers.only(self._call(body), "FindFolder")
                elements = list(answers.folder_elements(message))
                found += [_info(each, roles.get(answers.folder_id(each), FolderRole.OTHER)) for each in elements]
                page = message.find(f"{soap.M}RootFolder")
                if not elements or page is None or page.get("IncludesLastItemInRange", "true") == "true":
                    break
        ids = {info.id for info in found}
        return [_below(info, ids) for info in found]

    def counters(self, folder_ids: Sequence[str]) -> dict[str, str | None]:
        """Return each folder's change counters in one request; None where the server has none."""
        if not folder_ids:
            return {}
        ids = [operations.folder_id(each) for each in folder_ids]
        with self._translated():
            element = self._call_optional(
                "counters",
                lambda: operations.get_folder(ids, operations.COUNTERS + '<t:FieldURI FieldURI="folder:TotalCount"/>'),
                lambda: operations.get_folder(ids, ""),
            )
            found: dict[str, str | None] = {}
            for folder_id, message in zip(folder_ids, self._expect(element, "GetFolder", len(ids)), strict=True):
                folder = self._folder_of(message, required=False)
                if folder is not None:
                    found[folder_id] = answers.counters(folder)
            return found

    # -- changes

    def changes(self, folder_id: str, cursor: str | None, limit: int) -> ChangePage:
        """Return at most `limit` changes after `cursor`; raises `CursorExpired`, `FolderGone`."""
        body = operations.sync_folder_items(folder_id, cursor, max(1, min(limit, CHANGES_AT_ONCE)))
        with self._translated():
            try:
                message = answers.only(self._call(body), "SyncFolderItems")
            except soap.Refusal as refusal:
                raise self._about_folder(refusal) from refusal
            state = message.findtext(f"{soap.M}SyncState", "")
            more = message.findtext(f"{soap.M}IncludesLastItemInRange", "true").strip() == "false"
            changes = tuple(answers.changes(message))
            if not state or (more and state == cursor):
                raise soap.NotAnAnswer("the server gave no new cursor")
            return ChangePage(changes, state, more)

    # -- what lies where

    def listing(self, folder_id: str, offset: int, limit: int) -> Listing:
        """Return at most `limit` of the items in a folder from `offset` on, oldest first; raises `FolderGone`."""
        body = operations.find_items(folder_id, offset=offset, limit=max(1, min(limit, LISTED_AT_ONCE)))
        with self._translated():
            try:
                message = answers.only(self._call(body), "FindItem")
            except soap.Refusal as refusal:
                raise self._about_folder(refusal) from refusal
            found, following = answers.listed(message)
            changes = tuple(found)
            if following is not None and (following <= offset or not changes):
                raise soap.NotAnAnswer("a listing that does not get on")
            return Listing(changes, following)

    def find(self, message_id: str, folder_ids: Sequence[str]) -> list[tuple[str, str]]:
        """Return folder and item id of the items in these folders that have a Message-ID."""
        found: list[tuple[str, str]] = []
        for start in range(0, len(folder_ids), SEARCHED_AT_ONCE):
            part = folder_ids[start : start + SEARCHED_AT_ONCE]
            with self._translated():
                element = self._call(operations.find_message(message_id, part, limit=COPIES))
                for folder, message in zip(part, self._expect(element, "FindItem", len(part)), strict=True):
                    refusal = soap.refusal(message)
                    if refusal is None:
                        found += [(folder, each.item_id) for each in answers.listed(message)[0]]
                    elif not isinstance(error := self._about_folder(refusal), FolderGone):
                        raise error
        return found

    # -- items

    def envelopes(self, item_ids: Sequence[str]) -> list[Envelope | ItemUnreadable]:
        """Return sender, recipients, subject and control fields of the items, no content (S24)."""

        def ask(ids: Sequence[str]) -> etree._Element:
            return self._call_optional(
                "envelope",
                lambda: operations.get_item(ids, operations.ENVELOPE + operations.ENVELOPE_OPTIONAL),
                lambda: operations.get_item(ids, operations.ENVELOPE),
            )

        return self._items(item_ids, ENVELOPES_AT_ONCE, ask, answers.envelope)

    def contents(self, item_ids: Sequence[str]) -> list[Content | ItemUnreadable]:
        """Return the bodies and lists of attachments of the items."""

        def ask(ids: Sequence[str]) -> etree._Element:
            return self._call(operations.get_item(ids, operations.CONTENT, body=True))

        return self._items(item_ids, CONTENTS_AT_ONCE, ask, answers.content)

    def attachments(self, attachments: Sequence[AttachmentInfo]) -> list[AttachmentBytes | ItemUnreadable]:
        """Return the bytes of the attachments, several in one request; a link has none and is unreadable."""
        found: dict[str, AttachmentBytes | ItemUnreadable] = {
            each.id: ItemUnreadable("a link to a file elsewhere has no bytes", code="attachment_is_link")
            for each in attachments
            if each.kind is AttachmentKind.REFERENCE
        }
        for kind, ask in ((AttachmentKind.FILE, self._attached), (AttachmentKind.ITEM, self._attached_items)):
            for group in _groups([each for each in attachments if each.kind is kind]):
                found.update(zip(group, self._read(group, ask), strict=True))
        return [found[each.id] for each in attachments]

    def _attached_items(self, ids: Sequence[str]) -> list[AttachmentBytes | ItemUnreadable]:
        return self._attached(ids, mime=True)

    def _attached(self, ids: Sequence[str], *, mime: bool = False) -> list[AttachmentBytes | ItemUnreadable]:
        element = self._call(operations.get_attachment(ids, mime=mime))
        found: list[AttachmentBytes | ItemUnreadable] = []
        for attachment_id, message in zip(ids, self._expect(element, "GetAttachment", len(ids)), strict=True):
            refusal = soap.refusal(message)
            if refusal is not None:
                found.append(self._unreadable(refusal))
                continue
            data = answers.attachment_bytes(message)
            found.append(AttachmentBytes(attachment_id, data) if isinstance(data, bytes) else data)
        return found

    # -- DraftProbe

    def create_draft(self, subject: str) -> str:
        """Create a draft that is sent to nobody; return its item id."""
        return self._write(operations.create_draft(self._distinguished("drafts"), subject), "CreateItem")

    def touch_draft(self, item_id: str) -> str:
        """Change the draft's subject; return its item id."""
        return self._write(operations.set_subject(item_id, "crmsync: test draft, changed"), "UpdateItem") or item_id

    def delete_draft(self, item_id: str) -> None:
        """Delete the draft for good."""
        self._write(operations.delete_item(item_id), "DeleteItem")

    def _write(self, body: str, operation: str) -> str:
        with self._translated():
            message = answers.only(self._call(body, again=False), operation)
            written = next(message.iter(f"{soap.T}ItemId"), None)
            return "" if written is None else written.get("Id", "")

    # -- reading many

    def _items(
        self,
        item_ids: Sequence[str],
        at_once: int,
        ask: Callable[[Sequence[str]], etree._Element],
        convert: Callable[[str, etree._Element], Read],
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
        convert: Callable[[str, etree._Element], Read],
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

    # -- folders, inside

    def _distinguished(self, name: str) -> str:
        return operations.distinguished_id(name, "" if self._impersonate else self._address)

    def _folder_of(self, message: etree._Element, *, required: bool) -> etree._Element | None:
        """Return the folder in a message, None when it is gone or out of reach; raises what concerns more than it."""
        refusal = soap.refusal(message)
        if refusal is None:
            return next(answers.folder_elements(message), None)
        error = self._about_folder(refusal)
        if not isinstance(error, FolderGone):
            raise error
        if required:
            raise AccessRefused(str(refusal), code="access_refused")
        return None

    def _about_folder(self, refusal: soap.Refusal) -> ProviderError:
        """Return the error of a request about one folder: an "item" that is gone is then the folder."""
        error = self._client.refused(refusal)
        if isinstance(error, ItemUnreadable):
            return FolderGone(str(refusal))
        if isinstance(error, AccessRefused) and error.code == "access_refused":
            return FolderGone(str(refusal), code="folder_refused")
        return error


def _converted(
    item_id: str, message: etree._Element, convert: Callable[[str, etree._Element], Read]
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


def _info(element: etree._Element, role: FolderRole) -> FolderInfo:
    parent = element.find(f"{soap.T}ParentFolderId")
    total = element.findtext(f"{soap.T}TotalCount", "").strip()
    return FolderInfo(
        id=answers.folder_id(element),
        name=element.findtext(f"{soap.T}DisplayName", ""),
        role=role,
        parent_id=None if parent is None else parent.get("Id"),
        total=int(total) if total.isdecimal() else None,
    )


def _below(info: FolderInfo, ids: set[str]) -> FolderInfo:
    """Return the folder with a parent among `ids`, or directly below the root."""
    return info if info.parent_id in ids else FolderInfo(info.id, info.name, info.role, None, info.total)


def _groups(attachments: Sequence[AttachmentInfo]) -> Iterator[list[str]]:
    """Yield ids to be asked for together: few enough, and small enough together."""
    group: list[str] = []
    size = 0
    for each in attachments:
        if group and (len(group) == ATTACHMENTS_AT_ONCE or size + each.size > ATTACHMENT_BYTES_AT_ONCE):
            yield group
            group, size = [], 0
        group.append(each.id)
        size += each.size
    if group:
        yield group
