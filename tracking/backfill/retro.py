"""When a record gets an address: tracked messages that name it are linked to the record, as if it had had it all along.

The idea: a durable row per record says with which addresses it was last matched (`AddressMatch`). Whoever writes a record
calls `addresses_changed` and the matching begins at once; what anybody else has written (an import, a statement typed by
hand) is found by the night, which compares every record with its row. Who may be linked to whom is planning's to say:
the rights of each message's owner, colleagues, the owner's choices; several candidates are an ambiguity, never a guess.
A link that is there stays: mail belongs to whom it belonged to when it was sent.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from django.db import transaction
from django.db.models import F, OuterRef, Q, QuerySet, Subquery, TextField, Value
from django.db.models.functions import MD5, Cast, Coalesce, Concat, Lower
from django.utils import timezone

from mailboxes.models import Mailbox, SyncProfile
from security.access import visible
from tracking.arrange.arranged import choices_of
from tracking.engine.lookups import candidates_of
from tracking.models import Activity, AddressMatch, Participant
from tracking.models.activity import RegardingBy
from tracking.models.record import ADDRESS_COLUMNS, Owned, Reachable
from tracking.records.links import MODELS
from tracking.sync.addresses import Spelling, same_domains, spellings
from tracking.sync.facts import RecordRef
from tracking.workers.transport import have_backfilled

# Participants matched in one transaction.
_AT_ONCE: Final = 500
# Mail that was being stored while an address was written may have missed it: what changed so recently is matched again by
# the next night.
_SETTLED: Final = timedelta(hours=1)


def addresses_of(record: Owned) -> list[str]:
    """Return the record's addresses in lower case, in order, each once."""
    texts = (str(getattr(record, column, "")).strip().lower() for column in ADDRESS_COLUMNS)
    return list(dict.fromkeys(text for text in texts if text))


def kinds() -> list[str]:
    """Return the kinds of record that have addresses."""
    return [kind for kind, model in MODELS.items() if issubclass(model, Reachable)]


# -- that something changed


def addresses_changed(kind: str, pk: int) -> None:
    """Note that a record was made, or that its addresses or its owner changed; called by whoever writes records, in the
    transaction that does. What it leads to begins when that is committed.
    """
    AddressMatch.objects.update_or_create(record_kind=kind, record_id=pk, defaults={"wanted_at": timezone.now()})
    # A queue that does not answer costs time only: the row is found by the next look for it.
    transaction.on_commit(have_backfilled, robust=True)


def _digest() -> MD5:
    parts: list[Any] = []
    for column in ADDRESS_COLUMNS:
        parts += [Lower(column), Value("\n")]
    parts.append(Coalesce(Cast("owner_id", TextField()), Value(""), output_field=TextField()))
    return MD5(Concat(*parts, output_field=TextField()))


def changed_since(kind: str) -> QuerySet[Any]:
    """Return the records of a kind that were never matched with the addresses and the owner that they have now."""
    matched = AddressMatch.objects.filter(record_kind=kind, record_id=OuterRef("pk")).values("digest")
    there = MODELS[kind]._default_manager.filter(deleted_at=None).order_by("pk")
    differs = ~Q(digest=F("matched_digest")) | Q(matched_digest=None)
    return there.annotate(digest=_digest(), matched_digest=Subquery(matched[:1])).filter(differs)


def sweep(now: datetime) -> int:
    """Have every record matched that changed since it was; return how many. Two statements per thousand of them."""
    count = 0
    for kind in kinds():
        ids = list(changed_since(kind).values_list("pk", flat=True))
        for start in range(0, len(ids), 1000):
            AddressMatch.objects.bulk_create(
                [AddressMatch(record_kind=kind, record_id=pk, wanted_at=now) for pk in ids[start : start + 1000]],
                update_conflicts=True,
                unique_fields=["record_kind", "record_id"],
                update_fields=["wanted_at"],
            )
        count += len(ids)
    return count


# -- matching


def wanted() -> QuerySet[AddressMatch]:
    """Return what is to be matched, the longest waiting first."""
    return AddressMatch.objects.filter(wanted_at__isnull=False).order_by("wanted_at", "pk")


def match_some(now: Callable[[], datetime], gives_way: Callable[[], bool] = lambda: False) -> bool:
    """Match what is wanted until nothing is or `gives_way()`; return whether there is more."""
    after = 0
    while row := wanted().filter(pk__gt=after).order_by("pk").first():
        after = row.pk
        match(row, now())
        if gives_way():
            return wanted().exists()
    return False


def match(row: AddressMatch, now: datetime) -> tuple[int, int]:
    """Link the tracked messages that name one of the record's addresses; return how many were linked, how many became
    ambiguous. Does nothing twice: what is linked is left alone.
    """
    asked = row.wanted_at
    model = MODELS.get(row.record_kind)
    record = (
        model._default_manager.filter(pk=row.record_id, deleted_at=None).annotate(digest=_digest()).first()
        if model is not None
        else None
    )
    linked = ambiguous = 0
    digest = ""
    if record is not None:
        digest = record.digest if record.modified_at <= now - _SETTLED else ""
        for pks in _found(addresses_of(record)):
            with transaction.atomic():
                one, other = _match_part(pks, RecordRef(row.record_kind, row.record_id))
            linked, ambiguous = linked + one, ambiguous + other
    AddressMatch.objects.filter(pk=row.pk).update(
        digest=digest, matched_at=now, linked=F("linked") + linked, ambiguous=F("ambiguous") + ambiguous
    )
    # One that changed again meanwhile stays wanted.
    AddressMatch.objects.filter(pk=row.pk, wanted_at=asked).update(wanted_at=None)
    return linked, ambiguous


def _found(addresses: Sequence[str]) -> Iterable[list[int]]:
    """Yield the unlinked participants who may have one of the addresses, in parts; a little more than that is fine."""
    texts = SyncProfile.objects.exclude(same_domains="").values_list("same_domains", flat=True)
    groups = [same_domains(text) for text in texts]
    fits = Q()
    for address in addresses:
        # Every spelling that any sync profile may take for this one; which do count is decided per mailbox.
        local = address.rpartition("@")[0]
        alike = {each for domains in groups for each in spellings(address, Spelling(plus=False, domains=domains))}
        fits |= Q(address__in=sorted({address} | alike))
        if local:
            fits |= Q(address__startswith=f"{local}+")
    if not fits:
        return
    after = 0
    while True:
        found = list(
            Participant.objects.alias(address=Lower("email"))
            .filter(fits, pk__gt=after, record_kind="", chosen="")
            .order_by("pk")
            .values_list("pk", flat=True)[:_AT_ONCE]
        )
        if found:
            yield found
        if len(found) < _AT_ONCE:
            return
        after = found[-1]


def _match_part(pks: Sequence[int], record: RecordRef) -> tuple[int, int]:
    """Match these participants by the rights of the owners of their messages; return messages linked, and made ambiguous."""
    rows = list(
        Participant.objects.select_for_update(of=("self",))
        .filter(pk__in=pks, record_kind="", chosen="")
        .select_related("activity__owner")
        .order_by("pk")
    )
    linked: set[int] = set()
    ambiguous: set[int] = set()
    for owner_id in sorted({row.activity.owner_id for row in rows}):
        boxes = Mailbox.objects.filter(owner=owner_id).select_related("sync_profile", "owner")
        mailbox = boxes.defer("secret").order_by("pk").first()
        if mailbox is None:
            # Nobody's rights to go by.
            continue
        theirs = [row for row in rows if row.activity.owner_id == owner_id]
        changed = _decided(mailbox, theirs, record)
        Participant.objects.bulk_update(changed, ["record_kind", "record_id", "ambiguous", "chosen"])
        linked |= {row.activity_id for row in changed if row.record_kind}
        ambiguous |= {row.activity_id for row in changed if row.ambiguous}
        if mailbox.sync_profile.retro_regarding:
            linked_to_it = [row for row in changed if (row.record_kind, row.record_id) == (record.kind, record.id)]
            _regard({row.activity.thread_id for row in linked_to_it}, mailbox, record)
    return len(linked), len(ambiguous - linked)


def _decided(mailbox: Mailbox, rows: Sequence[Participant], record: RecordRef) -> list[Participant]:
    """Return those of the participants that stand for the record, or may, with what is to be written of them."""
    emails = {row.email.strip().lower() for row in rows}
    fitting = candidates_of(mailbox, emails)
    choices = choices_of(mailbox.owner, emails)
    changed = []
    for row in rows:
        email = row.email.strip().lower()
        found = fitting.get(email, ())
        if record not in found or (email in choices and choices[email] is None):
            continue
        choice = choices.get(email)
        one = choice if choice in found else found[0] if len(found) == 1 else None
        if one is None and row.ambiguous:
            continue
        row.record_kind, row.record_id = (one.kind, one.id) if one else ("", None)
        row.ambiguous = one is None
        row.chosen = Participant.Chosen.ADDRESS if one is not None and one == choice else ""
        changed.append(row)
    return changed


def _regard(threads: set[int], mailbox: Mailbox, record: RecordRef) -> None:
    """Make the owner's messages in these threads about the record, where the whole thread is about nothing yet."""
    if not threads or not visible(mailbox.owner, MODELS[record.kind]).filter(pk=record.id).exists():
        return
    about = Activity.objects.filter(thread__in=threads).filter(~Q(regarding_kind="") | ~Q(regarding_by=""))
    free = threads - set(about.values_list("thread_id", flat=True))
    Activity.objects.filter(thread__in=free, owner=mailbox.owner, regarding_kind="", regarding_by="").update(
        regarding_kind=record.kind, regarding_id=record.id, regarding_by=RegardingBy.RECORD
    )
