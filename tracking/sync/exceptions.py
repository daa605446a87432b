"""Occurrences of a series that differ from it, on both sides: what each says of its own, and what becomes of it.

The one idea: what an occurrence has of its own is what differs from its series, so that whatever it shares with the
series follows the series. Of its own it is merged as records are (`tracking.sync.merge`): base, ours, theirs. Being
called off is no value, since no mail system takes one occurrence back: it can be said, and not unsaid.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from mailboxes.provider.entries import EntryKind, Field, Recurrence, Span, Value, canonical
from mailboxes.provider.series import occurrence_span, takes_place
from tracking.sync.directions import Direction
from tracking.sync.merge import Conflict, Rights, Side, Version, Withheld, merge

# What one occurrence can have of its own. Who takes part is said by the series alone.
OF_ITS_OWN: Final[tuple[Field, ...]] = (
    Field.SUBJECT,
    Field.BODY,
    Field.LOCATION,
    Field.SPAN,
    Field.IMPORTANCE,
    Field.SHOW_AS,
)
# Stands beside the names of fields where it is said what stayed apart, or what both sides changed.
CANCELLED: Final = "cancelled"
_KIND: Final = EntryKind.APPOINTMENT


@dataclass(frozen=True, slots=True)
class Own:
    """What an occurrence has of its own: values that differ from those of its series, or that it is called off.

    One that is called off keeps the values that it had.
    """

    values: Mapping[Field, Value] = field(default_factory=dict)
    cancelled: bool = False


PLAIN: Final = Own()


@dataclass(frozen=True, slots=True)
class Told:
    """What one side says of an occurrence, and since when (aware UTC). `untakable` as in `Rights`."""

    own: Own
    changed_at: datetime
    untakable: Mapping[Field, Withheld] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Terms:
    """What holds for all occurrences: `series` as both sides have it by now, directions and rights of its fields.

    `directions` has only fields on which the sides agree in the series itself. `organized`: the mailbox's owner is the
    organiser. `fresh`: the series in the mailbox was just written as a whole, so that its past is ours to correct: what
    was called off must not come back with it. `rewritten`: ours is about to replace the pattern there.
    """

    series: Mapping[Field, Value]
    directions: Mapping[Field, Direction]
    rights: Rights
    now: datetime
    organized: bool = True
    fresh: bool = False
    rewritten: bool = False


@dataclass(slots=True)
class Settled:
    """What becomes of one occurrence: what the record has of its own from now on, and what is written to the mailbox.

    `call_off`: it is taken out of the series there. `base` is what both sides agree on once that is done; of one that
    is to be called off, what it said when that was decided.
    """

    ours: Own
    base: Own
    to_exchange: dict[Field, Value] = field(default_factory=dict)
    call_off: bool = False
    conflicts: list[Conflict] = field(default_factory=list)
    withheld: dict[str, str] = field(default_factory=dict)


def plain_values(series: Mapping[Field, Value], original: datetime) -> dict[Field, Value]:
    """Return what an occurrence says that is as its series has it."""
    values = {name: series.get(name) for name in OF_ITS_OWN}
    span = series.get(Field.SPAN)
    if isinstance(span, Span):
        values[Field.SPAN] = occurrence_span(span, original)
    return values


def own_values(values: Mapping[Field, Value], plain: Mapping[Field, Value]) -> dict[Field, Value]:
    """Return those of an occurrence's values that are not its series'."""
    return {
        name: values[name]
        for name in OF_ITS_OWN
        if name in values and canonical(_KIND, name, values[name]) != canonical(_KIND, name, plain.get(name))
    }


def has_occurrence(series: Mapping[Field, Value], original: datetime) -> bool:
    """Tell whether a series has an occurrence that starts then by its pattern."""
    span, pattern = series.get(Field.SPAN), series.get(Field.RECURRENCE)
    return isinstance(span, Span) and isinstance(pattern, Recurrence) and takes_place(span, pattern, original)


def settle_exceptions(
    base: Mapping[datetime, Own] | None,
    ours: Mapping[datetime, Told],
    theirs: Mapping[datetime, Told],
    *,
    terms: Terms,
    ours_at: datetime,
    theirs_at: datetime,
    unknown: Iterable[datetime] = (),
) -> dict[datetime, Settled]:
    """Say for every occurrence that differs anywhere what becomes of it, by its original start. Pure.

    `base` None: they were never compared. `ours_at`, `theirs_at`: since when a side has nothing to say of an occurrence.
    `unknown`: occurrences that could not be read; nothing becomes of them.
    """
    agreed = base or {}
    wanted = {*agreed, *ours, *theirs} - set(unknown)
    # What is there when the two are first compared is how the series is: its past, too.
    first = base is None
    return {
        original: _settle(
            original,
            agreed.get(original, PLAIN),
            ours.get(original, Told(PLAIN, ours_at)),
            theirs.get(original, Told(PLAIN, theirs_at)),
            there=has_occurrence(terms.series, original) or (original in theirs and not terms.rewritten),
            first=first,
            terms=terms,
        )
        for original in sorted(wanted)
    }


def _settle(
    original: datetime, base: Own, ours: Told, theirs: Told, *, there: bool, first: bool, terms: Terms
) -> Settled:
    plain = plain_values(terms.series, original)
    if not there:
        # The pattern has it no more. What was, was; what was to come ends with it.
        return Settled(ours.own if _is_over(plain, terms) else PLAIN, PLAIN)
    over = _is_over({**plain, **theirs.own.values}, terms)
    if theirs.own.cancelled or ours.own.cancelled:
        return _settle_cancelled(base, ours, theirs, plain, over=over, first=first, terms=terms)
    return _settle_values(base, ours, theirs, plain, over=over, terms=terms)


def _is_over(values: Mapping[Field, Value], terms: Terms) -> bool:
    span = values.get(Field.SPAN)
    return isinstance(span, Span) and span.is_past(terms.now)


def _settle_cancelled(
    base: Own, ours: Told, theirs: Told, plain: Mapping[Field, Value], *, over: bool, first: bool, terms: Terms
) -> Settled:
    settled = Settled(ours.own, base)
    if theirs.own.cancelled and ours.own.cancelled:
        settled.base = Own(base.values, cancelled=True)
    elif theirs.own.cancelled:
        _called_off_there(settled, base, ours, why=_why_not_back(theirs, terms, over=over and not first))
    elif base.cancelled:
        # It takes place there again: the series was written anew.
        why = _why_not_back(theirs, terms, over=over)
        if why is None:
            return _settle_values(base, _living(ours), theirs, plain, over=over, terms=terms)
        settled.withheld[CANCELLED] = why
    else:
        return _called_off_here(settled, base, ours, theirs, plain, over=over, terms=terms)
    return settled


def _living(told: Told) -> Told:
    return replace(told, own=Own(told.own.values))


def _called_off_there(settled: Settled, base: Own, ours: Told, *, why: Withheld | None) -> None:
    """Take over that it was called off in the mailbox; what the record has of its own is kept with it."""
    if base.cancelled:
        settled.withheld[CANCELLED] = Withheld.CANNOT_RESTORE
    elif why is not None:
        settled.withheld[CANCELLED] = why
    else:
        settled.ours = Own(ours.own.values, cancelled=True)
        settled.base = Own(base.values, cancelled=True)


def _called_off_here(
    settled: Settled,
    base: Own,
    ours: Told,
    theirs: Told,
    plain: Mapping[Field, Value],
    *,
    over: bool,
    terms: Terms,
) -> Settled:
    """Take it out of the mailbox's series, unless it was changed there later than it was called off here."""
    why = _why_not_out(terms, over=over)
    if why is not None:
        settled.withheld[CANCELLED] = why
        return settled
    changed = [name for name in OF_ITS_OWN if _differs(name, base, theirs.own, plain)]
    later = theirs.changed_at > ours.changed_at
    if changed and later and _why_not_back(theirs, terms, over=over) is None:
        living = _settle_values(base, _living(ours), theirs, plain, over=over, terms=terms)
        living.conflicts.append(
            Conflict(CANCELLED, False, True, False, ours.changed_at, theirs.changed_at, Side.EXCHANGE)
        )
        return living
    for name in changed:
        was, mine, other = (each.values.get(name, plain.get(name)) for each in (base, ours.own, theirs.own))
        settled.conflicts.append(Conflict(name, was, mine, other, ours.changed_at, theirs.changed_at, Side.CRM))
    settled.call_off, settled.base = True, theirs.own
    return settled


def _differs(name: Field, one: Own, other: Own, plain: Mapping[Field, Value]) -> bool:
    first, second = (canonical(_KIND, name, each.values.get(name, plain.get(name))) for each in (one, other))
    return first != second


def _why_not_back(theirs: Told, terms: Terms, *, over: bool) -> Withheld | None:
    """Return why what became of an occurrence in the mailbox does not reach the record."""
    direction = terms.directions.get(Field.SPAN, Direction.NONE)
    if not direction.reaches_crm:
        return Withheld.DIRECTION
    if Field.SPAN in terms.rights.unwritable:
        return Withheld.MAY_NOT_WRITE
    if not terms.organized:
        # Somebody who is invited takes a day out of their own calendar: the meeting takes place.
        return Withheld.NOT_ORGANIZER
    return Withheld.PAST if over else {**theirs.untakable, **terms.rights.untakable}.get(Field.SPAN)


def _why_not_out(terms: Terms, *, over: bool) -> Withheld | None:
    """Return why an occurrence that is called off here is not taken out there."""
    direction = terms.directions.get(Field.SPAN, Direction.NONE)
    if not direction.reaches_exchange:
        return Withheld.DIRECTION
    if Field.SPAN in terms.rights.unreadable:
        return Withheld.MAY_NOT_READ
    return _why_fixed(terms, over=over)


def _why_fixed(terms: Terms, *, over: bool) -> Withheld | None:
    if not terms.organized:
        return Withheld.NOT_ORGANIZER
    return Withheld.PAST if over and not terms.fresh else None


def _settle_values(
    base: Own, ours: Told, theirs: Told, plain: Mapping[Field, Value], *, over: bool, terms: Terms
) -> Settled:
    """Merge what the sides have of their own; what one of them has not is as the series has it."""
    named = {*base.values, *ours.own.values, *theirs.own.values}
    directions = {name: terms.directions[name] for name in OF_ITS_OWN if name in named and name in terms.directions}

    def whole(own: Own) -> dict[Field, Value]:
        return {name: own.values.get(name, plain.get(name)) for name in directions}

    why = _why_fixed(terms, over=over)
    rights = replace(
        terms.rights,
        fixed=frozenset(directions) if why is not None else frozenset(),
        because=why or Withheld.NOT_ORGANIZER,
        untakable={**theirs.untakable, **terms.rights.untakable},
    )
    merged = merge(
        _KIND,
        whole(base),
        Version(whole(ours.own), ours.changed_at),
        Version(whole(theirs.own), theirs.changed_at),
        directions=directions,
        rights=rights,
    )
    apart = {name: value for name, value in ours.own.values.items() if name not in directions}
    return Settled(
        Own({**apart, **own_values({**whole(ours.own), **merged.to_crm}, plain)}),
        Own({**{n: v for n, v in base.values.items() if n not in directions}, **own_values(merged.base, plain)}),
        to_exchange=merged.to_exchange,
        conflicts=merged.conflicts,
        withheld={name.value: reason.value for name, reason in merged.withheld.items()},
    )
