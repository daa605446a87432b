"""The channel of appointments, contacts and tasks in whole runs: off nothing flows, on everything does (S15)."""

import json
from datetime import date, timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from mailboxes.models import Folder
from mailboxes.provider.entries import EntryKind, Field
from mailboxes.provider.errors import Unavailable
from mailboxes.provider.memory import MemoryServer
from security.models import User
from tests.tracking.office import Office
from tracking.linked import channel, links
from tracking.linked.compare import CATEGORY
from tracking.models import Appointment, Contact, ItemLink, SyncFilter, Task

pytestmark = pytest.mark.django_db


@pytest.fixture
def office(monkeypatch):
    office = Office()
    office.server = MemoryServer(clock=lambda: office.now)
    monkeypatch.setattr("django.utils.timezone.now", lambda: office.now)
    return office


@pytest.fixture
def anna(office):
    User.objects.create_user("anna")
    mailbox = office.mailbox("anna")
    when = office.now + timedelta(days=3)
    Task.objects.create(owner=mailbox.owner, subject="Call", due_date=date(2026, 3, 5))
    Contact.objects.create(owner=mailbox.owner, first_name="Kim", last_name="Puig", email1="kim@c.example")
    Appointment.objects.create(
        owner=mailbox.owner, subject="Visit", starts_at=when, ends_at=when + timedelta(hours=1), zone="Europe/Madrid"
    )
    return mailbox


def _waiting(office, mailbox):
    return {kind for kind, each in links.waiting(mailbox, office.now).items() if each.anything}


def _held(office, mailbox):
    return sum(len(office.server.item_ids(mailbox.address, role)) for role in ("calendar", "contacts", "tasks"))


def _on(office, mailbox, *, on=True):
    channel.switch(mailbox, on=on, by="marta", now=office.now)


def test_s15_off_nothing_flows_and_its_folders_are_not_even_asked_about(office, anna):
    office.server.put_entry(
        anna.address, "tasks", EntryKind.TASK, {Field.SUBJECT: "Mine"}, telling=False, categories=(CATEGORY,)
    )
    office.sync(anna)
    assert _held(office, anna) == 1
    assert not ItemLink.objects.exists()
    assert not Folder.objects.filter(in_step=True).exists()
    assert office.server.calls[anna.address, "changes"] == 2


def test_s15_on_each_kind_flows_both_ways_and_off_again_it_stops(office, anna):
    office.sync(anna)
    _on(office, anna)
    office.server.put_entry(
        anna.address, "tasks", EntryKind.TASK, {Field.SUBJECT: "Mine"}, telling=False, categories=(CATEGORY,)
    )
    report = office.sync(anna)
    assert (report.written.total() >= 4, report.tracked) == (True, 1)
    assert {link.kind: link.born_in for link in ItemLink.objects.exclude(born_in="exchange")} == dict.fromkeys(
        ("task", "contact", "appointment"), "crm"
    )
    assert Task.objects.filter(subject="Mine", owner=anna.owner).exists()
    assert _held(office, anna) == 4
    office.sync(anna, full=False)
    idle = office.sync(anna, full=False)
    assert (idle.requests, idle.idle) == (1, True)
    _on(office, anna, on=False)
    Contact.objects.create(owner=anna.owner, last_name="Serra")
    office.sync(anna)
    assert _held(office, anna) == 4
    _on(office, anna)
    office.sync(anna)
    assert _held(office, anna) == 5
    assert (office.server.notices, office.server.sent) == ([], [])


def test_a_record_that_changes_is_noticed_without_asking_the_server_for_anything_more(office, anna):
    _on(office, anna)
    office.sync(anna)
    office.now += timedelta(minutes=10)
    office.sync(anna, full=False)
    assert _waiting(office, anna) == set()
    task = Task.objects.get()
    task.subject = "Call back"
    task.save()
    assert _waiting(office, anna) == {EntryKind.TASK}
    assert office.sync(anna, full=False).written == {EntryKind.TASK: 1}


def test_a_folder_that_fails_does_not_keep_the_others_or_the_mail_from_their_turn(office, anna):
    office.sync(anna)
    _on(office, anna)
    office.server.deliver(anna.address)
    office.server.fail("create_entry", Unavailable())
    report = office.sync(anna)
    assert (report.tracked, isinstance(report.error, Unavailable)) == (1, True)
    assert office.sync(anna).error is None
    assert _held(office, anna) == 3


def test_a_mailbox_gets_the_templates_of_its_profile_once(office, anna):
    SyncFilter.objects.create(
        scope="template", sync_profile=anna.sync_profile, kind="task", name="Urgent ones",
        conditions={"parts": [{"column": "importance", "operator": "is", "value": "High"}]},
    )  # fmt: skip
    _on(office, anna)
    assert set(anna.filters.values_list("kind", "name")) == {
        ("task", "Urgent ones"), ("contact", "My active contacts"), ("appointment", "My appointments"),
    }  # fmt: skip
    anna.filters.filter(kind="task").update(name="Renamed")
    _on(office, anna, on=False)
    _on(office, anna)
    assert anna.filters.filter(kind="task").get().name == "Renamed"


def test_the_command_shows_and_switches(office, anna):
    out = StringIO()
    call_command("channels", anna.address, "--entries", "on", "--json", stdout=out)
    said = json.loads(out.getvalue())
    assert (said["entries"], said["linked"]) == (True, {"appointment": 0, "contact": 0, "task": 0})
    office.sync(anna)
    out = StringIO()
    call_command("channels", anna.address, stdout=out)
    assert "on  (1 appointments, 1 contacts, 1 tasks in step)" in out.getvalue()
    with pytest.raises((CommandError, SystemExit)):
        call_command("channels", "nobody@office.example")
