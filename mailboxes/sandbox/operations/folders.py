"""GetFolder, FindFolder, and everything that makes, changes, moves, empties or ends folders."""

from collections.abc import Callable
from typing import TypeVar

from lxml import etree

from mailboxes.sandbox.extended import BadExtendedField, read_property
from mailboxes.sandbox.model import Folder
from mailboxes.sandbox.names import MAIL
from mailboxes.sandbox.operations.caller import Caller, many_of, one_of
from mailboxes.sandbox.operations.folder_shapes import element_of, folder_name_of, folder_shape, folder_text, identifier
from mailboxes.sandbox.operations.paging import page_of
from mailboxes.sandbox.operations.restrictions import Test, restriction
from mailboxes.sandbox.operations.shapes import extended_field
from mailboxes.sandbox.soap import EwsError, Fault, response
from mailboxes.sandbox.store import SandboxError
from mailboxes.sandbox.xmltext import M, T, children, local_name

R = TypeVar("R")

_CLASSES = {"CalendarFolder": "IPF.Appointment", "ContactsFolder": "IPF.Contact", "TasksFolder": "IPF.Task"}


def get_folder(caller: Caller, element: etree._Element) -> bytes:
    """Answer GetFolder: one message per id, in order."""
    shape = folder_shape(element.find(f"{M}FolderShape"), counters=caller.store.change_counters)

    def answer(target: etree._Element) -> str:
        return f"<m:Folders>{shape.folder(caller.folder(target))}</m:Folders>"

    return response("GetFolder", caller.each("GetFolder", many_of(element, "FolderIds"), answer, "<m:Folders/>"))


def find_folder(caller: Caller, element: etree._Element) -> bytes:
    """Answer FindFolder (Shallow or Deep), one message per parent folder."""
    shape = folder_shape(element.find(f"{M}FolderShape"), counters=caller.store.change_counters)
    wanted = restriction(element.find(f"{M}Restriction"))
    view = element.find(f"{M}IndexedPageFolderView")
    traversal = element.get("Traversal", "Shallow")

    def answer(target: etree._Element) -> str:
        parent = caller.folder(target)
        below = {"Deep": parent.deep, "Shallow": parent.below}.get(traversal, list)()
        found = [folder for folder in below if _matches(folder, wanted)]
        page = page_of(found, view)
        inner = "".join([shape.folder(folder) for folder in page.members])
        return f"<m:RootFolder{page.attributes}><t:Folders>{inner}</t:Folders></m:RootFolder>"

    return response("FindFolder", caller.each("FindFolder", many_of(element, "ParentFolderIds"), answer))


def _matches(folder: Folder, wanted: Test | None) -> bool:
    def values_of(uri: etree._Element) -> list[str]:
        if local_name(uri) == "ExtendedFieldURI":
            kept = folder.extended.get(extended_field(uri).name, "")
            return [kept] if kept else []
        text = folder_text(folder, folder_name_of(uri.get("FieldURI", "")))
        return [text] if text else []

    return wanted is None or wanted(values_of)


def create_folder(caller: Caller, element: etree._Element) -> bytes:
    """Answer CreateFolder: one message per folder."""
    parent_id = one_of(element, "ParentFolderId")

    def answer(wanted: etree._Element) -> str:
        parent = caller.folder(parent_id)
        default = _CLASSES.get(local_name(wanted), MAIL)
        folder_class = wanted.findtext(f"{T}FolderClass") or default
        name = wanted.findtext(f"{T}DisplayName") or ""
        folder = _said(lambda: caller.store.add_folder(parent, name, folder_class))
        for extended in wanted.iterfind(f"{T}ExtendedProperty"):
            _set_extended(folder, extended)
        return _ids(folder)

    return response("CreateFolder", caller.each("CreateFolder", many_of(element, "Folders"), answer, "<m:Folders/>"))


def update_folder(caller: Caller, element: etree._Element) -> bytes:
    """Answer UpdateFolder: name, class and extended properties; one message per folder."""

    def answer(change: etree._Element) -> str:
        target = next(iter(children(change)), None)
        updates = change.find(f"{T}Updates")
        if target is None or updates is None:
            raise Fault(
                "ErrorSchemaValidation", "The request failed schema validation: a change needs an id and updates."
            )
        folder = caller.folder(target)
        for update in children(updates):
            _update(caller, folder, update)
        caller.store.folder_changed(folder)
        return _ids(folder)

    return response(
        "UpdateFolder", caller.each("UpdateFolder", many_of(element, "FolderChanges"), answer, "<m:Folders/>")
    )


def _update(caller: Caller, folder: Folder, update: etree._Element) -> None:
    parts = children(update)
    uri = parts[0] if parts else None
    if uri is None:
        raise Fault("ErrorSchemaValidation", "The request failed schema validation: an update needs a field.")
    if local_name(uri) == "ExtendedFieldURI":
        folder.extended.pop(extended_field(uri).name, None)
        if len(parts) > 1:
            for extended in parts[1].iterfind(f"{T}ExtendedProperty"):
                _set_extended(folder, extended)
        return
    name = folder_name_of(uri.get("FieldURI", ""))
    text = (parts[1].findtext(f"{T}{name}") or "") if len(parts) > 1 else ""
    if name == "DisplayName":
        _said(lambda: caller.store.rename_folder(folder, text))
    elif name == "FolderClass" and text:
        folder.folder_class = text
    else:
        raise EwsError("ErrorInvalidPropertySet", "Set action is invalid for property.")


def move_folder(caller: Caller, element: etree._Element) -> bytes:
    """Answer MoveFolder: ids stay; one message per folder."""
    to = one_of(element, "ToFolderId")

    def answer(target: etree._Element) -> str:
        folder, parent = caller.folder(target), caller.folder(to)
        if folder.distinguished:
            raise EwsError("ErrorMoveDistinguishedFolder", "Distinguished folders cannot be moved.")
        _said(lambda: caller.store.move_folder(folder, parent))
        return _ids(folder)

    return response("MoveFolder", caller.each("MoveFolder", many_of(element, "FolderIds"), answer, "<m:Folders/>"))


def delete_folder(caller: Caller, element: etree._Element) -> bytes:
    """Answer DeleteFolder: for good, or into Deleted Items under a name that is free there."""
    kind = delete_type(element)

    def answer(target: etree._Element) -> str:
        folder = caller.folder(target)
        if folder.distinguished:
            raise EwsError("ErrorDeleteDistinguishedFolder", "Distinguished folders cannot be deleted.")
        bin_folder = folder.mailbox.distinguished["deleteditems"]
        if kind != "MoveToDeletedItems" or folder.is_within(bin_folder):
            caller.store.remove_folder(folder)
            return ""
        taken = {child.name.lower() for child in bin_folder.below()}
        name, count = folder.name, 1
        while name.lower() in taken:
            name, count = f"{folder.name}{count}", count + 1
        folder.name = name
        _said(lambda: caller.store.move_folder(folder, bin_folder))
        return ""

    return response("DeleteFolder", caller.each("DeleteFolder", many_of(element, "FolderIds"), answer))


def empty_folder(caller: Caller, element: etree._Element) -> bytes:
    """Answer EmptyFolder: its items, and with DeleteSubFolders what lies below, go."""
    kind = delete_type(element)
    deep = element.get("DeleteSubFolders") in ("true", "1")

    def answer(target: etree._Element) -> str:
        folder = caller.folder(target)
        bin_folder = folder.mailbox.distinguished["deleteditems"]
        for item in list(folder.items.values()):
            if kind == "MoveToDeletedItems" and not folder.is_within(bin_folder):
                caller.store.move(item, bin_folder)
            else:
                caller.store.remove(item)
        if deep:
            for child in folder.below():
                if not child.distinguished:
                    caller.store.remove_folder(child)
        return ""

    return response("EmptyFolder", caller.each("EmptyFolder", many_of(element, "FolderIds"), answer))


def delete_type(element: etree._Element) -> str:
    """Return how to delete. Raises Fault for a way there is not."""
    kind = element.get("DeleteType", "")
    if kind not in ("HardDelete", "SoftDelete", "MoveToDeletedItems"):
        raise Fault("ErrorSchemaValidation", f"The request failed schema validation: no delete type {kind!r}.")
    return kind


def _said(action: Callable[[], R]) -> R:
    """Do it, and tell the store's objection in the protocol's words."""
    try:
        return action()
    except SandboxError as error:
        code = "ErrorFolderExists" if "already" in str(error) else "ErrorFolderSave"
        raise EwsError(code, f"{error}.") from error


def _set_extended(folder: Folder, element: etree._Element) -> None:
    try:
        field, kept = read_property(element)
    except BadExtendedField as error:
        raise Fault("ErrorInvalidExtendedProperty", f"The extended property is invalid: {error}.") from error
    folder.extended[field.name] = kept


def _ids(folder: Folder) -> str:
    element = element_of(folder)
    return f"<m:Folders><t:{element}>{identifier(folder)}</t:{element}></m:Folders>"
