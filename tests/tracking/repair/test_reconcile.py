"""Reconciliation: both sides are counted, what is missing is fetched, and it gives way to whatever is more urgent."""

import json
from datetime import datetime, timedelta
from io import StringIO

import pytest
from django.core.management import call_command
from django.utils import timezone

from mailboxes import alerts, claims
from mailboxes.models import Alert, Folder, Mailbox, Run
from mailboxes.provider.errors import AuthRejected, FolderGone, ItemUnreadable, Unavailable
from mailboxes.provider.port import FolderRole
from mailboxes.states import Intent, State, Track, Trigger
from security.commands import Failed
from security.secrets import SecretUnreadable
from tests.tracking.office import Office
from tracking.engine import foreground
from tracking.models import Activity, Holder, ItemDecision, ItemFailure, Reconciliation
from tracking.repair import quarantine, reconcile
from tracking.sync.plan import Sorted
from tracking.workers import housekeeping, jobs, nights, transport, turn

pytestmark = pytest.mark.django_db


@pytest.fixture
def office(monkeypatch, tmp_path, settings):
    settings.BLOB_ROOT = tmp_path
    office = Office(now=timezone.now() - timedelta(hours=3))
    for module in (foreground, turn):
        monkeypatch.setattr(module, "open_provider", lambda mailbox: office.server.provider(mailbox.address))
    return office


@pytest.fixture
def anna(office):
    return office.mailbox("anna")


def ask(mailbox):
    out = StringIO()
    call_command("reconcile", mailbox.address, "--json", stdout=out, stderr=StringIO())
    return json.loads(out.getvalue())


def words(mailbox):
    out = StringIO()
    call_command("reconcile", mailbox.address, stdout=out, stderr=StringIO())
    return out.getvalue()


def inbox_of(document):
    return next(row for row in document["folders"] if row["folder"] == "Inbox")


def lose(item):
    """Have us know nothing of an item, as if no change had ever told of it."""
    ItemDecision.objects.filter(item_id=item).delete()
    Holder.objects.filter(item_id=item).delete()


# -- what is counted ---------------------------------------------------------------------------------------------------------


def test_every_item_of_the_server_is_accounted_for(office, anna):
    server, address = office.server, anna.address
    server.deliver(address, message_id="<1@c.example>")
    server.deliver(address, message_id="<1@c.example>")
    server.deliver(address, "sent", sender=address, to=["kim@c.example"])
    server.deliver(address, auto_submitted="auto-replied")
    for _n in range(2):
        server.fail_item(server.deliver(address), ItemUnreadable())
    ask(anna)
    quarantine.discard(ItemFailure.objects.order_by("pk")[0], why="old", by="fina", now=timezone.now())
    document = ask(anna)
    names = ("held", "tracked", "refused", "quarantined", "discarded", "recovered", "missing", "stale")
    assert [inbox_of(document)[name] for name in names] == [5, 2, 1, 1, 1, 0, 0, 0]
    assert [document[name] for name in names] == [6, 3, 1, 1, 1, 0, 0, 0]
    row = Reconciliation.objects.get(folder__role="inbox")
    assert (row.held, row.tracked, row.missing, row.mailbox) == (5, 2, 0, anna)
    assert row.finished_at
    # One line per folder and night, however often it is asked for.
    assert Reconciliation.objects.count() == 2
    assert "in Exchange" in words(anna)
    assert words(anna).splitlines()[-1].split() == ["all", "6", "3", "1", "1", "1", "0", "0", "0"]


def test_what_no_change_told_of_is_found_and_decided_on(office, anna):
    items = [office.server.deliver(anna.address, message_id=f"<{n}@c.example>") for n in range(4)]
    ask(anna)
    lose(items[1])
    Activity.objects.filter(message_id="<1@c.example>").delete()
    document = ask(anna)
    assert (document["missing"], document["recovered"], document["tracked"]) == (0, 1, 4)
    assert Activity.objects.count() == 4
    assert ask(anna)["recovered"] == 0
    lose(items[2])
    assert "1 items that no change had told of" in words(anna)
    # The message itself was kept: its item is linked again, not tracked twice.
    assert Activity.objects.count() == 4


def test_what_has_just_come_is_not_missing(office, anna):
    ask(anna)
    office.server.before("listing", lambda: office.server.deliver(anna.address))
    document = ask(anna)
    assert (document["held"], document["recovered"], document["missing"]) == (1, 0, 0)


def test_an_item_whose_folder_we_have_wrong_is_put_right(office, anna):
    item = office.server.deliver(anna.address)
    ask(anna)
    ItemDecision.objects.filter(item_id=item).update(folder=None)
    Holder.objects.update(removed_at=timezone.now())
    document = ask(anna)
    assert (document["tracked"], document["recovered"], document["missing"]) == (1, 1, 0)
    assert Holder.objects.get().removed_at is None
    assert Activity.objects.count() == 1


def test_what_is_listed_and_gone_when_it_is_read_is_not_missing(office, anna):
    item = office.server.deliver(anna.address)
    office.server.deliver(anna.address)
    ask(anna)
    lose(item)
    office.server.before("envelopes", lambda: office.server.remove(item))
    document = ask(anna)
    assert (document["held"], document["missing"], document["recovered"]) == (1, 0, 0)


def test_what_cannot_be_decided_on_is_missing_and_the_command_fails(office, anna, monkeypatch):
    item = office.server.deliver(anna.address)
    ask(anna)
    lose(item)
    monkeypatch.setattr(reconcile, "sort_changes", lambda changes, known: Sorted((), (), 0, ()))
    with pytest.raises(Failed) as error:
        ask(anna)
    assert (error.value.code, error.value.returncode) == ("items_missing", 1)
    assert Reconciliation.objects.get(folder__role="inbox").missing == 1


def test_what_is_missing_is_an_alert_until_a_comparison_finds_nothing_missing(office, anna, monkeypatch):
    item = office.server.deliver(anna.address)
    ask(anna)
    lose(item)
    with monkeypatch.context() as broken:
        broken.setattr(reconcile, "sort_changes", lambda changes, known: Sorted((), (), 0, ()))
        with pytest.raises(Failed):
            ask(anna)
    (alert,) = Alert.objects.filter(resolved_at=None)
    assert (alert.code, alert.folder.role, alert.detail) == ("items_missing", "inbox", "1")
    # A run that ends well has not looked for them.
    office.sync(anna)
    alerts.resolve_mailbox(anna.pk, office.now)
    assert Alert.objects.filter(resolved_at=None).exists()
    ask(anna)
    assert not Alert.objects.filter(resolved_at=None).exists()


def test_what_is_known_here_and_not_there_any_more_is_stale_and_nothing_is_deleted(office, anna):
    item = office.server.deliver(anna.address)
    office.server.deliver(anna.address)
    ask(anna)
    # A server that never tells of a removal.
    folder = office.server.mailbox(anna.address).folders[office.server.folder_id(anna.address, "inbox")]
    del folder.items[item]
    document = ask(anna)
    assert (document["held"], document["tracked"], document["stale"]) == (1, 1, 1)
    assert "re-initialise the cursor" in words(anna)
    assert Activity.objects.count() == 2
    assert not Holder.objects.filter(removed_at__isnull=False).exists()


def test_what_leaves_in_this_moment_is_not_stale(office, anna):
    item = office.server.deliver(anna.address)
    ask(anna)
    office.server.before("listing", lambda: office.server.remove(item))
    document = ask(anna)
    assert (document["held"], document["stale"]) == (0, 0)


# -- what it costs and how it gives way -----------------------------------------------------------------------------------


def test_it_costs_one_request_to_catch_up_and_one_for_each_thousand_items(office, anna, monkeypatch):
    monkeypatch.setattr(reconcile, "LISTED_AT_ONCE", 4)
    for _n in range(9):
        office.server.deliver(anna.address)
    ask(anna)
    document = ask(anna)
    # Counters, three parts of the Inbox, one of Sent Items.
    assert document["requests"] == 5
    assert document["held"] == 9
    assert office.server.calls[anna.address, "contents"] == 1


def begun(office, mailbox):
    run = office.begin(mailbox)
    run.mailbox = Mailbox.objects.select_related("server", "sync_profile", "owner").get(pk=mailbox.pk)
    return run


def part(office, mailbox, gives_way=lambda: True, **options):
    run = begun(office, mailbox)
    try:
        return reconcile.reconcile(
            run,
            office.server.provider(mailbox.address),
            clock=lambda: office.now,
            beat=lambda: None,
            gives_way=gives_way,
            **options,
        )
    finally:
        office.end(run)


def test_it_gives_way_after_any_part_and_goes_on_where_it_was(office, anna, monkeypatch):
    monkeypatch.setattr(reconcile, "LISTED_AT_ONCE", 3)
    for _n in range(7):
        office.server.deliver(anna.address)
    office.sync(anna)
    Mailbox.objects.update(full_pass_at=office.now)
    asked = office.server.calls[anna.address, "listing"]
    offsets = []
    for _turn in range(4):
        part(office, anna)
        offsets.append(sorted(Reconciliation.objects.values_list("offset", "held")))
    assert offsets == [[(3, 3)], [(6, 6)], [(6, 7)], [(0, 0), (6, 7)]]
    assert office.server.calls[anna.address, "listing"] - asked == 4
    assert not Reconciliation.objects.filter(finished_at=None).exists()
    assert part(office, anna).requests == 1
    assert Reconciliation.objects.get(folder__role="inbox").tracked == 7


def test_a_backlog_goes_first(office, anna):
    for _n in range(450):
        office.server.deliver(anna.address, auto_submitted="auto-replied")
    office.server.before("envelopes", lambda: setattr(office, "now", office.now + timedelta(seconds=3)), times=20)
    report = part(office, anna, yield_after_s=2.0)
    assert report.more
    assert not Reconciliation.objects.exists()


def test_new_mail_that_is_too_much_to_read_on_the_side_is_not_called_missing(office, anna):
    office.server.deliver(anna.address)
    office.sync(anna)
    Mailbox.objects.update(full_pass_at=office.now + timedelta(minutes=5))

    def flood():
        for _n in range(450):
            office.server.deliver(anna.address, auto_submitted="auto-replied")

    office.server.before("listing", flood)
    office.server.before("envelopes", lambda: setattr(office, "now", office.now + timedelta(seconds=3)), times=20)
    report = part(office, anna, gives_way=lambda: False, yield_after_s=2.0)
    assert report.more
    assert Reconciliation.objects.get().held == 0


def test_a_folder_that_cannot_be_listed_is_named_and_the_others_go_on(office, anna):
    ask(anna)
    office.server.fail("listing", FolderGone())
    document = ask(anna)
    assert list(document["folder_errors"].values()) == ["folder_gone"]
    assert [row["folder"] for row in document["folders"]] == ["Sent"]


@pytest.mark.parametrize("method", ["counters", "listing", "envelopes"])
def test_an_error_ends_it_and_is_settled_as_that_of_any_run(office, anna, method):
    item = office.server.deliver(anna.address)
    ask(anna)
    lose(item)
    office.server.fail(method, AuthRejected("401"))
    with pytest.raises(Failed) as error:
        ask(anna)
    assert error.value.code == "sign_in_refused"
    office.row.refresh_from_db()
    assert office.row.stopped_code == "sign_in_refused"


def test_it_waits_for_a_worker_and_refuses_what_is_archived(office, anna, monkeypatch):
    monkeypatch.setattr("tracking.workers.leases.patience_s", lambda: 0.1)
    claims.claim_one(anna, Trigger.SCHEDULE, "sync", timezone.now())
    with pytest.raises(Failed, match="being synced by a worker"):
        ask(anna)
    Mailbox.objects.update(intent=Intent.ARCHIVED)
    with pytest.raises(Failed, match="archived"):
        ask(anna)
    with pytest.raises(Failed, match="add_mailbox adds it"):
        call_command("reconcile", "nobody@office.example")


# -- at night ---------------------------------------------------------------------------------------------------------------

MIDNIGHT = datetime(2026, 3, 3, 2, 0, tzinfo=timezone.get_default_timezone())


class Clock:
    """Moves by a step each time somebody looks at it."""

    def __init__(self, now, step=0.0):
        self.now, self.step = now, timedelta(seconds=step)

    def __call__(self):
        self.now += self.step
        return self.now


def ready(office, *names, **fields):
    """Return mailboxes that have been synced and are well."""
    boxes = [office.mailbox(name) for name in names]
    for box in boxes:
        office.server.deliver(box.address)
        office.sync(box)
    Mailbox.objects.update(first_sync_done=True, state=State.IDLE, full_pass_at=MIDNIGHT, **fields)
    return boxes


def compared():
    return set(Reconciliation.objects.exclude(finished_at=None).values_list("mailbox__owner__username", flat=True))


def test_a_night_compares_every_mailbox_that_is_well_once(office):
    ready(office, "anna", "bruno", "cleo", "dora")
    Mailbox.objects.filter(owner__username="cleo").update(intent=Intent.OFF)
    Mailbox.objects.filter(owner__username="dora").update(failures=1)
    assert nights.Turn("worker-1", clock=Clock(MIDNIGHT)).work() is False
    assert compared() == {"anna", "bruno"}
    runs = Run.objects.filter(worker="worker-1")
    assert set(runs.values_list("outcome", "queue")) == {("done", "bulk")}
    assert runs.count() == 2
    nights.Turn("worker-1", clock=Clock(MIDNIGHT)).work()
    assert runs.count() == 2
    nights.Turn("worker-1", clock=Clock(MIDNIGHT + timedelta(days=1))).work()
    assert runs.count() == 4


def test_a_secret_that_cannot_be_decrypted_keeps_no_other_mailbox_from_being_compared(office, settings):
    ready(office, "anna", "bruno")
    Mailbox.objects.filter(owner__username="anna").update(username="anna", secret="a password")
    settings.ENCRYPTION_KEYS = ["another key"]
    nights.Turn("worker-1", clock=Clock(MIDNIGHT)).work()
    assert "bruno" in compared()


def test_a_turn_ends_as_soon_as_anything_waits_and_is_asked_for_again(office, redis):
    ready(office, "anna", "bruno")
    transport.queue("sync").enqueue("tracking.workers.jobs.sync_batch", [])
    begun = []
    while nights.waiting(MIDNIGHT).exists():
        assert nights.Turn("worker-1", clock=Clock(MIDNIGHT, step=0.5)).work() is True
        begun.append(Reconciliation.objects.exclude(finished_at=None).count())
    assert begun == sorted(set(begun))
    assert len(begun) > 1
    assert compared() == {"anna", "bruno"}


def test_a_turn_ends_in_time_when_the_night_is_over_or_the_worker_is_to_stop(office, monkeypatch):
    ready(office, "anna", "bruno")
    assert nights.Turn("worker-1", clock=Clock(MIDNIGHT, step=100)).work() is True
    assert compared() == {"anna"}
    day = MIDNIGHT.replace(hour=12)
    assert nights.Turn("worker-1", clock=Clock(day)).work() is False
    monkeypatch.setattr(jobs, "STOP", jobs.threading.Event())
    jobs.STOP.set()
    assert nights.Turn("worker-1", clock=Clock(MIDNIGHT)).work() is False


def test_a_mailbox_that_is_leased_or_whose_server_is_busy_is_left_for_later(office):
    anna, _bruno = ready(office, "anna", "bruno")
    claims.claim_one(anna, Trigger.SCHEDULE, "sync", MIDNIGHT)
    assert nights.Turn("worker-1", clock=Clock(MIDNIGHT)).work() is False
    assert compared() == {"bruno"}
    Reconciliation.objects.all().delete()
    Run.objects.filter(finished_at=None).update(worker="worker-2")
    office.row.concurrency = 1
    office.row.save()
    assert nights.Turn("worker-1", clock=Clock(MIDNIGHT)).work() is False
    assert compared() == set()
    assert Run.objects.filter(finished_at=None).count() == 1


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Unavailable(), "unreachable"),
        (RuntimeError("boom"), "internal_error"),
        (SecretUnreadable(), "secret_unreadable"),
    ],
)
def test_whatever_goes_wrong_with_a_mailbox_is_its_own(office, error, code):
    ready(office, "anna", "bruno")
    office.server.fail("listing", error)
    nights.Turn("worker-1", clock=Clock(MIDNIGHT)).work()
    assert Run.objects.get(worker="worker-1", outcome="failed").error_code == code
    if code == "internal_error":
        assert compared() == {"bruno"}


def test_a_lease_that_is_lost_leaves_the_run_to_others(office):
    ready(office, "anna")
    office.server.deliver("anna@office.example")
    office.server.before("listing", lambda: Run.objects.filter(finished_at=None).update(finished_at=MIDNIGHT))
    lose(office.server.item_ids("anna@office.example")[0])
    nights.Turn("worker-1", clock=Clock(MIDNIGHT)).work()
    assert Run.objects.get(worker="worker-1").outcome == "running"


def test_housekeeping_begins_the_night_once_and_forgets_old_nights(office, monkeypatch, redis):
    ready(office, "anna")
    for at in (MIDNIGHT.replace(hour=12), MIDNIGHT, MIDNIGHT):
        nights.begin(at)
    (job,) = transport.queue("maintenance").jobs
    assert job.func_name == transport.RECONCILIATION
    nights.Turn("worker-1", clock=Clock(MIDNIGHT)).work()
    transport.queue("maintenance").empty()
    nights.begin(MIDNIGHT)
    assert transport.queue("maintenance").jobs == []
    assert housekeeping.prune(MIDNIGHT + timedelta(days=91)) >= 2
    assert not Reconciliation.objects.exists()


def test_the_job_puts_itself_at_the_end_while_there_is_more(office, monkeypatch, redis):
    ready(office, "anna", "bruno")
    monkeypatch.setattr(timezone, "now", Clock(MIDNIGHT, step=100))
    nights.reconcile_some()
    assert [job.func_name for job in transport.queue("maintenance").jobs] == [transport.RECONCILIATION]
    assert compared() == {"anna"}


def test_folders_that_are_not_followed_are_not_compared(office, anna):
    Mailbox.objects.update(track=Track.ALL)
    office.server.deliver(anna.address, "junk")
    ask(anna)
    assert {row.folder.role for row in Reconciliation.objects.select_related("folder")} == {
        FolderRole.INBOX, FolderRole.SENT,
    }  # fmt: skip
    assert Folder.objects.count() > 2


def test_what_is_missing_after_a_night_is_in_the_log(office, monkeypatch, caplog):
    (anna,) = ready(office, "anna")
    nights.Turn("worker-1", clock=Clock(MIDNIGHT)).work()
    assert "missing" not in caplog.text
    lose(office.server.item_ids(anna.address)[0])
    monkeypatch.setattr(reconcile, "sort_changes", lambda changes, known: Sorted((), (), 0, ()))
    nights.Turn("worker-1", clock=Clock(MIDNIGHT + timedelta(days=1))).work()
    assert f"Items are missing in 1 folders of {anna.address}" in caplog.text
