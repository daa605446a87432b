"""The job: one mailbox at a time under its lease, giving way, never in the way of its schedule."""

from collections.abc import Collection, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rq import Queue, SimpleWorker

from mailboxes import claims
from mailboxes.models import Mailbox, Run
from mailboxes.provider.errors import AuthRejected, Unavailable
from mailboxes.states import Intent, Outcome, Track, Trigger
from tests.tracking.office import Office
from tracking.backfill import engine, requests, retro, turns, waiting
from tracking.models import Activity, AddressMatch, Backfill, Contact, Participant
from tracking.workers import jobs
from tracking.workers import turn as turn_module
from tracking.workers.dispatcher import Dispatcher
from tracking.workers.transport import RedisTransport, have_backfilled, queue

pytestmark = pytest.mark.django_db
State = Backfill.State


@pytest.fixture
def office(monkeypatch: pytest.MonkeyPatch) -> Office:
    office = Office(now=datetime(2026, 6, 1, 9, 0, tzinfo=UTC))
    monkeypatch.setattr(turn_module, "open_provider", lambda mailbox: office.server.provider(mailbox.address))
    monkeypatch.setattr(turn_module, "anything_waits", lambda: False)
    return office


def asked(office: Office, name: str, count: int = 3) -> Backfill:
    mailbox = office.mailbox(name, track=Track.NONE)
    for number in range(count):
        office.server.deliver(
            mailbox.address, "inbox", sender="anna@c.example", to=[mailbox.address], message_id=f"<{name}{number}@x>",
            received_at=datetime(2026, 3, 9, 12, number, tzinfo=UTC),
        )  # fmt: skip
    office.sync(mailbox)
    Mailbox.objects.filter(pk=mailbox.pk).update(track=Track.ALL, due_at=office.now + timedelta(minutes=5))
    days = (datetime(2026, 3, 1, tzinfo=UTC).date(), datetime(2026, 3, 31, tzinfo=UTC).date())
    return requests.of_range(mailbox, *days, None, by="admin", now=office.now)


def turn(office: Office, **patches: Any) -> bool:
    return turns.Turn("worker", clock=lambda: office.now).work()


def state(row: Backfill) -> str:
    row.refresh_from_db()
    return row.state


def test_all_that_waits_is_counted_and_read_in_turn(office: Office) -> None:
    rows = [asked(office, name) for name in ("marta", "luis")]
    assert not turn(office)
    assert [state(row) for row in rows] == [State.COUNTED, State.COUNTED]
    office.now += timedelta(minutes=1)
    for row in rows:
        requests.confirm(row, by="admin", now=office.now)
    turn(office)
    assert [(state(row), row.tracked) for row in rows] == [(State.DONE, 3), (State.DONE, 3)]
    assert not waiting.backfill_waits(office.now)


def test_a_secret_that_cannot_be_decrypted_holds_up_nobody_else(office: Office, settings: Any) -> None:
    first, second = asked(office, "marta"), asked(office, "luis")
    Mailbox.objects.filter(pk=first.mailbox_id).update(username="marta", secret="a password")
    settings.ENCRYPTION_KEYS = ["another key"]
    turn(office)
    assert Backfill.objects.values_list("state", flat=True).get(pk=second.pk) == State.COUNTED


def test_the_schedule_of_the_mailbox_is_left_alone(office: Office) -> None:
    row = asked(office, "marta")
    before = Mailbox.objects.filter(pk=row.mailbox_id).values().get()
    turn(office)
    assert Mailbox.objects.filter(pk=row.mailbox_id).values().get() == before
    run = Run.objects.filter(mailbox=row.mailbox_id).latest("pk")
    assert (run.outcome, run.worker, run.finished_at is not None) == (Outcome.DONE, "worker", True)


def test_it_gives_way_to_whatever_waits_and_goes_on_later(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "PART_ITEMS", 1)
    monkeypatch.setattr(turn_module, "anything_waits", lambda: True)
    row = asked(office, "marta", count=4)
    seconds = iter(range(10_000))
    more, rounds = True, 0
    while more:
        begun = office.now
        clock = lambda begun=begun: begun + timedelta(seconds=next(seconds) * 0.3)  # noqa: E731 -- time that passes
        more = turns.Turn("worker", clock=clock).work()
        rounds += 1
    assert rounds > 1
    assert state(row) == State.COUNTED


def test_a_mailbox_at_work_is_left_for_later(office: Office) -> None:
    row = asked(office, "marta")
    run = claims.claim_one(row.mailbox, Trigger.SCHEDULE, "sync", office.now)
    assert not turn(office)
    assert state(row) == State.COUNTING
    office.end(run)
    turn(office)
    assert state(row) == State.COUNTED


@pytest.mark.parametrize(
    "fields", [{"intent": Intent.OFF}, {"incoming": False}, {"state": "sign_in_failed"}, {"not_before": "later"}]
)
def test_a_mailbox_that_is_not_to_be_read_waits(office: Office, fields: dict[str, Any]) -> None:
    row = asked(office, "marta")
    if "not_before" in fields:
        fields = {"not_before": office.now + timedelta(hours=1)}
    Mailbox.objects.filter(pk=row.mailbox_id).update(**fields)
    assert not waiting.backfill_waits(office.now)
    turn(office)
    assert state(row) == State.COUNTING


def test_what_stops_it_is_settled_as_for_any_run(office: Office) -> None:
    row = asked(office, "marta")
    office.server.fail("listing", AuthRejected(code="sign_in_refused"))
    assert not turn(office)
    run = Run.objects.filter(mailbox=row.mailbox_id).latest("pk")
    assert (run.outcome, run.error_code) == (Outcome.FAILED, "sign_in_refused")
    assert (state(row), row.error_code) == (State.COUNTING, "sign_in_refused")


def test_one_mailboxs_trouble_is_its_own(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = asked(office, "marta"), asked(office, "luis")
    real = turn_module.open_provider

    def opened(mailbox: Mailbox) -> Any:
        if mailbox.pk == first.mailbox_id:
            raise ValueError("something nobody thought of")
        return real(mailbox)

    monkeypatch.setattr(turn_module, "open_provider", opened)
    turn(office)
    assert (state(first), state(second)) == (State.COUNTING, State.COUNTED)
    assert Run.objects.filter(mailbox=first.mailbox_id).latest("pk").error_code == "internal_error"


def test_a_lease_that_is_lost_is_left_to_whoever_has_it(office: Office) -> None:
    row = asked(office, "marta")

    def take_away() -> None:
        Run.objects.filter(finished_at=None).update(finished_at=office.now, outcome=Outcome.ABANDONED)

    office.server.before("envelopes", take_away)
    assert not turn(office)
    assert Run.objects.filter(mailbox=row.mailbox_id).latest("pk").outcome == Outcome.ABANDONED
    turn(office)
    assert state(row) == State.COUNTED


def test_records_are_matched_before_anything_is_read(office: Office) -> None:
    asked(office, "marta")
    Mailbox.objects.update(track=Track.ALL)
    office.server.deliver("marta@office.example", sender="new@c.example", message_id="<new@x>")
    office.sync(Mailbox.objects.get())
    record = Contact.objects.create(last_name="A", email1="new@c.example")
    AddressMatch.objects.create(record_kind="contact", record_id=record.pk, wanted_at=office.now)
    assert waiting.backfill_waits(office.now)
    turn(office)
    assert Participant.objects.filter(record_id=record.pk).count() == 1


def test_a_range_does_not_wait_until_every_record_is_matched(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    row = asked(office, "marta")
    for number in range(5):
        record = Contact.objects.create(last_name="A", email1=f"{number}@c.example")
        AddressMatch.objects.create(record_kind="contact", record_id=record.pk, wanted_at=office.now)
    match = retro.match

    def slow(each: AddressMatch, now: datetime) -> tuple[int, int]:
        office.now += timedelta(seconds=0.6)
        return match(each, now)

    monkeypatch.setattr(retro, "match", slow)
    monkeypatch.setattr(turn_module, "anything_waits", lambda: True)
    assert turn(office), "there is more"
    assert AddressMatch.objects.filter(wanted_at=None).count() == 2
    assert state(row) == State.COUNTED


@pytest.mark.parametrize("off", [{"intent": Intent.OFF}, {"incoming": False}])
def test_a_mailbox_that_is_switched_off_meanwhile_is_not_read_on(
    office: Office, monkeypatch: pytest.MonkeyPatch, off: dict[str, Any]
) -> None:
    row = asked(office, "marta", count=5)
    monkeypatch.setattr(engine, "PART_ITEMS", 2)
    turn(office)
    office.now += timedelta(minutes=1)
    requests.confirm(Backfill.objects.get(pk=row.pk), by="admin", now=office.now)

    def switch_off() -> None:
        Mailbox.objects.filter(pk=row.mailbox_id).update(**off)

    office.server.before("contents", switch_off)
    turn(office)
    assert (state(row), row.tracked) == (State.READING, 2)


def test_a_worker_that_is_to_stop_stops(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    row = asked(office, "marta")
    jobs.STOP.set()
    try:
        assert not turn(office), "and puts nothing into the queue"
    finally:
        jobs.STOP.clear()
    assert Activity.objects.count() == 0
    assert state(row) in Backfill.WORKED_ON or state(row) == State.COUNTED


def test_the_job_puts_itself_behind_what_waits_while_there_is_more(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    put: list[str] = []
    monkeypatch.setattr(turns, "have_backfilled", lambda: put.append("again"))
    monkeypatch.setattr(turns.Turn, "work", lambda _self: True)
    turns.go_on()
    monkeypatch.setattr(turns.Turn, "work", lambda _self: False)
    turns.go_on()
    assert put == ["again"]


def test_a_throttled_server_holds_it_back(office: Office) -> None:
    row = asked(office, "marta")
    office.server.fail("listing", Unavailable(code="timed_out"))
    turn(office)
    assert (state(row), row.error_code) == (State.COUNTING, "timed_out")


# -- through the real queue


@pytest.fixture
def backlogs() -> Iterator[Queue]:
    waiting = queue("bulk")
    waiting.empty()
    yield waiting
    waiting.empty()


def test_one_turn_at_a_time_waits_in_the_queue(backlogs: Queue) -> None:
    RedisTransport().go_on_backfilling()
    RedisTransport().go_on_backfilling()
    assert len(backlogs.get_job_ids()) == 1


def test_a_turn_that_asks_for_the_next_gets_it(backlogs: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    more = iter([True, True, False])
    turns_done: list[str] = []

    def work(_self: turns.Turn) -> bool:
        turns_done.append("turn")
        return next(more)

    monkeypatch.setattr(turns.Turn, "work", work)
    have_backfilled()
    worker = SimpleWorker([backlogs], connection=backlogs.connection, serializer=backlogs.serializer)
    worker.work(burst=True, logging_level="ERROR")
    assert len(turns_done) == 3
    assert backlogs.get_job_ids() == []


class Heard(RedisTransport):
    """Notes what the dispatcher asks for."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def go_on_backfilling(self) -> None:
        self.asked.append("backfill")


class Nobody:
    """Saw no worker die."""

    def dead(self, names: Collection[str]) -> set[str]:
        return set()


def test_the_dispatcher_has_it_gone_on_with_every_half_minute_while_anything_waits(office: Office) -> None:
    heard = Heard()
    dispatcher = Dispatcher(heard, clock=lambda: office.now, watcher=Nobody())
    Mailbox.objects.update(due_at=None)
    dispatcher._go_on_backfilling(office.now)
    assert heard.asked == []
    asked(office, "marta")
    dispatcher._go_on_backfilling(office.now)
    assert heard.asked == ["backfill"]
