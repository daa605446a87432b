"""One page of changes → a Plan: frozen actions, complete before anything is written.

Two steps, because the second needs what the first asks for: `sort_changes` says which items must be read at all,
`plan_page` decides on their envelopes. Bodies are read only for the plan's `Track` actions.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Final, Literal

from mailboxes.provider.errors import ItemUnreadable
from mailboxes.provider.port import Address, Change, ChangeKind, Envelope
from tracking.sync import identity
from tracking.sync.alike import Alike
from tracking.sync.decide import (
    Correlated,
    Verdict,
    address_key,
    candidates,
    colleague,
    correlate,
    decide,
    existing,
    promote,
    speaks_for,
)
from tracking.sync.facts import FolderRule, Known, KnownActivity, KnownItem, Outcome, Reason, RecordRef, Rules
from tracking.sync.strangers import stranger

_READ: Final = "read"
_EARLIEST = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Person:
    """One address of a message and the record it belongs to; several candidates are an ambiguity, not a guess."""

    role: str
    email: str
    name: str
    record: RecordRef | None = None
    ambiguous: bool = False
    # Its owner's choice for the address had its say.
    chosen: bool = False


@dataclass(frozen=True, slots=True)
class Track:
    """Keep a copy: read the content, store one activity."""

    envelope: Envelope
    message_key: str
    reason: Reason
    facts: tuple[tuple[str, str | int], ...]
    people: tuple[Person, ...]
    found: Correlated | None
    outgoing: bool
    # The rule of its folder, if that speaks for it: what the message becomes about is then the rule's to say.
    folder: FolderRule | None = None
    # Its sender, if no record knows them and the policy wants to hear of it.
    stranger: Address | None = None

    @property
    def regarding(self) -> RecordRef | None:
        """Return what the message becomes about: what its folder's rule says, else what it answers is about."""
        if self.folder is not None and self.folder.regarding is not None:
            return self.folder.regarding
        return self.found.activity.regarding if self.found else None


@dataclass(frozen=True, slots=True)
class Link:
    """The message is tracked already: note that this item is a copy of it.

    `otherwise`: what becomes of it should its content show that it is another message under the same Message-ID
    (`tracking.engine.copies`). None: the mailbox is known to be concerned with the message.
    """

    envelope: Envelope
    message_key: str
    reason: Reason
    otherwise: "Track | Refuse | None" = None


@dataclass(frozen=True, slots=True)
class Refuse:
    """Keep nothing but the decision. Carries no envelope on purpose: what is not here cannot be stored.

    `outcome` is refused, or discarded where a person did that to the same message before it moved (`facts`: theirs).
    """

    item_id: str
    change_key: str
    message_id: str
    reason: Reason
    outcome: Outcome = Outcome.REFUSED
    facts: tuple[tuple[str, str | int], ...] = ()


@dataclass(frozen=True, slots=True)
class Keep:
    """An appointment, contact or task that is linked to a record (`tracking.linked`): only the decision is noted here."""

    item_id: str
    change_key: str
    outcome: Outcome
    reason: Reason


@dataclass(frozen=True, slots=True)
class Fail:
    """The item could not be read or stored. `message_id` is empty when not even its envelope could be read."""

    item_id: str
    change_key: str
    reason: Reason
    code: str
    detail: str = ""
    message_id: str = ""


@dataclass(frozen=True, slots=True)
class Touch:
    """A known item changed in a way that does not matter: remember its new change key.

    `arrived`: it came into this folder with its id, where the folder's rule may have a word on what it is about.
    """

    item_id: str
    change_key: str
    arrived: bool = False


@dataclass(frozen=True, slots=True)
class Remove:
    """A known item left the folder. A soft mark: a move looks like this, too."""

    item_id: str


Action = Track | Link | Refuse | Keep | Fail | Touch | Remove


@dataclass(frozen=True, slots=True)
class Sorted:
    """What a page asks for: items whose envelope must be read, and actions that need nothing read.

    `arrived` counts items never seen before: the schedule's measure of activity. `listed`: every item named as present.
    """

    read: tuple[str, ...]
    actions: tuple[Touch | Remove, ...]
    arrived: int
    listed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that a page leads to."""

    actions: tuple[Action, ...] = ()

    def of(self, *kinds: type) -> list[Action]:
        """Return the actions of these kinds, in order."""
        return [action for action in self.actions if isinstance(action, kinds)]


def sort_changes(changes: Sequence[Change], items: Mapping[str, KnownItem]) -> Sorted:
    """Say what must be read. The last change of an item counts: a page may name one several times."""
    read: list[str] = []
    actions: list[Touch | Remove] = []
    listed: list[str] = []
    arrived = 0
    for change in last_of_each(changes):
        item = items.get(change.item_id)
        if change.kind is not ChangeKind.REMOVED:
            listed.append(change.item_id)
            arrived += item is None
        answer = _answer(change, item)
        if answer == _READ:
            read.append(change.item_id)
        elif answer is not None:
            actions.append(answer)
    return Sorted(tuple(read), tuple(actions), arrived, tuple(listed))


def last_of_each(changes: Sequence[Change]) -> list[Change]:
    """Return the last change of each item, in the order of these: a page may name one several times."""
    last: dict[str, Change] = {}
    for change in changes:
        # Taken out first, so that the order is that of each item's last change.
        last.pop(change.item_id, None)
        last[change.item_id] = change
    return list(last.values())


def _answer(change: Change, item: KnownItem | None) -> Touch | Remove | Literal["read"] | None:
    """Return what one change asks for; None: nothing. One branch per row of the table in docs/sync.md."""
    if change.kind is ChangeKind.REMOVED:
        # Of an item that is known in another folder, this one has nothing to say: it moved and kept its id.
        return Remove(change.item_id) if item is not None and item.here else None
    if item is None:
        return _READ
    if item.here and change.change_key and change.change_key == item.change_key:
        return None
    if item.outcome in (Outcome.TRACKED, Outcome.UPDATED, Outcome.DISCARDED):
        # The copy is immutable: a category, a flag, a move back change nothing in it. What a person discarded stays so
        # until a person takes it back.
        return Touch(change.item_id, change.change_key, arrived=not item.here)
    # Refused or quarantined: a change may change the answer; being read does not.
    if change.kind is ChangeKind.READ_FLAG and item.here:
        return Touch(change.item_id, change.change_key)
    return _READ


def plan_page(
    envelopes: Sequence[tuple[str, Envelope | ItemUnreadable]],
    *,
    sent: bool,
    rules: Rules,
    known: Known,
    folder: FolderRule | None = None,
) -> Plan:
    """Decide on every envelope, oldest first, so that a reply finds what it answers on the same page.

    `folder` is the rule in force in the folder that the page is of.
    """
    actions: list[Action] = []
    readable: list[Envelope] = []
    for item_id, answer in envelopes:
        if isinstance(answer, Envelope):
            readable.append(answer)
        else:
            actions.append(Fail(item_id, "", Reason.UNREADABLE, answer.code, answer.detail))
    readable.sort(key=lambda envelope: (envelope.received_at or _EARLIEST, envelope.item_id))
    activities = dict(known.activities)
    conversations = dict(known.conversations)
    stopped = dict(known.stopped)
    alike = Alike(known)
    growing = replace(
        known,
        activities=MappingProxyType(activities),
        conversations=MappingProxyType(conversations),
        similar=alike.known,
        stopped=MappingProxyType(stopped),
    )
    for envelope in readable:
        action = _plan_one(envelope, sent=sent, rules=rules, known=growing, folder=folder)
        actions.append(action)
        if isinstance(action, Refuse) and action.reason is Reason.THREAD_STOPPED:
            stopped.setdefault(identity.message_key(envelope, rules.mailbox_id), int(dict(action.facts)["stop"]))
        if isinstance(action, Track):
            tracked = KnownActivity(
                action.message_key,
                regarding=action.regarding,
                mailboxes=frozenset({rules.mailbox_id}),
                concerned=True,
            )
            activities[action.message_key] = tracked
            if key := identity.conversation_key(envelope):
                conversations[key] = tracked
            if rules.smart is not None:
                alike.add(envelope, tracked, action.found.activity.message_key if action.found else "")
    return Plan(tuple(actions))


def _plan_one(
    envelope: Envelope, *, sent: bool, rules: Rules, known: Known, folder: FolderRule | None = None
) -> Action:
    found = correlate(envelope, known, rules)
    verdict = decide(envelope, sent=sent, rules=rules, known=known, found=found, folder=folder)
    activity = existing(envelope, rules=rules, known=known)
    if activity is None:
        key = identity.message_key(envelope, rules.mailbox_id)
        return _promoted(envelope, verdict, key, sent=sent, rules=rules, known=known, found=found, folder=folder)
    if activity.concerned:
        return Link(envelope, activity.message_key, verdict.reason)
    alone = promote(envelope, sent=sent, rules=rules, known=known, found=found, folder=folder)
    own = identity.own_key(envelope, rules.mailbox_id)
    otherwise = _promoted(envelope, alone, own, sent=sent, rules=rules, known=known, found=found, folder=folder)
    return Link(envelope, activity.message_key, verdict.reason, otherwise)


def _promoted(
    envelope: Envelope,
    verdict: Verdict,
    key: str,
    *,
    sent: bool,
    rules: Rules,
    known: Known,
    found: Correlated | None,
    folder: FolderRule | None = None,
) -> Track | Refuse:
    if verdict.outcome is Outcome.REFUSED:
        return Refuse(envelope.item_id, envelope.change_key, envelope.message_id, verdict.reason, facts=verdict.facts)
    if verdict.outcome is Outcome.DISCARDED:
        return Refuse(
            envelope.item_id, envelope.change_key, envelope.message_id, verdict.reason, verdict.outcome, verdict.facts
        )
    outgoing = sent or (
        envelope.sender is not None and colleague(address_key(envelope.sender), rules=rules, known=known)
    )
    speaking = folder if speaks_for(folder, envelope.received_at) else None
    return Track(
        envelope,
        key,
        verdict.reason,
        verdict.facts,
        _people(envelope, rules=rules, known=known),
        found,
        outgoing,
        speaking,
        stranger(envelope, sent=sent, rules=rules, known=known),
    )


def _people(envelope: Envelope, *, rules: Rules, known: Known) -> tuple[Person, ...]:
    listed = [
        *([("from", envelope.sender)] if envelope.sender else []),
        *(("to", person) for person in envelope.to),
        *(("cc", person) for person in envelope.cc),
        *(("bcc", person) for person in envelope.bcc),
    ]
    people: dict[tuple[str, str], Person] = {}
    for role, address in listed:
        key = address_key(address)
        fitting = candidates(key, rules=rules, known=known)
        people.setdefault(
            (role, key),
            Person(
                role,
                address.email,
                address.name,
                fitting[0] if len(fitting) == 1 else None,
                ambiguous=len(fitting) > 1,
                chosen=_had_its_say(key, fitting, known),
            ),
        )
    return tuple(people.values())


def _had_its_say(address: str, fitting: tuple[RecordRef, ...], known: Known) -> bool:
    """Tell whether what fits is so by its owner's choice; one for a record that has the address no more says nothing."""
    if address not in known.choices:
        return False
    choice = known.choices[address]
    return fitting == (() if choice is None else (choice,))
