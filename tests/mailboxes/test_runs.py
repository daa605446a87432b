"""The life of a run: begun once, kept alive, settled with what it leads to, or given up."""

from collections import Counter
from datetime import timedelta

import pytest
from django.db import OperationalError

from mailboxes import claims, intents, promise, runs
from mailboxes.models import Alert, Folder, Mailbox, PromiseBucket, Run
from mailboxes.provider.errors import (
    AccessRefused,
    AnswerUnreadable,
    AuthRejected,
    FolderGone,
    MailboxGone,
    Misconfigured,
    Scope,
    Throttled,
    Unavailable,
)
from mailboxes.report import RunReport
from mailboxes.schedule import Reason
from mailboxes.states import Intent, Outcome, State, Trigger
from tests.mailboxes.fleet import NOON, Fleet, failed, idle
from tracking.engine.faults import OurFault

pytestmark = pytest.mark.django_db


@pytest.fixture
def fleet() -> Fleet:
    return Fleet()


def open_alerts() -> list[str]:
    return sorted(Alert.objects.filter(resolved_at=None).values_list("code", flat=True))


# -- begin, heartbeat


def test_a_run_is_begun_by_one_worker_only(fleet):
    fleet.mailbox(fleet.server())
    (claim,) = fleet.claim()
    assert [run.pk for run in fleet.begin(claim.run_ids, "worker-a")] == list(claim.run_ids)
    assert fleet.begin(claim.run_ids, "worker-b") == []


def test_runs_that_were_released_are_not_begun(fleet):
    fleet.mailboxes(fleet.server(concurrency=1), 2)
    (claim,) = fleet.claim()
    assert runs.release(claim.run_ids[:1]) == 1
    assert [run.pk for run in fleet.begin(claim.run_ids)] == [claim.run_ids[1]]


def test_a_heartbeat_keeps_the_leases_and_names_those_that_are_lost(fleet):
    fleet.mailboxes(fleet.server(concurrency=1), 3)
    (claim,) = fleet.claim()
    begun = fleet.begin(claim.run_ids)
    runs.settle(begun[0], idle(), fleet.now)
    later = fleet.later(seconds=30)
    assert runs.heartbeat(begun, begun[1], later) == {begun[1].pk, begun[2].pk}
    assert set(Run.objects.filter(finished_at=None).values_list("heartbeat_at", flat=True)) == {later}


def test_a_run_shows_as_running_from_its_first_heartbeat_on(fleet):
    box = fleet.mailbox(fleet.server())
    run = claims.claim_one(box, Trigger.PERSON, claims.IMMEDIATE, fleet.now)
    runs.begin(run, "a command", fleet.later(seconds=1))
    run.refresh_from_db()
    box.refresh_from_db()
    assert (box.state, run.started_at, run.worker) == (State.RUNNING, fleet.now, "a command")


# -- settled


def test_an_idle_run_plans_the_next_one_from_its_start(fleet):
    box = fleet.mailbox(fleet.server(), state=State.FIRST_SYNC)
    run = claims.claim_one(box, Trigger.SCHEDULE, claims.SYNC, fleet.now)
    (begun,) = fleet.begin([run.pk])
    runs.settle(begun, idle(full_pass=True), NOON + timedelta(seconds=100))
    run.refresh_from_db()
    box.refresh_from_db()
    assert (run.outcome, run.requests, run.finished_at) == (Outcome.DONE, 1, NOON + timedelta(seconds=100))
    assert box.state == State.IDLE
    assert box.state_since == run.finished_at
    assert box.due_at == NOON + timedelta(seconds=box.interval_s)
    assert 270 <= box.interval_s <= 330
    assert (box.attempted_at, box.measured_from, box.full_pass_at) == (NOON, NOON, NOON)
    assert box.synced_at == run.finished_at
    assert (run.interval_s, Reason.parse(run.interval_reason).code) == (box.interval_s, "start")


def asked_meanwhile(fleet, report, **how):
    """Settle a full pass during which somebody asked for another; return the mailbox and when they asked."""
    box = fleet.mailbox(fleet.server())
    run = claims.claim_one(box, Trigger.SCHEDULE, claims.SYNC, fleet.now)
    (begun,) = fleet.begin([run.pk])
    asked = NOON + timedelta(seconds=10)
    intents.want_full_pass(Mailbox.objects.filter(pk=box.pk), asked, **how)
    runs.settle(begun, report, NOON + timedelta(seconds=100))
    box.refresh_from_db()
    return box, asked


def test_who_asks_for_a_full_pass_while_one_is_under_way_gets_another_at_once(fleet):
    box, asked = asked_meanwhile(fleet, idle(full_pass=True))
    assert (box.full_pass_at, box.due_at) == (None, asked)
    fleet.later(seconds=200)
    later = fleet.run(box, idle(full_pass=True))
    assert later.full_pass_at is not None
    assert later.due_at > later.synced_at


def test_who_asks_for_one_in_its_time_gets_it_with_the_next_run(fleet):
    box, _asked = asked_meanwhile(fleet, idle(full_pass=True), at_once=False)
    assert box.full_pass_at is None
    assert box.due_at == NOON + timedelta(seconds=box.interval_s)


def test_a_wish_does_not_shorten_the_wait_after_a_failure_and_is_not_forgotten(fleet):
    box, asked = asked_meanwhile(fleet, failed(Unavailable()))
    assert box.full_pass_at is None
    assert box.due_at > asked


def test_what_a_run_did_is_kept_with_the_run(fleet):
    box = fleet.mailbox(fleet.server())
    report = idle(tracked=3, updated=1, refused=Counter(automated=2), quarantined=1, arrived=5)
    box = fleet.run(box, report)
    run = Run.objects.get()
    assert (run.examined, run.tracked, run.updated, run.refused, run.quarantined) == (7, 3, 1, {"automated": 2}, 1)
    assert box.arrivals == [[int(NOON.timestamp()), 5]]


def test_s8_silence_stretches_the_interval_run_by_run(fleet):
    box = fleet.mailbox(fleet.server())
    seen = []
    for _run in range(12):
        box = fleet.run(box)
        seen.append(box.interval_s)
        fleet.now = box.due_at
    assert seen[0] <= 330
    assert seen[-1] >= 648
    assert box.arrivals == [[int(NOON.timestamp()), 0]]


def test_what_is_left_goes_on_at_once(fleet):
    box = fleet.run(fleet.mailbox(fleet.server(), first_sync_done=False), idle(tracked=200, arrived=200, more=True))
    assert (box.state, box.backlog, box.first_sync_done, box.due_at) == (State.FIRST_SYNC, True, False, NOON)
    assert Run.objects.get().outcome == Outcome.PAUSED
    box = fleet.run(box, idle(tracked=20, arrived=20))
    assert (box.state, box.backlog, box.first_sync_done) == (State.IDLE, False, True)


def test_a_run_whose_lease_was_lost_writes_nothing(fleet):
    box = fleet.mailbox(fleet.server())
    (claim,) = fleet.claim()
    (run,) = fleet.begin(claim.run_ids)
    fleet.later(seconds=91)
    assert runs.abandon_stale(fleet.now) == [run.pk]
    assert not runs.settle(run, idle(tracked=1, arrived=1), fleet.now)
    box.refresh_from_db()
    run.refresh_from_db()
    assert (run.outcome, box.attempted_at, box.arrivals) == (Outcome.ABANDONED, None, [])
    assert not PromiseBucket.objects.exists()


def test_a_batch_of_idle_runs_is_settled_with_a_constant_number_of_statements(fleet, django_assert_max_num_queries):
    fleet.mailboxes(fleet.server(concurrency=1), 25)
    (claim,) = fleet.claim()
    begun = fleet.begin(claim.run_ids)
    with django_assert_max_num_queries(4):  # savepoint, runs and mailboxes, promise, release of the savepoint
        assert len(runs.settle_many([runs.Done(run, idle(), fleet.now) for run in begun])) == 25


def test_two_workers_that_block_each_other_try_again(fleet, monkeypatch):
    fleet.mailbox(fleet.server())
    (claim,) = fleet.claim()
    (run,) = fleet.begin(claim.run_ids)
    record, calls = promise.record, []

    def blocked_once(gaps):
        calls.append(1)
        if len(calls) == 1:
            raise OperationalError("deadlock detected")
        record(gaps)

    monkeypatch.setattr(promise, "record", blocked_once)
    assert runs.settle(run, idle(), fleet.now)
    assert len(calls) == 2


def test_another_database_error_is_not_tried_again(fleet, monkeypatch):
    fleet.mailbox(fleet.server())
    (claim,) = fleet.claim()
    (run,) = fleet.begin(claim.run_ids)

    def gone(_gaps):
        raise OperationalError("server closed the connection")

    monkeypatch.setattr(promise, "record", gone)
    with pytest.raises(OperationalError, match="closed"):
        runs.settle(run, idle(), fleet.now)
    assert Run.objects.get().finished_at is None


def test_a_mailbox_switched_off_in_the_middle_of_a_run_stays_off_and_unmeasured(fleet):
    box = fleet.mailbox(fleet.server())
    (claim,) = fleet.claim()
    (run,) = fleet.begin(claim.run_ids)
    intents.turn_off(Mailbox.objects.filter(pk=box.pk), fleet.now, by="admin")
    runs.settle(run, idle(), fleet.later(seconds=5))
    box.refresh_from_db()
    assert (box.intent, box.measured_from) == (Intent.OFF, None)


# -- what goes wrong: S12


@pytest.mark.parametrize(
    ("error", "state", "seconds"),
    [
        (Unavailable(scope=Scope.MAILBOX), State.UNREACHABLE, (27, 33)),
        (Throttled(), State.THROTTLED, (27, 33)),
        (AccessRefused(), State.UNREACHABLE, (27, 33)),
        (MailboxGone(), State.UNREACHABLE, (27, 33)),
        (OurFault(), State.DEGRADED, (13, 17)),
        (AnswerUnreadable(), State.DEGRADED, (13, 17)),
    ],
    ids=lambda value: getattr(value, "code", None) or str(value),
)
def test_s12_an_error_of_one_mailbox_slows_down_that_mailbox(fleet, error, state, seconds):
    server = fleet.server()
    box, other = fleet.mailboxes(server, 2)
    box = fleet.run(box, failed(error))
    assert (box.state, box.issue_code, box.failures) == (state, error.code, 1)
    assert seconds[0] <= (box.not_before - NOON).total_seconds() <= seconds[1]
    server.refresh_from_db()
    assert (server.failures, server.not_before) == (0, None)
    assert list(fleet.claim()[0].run_ids) == [Run.objects.get(mailbox=other).pk]


def test_s12_a_transient_error_never_disables_a_mailbox_however_often_it_comes(fleet):
    box = fleet.mailbox(fleet.server())
    for _attempt in range(40):
        box = fleet.run(box, failed(Unavailable(scope=Scope.MAILBOX)))
        assert box.intent == Intent.ON
        assert (box.not_before - fleet.now).total_seconds() <= 330
        fleet.now = box.not_before
    assert fleet.claim()


def test_s12_a_time_the_server_named_is_honoured_at_the_scope_it_named(fleet):
    server = fleet.server()
    box, other = fleet.mailboxes(server, 2)
    until = NOON + timedelta(minutes=7)
    box = fleet.run(box, failed(Throttled(retry_at=until)))
    assert until < box.not_before < until + timedelta(seconds=3)
    assert fleet.run_all() == [other.pk]
    fleet.run(other, failed(Throttled(retry_at=until, scope=Scope.SERVER)))
    server.refresh_from_db()
    assert until < server.not_before < until + timedelta(seconds=3)


def test_s12_the_first_refused_sign_in_stops_every_mailbox_of_the_credential(fleet):
    server = fleet.server()
    box, other = fleet.mailboxes(server, 2)
    own = fleet.mailbox(server, username="carla")
    fleet.run(box, failed(AuthRejected("401"), reached=True))
    server.refresh_from_db()
    assert (server.stopped_code, server.stopped_detail) == ("sign_in_refused", "401")
    for mailbox in (box, other):
        mailbox.refresh_from_db()
        assert (mailbox.state, mailbox.issue_code, mailbox.measured_from) == ("sign_in_failed", "sign_in_refused", None)
    assert fleet.run_all() == [own.pk]
    assert open_alerts() == ["sign_in_refused"]


def test_s12_a_refused_sign_in_of_a_mailboxs_own_credential_stops_that_mailbox_alone(fleet):
    server = fleet.server()
    own, other = fleet.mailbox(server, username="carla"), fleet.mailbox(server)
    own = fleet.run(own, failed(AuthRejected(), reached=True))
    server.refresh_from_db()
    assert (own.state, server.stopped_at) == (State.SIGN_IN_FAILED, None)
    fleet.later(days=1)
    assert fleet.run_all() == [other.pk]
    intents.mailbox_repaired(own, fleet.now)
    assert own.pk in fleet.run_all()


def test_s12_a_run_that_succeeds_after_a_stop_is_the_repair(fleet):
    server = fleet.server()
    box, other = fleet.mailboxes(server, 2)
    fleet.run(box, failed(AuthRejected(), reached=True))
    fleet.later(minutes=5)
    fleet.run(box)
    server.refresh_from_db()
    other.refresh_from_db()
    assert (server.stopped_at, other.state, other.measured_from) == (None, State.IDLE, fleet.now)
    assert open_alerts() == []


def test_s12_one_failure_of_a_server_is_a_hiccup_and_the_second_an_outage_that_every_mailbox_shows(fleet):
    server = fleet.server()
    boxes = fleet.mailboxes(server, 4)
    fleet.run_all(failed(Unavailable()), limit=1)
    assert Mailbox.objects.filter(state=State.WAITING_FOR_SERVER).count() == 1
    fleet.later(seconds=6)
    fleet.run_all(failed(Unavailable()), limit=1)
    assert Mailbox.objects.filter(state=State.WAITING_FOR_SERVER, issue_code="unreachable").count() == len(boxes)
    server.refresh_from_db()
    assert server.failures == 2


def test_s12_an_outage_is_one_alert_that_resolves_itself(fleet):
    fleet.mailboxes(fleet.server(), 5)
    for _probe in range(5):
        fleet.run_all(failed(Unavailable()), limit=1)
        fleet.later(seconds=20)
    (alert,) = Alert.objects.all()
    assert (alert.code, alert.times, alert.resolved_at) == ("unreachable", 3, None)
    fleet.run_all()
    assert open_alerts() == []


def test_s12_many_failures_at_once_count_as_one_of_the_server(fleet):
    server = fleet.server(concurrency=4)
    fleet.mailboxes(server, 4)
    begun = [run for claim in fleet.claim() for run in fleet.begin(claim.run_ids)]
    fleet.later(seconds=3)
    for run in begun:
        runs.settle(run, failed(Unavailable()), fleet.now)
    server.refresh_from_db()
    assert server.failures == 1
    assert (server.not_before - fleet.now).total_seconds() <= 6


def test_s12_an_outage_is_probed_every_few_seconds_however_long_it_lasts(fleet):
    server = fleet.server()
    fleet.mailboxes(server, 5)
    for _probe in range(30):
        assert len(fleet.run_all(failed(Unavailable()))) <= 5
        server.refresh_from_db()
        assert (server.not_before - fleet.now).total_seconds() <= 17
        fleet.now = server.not_before


def test_s12_a_success_from_before_an_outage_does_not_end_it(fleet):
    server = fleet.server(concurrency=2)
    fleet.mailboxes(server, 2)
    first, second = (fleet.begin(claim.run_ids)[0] for claim in fleet.claim(batch=1))
    fleet.later(seconds=3)
    runs.settle(first, failed(Unavailable()), fleet.now)
    second.mailbox.server.refresh_from_db()
    runs.settle(second, idle(), fleet.later(seconds=1))
    server.refresh_from_db()
    assert server.failures == 1


def test_s12_a_server_profile_that_cannot_work_is_tried_less_and_less(fleet):
    server = fleet.server()
    fleet.mailboxes(server, 5)
    waits = []
    for _probe in range(6):
        fleet.run_all(failed(Misconfigured()), limit=1)
        server.refresh_from_db()
        waits.append(round((server.not_before - fleet.now).total_seconds(), -1))
        fleet.now = server.not_before
    assert waits[0] == 30
    assert 270 <= waits[-1] <= 330
    assert open_alerts() == ["misconfigured"]


def test_s12_one_mailbox_that_alone_calls_the_server_unavailable_means_itself(fleet):
    server = fleet.server()
    odd = fleet.mailbox(server, failures=2)
    odd = fleet.run(odd, failed(Unavailable()))
    server.refresh_from_db()
    assert (server.failures, odd.state) == (0, State.UNREACHABLE)
    assert odd.not_before > fleet.now


def test_s12_a_folders_error_degrades_and_resolves_itself(fleet):
    box = fleet.mailbox(fleet.server())
    folder = Folder.objects.create(mailbox=box, provider_id="f", name="Projects", role="other")
    box = fleet.run(box, idle(folder_errors={folder.pk: FolderGone("gone")}))
    assert (box.state, box.issue_code, box.issue_detail) == (State.DEGRADED, "folder_gone", "gone")
    assert open_alerts() == ["folder_gone"]
    box = fleet.run(box)
    assert (box.state, box.issue_code) == (State.IDLE, "")
    assert open_alerts() == []


def test_s12_one_cause_ends_when_another_takes_its_place(fleet):
    box = fleet.mailbox(fleet.server())
    box = fleet.run(box, failed(AccessRefused()))
    assert open_alerts() == ["access_refused"]
    box = fleet.run(box, failed(MailboxGone()))
    assert open_alerts() == ["mailbox_unknown"]


def test_what_passes_by_itself_is_an_alert_at_the_third_time_only(fleet):
    box = fleet.mailbox(fleet.server())
    seen = []
    for _attempt in range(3):
        box = fleet.run(box, failed(Unavailable(scope=Scope.MAILBOX)))
        seen.append(open_alerts())
    assert seen == [[], [], ["unreachable"]]


# -- given up


def test_a_run_without_a_sign_of_life_is_given_up_and_its_mailbox_due_at_once(fleet, settings):
    box = fleet.mailbox(fleet.server(), due_at=NOON)
    (claim,) = fleet.claim()
    fleet.begin(claim.run_ids)
    Mailbox.objects.update(state=State.RUNNING, due_at=NOON + timedelta(hours=1))
    assert runs.abandon_stale(fleet.later(seconds=settings.LEASE_SECONDS)) == []
    assert runs.abandon_stale(fleet.later(seconds=1)) == list(claim.run_ids)
    run = Run.objects.get()
    box.refresh_from_db()
    assert (run.outcome, run.error_code) == (Outcome.ABANDONED, runs.WORKER_LOST)
    assert (box.state, box.due_at, box.failures) == (State.IDLE, fleet.now, 1)
    assert fleet.run_all() == [box.pk]


def test_a_job_that_never_began_is_no_failure_of_its_mailbox(fleet):
    box = fleet.mailbox(fleet.server())
    fleet.claim()
    runs.abandon_stale(fleet.later(seconds=91))
    box.refresh_from_db()
    assert box.failures == 0
    assert fleet.run_all() == [box.pk]


def test_the_runs_of_a_dead_worker_are_given_up_and_no_others(fleet):
    fleet.mailboxes(fleet.server(concurrency=2), 2)
    one, other = fleet.claim(batch=1)
    fleet.begin(one.run_ids, "worker-a")
    fleet.begin(other.run_ids, "worker-b")
    assert runs.abandon_of({"worker-a"}, fleet.now) == list(one.run_ids)
    assert runs.abandon_of([], fleet.now) == []


def test_a_mailbox_that_kills_its_workers_waits_longer_each_time(fleet):
    box = fleet.mailbox(fleet.server())
    waits = []
    for _death in range(6):
        run = claims.claim_one(box, Trigger.SCHEDULE, claims.SYNC, fleet.now)
        fleet.begin([run.pk])
        runs.abandon(run, fleet.later(seconds=1))
        box.refresh_from_db()
        waits.append((box.not_before - fleet.now).total_seconds() if box.not_before else 0)
    assert waits == [0, 0, 15, 30, 60, 120]


def test_a_run_that_has_started_is_not_released(fleet):
    fleet.mailbox(fleet.server())
    (claim,) = fleet.claim()
    (run,) = fleet.begin(claim.run_ids)
    runs.heartbeat([run], run, fleet.now)
    assert runs.release(claim.run_ids) == 0


# -- intents


def test_pausing_until_a_time_ends_by_itself(fleet):
    box = fleet.mailbox(fleet.server())
    rows = Mailbox.objects.filter(pk=box.pk)
    assert intents.pause(rows, fleet.now, by="anna", until=NOON + timedelta(hours=1)) == 1
    assert fleet.run_all() == []
    assert intents.resume_expired(fleet.later(minutes=59)) == 0
    assert intents.resume_expired(fleet.later(minutes=1)) == 1
    box.refresh_from_db()
    assert (box.intent, box.paused_until, box.measured_from) == (Intent.ON, None, fleet.now)
    assert fleet.run_all() == [box.pk]


def test_switching_on_makes_a_mailbox_due_and_owes_it_the_promise_from_now_on(fleet):
    box = fleet.mailbox(fleet.server(), intent=Intent.PENDING, due_at=None, measured_from=None, first_sync_done=False)
    assert intents.turn_on(Mailbox.objects.all(), fleet.now, by="admin") == 1
    assert intents.turn_on(Mailbox.objects.all(), fleet.now, by="admin") == 0
    box.refresh_from_db()
    assert (box.intent, box.changed_by, box.measured_from) == (Intent.ON, "admin", NOON)
    assert fleet.run_all() == [box.pk]


def test_an_empty_report_of_a_run_that_reached_nothing_ends_no_gap(fleet):
    box = fleet.run(fleet.mailbox(fleet.server()), RunReport(error=OurFault()))
    assert (box.attempted_at, box.measured_from) == (None, NOON - timedelta(minutes=5))
