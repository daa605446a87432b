"""Addresses that several records have: which one is meant is a person's to say, never a guess.

A choice holds for one message, for a thread, or is remembered for the address (`AddressChoice`), which planning obeys from
then on. It is the owner of the mail who chooses, among the records that the owner may see; whoever arranges others' mail
chooses in their place. Two people who choose at once: the second is told.
"""

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Lower

from mailboxes.models import Mailbox
from security import privileges
from security.access import visible
from security.models import User
from tracking.arrange import history
from tracking.engine.lookups import candidates_of
from tracking.models import AddressChoice, Participant, TrackingEvent
from tracking.sync.facts import RecordRef

Scope = Participant.Chosen


class AlreadyResolved(Exception):
    """Somebody else has resolved it, or there is nothing (left) to resolve."""


class NoCandidate(Exception):
    """The record is none of those that have the address and that both its mail's owner and the person may see."""


def open_for(person: User) -> QuerySet[Any]:
    """Return the ambiguous addresses that `person` may resolve, annotated with `address` (lower case)."""
    found: QuerySet[Any] = visible(person, Participant).filter(ambiguous=True).annotate(address=Lower("email"))
    return found if person.has_perm(privileges.MANAGE_THREADS) else found.filter(activity__owner=person)


def candidates(owner: User, addresses: Collection[str]) -> dict[str, tuple[RecordRef, ...]]:
    """Return the records that each address may stand for in the mail of `owner`, choices left aside."""
    boxes = Mailbox.objects.filter(owner=owner).select_related("sync_profile", "owner")
    mailbox = boxes.defer("secret").order_by("pk").first()
    return candidates_of(mailbox, addresses) if mailbox is not None else {}


def resolve(
    person: User,
    owner: User,
    address: str,
    record: RecordRef | None,
    *,
    scope: str,
    message: int | None = None,
    thread: int | None = None,
    now: datetime,
) -> int:
    """Say whose an address is in the mail of `owner` (None: of none of the candidates); return in how many places.

    `scope`: for `message` only, for `thread` only, or remembered for the address. Raises `NoCandidate`, `AlreadyResolved`.
    """
    if record is not None and record not in candidates(owner, {address}).get(address, ()):
        raise NoCandidate
    here = open_for(person).filter(activity__owner=owner, address=address)
    if scope == Scope.MESSAGE:
        here = here.filter(activity=message)
    elif scope == Scope.THREAD:
        here = here.filter(activity__thread=thread)
    with transaction.atomic():
        rows = list(
            Participant.objects.select_for_update(of=("self",))
            .filter(pk__in=here.values("pk"), ambiguous=True)
            .select_related("activity")
            .order_by("pk")
        )
        if not rows:
            raise AlreadyResolved
        if scope == Scope.ADDRESS:
            AddressChoice.objects.update_or_create(
                owner=owner, address=address,
                defaults={"record_kind": record.kind if record else "", "record_id": record.id if record else None,
                          "by": person.get_username(), "at": now},
            )  # fmt: skip
        _link(rows, record, scope)
        _note(history.What.RESOLVED, rows, address, record, by=person.get_username(), now=now, scope=scope)
    return len(rows)


def undo(person: User, choice: AddressChoice, *, now: datetime) -> int:
    """Forget a remembered choice; what it decided is decided anew: an ambiguity again, where there is one. Return how much.

    Raises `AlreadyResolved` when it was forgotten already.
    """
    with transaction.atomic():
        row = AddressChoice.objects.select_for_update().filter(pk=choice.pk).first()
        if row is None:
            raise AlreadyResolved
        found = candidates(row.owner, {row.address}).get(row.address, ())
        decided = list(
            Participant.objects.select_for_update(of=("self",))
            .alias(address=Lower("email"))
            .filter(chosen=Scope.ADDRESS, activity__owner=row.owner, address=row.address)
            .select_related("activity")
            .order_by("pk")
        )
        only = found[0] if len(found) == 1 else None
        Participant.objects.filter(pk__in=[each.pk for each in decided]).update(
            record_kind=only.kind if only else "",
            record_id=only.id if only else None,
            ambiguous=len(found) > 1,
            chosen="",
        )
        was = RecordRef(row.record_kind, row.record_id) if row.record_id is not None else None
        row.delete()
        _note(history.What.CHOICE_UNDONE, decided, row.address, was, by=person.get_username(), now=now)
    return len(decided)


def _link(rows: Iterable[Participant], record: RecordRef | None, scope: str) -> None:
    Participant.objects.filter(pk__in=[row.pk for row in rows]).update(
        record_kind=record.kind if record else "",
        record_id=record.id if record else None,
        ambiguous=False,
        chosen=scope,
    )


def _note(
    what: str,
    rows: Iterable[Participant],
    address: str,
    record: RecordRef | None,
    *,
    by: str,
    now: datetime,
    scope: str = "",
) -> None:
    """Note one event per thread, so that each thread tells its own history."""
    first: dict[int, int] = {}
    for row in rows:
        first.setdefault(row.activity.thread_id, row.activity_id)
    facts = {"address": address, "kind": record.kind if record else "", "id": record.id if record else None}
    TrackingEvent.objects.bulk_create(
        TrackingEvent(at=now, by=by, what=what, thread_id=thread, activity_id=activity, facts={**facts, "scope": scope})
        for thread, activity in first.items()
    )
