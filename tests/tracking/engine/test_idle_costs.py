"""An idle run costs one request whatever is switched on: all kinds, attachments, the category, twenty tracked folders.

Counted at the sandbox Exchange itself over EWS, and at the mail system in memory.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import pytest

from mailboxes.models import Folder, Mailbox, SyncProfile
from mailboxes.provider.entries import EntryKind
from mailboxes.provider.port import FolderRole
from mailboxes.provider.writing import Attached, WholeProvider
from mailboxes.report import RunReport
from mailboxes.sandbox.server import SandboxServer
from mailboxes.states import Track
from tests.mailboxes.provider.worlds import ANA, EwsWorld, Letter, MemoryWorld, World, sandbox_store
from tests.tracking.office import Office
from tracking.engine import blobs, category, pipeline
from tracking.linked import channel
from tracking.models import Activity, Appointment, AppointmentFile, Contact, ItemLink, Opportunity, Task, TrackedFolder
from tracking.personal import tracked_folders
from tracking.personal.tracked_folders import Choice

pytestmark = pytest.mark.django_db
FOLDERS = 20


@dataclass
class Stage:
    """Ana's mailbox with everything on, and a count of what the server was asked."""

    world: World
    office: Office
    mailbox: Mailbox
    asked: Callable[[], int]

    def run(self, *, full: bool = False) -> RunReport:
        run = self.office.begin(self.mailbox)
        run.mailbox = Mailbox.objects.select_related("server", "sync_profile", "owner").get(pk=self.mailbox.pk)
        run.full_pass = full
        run.mailbox.full_pass_at = None if full else self.office.now
        folders = list(Folder.objects.filter(mailbox=self.mailbox, gone_at=None))
        wanted = [folder for folder in folders if folder.followed or folder.in_step]
        provider: WholeProvider = self.world.provider()
        try:
            report = pipeline.sync(
                run, provider, clock=lambda: self.office.now, yield_after_s=None, beat=lambda: None, folders=wanted
            )
        finally:
            self.office.end(run)
        assert report.error is None, report.error
        assert report.folder_errors == {}
        return report


def everything_on(world: World, asked: Callable[[], int]) -> Stage:
    office = Office()
    mailbox = office.mailbox("ana", track=Track.REPLIES)
    Mailbox.objects.filter(pk=mailbox.pk).update(address=ANA)
    mailbox.refresh_from_db()
    stage = Stage(world, office, mailbox, asked)
    folders = [world.add_folder(f"Project {number}") for number in range(FOLDERS)]
    for number, folder in enumerate(folders):
        world.deliver(Letter(message_id=f"<{number}@partner.example>"), folder)
    stage.run(full=True)
    deal = Opportunity.objects.create(name="Pumps")
    for folder in folders:
        row = Folder.objects.get(mailbox=mailbox, provider_id=folder)
        choice = Choice(subfolders=True, regarding_kind="opportunity", regarding_id=deal.pk)
        tracked_folders.add(mailbox, row, choice, by=mailbox.owner, now=office.now)
    category.switch(mailbox, mail=True, name="Customers", now=office.now)
    channel.switch(mailbox, on=True, by="ana", now=office.now)
    Contact.objects.create(last_name="Riera", owner=mailbox.owner)
    Task.objects.create(subject="Call", owner=mailbox.owner)
    starts = office.now + timedelta(days=7)
    visit = Appointment.objects.create(
        subject="Visit", owner=mailbox.owner, starts_at=starts, ends_at=starts + timedelta(hours=1), zone="UTC"
    )
    AppointmentFile.objects.create(
        appointment=visit, name="plan.txt", size=4, sha256=blobs.put(b"plan"), added_at=office.now
    )
    SyncProfile.objects.filter(pk=mailbox.sync_profile_id).update(appointment_attachments="both")
    mailbox.refresh_from_db()
    stage.run(full=True)
    stage.run()
    assert Activity.objects.count() == FOLDERS
    assert Folder.objects.filter(mailbox=mailbox, followed=True).count() == FOLDERS + 2
    assert Folder.objects.filter(mailbox=mailbox, in_step=True).count() == len(EntryKind)
    assert ItemLink.objects.count() == len(EntryKind)
    (hung,) = world.provider().attached([ItemLink.objects.get(kind="appointment").item_id])
    assert isinstance(hung, Attached)
    assert [each.name for each in hung.attachments] == ["plan.txt"]
    return stage


@pytest.fixture(params=["memory", "ews"])
def stage(request: pytest.FixtureRequest) -> Stage:
    if request.param == "memory":
        world = MemoryWorld()
        return everything_on(world, lambda: sum(world.server.calls.values()))
    server: SandboxServer = request.getfixturevalue("sandbox")
    return everything_on(EwsWorld(server), lambda: server.requests.total)


@pytest.fixture
def sandbox():
    with SandboxServer(sandbox_store()) as server:
        yield server


def test_with_all_kinds_the_category_and_twenty_tracked_folders_an_idle_run_costs_one_request(stage):
    assert TrackedFolder.objects.count() == FOLDERS
    for _run in range(3):
        before = stage.asked()
        report = stage.run()
        assert (report.requests, stage.asked() - before) == (1, 1)
        assert (report.tracked, report.written.total(), report.full_pass) == (0, 0, False)


def test_it_is_one_again_after_each_kind_of_change(stage):
    project = Folder.objects.get(mailbox=stage.mailbox, name="Project 7")
    item = stage.world.deliver(Letter(message_id="<new@partner.example>"), project.provider_id)
    assert stage.run().tracked == 1
    assert stage.run().requests == 1
    (known,) = stage.world.provider().envelopes([item])
    stage.world.provider().categorize(item, known.change_key, ["Customers"])
    stage.run()
    assert stage.run().requests == 1
    Task.objects.update(subject="Call again")
    Task.objects.get().save()
    assert stage.run().written.total() == 1
    # The counters were taken before we wrote: the next run looks once more, and finds nothing.
    assert stage.run().requests <= 2
    assert stage.run().requests == 1


def test_the_full_pass_finds_nothing_to_do_either(stage):
    before = Activity.objects.count()
    report = stage.run(full=True)
    assert (report.tracked, report.written.total(), Activity.objects.count()) == (0, 0, before)
    assert stage.run().requests == 1


def test_tracking_by_folder_and_by_category_is_the_same_over_the_wire(stage):
    inbox = Folder.objects.get(mailbox=stage.mailbox, role=FolderRole.INBOX)
    by_folder = stage.world.deliver(Letter(message_id="<f@partner.example>"))
    by_category = stage.world.deliver(Letter(message_id="<c@partner.example>"))
    assert dict(stage.run().refused) == {"not_a_reply": 2}
    project = Folder.objects.get(mailbox=stage.mailbox, name="Project 3")
    stage.world.move(by_folder, project.provider_id)
    provider = stage.world.provider()
    (envelope,) = provider.envelopes([by_category])
    provider.categorize(by_category, envelope.change_key, ["Red", "Customers"])
    assert stage.run().tracked == 2
    about = Activity.objects.get(message_id="<f@partner.example>")
    assert (about.regarding_kind, about.regarding_by) == ("opportunity", "folder")
    assert Activity.objects.get(message_id="<c@partner.example>").holders.get().folder == inbox
    assert stage.run().requests == 1
