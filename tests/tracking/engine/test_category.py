"""Tracking mail by category, seen from the mailbox: what its owner marks, renames, deletes; and what is written back (S27)."""

import pytest

from mailboxes.models import Folder
from mailboxes.provider.entries import EntryKind, Field
from mailboxes.provider.errors import AuthRejected, ItemUnreadable, Unavailable, WriteRefused
from mailboxes.states import Track
from tests.tracking.office import Office
from tracking.engine import category
from tracking.linked import channel
from tracking.models import Activity, ItemDecision, ItemFailure, ItemLink, Task, TrackingCategory
from tracking.models.category import TRACKED_NAME, UNTRACKABLE_NAME
from tracking.repair.reinitialise import What, reset

pytestmark = pytest.mark.django_db


@pytest.fixture
def office():
    return Office()


@pytest.fixture
def anna(office):
    mailbox = office.mailbox("anna", track=Track.NONE)
    office.sync(mailbox)
    category.switch(mailbox, mail=True, name=TRACKED_NAME, now=office.now)
    office.sync(mailbox)
    return mailbox


def reason(item_id):
    return ItemDecision.objects.get(item_id=item_id).reason


def listed(office, mailbox):
    return office.server.mailbox(mailbox.address).categories


# -- asking


def test_s27_a_category_on_a_refused_message_tracks_it(office, anna):
    item = office.server.deliver(anna.address)
    office.sync(anna, full=False)
    assert reason(item) == "tracking_off"
    office.server.touch(item, categories=("Red", TRACKED_NAME.upper()))
    assert office.sync(anna, full=False).tracked == 1
    assert reason(item) == "marked"
    assert office.server.mail(item).categories == ("Red", TRACKED_NAME.upper()), "received mail is not written to"


def test_a_message_that_arrives_with_the_category_is_tracked(office, anna):
    item = office.server.deliver(anna.address, categories=(TRACKED_NAME,), auto_submitted="auto-generated")
    office.sync(anna, full=False)
    assert reason(item) == "marked"


def test_it_is_off_until_its_owner_switches_it_on_and_what_was_marked_before_is_left_unless_asked(office):
    ben = office.mailbox("ben", track=Track.NONE)
    item = office.server.deliver(ben.address, categories=(TRACKED_NAME,))
    office.sync(ben)
    assert reason(item) == "tracking_off"
    category.switch(ben, mail=True, name=TRACKED_NAME, now=office.now)
    office.sync(ben)
    assert reason(item) == "tracking_off"
    reset(ben, list(Folder.objects.filter(mailbox=ben, followed=True)), What.MAILBOX, office.now)
    office.sync(ben)
    assert reason(item) == "marked"


def test_taking_it_off_leaves_the_copy(office, anna):
    item = office.server.deliver(anna.address, categories=(TRACKED_NAME,))
    office.sync(anna, full=False)
    office.server.touch(item, categories=())
    office.sync(anna, full=False)
    assert Activity.objects.count() == 1
    assert reason(item) == "marked"


def test_switched_off_it_asks_for_nothing_and_nothing_is_written(office, anna):
    category.switch(anna, mail=False, name=TRACKED_NAME, now=office.now)
    item = office.server.deliver(anna.address, categories=(TRACKED_NAME,), sensitivity="Private")
    office.sync(anna)
    assert office.server.mail(item).categories == (TRACKED_NAME,)
    assert Activity.objects.count() == 0


# -- bound by id


def test_both_categories_stand_in_the_mailboxs_own_list(office, anna):
    assert set(listed(office, anna).values()) == {TRACKED_NAME, UNTRACKABLE_NAME}
    row = TrackingCategory.objects.get()
    assert (row.listed, listed(office, anna)[row.category_id]) == (True, TRACKED_NAME)


def test_renamed_by_its_owner_it_is_the_same_category_at_once(office, anna):
    row = TrackingCategory.objects.get()
    listed(office, anna)[row.category_id] = "Customers"
    item = office.server.deliver(anna.address, categories=("Customers",))
    report = office.sync(anna, full=False)
    assert (report.tracked, reason(item)) == (1, "marked")
    row.refresh_from_db()
    assert (row.name, row.former) == ("Customers", [TRACKED_NAME])


def test_another_choice_of_its_owner_while_the_list_is_read_stands(office, anna):
    row = TrackingCategory.objects.get()
    listed(office, anna)[row.category_id] = "Renamed"
    office.server.before(
        "ensure_categories", lambda: category.switch(anna, mail=True, name="Customers", now=office.now)
    )
    office.sync(anna)
    row.refresh_from_db()
    assert (row.name, row.category_id) == ("Customers", "")
    office.sync(anna)
    row.refresh_from_db()
    assert listed(office, anna)[row.category_id] == "Customers"


def test_deleted_by_its_owner_it_is_made_again_under_its_id(office, anna):
    row = TrackingCategory.objects.get()
    del listed(office, anna)[row.category_id]
    office.sync(anna)
    assert listed(office, anna)[row.category_id] == TRACKED_NAME


def test_a_server_without_a_list_goes_by_the_name(office):
    ben = office.mailbox("ben", track=Track.NONE)
    office.server.mailbox(ben.address).categories = None
    category.switch(ben, mail=True, name="Customers", now=office.now)
    office.sync(ben)
    assert TrackingCategory.objects.get().listed is False
    item = office.server.deliver(ben.address, categories=("customers",))
    other = office.server.deliver(ben.address, categories=("Red",))
    before = office.server.calls[ben.address, "categories"]
    office.sync(ben, full=False)
    assert (reason(item), reason(other)) == ("marked", "tracking_off")
    assert office.server.calls[ben.address, "categories"] == before, "it is not asked for what it does not have"


def test_another_name_is_another_category_and_is_bound_to_the_one_that_is_there(office, anna):
    listed(office, anna)["theirs"] = "Customers"
    category.switch(anna, mail=True, name=" Customers ", now=office.now)
    office.sync(anna)
    row = TrackingCategory.objects.get()
    assert (row.category_id, row.former) == ("theirs", [TRACKED_NAME])
    old = office.server.deliver(anna.address, categories=(TRACKED_NAME,))
    new = office.server.deliver(anna.address, categories=("Customers",))
    office.sync(anna, full=False)
    assert (reason(old), reason(new)) == ("tracking_off", "marked")


def test_other_categories_cost_one_request_a_run_at_most(office, anna):
    for _each in range(3):
        office.server.deliver(anna.address, categories=("Red",))
    before = office.server.calls[anna.address, "categories"]
    office.sync(anna, full=False)
    assert office.server.calls[anna.address, "categories"] == before + 1


def test_an_idle_run_still_costs_one_request(office, anna):
    office.server.deliver(anna.address, categories=(TRACKED_NAME,))
    office.sync(anna, full=False)
    assert office.sync(anna, full=False).requests == 1


# -- what could not be tracked


def test_private_mail_that_was_marked_says_that_it_cannot_be_tracked_and_that_is_all_that_is_written(office, anna):
    item = office.server.deliver(anna.address, categories=("Red", TRACKED_NAME), sensitivity="Private")
    before = office.server.mail(item)
    office.sync(anna, full=False)
    after = office.server.mail(item)
    assert after.categories == ("Red", TRACKED_NAME, UNTRACKABLE_NAME)
    assert (after.subject, after.stamp, after.text) == (before.subject, before.stamp, before.text)


def test_our_own_write_comes_back_as_a_change_and_leads_to_nothing(office, anna):
    item = office.server.deliver(anna.address, categories=(TRACKED_NAME,), sensitivity="Private")
    office.sync(anna, full=False)
    calls = office.server.calls
    read, written = calls[anna.address, "envelopes"], calls[anna.address, "categorize"]
    assert written == 1
    for _run in range(3):
        office.sync(anna, full=False)
    assert (calls[anna.address, "envelopes"], calls[anna.address, "categorize"]) == (read, 1)
    assert office.sync(anna, full=False).requests == 1
    office.server.announce(item)
    office.sync(anna, full=False)
    assert calls[anna.address, "categorize"] == 1


def test_what_is_set_aside_says_so_and_stops_saying_so_when_it_heals(office, anna):
    item = office.server.deliver(anna.address, categories=(TRACKED_NAME,))
    office.server.fail_item(item, ItemUnreadable("broken"), methods=("contents",))
    office.sync(anna, full=False)
    assert office.server.mail(item).categories == (TRACKED_NAME, UNTRACKABLE_NAME)
    office.server.heal()
    ItemFailure.objects.update(retry_at=office.now)
    assert office.sync(anna).tracked == 1
    assert office.server.mail(item).categories == (TRACKED_NAME,)
    assert office.sync(anna, full=False).requests <= 2
    assert office.sync(anna, full=False).requests == 1


def test_once_it_is_not_private_any_more_the_category_goes(office, anna):
    item = office.server.deliver(anna.address, categories=(TRACKED_NAME,), sensitivity="Private")
    office.sync(anna, full=False)
    office.server.touch(item, sensitivity="Normal")
    assert office.sync(anna, full=False).tracked == 1
    assert office.server.mail(item).categories == (TRACKED_NAME,)


def test_mail_that_its_owner_did_not_mark_is_never_written_to(office, anna):
    item = office.server.deliver(anna.address, categories=("Red",), sensitivity="Private")
    office.sync(anna, full=False)
    assert office.server.mail(item).categories == ("Red",)
    assert office.server.calls[anna.address, "categorize"] == 0


@pytest.mark.parametrize("error", [WriteRefused("read only"), ItemUnreadable("gone", code="item_gone")])
def test_a_message_that_cannot_be_written_to_costs_nothing_but_its_word(office, anna, error):
    item = office.server.deliver(anna.address, categories=(TRACKED_NAME,), sensitivity="Private")
    office.server.fail("categorize", error)
    report = office.sync(anna, full=False)
    assert report.error is None
    assert reason(item) == "private"


def test_a_message_that_changes_at_that_moment_is_looked_at_again(office, anna):
    item = office.server.deliver(anna.address, categories=(TRACKED_NAME,), sensitivity="Private")
    office.server.before("categorize", lambda: office.server.touch(item, categories=(TRACKED_NAME, "Red")))
    office.sync(anna, full=False)
    assert UNTRACKABLE_NAME not in office.server.mail(item).categories
    office.sync(anna, full=False)
    assert office.server.mail(item).categories == (TRACKED_NAME, "Red", UNTRACKABLE_NAME)


@pytest.mark.parametrize("lost", [False, True])
def test_dying_at_that_moment_does_the_page_again_and_nothing_twice(office, anna, lost):
    item = office.server.deliver(anna.address, categories=(TRACKED_NAME,), sensitivity="Private")
    script = office.server.lose if lost else office.server.fail
    script("categorize", Unavailable("cut off"))
    assert office.sync(anna, full=False).error is not None
    assert not ItemDecision.objects.filter(item_id=item).exists()
    office.sync(anna, full=False)
    assert office.server.mail(item).categories == (TRACKED_NAME, UNTRACKABLE_NAME)


def test_a_list_that_cannot_be_read_because_the_server_is_in_trouble_ends_the_run_as_any_trouble_does(office, anna):
    office.server.fail("ensure_categories", AuthRejected("locked"))
    assert isinstance(office.sync(anna).error, AuthRejected)


def test_a_server_that_falls_over_the_list_keeps_no_mail_from_being_read(office, anna):
    office.server.fail("ensure_categories", Unavailable("fell over", code="server_error"), times=3)
    item = office.server.deliver(anna.address, categories=(TRACKED_NAME,))
    assert office.sync(anna).error is None
    assert reason(item) == "marked"


# -- one word for mail and entries


def test_the_same_category_asks_for_entries_under_whatever_name(office, anna):
    category.switch(anna, mail=True, name="Customers", now=office.now)
    channel.switch(anna, on=True, by="anna", now=office.now)
    values = {Field.SUBJECT: "Mine"}
    office.server.put_entry(anna.address, "tasks", EntryKind.TASK, values, telling=False, categories=(TRACKED_NAME,))
    office.server.put_entry(anna.address, "tasks", EntryKind.TASK, values, telling=False, categories=("Customers",))
    office.sync(anna)
    assert Task.objects.count() == 1


@pytest.mark.parametrize("how", ["in Outlook", "here"])
def test_entries_stay_in_step_when_the_category_is_renamed(office, anna, how):
    channel.switch(anna, on=True, by="anna", now=office.now)
    item = office.server.put_entry(
        anna.address, "tasks", EntryKind.TASK, {Field.SUBJECT: "Mine"}, telling=False, categories=(TRACKED_NAME,)
    )
    office.sync(anna)
    assert ItemLink.objects.get().unlinked_at is None
    if how == "here":
        category.switch(anna, mail=True, name="Customers", now=office.now)
        office.sync(anna)
        office.server.change_entry(item, {Field.SUBJECT: "Yours"})
    else:
        listed(office, anna)[TrackingCategory.objects.get().category_id] = "Customers"
        office.server.change_entry(item, {Field.SUBJECT: "Yours"}, categories=("Customers",))
    office.sync(anna, full=False)
    assert ItemLink.objects.get().unlinked_at is None
    assert Task.objects.get().subject == "Yours"
    office.server.change_entry(item, {}, categories=())
    office.sync(anna, full=False)
    assert ItemLink.objects.get().reason == "untracked"
