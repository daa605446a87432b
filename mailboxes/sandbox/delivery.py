"""Mail on its way: into the mailboxes that are here, into a list where they are not."""

import email.utils
import uuid
from collections.abc import Iterable

from mailboxes.sandbox import compose
from mailboxes.sandbox.model import Content
from mailboxes.sandbox.store import Outbound, SandboxStore
from mailboxes.sandbox.xmltext import leaf, moment, recipient, recipients


def post(store: SandboxStore, sender: str, to: Iterable[str], raw: bytes) -> list[str]:
    """Deliver a message once per address; return the ids of the items that came to be.

    Addresses without a mailbox here are written into `store.outbound`: nothing ever leaves the machine.
    """
    delivered = []
    for address in dict.fromkeys(one.strip().lower() for one in to if one.strip()):
        if store.has_mailbox(address):
            delivered.append(store.deliver_mime(address, raw))
        else:
            with store.lock:
                store.outbound.append(Outbound(sender, address, raw, int(store.clock())))
                store.generation += 1
    return delivered


def new_message_id() -> str:
    """Return a Message-ID of this server."""
    return f"<{uuid.uuid4()}@sandbox.example>"


def letter(store: SandboxStore, sender: str, to: list[str], subject: str, text: str) -> bytes:
    """Write a plain message, dated now. `sender` and `to` are addresses, with a display name or without."""
    author = email.utils.parseaddr(sender)
    content = Content(
        "Message",
        values={
            "From": recipient("From", author),
            "ToRecipients": recipients("ToRecipients", email.utils.getaddresses(to)),
            "Subject": leaf("Subject", subject),
            "InternetMessageId": leaf("InternetMessageId", new_message_id()),
            "DateTimeSent": moment("DateTimeSent", int(store.clock())),
        },
        body=("Text", text),
    )
    return compose.outgoing(content)
