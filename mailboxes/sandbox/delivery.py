"""Mail on its way: into the mailboxes that are here, into a list where they are not."""

import email.utils
from collections.abc import Iterable

from mailboxes.sandbox import attendant, compose
from mailboxes.sandbox.contents import text_of
from mailboxes.sandbox.model import Content
from mailboxes.sandbox.store import Departure, Outbound, SandboxStore
from mailboxes.sandbox.xmltext import leaf, moment, recipient, recipients


def post(
    store: SandboxStore, sender: str, to: Iterable[str], raw: bytes, *, kind: str = "mail", uid: str = ""
) -> list[str]:
    """Send a message from a mailbox and write down that it left; return the ids of the items that came to be.

    `kind` and `uid` are those of a `Departure`. Meeting messages are counted, once per recipient.
    """
    people = tuple(dict.fromkeys(one.strip().lower() for one in to if one.strip()))
    subject = text_of(Content("Message", raw), "Subject")
    with store.lock:
        store.departed.append(Departure(kind, sender.lower(), people, subject, uid, int(store.clock())))
        store.meeting_messages += 0 if kind == "mail" else len(people)
        store.generation += 1
        return arrive(store, sender, people, raw)


def arrive(store: SandboxStore, sender: str, to: Iterable[str], raw: bytes) -> list[str]:
    """Deliver a message once per address; return the ids of the items that came to be.

    Meeting messages are worked into the calendars they come to. Addresses without a mailbox here are
    written into `store.outbound`: nothing ever leaves the machine.
    """
    delivered = []
    for address in dict.fromkeys(one.strip().lower() for one in to if one.strip()):
        with store.lock:
            if store.has_mailbox(address):
                item = store.item(store.deliver_mime(address, raw))
                attendant.arrived(store, item)
                delivered.append(item.id)
            else:
                store.outbound.append(Outbound(sender, address, raw, int(store.clock())))
                store.generation += 1
    return delivered


def letter(store: SandboxStore, sender: str, to: list[str], subject: str, text: str) -> bytes:
    """Write a plain message, dated now. `sender` and `to` are addresses, with a display name or without."""
    author = email.utils.parseaddr(sender)
    content = Content(
        "Message",
        values={
            "From": recipient("From", author),
            "ToRecipients": recipients("ToRecipients", email.utils.getaddresses(to)),
            "Subject": leaf("Subject", subject),
            "InternetMessageId": leaf("InternetMessageId", compose.new_message_id()),
            "DateTimeSent": moment("DateTimeSent", int(store.clock())),
        },
        body=("Text", text),
    )
    return compose.outgoing(content)
