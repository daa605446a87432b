"""Bytes of attachments, content-addressed files below `BLOB_ROOT`: the same attachment in ten mails is one file.

Written before the transaction that names them: a crash between leaves an unreferenced file, never a missing one.
"""

import hashlib
import os
import tempfile
from pathlib import Path

from django.conf import settings


def path_of(sha256: str) -> Path:
    """Return where the blob of this digest (hex) lies."""
    root: Path = settings.BLOB_ROOT
    return root / sha256[:2] / sha256[2:]


def put(data: bytes) -> str:
    """Store `data` and return its digest (hex); raises OSError (a full disk among them) with nothing half-written."""
    digest = hashlib.sha256(data).hexdigest()
    path = path_of(digest)
    try:
        if path.stat().st_size == len(data):
            return digest
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
    return digest


def get(sha256: str) -> bytes:
    """Return the blob's bytes; raises FileNotFoundError."""
    return path_of(sha256).read_bytes()
