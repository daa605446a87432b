"""What planning must know of what people arranged: whose an address is, and which conversations are stopped."""

from collections.abc import Collection

from django.db.models import Q

from mailboxes.models import Mailbox
from security.models import User
from tracking.models import AddressChoice, ThreadKey, ThreadStop
from tracking.sync.facts import Known, RecordRef


def choices_of(owner: User, addresses: Collection[str]) -> dict[str, RecordRef | None]:
    """Return the person's choices for these (lower-case) addresses; None: none of the records that have it."""
    rows = AddressChoice.objects.filter(owner=owner, address__in=addresses).values_list(
        "address", "record_kind", "record_id"
    )
    return {address: RecordRef(kind, pk) if kind and pk is not None else None for address, kind, pk in rows}


def stopped(mailbox: Mailbox, keys: Collection[str], known: Known) -> dict[str, int | None]:
    """Return the stop in force for the thread of each key (None: there is none), with the keys of the messages that these
    were found to belong to. Nothing while none of the threads is stopped: one query tells.
    """
    found = [
        *known.activities.values(),
        *known.conversations.values(),
        *(each.activity for each in known.tokens.values()),
        *(each.activity for group in known.similar.values() for each in group),
    ]
    asked = {*keys, *(each.thread_key or each.message_key for each in found)}
    in_force = ThreadStop.objects.filter(ended_at=None).filter(Q(mailbox=None) | Q(mailbox=mailbox))
    stops = dict(in_force.filter(thread__keys__key__in=asked).order_by("-pk").values_list("thread_id", "pk"))
    if not stops:
        return {}
    threads = ThreadKey.objects.filter(key__in=asked).values_list("key", "thread_id")
    return {key: stops.get(thread) for key, thread in threads}
