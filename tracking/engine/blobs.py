"""Bytes of attachments, content-addressed files below `BLOB_ROOT`: the same attachment in ten mails is one file.

Written before the transaction that names them: a crash between leaves an unreferenced file, never a missing one.
"""

import hashlib
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

from django.conf import settings


def path_of(sha256: str) -> Path:
    """Return where the blob of this digest (hex) lies."""
    root: Path = settings.BLOB_ROOT
    return root / sha256[:2] / sha256[2:]


def digest(data: bytes) -> str:
    """Return the digest (hex) under which `data` would lie."""
    return hashlib.sha256(data).hexdigest()


def put(data: bytes) -> str:
    """Store `data` and return its digest (hex); raises OSError (a full disk among them) with nothing half-written.

    A loss of power may still take the file's name away, until `settle` has returned.
    """
    sha256 = digest(data)
    path = path_of(sha256)
    try:
        if path.stat().st_size == len(data):
            # Young again: whoever sweeps leaves it alone until a row names it (`tracking.workers.blob_sweep`).
            os.utime(path)
            return sha256
    except FileNotFoundError:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, draft = tempfile.mkstemp(dir=path.parent, prefix=".draft-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(draft).replace(path)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise
    return sha256


def settle(digests: Iterable[str]) -> None:
    """Bring the names of these blobs to the disk, whoever wrote them; to be called before a row is stored that names one.

    Raises OSError. Once for many: the first folder's turn writes what the others wait for. What is not there is left out.
    """
    folders = {path_of(digest).parent for digest in digests}
    for folder in sorted({*folders, *(folder.parent for folder in folders)}):
        try:
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            continue
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def get(sha256: str) -> bytes:
    """Return the blob's bytes; raises FileNotFoundError."""
    return path_of(sha256).read_bytes()
