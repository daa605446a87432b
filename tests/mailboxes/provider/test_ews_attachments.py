"""What the adapter asks for when it reads and changes what hangs on an entry, and how it takes answers that are odd."""

import pytest
from lxml import etree

from mailboxes.provider.errors import (
    AnswerUnreadable,
    Misconfigured,
    OtherKind,
    ProviderError,
    Throttled,
    Unavailable,
    WriteRefused,
)
from mailboxes.provider.port import AttachmentKind
from mailboxes.provider.writing import Attached, OutgoingFile
from tests import ews_schema
from tests.mailboxes.provider.scripted import Said, error, messages, serving, success
from tests.mailboxes.provider.test_ews_adapter import asked, read
from tests.mailboxes.provider.test_ews_entries import ODD, Call, M, T, item
from tests.mailboxes.provider.test_ews_errors import provider_at

SMALL = OutgoingFile('a <b> & "c".txt', b"\x00\xff", "text/plain")
LARGE = OutgoingFile("film.mp4", b"x" * 1_000_000)
CALLS: dict[str, Call] = {
    "attached": lambda p: p.attached(["i1", ODD]),
    "attach": lambda p: p.attach(ODD, SMALL),
    "detach": lambda p: p.detach(ODD),
}


@pytest.mark.parametrize("name", CALLS)
def test_requests_are_valid_by_the_published_schema(name: str) -> None:
    ews_schema.require()
    assert ews_schema.validate(asked(CALLS[name])) == []


@pytest.mark.parametrize("name", ["attach", "detach"])
def test_a_write_is_made_once_whatever_happens_to_its_answer(name: str) -> None:
    with serving(Said(reset=True)) as server:
        provider = provider_at(server.url)
        with pytest.raises(Unavailable):
            CALLS[name](provider)
        assert (len(server.bodies), provider.requests) == (1, 1)


def test_nothing_but_the_list_is_asked_for() -> None:
    request = etree.fromstring(asked(CALLS["attached"]))
    assert request.findtext(f".//{T}BaseShape") == "IdOnly"
    assert [each.get("FieldURI") for each in request.iter(f"{T}FieldURI")] == ["item:Attachments"]


def test_hanging_a_file_names_the_entry_without_a_change_key() -> None:
    request = etree.fromstring(asked(CALLS["attach"]))
    (parent,) = request.iter(f"{M}ParentItemId")
    assert {str(name): str(value) for name, value in parent.attrib.items()} == {"Id": ODD}
    (file,) = request.iter(f"{T}FileAttachment")
    assert [file.findtext(f"{T}{name}") for name in ("Name", "ContentType", "Content")] == [
        SMALL.name, "text/plain", "AP8=",
    ]  # fmt: skip


def test_when_an_attachment_was_last_changed_is_its_version() -> None:
    listed = (
        '<t:Attachments><t:FileAttachment><t:AttachmentId Id="a1"/><t:Name>plan.txt</t:Name><t:Size>4</t:Size>'
        "<t:LastModifiedTime>2026-03-02T09:30:00Z</t:LastModifiedTime><t:IsInline>false</t:IsInline></t:FileAttachment>"
        '<t:ReferenceAttachment><t:AttachmentId Id="a2"/><t:Name>in a cloud</t:Name></t:ReferenceAttachment>'
        "<t:FileAttachment><t:Name>without an id</t:Name></t:FileAttachment></t:Attachments>"
    )
    (found,) = read([item(listed)], lambda p: p.attached(["i1"]))
    assert isinstance(found, Attached)
    assert found.change_key == "k"
    assert [(each.id, each.kind, each.version) for each in found.attachments] == [
        ("a1", AttachmentKind.FILE, "2026-03-02T09:30:00Z"), ("a2", AttachmentKind.REFERENCE, ""),
    ]  # fmt: skip


def test_what_is_no_entry_is_said_to_be_none() -> None:
    (found,) = read([item("", tag="Message")], lambda p: p.attached(["i1"]))
    assert isinstance(found, OtherKind)


def refused(*answers: Said, call: Call) -> ProviderError:
    with pytest.raises(ProviderError) as raised:
        read(list(answers), call)
    return raised.value


@pytest.mark.parametrize(
    "code", ["ErrorMessageSizeExceeded", "ErrorDataSizeLimitExceeded", "ErrorAttachmentSizeLimitExceeded"]
)
def test_each_way_of_exchange_to_say_too_large_is_one_code(code: str) -> None:
    found = refused(Said(200, messages("CreateAttachment", error(code))), call=CALLS["attach"])
    assert (type(found), found.code) == (WriteRefused, "attachment_too_large")


@pytest.mark.parametrize("status", [404, 413])
def test_a_web_server_that_takes_no_large_request_means_the_file(status: int) -> None:
    found = refused(Said(status, b"no"), call=lambda p: p.attach("i1", LARGE))
    assert (type(found), found.code) == (WriteRefused, "attachment_too_large")


@pytest.mark.parametrize(("status", "kind"), [(404, Misconfigured), (413, AnswerUnreadable)])
def test_of_a_small_request_the_same_answer_is_about_the_server(status: int, kind: type[ProviderError]) -> None:
    assert type(refused(Said(status, b"no"), call=CALLS["attach"])) is kind


@pytest.mark.parametrize(
    ("code", "kind", "said"),
    [
        ("ErrorVirusDetected", WriteRefused, "write_refused"),
        ("ErrorAccessDenied", WriteRefused, "write_refused"),
        ("ErrorServerBusy", Throttled, "server_busy"),
    ],
)
@pytest.mark.parametrize(("operation", "name"), [("CreateAttachment", "attach"), ("DeleteAttachment", "detach")])
def test_other_refusals_are_those_of_any_write(
    operation: str, name: str, code: str, kind: type[ProviderError], said: str
) -> None:
    found = refused(Said(200, messages(operation, error(code))), call=CALLS[name])
    assert (type(found), found.code) == (kind, said)


def test_an_answer_to_something_else_is_no_answer() -> None:
    found = refused(Said(200, messages("GetItem", success(""))), call=CALLS["attach"])
    assert type(found) is AnswerUnreadable
