"""References to records (kind and id) as links with names, for those records that a person may see."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from django.urls import reverse

from crmsync_site.ui.listing import number_in
from security.access import Person, visible
from tracking.models import Account, Case, Contact, Lead, Opportunity
from tracking.models.activity import RecordKind
from tracking.models.record import Owned
from tracking.sync.facts import RecordRef

MODELS: Mapping[str, type[Owned]] = {
    RecordKind.CONTACT: Contact,
    RecordKind.LEAD: Lead,
    RecordKind.ACCOUNT: Account,
    RecordKind.OPPORTUNITY: Opportunity,
    RecordKind.CASE: Case,
}
Ref = tuple[str, int]


@dataclass(frozen=True, slots=True)
class RecordLink:
    """A record's kind in words, its name, and its page."""

    kind: str
    name: str
    url: str


def links(person: Person, refs: Iterable[tuple[str, int | None]]) -> dict[Ref, RecordLink]:
    """Return a link for each reference to a record that exists and that `person` may see; one query per kind."""
    wanted: dict[str, set[int]] = {}
    for kind, pk in refs:
        if kind in MODELS and pk is not None:
            wanted.setdefault(kind, set()).add(pk)
    found: dict[Ref, RecordLink] = {}
    for kind, pks in wanted.items():
        for record in visible(person, MODELS[kind]).filter(pk__in=pks):
            found[kind, record.pk] = link(kind, record)
    return found


def link(kind: str, record: Owned) -> RecordLink:
    """Return the link to a record."""
    return RecordLink(str(RecordKind(kind).label), str(record), reverse("record", args=[kind, record.pk]))


def record_in(text: str) -> RecordRef | None:
    """Return the record that a form named as `kind-id`, None for anything else."""
    kind, _dash, pk = text.partition("-")
    number = number_in(pk)
    return RecordRef(kind, number) if kind in MODELS and number is not None else None
