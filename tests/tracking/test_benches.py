"""The benches measure what they say: real processes, exact request counts, nothing left behind. Speed is not tested."""

import email.policy
import io
import json
import os
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db import connection

from security.commands import Failed, WrongUse
from tests.crmsync_site.shell import PROJECT
from tracking.benches import children, dispatching, growth, idle, importing, mail, memory, plain, scratch, stored
from tracking.management.commands import bench

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]


@pytest.fixture
def env(process_env, settings, tmp_path):
    """The environment of processes that share this test's database, queue and blobs."""
    settings.BLOB_ROOT = tmp_path / "blobs"
    return {**process_env, "CRMSYNC_BLOBS": str(settings.BLOB_ROOT)}


# -- idle


def test_an_idle_run_is_one_request_and_one_per_folder_without_counters(env, tmp_path):
    found = idle.measure(idle.Options(mailboxes=4, rounds=3), env=env, folder=tmp_path)
    assert found["runs"] == 12
    assert found["requests_per_run"] == 1
    assert found["requests_per_run_5_more"] == 1
    assert found["without_counters"]["followed_folders"] == 2
    assert found["more_folders"] == idle.MORE_FOLDERS == 5
    everything = found["everything_on"]
    assert (everything["followed_folders"], everything["requests_per_run"]) == (idle.TRACKED_FOLDERS + 2, 1)
    assert found["without_counters"]["requests_per_run"] == 2
    # Two for the folders, one for their counters, one for each of the two that are followed.
    assert found["requests_per_full_pass"] == 5
    assert found["cpu_ms_per_run"] > 0
    assert found["plain_exchangelib"]["runs"] == 12
    assert found["plain_exchangelib"]["requests_per_run"] >= 1
    assert found["plain_exchangelib"]["cpu_ms_per_run"] > 0
    assert "plain exchangelib" in idle.table(found)


# -- dispatch, growth, memory


def test_every_mailbox_is_dispatched_once_a_round_and_the_time_is_accounted_for(env, tmp_path):
    found = dispatching.measure(dispatching.Options(mailboxes=12, rounds=2), env=env, folder=tmp_path)
    assert found["requests_per_run"] == 1
    assert len(found["each_round"]) == 2
    assert found["mailboxes_per_s"] > 0
    assert set(found["cpu_ms_per_mailbox"]) == {"workers", "dispatcher", "mail_server", "database", "queue"}
    assert found["cpu_ms_per_mailbox"]["workers"] > 0
    assert found["cpu_ms_per_mailbox"]["database"] > 0
    assert 0 < found["busy"] <= 1
    assert "mailboxes per second" in dispatching.table(found)


def test_both_sides_of_growth_store_what_they_say_and_do_the_same_work(process_env, monkeypatch):
    # What it starts lives in installations of their own, whose environment begins with this process's.
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", process_env["DJANGO_SETTINGS_MODULE"])
    with scratch.installation() as env:
        found = growth.measure(growth.Options(activities=2 * stored.BASE, pairs=1), env=env)
    assert found["activities"] == [stored.BASE, 2 * stored.BASE]
    assert found["stored"]["large"] == {name: 2 * count for name, count in found["stored"]["small"].items()}
    for side in ("small", "large"):
        assert (found[side]["tracked"], found[side]["updated"], found[side]["refused"]) == (70, 20, 10)
        assert found[side]["cpu_ms"] > 0
        assert found[side]["database_ms"] > 0
        assert found[side]["rows_written"] > 300
    assert len(found["ratios"]) == 1
    assert "ratio of CPU and database time" in growth.table(found)


def test_the_changes_of_growth_are_the_same_every_time_and_never_twice():
    assert growth.changes(3) == growth.changes(3)
    ids = [
        email.message_from_bytes(raw, policy=email.policy.default)["Message-ID"]
        for number in range(10)
        for raw in growth.changes(number)
    ]
    assert len(set(ids)) == len(ids) == 10 * growth.CHANGES


def test_a_worker_is_weighed_while_all_kinds_flow(env, tmp_path):
    found = memory.measure(memory.Options(mailboxes=4, first=8, runs=16), env=env, folder=tmp_path)
    assert [one["runs"] for one in found["each"]] == [8, 16]
    assert 20 < found["pss_mb"] < 1_000
    assert found["growth_mb"] == pytest.approx(found["each"][1]["pss_mb"] - found["each"][0]["pss_mb"], abs=0.06)
    assert found["happened"]["messages tracked"] > 12
    assert found["happened"]["entries linked"] >= 8
    assert "after" in memory.table(found)


def test_a_process_that_is_gone_weighs_nothing_and_says_so():
    with pytest.raises(children.ChildFailed, match="is gone"):
        children.weight_mb(_no_process())


# -- import


def test_both_sides_of_an_import_read_every_message(env, tmp_path):
    found = importing.measure(importing.Options(messages=60, rounds=2), env=env, folder=tmp_path)
    assert found["messages"] == found["mail"]["messages"] == found["stored"]["bodies"] == 60
    assert [one["messages"] for side in ("ours", "plain") for one in found["each_round"][side]] == [60] * 4
    assert found["ratio"] == pytest.approx(found["stored_per_s"] / found["plain_fetch_per_s"], rel=0.05)
    assert found["met"] == (found["ratio"] >= 1)
    assert found["stored"]["attachments"]["count"] == sum(raw.count(b"filename=") for raw in mail.messages(60))
    assert found["stored"]["attachments"]["bytes"] == sum(_attached_bytes(raw) for raw in mail.messages(60))
    for side in ("ours", "plain"):
        assert found["cpu_ms_per_message"][side] > 0
        assert found["server_cpu_ms_per_message"][side] >= 0
    assert "plain exchangelib, fetched" in importing.table(found)


def _attached_bytes(raw: bytes) -> int:
    message = email.message_from_bytes(raw, policy=email.policy.default)
    return sum(len(part.get_payload(decode=True)) for part in message.iter_attachments())


def test_any_server_can_be_measured_and_its_cpu_is_then_unknown(env, tmp_path):
    files = tmp_path / "mail"
    files.mkdir()
    for number, raw in enumerate(mail.messages(5, attachments=False)):
        (files / f"{number}.eml").write_bytes(raw)
    with children.sandbox(
        env, "--mailbox", "me@elsewhere.example:secret", "--load", str(files), "--into", "me@elsewhere.example"
    ) as server:
        options = importing.Options(
            rounds=1, url=server.url, address="me@elsewhere.example", username="me@elsewhere.example", password="secret"
        )
        found = importing.measure(options, env=env, folder=tmp_path)
    assert found["messages"] == 5
    assert found["server_cpu_ms_per_message"] == {"ours": None, "plain": None}
    assert found["mail"] is None
    assert " -\n" in importing.table(found)


def test_a_refused_password_is_said_and_ends_the_bench(env, tmp_path):
    with children.sandbox(env, "--mailbox", "me@elsewhere.example:secret") as server:
        options = importing.Options(
            rounds=1, url=server.url, address="me@elsewhere.example", username="me@elsewhere.example", password="wrong"
        )
        with pytest.raises(children.ChildFailed, match="cannot be read: sign_in_refused"):
            importing.measure(options, env=env, folder=tmp_path)
        with pytest.raises(children.ChildFailed, match="Plain exchangelib failed"):
            children.plain(
                "fetch", server.url, "basic", "me@elsewhere.example", "me@elsewhere.example", password="wrong"
            )


# -- mail


def test_mail_is_the_same_every_time_and_has_the_sizes_it_states():
    mails = list(mail.messages(200))
    assert mails[:50] == list(mail.messages(50))
    sizes = mail.describe(mails)
    assert sizes.messages == 200
    assert 0.14 < sizes.with_attachments < 0.3
    assert 4 < sizes.median_kb < 12
    parsed = [email.message_from_bytes(raw, policy=email.policy.default) for raw in mails]
    assert len({message["Message-ID"] for message in parsed}) == 200
    assert not any(message.defects for message in parsed)
    assert any(message["In-Reply-To"] for message in parsed)
    assert any(not str(message["Subject"]).isascii() for message in parsed)
    assert mail.describe(mail.messages(50, attachments=False)).with_attachments == 0


# -- the command and its scratch installation


def test_the_command_answers_one_document_and_leaves_nothing_behind(process_env):
    command = [sys.executable, "manage.py", "bench", "idle", "--mailboxes=1", "--runs=1", "--json"]
    with subprocess.Popen(
        command, cwd=PROJECT, env=process_env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        answer, notes = process.communicate()
    assert process.returncode == 0, notes
    found = json.loads(answer)
    assert (found["bench"], found["runs"], found["requests_per_run"]) == ("idle", 1, 1)
    assert not _scratch_of(process.pid)


def _scratch_of(pid: int) -> set[str]:
    return {name for name in _databases() if name.startswith(f"bench_{pid}_")}


def _databases() -> set[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT datname FROM pg_database")
        return {row[0] for row in cursor.fetchall()}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["idle", "--messages=5"], "no option of bench idle"),
        (["import", "--runs=5"], "no option of bench import"),
        (["import", "--messages=0"], "at least 1"),
        (["import", "--ews=https://mail.example/EWS/Exchange.asmx"], "belong together"),
        (["import", "--ews=https://mail.example/E", "--username=DOMAIN\\me"], "--address is needed"),
        (["import", "--ews=https://mail.example/E", "--username=me@mail.example", "--messages=5"], "all of its Inbox"),
        (["idle", "--here"], "the data of this installation"),
        (["dispatch", "--pairs=2"], "no option of bench dispatch"),
        (["memory", "--mailboxes=0"], "at least 1"),
        (["growth", "--activities=12345"], "a multiple of 10000"),
        (["growth", "--side=small"], "the data of this installation"),
        (["nonsense"], "invalid choice"),
    ],
)
def test_what_makes_no_sense_is_wrong_use(arguments, message):
    with pytest.raises(WrongUse, match=message):
        call_command("bench", *arguments)


def test_the_password_comes_from_a_file_or_standard_input(monkeypatch, tmp_path):
    file = tmp_path / "password"
    file.write_text("secret\n")
    assert bench._password({"password_file": file, "username": "me"}) == "secret"
    with pytest.raises(Failed, match="cannot be read"):
        bench._password({"password_file": tmp_path / "none", "username": "me"})
    read, write = os.pipe()
    os.write(write, b"other\n")
    os.close(write)
    with os.fdopen(read) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        assert bench._password({"password_file": None, "username": "me"}) == "other"


def test_the_options_of_the_command_reach_the_bench(monkeypatch, settings, tmp_path, capsys):
    settings.BLOB_ROOT = tmp_path / "blobs"
    asked = []

    def measure(options, *, env, folder):
        assert folder.is_dir()
        asked.append(options)
        return {"bench": "stub"}

    monkeypatch.setattr(scratch, "is_scratch", lambda: True)
    monkeypatch.setattr(idle, "measure", measure)
    monkeypatch.setattr(importing, "measure", measure)
    call_command("bench", "idle", "--here", "--json", "--mailboxes=4", "--runs=10")
    call_command("bench", "import", "--here", "--json", "--messages=7", "--rounds=2", "--no-attachments")
    with io.StringIO("secret\n") as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        call_command(
            "bench", "import", "--here", "--json", "--ews=https://mail.example/E", "--username=me@mail.example"
        )
    assert asked[0] == idle.Options(mailboxes=4, rounds=3)
    assert asked[1] == importing.Options(messages=7, rounds=2, attachments=False)
    assert asked[2] == importing.Options(
        url="https://mail.example/E", address="me@mail.example", username="me@mail.example", password="secret"
    )


def test_what_the_inner_process_says_is_what_the_command_says(monkeypatch, capsys):
    answers = iter([(0, '{"bench": "idle"}'), (1, '{"error": "failed", "message": "no worker"}'), (1, "")])
    monkeypatch.setattr(bench, "run", lambda command, *, env, given: next(answers))
    monkeypatch.setattr(scratch, "installation", lambda: nullcontext({}))
    call_command("bench", "idle", "--json")
    assert json.loads(capsys.readouterr().out) == {"bench": "idle"}
    with pytest.raises(Failed, match="no worker"):
        call_command("bench", "import", "--messages=5", "--no-attachments")
    with pytest.raises(Failed, match="exit code 1"):
        call_command("bench", "idle")


def test_the_plain_side_counts_what_it_fetches_and_asks_as_often_as_told():
    class Inbox:
        asked = 0

        def all(self):
            return iter(range(7))

        def sync_items(self):
            self.asked += 1
            return iter(())

    inbox = Inbox()
    assert plain.fetch(inbox)["messages"] == 7
    assert plain.idle(inbox, 5)["runs"] == 5
    assert inbox.asked == 6  # once before the clock starts


def test_a_scratch_database_of_a_dead_bench_is_removed_and_a_used_one_is_not(process_env):
    gone = _no_process()
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE bench_{gone}_1")
    with scratch.installation() as env:
        assert not _scratch_of(gone)
        assert len(_scratch_of(os.getpid())) == 1
        assert Path(env["CRMSYNC_BLOBS"]).parent.is_dir()
        assert env["REDIS_URL"] != process_env["REDIS_URL"]
    assert not Path(env["CRMSYNC_BLOBS"]).parent.exists()
    assert not _scratch_of(os.getpid())


def _no_process() -> int:
    return next(pid for pid in range(99_999, 0, -1) if not Path(f"/proc/{pid}").exists())


def test_no_empty_queue_is_a_failure_with_a_reason(monkeypatch):
    monkeypatch.setattr(scratch, "_DATABASES", ())
    with pytest.raises(Failed, match="no empty database"):
        call_command("bench", "idle")


def test_addresses_of_scratch_servers_follow_those_of_the_installation(settings, monkeypatch):
    assert scratch._redis_url("redis://:pw@host:6379/0", 7) == "redis://:pw@host:6379/7"
    assert scratch._redis_url("unix:///run/valkey.sock?db=0", 7) == "unix:///run/valkey.sock?db=7"
    monkeypatch.setitem(connection.settings_dict, "PASSWORD", "p/w")
    assert ":p%2Fw@" in scratch._url_of("bench_1")


def test_a_worker_that_ends_at_once_is_noticed(env):
    with (
        children.worker({**env, "DATABASE_URL": "nonsense"}) as pid,
        pytest.raises(children.ChildFailed, match="has ended"),
    ):
        children.wait_for_worker(pid)


def test_a_process_that_is_gone_has_no_cpu_time():
    with pytest.raises(children.ChildFailed, match="is gone"):
        children.cpu_seconds(_no_process())
