"""Who is next: what is claimed, in which order, how much at once, and by whom alone."""

import threading
from datetime import timedelta

import pytest
from django.db import connections

from mailboxes import claims, intents, runs
from mailboxes.claims import AlreadyRunning
from mailboxes.models import Mailbox, Run, SyncProfile
from mailboxes.provider.errors import AuthRejected, Unavailable
from mailboxes.states import Intent, State, Trigger
from tests.mailboxes.fleet import NOON, Fleet, failed, idle

pytestmark = pytest.mark.django_db


@pytest.fixture
def fleet() -> Fleet:
    return Fleet()


def claimed(fleet: Fleet, **options) -> list[int]:
    """Ids of the mailboxes that are claimed now, in the order of the jobs."""
    run_ids = [pk for claim in fleet.claim(**options) for pk in claim.run_ids]
    mailbox_of = dict(Run.objects.values_list("pk", "mailbox_id"))
    return [mailbox_of[pk] for pk in run_ids]


# -- what is due


def test_a_mailbox_that_is_due_is_claimed_once(fleet):
    box = fleet.mailbox(fleet.server())
    (claim,) = fleet.claim()
    run = Run.objects.get()
    assert (claim.run_ids, claim.queue, claim.server_id) == ((run.pk,), "sync", box.server_id)
    assert (run.mailbox_id, run.batch, run.trigger, run.due_at) == (box.pk, claim.job_id, Trigger.SCHEDULE, NOON)
    assert fleet.claim() == []


@pytest.mark.parametrize(
    "fields",
    [
        {"due_at": NOON + timedelta(minutes=1)},
        {"due_at": None},
        {"intent": Intent.OFF},
        {"intent": Intent.PENDING},
        {"intent": Intent.PAUSED},
        {"intent": Intent.ARCHIVED},
        {"not_before": NOON + timedelta(seconds=1)},
        {"state": State.SIGN_IN_FAILED},
        {"state": State.BRAKED},
    ],
    ids=str,
)
def test_a_mailbox_that_is_not_due_not_on_held_back_or_waiting_for_a_person_is_left_alone(fleet, fields):
    fleet.mailbox(fleet.server(), **fields)
    assert claimed(fleet) == []


@pytest.mark.parametrize(
    "fields", [{"not_before": NOON}, {"state": State.WAITING_FOR_SERVER}, {"state": State.UNREACHABLE}], ids=str
)
def test_a_hold_that_is_over_holds_nothing(fleet, fields):
    box = fleet.mailbox(fleet.server(), **fields)
    assert claimed(fleet) == [box.pk]


@pytest.mark.parametrize("lead", [15, 60])
def test_s9_a_mailbox_is_claimed_ahead_of_its_bound_by_the_lead(fleet, lead):
    box = fleet.mailbox(
        fleet.server(), due_at=NOON + timedelta(seconds=lead), measured_from=NOON - timedelta(minutes=12)
    )
    assert claimed(fleet, lead=lead) == [box.pk]
    assert Run.objects.get().due_at == NOON - timedelta(seconds=lead)


def test_s9_a_mailbox_whose_bound_is_further_than_the_lead_waits_for_its_time(fleet):
    since = NOON + timedelta(seconds=16) - timedelta(minutes=12)
    fleet.mailbox(fleet.server(), due_at=NOON + timedelta(seconds=16), measured_from=since)
    assert claimed(fleet) == []


def test_s9_an_administrator_may_raise_the_bound(fleet):
    fleet.profile = SyncProfile.objects.create(name="slow", max_seconds=3600)
    box = fleet.mailbox(fleet.server(), due_at=NOON + timedelta(seconds=10), measured_from=NOON - timedelta(minutes=12))
    assert claimed(fleet) == []
    assert claims.owed_by(Mailbox.objects.get(pk=box.pk)) == NOON + timedelta(minutes=48)


def test_nothing_is_owed_to_a_mailbox_that_is_not_measured(fleet):
    assert claims.owed_by(fleet.mailbox(fleet.server(), measured_from=None)) is None


# -- servers


def test_a_server_held_back_holds_back_its_mailboxes_alone(fleet):
    fleet.mailbox(fleet.server(not_before=NOON + timedelta(seconds=5)))
    other = fleet.mailbox(fleet.server())
    assert claimed(fleet) == [other.pk]


def test_a_stopped_server_stops_the_mailboxes_of_its_credential_alone(fleet):
    server = fleet.server(stopped_at=NOON, stopped_code="sign_in_refused")
    fleet.mailbox(server)
    own = fleet.mailbox(server, username="anna")
    assert claimed(fleet) == [own.pk]


def test_no_server_gets_more_jobs_at_once_than_it_has_slots(fleet):
    server = fleet.server(concurrency=3)
    fleet.mailboxes(server, 20)
    jobs = fleet.claim(batch=4)
    assert [len(job.run_ids) for job in jobs] == [4, 4, 4]
    assert fleet.claim(batch=4) == []
    runs.settle_many([runs.Done(run, idle(), fleet.now) for run in fleet.begin(jobs[0].run_ids)])
    assert [len(job.run_ids) for job in fleet.claim(batch=4)] == [4]


def test_a_run_in_front_of_everything_takes_a_slot_too(fleet):
    server = fleet.server(concurrency=1)
    boxes = fleet.mailboxes(server, 2)
    claims.claim_one(boxes[0], Trigger.PERSON, claims.IMMEDIATE, fleet.now)
    assert claimed(fleet) == []


@pytest.mark.parametrize(("due", "jobs"), [(3, [3]), (9, [4, 4, 1]), (22, [6, 6, 6, 4]), (200, [25, 25, 25, 25])])
def test_mailboxes_are_spread_over_the_slots_that_are_free_but_not_too_thinly(fleet, due, jobs):
    fleet.mailboxes(fleet.server(concurrency=4), due)
    assert [len(job.run_ids) for job in fleet.claim(batch=25)] == jobs


def test_servers_take_turns_so_that_a_big_one_starves_nobody(fleet):
    big, small, tiny = fleet.server(concurrency=20), fleet.server(), fleet.server()
    fleet.mailboxes(big, 100, measured_from=NOON - timedelta(minutes=11))
    one, other = fleet.mailbox(small), fleet.mailbox(tiny)
    got = claimed(fleet, limit=12, batch=5)
    assert {one.pk, other.pk} <= set(got)
    assert len(got) == 12


def test_the_server_that_had_its_turn_longest_ago_is_first(fleet):
    first, second = fleet.server(), fleet.server()
    boxes = {server.pk: fleet.mailboxes(server, 4) for server in (first, second)}
    turns = []
    for _turn in range(4):
        (job,) = fleet.claim(limit=1)
        turns.append(job.server_id)
        fleet.later(seconds=1)
    assert turns == [first.pk, second.pk, first.pk, second.pk]
    assert len(boxes) == 2


def test_the_most_overdue_mailbox_of_a_server_is_first_by_its_own_bound(fleet):
    server = fleet.server()
    late = fleet.mailbox(server, measured_from=NOON - timedelta(minutes=11), due_at=NOON)
    early = fleet.mailbox(server, measured_from=NOON - timedelta(minutes=2), due_at=NOON - timedelta(minutes=1))
    fleet.profile = SyncProfile.objects.create(name="slow", max_seconds=3600)
    slow = fleet.mailbox(server, measured_from=NOON - timedelta(minutes=13), due_at=NOON - timedelta(minutes=2))
    assert [claimed(fleet, limit=1)[0] for _ in range(3)] == [late.pk, early.pk, slow.pk]


# -- an outage


def test_a_server_that_failed_is_tried_by_one_mailbox_at_a_time(fleet):
    server = fleet.server(concurrency=8)
    fleet.mailboxes(server, 10)
    fleet.run_all(failed(Unavailable()), limit=1)
    fleet.later(seconds=10)
    (probe,) = fleet.claim()
    assert len(probe.run_ids) == 1
    assert fleet.claim() == []
    runs.settle_many([runs.Done(run, idle(), fleet.now) for run in fleet.begin(probe.run_ids)])
    # One stays held back in its own name no longer than the others: all go at once.
    assert len(claimed(fleet)) == 9


def test_another_mailbox_tries_each_time_so_that_one_odd_mailbox_cannot_keep_a_server_down(fleet):
    fleet.mailboxes(fleet.server(), 3)
    tried = []
    for _attempt in range(3):
        tried += fleet.run_all(failed(Unavailable()), limit=1)
        fleet.later(seconds=20)
    assert len(set(tried)) == 3


# -- backlogs


def test_a_first_sync_goes_to_bulk_alone_in_its_job(fleet):
    fleet.mailboxes(fleet.server(concurrency=4), 3, first_sync_done=False, measured_from=NOON)
    assert [(job.queue, len(job.run_ids)) for job in fleet.claim()] == [("bulk", 1)] * 3


def test_bulk_leaves_a_slot_to_the_schedule(fleet):
    server = fleet.server(concurrency=3)
    fleet.mailboxes(server, 5, backlog=True, measured_from=NOON)
    assert [job.queue for job in fleet.claim()] == ["bulk", "bulk"]
    fleet.mailbox(server)
    assert [job.queue for job in fleet.claim()] == ["sync"]


def test_bulk_that_waits_for_a_worker_does_not_keep_the_schedule_waiting(fleet):
    server = fleet.server(concurrency=1)
    fleet.mailbox(server, backlog=True, measured_from=NOON)
    (bulk,) = fleet.claim()
    fleet.mailbox(server)
    (sync,) = fleet.claim()
    assert (bulk.queue, sync.queue) == ("bulk", "sync")
    fleet.begin(sync.run_ids)
    assert not claims.slot_is_free(server, bulk.job_id)


def test_bulk_at_work_keeps_its_slot(fleet):
    server = fleet.server(concurrency=1)
    fleet.mailbox(server, backlog=True, measured_from=NOON)
    (bulk,) = fleet.claim()
    fleet.begin(bulk.run_ids)
    fleet.mailbox(server)
    assert claims.slot_is_free(server, bulk.job_id)
    assert claimed(fleet) == []


def test_s9_a_backlog_whose_bound_is_near_goes_with_the_schedule(fleet):
    fleet.mailbox(fleet.server(), backlog=True, measured_from=NOON - timedelta(seconds=706))
    assert [job.queue for job in fleet.claim()] == ["sync"]


def test_many_backlogs_do_not_crowd_out_what_is_due(fleet):
    server = fleet.server(concurrency=4)
    fleet.mailboxes(server, 200, first_sync_done=False, measured_from=NOON - timedelta(minutes=8))
    box = fleet.mailbox(server, measured_from=NOON - timedelta(minutes=1))
    assert box.pk in claimed(fleet, batch=5)


# -- one at a time


def test_claim_one_leases_a_mailbox_that_is_not_due(fleet):
    box = fleet.mailbox(fleet.server(), due_at=NOON + timedelta(hours=1))
    run = claims.claim_one(box, Trigger.PERSON, claims.IMMEDIATE, fleet.now)
    assert (run.trigger, run.queue, run.mailbox) == (Trigger.PERSON, "immediate", box)


def test_claim_one_says_which_run_has_the_mailbox(fleet):
    box = fleet.mailbox(fleet.server())
    run = claims.claim_one(box, Trigger.PERSON, claims.IMMEDIATE, fleet.now)
    with pytest.raises(AlreadyRunning) as busy:
        claims.claim_one(box, Trigger.COMMAND, "", fleet.now)
    assert busy.value.run.pk == run.pk
    assert Run.objects.count() == 1


def test_a_leased_mailbox_is_never_claimed(fleet):
    box = fleet.mailbox(fleet.server())
    claims.claim_one(box, Trigger.PERSON, claims.IMMEDIATE, fleet.now)
    assert claimed(fleet) == []


def test_a_lease_that_ends_between_the_two_looks_is_taken(fleet, monkeypatch):
    box = fleet.mailbox(fleet.server())
    first = claims.claim_one(box, Trigger.PERSON, claims.IMMEDIATE, fleet.now)
    insert = Run.objects.bulk_create

    def ends_after(rows, **options):
        made = insert(rows, **options)
        Run.objects.filter(pk=first.pk).delete()
        return made

    monkeypatch.setattr(type(Run.objects), "bulk_create", lambda _self, rows, **options: ends_after(rows, **options))
    assert claims.claim_one(box, Trigger.PERSON, claims.IMMEDIATE, fleet.now).pk != first.pk


@pytest.mark.django_db(transaction=True)
def test_many_dispatchers_at_once_claim_each_mailbox_once():
    fleet = Fleet()
    for _server in range(3):
        fleet.mailboxes(fleet.server(concurrency=1000), 100)
    barrier, seen = threading.Barrier(4), []

    def dispatch() -> None:
        barrier.wait()
        for _round in range(10):
            seen.extend(pk for job in fleet.claim(limit=40, batch=5) for pk in job.run_ids)
        connections.close_all()

    threads = [threading.Thread(target=dispatch) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == len(set(seen)) == Run.objects.count() == 300
    assert Run.objects.values("mailbox").distinct().count() == 300


def test_a_tick_costs_the_same_number_of_statements_however_many_mailboxes_and_servers(
    fleet, django_assert_max_num_queries
):
    for _server in range(5):
        fleet.mailboxes(fleet.server(concurrency=27), 50)
    with django_assert_max_num_queries(9):
        assert len(claimed(fleet)) == 250


def test_stop_and_repair_of_a_credential_reach_every_mailbox_behind_it(fleet):
    server = fleet.server()
    first, *_others = fleet.mailboxes(server, 4)
    fleet.run(first, failed(AuthRejected(), reached=True))
    assert claimed(fleet) == []
    assert set(Mailbox.objects.values_list("state", flat=True)) == {State.SIGN_IN_FAILED}
    server.refresh_from_db()
    intents.server_repaired(server, fleet.later(minutes=30))
    assert len(claimed(fleet)) == 4
