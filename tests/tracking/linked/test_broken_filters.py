"""A stored filter that cannot be asked: set aside and said, and no link ends because of it (S16)."""

from datetime import timedelta

import pytest

from mailboxes import alerts, runs
from mailboxes.models import Alert, Folder, Mailbox
from mailboxes.provider.entries import EntryKind
from mailboxes.states import State
from tests.tracking.office import Office
from tracking.linked import channel
from tracking.models import ItemLink, SyncFilter, Task

pytestmark = pytest.mark.django_db
NONSENSE = {"any": False, "parts": [{"column": "shoe_size", "operator": "is", "value": "40"}]}
ALL = {"any": False, "parts": []}


def broken(desk, **fields):
    return SyncFilter.objects.create(kind=desk.kind, name="by size", conditions=NONSENSE, **fields)


@pytest.mark.parametrize("excludes", [False, True])
def test_what_is_linked_stays_linked_and_nothing_new_comes_past_a_broken_system_filter(at, excludes):
    desk = at(EntryKind.TASK)
    desk.record(subject="old")
    desk.sync()
    broken(desk, scope="system", sync_profile=desk.mailbox.sync_profile, excludes=excludes)
    desk.record(subject="new")
    desk.sync(full=True)
    assert desk.link().unlinked_at is None
    assert ItemLink.objects.count() == 1


def test_beside_a_broken_filter_of_the_owners_the_others_go_on(at):
    desk = at(EntryKind.TASK)
    SyncFilter.objects.all().delete()
    mine = broken(desk, scope="owner", mailbox=desk.mailbox)
    SyncFilter.objects.create(
        scope="owner", mailbox=desk.mailbox, kind=desk.kind, name="calls",
        conditions={"parts": [{"column": "subject", "operator": "contains", "value": "call"}]},
    )  # fmt: skip
    desk.record(subject="call them")
    desk.record(subject="write to them")
    desk.sync(full=True)
    assert [each.subject for each in Task.objects.filter(pk__in=ItemLink.objects.values("record_id"))] == ["call them"]
    mine.conditions = ALL
    mine.save()
    desk.sync(full=True)
    assert ItemLink.objects.count() == 2


def test_a_record_that_left_its_filter_stays_linked_until_the_broken_one_is_mended(at):
    desk = at(EntryKind.TASK)
    record = desk.record(subject="call")
    desk.filter.conditions = {"parts": [{"column": "subject", "operator": "is", "value": "call"}]}
    desk.filter.save()
    desk.sync()
    mine = broken(desk, scope="owner", mailbox=desk.mailbox)
    record.subject = "letter"
    record.save()
    desk.sync(full=True)
    assert desk.link().unlinked_at is None
    mine.delete()
    desk.sync(full=True)
    assert desk.link().reason == "filter_left"


def test_one_that_is_switched_off_harms_nothing(at):
    desk = at(EntryKind.TASK)
    broken(desk, scope="system", sync_profile=desk.mailbox.sync_profile, active=False)
    desk.record(subject="new")
    desk.sync(full=True)
    assert ItemLink.objects.count() == 1


@pytest.mark.parametrize(
    ("whose", "code"), [("system", "filter_broken"), ("owner", "own_filter_broken"), ("both", "filter_broken")]
)
def test_the_run_goes_on_names_the_filter_and_the_alert_ends_with_its_cause(monkeypatch, whose, code):
    office = Office()
    monkeypatch.setattr("django.utils.timezone.now", lambda: office.now)
    box = office.mailbox("anna")
    channel.switch(box, on=True, by="anna", now=office.now)
    if whose in ("system", "both"):
        SyncFilter.objects.create(
            scope="system", sync_profile=office.profile, kind="task", name="of the house", conditions=NONSENSE
        )
    if whose in ("owner", "both"):
        SyncFilter.objects.create(scope="owner", mailbox=box, kind="task", name="my own", conditions=NONSENSE)

    def run(*, full):
        lease = office.begin(box)
        lease.mailbox = Mailbox.objects.select_related("server", "sync_profile", "owner").get(pk=box.pk)
        office.end(lease)
        report = office.sync(box, full=full)
        lease.finished_at = None
        lease.save()
        runs.settle(lease, report, office.now)
        box.refresh_from_db()
        return report

    report = run(full=True)
    assert report.error is None
    assert [error.code for error in report.folder_errors.values()] == [code]
    named = {"system": "of the house", "owner": "my own", "both": "my own, of the house"}[whose]
    assert {each.strip() for each in Alert.objects.get().detail.split(",")} == {
        each.strip() for each in named.split(",")
    }
    assert box.state == State.DEGRADED
    # A run in which nothing happened still says so.
    assert [error.code for error in run(full=False).folder_errors.values()] == [code]
    assert Alert.objects.get().times == 2
    SyncFilter.objects.filter(conditions=NONSENSE).delete()
    office.now += timedelta(minutes=5)
    assert not run(full=False).folder_errors
    assert Alert.objects.get().resolved_at
    assert not Folder.objects.exclude(issue_code="").exists()
    assert alerts.resolve_mailbox(box.pk, office.now) == 0
