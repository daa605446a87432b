"""Tracking by category as pure rules: which names ask for an item, which keep it, and what is written back on a message.

The only thing ever written on received mail is one category, which says that its owner's wish could not be met (design §4).
"""

from collections.abc import Iterable
from dataclasses import dataclass

from mailboxes.provider.port import Envelope
from tracking.sync.facts import Outcome, Reason
from tracking.sync.plan import Action, Fail, Refuse

# Never tracked, whatever its owner asks: worth telling them on the message itself. A draft is still being written.
_NEVER = frozenset({Reason.PRIVATE, Reason.NOT_MAIL})


@dataclass(frozen=True, slots=True)
class Names:
    """What the category is called, and was called before; `untrackable` is the one for what could not be tracked."""

    current: str
    former: tuple[str, ...] = ()
    untrackable: str = ""

    def asks(self, categories: Iterable[str]) -> bool:
        """Tell whether categories ask for an item to be tracked."""
        return self.current.lower() in _lower(categories)

    def keeps(self, categories: Iterable[str]) -> bool:
        """Tell whether categories keep an item tracked that is: a former name does, until its owner takes it off."""
        return not _lower([self.current, *self.former]).isdisjoint(_lower(categories))

    def unknown(self, categories: Iterable[str]) -> bool:
        """Tell whether there are names that are none of these: one may be what the category is called by now."""
        return bool(_lower(categories) - _lower([self.current, self.untrackable, *self.former]))


def corrected(envelope: Envelope, action: Action, names: Names, *, gone: str) -> tuple[str, ...] | None:
    """Return the categories that a message should carry instead of those it has; None: it is fine as it is.

    The untrackable category goes on what its owner marked and what was set aside or can never be tracked, and comes off
    everything else. `gone` is the code of a failure that says that the item is not there.
    """
    if envelope.is_draft or (isinstance(action, Fail) and action.code == gone):
        return None
    failed = isinstance(action, Fail) or (
        isinstance(action, Refuse) and (action.reason in _NEVER or action.outcome is Outcome.DISCARDED)
    )
    wanted = failed and names.asks(envelope.categories)
    has = names.untrackable.lower() in _lower(envelope.categories)
    if not names.untrackable or wanted == has:
        return None
    if wanted:
        return (*envelope.categories, names.untrackable)
    return tuple(each for each in envelope.categories if each.lower() != names.untrackable.lower())


def _lower(names: Iterable[str]) -> frozenset[str]:
    return frozenset(each.lower() for each in names)
