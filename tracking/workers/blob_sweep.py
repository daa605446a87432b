"""Takes away blobs that no row names: what a crash, a refused page or a deleted copy left on the disk.

The idea: nothing is deleted that somebody may be about to name. Whoever stores bytes makes their file young, or writes it
anew when it is not there (`tracking.engine.blobs.put`); what is old and unnamed is first moved aside, looked at again, and only
then deleted. A crash in between is made good by the next sweep of that folder. And where most of a folder seems unnamed it is more
likely that the database is not the one that belongs to these files: then nothing is deleted.
"""

import logging
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Final

from tracking.engine import blobs
from tracking.models import AppointmentFile, Attachment, OutgoingFile

# Far longer than it takes from the bytes on the disk to the row that names them.
YOUNG: Final = timedelta(days=2)
_FOLDERS: Final = 256
_AT_ONCE: Final = 1_000
_ASIDE: Final = ".swept-"
# More than the first number of unnamed files and more than the second's share of a folder: the brake holds.
_BRAKE: Final = (20, 0.5)

log = logging.getLogger(__name__)


def sweep_next(now: datetime, every: timedelta) -> int:
    """Sweep the folder whose turn it is, one of 256 in each `every`; return how many files were deleted."""
    turn = int(now.timestamp() // every.total_seconds()) % _FOLDERS
    return sweep(f"{turn:02x}", now)


def sweep(folder: str, now: datetime) -> int:
    """Delete what is old and unnamed in one folder ("00" to "ff"); return how many files."""
    root = blobs.path_of(folder + "x").parent
    if not root.is_dir():
        return 0
    _put_back(root)
    old = [path for path in root.iterdir() if _is_old(path, now)]
    drafts = [path for path in old if path.name.startswith(".draft-")]
    whole = {folder + path.name: path for path in old if not path.name.startswith(".")}
    named = _named(whole)
    unnamed = [path for digest, path in whole.items() if digest not in named]
    if len(unnamed) > _BRAKE[0] and len(unnamed) > _BRAKE[1] * len(whole):
        log.error(
            "%d of %d files below %s are named by no row. Nothing was deleted: is this the database that belongs to them?",
            len(unnamed), len(whole), root,
        )  # fmt: skip
        return 0
    for path in drafts:
        path.unlink(missing_ok=True)
    return len(drafts) + sum(_delete(path, now) for path in unnamed)


def _is_old(path: Path, now: datetime) -> bool:
    with suppress(FileNotFoundError):
        return now.timestamp() - path.stat().st_mtime > YOUNG.total_seconds()
    return False


def _named(digests: Iterable[str]) -> set[str]:
    wanted = iter(digests)
    found: set[str] = set()
    while part := list(islice(wanted, _AT_ONCE)):
        for model in (Attachment, OutgoingFile, AppointmentFile):
            found.update(model._default_manager.filter(sha256__in=part).values_list("sha256", flat=True))
    return found


def _delete(path: Path, now: datetime) -> bool:
    aside = path.with_name(_ASIDE + path.name)
    try:
        path.rename(aside)
    except FileNotFoundError:
        return False
    # From here on nobody finds it any more, and writes it anew. Who found it before has made it young.
    if not _is_old(aside, now):
        _back(aside)
        return False
    aside.unlink(missing_ok=True)
    return True


def _put_back(root: Path) -> None:
    for aside in list(_left_aside(root)):
        _back(aside)


def _left_aside(root: Path) -> Iterator[Path]:
    return (path for path in root.iterdir() if path.name.startswith(_ASIDE))


def _back(aside: Path) -> None:
    """Give a file its name again, unless it has been written anew, or another sweep has done it."""
    path = aside.with_name(aside.name.removeprefix(_ASIDE))
    with suppress(FileNotFoundError):
        if path.exists():
            aside.unlink()
        else:
            aside.rename(path)
