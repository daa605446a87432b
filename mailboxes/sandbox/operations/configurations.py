"""User configurations: small documents that clients keep with a folder, such as the list of categories.

Outlook keeps the names and colours of categories in the configuration "CategoryList" of the calendar,
as XML in base64. The server knows nothing of what is inside.
"""

import base64
import binascii
from collections.abc import Callable

from lxml import etree

from mailboxes.sandbox.kinds import words
from mailboxes.sandbox.model import Folder
from mailboxes.sandbox.operations.caller import Caller, needed
from mailboxes.sandbox.soap import EwsError, Fault, failure, response, success
from mailboxes.sandbox.xmltext import M, T, children, escape, fragment, local_name

_PARTS = words("Dictionary XmlData BinaryData")
_ASKED = (*_PARTS, "Id", "All")


def get_user_configuration(caller: Caller, element: etree._Element) -> bytes:
    """Answer GetUserConfiguration with the parts asked for."""
    asked = (element.findtext(f"{M}UserConfigurationProperties") or "").split()
    if not asked or set(asked) - set(_ASKED):
        raise Fault("ErrorSchemaValidation", "The request failed schema validation: no such configuration property.")

    def answer() -> str:
        name = needed(element, "UserConfigurationName")
        folder = _folder(caller, name)
        kept = _known(folder, name)
        parts = "".join(kept.get(part, "") for part in _PARTS if part in asked or "All" in asked)
        where = fragment(next(iter(children(name))))
        return (
            f'<m:UserConfiguration><t:UserConfigurationName Name="{escape(name.get("Name", ""))}">{where}'
            f"</t:UserConfigurationName>{parts}</m:UserConfiguration>"
        )

    return _answered(caller, "GetUserConfiguration", answer)


def create_user_configuration(caller: Caller, element: etree._Element) -> bytes:
    """Answer CreateUserConfiguration."""

    def answer() -> str:
        name, parts = _given(element)
        folder = _folder(caller, name)
        if name.get("Name", "") in folder.configurations:
            raise EwsError("ErrorItemSave", "There is a user configuration of that name already.")
        _keep(caller, folder, name, parts)
        return ""

    return _answered(caller, "CreateUserConfiguration", answer)


def update_user_configuration(caller: Caller, element: etree._Element) -> bytes:
    """Answer UpdateUserConfiguration: parts that are given replace those that are kept."""

    def answer() -> str:
        name, parts = _given(element)
        folder = _folder(caller, name)
        _keep(caller, folder, name, _known(folder, name) | parts)
        return ""

    return _answered(caller, "UpdateUserConfiguration", answer)


def delete_user_configuration(caller: Caller, element: etree._Element) -> bytes:
    """Answer DeleteUserConfiguration."""

    def answer() -> str:
        name = needed(element, "UserConfigurationName")
        folder = _folder(caller, name)
        _known(folder, name)
        del folder.configurations[name.get("Name", "")]
        caller.store.folder_changed(folder)
        return ""

    return _answered(caller, "DeleteUserConfiguration", answer)


def _answered(caller: Caller, operation: str, answer: Callable[[], str]) -> bytes:
    try:
        scripted = caller.fault(0, "")
        if scripted is not None:
            raise scripted
        return response(operation, [success(operation, answer())])
    except Fault:
        raise
    except EwsError as error:
        return response(operation, [failure(operation, error)])


def _folder(caller: Caller, name: etree._Element) -> Folder:
    found = children(name)
    if len(found) != 1 or not name.get("Name"):
        raise Fault(
            "ErrorSchemaValidation", "The request failed schema validation: a configuration has name and folder."
        )
    return caller.folder(found[0])


def _known(folder: Folder, name: etree._Element) -> dict[str, str]:
    kept = folder.configurations.get(name.get("Name", ""))
    if kept is None:
        raise EwsError("ErrorItemNotFound", "The specified object was not found in the store.")
    return kept


def _given(element: etree._Element) -> tuple[etree._Element, dict[str, str]]:
    whole = needed(element, "UserConfiguration")
    name = whole.find(f"{T}UserConfigurationName")
    if name is None:
        raise Fault("ErrorSchemaValidation", "The request failed schema validation: the configuration has no name.")
    parts = {}
    for one in children(whole):
        kind = local_name(one)
        if kind in ("XmlData", "BinaryData"):
            try:
                base64.b64decode("".join((one.text or "").split()), validate=True)
            except (binascii.Error, ValueError):
                raise Fault(
                    "ErrorSchemaValidation", f"The request failed schema validation: {kind} is no base64."
                ) from None
        if kind in _PARTS:
            parts[kind] = fragment(one)
    return name, parts


def _keep(caller: Caller, folder: Folder, name: etree._Element, parts: dict[str, str]) -> None:
    folder.configurations[name.get("Name", "")] = parts
    caller.store.folder_changed(folder)
