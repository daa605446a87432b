"""Entries and outgoing mail of the mail system in memory: what people do there, who is told, what can be made to fail."""

from datetime import UTC, date, datetime

import pytest

from mailboxes.provider.entries import Attendee, Entry, EntryKind, Field, Marks
from mailboxes.provider.errors import ChangedMeanwhile, ItemGone, ItemUnreadable, Unavailable, WriteRefused
from mailboxes.provider.memory import MemoryProvider, MemoryServer, Notice
from mailboxes.provider.port import Address, Content, Envelope, FolderRole
from mailboxes.provider.writing import OutgoingMail
from tests.mailboxes.provider.test_contract_entries import MEETING, NINE, TODO, WEEKLY

ANA, BEN = "ana@example.com", "ben@example.com"
A, K = EntryKind.APPOINTMENT, EntryKind.TASK


@pytest.fixture
def server() -> MemoryServer:
    return MemoryServer()


@pytest.fixture
def provider(server: MemoryServer) -> MemoryProvider:
    return server.provider(ANA)


def test_what_people_send_is_told_and_what_the_provider_writes_is_not(
    server: MemoryServer, provider: MemoryProvider
) -> None:
    item = server.put_entry(ANA, "calendar", A, MEETING, telling=True)
    (marks,) = provider.marks([item])
    assert isinstance(marks, Marks)
    provider.update_entry(item, marks.change_key, A, {Field.LOCATION: "B"})
    server.change_entry(item, {Field.LOCATION: "C"}, telling=True)
    server.change_entry(item, {Field.LOCATION: "D"})
    moved = server.bin_entry(item, telling=True)
    provider.delete_entry(moved)
    people = ("ben@example.com", "carla@partner.example", "dan@third.example")
    assert server.notices == [Notice(ANA, people, what, item) for what in ("invitation", "update", "cancellation")]
    assert isinstance(provider.marks([moved])[0], ItemGone)


def test_nobody_is_told_of_what_nobody_is_invited_to(server: MemoryServer) -> None:
    server.put_entry(ANA, "tasks", K, TODO, telling=True)
    server.put_entry(ANA, "calendar", A, {Field.SPAN: MEETING[Field.SPAN]}, telling=True)
    assert server.notices == []


def test_a_meeting_of_somebody_else_says_so(server: MemoryServer, provider: MemoryProvider) -> None:
    boss = (Attendee("boss@example.com", "", "organizer"),)
    item = server.put_entry(
        ANA,
        "calendar",
        A,
        {**MEETING, Field.ORGANIZER: boss},
        telling=False,
        organized_here=False,
        sensitivity="Private",
        uid="u1",
    )
    (found,) = provider.entries([item])
    assert isinstance(found, Entry)
    assert (found.organized_here, found.marks.sensitivity, found.marks.uid) == (False, "Private", "u1")
    assert found.values[Field.ORGANIZER] == boss


def test_a_completed_turn_of_a_recurring_task_gets_an_id_of_its_own(
    server: MemoryServer, provider: MemoryProvider
) -> None:
    item = server.put_entry(ANA, "tasks", K, {**TODO, Field.START: None}, telling=False, recurring=True)
    (marks,) = provider.marks([item])
    assert isinstance(marks, Marks)
    done = provider.update_entry(item, marks.change_key, K, {Field.STATUS: "Completed"}, stamp="link-1")
    assert done.item_id != item
    finished, following = provider.entries([done.item_id, item])
    assert isinstance(finished, Entry)
    assert isinstance(following, Entry)
    assert (finished.recurring, finished.values[Field.STATUS]) == (False, "Completed")
    assert (following.recurring, following.values[Field.STATUS]) == (True, "NotStarted")
    assert following.values[Field.DUE] == date(2026, 4, 7)


def test_status_percent_and_day_of_a_task_agree(server: MemoryServer) -> None:
    item = server.put_entry(ANA, "tasks", K, {Field.PERCENT: 100}, telling=False)

    def said() -> list[object]:
        return [server.entry(item).values.get(name) for name in (Field.STATUS, Field.PERCENT)]

    assert said() == ["Completed", 100]
    assert server.entry(item).values[Field.COMPLETED] is not None
    for values, wanted in (
        ({Field.PERCENT: 30}, ["InProgress", 30]),
        ({Field.STATUS: "WaitingOnOthers"}, ["WaitingOnOthers", 30]),
        ({Field.PERCENT: 40}, ["WaitingOnOthers", 40]),
        ({Field.PERCENT: 0}, ["WaitingOnOthers", 0]),
        ({Field.PERCENT: 10}, ["WaitingOnOthers", 10]),
        ({Field.STATUS: "NotStarted"}, ["NotStarted", 0]),
        ({Field.PERCENT: 10}, ["InProgress", 10]),
        ({Field.SUBJECT: "x"}, ["InProgress", 10]),
        ({Field.PERCENT: 0}, ["NotStarted", 0]),
    ):
        server.change_entry(item, values)
        assert said() == wanted, values


def test_time_is_the_server_s_own_or_that_of_its_clock() -> None:
    now = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
    server = MemoryServer(clock=lambda: now)
    item = server.put_entry(ANA, "tasks", K, TODO, telling=False)
    assert server.entry(item).modified_at == now
    own = MemoryServer()
    first = own.put_entry(ANA, "tasks", K, TODO, telling=False)
    before = own.entry(first).modified_at
    own.change_entry(first, {Field.SUBJECT: "Later"})
    after = own.entry(first).modified_at
    assert before is not None
    assert after is not None
    assert after > before


def test_a_lost_answer_leaves_what_was_done(server: MemoryServer, provider: MemoryProvider) -> None:
    folder = server.folder_id(ANA, "tasks")
    server.lose("create_entry", Unavailable(), nth=2)
    provider.create_entry(folder, K, TODO, stamp="link-1")
    with pytest.raises(Unavailable):
        provider.create_entry(folder, K, TODO, stamp="link-2")
    item = provider.find_stamp(folder, "LINK-2")
    assert item is not None
    (marks,) = provider.marks([item])
    assert isinstance(marks, Marks)
    server.lose("update_entry", SystemExit(9))
    with pytest.raises(SystemExit):
        provider.update_entry(item, marks.change_key, K, {Field.SUBJECT: "Written"})
    with pytest.raises(ChangedMeanwhile):
        provider.update_entry(item, marks.change_key, K, {Field.SUBJECT: "Again"})
    assert server.entry(item).values[Field.SUBJECT] == "Written"
    assert server.calls[ANA, "update_entry"] == 2


def test_an_action_before_a_write_makes_its_change_key_stale(server: MemoryServer, provider: MemoryProvider) -> None:
    item = server.put_entry(ANA, "tasks", K, TODO, telling=False)
    (marks,) = provider.marks([item])
    assert isinstance(marks, Marks)

    def hers() -> None:
        server.change_entry(item, {Field.SUBJECT: "Hers"})

    server.before("update_entry", hers)
    with pytest.raises(ChangedMeanwhile):
        provider.update_entry(item, marks.change_key, K, {Field.SUBJECT: "Ours"})


def test_a_bad_entry_is_bad_for_marks_and_entries(server: MemoryServer, provider: MemoryProvider) -> None:
    item = server.put_entry(ANA, "tasks", K, TODO, telling=False)
    server.fail_item(item, ItemUnreadable("broken"))
    assert isinstance(provider.marks([item])[0], ItemUnreadable)
    assert isinstance(provider.entries([item])[0], ItemUnreadable)
    server.heal()
    assert isinstance(provider.entries([item])[0], Entry)


def test_occurrences_are_changed_over_and_over_and_ended(server: MemoryServer) -> None:
    item = server.put_entry(ANA, "calendar", A, {**MEETING, Field.RECURRENCE: WEEKLY}, telling=False)
    for subject in ("One", "Two"):
        server.change_occurrence(item, NINE, {Field.SUBJECT: subject})
    (changed,) = server.entry(item).exceptions
    assert changed.values[Field.SUBJECT] == "Two"
    server.change_occurrence(item, NINE, None, telling=True)
    (gone,) = server.entry(item).exceptions
    assert gone.cancelled
    assert [each.what for each in server.notices] == ["update"]


def test_an_entry_is_no_message_and_a_message_no_entry(server: MemoryServer, provider: MemoryProvider) -> None:
    item = server.put_entry(ANA, "calendar", A, MEETING, telling=False)
    (envelope,) = provider.envelopes([item])
    assert isinstance(envelope, Envelope)
    assert (envelope.item_class, envelope.subject, envelope.sender) == ("IPM.Appointment", "", None)
    letter = server.deliver(ANA)
    with pytest.raises(KeyError):
        server.entry(letter)
    with pytest.raises(ItemGone):
        provider.update_entry(letter, "ck", A, {})
    copied = server.copy(item, BEN, "calendar")
    assert server.entry(copied) == server.entry(item)


def test_mail_is_delivered_here_and_recorded_for_elsewhere(server: MemoryServer, provider: MemoryProvider) -> None:
    server.add_mailbox(BEN)
    mail = OutgoingMail("<1@crm>", "Hello", (Address(BEN),), bcc=(Address("eva@x.example"),), text="Hi", token="t")
    draft = provider.create_message(mail, stamp="s")
    assert server.sent == []
    provider.send_message(draft.item_id, draft.change_key)
    (sent,) = server.sent
    assert (sent.sender, sent.to, sent.mail.token) == (ANA, (BEN, "eva@x.example"), "t")
    (item,) = server.item_ids(BEN)
    (envelope,) = server.provider(BEN).envelopes([item])
    (content,) = server.provider(BEN).contents([item])
    assert isinstance(envelope, Envelope)
    assert isinstance(content, Content)
    assert (envelope.stamp, envelope.bcc, envelope.message_id, content.text) == ("", (), "<1@crm>", "Hi")
    found = provider.find_message("s")
    assert found is not None
    with pytest.raises(WriteRefused, match="already"):
        provider.send_message(found.item_id, found.change_key)


def test_a_mailbox_without_sent_items_still_finds_its_drafts(server: MemoryServer, provider: MemoryProvider) -> None:
    server.remove_folder(ANA, FolderRole.SENT)
    draft = provider.create_message(OutgoingMail("<1@crm>", "Hello", ()), stamp="s")
    assert provider.find_message("s") == draft
    assert provider.find_message("t") is None
