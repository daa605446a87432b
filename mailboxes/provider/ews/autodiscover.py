"""Finding the EWS address of a mailbox. Done once, when a server is connected; the address is then kept.

Whoever types a domain allows what autodiscover derives from it in the first place: the domain and its name
`autodiscover.`. Wherever an answer, a redirect or an SRV record leads from there must be on the administrator's list.

The applications of Exchange Online cannot use autodiscover, and need not: there is one address for all.
"""

from collections.abc import Iterable
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

from exchangelib.autodiscover.discovery import Autodiscovery
from exchangelib.autodiscover.protocol import AutodiscoverProtocol
from exchangelib.configuration import Configuration
from exchangelib.credentials import Credentials
from exchangelib.errors import RedirectError, TransportError
from exchangelib.transport import get_unauthenticated_autodiscover_response
from exchangelib.util import CONNECTION_ERRORS

from mailboxes.provider.errors import Misconfigured
from mailboxes.provider.ews import repairs
from mailboxes.provider.ews.errors import LOW_LEVEL, translate
from mailboxes.provider.ews.repairs import RepairedProtocol
from mailboxes.provider.ews.transport import Allowed, EgressRefused, Reach

ONLINE = "https://outlook.office365.com/EWS/Exchange.asmx"
LED_AWAY = "autodiscover_led_away"


def discover(address: str, *, auth: str, username: str, secret: str, reach: Reach) -> str:
    """Return the EWS address for the mailbox `address`, at a host of its domain's own two names or in `reach`.

    Raises `Misconfigured`: autodiscover_led_away when a host that is not allowed stood in the way, with its name in
    the detail; else autodiscover_failed.
    """
    if auth == "oauth":
        return ONLINE
    repairs.apply()
    repairs.private_autodiscover_cache()
    domain = address.rpartition("@")[2].lower()
    own = {(host, 443): Allowed(private=True) for host in (domain, f"autodiscover.{domain}")}
    allowed = Reach({**reach.hosts, **own}, reach.ca_pem)
    # Asked without a password whether it redirects. A server there would get one, and is not allowed by this.
    signpost = {(f"autodiscover.{domain}", 80): Allowed(private=True, plain_http=True)}
    search = _Search(address, Credentials(username, secret), Reach({**allowed.hosts, **signpost}, reach.ca_pem))
    try:
        found, _protocol = search.discover()
        url = str(found.ews_url or "")
    except LOW_LEVEL as error:
        if search.refused:
            raise Misconfigured(_listed(search.refused), code=LED_AWAY) from error
        # Upstream swallows every reason on the way; what is left is that nothing was found.
        translated = translate(error, datetime.now(UTC))
        raise Misconfigured(translated.detail, code="autodiscover_failed") from error
    if not url:
        raise Misconfigured("autodiscover answered without an EWS address", code="autodiscover_failed")
    try:
        allowed.allowed(url)
    except EgressRefused as error:
        raise Misconfigured(f"the server is said to be at {url}; {error}", code=LED_AWAY) from error
    return url


def _listed(refused: Iterable[str]) -> str:
    return "; ".join(dict.fromkeys(refused))


class _Protocol(RepairedProtocol, AutodiscoverProtocol):  # type: ignore[misc]  # exchangelib has no types
    """The autodiscover service of one host, over a session that reaches nothing else."""


class _Search(Autodiscovery):  # type: ignore[misc]  # exchangelib has no types
    """Upstream's order of steps, with every host held to `reach` before its name is so much as looked up.

    A host that may not be contacted is a step that failed, and the next step is tried; `refused` says which they were.
    """

    def __init__(self, address: str, credentials: Credentials, reach: Reach) -> None:
        super().__init__(email=address, credentials=credentials)
        self._reach = reach
        self.refused: list[str] = []

    def _ensure_valid_hostname(self, url: str) -> None:
        # Upstream asks here whether the name exists, which connecting finds out anyway.
        try:
            self._reach.allowed(url)
        except EgressRefused as error:
            raise self._refusal(error) from error

    def _refusal(self, error: EgressRefused) -> TransportError:
        self.refused.append(str(error))
        return TransportError(str(error))

    def _at(self, url: str, credentials: Credentials | None) -> _Protocol:
        config = Configuration(
            service_endpoint=url, credentials=credentials, retry_policy=self.INITIAL_RETRY_POLICY, max_connections=1
        )
        return _Protocol(config, self._reach)

    def _get_unauthenticated_response(self, url: str, method: str = "post") -> tuple[None, Any]:
        self._ensure_valid_hostname(url)
        try:
            with closing(self._at(url, None)) as protocol:
                return None, get_unauthenticated_autodiscover_response(protocol=protocol, method=method)
        except EgressRefused as error:
            raise self._refusal(error) from error

    def _attempt_response(self, url: str) -> tuple[bool, Any]:
        self._urls_visited.append(url.lower())
        try:
            self._ensure_valid_hostname(url)
            with closing(self._at(url, self.credentials)) as protocol:
                return True, protocol.get_user_settings(user=self.email)
        except RedirectError as error:
            return self._attempt_response(error.url) if self._redirect_url_is_valid(error.url) else (False, None)
        except EgressRefused as error:
            self._refusal(error)
            return False, None
        except (TransportError, *CONNECTION_ERRORS):
            return False, None

    def _build_response(self, ad_response: Any) -> tuple[Any, None]:
        # The address is all we want: upstream opens a connection's worth of objects that its process-wide cache keeps.
        return ad_response, None
