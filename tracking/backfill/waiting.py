"""What waits to be counted, read or matched: one query each, asked by the dispatcher every half minute."""

from datetime import datetime

from django.db.models import F, Q, QuerySet

from mailboxes.states import WAITS_FOR_PERSON, Intent
from tracking.models import AddressMatch, Backfill


def waiting(now: datetime) -> QuerySet[Backfill]:
    """Return the backfills that can be worked on: their mailbox is on and well, its server answers. Longest untouched first."""
    return (
        Backfill.objects.filter(state__in=Backfill.WORKED_ON, mailbox__intent=Intent.ON, mailbox__incoming=True)
        .exclude(mailbox__state__in=WAITS_FOR_PERSON)
        .filter(Q(mailbox__not_before=None) | Q(mailbox__not_before__lte=now))
        .filter(Q(mailbox__server__not_before=None) | Q(mailbox__server__not_before__lte=now))
        .filter(mailbox__server__stopped_at=None)
        .order_by(F("worked_at").asc(nulls_first=True), "pk")
    )


def backfill_waits(now: datetime) -> bool:
    """Return whether there is anything to go on with."""
    return waiting(now).exists() or AddressMatch.objects.filter(wanted_at__isnull=False).exists()
