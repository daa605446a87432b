"""Exceptions of a series, both ways: one occurrence is changed alone, and nobody is told (the desk asserts that).

Each test is one thing that somebody does in Outlook or in the CRM, and what a run makes of it.
"""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission

from mailboxes.provider.entries import Attendee, EntryKind, Every, Field, Recurrence, Span
from mailboxes.provider.errors import WriteRefused
from security.models import User
from tests.tracking.linked.desk import Desk
from tracking.linked.compare import CATEGORY
from tracking.models import Appointment, FieldConflict, FieldDirection, ItemLink, LinkState, OccurrenceChange
from tracking.sync.codec import encode, encode_all
from tracking.sync.merge import Rights

pytestmark = pytest.mark.django_db
HOUR, WEEK = timedelta(hours=1), timedelta(days=7)
# A Wednesday after the desk's Monday, nine in Madrid; summer time begins before the fifth.
FIRST = datetime(2026, 3, 4, 8, tzinfo=UTC)
SECOND, FIFTH = FIRST + WEEK, FIRST + 4 * WEEK - HOUR
SERIES = Recurrence(Every.WEEK, date(2026, 3, 4), count=10, weekdays=("WE",))
SPAN = Span(FIRST, FIRST + HOUR, "Europe/Madrid")


@pytest.fixture
def desk(at) -> Desk:
    stage: Desk = at(EntryKind.APPOINTMENT)
    return stage


def series(desk: Desk, **fields: Any) -> Appointment:
    """Have a weekly review in the CRM."""
    record: Appointment = desk.record(
        **{
            "subject": "Review", "location": "Room 1", "starts_at": SPAN.start, "ends_at": SPAN.end,
            "zone": SPAN.zone, "recurrence": encode(SERIES),
        } | fields
    )  # fmt: skip
    return record


def linked(desk: Desk, **fields: Any) -> str:
    """Have a weekly review on both sides; return the entry's id."""
    series(desk, **fields)
    desk.sync()
    desk.sync()
    return desk.link().item_id


def tracked(desk: Desk, **facts: Any) -> str:
    """Have a weekly review in the mailbox, marked by its owner; return its id."""
    values = {Field.SUBJECT: "Review", Field.LOCATION: "Room 1", Field.SPAN: SPAN, Field.RECURRENCE: SERIES}
    return desk.entry(values | facts.pop("values", {}), categories=(CATEGORY,), **facts)


def change_here(desk: Desk, original: datetime, *, cancelled: bool = False, **values: Any) -> None:
    """Have somebody change one occurrence in the CRM."""
    desk.now += timedelta(seconds=1)
    record = Appointment.objects.get()
    said = encode_all({Field(name): value for name, value in values.items()})
    OccurrenceChange.objects.update_or_create(
        appointment=record, original=original, defaults={"cancelled": cancelled, "values": said}
    )
    record.save()


def here() -> list[tuple[datetime, bool, dict[str, Any]]]:
    """Return what the record says of its occurrences."""
    return [(row.original, row.cancelled, row.values) for row in OccurrenceChange.objects.all()]


def there(desk: Desk) -> dict[datetime, Any]:
    """Return what the mailbox's series says of its occurrences: None for one that is called off."""
    (entry,) = desk.there()
    return {each.original: None if each.cancelled else each.values for each in entry.exceptions}


# -- from Outlook


def test_what_the_owner_does_to_one_occurrence_in_outlook_is_shown_by_the_record(desk):
    item = linked(desk)
    moved = Span(FIFTH + HOUR, FIFTH + 2 * HOUR, "Europe/Madrid")
    desk.server.change_occurrence(item, FIFTH, {Field.SPAN: moved, Field.SUBJECT: "Long review"})
    desk.server.change_occurrence(item, SECOND, None)
    before = Appointment.objects.get()
    desk.sync()
    assert here() == [
        (SECOND, True, {}),
        (FIFTH, False, {"subject": "Long review", "span": encode(moved)}),
    ]
    record = Appointment.objects.get()
    assert (record.subject, record.starts_at) == (before.subject, before.starts_at)
    calm = desk.sync(full=True)
    assert (calm.written, calm.taken) == (0, 0)


def test_a_series_that_is_marked_comes_with_its_exceptions_its_past_too(desk):
    item = tracked(desk)
    desk.server.change_occurrence(item, FIRST, None)
    desk.server.change_occurrence(item, FIFTH, {Field.LOCATION: "Room 2"})
    desk.now = SECOND - HOUR
    desk.sync()
    assert here() == [(FIRST, True, {}), (FIFTH, False, {"location": "Room 2"})]


def test_an_occurrence_that_is_as_its_series_again_is_no_exception_any_more(desk):
    item = linked(desk)
    desk.server.change_occurrence(item, SECOND, {Field.SUBJECT: "Once"})
    desk.sync()
    assert len(here()) == 1
    desk.server.change_occurrence(item, SECOND, {Field.SUBJECT: "Review"})
    desk.sync()
    assert here() == []


def test_what_is_not_an_occurrences_own_follows_the_series(desk):
    item = linked(desk)
    desk.server.change_occurrence(item, SECOND, {Field.LOCATION: "Room 2"})
    desk.sync()
    desk.now += timedelta(seconds=1)
    record = Appointment.objects.get()
    record.subject = "New name"
    record.save()
    desk.sync()
    assert here() == [(SECOND, False, {"location": "Room 2"})]
    assert there(desk)[SECOND][Field.SUBJECT] == "New name"
    desk.server.change_entry(item, {Field.SUBJECT: "Newer name"})
    desk.sync()
    assert here() == [(SECOND, False, {"location": "Room 2"})]


def test_a_private_occurrence_is_not_read(desk, monkeypatch):
    item = linked(desk)
    desk.server.change_occurrence(item, SECOND, {Field.SUBJECT: "Doctor"})
    # As the adapter tells of one that its owner made private.
    kept = desk.server.entry(item).exceptions[0]
    monkeypatch.setattr(
        "mailboxes.provider.memory.entry_provider._whole", lambda *_: type(kept)(kept.original, "hidden")
    )
    desk.sync()
    assert here() == []


# -- from the CRM


def test_one_occurrence_that_is_changed_in_the_crm_is_changed_alone(desk):
    linked(desk)
    moved = Span(FIFTH + HOUR, FIFTH + 2 * HOUR, "Europe/Madrid")
    change_here(desk, FIFTH, span=moved, location="Room 2")
    change_here(desk, SECOND, subject="Once")
    (before,) = desk.there()
    desk.sync()
    said = there(desk)
    assert said.keys() == {SECOND, FIFTH}
    assert (said[FIFTH][Field.SPAN], said[FIFTH][Field.LOCATION], said[FIFTH][Field.SUBJECT]) == (
        moved, "Room 2", "Review",
    )  # fmt: skip
    assert said[SECOND][Field.SUBJECT] == "Once"
    (after,) = desk.there()
    assert after.values == before.values, "the series is as it was"
    calm = desk.sync(full=True)
    assert (calm.written, calm.taken) == (0, 0)


def test_one_occurrence_that_is_called_off_in_the_crm_is_taken_out_alone(desk):
    linked(desk)
    change_here(desk, SECOND, cancelled=True)
    assert desk.sync().deleted == 1
    assert there(desk) == {SECOND: None}
    calm = desk.sync(full=True)
    assert (calm.written, calm.deleted, calm.taken) == (0, 0, 0)


def test_a_series_is_made_with_its_exceptions_and_its_past_is_not_made_again(desk):
    record = series(desk)
    for original, cancelled, values in ((FIRST, True, {}), (SECOND, True, {}), (FIFTH, False, {"subject": "Once"})):
        OccurrenceChange.objects.create(appointment=record, original=original, cancelled=cancelled, values=values)
    desk.now = FIRST + 2 * HOUR
    desk.sync()
    said = there(desk)
    assert (said[FIRST], said[SECOND], said[FIFTH][Field.SUBJECT]) == (None, None, "Once")
    calm = desk.sync(full=True)
    assert (calm.written, calm.deleted, calm.taken) == (0, 0, 0)


def test_a_past_occurrence_is_never_rewritten(desk):
    linked(desk)
    desk.now = SECOND + 2 * HOUR
    change_here(desk, FIRST, subject="Once")
    change_here(desk, SECOND, cancelled=True)
    desk.sync()
    assert there(desk) == {}
    assert desk.link().exceptions_withheld == {
        FIRST.isoformat(): {"subject": "past"}, SECOND.isoformat(): {"cancelled": "past"},
    }  # fmt: skip


def test_a_past_occurrence_that_is_tidied_away_in_outlook_stays_in_the_record(desk):
    item = linked(desk)
    desk.now = SECOND + 2 * HOUR
    desk.server.change_occurrence(item, SECOND, None)
    desk.sync()
    assert here() == []
    assert there(desk) == {SECOND: None}, "and it is not made again"


def test_taken_back_the_occurrence_is_as_its_series_again(desk):
    linked(desk)
    change_here(desk, SECOND, subject="Once")
    desk.sync()
    OccurrenceChange.objects.all().delete()
    Appointment.objects.get().save()
    desk.sync()
    assert there(desk)[SECOND][Field.SUBJECT] == "Review"
    assert here() == []


# -- both, and what may not flow


def test_of_two_changes_of_one_occurrence_the_newer_stands_and_both_are_kept(desk):
    item = linked(desk)
    change_here(desk, SECOND, subject="here", location="Room 2")
    desk.now += timedelta(minutes=1)
    desk.server.change_occurrence(item, SECOND, {Field.SUBJECT: "there"})
    desk.sync()
    assert here() == [(SECOND, False, {"subject": "there", "location": "Room 2"})]
    assert there(desk)[SECOND][Field.LOCATION] == "Room 2"
    kept = FieldConflict.objects.get()
    assert (kept.original, kept.field, kept.ours, kept.theirs, kept.winner) == (
        SECOND, "subject", "here", "there", "exchange",
    )  # fmt: skip


def test_called_off_in_outlook_while_it_is_changed_here_it_is_off_and_says_what_it_said(desk):
    item = linked(desk)
    change_here(desk, SECOND, subject="here")
    desk.server.change_occurrence(item, SECOND, None)
    desk.sync()
    assert here() == [(SECOND, True, {"subject": "here"})]


def test_what_may_not_be_written_in_a_record_stays_in_the_occurrence(desk):
    desk.owner.user_permissions.add(Permission.objects.get(codename="read_all_records"))
    desk.filter.conditions = {"any": False, "parts": []}
    desk.filter.save()
    item = linked(desk, owner=User.objects.create_user("ben"))
    desk.server.change_occurrence(item, SECOND, {Field.SUBJECT: "there"})
    desk.server.change_occurrence(item, FIFTH, None)
    desk.sync()
    assert here() == []
    assert desk.link().exceptions_withheld == {
        SECOND.isoformat(): {"subject": "may_not_write"}, FIFTH.isoformat(): {"cancelled": "may_not_write"},
    }  # fmt: skip
    change_here(desk, SECOND, location="Room 2")
    desk.sync()
    assert (there(desk)[SECOND][Field.LOCATION], there(desk)[SECOND][Field.SUBJECT]) == ("Room 2", "there")


def test_a_field_whose_direction_is_closed_does_not_flow_for_an_occurrence(desk):
    FieldDirection.objects.create(
        sync_profile=desk.mailbox.sync_profile, kind="appointment", field="location", direction="to_crm"
    )
    linked(desk)
    change_here(desk, SECOND, location="Room 2", subject="Once")
    desk.sync()
    said = there(desk)[SECOND]
    assert said[Field.SUBJECT] == "Once"
    assert said[Field.LOCATION] != "Room 2"


def test_s13_a_field_the_owner_may_not_read_does_not_leave_for_an_occurrence(desk, monkeypatch):
    monkeypatch.setattr("tracking.linked.compare.rights_of", lambda *_: Rights(unreadable=frozenset({Field.LOCATION})))
    linked(desk)
    change_here(desk, SECOND, location="Secret place", subject="Once")
    desk.sync()
    assert there(desk)[SECOND][Field.SUBJECT] == "Once"
    assert there(desk)[SECOND][Field.LOCATION] is None
    assert desk.link().exceptions_withheld == {}


def test_what_is_too_long_for_the_record_stays_in_the_occurrence(desk):
    item = linked(desk)
    desk.server.change_occurrence(item, SECOND, {Field.SUBJECT: "x" * 401})
    desk.sync()
    assert (here(), desk.link().exceptions_withheld) == ([], {SECOND.isoformat(): {"subject": "too_long"}})


def received(desk: Desk) -> str:
    """Have somebody else's series in the mailbox, marked and linked."""
    people = {
        Field.ORGANIZER: (Attendee("kim@customer.example"),), Field.REQUIRED: (Attendee(desk.mailbox.address),),
    }  # fmt: skip
    item = tracked(desk, values=people, organized_here=False)
    desk.sync()
    return item


def test_a_series_that_somebody_else_organises_is_never_written(desk):
    received(desk)
    change_here(desk, SECOND, subject="Once")
    change_here(desk, FIFTH, cancelled=True)
    counted = desk.sync()
    assert (there(desk), counted.written, counted.deleted) == ({}, 0, 0)
    assert desk.link().exceptions_withheld == {
        SECOND.isoformat(): {"subject": "not_organizer"}, FIFTH.isoformat(): {"cancelled": "not_organizer"},
    }  # fmt: skip


def test_what_the_organizer_changes_reaches_the_record_and_a_guests_own_calendar_calls_nothing_off(desk):
    item = received(desk)
    desk.server.change_occurrence(item, SECOND, {Field.LOCATION: "Room 2"})
    desk.server.change_occurrence(item, FIFTH, None)
    desk.sync()
    assert here() == [(SECOND, False, {"location": "Room 2"})]


def test_what_cannot_be_written_is_said_and_the_rest_is_written(desk):
    linked(desk)
    change_here(desk, SECOND, subject="Once")
    change_here(desk, FIFTH, subject="Twice")
    desk.server.fail("update_entry", WriteRefused("crosses another", code="write_refused"))
    # The next is written, and what was refused is tried once more as the change of that is read.
    desk.server.fail("update_entry", WriteRefused("crosses another", code="write_refused"), nth=3)
    assert desk.sync().refused == {"write_refused": 2}
    assert desk.link().exceptions_withheld == {SECOND.isoformat(): {"*": "write_refused"}}
    assert there(desk).keys() == {FIFTH}
    desk.sync(full=True)
    change_here(desk, FIFTH, subject="Thrice")
    desk.sync()
    assert there(desk).keys() == {SECOND, FIFTH}, "tried again when either side changes"
    assert desk.link().exceptions_withheld == {}


# -- the pattern changes


def test_a_pattern_that_is_changed_in_outlook_ends_what_it_has_no_more(desk):
    item = linked(desk)
    desk.server.change_occurrence(item, FIRST, {Field.SUBJECT: "First"})
    desk.server.change_occurrence(item, SECOND, None)
    desk.server.change_occurrence(item, FIFTH, {Field.SUBJECT: "Fifth"})
    desk.sync()
    desk.now = FIRST + 2 * HOUR
    daily = Recurrence(Every.WEEK, date(2026, 3, 5), count=10, weekdays=("TH",))
    thursday = Span(SPAN.start + timedelta(days=1), SPAN.end + timedelta(days=1), SPAN.zone)
    desk.server.change_entry(item, {Field.RECURRENCE: daily, Field.SPAN: thursday})
    desk.sync()
    assert here() == [(FIRST, False, {"subject": "First"})], "what was, was"
    calm = desk.sync(full=True)
    assert (calm.written, calm.deleted, calm.taken) == (0, 0, 0)


@pytest.mark.parametrize("forgets", [False, True])
def test_a_pattern_that_is_changed_in_the_crm_keeps_what_it_still_has(desk, monkeypatch, forgets):
    linked(desk)
    change_here(desk, SECOND, cancelled=True)
    change_here(desk, FIFTH, subject="Fifth")
    desk.sync()
    if forgets:
        # As servers do that take a new pattern for another series.
        monkeypatch.setattr("mailboxes.provider.memory.post.tidied", lambda kept: replace(kept, exceptions=()))
    record = Appointment.objects.get()
    record.recurrence = encode(Recurrence(Every.WEEK, date(2026, 3, 4), count=20, weekdays=("WE", "FR")))
    record.save()
    desk.sync()
    said = there(desk)
    assert (said[SECOND], said[FIFTH][Field.SUBJECT]) == (None, "Fifth")
    assert here() == [(SECOND, True, {}), (FIFTH, False, {"subject": "Fifth"})]
    calm = desk.sync(full=True)
    assert (calm.written, calm.deleted, calm.taken) == (0, 0, 0)


def test_a_time_that_is_changed_in_the_crm_ends_what_was_to_come_at_the_old_one(desk):
    linked(desk)
    change_here(desk, FIRST, subject="First")
    change_here(desk, SECOND, cancelled=True)
    desk.sync()
    desk.now = FIRST + 2 * HOUR
    record = Appointment.objects.get()
    record.starts_at, record.ends_at = SPAN.start + 2 * HOUR, SPAN.end + 2 * HOUR
    record.save()
    desk.sync()
    assert here() == [(FIRST, False, {"subject": "First"})]
    assert there(desk) == {}


# -- the brake


def test_the_brake_counts_a_series_once_and_holds_what_is_too_much(desk):
    linked(desk)
    for week in range(1, 8):
        change_here(desk, FIRST + week * WEEK - (HOUR if week > 3 else timedelta()), cancelled=True)
    assert desk.sync().deleted == 1
    assert len(there(desk)) == 7


def test_held_by_the_brake_nothing_is_taken_out_until_somebody_lets_it_go(desk):
    for _n in range(6):
        series(desk)
    desk.sync()
    desk.sync()
    for record in Appointment.objects.all():
        OccurrenceChange.objects.create(appointment=record, original=SECOND, cancelled=True)
        record.save()
    assert desk.sync().deleted == 0
    state = LinkState.objects.get()
    assert {each["remedy"] for each in state.brake} == {"call_off"}
    assert all(not entry.exceptions for entry in desk.there())
    desk.sync(full=True)
    assert LinkState.objects.get().braked_at is not None
    LinkState.objects.update(released_at=desk.now, released_by="anna")
    assert desk.sync(full=True).deleted == 6
    assert all(len(entry.exceptions) == 1 for entry in desk.there())
    assert ItemLink.objects.filter(unlinked_at=None).count() == 6


# -- whole days


def test_a_series_of_whole_days_is_known_by_its_days(desk):
    days = Recurrence(Every.DAY, date(2026, 3, 4), until=date(2026, 3, 20))
    desk.record(subject="Fair", first_day=date(2026, 3, 4), day_after=date(2026, 3, 5), recurrence=encode(days))
    desk.sync()
    desk.sync()
    tenth, twelfth = datetime(2026, 3, 10, tzinfo=UTC), datetime(2026, 3, 12, tzinfo=UTC)
    change_here(desk, tenth, cancelled=True)
    desk.server.change_occurrence(desk.link().item_id, twelfth, {Field.SUBJECT: "Last day"})
    desk.sync()
    assert here() == [(tenth, True, {}), (twelfth, False, {"subject": "Last day"})]
    assert there(desk).keys() == {tenth, twelfth}
    calm = desk.sync(full=True)
    assert (calm.written, calm.deleted, calm.taken) == (0, 0, 0)
