"""What is to be ended or deleted on one side because of the other, collected, and done only if the brake lets it.

Unlinking harms nothing and is always done. Deleting more than a person would expect waits for one (design §4).
"""

from collections.abc import Callable
from datetime import timedelta

from django.db import transaction

from mailboxes.models import Run
from mailboxes.provider.entries import EntryKind, Field
from mailboxes.provider.errors import ChangedMeanwhile, ItemUnreadable, WriteRefused
from mailboxes.provider.port import FolderRole
from mailboxes.provider.writing import WholeProvider
from tracking.engine.apply import keep_lease, leased
from tracking.engine.filter_queries import MODELS
from tracking.linked import links
from tracking.linked.compare import Clock, Count, not_ours
from tracking.linked.exceptions import Occurrences
from tracking.linked.records import is_done, is_past, organizes, rights_of
from tracking.models import Appointment, ItemLink, LinkState, Task
from tracking.sync.removal import Brake, Event, Pair, Remedy, Removal, removal

BRAKE = Brake()
# How long a release counts: what a person looked at, not whatever comes weeks later.
RELEASE_HOLDS = timedelta(hours=1)


class Removals:
    """Collects the ends of links of one kind in one mailbox, for one run."""

    def __init__(
        self,
        run: Run,
        provider: WholeProvider,
        kind: EntryKind,
        *,
        clock: Clock,
        beat: Callable[[], None],
        count: Count,
    ) -> None:
        self.run, self.provider, self.kind, self.clock, self.beat, self.count = run, provider, kind, clock, beat, count
        self.owner = run.mailbox.owner
        self._found: dict[int, tuple[ItemLink, Event]] = {}

    @property
    def waiting(self) -> bool:
        """Tell whether something is to be carried out."""
        return bool(self._found)

    def add(self, link: ItemLink, event: Event) -> None:
        """Note that a pair has come apart; the first cause counts."""
        self._found.setdefault(link.pk, (link, event))

    def carry_out(self, state: LinkState, *, everything: bool) -> None:
        """End what is to be ended, delete what is to be deleted, unless the brake holds; then only note what would be.

        `everything`: all pairs were looked at, so that what is not found now would not be deleted any more.
        """
        verdicts = [(link, self._verdict(link, event)) for link, event in self._found.values()]
        self._found.clear()
        deletions = [(link, found) for link, found in verdicts if found.remedy is not Remedy.UNLINK]
        for link, found in verdicts:
            if found.remedy is Remedy.UNLINK:
                self.end(link, found.code)
        allowed = self._released(state)
        waiting = [(link, found) for link, found in deletions if link.pk not in allowed]
        held = self._hold(state, waiting, everything=everything)
        for link, found in deletions:
            if link.pk in allowed or not held:
                self._delete(link, found)

    def _released(self, state: LinkState) -> set[int]:
        """Return the links whose deletion a person has looked at and let go, once."""
        if state.released_at is None:
            return set()
        fresh = self.clock() - state.released_at <= RELEASE_HOLDS
        looked_at = {each["link"] for each in state.brake} if fresh else set()
        state.released_at, state.brake, state.braked_at = None, [], None
        with leased(self.run, self.clock()):
            state.save(update_fields=["released_at", "brake", "braked_at"])
        return looked_at

    def _hold(self, state: LinkState, deletions: list[tuple[ItemLink, Removal]], *, everything: bool) -> bool:
        """Return whether the brake holds these deletions; once it holds, it does until released or nothing is left."""
        if not deletions and state.braked_at is None:
            return False
        linked = ItemLink.objects.filter(mailbox=self.run.mailbox, kind=self.kind, unlinked_at=None).count()
        would = [{"link": link.pk, "remedy": found.remedy, "code": found.code} for link, found in deletions]
        if state.braked_at is not None and not everything:
            known = {each["link"] for each in state.brake}
            state.brake = [*state.brake, *(each for each in would if each["link"] not in known)]
            holds = True
        else:
            holds = BRAKE.holds(len(deletions), linked) or (state.braked_at is not None and bool(deletions))
            state.brake, state.braked_at = (would, state.braked_at or self.clock()) if holds else ([], None)
        with leased(self.run, self.clock()):
            # Somebody may let go at this moment what the list says: what came since waits for the next look.
            LinkState.objects.filter(pk=state.pk, released_at=None).update(brake=state.brake, braked_at=state.braked_at)
        return holds

    def _verdict(self, link: ItemLink, event: Event) -> Removal:
        record = MODELS[self.kind]._default_manager.filter(pk=link.record_id).first()
        if record is None:
            return Removal(Remedy.UNLINK, "record_vanished")
        item_id: str | None = link.item_id
        if event is Event.ENTRY_GONE:
            item_id = None if link.copied else self._in_bin(link)
        if item_id is None:
            # Not among the deleted items: moved out of sight, or gone for good. Nobody said that the record should go.
            return Removal(Remedy.UNLINK, "entry_vanished")
        if event in (Event.ENTRY_GONE, Event.RECORD_DELETED) and (left := self._left_to_others(item_id)):
            return Removal(Remedy.UNLINK, left)
        done_there, organized = self._there(link) if event is Event.RECORD_DELETED else (False, True)
        return removal(
            Pair(
                self.kind,
                event,
                past=is_past(record, self.clock()),
                completed=is_done(record),
                completed_there=done_there,
                organizes=organized and organizes(record, self.run.mailbox.address),
                owns=record.owner_id in (None, self.owner.pk),
                writable=not rights_of(record, self.owner).unwritable,
            )
        )

    def _left_to_others(self, item_id: str) -> str:
        """Return why a task says nothing about its record, nor the record about it; "" for what does."""
        if self.kind is not EntryKind.TASK:
            return ""
        self.beat()
        marks = self.provider.marks([item_id])[0]
        return "" if isinstance(marks, ItemUnreadable) else not_ours(marks) or ""

    def _in_bin(self, link: ItemLink) -> str | None:
        """Return the id of the entry if it lies among the deleted items."""
        deleted = self.run.mailbox.folders.filter(role=FolderRole.DELETED, gone_at=None).first()
        if deleted is None:
            return None
        self.beat()
        return self.provider.find_stamp(deleted.provider_id, link.stamp)

    def _there(self, link: ItemLink) -> tuple[bool, bool]:
        """Tell of an entry whether it is done with, and whether the mailbox's owner is its organiser."""
        self.beat()
        entry = self.provider.entries([link.item_id])[0]
        if isinstance(entry, ItemUnreadable):
            return False, False
        return entry.values.get(Field.STATUS) == Task.Status.COMPLETED, entry.organized_here

    def _delete(self, link: ItemLink, found: Removal) -> None:
        if found.remedy is Remedy.CALL_OFF:
            self._call_off(link)
            return
        if found.remedy is Remedy.DELETE_ENTRY:
            self.beat()
            try:
                self.provider.delete_entry(link.item_id)
            except WriteRefused:
                # It stays where it is, and the record is gone: there is nothing left to keep in step.
                self.end(link, "entry_not_deletable")
                return
        with transaction.atomic():
            keep_lease(self.run, self.clock())
            if found.remedy is Remedy.DELETE_RECORD:
                MODELS[self.kind]._default_manager.filter(pk=link.record_id, deleted_at=None).update(
                    deleted_at=self.clock(), modified_at=self.clock()
                )
            links.end_link(link, found.code, self.clock())
        self.count.deleted += 1

    def _call_off(self, link: ItemLink) -> None:
        """Take occurrences out of a series that are called off here; one that cannot be read waits for the next look."""
        record = Appointment.objects.get(pk=link.record_id)
        link.refresh_from_db()
        try:
            gone = Occurrences(self.provider, self.owner, self.beat).call_off(link, record, self.clock())
        except ChangedMeanwhile:
            return
        with transaction.atomic():
            keep_lease(self.run, self.clock())
            link.save(update_fields=["exceptions_base", "exceptions_withheld"])
        # A series counts once; what was written is read again.
        self.count.deleted += bool(gone)
        self.count.written += gone

    def end(self, link: ItemLink, reason: str) -> None:
        """End a link, for a reason that is shown."""
        with transaction.atomic():
            keep_lease(self.run, self.clock())
            links.end_link(link, reason, self.clock())
        self.count.unlinked += 1
