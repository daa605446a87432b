"""The repairs to exchangelib: that each fault is still there, that ours does not have it, that nothing moved underneath."""

import hashlib
import inspect
import logging
import os
import stat
import warnings
from collections.abc import Iterator
from pathlib import Path
from queue import Empty
from typing import Any, Final

import exchangelib
import pytest
import requests
from exchangelib import ewsdatetime, util
from exchangelib.autodiscover import cache as autodiscover_cache
from exchangelib.configuration import Configuration
from exchangelib.credentials import BaseOAuth2Credentials, Credentials, OAuth2Credentials
from exchangelib.errors import ErrorServerBusy, MalformedResponseError, UnknownTimeZone
from exchangelib.protocol import BaseProtocol, CachingProtocol, FailFast
from exchangelib.services import GetItem
from exchangelib.services.common import EWSService
from exchangelib.version import Build, Version
from lxml import etree

from mailboxes.provider.ews import repairs
from mailboxes.provider.ews.client import POOL, Client, ClientPool, SignIn, utc_now
from mailboxes.provider.ews.repairs import AppCredentials, HttpError, RepairedProtocol, TypedErrors
from mailboxes.provider.ews.transport import Allowed, Reach
from mailboxes.provider.port import ServerFacts
from tests.mailboxes.provider.scripted import Said, error, messages, serving, success
from tests.mailboxes.provider.test_ews_errors import provider_at

URL: Final = "https://mail.example.com/EWS/Exchange.asmx"
REACH: Final = Reach({("mail.example.com", 443): Allowed(), ("login.example.com", 443): Allowed()})

# A function that differs here was changed by a new version of exchangelib: look at the repair that stands on it, then
# note the new fingerprint.
UPSTREAM: Final = {
    "187afe530315614e": BaseProtocol.get_session,
    "32824501f82d8fe9": BaseProtocol.increase_poolsize,
    "a2ae13f9adfb9834": BaseProtocol.release_session,
    "bf7db25368b9fa36": BaseProtocol.retire_session,
    "52e27a5725064a20": BaseProtocol.renew_session,
    "9183382ae3ea850d": BaseProtocol.refresh_credentials,
    "a4eab04b2809e94b": BaseProtocol.create_session,
    "1f527f085178619b": BaseProtocol.create_oauth2_session,
    "b94ef5b7402aaf3b": BaseProtocol.raw_session.__func__,
    "bfcb7d279aedc4e9": BaseOAuth2Credentials.session_params,
    "16da83fd2c697442": FailFast.raise_response_errors,
    "7bdbc184b75c916f": repairs._upstream_from_ms_id,
    "f02e0a34a58b9a5a": EWSService._get_soap_parts.__func__,
    "9325f944b00fa88d": EWSService._get_element_container,
    "f2bca875968ca73d": EWSService._get_exception,
    "ac11bd24284956a3": autodiscover_cache.shelve_filename,
    "00314f5a93f0b380": util.post_ratelimited,
}


@pytest.mark.parametrize("fingerprint", UPSTREAM)
def test_upstream_is_what_the_repairs_were_made_for(fingerprint: str) -> None:
    function = UPSTREAM[fingerprint]
    now = hashlib.sha256(inspect.getsource(function).encode()).hexdigest()[:16]
    assert now == fingerprint, f"exchangelib changed {function.__qualname__}: look at its repair"


def test_upstream_is_pinned() -> None:
    assert exchangelib.__version__ == "5.6.0"


def config(credentials: Any = None) -> Configuration:
    return Configuration(
        service_endpoint=URL,
        credentials=credentials or Credentials("crmsync", "hunter2"),
        auth_type=None if credentials else "basic",
        version=Version(build=Build(15, 0)),
        retry_policy=TypedErrors(),
        max_connections=1,
    )


@pytest.fixture
def protocol() -> Iterator[RepairedProtocol]:
    made = RepairedProtocol(config(), REACH)
    yield made
    made.close()


class NoToken(Exception):
    pass


def refuse_sessions(protocol: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise NoToken

    monkeypatch.setattr(protocol, "create_session", refuse)


# -- sessions ---------------------------------------------------------------------------------------------------------


def test_upstream_loses_a_session_that_cannot_be_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    stock = BaseProtocol(config())
    session = stock.get_session()
    with monkeypatch.context() as patch:
        refuse_sessions(stock, patch)
        with pytest.raises(NoToken):
            stock.retire_session(session)
    assert stock.session_pool_size == 1, "it believes to have a session"
    with pytest.raises(Empty):
        stock._session_pool.get(block=False)


@pytest.mark.parametrize("way", ["retire_session", "renew_session", "refresh_credentials"])
def test_no_session_is_lost(protocol: RepairedProtocol, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    session = protocol.get_session()
    with monkeypatch.context() as patch:
        refuse_sessions(protocol, patch)
        try:
            getattr(protocol, way)(session)
        except NoToken:
            assert way != "retire_session", "giving up a session makes none"
        with pytest.raises(NoToken):
            protocol.get_session()
    assert protocol.get_session() is not session


def test_a_session_is_used_again(protocol: RepairedProtocol) -> None:
    session = protocol.get_session()
    protocol.release_session(session)
    assert protocol.get_session() is session
    assert session.usage_count == 2


def test_upstream_waits_for_ever_and_ours_has_nothing_to_wait_for(protocol: RepairedProtocol) -> None:
    assert "while True" in inspect.getsource(BaseProtocol.get_session)
    # Taken and never given back, as after a job's time limit.
    assert protocol.get_session() is protocol.get_session()


class TimeLimit(Exception):
    """What a queue raises in the middle of anything when a job takes too long."""


@pytest.mark.parametrize(
    "place", ["mailboxes.provider.ews.client.post_ratelimited", "mailboxes.provider.ews.soap.read"]
)
def test_a_job_s_time_limit_passes_and_the_next_request_works(monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    def strike(*_args: Any, **_rest: Any) -> None:
        raise TimeLimit

    with serving(Said(body=messages("GetFolder", success("")))) as server:
        provider = provider_at(server.url)
        with monkeypatch.context() as patch:
            patch.setattr(place, strike)
            with pytest.raises(TimeLimit):
                provider.counters(["f1"])
        assert provider.counters(["f1"]) == {}


def test_an_interruption_does_not_leave_the_connection_half_read(monkeypatch: pytest.MonkeyPatch) -> None:
    good = Said(body=messages("GetFolder", success("")))
    with serving(good) as server:
        provider = provider_at(server.url)
        content = requests.Response.content
        with monkeypatch.context() as patch:

            def strike(_response: requests.Response) -> bytes:
                raise TimeLimit

            patch.setattr(requests.Response, "content", property(strike))
            with pytest.raises(TimeLimit):
                provider.counters(["f1"])
        assert requests.Response.content is content
        assert provider.counters(["f1"]) == {}
    assert server.connections == 2


def test_upstream_s_cache_of_protocols_never_ends_and_ours_is_not_in_it(protocol: RepairedProtocol) -> None:
    assert type(RepairedProtocol) is not CachingProtocol
    assert protocol not in [each for each, _at in CachingProtocol._protocol_cache.values()]


def test_sessions_look_for_a_proxy_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    session = RepairedProtocol(config(), REACH).get_session()
    assert session.trust_env is False
    assert session.proxies["https"] == "http://proxy.example:3128"


def test_no_connection_is_shared_with_a_child(protocol: RepairedProtocol) -> None:
    sign_in = SignIn(URL, "basic", "u", "p", reach=REACH)
    mine = POOL.get(sign_in, ServerFacts())
    reader, writer = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # other threads of the test run are of no concern here
        child = os.fork()
    if child == 0:
        fresh = POOL.get(sign_in, ServerFacts()) is not mine and not CachingProtocol._protocol_cache
        os.write(writer, b"y" if fresh else b"n")
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reader, 1) == b"y"
    assert POOL.get(sign_in, ServerFacts()) is mine
    os.close(reader)
    os.close(writer)
    POOL.close()


# -- errors -----------------------------------------------------------------------------------------------------------


def answered(status: int, body: bytes = b"", *, retry_after: str = "") -> requests.Response:
    response = requests.Response()
    response.status_code, response._content, response.url = status, body, URL
    response.headers.update({"Retry-After": retry_after} if retry_after else {})
    response.request = requests.Request("POST", URL).prepare()
    return response


def test_upstream_drops_status_and_retry_after() -> None:
    with pytest.raises(MalformedResponseError) as caught:
        FailFast().raise_response_errors(answered(429, retry_after="33"))
    assert not hasattr(caught.value, "status")


@pytest.mark.parametrize("status", [204, 302, 401, 403, 429, 500, 503])
def test_every_other_status_is_kept_with_its_headers(status: int) -> None:
    with pytest.raises(HttpError) as caught:
        TypedErrors().raise_response_errors(answered(status, b"busy", retry_after="33"))
    assert (caught.value.status, caught.value.headers["Retry-After"]) == (status, "33")


@pytest.mark.parametrize(("status", "body"), [(200, b""), (500, b"<s:Envelope/>")])
def test_answers_of_the_protocol_pass(status: int, body: bytes) -> None:
    TypedErrors().raise_response_errors(answered(status, body))


def test_no_policy_of_ours_sleeps() -> None:
    assert TypedErrors().fail_fast
    assert TypedErrors().back_off_until is None


def test_upstream_does_not_read_the_wait_in_a_response_message() -> None:
    busy = error("ErrorServerBusy", values='<t:Value Name="BackOffMilliseconds">297749</t:Value>')
    message = etree.fromstring(messages("GetItem", busy)).find(".//{*}GetItemResponseMessage")
    with pytest.raises(ErrorServerBusy) as caught:
        GetItem._get_element_container(object.__new__(GetItem), message=message, name="x")
    assert caught.value.back_off is None


def test_upstream_lets_one_item_cost_the_others() -> None:
    body = messages("GetItem", success("<m:Items/>"), error("ErrorInternalServerError"))
    service = object.__new__(GetItem)
    service.streaming = False
    found = etree.fromstring(body).findall(".//{*}GetItemResponseMessage")
    with pytest.raises(exchangelib.errors.ErrorInternalServerError):
        list(service._get_elements_in_response(found))


def test_upstream_reads_answers_byte_by_byte() -> None:
    pieces: list[int] = []

    class Answer:
        def iter_content(self, chunk_size: int = 1) -> Iterator[bytes]:
            pieces.append(chunk_size)
            yield messages("GetItem")

    EWSService._get_soap_parts(Answer())
    assert pieces == [1]


# -- OAuth ------------------------------------------------------------------------------------------------------------


def app() -> AppCredentials:
    return AppCredentials(
        client_id="id", client_secret="s", tenant_id="t", token_url="https://login.example.com/token", ews_url=URL
    )


def test_upstream_refreshes_application_tokens_with_a_grant_they_do_not_have() -> None:
    assert "auto_refresh_url" in OAuth2Credentials("id", "s", "t").session_params()
    assert app().session_params() == {"token": None}


def test_token_address_and_scope_follow_the_server() -> None:
    assert app().token_url == "https://login.example.com/token"
    assert app().scope == ["https://mail.example.com/.default"]
    online = AppCredentials(client_id="id", client_secret="s", tenant_id="t", token_url="", ews_url=URL)
    assert online.token_url == "https://login.microsoftonline.com/t/oauth2/v2.0/token"


def test_a_token_is_forgotten_only_when_asked() -> None:
    credentials = app()
    credentials.access_token = {"access_token": "t1", "token_type": "Bearer"}
    made = RepairedProtocol(config(credentials), REACH)
    made.retire_session(made.get_session())
    assert credentials.access_token is not None
    made.forget_token()
    assert credentials.access_token is None
    RepairedProtocol(config(), REACH).forget_token()


# -- shared state -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "zone", ["tzone://Microsoft/Custom", "Customized Time Zone", "Nowhere/Land", "/etc/passwd", "../x/y"]
)
def test_a_time_zone_that_nobody_knows_is_an_unknown_time_zone(zone: str) -> None:
    repairs.apply()
    with pytest.raises(UnknownTimeZone):
        ewsdatetime.EWSTimeZone.from_ms_id(zone)


def test_upstream_raises_what_nobody_catches_for_a_custom_time_zone() -> None:
    with pytest.raises(ValueError, match="tzone") as caught:
        repairs._upstream_from_ms_id(ewsdatetime.EWSTimeZone, "tzone://Microsoft/Custom")
    assert not isinstance(caught.value, UnknownTimeZone)


@pytest.mark.parametrize(
    ("zone", "key"), [("Romance Standard Time", "Europe/Paris"), ("Europe/Madrid", "Europe/Madrid")]
)
def test_known_time_zones_stay_known(zone: str, key: str) -> None:
    repairs.apply()
    assert ewsdatetime.EWSTimeZone.from_ms_id(zone).key == key


def test_requests_do_not_reach_the_log(caplog: pytest.LogCaptureFixture) -> None:
    repairs.apply()
    repairs.apply()
    propagates = util.log.propagate
    util.log.propagate = util.xml_log.propagate = True
    try:
        with caplog.at_level(logging.DEBUG):
            util.log.error("%s: %s\n%s", "ValueError", "x", "Request XML: <Subject>very private</Subject>")
            util.xml_log.debug("Request XML: %(xml_request)s", {"xml_request": "<Subject>very private</Subject>"})
    finally:
        util.log.propagate = util.xml_log.propagate = propagates
    assert "very private" not in caplog.text


def test_autodiscover_keeps_its_pickles_where_nobody_else_can_put_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_to_all = tmp_path / "tmp"
    open_to_all.mkdir(mode=0o755)
    monkeypatch.setattr(autodiscover_cache, "AUTODISCOVER_PERSISTENT_STORAGE", open_to_all / "exchangelib.cache")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    private = repairs.private_autodiscover_cache()
    assert stat.S_IMODE(private.parent.stat().st_mode) == 0o700
    assert repairs.private_autodiscover_cache() == private


# -- the pool of clients ----------------------------------------------------------------------------------------------


def test_one_client_for_one_sign_in_and_the_oldest_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[Client] = []

    def note(client: Client) -> None:
        closed.append(client)

    monkeypatch.setattr(Client, "close", note)
    pool = ClientPool(size=2)
    ana, ben, eve = (SignIn(URL, "basic", name, "p", reach=REACH) for name in ("ana", "ben", "eve"))
    first = pool.get(ana, ServerFacts(), utc_now)
    second = pool.get(ben, ServerFacts(), utc_now)
    assert pool.get(ana, ServerFacts(), utc_now) is first
    pool.get(eve, ServerFacts(), utc_now)
    assert closed == [second]
    assert pool.get(SignIn(URL, "basic", "ana", "new password", reach=REACH), ServerFacts(), utc_now) is not first


def test_a_password_does_not_show_in_a_sign_in() -> None:
    assert "hunter2" not in repr(SignIn(URL, "basic", "ana", "hunter2"))
