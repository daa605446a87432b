"""The commands that work on mail, over a mail system in memory: what they print, and how they fail."""

import json
from io import StringIO

import pytest
from django.core.management import call_command
from django.utils import timezone
from redis.exceptions import ConnectionError as RedisGone

from mailboxes.claims import claim_one
from mailboxes.models import Mailbox, Run
from mailboxes.provider.errors import AuthRejected, FolderGone, Unavailable
from mailboxes.states import Intent, State, Track, Trigger
from security.commands import Failed
from security.secrets import SecretUnreadable
from tests.tracking.office import Office
from tracking import status
from tracking.engine import foreground
from tracking.management.commands import sync_mailbox, sync_status
from tracking.models import Activity

pytestmark = pytest.mark.django_db


@pytest.fixture
def office(monkeypatch, tmp_path, settings):
    settings.BLOB_ROOT = tmp_path
    office = Office()
    for module in (foreground, sync_mailbox):
        monkeypatch.setattr(module, "open_provider", lambda mailbox: office.server.provider(mailbox.address))
    return office


def run(*arguments):
    """Return the one document on stdout, and what went to stderr."""
    out, err = StringIO(), StringIO()
    call_command(*arguments, "--json", stdout=out, stderr=err)
    return json.loads(out.getvalue()), err.getvalue()


def test_sync_mailbox_counts_each_item_once_and_names_the_next_run(office):
    anna = office.mailbox("anna")
    office.server.deliver(anna.address, message_id="<1@c.example>")
    office.server.deliver(anna.address, message_id="<1@c.example>")
    office.server.deliver(anna.address, auto_submitted="auto-replied")
    document, _err = run("sync_mailbox", anna.address.upper())
    assert document["examined"] == 3
    assert (document["tracked"], document["updated"], document["refused"]) == (1, 1, {"automated": 1})
    assert document["quarantined"] == 0
    assert 120 <= document["next_interval_s"] <= 720
    assert " " in document["reason"]
    anna.refresh_from_db()
    assert (anna.state, anna.first_sync_done) == (State.IDLE, True)
    assert not Run.objects.filter(finished_at=None).exists()
    document, _err = run("sync_mailbox", anna.address)
    assert (document["requests"], document["examined"]) == (1, 0)


def test_a_dry_run_says_what_would_be_and_writes_nothing(office):
    anna = office.mailbox("anna")
    office.server.deliver(anna.address)
    document, _err = run("sync_mailbox", anna.address, "--dry-run")
    assert (document["dry_run"], document["tracked"]) == (True, 1)
    assert not Activity.objects.exists()
    assert not Run.objects.exists()


def test_a_person_reads_words(office):
    anna = office.mailbox("anna")
    office.server.deliver(anna.address, auto_submitted="auto-replied")
    out = StringIO()
    call_command("sync_mailbox", anna.address, stdout=out)
    assert "refused      1 (1 automated)" in out.getvalue()
    assert "next sync" in out.getvalue()
    out = StringIO()
    call_command("sync_mailbox", anna.address, "--dry-run", stdout=out)
    assert "nothing was written" in out.getvalue()


def test_a_server_error_is_in_the_document_and_the_exit_code(office):
    anna = office.mailbox("anna")
    office.server.fail("*", AuthRejected("401"))
    out = StringIO()
    with pytest.raises(Failed) as error:
        call_command("sync_mailbox", anna.address, "--json", stdout=out, stderr=StringIO())
    assert (error.value.returncode, error.value.code) == (1, "sign_in_refused")
    assert json.loads(out.getvalue())["error"] == "sign_in_refused"
    office.row.refresh_from_db()
    assert office.row.stopped_code == "sign_in_refused"


def test_a_folder_that_fails_is_named(office):
    anna = office.mailbox("anna")
    run("sync_mailbox", anna.address)
    office.server.deliver(anna.address)
    office.server.fail("changes", FolderGone())
    document, _err = run("sync_mailbox", anna.address)
    assert list(document["folder_errors"].values()) == ["folder_gone"]


def test_a_dry_run_reports_a_server_that_is_gone(office):
    anna = office.mailbox("anna")
    office.server.fail("*", Unavailable())
    with pytest.raises(Failed) as error:
        run("sync_mailbox", anna.address, "--dry-run")
    assert error.value.code == "unreachable"


def test_a_mailbox_that_is_not_there_or_archived_is_refused(office):
    with pytest.raises(Failed, match="add_mailbox adds it"):
        run("sync_mailbox", "nobody@office.example")
    anna = office.mailbox("anna")
    Mailbox.objects.update(intent=Intent.ARCHIVED)
    with pytest.raises(Failed, match="archived"):
        run("sync_mailbox", anna.address)


def test_a_mailbox_that_waits_for_approval_is_synced_once_and_left_alone(office):
    anna = office.mailbox("anna")
    Mailbox.objects.update(intent=Intent.PENDING)
    office.server.deliver(anna.address)
    document, err = run("sync_mailbox", anna.address)
    assert document["tracked"] == 1
    assert "only this sync is done" in err
    anna.refresh_from_db()
    assert anna.intent == Intent.PENDING


def test_a_mailbox_that_a_worker_has_is_waited_for_and_then_named(office, monkeypatch):
    anna = office.mailbox("anna")
    claim_one(anna, Trigger.SCHEDULE, "sync", timezone.now())
    monkeypatch.setattr(
        sync_mailbox, "sync_now", lambda mailbox, **rest: foreground.sync_now(mailbox, **{**rest, "wait_s": 0.6})
    )
    with pytest.raises(Failed, match="being synced by a job that waits for a worker") as error:
        run("sync_mailbox", anna.address)
    assert error.value.code == "already_running"


def test_what_nobody_foresaw_gives_the_lease_back(office):
    anna = office.mailbox("anna")
    office.server.fail("*", KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        foreground.sync_now(Mailbox.objects.get(pk=anna.pk), clock=timezone.now)
    assert Run.objects.get().outcome == "abandoned"


def test_sync_status_counts(office, monkeypatch):
    anna = office.mailbox("anna", Track.ALL)
    office.server.deliver(anna.address)
    run("sync_mailbox", anna.address)
    document, _err = run("sync_status")
    assert document["mailboxes"] == 1
    assert document["by_state"] == {"idle": 1}
    assert document["tracked"] == 1
    assert set(document["promise"]) == {"1h", "24h", "7d"}
    assert (document["due"], document["running"], document["late"]) == (0, 0, 0)
    assert document["queues"] == {"immediate": 0, "sync": 0, "bulk": 0, "maintenance": 0}
    out = StringIO()
    call_command("sync_status", stdout=out)
    assert "1 activity\n" in out.getvalue()

    def gone(name):
        raise RedisGone

    monkeypatch.setattr(status, "queue", gone)
    assert run("sync_status")[0]["queues"] is None


def test_a_secret_that_cannot_be_decrypted_is_named(office, monkeypatch):
    anna = office.mailbox("anna")

    def unreadable(mailbox):
        raise SecretUnreadable

    monkeypatch.setattr(foreground, "open_provider", unreadable)
    with pytest.raises(Failed, match="CRMSYNC_ENCRYPTION_KEYS"):
        run("sync_mailbox", anna.address)


@pytest.mark.parametrize(
    ("tracked", "gaps", "said"),
    [
        (0, 2, ["0 activities", "of 2 gaps,"]),
        (1, 1, ["1 activity\n", "of 1 gap,"]),
        (2, 3, ["2 activities", "3 gaps,"]),
    ],
)
def test_sync_status_counts_in_words(monkeypatch, tracked, gaps, said):
    numbers = {
        "mailboxes": 1, "by_state": {}, "tracked": tracked, "due": 0, "running": 0, "late": 0, "queues": {},
        "promise": {"1h": {"kept": 1, "gaps": gaps, "open_late": 0, "ratio": 1.0}},
    }  # fmt: skip
    monkeypatch.setattr(sync_status, "status", lambda _now: numbers)
    out = StringIO()
    call_command("sync_status", stdout=out)
    assert [words for words in said if words not in out.getvalue()] == []
