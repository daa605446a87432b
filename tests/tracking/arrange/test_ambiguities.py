"""Addresses that several records have: never guessed, settled by a person, remembered (complaint 18)."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.contrib.auth.models import Permission
from django.db import connection

from security.models import User
from tests.tracking.arrange.test_splits import deliver
from tests.tracking.office import Office
from tracking.arrange import ambiguities
from tracking.models import AddressChoice, Case, Contact, Lead, Participant, TrackingEvent
from tracking.sync.facts import RecordRef

ADDRESS = "kim@customer.example"


@pytest.fixture(autouse=True)
def _blobs(tmp_path, settings):
    settings.BLOB_ROOT = tmp_path


@pytest.fixture
def office(db) -> Office:
    return Office()


@pytest.fixture
def anna(office):
    return office.mailbox("anna")


@pytest.fixture
def two(anna):
    """Two records with the same address, both Anna's."""
    contact = Contact.objects.create(last_name="Kim", email1=ADDRESS, owner=anna.owner)
    lead = Lead.objects.create(name="Kim of Customer", email2="KIM@customer.example", owner=anna.owner)
    return RecordRef("contact", contact.pk), RecordRef("lead", lead.pk)


def sender(n):
    return Participant.objects.get(activity__message_id=f"<{n}@c.example>", role="from")


def resolve(office, mailbox, record, scope, n=1, person=None):
    message = sender(n).activity
    return ambiguities.resolve(
        person or mailbox.owner, mailbox.owner, ADDRESS, record, scope=scope, message=message.pk,
        thread=message.thread_id, now=office.now,
    )  # fmt: skip


def test_complaint_18_an_address_of_two_records_is_linked_to_neither_until_somebody_says(office, anna, two):
    deliver(office, anna, 1)
    office.sync(anna)
    assert (sender(1).ambiguous, sender(1).record_kind) == (True, "")
    assert list(ambiguities.open_for(anna.owner).values_list("address", flat=True)) == [ADDRESS]
    assert ambiguities.candidates(anna.owner, {ADDRESS})[ADDRESS] == two


def test_a_choice_for_one_message_or_its_thread_goes_no_further(office, anna, two):
    for n, conversation in ((1, "c1"), (2, "c1"), (3, "c3")):
        deliver(office, anna, n, conversation=conversation)
    office.sync(anna)
    assert resolve(office, anna, two[0], "message") == 1
    assert (sender(1).record_kind, sender(1).ambiguous, sender(1).chosen) == ("contact", False, "message")
    assert resolve(office, anna, two[1], "thread", n=2) == 1
    assert sender(2).record_kind == "lead"
    assert sender(3).ambiguous
    deliver(office, anna, 4)
    office.sync(anna)
    assert sender(4).ambiguous
    assert not AddressChoice.objects.exists()


def test_complaint_18_a_remembered_choice_is_obeyed_from_then_on(office, anna, two):
    for n in (1, 2):
        deliver(office, anna, n)
    office.sync(anna)
    assert resolve(office, anna, two[1], "address") == 2
    deliver(office, anna, 3)
    office.sync(anna)
    assert (sender(3).record_kind, sender(3).record_id, sender(3).chosen) == ("lead", two[1].id, "address")
    event = TrackingEvent.objects.get()
    assert (event.what, event.by, event.facts["kind"], event.facts["scope"]) == ("resolved", "anna", "lead", "address")


def test_none_of_them_is_an_answer_as_well_and_counts_as_no_record(office, anna, two):
    deliver(office, anna, 1)
    office.sync(anna)
    resolve(office, anna, None, "address")
    anna.track = "records"
    anna.save()
    deliver(office, anna, 2, conversation="c2")
    assert dict(office.sync(anna).refused) == {"no_record": 1}
    assert (sender(1).record_kind, sender(1).ambiguous) == ("", False)


def test_a_choice_counts_only_while_its_record_has_the_address(office, anna, two):
    deliver(office, anna, 1)
    office.sync(anna)
    resolve(office, anna, two[1], "address")
    Lead.objects.update(email2="")
    deliver(office, anna, 2)
    office.sync(anna)
    assert (sender(2).record_kind, sender(2).chosen) == ("contact", "")
    Contact.objects.create(last_name="Another Kim", email3=ADDRESS, owner=anna.owner)
    deliver(office, anna, 3)
    office.sync(anna)
    assert sender(3).ambiguous


def test_taken_back_what_was_remembered_is_ambiguous_again_and_single_choices_stay(office, anna, two):
    for n in (1, 2):
        deliver(office, anna, n)
    office.sync(anna)
    resolve(office, anna, two[0], "message")
    resolve(office, anna, two[1], "address", n=2)
    choice = AddressChoice.objects.get()
    assert ambiguities.undo(anna.owner, choice, now=office.now) == 1
    assert (sender(1).record_kind, sender(2).ambiguous, sender(2).chosen) == ("contact", True, "")
    with pytest.raises(ambiguities.AlreadyResolved):
        ambiguities.undo(anna.owner, choice, now=office.now)
    deliver(office, anna, 3)
    office.sync(anna)
    assert sender(3).ambiguous


def test_taken_back_with_one_candidate_left_that_one_is_linked(office, anna, two):
    deliver(office, anna, 1)
    office.sync(anna)
    resolve(office, anna, None, "address")
    Lead.objects.all().delete()
    ambiguities.undo(anna.owner, AddressChoice.objects.get(), now=office.now)
    assert (sender(1).record_kind, sender(1).ambiguous) == ("contact", False)


def test_complaint_18_an_address_of_the_organisation_matches_no_contact_lead_or_account(office, anna):
    ben = office.mailbox("ben")
    office.profile.internal_domains = "own.example"
    office.profile.exclude_internal = False
    office.profile.save()
    for n, address in enumerate((ben.address, "desk@own.example", anna.address)):
        Contact.objects.create(last_name=f"Colleague {n}", email1=address, owner=anna.owner)
    case = Case.objects.create(title="A queue", email1="queue@own.example", owner=anna.owner)
    office.server.deliver(
        anna.address,
        sender=ben.address,
        to=[anna.address, "desk@own.example", "queue@own.example"],
        message_id="<1@c.example>",
    )
    office.sync(anna)
    linked = {p.email: (p.record_kind, p.record_id) for p in Participant.objects.all()}
    assert linked == {
        ben.address: ("", None), anna.address: ("", None), "desk@own.example": ("", None),
        "queue@own.example": ("case", case.pk),
    }  # fmt: skip


def test_only_the_owner_of_the_mail_and_who_arranges_others_may_settle_it(office, anna, two):
    deliver(office, anna, 1)
    office.sync(anna)
    ben = User.objects.create(username="ben")
    assert not ambiguities.open_for(ben).exists()
    with pytest.raises(ambiguities.AlreadyResolved):
        resolve(office, anna, two[0], "message", person=ben)
    ben.user_permissions.set(Permission.objects.filter(codename__in=["read_all_threads", "manage_threads"]))
    ben = User.objects.get(pk=ben.pk)
    assert resolve(office, anna, two[0], "address", person=ben) == 1
    assert AddressChoice.objects.get().owner == anna.owner


def test_a_record_without_the_address_is_no_candidate(office, anna, two):
    deliver(office, anna, 1)
    office.sync(anna)
    other = Contact.objects.create(last_name="Other", email1="other@customer.example", owner=anna.owner)
    with pytest.raises(ambiguities.NoCandidate):
        resolve(office, anna, RecordRef("contact", other.pk), "address")
    assert sender(1).ambiguous
    assert ambiguities.candidates(User.objects.create(username="nobody"), {ADDRESS}) == {}


@pytest.mark.django_db(transaction=True)
def test_of_two_people_who_settle_at_once_one_is_told(tmp_path, settings):
    settings.BLOB_ROOT = tmp_path
    office = Office()
    anna = office.mailbox("anna")
    contact = RecordRef("contact", Contact.objects.create(last_name="Kim", email1=ADDRESS, owner=anna.owner).pk)
    lead = RecordRef("lead", Lead.objects.create(name="Kim", email1=ADDRESS, owner=anna.owner).pk)
    deliver(office, anna, 1)
    office.sync(anna)
    together = threading.Barrier(2)

    def settle(record):
        try:
            together.wait()
            return resolve(office, anna, record, "address")
        except ambiguities.AlreadyResolved:
            return "told"
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(settle, (contact, lead)))
    assert sorted(map(str, answers)) == ["1", "told"]
    choice = AddressChoice.objects.get()
    assert (choice.record_kind, choice.record_id) == (sender(1).record_kind, sender(1).record_id)
    assert TrackingEvent.objects.count() == 1
