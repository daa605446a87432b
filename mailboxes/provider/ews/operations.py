"""The requests, written out: what is asked of a server, element by element, in the order its schema demands.

What an envelope may ask for is `ENVELOPE`, and nothing else is ever added to it (S24): no body, no attachment, no
preview. Some properties are optional: a server that calls the request invalid is asked again without them.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final
from xml.sax.saxutils import escape, quoteattr

from mailboxes.provider.port import FolderRole
from mailboxes.provider.text import clean
from mailboxes.provider.writing import TOKEN_HEADER

# The namespace of named properties that crmsync itself writes on items; never to change.
STAMP_SET: Final = "7f1d6c3e-2b84-4a5d-9c0e-5d3c1b8a6f42"
STAMP_NAME: Final = "crmsync"

DISTINGUISHED: Final = {
    FolderRole.INBOX: "inbox",
    FolderRole.SENT: "sentitems",
    FolderRole.DRAFTS: "drafts",
    FolderRole.DELETED: "deleteditems",
    FolderRole.JUNK: "junkemail",
    FolderRole.CALENDAR: "calendar",
    FolderRole.CONTACTS: "contacts",
    FolderRole.TASKS: "tasks",
}


def _field(uri: str) -> str:
    return f'<t:FieldURI FieldURI="{uri}"/>'


def _tag(tag: str, kind: str) -> str:
    return f'<t:ExtendedFieldURI PropertyTag="{tag}" PropertyType="{kind}"/>'


# PR_LOCAL_COMMIT_TIME_MAX and PR_DELETED_COUNT_TOTAL: Microsoft documents them for asking "has anything changed?".
COUNTERS: Final = _tag("0x670a", "SystemTime") + _tag("0x670b", "Integer")
SEARCH_KEY: Final = _tag("0x300b", "Binary")
AUTO_SUBMITTED: Final = '<t:ExtendedFieldURI DistinguishedPropertySetId="InternetHeaders" PropertyName="Auto-Submitted" PropertyType="String"/>'
TOKEN: Final = f'<t:ExtendedFieldURI DistinguishedPropertySetId="InternetHeaders" PropertyName="{TOKEN_HEADER}" PropertyType="String"/>'
STAMP: Final = f'<t:ExtendedFieldURI PropertySetId="{STAMP_SET}" PropertyName="{STAMP_NAME}" PropertyType="String"/>'

ENVELOPE: Final = "".join(
    map(
        _field,
        (
            "message:From",
            "message:Sender",
            "message:ToRecipients",
            "message:CcRecipients",
            "message:BccRecipients",
            "item:Subject",
            "item:ItemClass",
            "item:DateTimeReceived",
            "item:Sensitivity",
            "item:Categories",
            "item:IsDraft",
            "item:InReplyTo",
            "message:InternetMessageId",
            "message:References",
        ),
    )
)
ENVELOPE_OPTIONAL: Final = _field("item:ConversationId") + AUTO_SUBMITTED + SEARCH_KEY + STAMP + TOKEN

CONTENT: Final = "".join(
    map(
        _field,
        ("item:Body", "item:Attachments", "item:DateTimeSent", "item:Importance", "item:Size", "item:DateTimeReceived"),
    )
)

FOLDER: Final = _field("folder:DisplayName") + _field("folder:ParentFolderId") + _field("folder:TotalCount")


def _properties(properties: str) -> str:
    return f"<t:AdditionalProperties>{properties}</t:AdditionalProperties>" if properties else ""


def folder_id(folder: str) -> str:
    """Return the element for a folder known by id."""
    return f"<t:FolderId Id={quoteattr(folder)}/>"


def distinguished_id(name: str, mailbox: str) -> str:
    """Return the element for a folder known by what it is for, in the mailbox of an address ("" for the caller's)."""
    whose = f"<t:Mailbox><t:EmailAddress>{escape(mailbox)}</t:EmailAddress></t:Mailbox>" if mailbox else ""
    return f'<t:DistinguishedFolderId Id="{name}">{whose}</t:DistinguishedFolderId>'


def get_folder(folders: Iterable[str], properties: str) -> str:
    """Return a request for properties of folders, given as the elements above."""
    return (
        "<m:GetFolder><m:FolderShape><t:BaseShape>IdOnly</t:BaseShape>"
        f"{_properties(properties)}</m:FolderShape><m:FolderIds>{''.join(folders)}</m:FolderIds></m:GetFolder>"
    )


def find_folder(parent: str, properties: str, *, offset: int, limit: int) -> str:
    """Return a request for a page of all the folders below `parent`."""
    return (
        '<m:FindFolder Traversal="Deep"><m:FolderShape><t:BaseShape>IdOnly</t:BaseShape>'
        f"{_properties(properties)}</m:FolderShape>"
        f'<m:IndexedPageFolderView MaxEntriesReturned="{limit}" Offset="{offset}" BasePoint="Beginning"/>'
        f"<m:ParentFolderIds>{parent}</m:ParentFolderIds></m:FindFolder>"
    )


def find_items(
    folder: str, *, offset: int, limit: int, since: datetime | None = None, until: datetime | None = None
) -> str:
    """Return a request for a page of the items that lie in a folder: ids only, oldest first, so that new ones come last.

    `since` and `until` bound the received time: from the first on, before the second.
    """
    return (
        f'{_FIND_ITEM}<m:IndexedPageItemView MaxEntriesReturned="{limit}" Offset="{offset}" BasePoint="Beginning"/>'
        f'{_received(since, until)}<m:SortOrder><t:FieldOrder Order="Ascending">{_field("item:DateTimeReceived")}</t:FieldOrder></m:SortOrder>'
        f"<m:ParentFolderIds>{folder_id(folder)}</m:ParentFolderIds></m:FindItem>"
    )


def _received(since: datetime | None, until: datetime | None) -> str:
    tests = [
        f"<t:{name}>{_field('item:DateTimeReceived')}<t:FieldURIOrConstant>"
        f'<t:Constant Value="{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"/></t:FieldURIOrConstant></t:{name}>'
        for name, at in (("IsGreaterThanOrEqualTo", since), ("IsLessThan", until))
        if at is not None
    ]
    if not tests:
        return ""
    whole = tests[0] if len(tests) == 1 else f"<t:And>{''.join(tests)}</t:And>"
    return f"<m:Restriction>{whole}</m:Restriction>"


def find_message(message_id: str, folders: Sequence[str], *, limit: int) -> str:
    """Return a request for the ids of the items in each of the folders that have a Message-ID."""
    return (
        f'{_FIND_ITEM}<m:IndexedPageItemView MaxEntriesReturned="{limit}" Offset="0" BasePoint="Beginning"/>'
        f"<m:Restriction><t:IsEqualTo>{_field('message:InternetMessageId')}<t:FieldURIOrConstant>"
        f"<t:Constant Value={quoteattr(message_id)}/></t:FieldURIOrConstant></t:IsEqualTo></m:Restriction>"
        f"<m:ParentFolderIds>{''.join(map(folder_id, folders))}</m:ParentFolderIds></m:FindItem>"
    )


_FIND_ITEM: Final = '<m:FindItem Traversal="Shallow"><m:ItemShape><t:BaseShape>IdOnly</t:BaseShape></m:ItemShape>'


def sync_folder_items(folder: str, cursor: str | None, limit: int) -> str:
    """Return a request for the next changes: ids only, since every property costs the server a call of its own."""
    state = f"<m:SyncState>{escape(cursor)}</m:SyncState>" if cursor else ""
    return (
        "<m:SyncFolderItems><m:ItemShape><t:BaseShape>IdOnly</t:BaseShape></m:ItemShape>"
        f"<m:SyncFolderId>{folder_id(folder)}</m:SyncFolderId>{state}"
        f"<m:MaxChangesReturned>{limit}</m:MaxChangesReturned></m:SyncFolderItems>"
    )


def get_item(item_ids: Sequence[str], properties: str, *, body: bool = False) -> str:
    """Return a request for properties of items; `body` asks for it as the sender wrote it (HTML, else text)."""
    ids = "".join(f"<t:ItemId Id={quoteattr(each)}/>" for each in item_ids)
    best = "<t:BodyType>Best</t:BodyType>" if body else ""
    return (
        f"<m:GetItem><m:ItemShape><t:BaseShape>IdOnly</t:BaseShape>{best}{_properties(properties)}</m:ItemShape>"
        f"<m:ItemIds>{ids}</m:ItemIds></m:GetItem>"
    )


def get_attachment(attachment_ids: Sequence[str], *, mime: bool) -> str:
    """Return a request for the bytes of attachments; `mime` asks for that form of attached items."""
    shape = "<m:AttachmentShape><t:IncludeMimeContent>true</t:IncludeMimeContent></m:AttachmentShape>" if mime else ""
    ids = "".join(f"<t:AttachmentId Id={quoteattr(each)}/>" for each in attachment_ids)
    return f"<m:GetAttachment>{shape}<m:AttachmentIds>{ids}</m:AttachmentIds></m:GetAttachment>"


def create_draft(folder: str, subject: str) -> str:
    """Return a request for a draft without recipients in `folder` (an element)."""
    return (
        f'<m:CreateItem MessageDisposition="SaveOnly"><m:SavedItemFolderId>{folder}</m:SavedItemFolderId>'
        f"<m:Items><t:Message><t:Subject>{escape(subject)}</t:Subject></t:Message></m:Items></m:CreateItem>"
    )


def set_subject(item_id: str, subject: str) -> str:
    """Return a request to give an item another subject."""
    return (
        '<m:UpdateItem MessageDisposition="SaveOnly" ConflictResolution="AlwaysOverwrite"><m:ItemChanges><t:ItemChange>'
        f"<t:ItemId Id={quoteattr(item_id)}/><t:Updates><t:SetItemField>{_field('item:Subject')}"
        f"<t:Message><t:Subject>{escape(subject)}</t:Subject></t:Message></t:SetItemField></t:Updates>"
        "</t:ItemChange></m:ItemChanges></m:UpdateItem>"
    )


def set_categories(item_id: str, change_key: str, categories: Sequence[str]) -> str:
    """Return a request to give a message that still has this change key these categories and no others."""
    field = _field("item:Categories")
    words = "".join(f"<t:String>{escape(clean(each))}</t:String>" for each in categories)
    inner = f"<t:Message><t:Categories>{words}</t:Categories></t:Message>"
    update = (
        f"<t:SetItemField>{field}{inner}</t:SetItemField>"
        if words
        else f"<t:DeleteItemField>{field}</t:DeleteItemField>"
    )
    return (
        '<m:UpdateItem MessageDisposition="SaveOnly" ConflictResolution="NeverOverwrite"><m:ItemChanges><t:ItemChange>'
        f"<t:ItemId Id={quoteattr(item_id)} ChangeKey={quoteattr(change_key)}/>"
        f"<t:Updates>{update}</t:Updates></t:ItemChange></m:ItemChanges></m:UpdateItem>"
    )


def count_items(folder: str, since: datetime | None) -> str:
    """Return a request that lists one item of a folder at most and tells how many were received since then."""
    wanted = "" if since is None else (
        f"<m:Restriction><t:IsGreaterThanOrEqualTo>{_field('item:DateTimeReceived')}<t:FieldURIOrConstant>"
        f'<t:Constant Value="{since.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"/></t:FieldURIOrConstant>'
        "</t:IsGreaterThanOrEqualTo></m:Restriction>"
    )  # fmt: skip
    return (
        f'{_FIND_ITEM}<m:IndexedPageItemView MaxEntriesReturned="1" Offset="0" BasePoint="Beginning"/>{wanted}'
        f"<m:ParentFolderIds>{folder_id(folder)}</m:ParentFolderIds></m:FindItem>"
    )


def delete_item(item_id: str) -> str:
    """Return a request to end an item for good."""
    return f'<m:DeleteItem DeleteType="HardDelete"><m:ItemIds><t:ItemId Id={quoteattr(item_id)}/></m:ItemIds></m:DeleteItem>'
