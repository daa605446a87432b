"""Where the embedded servers keep their data and listen: a pure function of `CRMSYNC_VAR`, so every process finds them.

Knows neither Django nor the servers; settings and the servers' own modules both read it.
"""

import hashlib
import os
import re
from pathlib import Path
from urllib.parse import quote

PROJECT = Path(__file__).resolve().parent.parent.parent
DATABASE = USER = "crmsync"
# Files of CRMSYNC_VAR by which users and keeper of the servers meet (see `keeper`).
USERS_LOCK = "services.lock"
KEEPER_LOCK = "keeper.lock"
READY = "services.json"
LOG = "services.log"
POSTGRES_PORT = 5432  # only a part of the socket's file name

# sun_path holds 108 bytes with its terminating zero on Linux and 104 on macOS (unix(7), unix(4)).
_SOCKET_PATH_LIMIT = 103
_LONGEST_SOCKET_NAME = f"/postgres/.s.PGSQL.{POSTGRES_PORT}"
# libpq reads a comma in a host as a list of hosts, and PostgreSQL's own setting is such a list as well; redis-py splits
# what Valkey says of a client, its socket's path included, at blanks and equals signs.
_PLAIN = re.compile(r"[\w/.+@-]+", re.ASCII)


def var_folder() -> Path:
    """Return the absolute folder of this installation's state: `CRMSYNC_VAR`, by default `var/` beside manage.py."""
    return (PROJECT / (os.environ.get("CRMSYNC_VAR") or "var")).resolve()


def socket_folder(var: Path) -> Path:
    """Return the folder of the servers' sockets: below `var`, or a short one keyed by it where that path does not do.

    The short one is always below /tmp: two shells of one person may differ in TMPDIR and XDG_RUNTIME_DIR, and must meet.
    """
    folder = var / "run"
    if len(os.fsencode(folder)) + len(_LONGEST_SOCKET_NAME) <= _SOCKET_PATH_LIMIT and _PLAIN.fullmatch(str(folder)):
        return folder
    key = hashlib.sha256(os.fsencode(var)).hexdigest()[:16]
    return Path("/tmp") / f"crmsync-{os.geteuid()}-{key}"  # noqa: S108 -- made 0700 and its owner is checked before use


def postgres_folder(var: Path) -> Path:
    """Return the folder of PostgreSQL's socket (its own, because the server may run as another user)."""
    return socket_folder(var) / "postgres"


def valkey_socket(var: Path) -> Path:
    """Return the path of Valkey's socket."""
    return socket_folder(var) / "valkey" / "valkey.sock"


def database_url(var: Path, name: str = DATABASE) -> str:
    """Return the URL of a database in the embedded PostgreSQL of `var`; the socket's folder is its percent-encoded host."""
    return f"postgres://{USER}@{quote(str(postgres_folder(var)), safe='')}:{POSTGRES_PORT}/{name}"


def redis_url(var: Path, database: int = 0) -> str:
    """Return the URL of one database of the embedded Valkey of `var`."""
    return f"unix://{quote(str(valkey_socket(var)))}?db={database}"
