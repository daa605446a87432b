"""Installations of their own for the tests of services and launcher."""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from crmsync_site.embedded import preparation, services
from crmsync_site.embedded.files import write_private
from crmsync_site.launcher import static_files
from tests.crmsync_site.shell import PROJECT, environment, processes_of, wait_until


@pytest.fixture
def empty_var() -> Iterator[Path]:
    """An empty CRMSYNC_VAR with a short path; every process that still belongs to it in the end is killed."""
    folder = Path(tempfile.mkdtemp(prefix="t-", dir=os.environ["CRMSYNC_TEST_VAR"]))
    try:
        yield folder
    finally:
        wait_until(lambda: not kill_processes_of(folder))
        shutil.rmtree(folder, ignore_errors=True)


def kill_processes_of(folder: Path) -> bool:
    """Kill what belongs to `folder` (again, if it started something meanwhile); return whether there was anything."""
    found = processes_of(folder)
    for pid in found:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return bool(found)


def made_once(name: str, make: Callable[[Path], object]) -> Path:
    """Return a folder that `make` filled, once for all processes of a parallel run; it goes with the session's own."""
    folder = Path(os.environ["CRMSYNC_TEST_VAR"]) / name
    with Path(f"{folder}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "done").exists():
            folder.mkdir()
            make(folder)
            (folder / "done").touch()
    return folder


@pytest.fixture(scope="session")
def cluster() -> Path:
    """The data of a PostgreSQL that was started once and stopped: making it anew takes longer than most tests."""

    def make(folder: Path) -> None:
        with services.using(folder, ("postgres",), volatile=True):
            pass

    return made_once("cluster", make) / "postgres"


@pytest.fixture
def var(empty_var: Path, cluster: Path) -> Path:
    """A CRMSYNC_VAR whose servers were started before."""
    subprocess.run(["cp", "-a", cluster, empty_var], check=True)
    return empty_var


@pytest.fixture(scope="session")
def installation() -> Path:
    """An installation that is migrated and has its static files: what every launcher would otherwise do first."""

    def make(folder: Path) -> None:
        for words in ("prepare", "collectstatic --noinput --verbosity=0"):
            command: list[str | Path] = [sys.executable, PROJECT / "manage.py", *words.split()]
            subprocess.run(command, env=environment(folder), check=True, capture_output=True)

    return made_once("installation", make)


@pytest.fixture
def install(installation: Path) -> Callable[[Path], None]:
    """Make a folder a copy of the installation."""

    def copy(var: Path) -> None:
        subprocess.run(["cp", "-a", f"{installation}/.", var], check=True)
        write_private(var / preparation.MARK, preparation._fingerprint(var))
        write_private(var / static_files.MARK, static_files._fingerprint())

    return copy


@pytest.fixture
def manage(empty_var: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run `manage.py ARGUMENTS` as in a shell of its own with this CRMSYNC_VAR."""

    def run(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        command: list[str | Path] = [sys.executable, PROJECT / "manage.py", *arguments]
        return subprocess.run(
            command, env=environment(empty_var, **more), capture_output=True, text=True, timeout=120, check=False
        )

    return run
