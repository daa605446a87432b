"""The policy of one mailbox: as it is in force, or as a document would have it. Nothing of it is ever saved."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass

from mailboxes.models import Mailbox, SyncProfile
from mailboxes.provider.entries import EntryKind, Field
from tracking.linked import links
from tracking.models import SyncFilter
from tracking.policy.document import Document, Subject, chosen_directions, unsaved_filters, unsaved_profile
from tracking.sync.directions import Direction


@dataclass(frozen=True, slots=True)
class Policy:
    """What decides for one mailbox. `mailbox` carries the sync profile meant, which may be one that is not saved."""

    mailbox: Mailbox
    filters: Mapping[EntryKind, list[SyncFilter]]
    directions: Mapping[EntryKind, dict[Field, Direction]]


def in_force(mailbox: Mailbox) -> Policy:
    """Return what is in force for a mailbox (server, sync profile and owner are taken to be loaded)."""
    return Policy(
        mailbox,
        {kind: links.filters_of(mailbox, kind) for kind in EntryKind},
        {kind: links.directions_of(mailbox, kind) for kind in EntryKind},
    )


def proposed(present: Policy, subject: Subject, document: Document) -> Policy:
    """Return what would be in force for the mailbox of `present` with the document in place of its subject's."""
    drafted = unsaved_filters(document)
    filters: dict[EntryKind, list[SyncFilter]] = {}
    for kind in EntryKind:
        own = [each for each in present.filters[kind] if each.scope == SyncFilter.Scope.OWNER]
        system = [each for each in present.filters[kind] if each.scope == SyncFilter.Scope.SYSTEM]
        of_kind = [each for each in drafted if each.kind == kind]
        if isinstance(subject, SyncProfile):
            system = [each for each in of_kind if each.scope == SyncFilter.Scope.SYSTEM]
        else:
            own = of_kind
        filters[kind] = [*system, *own]
    if not isinstance(subject, SyncProfile):
        return Policy(present.mailbox, filters, present.directions)
    mailbox = copy.copy(present.mailbox)
    # The cached profile belongs to the copy alone.
    mailbox._state = copy.copy(present.mailbox._state)
    mailbox._state.fields_cache = dict(present.mailbox._state.fields_cache)
    mailbox.sync_profile = unsaved_profile(subject, document)
    return Policy(mailbox, filters, {kind: chosen_directions(document, kind) for kind in EntryKind})
