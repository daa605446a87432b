"""What planning must know of what people arranged: whose an address is, and which conversations are stopped."""

from collections.abc import Collection, Sequence

from django.conf import settings
from django.db.models import Q, QuerySet

from mailboxes.models import Mailbox
from mailboxes.provider.port import Envelope
from security.models import User
from tracking.models import AddressChoice, ItemDecision, ThreadKey, ThreadStop
from tracking.sync import identity
from tracking.sync.facts import Known, Reason, RecordRef


def choices_of(owner: User, addresses: Collection[str]) -> dict[str, RecordRef | None]:
    """Return the person's choices for these (lower-case) addresses; None: none of the records that have it."""
    rows = AddressChoice.objects.filter(owner=owner, address__in=addresses).values_list(
        "address", "record_kind", "record_id"
    )
    return {address: RecordRef(kind, pk) if kind and pk is not None else None for address, kind, pk in rows}


def stopped(
    mailbox: Mailbox, envelopes: Sequence[Envelope], keys: Collection[str], known: Known
) -> dict[str, int | None]:
    """Return the stop in force for the thread of each key (None: there is none), with the keys of the messages that these
    were found to belong to, and of those that they answer and that were refused by a stop. Nothing while no thread is
    stopped: one query tells.
    """
    in_force = ThreadStop.objects.filter(ended_at=None).filter(Q(mailbox=None) | Q(mailbox=mailbox))
    if not in_force.exists():
        return {}
    found = [
        *known.activities.values(),
        *known.conversations.values(),
        *(each.activity for each in known.tokens.values()),
        *(each.activity for group in known.similar.values() for each in group),
    ]
    asked = {*keys, *(each.thread_key or each.message_key for each in found)}
    refused = _refused(mailbox, envelopes, in_force)
    stops = dict(in_force.filter(thread__keys__key__in=asked).order_by("-pk").values_list("thread_id", "pk"))
    if not stops:
        return refused
    threads = ThreadKey.objects.filter(key__in=asked).values_list("key", "thread_id")
    return {**refused, **{key: stops.get(thread) for key, thread in threads}}


def _refused(mailbox: Mailbox, envelopes: Sequence[Envelope], in_force: QuerySet[ThreadStop]) -> dict[str, int | None]:
    """Return the stops by which the messages that these answer were refused: nothing else is left of them, and an answer
    may name nothing but the last one.
    """
    named = {text for each in envelopes for text in (each.in_reply_to, *each.references[-identity.KEPT_REFERENCES :])}
    keys = {identity.message_hash(text, settings.MESSAGE_ID_KEY): identity.key_of_message_id(text) for text in named}
    keys.pop("", None)
    rows = ItemDecision.objects.filter(
        mailbox=mailbox, message_hash__in=keys, outcome=ItemDecision.Outcome.REFUSED, reason=Reason.THREAD_STOPPED
    ).values_list("message_hash", "facts__stop")
    found = {keys[digest]: stop for digest, stop in rows}
    still = set(in_force.filter(pk__in=found.values()).values_list("pk", flat=True)) if found else set()
    return {key: stop for key, stop in found.items() if stop in still}
