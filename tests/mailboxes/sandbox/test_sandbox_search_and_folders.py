"""Searches and folder operations, raw: what exchangelib sends rarely or never, other clients do."""

from datetime import UTC, datetime

import pytest

from mailboxes.sandbox.store import SandboxStore
from tests.mailboxes.sandbox.test_sandbox_cards_and_calendars import CARD
from tests.mailboxes.sandbox.wire import ANNA, BEN, Ask, Reply, mail

INBOX = '<t:DistinguishedFolderId Id="inbox"/>'
TOP = '<t:DistinguishedFolderId Id="msgfolderroot"/>'
TAG = '<t:ExtendedFieldURI PropertyTag="0x6700" PropertyType="String"/>'


def find(
    ask: Ask,
    inner: str = "",
    *,
    where: str = INBOX,
    traversal: str = "Shallow",
    view: str = "",
    shape: str = "item:Subject",
    query: str = "",
) -> Reply:
    return ask(
        f'<m:FindItem Traversal="{traversal}"><m:ItemShape><t:BaseShape>IdOnly</t:BaseShape><t:AdditionalProperties>'
        f'<t:FieldURI FieldURI="{shape}"/></t:AdditionalProperties></m:ItemShape>{view}{inner}'
        f"<m:ParentFolderIds>{where}</m:ParentFolderIds>{query}</m:FindItem>"
    )


def compared(name: str, field: str, value: str) -> str:
    return (
        f"<m:Restriction><t:{name}>{field}<t:FieldURIOrConstant>"
        f'<t:Constant Value="{value}"/></t:FieldURIOrConstant></t:{name}></m:Restriction>'
    )


def contains(value: str, mode: str, comparison: str = "IgnoreCase") -> str:
    return (
        f'<m:Restriction><t:Contains ContainmentMode="{mode}" ContainmentComparison="{comparison}">'
        f'<t:FieldURI FieldURI="item:Subject"/><t:Constant Value="{value}"/></t:Contains></m:Restriction>'
    )


@pytest.fixture
def mails(store: SandboxStore) -> SandboxStore:
    for number, subject in enumerate(["Green tea", "Black tea", "green apple"]):
        at = datetime(2026, 11, 1 + number, tzinfo=UTC)
        item = store.item(store.deliver_mime(ANNA, mail(subject, number=number), received=at))
        if number == 1:
            item.content.extended["tag:6700:String"] = "<t:Value>mark</t:Value>"
    return store


@pytest.mark.parametrize(
    ("inner", "subjects"),
    [
        (contains("green", "Prefixed"), ["green apple", "Green tea"]),
        (contains("green", "Prefixed", "Exact"), ["green apple"]),
        (contains("green tea", "FullString"), ["Green tea"]),
        (contains("TEA", "Substring"), ["Black tea", "Green tea"]),
        (contains("app", "PrefixOnWords"), ["green apple"]),
        (contains("apple", "ExactPhrase"), ["green apple"]),
        (compared("IsEqualTo", '<t:FieldURI FieldURI="item:Subject"/>', "BLACK TEA"), ["Black tea"]),
        (compared("IsNotEqualTo", '<t:FieldURI FieldURI="item:Subject"/>', "Black tea"), ["green apple", "Green tea"]),
        (
            compared("IsLessThan", '<t:FieldURI FieldURI="item:DateTimeReceived"/>', "2026-11-02T00:00:00Z"),
            ["Green tea"],
        ),
        (
            compared(
                "IsGreaterThanOrEqualTo", '<t:FieldURI FieldURI="item:DateTimeReceived"/>', "2026-11-02T01:00:00+01:00"
            ),
            ["green apple", "Black tea"],
        ),
        (compared("IsEqualTo", TAG, "mark"), ["Black tea"]),
        (f"<m:Restriction><t:Exists>{TAG}</t:Exists></m:Restriction>", ["Black tea"]),
        (f"<m:Restriction><t:Not><t:Exists>{TAG}</t:Exists></t:Not></m:Restriction>", ["green apple", "Green tea"]),
    ],
)
def test_a_restriction_finds_what_it_says(mails: SandboxStore, ask: Ask, inner: str, subjects: list[str]) -> None:
    assert find(ask, inner).texts("t:Subject") == subjects


@pytest.mark.parametrize(
    ("inner", "code"),
    [
        (
            '<m:Restriction><t:IsEqualTo><t:FieldURI FieldURI="item:Subject"/><t:FieldURIOrConstant><t:FieldURI FieldURI="item:Size"/>'
            "</t:FieldURIOrConstant></t:IsEqualTo></m:Restriction>",
            "ErrorUnsupportedQueryFilter",
        ),
    ],
)
def test_a_restriction_that_is_not_supported_says_so(mails: SandboxStore, ask: Ask, inner: str, code: str) -> None:
    assert find(ask, inner).codes == [code]


@pytest.mark.parametrize("inner", ["<m:Restriction/>", "<m:Restriction><t:Exists/></m:Restriction>"])
def test_a_restriction_without_its_parts_is_invalid(ask: Ask, inner: str) -> None:
    reply = ask(
        '<m:FindItem Traversal="Shallow"><m:ItemShape><t:BaseShape>IdOnly</t:BaseShape></m:ItemShape>'
        f"{inner}<m:ParentFolderIds>{INBOX}</m:ParentFolderIds></m:FindItem>",
        valid=False,
    )
    assert reply.codes == ["ErrorInvalidRestriction"]


def test_people_phones_and_ids_can_be_searched_for(store: SandboxStore, ask: Ask) -> None:
    store.add_vcf(ANNA, CARD)
    item_id = store.deliver_mime(ANNA, mail())
    contacts = '<t:DistinguishedFolderId Id="contacts"/>'
    by_address = compared(
        "IsEqualTo",
        '<t:IndexedFieldURI FieldURI="contacts:EmailAddress" FieldIndex="EmailAddress2"/>',
        "a2@quill.example",
    )
    assert find(ask, by_address, where=contacts).texts("t:Subject") == ["Anna Puig"]
    by_other = compared(
        "IsEqualTo",
        '<t:IndexedFieldURI FieldURI="contacts:EmailAddress" FieldIndex="EmailAddress1"/>',
        "a2@quill.example",
    )
    assert find(ask, by_other, where=contacts).texts("t:Subject") == []
    assert len(find(ask, compared("IsEqualTo", '<t:FieldURI FieldURI="item:ItemId"/>', item_id)).all("t:ItemId")) == 1
    sender = compared("IsEqualTo", '<t:FieldURI FieldURI="message:From"/>', "carla@outside.example")
    assert len(find(ask, sender).all("t:ItemId")) == 1


def test_a_page_can_be_counted_from_the_end(mails: SandboxStore, ask: Ask) -> None:
    reply = find(ask, view='<m:IndexedPageItemView MaxEntriesReturned="1" Offset="1" BasePoint="End"/>')
    assert reply.texts("t:Subject") == ["Black tea"]
    (root,) = reply.all("m:RootFolder")
    assert (root.get("TotalItemsInView"), root.get("IncludesLastItemInRange")) == ("3", "false")


def test_words_are_searched_in_the_subject(mails: SandboxStore, ask: Ask) -> None:
    assert find(ask, query="<m:QueryString>TEA green</m:QueryString>").texts("t:Subject") == ["Green tea"]
    assert find(ask, traversal="SoftDeleted").texts("t:Subject") == []


def test_one_dictionary_entry_can_be_asked_for(store: SandboxStore, ask: Ask) -> None:
    (item_id,) = store.add_vcf(ANNA, CARD)
    reply = ask(
        "<m:GetItem><m:ItemShape><t:BaseShape>IdOnly</t:BaseShape><t:AdditionalProperties>"
        '<t:IndexedFieldURI FieldURI="contacts:PhoneNumber" FieldIndex="Pager"/>'
        '<t:IndexedFieldURI FieldURI="contacts:PhysicalAddress:Street" FieldIndex="Home"/>'
        '<t:IndexedFieldURI FieldURI="contacts:ImAddress" FieldIndex="ImAddress1"/>'
        f'</t:AdditionalProperties></m:ItemShape><m:ItemIds><t:ItemId Id="{item_id}"/></m:ItemIds></m:GetItem>'
    )
    assert [entry.get("Key") for entry in reply.all("t:Entry")] == ["Home", "Pager"]
    assert (reply.texts("t:Street"), reply.texts("t:City")) == (["Plaça 2"], []), (
        "one line was asked for, not the address"
    )
    wrong = '<t:IndexedFieldURI FieldURI="contacts:Pigeon" FieldIndex="1"/>'
    assert ask(
        f"<m:GetItem><m:ItemShape><t:BaseShape>IdOnly</t:BaseShape><t:AdditionalProperties>{wrong}"
        f'</t:AdditionalProperties></m:ItemShape><m:ItemIds><t:ItemId Id="{item_id}"/></m:ItemIds></m:GetItem>',
        valid=False,
    ).codes == ["ErrorSchemaValidation"]


@pytest.mark.parametrize(
    ("start", "end", "most", "outcome"),
    [
        ("2026-11-01T00:00:00Z", "2026-11-30T00:00:00Z", "", ["One", "Two", "Three"]),
        ("2026-11-01T00:00:00Z", "2026-11-30T00:00:00Z", ' MaxEntriesReturned="2"', ["One", "Two"]),
        ("2026-11-24T10:30:00Z", "2026-11-24T11:30:00Z", "", ["One", "Two"]),
        ("2026-11-30T00:00:00Z", "2026-11-01T00:00:00Z", "", "ErrorCalendarEndDateIsEarlierThanStartDate"),
    ],
)
def test_a_calendar_view_shows_what_touches_its_span(
    store: SandboxStore, ask: Ask, start: str, end: str, most: str, outcome: list[str] | str
) -> None:
    for hour, name in ((12, "Three"), (10, "One"), (11, "Two")):
        event = f"BEGIN:VEVENT\r\nUID:{hour}\r\nSUMMARY:{name}\r\nDTSTART:20261124T{hour}0000Z\r\nDURATION:PT1H\r\nEND:VEVENT\r\n"
        store.add_ics(ANNA, f"BEGIN:VCALENDAR\r\n{event}END:VCALENDAR\r\n".encode())
    view = f'<m:CalendarView{most} StartDate="{start}" EndDate="{end}"/>'
    reply = find(ask, where='<t:DistinguishedFolderId Id="calendar"/>', view=view)
    if isinstance(outcome, str):
        assert reply.codes == [outcome]
    else:
        assert reply.texts("t:Subject") == outcome


def test_a_view_without_dates_is_refused(ask: Ask) -> None:
    reply = ask(
        '<m:FindItem Traversal="Shallow"><m:ItemShape><t:BaseShape>IdOnly</t:BaseShape></m:ItemShape><m:CalendarView StartDate="x"/>'
        f"<m:ParentFolderIds>{INBOX}</m:ParentFolderIds></m:FindItem>",
        valid=False,
    )
    assert reply.codes == ["ErrorSchemaValidation"]


# -- folders


def folders(ask: Ask, inner: str = "", *, traversal: str = "Deep", view: str = "") -> Reply:
    return ask(
        f'<m:FindFolder Traversal="{traversal}"><m:FolderShape><t:BaseShape>Default</t:BaseShape><t:AdditionalProperties>{TAG}'
        f"</t:AdditionalProperties></m:FolderShape>{view}{inner}<m:ParentFolderIds>{TOP}</m:ParentFolderIds></m:FindFolder>"
    )


def updated(ask: Ask, folder: str, update: str, *, valid: bool = True) -> list[str]:
    return ask(
        f"<m:UpdateFolder><m:FolderChanges><t:FolderChange>{folder}<t:Updates>{update}</t:Updates></t:FolderChange></m:FolderChanges></m:UpdateFolder>",
        valid=valid,
    ).codes


def test_folders_are_found_by_name_class_and_mark(store: SandboxStore, ask: Ask) -> None:
    folder = f'<t:FolderId Id="{store.create_folder(ANNA, "inbox", "Projects")}"/>'
    assert updated(
        ask,
        folder,
        f"<t:SetFolderField>{TAG}<t:Folder><t:ExtendedProperty>{TAG}<t:Value>mark</t:Value></t:ExtendedProperty></t:Folder></t:SetFolderField>",
    ) == ["NoError"]
    marked = folders(ask, f"<m:Restriction><t:Exists>{TAG}</t:Exists></m:Restriction>")
    assert (marked.texts("t:DisplayName"), marked.texts("t:Value")) == (["Projects"], ["mark"])
    by_class = compared("IsEqualTo", '<t:FieldURI FieldURI="folder:FolderClass"/>', "IPF.Task")
    assert folders(ask, by_class).texts("t:DisplayName") == ["Tasks"]
    assert "Projects" not in folders(ask, traversal="Shallow").texts("t:DisplayName")
    assert folders(ask, traversal="SoftDeleted").texts("t:DisplayName") == []
    page = folders(ask, view='<m:IndexedPageFolderView MaxEntriesReturned="2" Offset="1" BasePoint="Beginning"/>')
    assert page.texts("t:DisplayName") == ["Projects", "Drafts"]
    assert updated(ask, folder, f"<t:DeleteFolderField>{TAG}</t:DeleteFolderField>") == ["NoError"]
    assert folders(ask, f"<m:Restriction><t:Exists>{TAG}</t:Exists></m:Restriction>").texts("t:DisplayName") == []


def test_folder_updates_that_make_no_sense_get_their_code(store: SandboxStore, ask: Ask) -> None:
    folder = f'<t:FolderId Id="{store.create_folder(ANNA, "inbox", "Projects")}"/>'

    def set_to(uri: str, value: str) -> str:
        return f'<t:SetFolderField><t:FieldURI FieldURI="folder:{uri}"/><t:Folder>{value}</t:Folder></t:SetFolderField>'

    assert updated(ask, folder, set_to("TotalCount", "<t:TotalCount>1</t:TotalCount>")) == ["ErrorInvalidPropertySet"]
    assert updated(ask, folder, set_to("DisplayName", "<t:DisplayName></t:DisplayName>")) == ["ErrorFolderSave"]
    assert updated(ask, folder, set_to("FolderClass", "<t:FolderClass>IPF.Note.X</t:FolderClass>")) == ["NoError"]
    assert store.folder(ANNA, "inbox/Projects").folder_class == "IPF.Note.X"
    assert updated(ask, folder, set_to("Colour", "<t:DisplayName/>"), valid=False) == ["ErrorSchemaValidation"]
    assert updated(ask, folder, "<t:SetFolderField/>", valid=False) == ["ErrorSchemaValidation"]
    assert ask(
        "<m:UpdateFolder><m:FolderChanges><t:FolderChange/></m:FolderChanges></m:UpdateFolder>", valid=False
    ).codes == ["ErrorSchemaValidation"]


def test_folders_a_mailbox_was_born_with_stay_where_they_are(store: SandboxStore, ask: Ask) -> None:
    assert ask(
        f"<m:MoveFolder><m:ToFolderId>{TOP}</m:ToFolderId><m:FolderIds>{INBOX}</m:FolderIds></m:MoveFolder>"
    ).codes == ["ErrorMoveDistinguishedFolder"]
    folder = f'<t:FolderId Id="{store.create_folder(ANNA, "inbox", "Projects")}"/>'
    assert ask(
        f"<m:MoveFolder><m:ToFolderId>{folder}</m:ToFolderId><m:FolderIds>{folder}</m:FolderIds></m:MoveFolder>"
    ).codes == ["ErrorFolderSave"]


def test_folders_of_one_name_find_room_in_deleted_items(store: SandboxStore, ask: Ask) -> None:
    for _ in range(3):
        folder = store.create_folder(ANNA, "inbox", "Projects")
        delete = f'<m:DeleteFolder DeleteType="MoveToDeletedItems"><m:FolderIds><t:FolderId Id="{folder}"/></m:FolderIds></m:DeleteFolder>'
        assert ask(delete).codes == ["NoError"]
    assert [one.name for one in store.folder(ANNA, "deleteditems").below()] == ["Projects", "Projects1", "Projects2"]
    assert ask(delete).codes == ["NoError"], "what lies there already goes for good"
    assert len(store.folder(ANNA, "deleteditems").below()) == 2


def test_a_broken_extended_property_of_a_folder_is_refused(ask: Ask) -> None:
    for broken in (
        '<t:ExtendedProperty><t:ExtendedFieldURI PropertyType="String"/><t:Value>x</t:Value></t:ExtendedProperty>',
        '<t:ExtendedProperty><t:ExtendedFieldURI PropertyTag="tag" PropertyType="String"/><t:Value>x</t:Value></t:ExtendedProperty>',
        "<t:ExtendedProperty/>",
    ):
        reply = ask(
            f"<m:CreateFolder><m:ParentFolderId>{TOP}</m:ParentFolderId><m:Folders><t:Folder><t:DisplayName>{len(broken)}</t:DisplayName>{broken}</t:Folder></m:Folders></m:CreateFolder>",
            valid=False,
        )
        assert reply.codes == ["ErrorInvalidExtendedProperty"]


def test_ids_are_converted_there_and_back(store: SandboxStore, ask: Ask) -> None:
    item_id = store.deliver_mime(ANNA, mail())

    def convert(given: str, source: str, target: str) -> Reply:
        return ask(
            f'<m:ConvertId DestinationFormat="{target}"><m:SourceIds><t:AlternateId Format="{source}" Id="{given}" Mailbox="{ANNA}"/></m:SourceIds></m:ConvertId>'
        )

    hexadecimal = convert(item_id, "EwsId", "HexEntryId").all("m:AlternateId")[0].get("Id", "")
    assert bytes.fromhex(hexadecimal)
    assert convert(hexadecimal, "HexEntryId", "EwsId").all("m:AlternateId")[0].get("Id") == item_id
    assert convert("DUMMY", "EwsId", "EntryId").codes == ["ErrorInvalidIdMalformed"]


def test_names_nobody_has_are_not_resolved(ask: Ask) -> None:
    def resolve(entry: str) -> Reply:
        return ask(
            f'<m:ResolveNames ReturnFullContactData="false"><m:UnresolvedEntry>{entry}</m:UnresolvedEntry></m:ResolveNames>'
        )

    assert resolve("zzz").codes == ["ErrorNameResolutionNoResults"]
    assert resolve(f"smtp:{BEN}").texts("t:EmailAddress") == [BEN]
