"""What the adapter asks for when it keeps entries and sends mail, and how it takes answers that are odd."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import TypeVar

import pytest
from lxml import etree

from mailboxes.provider.entries import (
    Attendee,
    Entry,
    EntryKind,
    Every,
    Field,
    FullName,
    Marks,
    Recurrence,
    Span,
    Value,
    canonical,
)
from mailboxes.provider.errors import (
    AccessRefused,
    AnswerUnreadable,
    ChangedMeanwhile,
    FolderGone,
    ItemGone,
    ItemUnreadable,
    MailboxGone,
    OtherKind,
    ProviderError,
    Throttled,
    Unavailable,
    WriteRefused,
)
from mailboxes.provider.ews.adapter import EwsProvider
from mailboxes.provider.port import Address
from mailboxes.provider.writing import TOKEN_HEADER, OutgoingFile, OutgoingMail
from mailboxes.sandbox.server import SandboxServer
from tests import ews_schema
from tests.mailboxes.provider.scripted import Said, error, fault, messages, serving, success
from tests.mailboxes.provider.test_contract_entries import FULL, MEETING, NINE, PERSON, TODO, WEEKLY
from tests.mailboxes.provider.test_ews_adapter import BUSY, asked, read
from tests.mailboxes.provider.test_ews_errors import provider_at
from tests.mailboxes.provider.worlds import ANA, SERVICE, provider_for

T = "{http://schemas.microsoft.com/exchange/services/2006/types}"
M = "{http://schemas.microsoft.com/exchange/services/2006/messages}"
A, C, K = EntryKind.APPOINTMENT, EntryKind.CONTACT, EntryKind.TASK
ODD = 'i<1>&"'
MAIL = OutgoingMail(
    message_id="<1@crm.example>",
    subject="A <subject>",
    to=(Address("ben@example.com", "Ben & Co"),),
    cc=(Address("dan@example.com"),),
    bcc=(Address("eva@example.com"),),
    sender=Address(ANA, "Ana"),
    html="<p>Hi</p>",
    attachments=(OutgoingFile("a&b.txt", b"x", "text/plain", inline=True, content_id="c<1>"),),
    in_reply_to="<0@crm.example>",
    references=("<0@crm.example>",),
    token="t<&>",
    importance="High",
)
SERIES = [
    Recurrence(Every.DAY, date(2026, 3, 4), interval=3, until=date(2026, 5, 1)),
    Recurrence(Every.WEEK, date(2026, 3, 4), interval=2, weekdays=("MO", "WE"), week_starts="SU", count=4),
    Recurrence(Every.MONTH, date(2026, 3, 31), day=31),
    Recurrence(Every.MONTH_ON_WEEKDAY, date(2026, 3, 4), weekdays=("MO", "TU", "WE", "TH", "FR"), index=-1),
    Recurrence(Every.YEAR, date(2026, 2, 28), month=2, day=28),
    Recurrence(Every.YEAR_ON_WEEKDAY, date(2026, 11, 1), weekdays=("TH",), index=4, month=11),
]

WHOLE_DAY = Span(date(2026, 3, 4), date(2026, 3, 5))

Call = Callable[[EwsProvider], object]
Answer = TypeVar("Answer")


def creating(kind: EntryKind, values: dict[Field, Value]) -> Call:
    return lambda p: p.create_entry("f1", kind, values, stamp=ODD)


def changing(kind: EntryKind, values: dict[Field, Value]) -> Call:
    return lambda p: p.update_entry(ODD, "k&", kind, values, stamp="s")


WRITES: dict[str, Call] = {
    **{f"create {kind}": creating(kind, FULL[kind]) for kind in EntryKind},
    **{f"update {kind}": changing(kind, FULL[kind]) for kind in EntryKind},
    **{
        f"clear {kind}": changing(kind, {name: None for name in FULL[kind] if name is not Field.SPAN})
        for kind in EntryKind
    },
    **{f"series {number}": creating(A, {**MEETING, Field.RECURRENCE: each}) for number, each in enumerate(SERIES)},
    "complete": lambda p: p.update_entry("i1", "k", K, {Field.COMPLETED: date(2026, 3, 4)}),
    "whole days": lambda p: (setattr(p, "_zone", "Europe/Vienna"), creating(A, {Field.SPAN: WHOLE_DAY})(p)),
    "categories": lambda p: p.set_categories("i1", "k", A, ["R&D", "<x>"]),
    "no categories": lambda p: p.set_categories("i1", "k", C, []),
    "delete": lambda p: p.delete_entry(ODD),
    "create message": lambda p: p.create_message(MAIL, stamp=ODD),
    "create short message": lambda p: p.create_message(OutgoingMail("<1@x>", "", ()), stamp="s"),
    "send": lambda p: p.send_message(ODD, "k&"),
}
READS: dict[str, Call] = {
    "the owner's zone": creating(A, {Field.SPAN: WHOLE_DAY}),
    "marks": lambda p: p.marks(["i1", ODD]),
    "entries": lambda p: p.entries(["i1", ODD]),
    "occurrence": lambda p: p.occurrence("f1", "uid", NINE),
    "find stamp": lambda p: p.find_stamp("f1", ODD),
    "find message": lambda p: p.find_message(ODD),
}


def item(inner: str, tag: str = "CalendarItem", item_id: str = "i1") -> Said:
    return Said(
        200,
        messages(
            "GetItem",
            success(f'<m:Items><t:{tag}><t:ItemId Id="{item_id}" ChangeKey="k"/>{inner}</t:{tag}></m:Items>'),
        ),
    )


def entry(inner: str, tag: str = "CalendarItem", *more: Said) -> Entry:
    (found,) = read([item(inner, tag), *more], lambda p: p.entries(["i1"]))
    assert isinstance(found, Entry), found
    return found


def times(start: str, end: str, zone: str, *, all_day: bool = False, more: str = "") -> str:
    day = f"<t:IsAllDayEvent>{'true' if all_day else 'false'}</t:IsAllDayEvent>"
    return f'<t:Start>{start}</t:Start><t:End>{end}</t:End>{day}<t:StartTimeZone Id="{zone}"/>{more}'


# -- requests ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*WRITES, *READS])
def test_requests_are_valid_by_the_published_schema(name: str) -> None:
    ews_schema.require()
    assert ews_schema.validate(asked({**WRITES, **READS}[name])) == []


@pytest.mark.parametrize("name", WRITES)
def test_every_write_says_that_nobody_is_told(name: str) -> None:
    request = etree.fromstring(asked(WRITES[name]))[1][0]
    operation = etree.QName(request).localname
    said = {str(name): str(value) for name, value in request.attrib.items()}
    if name in ("create message", "create short message"):
        assert said == {"MessageDisposition": "SaveOnly"}
    else:
        assert (
            said
            == {
                "CreateItem": {"MessageDisposition": "SaveOnly", "SendMeetingInvitations": "SendToNone"},
                "UpdateItem": {
                    "ConflictResolution": "NeverOverwrite",
                    "MessageDisposition": "SaveOnly",
                    "SendMeetingInvitationsOrCancellations": "SendToNone",
                },
                "DeleteItem": {
                    "DeleteType": "MoveToDeletedItems",
                    "SendMeetingCancellations": "SendToNone",
                    "AffectedTaskOccurrences": "AllOccurrences",
                },
                "SendItem": {"SaveItemToFolder": "true"},
            }[operation]
        )


@pytest.mark.parametrize("name", WRITES)
def test_a_write_is_made_once_whatever_happens_to_its_answer(name: str) -> None:
    with serving(Said(reset=True)) as server:
        provider = provider_at(server.url)
        with pytest.raises(Unavailable):
            WRITES[name](provider)
        assert (len(server.bodies), provider.requests) == (1, 1)


def test_s24_marks_ask_for_control_fields_and_nothing_else() -> None:
    request = etree.fromstring(asked(READS["marks"]))
    fields = [str(each.get("FieldURI")) for each in request.iter(f"{T}FieldURI")]
    assert request.findtext(f".//{T}BaseShape") == "IdOnly"
    assert sorted(fields) == sorted(
        # each is listed in docs/privacy.md
        [
            *("item:Categories", "item:Sensitivity", "item:LastModifiedTime", "calendar:UID"),
            *("task:DelegationState", "task:IsRecurring"),
        ]
    )
    assert [each.get("PropertyName") for each in request.iter(f"{T}ExtendedFieldURI")] == ["crmsync"]


def test_one_telephone_number_is_changed_alone() -> None:
    request = etree.fromstring(asked(lambda p: p.update_entry("i1", "k", C, {Field.MOBILE: "+34 1"})))
    (update,) = request.iter(f"{T}Updates")
    assert [etree.QName(each).localname for each in update] == ["SetItemField"]
    assert [each.get("Key") for each in update.iter(f"{T}Entry")] == ["MobilePhone"]


@pytest.mark.parametrize(
    ("values", "shown", "sorted_by"),
    [
        ({Field.NAME: FullName("Ana", "B.", "Coll")}, "Ana B. Coll", "Coll, Ana B."),
        ({Field.NAME: FullName(last="Coll"), Field.COMPANY: "Coll SL"}, "Coll", "Coll"),
        ({Field.COMPANY: "Coll SL", Field.EMAIL1: "a@coll.example"}, "Coll SL", "Coll SL"),
        ({Field.EMAIL1: "a@coll.example"}, "a@coll.example", "a@coll.example"),
    ],
)
def test_a_contact_is_shown_under_a_name(values: dict[Field, Value], shown: str, sorted_by: str) -> None:
    request = etree.fromstring(asked(lambda p: p.create_entry("f1", C, values, stamp="s")))
    assert request.findtext(f".//{T}DisplayName") == shown
    assert request.findtext(f".//{T}FileAs") == sorted_by


def test_only_a_new_name_changes_what_a_contact_is_shown_under() -> None:
    request = etree.fromstring(asked(lambda p: p.update_entry("i1", "k", C, {Field.COMPANY: "Coll SL"})))
    assert request.find(f".//{T}DisplayName") is None
    request = etree.fromstring(asked(lambda p: p.update_entry("i1", "k", C, {Field.NAME: FullName("Ana")})))
    assert request.findtext(f".//{T}FileAs") == "Ana"


def test_a_birthday_is_written_a_minute_before_noon() -> None:
    request = etree.fromstring(asked(WRITES[f"create {C}"]))
    assert request.findtext(f".//{T}Birthday") == "1980-02-29T11:59:00Z"


def test_whole_days_are_midnights_where_the_owner_is(sandbox: SandboxServer) -> None:
    client = provider_for(sandbox, SERVICE, impersonate=True)._client
    days = Span(date(2026, 3, 29), date(2026, 3, 30))
    provider = EwsProvider(client, ANA, impersonate=True, zone="Europe/Vienna")
    folder = next(each.id for each in provider.well_known_folders() if each.role == "calendar")
    written = provider.create_entry(folder, A, {Field.SPAN: days}, stamp="s")
    kept = sandbox.store.item(written.item_id).content.values
    assert ("2026-03-28T23:00:00Z" in kept["Start"], "2026-03-29T22:00:00Z" in kept["End"]) == (True, True)
    assert 'Id="W. Europe Standard Time"' in kept["StartTimeZone"]
    elsewhere = EwsProvider(client, ANA, impersonate=True, zone="Pacific/Auckland")
    for each in (provider, elsewhere):
        (found,) = each.entries([written.item_id])
        assert isinstance(found, Entry)
        assert found.values[Field.SPAN] == days


def test_the_owner_s_zone_is_that_of_most_of_their_own_appointments(sandbox: SandboxServer) -> None:
    owner, crm = (provider_for(sandbox, SERVICE, impersonate=True) for _ in range(2))
    folder = next(each.id for each in owner.well_known_folders() if each.role == "calendar")
    for zone, stamp in (("Asia/Tokyo", ""), ("Europe/Vienna", ""), ("Europe/Vienna", ""), *[("UTC", "link")] * 5):
        span = Span(NINE, NINE + timedelta(hours=1), zone)
        owner.create_entry(folder, A, {Field.SPAN: span}, stamp=stamp)
    before = crm.requests
    written = [crm.create_entry(folder, A, {Field.SPAN: WHOLE_DAY}, stamp="s").item_id for _ in range(2)]
    assert crm.requests - before == 3, "asked once"
    for each in written:
        kept = sandbox.store.item(each).content.values
        assert "2026-03-03T23:00:00Z" in kept["Start"]
        assert 'Id="W. Europe Standard Time"' in kept["StartTimeZone"]


def test_meetings_of_others_and_unknown_zones_do_not_tell_where_the_owner_is() -> None:
    def listed(zone: str, response: str, tag: str = "CalendarItem") -> str:
        inner = f'<t:MyResponseType>{response}</t:MyResponseType><t:StartTimeZone Id="{zone}"/>'
        return f'<t:{tag}><t:ItemId Id="i" ChangeKey="k"/>{inner}</t:{tag}>'

    others = listed("Tokyo Standard Time", "Accept") * 3 + listed("Customized Time Zone", "Organizer")
    for own, zone in ((listed("W. Europe Standard Time", "Unknown"), "W. Europe Standard Time"), ("", "UTC")):
        found = Said(
            200, messages("FindItem", success(f"<m:RootFolder><t:Items>{others}{own}</t:Items></m:RootFolder>"))
        )
        done = Said(200, messages("CreateItem", success("<m:Items/>")))
        with serving(found, done) as server:
            creating(A, {Field.SPAN: WHOLE_DAY})(provider_at(server.url))
        assert f'StartTimeZone Id="{zone}"'.encode() in server.bodies[1]


def test_the_token_leaves_in_a_header(sandbox: SandboxServer) -> None:
    provider = provider_for(sandbox, SERVICE, impersonate=True)
    mail = OutgoingMail("<1@crm.example>", "Hello", (Address("x@third.example"),), token="abc.def")
    draft = provider.create_message(mail, stamp="s")
    provider.send_message(draft.item_id, draft.change_key)
    (left,) = sandbox.store.outbound
    assert f"{TOKEN_HEADER}: abc.def".lower().encode() in left.raw.lower()
    assert b"<1@crm.example>" in left.raw


# -- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "kind", "ours"),
    [
        ("ErrorIrresolvableConflict", ChangedMeanwhile, "item_conflict"),
        ("ErrorStaleObject", ChangedMeanwhile, "item_conflict"),
        ("ErrorItemNotFound", ItemGone, "item_gone"),
        ("ErrorInvalidPropertySet", WriteRefused, "write_refused"),
        ("ErrorAccessDenied", WriteRefused, "write_refused"),
        ("ErrorSomethingNew", WriteRefused, "write_refused"),
        ("ErrorCalendarDurationIsTooLong", WriteRefused, "write_refused"),
        ("ErrorServerBusy", Throttled, "server_busy"),
        ("ErrorQuotaExceeded", MailboxGone, "mailbox_full"),
        ("ErrorInternalServerError", Unavailable, "server_error"),
        ("ErrorImpersonateUserDenied", AccessRefused, "impersonation_refused"),
    ],
)
@pytest.mark.parametrize("whole", [True, False], ids=["of the request", "of the item"])
def test_what_a_server_says_to_a_write(code: str, kind: type[ProviderError], ours: str, *, whole: bool) -> None:
    answer = Said(500, fault(code)) if whole else Said(200, messages("UpdateItem", error(code)))
    with pytest.raises(kind) as caught:
        read([answer], lambda p: p.update_entry("i1", "k", A, {Field.LOCATION: "B"}))
    assert caught.value.code == ours


def test_a_value_that_the_schema_forbids_costs_one_item() -> None:
    with pytest.raises(WriteRefused):
        read([Said(500, fault("ErrorSchemaValidation"))], WRITES[f"create {C}"])


def test_an_answer_to_a_write_that_is_none() -> None:
    with pytest.raises(AnswerUnreadable):
        read([Said(200, messages("UpdateItem"))], WRITES["categories"])


def test_a_write_without_an_id_in_its_answer_keeps_the_old_one() -> None:
    found = read(
        [Said(200, messages("UpdateItem", success("<m:Items/>")))], lambda p: p.set_categories("i1", "k", A, [])
    )
    assert (found.item_id, found.change_key) == ("i1", "")


@pytest.mark.parametrize("code", ["ErrorFolderNotFound", "ErrorItemNotFound"])
def test_a_folder_to_write_into_that_is_gone(code: str) -> None:
    with pytest.raises(FolderGone):
        read([Said(200, messages("CreateItem", error(code)))], WRITES[f"create {K}"])


def test_a_place_that_a_mailbox_has_not_is_passed_over_when_a_message_is_looked_for() -> None:
    draft = '<m:RootFolder><t:Items><t:Message><t:ItemId Id="i1" ChangeKey="k"/></t:Message></t:Items></m:RootFolder>'
    empty = "<m:RootFolder><t:Items/></m:RootFolder>"
    gone, busy = error("ErrorFolderNotFound"), error("ErrorServerBusy")
    found = read(
        [Said(200, messages("FindItem", success(empty), gone, success(draft), success(empty)))],
        lambda p: p.find_message("s"),
    )
    assert found is not None
    assert (found.item_id, found.sent) == ("i1", False), "nothing says that it was sent"
    with pytest.raises(Throttled):
        read(
            [Said(200, messages("FindItem", success(empty), busy, success(draft), success(empty)))],
            lambda p: p.find_message("s"),
        )


@pytest.mark.parametrize(
    ("place", "flags"),
    [
        (0, "<t:IsDraft>true</t:IsDraft>"),
        (1, "<t:IsDraft>true</t:IsDraft>"),
        (2, "<t:IsSubmitted>true</t:IsSubmitted><t:IsDraft>true</t:IsDraft>"),
        (3, "<t:IsDraft>false</t:IsDraft>"),
    ],
    ids=["sent items", "outbox", "drafts, submitted", "deleted, no draft"],
)
def test_what_is_on_its_way_counts_as_sent(place: int, flags: str) -> None:
    empty = "<m:RootFolder><t:Items/></m:RootFolder>"
    message = f'<t:Message><t:ItemId Id="i1" ChangeKey="k"/>{flags}</t:Message>'
    parts = [success(empty)] * 4
    parts[place] = success(f"<m:RootFolder><t:Items>{message}</t:Items></m:RootFolder>")
    found = read([Said(200, messages("FindItem", *parts))], lambda p: p.find_message("s"))
    assert found is not None
    assert found.sent


def test_a_search_for_a_stamp_that_is_refused() -> None:
    with pytest.raises(FolderGone):
        read([Said(200, messages("FindItem", error("ErrorAccessDenied")))], READS["find stamp"])
    with pytest.raises(Throttled):
        read([BUSY], READS["find stamp"])


# -- odd answers ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("zone", ["Customized Time Zone", "tzone://Microsoft/Custom", "Mitteleuropäische Zeit", ""])
def test_a_zone_that_nobody_knows_shifts_nothing(zone: str) -> None:
    found = entry(times("2026-03-04T08:00:00Z", "2026-03-04T09:00:00Z", zone))
    assert found.values[Field.SPAN] == Span(NINE, NINE + timedelta(hours=1), "")


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("2026-11-19T23:00:00Z", "2026-11-20T23:00:00Z"),
        ("2026-11-20T00:00:00Z", "2026-11-21T00:00:00Z"),
        ("2026-11-20T08:00:00Z", "2026-11-21T08:00:00Z"),
        ("2026-11-19T12:00:00Z", "2026-11-20T12:00:00Z"),
    ],
    ids=["Vienna", "UTC", "Los Angeles", "Auckland"],
)
@pytest.mark.parametrize("zone", ["Customized Time Zone", "tzone://Microsoft/Custom"])
def test_whole_days_in_a_zone_that_nobody_knows_stay_on_their_days(zone: str, start: str, end: str) -> None:
    found = entry(times(start, end, zone, all_day=True))
    assert found.values[Field.SPAN] == Span(date(2026, 11, 20), date(2026, 11, 21))


def test_the_item_s_own_clock_settles_whole_days_far_in_the_east() -> None:
    wall = "<t:StartWallClock>2026-11-20T00:00:00+14:00</t:StartWallClock><t:EndWallClock>2026-11-22T00:00:00</t:EndWallClock>"
    inner = times("2026-11-19T10:00:00Z", "2026-11-21T10:00:00Z", "Customized Time Zone", all_day=True, more=wall)
    assert entry(inner).values[Field.SPAN] == Span(date(2026, 11, 20), date(2026, 11, 22))


def test_whole_days_in_a_known_zone_far_in_the_east() -> None:
    inner = times("2026-11-19T10:00:00Z", "2026-11-20T10:00:00Z", "Line Islands Standard Time", all_day=True)
    assert entry(inner).values[Field.SPAN] == Span(date(2026, 11, 20), date(2026, 11, 21))


def test_our_note_of_the_zone_counts_until_somebody_moves_the_item_to_another() -> None:
    def noted(zone: str) -> str:
        note = '<t:ExtendedFieldURI PropertySetId="7F1D6C3E-2B84-4A5D-9C0E-5D3C1B8A6F42" PropertyName="crmsync-zone" PropertyType="String"/>'
        more = f"<t:ExtendedProperty>{note}<t:Value>Europe/Madrid</t:Value></t:ExtendedProperty>"
        span = entry(times("2026-03-04T08:00:00Z", "2026-03-04T09:00:00Z", zone, more=more)).values[Field.SPAN]
        assert isinstance(span, Span)
        return span.zone

    assert noted("Romance Standard Time") == "Europe/Madrid"
    assert noted("Tokyo Standard Time") == "Asia/Tokyo"
    assert noted("Customized Time Zone") == ""


@pytest.mark.parametrize(
    "text", ["1980-05-04T11:59:00Z", "1980-05-03T22:00:00Z", "1980-05-04T00:00:00Z", "1980-05-04T07:00:00Z"]
)
def test_a_birthday_is_the_day_that_was_meant(text: str) -> None:
    assert entry(f"<t:Birthday>{text}</t:Birthday>", "Contact").values[Field.BIRTHDAY] == date(1980, 5, 4)


def test_the_day_that_exchange_means_by_none_is_none() -> None:
    assert entry("<t:DueDate>4501-01-01T00:00:00Z</t:DueDate>", "Task").values[Field.DUE] is None


@pytest.mark.parametrize(
    ("inner", "here"),
    [
        ("", True),
        ("<t:MyResponseType>Organizer</t:MyResponseType>{people}", True),
        ("<t:MyResponseType>Accept</t:MyResponseType>{people}", False),
        ("<t:MyResponseType>NoResponseReceived</t:MyResponseType>{people}", False),
        ("{people}", False),
        (
            "<t:Organizer><t:Mailbox><t:EmailAddress>Ana@Example.com</t:EmailAddress></t:Mailbox></t:Organizer>{people}",
            True,
        ),
        ("<t:MyResponseType>Unknown</t:MyResponseType>{people}", False),
    ],
)
def test_who_organises_is_known(inner: str, *, here: bool) -> None:
    people = (
        "<t:RequiredAttendees><t:Attendee><t:Mailbox><t:Name>Bo</t:Name><t:EmailAddress>bo@x.example</t:EmailAddress>"
        "</t:Mailbox><t:ResponseType>Accept</t:ResponseType></t:Attendee><t:Attendee><t:Mailbox><t:Name>Legacy</t:Name>"
        "<t:EmailAddress>/o=x/cn=y</t:EmailAddress></t:Mailbox></t:Attendee></t:RequiredAttendees>"
    )
    found = entry(inner.format(people=people))
    assert found.organized_here is here
    if "{people}" in inner:
        assert found.values[Field.REQUIRED] == (Attendee("bo@x.example", "Bo", "accepted"),)


def test_assigned_and_recurring_tasks_say_so() -> None:
    assert not entry("<t:DelegationState>NoMatch</t:DelegationState>", "Task").assigned
    for said, (assigned, recurring) in {
        "<t:DelegationState>Accepted</t:DelegationState>": (True, False),
        "<t:IsRecurring>true</t:IsRecurring>": (False, True),
        "<t:IsRecurring>false</t:IsRecurring>": (False, False),
    }.items():
        found = entry(said, "Task")
        assert (
            (found.assigned, found.recurring) == (found.marks.assigned, found.marks.recurring) == (assigned, recurring)
        )


def test_things_of_another_kind_are_named() -> None:
    for call in (lambda p: p.entries(["i1"]), lambda p: p.marks(["i1"])):
        (found,) = read([item("", "DistributionList")], call)
        assert isinstance(found, OtherKind)
        assert found.is_list
        assert "DistributionList" in found.detail
        (other,) = read([item("", "PostItem")], call)
        assert isinstance(other, OtherKind)
        assert not other.is_list


@pytest.mark.parametrize(
    "inner",
    [
        "<t:HourlyRecurrence/><t:NoEndRecurrence><t:StartDate>2026-01-01</t:StartDate></t:NoEndRecurrence>",
        "<t:DailyRecurrence><t:Interval>x</t:Interval></t:DailyRecurrence><t:NoEndRecurrence/>",
    ],
)
def test_a_series_that_makes_no_sense_costs_its_entry(inner: str) -> None:
    (found,) = read([item(f"<t:Recurrence>{inner}</t:Recurrence>")], lambda p: p.entries(["i1"]))
    assert isinstance(found, ItemUnreadable)


def test_a_series_with_a_zone_behind_its_days_and_without_a_first_day_of_the_week() -> None:
    inner = (
        "<t:Recurrence><t:WeeklyRecurrence><t:Interval>1</t:Interval><t:DaysOfWeek>Weekday</t:DaysOfWeek>"
        "</t:WeeklyRecurrence><t:EndDateRecurrence><t:StartDate>2026-01-05+01:00</t:StartDate>"
        "<t:EndDate>2026-02-01Z</t:EndDate></t:EndDateRecurrence></t:Recurrence>"
    )
    assert entry(inner).values[Field.RECURRENCE] == Recurrence(
        Every.WEEK, date(2026, 1, 5), weekdays=("MO", "TU", "WE", "TH", "FR"), until=date(2026, 2, 1)
    )
    assert entry("<t:Recurrence/>").values[Field.RECURRENCE] is None


EXCEPTIONS = (
    '<t:ModifiedOccurrences><t:Occurrence><t:ItemId Id="o1"/><t:Start>2026-03-12T08:00:00Z</t:Start>'
    "<t:End>2026-03-12T09:00:00Z</t:End><t:OriginalStart>2026-03-10T23:00:00Z</t:OriginalStart></t:Occurrence>"
    '<t:Occurrence><t:ItemId Id="o2"/></t:Occurrence></t:ModifiedOccurrences><t:DeletedOccurrences>'
    "<t:DeletedOccurrence><t:Start>2026-03-03T23:00:00Z</t:Start></t:DeletedOccurrence><t:DeletedOccurrence/>"
    "</t:DeletedOccurrences>"
)


def test_exceptions_of_whole_days_are_told_by_their_days() -> None:
    inner = times("2026-03-03T23:00:00Z", "2026-03-04T23:00:00Z", "W. Europe Standard Time", all_day=True)
    found = entry(inner + EXCEPTIONS, "CalendarItem", item("<t:Subject>Once</t:Subject>", item_id="o1"))
    assert [(each.original, each.cancelled, each.values.get(Field.SUBJECT)) for each in found.exceptions] == [
        (datetime(2026, 3, 4, tzinfo=UTC), True, None),
        (datetime(2026, 3, 11, tzinfo=UTC), False, "Once"),
    ]


def test_an_exception_that_is_gone_meanwhile_says_nothing() -> None:
    gone = Said(200, messages("GetItem", error("ErrorItemNotFound")))
    found = entry(times("2026-03-03T23:00:00Z", "2026-03-04T00:00:00Z", "UTC") + EXCEPTIONS, "CalendarItem", gone)
    assert [each.values for each in found.exceptions] == [{}, {}]
    assert found.exceptions[1].original == datetime(2026, 3, 10, 23, tzinfo=UTC)


def test_a_server_without_wall_clocks_is_asked_without_them_from_then_on() -> None:
    refused = Said(200, messages("GetItem", error("ErrorInvalidPropertyRequest")))
    with serving(refused, item("<t:Subject>A</t:Subject>"), item("<t:Subject>B</t:Subject>")) as server:
        provider = provider_at(server.url)
        for _ in range(2):
            assert isinstance(provider.entries(["i1"])[0], Entry)
    assert [b"WallClock" in body for body in server.bodies] == [True, False, False]


def test_an_appointment_without_times_has_no_span() -> None:
    found = entry("<t:Subject>When?</t:Subject>")
    assert found.values[Field.SPAN] is None
    assert canonical(A, Field.SHOW_AS, found.values[Field.SHOW_AS]) == "Busy"


def test_marks_of_an_item_that_says_little() -> None:
    (found,) = read([item("", "Task")], lambda p: p.marks(["i1"]))
    assert found == Marks(K, "i1", "k")


def test_a_date_that_no_server_can_hold_costs_one_item() -> None:
    far = Span(date.min, date(1, 1, 2))
    provider = EwsProvider(provider_at("http://127.0.0.1:9/")._client, ANA, impersonate=False, zone="Asia/Tokyo")
    with pytest.raises(WriteRefused):
        provider.create_entry("f1", A, {Field.SPAN: far}, stamp="s")


def test_series_of_every_pattern_come_back(sandbox: SandboxServer) -> None:
    provider = provider_for(sandbox, SERVICE, impersonate=True)
    folder = next(each.id for each in provider.well_known_folders() if each.role == "calendar")
    for series in (*SERIES, WEEKLY):
        written = provider.create_entry(folder, A, {**MEETING, Field.RECURRENCE: series}, stamp="s")
        (found,) = provider.entries([written.item_id])
        assert isinstance(found, Entry)
        assert canonical(A, Field.RECURRENCE, found.values[Field.RECURRENCE]) == canonical(A, Field.RECURRENCE, series)


def test_a_field_that_a_kind_has_not_is_a_mistake_of_ours() -> None:
    provider = provider_at("http://127.0.0.1:9/")
    for kind, values in ((C, TODO), (K, PERSON), (A, PERSON)):
        with pytest.raises(KeyError):
            provider.create_entry("f1", kind, values, stamp="s")
