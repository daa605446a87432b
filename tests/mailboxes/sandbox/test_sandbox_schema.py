"""Every operation, and every kind of item, against the protocol's published schema."""

from datetime import UTC, date, datetime

import pytest

from mailboxes.sandbox import demo
from mailboxes.sandbox.operations.registry import OPERATIONS
from mailboxes.sandbox.server import SandboxServer
from mailboxes.sandbox.store import SandboxStore
from mailboxes.sandbox.tasks import Task
from tests import ews_schema
from tests.mailboxes.sandbox.test_sandbox_cards_and_calendars import CARD, REVIEW
from tests.mailboxes.sandbox.test_sandbox_reading import RICH
from tests.mailboxes.sandbox.wire import ANNA, BEN, Ask, mail

IDS = "<m:ItemShape><t:BaseShape>IdOnly</t:BaseShape></m:ItemShape>"
ALL = "<m:ItemShape><t:BaseShape>AllProperties</t:BaseShape></m:ItemShape>"
FOLDER = "<m:FolderShape><t:BaseShape>AllProperties</t:BaseShape></m:FolderShape>"
INBOX = '<t:DistinguishedFolderId Id="inbox"/>'
DRAFTS = '<t:DistinguishedFolderId Id="drafts"/>'
PEOPLE = f"<t:ToRecipients><t:Mailbox><t:EmailAddress>{BEN}</t:EmailAddress></t:Mailbox></t:ToRecipients>"
ITEM, KEYED, DRAFT, ATTACHMENT, OWN = "{item}", "{keyed}", "{draft}", "{attachment}", "{folder}"
CONFIGURATION = (
    '<m:UserConfiguration><t:UserConfigurationName Name="{}"><t:DistinguishedFolderId Id="calendar"/></t:UserConfigurationName>'
    "<t:Dictionary><t:DictionaryEntry><t:DictionaryKey><t:Type>String</t:Type><t:Value>k</t:Value></t:DictionaryKey>"
    "<t:DictionaryValue><t:Type>String</t:Type><t:Value>v</t:Value></t:DictionaryValue></t:DictionaryEntry></t:Dictionary>"
    "<t:XmlData>PGNhdGVnb3JpZXMvPg==</t:XmlData></m:UserConfiguration>"
)
NAMED = (
    '<m:UserConfigurationName Name="CategoryList"><t:DistinguishedFolderId Id="calendar"/></m:UserConfigurationName>'
)
SUBSCRIBE = (
    '<m:Subscribe><m:PullSubscriptionRequest SubscribeToAllFolders="true"><t:EventTypes><t:EventType>ModifiedEvent</t:EventType>'
    "</t:EventTypes><t:Timeout>5</t:Timeout></m:PullSubscriptionRequest></m:Subscribe>"
)

REQUESTS = {
    "ConvertId": f'<m:ConvertId DestinationFormat="HexEntryId"><m:SourceIds><t:AlternateId Format="EwsId" Id="{ITEM}" Mailbox="{ANNA}"/></m:SourceIds></m:ConvertId>',
    "CopyItem": f'<m:CopyItem><m:ToFolderId>{DRAFTS}</m:ToFolderId><m:ItemIds><t:ItemId Id="{ITEM}"/></m:ItemIds></m:CopyItem>',
    "CreateAttachment": f'<m:CreateAttachment><m:ParentItemId Id="{ITEM}"/><m:Attachments><t:FileAttachment><t:Name>a</t:Name><t:Content>YQ==</t:Content></t:FileAttachment>'
    "<t:ItemAttachment><t:Name>b</t:Name><t:Message><t:Subject>x</t:Subject></t:Message></t:ItemAttachment></m:Attachments></m:CreateAttachment>",
    "CreateFolder": f"<m:CreateFolder><m:ParentFolderId>{INBOX}</m:ParentFolderId><m:Folders><t:Folder><t:DisplayName>New</t:DisplayName><t:ExtendedProperty>"
    '<t:ExtendedFieldURI PropertyTag="0x6700" PropertyType="String"/><t:Value>v</t:Value></t:ExtendedProperty></t:Folder></m:Folders></m:CreateFolder>',
    "CreateItem": f'<m:CreateItem MessageDisposition="SaveOnly"><m:Items><t:Message><t:Subject>x</t:Subject>{PEOPLE}</t:Message></m:Items></m:CreateItem>',
    "CreateUserConfiguration": f"<m:CreateUserConfiguration>{CONFIGURATION.format('Other')}</m:CreateUserConfiguration>",
    "DeleteAttachment": f'<m:DeleteAttachment><m:AttachmentIds><t:AttachmentId Id="{ATTACHMENT}"/></m:AttachmentIds></m:DeleteAttachment>',
    "DeleteFolder": f'<m:DeleteFolder DeleteType="HardDelete"><m:FolderIds><t:FolderId Id="{OWN}"/></m:FolderIds></m:DeleteFolder>',
    "DeleteItem": f'<m:DeleteItem DeleteType="HardDelete"><m:ItemIds><t:ItemId Id="{ITEM}"/></m:ItemIds></m:DeleteItem>',
    "DeleteUserConfiguration": f"<m:DeleteUserConfiguration>{NAMED}</m:DeleteUserConfiguration>",
    "EmptyFolder": f'<m:EmptyFolder DeleteType="HardDelete" DeleteSubFolders="true"><m:FolderIds>{INBOX}</m:FolderIds></m:EmptyFolder>',
    "ExpandDL": '<m:ExpandDL><m:Mailbox><t:ItemId Id="{list}"/></m:Mailbox></m:ExpandDL>',
    "FindFolder": f'<m:FindFolder Traversal="Deep">{FOLDER}<m:ParentFolderIds><t:DistinguishedFolderId Id="root"/></m:ParentFolderIds></m:FindFolder>',
    "FindItem": f'<m:FindItem Traversal="Shallow">{ALL}<m:ParentFolderIds>{INBOX}</m:ParentFolderIds></m:FindItem>',
    "GetAttachment": f'<m:GetAttachment><m:AttachmentIds><t:AttachmentId Id="{ATTACHMENT}"/><t:AttachmentId Id="{ATTACHMENT}"/></m:AttachmentIds></m:GetAttachment>',
    "GetEvents": "<m:GetEvents><m:SubscriptionId>{subscription}</m:SubscriptionId><m:Watermark>{watermark}</m:Watermark></m:GetEvents>",
    "GetFolder": f'<m:GetFolder>{FOLDER}<m:FolderIds>{INBOX}<t:DistinguishedFolderId Id="calendar"/><t:DistinguishedFolderId Id="contacts"/>'
    '<t:DistinguishedFolderId Id="tasks"/><t:DistinguishedFolderId Id="root"/></m:FolderIds></m:GetFolder>',
    "GetItem": f'<m:GetItem>{ALL}<m:ItemIds><t:ItemId Id="{ITEM}"/></m:ItemIds></m:GetItem>',
    "GetServerTimeZones": "<m:GetServerTimeZones/>",
    "GetUserConfiguration": f"<m:GetUserConfiguration>{NAMED}<m:UserConfigurationProperties>All</m:UserConfigurationProperties></m:GetUserConfiguration>",
    "MoveFolder": f'<m:MoveFolder><m:ToFolderId>{DRAFTS}</m:ToFolderId><m:FolderIds><t:FolderId Id="{OWN}"/></m:FolderIds></m:MoveFolder>',
    "MoveItem": f'<m:MoveItem><m:ToFolderId>{DRAFTS}</m:ToFolderId><m:ItemIds><t:ItemId Id="{ITEM}"/></m:ItemIds></m:MoveItem>',
    "ResolveNames": '<m:ResolveNames ReturnFullContactData="false"><m:UnresolvedEntry>ben</m:UnresolvedEntry></m:ResolveNames>',
    "SendItem": f'<m:SendItem SaveItemToFolder="true"><m:ItemIds><t:ItemId {DRAFT}/></m:ItemIds></m:SendItem>',
    "Subscribe": SUBSCRIBE,
    "SyncFolderHierarchy": f"<m:SyncFolderHierarchy>{FOLDER}</m:SyncFolderHierarchy>",
    "SyncFolderItems": f"<m:SyncFolderItems>{ALL}<m:SyncFolderId>{INBOX}</m:SyncFolderId><m:MaxChangesReturned>100</m:MaxChangesReturned></m:SyncFolderItems>",
    "Unsubscribe": "<m:Unsubscribe><m:SubscriptionId>{subscription}</m:SubscriptionId></m:Unsubscribe>",
    "UpdateFolder": f'<m:UpdateFolder><m:FolderChanges><t:FolderChange><t:FolderId Id="{OWN}"/><t:Updates><t:SetFolderField><t:FieldURI FieldURI="folder:DisplayName"/>'
    "<t:Folder><t:DisplayName>Other</t:DisplayName></t:Folder></t:SetFolderField></t:Updates></t:FolderChange></m:FolderChanges></m:UpdateFolder>",
    "UpdateItem": f'<m:UpdateItem ConflictResolution="AutoResolve" MessageDisposition="SaveOnly"><m:ItemChanges><t:ItemChange><t:ItemId {KEYED}/><t:Updates>'
    '<t:SetItemField><t:FieldURI FieldURI="item:Subject"/><t:Message><t:Subject>New</t:Subject></t:Message></t:SetItemField></t:Updates></t:ItemChange></m:ItemChanges></m:UpdateItem>',
    "UpdateUserConfiguration": f"<m:UpdateUserConfiguration>{CONFIGURATION.format('CategoryList')}</m:UpdateUserConfiguration>",
}


def test_every_operation_has_a_request_here() -> None:
    assert set(REQUESTS) == set(OPERATIONS)


@pytest.mark.parametrize("operation", sorted(REQUESTS))
def test_requests_and_answers_are_valid(store: SandboxStore, ask: Ask, operation: str) -> None:
    ews_schema.require()
    item = store.item(store.deliver_mime(ANNA, RICH, categories=["Red"]))
    folder = store.create_folder(ANNA, "inbox", "Own")
    draft = ask(REQUESTS["CreateItem"]).all("t:ItemId")[0]
    attachment = ask(REQUESTS["GetItem"].format(item=item.id)).all("t:AttachmentId")[2].get("Id")
    assert ask(
        f"<m:CreateUserConfiguration>{CONFIGURATION.format('CategoryList')}</m:CreateUserConfiguration>"
    ).codes == ["NoError"]
    subscribed = ask(SUBSCRIBE)
    reply = ask(
        REQUESTS[operation].format(
            item=item.id,
            keyed=f'Id="{item.id}" ChangeKey="{item.change_key}"',
            draft=f'Id="{draft.get("Id")}" ChangeKey="{draft.get("ChangeKey")}"',
            folder=folder,
            attachment=attachment,
            subscription=subscribed.texts("m:SubscriptionId")[0],
            watermark=subscribed.texts("m:Watermark")[0],
            list=store.add_list(ANNA, "Buyers", [BEN]),
        )
    )
    assert set(reply.codes) == {"NoError"}


def test_every_kind_of_item_is_valid_with_all_its_properties(store: SandboxStore, ask: Ask) -> None:
    ews_schema.require()
    ids = [
        *store.add_ics(ANNA, REVIEW),
        *store.add_vcf(ANNA, CARD),
        store.add_task(ANNA, Task("Call", "Text", percent_complete=50)),
        store.add_list(ANNA, "Buyers", [BEN, "x@outside.example"]),
        store.add_task(
            ANNA,
            Task(
                "Weekly",
                start=date(2026, 11, 2),
                rule="FREQ=WEEKLY;BYDAY=MO",
                delegation="Accepted",
                delegator="Ben",
                assigned=datetime(2026, 11, 1, tzinfo=UTC),
            ),
        ),
        store.deliver_mime(ANNA, RICH),
    ]
    for method in ("REQUEST", "REPLY", "CANCEL"):
        invitation = REVIEW.replace(b"BEGIN:VEVENT", f"METHOD:{method}\r\nBEGIN:VEVENT".encode()).decode()
        ids.append(store.deliver_mime(ANNA, mail(Content_Type=f"text/calendar; method={method}", text=invitation)))
    targets = "".join(f'<t:ItemId Id="{one}"/>' for one in ids)
    reply = ask(f"<m:GetItem>{ALL}<m:ItemIds>{targets}</m:ItemIds></m:GetItem>")
    kinds = [items[0].tag.rpartition("}")[2] for items in reply.all("m:Items")]
    assert kinds == [
        "CalendarItem",
        "Contact",
        "Task",
        "DistributionList",
        "Task",
        "Message",
        "MeetingRequest",
        "MeetingResponse",
        "MeetingCancellation",
    ]


def test_the_whole_demo_is_valid(ask: Ask) -> None:
    ews_schema.require()
    store = SandboxStore()
    store.add_mailbox(ANNA, "anna-pw", impersonator=True)
    demo.load(store)
    server = SandboxServer(store)
    for mailbox in store.mailboxes.values():
        targets = [
            f'<t:ItemId Id="{item.id}"/>' for folder in mailbox.folders.values() for item in folder.items.values()
        ]
        for start in range(0, len(targets), 50):
            page = "".join(targets[start : start + 50])
            reply = ask(
                f"<m:GetItem>{ALL}<m:ItemIds>{page}</m:ItemIds></m:GetItem>", impersonate=mailbox.address, of=server
            )
            assert set(reply.codes) == {"NoError"}
    server.stop()
