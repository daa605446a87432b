"""Budgets per mailbox, the token endpoint, troubles at random, and a mailbox that moves to another server."""

import contextlib
import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest
from exchangelib import Account, Message
from exchangelib.errors import (
    ErrorMailboxMoveInProgress,
    ErrorMailboxStoreUnavailable,
    ErrorNonExistentMailbox,
    ErrorServerBusy,
    ErrorSubmissionQuotaExceeded,
    RedirectError,
)
from exchangelib.folders import Inbox
from exchangelib.protocol import CachingProtocol
from lxml import etree

from mailboxes.sandbox import chaos, statefile
from mailboxes.sandbox.faults import Faults
from mailboxes.sandbox.server import SandboxServer
from mailboxes.sandbox.store import SandboxStore
from mailboxes.sandbox.throttling import Budget, OverBudget, Throttling, cost_of
from mailboxes.sandbox.tokens import Tokens
from tests.mailboxes.sandbox.test_sandbox_appointments import MONDAY_TEN, weekly
from tests.mailboxes.sandbox.test_sandbox_cards_and_calendars import calendar
from tests.mailboxes.sandbox.test_sandbox_faults import GET_FOLDER, PATH, post
from tests.mailboxes.sandbox.wire import ANNA, BEN, PASSWORDS, SERVICE, Ask, mail, over_http

Open = Callable[..., Account]


def put(server: SandboxServer, path: str, value: object) -> tuple[int, dict[str, object]]:
    status, _, body = over_http(server, "POST", path, json.dumps(value).encode())
    return status, json.loads(body)


# -- budgets


def test_a_budget_is_used_up_refills_and_asking_on_prolongs_the_wait() -> None:
    now = [0.0]
    throttling = Throttling(lambda: now[0])
    throttling.set(Budget(requests=3, seconds=30))

    def ask(cost: int = 1) -> float:
        try:
            with throttling.admitted(ANNA, cost):
                return 0.0
        except OverBudget as error:
            return error.seconds

    assert [ask(), ask(), ask()] == [0, 0, 0]
    first, second = ask(), ask()
    assert 10 < first < second
    now[0] += second
    assert ask() == 0
    now[0] += 1000
    assert ask(cost=7) == 0, "one batch may overdraw"
    assert ask() == 50, "and is paid for afterwards"
    with throttling.admitted(BEN, 1):
        pass
    assert throttling.refused == {ANNA: 3}


@pytest.mark.parametrize("how", ["busy", "http"])
def test_who_is_over_budget_is_told_how_long_to_wait(
    store: SandboxStore, server: SandboxServer, account: Open, how: str
) -> None:
    anna = account(ANNA)
    inbox = Inbox.get_distinguished(root=anna.root)
    assert put(server, "/_/throttling", {"requests": 1, "seconds": 60, "how": how, "status": 429})[0] == 200
    inbox.refresh()
    if how == "busy":
        with pytest.raises(ErrorServerBusy) as caught:
            inbox.refresh()
        assert 50 < float(caught.value.back_off or 0) <= 121
    else:
        status, headers, _ = post(server)
        assert status == 429
        assert 50 < int(headers["retry-after"]) <= 121
    assert post(server, BEN)[0] == 200, "every mailbox has its own budget"
    told = json.loads(over_http(server, "GET", "/_/throttling")[2])
    assert (told["requests"], told["refused"]) == (1, {ANNA: 1})


def test_a_budget_is_charged_to_the_mailbox_that_is_impersonated(server: SandboxServer, account: Open) -> None:
    first, second = (Inbox.get_distinguished(root=account(one, impersonate=True).root) for one in (ANNA, BEN))
    second.refresh()
    server.throttling.set(Budget(requests=1, seconds=600))
    first.refresh()
    with pytest.raises(ErrorServerBusy):
        first.refresh()
    second.refresh()


def test_so_many_messages_leave_in_a_minute(server: SandboxServer, account: Open) -> None:
    server.throttling.set(Budget(messages=2))
    anna = account(ANNA)

    def send() -> None:
        Message(account=anna, subject="x", body="x", to_recipients=[BEN]).send(save_copy=False)

    send()
    send()
    with pytest.raises(ErrorSubmissionQuotaExceeded):
        send()
    assert account(BEN).inbox.all().count() == 2


def test_so_many_requests_run_at_once(server: SandboxServer) -> None:
    server.throttling.set(Budget(concurrency=1))
    server.faults.add("slow", seconds=0.4)
    first = threading.Thread(target=post, args=(server,))
    first.start()
    time.sleep(0.1)
    status, _, body = post(server)
    first.join()
    assert status == 500
    assert b"ErrorExceededConnectionCount" in body
    assert post(server)[0] == 200


def test_a_batch_costs_its_items() -> None:

    many = etree.fromstring(
        '<m:GetItem xmlns:m="http://schemas.microsoft.com/exchange/services/2006/messages"><m:ItemIds><a/><b/><c/></m:ItemIds></m:GetItem>'
    )
    assert (cost_of(many), cost_of(etree.fromstring("<x/>"))) == (3, 1)


@pytest.mark.parametrize(
    "wrong",
    [[], {"requests": 0}, {"requests": True}, {"seconds": 0}, {"how": "softly"}, {"status": 200}, {"colour": "red"}],
)
def test_a_budget_that_makes_no_sense_is_refused(server: SandboxServer, wrong: object) -> None:
    assert put(server, "/_/throttling", wrong)[0] == 400


# -- tokens


def token(server: SandboxServer, secret: str) -> tuple[int, dict[str, str]]:
    form = {"grant_type": "client_credentials", "client_id": SERVICE, "client_secret": secret}
    status, _, body = over_http(server, "POST", "/oauth2/token", urlencode(form).encode())
    return status, json.loads(body)


def test_a_token_opens_the_door_until_it_expires(server: SandboxServer) -> None:
    assert token(server, "wrong") == (401, {"error": "invalid_client", "error_description": "The client is not known."})
    assert over_http(server, "POST", "/oauth2/token", b"grant_type=password")[0] == 400
    status, given = token(server, PASSWORDS[SERVICE])
    assert (status, given["token_type"]) == (200, "Bearer")
    bearer = {"authorization": f"Bearer {given['access_token']}"}
    assert over_http(server, "POST", PATH, GET_FOLDER, **bearer)[0] == 200
    server.faults.add("expired_token")
    assert over_http(server, "POST", PATH, GET_FOLDER, **bearer)[0] == 401
    assert over_http(server, "POST", PATH, GET_FOLDER, **bearer)[0] == 401, "an expired token does not come back"
    server.faults.add("invalid_client")
    assert token(server, PASSWORDS[SERVICE])[0] == 401
    assert token(server, PASSWORDS[SERVICE])[0] == 200


def test_a_token_lasts_an_hour(store: SandboxStore) -> None:
    now = [0.0]
    tokens = Tokens(store, lambda: now[0])
    form = urlencode({"grant_type": "client_credentials", "client_id": ANNA, "client_secret": PASSWORDS[ANNA]}).encode()
    given = json.loads(tokens.answer(form).body)["access_token"]
    assert tokens.holder(given) == ANNA
    now[0] = 3601
    assert tokens.holder(given) is None
    assert tokens.holder("none") is None


# -- troubles


def test_troubles_at_random_are_the_same_for_the_same_seed() -> None:
    def met(seed: int) -> list[str]:
        faults = Faults()
        faults.add("any", seed=seed, probability=0.5, count=None)
        calls = [("GetItem", "SyncFolderItems", "CreateItem", "GetEvents")[number % 4] for number in range(400)]
        return [f"{call} {one.fault} {one.code} {one.status}" for call in calls for one in faults.take(call, ANNA)]

    assert met(1) == met(1) != met(2)
    assert 120 < len(met(1)) < 280
    seen = {line.split(" ", 1)[1] for line in met(1) + met(2)}
    assert len(seen) > 15, "nearly every trouble comes up"
    assert not [line for line in met(1) if line.startswith("GetItem") and "SyncState" in line]


@pytest.mark.parametrize("name", sorted(chaos.TROUBLES))
def test_every_trouble_does_something_and_the_server_lives(server: SandboxServer, name: str) -> None:
    operations, _ = chaos.TROUBLES[name]
    faults = Faults()
    faults.add("any", among=[name])
    (met,) = faults.take((*operations, "GetItem")[0], ANNA)
    assert met.fault in chaos.TROUBLES[name][1].values()
    server.faults.script([{"fault": "any", "among": [name]}])
    with contextlib.suppress(OSError, http.client.HTTPException):  # an answer that breaks off is what some troubles are
        assert post(server)[0] in (200, 401, 403, 429, 500, 502, 503)
    server.faults.clear()
    assert post(server)[0] == 200


def test_a_page_can_end_with_what_the_next_begins_with(
    store: SandboxStore, server: SandboxServer, account: Open
) -> None:
    ids = {store.deliver_mime(ANNA, mail(number=number)) for number in range(7)}
    server.faults.add("repeat", operation="SyncFolderItems", count=None, page=3)
    told = [item.id for _, item in account(ANNA).inbox.sync_items(only_fields=[])]
    assert set(told) == ids
    assert len(told) == 9
    server.faults.clear()
    server.faults.add("repeat", count=None, page=1)
    assert {item.id for _, item in account(ANNA).inbox.sync_items(only_fields=[])} == ids


def test_an_appointment_can_be_shown_in_a_zone_nobody_knows(
    store: SandboxStore, server: SandboxServer, account: Open, ask: Ask
) -> None:
    (item_id,) = store.add_ics(ANNA, calendar("UID:1", "DTSTART:20261124T100000Z"))
    get = (
        "<m:GetItem><m:ItemShape><t:BaseShape>AllProperties</t:BaseShape></m:ItemShape>"
        f'<m:ItemIds><t:ItemId Id="{item_id}"/></m:ItemIds></m:GetItem>'
    )
    server.faults.add("custom_zone", operation="GetItem")
    shown = ask(get, of=server).all("t:StartTimeZone")[0]
    assert (shown.get("Id"), len(shown)) == ("tzone://Microsoft/Custom", 0)
    assert ask(get, of=server).all("t:StartTimeZone")[0].get("Id") == "UTC"


@pytest.mark.parametrize("wrong", [{"fault": "any", "among": ["flood"]}, {"fault": "repeat", "page": 0}])
def test_a_trouble_that_makes_no_sense_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="troubles"):
        Faults().script([wrong])


# -- a mailbox moves


@pytest.fixture
def other() -> Iterator[SandboxServer]:
    store = SandboxStore()
    store.add_mailbox(SERVICE, PASSWORDS[SERVICE], "crmsync", impersonator=True)
    with SandboxServer(store) as running:
        yield running
    CachingProtocol.clear_cache()


def moved(server: SandboxServer, other: SandboxServer, then: str, seconds: float = 0) -> None:
    wanted = {"mailbox": ANNA, "to": other.url, "seconds": seconds, "then": then}
    assert put(server, "/_/move", wanted)[0] == 200
    deadline = time.monotonic() + 10
    while server.store.has_mailbox(ANNA) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not server.store.has_mailbox(ANNA)


def test_a_mailbox_moves_with_all_that_is_in_it(
    store: SandboxStore, server: SandboxServer, other: SandboxServer, account: Open, ask: Ask
) -> None:
    anna = account(ANNA)
    message_id = store.deliver_mime(ANNA, mail(), categories=["CRM"])
    second = weekly(anna).occurrence(2)
    second.refresh()
    second.subject = "Changed"
    second.save(update_fields=["subject"])
    list(anna.inbox.sync_items(only_fields=[]))
    state = anna.inbox.item_sync_state
    moved(server, other, "redirect")
    there = other.store
    assert there.item(message_id).content.categories == ("CRM",)
    late = there.deliver_mime(ANNA, mail(number=2))
    sync = (
        "<m:SyncFolderItems><m:ItemShape><t:BaseShape>IdOnly</t:BaseShape></m:ItemShape><m:SyncFolderId>"
        f'<t:DistinguishedFolderId Id="inbox"/></m:SyncFolderId><m:SyncState>{state}</m:SyncState>'
        "<m:MaxChangesReturned>10</m:MaxChangesReturned></m:SyncFolderItems>"
    )
    reply = ask(sync, of=other)
    assert [one.get("Id") for one in reply.all("t:ItemId")] == [late], "what was known is not told again"
    shown = there.folder(ANNA, "calendar").items.values()
    assert [sorted(one.content.altered) for one in shown] == [[int(MONDAY_TEN.timestamp()) + 7 * 86_400 + 3600]]


@pytest.mark.parametrize(
    ("then", "error"),
    [
        ("redirect", RedirectError),
        ("unavailable", ErrorMailboxStoreUnavailable),
        ("unknown", ErrorNonExistentMailbox),
    ],
)
def test_while_it_moves_and_afterwards_the_old_server_says_so(
    store: SandboxStore,
    server: SandboxServer,
    other: SandboxServer,
    account: Open,
    tmp_path: Path,
    then: str,
    error: type[Exception],
) -> None:
    inbox = Inbox.get_distinguished(root=account(ANNA).root)
    through = Inbox.get_distinguished(root=account(ANNA, impersonate=True).root)
    wanted = {"mailbox": ANNA, "to": other.url, "seconds": 0.5, "then": then}
    assert put(server, "/_/move", wanted)[0] == 200
    with pytest.raises(ErrorMailboxMoveInProgress):
        inbox.refresh()
    assert put(server, "/_/move", wanted)[0] == 400, "it is being moved already"
    deadline = time.monotonic() + 10
    while store.has_mailbox(ANNA) and time.monotonic() < deadline:
        time.sleep(0.02)
    for one in (inbox, through):
        with pytest.raises(error):
            one.refresh()
    assert post(server, BEN)[0] == 200
    assert post(other, ANNA)[0] == 200
    statefile.save(store, tmp_path / "state")
    assert statefile.load(tmp_path / "state").moved == store.moved


def test_a_mailbox_stays_where_nobody_takes_it(store: SandboxStore, server: SandboxServer) -> None:
    full = SandboxStore()
    full.add_mailbox(ANNA, "other")
    with SandboxServer(full) as taken:
        assert put(server, "/_/move", {"mailbox": ANNA, "to": taken.url})[0] == 200
        deadline = time.monotonic() + 10
        while store.moving and time.monotonic() < deadline:
            time.sleep(0.02)
    assert store.has_mailbox(ANNA)
    assert post(server, ANNA)[0] == 200


@pytest.mark.parametrize(
    ("path", "wrong"),
    [
        ("/_/move", []),
        ("/_/move", {"mailbox": "nobody@x.example", "to": "http://127.0.0.1:1/"}),
        ("/_/move", {"mailbox": ANNA, "to": "ftp://x"}),
        ("/_/move", {"mailbox": ANNA, "to": "http://127.0.0.1:1/", "then": "vanish"}),
        ("/_/adopt", "no archive"),
    ],
)
def test_moves_that_make_no_sense_are_refused(server: SandboxServer, path: str, wrong: object) -> None:
    assert put(server, path, wrong)[0] == 400
    assert post(server)[0] == 200
