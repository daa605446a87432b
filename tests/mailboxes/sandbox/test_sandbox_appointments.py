"""Appointments as unmodified exchangelib meets them: series, occurrences, exceptions, zones, whole days, views."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from exchangelib import UTC as EWS_UTC
from exchangelib import Account, CalendarItem, EWSTimeZone, ExtendedProperty, FileAttachment
from exchangelib.errors import (
    ErrorCalendarCannotMoveOrCopyOccurrence,
    ErrorCalendarFolderIsInvalidForCalendarView,
    ErrorCalendarOccurrenceIndexIsOutOfRecurrenceRange,
    ErrorCalendarOccurrenceIsDeletedFromRecurrence,
    ErrorCalendarViewRangeTooBig,
    ErrorOccurrenceCrossingBoundary,
    ErrorRecurrenceHasNoOccurrence,
)
from exchangelib.fields import FIRST, LAST, MONDAY, TUESDAY, WEDNESDAY, WEEK_DAY
from exchangelib.properties import UID
from exchangelib.recurrence import (
    AbsoluteMonthlyPattern,
    DailyPattern,
    Recurrence,
    RelativeMonthlyPattern,
    WeeklyPattern,
)

from mailboxes.sandbox import statefile
from mailboxes.sandbox.store import SandboxStore
from tests import ews_schema
from tests.mailboxes.sandbox.test_sandbox_cards_and_calendars import calendar
from tests.mailboxes.sandbox.wire import ANNA, Ask

Open = Callable[..., Account]
MADRID = EWSTimeZone("Europe/Madrid")
MONDAY_TEN = datetime(2026, 10, 19, 10, tzinfo=MADRID)
YEAR = (datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 12, 31, tzinfo=UTC))


def weekly(account: Account, count: int = 4, **more: object) -> CalendarItem:
    """Make a series on Mondays at ten, across the end of summer time, and return it as the server has it."""
    made = CalendarItem(
        folder=account.calendar,
        subject="Standup",
        start=MONDAY_TEN,
        end=MONDAY_TEN + timedelta(hours=1),
        recurrence=Recurrence(
            pattern=WeeklyPattern(interval=1, weekdays=[MONDAY]), start=MONDAY_TEN.date(), number=count
        ),
        **more,
    ).save()
    return account.calendar.get(id=made.id)


def occurrences(account: Account) -> list[CalendarItem]:
    return list(account.calendar.view(*YEAR))


def test_a_series_is_one_item_and_a_view_shows_its_occurrences_by_the_wall_clock(account: Open) -> None:
    anna = account(ANNA)
    master = weekly(anna)
    assert (master.type, master.is_recurring, anna.calendar.all().count()) == ("RecurringMaster", True, 1)
    shown = occurrences(anna)
    assert [(one.type, one.subject) for one in shown] == [("Occurrence", "Standup")] * 4
    assert {(one.start.astimezone(MADRID).hour, one.end.astimezone(MADRID).hour) for one in shown} == {(10, 11)}
    assert {one.start.astimezone(EWS_UTC).hour for one in shown} == {8, 9}, "summer time ended in between"
    assert (master.first_occurrence.start, master.last_occurrence.start) == (shown[0].start, shown[-1].start)
    assert len({one.id for one in shown} | {master.id}) == 5


def test_occurrences_are_found_by_index_and_lead_back_to_their_series(account: Open) -> None:
    anna = account(ANNA)
    master = weekly(anna)
    second = master.occurrence(2)
    second.refresh()
    assert (second.type, second.start) == ("Occurrence", MONDAY_TEN + timedelta(days=7))
    assert second.original_start == second.recurrence_id == second.start
    back = second.recurring_master()
    back.refresh()
    assert (back.id, back.type) == (master.id, "RecurringMaster")
    missing = master.occurrence(5)
    with pytest.raises(ErrorCalendarOccurrenceIndexIsOutOfRecurrenceRange):
        missing.refresh()


def test_an_occurrence_can_differ_and_the_series_says_so(account: Open) -> None:
    anna = account(ANNA)
    master = weekly(anna, location="Room 1")
    second = master.occurrence(2)
    second.refresh()
    moved = second.start + timedelta(hours=4)
    second.subject, second.start, second.end = "Standup, late", moved, moved + timedelta(hours=1)
    second.save(update_fields=["subject", "start", "end"])
    shown = occurrences(anna)
    assert [(one.type, one.subject, one.location) for one in shown[:3]] == [
        ("Occurrence", "Standup", "Room 1"),
        ("Exception", "Standup, late", "Room 1"),
        ("Occurrence", "Standup", "Room 1"),
    ]
    assert (shown[1].start, shown[1].original_start) == (moved, MONDAY_TEN + timedelta(days=7))
    again = anna.calendar.get(id=master.id)
    assert [(one.start, one.original_start) for one in again.modified_occurrences] == [
        (moved, MONDAY_TEN + timedelta(days=7))
    ]
    assert again.changekey != master.changekey
    again.location = "Room 2"
    again.save(update_fields=["location"])
    assert {one.location for one in occurrences(anna)} == {"Room 2"}, "what an exception did not change it inherits"
    again.start, again.end = MONDAY_TEN - timedelta(hours=1), MONDAY_TEN
    again.save(update_fields=["start", "end"])
    assert {one.type for one in occurrences(anna)} == {"Occurrence"}, "another pattern has no exceptions yet"


def test_an_occurrence_can_be_deleted_but_not_the_last(account: Open) -> None:
    anna = account(ANNA)
    master = weekly(anna, count=2)
    first = master.occurrence(1)
    first.refresh()
    first.delete()
    assert [one.start for one in occurrences(anna)] == [MONDAY_TEN + timedelta(days=7)]
    again = anna.calendar.get(id=master.id)
    assert [one.start for one in again.deleted_occurrences] == [MONDAY_TEN]
    assert again.first_occurrence.start == MONDAY_TEN + timedelta(days=7)
    gone = again.occurrence(1)
    with pytest.raises(ErrorCalendarOccurrenceIsDeletedFromRecurrence):
        gone.refresh()
    last = again.occurrence(2)
    last.refresh()
    with pytest.raises(ErrorRecurrenceHasNoOccurrence):
        last.delete()


@pytest.mark.parametrize("days", [7, 8, -7, -14])
def test_an_occurrence_stays_between_its_neighbours(account: Open, days: int) -> None:
    third = weekly(account(ANNA)).occurrence(3)
    third.refresh()
    third.start, third.end = (one + timedelta(days=days) for one in (third.start, third.end))
    with pytest.raises(ErrorOccurrenceCrossingBoundary):
        third.save(update_fields=["start", "end"])


def test_an_occurrence_cannot_leave_its_series_and_keeps_its_own_attachments(account: Open) -> None:
    anna = account(ANNA)
    second = weekly(anna).occurrence(2)
    second.refresh()
    with pytest.raises(ErrorCalendarCannotMoveOrCopyOccurrence):
        second.move(anna.trash)
    second.categories = ["CRM"]
    second.save(update_fields=["categories"])
    second.attach(FileAttachment(name="plan.txt", content=b"plan"))
    again = anna.calendar.all().get().occurrence(2)
    again.refresh()
    assert [one.content for one in again.attachments] == [b"plan"]
    again.detach(again.attachments[0])
    assert [one.has_attachments for one in occurrences(anna)] == [False] * 4
    assert [one.categories for one in occurrences(anna)] == [None, ["CRM"], None, None]


@pytest.mark.parametrize(
    ("pattern", "days"),
    [
        (DailyPattern(interval=2), [19, 21, 23]),
        (WeeklyPattern(interval=1, weekdays=[MONDAY, WEDNESDAY]), [19, 21, 26]),
        (AbsoluteMonthlyPattern(interval=1, day_of_month=31), [31, 30, 31]),
        (RelativeMonthlyPattern(interval=1, weekday=WEEK_DAY, week_number=LAST), [30, 30, 31]),
        (RelativeMonthlyPattern(interval=1, weekday=TUESDAY, week_number=FIRST), [3, 1, 5]),
    ],
)
def test_patterns_fall_on_their_days(account: Open, pattern: object, days: list[int]) -> None:
    anna = account(ANNA)
    CalendarItem(
        folder=anna.calendar,
        subject="x",
        start=MONDAY_TEN,
        end=MONDAY_TEN + timedelta(hours=1),
        recurrence=Recurrence(pattern=pattern, start=MONDAY_TEN.date(), number=3),
    ).save()
    shown = occurrences(anna)
    assert [one.start.astimezone(MADRID).day for one in shown] == days
    master = anna.calendar.all().get()
    assert master.start == shown[0].start, "a series begins with its first occurrence"


def test_whole_days_are_days_in_their_zone_and_stretch_to_midnight(account: Open, ask: Ask) -> None:
    anna = account(ANNA)
    CalendarItem(
        folder=anna.calendar,
        subject="Fair",
        is_all_day=True,
        start=date(2026, 10, 24),
        end=date(2026, 10, 25),
        _start_timezone=MADRID,
        _end_timezone=MADRID,
    ).save()
    item = anna.calendar.all().get()
    assert (item.is_all_day, item.start, item.end) == (True, date(2026, 10, 24), date(2026, 10, 25))
    assert ask(
        '<m:CreateItem SendMeetingInvitations="SendToNone"><m:Items><t:CalendarItem><t:Subject>Sloppy</t:Subject>'
        "<t:Start>2026-11-05T10:00:00</t:Start><t:End>2026-11-05T11:00:00</t:End><t:IsAllDayEvent>true</t:IsAllDayEvent>"
        '<t:StartTimeZone Id="Romance Standard Time"/></t:CalendarItem></m:Items></m:CreateItem>'
    ).codes == ["NoError"]
    sloppy = anna.calendar.filter(subject="Sloppy").get()
    assert (sloppy.start, sloppy.end) == (date(2026, 11, 5), date(2026, 11, 5))


def test_a_time_without_a_zone_is_in_the_zone_it_comes_with(account: Open, ask: Ask) -> None:
    def made(subject: str, zone: str) -> list[str]:
        return ask(
            f'<m:CreateItem SendMeetingInvitations="SendToNone"><m:Items><t:CalendarItem><t:Subject>{subject}</t:Subject>'
            f"<t:Start>2026-07-01T10:00:00</t:Start><t:End>2026-07-01T11:00:00</t:End>{zone}</t:CalendarItem></m:Items></m:CreateItem>"
        ).codes

    assert made("Tokyo", '<t:StartTimeZone Id="Tokyo Standard Time"/>') == ["NoError"]
    assert made("None", "") == ["NoError"]
    assert made("Bad", '<t:StartTimeZone Id="Atlantis Standard Time"/>') == ["ErrorTimeZone"]
    anna = account(ANNA)
    assert anna.calendar.filter(subject="Tokyo").get().start.astimezone(EWS_UTC).hour == 1
    assert anna.calendar.filter(subject="None").get().start.astimezone(EWS_UTC).hour == 10


CUSTOM = (
    '<t:StartTimeZone Id="tzone://Microsoft/Custom" Name="Customized Time Zone"><t:Periods>'
    '<t:Period Bias="-PT90M" Name="Standard" Id="std"/><t:Period Bias="-PT150M" Name="Daylight" Id="dlt"/></t:Periods>'
    '<t:TransitionsGroups><t:TransitionsGroup Id="0">'
    '<t:RecurringDayTransition><t:To Kind="Period">dlt</t:To><t:TimeOffset>PT2H</t:TimeOffset><t:Month>3</t:Month>'
    "<t:DayOfWeek>Sunday</t:DayOfWeek><t:Occurrence>-1</t:Occurrence></t:RecurringDayTransition>"
    '<t:RecurringDayTransition><t:To Kind="Period">std</t:To><t:TimeOffset>PT3H</t:TimeOffset><t:Month>10</t:Month>'
    "<t:DayOfWeek>Sunday</t:DayOfWeek><t:Occurrence>-1</t:Occurrence></t:RecurringDayTransition>"
    '</t:TransitionsGroup></t:TransitionsGroups><t:Transitions><t:Transition><t:To Kind="Group">0</t:To></t:Transition>'
    "</t:Transitions></t:StartTimeZone>"
)


def test_a_custom_zone_is_reckoned_by_its_definition(store: SandboxStore, ask: Ask) -> None:
    ews_schema.require()
    made = ask(
        '<m:CreateItem SendMeetingInvitations="SendToNone"><m:Items><t:CalendarItem><t:Subject>x</t:Subject>'
        "<t:Start>2026-10-19T10:00:00</t:Start><t:End>2026-10-19T11:00:00</t:End><t:Recurrence><t:WeeklyRecurrence>"
        "<t:Interval>1</t:Interval><t:DaysOfWeek>Monday</t:DaysOfWeek></t:WeeklyRecurrence><t:NumberedRecurrence>"
        "<t:StartDate>2026-10-19</t:StartDate><t:NumberOfOccurrences>2</t:NumberOfOccurrences></t:NumberedRecurrence>"
        f"</t:Recurrence>{CUSTOM}</t:CalendarItem></m:Items></m:CreateItem>"
    )
    assert made.codes == ["NoError"]
    view = ask(
        '<m:FindItem Traversal="Shallow"><m:ItemShape><t:BaseShape>AllProperties</t:BaseShape></m:ItemShape>'
        '<m:CalendarView StartDate="2026-10-01T00:00:00Z" EndDate="2026-12-01T00:00:00Z" MaxEntriesReturned="1"/>'
        '<m:ParentFolderIds><t:DistinguishedFolderId Id="calendar"/></m:ParentFolderIds></m:FindItem>'
    )
    assert view.texts("t:Start") == ["2026-10-19T07:30:00Z"]
    root = view.all("m:RootFolder")[0]
    assert (root.get("TotalItemsInView"), root.get("IncludesLastItemInRange")) == ("2", "false")
    view = ask(
        '<m:FindItem Traversal="Shallow"><m:ItemShape><t:BaseShape>AllProperties</t:BaseShape></m:ItemShape>'
        '<m:CalendarView StartDate="2026-10-20T00:00:00Z" EndDate="2026-12-01T00:00:00Z"/>'
        '<m:ParentFolderIds><t:DistinguishedFolderId Id="calendar"/></m:ParentFolderIds></m:FindItem>'
    )
    assert view.texts("t:Start") == ["2026-10-26T08:30:00Z"], "the clock went back in between"
    assert view.texts("t:StartTimeZoneId") == ["tzone://Microsoft/Custom"]


@pytest.mark.parametrize(
    "broken",
    [
        CUSTOM.replace("-PT90M", "soon"),
        CUSTOM.replace(">dlt<", ">other<"),
        CUSTOM.replace("<t:Month>3</t:Month>", "<t:Month>13</t:Month>"),
        CUSTOM.replace(">0</t:To>", ">7</t:To>"),
    ],
)
def test_a_zone_that_makes_no_sense_is_refused(ask: Ask, broken: str) -> None:
    made = ask(
        '<m:CreateItem SendMeetingInvitations="SendToNone"><m:Items><t:CalendarItem><t:Start>2026-10-19T10:00:00</t:Start>'
        f"<t:End>2026-10-19T11:00:00</t:End>{broken}</t:CalendarItem></m:Items></m:CreateItem>",
        valid=False,
    )
    assert made.codes == ["ErrorTimeZone"]


RECURRENCE = (
    "<t:Recurrence><t:{0}><t:Interval>{1}</t:Interval>{2}</t:{0}><t:EndDateRecurrence><t:StartDate>2026-10-19</t:StartDate>"
    "<t:EndDate>{3}</t:EndDate></t:EndDateRecurrence></t:Recurrence>"
)


@pytest.mark.parametrize(
    ("recurrence", "hours", "code"),
    [
        (RECURRENCE.format("DailyRecurrence", 0, "", "2026-12-01"), 1, "ErrorCalendarInvalidRecurrence"),
        (RECURRENCE.format("DailyRecurrence", 1, "", "2026-10-01"), 1, "ErrorRecurrenceHasNoOccurrence"),
        (RECURRENCE.format("DailyRecurrence", 1, "", "2026-12-01"), 30, "ErrorOccurrenceTimeSpanTooBig"),
        (
            RECURRENCE.format("WeeklyRecurrence", 1, "<t:DaysOfWeek/>", "2026-12-01"),
            1,
            "ErrorCalendarInvalidRecurrence",
        ),
        ("<t:Recurrence/>", 1, "ErrorCalendarInvalidRecurrence"),
        ("", 24 * 366 * 6, "ErrorCalendarDurationIsTooLong"),
    ],
)
def test_series_that_make_no_sense_are_refused(ask: Ask, recurrence: str, hours: int, code: str) -> None:
    end = datetime(2026, 10, 19, 10, tzinfo=UTC) + timedelta(hours=hours)
    made = ask(
        '<m:CreateItem SendMeetingInvitations="SendToNone"><m:Items><t:CalendarItem><t:Start>2026-10-19T10:00:00Z</t:Start>'
        f"<t:End>{end:%Y-%m-%dT%H:%M:%SZ}</t:End>{recurrence}</t:CalendarItem></m:Items></m:CreateItem>",
        valid=False,
    )
    assert made.codes == [code]


def test_a_view_has_limits(account: Open) -> None:
    anna = account(ANNA)
    with pytest.raises(ErrorCalendarViewRangeTooBig):
        list(anna.calendar.view(datetime(2020, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC)))
    from_inbox = anna.inbox
    with pytest.raises((ErrorCalendarFolderIsInvalidForCalendarView, AttributeError)):
        list(from_inbox.view(*YEAR))


class GlobalObjectId(ExtendedProperty):  # type: ignore[misc]  # exchangelib has no types
    distinguished_property_set_id = "Meeting"
    property_id = 3
    property_type = "Binary"


def test_an_appointment_is_found_by_its_uid(store: SandboxStore, account: Open) -> None:
    anna = account(ANNA)
    CalendarItem.register("global_object_id", GlobalObjectId)
    try:
        own = weekly(anna)
        store.add_ics(ANNA, calendar("UID:from-elsewhere-1", "DTSTART:20261124T100000Z", "SUMMARY:Foreign"))
        assert anna.calendar.filter(global_object_id=bytes(UID("from-elsewhere-1"))).get().subject == "Foreign"
        assert anna.calendar.filter(global_object_id=UID.to_global_object_id(own.uid)).get().id == own.id
    finally:
        CalendarItem.deregister("global_object_id")


def test_a_file_brings_a_series_with_its_exceptions(store: SandboxStore, account: Open) -> None:
    raw = calendar(
        "UID:s-1",
        "DTSTART;TZID=Europe/Madrid:20261019T100000",
        "DTEND;TZID=Europe/Madrid:20261019T110000",
        "SUMMARY:Standup",
        "RRULE:FREQ=WEEKLY;UNTIL=20261109T090000Z",
        "EXDATE;TZID=Europe/Madrid:20261026T100000",
    ).replace(
        b"END:VCALENDAR",
        b"BEGIN:VEVENT\r\nUID:s-1\r\nRECURRENCE-ID;TZID=Europe/Madrid:20261102T100000\r\nSUMMARY:Standup, late\r\n"
        b"DTSTART;TZID=Europe/Madrid:20261102T150000\r\nDTEND;TZID=Europe/Madrid:20261102T160000\r\nEND:VEVENT\r\nEND:VCALENDAR",
    )
    assert len(store.add_ics(ANNA, raw)) == 1
    shown = [(f"{one.start.astimezone(MADRID):%m-%d %H}", one.type, one.subject) for one in occurrences(account(ANNA))]
    assert shown == [
        ("10-19 10", "Occurrence", "Standup"),
        ("11-02 15", "Exception", "Standup, late"),
        ("11-09 10", "Occurrence", "Standup"),
    ]


def test_a_file_with_a_zone_of_its_own_brings_a_custom_zone(store: SandboxStore, ask: Ask) -> None:
    ews_schema.require()
    zone = (
        "BEGIN:VTIMEZONE\r\nTZID:Our Own\r\nBEGIN:STANDARD\r\nDTSTART:20201025T030000\r\nRRULE:FREQ=YEARLY;BYMONTH=10;BYDAY=-1SU\r\n"
        "TZOFFSETFROM:+0300\r\nTZOFFSETTO:+0130\r\nEND:STANDARD\r\nBEGIN:DAYLIGHT\r\nDTSTART:20200329T020000\r\n"
        "RRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU\r\nTZOFFSETFROM:+0130\r\nTZOFFSETTO:+0300\r\nEND:DAYLIGHT\r\nEND:VTIMEZONE\r\n"
    )
    raw = calendar(
        "UID:z",
        "DTSTART;TZID=Our Own:20261019T100000",
        "DTEND;TZID=Our Own:20261019T110000",
        "SUMMARY:x",
        "RRULE:FREQ=WEEKLY;COUNT=2",
    ).replace(b"BEGIN:VEVENT", zone.encode() + b"BEGIN:VEVENT")
    (item_id,) = store.add_ics(ANNA, raw)
    reply = ask(
        "<m:GetItem><m:ItemShape><t:BaseShape>AllProperties</t:BaseShape></m:ItemShape>"
        f'<m:ItemIds><t:ItemId Id="{item_id}"/></m:ItemIds></m:GetItem>'
    )
    assert reply.texts("t:StartTimeZoneId") == ["tzone://Microsoft/Custom"]
    assert [one.get("Bias") for one in reply.all("t:StartTimeZone//t:Period")] == ["-PT90M", "-PT180M"]
    assert reply.texts("t:LastOccurrence/t:Start") == ["2026-10-26T08:30:00Z"]


def test_a_series_survives_on_disk(store: SandboxStore, account: Open, tmp_path: Path) -> None:
    anna = account(ANNA)
    master = weekly(anna)
    second, third = master.occurrence(2), master.occurrence(3)
    second.refresh()
    second.subject = "Other"
    second.save(update_fields=["subject"])
    third.refresh()
    third.delete()
    statefile.save(store, tmp_path / "state")
    again = statefile.load(tmp_path / "state")
    content = again.item(master.id).content
    assert {start: (sorted(one.names), one.content.values["Subject"]) for start, one in content.altered.items()} == {
        int((MONDAY_TEN + timedelta(days=7)).timestamp()): (["Subject"], "<t:Subject>Other</t:Subject>")
    }
    assert content.cancelled == {int((MONDAY_TEN + timedelta(days=14)).timestamp())}


def test_a_private_appointment_stays_one(account: Open) -> None:
    anna = account(ANNA)
    weekly(anna, sensitivity="Private")
    assert {one.sensitivity for one in occurrences(anna)} == {"Private"}


def test_every_property_of_a_series_and_of_an_occurrence_is_valid(store: SandboxStore, account: Open, ask: Ask) -> None:
    ews_schema.require()
    master = weekly(account(ANNA))
    for index in (2, 3):
        one = master.occurrence(index)
        one.refresh()
        one.subject = "Changed"
        one.save(update_fields=["subject"])
    one.delete()
    reply = ask(
        "<m:GetItem><m:ItemShape><t:BaseShape>AllProperties</t:BaseShape></m:ItemShape><m:ItemIds>"
        f'<t:ItemId Id="{master.id}"/><t:OccurrenceItemId RecurringMasterId="{master.id}" InstanceIndex="2"/>'
        f'<t:OccurrenceItemId RecurringMasterId="{master.id}" InstanceIndex="3"/>'
        "</m:ItemIds></m:GetItem>"
    )
    assert reply.codes == ["NoError", "NoError", "ErrorCalendarOccurrenceIsDeletedFromRecurrence"]
    assert reply.texts("t:CalendarItemType") == ["RecurringMaster", "Exception"]
    assert len(reply.all("t:ModifiedOccurrences")) == len(reply.all("t:DeletedOccurrences")) == 1
