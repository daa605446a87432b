"""What the adapter asks for, and how it takes answers that are odd: against recorded requests and scripted answers."""

import base64
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any, TypeVar

import pytest
from lxml import etree

from mailboxes.provider.errors import (
    AccessRefused,
    AnswerUnreadable,
    ItemGone,
    ItemUnreadable,
    MailboxGone,
    ProviderError,
    Throttled,
    Unavailable,
)
from mailboxes.provider.ews import operations
from mailboxes.provider.ews.adapter import EwsProvider
from mailboxes.provider.port import (
    Address,
    AttachmentBytes,
    AttachmentInfo,
    AttachmentKind,
    Change,
    ChangeKind,
    Content,
    Envelope,
    FolderRole,
)
from mailboxes.sandbox.server import SandboxServer
from tests import ews_schema
from tests.mailboxes.provider.scripted import Said, error, fault, messages, serving, soap, success
from tests.mailboxes.provider.test_ews_errors import provider_at
from tests.mailboxes.provider.worlds import ANA, SERVICE, Letter, folder_of, provider_for

T = "{http://schemas.microsoft.com/exchange/services/2006/types}"
BUSY = Said(500, fault("ErrorServerBusy"))
MONDAY, TUESDAY = datetime(2026, 3, 2, tzinfo=UTC), datetime(2026, 3, 3, tzinfo=UTC)
FILE = AttachmentInfo("a1", "a.txt")
ATTACHED = AttachmentInfo("a2", "b.eml", kind=AttachmentKind.ITEM)

Call = Callable[[EwsProvider], object]
Answer = TypeVar("Answer")
CALLS: dict[str, Call] = {
    "well_known_folders": lambda p: p.well_known_folders(),
    "counters": lambda p: p.counters(['f<1>&"', "f2"]),
    "changes from the beginning": lambda p: p.changes("f1", None, 50),
    "changes": lambda p: p.changes("f1", "cursor<&>", 9999),
    "envelopes": lambda p: p.envelopes(["i1", "i2"]),
    "listing": lambda p: p.listing("f1", 5, 100),
    "listing of a range": lambda p: p.listing("f1", 0, 9, since=MONDAY, until=TUESDAY),
    "listing from a time on": lambda p: p.listing("f1", 0, 9, since=MONDAY),
    "contents": lambda p: p.contents(["i1", "i2"]),
    "attachments": lambda p: p.attachments([FILE]),
    "attached items": lambda p: p.attachments([ATTACHED]),
    "create_draft": lambda p: p.create_draft("A <draft> & more"),
    "touch_draft": lambda p: p.touch_draft("i1"),
    "delete_draft": lambda p: p.delete_draft("i1"),
}


def asked(call: Call) -> bytes:
    """Return the one request that a call makes."""
    with serving(BUSY) as server, pytest.raises(Throttled):
        call(provider_at(server.url))
    (body,) = server.bodies
    return body


def item(item_id: str, inner: str = "", tag: str = "Message") -> str:
    return success(f'<m:Items><t:{tag}><t:ItemId Id="{item_id}" ChangeKey="k"/>{inner}</t:{tag}></m:Items>')


def read(answers: Iterable[Said], call: Callable[[EwsProvider], Answer]) -> Answer:
    """Return what a call makes of answers."""
    with serving(*answers) as server:
        return call(provider_at(server.url))


# -- requests ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CALLS)
def test_requests_are_valid_by_the_published_schema(name: str) -> None:
    ews_schema.require()
    assert ews_schema.validate(asked(CALLS[name])) == []


def test_the_request_for_every_folder_is_valid_too(sandbox: SandboxServer, monkeypatch: pytest.MonkeyPatch) -> None:
    ews_schema.require()
    monkeypatch.setattr("mailboxes.provider.ews.adapter.FOLDERS_AT_ONCE", 3)
    provider = provider_for(sandbox, SERVICE, impersonate=True)
    bodies: list[str] = []
    call = provider._client.call

    def kept(body: str, **rest: Any) -> Any:
        bodies.append(body)
        return call(body, **rest)

    monkeypatch.setattr(provider._client, "call", kept)
    found = provider.folders()
    assert len(found) == len({info.id for info in found}) > 9, "every page was read"
    for body in bodies:
        assert ews_schema.validate(soap(body)) == []


def test_s24_an_envelope_asks_for_sender_recipients_subject_and_control_fields_and_nothing_else() -> None:
    request = etree.fromstring(asked(CALLS["envelopes"]))
    fields = [str(each.get("FieldURI")) for each in request.iter(f"{T}FieldURI")]
    extended = [
        str(each.get("PropertyTag") or each.get("PropertyName")) for each in request.iter(f"{T}ExtendedFieldURI")
    ]
    assert request.findtext(f".//{T}BaseShape") == "IdOnly"
    assert request.find(f".//{T}IncludeMimeContent") is None
    assert request.find(f".//{T}BodyType") is None
    assert sorted(fields) == sorted(
        [
            "message:From",
            "message:Sender",
            "message:ToRecipients",
            "message:CcRecipients",
            "message:BccRecipients",
            "item:Subject",
            # control fields, listed in docs/privacy.md
            "item:ItemClass",
            "item:DateTimeReceived",
            "item:Sensitivity",
            "item:Categories",
            "item:IsDraft",
            "item:InReplyTo",
            "message:InternetMessageId",
            "message:References",
            "item:ConversationId",
        ]
    )
    assert sorted(extended) == sorted(["Auto-Submitted", "0x300b", operations.STAMP_NAME, "X-Crmsync-Token"])


def test_impersonation_names_the_mailbox_and_anchors_the_request() -> None:
    with serving(BUSY) as server, pytest.raises(Throttled):
        provider_at(server.url).well_known_folders()
    assert f"<t:PrimarySmtpAddress>{ANA}</t:PrimarySmtpAddress>".encode() in server.bodies[0]
    assert f"X-AnchorMailbox: {ANA}" in server.heads[0]


def test_with_own_password_folders_are_those_of_the_address(sandbox: SandboxServer) -> None:
    provider = provider_for(sandbox, SERVICE, impersonate=True)
    own = provider_for(sandbox, ANA, impersonate=False)
    assert own.well_known_folders() == provider.well_known_folders()


def test_changes_ask_for_ids_only_and_no_more_than_the_schema_allows() -> None:
    request = etree.fromstring(asked(CALLS["changes"]))
    assert request.find(f".//{T}AdditionalProperties") is None
    assert b"<m:MaxChangesReturned>512</m:MaxChangesReturned>" in asked(CALLS["changes"])


def test_an_idle_run_on_a_known_mailbox_is_one_request(sandbox: SandboxServer) -> None:
    first = provider_for(sandbox, SERVICE, impersonate=True)
    folders = [info.id for info in first.well_known_folders()]
    sandbox.requests.reset()
    provider_for(sandbox, SERVICE, impersonate=True).counters(folders)
    assert sandbox.requests.total == 1


def test_bodies_are_asked_for_25_at_a_time(sandbox: SandboxServer) -> None:
    provider = provider_for(sandbox, SERVICE, impersonate=True)
    items = [sandbox.store.deliver_mime(ANA, Letter(text=str(n)).mime()) for n in range(60)]
    before = provider.requests
    found = provider.contents(items)
    assert provider.requests - before == 3
    assert [each.text.strip() for each in found if isinstance(each, Content)] == [str(n) for n in range(60)]


# -- odd answers ------------------------------------------------------------------------------------------------------


def test_what_a_server_leaves_out_is_empty() -> None:
    (found,) = read([Said(body=messages("GetItem", item("i1")))], lambda p: p.envelopes(["i1"]))
    assert found == Envelope("i1", "k", None, (), (), (), "")
    (content,) = read([Said(body=messages("GetItem", item("i1")))], lambda p: p.contents(["i1"]))
    assert content == Content("i1", "k")


@pytest.mark.parametrize("tag", ["MeetingRequest", "CalendarItem", "Contact", "RoleMember", "KindOfTomorrow"])
def test_items_of_any_kind_are_read(tag: str) -> None:
    inner = "<t:ItemClass>IPM.Schedule</t:ItemClass><t:Subject>Lunch</t:Subject><t:NewThing><t:Deep/></t:NewThing>"
    (found,) = read([Said(body=messages("GetItem", item("i1", inner, tag)))], lambda p: p.envelopes(["i1"]))
    assert isinstance(found, Envelope)
    assert (found.subject, found.item_class) == ("Lunch", "IPM.Schedule")


def test_an_item_shaped_unlike_anything_known_costs_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    body = messages("GetItem", item("i1"), success("<m:Items/>"), item("i3"))
    found = read([Said(body=body)], lambda p: p.envelopes(["i1", "i2", "i3"]))
    assert [type(each) for each in found] == [Envelope, ItemUnreadable, Envelope]

    def broken(_item_id: str, _element: object) -> Envelope:
        raise AttributeError("text")

    monkeypatch.setattr("mailboxes.provider.ews.answers.envelope", broken)
    (bad,) = read([Said(body=messages("GetItem", item("i1")))], lambda p: p.envelopes(["i1"]))
    assert isinstance(bad, ItemUnreadable)


def test_a_search_key_that_is_none_is_empty() -> None:
    inner = (
        '<t:ExtendedProperty><t:ExtendedFieldURI PropertyTag="0x300b" PropertyType="Binary"/><t:Value>x</t:Value>'
        '</t:ExtendedProperty><t:ExtendedProperty><t:ExtendedFieldURI PropertyName="Auto-Submitted"/></t:ExtendedProperty>'
    )
    (found,) = read([Said(body=messages("GetItem", item("i1", inner)))], lambda p: p.envelopes(["i1"]))
    assert isinstance(found, Envelope)
    assert (found.search_key, found.auto_submitted) == ("", "")


def test_changes_of_unknown_kinds_and_items_are_passed_over() -> None:
    body = messages(
        "SyncFolderItems",
        success(
            "<m:SyncState>c1</m:SyncState><m:IncludesLastItemInRange>false</m:IncludesLastItemInRange><m:Changes>"
            '<t:Create><t:RoleMember><t:ItemId Id="i1" ChangeKey="k1"/></t:RoleMember></t:Create>'
            '<t:Vanish><t:ItemId Id="i2"/></t:Vanish><t:Create><t:Message/></t:Create>'
            '<t:Delete><t:ItemId Id="i3" ChangeKey="k3"/></t:Delete></m:Changes>'
        ),
    )
    page = read([Said(body=body)], lambda p: p.changes("f", None, 10))
    assert page.changes == (Change(ChangeKind.CREATED, "i1", "k1"), Change(ChangeKind.REMOVED, "i3"))
    assert page.more


def test_a_cursor_that_does_not_move_while_there_is_more_is_refused() -> None:
    body = messages(
        "SyncFolderItems",
        success(
            "<m:SyncState>c1</m:SyncState><m:IncludesLastItemInRange>false</m:IncludesLastItemInRange><m:Changes/>"
        ),
    )
    with pytest.raises(AnswerUnreadable):
        read([Said(body=body)], lambda p: p.changes("f", "c1", 10))


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("ErrorItemNotFound", ItemGone),
        ("ErrorItemCorrupt", ItemUnreadable),
        ("ErrorInternalServerError", ItemUnreadable),
        ("ErrorAccessDenied", ItemUnreadable),
        ("ErrorContentConversionFailed", ItemUnreadable),
        ("ErrorOfTomorrow", ItemUnreadable),
    ],
)
def test_an_error_of_one_item_costs_that_item(code: str, kind: type[ItemUnreadable]) -> None:
    body = messages("GetItem", item("i1"), error(code), item("i3"))
    found = read([Said(body=body)], lambda p: p.envelopes(["i1", "i2", "i3"]))
    assert [type(each) for each in found] == [Envelope, kind, Envelope]


@pytest.mark.parametrize(("code", "kind"), [("ErrorServerBusy", Throttled), ("ErrorNonExistentMailbox", MailboxGone)])
def test_an_error_that_is_about_more_than_the_item_ends_the_request(code: str, kind: type[ProviderError]) -> None:
    with pytest.raises(kind):
        read([Said(body=messages("GetItem", item("i1"), error(code)))], lambda p: p.envelopes(["i1", "i2"]))


def test_a_server_that_fails_on_every_item_is_not_taken_for_bad_items() -> None:
    body = messages("GetItem", error("ErrorInternalServerError"), error("ErrorInternalServerError"))
    with pytest.raises(Unavailable):
        read([Said(body=body)], lambda p: p.contents(["i1", "i2"]))


def test_what_a_server_had_no_time_for_is_asked_for_again() -> None:
    answers = [
        Said(
            body=messages(
                "GetItem", item("i1"), error("ErrorBatchProcessingStopped"), error("ErrorBatchProcessingStopped")
            )
        ),
        Said(body=messages("GetItem", item("i2"), item("i3"))),
    ]
    found = read(answers, lambda p: p.contents(["i1", "i2", "i3"]))
    assert [each.item_id for each in found if isinstance(each, Content)] == ["i1", "i2", "i3"]
    with pytest.raises(Unavailable):
        read([Said(body=messages("GetItem", error("ErrorBatchProcessingStopped")))], lambda p: p.contents(["i1"]))


@pytest.mark.parametrize("broken", [fault("ErrorInternalServerError"), b"<cut", messages("GetItem", item("i1"))])
def test_an_item_that_breaks_the_whole_answer_is_found_by_halving(sandbox: SandboxServer, broken: bytes) -> None:
    def answer(ids: list[str]) -> Said:
        if "bad" in ids and (len(ids) > 1 or b"GetItem" not in broken):
            return Said(500 if b"Fault" in broken else 200, broken)
        return Said(
            body=messages("GetItem", *(item(each) if each != "bad" else error("ErrorItemCorrupt") for each in ids))
        )

    ids = ["i1", "i2", "bad", "i4", "i5"]
    # In the order in which the halves are asked for: all, the first two, the last three, "bad", the rest.
    parts = [ids, ids[:2], ids[2:], ["bad"], ids[3:]]
    found = read([answer(part) for part in parts], lambda p: p.contents(ids))
    assert [type(each) for each in found] == [Content, Content, ItemUnreadable, Content, Content]


def test_halving_stops_when_it_is_the_server() -> None:
    with serving(Said(500, fault("ErrorInternalServerError"))) as server:
        provider = provider_at(server.url)
        with pytest.raises(Unavailable):
            provider.envelopes([str(n) for n in range(100)])
    assert provider.requests <= 9


@pytest.mark.parametrize("code", ["ErrorInvalidRequest", "ErrorInvalidPropertyRequest", "ErrorSchemaValidation"])
@pytest.mark.parametrize("whole", [True, False])
def test_optional_properties_that_a_server_refuses_are_left_out_from_then_on(code: str, whole: bool) -> None:
    refused = Said(500, fault(code)) if whole else Said(body=messages("GetItem", error(code)))
    with serving(refused, Said(body=messages("GetItem", item("i1", "<t:Subject>plain</t:Subject>")))) as server:
        provider = provider_at(server.url)
        for _ in range(2):
            (found,) = provider.envelopes(["i1"])
            assert isinstance(found, Envelope)
            assert found.subject == "plain"
    assert [b"ExtendedFieldURI" in body for body in server.bodies] == [True, False, False]


def test_an_odd_item_alone_does_not_cost_all_others_their_optional_properties() -> None:
    refused = Said(body=messages("GetItem", error("ErrorInvalidPropertyRequest")))
    good = Said(body=messages("GetItem", item("i2")))
    with serving(refused, refused, good) as server:
        provider = provider_at(server.url)
        (odd,) = provider.envelopes(["i1"])
        assert isinstance(odd, ItemUnreadable)
        provider.envelopes(["i2"])
    assert [b"ExtendedFieldURI" in body for body in server.bodies] == [True, False, True]


def test_a_server_that_refuses_counters_has_none() -> None:
    folder = success('<m:Folders><t:Folder><t:FolderId Id="f1"/></t:Folder></m:Folders>')
    with serving(Said(500, fault("ErrorInvalidRequest")), Said(body=messages("GetFolder", folder))) as server:
        provider = provider_at(server.url)
        assert provider.counters(["f1"]) == {"f1": None}
        assert provider.counters(["f1"]) == {"f1": None}
    assert len(server.bodies) == 3


def test_counters_may_come_in_any_spelling() -> None:
    def value(tag: str, text: str) -> str:
        return (
            f'<t:ExtendedProperty><t:ExtendedFieldURI PropertyTag="{tag}" PropertyType="Integer"/>'
            f"<t:Value>{text}</t:Value></t:ExtendedProperty>"
        )

    inner = value("0x670A", "2026-01-01T00:00:00Z") + value("26379", "7") + value("0xzz", "8")
    folder = success(f'<m:Folders><t:Folder><t:FolderId Id="f1"/>{inner}</t:Folder></m:Folders>')
    body = messages("GetFolder", folder, error("ErrorAccessDenied"))
    assert read([Said(body=body)], lambda p: p.counters(["f1", "f2"])) == {"f1": "2026-01-01T00:00:00Z/7/"}


def test_a_mailbox_without_some_folders_and_with_others_has_those(sandbox: SandboxServer) -> None:
    inbox = success(
        '<m:Folders><t:Folder><t:FolderId Id="f1"/><t:ParentFolderId Id="root"/><t:DisplayName>Boîte</t:DisplayName></t:Folder></m:Folders>'
    )
    rest = [error("ErrorFolderNotFound"), error("ErrorItemNotFound"), error("ErrorAccessDenied")]
    body = messages("GetFolder", inbox, *(rest * 3)[: len(operations.DISTINGUISHED) - 1])
    (found,) = read([Said(body=body)], lambda p: p.well_known_folders())
    assert (found.id, found.name, found.role, found.parent_id, found.total) == (
        "f1",
        "Boîte",
        FolderRole.INBOX,
        None,
        None,
    )


def test_a_mailbox_whose_inbox_may_not_be_opened_is_refused() -> None:
    body = messages("GetFolder", *[error("ErrorAccessDenied")] * len(operations.DISTINGUISHED))
    with pytest.raises(AccessRefused):
        read([Said(body=body)], lambda p: p.well_known_folders())


def test_one_refusal_may_stand_for_all() -> None:
    with pytest.raises(MailboxGone):
        read([Said(body=messages("GetFolder", error("ErrorNonExistentMailbox")))], lambda p: p.well_known_folders())


def test_a_folder_without_an_id_is_no_answer() -> None:
    body = messages("FindFolder", success("<m:RootFolder><t:Folders><t:Folder/></t:Folders></m:RootFolder>"))
    folders = [success('<m:Folders><t:Folder><t:FolderId Id="f1"/></t:Folder></m:Folders>')] * len(
        operations.DISTINGUISHED
    )
    with pytest.raises(AnswerUnreadable):
        read([Said(body=messages("GetFolder", *folders)), Said(body=body)], lambda p: p.folders())


# -- attachments ------------------------------------------------------------------------------------------------------


def attached(inner: str, tag: str = "FileAttachment") -> str:
    return success(f'<m:Attachments><t:{tag}><t:AttachmentId Id="a"/>{inner}</t:{tag}></m:Attachments>')


def test_files_and_items_are_asked_for_apart_and_come_back_in_order() -> None:
    mime = base64.b64encode(b"Subject: x\r\n\r\n").decode()
    answers = [
        Said(body=messages("GetAttachment", attached("<t:Content>YWJj</t:Content>"), error("ErrorItemNotFound"))),
        Said(
            body=messages(
                "GetAttachment",
                attached(f"<t:Message><t:MimeContent>{mime}</t:MimeContent></t:Message>", "ItemAttachment"),
            )
        ),
    ]
    with serving(*answers) as server:
        wanted = [
            ATTACHED,
            FILE,
            AttachmentInfo("a3", "gone.txt"),
            AttachmentInfo("a4", "x", kind=AttachmentKind.REFERENCE),
        ]
        found = provider_at(server.url).attachments(wanted)
    assert [b"IncludeMimeContent" in body for body in server.bodies] == [False, True]
    assert found[:2] == [AttachmentBytes("a2", b"Subject: x\r\n\r\n"), AttachmentBytes("a1", b"abc")]
    assert [each.code for each in found[2:] if isinstance(each, ItemUnreadable)] == ["item_gone", "attachment_is_link"]


@pytest.mark.parametrize(
    "inner",
    [
        attached("<t:Contact/>", "ItemAttachment"),
        attached("<t:Content>!</t:Content>"),
        success("<m:Attachments/>"),
    ],
)
def test_an_attachment_that_cannot_be_read_says_so(inner: str) -> None:
    (found,) = read([Said(body=messages("GetAttachment", inner))], lambda p: p.attachments([FILE]))
    assert isinstance(found, ItemUnreadable)
    assert found.code == "attachment_unreadable"


def test_a_large_attachment_travels_alone() -> None:
    answer = Said(body=messages("GetAttachment", attached("<t:Content/>")))
    with serving(answer) as server:
        large = [AttachmentInfo(str(n), "big.bin", size=3_000_000) for n in range(3)]
        assert len(provider_at(server.url).attachments(large)) == 3
    assert len(server.bodies) == 3


def test_attachment_lists_tell_kind_place_and_name() -> None:
    inner = (
        '<t:Body BodyType="HTML">&lt;p&gt;x</t:Body><t:Attachments>'
        '<t:FileAttachment><t:AttachmentId Id="1"/><t:Name> a.png </t:Name><t:ContentType>IMAGE/PNG</t:ContentType>'
        "<t:ContentId>&lt;logo@x&gt;</t:ContentId><t:Size>12</t:Size><t:IsInline>true</t:IsInline></t:FileAttachment>"
        '<t:ItemAttachment><t:AttachmentId Id="2"/></t:ItemAttachment>'
        '<t:ReferenceAttachment><t:AttachmentId Id="3"/><t:Size>big</t:Size></t:ReferenceAttachment><t:FileAttachment/>'
        "</t:Attachments><t:DateTimeSent>2026-01-01T10:00:00+02:00</t:DateTimeSent><t:Size>99</t:Size><t:Importance>High</t:Importance>"
    )
    (found,) = read([Said(body=messages("GetItem", item("i1", inner)))], lambda p: p.contents(["i1"]))
    assert found == Content(
        "i1",
        "k",
        html="<p>x",
        sent_at=datetime(2026, 1, 1, 8, tzinfo=UTC),
        importance="High",
        size=99,
        attachments=(
            AttachmentInfo("1", "a.png", "image/png", 12, AttachmentKind.FILE, inline=True, content_id="logo@x"),
            AttachmentInfo("2", "", "message/rfc822", 0, AttachmentKind.ITEM),
            AttachmentInfo("3", "", "application/octet-stream", 0, AttachmentKind.REFERENCE),
        ),
    )


# -- text -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sent", "subject"),
    [
        (b"a&#x0;b&#11;c&#xFFFF;d&#x110000;e", "abcde"),
        (b"a\x0bb\x00c", "abc"),
        (b"&#xD83D;&#xDE00; &#xD83D; &#x41;", "😀  A"),
        (b"caf\xe9", "caf�"),
        ("Grüße 価格".encode(), "Grüße 価格"),
    ],
)  # fmt: skip
def test_characters_that_xml_forbids_cost_themselves_alone(sent: bytes, subject: str) -> None:
    body = messages("GetItem", item("i1", "<t:Subject>HERE</t:Subject>"), item("i2")).replace(b"HERE", sent)
    first, second = read([Said(body=body)], lambda p: p.envelopes(["i1", "i2"]))
    assert isinstance(second, Envelope)
    assert isinstance(first, Envelope)
    assert first.subject == subject


def test_entities_are_not_expanded() -> None:
    body = (
        b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>'
        + messages("GetItem", item("i1", "<t:Subject>&e;</t:Subject>"))[38:]
    )
    with pytest.raises(ProviderError):
        read([Said(body=body)], lambda p: p.envelopes(["i1"]))


def test_addresses_of_the_directory_keep_their_name_only() -> None:
    inner = (
        "<t:From><t:Mailbox><t:Name>Ana</t:Name><t:EmailAddress>/O=ORG/CN=ANA</t:EmailAddress></t:Mailbox></t:From>"
        "<t:ToRecipients><t:Mailbox><t:Name>Group</t:Name></t:Mailbox></t:ToRecipients><t:CcRecipients/>"
    )
    (found,) = read([Said(body=messages("GetItem", item("i1", inner)))], lambda p: p.envelopes(["i1"]))
    assert isinstance(found, Envelope)
    assert found.sender == Address("", "Ana")
    assert [each.name for each in found.to] == ["Group"]


def test_identifiers_are_brought_into_one_form() -> None:
    inner = (
        "<t:InReplyTo>Your message of Monday &lt;a@x&gt;</t:InReplyTo><t:InternetMessageId> m1@x </t:InternetMessageId>"
        "<t:References>&lt;a@x&gt;&lt;b@\n x&gt; &lt;a@x&gt;</t:References><t:DateTimeReceived>yesterday</t:DateTimeReceived>"
    )
    (found,) = read([Said(body=messages("GetItem", item("i1", inner)))], lambda p: p.envelopes(["i1"]))
    assert isinstance(found, Envelope)
    assert (found.message_id, found.in_reply_to, found.references) == ("<m1@x>", "<a@x>", ("<a@x>", "<b@x>"))
    assert found.received_at is None


def test_folders_in_other_languages_are_found_by_what_they_are_for(sandbox: SandboxServer) -> None:
    provider = provider_for(sandbox, SERVICE, impersonate=True)
    assert next(i.name for i in provider.well_known_folders() if i.role is FolderRole.INBOX) == "Posteingang"
    assert folder_of(provider, FolderRole.SENT)


def test_one_bad_item_on_a_real_page(sandbox: SandboxServer) -> None:
    provider = provider_for(sandbox, SERVICE, impersonate=True)
    items = [sandbox.store.deliver_mime(ANA, Letter(subject=str(n)).mime()) for n in range(5)]
    sandbox.faults.add("error", operation="GetItem", scope="item", item=2, code="ErrorInternalServerError")
    found = provider.envelopes(items)
    assert [type(each) for each in found] == [Envelope, Envelope, ItemUnreadable, Envelope, Envelope]
