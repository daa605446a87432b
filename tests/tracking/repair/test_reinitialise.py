"""Reading again from the start: said first, then done, with nothing doubled and nothing deleted."""

import json
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import call_command
from django.utils import timezone

from mailboxes import claims
from mailboxes.models import Folder, Mailbox, Run
from mailboxes.provider.errors import ItemUnreadable, Unavailable
from mailboxes.states import Intent, Track, Trigger
from security.commands import Failed, WrongUse
from tests.tracking.office import Office
from tracking import actions
from tracking.engine import foreground
from tracking.models import Activity, Holder, ItemDecision, ItemFailure
from tracking.repair import quarantine
from tracking.repair.reinitialise import NotFollowed, What, folders_of, preview, reset

pytestmark = pytest.mark.django_db


@pytest.fixture
def office(monkeypatch, tmp_path, settings):
    settings.BLOB_ROOT = tmp_path
    office = Office(now=timezone.now() - timedelta(hours=3))
    monkeypatch.setattr(foreground, "open_provider", lambda mailbox: office.server.provider(mailbox.address))
    return office


@pytest.fixture
def anna(office):
    """A mailbox with three tracked messages, two refused ones, one set aside and one discarded."""
    anna = office.mailbox("anna")
    for n in range(3):
        office.server.deliver(anna.address, message_id=f"<{n}@c.example>")
    for _n in range(2):
        office.server.deliver(anna.address, auto_submitted="auto-replied")
    for _n in range(2):
        office.server.fail_item(office.server.deliver(anna.address), ItemUnreadable())
    office.sync(anna)
    quarantine.discard(ItemFailure.objects.order_by("pk")[0], why="old", by="fina", now=timezone.now())
    office.sync(anna)
    # Another mailbox, which none of this concerns.
    bruno = office.mailbox("bruno")
    office.server.deliver(bruno.address, auto_submitted="auto-replied")
    office.sync(bruno)
    return anna


def ask(mailbox, *arguments):
    out = StringIO()
    call_command("reinitialise", mailbox.address, *arguments, "--json", stdout=out, stderr=StringIO())
    return json.loads(out.getvalue())


def words(mailbox, *arguments):
    out = StringIO()
    call_command("reinitialise", mailbox.address, *arguments, stdout=out, stderr=StringIO())
    return out.getvalue()


def read(office, mailbox):
    """How many envelopes were asked for in this mailbox."""
    return office.server.calls[mailbox.address, "envelopes"]


def state():
    """Everything that must not change."""
    return (
        list(Activity.objects.order_by("pk").values_list("pk", "message_key")),
        list(Holder.objects.order_by("pk").values_list("pk", "item_id", "removed_at")),
    )


COUNTS = ("in_exchange", "kept", "matched", "reread", "unknown")


def test_a_preview_says_what_would_be_read_and_does_nothing(office, anna):
    before = list(Folder.objects.order_by("pk").values())
    office.server.deliver(anna.address)
    Folder.objects.filter(mailbox=anna, role="inbox").update(total=8)
    (row,) = ask(anna, "--cursor", "inbox")["folders"]
    assert [row[name] for name in COUNTS] == [8, 3, 3, 1, 1]
    document = ask(anna, "--folder", "Inbox")
    (row,) = document["folders"]
    assert [row[name] for name in COUNTS] == [8, 3, 1, 3, 1]
    assert (document["envelopes"], document["done"]) == (4, False)
    assert [row["folder"] for row in ask(anna, "--all")["folders"]] == ["Inbox", "Sent"]
    assert "Nothing was done: --yes does it." in words(anna, "--all")
    Folder.objects.filter(mailbox=anna, role="inbox").update(total=7)
    assert list(Folder.objects.order_by("pk").values()) == before


def test_listing_a_folder_again_matches_everything_and_reads_what_cannot_be_matched(office, anna):
    before, asked = state(), read(office, anna)
    document = ask(anna, "--cursor", "inbox", "--yes")
    assert (document["done"], document["tracked"], document["updated"]) == (True, 0, 0)
    # The one set aside: its envelope, and twice more since it still fails.
    assert read(office, anna) - asked == 3
    assert state() == before
    inbox = Folder.objects.get(mailbox=anna, role="inbox")
    assert (inbox.tracked, inbox.refused, inbox.quarantined, inbox.discarded) == (3, 2, 1, 1)
    assert inbox.listing_before is None


def test_what_was_refused_is_decided_by_todays_rules_and_nothing_is_doubled(office, anna):
    before = state()
    office.server.heal()
    office.profile.exclude_automated = False
    office.profile.save()
    office.server.touch(office.server.item_ids(anna.address)[0], categories=("Blue",))
    document = ask(anna, "--folder", "inbox", "--yes")
    assert (document["tracked"], document["updated"], document["refused"]) == (3, 0, {})
    assert Activity.objects.count() == 6
    assert state()[0][:3] == before[0]
    # What a person gave up stays given up.
    assert ItemDecision.objects.get(outcome="discarded").reason == "discarded"
    assert ItemDecision.objects.get(mailbox__owner__username="bruno").outcome == "refused"
    assert ask(anna, "--folder", "inbox", "--yes")["tracked"] == 0
    assert Activity.objects.count() == 6


def test_what_is_not_tracked_by_todays_rules_any_more_stays_tracked(office, anna):
    before = state()
    Mailbox.objects.filter(pk=anna.pk).update(track=Track.NONE)
    assert ask(anna, "--all", "--yes")["refused"] == {"automated": 2}
    assert state() == before


def test_what_has_left_is_marked_and_its_copy_kept(office, anna):
    folder = office.server.mailbox(anna.address).folders[office.server.folder_id(anna.address, "inbox")]
    gone = office.server.item_ids(anna.address)[0]
    del folder.items[gone]
    ask(anna, "--cursor", "inbox", "--yes")
    assert Holder.objects.get(item_id=gone).removed_at
    assert Activity.objects.count() == 3


def test_the_whole_mailbox_reads_its_list_of_folders_as_well(office, anna):
    office.server.rename_folder(anna.address, "inbox", "Entrada")
    Mailbox.objects.filter(pk=anna.pk).update(full_pass_at=timezone.now())
    assert ask(anna, "--all", "--yes")["full_pass"] is True
    assert Folder.objects.filter(mailbox=anna, name="Entrada").exists()


def test_a_killed_reading_goes_on_and_doubles_nothing(office, anna):
    office.server.fail("changes", KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        ask(anna, "--all", "--yes")
    before = state()
    office.sync(anna)
    assert state() == before
    assert not Folder.objects.exclude(listing_before=None).exists()


def test_an_error_is_said_and_the_next_run_goes_on(office, anna):
    office.server.fail("changes", Unavailable())
    with pytest.raises(Failed) as error:
        ask(anna, "--cursor", "inbox", "--yes")
    assert error.value.code == "unreachable"
    office.sync(anna)
    assert Folder.objects.get(mailbox=anna, role="inbox").cursor


def test_the_words_say_what_was_done(office, anna):
    shown = words(anna, "--folder", "inbox", "--yes")
    assert "3 tracked stay as they are, 1 others are matched without being read" in shown
    assert "3 are read and decided on again, 0 have no decision yet" in shown
    assert "Done with" in shown
    Folder.objects.update(total=None)
    assert "an unknown number of items" in words(anna, "--folder", "inbox")


def test_wrong_use_and_what_is_not_there_are_refused(office, anna, monkeypatch):
    with pytest.raises(Failed, match=r"There is no folder Nowhere\. Followed are: Inbox, Sent\."):
        ask(anna, "--cursor", "Nowhere")
    with pytest.raises(Failed, match="not followed"):
        ask(anna, "--folder", "Junk")
    for name in ("Projects", "Projects"):
        office.server.add_folder(anna.address, name)
    office.sync(anna)
    with pytest.raises(WrongUse, match="2 folders are called Projects"):
        ask(anna, "--folder", "Projects")
    with pytest.raises(WrongUse):
        ask(anna)
    monkeypatch.setattr("tracking.workers.leases.patience_s", lambda: 0.1)
    claims.claim_one(anna, Trigger.SCHEDULE, "sync", timezone.now())
    with pytest.raises(Failed, match="being synced by a worker"):
        ask(anna, "--all", "--yes")
    Mailbox.objects.update(intent=Intent.ARCHIVED)
    with pytest.raises(Failed, match="archived"):
        ask(anna, "--all", "--yes")


# -- the button ---------------------------------------------------------------------------------------------------------------


def press(mailbox, what=What.MAILBOX, folder=None):
    mailbox = Mailbox.objects.get(pk=mailbox.pk)
    return actions.read_again(mailbox, folders_of(mailbox, what, folder), what, by="fina")


def test_the_button_sets_back_and_asks_for_a_run_at_once(office, anna, django_capture_on_commit_callbacks, redis):
    with django_capture_on_commit_callbacks(execute=True):
        run = press(anna)
    assert run.queue == "immediate"
    assert not Folder.objects.filter(mailbox=anna, followed=True, listing_before=None).exists()
    assert Folder.objects.filter(mailbox__owner__username="bruno").exclude(cursor=None).exists()
    # Pressed again while the run waits: that run does it.
    assert press(anna).pk == run.pk


def test_a_run_that_is_under_way_is_not_disturbed(office, anna):
    run = claims.claim_one(anna, Trigger.SCHEDULE, "sync", timezone.now())
    Run.objects.filter(pk=run.pk).update(worker="worker-1")
    before = list(Folder.objects.order_by("pk").values())
    with pytest.raises(actions.Busy):
        press(anna)
    assert list(Folder.objects.order_by("pk").values()) == before


def test_a_mailbox_that_is_off_is_not_read_again(office, anna):
    Mailbox.objects.update(intent=Intent.OFF)
    with pytest.raises(actions.NotOn):
        press(anna)
    assert not Folder.objects.exclude(listing_before=None).exists()


def test_only_folders_of_the_mailbox_that_are_followed_can_be_read_again(office, anna):
    other = Folder.objects.filter(mailbox__owner__username="bruno", role="inbox").get()
    junk = Folder.objects.get(mailbox=anna, role="junk")
    for folder in (None, other, junk):
        with pytest.raises(NotFollowed):
            folders_of(anna, What.FOLDER, folder)


def test_a_preview_of_folders_without_decisions_is_all_zeros(office):
    cleo = office.mailbox("cleo")
    office.sync(cleo)
    (one, _sent) = preview(folders_of(cleo, What.MAILBOX, None), What.MAILBOX)
    assert (one.held, one.kept, one.matched, one.reread, one.unknown) == (0, 0, 0, 0, 0)
    reset(cleo, [one.folder], What.CURSOR, timezone.now())
    assert Mailbox.objects.get().full_pass_at is None
