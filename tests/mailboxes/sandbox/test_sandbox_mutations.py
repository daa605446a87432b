"""Requests about every kind of item, changed at random: a code for each, and what was accepted comes back valid."""

import copy

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lxml import etree

from mailboxes.sandbox.http import HttpRequest
from mailboxes.sandbox.server import SandboxServer
from mailboxes.sandbox.store import SandboxStore
from mailboxes.sandbox.tasks import Task
from tests import ews_schema
from tests.mailboxes.sandbox.test_sandbox_appointments import CUSTOM
from tests.mailboxes.sandbox.test_sandbox_cards_and_calendars import CARD, REVIEW
from tests.mailboxes.sandbox.wire import ANNA, BEN, ENVELOPE, PASSWORDS, Reply, signed

BOX = f"<t:Mailbox><t:Name>Ben</t:Name><t:EmailAddress>{BEN}</t:EmailAddress></t:Mailbox>"
CREATE = '<m:CreateItem MessageDisposition="SendAndSaveCopy" SendMeetingInvitations="SendToAllAndSaveCopy"><m:Items>{}</m:Items></m:CreateItem>'
REQUESTS = {
    "message": CREATE.format(
        '<t:Message><t:Subject>x</t:Subject><t:Sensitivity>Private</t:Sensitivity><t:Body BodyType="HTML">y</t:Body><t:Categories><t:String>CRM</t:String></t:Categories>'
        f"<t:Importance>High</t:Importance><t:ToRecipients>{BOX}</t:ToRecipients><t:IsRead>true</t:IsRead></t:Message>"
    ),
    "appointment": CREATE.format(
        "<t:CalendarItem><t:Subject>x</t:Subject><t:ReminderIsSet>true</t:ReminderIsSet><t:ReminderMinutesBeforeStart>15</t:ReminderMinutesBeforeStart>"
        "<t:Start>2026-10-19T10:00:00</t:Start><t:End>2026-10-19T11:00:00</t:End><t:IsAllDayEvent>false</t:IsAllDayEvent>"
        "<t:LegacyFreeBusyStatus>Busy</t:LegacyFreeBusyStatus><t:Location>Room</t:Location>"
        f"<t:RequiredAttendees><t:Attendee>{BOX}</t:Attendee></t:RequiredAttendees><t:Recurrence><t:RelativeMonthlyRecurrence>"
        "<t:Interval>1</t:Interval><t:DaysOfWeek>Monday</t:DaysOfWeek><t:DayOfWeekIndex>Third</t:DayOfWeekIndex></t:RelativeMonthlyRecurrence>"
        "<t:NumberedRecurrence><t:StartDate>2026-10-19</t:StartDate><t:NumberOfOccurrences>3</t:NumberOfOccurrences></t:NumberedRecurrence>"
        f"</t:Recurrence>{CUSTOM}</t:CalendarItem>"
    ),
    "contact": CREATE.format(
        "<t:Contact><t:FileAsMapping>LastCommaFirst</t:FileAsMapping><t:GivenName>Zoe</t:GivenName>"
        '<t:EmailAddresses><t:Entry Key="EmailAddress1">zoe@x.example</t:Entry></t:EmailAddresses>'
        '<t:PhysicalAddresses><t:Entry Key="Home"><t:Street>s</t:Street><t:City>c</t:City></t:Entry></t:PhysicalAddresses>'
        '<t:PhoneNumbers><t:Entry Key="MobilePhone">1</t:Entry></t:PhoneNumbers><t:Birthday>1990-01-02T11:59:00Z</t:Birthday>'
        "<t:PostalAddressIndex>Home</t:PostalAddressIndex><t:Surname>Quill</t:Surname></t:Contact>"
    ),
    "task": CREATE.format(
        "<t:Task><t:Subject>x</t:Subject><t:ActualWork>1</t:ActualWork><t:Companies><t:String>Q</t:String></t:Companies><t:DueDate>2026-11-03T00:00:00Z</t:DueDate>"
        "<t:PercentComplete>40</t:PercentComplete><t:Recurrence><t:MonthlyRegeneration><t:Interval>1</t:Interval></t:MonthlyRegeneration>"
        "<t:NoEndRecurrence><t:StartDate>2026-11-02</t:StartDate></t:NoEndRecurrence></t:Recurrence><t:Status>InProgress</t:Status></t:Task>"
    ),
    "list": CREATE.format(
        f"<t:DistributionList><t:DisplayName>B</t:DisplayName><t:Members><t:Member>{BOX}<t:Status>Normal</t:Status></t:Member></t:Members></t:DistributionList>"
    ),
    "update": '<m:UpdateItem ConflictResolution="AlwaysOverwrite" MessageDisposition="SaveOnly" SendMeetingInvitationsOrCancellations="SendToAllAndSaveCopy">'
    '<m:ItemChanges><t:ItemChange><t:ItemId Id="{series}"/><t:Updates><t:SetItemField><t:FieldURI FieldURI="calendar:Start"/><t:CalendarItem>'
    '<t:Start>2026-10-19T09:00:00Z</t:Start></t:CalendarItem></t:SetItemField><t:DeleteItemField><t:FieldURI FieldURI="calendar:Location"/></t:DeleteItemField>'
    "</t:Updates></t:ItemChange></m:ItemChanges></m:UpdateItem>",
    "entry": '<m:UpdateItem ConflictResolution="AlwaysOverwrite"><m:ItemChanges><t:ItemChange><t:ItemId Id="{contact}"/><t:Updates><t:SetItemField>'
    '<t:IndexedFieldURI FieldURI="contacts:PhoneNumber" FieldIndex="HomePhone"/><t:Contact><t:PhoneNumbers><t:Entry Key="HomePhone">2</t:Entry></t:PhoneNumbers>'
    "</t:Contact></t:SetItemField></t:Updates></t:ItemChange></m:ItemChanges></m:UpdateItem>",
    "occurrence": '<m:UpdateItem ConflictResolution="AlwaysOverwrite" SendMeetingInvitationsOrCancellations="SendToNone"><m:ItemChanges><t:ItemChange>'
    '<t:OccurrenceItemId RecurringMasterId="{series}" InstanceIndex="2"/><t:Updates><t:SetItemField><t:FieldURI FieldURI="item:Subject"/><t:CalendarItem>'
    "<t:Subject>Other</t:Subject></t:CalendarItem></t:SetItemField></t:Updates></t:ItemChange></m:ItemChanges></m:UpdateItem>",
    "delete": '<m:DeleteItem DeleteType="SoftDelete" SendMeetingCancellations="SendToAllAndSaveCopy" AffectedTaskOccurrences="AllOccurrences"><m:ItemIds>'
    '<t:OccurrenceItemId RecurringMasterId="{series}" InstanceIndex="2"/><t:ItemId Id="{contact}"/></m:ItemIds></m:DeleteItem>',
    "answer": '<m:CreateItem MessageDisposition="SendOnly"><m:Items><t:TentativelyAcceptItem><t:Body BodyType="Text">x</t:Body><t:ReferenceItemId Id="{foreign}"/>'
    "<t:ProposedStart>2026-10-19T09:00:00Z</t:ProposedStart></t:TentativelyAcceptItem></m:Items></m:CreateItem>",
    "view": '<m:FindItem Traversal="Shallow"><m:ItemShape><t:BaseShape>AllProperties</t:BaseShape></m:ItemShape>'
    '<m:CalendarView StartDate="2026-10-01T00:00:00Z" EndDate="2027-12-01T00:00:00Z" MaxEntriesReturned="5"/>'
    '<m:ParentFolderIds><t:DistinguishedFolderId Id="calendar"/></m:ParentFolderIds></m:FindItem>',
    "subscribe": '<m:Subscribe><m:PullSubscriptionRequest><t:FolderIds><t:DistinguishedFolderId Id="inbox"/></t:FolderIds><t:EventTypes><t:EventType>NewMailEvent</t:EventType>'
    "</t:EventTypes><t:Timeout>5</t:Timeout></m:PullSubscriptionRequest></m:Subscribe>",
    "configuration": '<m:CreateUserConfiguration><m:UserConfiguration><t:UserConfigurationName Name="x"><t:DistinguishedFolderId Id="calendar"/></t:UserConfigurationName>'
    "<t:XmlData>eA==</t:XmlData></m:UserConfiguration></m:CreateUserConfiguration>",
}
# Texts a client might get wrong.
TEXTS = st.sampled_from(
    [
        "",
        " ",
        "0",
        "-1",
        "99999999999",
        "true",
        "x",
        "2026-02-30",
        "0001-01-01T00:00:00Z",
        "9999-12-31T23:59:59Z",
        "Monday",
        "P1D",
        "é☃\u0000"[:2],
    ]
)


class Mutation:
    """One change of a request: of the element at `at`, `how`, with `text`."""

    def __init__(self, at: int, how: str, text: str) -> None:
        self.at, self.how, self.text = at, how, text

    def __repr__(self) -> str:
        return f"{self.how} {self.at} {self.text!r}"

    def apply(self, operation: etree._Element) -> None:
        elements = list(operation.iter())[1:]
        one = elements[self.at % len(elements)]
        parent = one.getparent()
        if parent is None:
            return
        if self.how == "remove":
            parent.remove(one)
        elif self.how == "double":
            one.addnext(copy.deepcopy(one))
        elif self.how == "text":
            one.text = self.text
        elif self.how == "attribute" and one.attrib:
            name = sorted(str(key) for key in one.attrib)[self.at % len(one.attrib)]
            one.set(name, self.text)
        elif self.how == "empty":
            for child in list(one):
                one.remove(child)
        elif self.how == "swap":
            other = elements[(self.at * 7 + 3) % len(elements)]
            one.tag = other.tag


MUTATIONS = st.lists(
    st.builds(
        Mutation, st.integers(0, 60), st.sampled_from(["remove", "double", "text", "attribute", "empty", "swap"]), TEXTS
    ),
    min_size=1,
    max_size=3,
)


def put(server: SandboxServer, operation: str) -> Reply:
    answer = server.answer(
        HttpRequest("POST", "/EWS/Exchange.asmx", signed(ANNA), (ENVELOPE % ("", operation)).encode())
    )
    assert answer is not None
    return Reply(answer.status, answer.body)


@pytest.mark.parametrize("name", sorted(REQUESTS))
@settings(max_examples=20, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(mutations=MUTATIONS)
def test_no_request_breaks_the_server_and_what_it_keeps_is_valid(name: str, mutations: list[Mutation]) -> None:
    store = SandboxStore()
    for address in (ANNA, BEN):
        store.add_mailbox(address, PASSWORDS[address])
    (series,), (contact,) = store.add_ics(ANNA, REVIEW), store.add_vcf(ANNA, CARD)
    store.add_task(ANNA, Task("t"))
    (foreign,) = store.add_ics(
        ANNA,
        REVIEW.replace(b"review-1", b"foreign")
        .replace(b"mailto:anna", b"mailto:boss")
        .replace(b"mailto:ben", b"mailto:anna"),
    )
    server = SandboxServer(store)
    whole = etree.fromstring(
        (ENVELOPE % ("", REQUESTS[name].format(series=series, contact=contact, foreign=foreign))).encode()
    )
    operation = whole[1][0]
    for mutation in mutations:
        if len(list(operation.iter())) > 1:
            mutation.apply(operation)
    reply = put(server, etree.tostring(operation, encoding="unicode"))
    assert "ErrorInternalServerError" not in reply.codes, mutations
    ids = [
        f'<t:ItemId Id="{item.id}"/>'
        for mailbox in store.mailboxes.values()
        for folder in mailbox.folders.values()
        for item in folder.items.values()
        if mailbox.address == ANNA
    ]
    got = put(
        server,
        "<m:GetItem><m:ItemShape><t:BaseShape>AllProperties</t:BaseShape></m:ItemShape>"
        f"<m:ItemIds>{''.join(ids)}</m:ItemIds></m:GetItem>",
    )
    assert set(got.codes) <= {"NoError"}, mutations
    if ews_schema.schema() is not None:
        assert ews_schema.validate(reply.xml) == [], mutations
        assert ews_schema.validate(got.xml) == [], mutations
    server.stop()
