"""Unmodified exchangelib reads a sandbox mailbox and takes it for an Exchange."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from exchangelib import Account, Configuration, Credentials, ExtendedProperty, FileAttachment, ItemAttachment, Message
from exchangelib.errors import ErrorAccessDenied, ErrorNonExistentMailbox, UnauthorizedError
from exchangelib.folders import Inbox
from exchangelib.items import MeetingRequest

from mailboxes.sandbox.server import SandboxServer
from mailboxes.sandbox.store import SandboxStore
from tests.mailboxes.sandbox.wire import ANNA, BEN, PASSWORDS, SERVICE, Ask, mail

Open = Callable[..., Account]

RICH = (
    b"From: =?utf-8?b?SsO8cmdlbiBNw7xsbGVy?= <juergen@outside.example>\r\n"
    b"To: Anna <anna@sandbox.example>, ben@sandbox.example\r\n"
    b'Cc: "Roca, Ben" <ben@sandbox.example>\r\n'
    b"Subject: =?iso-8859-1?q?Gr=FC=DFe?= und mehr\r\n"
    b"Date: Fri, 20 Nov 2026 09:30:00 +0100\r\n"
    b"Message-ID: <rich@outside.example>\r\n"
    b"In-Reply-To: <parent@outside.example>\r\n"
    b"References: <root@outside.example> <parent@outside.example>\r\n"
    b"Auto-Submitted: auto-replied\r\n"
    b"Sensitivity: Private\r\n"
    b"X-Priority: 1\r\n"
    b"MIME-Version: 1.0\r\n"
    b"Content-Type: multipart/mixed; boundary=outer\r\n\r\n"
    b"--outer\r\nContent-Type: multipart/alternative; boundary=inner\r\n\r\n"
    b"--inner\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nGr\xc3\xbc\xc3\x9fe\r\n"
    b'--inner\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<p>Gr\xc3\xbc\xc3\x9fe <img src="cid:logo"></p>\r\n--inner--\r\n'
    b"--outer\r\nContent-Type: image/png\r\nContent-ID: <logo>\r\nContent-Transfer-Encoding: base64\r\n\r\niVBORw0K\r\n"
    b"--outer\r\nContent-Type: application/pdf\r\nContent-Disposition: attachment; filename*=utf-8''r%C3%A9sum%C3%A9.pdf\r\n"
    b"Content-Transfer-Encoding: base64\r\n\r\nJVBERi0=\r\n"
    b"--outer\r\nContent-Type: message/rfc822\r\n\r\nSubject: Inner\r\nFrom: x@outside.example\r\n\r\nInner text\r\n"
    b"--outer--\r\n"
)


def test_the_kind_of_sign_in_and_the_version_are_guessed(server: SandboxServer) -> None:
    config = Configuration(service_endpoint=server.url, credentials=Credentials(ANNA, PASSWORDS[ANNA]))
    account = Account(ANNA, config=config, access_type="delegate")
    assert str(account.version.build) == "15.2.1748.10"
    assert account.protocol.auth_type == "basic"
    assert account.inbox.name == "Inbox"


def test_a_message_is_read_with_all_that_it_says(store: SandboxStore, account: Open) -> None:
    store.deliver_mime(ANNA, RICH, received=datetime(2026, 11, 20, 8, 31, tzinfo=UTC), categories=["Red"])
    message = account(ANNA).inbox.all().get()
    assert message.subject == "Grüße und mehr"
    assert (message.sender.name, message.sender.email_address) == ("Jürgen Müller", "juergen@outside.example")
    assert [person.email_address for person in message.to_recipients] == [ANNA, BEN]
    assert [person.name for person in message.cc_recipients] == ["Roca, Ben"]
    assert message.body.startswith("<p>Grüße")
    assert message.text_body.strip() == "Grüße"
    assert message.message_id == "<rich@outside.example>"
    assert message.in_reply_to == "<parent@outside.example>"
    assert message.references.split() == ["<root@outside.example>", "<parent@outside.example>"]
    assert message.datetime_sent == datetime(2026, 11, 20, 8, 30, tzinfo=UTC)
    assert message.datetime_received == datetime(2026, 11, 20, 8, 31, tzinfo=UTC)
    assert (message.sensitivity, message.importance, message.categories) == ("Private", "High", ["Red"])
    assert {header.name: header.value for header in message.headers}["Auto-Submitted"] == "auto-replied"
    assert message.mime_content == RICH
    assert message.size == len(RICH)


def test_attachments_are_read_whole_files_inline_images_and_messages(store: SandboxStore, account: Open) -> None:
    store.deliver_mime(ANNA, RICH)
    inner, image, document = account(ANNA).inbox.all().get().attachments
    assert isinstance(image, FileAttachment)
    assert (image.is_inline, image.content_id, image.content) == (True, "logo", b"\x89PNG\r\n")
    assert isinstance(document, FileAttachment)
    assert (document.name, document.is_inline, document.content) == ("résumé.pdf", False, b"%PDF-")
    assert isinstance(inner, ItemAttachment)
    assert (inner.item.subject, inner.item.text_body.strip()) == ("Inner", "Inner text")


def test_only_what_was_asked_for_is_told(store: SandboxStore, ask: Ask) -> None:
    item_id = store.deliver_mime(ANNA, RICH)
    reply = ask(
        "<m:GetItem><m:ItemShape><t:BaseShape>IdOnly</t:BaseShape><t:AdditionalProperties>"
        '<t:FieldURI FieldURI="message:From"/><t:FieldURI FieldURI="item:Subject"/>'
        '<t:IndexedFieldURI FieldURI="item:InternetMessageHeader" FieldIndex="auto-submitted"/>'
        '<t:ExtendedFieldURI PropertyTag="0x300B" PropertyType="Binary"/>'
        f'</t:AdditionalProperties></m:ItemShape><m:ItemIds><t:ItemId Id="{item_id}"/></m:ItemIds></m:GetItem>'
    )
    (message,) = reply.all("t:Message")
    told = [child.tag.rpartition("}")[2] for child in message]
    assert told == ["ItemId", "Subject", "InternetMessageHeaders", "ExtendedProperty", "From"]
    assert reply.texts("t:InternetMessageHeader") == ["auto-replied"]


def test_id_only_tells_nothing_but_the_id(store: SandboxStore, ask: Ask) -> None:
    item_id = store.deliver_mime(ANNA, RICH)
    reply = ask(
        "<m:GetItem><m:ItemShape><t:BaseShape>IdOnly</t:BaseShape></m:ItemShape>"
        f'<m:ItemIds><t:ItemId Id="{item_id}"/></m:ItemIds></m:GetItem>'
    )
    assert [child.tag.rpartition("}")[2] for child in reply.all("t:Message")[0]] == ["ItemId"]


@pytest.mark.parametrize(
    ("wanted", "kind", "start"), [("HTML", "HTML", "<html>"), ("Text", "Text", "Good"), ("Best", "Text", "Good")]
)
def test_a_body_is_given_in_the_kind_that_was_asked_for(
    store: SandboxStore, ask: Ask, wanted: str, kind: str, start: str
) -> None:
    item_id = store.deliver_mime(ANNA, mail())
    reply = ask(
        f"<m:GetItem><m:ItemShape><t:BaseShape>IdOnly</t:BaseShape><t:BodyType>{wanted}</t:BodyType><t:AdditionalProperties>"
        '<t:FieldURI FieldURI="item:Body"/></t:AdditionalProperties></m:ItemShape>'
        f'<m:ItemIds><t:ItemId Id="{item_id}"/></m:ItemIds></m:GetItem>'
    )
    (body,) = reply.all("t:Body")
    assert body.get("BodyType") == kind
    assert (body.text or "").startswith(start)


def test_a_header_is_read_as_an_extended_property(store: SandboxStore, ask: Ask) -> None:
    item_id = store.deliver_mime(ANNA, RICH)
    reply = ask(
        "<m:GetItem><m:ItemShape><t:BaseShape>IdOnly</t:BaseShape><t:AdditionalProperties>"
        '<t:ExtendedFieldURI DistinguishedPropertySetId="InternetHeaders" PropertyName="Auto-Submitted" PropertyType="String"/>'
        '<t:ExtendedFieldURI DistinguishedPropertySetId="InternetHeaders" PropertyName="X-None" PropertyType="String"/>'
        '<t:ExtendedFieldURI PropertyTag="0x1035" PropertyType="String"/>'
        f'</t:AdditionalProperties></m:ItemShape><m:ItemIds><t:ItemId Id="{item_id}"/></m:ItemIds></m:GetItem>'
    )
    assert reply.texts("t:Value") == ["auto-replied", "<rich@outside.example>"]


def test_one_missing_item_leaves_the_others_readable(store: SandboxStore, ask: Ask) -> None:
    ids = [store.deliver_mime(ANNA, mail(number=number)) for number in range(3)]
    store.remove(store.item(ids[1]))
    targets = "".join(f'<t:ItemId Id="{one}"/>' for one in ids)
    reply = ask(
        f"<m:GetItem><m:ItemShape><t:BaseShape>Default</t:BaseShape></m:ItemShape><m:ItemIds>{targets}</m:ItemIds></m:GetItem>"
    )
    assert reply.codes == ["NoError", "ErrorItemNotFound", "NoError"]


def test_search_pages_sorts_and_restricts(store: SandboxStore, account: Open) -> None:
    for number in range(25):
        at = datetime(2026, 11, 1, 0, number, tzinfo=UTC)
        store.deliver_mime(ANNA, mail(f"Message {number:02}", number=number), received=at, is_read=number % 2 == 0)
    inbox = account(ANNA).inbox
    paged = inbox.all().order_by("datetime_received").only("subject")
    paged.page_size = 10
    assert [message.subject for message in paged] == [f"Message {number:02}" for number in range(25)]
    assert [message.subject for message in inbox.all().order_by("-subject").only("subject")[:2]] == [
        "Message 24",
        "Message 23",
    ]
    assert inbox.filter(is_read=False).count() == 12
    assert inbox.filter(subject__icontains="message 1").count() == 10
    assert inbox.filter(message_id="<7@outside.example>").get().subject == "Message 07"
    assert inbox.filter(datetime_received__gt=datetime(2026, 11, 1, 0, 21, tzinfo=UTC)).count() == 3
    assert inbox.filter(subject__startswith="Message 2").exclude(is_read=True).count() == 2
    assert inbox.filter(subject__in=["Message 01", "Message 02"]).count() == 2
    assert inbox.filter(categories__exists=True).count() == 0


def test_the_default_order_is_newest_first(store: SandboxStore, account: Open) -> None:
    for number in (2, 1, 3):
        store.deliver_mime(ANNA, mail(str(number), number=number), received=datetime(2026, 11, number, tzinfo=UTC))
    assert [message.subject for message in account(ANNA).inbox.all().only("subject")] == ["3", "2", "1"]


def test_search_tells_a_summary_only(store: SandboxStore, ask: Ask) -> None:
    store.deliver_mime(ANNA, RICH)
    reply = ask(
        '<m:FindItem Traversal="Shallow"><m:ItemShape><t:BaseShape>AllProperties</t:BaseShape></m:ItemShape>'
        '<m:ParentFolderIds><t:DistinguishedFolderId Id="inbox"/></m:ParentFolderIds></m:FindItem>'
    )
    assert reply.codes == ["NoError"]
    assert not reply.all("t:Body")
    assert not reply.all("t:ToRecipients")
    assert reply.texts("t:Subject") == ["Grüße und mehr"]


def test_replies_share_a_conversation_and_other_mail_does_not(store: SandboxStore, account: Open) -> None:
    store.deliver_mime(ANNA, mail("Offer", number=1))
    store.deliver_mime(
        ANNA, mail("RE: Offer", number=2, In_Reply_To="<1@outside.example>", References="<1@outside.example>")
    )
    store.deliver_mime(ANNA, mail("Offer", number=3))
    first, second, third = (
        account(ANNA).inbox.all().order_by("message_id").only("conversation_id", "conversation_topic")
    )
    assert first.conversation_id == second.conversation_id != third.conversation_id
    assert second.conversation_topic == "Offer"


def test_an_invitation_is_a_meeting_request(store: SandboxStore, account: Open) -> None:
    store.deliver_mime(
        ANNA,
        mail(
            "Review",
            Content_Type="text/calendar; method=REQUEST; charset=utf-8",
            text=(
                "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\nMETHOD:REQUEST\r\nBEGIN:VEVENT\r\nUID:review-1\r\n"
                "DTSTAMP:20261101T000000Z\r\nDTSTART;TZID=Europe/Madrid:20261124T100000\r\nDTEND;TZID=Europe/Madrid:20261124T110000\r\n"
                "SUMMARY:Review\r\nLOCATION:Room 1\r\nORGANIZER:mailto:carla@outside.example\r\n"
                "ATTENDEE;CN=Anna:mailto:anna@sandbox.example\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
            ),
        ),
    )
    request = account(ANNA).inbox.all().get()
    assert isinstance(request, MeetingRequest)
    assert (request.start, request.location) == (datetime(2026, 11, 24, 9, tzinfo=UTC), "Room 1")


def test_the_service_account_reads_as_somebody_else(store: SandboxStore, server: SandboxServer, account: Open) -> None:
    store.deliver_mime(BEN, mail())
    assert account(BEN, impersonate=True).inbox.all().count() == 1
    assert server.requests.count("FindItem", BEN) == 1
    assert server.requests.count("FindItem", SERVICE) == 0


def test_the_service_account_reads_without_impersonation_by_naming_the_mailbox(
    store: SandboxStore, account: Open
) -> None:
    store.deliver_mime(BEN, mail())
    assert account(BEN, login=SERVICE).inbox.all().count() == 1


def test_an_ordinary_account_opens_no_other_mailbox_until_it_may(store: SandboxStore, account: Open) -> None:
    with pytest.raises(ErrorAccessDenied):
        _ = account(BEN, login=ANNA).inbox
    store.allow_delegate(BEN, ANNA)
    assert account(BEN, login=ANNA).inbox.name == "Safata d'entrada"


def test_an_item_of_another_mailbox_is_refused(store: SandboxStore, ask: Ask) -> None:
    item_id = store.deliver_mime(BEN, mail())
    get = (
        "<m:GetItem><m:ItemShape><t:BaseShape>IdOnly</t:BaseShape></m:ItemShape>"
        f'<m:ItemIds><t:ItemId Id="{item_id}"/></m:ItemIds></m:GetItem>'
    )
    assert ask(get).codes == ["ErrorAccessDenied"]
    assert ask(get, user=SERVICE, impersonate=ANNA).codes == ["ErrorAccessDenied"]
    assert ask(get, user=SERVICE, impersonate=BEN).codes == ["NoError"]


def test_impersonation_needs_the_right_and_a_mailbox(server: SandboxServer, account: Open, ask: Ask) -> None:
    get = (
        "<m:GetFolder><m:FolderShape><t:BaseShape>IdOnly</t:BaseShape></m:FolderShape>"
        '<m:FolderIds><t:DistinguishedFolderId Id="inbox"/></m:FolderIds></m:GetFolder>'
    )
    assert ask(get, user=ANNA, impersonate=BEN).codes == ["ErrorImpersonateUserDenied"]
    assert ask(get, user=ANNA, impersonate=ANNA).codes == ["NoError"]
    assert ask(get, user=SERVICE, impersonate="nobody@sandbox.example").codes == ["ErrorNonExistentMailbox"]
    assert ask(get, user=SERVICE, impersonate=" ").codes == ["ErrorInvalidExchangeImpersonationHeaderData"]
    with pytest.raises(ErrorNonExistentMailbox):
        _ = account("nobody@sandbox.example", login=ANNA).inbox


def test_a_wrong_password_is_refused_and_a_new_one_counts_at_once(store: SandboxStore, account: Open) -> None:
    anna = account(ANNA)
    store.set_password(ANNA, "changed")
    with pytest.raises(UnauthorizedError):
        Inbox(root=anna.root).refresh()


class SearchKey(ExtendedProperty):  # type: ignore[misc]  # exchangelib has no types
    property_tag = 0x300B
    property_type = "Binary"


def test_the_search_key_stays_when_the_id_changes(store: SandboxStore, account: Open) -> None:
    store.deliver_mime(ANNA, mail())
    Message.register("search_key", SearchKey)
    try:
        anna = account(ANNA)
        before = anna.inbox.all().only("search_key", "subject").get()
        moved = anna.inbox.all().get()
        old_id = moved.id
        moved.move(anna.trash)
        after = anna.trash.all().only("search_key").get()
    finally:
        Message.deregister("search_key")
    assert after.search_key == before.search_key
    assert len(after.search_key) == 16
    assert after.id != old_id
