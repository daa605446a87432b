"""Workers killed while they send: exactly one of each mail arrives, whatever moment SIGKILL chose.

Everything is real: PostgreSQL, Valkey, a sandbox Exchange spoken to by EWS, a dispatcher and `manage.py rqworker` processes.
Mail is counted where it arrives: in the recipient's mailbox at the sandbox, asked for by EWS as anybody would.
"""

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import pytest
from django.conf import settings as django_settings
from django.utils import timezone

from mailboxes.connection import open_provider
from mailboxes.models import Mailbox, Run, ServerProfile, SyncProfile
from mailboxes.provider.port import Envelope, FolderRole
from mailboxes.states import Auth, Intent, Track
from security import egress
from security.models import User
from tests.proofs.processes import Program, until
from tracking.engine import blobs
from tracking.models import Activity, OutgoingFile, OutgoingMail
from tracking.outgoing import decisions

SENDERS = [f"{name}@kill.example" for name in ("anna", "ben")]
RECIPIENT = "kim@kill.example"
WORKERS = 2
LEASE_SECONDS = 18
MAIL_PER_ROUND = 4


@dataclass
class Sending:
    """An installation whose workers are killed, and the mail that it was given to send."""

    env: dict[str, str]
    logs: Path
    random: Random
    workers: dict[str, Program] = field(default_factory=dict)
    kills: Counter[str] = field(default_factory=Counter)
    started: int = 0
    written: int = 0

    def write(self) -> None:
        """Have each sender write some mail, part of it with a file, and press Send."""
        for mailbox in Mailbox.objects.filter(address__in=SENDERS).select_related("owner"):
            for _each in range(MAIL_PER_ROUND):
                self.written += 1
                now = timezone.now()
                mail = OutgoingMail.objects.create(
                    mailbox=mailbox, author=mailbox.owner, to=[{"email": RECIPIENT, "name": "Kim"}],
                    subject=f"Mail {self.written}", text="Good day", state_since=now, created_at=now,
                )  # fmt: skip
                if self.random.random() < 0.3:
                    data = b"%d" % self.written * 2_000
                    OutgoingFile.objects.create(mail=mail, name="a.bin", size=len(data), sha256=blobs.put(data))
                decisions.send(mail, by=mailbox.owner, now=now)

    def keep_workers(self) -> None:
        """Replace workers that are gone."""
        for name in [name for name, worker in self.workers.items() if not worker.alive]:
            self.workers.pop(name).stop()
        while len(self.workers) < WORKERS:
            self.started += 1
            name = f"sender{self.started}"
            self.workers[name] = Program(self.env, self.logs / f"{name}.log", "rqworker", "--name", name)

    def kill_one(self) -> None:
        """Kill a worker that is sending, a random while after it was seen at it."""
        self.keep_workers()
        self.write()
        name = self._sender()
        time.sleep(self.random.uniform(0, 0.15))
        being_sent = OutgoingMail.objects.filter(state=OutgoingMail.State.SENDING).exists()
        self.workers[name].kill()
        self.kills["while sending" if being_sent else "just after"] += 1

    def _sender(self) -> str:
        end = time.monotonic() + 120
        while time.monotonic() < end:
            sending = OutgoingMail.objects.filter(state=OutgoingMail.State.SENDING).values("mailbox")
            busy = Run.objects.filter(finished_at=None, worker__in=list(self.workers), mailbox__in=sending)
            if name := busy.values_list("worker", flat=True).first():
                return str(name)
            Mailbox.objects.filter(not_before__isnull=False).update(not_before=None)
            time.sleep(0.01)
        raise AssertionError("no worker began to send")

    def settle(self) -> None:
        """Leave the workers in peace until nothing is left to be done."""
        self.keep_workers()
        until(self._quiet, 400, logs=self.logs)

    def _quiet(self) -> bool:
        Mailbox.objects.filter(not_before__isnull=False).update(not_before=None)
        return not OutgoingMail.objects.filter(try_at__isnull=False).exists()

    def check(self) -> None:
        """Assert that each mail arrived once, is tracked once, and that no draft is left."""
        wanted = {f"Mail {n}": 1 for n in range(1, self.written + 1)}
        assert Counter(subjects(RECIPIENT, FolderRole.INBOX)) == wanted
        sent = [each for address in SENDERS for each in subjects(address, FolderRole.SENT)]
        assert Counter(sent) == wanted
        assert [each for address in SENDERS for each in subjects(address, FolderRole.DRAFTS)] == []
        assert Counter(Activity.objects.values_list("subject", flat=True)) == wanted
        states = set(OutgoingMail.objects.values_list("state", "error_code", "text"))
        assert states == {("sent", "", "")}
        assert not OutgoingMail.objects.filter(activity=None).exists()


def subjects(address: str, role: FolderRole) -> list[str]:
    """Return the subjects of what lies in a folder, asked for by EWS."""
    mailbox = Mailbox.objects.select_related("server").get(address=address)
    provider = open_provider(mailbox)
    folder = next(each.id for each in provider.well_known_folders() if each.role is role)
    ids: list[str] = []
    offset: int | None = 0
    while offset is not None:
        part = provider.listing(folder, offset, 500)
        ids += [change.item_id for change in part.changes]
        offset = part.offset
    return [each.subject for each in provider.envelopes(ids) if isinstance(each, Envelope)] if ids else []


@pytest.fixture
def sending(process_env, settings, tmp_path) -> Iterator[Sending]:
    """Two senders and a recipient at a sandbox, a dispatcher, and nobody killed yet."""
    settings.BLOB_ROOT = tmp_path / "blobs"
    logs = tmp_path / "logs"
    logs.mkdir()
    env = process_env | {
        "CRMSYNC_BLOBS": str(tmp_path / "blobs"),
        "CRMSYNC_LEASE_SECONDS": str(LEASE_SECONDS),
        "CRMSYNC_VAR": str(django_settings.VAR),
    }
    boxes = [f"{address}:proof" for address in (*SENDERS, RECIPIENT)]
    with (
        Program(env, logs / "sandbox.log", "sandbox", "--empty", "--json", "--mailbox", *boxes) as sandbox,
        Program(env, logs / "dispatch.log", "dispatch"),
    ):
        ready = sandbox.read_json()
        connect(ready["url"], ready["service_account"])
        found = Sending(env, logs, Random(20260305))
        try:
            yield found
        finally:
            for worker in found.workers.values():
                worker.stop()
    assert "Traceback" not in (logs / "dispatch.log").read_text()


def connect(url: str, account: dict[str, str]) -> None:
    egress.allow(egress.Endpoint.of(url), by="proof", private=True)
    server = ServerProfile.objects.create(
        name="kill", url=url, auth=Auth.BASIC, username=account["address"], secret=account["password"], impersonate=True
    )
    profile = SyncProfile.objects.create(name="proof")
    for address in (*SENDERS, RECIPIENT):
        owner = User.objects.create(username=address.partition("@")[0])
        sends = address in SENDERS
        Mailbox.objects.create(
            address=address, server=server, owner=owner, sync_profile=profile, track=Track.NONE, outgoing=sends,
            intent=Intent.ON if sends else Intent.OFF, due_at=timezone.now(), measured_from=timezone.now(),
        )  # fmt: skip


def kill(sending: Sending, times: int) -> None:
    began = time.monotonic()
    for _each in range(times):
        sending.kill_one()
    killed = time.monotonic()
    sending.settle()
    sending.check()
    assert sending.kills.total() == times
    assert sending.kills["while sending"] >= 0.5 * times
    print(  # noqa: T201 -- figures of the soak
        f"\n{times} kills ({dict(sending.kills)}) in {killed - began:.0f} s, settled in {time.monotonic() - killed:.0f} s; "
        f"{sending.written} mails written and arrived once, {Run.objects.filter(error_code='worker_lost').count()} runs lost "
        "their worker"
    )


@pytest.mark.slow
def test_workers_killed_while_sending_send_each_mail_once(sending) -> None:
    kill(sending, 4)


@pytest.mark.soak
@pytest.mark.slow
def test_a_hundred_workers_killed_while_sending_send_each_mail_once(sending) -> None:
    kill(sending, 100)
