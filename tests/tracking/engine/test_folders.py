"""Which folders a run reads when those it knew are gone."""

import pytest

from mailboxes import runs
from mailboxes.issues import issue_of_mailbox
from mailboxes.models import Alert, Folder, Mailbox
from mailboxes.provider.port import FolderRole
from mailboxes.states import State
from tests.tracking.office import Office

pytestmark = pytest.mark.django_db


@pytest.fixture
def office() -> Office:
    return Office()


def without_folders(office):
    """Return a mailbox that was synced before its Inbox and Sent Items went, and their provider ids."""
    anna = office.mailbox("anna")
    office.sync(anna)
    followed = Folder.objects.filter(mailbox=anna, followed=True)
    ids = list(followed.values_list("provider_id", flat=True))
    return anna, followed, ids


def test_when_every_followed_folder_is_gone_the_list_is_read_at_once(office):
    anna, followed, ids = without_folders(office)
    mailbox = office.server.mailbox(anna.address)
    taken = {each: mailbox.folders.pop(each) for each in ids}
    # As after a restore: the same folders under new ids.
    for each in taken.values():
        each.id = f"new-{each.id}"
        mailbox.folders[each.id] = each
    office.server.deliver(anna.address)
    report = office.sync(anna, full=False)
    assert (report.error, report.full_pass, report.tracked, report.folder_errors) == (None, True, 1, {})
    assert set(followed.filter(gone_at=None).values_list("provider_id", flat=True)) == {f"new-{each}" for each in ids}


def test_folders_that_were_gone_and_are_back_are_read_by_the_next_run(office):
    anna, followed, _ids = without_folders(office)
    followed.update(gone_at=office.now)
    office.server.deliver(anna.address)
    report = office.sync(anna, full=False)
    assert (report.full_pass, report.tracked, report.requests > 0) == (True, 1, True)


def test_a_mailbox_without_anything_to_follow_says_so_and_what_to_do(office):
    anna, _followed, ids = without_folders(office)
    for each in ids:
        office.server.mailbox(anna.address).folders.pop(each)
    report = office.sync(anna, full=False)
    assert report.error is not None
    assert (report.error.code, report.reached_server, report.full_pass) == ("nothing_followed", True, True)
    run = office.begin(anna)
    run.mailbox = Mailbox.objects.select_related("server", "sync_profile", "owner").get(pk=anna.pk)
    assert runs.settle(run, report, office.now)
    anna.refresh_from_db()
    assert (anna.state, anna.issue_code) == (State.DEGRADED, "nothing_followed")
    issue = issue_of_mailbox(anna)
    assert issue is not None
    assert issue.remedy
    assert Alert.objects.get().code == "nothing_followed"
    assert office.sync(anna, full=False).full_pass, "looked for again with every run"


def test_one_folder_that_is_gone_is_no_reason_to_read_the_list(office):
    anna, followed, _ids = without_folders(office)
    sent = followed.get(role=FolderRole.SENT)
    office.server.mailbox(anna.address).folders.pop(sent.provider_id)
    report = office.sync(anna, full=False)
    assert (report.full_pass, list(report.folder_errors)) == (False, [sent.pk])
