"""A policy as one JSON document: settings, filters, directions; read from the rows in force, and written to them.

The idea: what is compared, tried, published and taken back is this document, never single rows. Its shape:

    {"settings": {column of SyncProfile: value},                       a sync profile only
     "filters": {key: {scope, kind, name, excludes, active, conditions, examples}},
     "directions": {kind: {field: direction}}}                         a sync profile only; what differs from the default

`key` is the primary key of a filter that exists, else a name of the draft's own. An example is `{"record": id, "must": bool}`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from mailboxes.models import Mailbox, SyncProfile
from mailboxes.provider.entries import EntryKind, Field
from tracking.engine.filter_queries import COLUMNS
from tracking.models import FieldDirection, SyncFilter
from tracking.sync.directions import DEFAULTS, Addresses, Direction, Locked, directions
from tracking.sync.filters import FilterWrong, read

Document = dict[str, Any]
Subject = SyncProfile | Mailbox

# Everything a sync profile says; its name and whether new mailboxes follow it are said of it. A column that is added later is
# part of policy without further ado.
SETTINGS: Final = tuple(
    field.name for field in SyncProfile._meta.concrete_fields if field.name not in ("id", "name", "is_default")
)
# How often, not what: nothing that is tried depends on them.
SCHEDULE: Final = frozenset({"min_seconds", "normal_seconds", "max_seconds"})
# What says how appointments, contacts and tasks flow: no message is decided on otherwise because of it.
OF_ENTRIES: Final = frozenset({"contact_addresses", "appointment_attachments"})
OF_FILTER: Final = ("scope", "kind", "name", "excludes", "active", "conditions", "examples")
OF_PROFILE: Final = (SyncFilter.Scope.SYSTEM, SyncFilter.Scope.TEMPLATE)
# More would be a list of addresses that belongs into a field of the record.
MOST_CONDITIONS: Final = 100


def in_force(subject: Subject) -> Document:
    """Return the document of what is in force."""
    if isinstance(subject, Mailbox):
        return {"filters": _filters(subject.filters.all())}
    rows = FieldDirection.objects.filter(sync_profile=subject).order_by("kind", "field")
    chosen: dict[str, dict[str, str]] = {}
    for row in rows:
        chosen.setdefault(row.kind, {})[row.field] = row.direction
    return {
        # As the database has it: the object at hand may be from before somebody else's change, or from before our own.
        "settings": dict(SyncProfile.objects.values(*SETTINGS).get(pk=subject.pk)),
        "filters": _filters(SyncFilter.objects.filter(sync_profile=subject)),
        "directions": chosen,
    }


def _filters(rows: Iterable[SyncFilter]) -> dict[str, dict[str, Any]]:
    return {str(row.pk): {name: getattr(row, name) for name in OF_FILTER} for row in rows}


def completed(document: Document, present: Document) -> Document:
    """Return a stored document with settings it does not know yet, as they are in force: an upgrade may add some."""
    if "settings" not in document:
        return document
    return {**document, "settings": {**present.get("settings", {}), **document["settings"]}}


def unsaved_profile(profile: SyncProfile, document: Document) -> SyncProfile:
    """Return the profile as the document would have it; not to be saved."""
    values = {name: value for name, value in document["settings"].items() if name in SETTINGS}
    now = {name: getattr(profile, name) for name in SETTINGS}
    return SyncProfile(pk=profile.pk, name=profile.name, **{**now, **values})


def unsaved_filters(document: Document) -> list[SyncFilter]:
    """Return the filters as the document would have them; not to be saved."""
    return [SyncFilter(**{name: each[name] for name in OF_FILTER}) for each in document["filters"].values()]


def chosen_directions(document: Document, kind: EntryKind) -> dict[Field, Direction]:
    """Return the direction of every field of a kind; raises ValueError or KeyError for nonsense, `Locked` for fixed ones."""
    chosen = document.get("directions", {}).get(kind.value, {})
    addresses = Addresses(document.get("settings", {}).get("contact_addresses", Addresses.BUSINESS))
    return directions(kind, {Field(name): Direction(value) for name, value in chosen.items()}, addresses=addresses)


def files_direction(document: Document) -> Direction:
    """Return which way the files of appointments flow; raises ValueError for nonsense."""
    return Direction(document.get("settings", {}).get("appointment_attachments", Direction.NONE))


def without_defaults(chosen: Mapping[str, Mapping[str, str]]) -> dict[str, dict[str, str]]:
    """Return the directions that differ from the defaults: only those are kept."""
    found = {
        kind: {
            name: value
            for name, value in of_kind.items()
            if DEFAULTS[EntryKind(kind)][Field(name)].direction != Direction(value)
        }
        for kind, of_kind in chosen.items()
    }
    return {kind: of_kind for kind, of_kind in found.items() if of_kind}


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a document cannot come into force: where, and a sentence."""

    where: str
    sentence: str


def problems(subject: Subject, document: Document) -> list[Problem]:
    """Return what is wrong with a document, whatever way it was made; [] if it can come into force."""
    found = [problem for each in document["filters"].values() for problem in _of_filter(subject, each)]
    if isinstance(subject, SyncProfile):
        found += _of_settings(subject, document)
        for kind in EntryKind:
            try:
                chosen_directions(document, kind)
            except (Locked, ValueError, KeyError):
                found.append(Problem(_("Directions"), _("A direction is chosen that cannot be.")))
    return found


def _of_settings(profile: SyncProfile, document: Document) -> list[Problem]:
    try:
        unsaved_profile(profile, document).full_clean(exclude=["name"], validate_unique=False)
    except ValidationError as error:
        return [Problem(_("Settings"), sentence) for sentence in error.messages]
    return []


def _of_filter(subject: Subject, each: Mapping[str, Any]) -> list[Problem]:
    owners = each["scope"] == SyncFilter.Scope.OWNER
    if owners is not isinstance(subject, Mailbox) or each["kind"] not in COLUMNS:
        return [Problem(str(each["name"]), _("A filter of this kind does not belong here."))]
    if not str(each["name"]).strip():
        return [Problem(_("Filters"), _("A filter needs a name."))]
    try:
        read(each["conditions"], COLUMNS[EntryKind(each["kind"])])
    except FilterWrong:
        return [Problem(str(each["name"]), _("It asks for something that cannot be asked. Open it and mend it."))]
    return []


def write(subject: Subject, document: Document) -> None:
    """Bring the document into force. The caller holds the subject's lock and has looked for problems."""
    _write_filters(subject, document["filters"])
    if isinstance(subject, Mailbox):
        return
    SyncProfile.objects.filter(pk=subject.pk).update(
        **{name: value for name, value in document["settings"].items() if name in SETTINGS}
    )
    FieldDirection.objects.filter(sync_profile=subject).delete()
    FieldDirection.objects.bulk_create(
        FieldDirection(sync_profile=subject, kind=kind, field=name, direction=value)
        for kind, of_kind in without_defaults(document["directions"]).items()
        for name, value in of_kind.items()
    )


def _write_filters(subject: Subject, wanted: Mapping[str, Mapping[str, Any]]) -> None:
    whose: dict[str, Any] = {"mailbox": subject} if isinstance(subject, Mailbox) else {"sync_profile": subject}
    rows = {str(row.pk): row for row in SyncFilter.objects.filter(**whose)}
    SyncFilter.objects.filter(pk__in=[row.pk for key, row in rows.items() if key not in wanted]).delete()
    for key, each in wanted.items():
        row = rows.get(key) or SyncFilter(**whose)
        for name in OF_FILTER:
            setattr(row, name, each[name])
        row.save()
