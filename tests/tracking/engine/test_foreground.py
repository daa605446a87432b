"""A command that finds its mailbox leased: whom it waits for, how long, and whom it need not wait for."""

import os
import re
import socket
import subprocess
import sys
from datetime import timedelta

import pytest
from django.conf import settings
from django.utils import timezone

from mailboxes.claims import AlreadyRunning, claim_one
from mailboxes.models import Mailbox, Run
from mailboxes.report import RunReport
from mailboxes.states import Outcome, Trigger
from security.commands import Failed
from tests.tracking.office import Office
from tracking.engine import foreground
from tracking.management.commands import sync_mailbox
from tracking.workers import leases
from tracking.workers.presence import worker_lock

pytestmark = pytest.mark.django_db

HERE = socket.gethostname()


@pytest.fixture
def office(monkeypatch, tmp_path, settings) -> Office:
    settings.BLOB_ROOT = tmp_path
    made = Office(now=timezone.now())
    monkeypatch.setattr(foreground, "open_provider", lambda mailbox: made.server.provider(mailbox.address))
    return made


@pytest.fixture
def ended() -> int:
    """The id of a process that has ended."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return process.pid


def leased(office, worker):
    anna = office.mailbox("anna")
    run = claim_one(anna, Trigger.COMMAND, "", timezone.now())
    Run.objects.filter(pk=run.pk).update(worker=worker, started_at=timezone.now())
    return Mailbox.objects.get(pk=anna.pk)


@pytest.mark.parametrize("name", ["command {host} {pid}", "{host}.{pid}.0a1b"], ids=["command", "worker"])
def test_the_lease_of_a_process_that_died_here_is_taken_over_at_once(office, ended, name):
    anna = leased(office, name.format(host=HERE, pid=ended))
    run, report = foreground.sync_now(anna, clock=timezone.now, wait_s=0)
    assert (run.outcome, report.error) == (Outcome.DONE, None)
    assert Run.objects.exclude(pk=run.pk).get().outcome == Outcome.ABANDONED


@pytest.mark.parametrize(
    "name", ["command elsewhere {ended}", "command {host} {alive}", "somebody", "command {host} x", ""]
)
def test_nobody_else_s_lease_is_taken(office, ended, name):
    anna = leased(office, name.format(host=HERE, ended=ended, alive=os.getpid()))
    with pytest.raises(AlreadyRunning):
        foreground.sync_now(anna, clock=timezone.now, wait_s=0)
    assert Run.objects.get().finished_at is None


def test_a_process_that_only_seems_dead_keeps_its_lease(office, ended):
    name = f"command {HERE} {ended}"
    anna, lock = leased(office, name), worker_lock(name)
    assert lock.hold(), "as one of another container, whose processes are not seen here"
    try:
        with pytest.raises(AlreadyRunning):
            foreground.sync_now(anna, clock=timezone.now, wait_s=0)
    finally:
        lock.release()


def test_a_command_shows_that_it_lives_while_it_works(office):
    anna, held = office.mailbox("anna"), []
    name = f"command {HERE} {os.getpid()}"

    def look():
        lock = worker_lock(name)
        held.append(not lock.hold())
        lock.release()

    office.server.before("folders", look)
    sync_mailbox.Command().handle(address=anna.address, dry_run=False, json=True)
    look()
    assert held == [True, False]


def test_a_lease_is_outwaited_and_the_wait_is_told_once(office, monkeypatch):
    anna, told = leased(office, "command elsewhere 7"), []
    now, passed = timezone.now(), [0.0]

    def sleep(seconds):
        passed[0] += seconds

    monkeypatch.setattr(foreground.time, "sleep", sleep)
    monkeypatch.setattr(foreground.time, "monotonic", lambda: passed[0])
    run, _report = foreground.sync_now(
        anna,
        clock=lambda: now + timedelta(seconds=passed[0]),
        wait_s=leases.patience_s(),
        on_wait=lambda run: told.append(run.worker),
    )
    assert (run.outcome, told) == (Outcome.DONE, ["command elsewhere 7"])
    assert passed[0] >= settings.LEASE_SECONDS > 60


def test_the_command_names_who_holds_the_lease_and_until_when_at_most(office, monkeypatch, capsys):
    leased(office, "command elsewhere 7")
    run = Run.objects.get()
    monkeypatch.setattr(leases, "patience_s", lambda: 0.0)
    with pytest.raises(Failed) as caught:
        sync_mailbox.Command().handle(address="anna@office.example", dry_run=False, json=True)
    assert caught.value.code == "already_running"
    until = run.heartbeat_at + timedelta(seconds=settings.LEASE_SECONDS)
    assert "command elsewhere 7" in str(caught.value)
    assert f"{until:%H:%M:%S} UTC at the latest" in str(caught.value)
    assert re.search(r"Waiting.*command elsewhere 7", capsys.readouterr().err)


def test_whoever_lost_its_lease_stops_before_its_next_request(office):
    anna = office.mailbox("anna")
    asked = []

    def work(run, provider, beat):
        now.append(now[-1] + timedelta(seconds=settings.LEASE_SECONDS / 3))
        beat()
        asked.append("in time")
        Run.objects.filter(pk=run.pk).update(finished_at=now[-1], outcome=Outcome.ABANDONED)
        now.append(now[-1] + timedelta(seconds=settings.LEASE_SECONDS / 3))
        beat()
        asked.append("too late")
        return RunReport()

    now = [timezone.now()]
    _run, report = foreground.as_run(anna, work, clock=lambda: now[-1])
    assert asked == ["in time"]
    assert report.error is not None
    assert report.error.code == "lease_lost"
