"""The keeper: one small process per `CRMSYNC_VAR` that owns the embedded servers for as long as anybody uses them.

The one idea: every user holds a shared flock on `services.lock`; when the keeper gets that lock for itself alone, nobody
is left, and it stops the servers. The kernel drops the lock of a process that was killed, so no count can go wrong.

Started by `services`, never by hand: `python -m crmsync_site.embedded.keeper VAR [--volatile] SERVICE...`
"""

import contextlib
import json
import os
import select
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from crmsync_site.embedded import locks
from crmsync_site.embedded.addresses import KEEPER_LOCK, LOG, READY, USERS_LOCK
from crmsync_site.embedded.errors import ServiceError
from crmsync_site.embedded.files import write_private
from crmsync_site.embedded.postgres import Postgres
from crmsync_site.embedded.valkey import Valkey

_LOOK_EVERY_SECONDS = 0.5
_LOCK_TRIES = 50  # somebody who only looks holds the lock for microseconds
_LONGEST_LOG = 5_000_000  # bytes; then it begins anew
_QUICK_DEATHS = 5  # a server that dies this often within a minute is not started again

Server = Postgres | Valkey
KINDS: dict[str, type[Server]] = {"postgres": Postgres, "valkey": Valkey}


def main(arguments: Sequence[str]) -> int:
    """Start the servers, keep them running, stop them when the last user is gone. Returns the exit code."""
    var = Path(arguments[0])
    kinds = [name for name in arguments[1:] if not name.startswith("--")]
    if not _become_keeper(var):
        return 0  # another keeper was faster
    servers: list[Server] = [KINDS[name](var, volatile="--volatile" in arguments) for name in kinds]
    wake = _wake_on_signals()
    with (var / LOG).open("ab") as log:  # the servers append too, so it can be emptied under them
        os.fchmod(log.fileno(), 0o600)
        log.truncate(0)
        try:
            for server in servers:
                server.start(log)
            write_private(var / READY, json.dumps({"pid": os.getpid(), "services": kinds}))
            _keep(var, servers, wake, log)
        except (ServiceError, OSError) as error:
            log.write(f"{error}\n".encode())
            return 1
        finally:
            (var / READY).unlink(missing_ok=True)
            for server in reversed(servers):
                server.stop()
    return 0


def _become_keeper(var: Path) -> bool:
    """Take the keeper's lock for the life of this process (it is never closed)."""
    lock = locks.open_lock(var / KEEPER_LOCK)
    for _ in range(_LOCK_TRIES):
        if locks.try_exclusive(lock):
            return True
        time.sleep(0.01)
    return False


def _wake_on_signals() -> int:
    """Turn SIGTERM and SIGINT into bytes on a pipe, and return its reading end."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    os.set_blocking(reading, False)
    signal.set_wakeup_fd(writing)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    return reading


def _keep(var: Path, servers: Sequence[Server], wake: int, log: IO[bytes]) -> None:
    """Return when asked to stop, or when nobody holds the users' lock any more; it then stays ours until we end."""
    users = locks.open_lock(var / USERS_LOCK)
    deaths: list[float] = []
    while True:
        asked, _, _ = select.select([wake], [], [], _LOOK_EVERY_SECONDS)
        if asked or not var.is_dir() or locks.try_exclusive(users):
            return
        if os.fstat(log.fileno()).st_size > _LONGEST_LOG:
            log.truncate(0)
        for server in servers:
            if not server.alive():
                deaths = [when for when in deaths if when > time.monotonic() - 60] + [time.monotonic()]
                if len(deaths) > _QUICK_DEATHS:
                    raise ServiceError(f"{server.name} died {_QUICK_DEATHS} times within a minute.")
                log.write(f"{server.name} died and is started again\n".encode())
                log.flush()
                server.start(log)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(main(sys.argv[1:]))
