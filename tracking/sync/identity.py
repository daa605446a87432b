"""When are two items the same message? By Message-ID; without one, by search key; without either, by item id.

Keys are digests, so that an identifier of any length fits an index, and NULs or odd bytes in one cannot hurt.
"""

import hashlib
import hmac

from mailboxes.provider.port import Envelope

# References grow with every reply; the first names the origin, the last ones the nearest parents (RFC 5322 §3.6.4).
KEPT_REFERENCES = 30


def _digest(scheme: str, *parts: str) -> str:
    joined = "\x1f".join((scheme, *parts))
    return hashlib.sha256(joined.encode("utf-8", "surrogatepass")).hexdigest()


def bare_message_id(text: str) -> str:
    """Return a Message-ID without angle brackets and white space; case is kept (RFC 5322 §3.6.4)."""
    return "".join(text.split()).strip("<>")


def key_of_message_id(text: str) -> str:
    """Return the key of the message that has this Message-ID, or "" for an empty one."""
    bare = bare_message_id(text)
    return _digest("message-id", bare) if bare else ""


def message_key(envelope: Envelope, mailbox_id: int) -> str:
    """Return the key under which the message is known in every mailbox that holds it.

    Without a Message-ID the key is the mailbox's own: two mailboxes then count as two messages, never as one by guess.
    """
    if key := key_of_message_id(envelope.message_id):
        return key
    if envelope.search_key:
        return _digest("search-key", str(mailbox_id), envelope.search_key)
    return _digest("item-id", str(mailbox_id), envelope.item_id)


def own_key(envelope: Envelope, mailbox_id: int) -> str:
    """Return the key of a message that only borrows its Message-ID from another one (`tracking.engine.copies`)."""
    bare = bare_message_id(envelope.message_id)
    return _digest("own", str(mailbox_id), bare) if bare else message_key(envelope, mailbox_id)


def conversation_key(envelope: Envelope) -> str:
    """Return the key of the message's conversation, or ""."""
    return _digest("conversation", envelope.conversation_id) if envelope.conversation_id else ""


def parent_keys(envelope: Envelope) -> tuple[str, ...]:
    """Return the keys of the messages this one answers, nearest first, each once: In-Reply-To, then References."""
    references = envelope.references
    if len(references) > KEPT_REFERENCES:
        references = references[:1] + references[-(KEPT_REFERENCES - 1) :]
    keys = [key_of_message_id(text) for text in (envelope.in_reply_to, *reversed(references))]
    own = key_of_message_id(envelope.message_id)
    return tuple(dict.fromkeys(key for key in keys if key and key != own))


def message_hash(message_id: str, secret: str) -> str:
    """Return the keyed hash of a Message-ID: all that is kept of a refused message's identity (design §4)."""
    bare = bare_message_id(message_id)
    if not bare:
        return ""
    return hmac.new(secret.encode(), bare.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()
