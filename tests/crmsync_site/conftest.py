"""Installations of their own for the tests of services and launcher."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from crmsync_site.embedded import preparation, services
from crmsync_site.embedded.files import write_private
from crmsync_site.launcher import static_files
from tests.crmsync_site.shell import PROJECT, environment, processes_of, wait_until


@pytest.fixture
def empty_var() -> Iterator[Path]:
    """An empty CRMSYNC_VAR with a short path; every process that still belongs to it in the end is killed."""
    folder = Path(tempfile.mkdtemp(prefix="crmsync-t-", dir=Path(os.environ["CRMSYNC_TEST_VAR"]).parent))
    try:
        yield folder
    finally:
        for pid in processes_of(folder):
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not processes_of(folder))
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Path]:
    """The data of a PostgreSQL that was started once and stopped: making it anew takes longer than most tests."""
    folder = Path(tempfile.mkdtemp(prefix="crmsync-c-", dir=Path(os.environ["CRMSYNC_TEST_VAR"]).parent))
    with services.using(folder, ("postgres",), volatile=True):
        pass
    yield folder / "postgres"
    shutil.rmtree(folder)


@pytest.fixture
def var(empty_var: Path, cluster: Path) -> Path:
    """A CRMSYNC_VAR whose servers were started before."""
    subprocess.run(["cp", "-a", cluster, empty_var], check=True)
    return empty_var


@pytest.fixture(scope="session")
def installation() -> Iterator[Path]:
    """An installation that is migrated and has its static files: what every launcher would otherwise do first."""
    folder = Path(tempfile.mkdtemp(prefix="crmsync-i-", dir=Path(os.environ["CRMSYNC_TEST_VAR"]).parent))
    for command in ("prepare", "collectstatic --noinput --verbosity=0"):
        subprocess.run(
            [sys.executable, PROJECT / "manage.py", *command.split()],
            env=environment(folder),
            check=True,
            capture_output=True,
        )
    yield folder
    shutil.rmtree(folder)


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
