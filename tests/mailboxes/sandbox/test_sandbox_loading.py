"""Folders of files into a mailbox, the sandbox's own pages, and `manage.py sandbox` as a process."""

import base64
import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from mailboxes.management.commands.sandbox import Command
from mailboxes.sandbox.loaders import load_folder, split_mbox
from mailboxes.sandbox.server import SandboxServer
from mailboxes.sandbox.store import SandboxStore
from tests.mailboxes.sandbox.wire import ANNA, BEN, ENVELOPE, mail, over_http, signed

PROJECT = Path(__file__).resolve().parents[3]


def corpus(folder: Path) -> Path:
    """Write a folder with something of every kind."""
    (folder / "deep").mkdir(parents=True)
    (folder / "a.eml").write_bytes(mail("one"))
    (folder / "deep" / "B.EML").write_bytes(b"\x00\xff not a message")
    (folder / "c.mbox").write_bytes(
        b"From a@b Fri Nov 20 09:30:00 2026\n"
        + mail("two").replace(b"\r\n", b"\n")
        + b">From the start\n\nFrom a@b x\n"
        + mail("three")
    )
    (folder / "d.ics").write_bytes(
        b"BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nUID:1\r\nDTSTART:20261124T100000Z\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
    )
    (folder / "e.ics").write_bytes(b"nonsense")
    (folder / "f.vcf").write_bytes(b"BEGIN:VCARD\r\nVERSION:3.0\r\nN:Q;Zoe\r\nFN:Zoe Q\r\nEND:VCARD\r\n")
    (folder / "notes.txt").write_text("not mail")
    return folder


def test_a_folder_is_loaded_message_by_message(store: SandboxStore, tmp_path: Path) -> None:
    loaded = load_folder(store, corpus(tmp_path / "mail"), ANNA)
    assert (loaded.messages, loaded.unreadable, loaded.ignored, loaded.known) == (5, 1, 1, 0)
    assert (loaded.appointments_and_tasks, loaded.contacts) == (1, 1)
    raws = [item.content.raw for item in store.folder(ANNA, "inbox").items.values()]
    assert b"\x00\xff not a message" in raws
    assert b"nonsense" in raws
    assert raws[0] == mail("one")
    times = {
        item.received for item in store.folder(ANNA, "inbox").items.values() if b"one" in (item.content.raw or b"")
    }
    assert times == {1795163400}


def test_loading_again_adds_only_what_is_new(store: SandboxStore, tmp_path: Path) -> None:
    folder = corpus(tmp_path / "mail")
    load_folder(store, folder, ANNA)
    (folder / "new.eml").write_bytes(mail("new"))
    again = load_folder(store, folder, ANNA)
    assert (again.messages, again.known) == (1, 6)
    assert load_folder(store, folder, BEN).messages == 6


def test_what_is_no_folder_cannot_be_loaded(store: SandboxStore, tmp_path: Path) -> None:
    with pytest.raises(NotADirectoryError):
        load_folder(store, tmp_path / "none", ANNA)


@pytest.mark.parametrize(
    ("data", "count"),
    [
        (b"", 0),
        (b"\n\n", 0),
        (mail(), 1),
        (b"From x\n" + mail() + b"\nFrom the hip\n\nFrom y\n" + mail(), 3),
        (b"From x\nA: b\n\nline\nFrom here on\n", 1),
    ],
)
def test_an_mbox_is_split_where_messages_begin(data: bytes, count: int) -> None:
    assert len(list(split_mbox(data))) == count


@pytest.mark.slow
def test_ten_thousand_messages_load_in_seconds(store: SandboxStore, tmp_path: Path) -> None:
    body = "A line of text like any other.\r\n" * 300
    with (tmp_path / "big.mbox").open("wb") as file:
        for number in range(10_000):
            file.write(b"From x\n" + mail(f"Message {number}", number=number, text=body) + b"\n")
    begun = time.process_time()
    assert load_folder(store, tmp_path, ANNA).messages == 10_000
    assert time.process_time() - begun < 10


# -- the sandbox's own pages


def test_the_pages_tell_mailboxes_counts_and_outgoing_mail(store: SandboxStore, server: SandboxServer) -> None:
    store.deliver_mime(ANNA, mail())
    store.deliver_mime(ANNA, mail(number=2), folder="sentitems")
    store.deliver_mime(ANNA, mail(number=3), folder="drafts")
    told = json.loads(over_http(server, "GET", "/_/mailboxes")[2])
    assert told[0] == {"address": ANNA, "password": "anna-pw", "messages": 2}
    get = (
        ENVELOPE
        % (
            "",
            "<m:GetFolder><m:FolderShape><t:BaseShape>IdOnly</t:BaseShape></m:FolderShape><m:FolderIds>"
            f'<t:DistinguishedFolderId Id="inbox"><t:Mailbox><t:EmailAddress>{ANNA}</t:EmailAddress></t:Mailbox></t:DistinguishedFolderId>'
            "</m:FolderIds></m:GetFolder>",
        )
    ).encode()
    over_http(server, "POST", "/EWS/Exchange.asmx", get, **signed("crmsync@sandbox.example"))
    over_http(server, "POST", "/EWS/Exchange.asmx", get)
    counts = json.loads(over_http(server, "GET", "/_/requests")[2])
    assert (counts["total"], counts["operations"], counts["mailboxes"]) == (
        1,
        {"GetFolder": 1},
        {ANNA: {"GetFolder": 1}},
    )
    assert counts["statuses"] == {"200": 1, "401": 1}
    assert counts["cpu_s"] > 0
    assert server.requests.total == 1
    over_http(server, "POST", "/_/requests/reset")
    assert json.loads(over_http(server, "GET", "/_/requests")[2])["total"] == 0


def test_a_message_can_be_delivered_from_outside(store: SandboxStore, server: SandboxServer) -> None:
    wanted = {
        "from": "Zoe <zoe@outside.example>",
        "to": [ANNA, "x@outside.example"],
        "subject": "¡Hola!",
        "text": "Bon dia",
    }
    status, _, body = over_http(server, "POST", "/_/deliver", json.dumps(wanted).encode())
    (item_id,) = json.loads(body)["ids"]
    assert status == 200
    raw = {"to": ANNA, "mime": base64.b64encode(mail("raw")).decode()}
    (item_id,) = json.loads(over_http(server, "POST", "/_/deliver", json.dumps(raw).encode())[2])["ids"]
    assert store.item(item_id).content.raw == mail("raw")
    assert json.loads(over_http(server, "GET", "/_/outbound")[2])[0]["recipient"] == "x@outside.example"


@pytest.mark.parametrize("body", [b"{}", b"[]", b"nonsense", b'{"to": "a@b", "mime": "%%"}'])
def test_a_delivery_that_makes_no_sense_is_refused(server: SandboxServer, body: bytes) -> None:
    status, _, answer = over_http(server, "POST", "/_/deliver", body)
    assert status == 400
    assert json.loads(answer)["error"]


def test_a_server_for_other_machines_says_so(store: SandboxStore, caplog: pytest.LogCaptureFixture) -> None:
    with SandboxServer(store, host="0.0.0.0"):
        assert "other machines" in caplog.text
    assert "teaching and testing" in caplog.text


# -- the command


class Sandbox:
    """`manage.py sandbox` as a process."""

    def __init__(self, *arguments: str | Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, PROJECT / "manage.py", "sandbox", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=PROJECT,
            env={name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"},
        )

    def ready(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.process.communicate()[1]
        return dict(json.loads(line))

    def end(self, how: int = signal.SIGTERM) -> tuple[int, str, str]:
        self.process.send_signal(how)
        out, err = self.process.communicate(timeout=30)
        return self.process.returncode, out, err

    def result(self) -> tuple[int, str, str]:
        out, err = self.process.communicate(timeout=60)
        return self.process.returncode, out, err


@pytest.fixture
def sandboxes() -> Iterator[list[Sandbox]]:
    started: list[Sandbox] = []
    yield started
    for one in started:
        if one.process.poll() is None:
            one.process.kill()
        one.process.communicate()


@pytest.mark.slow
def test_the_command_serves_loads_and_keeps_its_state(sandboxes: list[Sandbox], tmp_path: Path) -> None:
    state, folder = tmp_path / "var" / "state", corpus(tmp_path / "mail")
    arguments = ("--json", "--empty", "--state", state, "--load", folder, "--mailbox", "zoe@sandbox.example:pw:1")
    sandboxes.append(Sandbox(*arguments))
    ready = sandboxes[-1].ready()
    assert ready["loaded"]["messages"] == 5
    boxes = {one["address"]: one for one in ready["mailboxes"]}
    assert set(boxes) == {"crmsync@sandbox.example", "zoe@sandbox.example", "import@sandbox.example"}
    assert boxes["zoe@sandbox.example"]["password"] == "pw:1"
    assert boxes["import@sandbox.example"]["messages"] == 5
    code, out, _ = sandboxes[-1].end()
    assert (code, out) == (0, ""), "one JSON document and nothing else"
    assert state.exists()
    sandboxes.append(Sandbox(*arguments))
    again = sandboxes[-1].ready()
    assert again["loaded"]["known"] == 6
    assert {one["address"]: one for one in again["mailboxes"]} == boxes
    assert again["service_account"] == ready["service_account"]
    assert sandboxes[-1].end(signal.SIGINT)[0] == 0


@pytest.mark.slow
def test_the_command_brings_the_demo_and_speaks_to_people(sandboxes: list[Sandbox]) -> None:
    sandboxes.append(Sandbox())
    assert sandboxes[-1].process.stdout is not None
    lines = [sandboxes[-1].process.stdout.readline() for _ in range(3)]
    assert lines[0].startswith("Sandbox Exchange, a teaching and testing server: http://127.0.0.1:")
    assert "password demo" in lines[1] + lines[2]
    assert sandboxes[-1].end()[0] == 0


def test_the_command_can_do_without_change_counters(sandboxes: list[Sandbox]) -> None:
    sandboxes.append(Sandbox("--json", "--empty", "--no-counters", "--mailbox", f"{ANNA}:anna-pw"))
    url = sandboxes[-1].ready()["url"]
    assert url.startswith("http://127.0.0.1:")
    assert sandboxes[-1].end()[0] == 0


def test_the_command_runs_in_this_process_too(tmp_path: Path, server: SandboxServer) -> None:
    """The same as above, seen by the debugger and the coverage: SIGTERM ends it, handlers are put back."""
    state, out, err = tmp_path / "state", io.StringIO(), io.StringIO()
    before = signal.getsignal(signal.SIGTERM)

    def end() -> None:
        while "\n" not in out.getvalue():
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGTERM)

    for options in (("--json",), ()):
        out.truncate(0)
        threading.Thread(target=end, daemon=True).start()
        folder = corpus(tmp_path / "mail") if not state.exists() else tmp_path / "mail"
        arguments = (
            "--empty",
            "--state",
            str(state),
            "--load",
            str(folder),
            "--mailbox",
            f"{ANNA}:pw",
            "--pulse",
            "30",
        )
        call_command("sandbox", *arguments, *options, stdout=out, stderr=err)
        assert "/EWS/Exchange.asmx" in out.getvalue()
    assert f"{ANNA}  password pw  0 messages" in out.getvalue()
    assert signal.getsignal(signal.SIGTERM) is before
    assert "stopping" in err.getvalue()
    for wrong, text in ((("--port", str(server.port)), "cannot listen"), (("--pulse", "0"), "above 0")):
        with pytest.raises(CommandError, match=text):
            call_command("sandbox", "--empty", *wrong)


def test_a_state_that_cannot_be_written_at_the_end_is_a_failure(tmp_path: Path) -> None:
    out, folder = io.StringIO(), tmp_path / "var"

    def end() -> None:
        while "\n" not in out.getvalue():
            time.sleep(0.01)
        for one in folder.iterdir():
            one.unlink()
        folder.rmdir()
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=end, daemon=True).start()
    with pytest.raises(CommandError, match="state cannot be written"):
        call_command("sandbox", "--empty", "--json", "--state", str(folder / "state"), stdout=out, stderr=io.StringIO())


def test_wrong_use_ends_the_process_with_two(sandboxes: list[Sandbox]) -> None:
    sandboxes.append(Sandbox("--mailbox", "nonsense"))
    code, out, err = sandboxes[-1].result()
    assert (code, out) == (2, "")
    assert "ADDRESS:PASSWORD" in err
    assert "Traceback" not in err


@pytest.mark.parametrize("arguments", [("--nonsense",), ("--port", "many"), ("--load",), ("surplus",)])
def test_arguments_that_cannot_be_parsed_are_one_document_too(
    arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    for options in (("--json",), ()):
        with pytest.raises(SystemExit) as caught:
            Command().run_from_argv(["manage.py", "sandbox", *options, *arguments])
        said = capsys.readouterr()
        assert caught.value.code == 2
        assert "usage: manage.py sandbox" in said.err
        assert (json.loads(said.out)["error"] == "wrong_use") if options else (said.out == "")


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (("--mailbox", "@:"), 2, "ADDRESS:PASSWORD"),
        (("--port", "99999"), 2, "no port"),
        (("--empty", "--load", "/no/such/folder"), 1, "/no/such/folder"),
        (("--empty", "--mailbox", "a b@c:d"), 1, "no e-mail address"),
        (("--empty", "--state", "/proc/none/state"), 1, "/proc/none"),
    ],
)
def test_wrong_use_and_failure_are_told_apart(arguments: tuple[str, ...], code: int, text: str) -> None:
    with pytest.raises(CommandError, match=text) as caught:
        call_command("sandbox", *arguments)
    assert caught.value.returncode == code


def test_a_damaged_state_ends_the_command(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.write_bytes(b"damaged")
    with pytest.raises(CommandError, match="move it away") as caught:
        call_command("sandbox", "--state", str(state))
    assert str(state) in str(caught.value)
    assert caught.value.returncode == 1
    assert state.read_bytes() == b"damaged"


def test_a_taken_port_ends_the_process_with_one(sandboxes: list[Sandbox], server: SandboxServer) -> None:
    sandboxes.append(Sandbox("--empty", "--port", str(server.port)))
    code, _, err = sandboxes[-1].result()
    assert code == 1
    assert f"port {server.port}" in err
    assert "Traceback" not in err
