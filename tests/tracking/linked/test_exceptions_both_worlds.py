"""Exceptions of a series over both mail systems: in memory, and a sandbox Exchange over EWS; nobody is told by either.

`Place.sync` asserts that no notice left.
"""

from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from mailboxes.provider.entries import EntryKind, Every, Field, Recurrence, Span
from tests.mailboxes.provider.conftest import sandbox  # noqa: F401 -- a fixture by its name
from tests.mailboxes.provider.worlds import EwsWorld, MemoryWorld
from tests.tracking.linked.places import Place
from tracking.linked import occurrences
from tracking.models import Appointment, ItemLink
from tracking.sync.codec import encode

pytestmark = pytest.mark.django_db
MADRID, HOUR = ZoneInfo("Europe/Madrid"), timedelta(hours=1)
TODAY = datetime.now(MADRID).date()
MONDAY = TODAY + timedelta(days=14 - TODAY.weekday())


def at(week: int, hour: int = 9) -> datetime:
    """Return the review's start so many weeks after the first, by the clock of Madrid."""
    return datetime.combine(MONDAY + timedelta(weeks=week), time(hour), MADRID).astimezone(UTC)


@pytest.fixture(params=["memory", "ews"])
def world(request):
    return MemoryWorld() if request.param == "memory" else EwsWorld(request.getfixturevalue("sandbox"))


@pytest.fixture
def place(world):
    return Place(world, EntryKind.APPOINTMENT)


def series(place: Place, **more: Any) -> Appointment:
    """Have a weekly review that goes across a change of the clocks, on both sides."""
    weekly = Recurrence(Every.WEEK, MONDAY, count=30)
    fields = {
        "subject": "Review", "location": "Room 1", "starts_at": at(0), "ends_at": at(0) + HOUR, "zone": MADRID.key,
        "recurrence": encode(weekly),
    }  # fmt: skip
    record: Appointment = place.record(**fields | more)
    place.sync()
    place.sync()
    return record


def there(place: Place) -> dict[datetime, Any]:
    return {each.original: None if each.cancelled else each.values for each in place.entry().exceptions}


def here() -> dict[datetime, Any]:
    return {row.original: None if row.cancelled else row.values for row in Appointment.objects.get().changes.all()}


def assert_calm(place: Place) -> None:
    calm = place.sync(full=True)
    assert (calm.written, calm.taken, calm.deleted, calm.conflicts) == (0, 0, 0, 0)


def test_from_the_mailbox_to_the_record(world, place):
    series(place)
    world.change_occurrence(place.entry().marks.item_id, at(27), "Only this once")
    world.cancel_occurrence(place.entry().marks.item_id, at(2))
    place.sync()
    assert here() == {at(2): None, at(27): {"subject": "Only this once"}}
    assert_calm(place)


def test_from_the_record_to_one_occurrence(place):
    record = series(place)
    said, now = {"by": place.owner, "now": datetime.now(UTC)}, Span(at(27, 11), at(27, 12), MADRID.key)
    occurrences.change(record.pk, at(27), {Field.SPAN: now, Field.LOCATION: "Room 2"}, **said)
    occurrences.change(record.pk, at(3), {Field.SUBJECT: "Once"}, **said)
    occurrences.call_off(record.pk, at(2), **said)
    place.sync()
    found = there(place)
    assert found.keys() == {at(2), at(3), at(27)}
    assert found[at(2)] is None
    assert (found[at(27)][Field.SPAN], found[at(27)][Field.LOCATION], found[at(27)][Field.SUBJECT]) == (
        now, "Room 2", "Review",
    )  # fmt: skip
    assert found[at(3)][Field.SUBJECT] == "Once"
    whole = place.entry().values
    assert (whole[Field.SUBJECT], whole[Field.SPAN]) == ("Review", Span(at(0), at(0) + HOUR, MADRID.key))
    assert_calm(place)
    occurrences.take_back(record.pk, at(3), by=place.owner, now=datetime.now(UTC))
    place.sync()
    assert there(place)[at(3)][Field.SUBJECT] == "Review"
    assert at(3) not in here()
    assert_calm(place)


def test_what_is_changed_on_both_sides_is_merged(world, place):
    record = series(place)
    occurrences.change(record.pk, at(2), {Field.LOCATION: "Room 2"}, by=place.owner, now=datetime.now(UTC))
    world.change_occurrence(place.entry().marks.item_id, at(2), "Only this once")
    place.sync()
    assert here() == {at(2): {"subject": "Only this once", "location": "Room 2"}}
    said = there(place)[at(2)]
    assert (said[Field.SUBJECT], said[Field.LOCATION]) == ("Only this once", "Room 2")
    assert_calm(place)


def test_a_series_is_made_with_its_exceptions(place):
    weekly = Recurrence(Every.WEEK, MONDAY, count=30)
    record = place.record(
        subject="Review", starts_at=at(0), ends_at=at(0) + HOUR, zone=MADRID.key, recurrence=encode(weekly)
    )
    record.changes.create(original=at(2), cancelled=True)
    record.changes.create(original=at(27), values={"subject": "Once"})
    place.sync()
    said = there(place)
    assert (said[at(2)], said[at(27)][Field.SUBJECT]) == (None, "Once")
    assert_calm(place)


def test_a_longer_series_keeps_its_exceptions(place):
    record = series(place)
    occurrences.change(record.pk, at(27), {Field.SUBJECT: "Once"}, by=place.owner, now=datetime.now(UTC))
    occurrences.call_off(record.pk, at(2), by=place.owner, now=datetime.now(UTC))
    place.sync()
    record.refresh_from_db()
    record.recurrence = encode(Recurrence(Every.WEEK, MONDAY, count=40))
    record.save()
    place.sync()
    said = there(place)
    assert (said[at(2)], said[at(27)][Field.SUBJECT]) == (None, "Once")
    assert here() == {at(2): None, at(27): {"subject": "Once"}}
    assert_calm(place)


def test_whole_days(world, place):
    daily = Recurrence(Every.DAY, MONDAY, count=30)
    record = place.record(
        subject="Fair", first_day=MONDAY, day_after=MONDAY + timedelta(days=1), recurrence=encode(daily)
    )
    place.sync()
    place.sync()
    third, fifth = (datetime.combine(MONDAY + timedelta(days=n), time(), UTC) for n in (2, 4))
    occurrences.call_off(record.pk, third, by=place.owner, now=datetime.now(UTC))
    occurrences.change(record.pk, fifth, {Field.SUBJECT: "Last"}, by=place.owner, now=datetime.now(UTC))
    place.sync()
    said = there(place)
    assert (set(said), said[fifth][Field.SUBJECT]) == ({third, fifth}, "Last")
    assert here() == {third: None, fifth: {"subject": "Last"}}
    assert_calm(place)


def test_a_full_pass_asks_nothing_for_single_occurrences(place, monkeypatch):
    record = series(place)
    for week in (2, 3, 5):
        occurrences.change(record.pk, at(week), {Field.SUBJECT: "Once"}, by=place.owner, now=datetime.now(UTC))
    place.sync()
    place.sync()
    asked: list[str] = []
    for name in ("entries", "marks", "occurrence"):
        known = getattr(place.provider, name)
        monkeypatch.setattr(
            place.provider, name, lambda *args, name=name, known=known: asked.append(name) or known(*args)
        )
    place.sync(full=True)
    assert asked == []


@pytest.mark.parametrize("world", ["ews"], indirect=True)
def test_a_day_that_would_cross_its_neighbour_is_refused_by_exchange_and_said(place):
    record = series(place)
    beyond = Span(at(4), at(4) + HOUR, MADRID.key)
    occurrences.change(record.pk, at(2), {Field.SPAN: beyond}, by=place.owner, now=datetime.now(UTC))
    counted = place.sync()
    assert counted.refused == {"write_refused": 1}
    assert ItemLink.objects.get().exceptions_withheld == {at(2).isoformat(): {"*": "write_refused"}}
    assert there(place) == {}
    assert here().keys() == {at(2)}
