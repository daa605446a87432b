"""What a worker's log says when the database refuses mail: enough to find the fault, and nothing of the mail."""

import contextlib
import logging
import traceback

import pytest
from django.db import DatabaseError, IntegrityError, transaction
from django.utils import timezone

from mailboxes import runs
from mailboxes.models import Run
from mailboxes.provider.memory import MemoryServer
from mailboxes.states import Outcome
from security.commands import Failed, JsonCommand
from security.models import AllowedHost
from tests.mailboxes.fleet import Fleet
from tracking.workers import jobs

pytestmark = pytest.mark.django_db

SECRET = "very private"


@pytest.fixture(autouse=True)
def _mail(monkeypatch):
    server = MemoryServer()
    monkeypatch.setattr(jobs, "open_provider", lambda mailbox: server.provider(mailbox.address))


@pytest.fixture
def fleet() -> Fleet:
    return Fleet(now=timezone.now())


def refuse(*_given, **_options):
    """Be refused a row by PostgreSQL, which quotes it."""
    with transaction.atomic():
        AllowedHost.objects.create(host=SECRET, port=-1)


def work(fleet):
    for job in fleet.claim():
        jobs.sync_batch(list(job.run_ids))


def test_a_page_that_the_database_refuses_twice_is_logged_without_its_row(fleet, monkeypatch, caplog):
    fleet.mailboxes(fleet.server(), 1)
    monkeypatch.setattr(jobs.pipeline, "sync", refuse)
    with caplog.at_level(logging.INFO):
        work(fleet)
    run = Run.objects.get()
    assert (run.outcome, run.error_code, run.error_detail) == (Outcome.FAILED, "internal_error", "IntegrityError")
    assert "IntegrityError: SQLSTATE 23514" in caplog.text
    assert "in refuse" in caplog.text
    assert SECRET not in caplog.text


def test_reports_that_the_database_refuses_are_logged_without_their_rows(fleet, monkeypatch, caplog):
    fleet.mailboxes(fleet.server(), 1)
    settle, tries = runs.settle, []

    def settle_the_second(run, report, now):
        tries.append(report)
        return refuse() if len(tries) == 1 else settle(run, report, now)

    monkeypatch.setattr(jobs.runs, "settle_many", refuse)
    monkeypatch.setattr(jobs.runs, "settle", settle_the_second)
    with caplog.at_level(logging.INFO), contextlib.suppress(IntegrityError):
        work(fleet)
    assert caplog.text.count("IntegrityError: SQLSTATE 23514") >= 2
    assert SECRET not in caplog.text


def test_what_leaves_a_job_for_the_queue_to_keep_tells_no_row(fleet, monkeypatch):
    fleet.mailboxes(fleet.server(), 1)
    monkeypatch.setattr(jobs.runs, "begin_batch", refuse)
    with pytest.raises(DatabaseError) as caught:
        work(fleet)
    kept = "".join(traceback.format_exception(caught.value))
    assert "IntegrityError: SQLSTATE 23514" in kept
    assert SECRET not in kept


def test_a_command_tells_no_row_either(capsys):
    class Refused(JsonCommand):
        def run(self, **_options):
            refuse()

    with pytest.raises(Failed) as caught:
        Refused().handle(json=True)
    assert "IntegrityError: SQLSTATE 23" in str(caught.value)
    assert caught.value.__suppress_context__
    said = capsys.readouterr()
    assert SECRET not in said.out + said.err
