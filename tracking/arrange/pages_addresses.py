"""What the pages of addresses show: ambiguities with their candidates, remembered choices, senders that no record knows."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, F, Max, Q, QuerySet, Window
from django.db.models.functions import RowNumber
from django.utils.translation import gettext_lazy as _

from crmsync_site.ui.listing import Column
from mailboxes.access_rules import sees_all
from mailboxes.models import Mailbox
from security import privileges
from security.access import visible
from security.models import User
from tracking.arrange import ambiguities
from tracking.arrange.ambiguities import candidates
from tracking.engine.lookups import candidates_of
from tracking.models import Account, Activity, AddressChoice, IgnoredDomain, Participant, UnknownSender
from tracking.records.links import MODELS, RecordLink, link, links
from tracking.sync.facts import RecordRef

GROUPS_SHOWN = 20
_MESSAGES_SHOWN = 3
State = UnknownSender.State
COLUMNS = (
    Column("address", _("Address"), ("address",)),
    Column("name", _("Name"), ("name",)),
    Column("messages", _("Messages"), ("messages",), numeric=True),
    Column("first", _("First seen"), ("first_at",)),
    Column("last", _("Last seen"), ("last_at",)),
    Column("mailbox", _("Mailbox"), ("mailbox__address",)),
)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A record that an address may stand for, as it is shown beside the others. `last`: its last message they may read."""

    ref: RecordRef
    link: RecordLink
    besides: str
    owner: str
    last: datetime | None

    @property
    def value(self) -> str:
        """Return how a form names the record."""
        return f"{self.ref.kind}-{self.ref.id}"


@dataclass(frozen=True, slots=True)
class Ambiguity:
    """An address in somebody's mail, what it may stand for, and the latest messages concerned."""

    address: str
    name: str
    owner: User
    own: bool
    messages: int
    latest: Sequence[Activity]
    candidates: Sequence[Candidate]
    hidden: int


def ambiguities_of(person: User) -> QuerySet[Any, dict[str, Any]]:
    """Return one row per address and owner that `person` may resolve: address, owner, n, last; the latest first."""
    found: QuerySet[Any, dict[str, Any]] = (
        ambiguities.open_for(person)
        .order_by()
        .values("address", "activity__owner")
        .annotate(n=Count("activity", distinct=True), last=Max("activity__received_at"))
        .order_by("-last", "address", "activity__owner")
    )
    return found


def as_ambiguities(person: User, rows: Sequence[dict[str, Any]]) -> list[Ambiguity]:
    """Return ambiguities as their page shows them; a fixed number of queries for each owner among the rows."""
    owners = User.objects.in_bulk({row["activity__owner"] for row in rows})
    offered: dict[tuple[int, str], tuple[RecordRef, ...]] = {}
    for pk, owner in owners.items():
        found = candidates(owner, {row["address"] for row in rows if row["activity__owner"] == pk})
        offered |= {(pk, address): refs for address, refs in found.items()}
    shown = _candidates(person, {ref for refs in offered.values() for ref in refs})
    latest = _latest(person, {row["address"] for row in rows})
    made = []
    for row in rows:
        key = row["activity__owner"], row["address"]
        refs = offered.get(key, ())
        seen = [shown[ref] for ref in refs if ref in shown]
        places = latest.get(key, [])
        made.append(
            Ambiguity(
                row["address"],
                next((each.name for each in places if each.name), ""),
                owners[key[0]],
                key[0] == person.pk,
                row["n"],
                list({each.activity_id: each.activity for each in places}.values()),
                seen,
                len(refs) - len(seen),
            )
        )
    return made


def _latest(person: User, addresses: Collection[str]) -> dict[tuple[int, str], list[Any]]:
    """Return the latest places of each address, by owner and address."""
    found = (
        ambiguities.open_for(person)
        .filter(address__in=addresses)
        .annotate(
            place=Window(
                RowNumber(),
                partition_by=[F("address"), F("activity__owner")],
                order_by=[F("activity__received_at").desc(), F("pk").desc()],
            )
        )
        .filter(place__lte=_MESSAGES_SHOWN)
        .select_related("activity")
        .order_by("-activity__received_at", "-pk")
    )
    latest: dict[tuple[int, str], list[Any]] = {}
    for place in found:
        latest.setdefault((place.activity.owner_id, place.address), []).append(place)
    return latest


def _candidates(person: User, refs: Collection[RecordRef]) -> dict[RecordRef, Candidate]:
    """Return those of the records that `person` may see; a query per kind, one for accounts, one for last messages."""
    found: dict[RecordRef, Any] = {}
    for kind, model in MODELS.items():
        ids = {ref.id for ref in refs if ref.kind == kind}
        if ids:
            rows = visible(person, model).filter(pk__in=ids).select_related("owner")
            found |= {RecordRef(kind, row.pk): row for row in rows}
    accounts = {row.account_id for row in found.values() if getattr(row, "account_id", None)}
    names = dict(visible(person, Account).filter(pk__in=accounts).values_list("pk", "name")) if accounts else {}
    last = _last_messages(person, found)
    return {
        ref: Candidate(
            ref,
            link(ref.kind, row),
            names.get(getattr(row, "account_id", None) or 0, "") or getattr(row, "company", ""),
            str(row.owner or ""),
            last.get(ref),
        )
        for ref, row in found.items()
    }


def _last_messages(person: User, refs: Iterable[RecordRef]) -> dict[RecordRef, datetime]:
    wanted = Q(pk__in=[])
    for ref in refs:
        wanted |= Q(record_kind=ref.kind, record_id=ref.id)
    rows = (
        visible(person, Participant)
        .filter(wanted)
        .order_by()
        .values_list("record_kind", "record_id")
        .annotate(Max("activity__received_at"))
    )
    return {RecordRef(kind, pk): at for kind, pk, at in rows if pk is not None}


@dataclass(frozen=True, slots=True)
class Waiting:
    """How much waits for a decision of this person."""

    ambiguous: int
    unknown: int

    @property
    def total(self) -> int:
        """Return both together."""
        return self.ambiguous + self.unknown


def waiting(person: User) -> Waiting:
    """Return how many addresses and unknown senders wait for `person`; two queries."""
    return Waiting(ambiguities_of(person).count(), senders(person, state=State.OPEN).filter(_mine(person)).count())


def _mine(person: User) -> Q:
    return Q() if person.has_perm(privileges.MANAGE_THREADS) else Q(mailbox__owner=person)


@dataclass(frozen=True, slots=True)
class OwnerCount:
    """How much waits for one owner: numbers alone, for who looks after all mailboxes."""

    owner: str
    ambiguous: int
    unknown: int


def by_owner(person: User) -> list[OwnerCount]:
    """Return what waits for each owner, for people who see every mailbox; no address, no name of a sender."""
    if not sees_all(person):
        return []
    ambiguous = dict(
        Participant.objects.filter(ambiguous=True)
        .order_by()
        .values_list("activity__owner")
        .annotate(Count("email", distinct=True))
    )
    unknown = dict(
        UnknownSender.objects.filter(state=State.OPEN).order_by().values_list("mailbox__owner").annotate(Count("pk"))
    )
    owners = User.objects.in_bulk({*ambiguous, *unknown})
    return [
        OwnerCount(str(owner), ambiguous.get(pk, 0), unknown.get(pk, 0))
        for pk, owner in sorted(owners.items(), key=lambda pair: str(pair[1]))
    ]


# -- remembered choices


@dataclass(frozen=True, slots=True)
class ChoiceRow:
    """A remembered choice. `record` None: of none of them, or a record that the person may not see (`named`)."""

    choice: AddressChoice
    record: RecordLink | None
    named: bool
    may_undo: bool


def choices(person: User) -> QuerySet[AddressChoice]:
    """Return the remembered choices that `person` may see."""
    return visible(person, AddressChoice).select_related("owner").order_by("address", "pk")


def choice_rows(person: User, found: Sequence[AddressChoice]) -> list[ChoiceRow]:
    """Return choices as their page shows them; one query per kind of record."""
    named = links(person, ((each.record_kind, each.record_id) for each in found))
    every = person.has_perm(privileges.MANAGE_THREADS)
    return [
        ChoiceRow(
            each,
            named.get((each.record_kind, each.record_id or 0)),
            bool(each.record_kind),
            every or each.owner_id == person.pk,
        )
        for each in found
    ]


# -- unknown senders


@dataclass(frozen=True, slots=True)
class SenderRow:
    """An unknown sender as listed. `known`: a record has the address by now, and the reader may see it."""

    sender: UnknownSender
    may_settle: bool
    known: RecordLink | None


def senders(person: User, *, words: str = "", state: str = State.OPEN) -> QuerySet[UnknownSender]:
    """Return the unknown senders that `person` may see in one state whose name or address holds every word."""
    found = visible(person, UnknownSender).filter(state=state).select_related("mailbox__owner", "mailbox__sync_profile")
    for word in words.split():
        found = found.filter(Q(name__icontains=word) | Q(address__icontains=word))
    return found


def sender_rows(person: User, found: Sequence[UnknownSender]) -> list[SenderRow]:
    """Return senders as their page shows them; a fixed number of queries for each mailbox among them."""
    boxes: Mapping[int, Mailbox] = {sender.mailbox_id: sender.mailbox for sender in found if sender.state == State.OPEN}
    refs: dict[int, tuple[RecordRef, ...]] = {}
    for pk, mailbox in boxes.items():
        mine = [sender for sender in found if sender.mailbox_id == pk]
        by_address = candidates_of(mailbox, {sender.address for sender in mine})
        refs |= {sender.pk: by_address.get(sender.address, ()) for sender in mine}
    seen = links(person, ((ref.kind, ref.id) for each in refs.values() for ref in each))
    every = person.has_perm(privileges.MANAGE_THREADS)
    return [
        SenderRow(
            sender,
            every or sender.mailbox.owner_id == person.pk,
            next((seen[ref.kind, ref.id] for ref in refs.get(sender.pk, ()) if (ref.kind, ref.id) in seen), None),
        )
        for sender in found
    ]


def new_this_week(person: User, now: datetime) -> int:
    """Return how many open senders were noticed within seven days."""
    return senders(person).filter(noticed_at__gte=now - timedelta(days=7)).count()


def ignored_domains(person: User) -> QuerySet[IgnoredDomain]:
    """Return the ignored domains that `person` may see."""
    return visible(person, IgnoredDomain).select_related("mailbox").order_by("domain", "pk")


@dataclass(frozen=True, slots=True)
class Found:
    """A record that a search turned up."""

    value: str
    link: RecordLink
    note: str


def find_records(
    person: User,
    words: str,
    *,
    kinds: Iterable[str],
    among: Callable[[str], QuerySet[Any]] | None = None,
    most: int = 10,
) -> list[Found]:
    """Return records of these kinds whose name or address holds every word, `most` of each kind; none without words.

    `among` gives the records of a kind to choose from, where those are not all that `person` may see.
    """
    if not words.strip():
        return []
    found = []
    for kind in kinds:
        rows = among(kind) if among else visible(person, MODELS[kind])
        for word in words.split():
            rows = rows.filter(_fits(kind, word))
        found += [
            Found(f"{kind}-{row.pk}", link(kind, row), getattr(row, "email1", "")) for row in rows.order_by("pk")[:most]
        ]
    return found


def _fits(kind: str, word: str) -> Q:
    model = MODELS[kind]
    names = {field.name for field in model._meta.get_fields()}
    columns = [
        each
        for each in ("first_name", "last_name", "name", "title", "company", "email1", "email2", "email3")
        if each in names
    ]
    fits = Q()
    for column in columns:
        fits |= Q(**{f"{column}__icontains": word})
    return fits
