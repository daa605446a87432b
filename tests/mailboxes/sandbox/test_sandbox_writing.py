"""Unmodified exchangelib writes to a sandbox mailbox: mail, appointments, contacts, tasks, folders, attachments."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from exchangelib import (
    Account,
    CalendarItem,
    Contact,
    EWSTimeZone,
    ExtendedProperty,
    FileAttachment,
    HTMLBody,
    ItemAttachment,
    Mailbox,
    Message,
    Task,
)
from exchangelib.errors import (
    ErrorDeleteDistinguishedFolder,
    ErrorFolderExists,
    ErrorInvalidPropertySet,
    ErrorInvalidRecipients,
    ErrorIrresolvableConflict,
    ErrorItemNotFound,
    ErrorSendAsDenied,
)
from exchangelib.folders import Messages
from exchangelib.indexed_properties import EmailAddress, PhoneNumber, PhysicalAddress
from exchangelib.items import MeetingCancellation, MeetingRequest

from mailboxes.sandbox.server import SandboxServer
from mailboxes.sandbox.store import SandboxStore
from tests.mailboxes.sandbox.wire import ANNA, BEN, Ask, mail

Open = Callable[..., Account]
MADRID = EWSTimeZone("Europe/Madrid")
START, END = datetime(2026, 11, 23, 10, tzinfo=MADRID), datetime(2026, 11, 23, 11, tzinfo=MADRID)


class Token(ExtendedProperty):  # type: ignore[misc]  # exchangelib has no types
    distinguished_property_set_id = "InternetHeaders"
    property_name = "X-CRM-Token"
    property_type = "String"


class Stamp(ExtendedProperty):  # type: ignore[misc]  # exchangelib has no types
    property_set_id = "c11ff724-aa03-4555-9952-8fa248a11c3e"
    property_name = "crm_id"
    property_type = "String"


@pytest.fixture
def stamped() -> object:
    """Register our two extended properties on messages for the length of a test."""
    Message.register("token", Token)
    Message.register("stamp", Stamp)
    yield
    Message.deregister("token")
    Message.deregister("stamp")


@pytest.mark.usefixtures("stamped")
def test_a_draft_is_sent_once_and_found_by_its_stamp(store: SandboxStore, account: Open) -> None:
    anna, ben = account(ANNA), account(BEN)
    draft = Message(
        account=anna,
        folder=anna.drafts,
        subject="Grüße ☃",
        body=HTMLBody("<b>Hello</b> & welcome"),
        to_recipients=[Mailbox(name="Ben", email_address=BEN), "guest@outside.example"],
        token="T-1",
        stamp="42",
        categories=["CRM"],
    )
    draft.attach(FileAttachment(name="añadido.txt", content=b"abc"))
    draft.attach(ItemAttachment(name="inner", item=Message(subject="Inner", body="inner body")))
    draft.save()
    waiting = anna.drafts.filter(stamp="42").get()
    assert (waiting.is_draft, waiting.token, len(waiting.attachments)) == (True, "T-1", 2)
    draft_id = waiting.id
    waiting.send(copy_to_folder=anna.sent)
    copy = anna.sent.filter(stamp="42").get()
    assert (copy.is_draft, copy.is_read, copy.categories) == (False, True, ["CRM"])
    assert copy.id != draft_id
    assert copy.message_id == waiting.message_id
    assert anna.drafts.all().count() == 0
    arrived = ben.inbox.all().get()
    assert (arrived.subject, arrived.body, arrived.text_body) == (
        "Grüße ☃",
        "<b>Hello</b> & welcome",
        "Hello & welcome",
    )
    assert (arrived.token, arrived.stamp, arrived.is_read) == ("T-1", None, False)
    assert arrived.message_id == copy.message_id
    assert {one.name: getattr(one, "content", None) or one.item.subject for one in arrived.attachments} == {
        "añadido.txt": b"abc",
        "inner": "Inner",
    }
    assert [one.recipient for one in store.outbound] == ["guest@outside.example"]


def test_blind_copies_arrive_and_are_not_told(store: SandboxStore, account: Open) -> None:
    anna = account(ANNA)
    message = Message(
        account=anna,
        folder=anna.sent,
        subject="Quiet",
        body="x",
        to_recipients=["guest@outside.example"],
        bcc_recipients=[BEN],
    )
    message.send_and_save()
    arrived = account(BEN).inbox.all().get()
    assert arrived.subject == "Quiet"
    assert arrived.bcc_recipients is None
    assert b"bcc" not in (arrived.mime_content or b"").lower()
    assert anna.sent.all().get().bcc_recipients[0].email_address == BEN
    assert b"bcc" not in store.outbound[0].raw.lower()


def test_sending_without_a_copy_keeps_none(account: Open) -> None:
    anna = account(ANNA)
    Message(account=anna, subject="No copy", body="x", to_recipients=[BEN]).send(save_copy=False)
    assert anna.sent.all().count() == 0
    assert account(BEN).inbox.all().count() == 1


def test_sending_needs_recipients_and_the_right_to_be_the_sender(store: SandboxStore, account: Open) -> None:
    anna = account(ANNA)
    with pytest.raises(ErrorInvalidRecipients):
        Message(account=anna, subject="To nobody", body="x").send(save_copy=False)
    with pytest.raises(ErrorSendAsDenied):
        Message(account=anna, author="boss@outside.example", subject="x", to_recipients=[BEN]).send(save_copy=False)
    store.allow_delegate(BEN, ANNA)
    Message(account=anna, author=BEN, subject="As Ben", to_recipients=[ANNA]).send(save_copy=False)
    assert anna.inbox.all().get().author.email_address == BEN


def test_a_draft_made_of_bytes_is_sent_as_those_bytes_or_as_it_was_changed(store: SandboxStore, account: Open) -> None:
    raw = mail("From bytes", To=BEN, From=ANNA, Bcc="guest@outside.example", X_Custom="kept", text="The text")
    anna, ben = account(ANNA), account(BEN)
    Message(account=anna, folder=anna.drafts, mime_content=raw).save()
    draft = anna.drafts.all().get()
    assert (draft.subject, draft.is_draft) == ("From bytes", True)
    draft.send(copy_to_folder=anna.sent)
    assert ben.inbox.all().get().message_id == "<1@outside.example>"
    assert b"Bcc" not in store.outbound[0].raw
    Message(account=anna, folder=anna.drafts, mime_content=raw).save()
    draft = anna.drafts.all().get()
    draft.subject = "Changed"
    draft.save(update_fields=["subject"])
    draft.send(copy_to_folder=anna.sent)
    changed = ben.inbox.filter(subject="Changed").get()
    assert changed.text_body.strip() == "The text"
    assert {header.name: header.value for header in changed.headers}["X-Custom"] == "kept"


def test_a_message_of_bytes_without_a_message_id_gets_one_that_all_copies_share(account: Open) -> None:
    anna, ben = account(ANNA), account(BEN)
    Message(account=anna, folder=anna.drafts, mime_content=f"To: {BEN}\r\nSubject: Bare\r\n\r\nx".encode()).save()
    anna.drafts.all().get().send(copy_to_folder=anna.sent)
    arrived = ben.inbox.all().get()
    assert arrived.author.email_address == ANNA
    assert arrived.message_id == anna.sent.all().get().message_id
    assert arrived.message_id


def test_answers_and_forwards_keep_the_thread(store: SandboxStore, account: Open) -> None:
    store.deliver_mime(ANNA, mail("Offer", Cc=f"{ANNA}, {BEN}", text="The price"))
    anna = account(ANNA)
    original = anna.inbox.all().get()
    original.reply_all(subject="RE: Offer", body="Fine. ")
    original.forward(subject="FW: Offer", body="See below. ", to_recipients=[BEN])
    to_all, forwarded = account(BEN).inbox.all().order_by("subject")[1], account(BEN).inbox.all().order_by("subject")[0]
    assert to_all.in_reply_to == "<1@outside.example>"
    assert [person.email_address for person in to_all.to_recipients] == ["carla@outside.example"]
    assert [person.email_address for person in to_all.cc_recipients] == [BEN]
    assert to_all.text_body.startswith("Fine.")
    assert "> The price" in to_all.text_body
    assert forwarded.subject == "FW: Offer"
    sent = anna.sent.filter(subject="RE: Offer").get()
    assert sent.conversation_id == original.conversation_id


def test_single_properties_are_updated_and_others_kept(store: SandboxStore, account: Open) -> None:
    store.deliver_mime(ANNA, mail())
    anna = account(ANNA)
    message = anna.inbox.all().get()
    first_key = message.changekey
    message.is_read = True
    message.categories = ["CRM", "Red"]
    message.importance = "High"
    message.save(update_fields=["is_read", "categories", "importance"])
    assert message.changekey != first_key
    again = anna.inbox.all().get()
    assert (again.is_read, again.categories, again.importance) == (True, ["CRM", "Red"], "High")
    assert again.subject == "Hello"
    again.categories = None
    again.save(update_fields=["categories"])
    assert anna.inbox.all().get().categories is None


def test_a_stale_change_key_conflicts_where_both_wrote(store: SandboxStore, account: Open) -> None:
    store.deliver_mime(ANNA, mail())
    anna = account(ANNA)
    mine, theirs = anna.inbox.all().get(), anna.inbox.all().get()
    theirs.categories = ["Theirs"]
    theirs.save(update_fields=["categories"])
    mine.importance = "Low"
    mine.save(update_fields=["importance"])
    theirs.categories = ["Theirs again"]
    mine_again = anna.inbox.all().get()
    theirs.save(update_fields=["categories"], conflict_resolution="AlwaysOverwrite")
    mine_again.categories = ["Mine"]
    with pytest.raises(ErrorIrresolvableConflict):
        mine_again.save(update_fields=["categories"])
    mine_again.is_read = True
    with pytest.raises(ErrorIrresolvableConflict):
        mine_again.save(update_fields=["is_read"], conflict_resolution="NeverOverwrite")


def test_what_the_server_works_out_cannot_be_written(store: SandboxStore, ask: Ask) -> None:
    item = store.item(store.deliver_mime(ANNA, mail()))
    for field, element in (("item:Size", "<t:Size>1</t:Size>"), ("item:DisplayTo", "<t:DisplayTo>x</t:DisplayTo>")):
        reply = ask(
            update(
                item.id,
                item.change_key,
                f'<t:SetItemField><t:FieldURI FieldURI="{field}"/><t:Message>{element}</t:Message></t:SetItemField>',
            )
        )
        assert reply.codes == [ErrorInvalidPropertySet.__name__]
    reply = ask(
        update(item.id, item.change_key, '<t:DeleteItemField><t:FieldURI FieldURI="item:Size"/></t:DeleteItemField>')
    )
    assert reply.codes == ["ErrorInvalidPropertyDelete"]


def update(item_id: str, change_key: str, updates: str, resolution: str = "AutoResolve") -> str:
    key = f' ChangeKey="{change_key}"' if change_key else ""
    return (
        f'<m:UpdateItem ConflictResolution="{resolution}" MessageDisposition="SaveOnly" '
        'SendMeetingInvitationsOrCancellations="SendToNone"><m:ItemChanges><t:ItemChange>'
        f'<t:ItemId Id="{item_id}"{key}/><t:Updates>{updates}</t:Updates></t:ItemChange></m:ItemChanges></m:UpdateItem>'
    )


SUBJECT = '<t:SetItemField><t:FieldURI FieldURI="item:Subject"/><t:Message><t:Subject>New</t:Subject></t:Message></t:SetItemField>'


def test_an_update_is_whole_or_not_at_all(store: SandboxStore, ask: Ask) -> None:
    item = store.item(store.deliver_mime(ANNA, mail()))
    broken = (
        SUBJECT
        + '<t:SetItemField><t:FieldURI FieldURI="item:Importance"/><t:Message><t:Subject>x</t:Subject></t:Message></t:SetItemField>'
    )
    assert ask(update(item.id, item.change_key, broken)).codes == ["ErrorUpdatePropertyMismatch"]
    assert "Subject" not in item.content.values
    assert ask(update(item.id, item.change_key, SUBJECT)).codes == ["NoError"]
    assert item.content.values["Subject"] == "<t:Subject>New</t:Subject>"


@pytest.mark.usefixtures("stamped")
def test_stamping_a_message_that_came_invents_nothing_else(store: SandboxStore, account: Open) -> None:
    store.deliver_mime(ANNA, b"From: x@outside.example\r\nSubject: Bare\r\n\r\nx")
    anna = account(ANNA)
    message = anna.inbox.all().get()
    message.stamp = "42"
    message.save(update_fields=["stamp"])
    again = anna.inbox.filter(stamp="42").get()
    assert (again.message_id, again.subject) == (None, "Bare")


def test_an_update_needs_a_change_key_unless_it_overwrites(store: SandboxStore, ask: Ask) -> None:
    item = store.item(store.deliver_mime(ANNA, mail()))
    assert ask(update(item.id, "", SUBJECT)).codes == ["ErrorChangeKeyRequiredForWriteOperations"]
    assert ask(update(item.id, "AAAA", SUBJECT)).codes == ["ErrorInvalidChangeKey"]
    assert ask(update(item.id, "%%", SUBJECT)).codes == ["ErrorInvalidChangeKey"]
    assert ask(update(item.id, "", SUBJECT, "AlwaysOverwrite")).codes == ["NoError"]


def test_the_people_of_a_message_that_came_are_facts(store: SandboxStore, ask: Ask) -> None:
    item = store.item(store.deliver_mime(ANNA, mail()))
    change = (
        '<t:SetItemField><t:FieldURI FieldURI="message:ToRecipients"/><t:Message><t:ToRecipients><t:Mailbox>'
        "<t:EmailAddress>x@y.example</t:EmailAddress></t:Mailbox></t:ToRecipients></t:Message></t:SetItemField>"
    )
    assert ask(update(item.id, item.change_key, change)).codes == ["ErrorInvalidPropertyUpdateSentMessage"]


def test_a_body_can_be_appended_to_and_an_extended_property_removed(store: SandboxStore, ask: Ask) -> None:
    item = store.item(store.deliver_mime(ANNA, mail(X_Test="yes")))
    field = (
        '<t:ExtendedFieldURI DistinguishedPropertySetId="InternetHeaders" PropertyName="X-Test" PropertyType="String"/>'
    )
    changes = (
        '<t:AppendToItemField><t:FieldURI FieldURI="item:Body"/><t:Message><t:Body BodyType="Text">More</t:Body></t:Message></t:AppendToItemField>'
        f"<t:DeleteItemField>{field}</t:DeleteItemField>"
    )
    get = (
        f"<m:GetItem><m:ItemShape><t:BaseShape>IdOnly</t:BaseShape><t:AdditionalProperties>{field}"
        f'<t:FieldURI FieldURI="item:Body"/></t:AdditionalProperties></m:ItemShape><m:ItemIds><t:ItemId Id="{item.id}"/></m:ItemIds></m:GetItem>'
    )
    assert ask(get).texts("t:Value") == ["yes"]
    assert ask(update(item.id, item.change_key, changes)).codes == ["NoError"]
    after = ask(get)
    assert after.texts("t:Value") == []
    assert after.texts("t:Body")[0].endswith("More")


def test_items_are_copied_moved_and_deleted_in_three_ways(store: SandboxStore, account: Open) -> None:
    for number in range(3):
        store.deliver_mime(ANNA, mail(str(number), number=number))
    anna = account(ANNA)
    zero, one, two = anna.inbox.all().order_by("subject")
    first_id = zero.id
    zero.copy(anna.drafts)
    assert anna.drafts.all().count() == 1
    zero.move(anna.junk)
    assert anna.junk.all().get().id == zero.id
    one.move_to_trash()
    assert anna.trash.all().get().subject == "1"
    two.soft_delete()
    assert anna.recoverable_items_deletions.all().get().subject == "2"
    anna.trash.all().get().move_to_trash()
    assert anna.recoverable_items_deletions.all().count() == 2
    for message in anna.recoverable_items_deletions.all():
        message.delete()
    assert anna.recoverable_items_deletions.all().count() == 0
    assert isinstance(next(iter(anna.fetch([(first_id, None)]))), ErrorItemNotFound)


def test_attachments_come_and_go_on_a_message_of_bytes(store: SandboxStore, account: Open) -> None:
    store.deliver_mime(ANNA, mail())
    anna = account(ANNA)
    message = anna.inbox.all().get()
    key = message.changekey
    message.attach(FileAttachment(name="late.bin", content=b"\x00\xff" * 1000))
    assert message.changekey != key
    again = anna.inbox.all().get()
    assert again.has_attachments
    assert again.attachments[0].content == b"\x00\xff" * 1000
    again.detach(again.attachments[0])
    assert anna.inbox.all().get().attachments == []


# -- appointments, contacts, tasks


def test_an_appointment_lives(account: Open, store: SandboxStore) -> None:
    anna = account(ANNA)
    CalendarItem(folder=anna.calendar, subject="Review", start=START, end=END, location="Room 1", body="Agenda").save()
    item = anna.calendar.all().get()
    assert (item.subject, item.start, item.end, item.location) == ("Review", START, END, "Room 1")
    assert (item.type, item.is_recurring, item.is_all_day, item.legacy_free_busy_status) == (
        "Single",
        False,
        False,
        "Busy",
    )
    assert item.organizer.email_address == ANNA
    assert item.uid
    item.subject, item.end = "Longer", END + timedelta(hours=1)
    item.save(update_fields=["subject", "start", "end"], send_meeting_invitations="SendToNone")
    again = anna.calendar.all().get()
    assert (again.subject, again.end, again.uid) == ("Longer", END + timedelta(hours=1), item.uid)
    day = datetime(2026, 11, 23, tzinfo=UTC)
    assert [one.subject for one in anna.calendar.view(day, day + timedelta(days=1))] == ["Longer"]
    assert list(anna.calendar.view(day + timedelta(days=1), day + timedelta(days=2))) == []
    again.delete()
    assert anna.calendar.all().count() == 0
    assert store.meeting_messages == 0


def test_attendees_are_told_only_when_the_client_says_so_and_it_is_counted(store: SandboxStore, account: Open) -> None:
    anna, ben = account(ANNA), account(BEN)
    item = CalendarItem(folder=anna.calendar, subject="Review", start=START, end=END, required_attendees=[BEN])
    item.save(send_meeting_invitations="SendToNone")
    assert (store.meeting_messages, ben.inbox.all().count()) == (0, 0)
    item.subject = "Review 2"
    item.save(update_fields=["subject"], send_meeting_invitations="SendToAllAndSaveCopy")
    request = ben.inbox.all().get()
    assert isinstance(request, MeetingRequest)
    assert (request.subject, request.start) == ("Review 2", START)
    item.delete(send_meeting_cancellations="SendToAllAndSaveCopy")
    assert isinstance(
        ben.inbox.all().order_by("-datetime_received", "-subject").filter(subject__startswith="Canceled").get(),
        MeetingCancellation,
    )
    assert store.meeting_messages == 2


def test_a_contact_lives(account: Open) -> None:
    anna = account(ANNA)
    Contact(
        folder=anna.contacts,
        display_name="Zoe Quill",
        file_as="Quill, Zoe",
        given_name="Zoe",
        surname="Quill",
        company_name="Quill & Co",
        email_addresses=[EmailAddress(label="EmailAddress1", email="zoe@quill.example")],
        phone_numbers=[PhoneNumber(label="MobilePhone", phone_number="+34 600 000 000")],
        physical_addresses=[PhysicalAddress(label="Business", street="Carrer 1", city="València")],
        birthday=date(1990, 1, 2),
    ).save()
    contact = anna.contacts.all().get()
    assert (contact.display_name, contact.company_name, contact.birthday) == (
        "Zoe Quill",
        "Quill & Co",
        date(1990, 1, 2),
    )
    assert contact.email_addresses[0].email == "zoe@quill.example"
    contact.phone_numbers = [PhoneNumber(label="BusinessPhone", phone_number="+34 900")]
    contact.physical_addresses = [PhysicalAddress(label="Business", street="Carrer 2", city="València")]
    contact.save(update_fields=["phone_numbers", "physical_addresses"])
    contact = anna.contacts.all().get()
    assert [(one.label, one.phone_number) for one in contact.phone_numbers] == [("BusinessPhone", "+34 900")]
    assert [(one.street, one.city) for one in contact.physical_addresses] == [("Carrer 2", "València")]
    contact.delete()
    assert anna.contacts.all().count() == 0


def test_a_task_lives(account: Open) -> None:
    anna = account(ANNA)
    Task(folder=anna.tasks, subject="Call", start_date=date(2026, 11, 1), due_date=date(2026, 12, 1)).save()
    task = anna.tasks.all().get()
    assert (task.subject, task.due_date, task.status, task.is_complete) == (
        "Call",
        date(2026, 12, 1),
        "NotStarted",
        False,
    )
    task.status, task.percent_complete = "Completed", Decimal(100)
    task.save(update_fields=["status", "percent_complete"])
    done = anna.tasks.all().get()
    assert (done.is_complete, done.status, done.complete_date.date()) == (True, "Completed", datetime.now(UTC).date())
    done.delete()
    assert anna.tasks.all().count() == 0


@pytest.mark.parametrize(
    ("kind", "inner", "folder", "code"),
    [
        ("CalendarItem", "<t:Subject>x</t:Subject>", "calendar", "ErrorRequiredPropertyMissing"),
        (
            "CalendarItem",
            "<t:Start>2026-01-02T00:00:00Z</t:Start><t:End>2026-01-01T00:00:00Z</t:End>",
            "calendar",
            "ErrorCalendarEndDateIsEarlierThanStartDate",
        ),
        ("Contact", "<t:Subject>x</t:Subject>", "inbox", "ErrorCannotCreateContactInNonContactFolder"),
        ("Task", "<t:Subject>x</t:Subject>", "inbox", "ErrorCannotCreateTaskInNonTaskFolder"),
        ("CalendarItem", "<t:Subject>x</t:Subject>", "inbox", "ErrorCannotCreateCalendarItemInNonCalendarFolder"),
        ("Task", "<t:Size>1</t:Size>", "tasks", "ErrorInvalidPropertySet"),
    ],
)
def test_items_that_make_no_sense_are_refused(ask: Ask, kind: str, inner: str, folder: str, code: str) -> None:
    reply = ask(
        '<m:CreateItem MessageDisposition="SaveOnly" SendMeetingInvitations="SendToNone">'
        f'<m:SavedItemFolderId><t:DistinguishedFolderId Id="{folder}"/></m:SavedItemFolderId>'
        f"<m:Items><t:{kind}>{inner}</t:{kind}></m:Items></m:CreateItem>"
    )
    assert reply.codes == [code]


def test_what_must_be_said_about_attendees_and_tasks_must_be_said(store: SandboxStore, ask: Ask) -> None:
    event = (
        "<t:CalendarItem><t:Start>2026-01-01T00:00:00Z</t:Start><t:End>2026-01-01T01:00:00Z</t:End></t:CalendarItem>"
    )
    assert ask(f"<m:CreateItem><m:Items>{event}</m:Items></m:CreateItem>").codes == [
        "ErrorSendMeetingInvitationsRequired"
    ]
    assert ask("<m:CreateItem><m:Items><t:Message/></m:Items></m:CreateItem>").codes == [
        "ErrorMessageDispositionRequired"
    ]
    made = ask(
        f'<m:CreateItem SendMeetingInvitations="SendToNone"><m:Items>{event}<t:Task><t:Subject>x</t:Subject></t:Task></m:Items></m:CreateItem>'
    )
    assert made.codes == ["NoError", "NoError"]
    ids = "".join(f'<t:ItemId Id="{one.get("Id")}"/>' for one in made.all("t:ItemId"))
    assert ask(f'<m:DeleteItem DeleteType="HardDelete"><m:ItemIds>{ids}</m:ItemIds></m:DeleteItem>').codes == [
        "ErrorSendMeetingCancellationsRequired",
        "ErrorAffectedTaskOccurrencesRequired",
    ]


# -- folders


def test_folders_are_made_renamed_moved_emptied_and_deleted(store: SandboxStore, account: Open) -> None:
    anna = account(ANNA)
    folder = Messages(parent=anna.inbox, name="Projects")
    folder.save()
    folder_id = folder.id
    with pytest.raises(ErrorFolderExists):
        Messages(parent=anna.inbox, name="projects").save()
    folder.name = "Offers"
    folder.save(update_fields=["name"])
    folder.move(anna.msg_folder_root)
    assert store.folder(ANNA, "Offers").id == folder_id
    store.deliver_mime(ANNA, mail(), folder="Offers")
    folder.empty(delete_type="MoveToDeletedItems")
    assert (folder.all().count(), anna.trash.all().count()) == (0, 1)
    folder.delete(delete_type="MoveToDeletedItems")
    assert store.folder(ANNA, "deleteditems/Offers").id == folder_id
    anna.trash.empty(delete_sub_folders=True)
    assert store.folder(ANNA, "deleteditems").below() == []
    assert anna.trash.all().count() == 0
    with pytest.raises(ErrorDeleteDistinguishedFolder):
        anna.inbox.delete()


def test_a_calendar_folder_is_one(ask: Ask, store: SandboxStore) -> None:
    reply = ask(
        '<m:CreateFolder><m:ParentFolderId><t:DistinguishedFolderId Id="calendar"/></m:ParentFolderId>'
        "<m:Folders><t:CalendarFolder><t:DisplayName>Team</t:DisplayName></t:CalendarFolder>"
        "<t:Folder><t:DisplayName> </t:DisplayName></t:Folder></m:Folders></m:CreateFolder>"
    )
    assert reply.codes == ["NoError", "ErrorFolderSave"]
    assert store.folder(ANNA, "calendar/Team").folder_class == "IPF.Appointment"


def test_names_are_resolved(server: SandboxServer, account: Open) -> None:
    protocol = account(ANNA).protocol
    assert [one.email_address for one in protocol.resolve_names(["roca"])] == [BEN]
    assert {"UTC", "Romance Standard Time"} <= {zone.id for zone in protocol.get_timezones()}


def entry(name: str, key: str, value: str = "") -> str:
    """Write an update of one entry of a contact's dictionary: set it, or without a value delete it."""
    uri = f'<t:IndexedFieldURI FieldURI="contacts:{name}" FieldIndex="{key}"/>'
    if not value:
        return f"<t:DeleteItemField>{uri}</t:DeleteItemField>"
    kind, _, line = name.partition(":")
    plural = f"{kind}{'es' if kind.endswith('s') else 's'}"
    inner = f"<t:{line}>{value}</t:{line}>" if line else value
    return f'<t:SetItemField>{uri}<t:Contact><t:{plural}><t:Entry Key="{key}">{inner}</t:Entry></t:{plural}></t:Contact></t:SetItemField>'


def test_single_entries_of_a_contact_are_set_and_deleted(store: SandboxStore, ask: Ask) -> None:
    (item_id,) = store.add_vcf(
        ANNA, b"BEGIN:VCARD\r\nVERSION:3.0\r\nFN:Zoe\r\nN:;Zoe\r\nTEL;TYPE=CELL:1\r\nEND:VCARD\r\n"
    )
    item = store.item(item_id)

    def change(*updates: str) -> list[str]:
        return ask(update(item.id, item.change_key, "".join(updates))).codes

    assert change(
        entry("PhoneNumber", "HomePhone", "2"),
        entry("PhysicalAddress:Street", "Home", "Carrer 1"),
        entry("PhysicalAddress:City", "Home", "Gandia"),
        entry("EmailAddress", "EmailAddress1", "zoe@x.example"),
    ) == ["NoError"]
    assert '<t:Entry Key="HomePhone">2</t:Entry>' in item.content.values["PhoneNumbers"]
    assert '<t:Entry Key="MobilePhone">1</t:Entry>' in item.content.values["PhoneNumbers"]
    assert "<t:Street>Carrer 1</t:Street><t:City>Gandia</t:City>" in item.content.values["PhysicalAddresses"]
    assert change(entry("PhysicalAddress:Street", "Home"), entry("PhoneNumber", "MobilePhone")) == ["NoError"]
    assert item.content.values["PhysicalAddresses"].count("<t:Entry") == 1
    assert "Street" not in item.content.values["PhysicalAddresses"]
    assert "MobilePhone" not in item.content.values["PhoneNumbers"]
    assert change(entry("PhysicalAddress:City", "Home"), entry("EmailAddress", "EmailAddress1")) == ["NoError"]
    assert item.content.values["PhysicalAddresses"] == item.content.values["EmailAddresses"] == ""


@pytest.mark.parametrize(
    ("updates", "code"),
    [
        ("", "ErrorSchemaValidation"),
        ('<t:SetItemField><t:FieldURI FieldURI="item:Colour"/><t:Message/></t:SetItemField>', "ErrorSchemaValidation"),
        ("<t:ChangeItemField/>", "ErrorSchemaValidation"),
        (
            '<t:SetItemField><t:FieldURI FieldURI="item:Subject"/><t:Message/></t:SetItemField>',
            "ErrorIncorrectUpdatePropertyCount",
        ),
        (
            '<t:AppendToItemField><t:FieldURI FieldURI="item:Subject"/><t:Message><t:Subject>x</t:Subject></t:Message></t:AppendToItemField>',
            "ErrorInvalidPropertyAppend",
        ),
        (
            '<t:DeleteItemField><t:FieldURI FieldURI="message:IsRead"/></t:DeleteItemField>',
            "ErrorInvalidPropertyDelete",
        ),
    ],
)
def test_updates_that_make_no_sense_get_their_code(store: SandboxStore, ask: Ask, updates: str, code: str) -> None:
    item = store.item(store.deliver_mime(ANNA, mail()))
    assert ask(update(item.id, item.change_key, updates), valid=False).codes == [code]


def test_a_body_can_be_deleted_and_a_draft_sent_by_an_update(store: SandboxStore, account: Open, ask: Ask) -> None:
    anna = account(ANNA)
    Message(account=anna, folder=anna.drafts, subject="x", body="text", to_recipients=[BEN]).save()
    (item,) = store.folder(ANNA, "drafts").items.values()
    sending = update(
        item.id, item.change_key, '<t:DeleteItemField><t:FieldURI FieldURI="item:Body"/></t:DeleteItemField>'
    )
    assert ask(sending.replace("SaveOnly", "SendAndSaveCopy")).codes == ["NoError"]
    assert (account(BEN).inbox.all().get().text_body or "").strip() == ""
    assert anna.sent.all().count() == 1
    (item,) = store.folder(ANNA, "sentitems").items.values()
    send = f'<m:SendItem SaveItemToFolder="true"><m:ItemIds><t:ItemId Id="{item.id}" ChangeKey="{item.change_key}"/></m:ItemIds></m:SendItem>'
    assert ask(send).codes == ["ErrorInvalidItemForOperationSendItem"]
    elsewhere = send.replace('"true"', '"false"').replace(
        "</m:SendItem>",
        '<m:SavedItemFolderId><t:DistinguishedFolderId Id="drafts"/></m:SavedItemFolderId></m:SendItem>',
    )
    assert ask(elsewhere).codes == ["ErrorInvalidSendItemSaveSettings"]


def test_a_message_can_be_saved_as_one_that_came(account: Open, ask: Ask, store: SandboxStore) -> None:
    flags = '<t:ExtendedProperty><t:ExtendedFieldURI PropertyTag="0x0E07" PropertyType="Integer"/><t:Value>1</t:Value></t:ExtendedProperty>'
    made = ask(
        '<m:CreateItem MessageDisposition="SaveOnly"><m:SavedItemFolderId><t:DistinguishedFolderId Id="inbox"/></m:SavedItemFolderId>'
        f"<m:Items><t:Message><t:Subject>Came</t:Subject>{flags}<t:IsRead>false</t:IsRead></t:Message></m:Items></m:CreateItem>"
    )
    assert made.codes == ["NoError"]
    message = account(ANNA).inbox.all().get()
    assert (message.subject, message.is_draft, message.is_read) == ("Came", False, False)
    copy = f'<m:CopyItem><m:ToFolderId><t:DistinguishedFolderId Id="drafts"/></m:ToFolderId><m:ItemIds><t:ItemId Id="{message.id}"/></m:ItemIds><m:ReturnNewItemIds>false</m:ReturnNewItemIds></m:CopyItem>'
    assert ask(copy).all("t:ItemId") == []
    assert len(store.folder(ANNA, "drafts").items) == 1


@pytest.mark.parametrize(
    ("attachment", "code"),
    [
        ("<t:ItemAttachment><t:Name>x</t:Name></t:ItemAttachment>", "ErrorMissingItemForCreateItemAttachment"),
        ("<t:FileAttachment><t:Name>x</t:Name><t:Content>%%</t:Content></t:FileAttachment>", "ErrorSchemaValidation"),
    ],
)
def test_an_attachment_needs_its_content(store: SandboxStore, ask: Ask, attachment: str, code: str) -> None:
    item_id = store.deliver_mime(ANNA, mail())
    request = f'<m:CreateAttachment><m:ParentItemId Id="{item_id}"/><m:Attachments>{attachment}</m:Attachments></m:CreateAttachment>'
    assert ask(request, valid=False).codes == [code]
