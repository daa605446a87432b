"""Calendars and cards into appointments, tasks and contacts, read back with exchangelib."""

import contextlib
from collections.abc import Callable
from datetime import UTC, date, datetime

import pytest
from exchangelib import Account
from hypothesis import given
from hypothesis import strategies as st

from mailboxes.sandbox import ics, vcf
from mailboxes.sandbox.recurrence import recurrence
from mailboxes.sandbox.store import SandboxError, SandboxStore
from mailboxes.sandbox.tasks import Task
from tests.mailboxes.sandbox.wire import ANNA

Open = Callable[..., Account]


def calendar(*lines: str, component: str = "VEVENT") -> bytes:
    body = [f"BEGIN:{component}", *lines, f"END:{component}"]
    return "\r\n".join(["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//x//y//EN", *body, "END:VCALENDAR", ""]).encode()


REVIEW = calendar(
    "UID:review-1",
    "DTSTAMP:20261101T000000Z",
    "DTSTART;TZID=Europe/Madrid:20261124T100000",
    "DTEND;TZID=Europe/Madrid:20261124T113000",
    "SUMMARY:Review\\, quarterly",
    "DESCRIPTION:Agenda",
    "LOCATION:Sala 1",
    "ORGANIZER;CN=Anna:mailto:anna@sandbox.example",
    "ATTENDEE;CN=Ben;PARTSTAT=ACCEPTED:mailto:ben@sandbox.example",
    "ATTENDEE;ROLE=OPT-PARTICIPANT:mailto:carla@outside.example",
    "RRULE:FREQ=WEEKLY;INTERVAL=2;BYDAY=TU,TH;COUNT=10",
    "CATEGORIES:CRM,Red",
    "CLASS:PRIVATE",
    "PRIORITY:1",
    "TRANSP:TRANSPARENT",
    "BEGIN:VALARM",
    "ACTION:DISPLAY",
    "TRIGGER:-PT15M",
    "END:VALARM",
)


def test_an_event_becomes_an_appointment(store: SandboxStore, account: Open) -> None:
    (item_id,) = store.add_ics(ANNA, REVIEW)
    item = account(ANNA).calendar.all().get()
    assert item.id == item_id
    assert (item.subject, item.location, item.uid, item.text_body.strip()) == (
        "Review, quarterly",
        "Sala 1",
        "review-1",
        "Agenda",
    )
    assert (item.start, item.end) == (datetime(2026, 11, 24, 9, tzinfo=UTC), datetime(2026, 11, 24, 10, 30, tzinfo=UTC))
    assert str(item._start_timezone) == "Europe/Paris", "the Windows zone of Madrid"
    assert (item.type, item.is_all_day, item.sensitivity, item.importance) == (
        "RecurringMaster",
        False,
        "Private",
        "High",
    )
    assert item.recurrence.pattern.interval == 2
    assert item.recurrence.boundary.number == 10
    assert item.organizer.email_address == ANNA
    assert [(one.mailbox.email_address, one.response_type) for one in item.required_attendees] == [
        ("ben@sandbox.example", "Accept")
    ]
    assert [one.mailbox.email_address for one in item.optional_attendees] == ["carla@outside.example"]
    assert (item.categories, item.reminder_is_set, item.reminder_minutes_before_start) == (["CRM", "Red"], True, 15)
    assert item.legacy_free_busy_status == "Free"


def test_an_all_day_event_is_of_days(store: SandboxStore, account: Open) -> None:
    store.add_ics(ANNA, calendar("UID:1", "DTSTART;VALUE=DATE:20261224", "DTEND;VALUE=DATE:20261227", "SUMMARY:Closed"))
    item = account(ANNA).calendar.all().get()
    assert (item.is_all_day, item.start, item.end) == (True, date(2026, 12, 24), date(2026, 12, 26))


@pytest.mark.parametrize(
    ("lines", "seconds"),
    [
        (["DTSTART:20261124T100000Z", "DURATION:PT90M"], 5400),
        (["DTSTART:20261124T100000Z"], 0),
        (["DTSTART:20261124T100000", "DTEND:20261124T090000"], 0),
        (["DTSTART;VALUE=DATE:20261124"], 86_400),
        (["DTSTART:20261124T100000Z", "DTEND;VALUE=DATE:20261125"], 0),
    ],
)
def test_an_end_is_found_or_made(lines: list[str], seconds: int) -> None:
    (content,) = ics.contents(calendar(*lines))
    start, end = (
        datetime.fromisoformat(content.values[name].partition(">")[2].partition("<")[0]) for name in ("Start", "End")
    )
    assert (end - start).total_seconds() == seconds


def test_a_todo_becomes_a_task(store: SandboxStore, account: Open) -> None:
    store.add_ics(
        ANNA,
        calendar(
            "UID:t",
            "SUMMARY:Call",
            "DUE;VALUE=DATE:20261201",
            "STATUS:IN-PROCESS",
            "PERCENT-COMPLETE:40",
            "PRIORITY:9",
            component="VTODO",
        ),
    )
    task = account(ANNA).tasks.all().get()
    assert (task.subject, task.due_date, task.status, task.percent_complete) == (
        "Call",
        date(2026, 12, 1),
        "InProgress",
        40,
    )
    assert task.importance == "Low"


def test_a_task_in_plain_words(store: SandboxStore, account: Open) -> None:
    store.add_task(
        ANNA,
        Task(
            "Call Zoe",
            "About the offer",
            start=date(2026, 11, 1),
            due=date(2026, 11, 30),
            status="Completed",
            owner="Anna",
            companies=("Quill & Co",),
            actual_work=30,
            total_work=60,
            reminder=datetime(2026, 11, 29, 9, tzinfo=UTC),
        ),
        categories=["CRM"],
    )
    task = account(ANNA).tasks.all().get()
    assert (task.subject, task.text_body, task.owner, task.companies) == (
        "Call Zoe",
        "About the offer",
        "Anna",
        ["Quill & Co"],
    )
    assert (task.is_complete, task.percent_complete, task.complete_date.date()) == (True, 100, date(2026, 11, 30))
    assert (task.actual_work, task.total_work, task.reminder_is_set, task.categories) == (30, 60, True, ["CRM"])


@pytest.mark.parametrize("wrong", [{"status": "Later"}, {"importance": "Huge"}, {"percent_complete": 101}])
def test_a_task_that_makes_no_sense_is_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        Task("x", **wrong)  # type: ignore[arg-type]  # one wrong value at a time


CARD = (
    "BEGIN:VCARD\r\nVERSION:3.0\r\nN:Puig;Anna;Maria;;\r\nFN:Anna Puig\r\nNICKNAME:Anni\r\nORG:Quill & Co;Sales;North\r\nTITLE:Buyer\r\n"
    "EMAIL:anna@quill.example\r\nEMAIL:a2@quill.example\r\nEMAIL:a3@quill.example\r\nEMAIL:a4@quill.example\r\n"
    "TEL;TYPE=CELL:+34 600\r\nTEL;TYPE=WORK:+34 900\r\nTEL;TYPE=WORK:+34 901\r\nTEL;TYPE=HOME,FAX:+34 902\r\nTEL;TYPE=PAGER:5\r\n"
    "ADR;TYPE=WORK:;;Carrer 1;València;VC;46001;Spain\r\nADR;TYPE=HOME:;;Plaça 2;Gandia;;;\r\nADR;TYPE=DOM:;;Other 3;X;;;\r\n"
    "BDAY:1980-01-02\r\nURL:https://quill.example\r\nNOTE:Met at the fair\\nin May\r\nCATEGORIES:VIP,CRM\r\nEND:VCARD\r\n"
).encode()


def test_a_card_becomes_a_contact(store: SandboxStore, account: Open) -> None:
    store.add_vcf(ANNA, CARD)
    contact = account(ANNA).contacts.all().get()
    assert (contact.display_name, contact.given_name, contact.surname, contact.file_as) == (
        "Anna Puig",
        "Anna",
        "Puig",
        "Puig, Anna",
    )
    assert (contact.company_name, contact.department, contact.job_title) == ("Quill & Co", "Sales, North", "Buyer")
    assert [one.email for one in contact.email_addresses] == [f"{name}@quill.example" for name in ("anna", "a2", "a3")]
    assert {one.label: one.phone_number for one in contact.phone_numbers} == {
        "MobilePhone": "+34 600",
        "BusinessPhone": "+34 900",
        "BusinessPhone2": "+34 901",
        "HomeFax": "+34 902",
        "Pager": "5",
    }
    assert {one.label: (one.street, one.city) for one in contact.physical_addresses} == {
        "Business": ("Carrer 1", "València"),
        "Home": ("Plaça 2", "Gandia"),
        "Other": ("Other 3", "X"),
    }
    assert contact.birthday == date(1980, 1, 2)
    assert contact.text_body == "Met at the fair\nin May"
    assert contact.categories == ["VIP", "CRM"]
    assert contact.complete_name.first_name == "Anna"


def test_a_card_with_nothing_but_a_company_is_named_by_it() -> None:
    (content,) = vcf.contents(b"BEGIN:VCARD\r\nVERSION:2.1\r\nORG:Quill\r\nBDAY:sometime\r\nEND:VCARD\r\n")
    assert content.values["DisplayName"] == "<t:DisplayName>Quill</t:DisplayName>"
    assert "Birthday" not in content.values


@pytest.mark.parametrize(
    ("rule", "start", "pattern"),
    [
        ("FREQ=DAILY;INTERVAL=3", date(2026, 11, 24), "DailyRecurrence"),
        ("FREQ=WEEKLY", date(2026, 11, 24), "WeeklyRecurrence"),
        ("FREQ=MONTHLY", date(2026, 11, 24), "AbsoluteMonthlyRecurrence"),
        ("FREQ=MONTHLY;BYDAY=2TU", date(2026, 11, 24), "RelativeMonthlyRecurrence"),
        ("FREQ=MONTHLY;BYDAY=FR;BYSETPOS=-1", date(2026, 11, 27), "RelativeMonthlyRecurrence"),
        ("FREQ=YEARLY;UNTIL=20301124", date(2026, 11, 24), "AbsoluteYearlyRecurrence"),
        ("FREQ=YEARLY;BYDAY=-1SU;BYMONTH=3;UNTIL=20301124T000000Z", date(2026, 3, 29), "RelativeYearlyRecurrence"),
    ],
)
def test_rules_the_protocol_has_words_for(rule: str, start: date, pattern: str) -> None:
    (content,) = ics.contents(calendar(f"DTSTART;VALUE=DATE:{start:%Y%m%d}", f"RRULE:{rule}"))
    assert f"<t:{pattern}>" in content.values["Recurrence"]
    assert f"<t:StartDate>{start}</t:StartDate>" in content.values["Recurrence"]
    assert ("EndDateRecurrence" in content.values["Recurrence"]) is ("UNTIL" in rule)


@pytest.mark.parametrize(
    "rule",
    [
        "FREQ=HOURLY",
        "FREQ=MONTHLY;BYMONTHDAY=1,15",
        "FREQ=MONTHLY;BYDAY=MO,TU",
        "FREQ=YEARLY;INTERVAL=2",
        "FREQ=MONTHLY;BYDAY=5MO",
        "FREQ=MONTHLY;BYMONTHDAY=-1",
    ],
)
def test_rules_the_protocol_has_no_words_for_leave_the_first_occurrence(rule: str) -> None:
    (content,) = ics.contents(calendar("DTSTART:20261124T100000Z", f"RRULE:{rule}"))
    assert content.values["Recurrence"] == ""
    assert content.values["CalendarItemType"] == "<t:CalendarItemType>Single</t:CalendarItemType>"
    assert recurrence({}, date(2026, 1, 1)) == ""


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"nonsense",
        b"BEGIN:VCALENDAR\r\nEND:VCALENDAR",
        calendar("SUMMARY:no start"),
        b"\xff\xfe\x00",
        calendar("DTSTART:tomorrow"),
    ],
)
def test_what_is_no_calendar_is_said_to_be_none(store: SandboxStore, raw: bytes) -> None:
    with pytest.raises(SandboxError, match="no calendar"):
        store.add_ics(ANNA, raw)


@pytest.mark.parametrize(
    "raw", [b"", b"nonsense", b"BEGIN:VCARD", b"BEGIN:VCALENDAR\r\nEND:VCALENDAR", b"\xff\xfe\x00"]
)
def test_what_is_no_card_is_said_to_be_none(store: SandboxStore, raw: bytes) -> None:
    with pytest.raises(SandboxError, match="no contact card"):
        store.add_vcf(ANNA, raw)


@given(st.integers(0, len(REVIEW)), st.integers(0, 20), st.binary(max_size=5))
def test_no_calendar_fails_in_another_way(at: int, cut: int, put_in: bytes) -> None:
    changed = REVIEW[:at] + put_in + REVIEW[at + cut :]
    with contextlib.suppress(ics.UnreadableCalendar):
        assert ics.contents(changed)
    assert isinstance(ics.meeting_values(changed, "MeetingRequest"), dict)


@given(st.integers(0, len(CARD)), st.integers(0, 20), st.binary(max_size=5))
def test_no_card_fails_in_another_way(at: int, cut: int, put_in: bytes) -> None:
    with contextlib.suppress(vcf.UnreadableCard):
        assert vcf.contents(CARD[:at] + put_in + CARD[at + cut :])
