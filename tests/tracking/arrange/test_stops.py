"""Stopping a thread: later replies are refused, from one mailbox or from all, until it is taken back."""

import pytest

from mailboxes.models import Mailbox, Run
from mailboxes.states import Track
from tests.tracking.arrange.test_splits import chain, deliver, split_off
from tests.tracking.office import Office
from tracking.arrange import stops
from tracking.models import Activity, ItemDecision, Thread, ThreadStop, TrackingCategory, TrackingEvent

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _blobs(tmp_path, settings):
    settings.BLOB_ROOT = tmp_path


@pytest.fixture
def office() -> Office:
    return Office()


def stop(office, mailbox=None, thread=None):
    thread = thread or Thread.objects.get()
    return stops.stop(thread, mailbox=mailbox, by="anna", why="done", now=office.now)


def test_a_stopped_thread_takes_no_reply_from_its_owners_mailbox_and_says_so(office):
    anna, ben = office.mailbox("anna"), office.mailbox("ben")
    chain(office, anna, 2)
    made = stop(office, anna)
    deliver(office, anna, 3, answers=(2, 1))
    report = office.sync(anna)
    assert dict(report.refused) == {"thread_stopped": 1}
    decision = ItemDecision.objects.get(reason="thread_stopped")
    # Nothing of the message is kept but which stop it was due to.
    assert (decision.facts, decision.activity) == ({"stop": made.pk}, None)
    assert office.server.calls[anna.address, "contents"] == 1
    # Another mailbox is not concerned by what an owner said of theirs.
    deliver(office, ben, 4, answers=(2, 1))
    assert office.sync(ben).tracked == 1


def test_stopped_for_the_organisation_nobodys_mailbox_takes_a_reply(office):
    anna, ben = office.mailbox("anna"), office.mailbox("ben", Track.REPLIES)
    chain(office, anna, 2)
    stop(office)
    deliver(office, anna, 3, answers=(2, 1))
    deliver(office, ben, 4, answers=(1,), conversation="")
    deliver(office, ben, 5)
    deliver(office, ben, 6, conversation="")
    assert dict(office.sync(anna).refused) == {"thread_stopped": 1}
    assert dict(office.sync(ben).refused) == {"thread_stopped": 2, "not_a_reply": 1}


def test_an_answer_to_a_refused_reply_is_refused_though_it_names_nothing_else(office):
    anna, ben = office.mailbox("anna"), office.mailbox("ben")
    chain(office, anna, 2)
    made = stop(office, anna)
    for number, answered in ((3, 2), (4, 3)):
        deliver(office, anna, number, answers=(answered,), conversation="")
    assert dict(office.sync(anna).refused) == {"thread_stopped": 2}
    # Nothing of it is kept that the next page could find but the keyed hash of its Message-ID.
    deliver(office, anna, 5, answers=(4,), conversation="")
    deliver(office, ben, 6, answers=(4,), conversation="")
    assert dict(office.sync(anna).refused) == {"thread_stopped": 1}
    assert office.sync(ben).tracked == 1, "another mailbox is not concerned"
    stops.resume(made, by="anna", why="", now=office.now)
    deliver(office, anna, 7, answers=(5,), conversation="")
    assert office.sync(anna).tracked == 1


def test_a_message_that_is_tracked_already_is_still_linked_to_a_second_mailbox(office):
    anna, ben = office.mailbox("anna"), office.mailbox("ben")
    item = office.server.deliver(anna.address, sender="kim@customer.example", to=[anna.address, ben.address])
    office.sync(anna)
    stop(office)
    office.server.copy(item, ben.address)
    assert office.sync(ben).updated == 1


def test_what_the_owner_marks_by_hand_is_tracked_all_the_same(office):
    anna = office.mailbox("anna")
    chain(office, anna, 2)
    stop(office)
    TrackingCategory.objects.create(mailbox=anna, mail=True, name="Tracked in CRM")
    deliver(office, anna, 3, answers=(2, 1), categories=("Tracked in CRM",))
    deliver(office, anna, 4, answers=(3, 2, 1))
    report = office.sync(anna)
    assert (report.tracked, dict(report.refused)) == (1, {"thread_stopped": 1})
    assert Activity.objects.get(message_id="<3@c.example>").thread == Thread.objects.get()


def test_taken_back_it_tracks_again_and_what_was_refused_is_read_again_on_demand(office):
    anna = office.mailbox("anna")
    chain(office, anna, 2)
    made = stop(office, anna)
    for n in (3, 4):
        deliver(office, anna, n, answers=(n - 1, 1))
    gone = deliver(office, anna, 5, answers=(2, 1))
    office.sync(anna)
    office.server.remove(gone)
    office.sync(anna)
    assert stops.refused([made]).count() == 2
    stops.resume(made, by="anna", why="", now=office.now)
    deliver(office, anna, 6, answers=(2, 1))
    assert office.sync(anna).tracked == 1
    run = office.begin(anna)
    run.mailbox = Mailbox.objects.select_related("server", "sync_profile", "owner").get(pk=anna.pk)
    provider = office.server.provider(anna.address)
    report = stops.evaluate(run, provider, list(stops.refused([made])), clock=lambda: office.now, beat=lambda: None)
    assert (report.tracked, report.error) == (2, None)
    assert not stops.refused([made]).exists()
    assert Thread.objects.get().messages == 5
    assert [(e.what, e.by) for e in TrackingEvent.objects.order_by("pk")] == [("stopped", "anna"), ("resumed", "anna")]


def test_a_thread_is_stopped_and_taken_up_once(office):
    anna = office.mailbox("anna")
    chain(office, anna, 1)
    made = stop(office, anna)
    with pytest.raises(stops.AlreadySo):
        stop(office, anna)
    stops.resume(made, by="anna", why="", now=office.now)
    with pytest.raises(stops.AlreadySo):
        stops.resume(made, by="anna", why="", now=office.now)
    with pytest.raises(stops.AlreadySo):
        stops.stop(Thread(pk=Thread.objects.get().pk + 99), mailbox=None, by="anna", why="", now=office.now)


def test_a_thread_that_turns_out_to_be_part_of_a_stopped_one_is_stopped_with_it(office):
    anna = office.mailbox("anna")
    deliver(office, anna, 1, conversation="")
    deliver(office, anna, 3, conversation="", answers=(2,))
    office.sync(anna)
    younger = Activity.objects.get(message_id="<3@c.example>").thread
    stop(office, anna, younger)
    TrackingCategory.objects.create(mailbox=anna, mail=True, name="Keep")
    deliver(office, anna, 2, conversation="", answers=(1,), categories=("Keep",))
    office.sync(anna)
    assert ThreadStop.objects.get().thread == Thread.objects.get()
    deliver(office, anna, 4, conversation="", answers=(1,))
    assert dict(office.sync(anna).refused) == {"thread_stopped": 1}


def test_a_reply_to_the_part_that_was_split_off_before_is_not_stopped(office):
    anna = office.mailbox("anna")
    chain(office, anna)
    old = Thread.objects.get()
    split_off(office, 3, 4)
    stop(office, anna, old)
    deliver(office, anna, 5, answers=(4, 3, 2, 1))
    deliver(office, anna, 6, answers=(2, 1))
    report = office.sync(anna)
    assert (report.tracked, dict(report.refused)) == (1, {"thread_stopped": 1})
    assert Run.objects.exists()
