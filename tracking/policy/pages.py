"""What the pages of policy show: profiles, drafts with what they change and what keeps them back, filters, the grid."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.db.models import Count, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.utils.timezone import localdate

from mailboxes.models import Mailbox, SyncProfile
from mailboxes.provider.entries import EntryKind
from security.access import visible
from security.models import User
from tracking.engine.filter_queries import COLUMNS, MODELS, as_q
from tracking.linked import links
from tracking.linked.words import field_name
from tracking.models import DryRun, PolicyChange, PolicyDraft, ProfileEvent, SyncFilter
from tracking.models.link import LinkedKind
from tracking.models.record import Owned
from tracking.policy import words
from tracking.policy.document import Document, Problem, Subject, chosen_directions, completed, in_force, problems
from tracking.policy.drafts import subject_of
from tracking.policy.examples import Failing, failing, fits
from tracking.policy.words import Difference
from tracking.sync.directions import DEFAULTS, Addresses, Direction, left_out
from tracking.sync.filters import Asker, FilterWrong, Group, read

CHANGES_SHOWN: Final = 20
CANDIDATES_SHOWN: Final = 8
MAILBOXES_SHOWN: Final = 100


def profiles(person: User) -> QuerySet[SyncProfile]:
    """Return the sync profiles that a person may see, with counts of mailboxes they see, filters, drafts, last change."""
    filters = SyncFilter.objects.all()
    # Each counted by itself: joined together there are as many rows as their product.
    return visible(person, SyncProfile).annotate(
        boxes=_number(visible(person, Mailbox)),
        system=_number(filters.filter(scope=SyncFilter.Scope.SYSTEM)),
        templates=_number(filters.filter(scope=SyncFilter.Scope.TEMPLATE)),
        open_drafts=_number(visible(person, PolicyDraft)),
        changed_at=Subquery(_of_profile(visible(person, PolicyChange)).values("published_at")[:1]),
    )


def _of_profile(rows: QuerySet[Any]) -> QuerySet[Any]:
    return rows.filter(sync_profile=OuterRef("pk"))


def _number(rows: QuerySet[Any]) -> Coalesce:
    counted = _of_profile(rows).order_by().values("sync_profile").annotate(n=Count("pk"))
    return Coalesce(Subquery(counted.values("n")), 0)


@dataclass(frozen=True, slots=True)
class FilterRow:
    """A filter of a document, in words; `wrong` says why it cannot be asked, if so."""

    key: str
    name: str
    kind: str
    said: str
    excludes: bool
    active: bool
    examples: int
    wrong: bool


@dataclass(frozen=True, slots=True)
class Filters:
    """The filters of one scope."""

    scope: str
    title: str
    rows: Sequence[FilterRow]


def filters(document: Document, scope: str) -> list[FilterRow]:
    """Return the filters of a scope, by kind and name."""
    found = [
        FilterRow(
            key, each["name"], str(LinkedKind(each["kind"]).label), words.conditions(EntryKind(each["kind"]), each["conditions"]),
            each["excludes"], each["active"], len(each["examples"]), _is_wrong(each),
        )
        for key, each in document["filters"].items()
        if each["scope"] == scope
    ]  # fmt: skip
    return sorted(found, key=lambda row: (row.kind, row.name))


def _is_wrong(each: dict[str, Any]) -> bool:
    try:
        read(each["conditions"], COLUMNS[EntryKind(each["kind"])])
    except FilterWrong:
        return True
    return False


@dataclass(frozen=True, slots=True)
class DirectionRow:
    """One field of the grid. `why`: why it is fixed, "" when it is not."""

    name: str
    label: str
    chosen: str
    said: str
    default: str
    why: str


@dataclass(frozen=True, slots=True)
class Grid:
    """The fields of one kind."""

    kind: str
    label: str
    rows: Sequence[DirectionRow]


def grid(document: Document) -> list[Grid]:
    """Return the directions of every field of every kind."""
    return [Grid(kind.value, str(LinkedKind(kind.value).label), _grid_of(document, kind)) for kind in EntryKind]


def _grid_of(document: Document, kind: EntryKind) -> list[DirectionRow]:
    try:
        chosen = chosen_directions(document, kind)
        closed = left_out(Addresses(document["settings"]["contact_addresses"]))
    except (ValueError, KeyError):
        chosen, closed = chosen_directions({}, kind), frozenset()
    rows = [
        DirectionRow(
            f"{kind.value}-{name.value}",
            field_name(kind, name.value),
            chosen[name].value,
            str(words.DIRECTIONS[chosen[name]]),
            str(words.DIRECTIONS[rule.direction]),
            words.fixed_because(name, locked=rule.locked, left_out=name in closed),
        )
        for name, rule in DEFAULTS[kind].items()
    ]
    return sorted(rows, key=lambda row: (bool(row.why), row.label))


def direction_choices() -> list[tuple[str, str]]:
    """Return the four directions."""
    return [(each.value, str(words.DIRECTIONS[each])) for each in Direction]


@dataclass(frozen=True, slots=True)
class FailingRow:
    """An example that fails, with the record's name where the reader may see it."""

    filter_name: str
    record: str
    must: bool
    gone: bool


@dataclass(frozen=True, slots=True)
class DraftState:
    """What a draft changes, and what keeps it from coming into force."""

    changes: Sequence[Difference]
    meanwhile: Sequence[Difference]
    overtaken: bool
    problems: Sequence[Problem]
    failing: Sequence[FailingRow]

    @property
    def ready(self) -> bool:
        """Tell whether it can be published."""
        return bool(self.changes) and not (self.overtaken or self.problems or self.failing)


def state(person: User, draft: PolicyDraft, now: datetime) -> DraftState:
    """Return where a draft stands."""
    subject = subject_of(draft)
    present = in_force(subject)
    base, proposed = completed(draft.base, present), completed(draft.proposed, present)
    wrong = problems(subject, proposed)
    examples = failing(subject, proposed, now)
    return DraftState(
        words.differences(present, proposed), words.differences(base, present), base != present, wrong,
        _failing_rows(person, examples),
    )  # fmt: skip


def _failing_rows(person: User, examples: Sequence[Failing]) -> list[FailingRow]:
    names = names_of(person, ((each.kind, each.record_id) for each in examples))
    return [
        FailingRow(each.filter_name, names.get((each.kind, each.record_id), ""), each.must, each.gone)
        for each in examples
    ]


def names_of(person: User, refs: Iterable[tuple[EntryKind, int]]) -> dict[tuple[EntryKind, int], str]:
    """Return the names of those of the records that a person may see; one query per kind."""
    wanted: dict[EntryKind, set[int]] = {}
    for kind, pk in refs:
        wanted.setdefault(kind, set()).add(pk)
    return {
        (kind, record.pk): str(record)
        for kind, ids in wanted.items()
        for record in visible(person, MODELS[kind]).filter(pk__in=ids)
    }


@dataclass(frozen=True, slots=True)
class Matches:
    """How many of the records that the reader may see fit a filter now."""

    fitting: int
    of: int


def matches(person: User, subject: Subject, kind: EntryKind, conditions: Any, now: datetime) -> Matches | None:
    """Return how many fit: of the owner's records for their own filters, else of the reader's; None when it is wrong."""
    owner = subject.owner if isinstance(subject, Mailbox) else person
    try:
        group = read(conditions, COLUMNS[kind])
    except FilterWrong:
        return None
    asker = links.asker_of(subject, now) if isinstance(subject, Mailbox) else Asker(person.pk, now, localdate(now))
    rows: QuerySet[Owned] = visible(owner, MODELS[kind]).order_by()
    return Matches(rows.filter(as_q(group, COLUMNS[kind], asker)).count(), rows.count())


@dataclass(frozen=True, slots=True)
class ExampleRow:
    """A record chosen as example. `fits` None: nobody can say, since the record is gone or the filter is wrong.
    Of a record that is not `seen` by the reader, it is what the filter says as it is stored."""

    record: int
    name: str
    seen: bool
    must: bool
    fits: bool | None

    @property
    def holds(self) -> bool:
        """Tell whether the filter says what the example wants."""
        return self.fits is self.must


def examples(
    person: User, subject: Subject, kind: EntryKind, conditions: Any, stored: Any, chosen: Sequence[dict[str, Any]],
    now: datetime,
) -> list[ExampleRow]:  # fmt: skip
    """Return the examples with what the filter says of each; of those that the reader may not see, what `stored` says."""
    ids = [each["record"] for each in chosen]
    rows = {record.pk: record for record in MODELS[kind]._default_manager.filter(pk__in=ids, deleted_at=None)}
    names = names_of(person, ((kind, pk) for pk in ids))
    asker_id = subject.owner_id if isinstance(subject, Mailbox) else None
    typed, kept = _group(kind, conditions), _group(kind, stored)
    found = []
    for each in chosen:
        record, seen = rows.get(each["record"]), (kind, each["record"]) in names
        group = typed if seen else kept
        says = fits(group, kind, record, asker_id, now) if group is not None and record is not None else None
        found.append(ExampleRow(each["record"], names.get((kind, each["record"]), ""), seen, each["must"], says))
    return found


def _group(kind: EntryKind, conditions: Any) -> Group | None:
    try:
        return read(conditions, COLUMNS[kind])
    except FilterWrong:
        return None


def candidates(person: User, kind: EntryKind, text: str) -> list[Owned]:
    """Return records to choose examples from: those that the reader may see and whose name or address has every word."""
    rows: QuerySet[Owned] = visible(person, MODELS[kind])
    named = ("first_name", "last_name", "email1") if kind is EntryKind.CONTACT else ("subject",)
    for word in text.split()[:5]:
        found = Q()
        for column in named:
            found |= Q(**{f"{column}__icontains": word})
        rows = rows.filter(found)
    return list(rows[:CANDIDATES_SHOWN])


def drafts(person: User, subject: Subject) -> QuerySet[PolicyDraft]:
    """Return the open drafts about something that the person may see."""
    return visible(person, PolicyDraft).filter(**_about(subject))


def changes(person: User, subject: Subject) -> QuerySet[PolicyChange]:
    """Return the last publications about something that the person may see."""
    return visible(person, PolicyChange).filter(**_about(subject))[:CHANGES_SHOWN]


def events(person: User) -> QuerySet[ProfileEvent]:
    """Return what was done with sync profiles as a whole that the person may see, latest first."""
    return visible(person, ProfileEvent).select_related("mailbox", "sync_profile").defer("document", "mailbox__secret")


def _about(subject: Subject) -> dict[str, Subject]:
    return {"mailbox": subject} if isinstance(subject, Mailbox) else {"sync_profile": subject}


def dry_runs(person: User, draft: PolicyDraft) -> QuerySet[DryRun]:
    """Return what trying a draft came to, latest first."""
    return visible(person, DryRun).filter(draft=draft).defer("result", "proposed").select_related("asked_by")[:5]
