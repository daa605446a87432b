"""Which way each field flows: the defaults, and which of them an administrator may change (S14, S17)."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from mailboxes.provider.entries import FIELDS, EntryKind, Field


class Direction(StrEnum):
    """Where a changed value goes."""

    BOTH = "both"
    TO_CRM = "to_crm"
    TO_EXCHANGE = "to_exchange"
    NONE = "none"

    @property
    def reaches_crm(self) -> bool:
        """Tell whether what is changed in Exchange is taken over."""
        return self in (Direction.BOTH, Direction.TO_CRM)

    @property
    def reaches_exchange(self) -> bool:
        """Tell whether what is changed in the CRM is written to the mailbox."""
        return self in (Direction.BOTH, Direction.TO_EXCHANGE)


class Addresses(StrEnum):
    """Which postal addresses of contacts flow. The values are those of `mailboxes.states.Addresses`."""

    BUSINESS = "business"
    HOME = "home"
    OTHER = "other"
    ALL = "all"


_POSTAL: Final[Mapping[Field, Addresses]] = MappingProxyType(
    {
        Field.BUSINESS_ADDRESS: Addresses.BUSINESS,
        Field.HOME_ADDRESS: Addresses.HOME,
        Field.OTHER_ADDRESS: Addresses.OTHER,
    }
)


def left_out(addresses: Addresses) -> frozenset[Field]:
    """Return the postal addresses that do not flow, whatever their direction says."""
    return frozenset(name for name, which in _POSTAL.items() if addresses not in (which, Addresses.ALL))


@dataclass(frozen=True, slots=True)
class Rule:
    """The direction of a field as crmsync comes; `locked`: it cannot be changed."""

    direction: Direction = Direction.BOTH
    locked: bool = False


_LOCKED: Final = Rule(locked=True)
_FREE: Final = Rule()

_SPECIAL: Mapping[EntryKind, Mapping[Field, Rule]] = MappingProxyType(
    {
        EntryKind.APPOINTMENT: MappingProxyType(
            {
                **dict.fromkeys(
                    (
                        Field.SPAN, Field.IMPORTANCE, Field.SHOW_AS, Field.ORGANIZER, Field.REQUIRED, Field.OPTIONAL,
                        Field.RECURRENCE, Field.REGARDING,
                    ),
                    _LOCKED,
                ),
            }
        ),
        EntryKind.CONTACT: MappingProxyType({Field.NAME: _LOCKED, Field.COMPANY: _LOCKED}),
        EntryKind.TASK: MappingProxyType(
            {Field.IMPORTANCE: _LOCKED, Field.STATUS: _LOCKED, Field.REGARDING: _LOCKED}
        ),
    }
)  # fmt: skip

DEFAULTS: Mapping[EntryKind, Mapping[Field, Rule]] = MappingProxyType(
    {
        kind: MappingProxyType({name: _SPECIAL[kind].get(name, _FREE) for name in fields})
        for kind, fields in FIELDS.items()
    }
)


class Locked(ValueError):
    """Somebody tried to change a direction that is fixed."""


def directions(
    kind: EntryKind, chosen: Mapping[Field, Direction], *, addresses: Addresses = Addresses.BUSINESS
) -> dict[Field, Direction]:
    """Return the direction of every field of the kind, `chosen` ones in place of the defaults.

    Of a contact's postal addresses those that are not among `addresses` do not flow.

    Raises `Locked` for a field whose direction is fixed and chosen otherwise, KeyError for one the kind has not.
    """
    result = {name: rule.direction for name, rule in DEFAULTS[kind].items()}
    for name, direction in chosen.items():
        if DEFAULTS[kind][name].locked and direction != result[name]:
            raise Locked(f"The direction of {name} of a {kind} cannot be changed.")
        result[name] = direction
    return result | dict.fromkeys(left_out(addresses) & result.keys(), Direction.NONE)
