"""Pull and streaming notifications, as unmodified exchangelib gets them and as they are on the wire."""

import threading
import time
from collections.abc import Callable, Iterator

import pytest
from exchangelib import Account
from exchangelib.errors import ErrorInvalidWatermark, ErrorSubscriptionNotFound
from exchangelib.properties import (
    CreatedEvent,
    DeletedEvent,
    ModifiedEvent,
    MovedEvent,
    NewMailEvent,
    Notification,
    StatusEvent,
)
from exchangelib.services import GetEvents, GetStreamingEvents
from lxml import etree

from mailboxes.sandbox import events
from mailboxes.sandbox.events import Events
from mailboxes.sandbox.pace import Pace
from mailboxes.sandbox.server import SandboxServer
from mailboxes.sandbox.store import SandboxStore
from tests import ews_schema
from tests.mailboxes.sandbox.test_sandbox_cards_and_calendars import calendar
from tests.mailboxes.sandbox.wire import ANNA, BEN, ENVELOPE, SERVICE, Ask, mail, over_http, signed

Open = Callable[..., Account]


@pytest.fixture
def pace() -> Pace:
    """A server whose minutes last half a second."""
    return Pace(heartbeat=0.1, minute=0.5)


@pytest.fixture
def server(store: SandboxStore, pace: Pace) -> Iterator[SandboxServer]:
    with SandboxServer(store, pace=pace) as running:
        yield running


def pulled(account: Account, subscription: str, watermark: str) -> Notification:
    (found,) = GetEvents(account=account).call(subscription_id=subscription, watermark=watermark)
    return found


def kinds(notification: Notification) -> list[type]:
    return [type(one) for one in notification.events]


def test_a_pull_subscription_tells_what_happened_in_its_folders(store: SandboxStore, account: Open) -> None:
    anna = account(ANNA)
    subscription, watermark = anna.inbox.subscribe_to_pull(timeout=10)
    assert kinds(pulled(anna, subscription, watermark)) == [StatusEvent]
    item_id = store.deliver_mime(ANNA, mail())
    store.deliver_mime(BEN, mail())
    store.add_ics(ANNA, calendar("UID:1", "DTSTART:20261124T100000Z"))
    told = pulled(anna, subscription, watermark)
    assert kinds(told) == [CreatedEvent, NewMailEvent]
    assert {one.item_id.id for one in told.events} == {item_id}
    assert {one.parent_folder_id.id for one in told.events} == {anna.inbox.id}
    last = told.events[-1].watermark
    message = anna.inbox.all().get()
    message.is_read = True
    message.save(update_fields=["is_read"])
    message.move(anna.trash)
    told = pulled(anna, subscription, last)
    assert kinds(told) == [ModifiedEvent, MovedEvent]
    moved = told.events[-1]
    assert (moved.old_item_id.id, moved.item_id.id, moved.old_parent_folder_id.id) == (
        item_id,
        message.id,
        anna.inbox.id,
    )
    assert kinds(pulled(anna, subscription, watermark)) == [CreatedEvent, NewMailEvent, ModifiedEvent, MovedEvent]
    anna.inbox.unsubscribe(subscription)
    with pytest.raises(ErrorSubscriptionNotFound):
        pulled(anna, subscription, last)


def test_all_folders_are_told_of_and_only_the_kinds_asked_for(store: SandboxStore, account: Open) -> None:
    anna = account(ANNA)
    subscription, watermark = anna.subscribe_to_pull(event_types=["DeletedEvent"], timeout=1)
    (item_id,) = store.add_ics(ANNA, calendar("UID:1", "DTSTART:20261124T100000Z"))
    store.remove(store.item(item_id))
    told = pulled(anna, subscription, watermark)
    assert kinds(told) == [DeletedEvent]
    assert told.events[0].item_id.id == item_id


def test_a_stream_tells_while_it_is_open_and_ends_with_its_time(
    store: SandboxStore, server: SandboxServer, account: Open
) -> None:
    anna = account(ANNA)
    subscription = anna.inbox.subscribe_to_streaming()
    store.deliver_mime(ANNA, mail("before"))
    later: list[str] = []
    timer = threading.Timer(0.15, lambda: later.append(store.deliver_mime(ANNA, mail("during"))))
    timer.start()
    service = GetStreamingEvents(account=anna)
    told = list(service.call(subscription_ids=[subscription], connection_timeout=1))
    timer.join()
    happened = [event for one in told for event in one.events]
    assert [type(one) for one in happened if not isinstance(one, StatusEvent)] == [CreatedEvent, NewMailEvent]
    assert {one.item_id.id for one in happened if not isinstance(one, StatusEvent)} == set(later)
    assert any(isinstance(one, StatusEvent) for one in happened), "a quiet connection shows that it lives"
    assert service.connection_status == "Closed"
    assert server.requests.count("GetStreamingEvents") == 1
    assert server.pace.open == {store.mailbox(ANNA).guid: 0}


def test_one_connection_carries_the_subscriptions_of_many_mailboxes(store: SandboxStore, account: Open) -> None:
    people = [account(address, impersonate=True) for address in (ANNA, BEN)]
    ids = [one.inbox.subscribe_to_streaming() for one in people]
    timer = threading.Timer(0.1, lambda: [store.deliver_mime(address, mail()) for address in (ANNA, BEN)])
    timer.start()
    told = list(GetStreamingEvents(account=people[0]).call(subscription_ids=ids, connection_timeout=1))
    timer.join()
    assert {one.subscription_id for one in told if any(isinstance(event, NewMailEvent) for event in one.events)} == set(
        ids
    )


def test_one_bad_subscription_fails_the_whole_stream(account: Open) -> None:
    anna = account(ANNA)
    good = anna.inbox.subscribe_to_streaming()
    with pytest.raises(ErrorSubscriptionNotFound, match="not found"):
        list(GetStreamingEvents(account=anna).call(subscription_ids=[good, "lost"], connection_timeout=1))


def test_every_document_of_a_stream_is_valid(store: SandboxStore, server: SandboxServer, ask: Ask) -> None:
    ews_schema.require()
    subscribe = (
        '<m:Subscribe><m:StreamingSubscriptionRequest SubscribeToAllFolders="true"><t:EventTypes>'
        "<t:EventType>CreatedEvent</t:EventType><t:EventType>MovedEvent</t:EventType><t:EventType>FreeBusyChangedEvent</t:EventType>"
        "<t:EventType>CopiedEvent</t:EventType></t:EventTypes></m:StreamingSubscriptionRequest></m:Subscribe>"
    )
    (subscription,) = ask(subscribe).texts("m:SubscriptionId")

    def change() -> None:
        item = store.item(store.add_ics(ANNA, calendar("UID:1", "DTSTART:20261124T100000Z"))[0])
        store.copy(item, store.folder(ANNA, "deleteditems"))
        store.move(item, store.folder(ANNA, "deleteditems"))
        store.create_folder(ANNA, "inbox", "New")
        store.move_folder(store.folder(ANNA, "inbox/New"), store.folder(ANNA, "calendar"))

    timer = threading.Timer(0.1, change)
    timer.start()
    request = (
        ENVELOPE
        % (
            "",
            f"<m:GetStreamingEvents><m:SubscriptionIds><t:SubscriptionId>{subscription}</t:SubscriptionId></m:SubscriptionIds>"
            "<m:ConnectionTimeout>1</m:ConnectionTimeout></m:GetStreamingEvents>",
        )
    ).encode()
    status, headers, body = over_http(server, "POST", "/EWS/Exchange.asmx", request, **signed(ANNA))
    timer.join()
    assert (status, headers["transfer-encoding"]) == (200, "chunked")
    documents = [part + b"</s:Envelope>" for part in body.split(b"</s:Envelope>") if part]
    assert len(documents) >= 3
    assert [one for document in documents for one in ews_schema.validate(document)] == []
    names = {etree.QName(one).localname for document in documents for one in etree.fromstring(document).iter()}
    assert {"CreatedEvent", "MovedEvent", "CopiedEvent", "FreeBusyChangedEvent", "StatusEvent", "OldFolderId"} <= names


def test_a_stream_that_breaks_off_frees_its_place(store: SandboxStore, server: SandboxServer, account: Open) -> None:
    anna = account(ANNA)
    subscription = anna.inbox.subscribe_to_streaming()
    server.faults.add("reset", operation="GetStreamingEvents")
    with pytest.raises(Exception, match=r"\w"):
        list(GetStreamingEvents(account=anna).call(subscription_ids=[subscription], connection_timeout=1))
    deadline = time.monotonic() + 5
    while server.pace.open.get(store.mailbox(ANNA).guid) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert server.pace.open == {store.mailbox(ANNA).guid: 0}


def test_a_pull_subscription_nobody_asks_for_expires(store: SandboxStore, server: SandboxServer, ask: Ask) -> None:
    subscribe = (
        '<m:Subscribe><m:PullSubscriptionRequest><t:FolderIds><t:DistinguishedFolderId Id="inbox"/></t:FolderIds><t:EventTypes>'
        "<t:EventType>NewMailEvent</t:EventType></t:EventTypes><t:Timeout>1</t:Timeout></m:PullSubscriptionRequest></m:Subscribe>"
    )
    reply = ask(subscribe, of=server)
    (subscription,), (watermark,) = reply.texts("m:SubscriptionId"), reply.texts("m:Watermark")
    get = f"<m:GetEvents><m:SubscriptionId>{subscription}</m:SubscriptionId><m:Watermark>{watermark}</m:Watermark></m:GetEvents>"
    assert ask(get, of=server).codes == ["NoError"]
    assert ask(get, user=BEN, of=server).codes == ["ErrorSubscriptionAccessDenied"]
    assert ask(get, user=SERVICE, of=server).codes == ["NoError"]
    assert ask(get.replace(watermark, "AAAA"), of=server).codes == ["ErrorInvalidWatermark"]
    assert ask(get.replace(watermark, "%%"), of=server).codes == ["ErrorInvalidWatermark"]
    assert ask(get.replace(watermark, events.watermark(10**6)), of=server).codes == ["ErrorEventNotFound"]
    time.sleep(0.6)
    assert ask(get, of=server).codes == ["ErrorExpiredSubscription"]
    assert ask(get, of=server).codes == ["ErrorSubscriptionNotFound"]


def test_a_mailbox_has_so_many_subscriptions_and_no_more(account: Open, pace: Pace) -> None:
    pace.subscriptions = 2
    anna = account(ANNA)
    for _ in range(2):
        anna.inbox.subscribe_to_streaming()
    with pytest.raises(Exception, match="as many subscriptions"):
        anna.inbox.subscribe_to_streaming()
    account(BEN).inbox.subscribe_to_streaming()


def test_a_mailbox_has_so_many_open_connections_and_no_more(account: Open, pace: Pace) -> None:
    pace.connections = 0
    anna = account(ANNA)
    subscription = anna.inbox.subscribe_to_streaming()
    with pytest.raises(Exception, match="too many open connections"):
        list(GetStreamingEvents(account=anna).call(subscription_ids=[subscription], connection_timeout=1))


def test_what_happened_too_long_ago_is_forgotten() -> None:
    memory = Events()
    subscription = memory.subscribe("m", frozenset(events.KINDS), None, None)
    for number in range(events.REMEMBERED + 1):
        memory.happened("Created", 0, "m", 1, f"i{number}", "f")
    with pytest.raises(events.Forgotten):
        memory.after(0, subscription, 10)
    assert len(memory.after(1, subscription, 10)[0]) == 10
    assert memory.after(1, subscription, 10)[1]


SUBSCRIBE = "<m:Subscribe><m:{0}SubscriptionRequest{1}>{2}<t:EventTypes><t:EventType>{3}</t:EventType></t:EventTypes>{4}</m:{0}SubscriptionRequest></m:Subscribe>"
INBOX = '<t:FolderIds><t:DistinguishedFolderId Id="inbox"/></t:FolderIds>'
ALL = ' SubscribeToAllFolders="true"'


@pytest.mark.parametrize(
    ("operation", "code"),
    [
        ("<m:Subscribe/>", "ErrorSchemaValidation"),
        ("<m:Subscribe><m:ShoutSubscriptionRequest/></m:Subscribe>", "ErrorSchemaValidation"),
        ("<m:Subscribe><m:PushSubscriptionRequest/></m:Subscribe>", "ErrorInvalidSubscriptionRequest"),
        (SUBSCRIBE.format("Streaming", ALL, INBOX, "NewMailEvent", ""), "ErrorInvalidSubscriptionRequest"),
        (SUBSCRIBE.format("Streaming", "", "", "NewMailEvent", ""), "ErrorInvalidSubscriptionRequest"),
        (SUBSCRIBE.format("Streaming", ALL, "", "SunriseEvent", ""), "ErrorSchemaValidation"),
        (SUBSCRIBE.format("Pull", ALL, "", "NewMailEvent", "<t:Timeout>0</t:Timeout>"), "ErrorSchemaValidation"),
        (
            SUBSCRIBE.format("Pull", ALL, "", "NewMailEvent", "<t:Watermark>x</t:Watermark><t:Timeout>1</t:Timeout>"),
            "ErrorInvalidWatermark",
        ),
        ("<m:Unsubscribe><m:SubscriptionId>x</m:SubscriptionId></m:Unsubscribe>", "ErrorSubscriptionNotFound"),
        (
            "<m:GetStreamingEvents><m:SubscriptionIds><t:SubscriptionId>x</t:SubscriptionId></m:SubscriptionIds>"
            "<m:ConnectionTimeout>31</m:ConnectionTimeout></m:GetStreamingEvents>",
            "ErrorSchemaValidation",
        ),
    ],
)
def test_subscriptions_that_make_no_sense_are_refused(ask: Ask, operation: str, code: str) -> None:
    assert ask(operation, valid=False).codes == [code]


def test_exchangelib_tells_the_errors_by_name(account: Open) -> None:
    anna = account(ANNA)
    subscription, _ = anna.inbox.subscribe_to_pull()
    with pytest.raises(ErrorInvalidWatermark):
        pulled(anna, subscription, "none")
