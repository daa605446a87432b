"""Comparing and reading again, for what is kept in step with records: by its own rules, and nothing twice."""

import json
from datetime import date, timedelta
from io import StringIO

import pytest
from django.core.management import call_command

from mailboxes.models import Folder
from mailboxes.provider.entries import EntryKind, Field
from mailboxes.provider.errors import ItemUnreadable
from mailboxes.provider.memory import MemoryServer
from security.commands import Failed
from security.models import User
from tests.tracking.office import Office
from tracking.engine import foreground
from tracking.linked import channel
from tracking.linked.compare import CATEGORY
from tracking.models import ItemDecision, ItemFailure, ItemLink, Task
from tracking.repair import quarantine

pytestmark = pytest.mark.django_db


@pytest.fixture
def office(monkeypatch):
    office = Office()
    office.server = MemoryServer(clock=lambda: office.now)
    monkeypatch.setattr("django.utils.timezone.now", lambda: office.now)
    monkeypatch.setattr(foreground, "open_provider", lambda mailbox: office.server.provider(mailbox.address))
    return office


@pytest.fixture
def anna(office):
    """A mailbox whose channel is on: one task of the CRM's, one of the owner's that is marked, one that is not."""
    User.objects.create_user("anna")
    anna = office.mailbox("anna")
    Task.objects.create(owner=anna.owner, subject="Call", due_date=date(2026, 3, 5))
    task(office, anna, "Marked", categories=(CATEGORY,))
    task(office, anna, "Private matter")
    channel.switch(anna, on=True, by="marta", now=office.now)
    office.sync(anna)
    return anna


def task(office, mailbox, subject, **facts):
    return office.server.put_entry(
        mailbox.address, "tasks", EntryKind.TASK, {Field.SUBJECT: subject}, telling=False, **facts
    )


def ask(office, command, mailbox, *arguments):
    office.now += timedelta(minutes=5)
    out = StringIO()
    call_command(command, mailbox.address, *arguments, "--json", stdout=out, stderr=StringIO())
    return json.loads(out.getvalue())


def tasks_of(document):
    return next(row for row in document["folders"] if row["folder"] == "Tasks")


def test_what_is_kept_in_step_is_accounted_for(office, anna):
    row = tasks_of(ask(office, "reconcile", anna))
    assert (row["held"], row["tracked"], row["refused"], row["missing"], row["stale"]) == (3, 2, 1, 0, 0)


def test_an_entry_that_no_change_told_of_is_judged_by_its_own_rules(office, anna):
    ask(office, "reconcile", anna)
    lost = ItemDecision.objects.get(reason="not_marked")
    lost.delete()
    before = (ItemLink.objects.count(), Task.objects.count())
    row = tasks_of(ask(office, "reconcile", anna))
    assert (row["recovered"], row["missing"], row["refused"]) == (1, 0, 1)
    assert ItemDecision.objects.get(item_id=lost.item_id).reason == "not_marked"
    assert (ItemLink.objects.count(), Task.objects.count()) == before


def test_its_folder_can_be_listed_again_and_nothing_is_made_twice(office, anna):
    before = (ItemLink.objects.count(), Task.objects.count(), len(office.server.item_ids(anna.address, "tasks")))
    assert ask(office, "reinitialise", anna, "--cursor", "tasks", "--yes")["done"]
    assert (
        ItemLink.objects.count(),
        Task.objects.count(),
        len(office.server.item_ids(anna.address, "tasks")),
    ) == before
    assert Folder.objects.get(role="tasks").listing_before is None
    with pytest.raises(Failed, match="not followed"):
        ask(office, "reinitialise", anna, "--folder", "tasks")


def test_a_task_that_failed_is_never_taken_for_a_message(office, anna):
    folder = Folder.objects.get(role="tasks")
    decision = ItemDecision.objects.get(reason="not_marked")
    failure = ItemFailure.objects.create(
        mailbox=anna, folder=folder, item_id=decision.item_id, code="item_unreadable", first_at=office.now,
        last_at=office.now, retry_at=office.now, quarantined_at=office.now,
    )  # fmt: skip
    _run, report = foreground.beside(
        anna,
        lambda run, provider, beat: quarantine.try_now(run, provider, [failure], clock=lambda: office.now, beat=beat),
        clock=lambda: office.now,
    )
    assert report.examined == 0
    assert ItemDecision.objects.get(item_id=decision.item_id).reason == "not_marked"


def test_a_task_that_cannot_be_read_stays_set_aside_and_is_tried_when_its_folder_is_listed_again(office, anna):
    bad = task(office, anna, "Broken", categories=(CATEGORY,))
    office.server.fail_item(bad, ItemUnreadable(), methods=("marks", "entries"))
    office.now += timedelta(minutes=5)
    office.sync(anna)
    assert ItemFailure.objects.get().resolved_at is None
    # The folder is read, if not as mail is: a full pass does not give its failures up.
    office.sync(anna)
    assert ItemFailure.objects.get().code == "item_unreadable"
    office.server.heal()
    ask(office, "reinitialise", anna, "--cursor", "tasks", "--yes")
    assert ItemFailure.objects.get().resolved_at
    assert Task.objects.filter(subject="Broken").exists()


def test_the_command_leaves_a_task_to_the_next_run_and_says_so(office, anna):
    bad = task(office, anna, "Broken", categories=(CATEGORY,))
    office.server.fail_item(bad, ItemUnreadable(), methods=("marks", "entries"))
    office.now += timedelta(minutes=5)
    office.sync(anna)
    office.server.heal()
    office.now += timedelta(minutes=5)
    said = StringIO()
    call_command("quarantine", anna.address, "--retry", "all", "--json", stdout=StringIO(), stderr=said)
    assert "1 of 1 belong to a calendar, contacts or tasks" in said.getvalue()
    office.sync(anna)
    assert Task.objects.filter(subject="Broken").exists()
    assert ItemFailure.objects.get().resolved_at


def test_the_command_says_what_was_written_into_the_mailbox_by_kind(office, anna):
    Task.objects.create(owner=anna.owner, subject="Write", modified_at=office.now)
    document = ask(office, "sync_mailbox", anna)
    assert document["written"] == {"task": 1}
    assert ask(office, "sync_mailbox", anna)["written"] == {}
    out = StringIO()
    Task.objects.create(owner=anna.owner, subject="Read", modified_at=office.now)
    call_command("sync_mailbox", anna.address, stdout=out)
    assert "written      1 (1 task)" in out.getvalue()


def test_a_distribution_list_counts_as_refused_nothing_is_missing_and_it_can_be_asked_about(office, anna):
    group = office.server.deliver(anna.address, "contacts", item_class="IPM.DistList")
    document = ask(office, "reconcile", anna)
    row = next(row for row in document["folders"] if row["folder"] == "Contacts")
    assert (row["held"], row["refused"], row["quarantined"], row["missing"]) == (1, 1, 0, 0)
    (item,) = ask(office, "why", anna, group)["items"]
    assert (item["outcome"], item["reason"], item["folder"]) == ("refused", "distribution_list", "Contacts")
    assert item["sentence"] == "Left alone, because it is a distribution list: a list of people is no contact."
    assert ask(office, "why", anna, "<nobody@knows.example>")["items"] == []
