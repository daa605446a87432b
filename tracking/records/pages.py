"""What the pages of records show: lists by kind, and a record with the threads it takes part in or that are about it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.db.models import Count, Exists, OuterRef, Q, QuerySet, Subquery
from django.http import Http404
from django.utils.translation import gettext_lazy as _

from crmsync_site.ui.listing import Column
from security.access import Person, visible
from tracking.models import Account, Activity, Contact, Participant, Thread
from tracking.models.activity import RecordKind
from tracking.models.record import Owned, Reachable
from tracking.records.links import MODELS, RecordLink, link

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

# What `records` calls the name of a record's account.
_ACCOUNT_NAME = "account_name"


@dataclass(frozen=True, slots=True)
class Kind:
    """How a kind of record is listed: its plural, what its name is made of, what else identifies it, its icon."""

    key: str
    plural: "StrOrPromise"
    name: tuple[str, ...]
    besides: str
    icon: str

    @property
    def model(self) -> type[Owned]:
        """Return the model."""
        return MODELS[self.key]

    @property
    def reachable(self) -> bool:
        """Return whether such a record has addresses."""
        return issubclass(self.model, Reachable)

    @property
    def columns(self) -> tuple[Column, ...]:
        """Return the columns of the list."""
        address = (Column("address", _("Address"), ("email1",)),) if self.reachable else ()
        besides = (Column("besides", _("Organisation"), (self.besides,)),) if self.besides else ()
        return (
            Column("name", _("Name"), self.name),
            *address,
            *besides,
            Column("owner", _("Owner"), ("owner__last_name", "owner__first_name", "owner__username")),
            Column("threads", _("Threads"), numeric=True),
        )


KINDS: Mapping[str, Kind] = {
    kind.key: kind
    for kind in (
        Kind(RecordKind.CONTACT, _("Contacts"), ("last_name", "first_name"), _ACCOUNT_NAME, "user"),
        Kind(RecordKind.ACCOUNT, _("Accounts"), ("name",), "", "building-2"),
        Kind(RecordKind.LEAD, _("Leads"), ("name",), "company", "target"),
        Kind(RecordKind.OPPORTUNITY, _("Opportunities"), ("name",), _ACCOUNT_NAME, "briefcase"),
        Kind(RecordKind.CASE, _("Cases"), ("title",), _ACCOUNT_NAME, "circle-alert"),
    )
}


def kind_or_404(key: str) -> Kind:
    """Return the kind called `key`; raises Http404."""
    if key not in KINDS:
        raise Http404
    return KINDS[key]


@dataclass(frozen=True, slots=True)
class RecordRow:
    """A record as a list shows it; `threads` are those the person may read."""

    record: Any
    besides: str
    threads: int


def records(person: Person, kind: Kind, words: str) -> QuerySet[Any]:
    """Return the records of a kind whose name, address or organisation holds every one of `words`."""
    found: QuerySet[Any] = visible(person, kind.model).select_related("owner")
    if kind.besides == _ACCOUNT_NAME:
        # An account that the person may not see has no name for them: not to read, to find, or to sort by.
        names = visible(person, Account).filter(pk=OuterRef("account")).order_by().values("name")
        found = found.annotate(**{_ACCOUNT_NAME: Subquery(names)})
    columns = [*kind.name, *([kind.besides] if kind.besides else [])]
    columns += ["email1", "email2", "email3"] if kind.reachable else []
    for word in words.split():
        fits = Q()
        for column in columns:
            fits |= Q(**{f"{column}__icontains": word})
        found = found.filter(fits)
    return found


def record_rows(person: Person, kind: Kind, found: Sequence[Any]) -> list[RecordRow]:
    """Return records as a list shows them; two queries."""
    ids = [record.pk for record in found]
    seen = visible(person, Activity)
    named = (
        visible(person, Participant)
        .filter(record_kind=kind.key, record_id__in=ids)
        .order_by()
        .values_list("record_id")
        .annotate(Count("activity__thread", distinct=True))
    )
    about = (
        seen.filter(regarding_kind=kind.key, regarding_id__in=ids)
        .order_by()
        .values_list("regarding_id")
        .annotate(Count("thread", distinct=True))
    )
    takes_part, regarded = dict(named), dict(about)
    return [
        RecordRow(record, _besides(record, kind), max(takes_part.get(record.pk, 0), regarded.get(record.pk, 0)))
        for record in found
    ]


def _besides(record: Any, kind: Kind) -> str:
    return (getattr(record, kind.besides) or "") if kind.besides else ""


def threads_of(person: Person, kind: Kind, pk: int) -> QuerySet[Thread]:
    """Return the threads, of those the person may read, that the record takes part in or that are regarding it."""
    takes_part = visible(person, Participant).filter(activity=OuterRef("pk"), record_kind=kind.key, record_id=pk)
    related = visible(person, Activity).filter(Q(Exists(takes_part)) | Q(regarding_kind=kind.key, regarding_id=pk))
    return Thread.objects.filter(Exists(related.filter(thread=OuterRef("pk"))))


@dataclass(frozen=True, slots=True)
class RecordFacts:
    """What the head of a record's page says: its addresses, the account it belongs to, the people who belong to it."""

    addresses: Sequence[str]
    account: RecordLink | None
    company: str
    people: Sequence[RecordLink]


def facts(person: Person, kind: Kind, record: Any, *, most_people: int = 50) -> RecordFacts:
    """Return the facts of a record; what the person may not see of its relations is left out."""
    addresses = [address for n in (1, 2, 3) if kind.reachable and (address := getattr(record, f"email{n}"))]
    account_id = getattr(record, "account_id", None)
    account = visible(person, Account).filter(pk=account_id).first() if account_id else None
    people: list[RecordLink] = []
    if isinstance(record, Account):
        found = visible(person, Contact).filter(account=record)[:most_people]
        people = [link(RecordKind.CONTACT, contact) for contact in found]
    return RecordFacts(
        addresses, link(RecordKind.ACCOUNT, account) if account else None, getattr(record, "company", ""), people
    )
