"""One run's work on one kind in one mailbox: what changed there, what changed here, and what is gone on either side.

Order: the mailbox's changes, page by page, the cursor last; then the records'. Nothing that was not linked or marked by
its owner is read beyond its marks (design §4). Deletions are collected and done at the end, if the brake lets them.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Final

from django.db import transaction
from django.db.models import Q

from mailboxes.models import Folder, Mailbox, Run
from mailboxes.provider.entries import Entry, EntryKind, Marks, canonical
from mailboxes.provider.errors import ChangedMeanwhile, ItemGone, ItemUnreadable, OtherKind, WriteRefused
from mailboxes.provider.port import Change, ChangeKind
from mailboxes.provider.writing import WholeProvider
from security import privileges
from tracking.engine.apply import LeaseLost, Page, Stored, keep_lease, leased, store
from tracking.engine.category import CategoryInRun
from tracking.engine.cursors import nothing_new, read_changes
from tracking.engine.failures import GONE, count_attempt, take_due
from tracking.engine.filter_queries import MODELS, Flow, flowing
from tracking.engine.lookups import known_items
from tracking.linked import exceptions, links, meetings
from tracking.linked.compare import AT_ONCE, Clock, Count, Marking, Pairs, not_ours
from tracking.linked.records import is_past, take, takeable
from tracking.linked.removals import Removals
from tracking.linked.standing import Standing
from tracking.models import Appointment, ItemDecision, ItemLink, LinkState, SyncFilter
from tracking.models.record import Owned
from tracking.sync.facts import KnownItem, Outcome, Reason
from tracking.sync.merge import Merge, Side, Withheld
from tracking.sync.plan import Action, Fail, Keep, Refuse, Remove, Touch, last_of_each
from tracking.sync.removal import Event

PAGE_ITEMS: Final = 200
LISTED_AT_ONCE: Final = 1000
# Links that ended because a record was out of sight for a while; its entry stayed where it was.
MAY_RETURN: Final = frozenset({"filter_left", "access_lost"})
# Links that ended with the entry in the bin: a record that is had back gets a new one.
TOOK_ENTRY_ALONG: Final = frozenset({"appointment_deleted", "contact_deleted", "task_deleted"})
# Records looked at between two looks at the clock: each new one is a request.
PUSHED_AT_ONCE: Final = 25
# Times that our own changes are read in a run: an entry is made, then its files are hung on it, then it is as it stays.
_ROUNDS: Final = 3
# Links that ended by what their owner did in the mailbox, which they can take back there.
_TOOK_RECORD_ALONG: Final = frozenset({"appointment_gone", "task_gone"})
_OWNERS_OWN: Final = _TOOK_RECORD_ALONG | {
    "untracked", "made_private", "entry_vanished", "contact_gone", "appointment_gone_past", "appointment_gone_completed",
    "appointment_gone_not_organizer", "appointment_gone_no_right", "task_gone_completed", "task_gone_no_right",
    Reason.ASSIGNED_TASK, Reason.RECURRING_TASK,
}  # fmt: skip

# Links that ended by what their entry says, and what is noted of it then.
_NOT_SHARED: Final = {
    "untracked": Reason.NOT_MARKED, "made_private": Reason.PRIVATE,
    Reason.ASSIGNED_TASK.value: Reason.ASSIGNED_TASK, Reason.RECURRING_TASK.value: Reason.RECURRING_TASK,
}  # fmt: skip


class Session:
    """Keeps one kind in step. `stored` is told of every page, for the run's counts."""

    def __init__(
        self,
        run: Run,
        provider: WholeProvider,
        kind: EntryKind,
        *,
        clock: Clock,
        beat: Callable[[], None],
        stored: Callable[[Stored], None],
        category: Marking | None = None,
        standing: Standing | None = None,
    ) -> None:
        self.run, self.provider, self.kind, self.clock, self.beat = run, provider, kind, clock, beat
        self.mailbox: Mailbox = run.mailbox
        self.category = category or CategoryInRun(self.mailbox, provider, clock=clock, beat=beat)
        self.owner = self.mailbox.owner
        self.standing = standing or Standing(self.mailbox, clock=clock)
        self.count = Count()
        self._stored = stored
        # Filters that could not be asked, once records were looked at.
        self.broken: tuple[SyncFilter, ...] = ()
        self.pairs = Pairs(
            run, provider, kind, self.owner, self.standing.directions(kind), clock, beat, self.count,
            self.category, call_off=lambda link: self.removals.add(link, Event.OCCURRENCES_CALLED_OFF),
        )  # fmt: skip
        self._revived: set[str] = set()
        self._anew = False
        self.removals = Removals(run, provider, kind, clock=clock, beat=beat, count=self.count)

    def sync(self, folder: Folder, *, changed: bool, full: bool, pause: Callable[[], bool]) -> bool:
        """Bring everything into step; return whether there is more. `changed`: something did in the folder. `pause` says
        between pages whether to stop.
        """
        while changed and self.pull(folder):
            if pause():
                return True
        if full:
            self.retry(folder)
            self.look_for_missing(folder)
        more = self.push(folder, full=full, pause=pause)
        written = 0
        for _round in range(_ROUNDS):
            if self.count.written == written:
                break
            # Our own changes are read at once: an entry that was never announced would never be announced as gone.
            written = self.count.written
            while self.pull(folder):
                pass
        if self.removals.waiting and not more:
            # Of a series that was made in this run, days are called off that it could not be made without.
            self.removals.carry_out(self._state(), everything=False)
        return more

    # -- what changed in the mailbox

    def pull(self, folder: Folder) -> bool:
        """Read one page of the folder's changes and bring what they name into step; return whether there is more."""
        page = read_changes(self.provider, folder, PAGE_ITEMS, clock=self.clock, beat=self.beat)
        if not page.changes and not page.more and folder.listing_before is None:
            if not nothing_new(folder, page.cursor, None, run=self.run, now=self.clock()):
                raise LeaseLost
            folder.cursor = page.cursor
            return False
        changes = last_of_each(page.changes)
        actions = self._decide(folder, changes)
        listed = [change.item_id for change in changes if change.kind is not ChangeKind.REMOVED]
        self._store(Page(folder, actions, {}, page.cursor, page.more, listed))
        folder.refresh_from_db()
        return page.more

    def retry(self, folder: Folder) -> None:
        """Try again what failed and is due. The attempt is counted before it is made."""
        if not self.standing.failures_due:
            return
        due = take_due(self.mailbox, [folder], limit=PAGE_ITEMS, now=self.clock())
        if due:
            with leased(self.run, self.clock()):
                for failure in due:
                    count_attempt(failure, self.clock())
            changes = [Change(ChangeKind.UPDATED, failure.item_id) for failure in due]
            self._store(Page(folder, self._decide(folder, changes), {}))

    def look_for_missing(self, folder: Folder) -> None:
        """Mark linked entries that are not in their folder: one that came and went between two looks was never told of."""
        there: set[str] = set()
        offset: int | None = 0
        while offset is not None:
            self.beat()
            part = self.provider.listing(folder.provider_id, offset, LISTED_AT_ONCE)
            there |= {change.item_id for change in part.changes}
            offset = part.offset
        active = ItemLink.objects.filter(mailbox=self.mailbox, kind=self.kind, unlinked_at=None, gone_at=None)
        suspects = [link for link in active.exclude(item_id="").defer("base") if link.item_id not in there]
        for start in range(0, len(suspects), AT_ONCE):
            part_of = suspects[start : start + AT_ONCE]
            self.beat()
            answers = self.provider.marks([link.item_id for link in part_of])
            gone = [link.pk for link, answer in zip(part_of, answers, strict=True) if isinstance(answer, ItemGone)]
            if gone:
                with leased(self.run, self.clock()):
                    ItemLink.objects.filter(pk__in=gone).update(gone_at=self.clock())
                self._judge_copies_again(folder)

    def _judge_copies_again(self, folder: Folder) -> None:
        """Look again at what was taken for copies: of an entry that is gone, one may be the entry itself, come back."""
        copies = ItemDecision.objects.filter(folder=folder, reason=Reason.COPY_OF_LINKED).order_by("pk")
        changes = [
            Change(ChangeKind.UPDATED, item_id) for item_id in copies.values_list("item_id", flat=True)[:PAGE_ITEMS]
        ]
        if changes:
            self._store(Page(folder, self._decide(folder, changes), {}))

    def _store(self, page: Page) -> None:
        self._stored(store(page, run=self.run, mailbox=self.mailbox, now=self.clock()))

    def _decide(self, folder: Folder, changes: Sequence[Change]) -> list[Action]:
        """Return what is to be noted of each changed entry; linked ones are brought into step on the way."""
        linked = links.by_item(self.mailbox, [change.item_id for change in changes])
        items = known_items(folder, [change.item_id for change in changes])
        actions: list[Action] = []
        compare: list[ItemLink] = []
        unknown: list[Change] = []
        for change in changes:
            link = linked.get(change.item_id)
            if change.kind is ChangeKind.REMOVED:
                actions += self._left(change, link, items.get(change.item_id))
            elif link is not None and link.unlinked_at is None:
                # One that was tracked here and has no decision: the run died before it was noted, and marked.
                unnoted = link.born_in == Side.EXCHANGE and change.item_id not in items
                if change.change_key != link.change_key or link.gone_at is not None or unnoted:
                    compare.append(link)
            elif _is_new(change, items.get(change.item_id), ended=link is not None and link.reason in _NOT_SHARED):
                unknown.append(change)
            elif change.item_id in items:
                actions.append(Touch(change.item_id, change.change_key))
        actions += self._judge(folder, unknown, compare)
        return actions + self._compare(compare, {change.item_id: change.change_key for change in changes})

    def _left(self, change: Change, link: ItemLink | None, item: KnownItem | None) -> list[Action]:
        if link is not None and link.unlinked_at is None and link.gone_at is None:
            with leased(self.run, self.clock()):
                link.gone_at = self.clock()
                link.save(update_fields=["gone_at"])
        return [Remove(change.item_id)] if item is not None and item.here else []

    def _judge(self, folder: Folder, unknown: Sequence[Change], compare: list[ItemLink]) -> list[Action]:
        """Decide on entries that are not linked, by their marks alone; those that turn out to be linked go to `compare`."""
        actions: list[Action] = []
        for start in range(0, len(unknown), AT_ONCE):
            part = unknown[start : start + AT_ONCE]
            self.beat()
            found = self.provider.marks([change.item_id for change in part])
            readable = [marks for marks in found if isinstance(marks, Marks)]
            stamped = links.by_stamp(marks.stamp for marks in readable)
            # Received meetings carry no stamp: they are known by their item, or by what the calendar calls them.
            same = links.by_item(self.mailbox, [marks.item_id for marks in readable])
            named = links.by_uid(self.mailbox, [marks.uid for marks in readable])
            for change, marks in zip(part, found, strict=True):
                if isinstance(marks, OtherKind):
                    reason = Reason.DISTRIBUTION_LIST if marks.is_list else Reason.OTHER_KIND
                    actions.append(Refuse(change.item_id, change.change_key, "", reason))
                elif isinstance(marks, ItemUnreadable):
                    actions.append(_unreadable(change, marks))
                else:
                    link = stamped.get(marks.stamp.lower()) or same.get(marks.item_id) or named.get(marks.uid)
                    actions += self._judge_one(folder, marks, link, compare)
        return actions

    def _judge_one(self, folder: Folder, marks: Marks, link: ItemLink | None, compare: list[ItemLink]) -> list[Action]:
        if link is not None:
            return self._judge_stamped(folder, marks, link, compare)
        if marks.sensitivity == "Private":
            return [_refuse(marks, Reason.PRIVATE)]
        if not self.category.asks(marks.categories):
            return [_refuse(marks, Reason.NOT_MARKED)]
        if reason := not_ours(marks):
            return [_refuse(marks, reason)]
        return self._track(folder, marks, compare)

    def _judge_stamped(self, folder: Folder, marks: Marks, link: ItemLink, compare: list[ItemLink]) -> list[Action]:
        """Decide on an entry that carries the stamp of a link: it is that link's own, come back, or a copy."""
        ours = link.mailbox_id == self.mailbox.pk and link.kind == self.kind
        active = link.unlinked_at is None and link.item_id and link.gone_at is None
        if not ours or active or self._is_elsewhere(link, marks):
            # From now on the stamp among the deleted items may be that of a copy.
            self._note_copy(link)
            return [_refuse(marks, Reason.COPY_OF_LINKED)]
        if marks.sensitivity == "Private":
            if marks.item_id != link.item_id:
                self._note_copy(link)
            return [_refuse(marks, Reason.PRIVATE)]
        owners_word = link.reason in ("untracked", "made_private") and link.born_in == Side.EXCHANGE
        if owners_word and not self.category.asks(marks.categories):
            return [_refuse(marks, Reason.NOT_MARKED)]
        if reason := not_ours(marks):
            return [_refuse(marks, reason)]
        if link.unlinked_at is not None and not self._taken_up(link):
            return [_refuse(marks, Reason.LINK_ENDED)]
        with leased(self.run, self.clock()):
            links.note_entry(link, Marks(self.kind, marks.item_id, "", uid=marks.uid), folder)
        compare.append(link)
        return []

    def _note_copy(self, link: ItemLink) -> None:
        with leased(self.run, self.clock()):
            ItemLink.objects.filter(pk=link.pk, mailbox=self.mailbox).update(copied=True)

    def _is_elsewhere(self, link: ItemLink, marks: Marks) -> bool:
        """Tell whether the entry of a link that ended lies where it was, so that this one is a copy and not it, moved."""
        if link.unlinked_at is None or link.item_id in ("", marks.item_id):
            return False
        self.beat()
        return not isinstance(self.provider.marks([link.item_id])[0], ItemGone)

    def _taken_up(self, link: ItemLink) -> bool:
        """Take up a link whose entry its owner brought back or marked again; a record that went with it comes back, too."""
        if link.reason not in _OWNERS_OWN:
            return False
        with transaction.atomic():
            keep_lease(self.run, self.clock())
            if link.reason in _TOOK_RECORD_ALONG:
                mine = Q(owner=None) | Q(owner=self.owner)
                MODELS[self.kind]._default_manager.filter(mine, pk=link.record_id).update(
                    deleted_at=None, modified_at=self.clock()
                )
            if not links.records_by_id(self.kind, [link.record_id], self.owner):
                return False
            links.revive(link)
        return True

    def _track(self, folder: Folder, marks: Marks, compare: list[ItemLink]) -> list[Action]:
        """Make the record of an entry that its owner marked, or join that of its meeting: then it goes to `compare`."""
        entry = self.pairs.read([marks.item_id])[0]
        if isinstance(entry, ItemUnreadable):
            return [_unreadable(Change(ChangeKind.UPDATED, marks.item_id, marks.change_key), entry)]
        with transaction.atomic():
            keep_lease(self.run, self.clock())
            joined = meetings.record_to_join(self.mailbox, entry)
            if joined is None:
                link = self._make_record(folder, entry)
            elif ItemLink.objects.filter(mailbox=self.mailbox, kind=self.kind, record_id=joined.pk).exists():
                # The record's own entry is here beside the invitation: the meeting is linked already.
                return [_refuse(marks, Reason.COPY_OF_LINKED)]
            else:
                link = self._link_to(joined, folder)
                links.note_entry(link, Marks(self.kind, marks.item_id, "", uid=marks.uid))
        self.count.linked += 1
        if joined is not None:
            compare.append(link)
            return []
        if self.pairs.files.flow:
            # Compared at once: what hangs on it is read like that of any other, and it is marked on the way.
            found = links.records_by_id(self.kind, [link.record_id], self.owner)
            unread = self.pairs.compare([(link, record) for record in found.values()])
            if (error := unread.get(marks.item_id)) is not None:
                return [_unreadable(Change(ChangeKind.UPDATED, marks.item_id, marks.change_key), error)]
            return [Keep(marks.item_id, link.change_key, Outcome.TRACKED, Reason.MARKED)]
        with suppress(ChangedMeanwhile, WriteRefused):
            # Else it is marked when that change is compared.
            marked = self.pairs.mark(link, entry)
            with leased(self.run, self.clock()):
                links.note_entry(link, marked)
        return [Keep(marks.item_id, link.change_key, Outcome.TRACKED, Reason.MARKED)]

    def _make_record(self, folder: Folder, entry: Entry) -> ItemLink:
        """Make the record of an entry, and their link, in the transaction that is open."""
        taken = takeable(self.kind, entry.values, self.owner)
        closed = {name for name, direction in self.pairs.directions.items() if not direction.reaches_crm}
        values = {name: value for name, value in taken.values.items() if name not in closed}
        withheld = {
            name: taken.withheld.get(name, Withheld.DIRECTION)
            for name, value in entry.values.items()
            if name not in values and value != canonical(self.kind, name, None)
        }
        record: Owned = MODELS[self.kind](owner=self.owner)
        take(record, values, self.owner)
        link = self._link_to(record, folder)
        links.note_entry(link, entry.marks)
        made = Merge(base=dict(values), withheld=withheld)
        if isinstance(record, Appointment):
            exceptions.note(link, record, self.pairs.exceptions(link, record, entry, made))
        links.note_merge(link, made, record=record, now=self.clock())
        return link

    def _link_to(self, record: Owned, folder: Folder) -> ItemLink:
        return links.new_link(
            self.mailbox, self.kind, record.pk, born_in=Side.EXCHANGE, folder=folder, now=self.clock()
        )

    def _compare(self, found: Sequence[ItemLink], announced: Mapping[str, str]) -> list[Action]:
        """Bring linked entries that changed into step. `announced`: the change keys that were told of, by item id."""
        before = {link.pk: link.change_key for link in found}
        records = links.records_by_id(self.kind, (link.record_id for link in found), self.owner)
        pairs = [(link, records[link.record_id]) for link in found if link.record_id in records]
        unread = self.pairs.compare(pairs)
        actions: list[Action] = []
        for link, _record in pairs:
            error = unread.get(link.item_id)
            if link.unlinked_at is not None and link.reason in _NOT_SHARED:
                actions.append(Refuse(link.item_id, link.change_key, "", _NOT_SHARED[link.reason]))
            elif error is None:
                # A link that keeps its old key is compared once more; what was looked at is the version announced.
                stayed = link.change_key == before[link.pk]
                key = announced.get(link.item_id, "") if stayed else ""
                actions.append(Keep(link.item_id, key or link.change_key, Outcome.UPDATED, Reason.IN_STEP))
            elif not isinstance(error, ItemGone):
                actions.append(Fail(link.item_id, "", Reason.UNREADABLE, error.code, error.detail))
        return actions

    # -- what changed in the CRM

    def push(self, folder: Folder, *, full: bool, pause: Callable[[], bool]) -> bool:
        """Bring records that changed, came or went into step with the mailbox; `full` looks at every linked one.

        Return whether there is more: what was done stays, and the rest is found again.
        """
        state = self._state()
        began = self.clock()
        rules = links.rules_digest(self.owner, self.pairs.directions, self.pairs.files.direction)
        # What was closed may be open now, or the other way round, with nothing changed on either side.
        self._anew = state.rules not in ("", rules)
        everything = full or self._anew or state.records_seen_at is None
        since = None if everything or state.records_seen_at is None else state.records_seen_at - links.OVERLAP
        if self._anew:
            self.pairs.files.forget()
        self._unfinished(folder)
        if self._changed_records(folder, since, began, pause):
            return True
        self._end_gone(state, everything=everything)
        self.removals.carry_out(state, everything=everything)
        if not links.note_seen(state, rules, run=self.run, began=began):
            raise LeaseLost
        return False

    def _state(self) -> LinkState:
        found = LinkState.objects.filter(mailbox=self.mailbox, kind=self.kind).first()
        if found is None:
            with leased(self.run, self.clock()):
                found, _made = LinkState.objects.get_or_create(mailbox=self.mailbox, kind=self.kind)
        return found

    def _unfinished(self, folder: Folder) -> None:
        """Make the entries of links whose making was cut short."""
        if not self.standing.unfinished(self.kind):
            return
        waiting = list(ItemLink.objects.filter(mailbox=self.mailbox, kind=self.kind, item_id="", unlinked_at=None))
        records = links.records_by_id(self.kind, (link.record_id for link in waiting), self.owner)
        for link in waiting:
            if link.record_id in records:
                self._make(link, records[link.record_id], folder, again=True)
            else:
                self.removals.end(link, "record_gone_before_entry")

    def _changed_records(
        self, folder: Folder, since: datetime | None, now: datetime, pause: Callable[[], bool]
    ) -> bool:
        asker = links.asker_of(self.mailbox, now)
        flow = flowing(self.kind, self.standing.filters(self.kind), self.owner, asker)
        self.broken = flow.broken
        if since is None:
            active = ItemLink.objects.filter(mailbox=self.mailbox, kind=self.kind, unlinked_at=None)
            found = {*flow.records.values_list("pk", flat=True), *active.values_list("record_id", flat=True)}
        else:
            changed = MODELS[self.kind]._default_manager.filter(modified_at__gte=since)
            # What neither flows nor is linked concerns others: an import of theirs is not gone through by every mailbox.
            linked = ItemLink.objects.filter(mailbox=self.mailbox, kind=self.kind).order_by().values("record_id")
            found = {
                *flow.records.filter(modified_at__gte=since).values_list("pk", flat=True),
                *changed.filter(pk__in=linked).values_list("pk", flat=True),
            }
        ids = sorted(found)
        for start in range(0, len(ids), PUSHED_AT_ONCE):
            self._part_of_records(folder, ids[start : start + PUSHED_AT_ONCE], flow)
            if start + PUSHED_AT_ONCE < len(ids) and self.count.written and pause():
                return True
        return False

    def _part_of_records(self, folder: Folder, ids: Sequence[int], flow: Flow) -> None:
        linked = {
            link.record_id: link
            for link in ItemLink.objects.filter(mailbox=self.mailbox, kind=self.kind, record_id__in=ids)
        }
        seen = links.records_by_id(self.kind, ids, self.owner)
        flows = set(flow.records.filter(pk__in=ids).values_list("pk", flat=True))
        pairs: list[tuple[ItemLink, Owned]] = []
        for record_id in ids:
            link, record = linked.get(record_id), seen.get(record_id)
            if link is not None:
                if self._to_compare(link, record, flows=record_id in flows) and record is not None:
                    pairs.append((link, record))
            elif record is not None and record_id in flows and not is_past(record, self.clock()):
                self._make(self._new_link(record, folder), record, folder, again=False)
        came_back = {link.item_id for link, _record in pairs if link.item_id in self._revived}
        for item_id, error in self.pairs.compare(pairs).items():
            if not isinstance(error, ItemGone):
                continue  # It is compared when it can be read again: what was seen of the record has not moved on.
            gone = ItemLink.objects.filter(mailbox=self.mailbox, item_id=item_id, gone_at=None)
            with leased(self.run, self.clock()):
                if item_id in came_back:
                    # Its owner tidied it away while it was not linked: that says nothing about the record.
                    gone.update(unlinked_at=self.clock(), reason="entry_vanished")
                else:
                    gone.update(gone_at=self.clock())

    def _to_compare(self, link: ItemLink, record: Owned | None, *, flows: bool) -> bool:
        """Tell whether a pair is to be compared, because the record changed or came back; its end is noted."""
        if link.unlinked_at is not None:
            return record is not None and flows and self._revive(link, record)
        if not link.item_id or link.gone_at is not None:
            return False
        if record is None:
            self.removals.add(link, self._why_unseen(link.record_id))
            return False
        if link.born_in == Side.CRM and not flows and not self.broken:
            self.removals.add(link, Event.FILTER_LEFT)
            return False
        return self._anew or record.modified_at != link.record_seen_at

    def _revive(self, link: ItemLink, record: Owned) -> bool:
        """Take up a link whose record came back into sight; return whether there is an entry to compare with."""
        if link.reason in MAY_RETURN:
            with leased(self.run, self.clock()):
                links.revive(link)
            self._revived.add(link.item_id)
            return True
        corrected = not link.item_id and link.unlinked_at is not None and record.modified_at > link.unlinked_at
        if link.reason in TOOK_ENTRY_ALONG or corrected:
            # Its entry is gone, or was refused as the record then was: it is made anew, by the next look.
            with leased(self.run, self.clock()):
                links.start_anew(link)
        return False

    def _why_unseen(self, record_id: int) -> Event:
        """Say why the owner does not see a record: a deletion counts only if they could have seen it until then."""
        rows = MODELS[self.kind]._default_manager.filter(pk=record_id)
        if not self.owner.has_perm(privileges.READ_ALL_RECORDS):
            rows = rows.filter(owner=self.owner)
        return Event.RECORD_DELETED if rows.filter(deleted_at__isnull=False).exists() else Event.ACCESS_LOST

    def _new_link(self, record: Owned, folder: Folder) -> ItemLink:
        with transaction.atomic():
            keep_lease(self.run, self.clock())
            return links.new_link(self.mailbox, self.kind, record.pk, born_in=Side.CRM, folder=folder, now=self.clock())

    def _make(self, link: ItemLink, record: Owned, folder: Folder, *, again: bool) -> None:
        try:
            self.pairs.make_entry(link, record, folder.provider_id, again=again)
        except WriteRefused as error:
            self.count.refused[error.code] = self.count.refused.get(error.code, 0) + 1
            self.removals.end(link, error.code)
        except ItemUnreadable as error:
            # It was made before a crash and cannot be read now: it is looked for again, and holds up no other.
            self.count.refused[error.code] = self.count.refused.get(error.code, 0) + 1
        else:
            self.count.linked += 1

    # -- what is gone

    def _end_gone(self, state: LinkState, *, everything: bool) -> None:
        """Deal with entries that left their folder a while ago and have not turned up again."""
        if not self.standing.gone(self.kind):
            return
        gone = ItemLink.objects.filter(
            mailbox=self.mailbox, kind=self.kind, unlinked_at=None, gone_at__lte=self.clock() - links.GRACE
        )
        if state.released_at is None and not everything:
            # What the brake holds was judged; judging costs a request each.
            gone = gone.exclude(pk__in=[each["link"] for each in state.brake])
        for link in gone:
            self.removals.add(link, Event.ENTRY_GONE)


def _is_new(change: Change, item: KnownItem | None, *, ended: bool) -> bool:
    """Tell whether an entry is to be judged by its marks. `ended`: it was linked until its owner kept it to themselves."""
    if item is None:
        return True
    # What was left alone is looked at again when it changed: its owner may have marked it.
    changed = not change.change_key or change.change_key != item.change_key
    return (ended or item.outcome in (Outcome.REFUSED, Outcome.QUARANTINED)) and changed


def _refuse(marks: Marks, reason: Reason) -> Refuse:
    return Refuse(marks.item_id, marks.change_key, "", reason)


def _unreadable(change: Change, error: ItemUnreadable) -> Action:
    if isinstance(error, ItemGone):
        return Fail(change.item_id, change.change_key, Reason.UNREADABLE, GONE)
    return Fail(change.item_id, change.change_key, Reason.UNREADABLE, error.code, error.detail)
