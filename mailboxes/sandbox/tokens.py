"""Access tokens: the part of OAuth 2.0 that a service needs (client credentials, RFC 6749 §4.4).

A mailbox is a client: its address is the client id, its password the secret. Tokens are opaque,
last an hour and die with the server.
"""

import json
import secrets
import threading
import time
from collections.abc import Callable
from typing import Final
from urllib.parse import parse_qs

from mailboxes.sandbox.http import Answer
from mailboxes.sandbox.store import SandboxStore

PATH: Final = "/oauth2/token"
LIFETIME: Final = 3600


class Tokens:
    """The tokens that were given out. Safe to use from any thread."""

    def __init__(self, store: SandboxStore, clock: Callable[[], float] = time.monotonic) -> None:
        self._store, self._clock = store, clock
        self._lock = threading.Lock()
        self._given: dict[str, tuple[str, float]] = {}

    def answer(self, body: bytes, *, refused: bool = False) -> Answer:
        """Answer a request for a token; `refused` says that no client is known."""
        form = {name: values[0] for name, values in parse_qs(body.decode("utf-8", "replace")).items()}
        if form.get("grant_type") != "client_credentials":
            return _json(400, {"error": "unsupported_grant_type"})
        address = form.get("client_id", "")
        known = self._store.has_mailbox(address) and not refused
        if not known or self._store.mailbox(address).password != form.get("client_secret"):
            return _json(401, {"error": "invalid_client", "error_description": "The client is not known."})
        token = secrets.token_urlsafe(32)
        with self._lock:
            self._given[token] = (address.lower(), self._clock() + LIFETIME)
        return _json(200, {"token_type": "Bearer", "expires_in": LIFETIME, "access_token": token})

    def holder(self, token: str) -> str | None:
        """Return the address a token was given to, None if it is none or over."""
        with self._lock:
            address, ends = self._given.get(token, ("", 0.0))
            return address if address and self._clock() < ends else None

    def expire(self) -> None:
        """End all tokens that were given out."""
        with self._lock:
            self._given.clear()


def _json(status: int, value: dict[str, str | int]) -> Answer:
    return Answer(status, json.dumps(value).encode(), "application/json", [("Cache-Control", "no-store")])
