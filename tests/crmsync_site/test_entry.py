"""manage.py makes ready what a command needs, once, and says so on stderr only."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from django.contrib.auth.hashers import Argon2PasswordHasher

from crmsync_site.embedded import addresses, preparation, services
from crmsync_site.embedded.entry import needs_services
from tests.crmsync_site.shell import PROJECT, environment, processes_of

Manage = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.mark.parametrize(
    ("typed", "needed"),
    [
        ("", False),
        ("help", False),
        ("--version", False),
        ("sync_status --help", False),
        ("makemigrations --check", False),
        ("collectstatic", False),
        ("sandbox --port 0", False),
        ("run", False),
        ("check --deploy", False),
        ("check --database default", True),
        ("migrate", True),
        ("sync_status --json", True),
        ("rqworker sync", True),
    ],
)
def test_only_commands_that_touch_database_or_queue_start_servers(typed: str, needed: bool) -> None:
    assert needs_services(["manage.py", *typed.split()]) is needed


@pytest.mark.slow
def test_two_first_commands_make_one_installation_and_the_next_finds_it(empty_var: Path, manage: Manage) -> None:
    command: list[str | Path] = [sys.executable, PROJECT / "manage.py", "dumpdata", "security.user"]
    pair = [
        subprocess.Popen(command, env=environment(empty_var), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    answers = [process.communicate(timeout=120) for process in pair]
    assert [process.returncode for process in pair] == [0, 0], answers
    (user,) = json.loads(answers[0][0])
    assert json.loads(answers[1][0]) == [user]
    password = (empty_var / "admin-password").read_text().strip()
    assert (user["fields"]["username"], user["fields"]["is_superuser"]) == ("admin", True)
    assert Argon2PasswordHasher().verify(password, user["fields"]["password"])
    assert [password in errors for _, errors in answers].count(True) == 1
    assert (empty_var / "admin-password").stat().st_mode & 0o777 == 0o600
    assert processes_of(empty_var) == {}

    again = manage("dumpdata", "security.user")
    assert (again.returncode, again.stderr, json.loads(again.stdout)) == (0, "", [user])

    # New code has new migrations: the mark does not fit, the work is done again, the administrator stays.
    (empty_var / "prepared").write_text("other code")
    newer = manage("dumpdata", "security.user")
    assert (newer.returncode, newer.stderr, json.loads(newer.stdout)) == (0, "", [user])
    assert (empty_var / "prepared").read_text() != "other code"
    assert (empty_var / "admin-password").read_text().strip() == password


def test_an_administrator_may_keep_migrations_to_himself(manage: Manage) -> None:
    done = manage("showmigrations", "security", CRMSYNC_AUTO_MIGRATE="0")
    assert done.returncode == 0, done.stderr
    assert "[ ] 0001_initial" in done.stdout


def test_a_database_that_cannot_be_reached_is_told_in_words(manage: Manage) -> None:
    done = manage("showmigrations", DATABASE_URL="postgres://u:geheim@127.0.0.1:1/x", REDIS_URL="redis://127.0.0.1:1")
    assert done.returncode == 1
    assert "The database cannot be reached" in done.stderr
    assert "Traceback" not in done.stderr
    assert "geheim" not in done.stderr


def test_servers_that_do_not_start_are_told_in_words(empty_var: Path, manage: Manage) -> None:
    (empty_var / "postgres").mkdir()
    (empty_var / "postgres" / "PG_VERSION").write_text("9.6\n")
    done = manage("showmigrations")
    assert done.returncode == 1
    assert "written by PostgreSQL 9.6" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_command_without_need_starts_nothing(empty_var: Path, manage: Manage) -> None:
    assert manage("check").returncode == 0
    assert not (empty_var / "services.lock").exists()


def test_a_database_that_was_made_again_is_prepared_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    (tmp_path / "postgres").mkdir()
    version = tmp_path / "postgres" / "PG_VERSION"
    version.write_text("18\n")
    before = preparation._fingerprint(tmp_path)
    assert preparation._fingerprint(tmp_path) == before
    version.rename(version.with_name("old"))
    version.write_text("18\n")
    assert preparation._fingerprint(tmp_path) != before
    monkeypatch.setenv("DATABASE_URL", "postgres://db.example.org/crmsync")
    assert preparation._fingerprint(tmp_path) != before


@pytest.mark.slow
def test_a_dump_made_through_services_can_be_restored(
    empty_var: Path, install: Callable[[Path], None], manage: Manage, tmp_path: Path
) -> None:
    """The commands of docs/operations.md for backup, restore and a new PostgreSQL."""
    install(empty_var)
    dump = tmp_path / "crmsync.dump"
    with services.using(empty_var, ("postgres", "valkey"), volatile=True):
        done = manage("services", "pg_dump", "--format", "custom", "--file", str(dump))
        assert done.returncode == 0, done.stderr
        assert manage("services", "psql", "-c", "UPDATE security_user SET username = 'lost'").returncode == 0
        done = manage("services", "pg_restore", "--clean", "--if-exists", "--dbname", "crmsync", str(dump))
        assert done.returncode == 0, done.stderr
        assert user_names(empty_var) == ["admin"]

    shutil.rmtree(empty_var / "postgres")
    with services.using(empty_var, ("postgres", "valkey"), volatile=True):
        done = manage("services", "pg_restore", "--dbname", "crmsync", str(dump), CRMSYNC_AUTO_MIGRATE="0")
        assert done.returncode == 0, done.stderr
        assert user_names(empty_var) == ["admin"]
        assert manage("showmigrations").stderr == ""
        assert user_names(empty_var) == ["admin"]


def test_services_tells_where_they_are_and_passes_the_exit_code_on(var: Path, manage: Manage) -> None:
    with services.using(var, ("postgres", "valkey"), volatile=True):
        where = json.loads(manage("services", CRMSYNC_AUTO_MIGRATE="0").stdout)
        assert where["embedded"] == ["postgres", "valkey"]
        assert where["PGHOST"] == str(var / "run" / "postgres")
        assert manage("services", "no-such-program", CRMSYNC_AUTO_MIGRATE="0").returncode == 1
        assert manage("services", "sh", "-c", "exit 7", CRMSYNC_AUTO_MIGRATE="0").returncode == 7


def user_names(var: Path) -> list[str]:
    host = str(addresses.postgres_folder(var))
    with psycopg.connect(host=host, user="crmsync", dbname="crmsync") as database:
        return [name for (name,) in database.execute("SELECT username FROM security_user")]
