"""The demo organisation: made once, left as it is afterwards, connected to a sandbox on this machine only."""

import json
from io import StringIO

import pytest
from django.core.management import call_command

from mailboxes.models import Mailbox, ServerProfile
from mailboxes.sandbox import demo as corpus
from mailboxes.sandbox.server import SandboxServer
from mailboxes.sandbox.store import SandboxStore
from security.commands import Failed, WrongUse
from security.models import User
from tracking.models import (
    Account,
    Appointment,
    Case,
    Contact,
    Lead,
    Opportunity,
    OutgoingMail,
    Participant,
    Task,
    ThreadStop,
    TrackedFolder,
    TrackingCategory,
    UnknownSender,
)

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _var(tmp_path, settings):
    settings.VAR = tmp_path / "var"
    settings.BLOB_ROOT = tmp_path / "blobs"


def make(url):
    out = StringIO()
    call_command("demo", "--sandbox", url, "--json", stdout=out, stderr=StringIO())
    return json.loads(out.getvalue())


def base(server):
    return server.url.partition("/EWS")[0]


def test_the_demo_is_made_once_with_people_mailboxes_and_records():
    store = SandboxStore()
    corpus.load(store)
    with SandboxServer(store) as server:
        first = make(base(server))
        Mailbox.objects.filter(owner__username="pau").delete()
        assert make(base(server)) == first
        out = StringIO()
        call_command("demo", "--sandbox", base(server), stdout=out)
    assert first["password"] in out.getvalue()
    assert {one["username"] for one in first["people"]} >= {"marta", "joan", "nuria"}
    assert Mailbox.objects.count() == 9
    written = OutgoingMail.objects.order_by("pk").values_list("author__username", "mailbox__outgoing", "state")
    assert list(written) == [("marta", True, "waiting"), ("joan", False, "waiting")]
    assert {box.effective_track for box in Mailbox.objects.select_related("sync_profile")} == {
        "all",
        "replies",
        "records",
        "enabled",
        "none",
    }
    assert ServerProfile.objects.get().impersonate
    assert User.objects.get(username="marta").check_password(first["password"])
    for model in (Account, Contact, Lead, Opportunity, Case):
        assert model.objects.exists()
    # Marta has something planned, once, and it is kept in step with her mailbox.
    in_step = Mailbox.objects.get(entries=True)
    assert in_step.owner.username == "marta"
    assert Task.objects.filter(owner=in_step.owner).count() == 2
    assert Appointment.objects.get(owner=in_step.owner).attendees.get().role == "required"
    # Two addresses in her mail belong to two records each, somebody is unknown, and one thread is stopped, once.
    ambiguous = Participant.objects.filter(ambiguous=True, activity__owner=in_step.owner)
    assert len(set(ambiguous.values_list("email", flat=True))) == 2
    assert UnknownSender.objects.filter(mailbox=in_step, state="open").exists()
    assert ThreadStop.objects.get().mailbox == in_step
    # Joan keeps a folder for a customer: it is tracked, once, and so is what he gives the category.
    rule = TrackedFolder.objects.get()
    assert (rule.mailbox.owner.username, rule.folder.name, rule.regarding_kind) == ("joan", "Nordwerk", "account")
    assert TrackingCategory.objects.get(mail=True).mailbox == rule.mailbox


def test_a_sandbox_without_the_demo_is_refused():
    with SandboxServer(SandboxStore()) as server, pytest.raises(Failed, match="--empty"):
        make(base(server))


def test_without_a_sandbox_it_says_how_to_start_one():
    with pytest.raises(Failed, match=r"manage\.py sandbox"):
        make("http://127.0.0.1:1")


@pytest.mark.parametrize("url", ["nonsense", "http://mail.example"])
def test_only_a_sandbox_on_this_machine_will_do(url):
    with pytest.raises(WrongUse):
        make(url)
