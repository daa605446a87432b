"""Looking at an address before signing in: is EWS there, and how does it want to be signed in to?

Unlike the adapter this says exactly what is wrong with name, connection and certificate, one after the other; a test
for people needs the reason, where a run only needs to know how long to wait. Every function makes one attempt.
"""

import socket
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlsplit

import requests
import requests.utils

from mailboxes.provider.errors import ProviderError
from mailboxes.provider.ews import operations, soap
from mailboxes.provider.ews.client import API_VERSIONS
from mailboxes.provider.ews.errors import LOW_LEVEL, translate
from mailboxes.provider.ews.repairs import HttpError, RepairedProtocol
from mailboxes.provider.ews.transport import GuardedAdapter, Reach, checked_addresses

CONNECT_SECONDS = RepairedProtocol.TIMEOUT[0]


@dataclass(frozen=True, slots=True)
class Offer:
    """What an unauthenticated request was answered with: the sign-in methods offered, in lower case; none is `open`."""

    methods: tuple[str, ...]
    open: bool = False

    def includes(self, auth: str) -> bool:
        """Return whether a sign-in of this kind (basic, ntlm, oauth) is offered."""
        wanted = {"basic": {"basic"}, "ntlm": {"ntlm", "negotiate"}, "oauth": {"bearer"}}[auth]
        return self.open or bool(wanted & set(self.methods))


def uses_proxy(url: str) -> bool:
    """Return whether this machine reaches `url` through a proxy, which then resolves the name and connects."""
    return bool(requests.utils.select_proxy(url, requests.utils.get_environ_proxies(url)))


def resolve(url: str, reach: Reach) -> list[str]:
    """Return the addresses of the URL's host; raises `ProviderError` (name_unresolved, egress_refused)."""
    host, port = _place(url)
    try:
        return checked_addresses(host, port, private=reach.allowed(url).private)
    except LOW_LEVEL as error:
        raise translate(error, datetime.now(UTC)) from error


def connect(url: str, addresses: Iterable[str]) -> str:
    """Connect and hang up; return the address that answered, or raise `ProviderError` for the last that did not."""
    _host, port = _place(url)
    failure: ProviderError | None = None
    for address in addresses:
        try:
            with socket.create_connection((address, port), timeout=CONNECT_SECONDS):
                return address
        except OSError as error:
            failure = translate(error, datetime.now(UTC))
            failure.__cause__ = error
    raise failure or translate(OSError("no address"), datetime.now(UTC))


def certificate_end(url: str, address: str, reach: Reach) -> datetime | None:
    """Shake hands and return when the certificate ends; raises `ProviderError` with the exact reason of a refusal."""
    host, port = _place(url)
    try:
        with (
            socket.create_connection((address, port), timeout=CONNECT_SECONDS) as plain,
            reach.tls().wrap_socket(plain, server_hostname=host) as secured,
        ):
            certificate = secured.getpeercert() or {}
    except (ssl.SSLError, OSError) as error:
        raise translate(error, datetime.now(UTC)) from error
    ends = certificate.get("notAfter")
    return None if not isinstance(ends, str) else datetime.fromtimestamp(ssl.cert_time_to_seconds(ends), UTC)


def offer(url: str, reach: Reach, mailbox: str) -> Offer:
    """Ask without signing in; return what is offered, or raise `ProviderError` when there is no EWS to sign in to."""
    body = soap.envelope(operations.get_folder([operations.distinguished_id("inbox", "")], ""), version=API_VERSIONS[0])
    try:
        with requests.Session() as session:
            session.trust_env = False
            session.proxies = requests.utils.get_environ_proxies(url)
            for scheme in ("https://", "http://"):
                session.mount(scheme, GuardedAdapter(reach, url))
            response = session.post(
                url,
                data=body,
                headers={
                    "Content-Type": "text/xml; charset=utf-8",
                    "User-Agent": RepairedProtocol.USERAGENT,
                    "X-AnchorMailbox": mailbox,
                },
                allow_redirects=False,
                timeout=RepairedProtocol.TIMEOUT,
            )
            if response.status_code not in (200, 401):
                raise HttpError(response)
            if response.status_code == 200:
                soap.read(response.content)
                return Offer((), open=True)
    except soap.Refusal:
        return Offer((), open=True)
    except LOW_LEVEL as error:
        raise translate(error, datetime.now(UTC)) from error
    # One header per method is common; requests joins them with commas.
    given = response.headers.get("WWW-Authenticate", "")
    schemes = [part.strip().split(" ")[0].lower() for part in given.split(",") if part.strip()]
    return Offer(tuple(dict.fromkeys(each for each in schemes if "=" not in each)))


def _place(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return (parts.hostname or "").lower(), parts.port or (443 if parts.scheme == "https" else 80)
