"""What two policies say of the same items, compared. Pure.

The one idea: a dry run asks the engine's own questions twice, once by what is in force and once by what is proposed; what
differs is the effect of the change, and nothing else is. What would happen anyway is not announced as its effect.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

MAIL: Final = "mail"


class Effect(StrEnum):
    """What the change comes to for one item."""

    ADD = "add"
    DROP = "drop"
    REASON = "reason"
    KEPT_OUT = "kept_out"
    KEPT_IN = "kept_in"
    CREATE = "create"
    AGAIN = "again"
    NOT_MADE = "not_made"
    UNLINK = "unlink"
    STAYS = "stays"
    TO_EXCHANGE = "to_exchange"
    TO_CRM = "to_crm"
    NOT_WRITTEN = "not_written"
    SAME = "same"
    UNCLEAR = "unclear"


class Fate(StrEnum):
    """What the next look at everything would do with a record in one mailbox."""

    LEFT = "left"
    LINKED = "linked"
    CREATE = "create"
    AGAIN = "again"
    UNLINK = "unlink"


@dataclass(frozen=True, slots=True)
class Answer:
    """What becomes of a message: kept or not, and by which reason. None of both: nobody can say without reading it."""

    kept: bool | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Item:
    """One item that the change concerns. `ref`: a decision of mail, a record of the other kinds. `fields`: which flow."""

    mailbox: int
    kind: str
    effect: Effect
    ref: int
    before: str = ""
    after: str = ""
    fields: tuple[str, ...] = ()


@dataclass(slots=True)
class Outcomes:
    """Items that the change concerns, and how many of each there are, by mailbox, kind, effect and reasons.

    `most` items of each kind and effect are kept, None: all; the counts are whole.
    """

    most: int | None = None
    items: list[Item] = field(default_factory=list)
    counts: Counter[tuple[int, str, Effect, str, str]] = field(default_factory=Counter)
    _of_effect: Counter[tuple[str, Effect]] = field(default_factory=Counter)

    def add(self, items: Iterable[Item]) -> None:
        """Count the items, and keep those that are more than a number."""
        for item in items:
            self.counts[item.mailbox, item.kind, item.effect, item.before, item.after] += 1
            self._of_effect[item.kind, item.effect] += 1
            fits = self.most is None or self._of_effect[item.kind, item.effect] <= self.most
            if fits and item.effect is not Effect.SAME:
                self.items.append(item)

    def of(self, *effects: Effect, kind: str = "") -> list[Item]:
        """Return the items of these effects."""
        return [item for item in self.items if item.effect in effects and kind in ("", item.kind)]

    def as_json(self) -> dict[str, Any]:
        """Return counts and items: ids and reasons, no content."""
        rows = [
            [item.mailbox, item.kind, item.effect.value, item.ref, item.before, item.after, list(item.fields)]
            for item in self.items
        ]
        counts = [[*key[:2], key[2].value, *key[3:], number] for key, number in sorted(self.counts.items())]
        return {"counts": counts, "items": rows}


def of_mail(mailbox: int, before: Mapping[int, Answer], after: Mapping[int, Answer], *, is_kept: bool) -> list[Item]:
    """Return what changes for each message, by decision. `is_kept`: these are tracked now, else refused.

    What is in force may say otherwise than when a message was decided on. A message that is refused does not go, and one
    that is tracked does not come, whatever the two policies say.
    """
    seeming = {Effect.ADD: Effect.KEPT_IN} if is_kept else {Effect.DROP: Effect.KEPT_OUT}
    found = []
    for ref, answer in after.items():
        effect = _of_answers(before[ref], answer)
        found.append(Item(mailbox, MAIL, seeming.get(effect, effect), ref, before[ref].reason, answer.reason))
    return found


def _of_answers(before: Answer, after: Answer) -> Effect:
    match before.kept, after.kept:
        case (None, _) | (_, None):
            return Effect.UNCLEAR
        case False, True:
            return Effect.ADD
        case True, False:
            return Effect.DROP
    return Effect.SAME if before.reason == after.reason else Effect.REASON


def of_records(mailbox: int, kind: str, before: Mapping[int, Fate], after: Mapping[int, Fate]) -> list[Item]:
    """Return what changes for each record of a kind; a record without a fate is left alone."""
    return [
        Item(mailbox, kind, _of_fates(before.get(ref, Fate.LEFT), after.get(ref, Fate.LEFT)), ref)
        for ref in sorted({*before, *after})
    ]


def _of_fates(before: Fate, after: Fate) -> Effect:
    if before is after:
        return Effect.SAME
    match after:
        case Fate.CREATE:
            return Effect.CREATE
        case Fate.AGAIN:
            return Effect.AGAIN
        case Fate.UNLINK:
            return Effect.UNLINK
    # What would have been made is not; what would have been ended stays.
    return Effect.NOT_MADE if before in (Fate.CREATE, Fate.AGAIN) else Effect.STAYS


@dataclass(frozen=True, slots=True)
class Moves:
    """The fields that comparing one pair would write, by side."""

    to_exchange: frozenset[str] = frozenset()
    to_crm: frozenset[str] = frozenset()


def of_pair(mailbox: int, kind: str, record: int, before: Moves, after: Moves) -> list[Item]:
    """Return what changes for one linked pair."""
    found = (
        (Effect.TO_EXCHANGE, after.to_exchange - before.to_exchange),
        (Effect.TO_CRM, after.to_crm - before.to_crm),
        (
            Effect.NOT_WRITTEN,
            (before.to_exchange | before.to_crm) - (after.to_exchange | after.to_crm),
        ),
    )
    return [Item(mailbox, kind, effect, record, fields=tuple(sorted(fields))) for effect, fields in found if fields]
