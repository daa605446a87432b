"""What of a mailbox's calendar, contacts and tasks is left alone: how many of each kind, why, and where the list is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

from django.db.models import Count

from mailboxes.models import Mailbox
from mailboxes.provider.entries import HOMES, EntryKind
from mailboxes.provider.port import FolderRole
from security.access import Person, visible
from tracking.decisions import reasons
from tracking.models import ItemDecision
from tracking.models.link import LinkedKind

_ROLES: Final[Mapping[EntryKind, FolderRole]] = {kind: role for role, kind in HOMES.items()}
_REFUSED: Final = ItemDecision.Outcome.REFUSED.value


@dataclass(frozen=True, slots=True)
class Skipped:
    """Items of a kind that are left alone for one reason; `query` is that of the page of decisions which lists them."""

    sentence: str
    count: int
    query: str


@dataclass(frozen=True, slots=True)
class OfKind:
    """All of one kind that is left alone, the commonest reason first."""

    label: str
    count: int
    reasons: Sequence[Skipped]


def skipped(person: Person, mailbox: Mailbox) -> list[OfKind]:
    """Return what is left alone, kind by kind; one query."""
    refused = visible(person, ItemDecision).filter(mailbox=mailbox, outcome=_REFUSED, folder__role__in=_ROLES.values())
    counted = refused.order_by().values("folder", "folder__role", "reason").annotate(n=Count("pk"))
    rows = sorted(counted, key=lambda row: (-row["n"], row["reason"]))
    found = []
    for kind in LinkedKind:
        of_kind = [row for row in rows if row["folder__role"] == _ROLES[EntryKind(kind.value)]]
        why = [Skipped(reasons.sentence(row["reason"]), row["n"], _query(row)) for row in of_kind]
        found.append(OfKind(str(kind.label), sum(row["n"] for row in of_kind), why))
    return found


def _query(row: Mapping[str, Any]) -> str:
    return urlencode({"outcome": _REFUSED, "folder": row["folder"], "reason": row["reason"]})
