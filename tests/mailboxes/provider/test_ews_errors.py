"""Every way in which a server, or what stands before it, fails: seen over real sockets, as one of our errors."""

import base64
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mailboxes.catalogue import ENTRIES
from mailboxes.provider.errors import (
    AccessRefused,
    AnswerUnreadable,
    AuthRejected,
    CursorExpired,
    FolderGone,
    MailboxGone,
    Misconfigured,
    ProviderError,
    Scope,
    Throttled,
    Unavailable,
)
from mailboxes.provider.ews.adapter import EwsProvider
from mailboxes.provider.ews.client import Client, SignIn
from mailboxes.provider.ews.errors import CODES, translate
from mailboxes.provider.ews.repairs import HttpError, RepairedProtocol
from mailboxes.provider.ews.transport import Allowed, Reach
from mailboxes.provider.port import ServerFacts
from tests.mailboxes.provider.certificates import Authority
from tests.mailboxes.provider.scripted import Said, ScriptedServer, error, fault, messages, serving, soap, success

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
ADDRESS = "ana@example.com"
GOOD = Said(
    body=messages(
        "SyncFolderItems",
        success("<m:SyncState>c1</m:SyncState><m:IncludesLastItemInRange>true</m:IncludesLastItemInRange><m:Changes/>"),
    )
)
BACK_OFF = '<t:Value Name="BackOffMilliseconds">297749</t:Value>'


def provider_at(
    url: str, *, auth: str = "basic", ca_pem: str = "", token_url: str = "", private: bool = True
) -> EwsProvider:
    """Return a provider that may contact the hosts of these URLs."""
    places = [re.match(r"https?://([^:/]+):(\d+)", each) for each in (url, token_url) if each]
    hosts = {(str(m[1]), int(m[2])): Allowed(private=private, plain_http=True) for m in places if m}
    sign_in = SignIn(url, auth, "crmsync", "hunter2", "tenant", token_url, Reach(hosts, ca_pem))
    return EwsProvider(Client(sign_in, ServerFacts(), lambda: NOW), ADDRESS, impersonate=True)


def failure(provider: EwsProvider) -> ProviderError:
    """Return how the simplest request fails."""
    with pytest.raises(ProviderError) as caught:
        provider.changes("folder", None, 10)
    assert caught.value.code in ENTRIES
    assert "hunter2" not in str(caught.value)
    return caught.value


PAGE = b"<!DOCTYPE html><html><body>Sign in</body></html>"


@pytest.mark.parametrize(
    ("said", "kind", "code", "scope"),
    [
        (Said(401, headers=(("WWW-Authenticate", "NTLM"),)), AuthRejected, "sign_in_refused", Scope.CREDENTIAL),
        (Said(401, b"The referenced account is currently locked out"), AuthRejected, "account_locked", Scope.CREDENTIAL),
        (Said(403, PAGE), AccessRefused, "ews_forbidden", Scope.MAILBOX),
        (Said(404, PAGE), Misconfigured, "no_ews_here", Scope.SERVER),
        (Said(405), Misconfigured, "no_ews_here", Scope.SERVER),
        (Said(407), Misconfigured, "proxy_refused", Scope.SERVER),
        (Said(413), AnswerUnreadable, "request_refused", Scope.SERVER),
        (Said(429), Throttled, "server_busy", Scope.MAILBOX),
        (Said(440), Unavailable, "server_unavailable", Scope.SERVER),
        (Said(456), AuthRejected, "account_disabled", Scope.CREDENTIAL),
        (Said(500, PAGE), Unavailable, "server_error", Scope.SERVER),
        (Said(500, b"The specified server version is invalid."), Misconfigured, "version_refused", Scope.SERVER),
        (Said(500, b"", (("X-CasErrorCode", "UserNotFound"),)), Unavailable, "server_error", Scope.SERVER),
        (Said(502), Unavailable, "server_unavailable", Scope.SERVER),
        (Said(503), Unavailable, "server_unavailable", Scope.SERVER),
        (Said(503, hang_up=True, headers=(("Connection", "close"),)), Unavailable, "server_unavailable", Scope.SERVER),
        (Said(504), Unavailable, "server_unavailable", Scope.SERVER),
        (Said(302, headers=(("Location", "https://elsewhere.example/owa"),)), Misconfigured, "redirected", Scope.SERVER),
        (Said(302, headers=(("Location", "/ews/genericerrorpage.htm"),)), Unavailable, "server_unavailable", Scope.SERVER),
        (Said(200, PAGE), Misconfigured, "answer_is_web_page", Scope.SERVER),
        (Said(200, b"<html><body>Sign in</html>"), Misconfigured, "answer_is_web_page", Scope.SERVER),
        (Said(200, b""), AnswerUnreadable, "answer_unreadable", Scope.SERVER),
        (Said(200, b"not xml at all"), AnswerUnreadable, "answer_unreadable", Scope.SERVER),
        (Said(200, GOOD.body[:-30]), AnswerUnreadable, "answer_unreadable", Scope.SERVER),
        (Said(200, b"<a/>"), AnswerUnreadable, "answer_unreadable", Scope.SERVER),
        (Said(200, soap("<m:Surprise/>")), AnswerUnreadable, "answer_unreadable", Scope.SERVER),
        (Said(200, messages("SyncFolderItems")), AnswerUnreadable, "answer_unreadable", Scope.SERVER),
        (Said(200, messages("SyncFolderItems", success(""))), AnswerUnreadable, "answer_unreadable", Scope.SERVER),
        (Said(200, GOOD.body, cut=40), Unavailable, "connection_lost", Scope.SERVER),
        (Said(reset=True), Unavailable, "connection_lost", Scope.SERVER),
        (Said(500, fault("ErrorServerBusy")), Throttled, "server_busy", Scope.MAILBOX),
        (Said(500, fault("ErrorInternalServerError")), Unavailable, "server_error", Scope.SERVER),
        (Said(500, fault("ErrorMailboxMoveInProgress")), Unavailable, "mailbox_moving", Scope.MAILBOX),
        (Said(500, fault("ErrorNonExistentMailbox")), MailboxGone, "mailbox_unknown", Scope.MAILBOX),
        (Said(500, fault("ErrorImpersonateUserDenied")), AccessRefused, "impersonation_refused", Scope.MAILBOX),
        (Said(500, fault("ErrorAccountDisabled")), AuthRejected, "account_disabled", Scope.CREDENTIAL),
        (Said(500, fault("ErrorInvalidServerVersion")), Misconfigured, "version_refused", Scope.SERVER),
        (Said(500, fault("ErrorInvalidRequest")), AnswerUnreadable, "request_refused", Scope.SERVER),
        (Said(500, fault("ErrorOfTomorrow")), Unavailable, "server_unavailable", Scope.SERVER),
        (Said(200, messages("SyncFolderItems", error("ErrorServerBusy"))), Throttled, "server_busy", Scope.MAILBOX),
        (Said(200, messages("SyncFolderItems", error("ErrorExceededConnectionCount"))), Throttled, "too_many_connections", Scope.CREDENTIAL),
        (Said(200, messages("SyncFolderItems", error("ErrorInvalidSyncStateData"))), CursorExpired, "cursor_expired", Scope.FOLDER),
        (Said(200, messages("SyncFolderItems", error("ErrorItemNotFound"))), FolderGone, "folder_gone", Scope.FOLDER),
        (Said(200, messages("SyncFolderItems", error("ErrorAccessDenied"))), FolderGone, "folder_refused", Scope.FOLDER),
        (Said(200, messages("SyncFolderItems", error("ErrorNewerThanUs"))), Unavailable, "server_unavailable", Scope.SERVER),
        (
            Said(200, messages("SyncFolderItems", error("ErrorInternalServerError", values='<t:Value Name="InnerErrorResponseCode">ErrorADUnavailable</t:Value>'))),
            Unavailable, "server_unavailable", Scope.SERVER,
        ),
    ],
    ids=lambda value: repr(value)[:60] if isinstance(value, Said) else None,
)  # fmt: skip
def test_answer_becomes_error(said: Said, kind: type[ProviderError], code: str, scope: Scope) -> None:
    with serving(said) as server:
        found = failure(provider_at(server.url))
    assert (type(found), found.code, found.scope) == (kind, code, scope)


def test_what_a_redirect_carries_in_its_query_is_not_repeated() -> None:
    with serving(Said(302, headers=(("Location", "https://elsewhere.example/owa?ticket=s3cret"),))) as server:
        found = failure(provider_at(server.url))
    assert "https://elsewhere.example/owa" in found.detail
    assert "s3cret" not in found.detail


@pytest.mark.parametrize(
    ("said", "wait"),
    [
        (Said(429, headers=(("Retry-After", "33"),)), timedelta(seconds=33)),
        (Said(503, headers=(("Retry-After", "33"),)), timedelta(seconds=33)),
        (Said(503, headers=(("Retry-After", "Sun, 22 Nov 2026 12:05:00 GMT"),)), timedelta(minutes=5)),
        (Said(429, headers=(("Retry-After", "Sun, 22 Nov 2020 12:05:00 GMT"),)), timedelta(0)),
        (Said(429, headers=(("Retry-After", "99999999999999"),)), timedelta(days=1)),
        (Said(500, fault("ErrorServerBusy", values=BACK_OFF)), timedelta(milliseconds=297749)),
        (Said(200, messages("SyncFolderItems", error("ErrorServerBusy", values=BACK_OFF))), timedelta(milliseconds=297749)),
    ],
)  # fmt: skip
def test_the_time_that_a_server_names_is_kept(said: Said, wait: timedelta) -> None:
    with serving(said) as server:
        found = failure(provider_at(server.url))
    assert isinstance(found, Throttled)
    assert found.retry_at == NOW + wait


@pytest.mark.parametrize("value", ["soon", "", "-5"])
def test_a_retry_after_nobody_understands_names_no_time(value: str) -> None:
    with serving(Said(429, headers=(("Retry-After", value),))) as server:
        found = failure(provider_at(server.url))
    assert isinstance(found, Throttled)
    assert found.retry_at is None


def test_exchange_online_without_ews_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(Said(403)) as server:
        provider = provider_at(server.url)
        monkeypatch.setattr("mailboxes.provider.ews.errors._ONLINE_HOSTS", ("127.0.0.1",))
        found = failure(provider)
    assert (type(found), found.code, found.scope) == (AccessRefused, "ews_ended_online", Scope.SERVER)


# -- below HTTP -------------------------------------------------------------------------------------------------------


def test_a_name_that_nobody_knows() -> None:
    found = failure(provider_at("https://mail.example.invalid:443/EWS/Exchange.asmx"))
    assert (type(found), found.code) == (Unavailable, "name_unresolved")


def test_a_port_where_nobody_listens() -> None:
    with serving(GOOD) as server:
        url = server.url
    found = failure(provider_at(url))
    assert (type(found), found.code) == (Unavailable, "connection_refused")


def test_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RepairedProtocol, "TIMEOUT", (1, 0.2))
    with serving(Said(silent=True)) as server:
        found = failure(provider_at(server.url))
    assert (type(found), found.code) == (Unavailable, "timed_out")


@pytest.mark.parametrize(
    ("host", "days", "trusted", "reason"),
    [
        ("localhost", 90, False, "unable to get local issuer certificate"),
        ("localhost", -1, True, "certificate has expired"),
        ("other.example", 90, True, "Hostname mismatch"),
    ],
)
def test_a_certificate_that_is_not_good_names_the_reason(
    tmp_path: Path, host: str, days: int, trusted: bool, reason: str
) -> None:
    authority = Authority.made()
    with serving(GOOD, tls=authority.context(tmp_path, host=host, days=days)) as server:
        found = failure(provider_at(server.url, ca_pem=authority.pem if trusted else ""))
    assert (type(found), found.code) == (Misconfigured, "certificate_untrusted")
    assert reason in found.detail


def test_a_private_authority_is_trusted_for_its_server(tmp_path: Path) -> None:
    authority = Authority.made()
    with serving(GOOD, tls=authority.context(tmp_path)) as server:
        assert provider_at(server.url, ca_pem=authority.pem).changes("folder", None, 10).cursor == "c1"


def test_tls_where_there_is_none() -> None:
    with serving(GOOD) as server:
        found = failure(provider_at(server.url.replace("http://", "https://")))
    assert (type(found), found.code) == (Misconfigured, "tls_failed")


# -- where it may go --------------------------------------------------------------------------------------------------


def test_a_host_that_is_not_listed_is_never_contacted() -> None:
    with serving(GOOD) as server:
        sign_in = SignIn(server.url, "basic", "u", "s", reach=Reach({("mail.example.com", 443): Allowed()}))
        found = failure(EwsProvider(Client(sign_in, ServerFacts(), lambda: NOW), ADDRESS, impersonate=True))
    assert (found.code, server.connections) == ("egress_refused", 0)


def test_a_private_address_behind_a_listed_name_is_refused() -> None:
    with serving(GOOD) as server:
        found = failure(provider_at(server.url, private=False))
    assert (type(found), found.code, server.connections) == (Misconfigured, "egress_refused", 0)


def test_a_redirect_is_not_followed() -> None:
    with serving(GOOD) as other, serving(Said(307, headers=(("Location", other.url),))) as server:
        assert failure(provider_at(server.url)).code == "redirected"
    assert other.connections == 0


# -- once more --------------------------------------------------------------------------------------------------------


def test_a_connection_that_was_closed_while_idle_is_made_anew() -> None:
    with serving(GOOD, Said(reset=True), GOOD) as server:
        provider = provider_at(server.url)
        provider.changes("folder", None, 10)
        assert provider.changes("folder", None, 10).cursor == "c1"
    assert (server.connections, provider.requests) == (2, 3)


def test_a_write_is_never_repeated() -> None:
    with serving(GOOD, Said(reset=True)) as server:
        provider = provider_at(server.url)
        provider.changes("folder", None, 10)
        with pytest.raises(Unavailable):
            provider.create_draft("once")
    assert len(server.bodies) == 2


def test_a_cut_off_answer_is_not_asked_for_again() -> None:
    with serving(GOOD, Said(200, GOOD.body, cut=40)) as server:
        provider = provider_at(server.url)
        provider.changes("folder", None, 10)
        assert failure(provider).code == "connection_lost"
    assert len(server.bodies) == 2


def test_after_every_failure_the_next_request_works() -> None:
    with serving(Said(503), Said(reset=True), Said(200, b"x"), Said(401), GOOD) as server:
        provider = provider_at(server.url)
        for _ in range(4):
            failure(provider)
        assert provider.changes("folder", None, 10).cursor == "c1"


def test_an_older_server_is_spoken_to_in_its_version_from_then_on() -> None:
    with serving(
        Said(500, fault("ErrorInvalidServerVersion")), Said(500, fault("ErrorInvalidServerVersion")), GOOD
    ) as server:
        provider = provider_at(server.url)
        provider.changes("folder", None, 10)
        provider.changes("folder", None, 10)
    spoken = [re.findall(rb'RequestServerVersion Version="([^"]+)', body)[0].decode() for body in server.bodies]
    assert spoken == ["Exchange2013_SP1", "Exchange2013", "Exchange2010_SP2", "Exchange2010_SP2"]
    assert provider.facts == ServerFacts(build="15.1.2507.6", api_version="Exchange2010_SP2")


# -- OAuth ------------------------------------------------------------------------------------------------------------


def token(value: str = "t1", expires_in: int = 3600) -> Said:
    body = f'{{"token_type": "Bearer", "expires_in": {expires_in}, "access_token": "{value}"}}'.encode()
    return Said(body=body, headers=(("Content-Type", "application/json"),))


def refused_token(status: int, name: str) -> Said:
    body = f'{{"error": "{name}", "error_description": "AADSTS7000215: Invalid client secret provided."}}'.encode()
    return Said(status, body, (("Content-Type", "application/json"),))


@pytest.fixture
def at_both() -> Callable[[ScriptedServer, ScriptedServer], EwsProvider]:
    return lambda server, login: provider_at(server.url, auth="oauth", token_url=login.url)


Both = Callable[[ScriptedServer, ScriptedServer], EwsProvider]


def test_a_token_is_asked_for_once_and_sent_with_every_request(at_both: Both) -> None:
    with serving(token()) as login, serving(GOOD) as server:
        provider = at_both(server, login)
        provider.changes("folder", None, 10)
        provider.changes("folder", None, 10)
    assert len(login.bodies) == 1
    assert b"client_credentials" in login.bodies[0]
    assert all("Authorization: Bearer t1" in head for head in server.heads)


def test_an_expired_token_is_replaced_without_an_error(at_both: Both) -> None:
    with serving(token("t1", expires_in=-10), token("t2")) as login, serving(GOOD) as server:
        provider = at_both(server, login)
        assert provider.changes("folder", None, 10).cursor == "c1"
    assert len(login.bodies) == 2
    assert "Authorization: Bearer t2" in server.heads[-1]


def test_an_expired_token_does_not_cost_a_write(at_both: Both) -> None:
    made = Said(body=messages("CreateItem", success('<m:Items><t:Message><t:ItemId Id="d1"/></t:Message></m:Items>')))
    with serving(token("t1", expires_in=-10), token("t2")) as login, serving(made) as server:
        assert at_both(server, login).create_draft("once") == "d1"
    assert len(server.bodies) == 1


def test_tokens_that_are_born_expired_end_in_an_error(at_both: Both) -> None:
    with serving(token("t1", expires_in=-10)) as login, serving(GOOD) as server:
        found = failure(at_both(server, login))
    assert (found.code, found.scope) == ("login_service_unavailable", Scope.CREDENTIAL)


@pytest.mark.parametrize(
    ("said", "kind", "code"),
    [
        (refused_token(401, "invalid_client"), AuthRejected, "app_secret_refused"),
        (refused_token(400, "unauthorized_client"), Misconfigured, "app_refused"),
        (refused_token(400, "invalid_request"), Misconfigured, "app_refused"),
        (Said(503, b"busy"), Unavailable, "login_service_unavailable"),
        (Said(429, b"{}", (("Content-Type", "application/json"),)), Unavailable, "login_service_unavailable"),
        (Said(302, headers=(("Location", "https://elsewhere.example/"),)), Unavailable, "login_service_unavailable"),
    ],
)  # fmt: skip
def test_a_login_service_that_gives_no_token(at_both: Both, said: Said, kind: type[ProviderError], code: str) -> None:
    with serving(said) as login, serving(GOOD) as server:
        found = failure(at_both(server, login))
    assert (type(found), found.code, found.scope) == (kind, code, Scope.CREDENTIAL)
    assert not server.bodies


def test_a_login_service_out_of_order_loses_no_session(at_both: Both) -> None:
    # Upstream loses the session's place here and then waits for ever (exchangelib issue 1373).
    with (
        serving(token(), refused_token(401, "invalid_client"), token("t2")) as login,
        serving(Said(401), GOOD) as server,
    ):
        provider = at_both(server, login)
        assert failure(provider).code == "sign_in_refused"
        assert failure(provider).code == "app_secret_refused"
        assert provider.changes("folder", None, 10).cursor == "c1"


def test_a_token_survives_what_is_not_about_it(at_both: Both) -> None:
    with serving(token()) as login, serving(Said(503), GOOD) as server:
        provider = at_both(server, login)
        failure(provider)
        provider.changes("folder", None, 10)
    assert len(login.bodies) == 1


# -- the table --------------------------------------------------------------------------------------------------------


def test_every_code_of_the_table_has_a_row_in_the_catalogue() -> None:
    assert {row.code for row in CODES.values()} <= set(ENTRIES)


def test_errors_agree_with_their_rows_in_the_catalogue() -> None:
    for name, row in CODES.items():
        entry = ENTRIES[row.code]
        assert entry.kind is row.error.kind, name
        assert entry.scope is (row.scope or row.error.scope), name


def test_what_is_unknown_is_passing() -> None:
    assert type(translate(OSError("strange"), NOW)) is Unavailable


def test_http_error_keeps_no_more_than_the_beginning_of_an_answer() -> None:
    with serving(Said(500, b"x" * 100_000)) as server, pytest.raises(ProviderError) as caught:
        provider_at(server.url).changes("folder", None, 10)
    assert isinstance(caught.value.__cause__, HttpError)
    assert len(caught.value.__cause__.body) <= 4000


def test_basic_sign_in_is_sent_with_the_first_request() -> None:
    with serving(GOOD) as server:
        provider_at(server.url).changes("folder", None, 10)
    assert f"Authorization: Basic {base64.b64encode(b'crmsync:hunter2').decode()}" in server.heads[0]
    assert len(server.bodies) == 1
