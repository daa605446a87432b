"""`manage.py demo --sandbox URL`: the demo organisation, for `make run`. Called by the launcher; safe to repeat."""

import json
import secrets
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from django.conf import settings
from django.core.management.base import CommandParser
from django.utils import timezone

from mailboxes.sandbox.demo.load import SERVICE_ADDRESS
from security import egress
from security.commands import Failed, JsonCommand, WrongUse
from tracking.demo import organisation as demo

_LOOPBACK = ("127.0.0.1", "localhost", "::1")


class Command(JsonCommand):
    """Makes the demo organisation."""

    help = "Creates the demo's people, records and mailboxes, connected to a sandbox Exchange on this machine."

    def arguments(self, parser: CommandParser) -> None:
        """Describe the arguments."""
        parser.add_argument("--sandbox", required=True, metavar="URL", help="where `manage.py sandbox` listens")

    def run(self, **options: Any) -> None:
        """Create what is missing and print the sign-ins."""
        base = options["sandbox"].rstrip("/")
        try:
            endpoint = egress.Endpoint.of(base)
        except ValueError as error:
            raise WrongUse(str(error)) from error
        if endpoint.host not in _LOOPBACK:
            raise WrongUse("The demo is connected to a sandbox on this machine only; its address must be 127.0.0.1.")
        password = _password(settings.VAR / "demo-password")
        sign_ins = demo.make(
            url=f"{base}/EWS/Exchange.asmx",
            service_password=_service_password(base),
            password=password,
            now=timezone.now(),
        )
        document = {
            "password": password,
            "people": [
                {"username": one.username, "name": one.name, "mailbox": one.mailbox, "track": one.track}
                for one in sign_ins
            ],
        }
        self.result(document, lambda: _words(sign_ins, password))


def _service_password(base: str) -> str:
    try:
        with urlopen(f"{base}/_/mailboxes", timeout=10) as answer:  # noqa: S310 -- http on loopback, checked above
            rows = json.load(answer)
    except (OSError, ValueError) as error:
        raise Failed(f"There is no sandbox Exchange at {base} ({error}). Start it with manage.py sandbox.") from error
    for row in rows:
        if row["address"] == SERVICE_ADDRESS:
            return str(row["password"])
    raise Failed(f"The sandbox at {base} does not hold the demo organisation (it was started with --empty).")


def _password(path: Path) -> str:
    """Return this installation's password of all demo people, made at the first use."""
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(secrets.token_urlsafe(9) + "\n")
        return path.read_text().strip()


def _words(sign_ins: list[demo.SignIn], password: str) -> str:
    width = max(len(one.username) for one in sign_ins)
    lines = [
        f"Demo people, all with the password {password}:",
        *(f"  {one.username:<{width}}  {one.name} ({one.mailbox}, tracks {one.track})" for one in sign_ins),
    ]
    return "\n".join(lines)
