"""What the adapter writes is what other clients read, and the other way round: unmodified exchangelib is the other one."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from exchangelib import (
    DELEGATE,
    Account,
    Build,
    CalendarItem,
    Configuration,
    Contact,
    Credentials,
    EWSDate,
    EWSDateTime,
    EWSTimeZone,
    Mailbox,
    Task,
    Version,
)
from exchangelib import (
    Attendee as ForeignAttendee,
)
from exchangelib.indexed_properties import EmailAddress, PhoneNumber, PhysicalAddress
from exchangelib.protocol import CachingProtocol
from exchangelib.recurrence import Recurrence as ForeignRecurrence
from exchangelib.recurrence import WeeklyPattern

from mailboxes.provider.entries import (
    Attendee,
    Entry,
    EntryKind,
    Every,
    Field,
    FullName,
    PostalAddress,
    Recurrence,
    Span,
)
from mailboxes.provider.ews.adapter import EwsProvider
from mailboxes.sandbox.server import SandboxServer
from tests.mailboxes.provider.test_contract_entries import MEETING, NINE, PERSON, TODO, WEEKLY, made, read
from tests.mailboxes.provider.worlds import ANA, BEN, SERVICE, provider_for

A, C, K = EntryKind.APPOINTMENT, EntryKind.CONTACT, EntryKind.TASK
MADRID = EWSTimeZone("Europe/Madrid")


@pytest.fixture
def provider(sandbox: SandboxServer) -> EwsProvider:
    return provider_for(sandbox, SERVICE, impersonate=True)


@pytest.fixture
def account(sandbox: SandboxServer) -> Iterator[Any]:
    config = Configuration(
        service_endpoint=sandbox.url,
        credentials=Credentials(ANA, "ana-pw"),
        auth_type="basic",
        version=Version(build=Build(15, 2, 1748, 10)),
    )
    yield Account(ANA, config=config, access_type=DELEGATE, default_timezone=MADRID)
    CachingProtocol.clear_cache()


# -- what we write ----------------------------------------------------------------------------------------------------


def test_a_contact_of_ours_is_theirs(provider: EwsProvider, account: Any) -> None:
    made(provider, C)
    (found,) = account.contacts.all()
    assert (found.given_name, found.middle_name, found.surname) == ("Núria", "M.", "Ferrer & Co")
    assert (found.display_name, found.file_as) == ("Núria M. Ferrer & Co", "Ferrer & Co, Núria M.")
    assert {each.label: each.email for each in found.email_addresses} == {
        "EmailAddress1": PERSON[Field.EMAIL1],
        "EmailAddress2": PERSON[Field.EMAIL2],
        "EmailAddress3": PERSON[Field.EMAIL3],
    }
    phones = {each.label: each.phone_number for each in found.phone_numbers if each.phone_number}
    assert (phones["MobilePhone"], phones["OtherTelephone"]) == (PERSON[Field.MOBILE], PERSON[Field.OTHER_PHONE])
    assert len(phones) == 11
    addresses = {each.label: each for each in found.physical_addresses}
    assert (addresses["Business"].street, addresses["Business"].zipcode) == ("Carrer Major 1\n2n 1a", "25001")
    assert (found.birthday, found.wedding_anniversary) == (PERSON[Field.BIRTHDAY], PERSON[Field.ANNIVERSARY])
    assert (found.children, found.spouse_name) == (["Aina", "Biel"], "Joan")
    assert (found.body or "").strip() == PERSON[Field.NOTES]


def test_a_task_of_ours_is_theirs(provider: EwsProvider, account: Any) -> None:
    made(provider, K)
    (found,) = account.tasks.all()
    assert (found.start_date, found.due_date) == (TODO[Field.START], TODO[Field.DUE])
    assert (found.status, found.percent_complete, found.importance) == ("InProgress", 50, "Low")


def test_a_series_of_ours_is_theirs(provider: EwsProvider, account: Any) -> None:
    made(provider, A, {**MEETING, Field.RECURRENCE: WEEKLY})
    (master,) = account.calendar.all()
    assert (master.subject, master.location, master.legacy_free_busy_status) == (
        MEETING[Field.SUBJECT],
        "Sala Gran",
        "Tentative",
    )
    assert {each.mailbox.email_address for each in master.required_attendees} == {BEN, "carla@partner.example"}
    first, last = NINE, NINE + timedelta(days=28, hours=-1)  # by the clock of Madrid
    seen = account.calendar.view(EWSDateTime(2026, 3, 1, tzinfo=MADRID), EWSDateTime(2026, 5, 1, tzinfo=MADRID))
    starts = sorted(each.start.astimezone(EWSTimeZone("UTC")) for each in seen)
    assert (len(starts), starts[0], starts[-1]) == (5, first, last)


def test_whole_days_of_ours_are_theirs(provider: EwsProvider, account: Any) -> None:
    made(provider, A, {Field.SUBJECT: "Sets the zone", Field.SPAN: MEETING[Field.SPAN]}, stamp="")
    days = Span(date(2026, 3, 29), date(2026, 3, 31))
    made(provider, A, {Field.SUBJECT: "Fair", Field.SPAN: days})
    (found,) = account.calendar.filter(subject="Fair")
    assert found.is_all_day
    assert (found.start, found.end) == (EWSDate(2026, 3, 29), EWSDate(2026, 3, 30)), "their end is the last day"


# -- what they write --------------------------------------------------------------------------------------------------


def test_a_contact_of_theirs_is_ours(provider: EwsProvider, account: Any) -> None:
    theirs = Contact(
        folder=account.contacts,
        given_name="Ben",
        surname="Roca",
        display_name="Ben Roca",
        file_as="Roca, Ben",
        company_name="Roca SL",
        birthday=EWSDate(1980, 5, 4),
        email_addresses=[EmailAddress(label="EmailAddress1", email="ben@roca.example")],
        phone_numbers=[PhoneNumber(label="MobilePhone", phone_number="+34 5")],
        physical_addresses=[PhysicalAddress(label="Home", street="Rambla 1", city="Reus", country="Spain")],
    ).save()
    found = read(provider, theirs.id)
    assert {name: value for name, value in found.values.items() if value} == {
        Field.NAME: FullName("Ben", "", "Roca"),
        Field.COMPANY: "Roca SL",
        Field.BIRTHDAY: date(1980, 5, 4),
        Field.EMAIL1: "ben@roca.example",
        Field.MOBILE: "+34 5",
        Field.HOME_ADDRESS: PostalAddress("Rambla 1", "Reus", country="Spain"),
    }


def test_a_task_of_theirs_is_ours(provider: EwsProvider, account: Any) -> None:
    theirs = Task(
        folder=account.tasks,
        subject="Call",
        start_date=EWSDate(2026, 3, 1),
        due_date=EWSDate(2026, 3, 5),
        status="Deferred",
    ).save()
    found = read(provider, theirs.id)
    assert (found.values[Field.START], found.values[Field.DUE]) == (date(2026, 3, 1), date(2026, 3, 5))
    assert (found.values[Field.STATUS], found.recurring, found.assigned) == ("Deferred", False, False)


def test_a_series_of_theirs_is_ours(provider: EwsProvider, account: Any) -> None:
    theirs = CalendarItem(
        folder=account.calendar,
        subject="Weekly",
        start=EWSDateTime(2026, 3, 4, 9, tzinfo=MADRID),
        end=EWSDateTime(2026, 3, 4, 10, tzinfo=MADRID),
        required_attendees=[ForeignAttendee(mailbox=Mailbox(email_address="x@third.example"), response_type="Accept")],
        recurrence=ForeignRecurrence(
            pattern=WeeklyPattern(interval=1, weekdays=["Wednesday"]), start=EWSDate(2026, 3, 4), number=5
        ),
    ).save(send_meeting_invitations="SendToNone")
    second = theirs.occurrence(index=2)
    second.refresh()
    second.subject = "Only this once"
    second.save(update_fields=["subject"])
    theirs.occurrence(index=3).delete()
    found = read(provider, theirs.id)
    span = found.values[Field.SPAN]
    assert isinstance(span, Span)
    assert (span.start, span.end) == (NINE, NINE + timedelta(hours=1))
    assert span.zone == "Europe/Paris", "Windows has one zone for both, and no note of ours is on it"
    assert found.values[Field.RECURRENCE] == Recurrence(Every.WEEK, date(2026, 3, 4), weekdays=("WE",), count=5)
    people = found.values[Field.REQUIRED]
    assert isinstance(people, tuple)
    assert [(each.email, each.response) for each in people if isinstance(each, Attendee)] == [
        ("x@third.example", "accepted")
    ]
    week = timedelta(days=7)
    assert [(each.original, each.cancelled, each.values.get(Field.SUBJECT)) for each in found.exceptions] == [
        (NINE + week, False, "Only this once"),
        (NINE + 2 * week, True, None),
    ]


def test_whole_days_of_theirs_are_ours(provider: EwsProvider, account: Any) -> None:
    theirs = CalendarItem(
        folder=account.calendar, subject="Fair", start=EWSDate(2026, 3, 29), end=EWSDate(2026, 3, 30), is_all_day=True
    ).save(send_meeting_invitations="SendToNone")
    found = read(provider, theirs.id)
    assert found.values[Field.SPAN] == Span(date(2026, 3, 29), date(2026, 3, 31))
    assert isinstance(found, Entry)
    assert found.marks.modified_at is not None
    assert found.marks.modified_at > datetime(2020, 1, 1, tzinfo=UTC)
