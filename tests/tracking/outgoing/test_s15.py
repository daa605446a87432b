"""S15: a channel that is off, or a mailbox that is not approved: nothing flows that way, for any kind of item."""

import contextlib
import json
from datetime import date, timedelta
from io import StringIO

import pytest
from django.core.management import call_command
from django.utils import timezone

from mailboxes import claims
from mailboxes.models import Mailbox, Run
from mailboxes.provider.entries import EntryKind, Field, Span, Value
from mailboxes.states import Intent, State, Track
from tests.tracking.outgoing.post import ANNA, BEN, MemoryPost, Post, assert_one, is_on
from tracking import actions
from tracking.channels import Channel, switch
from tracking.linked.compare import CATEGORY
from tracking.models import Activity, Appointment, Contact, ItemDecision, ItemLink, Task
from tracking.workers import jobs

READING = ("counters", "changes", "listing", "envelopes", "contents", "attachments")


def asked(memory: MemoryPost, *methods: str) -> int:
    return sum(memory.server.calls[ANNA, method] for method in methods)


def test_s15_mail_in_off_no_mail_is_read_and_nothing_is_asked_about_it(memory: MemoryPost) -> None:
    Mailbox.objects.update(track=Track.ALL)
    memory.settle(1)
    memory.server.deliver(ANNA, "inbox", subject="While it is on")
    memory.settle(1)
    assert Activity.objects.count() == 1
    switch(memory.anna, Channel.INCOMING, on=False, by="fina", now=memory.now)
    memory.server.deliver(ANNA, "inbox", subject="While it is off")
    before = asked(memory, *READING)
    for full in (False, True):
        report = memory.run(full=full)
        assert report is not None
        assert (report.error, report.tracked, report.reached_server) == (None, 0, True)
    assert asked(memory, *READING) == before
    assert Activity.objects.count() == ItemDecision.objects.count() == 1
    switch(memory.anna, Channel.INCOMING, on=True, by="fina", now=memory.now)
    memory.settle(1)
    assert set(Activity.objects.values_list("subject", flat=True)) == {"While it is on", "While it is off"}


def test_s15_mail_in_off_nobody_reads_mail_by_other_ways(memory: MemoryPost, monkeypatch) -> None:
    """Comparing, asking why, trying failed items again: all of them read mail, and none of them does."""
    Mailbox.objects.update(track=Track.ALL)
    memory.settle(1)
    memory.server.deliver(ANNA, "inbox", subject="Hello", message_id="<hello@else.example>")
    is_on(memory.anna, incoming=False)
    monkeypatch.setattr(
        "tracking.engine.foreground.open_provider", lambda mailbox: memory.server.provider(mailbox.address)
    )
    before = asked(memory, *READING)
    for command in (["reconcile", ANNA], ["why", ANNA, "<hello@else.example>", "--again"], ["sync_mailbox", ANNA]):
        with contextlib.suppress(SystemExit):
            call_command(*command, stdout=StringIO(), stderr=StringIO())
    assert asked(memory, *READING) == before
    assert not Activity.objects.exists()


def test_s15_mail_out_off_nothing_is_sent_and_the_mail_waits(post: Post) -> None:
    is_on(post.anna, outgoing=False)
    mail = post.write()
    post.settle(2)
    mail.refresh_from_db()
    assert (mail.state, post.arrived(), post.drafts()) == ("waiting", [], [])
    switch(post.anna, Channel.OUTGOING, on=True, by="fina", now=post.now)
    post.settle(1)
    assert_one(post, mail)


def test_s15_mail_out_is_off_until_somebody_switches_it_on(memory: MemoryPost) -> None:
    fresh = memory.office.mailbox("carla")
    fresh.refresh_from_db()
    assert (fresh.incoming, fresh.outgoing, fresh.entries) == (True, False, False)


def test_s15_mail_in_off_what_is_sent_is_still_tracked_and_nothing_else(memory: MemoryPost) -> None:
    memory.settle(1)
    is_on(memory.anna, incoming=False)
    memory.server.deliver(ANNA, "inbox", subject="Not to be read")
    mail = memory.write()
    memory.settle(1)
    assert Activity.objects.count() == 1
    assert_one(memory, mail)


def records(memory: MemoryPost) -> None:
    when = memory.now + timedelta(days=3)
    Task.objects.create(owner=memory.author, subject="Call", due_date=date(2026, 3, 5))
    Contact.objects.create(owner=memory.author, last_name="Puig", email1="kim@c.example")
    Appointment.objects.create(
        owner=memory.author, subject="Visit", starts_at=when, ends_at=when + timedelta(hours=1), zone="Europe/Madrid"
    )


def entries(memory: MemoryPost) -> None:
    when = memory.now + timedelta(days=5)
    values: dict[EntryKind, dict[Field, Value]] = {
        EntryKind.TASK: {Field.SUBJECT: "Theirs"},
        EntryKind.CONTACT: {Field.NICKNAME: "Theirs"},
        EntryKind.APPOINTMENT: {
            Field.SUBJECT: "Theirs",
            Field.SPAN: Span(when, when + timedelta(hours=1), "Europe/Madrid"),
        },
    }
    for kind, fields in values.items():
        place = {"task": "tasks", "contact": "contacts", "appointment": "calendar"}[kind.value]
        memory.server.put_entry(ANNA, place, kind, fields, telling=False, categories=(CATEGORY,))


def held(memory: MemoryPost) -> dict[str, int]:
    return {role: len(memory.server.item_ids(ANNA, role)) for role in ("calendar", "contacts", "tasks")}


def test_s15_entries_off_no_appointment_contact_or_task_flows_either_way(memory: MemoryPost) -> None:
    records(memory)
    entries(memory)
    there, here = held(memory), [model.objects.count() for model in (Appointment, Contact, Task)]
    memory.settle(1)
    memory.run(full=True)
    assert held(memory) == there
    assert [model.objects.count() for model in (Appointment, Contact, Task)] == here
    assert not ItemLink.objects.exists()
    assert asked(memory, "marks", "entries", "create_entry", "update_entry", "delete_entry", "find_stamp") == 0
    # What the channel would have done, so that the test can fail.
    switch(memory.anna, Channel.ENTRIES, on=True, by="fina", now=memory.now)
    memory.settle(1)
    assert {link.kind for link in ItemLink.objects.filter(born_in="crm")} == {"appointment", "contact", "task"}
    assert {link.kind for link in ItemLink.objects.filter(born_in="exchange")} == {"appointment", "contact", "task"}


@pytest.mark.parametrize("intent", [Intent.PENDING, Intent.OFF, Intent.PAUSED, Intent.ARCHIVED])
def test_s15_not_approved_nothing_flows_of_any_kind(memory: MemoryPost, intent: Intent, monkeypatch) -> None:
    """Neither by the schedule, nor by Sync now, nor by a job that waits in a queue already."""
    now = timezone.now()
    records(memory)
    entries(memory)
    for channel in Channel:
        switch(memory.anna, channel, on=True, by="fina", now=now)
    mail = memory.write()
    Mailbox.objects.update(intent=intent, state=State.IDLE, due_at=now - timedelta(hours=1), measured_from=None)
    monkeypatch.setattr(jobs, "open_provider", lambda mailbox: memory.server.provider(mailbox.address))
    Run.objects.all().delete()
    assert claims.claim_due(now, limit=10, batch=5, lead=15) == []
    memory.anna.refresh_from_db()
    with pytest.raises(actions.NotOn):
        actions.sync_now(memory.anna, by="anna")
    stale = Run.objects.create(mailbox=memory.anna, queue="sync", batch="b", claimed_at=now, heartbeat_at=now)
    jobs.Batch([stale.pk], worker="worker-1", clock=timezone.now).work()
    assert sum(memory.server.calls.values()) == 0
    mail.refresh_from_db()
    assert (mail.state, memory.arrived(), memory.drafts()) == ("waiting", [], [])
    assert not ItemLink.objects.exists()
    assert not Activity.objects.exists()


def test_s15_a_run_that_is_asked_for_by_command_sends_nothing_of_a_mailbox_that_is_not_on(memory: MemoryPost) -> None:
    mail = memory.write()
    is_on(memory.anna, intent=Intent.PENDING)
    memory.run(full=True)
    mail.refresh_from_db()
    assert (mail.state, memory.arrived(), memory.drafts()) == ("waiting", [], [])


def test_s15_the_command_shows_and_switches_each_channel(memory: MemoryPost) -> None:
    memory.write()
    for name in ("incoming", "outgoing", "entries"):
        for word in ("on", "off"):
            out = StringIO()
            call_command("channels", ANNA, f"--{name}", word, "--json", stdout=out)
            said = json.loads(out.getvalue())
            assert said[name] is (word == "on")
            assert getattr(Mailbox.objects.get(), name) is (word == "on")
    out = StringIO()
    call_command("channels", ANNA, stdout=out)
    assert [line.split()[-5:] for line in out.getvalue().splitlines()][2][-3:] == ["off", "(1", "waiting)"]
    assert BEN not in out.getvalue()
