"""Pages of appointments: what people read of a series, and what they may do to one day of it."""

from datetime import UTC, date, datetime, timedelta

import pytest
from django.contrib.auth.models import Permission
from django.urls import reverse

from mailboxes.models import Mailbox
from mailboxes.provider.entries import EntryKind, Every, Field, Recurrence, Span
from security.models import User
from tests.tracking.linked.desk import Desk
from tracking.linked import occurrences, settle
from tracking.linked.occurrences import NotPossible, Refused
from tracking.models import Appointment, FieldConflict, OccurrenceChange
from tracking.sync.codec import encode, encode_all

pytestmark = pytest.mark.django_db
HOUR, WEEK = timedelta(hours=1), timedelta(days=7)
FIRST = datetime(2026, 3, 4, 8, tzinfo=UTC)
SECOND, FIFTH = FIRST + WEEK, FIRST + 4 * WEEK - HOUR
SERIES = Recurrence(Every.WEEK, date(2026, 3, 4), count=10, weekdays=("WE",))
KEY = "20260311T080000Z"


@pytest.fixture
def desk(monkeypatch) -> Desk:
    desk = Desk(EntryKind.APPOINTMENT)
    monkeypatch.setattr("django.utils.timezone.now", lambda: desk.now)
    return desk


@pytest.fixture
def record(desk) -> Appointment:
    made: Appointment = desk.record(
        subject="Review", location="Room 1", starts_at=FIRST, ends_at=FIRST + HOUR, zone="Europe/Madrid",
        recurrence=encode(SERIES),
    )  # fmt: skip
    return made


@pytest.fixture
def web(client, desk):
    client.force_login(desk.owner)
    return client


def change(record, original, *, cancelled=False, **values) -> None:
    OccurrenceChange.objects.create(
        appointment=record, original=original, cancelled=cancelled,
        values=encode_all({Field(name): value for name, value in values.items()}),
    )  # fmt: skip


def page(web, name, *args, **posted):
    address = reverse(name, args=args)
    return web.post(address, posted) if posted.pop("post", bool(posted)) else web.get(address)


def text(answer) -> str:
    return " ".join(answer.content.decode().split())


TYPED = {"subject": "Once", "location": "Room 2", "begins": "2026-03-11T10:00", "ends": "2026-03-11T11:30"}


def test_the_list_says_when_how_often_and_on_how_many_days_it_is_not_as_usual(web, record):
    change(record, SECOND, cancelled=True)
    shown = text(page(web, "appointments"))
    assert "Review" in shown
    assert "every week" in shown
    assert "(Europe/Madrid)" in shown
    assert '<td class="number" data-label="Changed days">1</td>' in shown
    assert "Nothing fits" in text(web.get(reverse("appointments"), {"q": "else"}))
    assert "Review" in text(web.get(reverse("appointments"), {"q": "room rev"}))
    record.delete()
    assert "None that you may see" in text(page(web, "appointments"))


def test_an_appointment_says_which_days_differ_and_how(web, record, desk):
    moved = Span(FIFTH + HOUR, FIFTH + 2 * HOUR, "Europe/Madrid")
    change(record, FIFTH, span=moved, location=None)
    change(record, SECOND, cancelled=True)
    desk.sync()
    desk.sync()
    link = desk.link()
    link.exceptions_withheld = {FIFTH.isoformat(): {"subject": "past", "*": "no_occurrence"}}
    link.save()
    shown = text(page(web, "appointment", record.pk))
    assert "called off" in shown
    assert "April 1, 2026, 10 a.m. – 11 a.m. (Europe/Madrid)" in shown
    assert "(usually April 1, 2026, 9 a.m. – 10 a.m. (Europe/Madrid))" in shown
    assert "(usually Room 1)" in shown
    assert "Not in the mailbox: subject: it is over, and the past is not rewritten" in shown
    assert "Not in the mailbox: the series in the mailbox has no such day" in shown
    assert "20260318T080000Z" in shown, "the next days as usual can be changed"
    assert "20260311T080000Z" in shown


def test_whole_days_are_told_and_typed_by_their_last_day(web, desk):
    fair = desk.record(
        subject="Fair", first_day=date(2026, 3, 4), day_after=date(2026, 3, 6),
        recurrence=encode(Recurrence(Every.WEEK, date(2026, 3, 4), interval=2, count=3)),
    )  # fmt: skip
    shown = text(page(web, "appointment", fair.pk))
    assert "March 4, 2026 – March 5, 2026" in shown
    assert "every 2 weeks" in shown
    key = "20260318T000000Z"
    assert 'value="2026-03-19"' in text(page(web, "occurrence", fair.pk, key))
    typed = {"subject": "Fair", "location": "", "begins": "2026-03-18", "ends": "2026-03-20"}
    assert page(web, "change_occurrence", fair.pk, key, **typed).status_code == 302
    row = fair.changes.get()
    assert row.original == datetime(2026, 3, 18, tzinfo=UTC)
    assert row.values == {"span": {"start": "2026-03-18", "end": "2026-03-21", "zone": ""}}


def test_one_day_is_changed_and_reaches_the_mailbox_alone(web, record, desk):
    desk.sync()
    desk.sync()
    assert 'value="2026-03-11T09:00"' in text(page(web, "occurrence", record.pk, KEY))
    desk.now += timedelta(seconds=1)
    assert page(web, "change_occurrence", record.pk, KEY, **TYPED).status_code == 302
    assert Mailbox.objects.get().due_at == desk.now
    desk.sync()
    (entry,) = desk.there()
    (own,) = entry.exceptions
    assert (own.original, own.values[Field.SUBJECT], own.values[Field.LOCATION]) == (SECOND, "Once", "Room 2")
    begins = datetime(2026, 3, 11, 9, tzinfo=UTC)
    assert own.values[Field.SPAN] == Span(begins, begins + 1.5 * HOUR, "Europe/Madrid")
    assert entry.values[Field.SUBJECT] == "Review"


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ({"ends": "2026-03-11T09:00"}, "It cannot end before it begins."),
        ({"begins": ""}, "When?"),
        ({"begins": "soon"}, "This is no date that the calendar knows."),
        ({"begins": "0001-03-11T09:00"}, "This is no date that the calendar knows."),
        ({"subject": "x" * 401}, "at most 400 characters"),
        ({"begins": "2026-02-11T10:00", "ends": "2026-02-11T11:00"}, "What is over is not rewritten."),
    ],
)
def test_what_is_wrong_is_said_and_what_was_typed_stays(web, record, typed, said):
    answer = page(web, "change_occurrence", record.pk, KEY, **TYPED | typed)
    assert answer.status_code == 400
    assert said in text(answer)
    assert 'value="Room 2"' in text(answer)
    assert not OccurrenceChange.objects.exists()


def test_what_was_changed_about_a_day_is_taken_back(web, record, desk):
    change(record, SECOND, subject="Once")
    assert "As the series" in text(page(web, "occurrence", record.pk, KEY))
    assert page(web, "take_back_occurrence", record.pk, KEY, post=True).status_code == 302
    assert not record.changes.exists()
    assert "As the series" not in text(page(web, "occurrence", record.pk, KEY))


def test_a_day_that_was_called_off_comes_back_until_a_mailbox_has_heard_of_it(web, record, desk):
    desk.sync()
    desk.sync()
    desk.now += timedelta(seconds=1)
    assert page(web, "call_off_occurrence", record.pk, KEY, post=True).status_code == 302
    assert "No mailbox has heard of it yet" in text(page(web, "occurrence", record.pk, KEY))
    assert page(web, "take_back_occurrence", record.pk, KEY, post=True).status_code == 302
    assert page(web, "call_off_occurrence", record.pk, KEY, post=True).status_code == 302
    desk.sync()
    (entry,) = desk.there()
    assert [(each.original, each.cancelled) for each in entry.exceptions] == [(SECOND, True)]
    assert "no mail system can put back a single day" in text(page(web, "occurrence", record.pk, KEY))
    answer = page(web, "take_back_occurrence", record.pk, KEY, post=True)
    assert answer.status_code == 400
    assert "no mail system can put back a single day" in text(answer)
    assert page(web, "change_occurrence", record.pk, KEY, **TYPED).status_code == 400
    assert record.changes.get().cancelled


def test_a_day_that_is_over_stays_as_it_was(web, record, desk):
    desk.now = SECOND + 2 * HOUR
    assert "it stays as it was" in text(page(web, "occurrence", record.pk, KEY))
    answer = page(web, "call_off_occurrence", record.pk, KEY, post=True)
    assert answer.status_code == 400
    assert "What is over is not rewritten." in text(answer)


def test_a_day_that_is_none_of_the_series_is_not_there(web, record):
    for at in ("20260312T080000Z", "20260311T090000Z", "nonsense", "99999999T999999Z"):
        assert page(web, "occurrence", record.pk, at).status_code == 404


def test_who_may_only_read_the_record_reads_it_and_no_more(client, record):
    reader = User.objects.create_user("reader")
    reader.user_permissions.add(Permission.objects.get(codename="read_all_records"))
    client.force_login(reader)
    change(record, SECOND, subject="Once")
    shown = text(page(client, "appointment", record.pk))
    assert "Once" in shown
    assert KEY not in shown
    for name in ("occurrence", "change_occurrence", "call_off_occurrence", "take_back_occurrence"):
        answer = client.get if name == "occurrence" else client.post
        assert answer(reverse(name, args=[record.pk, KEY])).status_code == 403
    client.force_login(User.objects.create_user("stranger"))
    assert page(client, "appointment", record.pk).status_code == 404
    assert page(client, "occurrence", record.pk, KEY).status_code == 404


def test_what_the_database_may_not_take_is_refused_whoever_asks(record, desk):
    with pytest.raises(NotPossible) as found:
        occurrences.call_off(record.pk, SECOND, by=User.objects.create_user("stranger"), now=desk.now)
    assert found.value.why is Refused.NOT_YOURS
    with pytest.raises(NotPossible) as found:
        occurrences.change(record.pk, SECOND, {Field.SUBJECT: "x" * 401}, by=desk.owner, now=desk.now)
    assert found.value.why is Refused.DOES_NOT_FIT
    with pytest.raises(NotPossible) as found:
        occurrences.take_back(record.pk, SECOND + HOUR, by=desk.owner, now=desk.now)
    assert found.value.why is Refused.NONE_SUCH


# -- on the page In step


def in_conflict(desk, record, **values) -> FieldConflict:
    """Have both sides change the subject of one day, the mailbox later."""
    desk.sync()
    desk.sync()
    desk.now += timedelta(seconds=1)
    change(record, SECOND, **values)
    record.save()
    desk.now += timedelta(minutes=1)
    desk.server.change_occurrence(desk.link().item_id, SECOND, {Field.SUBJECT: "there"})
    desk.sync()
    return FieldConflict.objects.get()


def test_both_values_of_a_day_are_shown_and_the_other_can_be_had_back(web, desk, record):
    conflict = in_conflict(desk, record, subject="here")
    shown = text(page(web, "in_step", desk.mailbox.pk))
    assert "Review · 03/11/2026" in shown
    desk.now += timedelta(seconds=1)
    assert page(web, "take_other", desk.mailbox.pk, conflict.pk, post=True).status_code == 302
    assert record.changes.get().values == {"subject": "here"}
    desk.sync()
    (entry,) = desk.there()
    assert entry.exceptions[0].values[Field.SUBJECT] == "here"
    assert Appointment.objects.get().subject == "Review", "the series is as it was"
    with pytest.raises(settle.NotPossible):
        settle.take_other(FieldConflict.objects.get(), by=desk.owner, now=desk.now)


def test_a_day_that_was_called_off_and_took_place_all_the_same_can_be_called_off_again(web, desk, record):
    conflict = in_conflict(desk, record, cancelled=True)
    shown = text(page(web, "in_step", desk.mailbox.pk))
    assert "called off" in shown
    assert not record.changes.get().cancelled
    settle.take_other(conflict, by=desk.owner, now=desk.now)
    assert record.changes.get().cancelled


def test_what_somebody_wrote_since_is_not_lost_for_a_value_from_before(desk, record):
    conflict = in_conflict(desk, record, subject="here")
    occurrences.change(record.pk, SECOND, {Field.SUBJECT: "newer"}, by=desk.owner, now=desk.now)
    with pytest.raises(settle.NotPossible):
        settle.take_other(conflict, by=desk.owner, now=desk.now)
    occurrences.change(record.pk, SECOND, {Field.SUBJECT: "there"}, by=desk.owner, now=desk.now)
    desk.now = SECOND + 2 * HOUR
    with pytest.raises(settle.NotPossible):
        settle.take_other(conflict, by=desk.owner, now=desk.now)


def test_what_of_a_day_could_not_be_written_or_stayed_apart_is_said(web, desk, record):
    desk.sync()
    desk.sync()
    link = desk.link()
    link.exceptions_withheld = {
        SECOND.isoformat(): {"*": "write_refused"}, FIFTH.isoformat(): {"cancelled": "not_organizer"},
    }  # fmt: skip
    link.save()
    shown = text(page(web, "in_step", desk.mailbox.pk))
    written = shown[shown.index("Could not be written") : shown.index("Left as it is on each side")]
    assert "Review · 03/11/2026" in written
    assert "04/01/2026" not in written
    apart = shown[shown.index("Left as it is on each side") :]
    assert "Review · 04/01/2026" in apart
    assert "only the organiser of a meeting changes it" in apart
