"""Which addresses mean the same person: `anna+news@` and `anna@`, `anna@googlemail.com` and `anna@gmail.com`.

The one idea: a record's own spelling comes first. Other spellings are tried only where no record has the address as it
stands, so that whoever keeps `anna+news@` as a contact of its own finds that one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeVar

# RFC 5321 §4.5.3.1 allows an address 254 characters; what is longer is no address that a record has.
_LONGEST: Final = 400
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Spelling:
    """What is lenient: subaddresses (RFC 5233: the part from "+" on is the recipient's own), and domains by their usual one."""

    plus: bool = True
    domains: Mapping[str, str] = field(default_factory=dict)


def same_domains(text: str) -> dict[str, str]:
    """Return each domain's usual one, from lines of domains that mean the same, the usual one first; nonsense is ignored."""
    usual: dict[str, str] = {}
    for line in text.splitlines():
        names = [name.lower().lstrip("@") for name in line.replace(",", " ").split()]
        for name in names:
            if name and names[0]:
                # The first line that names a domain counts.
                usual.setdefault(name, names[0])
    return usual


def spellings(address: str, spelling: Spelling) -> tuple[str, ...]:
    """Return the spellings of an address under which a record may have it: its own, in lower case, first; each once."""
    own = address.strip().lower()
    local, at, domain = own.rpartition("@")
    if not (local and at and domain) or len(own) > _LONGEST:
        return (own,) if own else ()
    usual = spelling.domains.get(domain, domain)
    domains = [domain, usual, *(each for each, other in spelling.domains.items() if other == usual)]
    bare = local.partition("+")[0] if spelling.plus else local
    # Nothing is left of "+news@": that is not somebody's name.
    locals_ = [local, *([bare] if bare else [])]
    return tuple(dict.fromkeys(f"{name}@{place}" for name in locals_ for place in domains))


def under_any_spelling(
    addresses: Sequence[str], found: Mapping[str, tuple[T, ...]], spelling: Spelling
) -> dict[str, tuple[T, ...]]:
    """Return what was found for each address: under its own spelling, else under the first that has anything."""
    result = {}
    for address in addresses:
        hits = next((found[each] for each in spellings(address, spelling) if found.get(each)), ())
        if hits:
            result[address] = hits
    return result
