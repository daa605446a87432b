"""People whom no record knows: nothing, a list, or a record at once; never junk (complaint 22), and linked (complaint 20)."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection
from django.utils import timezone

from mailboxes.models import SyncProfile
from mailboxes.states import Unknown
from tests.tracking.arrange.test_splits import deliver
from tests.tracking.office import Office
from tracking.arrange import unknown_senders
from tracking.arrange.unknown_senders import NotPossible, split_name
from tracking.backfill import retro
from tracking.models import (
    AddressMatch,
    Contact,
    IgnoredDomain,
    Lead,
    Participant,
    Thread,
    TrackingEvent,
    UnknownSender,
)

ADDRESS = "kim@customer.example"


@pytest.fixture(autouse=True)
def _blobs(tmp_path, settings):
    settings.BLOB_ROOT = tmp_path


@pytest.fixture
def office(db) -> Office:
    return staging()


def staging(policy=Unknown.STAGE) -> Office:
    office = Office()
    office.profile.unknown_senders = policy
    office.profile.save()
    return office


def send(office, mailbox, sender=ADDRESS, **fields):
    office.server.deliver(mailbox.address, sender=sender, to=[mailbox.address], **fields)


def linked(address=ADDRESS):
    return set(Participant.objects.filter(email=address).values_list("record_kind", "record_id"))


def test_complaint_22_by_default_an_unknown_sender_becomes_nothing(db):
    assert SyncProfile().unknown_senders == Unknown.NOTHING
    office = Office()
    anna = office.mailbox("anna")
    send(office, anna)
    assert office.sync(anna).tracked == 1
    assert not UnknownSender.objects.exists()
    assert not Contact.objects.exists()


def test_a_sender_is_listed_once_with_what_was_tracked_of_them(office):
    anna, ben = office.mailbox("anna"), office.mailbox("ben", "none")
    for _ in range(2):
        send(office, anna)
    office.sync(anna)
    send(office, anna, sender="Kim@Customer.example")
    send(office, anna, sender="lee@customer.example")
    send(office, anna, auto_submitted="auto-replied")
    send(office, ben)
    office.sync(anna)
    office.sync(ben)
    rows = {row.address: row for row in UnknownSender.objects.all()}
    assert set(rows) == {ADDRESS, "lee@customer.example"}
    assert (rows[ADDRESS].messages, rows[ADDRESS].mailbox, rows[ADDRESS].state) == (3, anna, "open")
    assert rows[ADDRESS].first_at < rows[ADDRESS].last_at
    assert not Contact.objects.exists()


def test_accepted_as_a_contact_or_lead_they_are_their_mailbox_owners_and_their_mail_is_linked(office):
    anna = office.mailbox("anna")
    for sender in (ADDRESS, ADDRESS, "lee@customer.example"):
        send(office, anna, sender=sender)
    office.sync(anna)
    ref, count = unknown_senders.accept(
        UnknownSender.objects.get(address=ADDRESS), "contact", by="anna", now=office.now
    )
    contact = Contact.objects.get()
    assert (ref.id, contact.owner, contact.email1, contact.last_name, count) == (
        contact.pk,
        anna.owner,
        ADDRESS,
        "Kim",
        2,
    )
    assert linked() == {("contact", contact.pk)}
    # Others who may see the contact have their mail matched in the background.
    assert AddressMatch.objects.get(record_kind="contact").wanted_at is not None
    unknown_senders.accept(UnknownSender.objects.get(address="lee@customer.example"), "lead", by="anna", now=office.now)
    assert (Lead.objects.get().name, Lead.objects.get().owner) == ("Lee", anna.owner)
    with pytest.raises(NotPossible, match="settled"):
        unknown_senders.accept(UnknownSender.objects.get(address=ADDRESS), "contact", by="anna", now=office.now)
    send(office, anna)
    office.sync(anna)
    assert linked() == {("contact", contact.pk)}
    assert UnknownSender.objects.get(address=ADDRESS).messages == 2
    assert set(TrackingEvent.objects.values_list("what", flat=True)) == {"accepted"}


def test_accepting_takes_the_record_that_has_the_address_by_now_and_does_not_choose_among_several(office):
    anna = office.mailbox("anna")
    send(office, anna)
    send(office, anna, sender="lee@customer.example")
    office.sync(anna)
    there = Lead.objects.create(name="Kim", email3=ADDRESS, owner=anna.owner)
    ref, _count = unknown_senders.accept(
        UnknownSender.objects.get(address=ADDRESS), "contact", by="anna", now=office.now
    )
    assert (ref.kind, ref.id) == ("lead", there.pk)
    for number in (1, 2):
        Lead.objects.create(name=f"Lee {number}", email1="lee@customer.example", owner=anna.owner)
    with pytest.raises(NotPossible, match="known"):
        unknown_senders.accept(UnknownSender.objects.get(state="open"), "contact", by="anna", now=office.now)
    assert not Contact.objects.exists()


def test_linked_to_a_record_the_address_takes_a_free_column(office):
    anna = office.mailbox("anna")
    for sender in (ADDRESS, "lee@customer.example"):
        send(office, anna, sender=sender)
    office.sync(anna)
    contact = Contact.objects.create(last_name="Kim", email1="kim@home.example", email3="k@x.example", owner=anna.owner)
    row, other = UnknownSender.objects.get(address=ADDRESS), UnknownSender.objects.get(address="lee@customer.example")
    assert unknown_senders.link(row, "contact", contact, by="anna", now=office.now) == 1
    contact.refresh_from_db()
    assert (contact.email1, contact.email2, contact.email3) == ("kim@home.example", ADDRESS, "k@x.example")
    with pytest.raises(NotPossible, match="full"):
        unknown_senders.link(other, "contact", contact, by="anna", now=office.now)
    other.refresh_from_db()
    assert other.state == "open"


def test_a_record_that_has_the_address_already_is_linked_without_a_second_one(office):
    anna = office.mailbox("anna")
    send(office, anna)
    office.sync(anna)
    contact = Contact.objects.create(last_name="Kim", email2="KIM@customer.example", owner=anna.owner)
    unknown_senders.link(UnknownSender.objects.get(), "contact", contact, by="anna", now=office.now)
    contact.refresh_from_db()
    assert (contact.email1, contact.email3) == ("", "")
    assert linked() == {("contact", contact.pk)}


def test_ignored_senders_and_domains_are_not_asked_about_again_until_listed_again(office):
    anna = office.mailbox("anna")
    for sender in (ADDRESS, "lee@customer.example", "pat@deep.shop.example", "sam@shop.example", "eve@other.example"):
        send(office, anna, sender=sender)
    office.sync(anna)
    unknown_senders.ignore([UnknownSender.objects.get(address=ADDRESS)], domain=False, by="anna", now=office.now)
    shop = UnknownSender.objects.get(address="sam@shop.example")
    assert unknown_senders.ignore([shop], domain=True, by="anna", now=office.now) == 2
    assert IgnoredDomain.objects.get().domain == "shop.example"
    for sender in (ADDRESS, "new@shop.example", "new@customer.example"):
        send(office, anna, sender=sender)
    office.sync(anna)
    states = dict(UnknownSender.objects.values_list("address", "state"))
    assert states == {
        ADDRESS: "ignored", "lee@customer.example": "open", "pat@deep.shop.example": "ignored",
        "sam@shop.example": "ignored", "eve@other.example": "open", "new@customer.example": "open",
    }  # fmt: skip
    row = UnknownSender.objects.get(address=ADDRESS)
    unknown_senders.list_again(row, by="anna", now=office.now)
    with pytest.raises(NotPossible):
        unknown_senders.list_again(row, by="anna", now=office.now)
    unknown_senders.listen_again(IgnoredDomain.objects.get())
    send(office, anna, sender="newer@shop.example")
    office.sync(anna)
    assert set(UnknownSender.objects.filter(state="open").values_list("address", flat=True)) >= {
        ADDRESS,
        "newer@shop.example",
    }


def test_an_accepted_sender_whose_record_is_gone_is_asked_about_again(office):
    anna = office.mailbox("anna")
    send(office, anna)
    office.sync(anna)
    unknown_senders.accept(UnknownSender.objects.get(), "contact", by="anna", now=office.now)
    Contact.objects.update(deleted_at=office.now)
    send(office, anna)
    office.sync(anna)
    assert UnknownSender.objects.get().state == "open"


@pytest.mark.parametrize(("policy", "model"), [(Unknown.CONTACT, Contact), (Unknown.LEAD, Lead)])
def test_at_once_there_is_one_record_for_all_that_a_sender_wrote(db, policy, model):
    office = Office()
    anna = office.mailbox("anna")
    send(office, anna)
    office.sync(anna)
    office.profile.unknown_senders = policy
    office.profile.save()
    for sender in (ADDRESS, "Kim@Customer.example", "noreply@shop.example"):
        send(office, anna, sender=sender)
    office.sync(anna)
    send(office, anna)
    office.sync(anna)
    record = model.objects.get()
    assert (record.owner, record.email1) == (anna.owner, ADDRESS)
    assert {pk for _kind, pk in linked()} == {record.pk}
    event = TrackingEvent.objects.get()
    assert (event.what, event.by, event.facts["address"]) == ("created", "", ADDRESS)
    assert Thread.objects.filter(pk=event.thread_id or 0).exists()


def test_an_ignored_sender_becomes_no_record_at_once(office):
    anna = office.mailbox("anna")
    send(office, anna)
    office.sync(anna)
    unknown_senders.ignore(UnknownSender.objects.all(), domain=False, by="anna", now=office.now)
    office.profile.unknown_senders = Unknown.CONTACT
    office.profile.save()
    send(office, anna)
    office.sync(anna)
    assert not Contact.objects.exists()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("one_owner", [True, False])
def test_two_mailboxes_that_meet_a_sender_at_once_make_one_record(tmp_path, settings, one_owner):
    settings.BLOB_ROOT = tmp_path
    office = staging(Unknown.CONTACT)
    boxes = [office.mailbox("anna"), office.mailbox("sales")]
    # Two owners see each other's records.
    if one_owner:
        type(boxes[1]).objects.filter(pk=boxes[1].pk).update(owner=boxes[0].owner)
    for n, box in enumerate(boxes):
        for m in range(3):
            deliver(office, box, 10 * n + m, conversation="")

    def run(box):
        try:
            return office.sync(box).tracked
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(run, boxes)) == [3, 3]
    retro.match_some(timezone.now)
    assert Contact.objects.count() == 1
    assert linked() == {("contact", Contact.objects.get().pk)}


@pytest.mark.parametrize(
    ("name", "address", "parts"),
    [
        ("Pau Riera", "p@x.example", ("Pau", "Riera")),
        ("Riera, Pau", "p@x.example", ("Pau", "Riera")),
        ("Anna Maria Puig", "p@x.example", ("Anna Maria", "Puig")),
        ("Kim", "kim@x.example", ("", "Kim")),
        ("", "pau.riera@x.example", ("Pau", "Riera")),
        ("pau@x.example", "pau@x.example", ("", "Pau")),
        ("'Kim'", "kim@x.example", ("", "Kim")),
        ("x" * 300, "k@x.example", ("", "x" * 100)),
        ("A\x00B", "k@x.example", ("", "AB")),
        ("Riera, ", "k@x.example", ("", "Riera,")),
    ],
)
def test_a_name_is_parted_as_people_write_it(name, address, parts):
    assert split_name(name, address) == parts
