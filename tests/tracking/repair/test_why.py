"""`why`: what is known of a message is told, what is not known is said, and --again decides by today's rules."""

import json
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import call_command
from django.utils import timezone

from mailboxes.claims import claim_one
from mailboxes.models import Folder, Mailbox, Run
from mailboxes.provider.errors import AuthRejected, ItemUnreadable, Unavailable
from mailboxes.states import Intent, State, Track, Trigger
from security.commands import Failed, WrongUse
from tests.tracking.office import Office
from tracking.engine import activities, foreground
from tracking.management.commands import why as command
from tracking.models import Activity, Holder, ItemDecision, ItemFailure

pytestmark = pytest.mark.django_db
ID = "<1@customer.example>"


@pytest.fixture
def office(monkeypatch, tmp_path, settings):
    settings.BLOB_ROOT = tmp_path
    office = Office()
    monkeypatch.setattr(foreground, "open_provider", lambda mailbox: office.server.provider(mailbox.address))
    return office


def ask(*arguments):
    out = StringIO()
    call_command("why", *arguments, "--json", stdout=out, stderr=StringIO())
    return json.loads(out.getvalue())


def words(*arguments):
    out = StringIO()
    call_command("why", *arguments, stdout=out, stderr=StringIO())
    return out.getvalue()


def test_s24_a_refused_message_is_found_by_its_hash_alone(office):
    anna = office.mailbox("anna", Track.NONE)
    office.server.deliver(anna.address, message_id=ID, subject="Secret plans")
    office.sync(anna)
    document = ask(anna.address.upper(), ID)
    (item,) = document["items"]
    assert (document["known"], item["outcome"], item["reason"]) == (True, "refused", "tracking_off")
    assert (item["folder"], item["folder_followed"]) == ("Inbox", True)
    assert item["run"]["id"] == Run.objects.get().pk
    assert (item["failure"], item["activity"]) == (None, None)
    assert document == {**ask(anna.address, ID.strip("<>"))}
    shown = words(anna.address, ID)
    assert "refused: Refused, because this mailbox tracks nothing by itself." in shown
    assert "Secret" not in shown + json.dumps(document)


def test_a_tracked_message_names_its_activity_and_how_many_hold_it(office):
    anna, bruno = office.mailbox("anna"), office.mailbox("bruno")
    people = {"to": (anna.address, bruno.address)}
    item = office.server.deliver(anna.address, message_id=ID, subject="Secret plans", **people)
    office.server.copy(item, bruno.address)
    office.sync(anna)
    office.sync(bruno)
    (found,) = ask(anna.address, ID)["items"]
    activity = Activity.objects.get()
    assert (found["activity"]["id"], found["activity"]["thread"]) == (activity.pk, activity.thread_id)
    assert found["activity"]["holders"] == 2
    assert ask(anna.address, ID)["other_mailboxes"] == 1
    assert "held by 2 mailboxes" in words(anna.address, ID)
    assert "Secret" not in words(anna.address, ID)


def test_a_message_that_left_its_folder_can_still_be_explained(office):
    anna = office.mailbox("anna")
    item = office.server.deliver(anna.address, message_id=ID)
    office.sync(anna)
    office.server.remove(item)
    office.sync(anna)
    Run.objects.all().delete()
    (found,) = ask(anna.address, ID)["items"]
    assert (found["folder"], found["run"], found["outcome"]) == (None, None, "tracked")
    assert found["activity"]["removed_at"]
    shown = words(anna.address, ID)
    assert "no folder any more" in shown
    assert "not kept any more" in shown
    assert "when it left this mailbox" in shown


def test_a_folder_that_is_followed_no_more_is_said(office):
    anna = office.mailbox("anna")
    office.server.deliver(anna.address, message_id=ID)
    office.sync(anna)
    Folder.objects.update(followed=False)
    assert "Inbox (not followed any more)" in words(anna.address, ID)


def test_a_quarantined_message_shows_its_failure_with_attempts_and_remedy(office):
    anna = office.mailbox("anna")
    item = office.server.deliver(anna.address, message_id=ID)
    office.server.fail_item(item, ItemUnreadable("ErrorItemCorrupt"), methods=("contents",))
    office.sync(anna)
    (found,) = ask(anna.address, ID)["items"]
    assert found["outcome"] == "quarantined"
    assert (found["failure"]["code"], found["failure"]["attempts"]) == ("item_unreadable", 1)
    assert found["failure"]["retry_at"]
    shown = words(anna.address, ID)
    assert "facts      code item_unreadable" in shown
    assert "next try" in shown
    assert "what to do Open it in Outlook" in shown


def test_an_item_the_database_refuses_is_found_all_the_same(office, monkeypatch):
    anna = office.mailbox("anna")
    office.server.deliver(anna.address, message_id=ID)
    create = activities.create

    def refusing(tracks, *rest, **named):
        if tracks:
            raise ValueError("does not fit")
        return create(tracks, *rest, **named)

    monkeypatch.setattr(activities, "create", refusing)
    office.sync(anna)
    (found,) = ask(anna.address, ID)["items"]
    assert (found["outcome"], found["reason"]) == ("quarantined", "cannot_store")


def test_what_nobody_has_met_is_said_to_be_unknown_and_what_it_may_be(office):
    anna, bruno = office.mailbox("anna"), office.mailbox("bruno")
    bad = office.server.deliver(anna.address)
    office.server.fail_item(bad, ItemUnreadable())
    office.server.deliver(bruno.address, message_id=ID)
    office.sync(anna)
    office.sync(bruno)
    document = ask(anna.address, ID)
    assert (document["known"], document["items"]) == (False, [])
    assert (document["unidentified"], document["other_mailboxes"]) == (1, 1)
    assert document["followed"] == ["Inbox", "Sent"]
    shown = words(anna.address, ID)
    assert "Nothing is known of it" in shown
    assert "one of 1 items whose Message-ID could not be read" in shown
    assert "1 other mailboxes have met it" in shown
    assert "--again looks for it" in shown


def test_again_decides_by_the_rules_of_today_and_keeps_the_message(office):
    anna = office.mailbox("anna", Track.NONE)
    office.server.deliver(anna.address, message_id=ID)
    office.sync(anna)
    Mailbox.objects.update(track=Track.ALL, state=State.DEGRADED, due_at=office.now)
    before = Mailbox.objects.values("state", "due_at", "full_pass_at", "synced_at", "first_sync_done").get()
    document = ask(anna.address, ID, "--again")
    (item,) = document["items"]
    assert (item["outcome"], item["reason"], document["again"]["evaluated"]) == ("tracked", "all_mail", 1)
    assert Activity.objects.count() == 1
    run = Run.objects.order_by("pk").last()
    assert (run.outcome, run.tracked, item["run"]["id"]) == ("done", 1, run.pk)
    # Beside the schedule: it says nothing of how the mailbox is.
    assert Mailbox.objects.values("state", "due_at", "full_pass_at", "synced_at", "first_sync_done").get() == before
    assert Folder.objects.get(role="inbox").refused == 0
    assert Folder.objects.get(role="inbox").tracked == 1


def test_again_leaves_what_is_tracked_alone(office):
    anna = office.mailbox("anna")
    office.server.deliver(anna.address, message_id=ID)
    office.sync(anna)
    decided = ItemDecision.objects.values().get()
    document = ask(anna.address, ID, "--again")
    assert (document["again"]["evaluated"], document["again"]["unchanged"]) == (0, 1)
    assert ItemDecision.objects.values().get() == decided
    assert Holder.objects.count() == 1
    assert "never made again" in words(anna.address, ID, "--again")


def test_again_finds_what_no_run_has_met_and_says_where_it_lies(office):
    anna = office.mailbox("anna")
    projects = office.server.add_folder(anna.address, "Projects")
    office.sync(anna)
    office.server.deliver(anna.address, projects, message_id=ID)
    document = ask(anna.address, ID, "--again")
    assert not document["known"]
    assert [(place["folder"], place["followed"]) for place in document["again"]["lies_in"]] == [("Projects", False)]
    shown = words(anna.address, ID, "--again")
    assert "in Projects (not followed, so nothing there is read)" in shown
    assert "looks for it" not in shown
    assert not ItemDecision.objects.exists()
    office.server.deliver(anna.address, message_id=ID)
    shown = words(anna.address, ID, "--again")
    assert "Decided again on 1" in shown
    assert Activity.objects.count() == 1
    # The next run meets the same item by its change and makes nothing of it twice.
    office.sync(anna)
    assert (Activity.objects.count(), Holder.objects.count()) == (1, 1)


def test_again_counts_an_attempt_at_what_was_set_aside_and_heals_it(office):
    anna = office.mailbox("anna")
    item = office.server.deliver(anna.address, message_id=ID)
    office.server.fail_item(item, ItemUnreadable(), methods=("contents",))
    office.sync(anna)
    assert ask(anna.address, ID, "--again")["items"][0]["failure"]["attempts"] == 2
    office.server.heal()
    (found,) = ask(anna.address, ID, "--again")["items"]
    assert (found["outcome"], found["failure"]["attempts"]) == ("tracked", 3)
    assert found["failure"]["resolved_at"]
    assert "settled" in words(anna.address, ID)


def test_again_says_when_the_mailbox_does_not_hold_the_message(office):
    anna = office.mailbox("anna")
    office.sync(anna)
    assert "finds it in no folder" in words(anna.address, ID, "--again")


@pytest.mark.parametrize("method", ["find", "envelopes"])
def test_again_fails_with_the_error_of_the_server_and_settles_it(office, method):
    anna = office.mailbox("anna", Track.NONE)
    office.server.deliver(anna.address, message_id=ID)
    office.sync(anna)
    office.server.fail(method, AuthRejected("401"))
    with pytest.raises(Failed) as error:
        ask(anna.address, ID, "--again")
    assert (error.value.code, error.value.returncode) == ("sign_in_refused", 1)
    office.row.refresh_from_db()
    assert office.row.stopped_code == "sign_in_refused"
    assert not Run.objects.filter(finished_at=None).exists()


def test_again_waits_for_nobody_s_harm(office, monkeypatch):
    anna = office.mailbox("anna")
    monkeypatch.setattr(
        command, "beside", lambda mailbox, work, clock: foreground.beside(mailbox, work, clock=clock, wait_s=0.1)
    )
    claim_one(anna, Trigger.SCHEDULE, "sync", timezone.now())
    with pytest.raises(Failed, match="being synced by a worker") as error:
        ask(anna.address, ID, "--again")
    assert error.value.code == "already_running"


def test_a_long_look_keeps_its_lease_without_showing_the_mailbox_as_running(office, settings):
    anna = office.mailbox("anna", Track.NONE)
    office.server.deliver(anna.address, message_id=ID)
    office.sync(anna)
    settings.LEASE_SECONDS = 0
    states = []
    office.server.before("envelopes", lambda: states.append(Mailbox.objects.get().state))
    ask(anna.address, ID, "--again")
    assert states == [State.NEVER_TESTED]


def test_wrong_use_and_what_is_not_there_are_refused(office):
    with pytest.raises(WrongUse, match="empty"):
        ask("nobody@office.example", "<>")
    with pytest.raises(Failed, match="add_mailbox adds it"):
        ask("nobody@office.example", ID)
    anna = office.mailbox("anna")
    Mailbox.objects.update(intent=Intent.ARCHIVED)
    assert ask(anna.address, ID)["known"] is False
    with pytest.raises(Failed, match="archived"):
        ask(anna.address, ID, "--again")


def test_a_run_that_lost_its_lease_changes_nothing(office):
    anna = office.mailbox("anna", Track.NONE)
    office.server.deliver(anna.address, message_id=ID)
    office.sync(anna)
    Mailbox.objects.update(track=Track.ALL)

    def taken_over():
        Run.objects.filter(finished_at=None).update(finished_at=timezone.now() - timedelta(seconds=1))

    office.server.before("envelopes", taken_over)
    with pytest.raises(Failed, match="handed to another worker") as error:
        ask(anna.address, ID, "--again")
    assert error.value.code == "lease_lost"
    assert ItemDecision.objects.get().outcome == "refused"
    assert not ItemFailure.objects.exists()


def test_a_server_that_is_gone_is_tried_again_by_the_schedule(office):
    anna = office.mailbox("anna")
    office.sync(anna)
    office.server.fail("*", Unavailable())
    with pytest.raises(Failed) as error:
        ask(anna.address, ID, "--again")
    assert error.value.code == "unreachable"
