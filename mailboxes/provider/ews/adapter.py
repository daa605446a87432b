"""`MailProvider` and `DraftProbe` over EWS, for one mailbox; with the classes it builds on, the whole port.

Folders are addressed by id or by what they are for, never by name.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final

from lxml import etree

from mailboxes.provider.errors import (
    AccessRefused,
    FolderGone,
    ItemUnreadable,
)
from mailboxes.provider.ews import answers, operations, soap
from mailboxes.provider.ews.categories import EwsCategories
from mailboxes.provider.ews.entries import EwsEntries
from mailboxes.provider.ews.entry_attachments import EwsAttachments
from mailboxes.provider.ews.sending import EwsSending
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
)
from mailboxes.provider.writing import AttachmentProvider, EntryProvider, MailSender

ENVELOPES_AT_ONCE: Final = 100
CONTENTS_AT_ONCE: Final = 25
ATTACHMENTS_AT_ONCE: Final = 20
ATTACHMENT_BYTES_AT_ONCE: Final = 4_000_000
FOLDERS_AT_ONCE: Final = 500
LISTED_AT_ONCE: Final = 1000  # what Exchange allows unless its throttling policy says otherwise
SEARCHED_AT_ONCE: Final = 50
COPIES: Final = 10
CHANGES_AT_ONCE: Final = 512  # the schema's limit


class EwsProvider(EwsEntries, EwsAttachments, EwsSending, EwsCategories):
    """Speaks for the mailbox of one address: reads its mail, keeps its entries (`EwsEntries`) and what hangs on them
    (`EwsAttachments`), sends (`EwsSending`), keeps its categories (`EwsCategories`).
    """

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

    def listing(
        self, folder_id: str, offset: int, limit: int, *, since: datetime | None = None, until: datetime | None = None
    ) -> Listing:
        """Return at most `limit` of the items in a folder from `offset` on, oldest first; raises `FolderGone`."""
        at_once = max(1, min(limit, LISTED_AT_ONCE))
        body = operations.find_items(folder_id, offset=offset, limit=at_once, since=since, until=until)
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
        return self._written(operations.create_draft(self._distinguished("drafts"), subject), "CreateItem")[0]

    def touch_draft(self, item_id: str) -> str:
        """Change the draft's subject; return its item id."""
        body = operations.set_subject(item_id, "crmsync: test draft, changed")
        return self._written(body, "UpdateItem")[0] or item_id

    def delete_draft(self, item_id: str) -> None:
        """Delete the draft for good."""
        self._written(operations.delete_item(item_id), "DeleteItem")

    # -- folders, inside

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


if TYPE_CHECKING:

    def _fits(provider: EwsProvider) -> tuple[EntryProvider, AttachmentProvider, MailSender]:
        return provider, provider, provider
