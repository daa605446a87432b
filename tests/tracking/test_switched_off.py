"""Off is off at the next page, in the middle of a backlog too."""

from collections.abc import Iterator

import pytest
from django.utils import timezone

from mailboxes.models import Mailbox, Run
from mailboxes.provider.memory import MemoryServer
from mailboxes.states import Intent, Outcome
from tests.mailboxes.fleet import Fleet
from tests.tracking.office import Office
from tracking.engine import pipeline
from tracking.models import Activity
from tracking.workers import jobs

pytestmark = pytest.mark.django_db

PAGE = 10
# What the switch is thrown before: the second page is being read then, and is the last one.
SECOND_PAGE = {"nth": 2}


@pytest.fixture(autouse=True)
def _small_pages(monkeypatch, settings, tmp_path) -> Iterator[None]:
    settings.BLOB_ROOT = tmp_path
    monkeypatch.setattr(pipeline, "PAGE_ITEMS", PAGE)
    jobs.STOP.clear()
    yield
    jobs.STOP.clear()


def switch_off(intent):
    return lambda: Mailbox.objects.update(intent=intent)


@pytest.mark.parametrize("intent", [Intent.OFF, Intent.PAUSED, Intent.ARCHIVED])
def test_a_run_ends_with_the_page_at_hand_when_its_mailbox_is_switched_off(intent):
    office = Office()
    anna = office.mailbox("anna")
    for _each in range(3 * PAGE):
        office.server.deliver(anna.address)
    office.server.before("changes", switch_off(intent), **SECOND_PAGE)
    report = office.sync(anna)
    assert (report.tracked, report.more, report.error) == (2 * PAGE, True, None)


def test_a_run_that_was_asked_for_while_the_mailbox_is_off_goes_on():
    office = Office()
    anna = office.mailbox("anna")
    Mailbox.objects.update(intent=Intent.OFF)
    for _each in range(3 * PAGE):
        office.server.deliver(anna.address)
    assert office.sync(anna).tracked == 3 * PAGE


def test_a_workers_backlog_does_not_go_on_either(monkeypatch):
    mail, fleet = MemoryServer(), Fleet(now=timezone.now())
    monkeypatch.setattr(jobs, "open_provider", lambda mailbox: mail.provider(mailbox.address))
    monkeypatch.setattr(jobs, "urgent_work_waits", lambda: False)
    monkeypatch.setattr(jobs, "YIELD_SECONDS", 0.0)
    box = fleet.mailbox(fleet.server(), track="all", first_sync_done=False, measured_from=fleet.now)
    for _each in range(3 * PAGE):
        mail.deliver(box.address)
    mail.before("changes", switch_off(Intent.OFF), **SECOND_PAGE)
    for job in fleet.claim():
        jobs.Batch(list(job.run_ids), worker="a", clock=timezone.now).work()
    # The worker's second page is the first of its second turn, which looks before it stores anything.
    assert (Activity.objects.count(), Run.objects.get().outcome) == (PAGE, Outcome.PAUSED)
