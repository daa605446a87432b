"""People who write tracked mail and whom no record knows: listed for their mailbox's owner, or made a record at once.

The sync profile says which (`mailboxes.states.Unknown`); who counts as such a person is planning's to say
(`tracking.sync.strangers`). Accepting one makes a record of the owner's, or adds the address to one that is there, and
links what is tracked already. Whoever is ignored, or writes from an ignored domain, is not asked about again.
"""

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Lower

from mailboxes.models import Mailbox
from mailboxes.provider.port import Address
from mailboxes.states import Unknown
from security import privileges
from security.access import visible
from security.models import User
from tracking.arrange import history
from tracking.backfill.retro import addresses_changed
from tracking.engine.locks import lock_keys
from tracking.engine.lookups import candidates_of
from tracking.models import Activity, Contact, IgnoredDomain, Lead, Participant, TrackingEvent, UnknownSender
from tracking.models.activity import RecordKind
from tracking.models.record import ADDRESS_COLUMNS, Reachable
from tracking.records.links import MODELS
from tracking.sync.decide import address_key, on_list
from tracking.sync.facts import RecordRef
from tracking.sync.plan import Link, Track

State = UnknownSender.State
_AT_ONCE = {Unknown.CONTACT: RecordKind.CONTACT, Unknown.LEAD: RecordKind.LEAD}


class NotPossible(Exception):
    """The sender was settled already, or the record cannot take the address. `code`: settled, full, known."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


# -- while mail is stored


def lock_key(address: str) -> str:
    """Return the key under which records for an address are made: one at a time, since owners may see each other's."""
    return hashlib.sha256(f"record for {address}".encode("utf-8", "surrogatepass")).hexdigest()


def keys_to_lock(action: Track | Link, mailbox: Mailbox) -> tuple[str, ...]:
    """Return what to lock before a message is stored, should its sender become a record."""
    track = action if isinstance(action, Track) else action.otherwise
    if not isinstance(track, Track) or track.stranger is None or mailbox.sync_profile.unknown_senders not in _AT_ONCE:
        return ()
    return (lock_key(address_key(track.stranger)),)


def note(tracks: Sequence[Track], made: Mapping[str, int], *, mailbox: Mailbox, now: datetime) -> None:
    """Do with the unknown senders of newly tracked messages what the sync profile says; `made`: activities by message key.

    The caller holds the locks of `keys_to_lock`.
    """
    found: dict[str, list[tuple[Address, int]]] = {}
    for action in tracks:
        if action.stranger is not None:
            found.setdefault(address_key(action.stranger), []).append((action.stranger, made[action.message_key]))
    if not found:
        return
    ignored = frozenset(IgnoredDomain.objects.filter(mailbox=mailbox).values_list("domain", flat=True))
    found = {address: each for address, each in found.items() if not on_list(address.rpartition("@")[2], ignored)}
    rows = {
        row.address: row
        for row in UnknownSender.objects.select_for_update().filter(mailbox=mailbox, address__in=found).order_by("pk")
    }
    kind = _AT_ONCE.get(Unknown(mailbox.sync_profile.unknown_senders))
    if kind is not None:
        _make_at_once(found, rows, kind, mailbox=mailbox, now=now)
    else:
        _stage(found, rows, mailbox=mailbox, now=now)


def _stage(
    found: Mapping[str, Sequence[tuple[Address, int]]],
    rows: Mapping[str, UnknownSender],
    *,
    mailbox: Mailbox,
    now: datetime,
) -> None:
    received = dict(
        Activity.objects.filter(pk__in=[pk for each in found.values() for _sender, pk in each]).values_list(
            "pk", "received_at"
        )
    )
    for address, each in found.items():
        times = [received[pk] for _sender, pk in each]
        row = rows.get(address) or UnknownSender(
            mailbox=mailbox, address=address, first_at=min(times), last_at=max(times), noticed_at=now
        )
        row.name = next((sender.name for sender, _pk in reversed(each) if sender.name), row.name)[:400]
        row.first_at, row.last_at = min(row.first_at, *times), max(row.last_at, *times)
        row.messages += len(each)
        if row.state == State.ACCEPTED:
            # Its record is gone, or is not the owner's to see any more.
            row.state, row.settled_by, row.settled_at = State.OPEN, "", None
        row.save()


def _make_at_once(
    found: Mapping[str, Sequence[tuple[Address, int]]],
    rows: Mapping[str, UnknownSender],
    kind: str,
    *,
    mailbox: Mailbox,
    now: datetime,
) -> None:
    wanted = {address for address in found if address not in rows or rows[address].state != State.IGNORED}
    # Planned before the locks were had: another mailbox of the owner's may have met the same sender.
    there = candidates_of(mailbox, wanted)
    for address in sorted(wanted):
        if known := there.get(address):
            # What this mailbox tracked of theirs was planned without it.
            for ref in known:
                addresses_changed(ref.kind, ref.id)
            continue
        sender, activity = found[address][-1]
        ref = _create(kind, sender.name, address, mailbox.owner)
        _settle(rows.get(address), State.ACCEPTED, by="", now=now)
        _linked(mailbox, address, ref)
        thread = Activity.objects.values_list("thread_id", flat=True).get(pk=activity)
        history.record(
            history.What.CREATED, by="", now=now, thread=thread, activity=activity, mailbox=mailbox.pk,
            address=address, kind=ref.kind, id=ref.id,
        )  # fmt: skip


# -- records


def split_name(name: str, address: str) -> tuple[str, str]:
    """Return (first name, last name) from how a sender is called ("Pau Riera", "Riera, Pau"), else from the address."""
    clean = " ".join(name.replace("\x00", "").strip("\"' ").split())
    if not clean or "@" in clean:
        clean = " ".join(address.partition("@")[0].replace(".", " ").replace("_", " ").split()).title() or address
    last, comma, first = clean.partition(", ")
    if not comma:
        first, _, last = clean.rpartition(" ")
    return first.strip()[:100], (last.strip() or first.strip())[:100]


def _create(kind: str, name: str, address: str, owner: User) -> RecordRef:
    first, last = split_name(name, address)
    if kind == RecordKind.LEAD:
        lead = Lead.objects.create(name=f"{first} {last}".strip()[:200], email1=address, owner=owner)
        return RecordRef(RecordKind.LEAD, lead.pk)
    contact = Contact.objects.create(first_name=first, last_name=last, email1=address, owner=owner)
    return RecordRef(RecordKind.CONTACT, contact.pk)


def _linked(mailbox: Mailbox, address: str, ref: RecordRef) -> int:
    """Link what is tracked for the mailbox's owner from or to an address that no record had until now; return how much.

    At once, since the person waits for it; the mail of others who may see the record is matched in the background.
    """
    addresses_changed(ref.kind, ref.id)
    found = (
        Participant.objects.alias(address=Lower("email"))
        .filter(address=address, record_kind="", ambiguous=False, chosen="", activity__owner=mailbox.owner)
        .values("pk")
    )
    return Participant.objects.filter(pk__in=found).update(record_kind=ref.kind, record_id=ref.id)


# -- what people do


def may_settle(person: User, sender: UnknownSender) -> bool:
    """Return whether `person`, who sees the sender, may say what becomes of them."""
    return sender.mailbox.owner_id == person.pk or person.has_perm(privileges.MANAGE_THREADS)


def accept(sender: UnknownSender, kind: str, *, by: str, now: datetime) -> tuple[RecordRef, int]:
    """Make a contact or lead of an unknown sender, its mailbox's owner owning it; return it and how much was linked.

    Where a record has the address by now, that one is taken; with several, or a settled sender: `NotPossible`.
    """
    with transaction.atomic():
        lock_keys([lock_key(sender.address)])
        row = _open(sender)
        there = candidates_of(row.mailbox, {row.address}).get(row.address, ())
        if len(there) > 1:
            raise NotPossible("known")
        ref = there[0] if there else _create(kind, row.name, row.address, row.mailbox.owner)
        return ref, _accepted(row, ref, by=by, now=now)


def takers(person: User, sender: UnknownSender, kind: str) -> QuerySet[Any]:
    """Return the records of a kind that the sender's address may be added to by `person`, who may settle the sender.

    Both the person and the mailbox's owner see them, and they are the owner's or nobody's: others' may only be read.
    """
    owner = sender.mailbox.owner
    found = visible(person, MODELS[kind]).filter(Q(owner=None) | Q(owner=owner))
    return found if owner == person else found.filter(pk__in=visible(owner, MODELS[kind]).order_by().values("pk"))


def link(sender: UnknownSender, kind: str, record: Reachable, *, by: str, now: datetime) -> int:
    """Add the address of an unknown sender to a record that is there; return how much was linked. Raises `NotPossible`.

    The caller has seen to it that the record is one of the `takers`.
    """
    with transaction.atomic():
        row = _open(sender)
        kept = type(record)._default_manager.select_for_update().get(pk=record.pk)
        taken = {getattr(kept, column).lower() for column in ADDRESS_COLUMNS}
        if row.address not in taken:
            free = next((column for column in ADDRESS_COLUMNS if not getattr(kept, column)), None)
            if free is None:
                raise NotPossible("full")
            setattr(kept, free, row.address)
            kept.save(update_fields=[free, "modified_at"])
        return _accepted(row, RecordRef(kind, kept.pk), by=by, now=now)


def ignore(senders: Iterable[UnknownSender], *, domain: bool, by: str, now: datetime) -> int:
    """Ask about these senders no more and, with `domain`, about nobody who writes from theirs; return how many were open."""
    ids = [sender.pk for sender in senders]
    with transaction.atomic():
        rows = list(
            UnknownSender.objects.select_for_update()
            .filter(pk__in=ids, state=State.OPEN)
            .select_related("mailbox")
            .order_by("pk")
        )
        if domain:
            rows += _ignore_domains(rows, by=by, now=now)
        for row in rows:
            _settle(row, State.IGNORED, by=by, now=now)
        _note_all(history.What.IGNORED, rows, by=by, now=now)
    return len(rows)


def _ignore_domains(rows: Collection[UnknownSender], *, by: str, now: datetime) -> list[UnknownSender]:
    """Ignore the domains of these senders; return the other open senders of the same domains."""
    domains = {(row.mailbox_id, row.address.rpartition("@")[2]) for row in rows}
    IgnoredDomain.objects.bulk_create(
        [IgnoredDomain(mailbox_id=mailbox, domain=domain, by=by, at=now) for mailbox, domain in sorted(domains)],
        ignore_conflicts=True,
    )
    others = UnknownSender.objects.select_for_update(of=("self",)).select_related("mailbox").order_by("pk")
    open_ones = others.filter(state=State.OPEN, mailbox__in={mailbox for mailbox, _domain in domains})
    mine = {row.pk for row in rows}
    return [
        row
        for row in open_ones
        if row.pk not in mine
        and on_list(row.address, frozenset(domain for mailbox, domain in domains if mailbox == row.mailbox_id))
    ]


def list_again(sender: UnknownSender, *, by: str, now: datetime) -> None:
    """Take back that a sender is ignored; raises `NotPossible`. An ignored domain stays ignored for others."""
    with transaction.atomic():
        row = UnknownSender.objects.select_for_update().filter(pk=sender.pk, state=State.IGNORED).first()
        if row is None:
            raise NotPossible("settled")
        row.state, row.settled_by, row.settled_at = State.OPEN, "", None
        row.save(update_fields=["state", "settled_by", "settled_at"])
        _note_all(history.What.UNIGNORED, [row], by=by, now=now)


def listen_again(domain: IgnoredDomain) -> None:
    """Take back that a domain is ignored: from now on its unknown senders are listed."""
    IgnoredDomain.objects.filter(pk=domain.pk).delete()


def _open(sender: UnknownSender) -> UnknownSender:
    row = (
        UnknownSender.objects.select_for_update(of=("self",))
        .select_related("mailbox__owner", "mailbox__sync_profile")
        .filter(pk=sender.pk, state=State.OPEN)
        .first()
    )
    if row is None:
        raise NotPossible("settled")
    return row


def _accepted(row: UnknownSender, ref: RecordRef, *, by: str, now: datetime) -> int:
    _settle(row, State.ACCEPTED, by=by, now=now)
    linked = _linked(row.mailbox, row.address, ref)
    _note_all(history.What.ACCEPTED, [row], by=by, now=now, kind=ref.kind, id=ref.id, linked=linked)
    return linked


def _settle(row: UnknownSender | None, state: str, *, by: str, now: datetime) -> None:
    if row is not None:
        row.state, row.settled_by, row.settled_at = state, by, now
        row.save(update_fields=["state", "settled_by", "settled_at"])


def _note_all(what: str, rows: Sequence[UnknownSender], *, by: str, now: datetime, **facts: str | int) -> None:
    latest = _latest_messages(rows)
    TrackingEvent.objects.bulk_create(
        TrackingEvent(
            at=now, by=by, what=what, mailbox_id=row.mailbox_id, thread_id=thread, activity_id=activity,
            facts={"address": row.address, **facts},
        )
        for row in rows
        for activity, thread in [latest.get(row.pk, (None, None))]
    )  # fmt: skip


def _latest_messages(rows: Sequence[UnknownSender]) -> dict[int, tuple[int, int]]:
    """Return (activity, thread) of the latest message that each sender wrote to their mailbox."""
    found = {}
    written = (
        Participant.objects.annotate(address=Lower("email"))
        .filter(
            role=Participant.Role.FROM, address__in={row.address for row in rows},
            activity__holders__mailbox__in={row.mailbox_id for row in rows},
        )
        .order_by("activity__received_at", "activity_id")
        .values_list("activity__holders__mailbox", "address", "activity_id", "activity__thread_id")
    )  # fmt: skip
    at = {(row.mailbox_id, row.address): row.pk for row in rows}
    for mailbox, address, activity, thread in written:
        if (mailbox, address) in at:
            found[at[mailbox, address]] = (activity, thread)
    return found
