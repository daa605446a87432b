"""The promotion check (S24): one envelope, the rules and what we know → yes or no, and why. The first rule that hits wins.

Order: already tracked → never tracked (not mail, draft, private, discarded) → by hand (tracked folder, category) →
stopped threads → exclusions → the tracking option.
"""

from dataclasses import dataclass, replace
from datetime import datetime

from mailboxes.provider.port import Address, Envelope
from tracking.sync import identity, smart, token
from tracking.sync.facts import FolderRule, Known, KnownActivity, Option, Outcome, Reason, RecordRef, Rules

_CUSTOMERS = frozenset({"contact", "lead", "account"})
_RECORD_KINDS = {
    Option.RECORDS: _CUSTOMERS,
    Option.ENABLED: frozenset({"contact", "lead", "account", "opportunity", "case"}),
}


@dataclass(frozen=True, slots=True)
class Correlated:
    """The tracked message that this one belongs to, how it was found (`Correlation`), and what spoke for it."""

    activity: KnownActivity
    method: str
    facts: tuple[tuple[str, str | int], ...] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer for one message. `facts` are the parameters of the reason's sentence; a refusal has none, but for the stop
    that it is due to: it is counted and can be taken back.
    """

    outcome: Outcome
    reason: Reason
    facts: tuple[tuple[str, str | int], ...] = ()


def address_key(address: Address) -> str:
    """Return the address as it is compared: lower case, no white space around."""
    return address.email.strip().lower()


def recipients(envelope: Envelope) -> tuple[Address, ...]:
    """Return everybody the message went to, as far as its headers say."""
    return envelope.to + envelope.cc + envelope.bcc


_ANSWERS = {
    "reply_headers": Reason.REPLY_TO_TRACKED,
    "token": Reason.CARRIES_TOKEN,
    "conversation": Reason.SAME_CONVERSATION,
    "smart": Reason.LIKE_TRACKED,
}


def correlate(envelope: Envelope, known: Known, rules: Rules | None = None) -> Correlated | None:
    """Return the tracked message this one answers: by reply headers, then by token, by conversation id, by subject and
    people (design §4). Without `rules` only what the mail systems say counts.
    """
    for key in identity.parent_keys(envelope):
        if activity := known.activities.get(key):
            return Correlated(activity, "reply_headers")
    if activity := _named(envelope, known, rules):
        return Correlated(activity, "token")
    if activity := known.conversations.get(identity.conversation_key(envelope)):
        return Correlated(activity, "conversation")
    return _alike(envelope, known, rules)


def _named(envelope: Envelope, known: Known, rules: Rules | None) -> KnownActivity | None:
    """Return what a token of the message names, if it counts: both its sender and the mailbox have to be of that thread.

    Whoever gets hold of a token gets nobody's mail before other eyes with it, and none into a thread that is not theirs.
    """
    if rules is None or not known.tokens:
        return None
    sender = address_key(envelope.sender) if envelope.sender else ""
    own = identity.key_of_message_id(envelope.message_id)
    for text in token.carried(envelope, subject=True):
        vouched = known.tokens.get(text)
        if vouched and {sender, rules.mailbox_address} <= vouched.people and vouched.activity.message_key != own:
            return vouched.activity
    return None


def _alike(envelope: Envelope, known: Known, rules: Rules | None) -> Correlated | None:
    """Return the message that this one answers by what its subject and its people say."""
    if rules is None or rules.smart is None or not known.similar:
        return None
    similar = known.similar.get(smart.words(envelope.subject), ())
    answer = smart.match(
        envelope,
        [each.candidate for each in similar],
        mailbox=rules.mailbox_address,
        colleague=lambda address: colleague(address, rules=rules, known=known),
        limits=rules.smart,
    )
    for each in similar:
        if each.candidate is answer.candidate:
            facts = (("days", answer.days), ("people", answer.people), ("words", answer.words))
            return Correlated(each.activity, "smart", facts)
    return None


def existing(envelope: Envelope, *, rules: Rules, known: Known) -> KnownActivity | None:
    """Return the tracked message that this one seems to be a copy of."""
    keys = (identity.own_key(envelope, rules.mailbox_id), identity.message_key(envelope, rules.mailbox_id))
    return next((known.activities[key] for key in keys if key in known.activities), None)


def decide(
    envelope: Envelope,
    *,
    sent: bool,
    rules: Rules,
    known: Known,
    found: Correlated | None,
    folder: FolderRule | None = None,
) -> Verdict:
    """Return what is to become of the message; `sent` says that it lies in a folder of sent mail, `folder` is the rule
    in force there.
    """
    activity = existing(envelope, rules=rules, known=known)
    if activity is not None:
        duplicate = rules.mailbox_id in activity.mailboxes
        return Verdict(Outcome.UPDATED, Reason.DUPLICATE_IN_MAILBOX if duplicate else Reason.ALREADY_TRACKED)
    return promote(envelope, sent=sent, rules=rules, known=known, found=found, folder=folder)


def promote(
    envelope: Envelope,
    *,
    sent: bool,
    rules: Rules,
    known: Known,
    found: Correlated | None,
    folder: FolderRule | None = None,
) -> Verdict:
    """Return the answer for a message that is not tracked yet."""
    if never := _never(envelope):
        return Verdict(Outcome.REFUSED, never)
    if envelope.message_id in known.discarded:
        return Verdict(Outcome.DISCARDED, Reason.DISCARDED, known.discarded[envelope.message_id])
    if envelope.stamp.lower() in known.written:
        return Verdict(Outcome.TRACKED, Reason.WRITTEN_HERE)
    if by_hand := _by_hand(envelope, rules=rules, folder=folder):
        return Verdict(Outcome.TRACKED, by_hand)
    if folder is not None and folder.only:
        return Verdict(Outcome.REFUSED, Reason.BEFORE_FOLDER)
    return _by_itself(envelope, sent=sent, rules=rules, known=known, found=found)


def _by_itself(envelope: Envelope, *, sent: bool, rules: Rules, known: Known, found: Correlated | None) -> Verdict:
    """Return the answer for a message that its owner did not ask for."""
    if stop := _stop(envelope, rules=rules, known=known, found=found):
        return Verdict(Outcome.REFUSED, Reason.THREAD_STOPPED, (("stop", stop),))
    if refusal := _excluded(envelope, sent=sent, rules=rules, known=known):
        return Verdict(Outcome.REFUSED, refusal)
    verdict = _by_option(envelope, sent=sent, rules=rules, known=known, found=found)
    if verdict.outcome is Outcome.TRACKED and found is not None:
        return replace(verdict, facts=verdict.facts + found.facts)
    return verdict


def _never(envelope: Envelope) -> Reason | None:
    kind = envelope.item_class.upper()
    # A report on a message (REPORT.IPM.NOTE.NDR) and a meeting request are mail as well.
    if not kind.startswith(("IPM.NOTE", "IPM.SCHEDULE", "REPORT.", "IPM.POST", "IPM.OUTLOOK.RECALL", "IPM.RECALL")):
        return Reason.NOT_MAIL
    if envelope.is_draft:
        return Reason.DRAFT
    if envelope.sensitivity.lower() == "private":
        return Reason.PRIVATE
    return None


def speaks_for(folder: FolderRule | None, received_at: datetime | None) -> bool:
    """Tell whether a folder's rule is about a message received then; one without a time was received at some time."""
    if folder is None:
        return False
    return folder.valid_from is None or received_at is None or received_at >= folder.valid_from


def is_marked(envelope: Envelope, rules: Rules) -> bool:
    """Tell whether its owner gave the message the category for tracking."""
    return bool(rules.category) and rules.category in {each.lower() for each in envelope.categories}


def _by_hand(envelope: Envelope, *, rules: Rules, folder: FolderRule | None) -> Reason | None:
    """Return how its owner asked for the message, which overrides exclusions and option (design §4)."""
    if speaks_for(folder, envelope.received_at):
        return Reason.TRACKED_FOLDER
    return Reason.MARKED if is_marked(envelope, rules) else None


def thread_keys(envelope: Envelope, mailbox_id: int, found: Correlated | None) -> tuple[str, ...]:
    """Return every key by which the message can meet its thread, the nearest first: its own, those of the messages it
    answers, of the one it was found to belong to, its conversation's.
    """
    keys = (
        identity.message_key(envelope, mailbox_id),
        *identity.parent_keys(envelope),
        (found.activity.thread_key or found.activity.message_key) if found else "",
        identity.conversation_key(envelope),
    )
    return tuple(dict.fromkeys(key for key in keys if key))


def _stop(envelope: Envelope, *, rules: Rules, known: Known, found: Correlated | None) -> int | None:
    """Return the stop of the thread that the message would join: that of its nearest key that has one."""
    keys = thread_keys(envelope, rules.mailbox_id, found)
    return next((known.stopped[key] for key in keys if key in known.stopped), None)


def _excluded(envelope: Envelope, *, sent: bool, rules: Rules, known: Known) -> Reason | None:
    if not sent and envelope.sender and on_list(address_key(envelope.sender), rules.blocked):
        return Reason.BLOCKED
    if rules.exclude_automated and automated(envelope):
        return Reason.AUTOMATED
    if rules.exclude_internal and _internal(envelope, rules=rules, known=known):
        return Reason.INTERNAL
    return None


def on_list(address: str, entries: frozenset[str]) -> bool:
    """Tell whether the address, its domain, or a domain above that one is listed."""
    if not address:
        return False
    if address in entries:
        return True
    labels = address.rpartition("@")[2].split(".")
    return any(".".join(labels[start:]) in entries for start in range(len(labels)))


def automated(envelope: Envelope) -> bool:
    """Tell whether a program sent the message, or reports on one."""
    # RFC 3834 §5: any value but "no" says that no person wrote it. Delivery reports are automated by their class.
    value = envelope.auto_submitted.partition(";")[0].strip()
    return value not in ("", "no") or envelope.item_class.upper().startswith("REPORT.")


def _internal(envelope: Envelope, *, rules: Rules, known: Known) -> bool:
    """Tell whether everybody concerned is a colleague. A message whose sender is not named is not taken for one."""
    if envelope.sender is None:
        return False
    people = {address_key(envelope.sender), *(address_key(person) for person in recipients(envelope))}
    return all(colleague(person, rules=rules, known=known) for person in people)


def colleague(address: str, *, rules: Rules, known: Known) -> bool:
    """Tell whether a (lower-case) address is the organisation's own."""
    return address == rules.mailbox_address or address in known.internal or on_list(address, rules.internal_domains)


def candidates(address: str, *, rules: Rules, known: Known) -> tuple[RecordRef, ...]:
    """Return the records that a (lower-case) address may stand for: what its owner chose, or all that have it.

    A colleague is no customer: the organisation's own addresses match no contact, lead or account, whatever a record says.
    A choice counts while its record is still one of them.
    """
    found = known.records.get(address, ())
    if colleague(address, rules=rules, known=known):
        found = tuple(record for record in found if record.kind not in _CUSTOMERS)
    if address in known.choices:
        chosen = known.choices[address]
        if chosen is None:
            return ()
        if chosen in found:
            return (chosen,)
    return found


def _by_option(envelope: Envelope, *, sent: bool, rules: Rules, known: Known, found: Correlated | None) -> Verdict:
    match rules.option:
        case Option.NONE:
            return Verdict(Outcome.REFUSED, Reason.TRACKING_OFF)
        case Option.ALL:
            return Verdict(Outcome.TRACKED, Reason.ALL_MAIL)
        case Option.REPLIES:
            if found is None:
                return Verdict(Outcome.REFUSED, Reason.NOT_A_REPLY)
            return Verdict(Outcome.TRACKED, _ANSWERS[found.method])
        case Option.RECORDS | Option.ENABLED:
            record = _record_on_other_side(envelope, sent=sent, rules=rules, known=known)
            if record is None:
                return Verdict(Outcome.REFUSED, Reason.NO_RECORD)
            facts: tuple[tuple[str, str | int], ...] = (("kind", record.kind), ("record", record.id))
            return Verdict(Outcome.TRACKED, Reason.TO_RECORD if sent else Reason.FROM_RECORD, facts)


def _record_on_other_side(envelope: Envelope, *, sent: bool, rules: Rules, known: Known) -> RecordRef | None:
    """Return the record the mail comes from; of sent mail, the first it goes to."""
    others = recipients(envelope) if sent else ((envelope.sender,) if envelope.sender else ())
    kinds = _RECORD_KINDS[rules.option]
    for person in others:
        for record in candidates(address_key(person), rules=rules, known=known):
            if record.kind in kinds:
                return record
    return None
