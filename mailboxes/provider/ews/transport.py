"""Where a session may connect to, and what it trusts there.

The address that was checked is the address that is connected to: a name that resolves to a private address after it
was looked at once gains nothing (DNS rebinding). Nothing is process-wide, so two servers may have two authorities.
"""

import ipaddress
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import certifi
import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError
from urllib3.util.connection import create_connection


class EgressRefused(Exception):
    """A connection was refused by us before it was made: the host, or the address behind it, is not allowed."""


@dataclass(frozen=True, slots=True)
class Allowed:
    """How one host and port may be reached."""

    private: bool = False
    plain_http: bool = False


@dataclass(frozen=True)
class Reach:
    """All that a session may reach, and the private authority (PEM) it trusts beside the public ones."""

    hosts: Mapping[tuple[str, int], Allowed] = field(default_factory=dict)
    ca_pem: str = ""

    def allowed(self, url: str) -> Allowed:
        """Return how `url` may be reached; raises `EgressRefused` when it may not."""
        parts = urlsplit(url)
        host, port = (parts.hostname or "").lower(), parts.port or (443 if parts.scheme == "https" else 80)
        found = self.hosts.get((host, port))
        if found is None:
            raise EgressRefused(f"{host}:{port} is not on the list of hosts crmsync may connect to")
        if parts.scheme != "https" and not found.plain_http:
            raise EgressRefused(f"{host}:{port} may be reached over HTTPS only")
        return found

    def tls(self) -> ssl.SSLContext:
        """Return a TLS context that trusts the public authorities and the private one."""
        context = ssl.create_default_context(cafile=certifi.where())
        if self.ca_pem:
            context.load_verify_locations(cadata=self.ca_pem)
        return context


def checked_addresses(host: str, port: int, *, private: bool) -> list[str]:
    """Return the numeric addresses of `host`; raises socket.gaierror, or `EgressRefused` when one may not be used."""
    found = [str(info[4][0]) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    if not private:
        for each in found:
            address = ipaddress.ip_address(each.partition("%")[0])
            mapped = getattr(address, "ipv4_mapped", None) or address
            if not mapped.is_global or mapped.is_multicast:
                raise EgressRefused(f"{host} resolves to {each}, which is not a public address")
    return list(dict.fromkeys(found))


class _Checked(HTTPConnection):
    """A connection whose name is resolved once, checked, and connected to as it was checked.

    Head and body of a request go out together: two packets would wake the server twice, and sending is the largest
    single part of what an idle run costs us. Requests are small, and in memory already.
    """

    private = False
    _held: list[bytes] | None = None

    def request(self, *args: Any, **kwargs: Any) -> None:
        """Send a request, in one piece."""
        self._held = []
        try:
            super().request(*args, **kwargs)
            pieces = self._held
        finally:
            self._held = None
        self.send(b"".join(pieces))

    def send(self, data: Any) -> None:
        """Send, or hold until the request is complete."""
        if self._held is None:
            super().send(data)
        else:
            self._held.append(data)

    def _new_conn(self) -> socket.socket:
        try:
            addresses = checked_addresses(self.host, self.port or self.default_port, private=self.private)
        except socket.gaierror as error:
            raise NameResolutionError(self.host, self, error) from error
        failure: OSError = OSError("no address")
        for address in addresses:
            try:
                return create_connection(
                    (address, self.port or self.default_port),
                    self.timeout,
                    source_address=self.source_address,
                    socket_options=self.socket_options,
                )
            except OSError as error:
                failure = error
        if isinstance(failure, TimeoutError):
            raise ConnectTimeoutError(self, f"no connection to {self.host} in time") from failure
        raise NewConnectionError(self, f"no connection to {self.host}: {failure}") from failure


class _CheckedTls(_Checked, HTTPSConnection):
    pass


class _PrivateChecked(_Checked):
    private = True


class _PrivateCheckedTls(_CheckedTls):
    private = True


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Checked


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _CheckedTls


class _PrivatePool(HTTPConnectionPool):
    ConnectionCls = _PrivateChecked


class _PrivateTlsPool(HTTPSConnectionPool):
    ConnectionCls = _PrivateCheckedTls


class GuardedAdapter(HTTPAdapter):
    """One connection to the host of `url`; requests for a host that is not in `reach` are refused."""

    def __init__(self, reach: Reach, url: str) -> None:
        self._reach = reach
        self._private = reach.allowed(url).private
        # Reading the public authorities takes 20 ms, which plain HTTP need not pay for.
        self._tls: dict[str, Any] = {"ssl_context": reach.tls()} if url.startswith("https") else {}
        # Not blocking: a connection that an interruption has cost is replaced, not waited for.
        super().__init__(pool_connections=1, pool_maxsize=1, pool_block=False, max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make the pool with our connections and our trust."""
        super().init_poolmanager(*args, **{**kwargs, **self._tls})
        self.poolmanager.pool_classes_by_scheme = (
            {"http": _PrivatePool, "https": _PrivateTlsPool} if self._private else {"http": _Pool, "https": _TlsPool}
        )

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        """Return the manager for an outgoing proxy, with the same trust."""
        return super().proxy_manager_for(proxy, **{**self._tls, **kwargs})

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        """Send, unless the URL is out of reach (`EgressRefused`)."""
        self._reach.allowed(request.url or "")
        return super().send(request, *args, **kwargs)
