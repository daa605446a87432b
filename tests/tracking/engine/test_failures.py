"""Items set aside: tried again within a run's time, and ended when their folder is read no more."""

from datetime import timedelta

import pytest

from mailboxes.models import Folder
from mailboxes.provider.errors import ItemUnreadable
from mailboxes.provider.port import FolderRole
from tests.tracking.office import Office
from tracking.models import ItemFailure

pytestmark = pytest.mark.django_db

BAD = 5


@pytest.fixture(autouse=True)
def _blobs(tmp_path, settings):
    settings.BLOB_ROOT = tmp_path


@pytest.fixture
def office() -> Office:
    return Office()


def set_aside(office, folder="inbox"):
    """Return a mailbox with `BAD` quarantined items that can be read by now and are due."""
    anna = office.mailbox("anna")
    for _each in range(BAD):
        item = office.server.deliver(anna.address, folder)
        office.server.fail_item(item, ItemUnreadable(code="item_corrupt"))
    if folder != "inbox":
        office.sync(anna)
        Folder.objects.filter(mailbox=anna, provider_id=folder).update(followed=True)
    assert office.sync(anna).quarantined == BAD
    office.server.heal()
    office.now += timedelta(hours=2)
    return anna


def takes(office, seconds):
    """Make reading an envelope take so long."""

    def wait():
        office.now += timedelta(seconds=seconds)

    office.server.before("envelopes", wait, times=100)


def test_a_retry_gives_way_like_a_page_and_the_next_slice_goes_on(office):
    anna = set_aside(office)
    takes(office, 1.5)
    counts, more = [], True
    while more:
        report = office.sync(anna, yield_after_s=2.0)
        counts.append(report.tracked)
        more = report.more
    assert counts == [2, 2, 1]
    assert not ItemFailure.objects.filter(resolved_at=None).exists()


def test_a_retry_that_takes_all_the_time_still_gets_on(office):
    anna = set_aside(office)
    takes(office, 60)
    assert [office.sync(anna, yield_after_s=2.0).tracked for _slice in range(BAD)] == [1] * BAD


def test_without_a_limit_all_that_is_due_is_tried(office):
    anna = set_aside(office)
    takes(office, 60)
    report = office.sync(anna)
    assert (report.tracked, report.more) == (BAD, False)


@pytest.mark.parametrize("last_look", [False, True], ids=["gone", "gone and deleted"])
def test_what_failed_in_a_folder_that_is_gone_ends_with_that_reason(office, last_look):
    office.server.add_mailbox("anna@office.example")
    folder = office.server.add_folder("anna@office.example", "Customer")
    anna = set_aside(office, folder)
    office.server.remove_folder(anna.address, folder)
    office.sync(anna, full=last_look)
    office.sync(anna)
    rows = ItemFailure.objects.all()
    assert {(row.code, row.detail, row.retry_at) for row in rows} == {("failed_folder_gone", "item_corrupt", None)}
    assert all(row.resolved_at for row in rows)
    assert Folder.objects.get(provider_id=folder).quarantined == 0


def test_what_failed_in_a_folder_that_is_followed_no_more_ends_and_begins_anew_with_it(office):
    anna = set_aside(office)
    inbox = Folder.objects.filter(mailbox=anna, role=FolderRole.INBOX)
    inbox.update(followed=False)
    assert office.sync(anna).tracked == 0
    assert {row.code for row in ItemFailure.objects.exclude(resolved_at=None)} == {"failed_folder_left"}
    assert inbox.get().quarantined == 0
    inbox.update(followed=True)
    assert office.sync(anna).tracked == BAD
    assert (inbox.get().tracked, inbox.get().quarantined) == (BAD, 0)
    assert not ItemFailure.objects.filter(resolved_at=None).exists()


def test_what_is_ended_is_left_alone_by_later_passes(office):
    anna = set_aside(office)
    Folder.objects.filter(mailbox=anna).update(followed=False)
    office.sync(anna)
    ended = list(ItemFailure.objects.order_by("pk").values_list("pk", "resolved_at"))
    office.sync(anna)
    assert list(ItemFailure.objects.order_by("pk").values_list("pk", "resolved_at")) == ended
