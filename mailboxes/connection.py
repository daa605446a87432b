"""From a mailbox's row to a provider that speaks for it: the one place where rows, secrets and the adapter meet.

Nothing is contacted here. What must not be contacted is refused here, by the administrator's list of hosts.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from mailboxes.models import Mailbox, ServerProfile
from mailboxes.provider.errors import Misconfigured, Scope
from mailboxes.provider.ews.adapter import EwsProvider
from mailboxes.provider.ews.client import POOL, SignIn
from mailboxes.provider.ews.transport import Allowed, Reach
from mailboxes.provider.port import DraftProbe, MailProvider, ServerFacts
from mailboxes.states import Auth
from security.egress import Endpoint, NotAllowed, require_allowed
from security.models import AllowedHost

TOKEN_URL = "https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token"  # noqa: S105 -- an address, no secret

# The place in a loaded row where its reach is kept.
_KEPT = "_reach"


def utc_now() -> datetime:
    """Return the time, aware, in UTC."""
    return datetime.now(UTC)


def open_provider(mailbox: Mailbox, clock: Callable[[], datetime] = utc_now) -> EwsProvider:
    """Return a provider for `mailbox`, over a connection that is shared with others of the same sign-in.

    Raises `Misconfigured` when the profile is incomplete, or names a host that is not on the list of allowed hosts.
    """
    server = mailbox.server
    facts = ServerFacts(build=server.build, api_version=server.api_version, auth_type=server.auth)
    client = POOL.get(sign_in_of(mailbox), facts, clock)
    return EwsProvider(client, mailbox.address, impersonate=server.impersonate and not mailbox.username)


def sign_in_of(mailbox: Mailbox) -> SignIn:
    """Return how to sign in for `mailbox`: with its own credentials if it has any, else with the server's."""
    server = mailbox.server
    own = bool(mailbox.username)
    username, secret = (mailbox.username, mailbox.secret) if own else (server.username, server.secret)
    if not server.url:
        raise Misconfigured("the server profile has no EWS address", code="misconfigured")
    if not username or not secret:
        raise Misconfigured("user name or password is missing", code="secret_missing", scope=Scope.CREDENTIAL)
    return SignIn(
        url=server.url,
        auth=server.auth,
        username=username,
        secret=secret,
        tenant=server.tenant,
        token_url=token_url(server),
        reach=reach_of(server),
    )


def token_url(server: ServerProfile) -> str:
    """Return where access tokens are asked for, empty without OAuth."""
    if server.auth != Auth.OAUTH:
        return ""
    return server.token_url or TOKEN_URL.format(tenant=server.tenant or "common")


def reach_of(server: ServerProfile) -> Reach:
    """Return the hosts that a connection to `server` may use, each as the list allows it.

    The list is asked once for each loaded row: the mailboxes of a job share the row, and what an administrator takes
    off the list counts from the next job on.
    """
    kept: Reach | None = vars(server).get(_KEPT)
    if kept is None:
        kept = vars(server)[_KEPT] = _reach(server)
    return kept


def _reach(server: ServerProfile) -> Reach:
    hosts: dict[tuple[str, int], Allowed] = {}
    for url in filter(None, (server.url, token_url(server))):
        try:
            row = require_allowed(url)
            endpoint = Endpoint.of(url)
        except (NotAllowed, ValueError) as error:
            raise Misconfigured(str(error), code="egress_refused") from error
        hosts[endpoint.host, endpoint.port] = Allowed(private=row.private, plain_http=row.plain_http)
    return Reach(hosts, server.ca_pem)


def listed_reach(ca_pem: str = "") -> Reach:
    """Return everything on the list, for the search of a server whose address is not known yet."""
    rows = AllowedHost.objects.all()
    return Reach(
        {(row.host, row.port): Allowed(private=row.private, plain_http=row.plain_http) for row in rows}, ca_pem
    )


if TYPE_CHECKING:

    def _fits(provider: EwsProvider) -> tuple[MailProvider, DraftProbe]:
        return provider, provider
