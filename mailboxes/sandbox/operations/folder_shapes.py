"""Folders as clients see them, change counters included."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from lxml import etree

from mailboxes.sandbox.extended import ExtendedField, value
from mailboxes.sandbox.kinds import words
from mailboxes.sandbox.model import Folder
from mailboxes.sandbox.operations.shapes import base_of, extended_field
from mailboxes.sandbox.soap import Fault
from mailboxes.sandbox.xmltext import T, boolean, leaf, local_name, moment_text

_ORDER: Final = words(
    """
    FolderId ParentFolderId FolderClass DisplayName TotalCount ChildFolderCount ExtendedProperty EffectiveRights
    DistinguishedFolderId UnreadCount
    """
)
_DEFAULT: Final = frozenset(("FolderId", "DisplayName", "TotalCount", "ChildFolderCount", "UnreadCount"))
# In the protocol, but this server has none: asking for them is no error.
_EMPTY: Final = frozenset(
    words(
        "ManagedFolderInformation PermissionSet SharingEffectiveRights PolicyTag ArchiveTag ReplicaList SearchParameters"
    )
)
_ELEMENTS: Final = (
    ("IPF.Appointment", "CalendarFolder"),
    ("IPF.Contact", "ContactsFolder"),
    ("IPF.Task", "TasksFolder"),
)
COMMIT_TIME: Final = "tag:670a:SystemTime"
DELETED_COUNT: Final = "tag:670b:Integer"


def element_of(folder: Folder) -> str:
    """Return the element a folder of this class is in the protocol."""
    return next((name for prefix, name in _ELEMENTS if folder.folder_class.startswith(prefix)), "Folder")


def folder_text(folder: Folder, name: str) -> str:
    """Return a property of a folder as plain text, for searches."""
    texts: dict[str, Callable[[Folder], str]] = {
        "FolderId": lambda one: one.id,
        "ParentFolderId": lambda one: one.parent.id if one.parent else "",
        "FolderClass": lambda one: one.folder_class,
        "DisplayName": lambda one: one.name,
        "TotalCount": lambda one: str(len(one.items)),
        "ChildFolderCount": lambda one: str(len(one.below())),
        "UnreadCount": lambda one: str(sum(not item.is_read for item in one.items.values())),
        "DistinguishedFolderId": lambda one: one.distinguished,
    }
    return texts[name](folder) if name in texts else ""


@dataclass(slots=True)
class FolderShape:
    """What was asked about folders. `counters` says whether this server has change counters."""

    counters: bool
    base: str = "IdOnly"
    names: set[str] = field(default_factory=set)
    extended: list[ExtendedField] = field(default_factory=list)

    def folder(self, folder: Folder) -> str:
        """Return a folder as XML in this shape."""
        element = element_of(folder)
        inner = "".join([self._one(folder, element, name) for name in _ORDER if self._wants(name)])
        return f"<t:{element}>{inner}</t:{element}>"

    def _wants(self, name: str) -> bool:
        return (
            name in self.names
            or name == "FolderId"
            or self.base == "AllProperties"
            or (self.base == "Default" and name in _DEFAULT)
            or (name == "ExtendedProperty" and bool(self.extended))
        )

    def _one(self, folder: Folder, element: str, name: str) -> str:
        if name == "ExtendedProperty":
            return "".join([self._extended(folder, one) for one in self.extended])
        if name == "FolderId":
            return identifier(folder)
        if name == "ParentFolderId":
            return f'<t:ParentFolderId Id="{folder.parent.id}"/>' if folder.parent else ""
        if name == "EffectiveRights":
            rights = (
                "CreateAssociated",
                "CreateContents",
                "CreateHierarchy",
                "Delete",
                "Modify",
                "Read",
                "ViewPrivateItems",
            )
            inner = "".join(boolean(right, right != "Delete" or not folder.distinguished) for right in rights)
            return f"<t:EffectiveRights>{inner}</t:EffectiveRights>"
        if name == "UnreadCount" and element in ("CalendarFolder", "ContactsFolder"):
            return ""
        text = folder_text(folder, name)
        return leaf(name, text) if text or name == "DisplayName" else ""

    def _extended(self, folder: Folder, asked: ExtendedField) -> str:
        if asked.name in (COMMIT_TIME, DELETED_COUNT):
            if not self.counters:
                return ""
            folder.observed = True
            told = moment_text(folder.commit_second) if asked.name == COMMIT_TIME else str(folder.deleted_count)
            return asked.render(value(told))
        kept = folder.extended.get(asked.name, "")
        return asked.render(kept) if kept else ""


def identifier(folder: Folder) -> str:
    """Return a folder's id as XML."""
    return f'<t:FolderId Id="{folder.id}" ChangeKey="{folder.change_key}"/>'


def folder_shape(element: etree._Element | None, *, counters: bool) -> FolderShape:
    """Return the shape of a FolderShape element; none is IdOnly. Raises Fault for fields there are not."""
    shape = FolderShape(counters)
    if element is None:
        return shape
    shape.base = base_of(element, "IdOnly")
    for uri in element.iterfind(f"{T}AdditionalProperties/*"):
        if local_name(uri) == "ExtendedFieldURI":
            shape.extended.append(extended_field(uri))
            continue
        shape.names.add(folder_name_of(uri.get("FieldURI", "")))
    return shape


def folder_name_of(uri: str) -> str:
    """Return the property a field URI such as "folder:DisplayName" names. Raises Fault if there is none."""
    prefix, _, name = uri.partition(":")
    if prefix != "folder" or name not in (*_ORDER, *_EMPTY):
        raise Fault("ErrorSchemaValidation", f"The request failed schema validation: no field {uri!r}.")
    return name
