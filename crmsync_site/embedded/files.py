"""Private files and folders: made closed, never widened, never trusted when somebody else made them."""

import os
import shutil
import stat
from pathlib import Path

from crmsync_site.embedded.errors import ServiceError


def private_folder(path: Path, owner: int | None = None) -> Path:
    """Make `path` (0700, belonging to `owner` or to this process) unless it is there, and return it.

    Raises `ServiceError` when it belongs to somebody else: below /tmp anybody could have made it first.
    """
    wanted = os.geteuid() if owner is None else owner
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = path.lstat()
        if found.st_uid != wanted and os.geteuid() == 0 and found.st_uid == 0 and stat.S_ISDIR(found.st_mode):
            os.chown(path, wanted, -1)
            found = path.lstat()
    except OSError as error:
        raise ServiceError(
            f"The folder {path} cannot be used: {error.strerror}. Choose another CRMSYNC_VAR."
        ) from error
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in {wanted, os.geteuid()}:
        raise ServiceError(f"{path} belongs to another user. Remove it, or choose another CRMSYNC_VAR.")
    return path


def state_folder(path: Path) -> Path:
    """Make `CRMSYNC_VAR` (0700) unless it is there, and return it; raises `ServiceError` when this user cannot write to it."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ServiceError(f"CRMSYNC_VAR {path} cannot be made: {error.strerror}.") from error
    if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        raise ServiceError(
            f"CRMSYNC_VAR {path} belongs to another user. Run crmsync as that user, or choose another one."
        )
    return path


def write_private(path: Path, text: str, owner: int | None = None) -> None:
    """Replace the file `path` by one that holds `text`, 0600, in one step: a reader sees the old or the new one."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    draft.touch(mode=0o600)
    draft.write_text(text)
    if owner is not None and owner != os.geteuid():
        os.chown(draft, owner, -1)
    draft.replace(path)


def copy_readable(source: Path, target: Path) -> None:
    """Copy the folder `source` to `target`, readable by everybody: programs from a public package, nothing private."""
    if target.is_symlink() or (target.exists() and target.stat().st_uid != os.geteuid()):
        raise ServiceError(f"{target} belongs to another user; crmsync would keep a copy of its programs there.")
    if target.is_dir():
        return
    draft = target.with_name(f".{target.name}.{os.getpid()}")
    shutil.rmtree(draft, ignore_errors=True)
    shutil.copytree(source, draft, symlinks=True)
    for path in (draft, *draft.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
    try:
        draft.rename(target)
    except OSError:  # another process was faster; its copy is as good
        shutil.rmtree(draft, ignore_errors=True)
