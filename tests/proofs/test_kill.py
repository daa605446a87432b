"""Workers killed at random moments of their runs lose no message and store none twice.

Everything is real: PostgreSQL, Valkey, a sandbox, a dispatcher and `manage.py rqworker` processes of their own. Mail keeps
arriving, part of it in several mailboxes; SIGKILL hits a worker that has begun a run and not ended it.
"""

import base64
import hashlib
import json
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from email.message import EmailMessage
from pathlib import Path
from random import Random
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import pytest
from django.conf import settings as django_settings
from django.db.models import Q
from django.utils import timezone

from mailboxes import runs
from mailboxes.claims import AlreadyRunning
from mailboxes.models import Folder, Mailbox, Run, ServerProfile, SyncProfile
from mailboxes.states import Auth, Intent, Track
from security import egress
from security.models import User
from tests.proofs.processes import Program, until
from tests.tracking.office import Office
from tracking.engine import blobs, content, foreground
from tracking.engine.faults import LeaseGone
from tracking.models import Activity, Holder, ItemDecision, ItemFailure, Thread

ADDRESSES = [f"{name}@kill.example" for name in ("anna", "ben", "carla", "dora")]
WORKERS = 2
# More than a job may wait in its queue before the dispatcher looks for it (`dispatcher.UNBEGUN_SECONDS`, every five).
LEASE_SECONDS = 18
MAIL_PER_ROUND = 30


@dataclass(frozen=True)
class Sent:
    """A message that was delivered, as it has to be found in the end."""

    text: str
    files: tuple[str, ...]
    holders: frozenset[str]


@dataclass
class Site:
    """An installation under fire: mail that arrives, workers that are killed, and what they should have stored."""

    env: dict[str, str]
    logs: Path
    sandbox: str
    random: Random
    sent: dict[str, Sent] = field(default_factory=dict)
    workers: dict[str, Program] = field(default_factory=dict)
    kills: Counter[str] = field(default_factory=Counter)
    started: int = 0

    # -- mail

    def deliver(self, count: int) -> None:
        """Let mail arrive: with attachments, many of them the same, and in one or several mailboxes."""
        for _ in range(count):
            number = len(self.sent)
            key = f"<{number}@customer.example>"
            message = EmailMessage()
            message["From"], message["To"] = "Kim <kim@customer.example>", ", ".join(ADDRESSES)
            message["Subject"], message["Message-ID"] = f"Number {number}", key
            if number and self.random.random() < 0.3:
                message["In-Reply-To"] = f"<{self.random.randrange(number)}@customer.example>"
            text = f"This is message {number}.\n" + "A line that is not empty.\n" * self.random.randrange(50)
            message.set_content(text)
            files = [self._file() for _ in range(self.random.choice((0, 0, 1, 3)))]
            for at, data in enumerate(files):
                message.add_attachment(data, maintype="application", subtype="octet-stream", filename=f"{at}.bin")
            holders = self.random.sample(ADDRESSES, self.random.choice((1, 1, 2, 4)))
            body = {"to": holders, "mime": base64.b64encode(message.as_bytes()).decode()}
            request = Request(f"{self.sandbox}/_/deliver", json.dumps(body).encode())
            with urlopen(request, timeout=30) as answer:
                assert answer.status == 200
            digests = tuple(hashlib.sha256(data).hexdigest() for data in files)
            self.sent[key] = Sent(text, digests, frozenset(holders))

    def _file(self) -> bytes:
        """Return one of few contents, so that many messages share their blobs."""
        data = b"%d" % self.random.randrange(30)
        return data * self.random.choice((1, 1_000, 15_000))

    def make_due(self, *, full: bool = False) -> None:
        """Let the time pass until every mailbox is due, and whatever a failure made it wait for."""
        fields = {"due_at": timezone.now(), "not_before": None} | ({"full_pass_at": None} if full else {})
        Mailbox.objects.update(**fields)

    # -- workers

    def keep_workers(self) -> None:
        """Replace workers that are gone."""
        for name in [name for name, worker in self.workers.items() if not worker.alive]:
            self.workers.pop(name).stop()
        while len(self.workers) < WORKERS:
            self.started += 1
            name = f"victim{self.started}"
            self.workers[name] = Program(self.env, self.logs / f"{name}.log", "rqworker", "--name", name)

    def at_work(self) -> str:
        """Return the name of a worker that has begun a run and not ended it, "" if there is none."""
        busy = Run.objects.filter(finished_at=None, worker__in=list(self.workers)).values_list("worker", flat=True)
        return next(iter(busy), "")

    def kill_one(self) -> None:
        """Kill a worker at a random moment of the second after it began a run, and note whether that hit the run."""
        self.keep_workers()
        name = ""
        while not name:
            self.deliver(MAIL_PER_ROUND)
            self._wait_for_work()
            time.sleep(self.random.uniform(0, 1))
            # Whoever is at it now is meant; on a fast machine the run may have ended before its moment.
            name = self.at_work()
        self.workers[name].kill()
        lost = Run.objects.filter(Q(finished_at=None) | Q(error_code="worker_lost"), worker=name)
        self.kills["in a run" if lost.exists() else "between runs"] += 1

    def _wait_for_work(self) -> None:
        end = time.monotonic() + 120
        while not self.at_work():
            assert time.monotonic() < end, "no worker began a run"
            self.make_due()
            time.sleep(0.05)

    def settle(self) -> None:
        """Leave the workers in peace until everything is done, what was set aside included.

        It takes its time: folders whose pages were killed three times are read item by item for a while.
        """
        self.keep_workers()
        for _turn in range(2):
            ItemFailure.objects.filter(resolved_at=None).update(retry_at=timezone.now())
            since = timezone.now()
            self.make_due(full=True)
            until(lambda since=since: self._quiet(since), 400, logs=self.logs)

    def _quiet(self, since) -> bool:
        Mailbox.objects.filter(not_before__isnull=False).update(not_before=None)
        unfinished = Run.objects.filter(finished_at=None).exists()
        behind = Mailbox.objects.filter(Q(synced_at__lt=since) | Q(synced_at=None) | Q(backlog=True)).exists()
        return not unfinished and not behind

    # -- what is found

    def check(self) -> None:
        """Assert that every message is there exactly once, whole, and held by the mailboxes that have it."""
        found = {row.message_id: row for row in Activity.objects.select_related("body", "thread")}
        assert found.keys() == self.sent.keys()
        assert Activity.objects.count() == len(self.sent)
        for key, sent in self.sent.items():
            row = found[key]
            assert row.body.text.replace("\r\n", "\n").strip() == sent.text.strip()
            stored = list(row.attachments.values_list("sha256", flat=True))
            assert tuple(stored) == sent.files
            for digest in stored:
                assert hashlib.sha256(blobs.get(digest)).hexdigest() == digest
            assert row.participants.count() == 1 + len(ADDRESSES)
            held = list(row.holders.filter(removed_at=None).values_list("mailbox__address", flat=True))
            assert sorted(held) == sorted(sent.holders)
        items = sum(len(sent.holders) for sent in self.sent.values())
        assert Holder.objects.count() == ItemDecision.objects.count() == items
        assert not ItemDecision.objects.exclude(outcome__in=("tracked", "updated")).exists()
        assert ItemDecision.objects.filter(outcome="tracked").count() == len(self.sent)
        assert not ItemFailure.objects.filter(resolved_at=None).exists()
        assert not Run.objects.filter(finished_at=None).exists()
        for thread in Thread.objects.all():
            assert thread.messages == thread.activities.count() > 0
        for folder in Folder.objects.filter(role="inbox"):
            decided = ItemDecision.objects.filter(folder=folder).count()
            assert (folder.tracked, folder.refused, folder.quarantined, folder.more) == (decided, 0, 0, False)


@pytest.fixture
def site(process_env, settings, tmp_path) -> Iterator[Site]:
    """Four mailboxes of a sandbox, a dispatcher, and nobody killed yet."""
    settings.BLOB_ROOT = tmp_path / "blobs"
    logs = tmp_path / "logs"
    logs.mkdir()
    env = process_env | {
        "CRMSYNC_BLOBS": str(tmp_path / "blobs"),
        "CRMSYNC_LEASE_SECONDS": str(LEASE_SECONDS),
        "CRMSYNC_VAR": str(django_settings.VAR),
    }
    mailboxes = [f"{address}:proof" for address in ADDRESSES]
    with (
        Program(env, logs / "sandbox.log", "sandbox", "--empty", "--json", "--mailbox", *mailboxes) as sandbox,
        Program(env, logs / "dispatch.log", "dispatch"),
    ):
        ready = sandbox.read_json()
        parts = urlsplit(ready["url"])
        _connect(ready["url"], ready["service_account"])
        found = Site(env, logs, f"{parts.scheme}://{parts.netloc}", Random(20260304))
        try:
            yield found
        finally:
            for worker in found.workers.values():
                worker.stop()
    assert "Traceback" not in (logs / "dispatch.log").read_text()


def _connect(url: str, account: dict[str, str]) -> None:
    egress.allow(egress.Endpoint.of(url), by="proof", private=True)
    server = ServerProfile.objects.create(
        name="kill", url=url, auth=Auth.BASIC, username=account["address"], secret=account["password"], impersonate=True
    )
    owner = User.objects.create(username="proof", is_superuser=True)
    profile = SyncProfile.objects.create(name="proof")
    for address in ADDRESSES:
        Mailbox.objects.create(
            address=address, server=server, owner=owner, sync_profile=profile, track=Track.ALL, intent=Intent.ON,
            due_at=timezone.now(), measured_from=timezone.now(),
        )  # fmt: skip


def kill(site: Site, times: int) -> None:
    began = time.monotonic()
    for _ in range(times):
        site.kill_one()
    killed = time.monotonic()
    site.settle()
    site.check()
    # Nothing was kept from happening: what died had begun, and stored, and was begun again.
    assert site.kills.total() == times
    assert site.kills["in a run"] >= 0.7 * times
    again = Run.objects.filter(error_code="worker_lost").count()
    assert again >= site.kills["in a run"]
    print(  # noqa: T201 -- figures of the soak
        f"\n{times} kills ({dict(site.kills)}) in {killed - began:.0f} s, settled in {time.monotonic() - killed:.0f} s; "
        f"{len(site.sent)} messages, {Holder.objects.count()} items, {again} runs lost their worker, "
        f"{Run.objects.count()} runs"
    )


@pytest.mark.django_db
def test_a_page_that_takes_longer_than_the_lease_keeps_it(monkeypatch, settings, tmp_path):
    """A slow server answers a page's requests one by one; between them the worker says that it lives."""
    office, began, report = slow_page(monkeypatch, settings, tmp_path)
    assert (report.error, report.tracked) == (None, 200)
    assert office.now - began > timedelta(seconds=4 * settings.LEASE_SECONDS)


@pytest.mark.django_db
def test_a_request_that_takes_longer_than_the_lease_loses_it_and_stores_nothing(monkeypatch, settings, tmp_path):
    monkeypatch.setattr(content, "_CONTENTS_AT_ONCE", 200)
    _office, _began, report = slow_page(monkeypatch, settings, tmp_path)
    assert isinstance(report.error, LeaseGone)
    assert not Activity.objects.exists()


def slow_page(monkeypatch, settings, tmp_path):
    """Sync a page of 200 messages from a server that takes half a lease for each full request."""
    settings.BLOB_ROOT = tmp_path
    office = Office()
    anna = office.mailbox("anna")
    for _ in range(200):
        office.server.deliver(anna.address)
    monkeypatch.setattr(foreground, "open_provider", lambda mailbox: office.server.provider(mailbox.address))
    provider = type(office.server.provider(anna.address))
    for name, at_once in (("envelopes", 100), ("contents", 25)):
        monkeypatch.setattr(
            provider, name, _slowly(getattr(provider, name), office, settings.LEASE_SECONDS / 2 / at_once)
        )
    began = office.now
    _run, report = foreground.sync_now(anna, clock=lambda: office.now)
    return office, began, report


def _slowly(read, office: Office, seconds: float):
    def slow(self, item_ids):
        # Meanwhile the dispatcher looks for runs whose workers are silent.
        office.now += timedelta(seconds=seconds * len(item_ids))
        runs.abandon_stale(office.now)
        return read(self, item_ids)

    return slow


@pytest.mark.django_db
def test_a_killed_command_keeps_no_later_one_out_when_nobody_dispatches(monkeypatch, settings, tmp_path):
    settings.BLOB_ROOT = tmp_path
    office = Office()
    anna = office.mailbox("anna")
    office.server.deliver(anna.address)
    monkeypatch.setattr(foreground, "open_provider", lambda mailbox: office.server.provider(mailbox.address))
    office.begin(anna)
    with pytest.raises(AlreadyRunning):
        foreground.sync_now(anna, clock=lambda: office.now, wait_s=0)
    office.now += timedelta(seconds=settings.LEASE_SECONDS + 1)
    _run, report = foreground.sync_now(anna, clock=lambda: office.now, wait_s=0)
    assert (report.error, report.tracked) == (None, 1)


@pytest.mark.slow
def test_killed_workers_lose_no_message_and_store_none_twice(site):
    kill(site, 6)


@pytest.mark.soak
@pytest.mark.slow
def test_a_hundred_killed_workers_lose_no_message_and_store_none_twice(site):
    kill(site, 100)
