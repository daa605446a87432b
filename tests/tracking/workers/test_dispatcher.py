"""From what is due to what is done, through the real queue: nothing is lost whatever goes away in between."""

import json
import logging
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings as django_settings
from django.core.management import call_command
from django.db import OperationalError, connection, connections
from django.utils import timezone
from django_rq import get_worker
from redis import Redis
from redis.exceptions import ConnectionError as RedisGone
from rq.job import Job, JobStatus
from rq.registry import StartedJobRegistry

from crmsync_site.embedded.valkey import Valkey
from mailboxes import claims, intents, promise, runs
from mailboxes.models import Alert, LateGap, Mailbox, PromiseBucket, Run
from mailboxes.provider.memory import MemoryServer
from mailboxes.states import Intent, Outcome, Trigger
from security.egress import Endpoint, allow
from tests.mailboxes.fleet import NOON, Fleet
from tracking import actions
from tracking.workers import housekeeping, jobs, transport, worker
from tracking.workers.dispatcher import Complaints, Dispatcher, serve
from tracking.workers.presence import Watch, dispatcher_lock, worker_lock
from tracking.workers.transport import RedisTransport

PROJECT = Path(__file__).resolve().parents[3]

pytestmark = pytest.mark.django_db


class Nobody:
    """A watcher who never saw a worker."""

    def dead(self, names):
        return set()


@pytest.fixture
def fleet() -> Fleet:
    return Fleet(now=timezone.now())


@pytest.fixture(autouse=True)
def mail(monkeypatch, settings, tmp_path) -> MemoryServer:
    """A mail system in memory in the place of Exchange."""
    settings.BLOB_ROOT = tmp_path
    server = MemoryServer()
    monkeypatch.setattr(jobs, "open_provider", lambda mailbox: server.provider(mailbox.address))
    return server


@pytest.fixture(autouse=True)
def _signals() -> Iterator[None]:
    """rq's worker installs handlers of its own."""
    kept = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)}
    jobs.STOP.clear()
    yield
    jobs.STOP.clear()
    for number, handler in kept.items():
        signal.signal(number, handler)


def dispatcher(fleet: Fleet, watcher=None) -> Dispatcher:
    """A dispatcher on the fleet's clock and the real queue."""
    return Dispatcher(RedisTransport(), clock=lambda: fleet.now, watcher=watcher or Nobody())


def burst(*queues: str) -> bool:
    """Have a real worker do everything that is in the queues."""
    return get_worker(*(queues or django_settings.QUEUES)).work(burst=True, logging_level="WARNING")


def queued(name: str = "sync") -> list[Job]:
    """The jobs that wait in a queue."""
    return transport.queue(name).jobs


# -- there and back


def test_what_is_due_is_enqueued_done_and_settled(fleet, mail):
    box = fleet.mailbox(fleet.server(), track="all")
    mail.deliver(box.address, sender="kim@customer.example", to=[box.address])
    assert dispatcher(fleet).tick() == 1
    assert burst()
    run = Run.objects.get()
    assert (run.outcome, run.tracked) == (Outcome.DONE, 1)
    assert run.worker.startswith(socket.gethostname())
    assert Mailbox.objects.get().due_at > fleet.now


def test_jobs_carry_primary_keys_in_json_and_leave_nothing_behind(fleet, redis):
    fleet.mailboxes(fleet.server(concurrency=1), 3)
    dispatcher(fleet).tick()
    (job,) = queued()
    assert job.args == [sorted(Run.objects.values_list("pk", flat=True))]
    payload = json.loads(zlib.decompress(redis.hget(job.key, "data")))
    assert payload[0] == transport.SYNC_BATCH
    assert job.timeout == django_settings.RQ_QUEUES["sync"]["DEFAULT_TIMEOUT"]
    burst()
    assert redis.keys("rq:job:*") == []


def test_first_syncs_go_to_bulk_and_the_schedule_to_sync(fleet):
    server = fleet.server()
    fleet.mailbox(server, first_sync_done=False, measured_from=fleet.now)
    fleet.mailbox(server)
    dispatcher(fleet).tick()
    assert (len(queued("sync")), len(queued("bulk"))) == (1, 1)


def test_two_dispatchers_hand_out_each_mailbox_once(fleet):
    for _server in range(3):
        fleet.mailboxes(fleet.server(), 10)
    assert dispatcher(fleet).tick() + dispatcher(fleet).tick() == 30
    burst()
    assert Run.objects.filter(outcome=Outcome.DONE).count() == 30


# -- the queue forgets


def test_a_flushed_queue_loses_nothing(fleet, redis):
    fleet.mailboxes(fleet.server(concurrency=1), 3)
    one = dispatcher(fleet)
    one.tick()
    redis.flushdb()
    fleet.later(seconds=11)
    # Within the tick in which the loss is found the mailboxes are claimed again.
    assert one.tick() == 3
    burst()
    assert Run.objects.filter(outcome=Outcome.DONE).count() == Run.objects.count() == 3


def test_a_job_that_waits_long_in_its_queue_keeps_its_runs(fleet, settings):
    fleet.mailbox(fleet.server())
    one = dispatcher(fleet)
    one.tick()
    for _wait in range(30):
        fleet.later(seconds=10)
        one.tick()
    assert len(queued()) == Run.objects.count() == 1


def test_what_cannot_be_enqueued_is_given_back(fleet, monkeypatch):
    def gone(_self, _claims):
        raise RedisGone("Connection refused")

    fleet.mailboxes(fleet.server(), 3)
    monkeypatch.setattr(RedisTransport, "enqueue", gone)
    with pytest.raises(RedisGone):
        dispatcher(fleet).tick()
    assert not Run.objects.exists()
    monkeypatch.undo()
    assert dispatcher(fleet).tick() == 3


def test_a_job_that_a_dead_worker_took_and_never_began_is_found_by_its_lease(fleet, settings):
    fleet.mailbox(fleet.server())
    one = dispatcher(fleet)
    one.tick()
    (job,) = queued()
    job.set_status(JobStatus.STARTED)
    fleet.later(seconds=settings.LEASE_SECONDS - 1)
    assert one.tick() == 0
    fleet.later(seconds=2)
    assert one.tick() == 1


# -- workers die


def test_a_dead_worker_is_noticed_at_once_by_its_lock(fleet):
    fleet.mailbox(fleet.server(concurrency=1))
    watch = Watch()
    one = dispatcher(fleet, watch)
    one.tick()
    lock = worker_lock("worker-a")
    assert lock.hold()
    assert lock.hold()
    fleet.begin(Run.objects.values_list("pk", flat=True), "worker-a")
    assert one.tick() == 0
    lock.release()
    assert one.tick() == 1
    assert sorted(Run.objects.values_list("outcome", flat=True)) == [Outcome.ABANDONED, Outcome.RUNNING]


def test_a_worker_without_a_lock_is_not_taken_for_dead(fleet):
    fleet.mailbox(fleet.server())
    one = dispatcher(fleet, Watch())
    one.tick()
    fleet.begin(Run.objects.values_list("pk", flat=True), "a command")
    one.tick()
    assert one.tick() == 0
    assert Run.objects.get().outcome == Outcome.RUNNING


def test_one_process_leads_and_another_takes_over_when_it_is_gone():
    first, second = dispatcher_lock(), dispatcher_lock()
    assert first.hold()
    assert not second.hold()
    first.release()
    assert second.hold()
    second.release()


def test_a_lock_whose_connection_was_cut_is_taken_anew():
    lock = worker_lock("worker-cut")
    assert lock.hold()
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND pid <> pg_backend_pid()"
            " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"  # others test beside us
        )
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            lock.hold()
        except OperationalError:
            break
    assert lock.hold()
    lock.release()


# -- Sync now


def test_sync_now_goes_in_front_of_everything(fleet, django_capture_on_commit_callbacks):
    box = fleet.mailbox(fleet.server(), due_at=fleet.now + timedelta(hours=1))
    with django_capture_on_commit_callbacks(execute=True):
        run = actions.sync_now(box, by="anna")
    assert (run.trigger, run.queue) == (Trigger.PERSON, claims.IMMEDIATE)
    assert len(queued("immediate")) == 1
    burst("immediate")
    run.refresh_from_db()
    assert run.outcome == Outcome.DONE


def test_sync_now_brings_forward_a_run_that_waits_and_it_is_done_once(fleet, django_capture_on_commit_callbacks):
    box = fleet.mailbox(fleet.server())
    dispatcher(fleet).tick()
    with django_capture_on_commit_callbacks(execute=True):
        run = actions.sync_now(box, by="anna")
    assert Run.objects.count() == 1
    assert (len(queued("immediate")), len(queued("sync"))) == (1, 1)
    burst()
    run.refresh_from_db()
    assert (run.outcome, Run.objects.count()) == (Outcome.DONE, 1)


def test_sync_now_shows_the_run_that_is_under_way(fleet, django_capture_on_commit_callbacks):
    box = fleet.mailbox(fleet.server())
    (claim,) = fleet.claim()
    fleet.begin(claim.run_ids)
    with django_capture_on_commit_callbacks(execute=True):
        assert actions.sync_now(box, by="anna").pk == claim.run_ids[0]
    assert queued("immediate") == []


def test_sync_now_waits_for_its_worker_as_long_as_it_takes(fleet, django_capture_on_commit_callbacks):
    box = fleet.mailbox(fleet.server(), due_at=fleet.now + timedelta(hours=1))
    with django_capture_on_commit_callbacks(execute=True):
        run = actions.sync_now(box, by="anna")
    one = dispatcher(fleet)
    for _wait in range(20):
        fleet.later(seconds=10)
        one.tick()
    assert (Run.objects.get().pk, len(queued("immediate"))) == (run.pk, 1)


def test_sync_now_is_done_although_the_queue_forgot_it(fleet, redis, django_capture_on_commit_callbacks):
    box = fleet.mailbox(fleet.server(), due_at=fleet.now + timedelta(hours=1))
    with django_capture_on_commit_callbacks(execute=True):
        actions.sync_now(box, by="anna")
    redis.flushdb()
    fleet.later(seconds=15)
    assert dispatcher(fleet).tick() == 1
    burst()
    assert Run.objects.get().outcome == Outcome.DONE


@pytest.mark.parametrize(
    ("queues", "order"),
    [(("immediate", "sync"), ["batch", "asked for"]), (("sync",), ["batch", "batch", "batch"])],
    ids=["listens to immediate", "does not"],
)
def test_a_worker_in_the_middle_of_a_batch_gives_way_to_a_person_who_waits_for_it(
    fleet, monkeypatch, django_capture_on_commit_callbacks, queues, order
):
    monkeypatch.setattr(jobs, "ASK_SECONDS", 0.0)
    server = fleet.server(concurrency=1)
    fleet.mailboxes(server, 3)
    dispatcher(fleet).tick()
    wanted = fleet.mailbox(server, due_at=fleet.now + timedelta(hours=1))
    sync, seen = jobs.pipeline.sync, []

    def asked_for_meanwhile(run, provider, **options):
        if not seen:
            with django_capture_on_commit_callbacks(execute=True):
                actions.sync_now(wanted, by="anna")
        seen.append("asked for" if run.mailbox_id == wanted.pk else "batch")
        return sync(run, provider, **options)

    monkeypatch.setattr(jobs.pipeline, "sync", asked_for_meanwhile)
    burst(*queues)
    assert seen == order


def test_a_batch_goes_on_when_there_is_no_queue_to_ask(fleet, monkeypatch):
    def gone(_worker):
        raise RedisGone("Connection refused")

    monkeypatch.setattr(jobs, "ASK_SECONDS", 0.0)
    monkeypatch.setattr(jobs, "somebody_waits_for", gone)
    fleet.mailboxes(fleet.server(concurrency=1), 3)
    dispatcher(fleet).tick()
    burst("sync")
    assert Run.objects.filter(outcome=Outcome.DONE).count() == 3


@pytest.mark.parametrize("intent", [Intent.OFF, Intent.PENDING, Intent.PAUSED, Intent.ARCHIVED])
def test_sync_now_needs_a_mailbox_that_is_on(fleet, intent):
    box = fleet.mailbox(fleet.server(), intent=intent)
    with pytest.raises(actions.NotOn, match=box.address):
        actions.sync_now(box, by="anna")


def test_a_waiting_job_of_an_urgent_queue_is_urgent_work(fleet):
    assert not transport.urgent_work_waits()
    fleet.mailbox(fleet.server())
    dispatcher(fleet).tick()
    assert transport.urgent_work_waits()


# -- duties


def test_pauses_end_and_the_lead_is_measured_while_dispatching(fleet, monkeypatch):
    box = fleet.mailbox(fleet.server())
    intents.pause(Mailbox.objects.all(), fleet.now, by="anna", until=fleet.now + timedelta(seconds=30))
    one = dispatcher(fleet)
    measured = []
    monkeypatch.setattr(promise, "lead_seconds", lambda now: measured.append(now) or 20.0)
    handed_out = []
    for _second in range(7):
        handed_out.append(one.tick())
        fleet.later(seconds=6)
    assert handed_out == [0, 0, 0, 0, 0, 1, 0]
    assert len(measured) == 1
    box.refresh_from_db()
    assert box.intent == Intent.ON


def test_housekeeping_is_a_job_of_the_least_urgent_queue(fleet):
    dispatcher(fleet).tick()
    (job,) = queued("maintenance")
    assert job.func_name == transport.HOUSEKEEPING
    assert burst("maintenance")


def test_housekeeping_throws_away_what_tells_nothing_any_more(fleet, monkeypatch):
    monkeypatch.setattr(housekeeping, "BITE", 2)
    box = fleet.mailbox(fleet.server())
    fleet.now = NOON

    def ended(days: float, examined: int = 0) -> int:
        at = NOON - timedelta(days=days)
        return Run.objects.create(
            mailbox=box,
            claimed_at=at,
            started_at=at,
            heartbeat_at=at,
            finished_at=at,
            outcome="done",
            examined=examined,
        ).pk

    gone = [ended(2.1), ended(3), ended(4), ended(91, examined=5)]
    kept = [ended(1.9), ended(2.1, examined=1), ended(89, examined=1)]
    for days in (1, 15):
        at = NOON - timedelta(days=days)
        PromiseBucket.objects.create(begins_at=at)
        LateGap.objects.create(mailbox=box, since=at, until=at, bound_s=720)
        Alert.objects.create(code="a", since=at, seen_at=at, resolved_at=at - timedelta(days=80))
    assert housekeeping.prune(NOON) == len(gone) + 3
    assert sorted(Run.objects.values_list("pk", flat=True)) == sorted(kept)
    assert (PromiseBucket.objects.count(), LateGap.objects.count(), Alert.objects.count()) == (1, 1, 1)


# -- the loop


class Scripted:
    """A dispatcher that does as it is told, tick by tick, and then asks for the end."""

    def __init__(self, *script: Exception | None) -> None:
        self.script = list(script)
        self.now = 0.0

    def tick(self) -> int:
        self.now += 0.3
        step = self.script.pop(0)
        if step is not None:
            raise step
        return 0

    def hold(self) -> bool:
        return True

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def test_the_loop_outlives_database_and_queue_and_says_so_every_ten_seconds(caplog):
    script = Scripted(None, *[OperationalError("no database")] * 30, *[RedisGone("no queue")] * 30, None, None)
    with caplog.at_level(logging.WARNING):
        serve(script, script, sleep=script.sleep, monotonic=lambda: script.now, stopped=lambda: not script.script)
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 7
    assert said[0] == "Nothing can be dispatched for 0 s now: OperationalError: no database"
    assert said[-1] == "Dispatching again after 60 s"
    assert script.now == pytest.approx(63, abs=1)


def test_a_bug_is_not_hidden_by_the_loop():
    script = Scripted(KeyError("bug"))
    with pytest.raises(KeyError):
        serve(script, script, sleep=script.sleep, monotonic=lambda: script.now, stopped=lambda: False)


def test_who_does_not_lead_does_not_dispatch():
    script, rounds = Scripted(), []
    script.hold = lambda: False
    serve(script, script, sleep=rounds.append, monotonic=lambda: 0.0, stopped=lambda: len(rounds) == 3)
    assert rounds == [1.0, 1.0, 1.0]


def test_nothing_is_said_while_everything_works(caplog):
    Complaints(time.monotonic).worked()
    assert caplog.records == []


# -- the worker


def test_plain_rqworker_listens_to_all_queues_in_order_of_urgency(monkeypatch):
    seen = {}

    def work(self, **options):
        seen.update(queues=self.queue_names(), worker=type(self).__name__, serializer=self.serializer.__name__)
        seen.update(level=options["logging_level"], ttl=self.worker_ttl)

    monkeypatch.setattr(worker.SyncWorker, "work", work)
    call_command("rqworker")
    assert seen == {
        "queues": ["immediate", "sync", "bulk", "maintenance"],
        "worker": "SyncWorker",
        "serializer": "JSONSerializer",
        "level": "WARNING",
        "ttl": 45,
    }
    call_command("rqworker", "sync", verbosity=2)
    assert (seen["queues"], seen["level"]) == (["sync"], "DEBUG")


def enqueue_idle(fleet: Fleet, n: int) -> None:
    """Put `n` jobs with one mailbox each into the queue."""
    for _job in range(n):
        fleet.mailbox(fleet.server())
    dispatcher(fleet).tick()


def test_a_worker_ends_after_its_number_of_jobs(fleet, settings, caplog):
    settings.WORKER_JOBS = 2
    enqueue_idle(fleet, 5)
    burst()
    assert Run.objects.filter(finished_at=None).count() == 3
    assert "ends after 2 jobs" in caplog.text


def test_a_worker_that_has_grown_ends_after_its_job(fleet, monkeypatch):
    enqueue_idle(fleet, 3)
    monkeypatch.setattr(worker, "memory_mb", lambda: 10_000)
    burst()
    assert Run.objects.filter(finished_at=None).count() == 2


def test_memory_is_that_of_this_process():
    assert 20 < worker.memory_mb() < 4_000


def test_memory_is_unknown_where_the_system_does_not_say(monkeypatch):
    def missing(_self):
        raise FileNotFoundError

    monkeypatch.setattr(Path, "read_text", missing)
    assert worker.memory_mb() == 0


def test_a_worker_told_to_stop_in_the_middle_of_a_job_gives_back_what_it_has_not_tried(fleet, monkeypatch):
    fleet.mailboxes(fleet.server(concurrency=1), 5)
    dispatcher(fleet).tick()
    sync = jobs.pipeline.sync

    def told(run, provider, **options):
        os.kill(os.getpid(), signal.SIGTERM)
        return sync(run, provider, **options)

    monkeypatch.setattr(jobs.pipeline, "sync", told)
    burst()
    assert [run.outcome for run in Run.objects.all()] == [Outcome.DONE]
    assert len(fleet.claim()[0].run_ids) == 4


def test_a_job_that_takes_long_keeps_its_trace_in_redis_and_its_workers_lock(fleet, monkeypatch, redis):
    monkeypatch.setattr(worker, "PULSE_SECONDS", 0.05)
    enqueue_idle(fleet, 1)
    scores, alive = [], []

    def slow(run, provider, **options):
        (job,) = [Job.fetch(pk.split(":")[0], connection=redis) for pk in _started(redis)]
        for _look in range(2):
            scores.append(redis.hget(job.key, "last_heartbeat"))
            alive.append(Watch().dead([run.worker]))
            time.sleep(0.3)
        return jobs.RunReport(reached_server=True)

    monkeypatch.setattr(jobs.pipeline, "sync", slow)
    burst("sync")
    assert scores[0] != scores[1]
    assert alive == [set(), set()]


def _started(redis) -> list[str]:
    return [entry.decode() for entry in redis.zrange(StartedJobRegistry("sync", connection=redis).key, 0, -1)]


def test_redis_gone_when_a_job_ends_costs_nothing_that_was_done(fleet, monkeypatch, caplog):
    enqueue_idle(fleet, 2)
    perform, broken = worker.SimpleWorker.execute_job, []

    def fails_once(self, job, queue):
        perform(self, job, queue)
        if not broken:
            broken.append(1)
            raise RedisGone("gone")

    monkeypatch.setattr(worker.SimpleWorker, "execute_job", fails_once)
    burst()
    assert Run.objects.filter(outcome=Outcome.DONE).count() == 2
    assert "nothing is lost" in caplog.text


@pytest.fixture
def own_redis(settings) -> Iterator[Valkey]:
    """A Valkey of the test's own, to be stopped and started."""
    with tempfile.TemporaryDirectory(prefix="crmsync-q-", dir=Path(os.environ["CRMSYNC_TEST_VAR"]).parent) as folder:
        server = Valkey(Path(folder))
        with Path(folder, "log").open("wb") as log:
            server.start(log)
            server.log = log
            settings.RQ_QUEUES = {
                name: {**queue, "URL": f"unix://{server.socket}"} for name, queue in settings.RQ_QUEUES.items()
            }
            try:
                yield server
            finally:
                server.stop()


@pytest.mark.django_db(transaction=True)
def test_a_worker_outlives_redis_being_gone(fleet, own_redis, monkeypatch):
    monkeypatch.setattr(worker.SyncWorker, "max_connection_wait_time", 0.3)
    fleet.mailbox(fleet.server())
    dispatcher(fleet).tick()
    steps = []

    def restart() -> None:
        try:
            own_redis.stop()
            time.sleep(2)
            own_redis.start(own_redis.log)
            with Redis(unix_socket_path=str(own_redis.socket)) as client:
                steps.append(client.ping())
            fleet.mailbox(fleet.server())
            fleet.now = timezone.now()
            dispatcher(fleet).tick()
            wait_for(lambda: not Run.objects.filter(finished_at=None).exists(), 90)
            steps.append("done")
        finally:
            connections.close_all()
            os.kill(os.getpid(), signal.SIGTERM)

    # Should the worker have ended before, the signal is to end nothing else.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    thread = threading.Thread(target=restart)
    one = get_worker(*django_settings.QUEUES, worker_ttl=17)
    perform = one.execute_job

    def then_restart(job, queue):
        perform(job, queue)
        if not thread.ident:
            thread.start()

    monkeypatch.setattr(one, "execute_job", then_restart)
    one.work(logging_level="CRITICAL")
    thread.join()
    assert steps == [True, "done"]
    assert Run.objects.filter(outcome=Outcome.DONE).count() == 2


# -- real processes


def wait_for(condition: Callable[[], bool], seconds: float = 40) -> None:
    """Wait until `condition` holds; fail when it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.1)


@pytest.fixture
def silent_server() -> Iterator[str]:
    """The address of a mail server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/EWS/Exchange.asmx"


@pytest.fixture
def start(process_env) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Start `manage.py ...` as a process of its own; all are killed in the end."""
    started: list[subprocess.Popen[bytes]] = []

    def run(*arguments: str) -> subprocess.Popen[bytes]:
        started.append(subprocess.Popen([sys.executable, PROJECT / "manage.py", *arguments], env=process_env))
        return started[-1]

    yield run
    for process in started:
        process.kill()
        process.wait()


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_a_killed_worker_is_replaced_and_its_runs_are_done_again_within_seconds(fleet, silent_server, start, settings):
    allow(Endpoint.of(silent_server), by="test", private=True)
    server = fleet.server(username="svc", secret="a password")
    type(server).objects.update(url=silent_server)
    fleet.mailboxes(server, 2)
    dispatch = start("dispatch")
    first = start("rqworker", "sync")
    wait_for(lambda: Run.objects.exclude(worker="").exists())
    # The dispatcher has to have seen the worker alive once: it looks every second.
    time.sleep(2)
    began = time.monotonic()
    first.kill()
    wait_for(lambda: Run.objects.filter(outcome=Outcome.ABANDONED).exists())
    assert time.monotonic() - began < settings.LEASE_SECONDS / 4
    start("rqworker", "sync")
    wait_for(lambda: Run.objects.filter(finished_at=None).exclude(worker="").exists())
    dispatch.send_signal(signal.SIGTERM)
    assert dispatch.wait(10) == 0


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_a_second_dispatcher_takes_over_within_seconds(fleet, start):
    first, second = start("dispatch"), start("dispatch")
    fleet.mailbox(fleet.server())
    wait_for(lambda: Run.objects.count() == 1)
    first.kill()
    fleet.mailbox(fleet.server())
    began = time.monotonic()
    wait_for(lambda: Run.objects.count() == 2)
    assert time.monotonic() - began < 5
    second.send_signal(signal.SIGINT)
    assert second.wait(10) == 0
    assert runs.release(Run.objects.values_list("pk", flat=True)) == 2
