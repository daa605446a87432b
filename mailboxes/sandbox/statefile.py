"""The sandbox's state on disk: one file, written whole or not at all, checked when it is read.

A zip archive of two members: `state.json` (everything but bytes) and `blobs` (messages and attachments,
one after the other), because a zip checks its contents by itself and any tool can look into it. It is
written beside its place and moved there, so a crash leaves the old state, never half of a new one.
"""

import contextlib
import json
import logging
import os
import tempfile
import threading
import time
import zipfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Self

from mailboxes.sandbox.changelog import Change, ChangeLog
from mailboxes.sandbox.model import Altered, Attachment, Content, Folder, Item, Mailbox
from mailboxes.sandbox.store import Departure, Moved, Outbound, SandboxStore

log = logging.getLogger(__name__)

FORMAT: Final = "crmsync sandbox state 1"


class StateError(Exception):
    """The state file cannot be used; the message names it and says what to do."""


@dataclass(slots=True)
class Blobs:
    """Bytes on their way to or from the archive, each known by offset and length."""

    parts: list[bytes] = field(default_factory=list)
    length: int = 0

    def put(self, data: bytes) -> list[int]:
        """Take bytes in and return where they are: offset and length."""
        self.parts.append(data)
        self.length += len(data)
        return [self.length - len(data), len(data)]


# -- writing


def save(store: SandboxStore, path: Path) -> None:
    """Write the store to `path`, atomically. Raises OSError; then the old file is as it was."""
    blobs = Blobs()
    with store.lock:
        state = _store_json(store, blobs)
    handle, name = tempfile.mkstemp(prefix=path.name + ".", suffix=".new", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            _write(file, state, blobs)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise


def _write(file: Any, state: dict[str, Any], blobs: Blobs) -> None:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        text = json.dumps(state, separators=(",", ":")).encode("ascii")
        archive.writestr("state.json", text, compress_type=zipfile.ZIP_DEFLATED, compresslevel=1)
        with archive.open("blobs", "w", force_zip64=True) as member:
            for part in blobs.parts:
                member.write(part)


def _store_json(store: SandboxStore, blobs: Blobs) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "next_number": store.next_number,
        "next_version": store.next_version,
        "change_counters": store.change_counters,
        "meeting_messages": store.meeting_messages,
        "loaded": sorted(store.loaded),
        "mailboxes": [mailbox_json(one, blobs) for one in store.mailboxes.values()],
        "moved": {address: asdict(one) for address, one in store.moved.items()},
        "departed": [asdict(one) for one in store.departed],
        "outbound": [[one.sender, one.recipient, blobs.put(one.raw), one.at] for one in store.outbound],
    }


def mailbox_json(mailbox: Mailbox, blobs: Blobs) -> dict[str, Any]:
    """Return a mailbox as JSON; its bytes go into `blobs`."""
    return {
        "address": mailbox.address,
        "password": mailbox.password,
        "display_name": mailbox.display_name,
        "language": mailbox.language,
        "impersonator": mailbox.impersonator,
        "delegates": sorted(mailbox.delegates),
        "guid": mailbox.guid,
        "log": _log_json(mailbox.log),
        "folders": [_folder_json(one, blobs) for one in mailbox.folders.values()],
    }


def _folder_json(folder: Folder, blobs: Blobs) -> dict[str, Any]:
    return {
        "number": folder.number,
        "parent": folder.parent.number if folder.parent else None,
        "name": folder.name,
        "folder_class": folder.folder_class,
        "distinguished": folder.distinguished,
        "version": folder.version,
        "commit_second": folder.commit_second,
        "deleted_count": folder.deleted_count,
        "observed": folder.observed,
        "extended": folder.extended,
        "configurations": folder.configurations,
        "log": _log_json(folder.log),
        "items": [_item_json(one, blobs) for one in folder.items.values()],
    }


def _item_json(item: Item, blobs: Blobs) -> dict[str, Any]:
    return {
        "number": item.number,
        "content": _content_json(item.content, blobs),
        "search_key": item.search_key.hex(),
        "times": [item.created, item.received, item.modified],
        "version": item.version,
        "is_read": item.is_read,
        "is_draft": item.is_draft,
        "written": item.written,
    }


def _content_json(content: Content, blobs: Blobs) -> dict[str, Any]:
    return {
        "kind": content.kind,
        "raw": None if content.raw is None else blobs.put(content.raw),
        "values": content.values,
        "body": content.body,
        "extended": content.extended,
        "categories": content.categories,
        "attached": [_attachment_json(one, blobs) for one in content.attached],
        "removed": sorted(content.removed),
        "altered": [
            [start, sorted(one.names), _content_json(one.content, blobs)] for start, one in content.altered.items()
        ],
        "cancelled": sorted(content.cancelled),
    }


def _attachment_json(attachment: Attachment, blobs: Blobs) -> dict[str, Any]:
    return {
        "number": attachment.number,
        "name": attachment.name,
        "content_type": attachment.content_type,
        "content_id": attachment.content_id,
        "content_location": attachment.content_location,
        "is_inline": attachment.is_inline,
        "data": blobs.put(attachment.data),
        "item": None if attachment.item is None else _content_json(attachment.item, blobs),
    }


def _log_json(entries: ChangeLog) -> list[list[Any]]:
    return [[change.value, number] for change, number in entries.entries]


# -- reading


def load(path: Path, clock: Callable[[], float] = time.time) -> SandboxStore:
    """Read a store. Raises StateError if the file is damaged, of another kind, or cannot be read."""
    try:
        with zipfile.ZipFile(path) as archive:
            state = json.loads(archive.read("state.json"))
            blobs = archive.read("blobs")
        return _read_store(state, blobs, clock)
    except (
        OSError,
        zipfile.BadZipFile,
        ValueError,
        KeyError,
        TypeError,
        IndexError,
        AttributeError,
        EOFError,
    ) as error:
        reason = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        raise StateError(
            f"The state file {path} cannot be read ({reason}). Nothing was changed. "
            "Put back a copy of it, or move it away to begin afresh."
        ) from error


def _read_store(state: dict[str, Any], blobs: bytes, clock: Callable[[], float]) -> SandboxStore:
    if state["format"] != FORMAT:
        raise ValueError(f"it is of another format ({state['format']!r})")
    store = SandboxStore(clock=clock, change_counters=state["change_counters"])
    store.next_number, store.next_version = state["next_number"], state["next_version"]
    store.loaded = set(state["loaded"])
    store.meeting_messages = state["meeting_messages"]
    for one in state["mailboxes"]:
        store.adopt(read_mailbox(one, blobs))
    store.outbound = [Outbound(sender, to, _blob(blobs, raw), at) for sender, to, raw, at in state["outbound"]]
    # Files written before these were kept lack them.
    store.departed = [Departure(**one | {"recipients": tuple(one["recipients"])}) for one in state.get("departed", [])]
    store.moved = {address: Moved(**one) for address, one in state.get("moved", {}).items()}
    return store


def read_mailbox(data: dict[str, Any], blobs: bytes) -> Mailbox:
    """Return the mailbox of such JSON. Raises ValueError, KeyError or TypeError if it is none."""
    mailbox = Mailbox(
        data["address"],
        data["password"],
        data["display_name"],
        data["language"],
        data["impersonator"],
        set(data["delegates"]),
        data["guid"],
    )
    mailbox.log = _read_log(data["log"])
    for one in data["folders"]:
        folder = Folder(
            one["number"], mailbox, None, one["name"], one["folder_class"], one["distinguished"], one["version"]
        )
        folder.commit_second, folder.deleted_count = one["commit_second"], one["deleted_count"]
        folder.observed, folder.extended = one["observed"], one["extended"]
        folder.configurations = one.get("configurations", {})
        folder.log = _read_log(one["log"])
        folder.items = {item["number"]: _read_item(item, folder, blobs) for item in one["items"]}
        mailbox.folders[folder.number] = folder
        if folder.distinguished:
            mailbox.distinguished[folder.distinguished] = folder
    for one in data["folders"]:  # a folder may have been moved below a younger one
        if one["parent"] is not None:
            mailbox.folders[one["number"]].parent = mailbox.folders[one["parent"]]
    return mailbox


def _read_item(data: dict[str, Any], folder: Folder, blobs: bytes) -> Item:
    created, received, modified = data["times"]
    return Item(
        data["number"],
        folder,
        _read_content(data["content"], blobs),
        bytes.fromhex(data["search_key"]),
        created,
        received,
        modified,
        data["version"],
        data["is_read"],
        data["is_draft"],
        data["written"],
    )


def _read_content(data: dict[str, Any], blobs: bytes) -> Content:
    return Content(
        data["kind"],
        None if data["raw"] is None else _blob(blobs, data["raw"]),
        data["values"],
        None if data["body"] is None else (data["body"][0], data["body"][1]),
        data["extended"],
        tuple(data["categories"]),
        [_read_attachment(one, blobs) for one in data["attached"]],
        set(data["removed"]),
        {start: Altered(set(names), _read_content(one, blobs)) for start, names, one in data.get("altered", [])},
        set(data.get("cancelled", [])),
    )


def _read_attachment(data: dict[str, Any], blobs: bytes) -> Attachment:
    facts = {name: value for name, value in data.items() if name not in ("data", "item")}
    item = None if data["item"] is None else _read_content(data["item"], blobs)
    return Attachment(**facts, data=_blob(blobs, data["data"]), item=item)


def _read_log(entries: list[list[Any]]) -> ChangeLog:
    found = ChangeLog()
    for change, number in entries:
        found.append(Change(change), number)
    return found


def _blob(blobs: bytes, place: list[int]) -> bytes:
    offset, length = place
    if not 0 <= offset <= offset + length <= len(blobs):
        raise ValueError("a message is missing from it")
    return blobs[offset : offset + length]


# -- keeping up


class Saver:
    """Writes the state a while after changes, and at the end.

    A change is written once nothing has changed for `quiet` seconds, and at the latest `longest` seconds
    after it. A failed write (a full disk) is logged and tried again; `close` raises it.
    """

    def __init__(self, store: SandboxStore, path: Path, *, quiet: float = 2.0, longest: float = 30.0) -> None:
        self._store, self._path, self._quiet, self._longest = store, path, quiet, longest
        self._saved = -1
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="sandbox-state", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop and write what is not written yet. Raises OSError."""
        self._end.set()
        self._thread.join()
        self._save()

    def _keep(self) -> None:
        seen, since = self._store.generation, time.monotonic()
        while not self._end.wait(self._quiet):
            now = self._store.generation
            if now == self._saved:
                seen, since = now, time.monotonic()
            elif now == seen or time.monotonic() - since > self._longest:
                try:
                    self._save()
                except OSError as error:
                    log.error("the state cannot be written to %s: %s", self._path, error)  # noqa: TRY400 - expected, the trace says no more
            else:
                seen = now

    def _save(self) -> None:
        generation = self._store.generation
        if generation != self._saved:
            save(self._store, self._path)
            self._saved = generation
