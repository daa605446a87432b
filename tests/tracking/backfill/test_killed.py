"""A backfill whose process dies before any statement, or on either side of any request, and is gone on with by another."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

import pytest
from django.db import connection, transaction

from mailboxes.models import Mailbox
from mailboxes.states import Track
from tests.tracking.office import Office
from tests.tracking.outgoing.post import Death, Killed, Mortal
from tracking.backfill import engine, requests
from tracking.models import Activity, Backfill, Holder, ItemDecision

pytestmark = pytest.mark.django_db
MAILS = 5
DAYS = (date(2026, 3, 1), date(2026, 3, 31))


def asked(office: Office) -> Backfill:
    marta = office.mailbox("marta", track=Track.NONE)
    for number in range(MAILS):
        office.server.deliver(
            marta.address, "inbox", sender="anna@c.example", to=[marta.address], message_id=f"<{number}@x>",
            in_reply_to=f"<{number - 1}@x>", received_at=datetime(2026, 3, 9, 12, number, tzinfo=UTC),
        )  # fmt: skip
    office.sync(marta)
    Mailbox.objects.filter(pk=marta.pk).update(track=Track.ALL)
    return requests.of_range(marta, *DAYS, None, by="admin", now=office.now)


def turn(office: Office, row: Backfill, death: Death) -> None:
    """Do one turn in a process that may die in it."""
    row.refresh_from_db()
    mailbox = Mailbox.objects.select_related("server", "sync_profile", "owner").get(pk=row.mailbox_id)
    run = office.begin(mailbox)
    run.mailbox = mailbox
    provider = Mortal(office.server.provider(mailbox.address), death.edge)
    try:
        with connection.execute_wrapper(death.before_statement):
            engine.work(row, run, provider, clock=lambda: office.now, beat=lambda: None)
    except Killed:
        pass
    finally:
        office.end(run)


def course(nth: int) -> tuple[str, int]:
    """Count and read, dying at the `nth` place of each turn until that is past its end; return where, and how often."""
    office = Office(now=datetime(2026, 6, 1, 9, 0, tzinfo=UTC))
    row = asked(office)
    deaths, struck = 0, ""
    for attempt in range(12):
        row.refresh_from_db()
        if row.state == Backfill.State.COUNTED:
            office.now += timedelta(seconds=1)
            requests.confirm(row, by="admin", now=office.now)
        if row.state == Backfill.State.DONE:
            break
        # The same place twice, then one that gets through: a place that kills for ever is another test's.
        death = Death(nth if attempt % 3 < 2 else 0)
        turn(office, row, death)
        deaths += bool(death.struck)
        struck = struck or death.struck
    row.refresh_from_db()
    assert row.state == Backfill.State.DONE, (nth, struck, row.state)
    assert (row.tracked, row.quarantined) == (MAILS, 0), (nth, struck)
    assert Activity.objects.count() == Holder.objects.count() == MAILS, (nth, struck)
    assert ItemDecision.objects.filter(outcome="tracked").count() == MAILS, (nth, struck)
    assert Activity.objects.values("thread").distinct().count() == 1
    return struck, deaths


def test_wherever_it_dies_everything_is_stored_exactly_once_and_counted_so(
    monkeypatch: pytest.MonkeyPatch, record_property: Callable[[str, object], None]
) -> None:
    monkeypatch.setattr(engine, "PART_ITEMS", 2)
    places, deaths = 0, 0
    # Every thirteenth place, each tried in counting and in reading, which have different ones there.
    for nth in range(1, 2000, 13):
        with transaction.atomic():
            struck, died = course(nth)
            transaction.set_rollback(True)
        if not struck:
            break
        places, deaths = places + 1, deaths + died
    else:
        pytest.fail("a turn without an end")
    record_property("places", places)
    record_property("deaths", deaths)
    assert places > 10
