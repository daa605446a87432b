"""Scripted trouble, as a client meets it: over real connections, and through exchangelib."""

import http.client
import json
import time
from collections.abc import Callable

import pytest
from exchangelib import Account
from exchangelib.errors import (
    ErrorInternalServerError,
    ErrorItemNotFound,
    ErrorMailboxMoveInProgress,
    ErrorQuotaExceeded,
    ErrorServerBusy,
    TransportError,
    UnauthorizedError,
)
from exchangelib.folders import Inbox
from exchangelib.items import Message

from mailboxes.sandbox.faults import Faults, item_faults
from mailboxes.sandbox.server import SandboxServer
from mailboxes.sandbox.store import SandboxStore
from tests.mailboxes.sandbox.wire import ANNA, BEN, ENVELOPE, Ask, mail, over_http, signed

Open = Callable[..., Account]
PATH = "/EWS/Exchange.asmx"
GET_FOLDER = (
    ENVELOPE
    % (
        "",
        "<m:GetFolder><m:FolderShape><t:BaseShape>IdOnly</t:BaseShape></m:FolderShape>"
        '<m:FolderIds><t:DistinguishedFolderId Id="inbox"/></m:FolderIds></m:GetFolder>',
    )
).encode()


def post(server: SandboxServer, user: str = ANNA) -> tuple[int, dict[str, str], bytes]:
    return over_http(server, "POST", PATH, GET_FOLDER, **signed(user))


@pytest.mark.parametrize(
    ("script", "status", "header"),
    [
        ({"fault": "unauthorized"}, 401, ("www-authenticate", 'Basic realm="sandbox.example"')),
        ({"fault": "forbidden"}, 403, ("content-type", "text/html; charset=utf-8")),
        ({"fault": "http", "status": 503, "retry_after": 33}, 503, ("retry-after", "33")),
        ({"fault": "http", "status": 429, "retry_after": 5}, 429, ("retry-after", "5")),
        ({"fault": "http", "status": 500}, 500, ("content-type", "text/html; charset=utf-8")),
    ],
)
def test_http_troubles_hit_once_and_pass(
    server: SandboxServer, script: dict[str, object], status: int, header: tuple[str, str]
) -> None:
    server.faults.script([script])
    found, headers, _ = post(server)
    assert (found, headers[header[0]]) == (status, header[1])
    assert post(server)[0] == 200


def test_a_blocked_server_blocks_before_it_asks_who_is_there(server: SandboxServer) -> None:
    server.faults.add("forbidden", count=None)
    assert over_http(server, "POST", PATH, GET_FOLDER)[0] == 403
    server.faults.clear()
    assert over_http(server, "POST", PATH, GET_FOLDER)[0] == 401


def test_asking_who_is_there_uses_up_no_other_fault(server: SandboxServer) -> None:
    fault = server.faults.add("error", code="ErrorServerBusy")
    assert over_http(server, "POST", PATH, GET_FOLDER)[0] == 401
    assert fault.hits == 0
    assert post(server)[0] == 500


def test_calls_are_matched_by_operation_mailbox_number_and_count(server: SandboxServer) -> None:
    fault = server.faults.add("forbidden", operation="GetFolder", mailbox=BEN.upper(), from_call=2, count=2)
    assert [post(server, ANNA)[0] for _ in range(3)] == [200] * 3
    assert [post(server, BEN)[0] for _ in range(5)] == [200, 403, 403, 200, 200]
    assert (fault.calls, fault.hits) == (5, 2)
    server.faults.clear()
    server.faults.add("forbidden", operation="GetItem", count=None)
    assert post(server)[0] == 200


def test_a_probability_is_drawn_the_same_way_every_time() -> None:
    def drawn() -> list[bool]:
        faults = Faults()
        faults.add("forbidden", count=None, probability=0.3, seed=7)
        return [bool(faults.take("GetItem", ANNA)) for _ in range(100)]

    assert drawn() == drawn()
    assert 10 < sum(drawn()) < 60


def test_busy_as_a_fault_tells_how_long_to_wait(server: SandboxServer, account: Open) -> None:
    anna = account(ANNA)
    server.faults.add("error", code="ErrorServerBusy", back_off_ms=297_749)
    with pytest.raises(ErrorServerBusy) as caught:
        Inbox.get_distinguished(root=anna.root)
    assert caught.value.back_off == pytest.approx(297.749)


def test_busy_as_a_response_message_carries_the_wait_as_well(store: SandboxStore, ask: Ask) -> None:
    server = SandboxServer(store)
    server.faults.add("error", code="ErrorServerBusy", scope="message", back_off_ms=5000)
    operation = GET_FOLDER.decode().partition("<s:Body>")[2].partition("</s:Body>")[0]
    reply = ask(operation, of=server)
    assert (reply.status, reply.codes) == (200, ["ErrorServerBusy"])
    assert reply.texts("t:Value") == ["5000"]
    server.stop()


@pytest.mark.parametrize("code", ["ErrorItemNotFound", "ErrorInternalServerError", "ErrorItemCorrupt"])
def test_one_of_many_items_fails(store: SandboxStore, ask: Ask, code: str) -> None:
    server = SandboxServer(store)
    ids = [store.deliver_mime(ANNA, mail(number=number)) for number in range(3)]
    get = (
        "<m:GetItem><m:ItemShape><t:BaseShape>IdOnly</t:BaseShape></m:ItemShape><m:ItemIds>"
        + "".join(f'<t:ItemId Id="{one}"/>' for one in ids)
        + "</m:ItemIds></m:GetItem>"
    )
    server.faults.add("error", code=code, scope="item", item=1)
    assert ask(get, of=server).codes == ["NoError", code, "NoError"]
    server.faults.add("error", code=code, scope="item", item_id=ids[2], count=None)
    assert ask(get, of=server).codes == ["NoError", "NoError", code]
    assert ask(get, of=server).codes == ["NoError", "NoError", code]
    server.stop()


def test_exchangelib_meets_the_errors_by_name(store: SandboxStore, server: SandboxServer, account: Open) -> None:
    item_id = store.deliver_mime(ANNA, mail())
    anna = account(ANNA)
    inbox = Inbox.get_distinguished(root=anna.root)
    server.faults.add("error", code="ErrorItemNotFound", scope="item", operation="GetItem")
    assert isinstance(next(iter(anna.fetch([(item_id, None)], folder=inbox))), ErrorItemNotFound)
    server.faults.add("error", code="ErrorMailboxMoveInProgress")
    with pytest.raises(ErrorMailboxMoveInProgress):
        inbox.refresh()
    server.faults.add("error", code="ErrorQuotaExceeded", operation="CreateItem", scope="message")
    with pytest.raises(ErrorQuotaExceeded):
        Message(account=anna, folder=anna.drafts, subject="x").save()
    server.faults.add("error", code="ErrorInternalServerError", scope="item", operation="GetItem")
    with pytest.raises(ErrorInternalServerError):
        list(anna.fetch([(item_id, None)], folder=inbox))
    server.faults.add("unauthorized")
    with pytest.raises(UnauthorizedError):
        inbox.refresh()
    server.faults.add("truncate", after=300)
    with pytest.raises(TransportError):
        inbox.refresh()
    inbox.refresh()


def test_an_answer_breaks_off_in_mid_body(server: SandboxServer) -> None:
    server.faults.add("reset", after=50)
    with pytest.raises((ConnectionError, http.client.IncompleteRead)):
        post(server)
    assert post(server)[0] == 200


def test_a_truncated_answer_is_whole_http_and_broken_xml(server: SandboxServer) -> None:
    server.faults.add("truncate", after=100)
    status, headers, body = post(server)
    assert (status, headers["content-length"], len(body)) == (200, "100", 100)


def test_a_slow_answer_is_slow_and_others_are_not_held_up(server: SandboxServer) -> None:
    server.faults.add("slow", seconds=0.4, mailbox=ANNA)
    begun = time.monotonic()
    connection = http.client.HTTPConnection(server.host, server.port)
    connection.request("POST", PATH, GET_FOLDER, signed(ANNA))
    assert post(server, BEN)[0] == 200
    assert time.monotonic() - begun < 0.4
    assert connection.getresponse().status == 200
    assert time.monotonic() - begun >= 0.4
    connection.close()


def test_during_an_outage_nothing_is_answered_and_afterwards_all_is(server: SandboxServer) -> None:
    server.faults.add("outage", seconds=0.3)
    with pytest.raises((ConnectionError, http.client.BadStatusLine)):
        post(server)
    assert over_http(server, "GET", "/_/requests")[0] == 200, "the sandbox's own pages stay"
    time.sleep(0.35)
    assert post(server)[0] == 200


def test_two_faults_may_hit_one_call(server: SandboxServer) -> None:
    server.faults.script([{"fault": "slow", "seconds": 0.2}, {"fault": "forbidden"}])
    begun = time.monotonic()
    assert post(server)[0] == 403
    assert time.monotonic() - begun >= 0.2


def test_a_script_is_taken_whole_or_not_at_all(server: SandboxServer) -> None:
    bad = [{"fault": "forbidden"}, {"fault": "earthquake"}]
    status, _, body = over_http(server, "POST", "/_/faults", json.dumps(bad).encode())
    assert status == 400
    assert "earthquake" in json.loads(body)["error"]
    assert json.loads(over_http(server, "GET", "/_/faults")[2]) == []
    good = json.dumps([{"fault": "forbidden", "count": None}]).encode()
    assert json.loads(over_http(server, "POST", "/_/faults", good)[2]) == {"added": 1}
    assert post(server)[0] == 403
    assert json.loads(over_http(server, "GET", "/_/faults")[2])[0]["hits"] == 1
    assert over_http(server, "DELETE", "/_/faults")[0] == 200
    assert post(server)[0] == 200


@pytest.mark.parametrize(
    "fault",
    [
        {"fault": "http", "status": 99},
        {"fault": "slow", "seconds": -1},
        {"fault": "error"},
        {"fault": "error", "code": "ErrorX", "scope": "planet"},
        {"fault": "forbidden", "from_call": 0},
        {"fault": "forbidden", "colour": "red"},
        {"status": 403},
        "forbidden",
    ],
)
def test_a_fault_that_makes_no_sense_is_refused(fault: object) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        Faults().script([fault])  # type: ignore[list-item]  # what a client may send


def test_faults_of_the_whole_request_fail_no_single_item() -> None:
    faults = Faults()
    faults.add("error", code="ErrorServerBusy")
    fail = item_faults(faults.take("GetItem", ANNA))
    assert fail(0, "x") is None
