"""What must hold of an organisation once it is quiet, looked at from outside: over EWS, and in the database.

Both sides say the same, or why not; nothing is lost and nothing is there twice; no word went a way that was closed to it
by a direction or a right; nobody's meeting but one's own was written; every mail is decided on as the option said.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Any

from django.db.models import Q
from django.utils import timezone

from mailboxes.connection import open_provider
from mailboxes.models import Folder, Mailbox
from mailboxes.provider.entries import FIELDS, TOLD, Entry, EntryKind, Field, FullName, canonical
from mailboxes.provider.port import FolderRole
from mailboxes.sandbox.contents import text_of
from mailboxes.states import Track
from tests.proofs.owners import COLUMN, KINDS, NAME, PLACES, TEXT, Organisation, Person, Word, kind_of
from tracking.engine.filter_queries import MODELS
from tracking.linked import links
from tracking.linked.compare import CATEGORY
from tracking.linked.records import values_of
from tracking.models import Activity, FieldConflict, Holder, ItemDecision, ItemFailure, ItemLink, TrackedFolder
from tracking.sync.directions import Direction
from tracking.sync.merge import Withheld


@dataclass(frozen=True)
class Lying:
    """An entry as EWS tells it, and the folder in which it lies."""

    place: str
    entry: Entry

    @property
    def kind(self) -> EntryKind:
        """Return what it is."""
        return self.entry.marks.kind

    def word(self, name: Field) -> str:
        """Return what stands in a field, as the word it is."""
        return word_of(self.entry.values.get(name))


class Check:
    """One look at an organisation."""

    def __init__(self, organisation: Organisation) -> None:
        self.of = organisation
        self.rows = [
            row for model in MODELS.values()
            for row in model._default_manager.filter(owner__in=[each.user for each in organisation.people])
        ]  # fmt: skip
        self.lying = [self._lying(person) for person in organisation.people]

    def _lying(self, person: Person) -> dict[str, Lying]:
        places = {item.id: item.folder.distinguished for item in self.of.items(person) if item.content.kind in KINDS}
        mailbox = Mailbox.objects.select_related("server").get(pk=person.mailbox.pk)
        found = open_provider(mailbox).entries(list(places)) if places else []
        assert all(isinstance(entry, Entry) for entry in found), found
        return {
            entry.marks.item_id: Lying(places[entry.marks.item_id], entry)
            for entry in found
            if isinstance(entry, Entry)
        }

    def all(self) -> None:
        """Assert everything."""
        self._nothing_lost()
        self._nothing_more()
        for person, lying in zip(self.of.people, self.lying, strict=True):
            home = {i: each for i, each in lying.items() if each.place == PLACES[each.kind]}
            self._in_step(person, home)
            self._complete(person)
            self._marked(person, home)
            self._ways(person, lying)
            self._mail(person)
        self._ways_of_records()

    # -- nothing lost, nothing twice

    def _nothing_lost(self) -> None:
        said = {each.word(name) for lying in self.lying for each in lying.values() for name in names(each.kind)}
        said |= {getattr(row, COLUMN[name]) for row in self.rows for name in names(kind_of(row))}
        boxes = [person.mailbox for person in self.of.people]
        of_words = {name for kind in EntryKind for name in names(kind)}
        for row in FieldConflict.objects.filter(link__mailbox__in=boxes, field__in=of_words):
            said |= {stored_word(row.ours), stored_word(row.theirs)}
        lost = self.of.words.keys() - self.of.taken_back - said
        assert not lost, f"lost: {[(text, self.of.words[text]) for text in lost]}"
        unknown = said - self.of.words.keys() - {""}
        assert not unknown, f"nobody wrote {unknown}"

    def _nothing_more(self) -> None:
        """No record but those that people made, and one of each entry that its owner had tracked."""
        boxes = [person.mailbox for person in self.of.people]
        born = ItemLink.objects.filter(mailbox__in=boxes, born_in="exchange").values("kind", "record_id").distinct()
        assert len(self.rows) == self.of.records_made + born.count(), "there are more records than were made"

    # -- in step

    def _in_step(self, person: Person, home: dict[str, Lying]) -> None:
        active = list(ItemLink.objects.filter(mailbox=person.mailbox, unlinked_at=None))
        for link in active:
            self._pair(person, link, home[link.item_id].entry)
        copied = set(ItemLink.objects.filter(copied=True).values_list("stamp", flat=True))
        stamps = Counter(each.entry.marks.stamp for each in home.values())
        once = {link.stamp for link in active} - copied
        assert all(stamps[stamp] <= 1 for stamp in once), "an entry is there twice"

    def _pair(self, person: Person, link: ItemLink, entry: Entry) -> None:
        kind = EntryKind(link.kind)
        record = MODELS[kind]._default_manager.get(pk=link.record_id)
        assert record.deleted_at is None
        assert entry.marks.sensitivity != "Private"
        ours, directions = values_of(record, person.user), links.directions_of(person.mailbox, kind)
        for name in FIELDS[kind].keys() - TOLD - {Field.REGARDING}:
            mine, theirs = canonical(kind, name, ours[name]), canonical(kind, name, entry.values.get(name))
            if mine == theirs or directions[name] is Direction.NONE:
                continue
            excused = {
                Withheld.DIRECTION: directions[name] is not Direction.BOTH,
                Withheld.MAY_NOT_WRITE: record.owner_id != person.user.pk,
                Withheld.NOT_ORGANIZER: not entry.organized_here,
            }
            why = link.withheld.get(name)
            assert excused.get(why), (person.address, kind, name, mine, theirs, link.pk, link.withheld, link.born_in)

    def _complete(self, person: Person) -> None:
        """Whatever flows is linked, or was let go for a reason."""
        for kind in EntryKind:
            flowing = links.flowing_records(person.mailbox, kind, timezone.now()).records
            known = ItemLink.objects.filter(mailbox=person.mailbox, kind=kind).exclude(unlinked_at=None, item_id="")
            missing = set(flowing.values_list("pk", flat=True)) - set(known.values_list("record_id", flat=True))
            assert not missing, f"{kind} {missing} of {person.address} flow and have no entry"

    def _marked(self, person: Person, home: dict[str, Lying]) -> None:
        """Whatever was marked became a record, or was let go of for a reason."""
        for item_id, lying in home.items():
            marks = lying.entry.marks
            if CATEGORY not in marks.categories or marks.sensitivity == "Private":
                continue
            known = Q(item_id=item_id)
            if marks.stamp:
                known |= Q(stamp=marks.stamp.lower())
            if marks.uid:
                known |= Q(uid=marks.uid)
            assert ItemLink.objects.filter(known, mailbox=person.mailbox).exists(), f"{item_id} was marked in vain"

    # -- directions and rights

    def _ways(self, person: Person, lying: dict[str, Lying]) -> None:
        """No word came into an entry by a way that was closed from when it was written."""
        me = self.of.people.index(person)
        for item_id, each in lying.items():
            link = self._link(person, each.entry)
            for name in names(each.kind):
                word = self.of.words.get(each.word(name))
                if word is None or word.person == me:
                    continue
                assert each.entry.organized_here, f"somebody else's meeting was written: {item_id}"
                assert self._flowed(word, out=True), f"{word} went to an entry of {person.address}"
                record = word.record or (link.record_id if link else None)
                if record is not None:
                    self._same_record(word, record)
                    seen = True in person.reads_all.since(word.step) or person.user.pk in self._owners(
                        word.kind, record, word.step
                    )
                    assert seen, f"{person.address} was shown {word} of record {record}"

    def _link(self, person: Person, entry: Entry) -> ItemLink | None:
        known = Q(item_id=entry.marks.item_id) | Q(stamp=entry.marks.stamp.lower() or "-")
        return ItemLink.objects.filter(known, mailbox=person.mailbox).first()

    def _ways_of_records(self) -> None:
        """No word came into a record by a way that was closed, or by one who may not write it."""
        for row in self.rows:
            for name in names(kind_of(row)):
                word = self.of.words.get(getattr(row, COLUMN[name]))
                if word is not None:
                    self._same_record(word, row.pk)

    def _same_record(self, word: Word, record: int) -> None:
        """Assert that a word may stand in a record."""
        if word.person is None:
            assert word.record == record, f"{word} is in record {record}"
            return
        assert self._flowed(word, out=False), f"{word} went to record {record}"
        writer = self.of.people[word.person].user.pk
        assert writer in self._owners(word.kind, record, word.step), f"{word} was written to somebody else's record"

    def _flowed(self, word: Word, *, out: bool) -> bool:
        ways = self.of.directions[word.kind].since(word.step) if word.name == TEXT[word.kind] else {Direction.BOTH}
        return any(way.reaches_exchange if out else way.reaches_crm for way in ways)

    def _owners(self, kind: EntryKind, record: int, step: int) -> set[int | None]:
        law = self.of.owners.get((kind, record))
        if law is not None:
            return law.since(step)
        return {row.owner_id for row in self.rows if row.pk == record and kind_of(row) is kind}

    # -- mail

    def _mail(self, person: Person) -> None:
        """Every message in a followed folder is decided on, as the option said; what is tracked is held once per copy."""
        followed = {
            row.provider_id: row for row in Folder.objects.filter(mailbox=person.mailbox, followed=True, gone_at=None)
        }
        assert {FolderRole.INBOX, FolderRole.SENT} <= {row.role for row in followed.values()}
        there = {
            item.id: text_of(item.content, "InternetMessageId") for item in self.of.items(person)
            if item.content.kind not in KINDS and item.folder.id in followed
        }  # fmt: skip
        assert set(there.values()) <= self.of.mails.keys(), "mail that nobody sent arrived"
        decided = dict(
            ItemDecision.objects.filter(mailbox=person.mailbox, folder__in=followed.values()).values_list(
                "item_id", "outcome"
            )
        )
        assert decided.keys() >= there.keys(), "mail was not decided on"
        gone = {i for i in decided.keys() - there.keys() if not self._is_entry(person, i)}
        assert not gone, "mail that is gone is held to be there"
        tracked = {i: key for i, key in there.items() if decided[i] != "refused"}
        for item_id, key in there.items():
            if item_id not in tracked:
                assert Track.NONE in person.track.since(self.of.mails[key]), f"{key} was refused by {person.address}"
        if not TrackedFolder.objects.filter(mailbox=person.mailbox).exists():
            for key in tracked.values():
                assert Track.ALL in person.track.since(self.of.mails[key]), f"{key} was tracked by {person.address}"
        held = Holder.objects.filter(mailbox=person.mailbox, removed_at=None).select_related("activity")
        assert {row.item_id: row.activity.message_id for row in held} == tracked
        kept = Counter(Activity.objects.filter(message_id__in=self.of.mails).values_list("message_id", flat=True))
        assert all(number == 1 for number in kept.values()), "mail is kept twice"
        failures = ItemFailure.objects.filter(mailbox=person.mailbox, resolved_at=None)
        assert not failures.exists(), list(failures.values())

    def _is_entry(self, person: Person, item_id: str) -> bool:
        return item_id in self.lying[self.of.people.index(person)]


def names(kind: EntryKind) -> tuple[Field, Field]:
    """Return the fields of a kind that words are written in."""
    return NAME[kind], TEXT[kind]


def word_of(value: Any) -> str:
    """Return a value of a name or a text as the word it is."""
    return value.last if isinstance(value, FullName) else str(value or "").strip()


def stored_word(value: Any) -> str:
    """Return a value as conflicts store it as the word it is."""
    return value.get("last", "") if isinstance(value, dict) else str(value or "")
