"""Has the database brought to the shape this code expects; costs a few file names when there is nothing to do.

The mark of what was done is a file in `CRMSYNC_VAR`. The work itself is the command `prepare`, in a process of its own,
so that the usual case does not wait for Django. `CRMSYNC_AUTO_MIGRATE=0` leaves it to the administrator, as a production
with several hosts wants.
"""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

from crmsync_site.embedded.addresses import PROJECT
from crmsync_site.embedded.errors import ServiceError
from crmsync_site.embedded.files import state_folder, write_private

MARK = "prepared"


def prepare(var: Path) -> None:
    """Run the command `prepare` unless that was done for this code and this database; raises `ServiceError` if it fails."""
    mark = var / MARK
    state = _fingerprint(var)
    try:
        if mark.read_text() == state:
            return
    except OSError:
        pass
    done = subprocess.run(  # noqa: S603 -- our own command
        [sys.executable, PROJECT / "manage.py", "prepare"],
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr,
        env={**os.environ, "CRMSYNC_AUTO_MIGRATE": "0"},
        check=False,
    )
    if done.returncode != 0:
        raise ServiceError("The database could not be prepared; what precedes says why.")
    state_folder(var)
    write_private(mark, _fingerprint(var))


def _fingerprint(var: Path) -> str:
    """Return a text that changes with the migrations of our apps, the locked libraries, and the database itself."""
    names = sorted(str(path.relative_to(PROJECT)) for path in PROJECT.glob("*/migrations/*.py"))
    external = os.environ.get("DATABASE_URL") or os.environ.get("DATABASE_URL_FILE")
    text = "\n".join([*names, external or _cluster(var)])
    digest = hashlib.sha256(text.encode())
    digest.update((PROJECT / "requirements.txt").read_bytes())
    return digest.hexdigest()


def _cluster(var: Path) -> str:
    """Return what tells the embedded database from one that was deleted and made again."""
    try:
        found = (var / "postgres" / "PG_VERSION").stat()
    except OSError:
        return ""
    return f"{found.st_ino} {found.st_mtime_ns}"
