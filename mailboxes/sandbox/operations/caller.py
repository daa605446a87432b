"""Who asks, what they may open, and how ids in a request become folders and items."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from lxml import etree

from mailboxes.sandbox import series
from mailboxes.sandbox.ids import Identity, MalformedId, decode_change_key, decode_id
from mailboxes.sandbox.model import Folder, Item, Mailbox
from mailboxes.sandbox.pace import Pace
from mailboxes.sandbox.soap import EwsError, Fault, failure, success
from mailboxes.sandbox.store import SandboxStore
from mailboxes.sandbox.xmltext import M, T, children, local_name


def no_fault(_index: int, _item_id: str) -> EwsError | None:
    """Fail nothing: the faults of a request for which none was scripted."""
    return None


def _unlimited() -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Caller:
    """One request's view of the store: the mailbox whose rights count, and the faults scripted for it.

    `fault(index, id)` returns the error that the index-th target of the request must fail with, or None.
    `zone` is the request's own time zone, a kept definition; "" is UTC. `login` is who signed in, if that
    is not whom the request acts as. With `repeat` a page of changes has so many at most, the last once more.
    `may_send` counts a message that is to leave and says whether it may.
    """

    store: SandboxStore
    acting: Mailbox
    fault: Callable[[int, str], EwsError | None] = no_fault
    zone: str = ""
    pace: Pace = field(default_factory=Pace)
    login: Mailbox | None = None
    repeat: int = 0
    may_send: Callable[[], bool] = _unlimited

    def open(self, mailbox: Mailbox) -> Mailbox:
        """Return `mailbox` if the caller may use it. Raises EwsError."""
        acting = self.acting
        if mailbox is acting or acting.impersonator or acting.address.lower() in mailbox.delegates:
            return mailbox
        raise EwsError("ErrorAccessDenied", "Access is denied. Check credentials and try again.")

    def mailbox(self, address: str) -> Mailbox:
        """Return the mailbox of an address, opened. Raises EwsError."""
        if not self.store.has_mailbox(address):
            raise EwsError("ErrorNonExistentMailbox", "The SMTP address has no mailbox associated with it.")
        return self.open(self.store.mailbox(address))

    def folder(self, element: etree._Element) -> Folder:
        """Return the folder of a t:FolderId or t:DistinguishedFolderId. Raises EwsError."""
        name = element.get("Id", "")
        if local_name(element) == "DistinguishedFolderId":
            address = element.findtext(f"{T}Mailbox/{T}EmailAddress")
            mailbox = self.mailbox(address) if address else self.acting
            found = mailbox.distinguished.get(name)
            if found is None:
                raise EwsError("ErrorFolderNotFound", "The specified folder could not be found in the store.")
            return found
        identity = _identity(name, "F")
        owner = self._owner(identity)
        found = owner.folders.get(identity.number) if owner else None
        if found is None:
            raise EwsError("ErrorFolderNotFound", "The specified folder could not be found in the store.")
        return found

    def item(self, element: etree._Element) -> Item:
        """Return the item of a t:ItemId, t:OccurrenceItemId or t:RecurringMasterItemId. Raises EwsError."""
        kind = local_name(element)
        if kind == "OccurrenceItemId":
            master = self.item_by_id(element.get("RecurringMasterId", ""))
            if master.master is not None:
                raise EwsError("ErrorCalendarCannotUseIdForRecurringMasterId", "The Id is an occurrence's.")
            return series.occurrence_at(master, number_of(element, "InstanceIndex", 0))
        if kind == "RecurringMasterItemId":
            one = self.item_by_id(element.get("OccurrenceId", ""))
            if one.master is None:
                raise EwsError("ErrorCalendarCannotUseIdForOccurrenceId", "The Id is no occurrence's.")
            return one.master
        return self.item_by_id(element.get("Id", ""))

    def item_by_id(self, item_id: str) -> Item:
        """Return the item of an id. Raises EwsError."""
        identity = _identity(item_id, "I")
        owner = self._owner(identity)
        found = owner.item(identity.number) if owner else None
        if found is None:
            raise EwsError("ErrorItemNotFound", "The specified object was not found in the store.")
        return series.occurrence(found, identity.original) if identity.kind == "O" else found

    def _owner(self, identity: Identity) -> Mailbox | None:
        owner = self.store.by_guid.get(identity.guid)
        return self.open(owner) if owner is not None else None

    def each(
        self, operation: str, targets: list[etree._Element], answer: Callable[[etree._Element], str], empty: str = ""
    ) -> list[str]:
        """Answer target by target: what fails one of them leaves the others alone.

        `answer` returns the inside of a response message; `empty` is what an error's message has instead.
        """
        messages = []
        for index, target in enumerate(targets):
            try:
                scripted = self.fault(index, target.get("Id", ""))
                if scripted is not None:
                    raise scripted
                messages.append(success(operation, answer(target)))
            except Fault:
                raise
            except EwsError as error:
                messages.append(failure(operation, error, empty))
        return messages


def _identity(text: str, kind: str) -> Identity:
    if not text:
        raise EwsError("ErrorInvalidIdEmpty", "The Id is invalid: it is empty.")
    try:
        identity = decode_id(text)
    except MalformedId as error:
        raise EwsError("ErrorInvalidIdMalformed", f"Id is malformed: {error}.") from error
    if identity.kind != kind and (identity.kind, kind) != ("O", "I"):
        expected = "an item" if kind == "I" else "a folder"
        raise EwsError(
            "ErrorCannotUseItemIdForFolderId" if kind == "F" else "ErrorCannotUseFolderIdForItemId",
            f"The Id is not the Id of {expected}.",
        )
    return identity


def check_version(item: Item, change_key: str, *, strict: bool, names: Iterable[str] = ()) -> None:
    """Raise EwsError if the client's change key is missing, none, or stale.

    When not `strict`, a stale one is a conflict only if one of the properties `names` was written since.
    """
    if not change_key:
        raise EwsError("ErrorChangeKeyRequiredForWriteOperations", "A change key is required for this operation.")
    try:
        version = decode_change_key(change_key, item.folder.mailbox.guid)
    except MalformedId as error:
        raise EwsError("ErrorInvalidChangeKey", f"The change key is invalid: {error}.") from error
    if version < item.version and (strict or any(item.written.get(name, 0) > version for name in names)):
        raise EwsError(
            "ErrorIrresolvableConflict",
            "The send or update operation could not be performed because the change key passed in the request does not match the current change key for the item.",
        )


def needed(element: etree._Element, name: str) -> etree._Element:
    """Return a child of the messages namespace. Raises Fault if it is missing."""
    found = element.find(f"{M}{name}")
    if found is None:
        raise Fault("ErrorSchemaValidation", f"The request failed schema validation: {name} is missing.")
    return found


def one_of(element: etree._Element, name: str) -> etree._Element:
    """Return the only child of a wrapper such as ParentFolderId. Raises Fault if there is not exactly one."""
    found = children(needed(element, name))
    if len(found) != 1:
        raise Fault("ErrorSchemaValidation", f"The request failed schema validation: {name} needs one element.")
    return found[0]


def many_of(element: etree._Element, name: str) -> list[etree._Element]:
    """Return the children of a wrapper such as ItemIds. Raises Fault if there is none."""
    found = children(needed(element, name))
    if not found:
        raise Fault("ErrorSchemaValidation", f"The request failed schema validation: {name} is empty.")
    return found


def number_of(element: etree._Element | None, attribute: str, default: int) -> int:
    """Return a whole number from an attribute ("" for the text). Raises Fault if it is none."""
    text = default if element is None else (element.get(attribute) if attribute else element.text)
    try:
        return default if text is None else int(text)
    except ValueError:
        raise Fault("ErrorSchemaValidation", f"The request failed schema validation: {text!r} is no number.") from None
