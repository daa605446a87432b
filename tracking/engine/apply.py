"""Storing one page: rows, a decision per item, failures, counts, and the cursor last, in one transaction (design §1).

A crash anywhere leaves the cursor where it was and the page is done again; unique keys and the locks on message keys
make that harmless. The run row is locked first: a run whose lease is gone stores nothing.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TypeVar

from django.conf import settings
from django.db import DatabaseError, OperationalError, connection, transaction
from django.db.models import F
from django.db.models.functions import Greatest
from psycopg.errors import DeadlockDetected

from mailboxes.models import Folder, Mailbox, Run
from mailboxes.provider.port import Envelope
from tracking.arrange import unknown_senders
from tracking.engine import activities, copies
from tracking.engine.activities import thread_keys
from tracking.engine.failures import GONE, record, resolve
from tracking.engine.fetched import Fetched
from tracking.engine.folder_rules import regard
from tracking.engine.locks import lock_keys
from tracking.models import Activity, Holder, ItemDecision
from tracking.sync import identity
from tracking.sync.facts import FolderRule, Outcome, Reason
from tracking.sync.plan import Action, Fail, Keep, Link, Refuse, Remove, Touch, Track

# Two workers that wait for each other's rows: PostgreSQL ends one of them, which then simply does its page again.
_DEADLOCK_ATTEMPTS = 3
# The counts of a folder, by outcome.
_COLUMNS = ("tracked", "refused", "quarantined", "discarded")
# One statement: an update waits for whoever else has the row, and then looks again whether it is still unfinished. Written
# out, since it begins every transaction.
_KEEP_LEASE = "UPDATE mailboxes_run SET heartbeat_at = GREATEST(heartbeat_at, %s) WHERE id = %s AND finished_at IS NULL"
_Row = TypeVar("_Row", ItemDecision, Holder)


class LeaseLost(Exception):
    """The run was ended by somebody else (stale heartbeat): whoever works on it must stop and store nothing."""


@dataclass(frozen=True, slots=True)
class Page:
    """What is to be stored. `cursor` None: these items are retried ones and the folder's cursor stays.
    `listed` names every item that the page of changes named and that was not a removal."""

    folder: Folder
    actions: Sequence[Action]
    fetched: Mapping[str, Fetched]
    cursor: str | None = None
    more: bool = False
    listed: Sequence[str] = ()
    # In force in the folder: it says what mail that came into it is about.
    rule: FolderRule | None = None
    # Called with what the page came to, in its transaction: what must not be counted without it, or twice.
    then: Callable[["Stored"], object] | None = None


@dataclass(slots=True)
class Stored:
    """What one page came to: decisions by outcome, refusals by reason."""

    outcomes: Counter[Outcome] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)


def store(page: Page, *, run: Run, mailbox: Mailbox, now: datetime) -> Stored:
    """Store the page and return its counts; raises `LeaseLost`, or OperationalError when the database is gone.

    When the page as a whole cannot be stored, each action is tried alone and those that cannot be become failures.
    """
    for attempt in range(1, _DEADLOCK_ATTEMPTS + 1):
        try:
            return _store(page, run=run, mailbox=mailbox, now=now)
        except OperationalError as error:
            if not isinstance(error.__cause__, DeadlockDetected) or attempt == _DEADLOCK_ATTEMPTS:
                raise
    raise AssertionError("the loop returns or raises")


def _store(page: Page, *, run: Run, mailbox: Mailbox, now: datetime) -> Stored:
    try:
        with transaction.atomic():
            return _Writer(page, run=run, mailbox=mailbox, now=now).write(page.actions)
    except OperationalError:
        raise
    except (DatabaseError, ValueError):
        with transaction.atomic():
            return _Writer(page, run=run, mailbox=mailbox, now=now).write(
                _storable(page, run=run, mailbox=mailbox, now=now)
            )


def _storable(page: Page, *, run: Run, mailbox: Mailbox, now: datetime) -> list[Action]:
    """Return the actions with those replaced by failures that the database refuses on their own."""
    result: list[Action] = []
    for action in page.actions:
        try:
            # Rolled back in any case: this only asks whether the database takes it.
            with transaction.atomic():
                _Writer(page, run=run, mailbox=mailbox, now=now).write([action])
                transaction.set_rollback(True)
            result.append(action)
        except OperationalError:
            raise
        except (DatabaseError, ValueError) as error:
            result.append(_unstorable(action, type(error).__name__))
    return result


def _unstorable(action: Action, detail: str) -> Fail:
    if isinstance(action, Track | Link):
        key, message_id = action.envelope.change_key, action.envelope.message_id
    else:
        key, message_id = "", action.message_id if isinstance(action, Refuse | Fail) else ""
    return Fail(_item_id(action), key, Reason.CANNOT_STORE, "cannot_store", detail, message_id)


def _item_id(action: Action) -> str:
    return action.envelope.item_id if isinstance(action, (Track, Link)) else action.item_id


def keep_lease(run: Run, now: datetime) -> None:
    """Lock the run's row for this transaction, with a sign of life; raises `LeaseLost` when the lease is gone."""
    with connection.cursor() as cursor:
        cursor.execute(_KEEP_LEASE, [now, run.pk])
        if not cursor.rowcount:
            raise LeaseLost


@contextmanager
def leased(run: Run, now: datetime) -> Iterator[None]:
    """Write in a transaction that holds the run's lease to its end; raises `LeaseLost`, and then nothing was written."""
    with transaction.atomic():
        keep_lease(run, now)
        yield


class _Writer:
    """One transaction's worth of writing. Made anew for every attempt: it collects rows."""

    def __init__(self, page: Page, *, run: Run, mailbox: Mailbox, now: datetime) -> None:
        self.page, self.run, self.mailbox, self.now = page, run, mailbox, now
        self.folder = page.folder
        self.decisions: list[ItemDecision] = []
        self.holders: list[Holder] = []
        self.stored = Stored()

    def write(self, actions: Sequence[Action]) -> Stored:
        keep_lease(self.run, self.now)
        before = self._outcomes_before(actions)
        messages = [action for action in actions if isinstance(action, Track | Link)]
        lock_keys(
            key
            for message in messages
            for keys in (thread_keys(message, self.mailbox.pk), unknown_senders.keys_to_lock(message, self.mailbox))
            for key in keys
        )
        keys = {key for message in messages for key in (message.message_key, self._own_key(message))}
        existing = dict(Activity.objects.filter(message_key__in=keys).values_list("message_key", "pk"))
        tracks, links, refusals = self._told_apart(messages, existing)
        self._track(tracks, existing)
        failures = [action for action in actions if isinstance(action, Fail)]
        for link in links:
            if not self._hold(link, existing):
                # The copy it was to be linked to could not be read: this one is tried again by itself.
                item_id, key, message_id = link.envelope.item_id, link.envelope.change_key, link.envelope.message_id
                failures.append(Fail(item_id, key, Reason.UNREADABLE, "original_unreadable", message_id=message_id))
        for action in (*actions, *refusals):
            if isinstance(action, Refuse):
                self._refuse(action)
            elif isinstance(action, Keep):
                self._note(
                    ItemDecision(
                        item_id=action.item_id,
                        change_key=action.change_key,
                        outcome=action.outcome,
                        reason=action.reason,
                    )
                )
        self._fail(failures)
        self._save()
        self._touch({action.item_id: action.change_key for action in actions if isinstance(action, Touch)})
        self._remove([action.item_id for action in actions if isinstance(action, Remove)])
        self._regard(links, actions)
        self._move_cursor(before, actions)
        self._mark_listed()
        if self.page.then is not None:
            self.page.then(self.stored)
        return self.stored

    # -- counts, cursor

    def _outcomes_before(self, actions: Sequence[Action]) -> dict[str, tuple[int | None, str]]:
        rows = ItemDecision.objects.filter(
            mailbox=self.mailbox, item_id__in=[_item_id(action) for action in actions]
        ).values_list("item_id", "folder_id", "outcome")
        return {item_id: (folder_id, outcome) for item_id, folder_id, outcome in rows}

    def _move_cursor(self, before: Mapping[str, tuple[int | None, str]], actions: Sequence[Action]) -> None:
        after = self._outcomes_before(actions)
        delta: Counter[tuple[int, str]] = Counter()
        for places, sign in ((before, -1), (after, 1)):
            for folder_id, outcome in places.values():
                if folder_id is not None:
                    delta[folder_id, _counted_as(outcome)] += sign
        for folder_id in sorted({folder_id for folder_id, _column in delta} | {self.folder.pk}):
            changes: dict[str, object] = {
                column: Greatest(0, F(column) + delta[folder_id, column])
                for column in _COLUMNS
                if delta[folder_id, column]
            }
            if folder_id == self.folder.pk and self.page.cursor is not None:
                changes |= {"cursor": self.page.cursor, "more": self.page.more, "attempts": 0, "synced_at": self.now}
                changes["careful"] = Greatest(0, F("careful") - 1) if self.page.more else 0
                if actions:
                    changes["changed_at"] = self.now
            if changes:
                Folder.objects.filter(pk=folder_id).update(**changes)

    # -- tracked messages

    def _told_apart(
        self, messages: Sequence[Track | Link], existing: Mapping[str, int]
    ) -> tuple[list[Track], list[Link], list[Refuse]]:
        """Say what each message is, now that no other mailbox can track one of them: new, a copy, or another message
        under the Message-ID of a tracked one.
        """
        # Another mailbox may have tracked a message since the plan was made.
        messages = [
            Link(m.envelope, m.message_key, Reason.ALREADY_TRACKED, replace(m, message_key=self._own_key(m)))
            if isinstance(m, Track) and m.message_key in existing
            else m
            for m in messages
        ]
        others = copies.others(
            [m for m in messages if isinstance(m, Link) and m.otherwise and m.message_key in existing],
            mailbox=self.mailbox, tracked=existing, fetched=self.page.fetched,
        )  # fmt: skip
        # Later copies on this page were planned as copies of the first, whatever that turned out to be.
        borrowed = {m.message_key for m in messages if m.envelope.item_id in others}
        tracks: dict[str, Track] = {}
        links: list[Link] = []
        refusals: list[Refuse] = []
        for message in messages:
            own = self._own_key(message)
            action = message.otherwise if isinstance(message, Link) and message.envelope.item_id in others else message
            if isinstance(action, Link) and action.otherwise is None and action.message_key in borrowed:
                action = replace(action, message_key=own)
            if isinstance(action, Track) and (action.message_key in existing or action.message_key in tracks):
                action = Link(action.envelope, action.message_key, Reason.DUPLICATE_IN_MAILBOX)
            if isinstance(action, Track):
                tracks[action.message_key] = action
            elif isinstance(action, Link):
                links.append(action)
            elif action is not None:
                refusals.append(action)
        return list(tracks.values()), links, refusals

    def _own_key(self, message: Track | Link) -> str:
        return identity.own_key(message.envelope, self.mailbox.pk)

    def _track(self, tracks: Sequence[Track], existing: dict[str, int]) -> None:
        """Create the activities; adds their ids to `existing`."""
        made = activities.create(tracks, self.page.fetched, known=existing, mailbox=self.mailbox, now=self.now)
        existing |= made
        unknown_senders.note(tracks, made, mailbox=self.mailbox, now=self.now)
        for action in tracks:
            decision = ItemDecision(outcome=Outcome.TRACKED, reason=action.reason, facts=dict(action.facts))
            self._keep(action.envelope, made[action.message_key], decision)

    def _hold(self, action: Link, existing: Mapping[str, int]) -> bool:
        """Link the item to its activity; False when there is none."""
        activity_id = existing.get(action.message_key)
        if activity_id is None:
            return False
        self._keep(action.envelope, activity_id, ItemDecision(outcome=Outcome.UPDATED, reason=action.reason))
        return True

    def _keep(self, envelope: Envelope, activity_id: int, decision: ItemDecision) -> None:
        """Note that this item is a copy of the activity, and why."""
        decision.activity_id = activity_id
        decision.item_id, decision.change_key = envelope.item_id, envelope.change_key
        self._note(decision, envelope.message_id)
        self.holders.append(
            Holder(
                activity_id=activity_id,
                mailbox=self.mailbox,
                folder=self.folder,
                item_id=envelope.item_id,
                change_key=envelope.change_key,
                since=self.now,
            )
        )

    def _note(self, decision: ItemDecision, message_id: str = "") -> None:
        """Complete the decision and count it."""
        decision.mailbox, decision.folder, decision.run = self.mailbox, self.folder, self.run
        decision.message_hash = identity.message_hash(message_id, settings.MESSAGE_ID_KEY)
        decision.decided_at, decision.listed_at = self.now, self.folder.listing_before
        self.decisions.append(decision)
        self.stored.outcomes[Outcome(decision.outcome)] += 1
        if decision.outcome == Outcome.REFUSED:
            self.stored.refused[decision.reason] += 1

    # -- refused, failed, moved

    def _refuse(self, action: Refuse) -> None:
        refusal = ItemDecision(
            item_id=action.item_id, change_key=action.change_key, outcome=action.outcome, reason=action.reason,
            facts=dict(action.facts),
        )  # fmt: skip
        self._note(refusal, action.message_id)

    def _fail(self, failures: Sequence[Fail]) -> None:
        for action in failures:
            if action.code != GONE:
                self._note(
                    ItemDecision(
                        item_id=action.item_id,
                        change_key=action.change_key,
                        outcome=Outcome.QUARANTINED,
                        reason=action.reason,
                        facts={"code": action.code},
                    ),
                    action.message_id,
                )
        record(failures, folder=self.folder, now=self.now)

    def _save(self) -> None:
        ItemDecision.objects.bulk_create(
            _last_of_each(self.decisions),
            update_conflicts=True,
            unique_fields=["mailbox", "item_id"],
            update_fields=[
                "folder", "run", "change_key", "message_hash", "outcome", "reason", "facts", "activity", "decided_at", "listed_at",
            ],
        )  # fmt: skip
        Holder.objects.bulk_create(
            _last_of_each(self.holders),
            update_conflicts=True,
            unique_fields=["mailbox", "item_id"],
            update_fields=["activity", "folder", "change_key", "removed_at"],
        )
        settled = [row.item_id for row in self.decisions if row.outcome != Outcome.QUARANTINED]
        resolve(self.mailbox, settled, self.now)

    def _touch(self, change_keys: Mapping[str, str]) -> None:
        """Remember new change keys, and that the items are (again) in this folder."""
        decisions = list(ItemDecision.objects.filter(mailbox=self.mailbox, item_id__in=change_keys))
        holders = list(Holder.objects.filter(mailbox=self.mailbox, item_id__in=change_keys))
        for decision in decisions:
            decision.folder = self.folder
            decision.change_key = change_keys[decision.item_id] or decision.change_key
        for holder in holders:
            holder.folder, holder.removed_at = self.folder, None
            holder.change_key = change_keys[holder.item_id] or holder.change_key
        ItemDecision.objects.bulk_update(decisions, ["folder", "change_key"])
        Holder.objects.bulk_update(holders, ["folder", "change_key", "removed_at"])

    def _regard(self, links: Sequence[Link], actions: Sequence[Action]) -> None:
        """Let the folder's rule say what tracked mail that came into it is about; of new mail it was said already."""
        if self.page.rule is None or self.page.rule.regarding is None:
            return
        came = [link.envelope.item_id for link in links]
        came += [action.item_id for action in actions if isinstance(action, Touch) and action.arrived]
        held = Holder.objects.filter(mailbox=self.mailbox, item_id__in=came, removed_at=None)
        regard(self.page.rule, set(held.values_list("activity_id", flat=True)), self.mailbox)

    def _remove(self, item_ids: Sequence[str]) -> None:
        """Mark items that left the folder. The decision stays, so that it can still be explained."""
        if item_ids:
            Holder.objects.filter(mailbox=self.mailbox, item_id__in=item_ids).update(removed_at=self.now)
            ItemDecision.objects.filter(mailbox=self.mailbox, item_id__in=item_ids).update(folder=None)
            resolve(self.mailbox, item_ids, self.now)

    def _mark_listed(self) -> None:
        """While an expired cursor is replaced: note what the new listing names; at its end, the rest has left."""
        since = self.folder.listing_before
        if since is None or self.page.cursor is None:
            return
        ItemDecision.objects.filter(mailbox=self.mailbox, item_id__in=self.page.listed).update(listed_at=since)
        if self.page.more:
            return
        left = ItemDecision.objects.filter(folder=self.folder).exclude(listed_at__gte=since)
        self._remove(list(left.values_list("item_id", flat=True)))
        counts = Counter(
            _counted_as(outcome)
            for outcome in ItemDecision.objects.filter(folder=self.folder).values_list("outcome", flat=True)
        )
        Folder.objects.filter(pk=self.folder.pk).update(
            listing_before=None,
            **{column: counts[column] for column in _COLUMNS},
        )


def _counted_as(outcome: str) -> str:
    """Return the folder's column for an outcome: a copy of what is kept already counts as tracked."""
    return outcome if outcome in _COLUMNS else "tracked"


def _last_of_each(rows: Sequence[_Row]) -> list[_Row]:
    return list({row.item_id: row for row in rows}.values())
