"""The demo in a store: mailboxes, folders, calendars, address books, tasks and the records' data."""

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
import vobject
from icalendar import Calendar

from mailboxes.sandbox.demo import (
    SERVICE_ADDRESS,
    Case,
    Opportunity,
    appointments,
    cases,
    companies,
    contacts,
    load,
    mailboxes,
    messages,
    opportunities,
    people,
    tasks,
)
from mailboxes.sandbox.demo.cast import people_by_key
from mailboxes.sandbox.demo.script import read_stories
from mailboxes.sandbox.store import SandboxError, SandboxStore

NOW = datetime(2026, 3, 4, 15, 30, tzinfo=UTC)


@pytest.fixture(scope="module")
def store() -> SandboxStore:
    loaded = SandboxStore(clock=NOW.timestamp)
    load(loaded, now=NOW)
    return loaded


def event(raw: bytes) -> Any:
    return Calendar.from_ical(raw).walk("VEVENT")[0]


def test_every_holder_has_the_message_in_the_folder_named(store: SandboxStore) -> None:
    expected = Counter(holder for message in messages(NOW) for holder in message.holders)
    found = {(address, path): len(store.folder(address, path).items) for address, path in expected}
    assert found == expected


def test_items_keep_their_bytes_and_their_time_of_arrival(store: SandboxStore) -> None:
    message = next(each for each in messages(NOW, huge=False) if each.key == "lens-offer")
    [(address, path)] = message.holders
    [item] = [item for item in store.folder(address, path).items.values() if item.content.raw == message.raw]
    assert item.received == message.received.timestamp()


def test_mail_arrives_in_the_order_of_time(store: SandboxStore) -> None:
    received = [item.received for item in store.folder("support@turia.example", "inbox").items.values()]
    assert received == sorted(received)


def test_only_fresh_mail_is_unread(store: SandboxStore) -> None:
    inbox = store.folder("joan.ribelles@turia.example", "inbox").items.values()
    unread = [item for item in inbox if not item.is_read]
    assert 0 < len(unread) < len(inbox) / 3
    assert min(item.received for item in unread) > (NOW - timedelta(days=1)).timestamp()
    assert all(item.is_read for item in store.folder("joan.ribelles@turia.example", "sentitems").items.values())


def test_invitations_become_meeting_items(store: SandboxStore) -> None:
    kinds = Counter(
        item.content.kind
        for mailbox in store.mailboxes.values()
        for folder in mailbox.folders.values()
        for item in folder.items.values()
    )
    for kind in ("Message", "MeetingRequest", "MeetingResponse", "CalendarItem", "Contact", "Task"):
        assert kinds[kind] > 0, kind
    assert kinds["CalendarItem"] == len(list(appointments(NOW)))
    assert kinds["Contact"] == len(list(contacts()))
    assert kinds["Task"] == len(list(tasks(NOW)))


def test_mailboxes_use_all_tracking_options_and_several_languages(store: SandboxStore) -> None:
    assert {mailbox.tracking for mailbox in mailboxes} == {"all", "replies", "records", "enabled", "none"}
    assert {store.mailbox(mailbox.address).language for mailbox in mailboxes} == {"ca", "de", "en"}
    assert store.mailbox(SERVICE_ADDRESS).impersonator
    assert not any(store.mailbox(mailbox.address).impersonator for mailbox in mailboxes)


def test_the_password_is_the_callers() -> None:
    fresh = SandboxStore()
    load(fresh, password="chosen")
    assert {mailbox.password for mailbox in fresh.mailboxes.values()} == {"chosen"}


def test_the_present_is_the_default_time() -> None:
    fresh = SandboxStore()
    load(fresh)
    newest = max(item.received for item in fresh.folder("helena.brandt@turia.example", "inbox").items.values())
    assert timedelta(0) <= datetime.now(UTC) - datetime.fromtimestamp(newest, UTC) < timedelta(hours=2)


def test_loading_twice_is_refused(store: SandboxStore) -> None:
    with pytest.raises(SandboxError, match="already"):
        load(store, now=NOW)


def test_appointments_are_single_recurring_all_day_and_private() -> None:
    events = [event(item.raw) for item in appointments(NOW)]
    assert sum("RRULE" in each for each in events) >= 5
    assert sum(type(each["DTSTART"].dt) is date for each in events) >= 3
    assert sum(each.get("CLASS") == "PRIVATE" for each in events) == 2
    assert any(each["DTSTART"].dt > NOW for each in events if isinstance(each["DTSTART"].dt, datetime))
    assert any("ATTENDEE" not in each for each in events)


@pytest.mark.parametrize("day", range(31))
def test_recurring_appointments_begin_with_an_occurrence(day: int) -> None:
    names = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
    for item in appointments(NOW + timedelta(days=day)):
        found = event(item.raw)
        start = found["DTSTART"].dt
        for rule in found.get("RRULE", {}).get("BYDAY", []):
            assert rule.relative in {None, (start.day - 1) // 7 + 1, -1}
        if rules := found.get("RRULE", {}).get("BYDAY"):
            assert names[start.weekday()] in {rule.weekday for rule in rules}
        assert found.get("RRULE", {}).get("BYMONTHDAY", [start.day]) == [start.day]


def test_a_meeting_has_one_uid_and_one_time_in_calendars_and_invitations() -> None:
    by_uid: dict[str, set[object]] = {}
    for item in appointments(NOW):
        by_uid.setdefault(str(event(item.raw)["UID"]), set()).add(event(item.raw)["DTSTART"].dt)
    assert all(len(starts) == 1 for starts in by_uid.values())
    invited = 0
    for letter in read_stories().values():
        if letter.invite.startswith("REQUEST"):
            raw = next(message.raw for message in messages(NOW, huge=False) if message.key == letter.key)
            text = raw.replace(b"\r\n ", b"").decode()
            uid = f"{letter.invite.split('|')[1].strip()}@turia.example"
            assert f"UID:{uid}" in text
            [start] = by_uid[uid]
            assert isinstance(start, datetime)
            assert f"{start:%Y%m%dT%H%M%S}" in text
            invited += 1
    assert invited >= 4


def test_contacts_are_cards_of_the_people_outside() -> None:
    cards = [vobject.readOne(item.raw.decode()) for item in contacts()]
    outside = {person.address for person in people if person.role == "external"}
    assert {card.email.value for card in cards} == outside
    assert all(card.n.value.family and card.fn.value for card in cards)


def test_tasks_are_open_and_done_behind_and_ahead() -> None:
    found = [entry.task for entry in tasks(NOW)]
    assert {task.status for task in found} == {"NotStarted", "InProgress", "Completed", "WaitingOnOthers"}
    assert {task.importance for task in found} == {"Low", "Normal", "High"}
    assert min(task.due for task in found if task.due) < NOW.date() < max(task.due for task in found if task.due)


def test_records_refer_to_people_and_companies_that_exist() -> None:
    own = [company for company in companies if company.own]
    accounts = {company.key: company for company in companies}
    assert len(companies) == 3
    assert len(own) == 1
    for person in people:
        assert person.role == ("internal" if person.company == own[0].key else "external")
        if person.company in accounts:
            assert person.domain == accounts[person.company].domain
    records: list[Opportunity | Case] = [*opportunities, *cases]
    for record in records:
        contact = people_by_key[record.contact]
        assert contact.role == "external"
        assert record.account == (contact.company if contact.company in accounts else "")
        assert people_by_key[record.owner].role == "internal"
    assert {mailbox.address for mailbox in mailboxes} == {p.address for p in people if p.role == "internal"}
    assert {mailbox.owner for mailbox in mailboxes} <= {p.key for p in people if p.role == "internal"}
