"""Every operation this server knows, by its name in the protocol."""

from collections.abc import Callable
from typing import Final

from lxml import etree

from mailboxes.sandbox.operations import attachments, folders, other, reading, sync
from mailboxes.sandbox.operations.caller import Caller

Operation = Callable[[Caller, etree._Element], bytes]

OPERATIONS: Final[dict[str, Operation]] = {
    "ConvertId": other.convert_id,
    "CreateFolder": folders.create_folder,
    "DeleteFolder": folders.delete_folder,
    "EmptyFolder": folders.empty_folder,
    "FindFolder": folders.find_folder,
    "FindItem": reading.find_item,
    "GetAttachment": attachments.get_attachment,
    "GetFolder": folders.get_folder,
    "GetItem": reading.get_item,
    "GetServerTimeZones": other.get_server_time_zones,
    "MoveFolder": folders.move_folder,
    "ResolveNames": other.resolve_names,
    "SyncFolderHierarchy": sync.sync_folder_hierarchy,
    "SyncFolderItems": sync.sync_folder_items,
    "UpdateFolder": folders.update_folder,
}
