"""Who is there: worker processes and the one dispatcher, told by locks that PostgreSQL frees when a process dies.

The idea: a session-level advisory lock lives exactly as long as its connection. A killed process loses it within a
moment, while a lease would take a minute and a half to run out. A missing lock is a hint that saves time, never the
truth: what a worker may write is decided by its runs' rows, so that a mistake here costs a repeated run and no more.
(Behind a pooler that shares sessions between processes the hint is missing, and leases do the work alone.)
"""

from collections.abc import Collection
from contextlib import suppress
from zlib import crc32

from django.db import DEFAULT_DB_ALIAS, Error, connections
from django.db.backends.base.base import BaseDatabaseWrapper

# First halves of PostgreSQL's two-part advisory lock keys.
_WORKERS = 0x776F726B
_DISPATCHER = 0x64697370


class Lock:
    """One advisory lock on a connection of its own, which Django does not close between jobs."""

    def __init__(self, space: int, number: int) -> None:
        self._key = (space, number)
        self._connection: BaseDatabaseWrapper = connections.create_connection(DEFAULT_DB_ALIAS)
        # A worker holds its lock from the thread that keeps its pulse.
        self._connection.inc_thread_sharing()
        self._held = False

    def hold(self) -> bool:
        """Take the lock or make sure that it is still held; False when somebody else has it.

        Raises a database error when there is no database; then the lock is lost, and the next call starts anew.
        """
        try:
            with self._connection.cursor() as cursor:
                if self._held:
                    cursor.execute("SELECT 1")
                else:
                    cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", self._key)
                    self._held = bool(cursor.fetchone()[0])
        except Error:
            self.release()
            raise
        return self._held

    def release(self) -> None:
        """Give the lock up and close its connection; the next process need not wait until the server notices that."""
        if self._held:
            self._held = False
            # A connection that is gone has taken the lock with it.
            with suppress(Error), self._connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s, %s)", self._key)
        self._connection.close()


def worker_lock(name: str) -> Lock:
    """Return the lock that says the worker `name` is alive."""
    return Lock(_WORKERS, _number(name))


def dispatcher_lock() -> Lock:
    """Return the lock that makes a process the one dispatcher."""
    return Lock(_DISPATCHER, 0)


def _number(name: str) -> int:
    """Return 31 bits of `name`, as PostgreSQL's signed second half takes them."""
    return crc32(name.encode()) & 0x7FFFFFFF


class Watch:
    """Tells which workers have died. Only one that was seen alive can be missed: not every run has a worker process."""

    def __init__(self) -> None:
        # One number per worker process that ever was: some megabytes in a century.
        self._seen: set[int] = set()

    def dead(self, names: Collection[str]) -> set[str]:
        """Return those of `names` that held their lock at an earlier call and hold it no more."""
        with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
            cursor.execute(
                "SELECT objid::bigint FROM pg_locks WHERE locktype = 'advisory' AND granted AND classid::bigint = %s "
                "AND objsubid = 2 AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
                [_WORKERS],
            )
            held = {row[0] for row in cursor.fetchall()}
        missing = self._seen - held
        self._seen |= held
        return {name for name in names if _number(name) in missing}
