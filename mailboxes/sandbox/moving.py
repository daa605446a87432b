"""A mailbox moves from one sandbox server to another, as between two servers of an organisation.

While it moves, every request for it is refused (ErrorMailboxMoveInProgress). It then lives on the other
server with its ids, change keys, sync states and password; the old one points there, or says that
the store is unavailable, or knows the mailbox no more, which are the three things real servers do.
"""

import io
import json
import logging
import threading
import urllib.request
import zipfile
from typing import Any, Final
from urllib.parse import urlsplit

from mailboxes.sandbox import statefile
from mailboxes.sandbox.model import Mailbox
from mailboxes.sandbox.soap import Fault
from mailboxes.sandbox.store import Moved, SandboxError, SandboxStore

log = logging.getLogger(__name__)

AFTERWARDS: Final = ("redirect", "unavailable", "unknown")
_PATIENCE: Final = 10.0


class Elsewhere(Exception):
    """The mailbox lives on another server now, at this URL: an HTTP redirect."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.url = url


def move(store: SandboxStore, wanted: Any) -> dict[str, Any]:
    """Begin a move of JSON: {"mailbox", "to", "seconds" (0), "then" ("redirect")}; return at once.

    `to` is the other server's URL. Raises ValueError for what makes no sense.
    """
    if not isinstance(wanted, dict):
        raise ValueError("a move is an object")  # noqa: TRY004 - told to the client as any bad value
    address, to, then = (
        str(wanted.get(name, default)) for name, default in (("mailbox", ""), ("to", ""), ("then", "redirect"))
    )
    seconds = wanted.get("seconds", 0)
    if then not in AFTERWARDS or not isinstance(seconds, int | float) or seconds < 0:
        raise ValueError(f"then is {', '.join(AFTERWARDS)}; seconds is not negative")
    if urlsplit(to).scheme != "http" or not urlsplit(to).netloc:
        raise ValueError("to is the URL of another sandbox")
    mailbox = store.mailbox(address)
    with store.lock:
        if mailbox.address.lower() in store.moving:
            raise ValueError("the mailbox is being moved already")
        store.moving.add(mailbox.address.lower())
    timer = threading.Timer(seconds, _carry, (store, mailbox, to, then))
    timer.daemon = True
    timer.start()
    return {"moving": mailbox.address, "to": to}


def _carry(store: SandboxStore, mailbox: Mailbox, to: str, then: str) -> None:
    name = mailbox.address.lower()
    parts = urlsplit(to)
    # Nothing may be delivered between packing and leaving, so the store waits for the journey.
    with store.lock:
        data = pack(store, mailbox)
        try:
            request = urllib.request.Request(f"http://{parts.netloc}/_/adopt", data=data, method="POST")
            with urllib.request.urlopen(request, timeout=_PATIENCE):  # noqa: S310 - http only
                del store.mailboxes[name], store.by_guid[mailbox.guid]
                store.moved[name] = Moved(mailbox.password, to, then)
                store.generation += 1
        except OSError as error:
            log.warning("the mailbox %s stays: %s", mailbox.address, error)
        finally:
            store.moving.discard(name)


def refuse(store: SandboxStore, target: str) -> None:
    """Raise what a request for a mailbox that moves or has moved is answered with; for others do nothing.

    Raises Elsewhere or Fault.
    """
    name = target.lower()
    if name in store.moving:
        raise Fault("ErrorMailboxMoveInProgress", "The mailbox is being moved; try again later.")
    moved = store.moved.get(name)
    if moved is None or store.has_mailbox(name):
        return
    if moved.then == "redirect":
        raise Elsewhere(moved.url)
    if moved.then == "unavailable":
        raise Fault("ErrorMailboxStoreUnavailable", "The mailbox database is temporarily unavailable.")
    raise Fault("ErrorNonExistentMailbox", "The SMTP address has no mailbox associated with it.")


def pack(store: SandboxStore, mailbox: Mailbox) -> bytes:
    """Return a mailbox with all that is in it as one archive."""
    blobs = statefile.Blobs()
    state = {"next": [store.next_number, store.next_version], "mailbox": statefile.mailbox_json(mailbox, blobs)}
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("mailbox.json", json.dumps(state))
        archive.writestr("blobs", b"".join(blobs.parts))
    return file.getvalue()


def adopt(store: SandboxStore, data: bytes) -> dict[str, Any]:
    """Take in a mailbox of another server. Raises ValueError if the archive is none or the address is taken."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            state, blobs = json.loads(archive.read("mailbox.json")), archive.read("blobs")
        mailbox = statefile.read_mailbox(state["mailbox"], blobs)
        number, version = (int(one) for one in state["next"])
    except (zipfile.BadZipFile, KeyError, TypeError, IndexError, AttributeError, EOFError) as error:
        raise ValueError(f"that is no mailbox of another server: {error}") from error
    with store.lock:
        if store.has_mailbox(mailbox.address):
            raise SandboxError(f"there is a mailbox {mailbox.address} already")
        store.next_number, store.next_version = max(store.next_number, number), max(store.next_version, version)
        store.moved.pop(mailbox.address.lower(), None)
        store.adopt(mailbox)
    return {"adopted": mailbox.address}
