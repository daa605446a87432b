"""Exceptions of a series in one mailbox: read on both sides, settled by the pure plan, written one by one.

The one idea: an exception is written to its occurrence alone, never with its series, and only while the series still
says what was decided on. An occurrence that is called off is taken out at the end of the run, where the deletion brake
counts it: a series once, however many of its days go.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

from mailboxes.provider.entries import Entry, EntryKind, Exceptional, Field, Value
from mailboxes.provider.errors import ChangedMeanwhile, ItemGone, ItemUnreadable, WriteRefused
from mailboxes.provider.writing import WholeProvider
from security.models import User
from tracking.linked.records import takeable, values_of
from tracking.models import Appointment, ItemLink, OccurrenceChange
from tracking.sync.codec import decode_all, encode_all
from tracking.sync.directions import Direction
from tracking.sync.exceptions import (
    OF_ITS_OWN,
    PLAIN,
    Own,
    Settled,
    Terms,
    Told,
    own_values,
    plain_values,
    settle_exceptions,
)
from tracking.sync.merge import Merge, Rights, Withheld

_KIND: Final = EntryKind.APPOINTMENT
# Stands for the whole occurrence where it is said what stayed apart; the same word as for a whole entry.
WHOLE: Final = "*"
_PATTERN: Final = frozenset({Field.SPAN, Field.RECURRENCE})


@dataclass(slots=True)
class Plan:
    """What becomes of the exceptions of one series; nothing when it has none, or when the sides differ in the series."""

    settled: dict[datetime, Settled] = field(default_factory=dict)
    # What the mailbox said when that was decided.
    theirs: Mapping[datetime, Told] = field(default_factory=dict)
    looked_at: bool = False

    @property
    def writes(self) -> list[datetime]:
        """Return the occurrences that are written to the mailbox."""
        return [original for original, each in self.settled.items() if each.to_exchange]

    @property
    def calls_off(self) -> bool:
        """Tell whether occurrences are to be taken out of the mailbox's series."""
        return any(each.call_off for each in self.settled.values())


def own_of(row: OccurrenceChange) -> Own:
    """Return what a row says."""
    return Own(decode_all(_KIND, row.values), row.cancelled)


def base_of(link: ItemLink) -> dict[datetime, Own] | None:
    """Return what both sides last agreed on; None when exceptions were never compared."""
    if link.exceptions_base is None:
        return None
    return {
        datetime.fromisoformat(key): Own(decode_all(_KIND, said["values"]), said["cancelled"])
        for key, said in link.exceptions_base.items()
    }


def theirs_of(entry: Entry, owner: User) -> tuple[dict[datetime, Told], set[datetime]]:
    """Return what the mailbox says of occurrences of its own, and those of which it does not say what."""
    said: dict[datetime, Told] = {}
    unknown: set[datetime] = set()
    for each in entry.exceptions:
        if not each.cancelled and not each.values:
            unknown.add(each.original)
            continue
        values = own_values(each.values, plain_values(entry.values, each.original))
        changed_at = each.modified_at or entry.marks.modified_at or each.original
        own = PLAIN if not each.cancelled and not values else Own(values, each.cancelled)
        said[each.original] = Told(own, changed_at, takeable(_KIND, values, owner).withheld)
    return said, unknown


@dataclass(frozen=True, slots=True)
class Rules:
    """What may flow between a series and its entry in the mailbox of `owner`, and what time it is."""

    owner: User
    directions: Mapping[Field, Direction]
    rights: Rights
    now: datetime


def plan(
    link: ItemLink, record: Appointment, entry: Entry, merged: Merge, *, rules: Rules, after: Plan | None = None
) -> Plan:
    """Say what becomes of the exceptions once the series itself is as `merged` has it; nothing is written.

    `after`: the plan before the series' pattern was written to the mailbox, which may have made it forget some: they
    are written again.
    """
    theirs, unknown = theirs_of(entry, rules.owner)
    ours = {row.original: Told(own_of(row), row.modified_at) for row in record.changes.all()}
    base = base_of(link)
    first_look = base is None and entry.recurring
    if not (theirs or ours or base or first_look) or _PATTERN & merged.withheld.keys():
        return Plan()
    if after is not None:
        ours = {
            at: replace(ours.get(at, Told(PLAIN, record.modified_at)), own=each.ours)
            for at, each in after.settled.items()
        }
        base = {at: told.own for at, told in theirs.items()}
    terms = Terms(
        {**values_of(record, rules.owner), **merged.to_crm},
        {name: way for name, way in rules.directions.items() if name in OF_ITS_OWN and name not in merged.withheld},
        rules.rights,
        rules.now,
        organized=entry.organized_here,
        fresh=after is not None or (base is None and link.born_in == "crm"),
        rewritten=bool(_PATTERN & merged.to_exchange.keys()) and after is None,
    )
    settled = settle_exceptions(
        base, ours, theirs, terms=terms, unknown=unknown,
        ours_at=record.modified_at, theirs_at=entry.marks.modified_at or record.modified_at,
    )  # fmt: skip
    return Plan(settled, theirs, looked_at=True)


@dataclass(frozen=True, slots=True)
class Occurrences:
    """Writes single occurrences of the series of one mailbox."""

    provider: WholeProvider
    owner: User
    beat: Callable[[], None]

    def write(
        self, link: ItemLink, entry: Entry, planned: Plan, wrote: Callable[[datetime, Own], None]
    ) -> tuple[int, list[WriteRefused]]:
        """Write what is planned to the occurrences; return how many were written, and what was refused.

        `wrote` is told of each what both agree on from that moment.
        What could not be written is said in the plan as well. Raises `ChangedMeanwhile` when the series does not say any
        more what was decided on: what was written by then is found to be agreed on.
        """
        written, refused = 0, list[WriteRefused]()
        waiting = planned.writes
        while waiting:
            original = waiting.pop(0)
            settled = planned.settled[original]
            try:
                if not self._write_one(link, entry, original, settled.to_exchange):
                    _stays(settled, link, original, Withheld.NO_OCCURRENCE)
                    continue
            except WriteRefused as error:
                _stays(settled, link, original, error.code)
                refused.append(error)
                continue
            written += 1
            wrote(original, settled.base)
            if waiting:
                entry = self._unchanged(entry, planned, waiting)
        return written, refused

    def _write_one(self, link: ItemLink, entry: Entry, original: datetime, values: Mapping[Field, Value]) -> bool:
        found = self._id_of(link, entry, original)
        if found is None:
            return False
        self.beat()
        try:
            self.provider.update_entry(*found, _KIND, values)
        except ItemGone as error:
            raise ChangedMeanwhile(error.detail) from error
        return True

    def _id_of(self, link: ItemLink, entry: Entry, original: datetime) -> tuple[str, str] | None:
        """Return id and change key of an occurrence; None when the mailbox's series has none."""
        listed = _listed(entry, original)
        if listed is not None:
            return listed.item_id, listed.change_key
        if link.folder is None:
            return None
        self.beat()
        marks = self.provider.occurrence(link.folder.provider_id, entry.marks.uid, original)
        return None if marks is None else (marks.item_id, marks.change_key)

    def _unchanged(self, entry: Entry, planned: Plan, waiting: list[datetime]) -> Entry:
        """Read the series again, whose change keys another write has moved on; what waits must say what it said."""
        again = self.read(entry.marks.item_id)
        said, _unknown = theirs_of(again, self.owner)
        for original in waiting:
            before, now = planned.theirs.get(original), said.get(original)
            if (before.own if before else PLAIN) != (now.own if now else PLAIN):
                raise ChangedMeanwhile(f"the occurrence of {original:%Y-%m-%d} was changed")
        return again

    def read(self, item_id: str) -> Entry:
        """Return a series; raises `ChangedMeanwhile` when it cannot be read any more."""
        self.beat()
        (entry,) = self.provider.entries([item_id])
        if isinstance(entry, ItemUnreadable):
            raise ChangedMeanwhile(entry.detail) from entry
        return entry

    def call_off(self, link: ItemLink, record: Appointment, now: datetime) -> int:
        """Take out of the mailbox's series what is called off here and still says what was decided on; return how many.

        The link is changed and not saved. Raises `ChangedMeanwhile` when the series cannot be read any more.
        """
        entry = self.read(link.item_id)
        if not entry.organized_here:
            return 0
        base, gone = base_of(link) or {}, 0
        theirs, unknown = theirs_of(entry, self.owner)
        for row in record.changes.filter(cancelled=True):
            agreed = base.get(row.original, PLAIN)
            told = theirs.get(row.original, Told(PLAIN, now)).own
            if agreed.cancelled or told != agreed or row.original in unknown:
                continue
            try:
                gone += self._take_out(link, entry, row.original)
            except WriteRefused as error:
                _say(link, row.original, {WHOLE: error.code})
            else:
                base[row.original] = Own(told.values, cancelled=True)
        link.exceptions_base = _encoded(base)
        return gone

    def _take_out(self, link: ItemLink, entry: Entry, original: datetime) -> bool:
        found = self._id_of(link, entry, original)
        if found is None:
            _say(link, original, {WHOLE: Withheld.NO_OCCURRENCE})
            return False
        self.beat()
        self.provider.delete_entry(found[0])
        return True


def _listed(entry: Entry, original: datetime) -> Exceptional | None:
    return next((each for each in entry.exceptions if each.original == original and not each.cancelled), None)


def _stays(settled: Settled, link: ItemLink, original: datetime, code: str) -> None:
    """Note that an occurrence could not be written: what both agree on is what it was, so that it is tried again."""
    settled.withheld[WHOLE] = code
    settled.base = (base_of(link) or {}).get(original, PLAIN)


def _say(link: ItemLink, original: datetime, withheld: Mapping[str, str]) -> None:
    link.exceptions_withheld = {**link.exceptions_withheld, original.isoformat(): dict(withheld)}


def _encoded(base: Mapping[datetime, Own]) -> dict[str, Any]:
    return {
        at.isoformat(): {"cancelled": own.cancelled, "values": encode_all(own.values)}
        for at, own in sorted(base.items())
        if own != PLAIN
    }


def note_agreed(link: ItemLink, original: datetime, own: Own) -> None:
    """Note that the mailbox says of an occurrence what the record said; nothing while the two were never compared."""
    base = base_of(link)
    if base is not None:
        link.exceptions_base = _encoded({**base, original: own})
        link.save(update_fields=["exceptions_base"])


def note(link: ItemLink, record: Appointment, planned: Plan) -> bool:
    """Store what was settled: the record's rows, and on the link what both agree on; return whether rows changed."""
    if not planned.looked_at:
        return False
    changed = [_note_row(record, original, each.ours) for original, each in planned.settled.items()]
    kept = {at: own for at, own in (base_of(link) or {}).items() if at not in planned.settled}
    link.exceptions_base = _encoded({**kept, **{at: each.base for at, each in planned.settled.items()}})
    link.exceptions_withheld = {at.isoformat(): each.withheld for at, each in planned.settled.items() if each.withheld}
    link.save(update_fields=["exceptions_base", "exceptions_withheld"])
    return any(changed)


def _note_row(record: Appointment, original: datetime, own: Own) -> bool:
    row = record.changes.filter(original=original).first()
    if row is None and own == PLAIN:
        return False
    if row is not None and own_of(row) == own:
        return False
    if own == PLAIN:
        record.changes.filter(original=original).delete()
    else:
        row = row or OccurrenceChange(appointment=record, original=original)
        row.cancelled, row.values = own.cancelled, encode_all(own.values)
        row.save()
    return True
