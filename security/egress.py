"""Where crmsync may connect to: an administrator's list of hosts, checked before anything leaves."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from security.models import AllowedHost


class NotAllowed(Exception):
    """A connection to a host that no administrator has allowed was refused before it was made."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The part of a URL that egress is about."""

    scheme: str
    host: str
    port: int

    @classmethod
    def of(cls, url: str) -> "Endpoint":
        """Return the endpoint of an http(s) URL; raises ValueError with a sentence for anything else."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"'{url}' is not a web address: it must start with https:// and name a host.")
        if parts.username or parts.password:
            raise ValueError("A web address must not carry a user name or password; give them separately.")
        return cls(parts.scheme, parts.hostname.lower(), parts.port or (443 if parts.scheme == "https" else 80))


def allow(endpoint: Endpoint, *, by: str, private: bool) -> AllowedHost:
    """Put `endpoint` on the list (again); `by` is who said so."""
    row, _created = AllowedHost.objects.update_or_create(
        host=endpoint.host,
        port=endpoint.port,
        defaults={"added_by": by, "private": private, "plain_http": endpoint.scheme == "http"},
    )
    return row


def require_allowed(url: str) -> AllowedHost:
    """Return the list's row for `url`; raises `NotAllowed` when there is none or it does not cover plain HTTP."""
    endpoint = Endpoint.of(url)
    row = AllowedHost.objects.filter(host=endpoint.host, port=endpoint.port).first()
    if row is None:
        raise NotAllowed(
            f"{endpoint.host}:{endpoint.port} is not on the list of hosts crmsync may connect to. "
            "An administrator adds it with connect_server."
        )
    if endpoint.scheme == "http" and not row.plain_http:
        raise NotAllowed(
            f"{endpoint.host}:{endpoint.port} may be reached over HTTPS only. "
            "An administrator allows plain HTTP by running connect_server with that address."
        )
    return row
