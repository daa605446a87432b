"""How a message finds its thread where reply headers do not lead there: by token, by subject and people."""

from datetime import timedelta
from typing import Any

import pytest

from mailboxes.models import Mailbox, SyncProfile
from mailboxes.states import Track
from tests.tracking.office import Office
from tracking.engine import correlation, pipeline, tokens
from tracking.engine.tokens import Kind, Named
from tracking.models import Activity, ItemDecision, OutgoingMail, Thread
from tracking.repair import why

pytestmark = pytest.mark.django_db

ANNA, STRANGER = "anna@customer.example", "eve@stranger.example"
SUBJECT = "Flow meters Castellón pump house"


@pytest.fixture
def office() -> Office:
    office = Office()
    SyncProfile.objects.filter(pk=office.profile.pk).update(token=True)
    office.profile.refresh_from_db()
    return office


def begun(office: Office, **fields: Any) -> tuple[Mailbox, Activity]:
    """Marta's mailbox with one tracked message from Anna, and from now on replies only."""
    marta = office.mailbox("marta")
    office.server.deliver(
        marta.address, "inbox", sender=ANNA, to=[marta.address], subject=SUBJECT, message_id="<first@x>",
        received_at=office.now, **fields,
    )  # fmt: skip
    office.sync(marta)
    Mailbox.objects.filter(pk=marta.pk).update(track=Track.REPLIES)
    return marta, Activity.objects.get()


def token_of(office: Office, activity: Activity) -> str:
    return tokens.marks(office.profile, Named(Kind.ACTIVITY, activity.pk), subject="", domain="x").token


def decision(mailbox: Mailbox, item_id: str) -> ItemDecision:
    return ItemDecision.objects.get(mailbox=mailbox, item_id=item_id)


def test_a_token_in_the_header_leads_to_its_thread_and_the_method_is_stored(office: Office) -> None:
    marta, first = begun(office)
    item = office.server.deliver(
        marta.address, "inbox", sender=ANNA, to=[marta.address], subject="Something else",
        token=token_of(office, first), message_id="<second@x>",
    )  # fmt: skip
    office.sync(marta)
    found = Activity.objects.get(message_id="<second@x>")
    assert (found.thread_id, found.parent_id, found.correlation) == (first.thread_id, first.pk, "token")
    assert decision(marta, item).reason == "carries_token"
    document = why.trace(marta, "<second@x>")["items"][0]
    assert document["activity"]["correlation"] == "token"
    assert document["activity"]["answers"] == first.pk
    assert "token" in document["sentence"]


def test_a_reply_brings_it_back_in_the_message_id_it_answers_though_that_was_never_stored(office: Office) -> None:
    marta, first = begun(office)
    sent = tokens.marks(office.profile, Named(Kind.ACTIVITY, first.pk), subject="S", domain="office.example")
    office.server.deliver(
        marta.address, "inbox", sender=ANNA, to=[marta.address], in_reply_to=sent.message_id, message_id="<answer@x>"
    )
    office.sync(marta)
    assert Activity.objects.get(message_id="<answer@x>").thread_id == first.thread_id


def test_reply_headers_come_before_a_token_and_a_token_before_the_conversation(office: Office) -> None:
    marta, first = begun(office)
    office.profile.refresh_from_db()
    Mailbox.objects.filter(pk=marta.pk).update(track=Track.ALL)
    office.server.deliver(
        marta.address, "inbox", sender=ANNA, to=[marta.address], message_id="<other@x>", conversation_id="c",
        subject="Another matter",
    )  # fmt: skip
    office.sync(marta)
    other = Activity.objects.get(message_id="<other@x>")
    mail: dict[str, Any] = {"sender": ANNA, "to": [marta.address], "token": token_of(office, first)}
    office.server.deliver(marta.address, "inbox", **mail, conversation_id="c", message_id="<by-token@x>")
    office.server.deliver(marta.address, "inbox", **mail, in_reply_to="<other@x>", message_id="<by-reply@x>")
    office.sync(marta)
    assert Activity.objects.get(message_id="<by-token@x>").parent_id == first.pk
    by_reply = Activity.objects.get(message_id="<by-reply@x>")
    assert (by_reply.parent_id, by_reply.correlation) == (other.pk, "reply_headers")


@pytest.mark.parametrize("case", ["forged", "truncated", "another key", "switched off", "no such row"])
def test_a_token_that_is_not_ours_or_not_wanted_links_nothing(office: Office, case: str, settings: Any) -> None:
    marta, first = begun(office)
    token = token_of(office, first)
    if case == "forged":
        token = ("b" if token[0] == "a" else "a") + token[1:]
    elif case == "truncated":
        token = token[:-1]
    elif case == "another key":
        settings.TOKEN_KEY = "another installation's"
    elif case == "switched off":
        SyncProfile.objects.update(token=False)
    else:
        token = tokens.marks(office.profile, Named(Kind.ACTIVITY, 10**9), subject="", domain="x").token
    item = office.server.deliver(marta.address, "inbox", sender=ANNA, to=[marta.address], token=token, subject="New")
    office.sync(marta)
    assert decision(marta, item).reason == "not_a_reply"
    assert Activity.objects.count() == 1


def test_a_stranger_who_got_hold_of_a_token_gets_nothing_into_the_thread(office: Office) -> None:
    marta, first = begun(office)
    Mailbox.objects.filter(pk=marta.pk).update(track=Track.ALL)
    office.server.deliver(
        marta.address, "inbox", sender=STRANGER, to=[marta.address], token=token_of(office, first),
        message_id="<replayed@x>",
    )  # fmt: skip
    office.sync(marta)
    replayed = Activity.objects.get(message_id="<replayed@x>")
    assert replayed.thread_id != first.thread_id
    assert (replayed.parent_id, replayed.correlation) == (None, "none")


def test_a_token_counts_in_no_mailbox_that_took_no_part_in_its_thread(office: Office) -> None:
    _marta, first = begun(office)
    luis = office.mailbox("luis", track=Track.REPLIES)
    item = office.server.deliver(
        luis.address, "inbox", sender=ANNA, to=[luis.address], token=token_of(office, first), subject="New"
    )
    office.sync(luis)
    assert decision(luis, item).reason == "not_a_reply"


def test_a_token_in_the_subject_counts_where_that_is_switched_on(office: Office) -> None:
    marta, first = begun(office)
    shown = f"Question [crm:{token_of(office, first)}]"
    mail: dict[str, Any] = {"sender": ANNA, "to": [marta.address], "subject": shown}
    before = office.server.deliver(marta.address, "inbox", **mail, message_id="<before@x>")
    office.sync(marta)
    assert decision(marta, before).reason == "not_a_reply"
    SyncProfile.objects.update(token_in_subject=True)
    office.server.deliver(marta.address, "inbox", **mail, message_id="<after@x>")
    office.sync(marta)
    assert Activity.objects.get(message_id="<after@x>").thread_id == first.thread_id


def outgoing(marta: Mailbox, office: Office, **fields: Any) -> OutgoingMail:
    mail = OutgoingMail.objects.create(
        mailbox=marta, author=marta.owner, to=[{"email": ANNA.upper(), "name": ""}], state="sent",
        state_since=office.now, created_at=office.now, regarding_kind="case", regarding_id=7, **fields,
    )  # fmt: skip
    sent = tokens.marks(
        office.profile, Named(Kind.OUTGOING, mail.pk), subject="S", domain="office.example", unique="u1"
    )
    OutgoingMail.objects.filter(pk=mail.pk).update(message_id=sent.message_id)
    mail.refresh_from_db()
    return mail


def test_an_answer_to_mail_of_ours_that_is_not_stored_yet_is_tracked_and_meets_it_later(office: Office) -> None:
    marta = office.mailbox("marta", track=Track.REPLIES)
    mail = outgoing(marta, office)
    answer = office.server.deliver(
        marta.address, "inbox", sender=ANNA, to=[marta.address], in_reply_to=mail.message_id, message_id="<answer@x>"
    )
    office.sync(marta)
    assert decision(marta, answer).reason == "carries_token"
    found = Activity.objects.get(message_id="<answer@x>")
    assert (found.regarding_kind, found.regarding_id) == ("case", 7)
    # Its copy in Sent Items comes late and belongs to the same thread.
    Mailbox.objects.filter(pk=marta.pk).update(track=Track.ALL)
    office.server.deliver(
        marta.address, "sent", sender=marta.address, to=[ANNA], message_id=mail.message_id,
        token=tokens.marks(office.profile, Named(Kind.OUTGOING, mail.pk), subject="", domain="x").token,
    )  # fmt: skip
    office.sync(marta)
    copy = Activity.objects.get(message_id=mail.message_id)
    assert (copy.thread_id, copy.parent_id) == (found.thread_id, None), "it does not answer itself"
    assert Thread.objects.get().messages == 2


def test_an_answer_to_mail_of_ours_that_answers_somebody_joins_that_thread(office: Office) -> None:
    marta, first = begun(office)
    mail = outgoing(marta, office, answers=first)
    office.server.deliver(
        marta.address, "inbox", sender=ANNA, to=[marta.address], in_reply_to=mail.message_id, message_id="<answer@x>"
    )
    office.sync(marta)
    found = Activity.objects.get(message_id="<answer@x>")
    assert (found.thread_id, found.parent_id, found.correlation) == (first.thread_id, first.pk, "token")


# -- subject and people


def answer_by_subject(office: Office, marta: Mailbox, **fields: Any) -> str:
    given: dict[str, Any] = {
        "sender": ANNA, "to": [marta.address], "subject": f"RE: {SUBJECT}", "message_id": "<like@x>",
        "received_at": office.now + timedelta(days=2),
    }  # fmt: skip
    item = office.server.deliver(marta.address, "inbox", **given | fields)
    office.sync(marta)
    return item


def test_matching_by_subject_and_people_is_off_until_it_is_wanted(office: Office) -> None:
    marta, _first = begun(office)
    assert decision(marta, answer_by_subject(office, marta)).reason == "not_a_reply"


def test_what_others_write_under_a_subject_keeps_no_answer_from_its_thread(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    SyncProfile.objects.update(smart=True)
    monkeypatch.setattr(correlation, "_ALIKE", 2)
    marta, first = begun(office)
    luis = office.mailbox("luis")
    for number in range(3):
        office.server.deliver(
            luis.address, sender="else@other.example", to=[luis.address], subject=SUBJECT, message_id=f"<o{number}@x>",
            received_at=office.now + timedelta(days=1),
        )  # fmt: skip
    office.sync(luis)
    answer_by_subject(office, marta)
    assert Activity.objects.get(message_id="<like@x>").thread_id == first.thread_id


def test_matched_by_subject_and_people_a_message_says_what_spoke_for_it(office: Office) -> None:
    SyncProfile.objects.update(smart=True)
    marta, first = begun(office)
    item = answer_by_subject(office, marta)
    found = Activity.objects.get(message_id="<like@x>")
    assert (found.thread_id, found.parent_id, found.correlation) == (first.thread_id, first.pk, "smart")
    row = decision(marta, item)
    assert (row.reason, row.facts) == ("like_tracked", {"days": 2, "people": 2, "words": 5})
    document = why.trace(marta, "<like@x>")["items"][0]
    assert "2 days before" in document["sentence"]
    assert document["activity"]["correlation"] == "smart"


@pytest.mark.parametrize(
    "fields",
    [
        {"sender": STRANGER},
        {"cc": [STRANGER]},
        {"subject": SUBJECT},
        {"subject": "Re: Meeting"},
        {"subject": f"Re: {SUBJECT} two"},
    ],
)
def test_unrelated_mail_is_not_merged_by_its_subject(office: Office, fields: dict[str, Any]) -> None:
    SyncProfile.objects.update(smart=True)
    marta, first = begun(office)
    Mailbox.objects.filter(pk=marta.pk).update(track=Track.ALL)
    answer_by_subject(office, marta, **fields)
    assert Activity.objects.get(message_id="<like@x>").thread_id != first.thread_id


def test_a_match_obeys_what_a_mailbox_tracks(office: Office) -> None:
    SyncProfile.objects.update(smart=True)
    marta, _first = begun(office)
    Mailbox.objects.filter(pk=marta.pk).update(track=Track.NONE)
    row = decision(marta, answer_by_subject(office, marta))
    assert (row.outcome, row.reason, row.facts) == ("refused", "tracking_off", {})


@pytest.mark.parametrize("at_once", [1, 2, 200])
def test_it_does_not_matter_where_a_page_ends(office: Office, monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    monkeypatch.setattr(pipeline, "PAGE_ITEMS", at_once)
    SyncProfile.objects.update(smart=True)
    marta = office.mailbox("marta")
    mail: dict[str, Any] = {"sender": ANNA, "to": [marta.address]}
    for day, (name, subject, answers) in enumerate(
        [
            ("first", SUBJECT, ""),
            ("reply", f"Re: {SUBJECT}", "<first@x>"),
            ("like", f"AW: {SUBJECT}", ""),
            ("new", SUBJECT, ""),
        ]
    ):
        office.server.deliver(
            marta.address, "inbox", **mail, subject=subject, in_reply_to=answers, message_id=f"<{name}@x>",
            received_at=office.now + timedelta(days=day),
        )  # fmt: skip
    office.sync(marta)
    threads = dict(Activity.objects.values_list("message_id", "thread"))
    assert threads["<first@x>"] == threads["<reply@x>"] == threads["<like@x>"]
    assert threads["<new@x>"] != threads["<first@x>"]
    assert Activity.objects.get(message_id="<like@x>").correlation == "smart"
