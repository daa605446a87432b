"""Is an item a copy of a message that is tracked already, or another message under the same Message-ID?

Whoever holds a copy may read what is kept of it, and Message-IDs are no secret: every reply hands its parents' around.
So a mailbox counts as a holder only when the message names its address, when it holds the message already, or when its
item has the very same content (a member of a distribution list). Anything else is a message of its own.
"""

from collections.abc import Iterable, Mapping, Sequence

from django.db.models.functions import Lower

from mailboxes.models import Mailbox
from mailboxes.provider.port import Envelope
from tracking.engine.fetched import Fetched
from tracking.models import Activity, Holder, Participant
from tracking.sync.decide import address_key
from tracking.sync.plan import Link


def concerned(mailbox: Mailbox, activity_ids: Iterable[int]) -> set[int]:
    """Return those of the activities that the mailbox holds, or held, or whose people it is one of."""
    ids = set(activity_ids)
    if not ids:
        return set()
    holding = Holder.objects.filter(activity__in=ids, mailbox=mailbox).values_list("activity_id")
    named = (
        Participant.objects.alias(address=Lower("email"))
        .filter(activity__in=ids, address=mailbox.address.strip().lower())
        .values_list("activity_id")
    )
    return {activity_id for (activity_id,) in holding.union(named)}


def others(
    links: Sequence[Link], *, mailbox: Mailbox, tracked: Mapping[str, int], fetched: Mapping[str, Fetched]
) -> set[str]:
    """Return the item ids of the links that turn out to be other messages. `tracked`: activity ids by message key.

    The content of each link was read (`Link.otherwise`).
    """
    known = concerned(mailbox, (tracked[link.message_key] for link in links))
    doubtful = [link for link in links if tracked[link.message_key] not in known]
    activities = (
        Activity.objects.select_related("body")
        .prefetch_related("participants", "attachments")
        .in_bulk({tracked[link.message_key] for link in doubtful})
    )
    return {
        link.envelope.item_id
        for link in doubtful
        if not _same(activities[tracked[link.message_key]], link.envelope, fetched[link.envelope.item_id])
    }


def _same(activity: Activity, envelope: Envelope, item: Fetched) -> bool:
    """Tell whether the item says all that is kept. Blind copies are left out: each copy shows its own."""
    named = {
        (role, address_key(person)[:400])
        for role, people in (("to", envelope.to), ("cc", envelope.cc))
        for person in people
    }
    if envelope.sender is not None:
        named.add(("from", address_key(envelope.sender)[:400]))
    kept = {(p.role, p.email.strip().lower()) for p in activity.participants.all() if p.role != Participant.Role.BCC}
    return (
        (activity.subject, activity.body.html, activity.body.text)
        == (envelope.subject, item.content.html, item.content.text)
        and kept == named
        and [(each.name, each.sha256) for each in activity.attachments.all()]
        == [(each.info.name[:400], each.sha256) for each in item.attachments]
    )
