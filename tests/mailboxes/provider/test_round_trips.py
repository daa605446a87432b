"""Whatever is written comes back as the same value by `canonical`: generated values over the whole way to the sandbox.

Must show 3 of the engine: every zone of the tz database, at the changes of its clocks, timed, all-day and in series,
round-trips without a shift. A sample of zones runs always, every zone with the marker `soak`.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailboxes.provider.entries import (
    CHOICES,
    FIELDS,
    TOLD,
    WEEK,
    Attendee,
    Entry,
    EntryKind,
    Every,
    Field,
    FullName,
    PostalAddress,
    Recurrence,
    Span,
    Type,
    Value,
    canonical,
)
from mailboxes.provider.ews.adapter import EwsProvider
from mailboxes.provider.ews.zones import iana_name, windows_name
from mailboxes.sandbox.server import SandboxServer
from tests.mailboxes.provider.test_contract_entries import differences, place
from tests.mailboxes.provider.worlds import ANA, SERVICE, provider_for, sandbox_store

A = EntryKind.APPOINTMENT
# "Factory" and "localtime" are no zones of any place.
ZONES = sorted(available_timezones() - {"Factory", "localtime"})
# One for each way in which a zone is special, and every fortieth of the others.
SAMPLE = sorted(
    {
        "Europe/Vienna", "Europe/Dublin", "Africa/Casablanca", "America/Sao_Paulo", "America/St_Johns", "Asia/Beirut",
        "Asia/Kolkata", "Asia/Kathmandu", "Asia/Tehran", "Australia/Lord_Howe", "America/Havana", "America/Nuuk",
        "Antarctica/Troll", "Pacific/Apia", "Pacific/Chatham", "Pacific/Kiritimati", "Etc/GMT+12", "UTC", "PST8PDT",
        *ZONES[::40],
    }
)  # fmt: skip


@pytest.fixture(scope="module")
def provider() -> Iterator[EwsProvider]:
    with SandboxServer(sandbox_store()) as server:
        yield provider_for(server, SERVICE, impersonate=True)


# -- values of every kind ---------------------------------------------------------------------------------------------

line = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
text = st.text(st.characters(exclude_categories=["Cs"]), max_size=80)
days = st.dates(date(1930, 1, 1), date(2200, 1, 1))
emails = st.from_regex(r"[A-Za-z0-9.+_-]{1,12}@[a-z0-9-]{1,12}\.example", fullmatch=True)
people = st.lists(
    st.builds(Attendee, emails, line, st.sampled_from(["", "accepted", "tentative", "declined"])), max_size=4
).map(tuple)


@st.composite
def spans(draw: st.DrawFn) -> Span:
    if draw(st.booleans()):
        first = draw(st.dates(date(1980, 1, 1), date(2090, 1, 1)))
        return Span(first, first + timedelta(days=draw(st.integers(1, 40))))
    start = draw(st.datetimes(datetime(1980, 1, 1), datetime(2090, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001 -- bounds take no zone
    length = timedelta(minutes=draw(st.integers(0, 60 * 24 * 3)))
    return Span(start, start + length, draw(st.sampled_from(["", *SAMPLE])))


@st.composite
def tasks(draw: st.DrawFn) -> dict[Field, Value]:
    """Draw what a task says of its progress: three words for one thing, which must not contradict each other."""
    status = draw(st.sampled_from(CHOICES[Field.STATUS]))
    percent = {"NotStarted": st.just(0), "Completed": st.just(100)}.get(status, st.integers(0, 99))
    done = days if status == "Completed" else st.none()
    return {Field.STATUS: status, Field.PERCENT: draw(percent), Field.COMPLETED: draw(done)}


OF_TYPE: dict[Type, st.SearchStrategy[Value]] = {
    Type.LINE: line,
    Type.TEXT: text,
    Type.DAY: days,
    Type.SPAN: spans(),
    Type.PEOPLE: people,
    Type.NAME: st.builds(FullName, line, line, line),
    Type.ADDRESS: st.builds(PostalAddress, text, line, line, line, line),
}


@st.composite
def values(draw: st.DrawFn, kind: EntryKind) -> dict[Field, Value]:
    """Draw any fields of a kind, many of them empty."""
    found: dict[Field, Value] = {}
    for name, type_ in FIELDS[kind].items():
        if name in TOLD or name is Field.RECURRENCE or type_ is Type.NUMBER:
            continue
        if type_ is Type.CHOICE:
            found[name] = draw(st.sampled_from(CHOICES[name]))
        elif name is Field.SPAN or draw(st.booleans()):
            found[name] = draw(OF_TYPE[type_])
    if kind is EntryKind.TASK:
        found |= draw(tasks())
    if Field.WEBSITE in found:
        found[Field.WEBSITE] = draw(st.sampled_from(["https://a.example/?q=1&r=<2>", "a.example", "Über uns.example"]))
    return found


@st.composite
def patterns(draw: st.DrawFn) -> dict[Field, Value]:
    """Draw a series whose first day fits its pattern, and the span of that day: a server moves it there otherwise."""
    first = draw(st.dates(date(2000, 1, 1), date(2060, 1, 1)))
    every = draw(st.sampled_from([each for each in Every if each is not Every.REGENERATED]))
    today, of_month = WEEK[first.weekday()], (first.day - 1) // 7 + 1
    last = (first + timedelta(days=7)).month != first.month
    weekdays: tuple[str, ...] = ()
    if every is Every.WEEK:
        others = draw(st.sets(st.sampled_from(WEEK), max_size=3))
        weekdays = tuple(day for day in WEEK if day in {today, *others})
    elif every in (Every.MONTH_ON_WEEKDAY, Every.YEAR_ON_WEEKDAY):
        weekdays = (today,)
    ends = draw(st.sampled_from(["never", "until", "count"]))
    series = Recurrence(
        every,
        first,
        interval=1 if every in (Every.YEAR, Every.YEAR_ON_WEEKDAY) else draw(st.integers(1, 20)),
        weekdays=weekdays,
        index=-1 if weekdays and last and every is not Every.WEEK else min(of_month, 4) if weekdays else 0,
        until=first + timedelta(days=draw(st.integers(0, 900))) if ends == "until" else None,
        count=draw(st.integers(1, 99)) if ends == "count" else None,
        week_starts=draw(st.sampled_from(WEEK)),
    )
    if draw(st.booleans()):
        return {Field.SPAN: Span(first, first + timedelta(days=1)), Field.RECURRENCE: series}
    zone = draw(st.sampled_from(["Europe/Vienna", "America/New_York", "Asia/Tokyo", "Australia/Sydney"]))
    start = datetime(first.year, first.month, first.day, draw(st.integers(4, 22)), 30, tzinfo=ZoneInfo(zone))
    span = Span(start.astimezone(UTC), (start + timedelta(minutes=45)).astimezone(UTC), zone)
    return {Field.SPAN: span, Field.RECURRENCE: series}


def written_and_read(provider: EwsProvider, kind: EntryKind, given_: dict[Field, Value]) -> Entry:
    marks = provider.create_entry(place(provider, kind), kind, given_, stamp="s")
    (found,) = provider.entries([marks.item_id])
    assert isinstance(found, Entry), found
    provider.delete_entry(marks.item_id)
    return found


@pytest.mark.parametrize("kind", list(EntryKind))
def test_every_value_comes_back_as_it_compares(provider: EwsProvider, kind: EntryKind) -> None:
    @settings(max_examples=60, deadline=None, derandomize=True)
    @given(values(kind))
    def check(given_: dict[Field, Value]) -> None:
        assert differences(kind, given_, written_and_read(provider, kind, given_)) == {}

    check()


@pytest.mark.parametrize("kind", list(EntryKind))
def test_every_value_written_over_another_comes_back_too(provider: EwsProvider, kind: EntryKind) -> None:
    folder = place(provider, kind)

    @settings(max_examples=40, deadline=None, derandomize=True)
    @given(values(kind), values(kind))
    def check(first: dict[Field, Value], second: dict[Field, Value]) -> None:
        marks = provider.create_entry(folder, kind, first, stamp="s")
        marks = provider.update_entry(marks.item_id, marks.change_key, kind, second)
        (found,) = provider.entries([marks.item_id])
        assert isinstance(found, Entry)
        assert differences(kind, {**first, **second}, found) == {}
        provider.delete_entry(marks.item_id)

    check()


def test_every_series_comes_back_and_takes_the_place_of_another(provider: EwsProvider) -> None:
    folder = place(provider, A)

    @settings(max_examples=80, deadline=None, derandomize=True)
    @given(patterns(), patterns())
    def check(first: dict[Field, Value], second: dict[Field, Value]) -> None:
        marks = provider.create_entry(folder, A, first, stamp="s")
        for given_ in (first, second):
            if given_ is second:
                marks = provider.update_entry(marks.item_id, marks.change_key, A, second)
            (found,) = provider.entries([marks.item_id])
            assert isinstance(found, Entry)
            assert differences(A, given_, found) == {}
            assert (found.recurring, found.exceptions) == (True, ())
        provider.delete_entry(marks.item_id)

    check()


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(list(EntryKind)).flatmap(lambda kind: st.tuples(st.just(kind), values(kind))))
def test_canonical_applied_twice_is_canonical(drawn: tuple[EntryKind, dict[Field, Value]]) -> None:
    kind, given_ = drawn
    for name, value in given_.items():
        once = canonical(kind, name, value)
        assert canonical(kind, name, once) == once


# -- zones ------------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def years() -> tuple[int, ...]:
    # Years in which zones made up their minds anew: the south of 2007, Morocco since 2018, Brazil until 2019.
    return (2007, 2018, 2026, 2037)


def changes(zone: ZoneInfo) -> list[datetime]:
    """Return the moments at which the clocks of a zone change in these years, to the minute."""
    found = []
    for year in years():
        moment, end = datetime(year, 1, 1, tzinfo=UTC), datetime(year + 1, 1, 1, tzinfo=UTC)
        while moment < end:
            after = moment + timedelta(days=1)
            if moment.astimezone(zone).utcoffset() != after.astimezone(zone).utcoffset():
                found.append(_edge(zone, moment, after))
            moment = after
    return found


def _edge(zone: ZoneInfo, before: datetime, after: datetime) -> datetime:
    offset = before.astimezone(zone).utcoffset()
    while after - before > timedelta(minutes=1):
        middle = before + (after - before) / 2
        before, after = (middle, after) if middle.astimezone(zone).utcoffset() == offset else (before, middle)
    return after.replace(second=0, microsecond=0)


def edges(name: str) -> list[Span]:
    """Return spans around every change of the clocks, and on days without any; timed and of whole days."""
    zone = ZoneInfo(name)
    moments = changes(zone)[:8] or [datetime(2026, 3, 29, 1, tzinfo=UTC), datetime(2026, 10, 25, 1, tzinfo=UTC)]
    timed = [
        Span(moment + timedelta(minutes=minutes), moment + timedelta(minutes=minutes + 90), name)
        for moment in moments
        for minutes in (-90, -1, 0, 30)
    ]
    local = sorted({moment.astimezone(zone).date() + timedelta(days=day) for moment in moments for day in (-1, 0, 1)})
    return timed + [Span(day, day + timedelta(days=length)) for day in local for length in (1, 3)]


def series(name: str) -> list[tuple[Span, Recurrence]]:
    """Return series that run over changes of the clocks, timed and of whole days."""
    zone, first = ZoneInfo(name), date(2026, 3, 2)
    start = datetime(2026, 3, 2, 9, 30, tzinfo=zone).astimezone(UTC)
    timed = Span(start, start + timedelta(hours=1), name)
    weekly = Recurrence(Every.WEEK, first, weekdays=(WEEK[first.weekday()],), count=40)
    monthly = Recurrence(Every.MONTH, first, day=2, until=date(2027, 3, 2))
    return [(span, each) for span in (timed, Span(first, date(2026, 3, 3))) for each in (weekly, monthly)]


def shifted(provider: EwsProvider, name: str) -> list[tuple[object, object]]:
    """Return what does not come back as it went out, for one zone."""
    owner = EwsProvider(provider._client, ANA, impersonate=True, zone=name)
    folder = place(owner, A)
    wanted: list[dict[Field, Value]] = [{Field.SPAN: span} for span in edges(name)]
    wanted += [{Field.SPAN: span, Field.RECURRENCE: pattern} for span, pattern in series(name)]
    ids = [owner.create_entry(folder, A, each, stamp="s").item_id for each in wanted]
    wrong: list[tuple[object, object]] = []
    for each, found in zip(wanted, owner.entries(ids), strict=True):
        assert isinstance(found, Entry), (name, each, found)
        wrong += list(differences(A, each, found).values())
    for item_id in ids:
        owner.delete_entry(item_id)
    return wrong


@pytest.mark.slow
@pytest.mark.parametrize("name", SAMPLE)
def test_zones_round_trip_at_the_changes_of_their_clocks(provider: EwsProvider, name: str) -> None:
    assert shifted(provider, name) == []


@pytest.mark.soak
@pytest.mark.slow
@pytest.mark.parametrize("name", ZONES)
def test_every_zone_round_trips_at_the_changes_of_its_clocks(provider: EwsProvider, name: str) -> None:
    assert shifted(provider, name) == []


def test_every_zone_has_a_name_in_windows_under_which_our_note_is_believed() -> None:
    for name in ZONES:
        back = iana_name(windows_name(name))
        assert back
        assert windows_name(back) == windows_name(name), name
    assert windows_name("No/Such_Zone") == windows_name("Europe") == "UTC"
