"""`manage.py connect_server NAME`: how a mail server is reached and signed in to; again with the same name to change it."""

import getpass
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import CommandParser
from django.core.validators import validate_email
from django.utils import timezone

from mailboxes.catalogue import lookup
from mailboxes.connection import listed_reach
from mailboxes.provider.errors import ProviderError
from mailboxes.provider.ews.autodiscover import discover
from mailboxes.provider.ews.transport import Allowed, Reach
from mailboxes.servers import CannotConnect, Given, authorities, connect
from mailboxes.states import Auth
from security.commands import Failed, JsonCommand, WrongUse
from security.egress import Endpoint


class Command(JsonCommand):
    """Connects a server."""

    help = (
        "Connects a mail server, or changes one that is connected. The password (with OAuth, the client secret) is read "
        "from standard input or from a file, never from the command line. Nothing is contacted but for autodiscover; "
        "check_mailbox tests the connection."
    )

    def arguments(self, parser: CommandParser) -> None:
        """Describe the arguments."""
        parser.add_argument("name", help="what the server is called here")
        where = parser.add_mutually_exclusive_group(required=True)
        where.add_argument("--ews", metavar="URL", help="such as https://mail.example.com/EWS/Exchange.asmx")
        where.add_argument("--autodiscover", metavar="ADDRESS", help="find the server of this mailbox")
        parser.add_argument(
            "--allow",
            metavar="HOST",
            action="append",
            default=[],
            help="with --autodiscover: it may lead to this host (HOST or HOST:PORT, over HTTPS); may be repeated",
        )
        parser.add_argument("--auth", required=True, choices=[str(value) for value in Auth])
        parser.add_argument("--username", required=True, help="who signs in; with OAuth, the application's id")
        parser.add_argument("--tenant", default="", help="OAuth: the directory (tenant)")
        parser.add_argument("--token-url", default="", metavar="URL", help="OAuth: where access tokens are asked for")
        parser.add_argument("--impersonate", action="store_true", help="act as each mailbox's owner")
        parser.add_argument("--ca", metavar="FILE", help="certificates of a private authority (PEM)")
        parser.add_argument("--concurrency", type=int, default=4, metavar="N", help="requests at once, 1 to 27 (4)")
        parser.add_argument("--secret-file", metavar="FILE", help="file with the password; default is standard input")

    def run(self, **options: Any) -> None:
        """Connect the server and say what was allowed by it."""
        secret = _secret(options["secret_file"])
        auth = Auth(options["auth"])
        if options["ews"] and options["allow"]:
            raise WrongUse("--allow goes with --autodiscover; the host in --ews is allowed by typing it.")
        ca_pem = _text_of(options["ca"]) if options["ca"] else ""
        url = options["ews"] or self._discovered(
            options["autodiscover"], auth, options["username"], secret, _reach(options["allow"], ca_pem)
        )
        given = Given(
            name=options["name"],
            url=url,
            auth=auth,
            username=options["username"],
            secret=secret,
            autodiscover_address=options["autodiscover"] or "",
            tenant=options["tenant"],
            token_url=options["token_url"],
            impersonate=options["impersonate"],
            ca_pem=ca_pem,
            concurrency=options["concurrency"],
        )
        try:
            connected = connect(given, by="command line", now=timezone.now())
        except CannotConnect as error:
            raise WrongUse(str(error)) from error
        for warning in connected.warnings:
            self.warn(warning)
        server = connected.server
        document = {
            "name": server.name,
            "url": server.url,
            "auth": server.auth,
            "username": server.username,
            "impersonate": server.impersonate,
            "concurrency": server.concurrency,
            "created": connected.created,
            "allowed": list(connected.allowed),
            "warnings": list(connected.warnings),
        }
        done = "Connected" if connected.created else "Changed"
        self.result(
            document,
            f"{done} {server.name}: {server.url}. crmsync may now contact {', '.join(connected.allowed)}. "
            "Next: add_mailbox, then check_mailbox.",
        )

    def _discovered(self, address: str, auth: Auth, username: str, secret: str | None, reach: Reach) -> str:
        try:
            validate_email(address)
        except ValidationError as error:
            raise WrongUse(f"'{address}' is not an e-mail address.") from error
        if secret is None:
            raise WrongUse("Autodiscover signs in: give the password on standard input, or with --secret-file.")
        self.note(f"Looking for the server of {address} ...")
        try:
            return discover(address, auth=auth, username=username, secret=secret, reach=reach)
        except ProviderError as error:
            entry = lookup(error.code)
            raise Failed(f"{entry.sentence} {entry.remedy} ({error.detail})", code=error.code) from error


def _reach(allow: Sequence[str], ca_pem: str) -> Reach:
    """Return where autodiscover may lead: the list, and what was typed."""
    try:
        reach = listed_reach(authorities(ca_pem))
    except CannotConnect as error:
        raise WrongUse(str(error)) from error
    try:
        typed = [Endpoint.of(f"https://{host}") for host in allow]
    except ValueError as error:
        raise WrongUse(f"--allow takes HOST or HOST:PORT. {error}") from error
    return Reach({**reach.hosts, **{(each.host, each.port): Allowed(private=True) for each in typed}}, reach.ca_pem)


def _secret(file: str | None) -> str | None:
    """Return the secret from the file, else from standard input; None when standard input is empty."""
    if file:
        text = _text_of(file)
        if not text.strip("\r\n"):
            raise WrongUse(f"The file {file} is empty.")
    elif sys.stdin is None:
        return None
    elif sys.stdin.isatty():
        text = getpass.getpass("Password or client secret: ")
    else:
        text = sys.stdin.read()
    secret = text.strip("\r\n")
    if "\n" in secret or "\r" in secret:
        raise WrongUse("The password has more than one line.")
    return secret or None


def _text_of(file: str) -> str:
    try:
        return Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise WrongUse(f"The file {file} cannot be read: {reason}.") from error
