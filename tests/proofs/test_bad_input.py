"""Bad input and bad luck get a clear error and lose nothing, through the commands as administrators type them.

One installation with a PostgreSQL and a Valkey of its own serves all of these tests; every command is a process. Each
failure names what happened, what to do and who can do it; after the repair everything is there, once.
"""

import json
import os
import resource
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.conf import settings as django_settings

from crmsync_site.embedded import addresses
from crmsync_site.embedded.postgres import Postgres
from crmsync_site.embedded.valkey import Valkey
from mailboxes.sandbox.server import SandboxServer
from mailboxes.sandbox.store import SandboxStore
from tests.crmsync_site.shell import PROJECT, environment
from tests.mailboxes.provider.certificates import Authority
from tests.proofs.processes import Program, until
from tests.proofs.stranger import Stranger

pytestmark = pytest.mark.slow

SERVICE = "service@bad.example"
PASSWORD = "hunter2hunter2"
GONE_SECONDS = 3


@dataclass
class Done:
    """How a command ended: exit code, the one document on stdout, and what it said to the person."""

    code: int
    document: dict[str, Any]
    said: str


@dataclass
class Site:
    """An installation, a sandbox that it can reach, and its commands."""

    var: Path
    env: dict[str, str]
    server: SandboxServer
    postgres: Postgres
    valkey: Valkey
    names: int = field(default=0)

    @property
    def store(self) -> SandboxStore:
        """What the sandbox keeps."""
        return self.server.store

    def run(self, *arguments: str, typed: str = "", limit: int | None = None) -> Done:
        """Run a command with --json; `limit` is the most bytes that it may write to one file."""
        done = subprocess.run(
            [sys.executable, PROJECT / "manage.py", *arguments, "--json"],
            env=self.env,
            cwd=PROJECT,
            input=typed,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
            preexec_fn=None if limit is None else lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
        )
        assert "Traceback" not in done.stderr, done.stderr
        assert PASSWORD not in done.stdout + done.stderr
        try:
            document = json.loads(done.stdout)
        except ValueError:
            raise AssertionError(f"stdout is not one document: {done.stdout!r}\n{done.stderr}") from None
        assert isinstance(document, dict)
        return Done(done.returncode, document, done.stderr)

    def connect(self, url: str, *more: str, password: str = PASSWORD, name: str = "") -> str:
        """Connect a server (or change the one of this name) and return its name."""
        self.names += not name
        name = name or f"server {self.names}"
        arguments = ("--ews", url, "--auth", "basic", "--username", SERVICE, "--impersonate", *more)
        done = self.run("connect_server", name, *arguments, typed=password + "\n")
        assert done.code == 0, done
        return name

    def mailbox(self, server: str, *more: str, messages: int = 3, size: int = 10) -> str:
        """Add a mailbox with mail, each with an attachment of `size` bytes; return its address."""
        self.names += 1
        address = f"box{self.names}@bad.example"
        self.store.add_mailbox(address, "proof")
        self.deliver(address, messages, size)
        done = self.run("add_mailbox", address, "--server", server, "--owner", "admin", "--track", "all", *more)
        assert done.code == 0, done
        return address

    def deliver(self, address: str, messages: int, size: int = 10) -> None:
        """Let mail arrive."""
        have = len(self.store.folder(address, "inbox").items)
        for number in range(have, have + messages):
            data = (b"%d of %s " % (number, address.encode())).ljust(size, b"x")
            self.store.deliver_mime(
                address,
                b"From: kim@customer.example\r\nTo: %(to)s\r\nSubject: %(n)d\r\nMessage-ID: <%(n)d.%(to)s>\r\n"
                b"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nText %(n)d\r\n--b\r\n"
                b"Content-Type: application/octet-stream; name=a.bin\r\n\r\n%(data)s\r\n--b--\r\n"
                % {b"to": address.encode(), b"n": number, b"data": data},
            )

    def sync(self, address: str, **options: Any) -> Done:
        """Run sync_mailbox."""
        return self.run("sync_mailbox", address, **options)

    def ask(self, sql: str, *values: Any) -> list[Any]:
        """Look into the database, past all our code."""
        with psycopg.connect(self.env["DATABASE_URL"]) as database:
            return [row if len(row) > 1 else row[0] for row in database.execute(sql, values).fetchall()]

    def assert_everything_once(self, address: str) -> None:
        """Assert that every message of the mailbox is stored exactly once, with its bytes on the disk."""
        wanted = sorted(f"<{n}.{address}>" for n in range(len(self.store.folder(address, "inbox").items)))
        found = self.ask("SELECT message_id FROM tracking_activity WHERE message_id LIKE %s", f"%.{address}>")
        assert sorted(found) == wanted
        files = self.ask(
            "SELECT t.sha256, t.size, t.missing FROM tracking_attachment t JOIN tracking_activity a ON a.id = activity_id "
            "WHERE message_id LIKE %s",
            f"%.{address}>",
        )
        assert len(files) == len(wanted)
        for digest, size, missing in files:
            assert missing == ""
            assert (self.var / "blobs" / digest[:2] / digest[2:]).stat().st_size == size
        assert not self.ask("SELECT id FROM mailboxes_run WHERE finished_at IS NULL")


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """An installation that nobody has used yet: its first command migrates and makes the user `admin`."""
    with tempfile.TemporaryDirectory(prefix="crmsync-b-", dir=Path(django_settings.VAR).parent) as folder:
        var = Path(folder)
        servers = Postgres(var, volatile=True), Valkey(var)
        store = SandboxStore()
        store.add_mailbox(SERVICE, PASSWORD, impersonator=True)
        env = environment(
            var,
            DATABASE_URL=addresses.database_url(var),
            REDIS_URL=addresses.redis_url(var),
            CRMSYNC_LEASE_SECONDS="10",
        )
        with (var / "servers.log").open("wb") as log, SandboxServer(store) as server:
            try:
                for each in servers:
                    each.start(log)
                yield Site(var, env, server, *servers)
            finally:
                for each in servers:
                    each.stop()


@pytest.fixture(autouse=True)
def _no_faults(site) -> Iterator[None]:
    yield
    site.server.faults.clear()


@pytest.fixture(scope="module")
def good(site: Site) -> str:
    """A server that is connected as it should be."""
    return site.connect(site.server.url)


def refused(done: Done, code: str, *words: str, exit_code: int = 1) -> None:
    """Assert that a command failed as `code`, and said these words on stderr and in its document."""
    assert done.code == exit_code, done
    assert done.document["error"] == code, done
    for word in words:
        assert word in done.said, done.said
    assert len(done.said.strip().splitlines()[-1]) > 40


def prevented(done: Done, code: str, *words: str) -> None:
    """Assert that check_mailbox found what prevents syncing, and said what to do."""
    assert (done.code, done.document["ok"]) == (1, False), done
    failed = [step for step in done.document["steps"] if step["verdict"] == "failed"]
    assert code in [step["code"] for step in failed], failed
    assert all(step["sentence"] and step["remedy"] for step in failed), failed
    for word in words:
        assert word in done.said, done.said


@contextmanager
def closed_port() -> Iterator[int]:
    """A port at which nobody listens, and that nobody else gets."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


# -- where the server is ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("url", ["not-an-address", "http://u:p@mail.example/EWS"])
def test_an_address_that_is_none_is_wrong_use(site, url):
    arguments = ("connect_server", "nowhere", "--ews", url, "--auth", "basic", "--username", SERVICE)
    refused(site.run(*arguments, typed=PASSWORD), "wrong_use", exit_code=2)
    assert not site.ask("SELECT id FROM mailboxes_serverprofile WHERE name = 'nowhere'")


def test_an_address_without_ews_is_named_and_after_its_correction_everything_comes(site):
    name = site.connect(site.server.url.replace("Exchange.asmx", "Wrong.asmx"))
    address = site.mailbox(name)
    prevented(site.run("check_mailbox", address), "no_ews_here")
    refused(site.sync(address), "no_ews_here", "check_mailbox")
    site.connect(site.server.url, name=name)
    assert site.sync(address).document["tracked"] == 3
    site.assert_everything_once(address)


def test_a_server_that_is_not_reached_is_named_and_when_it_is_there_everything_comes(site):
    with closed_port() as port:
        name = site.connect(f"http://127.0.0.1:{port}/EWS/Exchange.asmx")
        address = site.mailbox(name)
        refused(site.sync(address), "connection_refused")
    with SandboxServer(site.store, port):
        assert site.sync(address).document["tracked"] == 3
    site.assert_everything_once(address)


def test_a_name_that_is_none_is_named(site):
    name = site.connect("https://no-such-host.invalid/EWS/Exchange.asmx")
    address = site.mailbox(name)
    prevented(site.run("check_mailbox", address), "name_unresolved")


def test_a_certificate_that_nobody_trusts_is_named_and_with_its_authority_everything_comes(site, tmp_path):
    authority = Authority.made()
    context: ssl.SSLContext = authority.context(tmp_path)
    with Stranger(site.server.url, tls=context) as stranger:
        url = stranger.url.replace("127.0.0.1", "localhost")
        name = site.connect(url)
        address = site.mailbox(name)
        prevented(site.run("check_mailbox", address), "certificate_untrusted", "--ca")
        refused(site.sync(address), "certificate_untrusted")
        assert stranger.sign_ins == 0  # nobody saw the password
        (tmp_path / "ca.pem").write_text(authority.pem)
        site.connect(url, "--ca", str(tmp_path / "ca.pem"), name=name)
        assert site.run("check_mailbox", address).document["ok"] is True
        assert site.sync(address).document["tracked"] == 3
    site.assert_everything_once(address)


# -- who signs in, for whom -------------------------------------------------------------------------------------------


def refused_sign_ins(site: Site) -> int:
    return int(site.server.requests.listed()["statuses"].get("401", 0))


def test_a_wrong_password_is_tried_once_and_stops_the_credential_until_a_person_acts(site, tmp_path):
    name = site.connect(site.server.url, password="wrong-password")
    boxes = [site.mailbox(name, "--enable") for _ in range(3)]
    site.server.requests.reset()
    with (
        Program(site.env, tmp_path / "dispatch.log", "dispatch"),
        Program(site.env, tmp_path / "worker.log", "rqworker"),
    ):
        stopped = "SELECT stopped_code FROM mailboxes_serverprofile WHERE name = %s"
        until(lambda: site.ask(stopped, name) == ["sign_in_refused"], 90, logs=tmp_path)
        # Long enough for every mailbox to be handed out, if one were.
        time.sleep(4)
        assert refused_sign_ins(site) == 1
        refused(site.sync(boxes[0]), "sign_in_refused")
        assert refused_sign_ins(site) == 2  # a person asked
        site.connect(site.server.url, name=name)
        until(
            lambda: (
                site.ask("SELECT count(*) FROM tracking_activity WHERE message_id LIKE %s", f"%.{boxes[2]}>") == [3]
            ),
            90,
        )
        for address in boxes:
            site.sync(address)
            site.assert_everything_once(address)
    assert refused_sign_ins(site) == 2


def test_a_mailbox_that_the_server_does_not_know_is_named(site, good):
    done = site.run("add_mailbox", "nobody@bad.example", "--server", good, "--owner", "admin")
    assert done.code == 0
    prevented(site.run("check_mailbox", "nobody@bad.example"), "mailbox_unknown")
    refused(site.sync("nobody@bad.example"), "mailbox_unknown")


def test_an_address_is_added_once(site, good):
    address = site.mailbox(good)
    before = site.ask("SELECT * FROM mailboxes_mailbox WHERE address = %s", address)
    again = site.run("add_mailbox", address.upper(), "--server", good, "--owner", "admin", "--track", "none")
    refused(again, "cannot_add", "has been added already", "Nothing was changed")
    assert site.ask("SELECT * FROM mailboxes_mailbox WHERE address = %s", address) == before


@pytest.mark.parametrize(
    ("server", "owner", "code", "word"),
    [("?", "admin", "server_unknown", "connect_server"), ("", "nobody", "owner_unknown", "administrator")],
)
def test_names_that_nobody_has_are_answered_with_what_to_do(site, good, server, owner, code, word):
    done = site.run("add_mailbox", "new@bad.example", "--server", server or good, "--owner", owner)
    refused(done, code, word)
    assert not site.ask("SELECT id FROM mailboxes_mailbox WHERE address = 'new@bad.example'")


@pytest.mark.parametrize("command", ["sync_mailbox", "check_mailbox"])
def test_a_mailbox_that_was_not_added_is_answered_with_what_to_do(site, command):
    done = site.run(command, "stranger@bad.example")
    assert done.code == 1
    assert "add_mailbox" in done.said
    assert done.document["error"]


# -- the sandbox's own ------------------------------------------------------------------------------------------------


def test_a_corrupt_state_file_is_named_and_kept(site, tmp_path):
    content = b"\x00\xff"
    state = tmp_path / "state"
    state.write_bytes(content)
    done = site.run("sandbox", "--state", str(state))
    assert (done.code, bool(done.document["error"])) == (1, True)
    assert str(state) in done.said
    assert state.read_bytes() == content


def test_a_port_that_is_taken_is_named(site):
    done = site.run("sandbox", "--empty", "--port", str(site.server.port))
    assert (done.code, bool(done.document["error"])) == (1, True)
    assert str(site.server.port) in done.said


# -- our own machine --------------------------------------------------------------------------------------------------


@contextmanager
def full_disk(blobs: Path) -> Iterator[int | None]:
    """Have no room for blobs: a tiny file system where that can be mounted, else a limit to a file's size."""
    blobs.mkdir(exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "crmsync-proof", str(blobs)]
    mounted = os.geteuid() == 0 and subprocess.run(command, capture_output=True, check=False).returncode == 0
    try:
        yield None if mounted else 50_000
    finally:
        if mounted:
            subprocess.run(["umount", str(blobs)], check=True)


def test_a_full_disk_is_named_and_when_there_is_room_everything_comes(site, good):
    address = site.mailbox(good, messages=4, size=60_000)
    with full_disk(site.var / "blobs") as limit:
        for _again in range(2):
            refused(site.sync(address, limit=limit), "disk_full")
        assert not list((site.var / "blobs").rglob(".draft-*"))
    assert site.sync(address).document["tracked"] == 4
    site.assert_everything_once(address)


def gone(site: Site, server: Postgres | Valkey, seconds: float) -> None:
    """Stop a server as an administrator does, and start it again."""
    server.stop()
    time.sleep(seconds)
    with (site.var / "servers.log").open("ab") as log:
        server.start(log)


def test_a_command_says_that_the_database_is_gone_and_the_next_one_goes_on(site, good):
    address = site.mailbox(good, messages=30)
    site.server.faults.add("slow", operation="GetItem", mailbox=address, seconds=2, count=None)
    site.server.requests.reset()
    command = [sys.executable, PROJECT / "manage.py", "sync_mailbox", address, "--json"]
    with subprocess.Popen(command, env=site.env, cwd=PROJECT, stdout=-1, stderr=-1, text=True) as running:
        until(lambda: site.server.requests.count("GetItem", address), 60)
        site.postgres.stop()
        out, said = running.communicate(timeout=120)
    refused(Done(running.returncode, json.loads(out), said), "database_gone")
    assert "Traceback" not in said
    # Nobody can be asked what to do without a database, but it is said.
    refused(site.run("sync_status"), "database_gone")
    with (site.var / "servers.log").open("ab") as log:
        site.postgres.start(log)
    site.server.faults.clear()
    # The run that was cut off is leased for ten seconds; nobody dispatches here, so this command ends it itself.
    done = site.sync(address)
    assert done.code == 0, done
    assert done.document["tracked"] == 30
    site.assert_everything_once(address)


def test_workers_outlive_servers_that_are_gone_in_the_middle_of_a_run(site, good, tmp_path):
    outlive(site, good, tmp_path, "both", GONE_SECONDS)


@pytest.mark.soak
@pytest.mark.parametrize("which", ["postgres", "valkey", "both"])
def test_workers_outlive_servers_that_are_gone_for_a_minute(site, good, tmp_path, which):
    outlive(site, good, tmp_path, which, 60)


def outlive(site: Site, good: str, logs: Path, which: str, seconds: float) -> None:
    """Take servers away in the middle of runs; the same processes go on when they are back."""
    site.server.faults.add("slow", operation="GetItem", seconds=0.5, count=None)
    boxes = [site.mailbox(good, "--enable", messages=60) for _ in range(3)]
    site.server.requests.reset()
    with (
        Program(site.env, logs / "dispatch.log", "dispatch") as dispatcher,
        Program(site.env, logs / "worker.log", "rqworker") as worker,
    ):
        until(lambda: any(site.server.requests.count("GetItem", box) > 1 for box in boxes), 90, logs=logs)
        taken = [each for each in (site.postgres, site.valkey) if which in (each.name, "both")]
        for each in taken:
            each.stop()
        time.sleep(seconds)
        with (site.var / "servers.log").open("ab") as log:
            for each in taken:
                each.start(log)
        site.server.faults.clear()
        until(lambda: all(_stored(site, box) == 60 for box in boxes), 120 + seconds, logs=logs)
        until(lambda: not site.ask("SELECT id FROM mailboxes_run WHERE finished_at IS NULL"), 60, logs=logs)
        for box in boxes:
            site.assert_everything_once(box)
            site.deliver(box, 1)
        site.ask(
            "UPDATE mailboxes_mailbox SET due_at = now(), not_before = NULL WHERE address = ANY(%s) RETURNING id", boxes
        )
        until(lambda: all(_stored(site, box) == 61 for box in boxes), 60, logs=logs)
        assert dispatcher.alive
        assert worker.alive
        # From here on nobody hands them out: the next test has a site of its own.
        site.ask("UPDATE mailboxes_mailbox SET intent = 'off' WHERE address = ANY(%s) RETURNING id", boxes)


def _stored(site: Site, address: str) -> int:
    return int(site.ask("SELECT count(*) FROM tracking_activity WHERE message_id LIKE %s", f"%.{address}>")[0])
