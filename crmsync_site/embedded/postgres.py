"""The embedded PostgreSQL: one cluster below `CRMSYNC_VAR`, reached by its socket only, by this user only.

Sign-in is by peer: the kernel tells PostgreSQL who is at the other end of the socket, so there is no password to keep.
"""

import os
import pwd
import shutil
import signal
from pathlib import Path
from typing import IO

from crmsync_site.embedded import addresses, process
from crmsync_site.embedded.errors import ServiceError
from crmsync_site.embedded.files import private_folder, write_private
from crmsync_site.embedded.privilege import Account, account_for
from crmsync_site.embedded.programs import postgres_programs

_START_SECONDS = 60.0  # crash recovery after a power cut may take its time
# fast: sessions are ended, data is flushed; immediate: as after a crash, recovered at the next start.
_STOP = ((signal.SIGINT, 10.0), (signal.SIGQUIT, 5.0))
_FIRST_VERSION_WITH_BUILTIN_LOCALE = 17
_FIRST_VERSION_WITH_IO_METHODS = 18

_SETTINGS = {
    "listen_addresses": "",
    "port": str(addresses.POSTGRES_PORT),
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    # Sized for a machine that also runs everything else of crmsync.
    "shared_buffers": "128MB",
    "work_mem": "8MB",
    "maintenance_work_mem": "64MB",
    "effective_cache_size": "1GB",
    "random_page_cost": "1.1",
    "jit": "off",
    # One server, no replicas: the log needs to serve recovery only.
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "1GB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "default_text_search_config": "pg_catalog.simple",
    "log_checkpoints": "off",
    "log_min_messages": "warning",
    # An error is logged without its statement and its rows: both may hold what stands in somebody's mail.
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
}
# For tests: a crash may lose everything, nothing waits for the disk.
_VOLATILE = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_wal_size": "4GB",
    # Below the data, so that a killed one leaves nothing in /dev/shm that only its own next start would remove.
    "dynamic_shared_memory_type": "mmap",
}


class Postgres:
    """The server of one `CRMSYNC_VAR`. `start` leaves it answering, `stop` leaves no process."""

    name = "postgres"

    def __init__(self, var: Path, *, volatile: bool = False) -> None:
        self.var = var
        self.data = var / "postgres"
        self.volatile = volatile
        self.child: process.Process | None = None

    def start(self, log: IO[bytes]) -> None:
        """Make the cluster if there is none, replace a server left by a killed keeper, start and wait until it answers."""
        client = _user_name()
        private_folder(addresses.socket_folder(self.var))
        account = account_for(self.data, addresses.postgres_folder(self.var))
        programs, major = postgres_programs(account)
        self._stop_left_over()
        if not (self.data / "PG_VERSION").exists():
            self._create(programs, major, account)
        self._check_version(major)
        sockets = private_folder(addresses.postgres_folder(self.var), account.uid)
        for stale in sockets.glob(".s.PGSQL.*"):
            stale.unlink()
        self._configure(sockets, client, major, account)
        self.child = process.start([programs / "postgres", "-D", self.data], account, log, signal.SIGINT)
        child = self.child
        if (
            not process.wait_until(lambda: self._ready() or child.poll() is not None, _START_SECONDS)
            or not self._ready()
        ):
            self.stop()
            raise ServiceError("PostgreSQL did not start.")

    def alive(self) -> bool:
        """Whether the server still runs."""
        return self.child is not None and self.child.poll() is None

    def stop(self) -> None:
        """Stop the server; what is committed stays."""
        if self.child is not None:
            process.stop(self.child, _STOP)
            self.child = None

    # -- one step each ----------------------------------------------------------------------------

    def _create(self, programs: Path, major: int, account: Account) -> None:
        """Make the cluster under another name and rename it when complete: an interrupted one is simply made again."""
        draft = self.data.with_name("postgres.new")
        shutil.rmtree(draft, ignore_errors=True)
        private_folder(draft, account.uid)
        if major >= _FIRST_VERSION_WITH_BUILTIN_LOCALE:
            locale = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
        else:
            locale = ["--locale=C.UTF-8"]
        options = [
            "--username=postgres",
            "--encoding=UTF8",
            "--auth=peer",
            *locale,
            *(["--no-sync"] if self.volatile else []),
        ]
        process.run([programs / "initdb", "-D", draft, *options], account)
        # The application owns its database but is no superuser: what the database enforces, it cannot switch off
        # by mistake. CREATEDB is for test databases.
        sql = (
            f"CREATE ROLE {addresses.USER} LOGIN CREATEDB\n"
            f"CREATE DATABASE {addresses.DATABASE} OWNER {addresses.USER}\n"
        )
        process.run([programs / "postgres", "--single", "-D", draft, "postgres"], account, given=sql)
        if self.data.is_dir():
            self.data.rmdir()  # an empty one; initdb's own would hold PG_VERSION
        draft.rename(self.data)

    def _check_version(self, major: int) -> None:
        written_by = (self.data / "PG_VERSION").read_text().strip()
        if written_by != str(major):
            raise ServiceError(
                f"The data in {self.data} was written by PostgreSQL {written_by}, the programs are version {major}. "
                "docs/operations.md says how to move the data."
            )

    def _configure(self, sockets: Path, client: str, major: int, account: Account) -> None:
        settings = dict(_SETTINGS)
        settings["unix_socket_directories"] = '"' + str(sockets) + '"'
        if major >= _FIRST_VERSION_WITH_IO_METHODS:
            settings["io_method"] = "sync"  # no processes of their own for reading ahead
        if self.volatile:
            settings |= _VOLATILE
        lines = "".join(f"{key} = '{value}'\n" for key, value in settings.items())
        write_private(self.data / "postgresql.conf", lines, account.uid)
        write_private(self.data / "pg_hba.conf", "local all all peer map=crmsync\n", account.uid)
        write_private(
            self.data / "pg_ident.conf",
            "".join(f'crmsync "{client}" {role}\n' for role in (addresses.USER, "postgres")),
            account.uid,
        )

    def _ready(self) -> bool:
        """Whether the server accepts connections: it says so itself in the last line of its pid file."""
        lines = self._pid_file()
        return (
            len(lines) > 7
            and lines[7].strip() == "ready"
            and self.child is not None
            and lines[0] == str(self.child.pid)
        )

    def _pid_file(self) -> list[str]:
        try:
            return (self.data / "postmaster.pid").read_text().splitlines()
        except OSError:
            return []

    def _stop_left_over(self) -> None:
        """Stop the server of a killed keeper, and forget its pid file when the id meanwhile belongs to somebody else.

        PostgreSQL removes a pid file of a dead process itself, but refuses to start while another process of the same
        user has that id, as happens after a reboot. The file is removed only when no process works in the data folder,
        because it is also what keeps two servers from one cluster.
        """
        lines = self._pid_file()
        if not lines or not lines[0].isdigit():
            return
        pid = int(lines[0])
        if process.alive(pid) and self._works_here(pid):
            process.stop_stranger(pid, _STOP)
        # Backends notice within moments that their server died.
        if process.wait_until(lambda: not self._anyone_works_here(), 10.0):
            (self.data / "postmaster.pid").unlink(missing_ok=True)

    def _works_here(self, pid: int) -> bool:
        """Whether the process has the cluster as its working folder, as PostgreSQL's processes do."""
        try:
            return Path(f"/proc/{pid}/cwd").readlink() == self.data
        except FileNotFoundError:
            if Path("/proc/self").exists():
                return False
        except OSError:
            return False
        command = ["/bin/ps", "-o", "command=", "-p", str(pid)]  # no /proc: macOS
        return str(self.data) in process.output(command)

    def _anyone_works_here(self) -> bool:
        pids = [int(path.name) for path in Path("/proc").glob("[0-9]*")]
        return any(self._works_here(pid) for pid in pids)


def _user_name() -> str:
    """Return the system's name of this user, which peer authentication goes by."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        raise ServiceError(
            f"The user id {os.geteuid()} has no name on this system, and PostgreSQL does not start for such a user. "
            "Use one with a name, or set DATABASE_URL and REDIS_URL."
        ) from None
