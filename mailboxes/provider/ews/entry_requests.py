"""The requests that write entries and send mail. Each says of itself that nobody is told: a server's default is another.

A change is refused when anything of the item changed since (`NeverOverwrite`): with `AutoResolve` a server would write
over what somebody typed into another field of the same meeting, unseen.
"""

import base64
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final
from xml.sax.saxutils import escape, quoteattr

from mailboxes.provider.entries import EntryKind
from mailboxes.provider.ews.entry_fields import ELEMENTS, note_path
from mailboxes.provider.ews.entry_parts import Part, ordered, updates, utc_text
from mailboxes.provider.ews.operations import STAMP, STAMP_NAME, folder_id
from mailboxes.provider.port import Address
from mailboxes.provider.text import clean
from mailboxes.provider.writing import TOKEN_HEADER, OutgoingFile, OutgoingMail

_TOKEN_PATH: Final = (
    f'<t:ExtendedFieldURI DistinguishedPropertySetId="InternetHeaders" PropertyName="{TOKEN_HEADER}"'
    ' PropertyType="String"/>'
)
FOUND: Final = "".join(
    f'<t:FieldURI FieldURI="{uri}"/>' for uri in ("item:IsDraft", "item:IsSubmitted", "message:InternetMessageId")
)

MADE: Final = "".join(
    f'<t:FieldURI FieldURI="{uri}"/>' for uri in ("item:IsDraft", "item:DateTimeCreated", "item:LastModifiedTime")
)


def create_entry(folder: str, kind: EntryKind, parts: Iterable[Part]) -> str:
    """Return a request for a new entry in a folder, inviting nobody."""
    tag = ELEMENTS[kind]
    return (
        '<m:CreateItem MessageDisposition="SaveOnly" SendMeetingInvitations="SendToNone">'
        f"<m:SavedItemFolderId>{folder_id(folder)}</m:SavedItemFolderId>"
        f"<m:Items><t:{tag}>{ordered(parts)}</t:{tag}></m:Items></m:CreateItem>"
    )


def update_entry(item_id: str, change_key: str, kind: EntryKind, parts: Iterable[Part]) -> str:
    """Return a request to change an entry that still has this change key, telling nobody."""
    return (
        '<m:UpdateItem ConflictResolution="NeverOverwrite" MessageDisposition="SaveOnly"'
        ' SendMeetingInvitationsOrCancellations="SendToNone"><m:ItemChanges><t:ItemChange>'
        f"<t:ItemId Id={quoteattr(item_id)} ChangeKey={quoteattr(change_key)}/>"
        f"<t:Updates>{updates(kind, parts)}</t:Updates></t:ItemChange></m:ItemChanges></m:UpdateItem>"
    )


def delete_entry(item_id: str) -> str:
    """Return a request to put an entry into Deleted Items, a recurring task as a whole, telling nobody."""
    return (
        '<m:DeleteItem DeleteType="MoveToDeletedItems" SendMeetingCancellations="SendToNone"'
        f' AffectedTaskOccurrences="AllOccurrences"><m:ItemIds><t:ItemId Id={quoteattr(item_id)}/></m:ItemIds>'
        "</m:DeleteItem>"
    )


def get_entries(item_ids: Sequence[str], properties: str) -> str:
    """Return a request for properties of entries, what is written in them as plain text."""
    ids = "".join(f"<t:ItemId Id={quoteattr(each)}/>" for each in item_ids)
    return (
        "<m:GetItem><m:ItemShape><t:BaseShape>IdOnly</t:BaseShape><t:BodyType>Text</t:BodyType>"
        f"<t:AdditionalProperties>{properties}</t:AdditionalProperties></m:ItemShape>"
        f"<m:ItemIds>{ids}</m:ItemIds></m:GetItem>"
    )


def find_stamp(folders: Sequence[str], stamp: str, properties: str = "", *, limit: int) -> str:
    """Return a request for the items in folders (elements) that carry our stamp."""
    more = f"<t:AdditionalProperties>{properties}</t:AdditionalProperties>" if properties else ""
    return (
        '<m:FindItem Traversal="Shallow"><m:ItemShape><t:BaseShape>IdOnly</t:BaseShape>'
        f'{more}</m:ItemShape><m:IndexedPageItemView MaxEntriesReturned="{limit}" Offset="0" BasePoint="Beginning"/>'
        f"<m:Restriction><t:IsEqualTo>{STAMP}<t:FieldURIOrConstant><t:Constant Value={quoteattr(stamp)}/>"
        f"</t:FieldURIOrConstant></t:IsEqualTo></m:Restriction><m:ParentFolderIds>{''.join(folders)}</m:ParentFolderIds>"
        "</m:FindItem>"
    )


def find_occurrences(folder: str, begins: datetime, ends: datetime, properties: str) -> str:
    """Return a request for what takes place in a folder between two moments, occurrences of series each on its own."""
    view = f'StartDate="{utc_text(begins)}" EndDate="{utc_text(ends)}"'
    return (
        '<m:FindItem Traversal="Shallow"><m:ItemShape><t:BaseShape>IdOnly</t:BaseShape>'
        f"<t:AdditionalProperties>{properties}</t:AdditionalProperties></m:ItemShape><m:CalendarView {view}/>"
        f"<m:ParentFolderIds>{folder_id(folder)}</m:ParentFolderIds></m:FindItem>"
    )


def find_newest(folder: str, properties: str, *, limit: int) -> str:
    """Return a request for properties of the items that were made last in a folder (an element)."""
    return (
        '<m:FindItem Traversal="Shallow"><m:ItemShape><t:BaseShape>IdOnly</t:BaseShape>'
        f"<t:AdditionalProperties>{properties}</t:AdditionalProperties></m:ItemShape>"
        f'<m:IndexedPageItemView MaxEntriesReturned="{limit}" Offset="0" BasePoint="Beginning"/>'
        '<m:SortOrder><t:FieldOrder Order="Descending"><t:FieldURI FieldURI="item:DateTimeCreated"/></t:FieldOrder>'
        f"</m:SortOrder><m:ParentFolderIds>{folder}</m:ParentFolderIds></m:FindItem>"
    )


# -- what hangs on an entry


def create_attachment(item_id: str, file: OutgoingFile) -> str:
    """Return a request to hang a file on an item, whatever its change key is by now."""
    return (
        f"<m:CreateAttachment><m:ParentItemId Id={quoteattr(item_id)}/>"
        f"<m:Attachments>{_file(file)}</m:Attachments></m:CreateAttachment>"
    )


def delete_attachment(attachment_id: str) -> str:
    """Return a request to take an attachment off its item."""
    return (
        f"<m:DeleteAttachment><m:AttachmentIds><t:AttachmentId Id={quoteattr(attachment_id)}/></m:AttachmentIds>"
        "</m:DeleteAttachment>"
    )


# -- mail


def create_message(folder: str, mail: OutgoingMail, stamp: str) -> str:
    """Return a request for a draft in a folder (an element), attachments included; nothing is sent."""
    kind, body = ("HTML", mail.html) if mail.html else ("Text", mail.text)
    files = "".join(map(_file, mail.attachments))
    notes = _note(note_path(STAMP_NAME), stamp) + (_note(_TOKEN_PATH, mail.token) if mail.token else "")
    inner = (
        _leaf("Subject", mail.subject),
        f'<t:Body BodyType="{kind}">{escape(clean(body))}</t:Body>',
        f"<t:Attachments>{files}</t:Attachments>" if files else "",
        _leaf("Importance", mail.importance),
        _leaf("InReplyTo", mail.in_reply_to) if mail.in_reply_to else "",
        notes,
        *(_recipients(name, each) for name, each in (("To", mail.to), ("Cc", mail.cc), ("Bcc", mail.bcc)) if each),
        f"<t:From>{_mailbox(mail.sender)}</t:From>" if mail.sender else "",
        _leaf("InternetMessageId", mail.message_id),
        _leaf("References", " ".join(mail.references)) if mail.references else "",
    )
    return (
        f'<m:CreateItem MessageDisposition="SaveOnly"><m:SavedItemFolderId>{folder}</m:SavedItemFolderId>'
        f"<m:Items><t:Message>{''.join(inner)}</t:Message></m:Items></m:CreateItem>"
    )


def send_message(item_id: str, change_key: str, folder: str) -> str:
    """Return a request to send a draft and to keep its copy in a folder (an element)."""
    return (
        f'<m:SendItem SaveItemToFolder="true"><m:ItemIds><t:ItemId Id={quoteattr(item_id)}'
        f" ChangeKey={quoteattr(change_key)}/></m:ItemIds><m:SavedItemFolderId>{folder}</m:SavedItemFolderId></m:SendItem>"
    )


def _leaf(name: str, text: str) -> str:
    return f"<t:{name}>{escape(clean(text))}</t:{name}>"


def _note(path: str, text: str) -> str:
    return f"<t:ExtendedProperty>{path}{_leaf('Value', text)}</t:ExtendedProperty>"


def _recipients(name: str, people: Iterable[Address]) -> str:
    return f"<t:{name}Recipients>{''.join(map(_mailbox, people))}</t:{name}Recipients>"


def _mailbox(address: Address) -> str:
    name = _leaf("Name", address.name) if address.name else ""
    return f"<t:Mailbox>{name}{_leaf('EmailAddress', address.email)}</t:Mailbox>"


def _file(file: OutgoingFile) -> str:
    content_id = _leaf("ContentId", file.content_id) if file.content_id else ""
    return (
        f"<t:FileAttachment>{_leaf('Name', file.name)}{_leaf('ContentType', file.content_type)}{content_id}"
        f"<t:IsInline>{'true' if file.inline else 'false'}</t:IsInline>"
        f"<t:Content>{base64.b64encode(file.data).decode()}</t:Content></t:FileAttachment>"
    )
