"""The 12-minute promise: what counts as kept, as late, and as not owed at all."""

from datetime import timedelta

import pytest

from mailboxes import intents, promise, runs
from mailboxes.models import LateGap, Mailbox, PromiseBucket, Run, SyncProfile
from mailboxes.promise import Share
from mailboxes.provider.errors import AuthRejected, Unavailable
from mailboxes.states import Intent, State
from tests.mailboxes.fleet import NOON, Fleet, failed, idle

pytestmark = pytest.mark.django_db

HOUR = promise.WINDOWS["1h"]


@pytest.fixture
def fleet() -> Fleet:
    return Fleet()


def test_s9_a_start_within_twelve_minutes_keeps_the_promise(fleet):
    box = fleet.mailbox(fleet.server(), measured_from=NOON - timedelta(seconds=720))
    fleet.run(box)
    assert promise.share(NOON, HOUR) == Share(ended=1, kept=1, open_late=0)


def test_s9_a_start_after_twelve_minutes_breaks_it_and_is_kept_with_its_cause(fleet):
    box = fleet.mailbox(fleet.server(), measured_from=NOON - timedelta(seconds=721))
    fleet.run(box)
    assert promise.share(NOON, HOUR) == Share(ended=1, kept=0, open_late=0)
    late = LateGap.objects.get()
    assert (late.since, late.until, late.bound_s, late.cause) == (
        NOON - timedelta(seconds=721),
        NOON,
        720,
        promise.LATE_START,
    )


def test_s9_the_bound_is_the_profiles_where_an_administrator_raised_it_and_never_less_than_twelve_minutes(fleet):
    fleet.profile = SyncProfile.objects.create(name="slow", max_seconds=1800)
    fleet.run(fleet.mailbox(fleet.server(), measured_from=NOON - timedelta(seconds=1799)))
    fleet.profile = SyncProfile.objects.create(name="fast", max_seconds=300, normal_seconds=200)
    fleet.run(fleet.mailbox(fleet.server(), measured_from=NOON - timedelta(seconds=700)))
    assert promise.share(NOON, HOUR).ratio == 1.0


def test_s9_an_attempt_that_reached_no_server_ends_no_gap(fleet):
    box = fleet.mailbox(fleet.server())
    fleet.run(box, failed(Unavailable()))
    assert not PromiseBucket.objects.exists()
    fleet.later(seconds=30)
    fleet.run(box)
    assert promise.share(fleet.now, HOUR) == Share(ended=1, kept=1, open_late=0)


def test_s9_gaps_go_from_start_to_start_however_long_a_run_takes(fleet):
    box = fleet.mailbox(fleet.server(), measured_from=NOON - timedelta(minutes=10))
    (claim,) = fleet.claim()
    (run,) = fleet.begin(claim.run_ids)
    fleet.later(minutes=8)
    runs.heartbeat([run], run, fleet.now)
    assert promise.share(fleet.now, HOUR).open_late == 0
    runs.settle(run, idle(), fleet.now)
    box.refresh_from_db()
    assert box.measured_from == NOON
    assert promise.share(fleet.now, HOUR) == Share(ended=1, kept=1, open_late=0)


def test_s9_a_gap_that_is_late_and_still_open_counts_as_broken(fleet):
    fleet.mailbox(fleet.server(), measured_from=NOON - timedelta(minutes=13))
    fleet.run(fleet.mailbox(fleet.server()))
    share = promise.share(NOON, HOUR)
    assert (share, share.ratio) == (Share(ended=1, kept=1, open_late=1), 0.5)


@pytest.mark.parametrize(
    "fields",
    [{"intent": Intent.OFF}, {"intent": Intent.PAUSED}, {"state": State.SIGN_IN_FAILED}, {"measured_from": None}],
    ids=str,
)
def test_s9_nothing_is_owed_to_a_mailbox_that_is_not_on_or_waits_for_a_person(fleet, fields):
    fleet.mailbox(fleet.server(), **{"measured_from": NOON - timedelta(days=1), **fields})
    assert promise.share(NOON, HOUR).open_late == 0


def test_s9_nothing_is_owed_behind_a_stopped_credential_but_to_those_who_have_their_own(fleet):
    server = fleet.server(stopped_at=NOON)
    fleet.mailbox(server, measured_from=NOON - timedelta(days=1))
    own = fleet.mailbox(server, username="carla", measured_from=NOON - timedelta(days=1))
    assert [box.pk for box in promise.open_late(NOON)] == [own.pk]


def test_s9_throttled_and_unreachable_mailboxes_are_counted_and_named(fleet):
    box = fleet.mailbox(
        fleet.server(),
        measured_from=NOON - timedelta(minutes=20),
        state=State.WAITING_FOR_SERVER,
        issue_code="unreachable",
    )
    (worst,) = promise.worst(NOON, 5)
    assert (worst.address, worst.until, worst.seconds, worst.cause) == (box.address, None, 1200, "unreachable")


def test_a_pause_restarts_the_measurement(fleet):
    box = fleet.mailbox(fleet.server())
    rows = Mailbox.objects.filter(pk=box.pk)
    intents.pause(rows, fleet.now, by="anna")
    intents.turn_on(rows, fleet.later(hours=5), by="anna")
    fleet.run(box)
    assert promise.share(fleet.now, HOUR) == Share(ended=0, kept=0, open_late=0)
    fleet.later(minutes=5)
    fleet.run(box)
    assert promise.share(fleet.now, HOUR) == Share(ended=1, kept=1, open_late=0)


def test_switching_off_a_mailbox_that_is_late_does_not_embellish_the_past(fleet):
    box = fleet.mailbox(fleet.server(), measured_from=NOON - timedelta(minutes=30))
    fleet.mailbox(fleet.server(), measured_from=NOON - timedelta(minutes=3))
    intents.turn_off(Mailbox.objects.all(), fleet.now, by="admin")
    assert promise.share(NOON, HOUR) == Share(ended=1, kept=0, open_late=0)
    assert LateGap.objects.get().mailbox_id == box.pk


def test_waiting_for_a_person_restarts_the_measurement(fleet):
    server = fleet.server()
    box = fleet.mailbox(server)
    fleet.run(box, failed(AuthRejected(), reached=True))
    server.refresh_from_db()
    intents.server_repaired(server, fleet.later(days=2))
    fleet.later(minutes=1)
    fleet.run(box)
    assert LateGap.objects.count() == 0


def test_the_cause_of_a_late_gap_is_what_was_wrong_with_the_mailbox(fleet):
    box = fleet.mailbox(
        fleet.server(), measured_from=NOON - timedelta(minutes=20), failures=3, issue_code="server_busy"
    )
    fleet.run(box)
    assert LateGap.objects.get().cause == "server_busy"


def test_the_cause_of_a_late_gap_is_what_was_wrong_with_the_server(fleet):
    server = fleet.server()
    fleet.mailboxes(server, 3)
    for _probe in range(3):
        fleet.run_all(failed(Unavailable()), limit=1)
        fleet.later(seconds=20)
    box = fleet.mailbox(server, measured_from=NOON - timedelta(minutes=15))
    fleet.run(box)
    assert LateGap.objects.get(mailbox=box).cause == "unreachable"


def test_the_cause_of_a_late_gap_is_a_worker_that_died(fleet):
    box = fleet.mailbox(fleet.server(), measured_from=NOON - timedelta(minutes=11))
    (claim,) = fleet.claim()
    fleet.begin(claim.run_ids)
    runs.abandon_stale(fleet.later(minutes=3))
    fleet.run(Mailbox.objects.get(pk=box.pk))
    # The mailbox counts the death as a failure without a code of its own: the run tells.
    assert LateGap.objects.get().cause == runs.WORKER_LOST


def test_the_worst_are_the_longest_of_what_ended_and_what_is_open(fleet):
    server = fleet.server()
    for minutes in (13, 40, 25):
        fleet.run(fleet.mailbox(server, measured_from=NOON - timedelta(minutes=minutes)))
    fleet.mailbox(server, measured_from=NOON - timedelta(minutes=30))
    assert [one.seconds // 60 for one in promise.worst(NOON, 3)] == [40, 30, 25]


def test_a_window_counts_the_gaps_that_ended_in_it(fleet):
    box = fleet.mailbox(fleet.server())
    for _hour in range(30):
        fleet.run(box)
        fleet.later(minutes=60)
    assert promise.share(fleet.now, HOUR).ended <= 2
    assert 24 <= promise.share(fleet.now, promise.WINDOWS["24h"]).ended <= 26
    assert promise.share(fleet.now, promise.WINDOWS["7d"]).ended == 30


def test_without_any_gap_there_is_no_share(fleet):
    assert promise.share(NOON, HOUR).ratio is None


def test_the_lead_is_the_p99_of_due_to_start_of_late_between_its_limits(fleet):
    assert promise.lead_seconds(NOON) == promise.LEAD_LEAST
    fleet.mailboxes(fleet.server(concurrency=1), 10)
    (claim,) = fleet.claim()
    fleet.later(seconds=40)
    runs.settle_many([runs.Done(run, idle(), fleet.now) for run in fleet.begin(claim.run_ids)])
    assert promise.lead_seconds(fleet.now) == 40
    Run.objects.update(due_at=NOON - timedelta(hours=1))
    assert promise.lead_seconds(fleet.now) == promise.LEAD_MOST
    assert promise.lead_seconds(fleet.later(hours=1)) == promise.LEAD_LEAST


def test_a_mailbox_switched_on_behind_a_stopped_server_is_owed_nothing_until_it_is_repaired(fleet):
    server = fleet.server(stopped_at=NOON, stopped_code="sign_in_refused")
    box = fleet.mailbox(server, intent=Intent.PAUSED, measured_from=None)
    intents.turn_on(Mailbox.objects.filter(pk=box.pk), fleet.now, by="anna")
    assert fleet.run_all() == []
    intents.server_repaired(server, fleet.later(hours=5))
    assert promise.share(fleet.now, HOUR) == Share(ended=0, kept=0, open_late=0)
    fleet.later(minutes=1)
    assert fleet.run_all() == [box.pk]
    assert promise.share(fleet.now, HOUR) == Share(ended=1, kept=1, open_late=0)


def test_a_run_that_is_wanted_at_once_is_brought_forward_and_an_overdue_one_is_not_put_back():
    fleet = Fleet(now=NOON)
    server = fleet.server()
    later = fleet.mailbox(server, due_at=NOON + timedelta(minutes=5))
    overdue = fleet.mailbox(server, due_at=NOON - timedelta(minutes=5))
    off = fleet.mailbox(server, due_at=NOON + timedelta(minutes=5), intent=Intent.OFF)
    assert intents.make_due(Mailbox.objects.all(), NOON) == 2
    for box in (later, overdue, off):
        box.refresh_from_db()
    assert (later.due_at, overdue.due_at, off.due_at) == (
        NOON, NOON - timedelta(minutes=5), NOON + timedelta(minutes=5),
    )  # fmt: skip
