"""Which rule holds in which folder, as a pure function of the tree of folders and the rules on it.

The nearest rule decides: a folder's own, else that of the closest folder above it that takes its subfolders along. Nothing
holds in folders that are no place for kept mail, nor in what was thrown away: below Deleted Items lie deleted folders.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from mailboxes.provider.port import FolderRole

# No rule holds here. Junk is left to its owner.
NEVER: Final = frozenset(
    {FolderRole.DRAFTS, FolderRole.DELETED, FolderRole.CALENDAR, FolderRole.CONTACTS, FolderRole.TASKS}
)


@dataclass(frozen=True, slots=True)
class Place:
    """A folder in the tree. `parent` is the `id` of the folder above, "" directly below the root."""

    pk: int
    id: str
    parent: str
    role: FolderRole
    name: str = ""
    gone_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """What an owner said of one folder."""

    pk: int
    subfolders: bool
    active: bool


def covered(places: Sequence[Place], rules: Mapping[int, Rule]) -> dict[int, int]:
    """Return the rule in force (its pk) for each folder (by pk) in which one is; `rules` by the folder they are about."""
    by_id = indexed(place for place in places if place.gone_at is None)
    found: dict[int, int] = {}
    for place in by_id.values():
        above = list(_upwards(place, by_id))
        if any(each.role in NEVER for each in above):
            continue
        rule = next((rule for each in above if (rule := _speaks(rules.get(each.pk), own=each is place))), None)
        if rule is not None and rule.active:
            found[place.pk] = rule.pk
    return found


def indexed(places: Iterable[Place]) -> dict[str, Place]:
    """Return folders by their ids, as the functions below want them."""
    return {place.id: place for place in places}


def path(place: Place, by_id: Mapping[str, Place]) -> tuple[str, ...]:
    """Return the names from the root down to a folder; folders that are gone are known by their last names."""
    return tuple(each.name for each in reversed(list(_upwards(place, by_id))))


def may_be_tracked(place: Place, by_id: Mapping[str, Place]) -> bool:
    """Tell whether a rule on this folder could ever hold."""
    return place.gone_at is None and all(each.role not in NEVER for each in _upwards(place, by_id))


def _speaks(rule: Rule | None, *, own: bool) -> Rule | None:
    return rule if rule is not None and (own or rule.subfolders) else None


def _upwards(place: Place, by_id: Mapping[str, Place]) -> Iterator[Place]:
    """Yield a folder and those above it. A server that is in the middle of a move may tell of a circle: it ends there."""
    seen: set[str] = set()
    at: Place | None = place
    while at is not None and at.id not in seen:
        seen.add(at.id)
        yield at
        at = by_id.get(at.parent)
