"""Whatever comes in, a SOAP fault with a code goes out, never a traceback, and the server lives on."""

import base64
import socket
from collections.abc import Callable

import pytest
from exchangelib import Account
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mailboxes.sandbox.http import HttpRequest
from mailboxes.sandbox.operations import registry
from mailboxes.sandbox.server import SandboxServer
from mailboxes.sandbox.store import SandboxStore
from tests.mailboxes.sandbox.wire import ANNA, ENVELOPE, PASSWORDS, Ask, Reply, mail, over_http, signed

PATH = "/EWS/Exchange.asmx"
IDS = "<m:ItemShape><t:BaseShape>IdOnly</t:BaseShape></m:ItemShape>"
FOLDERS = "<m:FolderShape><t:BaseShape>IdOnly</t:BaseShape></m:FolderShape>"


def put(server: SandboxServer, body: bytes) -> Reply:
    answer = server.answer(HttpRequest("POST", PATH, signed(ANNA), body))
    assert answer is not None
    return Reply(answer.status, answer.body)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "ErrorInvalidRequest"),
        (b"\x00\xff garbage", "ErrorInvalidRequest"),
        (b"<a><b></a>", "ErrorInvalidRequest"),
        (b"<html/>", "ErrorInvalidRequest"),
        (b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><x>&b;</x>', "ErrorInvalidRequest"),
        (b'<!DOCTYPE x SYSTEM "file:///etc/passwd"><x/>', "ErrorInvalidRequest"),
        (ENVELOPE.replace("%s", "").encode(), "ErrorSchemaValidation"),
        ((ENVELOPE % ("", "<m:GetItem/><m:GetItem/>")).encode(), "ErrorSchemaValidation"),
        ((ENVELOPE % ("", "<GetItem/>")).encode(), "ErrorSchemaValidation"),
        ((ENVELOPE % ("", "<m:MakeCoffee/>")).encode(), "ErrorInvalidRequest"),
        (
            (ENVELOPE % ("", "<m:GetItem>" + "<t:a>" * 1000 + "</t:a>" * 1000 + "</m:GetItem>")).encode(),
            "ErrorSchemaValidation",
        ),
    ],
)
def test_what_is_no_request_gets_a_fault(store: SandboxStore, body: bytes, code: str) -> None:
    server = SandboxServer(store)
    reply = put(server, body)
    assert (reply.status, reply.codes) == (500, [code])
    assert b"Traceback" not in reply.xml
    server.stop()


def test_a_document_type_inside_an_envelope_is_refused(store: SandboxStore) -> None:
    server = SandboxServer(store)
    secret = (
        b'<!DOCTYPE e [<!ENTITY x SYSTEM "file:///etc/hostname">]>'
        + (
            ENVELOPE
            % (
                "",
                '<m:ResolveNames ReturnFullContactData="false"><m:UnresolvedEntry>&x;</m:UnresolvedEntry></m:ResolveNames>',
            )
        )
        .encode()
        .partition(b"?>")[2]
    )
    assert put(server, secret).codes == ["ErrorInvalidRequest"]
    server.stop()


@pytest.mark.parametrize("operation", sorted(registry.OPERATIONS))
def test_every_operation_without_its_parts_gets_a_fault(ask: Ask, operation: str) -> None:
    reply = ask(f"<m:{operation}/>", valid=False)
    assert reply.codes[0] in ("ErrorSchemaValidation", "ErrorInvalidNameForNameResolution", "NoError")
    if operation not in ("SyncFolderHierarchy", "GetServerTimeZones", "ResolveNames"):
        assert reply.codes == ["ErrorSchemaValidation"]


@pytest.mark.parametrize(
    ("operation", "code"),
    [
        (f'<m:GetItem>{IDS}<m:ItemIds><t:ItemId Id="AAAA"/></m:ItemIds></m:GetItem>', "ErrorInvalidIdMalformed"),
        (f'<m:GetItem>{IDS}<m:ItemIds><t:ItemId Id="ñ"/></m:ItemIds></m:GetItem>', "ErrorInvalidIdMalformed"),
        (f'<m:GetItem>{IDS}<m:ItemIds><t:ItemId Id=""/></m:ItemIds></m:GetItem>', "ErrorInvalidIdEmpty"),
        (f"<m:GetItem>{IDS}<m:ItemIds></m:ItemIds></m:GetItem>", "ErrorSchemaValidation"),
        (
            f'<m:GetItem>{IDS}<m:ItemIds><t:OccurrenceItemId RecurringMasterId="x" InstanceIndex="1"/></m:ItemIds></m:GetItem>',
            "ErrorInvalidIdMalformed",
        ),
        (
            f'<m:GetFolder>{FOLDERS}<m:FolderIds><t:DistinguishedFolderId Id="voicemail"/></m:FolderIds></m:GetFolder>',
            "ErrorFolderNotFound",
        ),
        (
            '<m:GetAttachment><m:AttachmentIds><t:AttachmentId Id="AAAA"/></m:AttachmentIds></m:GetAttachment>',
            "ErrorInvalidAttachmentId",
        ),
        (
            '<m:GetAttachment><m:AttachmentIds><t:AttachmentId Id=""/></m:AttachmentIds></m:GetAttachment>',
            "ErrorInvalidIdEmpty",
        ),
        (
            '<m:GetItem><m:ItemShape><t:BaseShape>Everything</t:BaseShape></m:ItemShape><m:ItemIds><t:ItemId Id="A"/></m:ItemIds></m:GetItem>',
            "ErrorSchemaValidation",
        ),
        (
            "<m:GetItem><m:ItemShape><t:BaseShape>IdOnly</t:BaseShape><t:BodyType>RTF</t:BodyType></m:ItemShape>"
            '<m:ItemIds><t:ItemId Id="A"/></m:ItemIds></m:GetItem>',
            "ErrorSchemaValidation",
        ),
        (
            '<m:GetItem><m:ItemShape><t:BaseShape>IdOnly</t:BaseShape><t:AdditionalProperties><t:FieldURI FieldURI="item:Colour"/>'
            '</t:AdditionalProperties></m:ItemShape><m:ItemIds><t:ItemId Id="A"/></m:ItemIds></m:GetItem>',
            "ErrorSchemaValidation",
        ),
        (
            "<m:GetItem><m:ItemShape><t:BaseShape>IdOnly</t:BaseShape><t:AdditionalProperties>"
            '<t:ExtendedFieldURI PropertyTag="0x1" PropertyName="x" PropertyType="String"/>'
            '</t:AdditionalProperties></m:ItemShape><m:ItemIds><t:ItemId Id="A"/></m:ItemIds></m:GetItem>',
            "ErrorInvalidExtendedProperty",
        ),
        (
            f'<m:FindItem Traversal="Shallow">{IDS}<m:IndexedPageItemView Offset="x" BasePoint="Beginning"/>'
            '<m:ParentFolderIds><t:DistinguishedFolderId Id="inbox"/></m:ParentFolderIds></m:FindItem>',
            "ErrorSchemaValidation",
        ),
        (
            f'<m:FindItem Traversal="Shallow">{IDS}<m:IndexedPageItemView Offset="-1" BasePoint="Beginning"/>'
            '<m:ParentFolderIds><t:DistinguishedFolderId Id="inbox"/></m:ParentFolderIds></m:FindItem>',
            "ErrorInvalidIndexedPagingParameters",
        ),
        (
            f'<m:FindItem Traversal="Shallow">{IDS}<m:Restriction><t:Excludes><t:FieldURI FieldURI="item:Size"/>'
            '<t:Bitmask Value="1"/></t:Excludes></m:Restriction>'
            '<m:ParentFolderIds><t:DistinguishedFolderId Id="inbox"/></m:ParentFolderIds></m:FindItem>',
            "ErrorUnsupportedQueryFilter",
        ),
        (
            '<m:DeleteItem DeleteType="Shred"><m:ItemIds><t:ItemId Id="A"/></m:ItemIds></m:DeleteItem>',
            "ErrorSchemaValidation",
        ),
        ('<m:ConvertId DestinationFormat="Runes"><m:SourceIds/></m:ConvertId>', "ErrorSchemaValidation"),
        (
            '<m:CreateItem MessageDisposition="Throw"><m:Items><t:Message/></m:Items></m:CreateItem>',
            "ErrorSchemaValidation",
        ),
        (
            '<m:CreateItem MessageDisposition="SaveOnly"><m:Items><t:Message><t:Colour/></t:Message></m:Items></m:CreateItem>',
            "ErrorSchemaValidation",
        ),
        (
            '<m:CreateItem MessageDisposition="SaveOnly"><m:Items><t:Message><t:Importance>Huge</t:Importance></t:Message></m:Items></m:CreateItem>',
            "ErrorSchemaValidation",
        ),
        (
            '<m:CreateItem MessageDisposition="SaveOnly"><m:Items><t:Message><t:MimeContent>%%</t:MimeContent></t:Message></m:Items></m:CreateItem>',
            "ErrorSchemaValidation",
        ),
        (
            '<m:CreateItem MessageDisposition="SaveOnly"><m:Items><t:SuppressReadReceipt/></m:Items></m:CreateItem>',
            "ErrorInvalidItemForOperationCreateItem",
        ),
        (
            '<m:CreateItem MessageDisposition="SaveOnly"><m:Items><t:ReplyToItem/></m:Items></m:CreateItem>',
            "ErrorMissingInformationReferenceItemId",
        ),
        ('<m:UpdateItem ConflictResolution="Fight"><m:ItemChanges/></m:UpdateItem>', "ErrorSchemaValidation"),
    ],
)
def test_parts_that_make_no_sense_get_their_code(ask: Ask, operation: str, code: str) -> None:
    assert ask(operation, valid=False).codes == [code]


def test_ids_of_the_wrong_kind_and_of_nobody_are_told_apart(store: SandboxStore, ask: Ask) -> None:
    item_id, folder_id = store.deliver_mime(ANNA, mail()), store.folder(ANNA, "inbox").id
    assert ask(f'<m:GetItem>{IDS}<m:ItemIds><t:ItemId Id="{folder_id}"/></m:ItemIds></m:GetItem>').codes == [
        "ErrorCannotUseFolderIdForItemId"
    ]
    assert ask(
        f'<m:GetFolder>{FOLDERS}<m:FolderIds><t:FolderId Id="{item_id}"/></m:FolderIds></m:GetFolder>'
    ).codes == ["ErrorCannotUseItemIdForFolderId"]
    stranger = SandboxStore()
    stranger.add_mailbox(ANNA, "x")
    foreign = stranger.deliver_mime(ANNA, mail())
    assert ask(f'<m:GetItem>{IDS}<m:ItemIds><t:ItemId Id="{foreign}"/></m:ItemIds></m:GetItem>').codes == [
        "ErrorItemNotFound"
    ]
    foreign = stranger.folder(ANNA, "inbox").id
    assert ask(
        f'<m:GetFolder>{FOLDERS}<m:FolderIds><t:FolderId Id="{foreign}"/></m:FolderIds></m:GetFolder>'
    ).codes == ["ErrorFolderNotFound"]
    shouted = f'<m:GetItem>{IDS}<m:ItemIds><t:ItemId Id="{item_id.swapcase()}"/></m:ItemIds></m:GetItem>'
    assert ask(shouted).codes == ["ErrorInvalidIdMalformed"], "ids are case-sensitive"


def test_a_body_that_is_too_large_gets_a_fault(store: SandboxStore) -> None:
    with SandboxServer(store, most_bytes=1000) as server:
        status, _, body = over_http(server, "POST", PATH, b"x" * 1001, **signed(ANNA))
        assert (status, Reply(status, body).codes) == (500, ["ErrorRequestStreamTooBig"])
        assert over_http(server, "POST", PATH, b"x" * 1000, **signed(ANNA))[0] == 500


def test_a_fault_of_our_own_is_hidden_from_the_client_and_logged(
    store: SandboxStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> bytes:
        raise ZeroDivisionError("a bug")

    monkeypatch.setitem(registry.OPERATIONS, "GetItem", broken)
    server = SandboxServer(store)
    reply = put(server, (ENVELOPE % ("", "<m:GetItem/>")).encode())
    assert (reply.status, reply.codes) == (500, ["ErrorInternalServerError"])
    assert b"ZeroDivision" not in reply.xml
    assert "a bug" in caplog.text
    server.stop()


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("POST", "/elsewhere", {}, 404),
        ("GET", PATH, {}, 405),
        ("POST", PATH, {}, 401),
        ("POST", PATH, {"authorization": "Basic !!!"}, 401),
        ("POST", PATH, {"authorization": "Basic QUFBQQ=="}, 401),
        ("POST", PATH, {"authorization": "NTLM TlRMTVNTUAAB"}, 401),
        ("POST", PATH, {"authorization": "Bearer token"}, 401),
        ("GET", "/_/nothing", {}, 404),
        ("PUT", "/_/faults", {}, 405),
    ],
)
def test_other_requests_get_the_usual_statuses(
    server: SandboxServer, method: str, path: str, headers: dict[str, str], status: int
) -> None:
    assert over_http(server, method, path, b"<x/>" if method == "POST" else b"", **headers)[0] == status


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"NONSENSE\r\n\r\n", b"400"),
        (b"POST / HTTP/1.1\r\nno colon\r\n\r\n", b"400"),
        (b"POST / HTTP/1.1\r\nContent-Length: many\r\n\r\n", b"400"),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", b"400"),
        (b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 300 + b"\r\n", b"431"),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nfffffffff\r\n", b"500"),
    ],
)
def test_what_is_no_http_is_refused_and_the_connection_closed(
    server: SandboxServer, sent: bytes, status: bytes
) -> None:
    with socket.create_connection((server.host, server.port), timeout=5) as connection:
        connection.sendall(sent)
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
    assert answer.startswith(b"HTTP/1.1 " + status)


def test_chunks_expectations_and_pipelined_requests_are_understood(server: SandboxServer) -> None:
    token = signed(ANNA)["authorization"]
    operation = (
        ENVELOPE
        % ("", f'<m:GetFolder>{FOLDERS}<m:FolderIds><t:DistinguishedFolderId Id="inbox"/></m:FolderIds></m:GetFolder>')
    ).encode()
    head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nAuthorization: {token}\r\n"
    chunked = head.encode() + b"Transfer-Encoding: chunked\r\n\r\n"
    chunked += (
        b"%x\r\n" % 10
        + operation[:10]
        + b"\r\n%x;x=y\r\n" % (len(operation) - 10)
        + operation[10:]
        + b"\r\n0\r\nTrailer: x\r\n\r\n"
    )
    plain = (
        head.encode()
        + b"Expect: 100-continue\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(operation)
        + operation
    )
    with socket.create_connection((server.host, server.port), timeout=5) as connection:
        connection.sendall(chunked + plain)
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
    assert answer.count(b"HTTP/1.1 200 OK") == 2
    assert answer.count(b"HTTP/1.1 100 Continue") == 1
    assert answer.count(b'GetFolderResponseMessage ResponseClass="Success"') == 2


def test_one_connection_serves_many_requests(server: SandboxServer, account: Callable[..., Account]) -> None:
    server.requests.reset()
    opened = account(ANNA)
    for _ in range(5):
        opened.root.refresh()
    assert server.requests.total >= 5
    assert server.requests.listed()["connections"] == 1


def test_a_domain_name_signs_in_too(server: SandboxServer) -> None:
    token = base64.b64encode(f"SANDBOX\\anna:{PASSWORDS[ANNA]}".encode()).decode()
    assert over_http(server, "POST", PATH, b"<x/>", authorization=f"Basic {token}")[0] == 500


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=300))
def test_no_bytes_break_the_server(quiet: SandboxServer, body: bytes) -> None:
    assert put(quiet, body).status == 500


MUTATED = (
    ENVELOPE
    % ("", f'<m:GetFolder>{FOLDERS}<m:FolderIds><t:DistinguishedFolderId Id="inbox"/></m:FolderIds></m:GetFolder>')
).encode()


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, len(MUTATED) - 1), st.binary(max_size=4), st.integers(0, 30))
def test_no_mutation_of_a_request_breaks_the_server(quiet: SandboxServer, at: int, put_in: bytes, cut: int) -> None:
    reply = put(quiet, MUTATED[:at] + put_in + MUTATED[at + cut :])
    assert reply.status in (200, 500)
    assert "ErrorInternalServerError" not in reply.codes
