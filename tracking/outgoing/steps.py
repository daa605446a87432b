"""Which step comes next for one mail. Pure: what was asked so far, and what the mail server shows → the next thing to do.

The idea: nothing is ever made or sent a second time on a guess. A mail that may have been made is looked for by its stamp
first; one that was made and cannot be found any more is for a person to judge.
"""

from dataclasses import dataclass
from enum import StrEnum

from mailboxes.provider.writing import FoundMessage

# Codes of the catalogue.
DRAFT_CHANGED = "draft_changed"
MAIL_LOST = "mail_lost"


@dataclass(frozen=True, slots=True)
class Asked:
    """What the row says was asked of the mail server. `item_id` is empty until it has answered that a draft was made.

    `as_it_is`: a person wants the draft sent although somebody has changed it in the mailbox.
    """

    make: bool = False
    item_id: str = ""
    change_key: str = ""
    as_it_is: bool = False


class Step(StrEnum):
    """What to do next at the mail server; `SENT`: nothing, it has left."""

    LOOK = "look"
    MAKE = "make"
    SENT = "sent"


@dataclass(frozen=True, slots=True)
class Send:
    """Send this draft."""

    draft: FoundMessage


@dataclass(frozen=True, slots=True)
class Stop:
    """Nothing more is done until a person has decided. `lost`: whether it was sent is not known."""

    code: str
    lost: bool = False


@dataclass(frozen=True, slots=True)
class Seen:
    """What the mail server shows of the stamp; `message` None: nothing."""

    message: FoundMessage | None


def choose(asked: Asked, seen: Seen | None) -> Step | Send | Stop:
    """Return the next step; `seen` is None as long as nobody has looked."""
    if seen is None:
        return Step.LOOK if asked.make else Step.MAKE
    if seen.message is None:
        # A draft that nobody has confirmed may never have been made, and none that we know of was sent: it can be made.
        return Stop(MAIL_LOST, lost=True) if asked.item_id else Step.MAKE
    if seen.message.sent:
        return Step.SENT
    ours = (asked.item_id, asked.change_key)
    if asked.item_id and not asked.as_it_is and (seen.message.item_id, seen.message.change_key) != ours:
        # Changed, or thrown away, by somebody who may still be writing.
        return Stop(DRAFT_CHANGED)
    return Send(seen.message)
