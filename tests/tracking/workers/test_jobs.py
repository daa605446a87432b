"""What a worker does with a batch: every run settled as what it was, nothing lost, nothing done twice."""

import logging
from collections.abc import Iterator
from datetime import timedelta
from itertools import count

import pytest
from django.db import InterfaceError, OperationalError
from django.utils import timezone
from redis.exceptions import ConnectionError as RedisGone
from rq.timeouts import JobTimeoutException

from mailboxes import claims, runs
from mailboxes.models import Mailbox, Run
from mailboxes.provider.errors import AuthRejected, Kind, MailboxGone, Misconfigured, Scope, Unavailable
from mailboxes.provider.memory import MemoryServer
from mailboxes.states import Intent, Outcome, State, Trigger
from security.secrets import SecretUnreadable
from tests.mailboxes.fleet import Fleet
from tracking.engine import faults
from tracking.models import Activity, Holder
from tracking.workers import jobs

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def mail(monkeypatch, settings, tmp_path) -> MemoryServer:
    """A mail system in memory in the place of Exchange."""
    settings.BLOB_ROOT = tmp_path
    server = MemoryServer()
    monkeypatch.setattr(jobs, "open_provider", lambda mailbox: server.provider(mailbox.address))
    return server


@pytest.fixture(autouse=True)
def _not_stopping() -> Iterator[None]:
    jobs.STOP.clear()
    yield
    jobs.STOP.clear()


@pytest.fixture
def fleet() -> Fleet:
    return Fleet(now=timezone.now())


def known(fleet: Fleet, server, n: int, **fields) -> list[Mailbox]:
    """Mailboxes whose folders are known, so that a run of them is idle: one request."""
    boxes = fleet.mailboxes(server, n, track="all", **fields)
    work(fleet)
    Mailbox.objects.update(due_at=fleet.now, not_before=None, measured_from=fleet.now - timedelta(minutes=5))
    Run.objects.all().delete()
    return boxes


def work(fleet: Fleet, worker: str = "worker-a", **claim) -> list[int]:
    """Claim what is due and do all jobs; return the ids of the runs."""
    done = []
    for job in fleet.claim(**claim):
        jobs.Batch(list(job.run_ids), worker=worker, clock=timezone.now).work()
        done += job.run_ids
    return done


def outcomes() -> dict[str, int]:
    """How many runs ended how; a run that is unfinished counts as `running`."""
    found: dict[str, int] = {}
    for outcome, code in Run.objects.values_list("outcome", "error_code"):
        found[code or outcome] = found.get(code or outcome, 0) + 1
    return found


# -- what a batch costs and brings


def test_mail_is_tracked_and_the_run_settled(fleet, mail):
    box = fleet.mailbox(fleet.server(), track="all", first_sync_done=False)
    mail.deliver(box.address, sender="kim@customer.example", to=[box.address])
    work(fleet)
    run = Run.objects.get()
    assert (run.outcome, run.tracked, run.examined, run.reached_server) == (Outcome.DONE, 1, 1, True)
    assert Activity.objects.count() == 1
    assert Mailbox.objects.get().state == State.IDLE


def test_an_idle_run_is_one_request(fleet):
    known(fleet, fleet.server(), 3)
    work(fleet)
    assert list(Run.objects.values_list("requests", "full_pass")) == [(1, False)] * 3


def test_a_batch_of_idle_mailboxes_costs_the_same_number_of_statements_however_many_they_are(
    fleet, django_assert_max_num_queries
):
    known(fleet, fleet.server(concurrency=1), 20)
    (job,) = fleet.claim()
    assert len(job.run_ids) == 20
    # begin 2, servers, folders; savepoint, runs and mailboxes, promise, release
    with django_assert_max_num_queries(8):
        jobs.Batch(list(job.run_ids), worker="w", clock=timezone.now).work()
    assert outcomes() == {"done": 20}


def test_starts_are_those_of_each_mailbox_and_not_of_the_job(fleet):
    known(fleet, fleet.server(concurrency=1), 3)
    (job,) = fleet.claim()
    ticks = (fleet.now + timedelta(seconds=n) for n in count())
    jobs.Batch(list(job.run_ids), worker="w", clock=lambda: next(ticks)).work()
    starts = list(Run.objects.order_by("started_at").values_list("started_at", flat=True))
    assert len(set(starts)) == 3


def test_a_job_whose_runs_are_gone_does_nothing(fleet):
    fleet.mailbox(fleet.server())
    (job,) = fleet.claim()
    runs.release(job.run_ids)
    jobs.sync_batch(list(job.run_ids))
    assert not Run.objects.exists()


@pytest.mark.parametrize("intent", [Intent.OFF, Intent.PAUSED, Intent.ARCHIVED])
def test_a_mailbox_that_was_switched_off_while_it_waited_is_not_read(fleet, mail, intent):
    off, on = fleet.mailboxes(fleet.server(), 2, track="all")
    for box in (off, on):
        mail.deliver(box.address, sender="kim@customer.example", to=[box.address])
    claims_made = fleet.claim()
    Mailbox.objects.filter(pk=off.pk).update(intent=intent)
    for job in claims_made:
        jobs.Batch(list(job.run_ids), worker="worker-a", clock=timezone.now).work()
    assert list(Holder.objects.values_list("mailbox", flat=True)) == [on.pk]
    assert not Run.objects.filter(mailbox=off).exists()


def test_runs_that_another_worker_has_are_left_to_it(fleet):
    fleet.mailbox(fleet.server())
    (job,) = fleet.claim()
    fleet.begin(job.run_ids, "worker-b")
    jobs.sync_batch(list(job.run_ids))
    assert outcomes() == {"running": 1}


# -- trouble


def test_a_bug_in_one_run_is_settled_logged_and_does_not_stop_the_batch(fleet, monkeypatch, caplog):
    boxes = known(fleet, fleet.server(concurrency=1), 3)
    sync = jobs.pipeline.sync

    def buggy(run, provider, **options):
        if run.mailbox_id == boxes[1].pk:
            provider.counters([])
            raise KeyError("subject")
        return sync(run, provider, **options)

    monkeypatch.setattr(jobs.pipeline, "sync", buggy)
    with caplog.at_level(logging.ERROR):
        work(fleet)
    assert outcomes() == {"done": 2, "internal_error": 1}
    run = Run.objects.get(error_code="internal_error")
    assert (run.outcome, run.error_detail, run.requests, run.reached_server) == (Outcome.FAILED, "KeyError", 1, True)
    assert "Traceback" in caplog.text
    assert "subject" in caplog.text
    assert Mailbox.objects.get(pk=boxes[1].pk).state == State.DEGRADED


@pytest.mark.parametrize("error", [OperationalError, InterfaceError])
def test_a_database_that_fails_in_the_middle_of_a_run_is_settled_as_such(fleet, monkeypatch, error):
    boxes = known(fleet, fleet.server(concurrency=1), 2)
    sync = jobs.pipeline.sync

    def cut(run, provider, **options):
        if run.mailbox_id == boxes[0].pk:
            raise error("server closed the connection unexpectedly")
        return sync(run, provider, **options)

    monkeypatch.setattr(jobs.pipeline, "sync", cut)
    work(fleet)
    assert outcomes() == {"database_gone": 1, "done": 1}


def test_what_a_provider_cannot_be_opened_with_is_the_runs_error(fleet, monkeypatch):
    known(fleet, fleet.server(), 1)

    def refuse(_mailbox):
        raise Misconfigured("not on the list", code="egress_refused")

    monkeypatch.setattr(jobs, "open_provider", refuse)
    work(fleet)
    assert outcomes() == {"egress_refused": 1}


def test_a_secret_that_cannot_be_decrypted_fails_its_mailbox_and_no_other(fleet, settings, monkeypatch):
    server = fleet.server(concurrency=1)
    first, second = known(fleet, server, 2)
    first.username, first.secret = "anna", "a password"
    first.save()
    settings.ENCRYPTION_KEYS = ["another key"]
    provide = jobs.open_provider

    def reads_secret(mailbox):
        assert mailbox.secret is None or mailbox.username
        return provide(mailbox)

    monkeypatch.setattr(jobs, "open_provider", reads_secret)
    work(fleet)
    assert outcomes() == {"secret_unreadable": 1, "done": 1}
    assert Run.objects.get(outcome=Outcome.DONE).mailbox_id == second.pk


def test_a_servers_secret_that_cannot_be_decrypted_fails_when_it_is_used(fleet, settings, monkeypatch):
    known(fleet, fleet.server(secret="a password"), 1)
    settings.ENCRYPTION_KEYS = ["another key"]
    monkeypatch.setattr(jobs, "open_provider", lambda mailbox: mailbox.server.secret)
    work(fleet)
    assert outcomes() == {"secret_unreadable": 1}
    assert issubclass(SecretUnreadable, Exception)


def test_a_server_that_cannot_be_reached_costs_a_batch_one_attempt(fleet, mail):
    boxes = known(fleet, fleet.server(concurrency=1), 10)
    mail.calls.clear()
    mail.fail("*", Unavailable(), times=100)
    work(fleet)
    assert sum(mail.calls.values()) == 1
    assert outcomes() == {"unreachable": 1}
    assert Mailbox.objects.filter(due_at__lte=timezone.now()).count() == len(boxes)


def test_a_batch_in_hand_notices_that_another_worker_found_the_server_gone(fleet, mail):
    server = fleet.server(concurrency=2)
    known(fleet, server, 8)
    first, second = fleet.claim()
    mail.fail("*", Unavailable(), times=1)
    jobs.Batch(list(first.run_ids), worker="a", clock=timezone.now).work()
    jobs.Batch(list(second.run_ids), worker="b", clock=timezone.now).work()
    assert outcomes() == {"unreachable": 1}


def test_what_a_person_asks_for_is_tried_although_the_server_is_held_back(fleet, mail):
    server = fleet.server()
    (box,) = known(fleet, server, 1)
    mail.fail("*", AuthRejected(), times=1)
    work(fleet)
    server.refresh_from_db()
    assert server.stopped_code == "sign_in_refused"
    run = claims.claim_one(box, Trigger.PERSON, claims.IMMEDIATE, timezone.now())
    jobs.sync_batch([run.pk])
    server.refresh_from_db()
    run.refresh_from_db()
    assert (run.outcome, server.stopped_at) == (Outcome.DONE, None)


def test_one_mailbox_that_is_gone_does_not_stop_the_batch(fleet, mail):
    boxes = known(fleet, fleet.server(concurrency=1), 3)
    mail.fail("*", MailboxGone(), times=1)
    work(fleet)
    assert outcomes() == {"mailbox_unknown": 1, "done": 2}
    assert len(boxes) == 3


def test_a_report_that_cannot_be_written_costs_its_own_run_and_no_other(fleet, monkeypatch):
    boxes = known(fleet, fleet.server(concurrency=1), 3)
    sync = jobs.pipeline.sync

    def odd(run, provider, **options):
        report = sync(run, provider, **options)
        if run.mailbox_id == boxes[1].pk:
            report.requests = 10**12  # more than its column holds
        return report

    monkeypatch.setattr(jobs.pipeline, "sync", odd)
    work(fleet)
    assert outcomes() == {"done": 2, "internal_error": 1}


def test_what_a_server_says_is_kept_as_far_as_a_row_can_hold_it(fleet, mail):
    (box,) = known(fleet, fleet.server(), 1)
    mail.fail("*", MailboxGone("no\x00such \ud800mailbox" + "!" * 5_000), times=1)
    work(fleet)
    box.refresh_from_db()
    assert box.issue_detail.startswith("nosuch mailbox!")
    assert len(box.issue_detail) == 2_000


# -- leases


def test_a_run_whose_lease_was_lost_is_left_alone_and_the_batch_goes_on(fleet, monkeypatch):
    boxes = known(fleet, fleet.server(concurrency=1), 2)
    sync = jobs.pipeline.sync

    def stolen(run, provider, **options):
        if run.mailbox_id == boxes[0].pk:
            runs.abandon(run, timezone.now())
            raise jobs.LeaseLost
        return sync(run, provider, **options)

    monkeypatch.setattr(jobs.pipeline, "sync", stolen)
    work(fleet)
    assert outcomes() == {"worker_lost": 1, "done": 1}


def test_long_work_keeps_the_leases_of_the_whole_batch_and_shows_what_runs(fleet, monkeypatch, settings):
    boxes = known(fleet, fleet.server(concurrency=1), 3)
    clock = [timezone.now()]
    seen: list[object] = []

    def slow(run, provider, *, beat, **options):
        for _page in range(4):
            clock[0] += timedelta(seconds=settings.LEASE_SECONDS / 3)
            beat()
            seen.append(runs.abandon_stale(clock[0]))
        seen.append(Mailbox.objects.get(pk=run.mailbox_id).state)
        return jobs.RunReport(reached_server=True, requests=1)

    monkeypatch.setattr(jobs.pipeline, "sync", slow)
    (job,) = fleet.claim()
    jobs.Batch(list(job.run_ids), worker="w", clock=lambda: clock[0]).work()
    assert seen == [[], [], [], [], State.RUNNING] * len(boxes)
    assert outcomes() == {"done": 3}


def test_a_run_that_takes_a_second_shows_as_running(fleet, monkeypatch):
    known(fleet, fleet.server(), 1)
    clock, seen = [timezone.now()], []

    def slow(run, provider, *, beat, **options):
        for step in (0.5, 0.6, 0.6):
            clock[0] += timedelta(seconds=step)
            beat()
            seen.append(Mailbox.objects.get().state)
        return jobs.RunReport(reached_server=True)

    monkeypatch.setattr(jobs.pipeline, "sync", slow)
    (job,) = fleet.claim()
    jobs.Batch(list(job.run_ids), worker="w", clock=lambda: clock[0]).work()
    assert seen == [State.IDLE, State.RUNNING, State.RUNNING]


def test_a_beat_tells_a_run_that_its_lease_is_gone_and_drops_the_others_that_are(fleet, monkeypatch, settings):
    known(fleet, fleet.server(concurrency=1), 3)
    clock = [timezone.now()]

    def slow(run, provider, *, beat, **options):
        Run.objects.update(heartbeat_at=clock[0] - timedelta(days=1))
        runs.abandon_stale(clock[0])
        clock[0] += timedelta(seconds=settings.LEASE_SECONDS)
        beat()
        raise AssertionError("the beat has to say so")

    monkeypatch.setattr(jobs.pipeline, "sync", slow)
    (job,) = fleet.claim()
    jobs.Batch(list(job.run_ids), worker="w", clock=lambda: clock[0]).work()
    assert outcomes() == {"worker_lost": 3}


def test_what_ended_is_written_while_a_slow_batch_goes_on(fleet, monkeypatch):
    known(fleet, fleet.server(concurrency=1), 3)
    clock, finished = [timezone.now()], []

    def slow(run, provider, **options):
        finished.append(Run.objects.exclude(finished_at=None).count())
        clock[0] += timedelta(seconds=3)
        return jobs.RunReport(reached_server=True)

    monkeypatch.setattr(jobs.pipeline, "sync", slow)
    (job,) = fleet.claim()
    jobs.Batch(list(job.run_ids), worker="w", clock=lambda: clock[0]).work()
    assert finished == [0, 1, 2]


# -- time limits, backlogs, stopping


@pytest.mark.parametrize("strikes", ["in the run", "while writing"])
def test_the_time_limit_settles_the_run_it_strikes_and_gives_back_the_rest(fleet, monkeypatch, strikes):
    boxes = known(fleet, fleet.server(concurrency=1), 3)
    sync, settle, struck = jobs.pipeline.sync, runs.settle_many, []

    def limited(run, provider, **options):
        if strikes == "in the run" and run.mailbox_id == boxes[1].pk:
            raise JobTimeoutException
        report = sync(run, provider, **options)
        report.quarantined = 1  # written at once
        return report

    def interrupted(done):
        if strikes == "while writing" and not struck:
            struck.append(1)
            raise JobTimeoutException
        return settle(done)

    monkeypatch.setattr(jobs.pipeline, "sync", limited)
    monkeypatch.setattr(runs, "settle_many", interrupted)
    work(fleet)
    assert outcomes() == ({"done": 1, "out_of_time": 1} if strikes == "in the run" else {"done": 1})
    assert len(fleet.claim()[0].run_ids) >= 1


def backlog(fleet: Fleet, mail: MemoryServer, n: int) -> Mailbox:
    """A mailbox with `n` messages that was never synced."""
    box = fleet.mailbox(fleet.server(), track="all", first_sync_done=False, measured_from=fleet.now)
    for number in range(n):
        mail.deliver(box.address, sender="kim@customer.example", to=[box.address], subject=f"Offer {number}")
    return box


def test_a_backlog_goes_on_in_its_job_while_nothing_more_urgent_waits(fleet, mail, monkeypatch):
    backlog(fleet, mail, 30)
    monkeypatch.setattr(jobs.pipeline, "PAGE_ITEMS", 10)
    monkeypatch.setattr(jobs, "YIELD_SECONDS", 0.0)
    monkeypatch.setattr(jobs, "urgent_work_waits", lambda: False)
    work(fleet)
    run = Run.objects.get()
    assert (run.outcome, run.queue, run.tracked, run.examined) == (Outcome.DONE, "bulk", 30, 30)
    assert run.requests == sum(mail.calls.values())


@pytest.mark.parametrize("waits", [True, RedisGone()], ids=["urgent work waits", "no queue to ask"])
def test_a_backlog_gives_way_to_what_is_more_urgent_and_goes_on_later(fleet, mail, monkeypatch, waits):
    def asked() -> bool:
        if isinstance(waits, Exception):
            raise waits
        return bool(waits)

    backlog(fleet, mail, 25)
    monkeypatch.setattr(jobs.pipeline, "PAGE_ITEMS", 10)
    monkeypatch.setattr(jobs, "YIELD_SECONDS", 0.0)
    monkeypatch.setattr(jobs, "urgent_work_waits", asked)
    seen = []
    for _slice in range(3):
        work(fleet)
        fleet.now = timezone.now()
        seen.append((Activity.objects.count(), Mailbox.objects.get().state))
    assert seen == [(10, State.FIRST_SYNC), (20, State.FIRST_SYNC), (25, State.IDLE)]
    assert [run.outcome for run in Run.objects.order_by("pk")] == [Outcome.PAUSED, Outcome.PAUSED, Outcome.DONE]


def test_a_backlogs_turn_ends(fleet, mail, monkeypatch):
    backlog(fleet, mail, 25)
    monkeypatch.setattr(jobs.pipeline, "PAGE_ITEMS", 10)
    monkeypatch.setattr(jobs, "YIELD_SECONDS", 0.0)
    monkeypatch.setattr(jobs, "BACKLOG_SECONDS", 0.0)
    work(fleet)
    assert Run.objects.get().outcome == Outcome.PAUSED


def test_bulk_that_finds_the_servers_slots_taken_is_given_back(fleet):
    server = fleet.server(concurrency=1)
    fleet.mailbox(server, backlog=True, measured_from=fleet.now)
    (bulk,) = fleet.claim()
    fleet.mailbox(server)
    (sync,) = fleet.claim()
    fleet.begin(sync.run_ids, "worker-b")
    jobs.Batch(list(bulk.run_ids), worker="worker-a", clock=timezone.now).work()
    assert list(Run.objects.values_list("pk", flat=True)) == list(sync.run_ids)


def test_a_worker_that_is_to_stop_finishes_the_mailbox_at_hand_and_gives_back_the_rest(fleet, monkeypatch):
    known(fleet, fleet.server(concurrency=1), 4)
    sync = jobs.pipeline.sync

    def stopped(run, provider, **options):
        jobs.STOP.set()
        return sync(run, provider, **options)

    monkeypatch.setattr(jobs.pipeline, "sync", stopped)
    work(fleet)
    assert outcomes() == {"done": 1}
    assert len(fleet.claim()[0].run_ids) == 3


# -- patience


@pytest.mark.django_db(transaction=True)
def test_a_statement_waits_for_a_database_that_is_gone_for_a_moment():
    waits, answers = [], iter([OperationalError("gone"), InterfaceError("closed"), None])

    def ask() -> str:
        error = next(answers)
        if error:
            raise error
        return "there"

    assert jobs.patiently(ask, sleep=waits.append) == "there"
    assert waits == [1.0, 1.0]


@pytest.mark.django_db(transaction=True)
def test_after_a_minute_the_leases_are_left_to_run_out():
    def ask() -> None:
        raise OperationalError("gone")

    waits: list[float] = []
    with pytest.raises(OperationalError):
        jobs.patiently(ask, sleep=waits.append)
    assert sum(waits) == 60


@pytest.mark.parametrize("fault", [faults.OurFault, faults.OutOfTime, faults.DatabaseGone, faults.SecretLost])
def test_our_faults_concern_one_mailbox(fault):
    assert fault.scope is Scope.MAILBOX
    assert fault.kind in {Kind.BUG, Kind.TRANSIENT, Kind.CONFIGURATION}


def test_a_mailbox_that_is_switched_off_while_others_of_its_job_are_read_is_not_read(fleet, mail):
    first, last = known(fleet, fleet.server(concurrency=1), 2)
    for box in (first, last):
        mail.deliver(box.address, sender="kim@customer.example", to=[box.address])
    mail.before("contents", lambda: Mailbox.objects.filter(pk=last.pk).update(intent=Intent.OFF))
    work(fleet)
    assert list(Holder.objects.values_list("mailbox", flat=True)) == [first.pk]
    assert not mail.calls[last.address, "contents"]
