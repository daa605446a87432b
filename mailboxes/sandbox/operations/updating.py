"""UpdateItem: set, append to, or delete single properties, with the conflict a stale change key means."""

from typing import Final

from lxml import etree

from mailboxes.sandbox import appointments, invitations, series, todo
from mailboxes.sandbox.contents import body_of, said
from mailboxes.sandbox.kinds import name_of
from mailboxes.sandbox.model import Content, Item
from mailboxes.sandbox.operations.caller import Caller, check_version, many_of, one_of
from mailboxes.sandbox.operations.sending import send_draft
from mailboxes.sandbox.operations.shapes import dictionary_of, extended_field
from mailboxes.sandbox.operations.writing import DISPOSITIONS, items_of
from mailboxes.sandbox.soap import EwsError, Fault, response
from mailboxes.sandbox.written import MESSAGE_KINDS, clear, complete, write
from mailboxes.sandbox.xmltext import M, T, children, fragment, local_name, parse_fragment

_RESOLUTIONS: Final = ("NeverOverwrite", "AutoResolve", "AlwaysOverwrite")
_LISTS: Final = frozenset(
    (*appointments.ATTENDEES, "ToRecipients", "CcRecipients", "BccRecipients", "ReplyTo", "Members")
)
# Of a message that has come or gone these are facts.
_FIXED_WHEN_SENT: Final = frozenset(
    ("From", "Sender", "ToRecipients", "CcRecipients", "BccRecipients", "InternetMessageId")
)


def update_item(caller: Caller, element: etree._Element) -> bytes:
    """Answer UpdateItem: one message per item; an item is changed by all of its updates or by none."""
    resolution = element.get("ConflictResolution", "")
    if resolution not in _RESOLUTIONS:
        raise Fault("ErrorSchemaValidation", f"The request failed schema validation: no resolution {resolution!r}.")
    target = one_of(element, "SavedItemFolderId") if element.find(f"{M}SavedItemFolderId") is not None else None

    def answer(change: etree._Element) -> str:
        parts = children(change)
        if len(parts) < 2 or local_name(parts[1]) != "Updates" or not len(parts[1]):
            raise Fault(
                "ErrorSchemaValidation", "The request failed schema validation: a change needs an id and updates."
            )
        item = caller.item(parts[0])
        updates = children(parts[1])
        names = {_name(update) for update in updates}
        if resolution != "AlwaysOverwrite":
            check_version(item, parts[0].get("ChangeKey", ""), strict=resolution == "NeverOverwrite", names=names)
        disposition = _disposition(item, element)
        before = invitations.invited(item.content)
        _apply(caller, item, updates, names)
        if item.content.kind == "CalendarItem":
            sending = element.get("SendMeetingInvitationsOrCancellations", "SendToNone")
            invitations.update(caller.store, item, before, names, sending)
        inner = items_of([todo.moves_on(caller.store, item) if item.content.kind == "Task" else item])
        if disposition in ("SendOnly", "SendAndSaveCopy"):
            folder = caller.folder(target) if target is not None else item.folder.mailbox.distinguished["sentitems"]
            send_draft(caller, item, folder if disposition == "SendAndSaveCopy" else None)
        return f"{inner}<m:ConflictResults><t:Count>0</t:Count></m:ConflictResults>"

    return response("UpdateItem", caller.each("UpdateItem", many_of(element, "ItemChanges"), answer, "<m:Items/>"))


def _disposition(item: Item, element: etree._Element) -> str:
    disposition = element.get("MessageDisposition", "")
    if item.content.kind in MESSAGE_KINDS and disposition not in DISPOSITIONS:
        raise EwsError("ErrorMessageDispositionRequired", "A message needs a MessageDisposition.")
    sending = element.get("SendMeetingInvitationsOrCancellations")
    if sending is not None and sending not in invitations.SENDING_UPDATES:
        raise Fault("ErrorSchemaValidation", f"The request failed schema validation: nobody is told by {sending!r}.")
    if item.content.kind == "CalendarItem" and sending is None:
        raise EwsError(
            "ErrorSendMeetingInvitationsOrCancellationsRequired",
            "SendMeetingInvitationsOrCancellations is required for a calendar item.",
        )
    return disposition if item.content.kind in MESSAGE_KINDS else ""


def _name(update: etree._Element) -> str:
    """Return the property an update is about, as conflicts are told by it. Raises Fault."""
    parts = children(update)
    if not parts or local_name(update) not in ("SetItemField", "AppendToItemField", "DeleteItemField"):
        raise Fault("ErrorSchemaValidation", "The request failed schema validation: no such update.")
    uri, text = parts[0], parts[0].get("FieldURI", "")
    if local_name(uri) == "ExtendedFieldURI":
        return extended_field(uri).name
    name = dictionary_of(text) if local_name(uri) == "IndexedFieldURI" else name_of(text)
    if name is None:
        raise Fault("ErrorSchemaValidation", f"The request failed schema validation: no field {text!r}.")
    return name


def _apply(caller: Caller, item: Item, updates: list[etree._Element], names: set[str]) -> None:
    if not item.is_draft and item.content.kind in MESSAGE_KINDS and names & _FIXED_WHEN_SENT:
        raise EwsError(
            "ErrorInvalidPropertyUpdateSentMessage", "The property cannot be changed on a message that was sent."
        )
    # On a copy, so that the second of two updates can fail without leaving the first behind.
    trial = item.content.copy()
    for update in updates:
        _one(trial, update, _zone(caller, updates))
    marked_read = trial.values.pop("IsRead", "")
    if item.is_draft or item.content.kind not in MESSAGE_KINDS:  # what came stays as it came
        complete(trial, item.folder.mailbox, int(caller.store.clock()), names)
    if item.master is not None:
        series.alter(item, trial, names)
    elif names & appointments.PATTERN:
        # The old exceptions belong to the old pattern.
        trial.altered, trial.cancelled = {}, set()
    item.content = trial
    if marked_read:
        item.is_read = "true" in marked_read
    caller.store.touch(item, only_read_flag=names == {"IsRead"})
    item.written |= dict.fromkeys(names, item.version)
    if item.master is not None:
        item.master.written |= {f"#{item.original}#{name}": item.version for name in names}


def _zone(caller: Caller, updates: list[etree._Element]) -> str:
    """Return the zone the times of an update are in: the one that is set with them, else the request's."""
    for update in updates:
        found = update.find(f"{T}CalendarItem/{T}StartTimeZone")
        if found is not None:
            trial = Content("CalendarItem")
            write(trial, found)
            return trial.values["StartTimeZone"]
    return caller.zone


def _one(content: Content, update: etree._Element, zone: str) -> None:
    uri, *rest = children(update)
    kind, action, name = local_name(uri), local_name(update), _name(update)
    if action == "DeleteItemField":
        if kind == "ExtendedFieldURI":
            # An empty value hides a header of the message's own bytes as well.
            content.extended[name] = ""
        elif kind == "IndexedFieldURI":
            _set_entry(content, uri, name, None)
        else:
            clear(content, name)
        return
    values = children(rest[0]) if len(rest) == 1 else []
    if len(values) != 1:
        raise EwsError("ErrorIncorrectUpdatePropertyCount", "An update needs exactly one property.")
    if action == "AppendToItemField":
        _append(content, name, values[0])
    elif kind == "IndexedFieldURI":
        _set_entry(content, uri, name, values[0])
    elif write(content, values[0], zone) != name:
        raise EwsError("ErrorUpdatePropertyMismatch", "The update's field and its value are of different properties.")


def _append(content: Content, name: str, value: etree._Element) -> None:
    if name == "Body":
        kind, body = body_of(content, "Best")
        content.body = (kind, body + (value.text or ""))
    elif name in _LISTS:
        kept = said(content, name)
        inner = "".join(map(fragment, [*(parse_fragment(kept) if kept else []), *children(value)]))
        content.values[name] = f"<t:{name}>{inner}</t:{name}>" if inner else ""
    else:
        raise EwsError("ErrorInvalidPropertyAppend", f"Nothing can be appended to {name}.")


def _set_entry(content: Content, uri: etree._Element, name: str, value: etree._Element | None) -> None:
    """Set or (None) remove one entry of a dictionary such as PhoneNumbers, or one line of a postal address."""
    key, line = uri.get("FieldIndex", ""), uri.get("FieldURI", "").rpartition(":")[2]
    kept = said(content, name)
    entries = {one.get("Key", ""): one for one in (parse_fragment(kept) if kept else [])}
    given = value.find(f"{T}Member" if name == "Members" else f"{T}Entry") if value is not None else None
    if name != "PhysicalAddresses":
        entries.pop(key, None)
        if given is not None:
            entries[key] = given
    else:
        lines = {local_name(one): one.text or "" for one in entries.pop(key, [])}
        lines.pop(line, None)
        if given is not None:
            lines[line] = given.findtext(f"{T}{line}") or ""
        entry = etree.Element(f"{T}Entry", Key=key)
        for part in ("Street", "City", "State", "CountryOrRegion", "PostalCode"):
            if lines.get(part):
                etree.SubElement(entry, f"{T}{part}").text = lines[part]
        if len(entry):
            entries[key] = entry
    inner = "".join(map(fragment, entries.values()))
    content.values[name] = f"<t:{name}>{inner}</t:{name}>" if inner else ""
