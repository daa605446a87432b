"""Connecting a server: its profile is written, and its hosts are put on the list of what crmsync may contact.

The idea: whoever types an address has decided that it may be contacted, and nobody else decides that. So the list is
changed here and nowhere else, with a word of warning for what would be dangerous if somebody else had typed it.
"""

import ipaddress
import socket
import ssl
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

from django.db import transaction
from django.utils.translation import gettext as _

from mailboxes import intents
from mailboxes.connection import token_url
from mailboxes.models import ServerProfile
from mailboxes.states import Auth
from security.egress import Endpoint, allow

USUAL_PATH = "/EWS/Exchange.asmx"


class CannotConnect(ValueError):
    """What was given makes no server profile; the message says what to give instead."""


@dataclass(frozen=True, slots=True)
class Given:
    """What an administrator says of a server. `secret` None keeps the stored one."""

    name: str
    url: str
    auth: Auth
    username: str
    secret: str | None
    autodiscover_address: str = ""
    tenant: str = ""
    token_url: str = ""
    impersonate: bool = False
    ca_pem: str = ""
    concurrency: int = 4


@dataclass(frozen=True, slots=True)
class Connected:
    """The profile that was written, whether it is new, the hosts now allowed, and what the person should know."""

    server: ServerProfile
    created: bool
    allowed: tuple[str, ...]
    warnings: tuple[str, ...]


def connect(given: Given, *, by: str, now: datetime) -> Connected:
    """Write the profile called `given.name`, allow its hosts, and forget what stopped it. Raises `CannotConnect`."""
    warnings: list[str] = []
    fields = {
        "url": ews_address(given.url, warnings),
        "autodiscover_address": given.autodiscover_address,
        "auth": given.auth,
        "username": given.username.strip(),
        "tenant": given.tenant.strip(),
        "token_url": given.token_url.strip(),
        "impersonate": given.impersonate,
        "ca_pem": authorities(given.ca_pem),
        "concurrency": given.concurrency,
    }
    _check(given)
    with transaction.atomic():
        server = ServerProfile.objects.select_for_update().filter(name=given.name).first()
        created = server is None
        if server is None:
            server = ServerProfile(name=given.name)
        if given.secret is not None:
            server.secret = given.secret
        elif not server.secret:
            raise CannotConnect(_("A password (or client secret) is needed: on standard input, or with --secret-file."))
        if server.url != fields["url"]:
            # What was learnt belongs to the server at the old address.
            server.build = server.api_version = ""
            server.counters, server.counter_facts, server.tested_at = None, {}, None
        for name, value in fields.items():
            setattr(server, name, value)
        server.save()
        allowed = [_allow(url, by, warnings) for url in filter(None, (server.url, token_url(server)))]
        intents.server_repaired(server, now)
    return Connected(server, created, tuple(allowed), tuple(warnings))


def ews_address(text: str, warnings: list[str]) -> str:
    """Return the EWS address in `text`, with the usual path if it has none. Raises `CannotConnect`."""
    url = text.strip()
    try:
        Endpoint.of(url)
        parts = urlsplit(url)
    except ValueError as error:
        raise CannotConnect(
            _("%(error)s An EWS address looks like https://mail.example.com/EWS/Exchange.asmx.")
            % {"error": _plain(error)}
        ) from error
    if parts.query or parts.fragment:
        raise CannotConnect(_("An EWS address has no ? and no #."))
    if parts.path in ("", "/"):
        url = f"{parts.scheme}://{parts.netloc}{USUAL_PATH}"
        warnings.append(_("The address has no path; the usual one is taken: %(url)s") % {"url": url})
    return url


def authorities(pem: str) -> str:
    """Return the certificates of a private authority, checked. Raises `CannotConnect`."""
    if not pem.strip():
        return ""
    if "PRIVATE KEY" in pem:
        raise CannotConnect(_("The file with the authority holds a private key. Give its certificate only."))
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=pem)
    except (ssl.SSLError, ValueError) as error:
        raise CannotConnect(_("The file with the authority holds no certificate in PEM form.")) from error
    return pem


def _check(given: Given) -> None:
    if not given.name.strip() or len(given.name) > 100:
        raise CannotConnect(_("The server's name has 1 to 100 characters."))
    if not given.username.strip():
        raise CannotConnect(_("A user name is needed (with OAuth, the application's id)."))
    if not 1 <= given.concurrency <= 27:
        raise CannotConnect(_("Requests at once are 1 to 27: Exchange allows no more."))
    if given.auth == Auth.OAUTH and not (given.tenant or given.token_url):
        raise CannotConnect(_("OAuth needs the directory (--tenant) or the token address (--token-url)."))
    if given.token_url:
        try:
            Endpoint.of(given.token_url.strip())
        except ValueError as error:
            raise CannotConnect(_plain(error)) from error


def _allow(url: str, by: str, warnings: list[str]) -> str:
    endpoint = Endpoint.of(url)
    private = _is_private(endpoint.host, warnings)
    if endpoint.scheme == "http":
        warnings.append(
            _("%(host)s is contacted without encryption: password and mail can be read on the way.")
            % {"host": endpoint.host}
        )
    allow(endpoint, by=by, private=private)
    return f"{endpoint.host}:{endpoint.port}"


def _is_private(host: str, warnings: list[str]) -> bool:
    """Return whether `host` is, or leads to, an address that is not public; says so, and when there is none at all."""
    try:
        found = {str(info[4][0]).partition("%")[0] for info in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}
    except (OSError, UnicodeError):
        warnings.append(_("The name %(host)s cannot be resolved at the moment.") % {"host": host})
        return False
    private = sorted(each for each in found if not ipaddress.ip_address(each).is_global)
    if private:
        warnings.append(
            _("%(host)s is on this machine or in a private network (%(address)s); it is allowed because you typed it.")
            % {"host": host, "address": private[0]}
        )
    return bool(private)


def _plain(error: ValueError) -> str:
    text = str(error)
    return text if text.endswith(".") else f"{text}."
