"""Meetings between two mailboxes: who is told what, what the calendars then say, and that silence is silent."""

import base64
import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from exchangelib import Account, CalendarItem, EWSTimeZone, HTMLBody
from exchangelib.errors import ErrorCalendarIsCancelledForAccept, ErrorCalendarIsOrganizerForAccept
from exchangelib.fields import MONDAY
from exchangelib.items import MeetingCancellation, MeetingRequest, MeetingResponse
from exchangelib.recurrence import Recurrence, WeeklyPattern

from mailboxes.sandbox import delivery, statefile
from mailboxes.sandbox.server import SandboxServer
from mailboxes.sandbox.store import SandboxStore
from tests.mailboxes.sandbox.test_sandbox_appointments import CUSTOM
from tests.mailboxes.sandbox.test_sandbox_cards_and_calendars import calendar
from tests.mailboxes.sandbox.wire import ANNA, BEN, SERVICE, Ask, mail, over_http

Open = Callable[..., Account]
MADRID = EWSTimeZone("Europe/Madrid")
START = datetime(2026, 11, 23, 10, tzinfo=MADRID)
GUEST = "guest@outside.example"


def meeting(account: Account, *people: str, told: str = "SendToAllAndSaveCopy", **more: object) -> CalendarItem:
    made = CalendarItem(
        folder=account.calendar,
        subject="Review",
        body="Agenda",
        location="Room 1",
        start=START,
        end=START + timedelta(hours=1),
        required_attendees=list(people),
        **more,
    ).save(send_meeting_invitations=told)
    return account.calendar.get(id=made.id)


def left(store: SandboxStore) -> list[tuple[str, str, tuple[str, ...]]]:
    """Return (kind, sender, recipients) of everything that left a mailbox."""
    return [(one.kind, one.sender, one.recipients) for one in store.departed]


def test_an_invitation_arrives_and_stands_in_the_calendar_unanswered(store: SandboxStore, account: Open) -> None:
    anna, ben = account(ANNA), account(BEN)
    item = meeting(anna, BEN, GUEST, sensitivity="Private")
    request = ben.inbox.all().get()
    assert isinstance(request, MeetingRequest)
    assert (request.subject, request.start, request.meeting_request_type) == ("Review", START, "NewMeetingRequest")
    copy = ben.calendar.all().get()
    assert request.associated_calendar_item_id.id == copy.id
    assert (copy.subject, copy.start, copy.end, copy.location, copy.text_body, copy.uid) == (
        item.subject,
        item.start,
        item.end,
        item.location,
        "Agenda",
        item.uid,
    )
    assert (copy.my_response_type, copy.legacy_free_busy_status, copy.is_meeting) == (
        "NoResponseReceived",
        "Tentative",
        True,
    )
    assert (copy.sensitivity, copy.organizer.email_address, str(copy._start_timezone)) == (
        "Private",
        ANNA,
        "Europe/Paris",
    )
    assert item.meeting_request_was_sent
    assert left(store) == [("request", ANNA, (BEN, GUEST))]
    assert [one.recipient for one in store.outbound] == [GUEST]
    assert isinstance(anna.sent.all().get(), MeetingRequest), "a copy was asked for"


@pytest.mark.parametrize(
    ("answer", "response", "busy"),
    [("accept", "Accept", "Busy"), ("tentatively_accept", "Tentative", "Tentative")],
)
def test_an_answer_changes_both_calendars(
    store: SandboxStore, account: Open, answer: str, response: str, busy: str
) -> None:
    anna, ben = account(ANNA), account(BEN)
    meeting(anna, BEN)
    getattr(ben.inbox.all().get(), answer)(body="See you")
    copy = ben.calendar.all().get()
    assert (copy.my_response_type, copy.legacy_free_busy_status) == (response, busy)
    assert copy.appointment_reply_time is not None
    told = anna.inbox.all().get()
    assert isinstance(told, MeetingResponse)
    assert (told.response_type, told.text_body.strip()) == (response, "See you")
    assert told.associated_calendar_item_id.id == anna.calendar.all().get().id
    attendee = anna.calendar.all().get().required_attendees[0]
    assert (attendee.response_type, attendee.last_response_time is not None) == (response, True)
    assert [one.subject for one in ben.trash.all()] == ["Review"], "the request is dealt with"
    assert left(store)[-1] == ("response", BEN, (ANNA,))
    assert isinstance(ben.sent.all().get(), MeetingResponse)


def test_declining_takes_the_meeting_off_the_calendar(store: SandboxStore, account: Open) -> None:
    anna, ben = account(ANNA), account(BEN)
    meeting(anna, BEN)
    ben.calendar.all().get().decline(message_disposition="SendOnly")
    assert ben.calendar.all().count() == 0
    assert anna.calendar.all().get().required_attendees[0].response_type == "Decline"
    assert anna.inbox.all().get().item_class == "IPM.Schedule.Meeting.Resp.Neg"
    assert ben.sent.all().count() == 0


def test_an_answer_that_is_only_saved_tells_nobody(store: SandboxStore, account: Open, ask: Ask) -> None:
    anna, ben = account(ANNA), account(BEN)
    meeting(anna, BEN)
    accept = (
        '<m:CreateItem MessageDisposition="SaveOnly"><m:Items><t:AcceptItem>'
        f'<t:ReferenceItemId Id="{ben.inbox.all().get().id}"/></t:AcceptItem></m:Items></m:CreateItem>'
    )
    assert ask(accept, user=BEN).codes == ["NoError"]
    assert ben.calendar.all().get().my_response_type == "Accept"
    assert anna.inbox.all().count() == 0
    assert [one.kind for one in store.departed] == ["request"]


def test_an_update_asks_again_only_when_time_or_place_change(store: SandboxStore, account: Open) -> None:
    anna, ben = account(ANNA), account(BEN)
    item = meeting(anna, BEN)
    ben.inbox.all().get().accept()
    item.body = "Another agenda"
    item.save(update_fields=["body"], send_meeting_invitations="SendToAllAndSaveCopy")
    copy = ben.calendar.all().get()
    assert (copy.text_body, copy.my_response_type) == ("Another agenda", "Accept")
    assert ben.inbox.all().get().meeting_request_type == "InformationalUpdate"
    item.start, item.end = START + timedelta(hours=2), START + timedelta(hours=3)
    item.save(update_fields=["start", "end"], send_meeting_invitations="SendToAllAndSaveCopy")
    copy = ben.calendar.all().get()
    assert (copy.start, copy.my_response_type, copy.appointment_sequence_number) == (
        START + timedelta(hours=2),
        "NoResponseReceived",
        1,
    )
    assert [one[0] for one in left(store)] == ["request", "response", "update", "update"]


def test_who_comes_and_who_goes_is_told_apart(store: SandboxStore, account: Open) -> None:
    anna, ben = account(ANNA), account(BEN)
    item = meeting(anna, BEN)
    item.required_attendees = [SERVICE]
    item.save(update_fields=["required_attendees"], send_meeting_invitations="SendToChangedAndSaveCopy")
    assert left(store)[1:] == [("cancellation", ANNA, (BEN,)), ("request", ANNA, (SERVICE,))]
    cancelled = ben.calendar.all().get()
    assert (cancelled.is_cancelled, cancelled.subject, cancelled.legacy_free_busy_status) == (
        True,
        "Canceled: Review",
        "Free",
    )
    with pytest.raises(ErrorCalendarIsCancelledForAccept):
        cancelled.accept()
    item.subject = "Review 2"
    item.save(update_fields=["subject"], send_meeting_invitations="SendOnlyToChanged")
    assert len(store.departed) == 3, "nobody came or went"


def test_a_cancelled_meeting_is_marked_and_can_be_removed(store: SandboxStore, account: Open, ask: Ask) -> None:
    anna, ben = account(ANNA), account(BEN)
    meeting(anna, BEN).cancel()
    assert anna.calendar.all().count() == 0
    (message,) = [one for one in ben.inbox.all() if isinstance(one, MeetingCancellation)]
    assert ben.calendar.all().get().is_cancelled
    remove = (
        '<m:CreateItem MessageDisposition="SaveOnly"><m:Items><t:RemoveItem>'
        f'<t:ReferenceItemId Id="{message.id}" ChangeKey="{message.changekey}"/></t:RemoveItem></m:Items></m:CreateItem>'
    )
    assert ask(remove, user=BEN).codes == ["NoError"]
    assert ben.calendar.all().count() == 0
    assert left(store) == [("request", ANNA, (BEN,)), ("cancellation", ANNA, (BEN,))]


def test_send_to_none_sends_nothing_whatever_is_done(store: SandboxStore, account: Open) -> None:
    anna = account(ANNA)
    item = meeting(anna, BEN, GUEST, told="SendToNone")
    item.start, item.required_attendees = START - timedelta(hours=1), [GUEST]
    item.save(update_fields=["start", "required_attendees"], send_meeting_invitations="SendToNone")
    item.move(anna.trash)
    anna.trash.all().get().delete(send_meeting_cancellations="SendToNone")
    assert (store.departed, store.outbound, store.meeting_messages) == ([], [], 0)
    assert account(BEN).calendar.all().count() == 0


def test_an_invited_persons_copy_invites_nobody_and_its_deletion_declines(store: SandboxStore, account: Open) -> None:
    anna, ben = account(ANNA), account(BEN)
    meeting(anna, BEN, GUEST)
    copy = ben.calendar.all().get()
    copy.subject = "My own words"
    copy.save(update_fields=["subject"], send_meeting_invitations="SendToAllAndSaveCopy")
    assert len(store.departed) == 1
    copy.delete(send_meeting_cancellations="SendOnlyToAll")
    assert left(store)[1:] == [("response", BEN, (ANNA,))]
    assert anna.calendar.all().get().required_attendees[0].response_type == "Decline"


def test_an_organiser_answers_no_invitation(account: Open) -> None:
    with pytest.raises(ErrorCalendarIsOrganizerForAccept):
        meeting(account(ANNA), BEN).accept()


def test_a_series_is_invited_to_whole_and_its_occurrences_one_by_one(store: SandboxStore, account: Open) -> None:
    anna, ben = account(ANNA), account(BEN)
    pattern = Recurrence(pattern=WeeklyPattern(interval=1, weekdays=[MONDAY]), start=START.date(), number=4)
    master = meeting(anna, BEN, recurrence=pattern)
    span = (datetime(2026, 11, 1, tzinfo=UTC), datetime(2027, 2, 1, tzinfo=UTC))

    def starts(account: Account) -> list[datetime]:
        return [one.start for one in account.calendar.view(*span) if not one.is_cancelled]

    weeks = [START + timedelta(days=7 * number) for number in range(4)]
    assert starts(ben) == starts(anna) == weeks
    second, third = master.occurrence(2), master.occurrence(3)
    second.refresh()
    second.start, second.end = second.start + timedelta(hours=2), second.end + timedelta(hours=2)
    second.save(update_fields=["start", "end"], send_meeting_invitations="SendToAllAndSaveCopy")
    third.refresh()
    third.delete(send_meeting_cancellations="SendToAllAndSaveCopy")
    expected = [weeks[0], weeks[1] + timedelta(hours=2), weeks[3]]
    assert starts(anna) == starts(ben) == expected
    assert ben.calendar.all().get().modified_occurrences[0].start == expected[1]
    assert [one[0] for one in left(store)] == ["request", "update", "cancellation"]
    late = next(one for one in ben.calendar.view(*span) if one.start == expected[1])
    late.decline()
    assert starts(ben) == [weeks[0], weeks[3]]
    answered = next(one for one in anna.calendar.view(*span) if one.start == expected[1])
    assert answered.required_attendees[0].response_type == "Decline"
    assert anna.calendar.all().get().required_attendees[0].response_type != "Decline", "one occurrence only"


def test_an_invitation_from_outside_is_worked_in_and_the_answer_leaves(
    store: SandboxStore, server: SandboxServer, account: Open
) -> None:
    event = calendar(
        "UID:outside-1",
        "DTSTART:20261124T100000Z",
        "DTEND:20261124T110000Z",
        "SUMMARY:Offer",
        f"ORGANIZER:mailto:{GUEST}",
        f"ATTENDEE;CUTYPE=RESOURCE:mailto:room@outside.example\r\nATTENDEE:mailto:{ANNA}",
        "X-MICROSOFT-CDO-INTENDEDSTATUS:OOF",
    ).replace(b"BEGIN:VEVENT", b"METHOD:REQUEST\r\nBEGIN:VEVENT")
    raw = mail(Content_Type="text/calendar; method=REQUEST", text=event.decode(), From=GUEST)
    body = json.dumps({"from": GUEST, "to": ANNA, "mime": base64.b64encode(raw).decode()}).encode()
    assert over_http(server, "POST", "/_/deliver", body)[0] == 200
    anna = account(ANNA)
    copy = anna.calendar.all().get()
    assert (copy.uid, copy.my_response_type, copy.resources[0].mailbox.email_address) == (
        "outside-1",
        "NoResponseReceived",
        "room@outside.example",
    )
    copy.accept()
    assert anna.calendar.all().get().legacy_free_busy_status == "OOF"
    assert left(store) == [("response", ANNA, (GUEST,))]
    assert b"method=REPLY" in store.outbound[0].raw.replace(b'"', b"")
    told = json.loads(over_http(server, "GET", "/_/departures")[2])
    assert [(one["kind"], one["sender"], one["recipients"], one["subject"], one["uid"]) for one in told] == [
        ("response", ANNA, [GUEST], "Accepted: Offer", "outside-1")
    ]
    assert json.loads(over_http(server, "GET", "/_/requests")[2])["meeting_messages"] == 1


def test_mail_that_leaves_is_listed_too_and_all_of_it_is_kept(
    store: SandboxStore, account: Open, ask: Ask, tmp_path: Path
) -> None:
    sending = (
        '<m:CreateItem MessageDisposition="SendOnly"><m:Items><t:Message><t:Subject>Hello</t:Subject><t:ToRecipients>'
        f"<t:Mailbox><t:EmailAddress>{BEN}</t:EmailAddress></t:Mailbox></t:ToRecipients></t:Message></m:Items></m:CreateItem>"
    )
    assert ask(sending).codes == ["NoError"]
    meeting(account(ANNA), BEN)
    assert [(one.kind, one.subject) for one in store.departed] == [("mail", "Hello"), ("request", "Review")]
    statefile.save(store, tmp_path / "state")
    assert statefile.load(tmp_path / "state").departed == store.departed


def test_an_old_update_changes_nothing(store: SandboxStore, account: Open) -> None:
    anna, ben = account(ANNA), account(BEN)
    item = meeting(anna, BEN)
    old = store.folder(BEN, "inbox").items
    raw = next(iter(old.values())).content.raw
    item.location = "Room 2"
    item.save(update_fields=["location"], send_meeting_invitations="SendToAllAndSaveCopy")
    delivery.arrive(store, ANNA, [BEN], raw or b"")
    assert ben.calendar.all().get().location == "Room 2"
    assert [one.is_out_of_date for one in ben.inbox.all()] == [True, False, False]


@pytest.mark.parametrize(
    ("inner", "code"),
    [
        ("<t:AcceptItem/>", "ErrorMissingInformationReferenceItemId"),
        ('<t:AcceptItem><t:ReferenceItemId Id="{mail}"/></t:AcceptItem>', "ErrorInvalidItemForOperationAcceptItem"),
        ('<t:DeclineItem><t:ReferenceItemId Id="{mail}"/></t:DeclineItem>', "ErrorInvalidItemForOperationDeclineItem"),
        ('<t:RemoveItem><t:ReferenceItemId Id="{mail}"/></t:RemoveItem>', "ErrorInvalidItemForOperationRemoveItem"),
        (
            '<t:CancelCalendarItem><t:ReferenceItemId Id="{mail}"/></t:CancelCalendarItem>',
            "ErrorInvalidItemForOperationCancelItem",
        ),
        (
            '<t:CancelCalendarItem><t:ReferenceItemId Id="{foreign}"/></t:CancelCalendarItem>',
            "ErrorCalendarIsNotOrganizer",
        ),
        (
            '<t:AcceptItem><t:ReferenceItemId Id="{foreign}"/><t:ProposedStart>soon</t:ProposedStart></t:AcceptItem>',
            "ErrorSchemaValidation",
        ),
    ],
)
def test_answers_that_make_no_sense_are_refused(store: SandboxStore, ask: Ask, inner: str, code: str) -> None:
    (foreign,) = store.add_ics(
        ANNA, calendar("UID:x", "DTSTART:20261124T100000Z", f"ORGANIZER:mailto:{BEN}", f"ATTENDEE:mailto:{ANNA}")
    )
    filled = inner.format(mail=store.deliver_mime(ANNA, mail()), foreign=foreign)
    request = f'<m:CreateItem MessageDisposition="SendOnly"><m:Items>{filled}</m:Items></m:CreateItem>'
    assert ask(request, valid=False).codes == [code]
    assert store.departed == []


def test_a_series_in_a_zone_of_its_own_keeps_its_hours_on_its_way(store: SandboxStore, account: Open, ask: Ask) -> None:
    made = ask(
        '<m:CreateItem SendMeetingInvitations="SendOnlyToAll"><m:Items><t:CalendarItem><t:Subject>x</t:Subject>'
        "<t:Start>2026-10-19T10:00:00</t:Start><t:End>2026-10-19T11:00:00</t:End><t:RequiredAttendees><t:Attendee><t:Mailbox>"
        f"<t:EmailAddress>{BEN}</t:EmailAddress></t:Mailbox></t:Attendee></t:RequiredAttendees><t:Recurrence><t:WeeklyRecurrence>"
        "<t:Interval>1</t:Interval><t:DaysOfWeek>Monday</t:DaysOfWeek></t:WeeklyRecurrence><t:EndDateRecurrence>"
        "<t:StartDate>2026-10-19</t:StartDate><t:EndDate>2026-11-02</t:EndDate></t:EndDateRecurrence>"
        f"</t:Recurrence>{CUSTOM}</t:CalendarItem></m:Items></m:CreateItem>"
    )
    assert made.codes == ["NoError"]
    span = (datetime(2026, 10, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC))
    view = (
        '<m:FindItem Traversal="Shallow"><m:ItemShape><t:BaseShape>AllProperties</t:BaseShape></m:ItemShape>'
        f'<m:CalendarView StartDate="{span[0]:%Y-%m-%dT%H:%M:%SZ}" EndDate="{span[1]:%Y-%m-%dT%H:%M:%SZ}"/>'
        '<m:ParentFolderIds><t:DistinguishedFolderId Id="calendar"/></m:ParentFolderIds></m:FindItem>'
    )
    starts = ["2026-10-19T07:30:00Z", "2026-10-26T08:30:00Z", "2026-11-02T08:30:00Z"]
    assert ask(view).texts("t:Start") == ask(view, user=BEN).texts("t:Start") == starts


def test_an_all_day_meeting_with_its_own_words_arrives_as_days(account: Open) -> None:
    anna, ben = account(ANNA), account(BEN)
    CalendarItem(
        folder=anna.calendar,
        subject='Fair "A", B; C',
        body=HTMLBody("<b>Bring</b> shoes"),
        is_all_day=True,
        start=date(2026, 11, 23),
        end=date(2026, 11, 24),
        legacy_free_busy_status="Free",
        optional_attendees=[BEN],
        importance="High",
    ).save(send_meeting_invitations="SendOnlyToAll")
    copy = ben.calendar.all().get()
    assert (copy.subject, copy.body, copy.is_all_day, copy.start, copy.end, copy.importance) == (
        'Fair "A", B; C',
        "<b>Bring</b> shoes",
        True,
        date(2026, 11, 23),
        date(2026, 11, 24),
        "High",
    )
    copy.accept()
    assert ben.calendar.all().get().legacy_free_busy_status == "Free"
    assert anna.calendar.all().get().optional_attendees[0].response_type == "Accept"


def test_an_answer_can_propose_another_time(store: SandboxStore, account: Open) -> None:
    anna, ben = account(ANNA), account(BEN)
    meeting(anna, BEN)
    later = START + timedelta(hours=3)
    ben.inbox.all().get().tentatively_accept(proposed_start=later)
    told = anna.inbox.all().get()
    assert isinstance(told, MeetingResponse)
    assert (told.response_type, told.proposed_start, told.proposed_end) == (
        "Tentative",
        later,
        later + timedelta(hours=1),
    )
    assert anna.calendar.all().get().start == START, "a proposal changes nothing"


@pytest.mark.parametrize("method", ["REQUEST", "CANCEL", "REPLY"])
def test_messages_about_meetings_nobody_knows_stay_messages(store: SandboxStore, account: Open, method: str) -> None:
    for lines in (
        ("UID:lost", "DTSTART:20261124T100000Z", "RECURRENCE-ID:20261124T090000Z"),
        ("UID:", "DTSTART:20261124T100000Z"),
        ("UID:x", "SUMMARY:no start"),
        ("UID:long", "DTSTART:20261124T100000Z", "DTEND:20561124T100000Z"),
    ):
        event = calendar(*lines, f"ORGANIZER:mailto:{GUEST}", f"ATTENDEE;PARTSTAT=ACCEPTED:mailto:{ANNA}")
        raw = mail(Content_Type=f"text/calendar; method={method}", text=event.decode())
        delivery.arrive(store, GUEST, [ANNA], raw)
    assert account(ANNA).inbox.all().count() == 4
    assert account(ANNA).calendar.all().count() == (1 if method == "REQUEST" else 0)
    assert store.departed == []


def test_an_update_of_one_occurrence_is_worked_in_from_outside_too(store: SandboxStore, account: Open) -> None:
    head = (f"ORGANIZER:mailto:{GUEST}", f"ATTENDEE:mailto:{ANNA}", "UID:s")

    def arrives(method: str, *lines: str) -> None:
        raw = calendar(*lines, *head).decode()
        delivery.arrive(store, GUEST, [ANNA], mail(Content_Type=f"text/calendar; method={method}", text=raw))

    arrives("REQUEST", "DTSTART:20261123T100000Z", "DTEND:20261123T110000Z", "SUMMARY:S", "RRULE:FREQ=DAILY;COUNT=4")
    arrives(
        "REQUEST", "DTSTART:20261124T150000Z", "DTEND:20261124T160000Z", "SUMMARY:S2", "RECURRENCE-ID:20261124T100000Z"
    )
    arrives(
        "CANCEL", "DTSTART:20261125T100000Z", "DTEND:20261125T110000Z", "SUMMARY:S", "RECURRENCE-ID:20261125T100000Z"
    )
    arrives("REQUEST", "DTSTART:20261224T150000Z", "SUMMARY:S3", "RECURRENCE-ID:20261201T100000Z")
    anna = account(ANNA)
    shown = anna.calendar.view(datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 31, tzinfo=UTC))
    assert [(one.start.day, one.start.hour, one.subject, one.is_cancelled) for one in shown] == [
        (23, 10, "S", False),
        (24, 15, "S2", False),
        (25, 10, "Canceled: S", True),
        (26, 10, "S", False),
    ]
    arrives("REQUEST", "DTSTART:20261123T120000Z", "DTEND:20261123T130000Z", "SUMMARY:S", "RRULE:FREQ=DAILY;COUNT=2")
    assert [
        one.start.hour
        for one in anna.calendar.view(datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 31, tzinfo=UTC))
    ] == [12, 12]
