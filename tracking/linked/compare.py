"""One linked pair, compared and brought into step: read the entry, merge, write each side, note what both agree on.

The one idea: the mailbox is written first and the database last. Dying in between is harmless: next time the entry says
what the record says, and that is agreement.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final, Protocol

from django.db import transaction

from mailboxes.models import Run
from mailboxes.provider.entries import TOLD, Entry, EntryKind, Field, Marks, Value, canonical
from mailboxes.provider.errors import ChangedMeanwhile, ItemUnreadable, ProviderError, WriteRefused
from mailboxes.provider.writing import Attached, WholeProvider
from security.models import User
from tracking.engine.apply import keep_lease, leased
from tracking.linked import exceptions, links, meetings
from tracking.linked.exceptions import WHOLE, Occurrences, Plan, Rules
from tracking.linked.files import Files, Look
from tracking.linked.records import rights_of, take, takeable, values_of
from tracking.models import Appointment, ItemLink, Task
from tracking.models.category import TRACKED_NAME
from tracking.models.record import Owned
from tracking.sync.directions import Direction
from tracking.sync.exceptions import Own
from tracking.sync.facts import Reason
from tracking.sync.marking import Names
from tracking.sync.merge import Conflict, Merge, Rights, Side, Version, Withheld, merge

_LONG_AGO: Final = datetime.min.replace(tzinfo=UTC)
CATEGORY: Final = TRACKED_NAME
_USUAL: Final = Names(CATEGORY)
# Per cent of a task that is completed.
_ALL_DONE: Final = 100
# Entries read in one request, which a slow server must not make outlast the lease.
AT_ONCE = 50
# Times that an entry is read again because somebody changed it while it was being compared.
_ATTEMPTS = 3

Clock = Callable[[], datetime]


class Marking(Protocol):
    """What a mailbox's owner calls the category for tracking (`tracking.engine.category`), and called it before."""

    def asks(self, categories: Iterable[str]) -> bool:
        """Tell whether categories ask for an item to be tracked."""
        ...

    def keeps(self, categories: Iterable[str]) -> bool:
        """Tell whether categories keep an item tracked that is."""
        ...


def not_ours(marks: Marks) -> Reason | None:
    """Return why an entry is left to whoever has it, however it is marked; None for one that may be kept in step.

    A task that was given to somebody is changed by them alone. One that comes again has no record that could: completing
    it in Exchange splits the finished turn off and moves the task itself on (docs/sync.md, What is not kept in step).
    """
    if marks.kind is not EntryKind.TASK:
        return None
    if marks.assigned:
        return Reason.ASSIGNED_TASK
    return Reason.RECURRING_TASK if marks.recurring else None


def not_shared(link: ItemLink, marks: Marks, category: Marking = _USUAL) -> str:
    """Return why a linked entry is not to be read any more, or ""."""
    if marks.sensitivity == "Private":
        return "made_private"
    if reason := not_ours(marks):
        return reason.value
    return "untracked" if link.born_in == Side.EXCHANGE and not category.keeps(marks.categories) else ""


def _contradicts(values: Mapping[Field, Value]) -> bool:
    """Tell whether status, percent and day of completion of a task do not agree: then the server changes some of them."""
    if Field.PERCENT not in values:
        return False
    percent = values[Field.PERCENT] or 0
    done = {
        values.get(Field.STATUS) == Task.Status.COMPLETED, percent == _ALL_DONE, bool(values.get(Field.COMPLETED)),
    }  # fmt: skip
    begun = values.get(Field.STATUS) != Task.Status.NOT_STARTED
    return len(done) > 1 or (bool(percent) and not begun)


@dataclass(slots=True)
class Count:
    """What came of a run's pairs: entries written, records written, links made and ended, conflicts, values kept back."""

    written: int = 0
    taken: int = 0
    linked: int = 0
    unlinked: int = 0
    deleted: int = 0
    conflicts: int = 0
    withheld: int = 0
    refused: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Pairs:
    """Compares the pairs of one kind in one mailbox, for one run."""

    run: Run
    provider: WholeProvider
    kind: EntryKind
    owner: User
    directions: dict[Field, Direction]
    clock: Clock
    beat: Callable[[], None]
    count: Count
    category: Marking = _USUAL
    # Told of links of which occurrences are to be taken out of the mailbox's series.
    call_off: Callable[[ItemLink], None] = lambda _link: None

    @property
    def files(self) -> Files:
        """Return what keeps the files of appointments in step."""
        return Files(self.run, self.provider, self.kind, self.clock, self.beat)

    def compare(self, pairs: Sequence[tuple[ItemLink, Owned]]) -> dict[str, ItemUnreadable]:
        """Bring pairs whose entry exists into step; return what could not be read, by item id."""
        unread: dict[str, ItemUnreadable] = {}
        for start in range(0, len(pairs), AT_ONCE):
            part = self._still_shared(pairs[start : start + AT_ONCE], unread)
            entries = self.read([link.item_id for link, _record in part])
            hung = self.files.lists([(pair[1], entry) for pair, entry in zip(part, entries, strict=True)])
            for (link, record), entry in zip(part, entries, strict=True):
                try:
                    if isinstance(entry, ItemUnreadable):
                        raise entry
                    self._settle(link, record, entry, hung.get(link.item_id))
                except ItemUnreadable as error:
                    unread[link.item_id] = error
        return unread

    def _still_shared(
        self, pairs: Sequence[tuple[ItemLink, Owned]], unread: dict[str, ItemUnreadable]
    ) -> list[tuple[ItemLink, Owned]]:
        """Look at the marks first: what its owner made private, or took the category from, is unlinked and not read."""
        if not pairs:
            return []
        self.beat()
        shared = []
        for (link, record), marks in zip(
            pairs, self.provider.marks([link.item_id for link, _record in pairs]), strict=True
        ):
            if isinstance(marks, ItemUnreadable):
                unread[link.item_id] = marks
                continue
            reason = not_shared(link, marks, self.category)
            if not reason:
                shared.append((link, record))
                continue
            with transaction.atomic():
                keep_lease(self.run, self.clock())
                links.note_entry(link, marks)
                links.end_link(link, reason, self.clock())
            self.count.unlinked += 1
        return shared

    def read(self, item_ids: Sequence[str]) -> list[Entry | ItemUnreadable]:
        """Return the entries of the items."""
        if not item_ids:
            return []
        self.beat()
        return self.provider.entries(item_ids)

    def _settle(self, link: ItemLink, record: Owned, entry: Entry, hung: Attached | ItemUnreadable | None) -> None:
        """Compare; somebody who writes at the same moment, on either side, makes us look again, never overwrite."""
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                self._settle_once(link, record, entry, hung)
            except WriteRefused as error:
                self._note_refused(link, error)
                return
            except ChangedMeanwhile as error:
                again = self.read([link.item_id])[0]
                record_again = links.records_by_id(self.kind, [link.record_id], self.owner).get(link.record_id)
                if (
                    attempt == _ATTEMPTS
                    or isinstance(again, ItemUnreadable)
                    or record_again is None
                    or not_shared(link, again.marks, self.category)
                ):
                    # What came between is found by the next run, on whichever side it was.
                    self._note_on(link, error)
                    return
                entry, record = again, record_again
                hung = self.files.lists([(record, entry)]).get(link.item_id)
            else:
                return

    def _settle_once(self, link: ItemLink, record: Owned, entry: Entry, hung: Attached | ItemUnreadable | None) -> None:
        merged = self.merged(link, record, entry)
        look = self.files.look(link, record, entry, hung)
        series = self.exceptions(link, record, entry, merged)
        found: list[tuple[datetime | None, Conflict]] = [(None, each) for each in merged.conflicts]
        found += [(at, each) for at, settled in series.settled.items() for each in settled.conflicts]
        if found:
            # Before anything is overwritten: dying after that must not lose the value that gave way.
            with transaction.atomic():
                keep_lease(self.run, self.clock())
                self.count.conflicts += links.note_conflicts(link, found, run=self.run, now=self.clock())
        marks = entry.marks
        changes = {name: value for name, value in merged.to_exchange.items() if name not in TOLD}
        if changes:
            self.beat()
            marks = self.provider.update_entry(marks.item_id, marks.change_key, self.kind, changes, stamp=link.stamp)
            self.count.written += 1
            # Should the record have been changed meanwhile, that is a change of what was written, and no conflict with it.
            with transaction.atomic():
                keep_lease(self.run, self.clock())
                links.note_written(link, changes)
            if _contradicts({**entry.values, **changes}):
                # Under its old change key what the server made of it is compared once more.
                marks = replace(marks, change_key="")
        else:
            marks = self.mark(link, entry)
        if series.looked_at:
            series, marks = self._write_exceptions(link, record, entry, merged, series, marks)
        if written := self.files.write(link, look):
            self.count.written += written
            # Files ask for no change key: what was changed between is compared once more, under the old one.
            marks = replace(marks, change_key="")
        with transaction.atomic():
            keep_lease(self.run, self.clock())
            if not links.is_unchanged(record):
                raise ChangedMeanwhile
            self._take(link, record, merged, series, look)
            links.note_entry(link, replace(marks, uid=entry.marks.uid))
            links.note_merge(link, merged, record=record, now=self.clock())
            if series.calls_off:
                # Looked at again until they are taken out, which the brake may hold back.
                ItemLink.objects.filter(pk=link.pk).update(record_seen_at=None)
        self.count.withheld += len(merged.withheld) + sum(len(each.withheld) for each in series.settled.values())
        if series.calls_off:
            self.call_off(link)

    def _take(self, link: ItemLink, record: Owned, merged: Merge, series: Plan, look: Look) -> None:
        """Write what comes from the mailbox into the record, in the transaction that is open."""
        if merged.to_crm:
            take(record, merged.to_crm, self.owner)
            self.count.taken += 1
        changed = isinstance(record, Appointment) and exceptions.note(link, record, series)
        if self.files.note(link, record, look) or changed:
            record.save()
            self.count.taken += 1

    def _write_exceptions(
        self, link: ItemLink, record: Owned, entry: Entry, merged: Merge, series: Plan, marks: Marks
    ) -> tuple[Plan, Marks]:
        """Write exceptions to their occurrences; return what was settled in the end, and the marks to remember."""
        occurrences = Occurrences(self.provider, self.owner, self.beat)
        anew = merged.to_exchange.keys() & {Field.SPAN, Field.RECURRENCE}
        if anew or (series.writes and marks.change_key != entry.marks.change_key):
            entry = occurrences.read(link.item_id)
        if anew:
            series = self.exceptions(link, record, entry, merged, after=series)
        if not series.writes:
            return series, marks

        def wrote(original: datetime, own: Own) -> None:
            # As with the series itself: should the record have changed meanwhile, that is no conflict with this.
            with leased(self.run, self.clock()):
                exceptions.note_agreed(link, original, own)

        written, refused = occurrences.write(link, entry, series, wrote)
        for error in refused:
            self.count.refused[error.code] = self.count.refused.get(error.code, 0) + 1
        self.count.written += written
        # Under its old change key what the server made of it is compared once more.
        return series, replace(marks, change_key="") if written else marks

    def exceptions(
        self, link: ItemLink, record: Owned, entry: Entry, merged: Merge, *, after: Plan | None = None
    ) -> Plan:
        """Return what becomes of the exceptions of a series, none for anything else; nothing is written."""
        if not isinstance(record, Appointment):
            return Plan()
        rules = Rules(self.owner, self.directions, self._rights(link, record, entry), self.clock())
        return exceptions.plan(link, record, entry, merged, rules=rules, after=after)

    def _note_refused(self, link: ItemLink, error: WriteRefused) -> None:
        """The server will not have the record's values: said on the link, tried again when either side changes."""
        self._note_on(link, error)
        self.count.refused[error.code] = self.count.refused.get(error.code, 0) + 1

    def _note_on(self, link: ItemLink, error: ProviderError) -> None:
        with leased(self.run, self.clock()):
            link.withheld = {**link.withheld, WHOLE: error.code}
            link.save(update_fields=["withheld"])

    def mark(self, link: ItemLink, entry: Entry) -> Marks:
        """Put our stamp on an entry that lacks it, so that it is known again wherever it moves; return its marks.

        A received invitation is its organiser's and is not touched. Raises `ChangedMeanwhile`.
        """
        marks = entry.marks
        if marks.stamp.lower() == link.stamp or not entry.organized_here:
            return marks
        self.beat()
        marked = self.provider.update_entry(marks.item_id, marks.change_key, self.kind, {}, stamp=link.stamp)
        self.count.written += 1
        return marked

    def merged(self, link: ItemLink, record: Owned, entry: Entry) -> Merge:
        """Return what moves between the record and its entry; nothing is written."""
        base = links.base_of(link)
        rights = self._rights(link, record, entry)
        merged = merge(
            self.kind,
            base,
            Version(values_of(record, self.owner), record.modified_at),
            Version(entry.values, entry.marks.modified_at or _LONG_AGO),
            directions=self.directions,
            rights=rights,
        )
        if link.born_in == Side.CRM:
            # Whoever wrote the entry down is its organiser there; who it is in the CRM is the CRM's to say.
            merged.to_crm.pop(Field.ORGANIZER, None)
        return merged

    def _rights(self, link: ItemLink, record: Owned, entry: Entry) -> Rights:
        """Return what may flow between a record and its entry, whatever the directions say."""
        fixed = frozenset(self.directions) if not entry.organized_here else frozenset[Field]()
        untakable = dict(takeable(self.kind, entry.values, self.owner).withheld)
        if isinstance(record, Appointment) and not meetings.speaks(link, record, entry):
            untakable = dict.fromkeys(self.directions, Withheld.NOT_ORGANIZER)
        return replace(rights_of(record, self.owner), fixed=fixed, untakable=untakable)

    # -- making one side

    def make_entry(self, link: ItemLink, record: Owned, folder_id: str, *, again: bool) -> Marks:
        """Make the entry of a link; `again`: it may have been made before a crash, and is looked for first."""
        found = None
        if again:
            self.beat()
            found = self.provider.find_stamp(folder_id, link.stamp)
        values = self.outgoing(record)
        differs = isinstance(record, Appointment) and record.changes.exists()
        if found is None:
            self.beat()
            marks = self.provider.create_entry(folder_id, self.kind, values, stamp=link.stamp)
            self.count.written += 1
            if _contradicts(values) or differs or self.files.waits(record):
                # Read back as a change, it is compared: exceptions have an occurrence to be written to by then, and files
                # something to hang on.
                marks = replace(marks, change_key="")
        else:
            entry = self.read([found])[0]
            if isinstance(entry, ItemUnreadable):
                raise entry
            marks = entry.marks
        with transaction.atomic():
            keep_lease(self.run, self.clock())
            links.note_entry(link, marks)
            if found is None and not differs:
                link.exceptions_base = {}
                link.save(update_fields=["exceptions_base"])
            made = Merge(base=dict(values), withheld=self.kept_back(record)) if found is None else Merge()
            links.note_merge(link, made, record=record, now=self.clock())
            if found is not None:
                # What it says is compared when its change is read, against nothing agreed.
                ItemLink.objects.filter(pk=link.pk).update(change_key="", record_seen_at=None)
        return marks

    def kept_back(self, record: Owned) -> dict[Field, Withheld]:
        """Return which values of a record an entry that is made of it does not have, and why."""
        values = values_of(record, self.owner)
        closed = rights_of(record, self.owner).unreadable
        return {
            name: Withheld.MAY_NOT_READ if name in closed else Withheld.DIRECTION
            for name, direction in self.directions.items()
            if values[name] != canonical(self.kind, name, None) and (name in closed or direction is Direction.TO_CRM)
        }

    def outgoing(self, record: Owned) -> dict[Field, Value]:
        """Return the values of a record that may go into the mailbox."""
        values = values_of(record, self.owner)
        closed = rights_of(record, self.owner).unreadable
        return {
            name: values[name]
            for name, direction in self.directions.items()
            if direction.reaches_exchange and name not in closed | TOLD and values[name] is not None
        }
