"""Every operation this server knows, by its name in the protocol."""

from collections.abc import Callable, Iterator
from typing import Final

from lxml import etree

from mailboxes.sandbox.operations import (
    attachments,
    configurations,
    folders,
    notifications,
    other,
    reading,
    sync,
    updating,
    writing,
)
from mailboxes.sandbox.operations.caller import Caller

Operation = Callable[[Caller, etree._Element], bytes]
Stream = Callable[[Caller, etree._Element], Iterator[bytes]]

# Answered piece by piece while the connection stays open.
STREAMS: Final[dict[str, Stream]] = {"GetStreamingEvents": notifications.get_streaming_events}

OPERATIONS: Final[dict[str, Operation]] = {
    "ConvertId": other.convert_id,
    "CopyItem": writing.copy_item,
    "CreateAttachment": attachments.create_attachment,
    "CreateFolder": folders.create_folder,
    "CreateItem": writing.create_item,
    "CreateUserConfiguration": configurations.create_user_configuration,
    "DeleteAttachment": attachments.delete_attachment,
    "DeleteFolder": folders.delete_folder,
    "DeleteItem": writing.delete_item,
    "DeleteUserConfiguration": configurations.delete_user_configuration,
    "EmptyFolder": folders.empty_folder,
    "ExpandDL": other.expand_dl,
    "FindFolder": folders.find_folder,
    "FindItem": reading.find_item,
    "GetAttachment": attachments.get_attachment,
    "GetEvents": notifications.get_events,
    "GetFolder": folders.get_folder,
    "GetItem": reading.get_item,
    "GetServerTimeZones": other.get_server_time_zones,
    "GetUserConfiguration": configurations.get_user_configuration,
    "MoveFolder": folders.move_folder,
    "MoveItem": writing.move_item,
    "ResolveNames": other.resolve_names,
    "SendItem": writing.send_item,
    "Subscribe": notifications.subscribe,
    "SyncFolderHierarchy": sync.sync_folder_hierarchy,
    "SyncFolderItems": sync.sync_folder_items,
    "Unsubscribe": notifications.unsubscribe,
    "UpdateFolder": folders.update_folder,
    "UpdateItem": updating.update_item,
    "UpdateUserConfiguration": configurations.update_user_configuration,
}
