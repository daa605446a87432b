"""The sandbox's own address space, /_/: what a test or a bench asks the server itself.

GET    /_/requests        counts (see counting.py), `outbound` (mails to people outside) and `meeting_messages`
                              (requests, updates, cancellations and answers sent, one per recipient)
POST   /_/requests/reset  begin counting at nought
GET    /_/mailboxes       [{"address", "password", "messages"}], messages in Inbox and Sent Items
GET    /_/faults          the script in force; POST puts a JSON list in force (faults.py), DELETE ends all
GET    /_/outbound        [{"sender", "recipient", "size", "at"}]
GET    /_/departures      [{"kind", "sender", "recipients", "subject", "uid", "at"}]: every mail and meeting message that
                              left a mailbox here; kind is mail, request, update, cancellation or response
GET    /_/throttling      the budget of every mailbox, and who was refused; POST puts one in force (throttling.py)
POST   /_/move            {"mailbox", "to": URL, "seconds", "then"}: a mailbox goes to another sandbox (moving.py)
POST   /_/adopt           what the other sandbox is sent then
POST   /_/deliver         {"from", "to", "subject", "text"} or {"to", "mime": base64}: a new message, now
"""

import base64
import binascii
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from mailboxes.sandbox import delivery, moving
from mailboxes.sandbox.counting import RequestLog
from mailboxes.sandbox.faults import Faults
from mailboxes.sandbox.http import Answer
from mailboxes.sandbox.store import SandboxStore
from mailboxes.sandbox.throttling import Throttling


@dataclass(frozen=True, slots=True)
class Desk:
    """What of a server can be asked and changed here."""

    store: SandboxStore
    faults: Faults
    requests: RequestLog
    throttling: Throttling


def answer(desk: Desk, method: str, path: str, body: bytes) -> Answer:
    """Answer a request below /_/ as JSON; 400 with `error` for what makes no sense, 404 and 405 as usual."""
    store, faults, requests, throttling = desk.store, desk.faults, desk.requests, desk.throttling

    def reset() -> Any:
        requests.reset()
        return {"reset": True}

    def clear() -> Any:
        faults.clear()
        return []

    known: dict[str, dict[str, Callable[[], Any]]] = {
        "/_/requests": {"GET": lambda: _counts(store, requests)},
        "/_/requests/reset": {"POST": reset},
        "/_/mailboxes": {"GET": store.overview},
        "/_/outbound": {"GET": lambda: _outbound(store)},
        "/_/departures": {"GET": lambda: _departures(store)},
        "/_/faults": {"GET": faults.listed, "POST": lambda: {"added": faults.script(_list(body))}, "DELETE": clear},
        "/_/throttling": {"GET": throttling.listed, "POST": lambda: throttling.set_json(json.loads(body or b"{}"))},
        "/_/move": {"POST": lambda: moving.move(store, json.loads(body or b"{}"))},
        "/_/adopt": {"POST": lambda: moving.adopt(store, body)},
        "/_/deliver": {"POST": lambda: _deliver(store, body)},
    }
    methods = known.get(path)
    if methods is None:
        return _json(404, {"error": f"there is no {path}; there are {', '.join(known)}"})
    action = methods.get(method)
    if action is None:
        return _json(405, {"error": f"{path} answers {', '.join(methods)}"})
    try:
        return _json(200, action())
    except ValueError as error:
        return _json(400, {"error": str(error)})


def _counts(store: SandboxStore, requests: RequestLog) -> dict[str, Any]:
    return requests.listed() | {"outbound": len(store.outbound), "meeting_messages": store.meeting_messages}


def _json(status: int, value: Any) -> Answer:
    return Answer(status, json.dumps(value).encode(), "application/json")


def _list(body: bytes) -> list[Any]:
    value = json.loads(body or b"[]")
    return value if isinstance(value, list) else [value]


def _outbound(store: SandboxStore) -> list[dict[str, Any]]:
    with store.lock:
        return [
            {"sender": one.sender, "recipient": one.recipient, "size": len(one.raw), "at": one.at}
            for one in store.outbound
        ]


def _departures(store: SandboxStore) -> list[dict[str, Any]]:
    with store.lock:
        return [asdict(one) for one in store.departed]


def _deliver(store: SandboxStore, body: bytes) -> dict[str, Any]:
    wanted = json.loads(body or b"{}")
    if not isinstance(wanted, dict):
        raise ValueError("a JSON object is needed")  # noqa: TRY004 - told to the client as any bad value
    to = wanted.get("to", [])
    to = [to] if isinstance(to, str) else [str(one) for one in to]
    if not to:
        raise ValueError("to is missing")
    sender = str(wanted.get("from", "someone@outside.example"))
    if "mime" in wanted:
        try:
            raw = base64.b64decode(str(wanted["mime"]), validate=True)
        except binascii.Error as error:
            raise ValueError(f"mime is no base64: {error}") from error
    else:
        raw = delivery.letter(store, sender, to, str(wanted.get("subject", "")), str(wanted.get("text", "")))
    return {"ids": delivery.arrive(store, sender, to, raw)}
