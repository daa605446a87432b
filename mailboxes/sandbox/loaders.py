"""Puts a folder of files into a mailbox: .eml and .mbox, .ics, .vcf, in any depth.

Nothing stops a load: a message that cannot be understood is an item all the same, and a calendar or a
card that cannot be read becomes an Inbox item with the file's bytes, so that somebody sees it.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from mailboxes.sandbox import mime
from mailboxes.sandbox.store import SandboxError, SandboxStore

SUFFIXES: Final = (".eml", ".mbox", ".ics", ".vcf")
_QUOTED = re.compile(rb"(?<=\n)>(>*From )")


@dataclass(slots=True)
class Loaded:
    """What came of a load. `ignored` are files of other kinds, `known` those loaded before."""

    messages: int = 0
    appointments_and_tasks: int = 0
    contacts: int = 0
    unreadable: int = 0
    ignored: int = 0
    known: int = 0


def load_folder(store: SandboxStore, folder: Path, address: str, loaded: Loaded | None = None) -> Loaded:
    """Load every file below `folder` into the mailbox `address`, in the order of their names.

    A file that was loaded before, by path, size and time, is not loaded again: a sandbox that keeps its
    state may be started with the same folder any number of times. Raises OSError if the folder cannot be
    read, SandboxError if there is no such mailbox.
    """
    mailbox = store.mailbox(address)
    loaded = Loaded() if loaded is None else loaded
    if not folder.is_dir():
        raise NotADirectoryError(f"{folder} is no folder")
    for path in sorted(one for one in folder.rglob("*") if one.is_file()):
        if path.suffix.lower() not in SUFFIXES:
            loaded.ignored += 1
            continue
        facts = path.stat()
        mark = f"{mailbox.address.lower()}|{path.resolve()}|{facts.st_size}|{facts.st_mtime_ns}"
        if mark in store.loaded:
            loaded.known += 1
            continue
        _load_file(store, path, mailbox.address, loaded)
        store.loaded.add(mark)
    return loaded


def _load_file(store: SandboxStore, path: Path, address: str, loaded: Loaded) -> None:
    data = path.read_bytes()
    suffix = path.suffix.lower()
    try:
        if suffix == ".ics":
            loaded.appointments_and_tasks += len(store.add_ics(address, data))
            return
        if suffix == ".vcf":
            loaded.contacts += len(store.add_vcf(address, data))
            return
    except SandboxError:
        loaded.unreadable += 1
    for raw in split_mbox(data) if suffix == ".mbox" else [data]:
        at = mime.epoch_of(raw)
        received = None if at is None else datetime.fromtimestamp(at, UTC)
        store.deliver_mime(address, raw, received=received)
        loaded.messages += 1


def split_mbox(data: bytes) -> Iterator[bytes]:
    """Yield each message of an mbox file (RFC 4155, quoted "From " lines restored).

    A line that begins a message begins the file or follows an empty line. A file without one is a single message.
    """
    starts = [0] if data.startswith(b"From ") else []
    at = data.find(b"\nFrom ")
    while at >= 0:
        if data[max(0, at - 2) : at].endswith((b"\n", b"\n\r")):
            starts.append(at + 1)
        at = data.find(b"\nFrom ", at + 1)
    if not starts and data.strip():
        yield data
    for start, end in zip(starts, [*starts[1:], len(data)], strict=False):
        raw = data[start:end].partition(b"\n")[2]
        yield _QUOTED.sub(rb"\1", raw) if b"\n>" in raw else raw
