"""What must hold whatever happens, looked at after every run and once it is quiet (`tests/tracking/linked/chaos.py`).

After every run: no word is lost; nothing was changed against a direction, a right, or by anybody but an organiser;
nothing of other mailboxes was touched; nobody was told of anything; every version of an item was decided on once at
most, and of mail as the option in force says. Once it is quiet: both sides say the same, nothing is there twice.
"""

from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, NamedTuple

from django.db import connection
from django.db.models import Q

from mailboxes.provider.entries import FIELDS, TOLD, Entry, EntryKind, Field, FullName, canonical
from mailboxes.provider.memory.entries import Kept
from mailboxes.provider.memory.store import Item
from mailboxes.provider.port import FolderRole
from mailboxes.states import Track
from security.models import User
from tests.tracking.linked.chaos import COLUMN, NAME, ROLES, TEXT, Chaos, Person
from tracking.engine.filter_queries import MODELS
from tracking.linked import links
from tracking.linked.compare import CATEGORY
from tracking.linked.records import values_of
from tracking.models import Activity, Appointment, FieldConflict, Holder, ItemDecision, ItemLink, OccurrenceChange
from tracking.sync.directions import Direction
from tracking.sync.facts import Reason
from tracking.sync.merge import Withheld

# Full passes after which nothing may change any more.
ROUNDS: Final = 8

_RECORDS: Final = " UNION ALL ".join(
    f"SELECT '{kind}', id, owner_id, deleted_at IS NOT NULL, {COLUMN[NAME[kind]]}, {COLUMN[TEXT[kind]]}"  # noqa: S608 -- our own names
    f" FROM {MODELS[kind]._meta.db_table}"
    for kind in EntryKind
)

# Fields of a series: while one of them differs, occurrences are left as they are on each side.
_SERIES: Final = frozenset({Field.SPAN, Field.RECURRENCE, Field.SUBJECT})
_DAYS: Final = f"SELECT COALESCE(values->>'subject', '') FROM {OccurrenceChange._meta.db_table}"  # noqa: S608 -- our own name


class Row(NamedTuple):
    """What matters of a record."""

    owner: int | None
    deleted: bool
    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Lying:
    """What matters of an entry: where it lies, what it is, as of which change."""

    person: int
    role: FolderRole
    kept: Kept
    change_key: str

    def word(self, field: Field) -> str:
        """Return what stands in a field, as the word it is."""
        value = self.kept.values.get(field)
        return value.last if isinstance(value, FullName) else str(value or "")


@dataclass(frozen=True, slots=True)
class Picture:
    """Both sides at one moment: records by kind and id, words of their occurrences, entries by item id."""

    records: dict[tuple[EntryKind, int], Row]
    days: set[str]
    entries: dict[str, Lying]

    def words_there(self) -> set[str]:
        """Return every word of an entry, or of an occurrence of one, wherever it lies."""
        words = {lying.word(field) for lying in self.entries.values() for field in _fields(lying.kept.kind)}
        days = (each for lying in self.entries.values() for each in lying.kept.exceptions)
        return words | {str(each.values.get(Field.SUBJECT) or "") for each in days}

    def words_here(self) -> set[str]:
        """Return every word of a record, thrown away or not."""
        return {word for row in self.records.values() for word in (row.name, row.text)} | self.days


def _fields(kind: EntryKind) -> tuple[Field, Field]:
    return NAME[kind], TEXT[kind]


class Watch:
    """Looks at a `Chaos` from outside, and says when something is wrong."""

    def __init__(self, chaos: Chaos) -> None:
        self.chaos = chaos
        chaos.watched = self.run
        self.decided: Counter[tuple[str, str]] = Counter()
        self.born: Counter[str] = Counter()

    def picture(self) -> Picture:
        """Return both sides as they are now."""
        with connection.cursor() as cursor:
            cursor.execute(_RECORDS)
            records = {(EntryKind(kind), pk): Row(*rest) for kind, pk, *rest in cursor.fetchall()}
            cursor.execute(_DAYS)
            days = {word for (word,) in cursor.fetchall()}
        entries = {
            item.id: Lying(number, item.folder.role, item.entry, item.change_key)
            for number, person in enumerate(self.chaos.people)
            for item in self.chaos.items(person)
            if item.entry
        }
        return Picture(records, days, entries)

    # -- after a run

    def run(self, person: Person, *, full: bool) -> None:
        """Do one run, and look at what it did."""
        before = self.picture()
        began = self.chaos.office.now
        self.chaos.sync(person, full=full)
        after = self.picture()
        assert self.chaos.server.notices == []
        assert self.chaos.server.sent == []
        self._nothing_lost(before, after)
        self._entries_written(person, before, after)
        self._records_written(person, before, after)
        self._decided(person, began)

    def _nothing_lost(self, before: Picture, after: Picture) -> None:
        """A word of one side alone does not go from there, unless it came to the other side or is kept in a conflict."""
        here, there = before.words_here(), before.words_there()
        alone = (here ^ there) - self.chaos.taken_back - {""}
        gone = alone - after.words_here() - after.words_there()
        if gone:
            kept = {_word(v) for row in FieldConflict.objects.all() for v in (row.ours, row.theirs)}
            assert gone <= kept, f"{gone - kept} was lost"

    def _entries_written(self, person: Person, before: Picture, after: Picture) -> None:
        me = self.chaos.people.index(person)
        for item_id, lying in after.entries.items():
            was = before.entries.get(item_id)
            if was == lying:
                continue
            assert lying.person == me, "an entry of another mailbox was changed"
            if was is None:
                # What was tracked by a run that died before it marked the entry goes to the bin as it is.
                binned = lying.role is FolderRole.DELETED
                assert lying.kept.stamp or binned, "an entry was made without a stamp"
                continue
            assert was.kept.sensitivity != "Private", "a private entry was written"
            assert not _left_alone(was.kept), "somebody else's task, or one that comes again, was written"
            assert was.kept.exceptions == lying.kept.exceptions or was.kept.organized_here, "others' series was written"
            for field in _fields(lying.kept.kind):
                if was.word(field) != lying.word(field):
                    assert was.kept.organized_here, "somebody else's meeting was written"
                    link = ItemLink.objects.filter(mailbox=person.mailbox, item_id=item_id).first()
                    self._may_flow(person, lying.kept.kind, field, link, out=True)
        for item_id in before.entries.keys() - after.entries.keys():
            gone = before.entries[item_id]
            assert gone.person == me
            binned = [each for each in after.entries.values() if each.role is FolderRole.DELETED]
            assert any(each.kept.stamp == gone.kept.stamp for each in binned), "an entry is gone for good"

    def _records_written(self, person: Person, before: Picture, after: Picture) -> None:
        me = person.user.pk
        for (kind, pk), row in after.records.items():
            was = before.records.get((kind, pk))
            if was == row:
                continue
            if was is None:
                assert row.owner == me, "a record was made for somebody else"
                self.born[row.name] += 1
                assert self.born[row.name] <= 1 + self.chaos.copies[row.name], "an entry became two records"
                continue
            assert was.owner in (me, None), "somebody else's record was written"
            assert row.owner == was.owner
            for field, old, new in zip(_fields(kind), was[2:], row[2:], strict=True):
                if old != new:
                    link = ItemLink.objects.filter(mailbox=person.mailbox, kind=kind, record_id=pk).first()
                    self._may_flow(person, kind, field, link, out=False)
        assert before.records.keys() <= after.records.keys()

    def _may_flow(self, person: Person, kind: EntryKind, field: Field, link: ItemLink | None, *, out: bool) -> None:
        direction = links.directions_of(person.mailbox, kind)[field]
        assert direction.reaches_exchange if out else direction.reaches_crm, f"{field} was written against {direction}"
        assert link is not None
        record = MODELS[kind]._default_manager.get(pk=link.record_id)
        reads_all = User.objects.get(pk=person.user.pk).has_perm("security.read_all_records")
        assert record.owner_id == person.user.pk or (out and reads_all), "written against a right"

    def _decided(self, person: Person, began: Any) -> None:
        """Every version of an item is decided on once; mail as the option says, entries without a second record."""
        rows = ItemDecision.objects.filter(mailbox=person.mailbox, decided_at__gte=began)
        for item_id, key, outcome, reason, activity in rows.values_list(
            "item_id", "change_key", "outcome", "reason", "activity"
        ):
            if outcome in ("quarantined", "discarded") or reason == Reason.COPY_OF_LINKED:
                continue
            self.decided[item_id, key] += 1
            assert self.decided[item_id, key] == 1, f"decided twice: {item_id} {reason}"
            mail = activity is not None or reason == Reason.TRACKING_OFF
            if mail and person.mailbox.track == Track.ALL:
                assert outcome in ("tracked", "updated")

    # -- once it is quiet

    def settle(self) -> None:
        """Let everything heal and run until nothing changes any more."""
        self.chaos.calm()
        for number in range(ROUNDS):
            before = self._all()
            self.chaos.office.now += timedelta(days=1, minutes=15)
            self.chaos.calm()
            for person in self.chaos.people:
                self.run(person, full=True)
            if self._all() == before and number:
                return
        raise AssertionError(f"it does not come to rest: {_differences(before, self._all())}")

    def _all(self) -> tuple[Any, ...]:
        picture = self.picture()
        rows = ItemLink.objects.order_by("pk").values_list(
            "pk", "item_id", "change_key", "reason", "unlinked_at", "withheld"
        )
        return picture.records, {i: (e.person, e.role, e.change_key) for i, e in picture.entries.items()}, list(rows)

    def check(self) -> None:
        """Assert that both sides say the same, and hold everything once."""
        picture = self.picture()
        for person in self.chaos.people:
            self._check_links(person)
            self._check_complete(person)
            self._check_marked(person)
            self._check_mail(person)
        born = ItemLink.objects.filter(born_in="exchange").values("kind", "record_id").distinct().count()
        assert len(picture.records) == self.chaos.records_made + born, "there are more records than were made"

    def _check_links(self, person: Person) -> None:
        links_of = list(ItemLink.objects.filter(mailbox=person.mailbox, unlinked_at=None))
        there = {item.id: item for item in self.chaos.items(person) if item.entry}
        for link in links_of:
            item = there[link.item_id]
            assert item.entry is not None
            assert item.folder.role == ROLES[EntryKind(link.kind)]
            self._check_pair(person, link, item.entry.entry(item.id, item.change_key))
        active = {link.stamp for link in links_of}
        stamps = Counter(
            item.entry.stamp for item in there.values() if item.entry and item.folder.role is not FolderRole.DELETED
        )
        copied = set(ItemLink.objects.filter(copied=True).values_list("stamp", flat=True))
        assert all(stamps[stamp] <= 1 for stamp in active - copied), "an entry is there twice"

    def _check_pair(self, person: Person, link: ItemLink, entry: Entry) -> None:
        kind = EntryKind(link.kind)
        record = MODELS[kind]._default_manager.get(pk=link.record_id)
        assert record.deleted_at is None
        assert entry.marks.sensitivity != "Private"
        left_alone = entry.assigned or (entry.recurring and kind is EntryKind.TASK)
        assert not left_alone
        ours, directions = values_of(record, person.user), links.directions_of(person.mailbox, kind)
        for field in FIELDS[kind].keys() - TOLD - {Field.REGARDING}:
            mine, theirs = canonical(kind, field, ours[field]), canonical(kind, field, entry.values.get(field))
            if mine == theirs or directions[field] is Direction.NONE:
                continue
            why = link.withheld.get(field)
            assert why, (kind, field, mine, theirs, link.withheld, link.born_in)
            self._check_excuse(why, directions[field], mine_too=record.owner_id == person.user.pk, entry=entry)

        if isinstance(record, Appointment) and not _SERIES & link.withheld.keys():
            self._check_days(link, record, entry)

    def _check_days(self, link: ItemLink, record: Appointment, entry: Entry) -> None:
        """Both sides say the same of every occurrence, or it is said why not."""
        ours = {row.original: (row.cancelled, row.values.get(Field.SUBJECT)) for row in record.changes.all()}
        theirs = {each.original: (each.cancelled, each.values.get(Field.SUBJECT)) for each in entry.exceptions}
        for original in ours.keys() | theirs.keys():
            mine, other = ours.get(original, (False, None)), theirs.get(original, (False, None))
            same = mine == other or (mine[0] and other[0])
            assert same or link.exceptions_withheld.get(original.isoformat()), (original, mine, other, link.withheld)

    def _check_excuse(self, why: str, direction: Direction, *, mine_too: bool, entry: Entry) -> None:
        match why:
            case Withheld.DIRECTION:
                assert direction is not Direction.BOTH
            case Withheld.MAY_NOT_WRITE:
                assert not mine_too
            case Withheld.NOT_ORGANIZER:
                assert not entry.organized_here
            case _:
                raise AssertionError(why)

    def _check_complete(self, person: Person) -> None:
        """Whatever flows is linked, or was let go for a reason."""
        for kind in EntryKind:
            flowing = set(
                links.flowing_records(person.mailbox, kind, self.chaos.office.now).records.values_list("pk", flat=True)
            )
            known = ItemLink.objects.filter(mailbox=person.mailbox, kind=kind).exclude(unlinked_at=None, item_id="")
            assert flowing <= set(known.values_list("record_id", flat=True)), "a record that flows has no entry"

    def _check_marked(self, person: Person) -> None:
        """Whatever was marked became a record, or was let go of for a reason; whatever was not is as it was written."""
        for item in self.chaos.items(person):
            kept = item.entry
            if kept is None or item.folder.role is not ROLES[kept.kind] or kept.sensitivity == "Private":
                continue
            if _left_alone(kept):
                continue
            known = Q(stamp=kept.stamp) | Q(item_id=item.id) if kept.stamp else Q(item_id=item.id)
            if kept.uid:
                known |= Q(uid=kept.uid)
            link = ItemLink.objects.filter(known, mailbox=person.mailbox).first()
            assert link is not None or CATEGORY not in kept.categories or self._is_beside(item), "not tracked"

    def _is_beside(self, item: Item) -> bool:
        """Tell whether it was taken for a second copy of a meeting that is linked in its mailbox already."""
        return ItemDecision.objects.filter(item_id=item.id, reason=Reason.COPY_OF_LINKED).exists()

    def _check_mail(self, person: Person) -> None:
        """Every message in a followed folder is decided on; what is tracked is held once per copy."""
        mails = {
            item.id: item.mail.message_id for item in self.chaos.items(person)
            if item.entry is None and item.folder.role in (FolderRole.INBOX, FolderRole.SENT)
        }  # fmt: skip
        decided = ItemDecision.objects.filter(
            mailbox=person.mailbox, folder__role__in=(FolderRole.INBOX, FolderRole.SENT)
        )
        assert set(decided.values_list("item_id", flat=True)) == set(mails)
        tracked = set(decided.exclude(outcome="refused").values_list("item_id", flat=True))
        held = Holder.objects.filter(mailbox=person.mailbox, removed_at=None).select_related("activity")
        assert {row.item_id: row.activity.message_id for row in held} == {i: mails[i] for i in tracked}
        ids = list(Activity.objects.values_list("message_id", flat=True))
        assert len(ids) == len(set(ids))


def _left_alone(kept: Kept) -> bool:
    return kept.kind is EntryKind.TASK and (kept.assigned or kept.recurring)


def _word(value: Any) -> str:
    return value.get("last", "") if isinstance(value, dict) else str(value)


def _differences(before: tuple[Any, ...], after: tuple[Any, ...]) -> list[Any]:
    return [
        {key: (b.get(key), a.get(key)) for key in b.keys() | a.keys() if b.get(key) != a.get(key)}
        if isinstance(b, dict) else [pair for pair in zip(b, a, strict=False) if pair[0] != pair[1]]
        for b, a in zip(before, after, strict=True)
    ]  # fmt: skip
