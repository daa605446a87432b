"""Drafts: begun, saved, published, thrown away, taken back. All under the lock of what they are about.

Nothing that was published meanwhile is overwritten unseen: a draft knows what was in force when it was begun, and cannot
come into force over anything else until its maker has looked at the difference and taken it over.
"""

from collections.abc import Sequence
from datetime import datetime

from django.db import OperationalError, transaction
from django.db.models import F
from psycopg.errors import DeadlockDetected

from mailboxes import intents
from mailboxes.models import Mailbox, SyncProfile
from mailboxes.provider.entries import EntryKind
from tracking.models import PolicyChange, PolicyDraft, SyncFilter
from tracking.policy.document import (
    OF_ENTRIES,
    SCHEDULE,
    Document,
    Problem,
    Subject,
    chosen_directions,
    completed,
    files_direction,
    in_force,
    problems,
    write,
)
from tracking.policy.examples import Failing, failing

# Mailboxes are written by workers as well, in an order of their own: PostgreSQL ends one of two that wait for each other.
_DEADLOCK_ATTEMPTS = 3


class Outdated(Exception):
    """Somebody else saved the draft meanwhile; what was sent was not stored."""


class Overtaken(Exception):
    """Something else came into force since the draft was begun."""


class NotPublishable(Exception):
    """The draft says something that cannot be, or an example fails."""

    def __init__(self, wrong: Sequence[Problem], examples: Sequence[Failing]) -> None:
        super().__init__(f"{len(wrong)} problems, {len(examples)} failing examples")
        self.problems, self.examples = wrong, examples


class NothingChanged(Exception):
    """The draft says what is in force already."""


def subject_of(row: PolicyDraft | PolicyChange) -> Subject:
    """Return what a draft or a change is about."""
    subject = row.sync_profile or row.mailbox
    if subject is None:
        raise ValueError("a draft is about a sync profile or a mailbox; the database holds it to that")
    return subject


def begin(
    subject: Subject, *, by: str, now: datetime, base: Document | None = None, proposed: Document | None = None
) -> PolicyDraft:
    """Make a draft of what is in force, or of `proposed`. `base`: what was in force when that was thought of."""
    base = base or in_force(subject)
    return PolicyDraft.objects.create(
        **_whose(subject), base=base, proposed=base if proposed is None else completed(proposed, base), made_by=by,
        made_at=now, changed_by=by, changed_at=now,
    )  # fmt: skip


def _whose(subject: Subject) -> dict[str, Subject]:
    return {"mailbox": subject} if isinstance(subject, Mailbox) else {"sync_profile": subject}


def save(draft: PolicyDraft, proposed: Document, *, revision: int, by: str, now: datetime) -> None:
    """Store what is proposed now; raises `Outdated` when the draft is not as of `revision` any more, or gone."""
    as_known = PolicyDraft.objects.filter(pk=draft.pk, revision=revision)
    if not as_known.update(proposed=proposed, revision=F("revision") + 1, changed_by=by, changed_at=now):
        raise Outdated
    draft.refresh_from_db()


def is_overtaken(draft: PolicyDraft) -> bool:
    """Tell whether something else has come into force since the draft was begun."""
    present = in_force(subject_of(draft))
    return completed(draft.base, present) != present


def take_over(draft: PolicyDraft, *, revision: int, by: str, now: datetime) -> None:
    """Note that its maker has seen what is in force now: what the draft says is then a change of that. Raises `Outdated`."""
    base = in_force(subject_of(draft))
    seen = PolicyDraft.objects.filter(pk=draft.pk, revision=revision)
    if not seen.update(base=base, revision=F("revision") + 1, changed_by=by, changed_at=now):
        raise Outdated
    draft.refresh_from_db()


def publish(draft: PolicyDraft, *, revision: int, by: str, now: datetime) -> PolicyChange:
    """Bring a draft into force, in one transaction, with its row of history; the draft is gone then.

    Raises `Outdated`, `Overtaken`, `NotPublishable`, `NothingChanged`; then nothing is changed.
    """
    for attempt in range(1, _DEADLOCK_ATTEMPTS + 1):
        try:
            return _published(draft, revision=revision, by=by, now=now)
        except OperationalError as error:
            if not isinstance(error.__cause__, DeadlockDetected) or attempt == _DEADLOCK_ATTEMPTS:
                raise
    raise AssertionError("the loop returns or raises")


def _published(draft: PolicyDraft, *, revision: int, by: str, now: datetime) -> PolicyChange:
    with transaction.atomic():
        subject = _locked(subject_of(draft))
        row = PolicyDraft.objects.select_for_update().filter(pk=draft.pk, revision=revision).first()
        if row is None:
            raise Outdated
        before = in_force(subject)
        base, proposed = completed(row.base, before), completed(row.proposed, before)
        if base != before:
            raise Overtaken
        if proposed == before:
            raise NothingChanged
        wrong, examples = problems(subject, proposed), failing(subject, proposed, now)
        if wrong or examples:
            raise NotPublishable(wrong, examples)
        write(subject, proposed)
        after = in_force(subject)
        _have_looked_at(subject, before, after, now)
        row.delete()
        return PolicyChange.objects.create(
            **_whose(subject), before=before, after=after, published_by=by, published_at=now
        )


def _locked(subject: Subject) -> Subject:
    if isinstance(subject, Mailbox):
        return Mailbox.objects.select_for_update().get(pk=subject.pk)
    return SyncProfile.objects.select_for_update().get(pk=subject.pk)


def _have_looked_at(subject: Subject, before: Document, after: Document, now: datetime) -> None:
    """Have everything looked at that the change may concern, with the next run; mail is not decided on again by it."""
    if isinstance(subject, Mailbox):
        intents.want_full_pass(Mailbox.objects.filter(pk=subject.pk), now)
        return
    # Pairs are compared anew by themselves once what may flow is different (`LinkState.rules`).
    turned = any(chosen_directions(before, kind) != chosen_directions(after, kind) for kind in EntryKind)
    turned |= files_direction(before) is not files_direction(after)
    if turned or _of_system(before) != _of_system(after):
        # Not due at once: all mailboxes of a large profile would be, and each is within its usual interval.
        intents.want_full_pass(Mailbox.objects.filter(sync_profile=subject), now, at_once=False)


def _of_system(document: Document) -> dict[str, object]:
    return {
        key: {name: value for name, value in each.items() if name not in ("name", "examples")}
        for key, each in document["filters"].items()
        if each["scope"] == SyncFilter.Scope.SYSTEM
    }


def changes_mail(before: Document, after: Document) -> bool:
    """Tell whether the answer for any message may be another one."""
    old, new = before.get("settings", {}), after.get("settings", {})
    return any(old.get(name) != value for name, value in new.items() if name not in SCHEDULE | OF_ENTRIES)


def discard(draft: PolicyDraft) -> None:
    """Throw a draft away."""
    PolicyDraft.objects.filter(pk=draft.pk).delete()


def revert(change: PolicyChange, *, by: str, now: datetime) -> PolicyDraft:
    """Return a draft that brings back what was in force before `change`: to be looked at and published like any other."""
    return begin(subject_of(change), by=by, now=now, proposed=change.before)
