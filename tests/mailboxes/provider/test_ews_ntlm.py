"""Signing in by NTLM, against the other half of the protocol: challenge and proof, once for a connection."""

import base64
from pathlib import Path

import pytest
import spnego

from mailboxes.provider.errors import AuthRejected, Misconfigured, ProviderError, Scope
from mailboxes.provider.ews.adapter import EwsProvider
from mailboxes.provider.ews.client import Client, SignIn, utc_now
from mailboxes.provider.ews.transport import Allowed, Reach
from mailboxes.provider.port import ServerFacts
from tests.mailboxes.provider.scripted import Said, messages, serving, success

GOOD = Said(body=messages("GetFolder", success("")))
OFFER = Said(401, headers=(("WWW-Authenticate", "NTLM"),))


class Acceptor:
    """The server's half: refuses until the connection has proven who it is."""

    def __init__(self) -> None:
        self.context = spnego.server(protocol="ntlm", options=spnego.NegotiateOptions.use_ntlm)
        self.proven = False

    def __call__(self, head: str) -> Said:
        """Answer a request by its Authorization."""
        given = next((line.partition(": NTLM ")[2] for line in head.splitlines() if ": NTLM " in line), "")
        if self.proven:
            return GOOD
        if not given:
            return OFFER
        try:
            token = self.context.step(base64.b64decode(given))
        except spnego.exceptions.SpnegoError:
            return OFFER
        if not self.context.complete:
            return Said(401, headers=(("WWW-Authenticate", f"NTLM {base64.b64encode(token or b'').decode()}"),))
        self.proven = True
        return GOOD


@pytest.fixture(autouse=True)
def people(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whom the acceptor knows."""
    file = tmp_path / "people"
    file.write_text("ORG:svc:hunter2\n")
    monkeypatch.setenv("NTLM_USER_FILE", str(file))


def provider_at(port: int, url: str, password: str) -> EwsProvider:
    reach = Reach({("127.0.0.1", port): Allowed(private=True, plain_http=True)})
    sign_in = SignIn(url, "ntlm", "ORG\\svc", password, reach=reach)
    return EwsProvider(Client(sign_in, ServerFacts(), utc_now), "ana@example.com", impersonate=True)


def test_a_connection_proves_itself_once() -> None:
    with serving(Acceptor()) as server:
        provider = provider_at(server.port, server.url, "hunter2")
        for _ in range(3):
            provider.counters(["f1"])
    assert server.connections == 1
    assert len(server.bodies) == 5, "three legs for the first request, one for each of the others"
    assert provider.requests == 3


def test_a_wrong_password_is_refused_after_one_proof() -> None:
    with serving(Acceptor()) as server:
        with pytest.raises(AuthRejected) as caught:
            provider_at(server.port, server.url, "wrong").counters(["f1"])
        assert len(server.bodies) == 3
    assert (caught.value.code, caught.value.scope) == ("sign_in_refused", Scope.CREDENTIAL)


@pytest.mark.parametrize(
    ("answers", "kind", "code"),
    [
        ([Said(401, headers=(("WWW-Authenticate", "Basic realm=x"),))], AuthRejected, "sign_in_refused"),
        ([OFFER], Misconfigured, "sign_in_method"),
        ([OFFER, Said(503)], ProviderError, "server_unavailable"),
    ],
)
def test_servers_that_only_seem_to_speak_it(answers: list[Said], kind: type[ProviderError], code: str) -> None:
    with serving(*answers) as server, pytest.raises(kind) as caught:
        provider_at(server.port, server.url, "hunter2").counters(["f1"])
    assert caught.value.code == code
