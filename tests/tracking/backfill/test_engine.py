"""Backfill: counted first, read when confirmed, exactly once whatever dies; what is counted is what comes."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone
from hypothesis import given, settings
from hypothesis import strategies as st

from mailboxes.models import Folder, Mailbox, Run
from mailboxes.provider.errors import FolderGone, Throttled, Unavailable
from mailboxes.report import RunReport
from mailboxes.states import Intent, Track
from tests.tracking.office import Office
from tracking.backfill import engine, requests
from tracking.backfill.requests import NotPossible
from tracking.engine.apply import LeaseLost
from tracking.models import Activity, Backfill, Contact, Holder, ItemDecision

pytestmark = pytest.mark.django_db

ANNA = "anna@customer.example"
MARCH = (date(2026, 3, 1), date(2026, 3, 31))
State = Backfill.State


@pytest.fixture
def office() -> Office:
    return Office(now=datetime(2026, 6, 1, 9, 0, tzinfo=UTC))


def work(office: Office, row: Backfill, **options: Any) -> RunReport:
    """Do one turn under the mailbox's lease."""
    row.refresh_from_db()
    row.mailbox = Mailbox.objects.select_related("server", "sync_profile", "owner").get(pk=row.mailbox_id)
    run = office.begin(row.mailbox)
    run.mailbox = row.mailbox
    try:
        return engine.work(
            row,
            run,
            office.server.provider(row.mailbox.address),
            clock=lambda: office.now,
            beat=lambda: None,
            **options,
        )
    finally:
        office.end(run)


def of_march(office: Office, mailbox: Mailbox, folder: Folder | None = None) -> Backfill:
    return requests.of_range(mailbox, *MARCH, folder, by="admin", now=office.now)


def confirmed(office: Office, row: Backfill) -> Backfill:
    row.refresh_from_db()
    office.now += timedelta(seconds=1)
    requests.confirm(row, by="admin", now=office.now)
    row.refresh_from_db()
    return row


def deliver(
    office: Office, mailbox: Mailbox, number: int, *, month: int = 3, folder: str = "inbox", **fields: Any
) -> str:
    given: dict[str, Any] = {
        "sender": ANNA, "to": [mailbox.address], "message_id": f"<{number}@x>", "subject": f"Mail {number}",
        "received_at": datetime(2026, month, 1 + number % 28, 12, tzinfo=UTC),
    }  # fmt: skip
    return office.server.deliver(mailbox.address, folder, **given | fields)


def refused(office: Office, count: int = 5) -> Mailbox:
    """Marta's mailbox tracked nothing when this mail came, and tracks everything now: no run looks at it again."""
    marta = office.mailbox("marta", track=Track.NONE)
    for number in range(count):
        deliver(office, marta, number)
    deliver(office, marta, 90, month=2)
    deliver(office, marta, 91, month=4)
    office.sync(marta)
    Mailbox.objects.filter(pk=marta.pk).update(track=Track.ALL)
    office.sync(marta)
    assert not Activity.objects.exists()
    return marta


def tally(row: Backfill) -> dict[str, Any]:
    (found,) = [each for each in row.counted.values() if each["held"]]
    return dict(found)


def test_a_range_is_counted_without_storing_anything_and_read_when_confirmed(office: Office) -> None:
    marta = refused(office)
    row = of_march(office, marta)
    before = list(ItemDecision.objects.order_by("pk").values())
    work(office, row)
    row.refresh_from_db()
    assert row.state == State.COUNTED
    assert (tally(row)["held"], tally(row)["would_track"], tally(row)["refused"]) == (5, 5, {})
    assert (Activity.objects.count(), list(ItemDecision.objects.order_by("pk").values())) == (0, before)
    assert office.server.calls[marta.address, "contents"] == 0, "no content is read to be counted"
    work(office, confirmed(office, row))
    row.refresh_from_db()
    assert (row.state, row.tracked, row.examined, row.finished_at is not None) == (State.DONE, 5, 5, True)
    assert sorted(Activity.objects.values_list("message_id", flat=True)) == [f"<{n}@x>" for n in range(5)]


def test_nothing_is_read_that_nobody_confirmed(office: Office) -> None:
    row = of_march(office, refused(office))
    with pytest.raises(NotPossible, match="not_counted"):
        requests.confirm(row, by="admin", now=office.now)
    work(office, row)
    work(office, row)
    assert Activity.objects.count() == 0


def test_the_count_says_what_is_tracked_already_and_what_would_be_refused_and_why(office: Office) -> None:
    marta = refused(office, count=3)
    Mailbox.objects.filter(pk=marta.pk).update(track=Track.REPLIES)
    row = of_march(office, marta)
    work(office, row)
    row.refresh_from_db()
    assert (tally(row)["would_track"], tally(row)["refused"]) == (0, {"not_a_reply": 3})
    Mailbox.objects.filter(pk=marta.pk).update(track=Track.ALL)
    deliver(office, marta, 7)
    office.sync(marta)
    Mailbox.objects.filter(pk=marta.pk).update(track=Track.REPLIES)
    deliver(office, marta, 8, in_reply_to="<7@x>")
    deliver(office, marta, 9, in_reply_to="<8@x>")
    again = of_march(office, marta)
    row.refresh_from_db()
    assert row.state == State.CANCELLED, "a new count takes the place of one that nobody confirmed"
    work(office, again)
    again.refresh_from_db()
    found = tally(again)
    assert (found["held"], found["known"]) == (6, 1)
    # The second answers the first of them, which would be tracked by then.
    assert (found["would_track"], found["refused"]) == (2, {"not_a_reply": 3})


def test_what_is_counted_is_what_comes(office: Office) -> None:
    marta = refused(office, count=4)
    Contact.objects.create(last_name="A", email1=ANNA, owner=marta.owner)
    deliver(office, marta, 20, sender="nobody@else.example")
    Mailbox.objects.filter(pk=marta.pk).update(track=Track.RECORDS)
    row = of_march(office, marta)
    work(office, row)
    row.refresh_from_db()
    found = tally(row)
    work(office, confirmed(office, row))
    row.refresh_from_db()
    assert (row.tracked, row.refused) == (found["would_track"], sum(found["refused"].values())) == (4, 1)


def test_both_bounds_are_days_in_local_time_and_included(office: Office) -> None:
    marta = office.mailbox("marta", track=Track.NONE)
    for number, at in enumerate(
        ["2026-02-28T22:59:59", "2026-02-28T23:00:00", "2026-03-31T21:59:59", "2026-03-31T22:00:00"]
    ):
        deliver(office, marta, number, received_at=datetime.fromisoformat(at).replace(tzinfo=UTC))
    office.sync(marta)
    Mailbox.objects.filter(pk=marta.pk).update(track=Track.ALL)
    with timezone.override("Europe/Madrid"):
        row = of_march(office, marta)
    work(office, row)
    work(office, confirmed(office, row))
    assert sorted(Activity.objects.values_list("message_id", flat=True)) == ["<1@x>", "<2@x>"]


class Killed(BaseException):
    """The process dies here."""


def test_killed_at_any_request_everything_is_stored_exactly_once(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "PART_ITEMS", 2)
    marta = refused(office, count=7)
    row = of_march(office, marta)
    kills = 0

    def die() -> None:
        raise Killed

    for step in range(200):
        row.refresh_from_db()
        if row.state == State.COUNTED:
            confirmed(office, row)
        if row.state == State.DONE:
            break
        # Every turn dies one request later than the one before, then one gets through.
        for method in ("listing", "envelopes", "contents"):
            if step % 4 == ("listing", "envelopes", "contents").index(method):
                office.server.before(method, die)
        try:
            work(office, row)
        except Killed:
            kills += 1
    row.refresh_from_db()
    assert row.state == State.DONE
    assert kills > 3
    assert Activity.objects.count() == Holder.objects.count() == 7
    assert (row.tracked, row.examined) == (7, 7), "counted with the page, not beside it"


@settings(max_examples=25, deadline=None)
@given(
    deaths=st.lists(st.sampled_from(["listing", "envelopes", "contents", ""]), max_size=6),
    size=st.integers(1, 4),
    mails=st.lists(st.sampled_from(["march", "april", "tracked"]), max_size=7),
)
def test_whatever_dies_in_whatever_order_a_range_is_read_exactly_once(
    deaths: list[str], size: int, mails: list[str]
) -> None:
    with transaction.atomic(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "PART_ITEMS", size)
        office = Office(now=datetime(2026, 6, 1, 9, 0, tzinfo=UTC))
        marta = office.mailbox("marta", track=Track.NONE)
        for number, kind in enumerate(mails):
            if kind != "tracked":
                deliver(office, marta, number, month=4 if kind == "april" else 3)
        office.sync(marta)
        Mailbox.objects.filter(pk=marta.pk).update(track=Track.ALL)
        for number, kind in enumerate(mails):
            if kind == "tracked":
                deliver(office, marta, number)
        office.sync(marta)
        row = of_march(office, marta)
        plan = list(deaths)
        for _turn in range(30):
            row.refresh_from_db()
            if row.state == State.COUNTED:
                confirmed(office, row)
            if row.state == State.DONE:
                break
            if plan and (method := plan.pop(0)):
                office.server.before(method, lambda: (_ for _ in ()).throw(Killed()))
            try:
                work(office, row)
            except Killed:
                continue
        row.refresh_from_db()
        assert row.state == State.DONE
        assert row.tracked == mails.count("march")
        assert Activity.objects.count() == mails.count("march") + mails.count("tracked")
        transaction.set_rollback(True)


def test_it_gives_way_between_pages_and_goes_on_where_it_was(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "PART_ITEMS", 2)
    row = of_march(office, refused(office, count=5))
    turns = 0
    while row.state not in (State.COUNTED, State.DONE):
        report = work(office, row, gives_way=lambda: True)
        row.refresh_from_db()
        assert report.more == (row.state == State.COUNTING)
        turns += 1
    assert turns > 2
    assert tally(row)["held"] == tally(row)["would_track"] == 5


def test_mail_that_leaves_meanwhile_makes_nothing_be_passed_over(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "PART_ITEMS", 2)
    marta = refused(office, count=6)
    row = of_march(office, marta)
    work(office, row)
    confirmed(office, row)
    work(office, row, gives_way=lambda: True)
    # The listing moves up by two behind our back.
    for item in list(Holder.objects.values_list("item_id", flat=True)):
        office.server.remove(item)
    work(office, row)
    row.refresh_from_db()
    assert (row.state, row.passes) == (State.DONE, 3), "until a pass finds nothing"
    assert Activity.objects.count() == 6


def test_only_one_folder_is_looked_into_when_one_is_named_followed_or_not(office: Office) -> None:
    marta = refused(office, count=2)
    clients = office.server.add_folder(marta.address, "Clients")
    for number in (50, 51, 52):
        deliver(office, marta, number, folder=clients)
    office.sync(marta)
    folder = Folder.objects.get(mailbox=marta, name="Clients")
    assert not folder.followed
    row = of_march(office, marta, folder)
    work(office, row)
    work(office, confirmed(office, row))
    assert sorted(Activity.objects.values_list("message_id", flat=True)) == ["<50@x>", "<51@x>", "<52@x>"]


@pytest.mark.parametrize("role", ["drafts", "deleted", "junk", "calendar"])
def test_mail_is_never_taken_from_a_folder_that_is_not_for_it(office: Office, role: str) -> None:
    marta = refused(office)
    folder = Folder.objects.create(mailbox=marta, provider_id="f", name="F", role=role)
    with pytest.raises(NotPossible, match="folder"):
        of_march(office, marta, folder)


def test_an_item_that_ends_its_worker_each_time_is_set_aside_and_the_rest_is_read(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "PART_ITEMS", 3)
    marta = refused(office, count=5)
    poison = ItemDecision.objects.order_by("pk")[2].item_id
    row = of_march(office, marta)
    work(office, row)
    confirmed(office, row)
    provider = office.server.provider(marta.address)
    read = type(provider).envelopes

    def deadly(self: Any, ids: Any) -> Any:
        if poison in ids:
            raise Killed
        return read(self, ids)

    monkeypatch.setattr(type(provider), "envelopes", deadly)
    for _turn in range(40):
        row.refresh_from_db()
        if row.state == State.DONE:
            break
        try:
            work(office, row)
        except Killed:
            continue
    assert row.state == State.DONE
    assert (row.tracked, row.quarantined) == (4, 1)
    assert ItemDecision.objects.get(item_id=poison).reason == "kills_worker"


def test_a_server_that_fails_leaves_it_as_it_is_and_it_goes_on_later(office: Office) -> None:
    marta = refused(office)
    row = of_march(office, marta)
    for error in (Unavailable(code="timed_out"), Throttled(retry_at=None)):
        office.server.fail("listing", error)
        report = work(office, row)
        row.refresh_from_db()
        assert report.error is not None
        assert (row.state, row.error_code) == (State.COUNTING, error.code)
    work(office, row)
    row.refresh_from_db()
    assert (row.state, row.error_code) == (State.COUNTED, "")


def test_a_folder_that_is_gone_is_passed_by(office: Office) -> None:
    marta = refused(office)
    row = of_march(office, marta)
    office.server.fail("listing", FolderGone())
    report = work(office, row)
    row.refresh_from_db()
    assert row.state == State.COUNTED
    assert len(report.folder_errors) == 1


def test_a_folder_whose_list_never_comes_is_passed_by_in_the_end(office: Office) -> None:
    marta = refused(office)
    row = of_march(office, marta)
    inbox = Folder.objects.get(mailbox=marta, role="inbox")
    office.server.fail("listing", Unavailable(code="server_error"), times=7)
    reports = [work(office, row) for _ in range(7)]
    assert [report.error is None for report in reports] == [False] * 6 + [True]
    assert list(reports[-1].folder_errors) == [inbox.pk]
    row.refresh_from_db()
    assert (row.state, row.careful) == (State.COUNTED, 0)


@pytest.mark.parametrize("confirmed_first", [False, True])
def test_one_that_was_asked_for_a_folder_that_is_gone_fails_and_goes_on_when_it_is_back(
    office: Office, confirmed_first: bool
) -> None:
    marta = refused(office)
    inbox = Folder.objects.get(mailbox=marta, role="inbox")
    row = of_march(office, marta, inbox)
    if confirmed_first:
        work(office, row)
        confirmed(office, row)
    Folder.objects.filter(pk=inbox.pk).update(gone_at=office.now)
    work(office, row)
    row.refresh_from_db()
    assert (row.state, row.error_code, row.finished_at is not None) == (State.FAILED, "folder_gone", True)
    with pytest.raises(NotPossible, match="folder"):
        requests.resume(Backfill.objects.get(pk=row.pk), office.now)
    Folder.objects.filter(pk=inbox.pk).update(gone_at=None)
    requests.resume(Backfill.objects.get(pk=row.pk), office.now)
    work(office, row)
    row.refresh_from_db()
    assert (row.state, row.error_code) == (State.DONE if confirmed_first else State.COUNTED, "")
    assert Activity.objects.count() == (5 if confirmed_first else 0)


def test_one_whose_only_folder_the_server_never_lists_fails(office: Office) -> None:
    marta = refused(office)
    row = of_march(office, marta, Folder.objects.get(mailbox=marta, role="inbox"))
    office.server.fail("listing", Unavailable(code="server_error"), times=7)
    for _turn in range(7):
        work(office, row)
    row.refresh_from_db()
    assert (row.state, row.error_code) == (State.FAILED, "server_error")


def test_a_place_that_fails_whatever_is_left_out_of_it_is_not_tried_for_ever(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    marta = refused(office)
    row = of_march(office, marta)
    tried = []

    def broken(*_arguments: Any) -> Any:
        tried.append("again")
        raise ValueError("something nobody thought of")

    with monkeypatch.context() as while_broken:
        while_broken.setattr(engine, "next_part", broken)
        for _turn in range(20):
            try:
                work(office, row)
            except ValueError:
                continue
            break
    row.refresh_from_db()
    assert (row.state, row.error_code, len(tried)) == (State.FAILED, "internal_error", 9)
    requests.resume(row, office.now)
    work(office, row)
    row.refresh_from_db()
    assert (row.state, tally(row)["would_track"]) == (State.COUNTED, 5)


def test_one_that_failed_does_not_go_on_beside_a_newer_one(office: Office) -> None:
    marta = refused(office)
    old = of_march(office, marta)
    Backfill.objects.filter(pk=old.pk).update(state=State.FAILED, error_code="internal_error")
    of_march(office, marta)
    old.refresh_from_db()
    with pytest.raises(NotPossible, match="not_counted"):
        requests.resume(old, office.now)


def test_the_last_day_may_be_the_last_of_all(office: Office) -> None:
    row = requests.of_range(office.mailbox("marta"), MARCH[0], date.max, None, by="admin", now=office.now)
    work(office, row)
    row.refresh_from_db()
    assert row.state == State.COUNTED


def test_cancelled_while_it_is_read_nothing_more_is_stored(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "PART_ITEMS", 2)
    marta = refused(office, count=6)
    row = of_march(office, marta)
    work(office, row)
    confirmed(office, row)
    work(office, row, gives_way=lambda: True)

    def cancel() -> None:
        requests.cancel(row, office.now)

    office.server.before("contents", cancel)
    work(office, row)
    row.refresh_from_db()
    assert (row.state, row.tracked) == (State.CANCELLED, 2)
    assert Activity.objects.count() == 2, "what was stored by then stays, the page under way is not"


def test_the_lease_is_lost_while_counting_nothing_is_written(office: Office) -> None:
    marta = refused(office)
    row = of_march(office, marta)

    def take_away() -> None:
        Run.objects.filter(finished_at=None).update(finished_at=office.now)

    office.server.before("envelopes", take_away)
    with pytest.raises(LeaseLost):
        work(office, row)
    row.refresh_from_db()
    assert (row.state, row.counted) == (State.COUNTING, {})


@pytest.mark.parametrize(
    ("first", "last", "code"),
    [
        (date(2026, 3, 2), date(2026, 3, 1), "order"),
        (date(26, 3, 2), date(2026, 3, 1), "too_early"),
        (date(2027, 1, 1), date(2027, 2, 1), "future"),
    ],
)
def test_a_range_that_cannot_be_meant_is_refused(office: Office, first: date, last: date, code: str) -> None:
    with pytest.raises(NotPossible, match=code):
        requests.of_range(refused(office), first, last, None, by="admin", now=office.now)


def test_while_one_is_read_no_other_is_counted_in_the_same_mailbox(office: Office) -> None:
    marta = refused(office)
    row = of_march(office, marta)
    work(office, row)
    confirmed(office, row)
    with pytest.raises(NotPossible, match="reading"):
        of_march(office, marta)
    assert requests.cancel(row, office.now)
    assert not requests.cancel(row, office.now)
    of_march(office, marta)


@pytest.mark.parametrize(
    ("fields", "code"), [({"intent": Intent.ARCHIVED}, "archived"), ({"incoming": False}, "channel_off")]
)
def test_a_mailbox_from_which_no_mail_is_read_is_not_read_here_either(
    office: Office, fields: dict[str, Any], code: str
) -> None:
    marta = refused(office)
    row = of_march(office, marta)
    work(office, row)
    Mailbox.objects.filter(pk=marta.pk).update(**fields)
    marta.refresh_from_db()
    row.refresh_from_db()
    for ask in (lambda: of_march(office, marta), lambda: requests.confirm(row, by="admin", now=office.now)):
        with pytest.raises(NotPossible, match=code):
            ask()
