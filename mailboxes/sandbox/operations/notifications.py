"""Subscribe, Unsubscribe, GetEvents, GetStreamingEvents: being told instead of asking.

A pull subscription is asked with a watermark and forgets nothing within its memory. A streaming one
tells what happens while a connection is open, as one document after the other on one answer; what
happens between two connections is not told, so clients look for changes after each.
"""

import time
from collections.abc import Iterator
from typing import Final

from lxml import etree

from mailboxes.sandbox import events
from mailboxes.sandbox.events import Event, Events, Subscription
from mailboxes.sandbox.model import Mailbox
from mailboxes.sandbox.operations.caller import Caller, many_of, needed, number_of
from mailboxes.sandbox.pace import Pace
from mailboxes.sandbox.soap import EwsError, Fault, failure, response, success
from mailboxes.sandbox.xmltext import M, T, children, leaf, local_name, moment, raw_leaf

MOST_EVENTS: Final = 500
MOST_IDS: Final = 200
_LONGEST_PULL: Final = 1440
_LONGEST_STREAM: Final = 30


def subscribe(caller: Caller, element: etree._Element) -> bytes:
    """Answer Subscribe for pull and streaming; push would have this server call others, which it never does."""

    def answer(wanted: etree._Element) -> str:
        kind = local_name(wanted)
        if kind == "PushSubscriptionRequest":
            raise EwsError("ErrorInvalidSubscriptionRequest", "This server sends no push notifications.")
        if kind not in ("PullSubscriptionRequest", "StreamingSubscriptionRequest"):
            raise Fault("ErrorSchemaValidation", f"The request failed schema validation: unexpected {kind}.")
        kinds = _kinds(wanted)
        mailbox, folders = _folders(caller, wanted)
        known = caller.store.events
        if known.count(mailbox.guid) >= caller.pace.subscriptions:
            raise EwsError("ErrorExceededSubscriptionCount", "The mailbox has as many subscriptions as it may have.")
        if kind == "StreamingSubscriptionRequest":
            made = known.subscribe(mailbox.guid, kinds, folders, None)
            return f"<m:SubscriptionId>{made.id}</m:SubscriptionId>"
        minutes = number_of(wanted.find(f"{T}Timeout"), "", 0)
        if not 1 <= minutes <= _LONGEST_PULL:
            raise Fault("ErrorSchemaValidation", "The request failed schema validation: Timeout is 1 to 1440.")
        given = wanted.findtext(f"{T}Watermark") or wanted.findtext(f"{M}Watermark")
        place = _place(given) if given else known.last
        made = known.subscribe(mailbox.guid, kinds, folders, minutes * caller.pace.minute)
        return f"<m:SubscriptionId>{made.id}</m:SubscriptionId><m:Watermark>{events.watermark(place)}</m:Watermark>"

    requests = children(element)
    if len(requests) != 1:
        raise Fault("ErrorSchemaValidation", "The request failed schema validation: one subscription is needed.")
    return response("Subscribe", caller.each("Subscribe", requests, answer))


def _kinds(wanted: etree._Element) -> frozenset[str]:
    named = frozenset((one.text or "").strip().removesuffix("Event") for one in wanted.iterfind(f"{T}EventTypes/*"))
    if not named or named - set(events.KINDS):
        raise Fault("ErrorSchemaValidation", "The request failed schema validation: no such event.")
    return named


def _folders(caller: Caller, wanted: etree._Element) -> tuple[Mailbox, frozenset[int] | None]:
    named = [caller.folder(one) for one in wanted.iterfind(f"{T}FolderIds/*")]
    if wanted.get("SubscribeToAllFolders", "").lower() in ("true", "1"):
        if named:
            raise EwsError("ErrorInvalidSubscriptionRequest", "All folders and some folders cannot both be meant.")
        return caller.acting, None
    if not named or len({one.mailbox.guid for one in named}) != 1:
        raise EwsError("ErrorInvalidSubscriptionRequest", "A subscription needs folders of one mailbox.")
    return named[0].mailbox, frozenset(one.number for one in named)


def unsubscribe(caller: Caller, element: etree._Element) -> bytes:
    """Answer Unsubscribe."""

    def answer(wanted: etree._Element) -> str:
        found = _subscription(caller, (needed(wanted, "SubscriptionId").text or "").strip())
        caller.store.events.end(found.id)
        return ""

    return response("Unsubscribe", caller.each("Unsubscribe", [element], answer))


def get_events(caller: Caller, element: etree._Element) -> bytes:
    """Answer GetEvents: what happened after a watermark, at most 500 at once; a status event if nothing did."""

    def answer(wanted: etree._Element) -> str:
        found = _subscription(caller, (needed(wanted, "SubscriptionId").text or "").strip())
        if found.lifetime is None:
            raise EwsError("ErrorInvalidSubscription", "The subscription is of another kind.")
        before = wanted.findtext(f"{M}Watermark") or ""
        place = _place(before)
        try:
            happened, more = caller.store.events.after(place, found, MOST_EVENTS)
        except events.Forgotten as error:
            raise EwsError("ErrorEventNotFound", f"The event was not found: {error}.") from error
        inner = "".join(_event(one, marked=True) for one in happened) or _status(caller.store.events.last)
        return (
            f"<m:Notification>{raw_leaf('SubscriptionId', found.id)}{leaf('PreviousWatermark', before.strip())}"
            f"{raw_leaf('MoreEvents', 'true' if more else 'false')}{inner}</m:Notification>"
        )

    return response("GetEvents", caller.each("GetEvents", [element], answer))


def _place(text: str) -> int:
    try:
        return events.place_of(text)
    except events.BadWatermark as error:
        raise EwsError("ErrorInvalidWatermark", f"The watermark is invalid: {error}.") from error


def _subscription(caller: Caller, subscription_id: str) -> Subscription:
    known = caller.store.events
    was = known.subscriptions.get(subscription_id)
    found = known.alive(subscription_id)
    if found is None and was is not None:
        raise EwsError("ErrorExpiredSubscription", "The subscription has expired.")
    owner = caller.store.by_guid.get(found.mailbox) if found else None
    if found is None or owner is None:
        raise EwsError("ErrorSubscriptionNotFound", "The subscription was not found.")
    if caller.login is not None and caller.login.impersonator:
        return found  # one connection may carry the subscriptions of many mailboxes
    try:
        caller.open(owner)
    except EwsError as error:
        raise EwsError("ErrorSubscriptionAccessDenied", "Access to the subscription is denied.") from error
    return found


# -- streaming


def get_streaming_events(caller: Caller, element: etree._Element) -> Iterator[bytes]:
    """Answer GetStreamingEvents: one document per piece, until the connection's time is over.

    A subscription that is not there fails the whole call.
    """
    operation = "GetStreamingEvents"
    minutes = number_of(element.find(f"{M}ConnectionTimeout"), "", 0)
    if not 1 <= minutes <= _LONGEST_STREAM:
        raise Fault("ErrorSchemaValidation", "The request failed schema validation: ConnectionTimeout is 1 to 30.")
    wanted = [(one.text or "").strip() for one in many_of(element, "SubscriptionIds")]
    bad, found = [], []
    failed: EwsError | None = None
    for one in wanted[:MOST_IDS]:
        try:
            found.append(_subscription(caller, one))
        except EwsError as error:
            failed = failed or error
            bad.append(one)
    scripted = caller.fault(0, "")
    if len(wanted) > MOST_IDS:
        failed = EwsError("ErrorExceededSubscriptionCount", f"A connection takes {MOST_IDS} subscriptions.")
    elif caller.pace.open.get(caller.acting.guid, 0) >= caller.pace.connections:
        failed = failed or EwsError("ErrorExceededConnectionCount", "There are too many open connections.")
    if failed or scripted:
        ids = "".join(leaf("SubscriptionId", one) for one in bad)
        told = f"<m:ErrorSubscriptionIds>{ids}</m:ErrorSubscriptionIds>" if bad else ""
        closed = "<m:ConnectionStatus>Closed</m:ConnectionStatus>"
        return iter([response(operation, [failure(operation, scripted or failed or EwsError("", ""), told + closed)])])
    return _stream(caller.store.events, found, caller.pace, caller.acting.guid, minutes * caller.pace.minute)


def _stream(known: Events, wanted: list[Subscription], pace: Pace, guid: str, seconds: float) -> Iterator[bytes]:
    ends, place = time.monotonic() + seconds, known.last
    pace.open[guid] = pace.open.get(guid, 0) + 1
    try:
        yield _piece("", "OK")
        while not pace.stopped and (left := ends - time.monotonic()) > 0:
            known.wait(place, min(left, pace.heartbeat), lambda: pace.stopped)
            upto = known.last
            told = ""
            for one in wanted:
                told += _told(known, one, place, upto)
            if not told and upto == place and ends - time.monotonic() > 0:
                told = "".join(_notification(one, _status(0)) for one in wanted)
            place = upto
            if told:
                yield _piece(told, "OK")
        yield _piece("", "Closed")
    finally:
        pace.open[guid] -= 1


def _told(known: Events, subscription: Subscription, place: int, upto: int) -> str:
    if known.alive(subscription.id) is None:
        return ""
    try:
        happened, _ = known.after(place, subscription, events.REMEMBERED)
    except events.Forgotten:
        return ""
    inner = "".join(_event(one, marked=False) for one in happened if one.number <= upto)
    return _notification(subscription, inner) if inner else ""


def _piece(notifications: str, status: str) -> bytes:
    inner = f"<m:Notifications>{notifications}</m:Notifications>" if notifications else ""
    told = f"{inner}<m:ConnectionStatus>{status}</m:ConnectionStatus>"
    return response("GetStreamingEvents", [success("GetStreamingEvents", told)])


def _notification(subscription: Subscription, inner: str) -> str:
    return f"<t:Notification>{raw_leaf('SubscriptionId', subscription.id)}{inner}</t:Notification>"


def _status(number: int) -> str:
    return f"<t:StatusEvent>{leaf('Watermark', events.watermark(number)) if number else ''}</t:StatusEvent>"


def _event(event: Event, *, marked: bool) -> str:
    inner = leaf("Watermark", events.watermark(event.number)) if marked else ""
    name = "FolderId" if event.is_folder else "ItemId"
    inner += moment("TimeStamp", event.at) + f'<t:{name} Id="{event.id}"/><t:ParentFolderId Id="{event.parent}"/>'
    if event.kind in ("Moved", "Copied"):
        inner += f'<t:Old{name} Id="{event.old_id}"/><t:OldParentFolderId Id="{event.old_parent}"/>'
    return f"<t:{event.kind}Event>{inner}</t:{event.kind}Event>"
