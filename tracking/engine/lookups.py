"""What planning must know of a page, read from the database in a fixed number of queries, whatever the page's size."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from typing import Any

from django.conf import settings
from django.db.models import CharField, QuerySet, Value
from django.db.models.functions import Lower

from mailboxes.models import Folder, Mailbox
from mailboxes.provider.port import Envelope
from security.access import visible
from security.models import User
from tracking.arrange.arranged import choices_of, stopped
from tracking.engine import copies
from tracking.engine.correlation import limits_of, similar, vouched
from tracking.models import (
    Account,
    Activity,
    Case,
    Contact,
    Holder,
    ItemDecision,
    Lead,
    TrackingCategory,
)
from tracking.models.activity import RecordKind
from tracking.models.outgoing import OutgoingMail
from tracking.models.record import ADDRESS_COLUMNS
from tracking.sync import identity
from tracking.sync.addresses import Spelling, same_domains, spellings, under_any_spelling
from tracking.sync.decide import address_key, candidates, recipients
from tracking.sync.facts import Known, KnownActivity, KnownItem, Option, Outcome, RecordRef, Rules, Unknown

_REACHABLE = (
    (RecordKind.CONTACT, Contact),
    (RecordKind.LEAD, Lead),
    (RecordKind.ACCOUNT, Account),
    (RecordKind.CASE, Case),
)


def rules_of(mailbox: Mailbox) -> Rules:
    """Return the rules in force for a mailbox (its sync profile is taken to be loaded)."""
    profile = mailbox.sync_profile
    return Rules(
        mailbox_id=mailbox.pk,
        mailbox_address=mailbox.address.lower(),
        option=Option(mailbox.effective_track),
        exclude_internal=profile.exclude_internal,
        exclude_automated=profile.exclude_automated,
        blocked=_lines(profile.blocked),
        internal_domains=_lines(profile.internal_domains),
        category=_category(mailbox),
        unknown=Unknown(profile.unknown_senders),
        smart=limits_of(mailbox),
    )


def _category(mailbox: Mailbox) -> str:
    names = TrackingCategory.objects.filter(mailbox=mailbox, mail=True).values_list("name", flat=True)
    return next((name.lower() for name in names), "")


def _lines(text: str) -> frozenset[str]:
    return frozenset(line.strip().lower().removeprefix("@") for line in text.splitlines() if line.strip())


def known_items(folder: Folder, item_ids: Iterable[str]) -> dict[str, KnownItem]:
    """Return the stored decision of each item that has one."""
    rows = ItemDecision.objects.filter(mailbox_id=folder.mailbox_id, item_id__in=list(item_ids)).values_list(
        "item_id", "change_key", "outcome", "folder_id"
    )
    return {
        item_id: KnownItem(change_key, Outcome(outcome), here=folder_id == folder.pk)
        for item_id, change_key, outcome, folder_id in rows
    }


def known_messages(mailbox: Mailbox, envelopes: Sequence[Envelope]) -> Known:
    """Return what is known of the messages themselves: tracked ones they are or answer, records, colleagues."""
    keys = {key for envelope in envelopes for key in message_keys(envelope, mailbox.pk)}
    own = {
        key
        for envelope in envelopes
        for key in (identity.message_key(envelope, mailbox.pk), identity.own_key(envelope, mailbox.pk))
    }
    conversations = {key for envelope in envelopes if (key := identity.conversation_key(envelope))}
    addresses = {
        key
        for envelope in envelopes
        for person in (*recipients(envelope), *([envelope.sender] if envelope.sender else []))
        if (key := address_key(person))
    }
    known = Known(
        discarded=_discarded(mailbox, envelopes),
        activities=_activities(mailbox, keys | own, own),
        conversations=_conversations(conversations),
        tokens=vouched(mailbox, envelopes),
        similar=similar(mailbox, envelopes),
        records=records_behind(mailbox, addresses),
        internal=_colleagues(addresses),
        written=_written(mailbox, envelopes),
        choices=choices_of(mailbox.owner, addresses),
    )
    return replace(known, stopped=stopped(mailbox, envelopes, keys | own | conversations, known))


def _discarded(mailbox: Mailbox, envelopes: Sequence[Envelope]) -> dict[str, tuple[tuple[str, str | int], ...]]:
    """Return the messages among these that a person discarded from this mailbox, wherever they lay then."""
    ids = {
        identity.message_hash(envelope.message_id, settings.MESSAGE_ID_KEY): envelope.message_id
        for envelope in envelopes
        if envelope.message_id
    }
    ids.pop("", None)
    rows = ItemDecision.objects.filter(
        mailbox=mailbox, message_hash__in=ids, outcome=ItemDecision.Outcome.DISCARDED
    ).values_list("message_hash", "facts")
    return {ids[digest]: tuple(facts.items()) for digest, facts in rows}


def _written(mailbox: Mailbox, envelopes: Sequence[Envelope]) -> frozenset[str]:
    """Return the stamps among these of mail that was written in the CRM: of most pages none, and then nothing is asked."""
    stamps = {envelope.stamp.lower() for envelope in envelopes if envelope.stamp}
    if not stamps:
        return frozenset()
    return frozenset(OutgoingMail.objects.filter(mailbox=mailbox, stamp__in=stamps).values_list("stamp", flat=True))


def message_keys(envelope: Envelope, mailbox_id: int) -> tuple[str, ...]:
    """Return the keys of the message itself and of every message it answers."""
    return (identity.message_key(envelope, mailbox_id), *identity.parent_keys(envelope))


def _known(row: dict[str, Any], mailboxes: frozenset[int] = frozenset(), *, concerned: bool = False) -> KnownActivity:
    regarding = RecordRef(row["regarding_kind"], row["regarding_id"]) if row["regarding_kind"] else None
    return KnownActivity(row["message_key"], row["id"], regarding, mailboxes, concerned)


_FIELDS = ("id", "message_key", "regarding_kind", "regarding_id")


def _activities(mailbox: Mailbox, keys: set[str], own: set[str]) -> dict[str, KnownActivity]:
    """Return the tracked messages of the keys; `own` are those of the messages themselves, not of what they answer."""
    rows = list(Activity.objects.filter(message_key__in=keys).values(*_FIELDS))
    held = set(
        Holder.objects.filter(
            activity_id__in=[row["id"] for row in rows], mailbox=mailbox, removed_at__isnull=True
        ).values_list("activity_id", flat=True)
    )
    here = frozenset({mailbox.pk})
    near = copies.concerned(mailbox, (row["id"] for row in rows if row["message_key"] in own))
    return {
        row["message_key"]: _known(row, here if row["id"] in held else frozenset(), concerned=row["id"] in near)
        for row in rows
    }


def _conversations(keys: set[str]) -> dict[str, KnownActivity]:
    if not keys:
        return {}
    rows = (
        Activity.objects.filter(conversation_key__in=keys)
        .order_by("conversation_key", "-received_at", "-id")
        .distinct("conversation_key")
        .values("conversation_key", *_FIELDS)
    )
    return {row["conversation_key"]: _known(row) for row in rows}


def spelling_of(mailbox: Mailbox) -> Spelling:
    """Return which spellings of an address count as the same in a mailbox."""
    profile = mailbox.sync_profile
    return Spelling(profile.plus_addresses, same_domains(profile.same_domains))


def records_behind(mailbox: Mailbox, addresses: Collection[str]) -> dict[str, tuple[RecordRef, ...]]:
    """Return the records behind each (lower-case) address, under any of its spellings, that the mailbox's owner may see."""
    spelling = spelling_of(mailbox)
    asked = sorted(addresses)
    found = _records(mailbox.owner, {each for address in asked for each in spellings(address, spelling)})
    return under_any_spelling(asked, found, spelling)


def _records(owner: User, addresses: set[str]) -> dict[str, tuple[RecordRef, ...]]:
    """Return the records behind each address that the owner may see: their rights decide, on every route (design §4)."""
    if not addresses:
        return {}
    parts: list[QuerySet[Any, Any]] = [
        visible(owner, model)
        .order_by()
        .alias(address=Lower(column))
        .filter(address__in=addresses)
        .values_list(Value(kind.value, output_field=CharField()), "pk", Lower(column))
        for kind, model in _REACHABLE
        for column in ADDRESS_COLUMNS
    ]
    found: dict[str, list[RecordRef]] = {}
    for kind, pk, address in parts[0].union(*parts[1:]):
        found.setdefault(address, []).append(RecordRef(kind, pk))
    order = [kind.value for kind, _model in _REACHABLE]
    return {
        address: tuple(sorted(set(records), key=lambda record: (order.index(record.kind), record.id)))
        for address, records in found.items()
    }


def candidates_of(mailbox: Mailbox, addresses: Collection[str]) -> dict[str, tuple[RecordRef, ...]]:
    """Return the records that each (lower-case) address may stand for in a mailbox, as planning would; choices left aside."""
    rules = rules_of(mailbox)
    known = Known(records=records_behind(mailbox, addresses), internal=_colleagues(set(addresses)))
    return {address: candidates(address, rules=rules, known=known) for address in addresses}


def _colleagues(addresses: set[str]) -> frozenset[str]:
    if not addresses:
        return frozenset()
    mailboxes = (
        Mailbox.objects.order_by().alias(key=Lower("address")).filter(key__in=addresses).values_list(Lower("address"))
    )
    people = User.objects.order_by().alias(key=Lower("email")).filter(key__in=addresses).values_list(Lower("email"))
    return frozenset(address for (address,) in mailboxes.union(people))
