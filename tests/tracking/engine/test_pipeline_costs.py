"""What a run costs the database when nothing has happened: a number of statements that does not grow."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from mailboxes.models import Folder, Mailbox, Run, ServerProfile
from tests.tracking.office import Office
from tracking.engine import pipeline
from tracking.engine.apply import LeaseLost
from tracking.linked import channel

pytestmark = pytest.mark.django_db


@pytest.fixture
def office():
    return Office()


def statements(office, mailbox, *, full=False):
    """Sync once and return the SQL that the pipeline sent."""
    run = office.begin(mailbox)
    run.mailbox = Mailbox.objects.select_related("server", "sync_profile", "owner").get(pk=mailbox.pk)
    run.mailbox.full_pass_at = None if full else office.now
    folders = list(Folder.objects.filter(mailbox=mailbox, followed=True))
    try:
        with CaptureQueriesContext(
            connection,
        ) as captured:
            pipeline.sync(
                run,
                office.server.provider(mailbox.address),
                clock=lambda: office.now,
                yield_after_s=None,
                beat=lambda: None,
                folders=folders,
            )
    finally:
        office.end(run)
    return [query["sql"] for query in captured.captured_queries]


def test_an_idle_run_with_its_folders_at_hand_sends_no_statement(office):
    anna = office.mailbox("anna")
    office.sync(anna)
    assert statements(office, anna) == []


def test_a_full_pass_asks_once_for_what_all_kinds_have_to_know(office):
    anna = office.mailbox("anna")
    channel.switch(anna, on=True, by="anna", now=office.now)
    for _ in range(2):
        office.sync(anna)
    sent = statements(office, anna, full=True)
    for table in ("tracking_fielddirection", "tracking_syncfilter", "tracking_linkstate s LEFT JOIN"):
        assert sum(f"FROM {table}" in sql.replace('"', "") for sql in sent) == 1, table
    # Of failures: whether any is to be ended or begun anew, and whether any is due.
    assert sum("FROM tracking_itemfailure" in sql.replace('"', "") for sql in sent) == 2
    assert not [sql for sql in sent if sql.startswith("UPDATE") and "mailboxes_folder" in sql and "cursor" not in sql]


def _read_at() -> dict[int, float]:
    rows = Folder.objects.filter(followed=True).values_list("pk", "synced_at")
    return {pk: at.timestamp() for pk, at in rows if at is not None}


def test_without_counters_a_folder_with_nothing_new_costs_one_statement(office):
    anna = office.mailbox("anna")
    office.sync(anna)
    ServerProfile.objects.update(counters=False)
    before = _read_at()
    sent = statements(office, anna)
    assert len(sent) == len(before), sent
    assert all(sql.strip().startswith("UPDATE") for sql in sent)
    after = _read_at()
    assert all(after[pk] > before[pk] for pk in before)
    assert set(Folder.objects.filter(followed=True).values_list("attempts", "more")) == {(0, False)}


def test_a_first_listing_of_folders_is_written_at_once(office):
    anna, ben = office.mailbox("anna"), office.mailbox("ben")
    office.sync(office.mailbox("carla"))  # learns what is learnt once for a server
    for number in range(20):
        office.server.add_folder(ben.address, f"Project {number}")
    few, many = statements(office, anna, full=True), statements(office, ben, full=True)
    assert Folder.objects.filter(mailbox=ben).count() == Folder.objects.filter(mailbox=anna).count() + 20
    assert len(many) == len(few)


def test_an_empty_page_of_a_run_that_was_given_up_is_not_stored(office):
    anna = office.mailbox("anna")
    office.sync(anna)
    ServerProfile.objects.update(counters=False)
    cursors = dict(Folder.objects.values_list("pk", "cursor"))
    run = office.begin(anna)
    run.mailbox = Mailbox.objects.select_related("server", "sync_profile", "owner").get(pk=anna.pk)
    run.mailbox.full_pass_at = office.now
    Run.objects.filter(pk=run.pk).update(finished_at=office.now)
    with pytest.raises(LeaseLost):
        pipeline.sync(
            run,
            office.server.provider(anna.address),
            clock=lambda: office.now,
            yield_after_s=None,
            beat=lambda: None,
        )
    assert dict(Folder.objects.values_list("pk", "cursor")) == cursors
