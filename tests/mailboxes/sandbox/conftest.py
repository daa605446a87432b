"""Two people, a service account, a server on a free port, and two ways to speak to it."""

from collections.abc import Callable, Iterator

import pytest
from exchangelib import DELEGATE, IMPERSONATION, UTC, Account, Build, Configuration, Credentials, Version
from exchangelib.protocol import CachingProtocol

from mailboxes.sandbox.http import HttpRequest
from mailboxes.sandbox.server import SandboxServer
from mailboxes.sandbox.store import SandboxStore
from tests import ews_schema
from tests.mailboxes.sandbox.wire import ANNA, BEN, ENVELOPE, PASSWORDS, SERVICE, Ask, Reply, signed


@pytest.fixture
def store() -> SandboxStore:
    made = SandboxStore()
    made.add_mailbox(ANNA, PASSWORDS[ANNA], "Anna Puig")
    made.add_mailbox(BEN, PASSWORDS[BEN], "Ben Roca", language="ca")
    made.add_mailbox(SERVICE, PASSWORDS[SERVICE], "crmsync", impersonator=True)
    return made


@pytest.fixture
def server(store: SandboxStore) -> Iterator[SandboxServer]:
    with SandboxServer(store) as running:
        yield running
    CachingProtocol.clear_cache()


@pytest.fixture
def quiet(store: SandboxStore) -> Iterator[SandboxServer]:
    """A server that is asked directly, without a thread."""
    made = SandboxServer(store)
    yield made
    made.stop()


@pytest.fixture
def account(server: SandboxServer) -> Callable[..., Account]:
    """Open a mailbox with unmodified exchangelib: as its owner, or impersonated by the service account."""

    def opened(address: str, *, impersonate: bool = False, login: str = "") -> Account:
        user = login or (SERVICE if impersonate else address)
        config = Configuration(
            service_endpoint=server.url,
            credentials=Credentials(user, PASSWORDS[user]),
            auth_type="basic",
            version=Version(build=Build(15, 2, 1748, 10)),
        )
        kind = IMPERSONATION if impersonate else DELEGATE
        return Account(address, config=config, access_type=kind, default_timezone=UTC)

    return opened


@pytest.fixture
def ask(store: SandboxStore) -> Ask:
    """Put a raw operation to the server (without a socket); request and answer are held against the schema."""
    quiet = SandboxServer(store)

    def asked(
        operation: str, *, user: str = ANNA, impersonate: str = "", valid: bool = True, of: SandboxServer | None = None
    ) -> Reply:
        header = (
            f"<t:ExchangeImpersonation><t:ConnectingSID><t:PrimarySmtpAddress>{impersonate}</t:PrimarySmtpAddress>"
            "</t:ConnectingSID></t:ExchangeImpersonation>"
            if impersonate
            else ""
        )
        request = (ENVELOPE % (header, operation)).encode()
        if valid and ews_schema.schema() is not None:
            assert ews_schema.validate(request) == []
        answer = (of or quiet).answer(HttpRequest("POST", "/EWS/Exchange.asmx", signed(user), request))
        assert answer is not None
        if ews_schema.schema() is not None and answer.status in (200, 500):
            assert ews_schema.validate(answer.body) == []
        return Reply(answer.status, answer.body)

    return asked
