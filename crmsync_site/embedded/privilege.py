"""Who the servers run as: this user, or, when this is root (whom PostgreSQL refuses), the unprivileged `nobody`.

No system user is made and no permission is widened. A server that has to pass a closed folder on the way to its data
(a home of root's, a 0700 CRMSYNC_VAR) gets one capability for that, CAP_DAC_READ_SEARCH, which setpriv(1) makes ambient.
"""

import ctypes
import os
import pwd
import shutil
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from crmsync_site.embedded.errors import ServiceError

_UNPRIVILEGED = 65534  # nobody and nogroup on every common system
# Bits of capabilities(7). Containers often lack the first; the second is stronger and does as well.
_CAPABILITIES = {"dac_read_search": 2, "dac_override": 1}
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Account:
    """The user a server runs as, and how a command is started as that user."""

    uid: int
    gid: int
    prefix: tuple[str, ...] = ()

    @property
    def own(self) -> bool:
        """Whether this is simply the user of this process."""
        return not self.prefix


def account_for(data: Path, sockets: Path) -> Account:
    """Return the account for a server with its data in `data` and its socket in `sockets` (which need not exist yet).

    As root it is the owner of the data where that is somebody else, otherwise nobody. Raises `ServiceError` when root
    can neither reach the data as that user nor lend the capability.
    """
    if os.geteuid() != 0:
        return Account(os.geteuid(), os.getegid())
    uid, gid = _unprivileged()
    if data.exists() and data.stat().st_uid != 0:
        uid, gid = data.stat().st_uid, data.stat().st_gid
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise ServiceError(
            "PostgreSQL does not run as root and setpriv (package util-linux) is missing, so it cannot be started as "
            "another user. Run crmsync as an ordinary user, or set DATABASE_URL and REDIS_URL."
        )
    prefix = [setpriv, f"--reuid={uid}", f"--regid={gid}", "--clear-groups"]
    closed = next((path for path in (data.parent, sockets.parent) if not reachable(path, uid, gid)), None)
    if closed is not None:
        capability = next((name for name, bit in _CAPABILITIES.items() if _capable(bit)), None)
        if capability is None:
            raise ServiceError(
                f"As root crmsync starts its servers as an unprivileged user, who cannot reach {closed}, and this "
                "system does not allow to lend CAP_DAC_READ_SEARCH. Put CRMSYNC_VAR into a folder that others may "
                "pass, run crmsync as an ordinary user, or set DATABASE_URL and REDIS_URL."
            )
        prefix += [f"--inh-caps=+{capability}", f"--ambient-caps=+{capability}"]
    return Account(uid, gid, (*prefix, "--"))


def reachable(path: Path, uid: int, gid: int) -> bool:
    """Whether the user may pass every folder down to and including `path`, going by the permission bits."""
    for folder in (path, *path.parents):
        try:
            found = folder.stat()
        except FileNotFoundError:
            continue
        bit = 0o100 if found.st_uid == uid else 0o010 if found.st_gid == gid else 0o001
        if not found.st_mode & bit:
            return False
    return True


def dies_with_parent(how: signal.Signals) -> Callable[[], None] | None:
    """Return a `preexec_fn` that has the child sent `how` when its parent dies, or None where the system has no such thing."""
    try:
        prctl = ctypes.CDLL(None, use_errno=True).prctl
    except (OSError, AttributeError):
        return None
    return lambda: prctl(_PR_SET_PDEATHSIG, int(how), 0, 0, 0) and None


def _unprivileged() -> tuple[int, int]:
    """Return uid and gid of nobody. initdb looks the user up, so it has to be one that the system knows."""
    try:
        found = pwd.getpwnam("nobody")
    except KeyError:
        return _UNPRIVILEGED, _UNPRIVILEGED
    return found.pw_uid, found.pw_gid


def _capable(bit: int) -> bool:
    """Whether this process holds the capability, so that it may lend it."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return False
    permitted = next((line.split()[1] for line in status.splitlines() if line.startswith("CapPrm:")), "0")
    return bool(int(permitted, 16) >> bit & 1)
