"""Items set aside: tried again when a person says so, given up with a reason, taken back, exported without content."""

import json
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import call_command
from django.utils import timezone

from mailboxes.claims import claim_one
from mailboxes.models import Folder, Mailbox, Run
from mailboxes.provider.errors import ItemUnreadable, Unavailable
from mailboxes.states import Intent, Trigger
from security.commands import Failed, WrongUse
from tests.tracking.office import Office
from tracking import actions
from tracking.engine import foreground
from tracking.management.commands import quarantine as command
from tracking.models import Activity, ItemDecision, ItemFailure
from tracking.repair import quarantine

pytestmark = pytest.mark.django_db


@pytest.fixture
def office(monkeypatch, tmp_path, settings):
    settings.BLOB_ROOT = tmp_path
    office = Office(now=timezone.now() - timedelta(hours=3))
    monkeypatch.setattr(foreground, "open_provider", lambda mailbox: office.server.provider(mailbox.address))
    return office


def set_aside(office, *, methods=("envelopes", "contents", "attachments")):
    """Return a mailbox with one item that cannot be read, and the item's id."""
    anna = office.mailbox("anna")
    item = office.server.deliver(anna.address, subject="Secret plans")
    office.server.fail_item(item, ItemUnreadable("ErrorItemCorrupt"), methods=methods)
    office.sync(anna)
    return anna, item


def inbox():
    return Folder.objects.get(role="inbox")


def counts():
    return {name: getattr(inbox(), name) for name in ("tracked", "refused", "quarantined", "discarded")}


def discard(why="nobody needs it"):
    quarantine.discard(ItemFailure.objects.get(), why=why, by="fina", now=timezone.now())


def test_discarding_keeps_who_and_why_with_the_decision_and_is_counted_apart(office):
    set_aside(office)
    discard("  nobody\nneeds it ")
    decision = ItemDecision.objects.get()
    assert (decision.outcome, decision.reason) == ("discarded", "discarded")
    assert (decision.facts["by"], decision.facts["why"]) == ("fina", "nobody needs it")
    assert counts() == {"tracked": 0, "refused": 0, "quarantined": 0, "discarded": 1}
    assert list(quarantine.discarded(Mailbox.objects.get())) == [ItemFailure.objects.get()]
    assert not quarantine.without_discarded(ItemFailure.objects.all()).exists()


def test_a_discarded_item_is_left_alone_whatever_happens_to_it_on_the_server(office):
    anna, item = set_aside(office)
    discard()
    office.server.heal()
    office.server.touch(item, categories=("Blue",))
    office.server.expire_cursor(anna.address)
    office.now += timedelta(days=2)
    office.sync(anna)
    assert ItemDecision.objects.get().outcome == "discarded"
    assert not Activity.objects.exists()
    assert counts()["discarded"] == 1


def test_trying_again_takes_a_discard_back(office):
    anna, _item = set_aside(office)
    discard()
    office.server.heal()
    assert len(quarantine.retry(ItemFailure.objects.all(), now=timezone.now())) == 1
    assert counts() == {"tracked": 0, "refused": 0, "quarantined": 1, "discarded": 0}
    decision = ItemDecision.objects.get()
    assert (decision.reason, decision.facts) == ("unreadable", {"code": "item_unreadable"})
    office.now = timezone.now()
    # Without a time of its last full pass, the next run is one.
    assert Mailbox.objects.get().full_pass_at is None
    office.sync(anna)
    assert Activity.objects.count() == 1
    assert counts() == {"tracked": 1, "refused": 0, "quarantined": 0, "discarded": 0}


def test_only_what_is_set_aside_can_be_discarded_and_only_with_a_reason(office):
    anna, _item = set_aside(office)
    with pytest.raises(ValueError, match="reason"):
        discard("  ")
    office.server.heal()
    office.now += timedelta(hours=2)
    office.sync(anna)
    with pytest.raises(quarantine.NotSetAside):
        discard()
    assert ItemDecision.objects.get().outcome == "tracked"


def test_what_healed_or_ended_with_its_folder_is_not_tried_again(office):
    anna, _item = set_aside(office)
    inbox_folder = Folder.objects.filter(mailbox=anna, role="inbox")
    inbox_folder.update(followed=False)
    office.sync(anna)
    assert quarantine.retry(ItemFailure.objects.all(), now=timezone.now()) == []


def test_an_item_that_left_its_folder_can_be_discarded_without_touching_a_count(office):
    set_aside(office)
    ItemDecision.objects.update(folder=None)
    discard()
    assert counts()["discarded"] == 0
    assert counts()["quarantined"] == 1


def test_the_button_makes_the_next_run_try_them_at_once(office, django_capture_on_commit_callbacks, redis):
    set_aside(office)
    with django_capture_on_commit_callbacks(execute=True):
        assert actions.retry_items(Mailbox.objects.get(), ItemFailure.objects.all(), by="fina") == 1
    run = Run.objects.get(finished_at=None)
    assert (run.queue, run.trigger) == ("immediate", Trigger.PERSON)
    retry_at = ItemFailure.objects.get().retry_at
    assert retry_at
    assert retry_at <= timezone.now()
    assert Mailbox.objects.get().full_pass_at is None
    ItemFailure.objects.update(resolved_at=timezone.now())
    assert actions.retry_items(Mailbox.objects.get(), ItemFailure.objects.all(), by="fina") == 0
    Mailbox.objects.update(intent=Intent.OFF)
    with pytest.raises(actions.NotOn):
        actions.retry_items(Mailbox.objects.get(), ItemFailure.objects.all(), by="fina")


# -- the command ----------------------------------------------------------------------------------------------------------


def ask(*arguments):
    out = StringIO()
    call_command("quarantine", *arguments, "--json", stdout=out, stderr=StringIO())
    return json.loads(out.getvalue())


def words(*arguments):
    out = StringIO()
    call_command("quarantine", *arguments, stdout=out, stderr=StringIO())
    return out.getvalue()


def test_the_command_lists_what_is_set_aside_with_the_remedy(office):
    anna, _item = set_aside(office)
    (row,) = ask(anna.address)["quarantined"]
    assert (row["code"], row["attempts"], row["folder"]) == ("item_unreadable", 1, "Inbox")
    assert row["remedy"].startswith("Open it in Outlook")
    shown = words(anna.address)
    assert "1 set aside, 0 discarded" in shown
    assert "What to do: Open it in Outlook" in shown
    assert "Secret" not in shown


def test_the_command_discards_and_takes_back(office):
    anna, _item = set_aside(office)
    pk = str(ItemFailure.objects.get().pk)
    document = ask(anna.address, "--discard", pk, "--reason", "spam")
    assert document["quarantined"] == []
    assert (document["discarded"][0]["by"], document["discarded"][0]["why"]) == ("command line", "spam")
    assert "discarded by command line: spam" in words(anna.address)
    with pytest.raises(Failed, match="not set aside") as error:
        ask(anna.address, "--discard", pk, "--reason", "spam")
    assert error.value.code == "not_set_aside"
    office.server.heal()
    assert ask(anna.address, "--retry", pk) == {"address": anna.address, "quarantined": [], "discarded": []}
    assert Activity.objects.count() == 1


def test_the_command_tries_all_and_those_that_fail_again_stay(office):
    anna, _item = set_aside(office)
    good = office.server.deliver(anna.address)
    office.server.fail_item(good, ItemUnreadable())
    office.sync(anna)
    office.server.heal()
    bad = ItemFailure.objects.exclude(item_id=good).get().item_id
    office.server.fail_item(bad, ItemUnreadable())
    document = ask(anna.address, "--retry", "all")
    assert [row["attempts"] for row in document["quarantined"]] == [2]
    assert ask(anna.address, "--retry", "all")["quarantined"][0]["attempts"] == 3
    office.server.heal()
    ask(anna.address, "--retry", "all")
    assert ask(anna.address, "--retry", "all")["quarantined"] == []


def test_the_command_says_what_stopped_a_retry(office, monkeypatch):
    anna, _item = set_aside(office)
    office.server.fail("envelopes", Unavailable())
    with pytest.raises(Failed) as error:
        ask(anna.address, "--retry", "all")
    assert error.value.code == "unreachable"
    # Who is waited for without end in a test: a worker that has the lease.
    claim_one(anna, Trigger.SCHEDULE, "sync", timezone.now())
    monkeypatch.setattr(
        command, "beside", lambda mailbox, work, clock: foreground.beside(mailbox, work, clock=clock, wait_s=0.1)
    )
    with pytest.raises(Failed, match="next full pass"):
        ask(anna.address, "--retry", "all")


def test_an_export_holds_the_failure_and_nothing_of_the_mail(office):
    anna, item = set_aside(office, methods=("contents",))
    pk = str(ItemFailure.objects.get().pk)
    document = ask(anna.address, "--export", pk)
    assert (document["item_id"], document["error"]["code"], document["content"]) == (item, "item_unreadable", None)
    assert document["decision"]["envelope_read"] is True
    assert "Secret" not in json.dumps(document)
    shown = words(anna.address, "--export", pk)
    assert item in shown
    assert "What to do: Open it" in shown
    ItemDecision.objects.all().delete()
    assert ask(anna.address, "--export", pk)["decision"] is None
    assert "decision  none" in words(anna.address, "--export", pk)


def test_wrong_use_and_what_is_not_there_are_refused(office):
    anna, _item = set_aside(office)
    with pytest.raises(WrongUse, match="needs a --reason"):
        ask(anna.address, "--discard", "1")
    with pytest.raises(WrongUse, match="or all"):
        ask(anna.address, "--retry", "some")
    with pytest.raises(Failed) as error:
        ask(anna.address, "--export", "999999")
    assert error.value.code == "no_item"
    Mailbox.objects.update(intent=Intent.ARCHIVED)
    with pytest.raises(Failed, match="archived"):
        ask(anna.address, "--retry", "all")
