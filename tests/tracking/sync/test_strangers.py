"""Who is an unknown sender to ask about, and who is not (complaint 22): pure."""

from dataclasses import replace

import pytest

from mailboxes.provider.port import Address, Envelope
from tracking.sync.facts import Known, Option, RecordRef, Rules, Unknown
from tracking.sync.strangers import is_nobodys, stranger

RULES = Rules(
    mailbox_id=1, mailbox_address="anna@office.example", option=Option.ALL, unknown=Unknown.STAGE,
    blocked=frozenset({"spam.example"}), internal_domains=frozenset({"own.example"}), exclude_automated=False,
)  # fmt: skip
ENVELOPE = Envelope(
    item_id="1", change_key="", sender=Address("Kim@Customer.example", "Kim"), to=(Address("anna@office.example", ""),),
    cc=(), bcc=(), subject="", item_class="IPM.Note",
)  # fmt: skip


def asked(known=None, *, rules=RULES, sent=False, **fields):
    return stranger(replace(ENVELOPE, **fields), sent=sent, rules=rules, known=known or Known())


def test_a_person_whom_no_record_knows_is_asked_about():
    assert asked() == ENVELOPE.sender


def test_complaint_22_by_default_nobody_is_asked_about_and_nothing_made():
    assert asked(rules=replace(RULES, unknown=Unknown.NOTHING)) is None
    assert Rules(mailbox_id=1, mailbox_address="", option=Option.ALL).unknown is Unknown.NOTHING


@pytest.mark.parametrize(
    "address",
    [
        "anna@office.example", "joan@own.example", "x@deep.own.example", "someone@spam.example", "colleague@else.example",
        "noreply@shop.example", "No-Reply@shop.example", "do_not_reply@shop.example", "donotreply+7@shop.example",
        "mailer-daemon@shop.example", "postmaster@shop.example", "bounces-123@lists.example", "no.responder@shop.example",
        "", "@", "nobody", "anke(labor<anke@nordwerk.example>,((", "a b@c.example", "a@localhost", "@shop.example", "a@", f"{'x' * 250}@c.example",
    ],
)  # fmt: skip
def test_complaint_22_colleagues_programs_blocked_and_broken_addresses_never_are(address):
    known = Known(internal=frozenset({"colleague@else.example"}))
    assert asked(known, sender=Address(address, "Name")) is None


@pytest.mark.parametrize(
    "address",
    ["nora@c.example", "noreen.reply@c.example", "notify.me@c.example", "bouncer@c.example", "absolute@c.example"],
)
def test_people_whose_names_look_a_little_like_it_are(address):
    assert not is_nobodys(address)
    assert asked(sender=Address(address, "")) is not None


def test_automated_and_sent_mail_and_mail_without_a_sender_brings_nobody():
    assert asked(auto_submitted="auto-generated") is None
    assert asked(item_class="REPORT.IPM.Note.NDR") is None
    assert asked(sent=True) is None
    assert asked(sender=None) is None


def test_whoever_has_a_record_or_was_settled_before_is_known():
    address = "kim@customer.example"
    assert asked(Known(records={address: (RecordRef("lead", 1),)})) is None
    assert asked(Known(records={address: (RecordRef("lead", 1), RecordRef("contact", 2))})) is None
    assert asked(Known(choices={address: None})) is None
    # A record was chosen that does not have the address any more: nobody has it.
    assert asked(Known(choices={address: RecordRef("lead", 5)})) is not None
