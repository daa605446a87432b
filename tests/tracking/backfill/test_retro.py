"""A record that gets an address: tracked mail is linked to it by its owner's rights, refused mail can be looked at again."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import transaction
from hypothesis import given, settings
from hypothesis import strategies as st

from mailboxes.models import Mailbox, SyncProfile
from mailboxes.provider.entries import Field
from mailboxes.states import Track
from security.models import User
from tests.tracking.office import Office
from tracking.backfill import engine, requests, retro
from tracking.linked.records import take
from tracking.models import Activity, AddressChoice, AddressMatch, Backfill, Contact, Lead, Participant
from tracking.workers import nights

pytestmark = pytest.mark.django_db

ANNA = "anna@customer.example"
State = Backfill.State


@pytest.fixture
def office() -> Office:
    return Office(now=datetime(2026, 6, 1, 9, 0, tzinfo=UTC))


@pytest.fixture
def marta(office: Office) -> Mailbox:
    return office.mailbox("marta")


def deliver(office: Office, mailbox: Mailbox, number: int, **fields: Any) -> str:
    given: dict[str, Any] = {
        "sender": ANNA, "to": [mailbox.address], "message_id": f"<{number}@x>", "subject": f"Mail {number}",
        "received_at": office.now,
    }  # fmt: skip
    return office.server.deliver(mailbox.address, "inbox", **given | fields)


def got(record: Contact | Lead, now: datetime) -> tuple[int, int]:
    """Say that a record was written, and match it; return messages linked, and made ambiguous."""
    kind = type(record).__name__.lower()
    retro.addresses_changed(kind, record.pk)
    return retro.match(AddressMatch.objects.get(record_kind=kind, record_id=record.pk), now)


def linked(record: Contact | Lead) -> int:
    return Participant.objects.filter(record_kind=type(record).__name__.lower(), record_id=record.pk).count()


def test_tracked_messages_are_linked_when_a_record_gets_their_address(office: Office, marta: Mailbox) -> None:
    for number in range(3):
        deliver(office, marta, number, sender=ANNA.upper())
    deliver(office, marta, 3, sender="ben@customer.example", cc=[ANNA])
    office.sync(marta)
    record = Contact.objects.create(last_name="A", email2=ANNA)
    assert got(record, office.now) == (4, 0)
    assert got(record, office.now) == (0, 0), "nothing is done twice"
    assert linked(record) == 4
    row = AddressMatch.objects.get()
    assert (row.linked, row.wanted_at) == (4, None)


def test_the_rights_of_each_messages_owner_decide(office: Office, marta: Mailbox) -> None:
    User.objects.filter(pk=marta.owner_id).update(is_superuser=False)
    luis = office.mailbox("luis")
    for number, mailbox in enumerate((marta, luis)):
        deliver(office, mailbox, number)
        office.sync(mailbox)
    hers = Contact.objects.create(last_name="A", email1=ANNA, owner=User.objects.create(username="somebody"))
    assert got(hers, office.now) == (1, 0)
    assert Participant.objects.get(record_id=hers.pk).activity.owner_id == luis.owner_id


def test_several_candidates_are_an_ambiguity_and_what_is_linked_stays(office: Office, marta: Mailbox) -> None:
    first = Contact.objects.create(last_name="A", email1=ANNA)
    deliver(office, marta, 1)
    office.sync(marta)
    second = Lead.objects.create(name="A too", email1=ANNA)
    assert got(second, office.now) == (0, 0)
    assert (linked(first), linked(second)) == (1, 0), "mail belongs to whom it belonged to when it was sent"
    deliver(office, marta, 2, sender="ben@customer.example")
    office.sync(marta)
    Contact.objects.filter(pk=first.pk).update(email2="ben@customer.example")
    Lead.objects.filter(pk=second.pk).update(email2="ben@customer.example")
    assert got(second, office.now) == (0, 1)
    assert Participant.objects.get(email="ben@customer.example").ambiguous
    assert got(second, office.now) == (0, 0)


def test_what_the_owner_chose_for_an_address_is_obeyed(office: Office, marta: Mailbox) -> None:
    deliver(office, marta, 1)
    office.sync(marta)
    one, other = (Contact.objects.create(last_name=name, email1=ANNA) for name in "AB")
    AddressChoice.objects.create(
        owner=marta.owner, address=ANNA, record_kind="contact", record_id=other.pk, by="marta", at=office.now
    )
    assert got(one, office.now) == (1, 0)
    assert (linked(one), linked(other)) == (0, 1)


def test_none_of_them_is_a_choice_that_is_obeyed_too(office: Office, marta: Mailbox) -> None:
    deliver(office, marta, 1)
    office.sync(marta)
    AddressChoice.objects.create(owner=marta.owner, address=ANNA, by="marta", at=office.now)
    assert got(Contact.objects.create(last_name="A", email1=ANNA), office.now) == (0, 0)


def test_a_colleague_is_no_customer(office: Office, marta: Mailbox) -> None:
    deliver(office, marta, 1)
    office.sync(marta)
    assert got(Contact.objects.create(last_name="M", email1=marta.address), office.now) == (0, 0)


@pytest.mark.parametrize(("plus", "messages"), [(True, 2), (False, 1)])
def test_subaddresses_are_matched_where_the_profile_says_so(
    office: Office, marta: Mailbox, plus: bool, messages: int
) -> None:
    SyncProfile.objects.update(plus_addresses=plus)
    deliver(office, marta, 1)
    deliver(office, marta, 2, sender="anna+offers@customer.example")
    deliver(office, marta, 3, sender="annalisa@customer.example")
    office.sync(marta)
    assert got(Contact.objects.create(last_name="A", email1=ANNA), office.now) == (messages, 0)


def test_new_mail_finds_its_record_by_another_spelling(office: Office, marta: Mailbox) -> None:
    SyncProfile.objects.update(same_domains="customer.example customer.test")
    record = Contact.objects.create(last_name="A", email1=ANNA)
    deliver(office, marta, 1, sender="anna+offers@customer.test")
    office.sync(marta)
    assert linked(record) == 1


def test_domains_that_are_the_same_are_matched_where_the_profile_says_so(office: Office, marta: Mailbox) -> None:
    deliver(office, marta, 1, sender="anna@customer.test")
    office.sync(marta)
    record = Contact.objects.create(last_name="A", email1=ANNA)
    assert got(record, office.now) == (0, 0)
    SyncProfile.objects.update(same_domains="customer.example customer.test")
    assert got(record, office.now) == (1, 0)


# -- what a thread is about


def test_a_thread_becomes_about_the_record_only_where_the_policy_says_so(office: Office, marta: Mailbox) -> None:
    deliver(office, marta, 1)
    deliver(office, marta, 2, in_reply_to="<1@x>")
    office.sync(marta)
    record = Contact.objects.create(last_name="A", email1=ANNA)
    got(record, office.now)
    assert set(Activity.objects.values_list("regarding_kind", flat=True)) == {""}
    Participant.objects.update(record_kind="", record_id=None)
    SyncProfile.objects.update(retro_regarding=True)
    got(record, office.now)
    assert set(Activity.objects.values_list("regarding_kind", "regarding_id")) == {("contact", record.pk)}


@pytest.mark.parametrize("fields", [{"regarding_kind": "case", "regarding_id": 5}, {"regarding_by": "manual"}])
def test_a_thread_that_is_about_something_or_by_hand_about_nothing_stays_so(
    office: Office, marta: Mailbox, fields: dict[str, Any]
) -> None:
    SyncProfile.objects.update(retro_regarding=True)
    deliver(office, marta, 1)
    deliver(office, marta, 2, in_reply_to="<1@x>")
    office.sync(marta)
    Activity.objects.filter(message_id="<1@x>").update(**fields)
    before = list(Activity.objects.order_by("pk").values("regarding_kind", "regarding_id", "regarding_by"))
    got(Contact.objects.create(last_name="A", email1=ANNA), office.now)
    assert list(Activity.objects.order_by("pk").values("regarding_kind", "regarding_id", "regarding_by")) == before


# -- that nothing is missed


def test_a_night_finds_what_was_written_behind_our_back(office: Office, marta: Mailbox) -> None:
    deliver(office, marta, 1)
    office.sync(marta)
    record = Contact.objects.create(last_name="A")
    later = office.now + timedelta(days=400)
    assert retro.sweep(later) == 1
    assert not retro.match_some(lambda: later)
    assert retro.sweep(later) == 0, "what has not changed is not matched again"
    # A statement typed by hand: no code of ours was told, nor is the time of change kept.
    Contact.objects.filter(pk=record.pk).update(email3=ANNA)
    assert retro.sweep(later) == 1
    retro.match_some(lambda: later)
    assert linked(record) == 1
    Contact.objects.filter(pk=record.pk).update(owner=marta.owner)
    assert retro.sweep(later) == 1, "another owner has other rights"
    retro.match_some(lambda: later)
    Contact.objects.filter(pk=record.pk).update(deleted_at=later)
    assert retro.sweep(later) == 0


def test_what_has_just_changed_is_looked_at_once_more_by_the_night(office: Office, marta: Mailbox) -> None:
    record = Contact.objects.create(last_name="A", email1=ANNA)
    soon = record.modified_at + timedelta(seconds=1)
    got(record, soon)
    # Mail that was being stored meanwhile, planned before the record was there.
    deliver(office, marta, 1)
    office.sync(marta)
    Participant.objects.update(record_kind="", record_id=None)
    night = record.modified_at + timedelta(hours=9)
    assert retro.sweep(night) == 1
    retro.match_some(lambda: night)
    assert linked(record) == 1
    assert retro.sweep(night) == 0


def test_the_night_asks_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(nights, "have_backfilled", lambda: asked.append("backfill"))
    Contact.objects.create(last_name="A", email1=ANNA)
    nights.begin(datetime(2026, 6, 1, 12, tzinfo=UTC))
    assert asked == []
    nights.begin(datetime(2026, 6, 2, 1, tzinfo=UTC))
    assert asked == ["backfill"]


def test_one_that_changes_while_it_is_matched_stays_wanted(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    record = Contact.objects.create(last_name="A", email1=ANNA)
    retro.addresses_changed("contact", record.pk)
    row = AddressMatch.objects.get()
    found = retro._found

    def meanwhile(addresses: Any) -> Any:
        retro.addresses_changed("contact", record.pk)
        return found(addresses)

    monkeypatch.setattr(retro, "_found", meanwhile)
    retro.match(row, office.now)
    assert AddressMatch.objects.get().wanted_at is not None


def test_a_record_that_is_gone_is_matched_with_nothing(office: Office) -> None:
    retro.addresses_changed("contact", 10**9)
    assert retro.match(AddressMatch.objects.get(), office.now) == (0, 0)


@settings(max_examples=30, deadline=None)
@given(
    spread=st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abc")), max_size=8),
    have=st.lists(st.sampled_from("abc"), max_size=3),
    size=st.integers(1, 3),
)
def test_matching_later_comes_to_what_matching_at_once_does(
    spread: list[tuple[str, str]], have: list[str], size: int
) -> None:
    """Whether the record was there first or the mail, the links are the same."""
    results = []
    for record_first in (True, False):
        with transaction.atomic(), pytest.MonkeyPatch.context() as patch:
            patch.setattr(retro, "_AT_ONCE", size)
            office = Office(now=datetime(2026, 6, 1, 9, 0, tzinfo=UTC))
            box = office.mailbox("marta")
            for number, (sender, copied) in enumerate(spread):
                deliver(office, box, number, sender=f"{sender}@x.example", cc=[f"{copied}@x.example"])
            if not record_first:
                office.sync(box)
            records = [Contact.objects.create(last_name=each, email1=f"{each}@x.example") for each in have]
            if record_first:
                office.sync(box)
            for record in records:
                got(record, office.now)
            number_of = {record.pk: place for place, record in enumerate(records)}
            rows = Participant.objects.order_by("activity__message_id", "role", "email").values_list(
                "activity__message_id", "role", "email", "record_id", "ambiguous"
            )
            results.append([(*row[:3], number_of.get(row[3] or 0), row[4]) for row in rows])
            transaction.set_rollback(True)
    assert results[0] == results[1]


# -- refused mail of a record


def work(office: Office, row: Backfill) -> Backfill:
    row.refresh_from_db()
    mailbox = Mailbox.objects.select_related("server", "sync_profile", "owner").get(pk=row.mailbox_id)
    run = office.begin(mailbox)
    run.mailbox = mailbox
    try:
        engine.work(row, run, office.server.provider(mailbox.address), clock=lambda: office.now, beat=lambda: None)
    finally:
        office.end(run)
    row.refresh_from_db()
    return row


def test_refused_mail_of_a_new_record_is_counted_and_tracked_when_confirmed(office: Office) -> None:
    marta = office.mailbox("marta", track=Track.RECORDS)
    for number in range(3):
        deliver(office, marta, number)
    other = deliver(office, marta, 9, sender="ben@other.example")
    office.sync(marta)
    assert not Activity.objects.exists()
    record = Contact.objects.create(last_name="A", email1=ANNA)
    row = work(office, requests.of_record(marta, "contact", record.pk, by="marta", now=office.now))
    (found,) = [each for each in row.counted.values() if each["held"]]
    assert (row.state, found["held"], found["would_track"], found["refused"]) == (State.COUNTED, 4, 3, {})
    assert office.server.calls[marta.address, "contents"] == 0
    requests.confirm(row, by="marta", now=office.now)
    row = work(office, row)
    assert (row.state, row.tracked, linked(record)) == (State.DONE, 3, 3)
    assert not Activity.objects.filter(decisions__item_id=other).exists()


def test_mail_that_names_somebody_else_is_left_alone_though_it_could_be_tracked(office: Office) -> None:
    marta = office.mailbox("marta", track=Track.NONE)
    deliver(office, marta, 1)
    deliver(office, marta, 2, sender="ben@other.example")
    Mailbox.objects.filter(pk=marta.pk).update(track=Track.REPLIES)
    office.sync(marta)
    Mailbox.objects.filter(pk=marta.pk).update(track=Track.ALL)
    record = Contact.objects.create(last_name="A", email1=ANNA)
    row = work(office, requests.of_record(marta, "contact", record.pk, by="marta", now=office.now))
    requests.confirm(row, by="marta", now=office.now)
    work(office, row)
    assert list(Activity.objects.values_list("message_id", flat=True)) == ["<1@x>"]


def test_what_was_refused_for_another_reason_is_not_even_read(office: Office) -> None:
    marta = office.mailbox("marta", track=Track.RECORDS)
    deliver(office, marta, 1, sensitivity="Private")
    deliver(office, marta, 2, auto_submitted="auto-replied")
    office.sync(marta)
    asked = office.server.calls[marta.address, "envelopes"]
    record = Contact.objects.create(last_name="A", email1=ANNA)
    row = work(office, requests.of_record(marta, "contact", record.pk, by="marta", now=office.now))
    assert row.state == State.COUNTED
    assert sum(each["held"] for each in row.counted.values()) == 0
    assert office.server.calls[marta.address, "envelopes"] == asked


def test_an_address_that_comes_from_outlook_is_matched_too(marta: Mailbox) -> None:
    record = Contact.objects.create(last_name="A", owner=marta.owner)
    take(record, {Field.MOBILE: "+34 600 000 000"}, marta.owner)
    assert not AddressMatch.objects.exists()
    take(record, {Field.EMAIL2: ANNA}, marta.owner)
    assert AddressMatch.objects.get(record_id=record.pk).wanted_at is not None


def chose(marta: Mailbox, lead: Lead, now: datetime) -> None:
    AddressChoice.objects.create(
        owner=marta.owner, address=ANNA, record_kind="lead", record_id=lead.pk, by="marta", at=now
    )


def test_a_choice_for_a_record_that_lost_the_address_keeps_no_other_from_it(office: Office, marta: Mailbox) -> None:
    chose(marta, Lead.objects.create(name="No address any more"), office.now)
    deliver(office, marta, 1)
    office.sync(marta)
    assert Participant.objects.get(email=ANNA).chosen == ""
    record = Contact.objects.create(last_name="A", email1=ANNA)
    assert got(record, office.now) == (1, 0)


def test_a_thread_is_about_no_record_that_merely_has_the_number_of_the_one_chosen(
    office: Office, marta: Mailbox
) -> None:
    SyncProfile.objects.update(retro_regarding=True)
    deliver(office, marta, 1)
    office.sync(marta)
    lead = Lead.objects.create(pk=777, name="Chosen", email1=ANNA)
    record = Contact.objects.create(pk=777, last_name="A", email1=ANNA)
    chose(marta, lead, office.now)
    assert got(record, office.now) == (1, 0)
    assert linked(lead) == 1
    assert Activity.objects.get().regarding_kind == ""


def test_a_secret_that_cannot_be_decrypted_keeps_no_mail_from_being_matched(
    office: Office, marta: Mailbox, settings: Any
) -> None:
    deliver(office, marta, 1)
    office.sync(marta)
    Mailbox.objects.filter(pk=marta.pk).update(username="marta", secret="a password")
    settings.ENCRYPTION_KEYS = ["another key"]
    assert got(Contact.objects.create(last_name="Anna", email1=ANNA, owner=marta.owner), office.now) == (1, 0)
