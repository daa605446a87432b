"""What a dry run says of attachments of appointments: which would flow which way, nothing kept and nothing written (S16)."""

from datetime import UTC, datetime, timedelta

import pytest

from mailboxes.models import Mailbox
from mailboxes.provider.entries import EntryKind, Field
from mailboxes.provider.memory import File
from tests.tracking.linked.desk import Desk, timed_office
from tracking.dryrun.outcomes import Effect
from tracking.dryrun.trial import Trial
from tracking.engine import blobs
from tracking.linked.words import field_name
from tracking.models import AppointmentFile, FilesInStep, ItemLink
from tracking.policy import drafts
from tracking.policy.document import in_force
from tracking.policy.words import differences

pytestmark = pytest.mark.django_db
TEN = datetime(2026, 3, 9, 10, 0, tzinfo=UTC)


@pytest.fixture
def desk(monkeypatch):
    office = timed_office()
    monkeypatch.setattr("django.utils.timezone.now", lambda: office.now)
    desk = Desk(EntryKind.APPOINTMENT, office=office)
    Mailbox.objects.update(entries=True)
    return desk


def appointment(desk, subject, **files):
    """Make an appointment with files here (`ours`) and on its entry (`theirs`)."""
    record = desk.record(subject=subject, starts_at=TEN, ends_at=TEN + timedelta(hours=1), zone="UTC")
    for name, data in files.get("ours", ()):
        AppointmentFile.objects.create(
            appointment=record, name=name, size=len(data), sha256=blobs.put(data), added_at=desk.now
        )
    desk.sync()
    for name, data in files.get("theirs", ()):
        desk.server.hang(ItemLink.objects.get(record_id=record.pk).item_id, File(name, data))
    return record


def proposed(desk, way="both"):
    document = in_force(desk.office.profile)
    return {**document, "settings": {**document["settings"], "appointment_attachments": way}}


def tried(desk, document, *, read=True):
    trial = Trial(desk.office.profile, document, days=7, now=desk.now)
    return trial, trial.run((lambda box: desk.server.provider(box.address)) if read else None)


def test_it_says_which_files_would_flow_where_and_writes_and_keeps_nothing(desk):
    ours = appointment(desk, "Ours", ours=[("plan.pdf", b"dry plan")])
    theirs = appointment(desk, "Theirs", theirs=[("notes.txt", b"dry notes, never to be kept")])
    appointment(desk, "Same", ours=[("same.txt", b"same")], theirs=[("same.txt", b"same")])
    appointment(desk, "Without")
    desk.sync()
    before = desk.server.calls.copy()
    trial, result = tried(desk, proposed(desk))
    assert trial.cost().reads == 4
    found = {(item.ref, item.effect, item.fields) for item in result.outcomes.items}
    assert found == {(ours.pk, Effect.TO_EXCHANGE, ("files",)), (theirs.pk, Effect.TO_CRM, ("files",))}
    assert field_name(EntryKind.APPOINTMENT, "files") == "attachments"
    asked = {name for _address, name in desk.server.calls - before}
    assert asked <= {"marks", "entries", "attached", "attachments"}
    assert not FilesInStep.objects.exists()
    assert not blobs.path_of(blobs.digest(b"dry notes, never to be kept")).exists()


def test_what_it_says_comes_true(desk):
    ours = appointment(desk, "Ours", ours=[("plan.pdf", b"plan")])
    theirs = appointment(desk, "Theirs", theirs=[("notes.txt", b"notes")])
    desk.sync()
    draft = drafts.begin(desk.office.profile, by="fina", now=desk.now, proposed=proposed(desk))
    said = {(each.what, each.before, each.after) for each in differences(draft.base, draft.proposed)}
    assert said == {("attachments of appointments", "stay where they are", "flow both ways")}
    Mailbox.objects.update(full_pass_asked_at=None)
    drafts.publish(draft, revision=draft.revision, by="fina", now=desk.now)
    assert not Mailbox.objects.filter(full_pass_asked_at=None).exists(), "everything is looked at again"
    desk.sync(full=True)
    (hung,) = desk.server.entry(ItemLink.objects.get(record_id=ours.pk).item_id).files
    assert hung.file.name == "plan.pdf"
    assert [each.name for each in theirs.files.all()] == ["notes.txt"]
    _trial, again = tried(desk, proposed(desk))
    assert not again.outcomes.of(Effect.TO_CRM, Effect.TO_EXCHANGE)


def test_one_way_says_that_way_alone(desk):
    record = appointment(desk, "Both", ours=[("plan.pdf", b"plan")], theirs=[("notes.txt", b"notes")])
    desk.sync()
    _trial, result = tried(desk, proposed(desk, "to_crm"))
    assert [(item.ref, item.effect) for item in result.outcomes.items] == [(record.pk, Effect.TO_CRM)]


def test_switching_off_says_what_would_not_be_written_any_more(desk):
    type(desk.office.profile).objects.update(appointment_attachments="both")
    record = appointment(desk, "Theirs", theirs=[("notes.txt", b"notes")])
    _trial, result = tried(desk, proposed(desk, "none"))
    assert [(item.ref, item.effect, item.fields) for item in result.outcomes.items] == [
        (record.pk, Effect.NOT_WRITTEN, ("files",))
    ]


def test_without_reading_it_is_unclear(desk):
    record = appointment(desk, "Ours", ours=[("plan.pdf", b"plan")])
    _trial, result = tried(desk, proposed(desk), read=False)
    assert [(item.ref, item.effect) for item in result.outcomes.items] == [(record.pk, Effect.UNCLEAR)]


def test_a_change_of_something_else_reads_no_list(desk):
    type(desk.office.profile).objects.update(appointment_attachments="both")
    appointment(desk, "Ours", ours=[("plan.pdf", b"plan")])
    desk.sync()
    before = desk.server.calls[desk.mailbox.address, "attached"]
    document = in_force(desk.office.profile)
    _trial, _result = tried(desk, {**document, "directions": {"appointment": {Field.SUBJECT.value: "to_crm"}}})
    assert desk.server.calls[desk.mailbox.address, "attached"] == before


def test_no_message_is_decided_on_again_because_of_it(desk):
    assert not drafts.changes_mail(in_force(desk.office.profile), proposed(desk))
