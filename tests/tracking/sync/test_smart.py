"""Smart matching: everything must speak for a match at once, and each thing that does not is named."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailboxes.provider.port import Address, Envelope
from tracking.sync import smart, token
from tracking.sync.smart import Candidate, Limits, Why, match

AT = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
LIMITS = Limits(days=14, words=3)
MARTA, LUIS = "marta@office.example", "luis@office.example"
ANNA, BEN = "anna@customer.example", "ben@other.example"
SUBJECT = "Flow meters Castellón pump house"


def colleague(address: str) -> bool:
    return address.endswith("@office.example")


def mail(subject: str = f"Re: {SUBJECT}", **fields: Any) -> Envelope:
    given: dict[str, Any] = {
        "item_id": "i", "change_key": "c", "sender": Address(ANNA), "to": (Address(MARTA),), "cc": (), "bcc": (),
        "subject": subject, "received_at": AT + timedelta(days=2),
    }  # fmt: skip
    return Envelope(**given | fields)


def tracked(**fields: Any) -> Candidate:
    given: dict[str, Any] = {
        "key": "k1", "thread": "t1", "subject": SUBJECT, "people": frozenset({ANNA, MARTA, LUIS}), "at": AT,
    }  # fmt: skip
    return Candidate(**given | fields)


def answer(envelope: Envelope, *candidates: Candidate, limits: Limits = LIMITS) -> smart.Answer:
    return match(envelope, candidates, mailbox=MARTA, colleague=colleague, limits=limits)


def test_an_answer_with_the_same_words_and_people_soon_after_is_matched_and_says_why() -> None:
    found = answer(mail(), tracked())
    assert (found.why, found.candidate) == (Why.MATCHED, tracked())
    assert (found.days, found.people, found.words) == (2, 2, 5)


@pytest.mark.parametrize(
    ("envelope", "candidate", "why"),
    [
        (mail(SUBJECT), tracked(), Why.NO_ANSWER),
        (mail(f"Fwd: {SUBJECT}"), tracked(), Why.NO_ANSWER),
        (mail("Re: Meeting"), tracked(subject="Meeting"), Why.COMMON_SUBJECT),
        (mail("Re: Re: your order and invoice, please"), tracked(), Why.COMMON_SUBJECT),
        (mail("Re: a b c d e f"), tracked(subject="a b c d e f"), Why.COMMON_SUBJECT),
        (mail("Re: pump pump pump pump"), tracked(subject="pump pump pump pump"), Why.COMMON_SUBJECT),
        (mail("Re: "), tracked(subject=""), Why.COMMON_SUBJECT),
        (mail(sender=Address(LUIS)), tracked(), Why.NOBODY_OUTSIDE),
        (mail(sender=None), tracked(), Why.NOBODY_OUTSIDE),
        (mail(sender=Address("")), tracked(), Why.NOBODY_OUTSIDE),
        (mail(received_at=None), tracked(), Why.NOBODY_OUTSIDE),
        (mail(), tracked(subject=f"{SUBJECT} two"), Why.NONE_LIKE_IT),
        (mail(), tracked(subject="Castellón pump house flow meters"), Why.NONE_LIKE_IT),
        # The same subject at another customer's: complaint 14.
        (mail(sender=Address(BEN)), tracked(), Why.OTHER_PEOPLE),
        (mail(cc=(Address(BEN),)), tracked(), Why.OTHER_PEOPLE),
        (mail(bcc=(Address(BEN),)), tracked(), Why.OTHER_PEOPLE),
        # A mailbox that took no part in it.
        (mail(), tracked(people=frozenset({ANNA, LUIS})), Why.OTHER_PEOPLE),
        (mail(received_at=AT + timedelta(days=14, seconds=1)), tracked(), Why.TOO_LONG_AGO),
        (mail(received_at=AT - timedelta(seconds=1)), tracked(), Why.TOO_LONG_AGO),
    ],
)
def test_a_single_thing_that_speaks_against_it_is_enough(envelope: Envelope, candidate: Candidate, why: Why) -> None:
    found = answer(envelope, candidate)
    assert (found.why, found.candidate) == (why, None)


def test_two_threads_with_that_subject_and_those_people_are_no_match() -> None:
    assert answer(mail(), tracked(), tracked(key="k2", thread="t2")).why is Why.SEVERAL_THREADS


def test_of_one_thread_the_latest_message_is_the_one() -> None:
    later = tracked(key="k2", at=AT + timedelta(days=1))
    assert answer(mail(), later, tracked()).candidate == later


def test_prefixes_tokens_case_and_punctuation_do_not_count() -> None:
    shown = token.with_token(SUBJECT.upper(), token.make(token.Named(token.Kind.ACTIVITY, 5), "k"))
    assert answer(mail(f"AW: RE[3]: Fwd: {shown}!"), tracked()).why is Why.MATCHED


addresses = st.sampled_from([MARTA, LUIS, ANNA, BEN, "carl@customer.example", ""])
subjects = st.builds(
    "{}{}".format,
    st.sampled_from(["", "Re: ", "RE: ", "Fwd: ", "Re: Fwd: "]),
    st.sampled_from([SUBJECT, f"{SUBJECT} again", "Meeting", "Order", "Pump house Castellón north"]),
)
envelopes = st.builds(
    lambda subject, sender, to, cc, hours: mail(
        subject,
        sender=Address(sender),
        to=tuple(map(Address, to)),
        cc=tuple(map(Address, cc)),
        received_at=AT + timedelta(hours=hours),
    ),
    subjects, addresses, st.lists(addresses, max_size=3), st.lists(addresses, max_size=2), st.integers(-600, 600),
)  # fmt: skip
candidates = st.lists(
    st.builds(
        lambda key, thread, subject, people, hours: Candidate(
            f"k{key}", f"t{thread}", subject, frozenset(people), AT + timedelta(hours=hours)
        ),
        st.integers(1, 5),
        st.integers(1, 3),
        subjects,
        st.sets(addresses),
        st.integers(-600, 600),
    ),
    max_size=5,
)


@given(envelopes, candidates, st.integers(1, 90), st.integers(2, 5))
def test_a_match_never_brings_anybody_outside_into_a_thread(
    envelope: Envelope, known: list[Candidate], days: int, words: int
) -> None:
    found = answer(envelope, *known, limits=Limits(days, words))
    if found.candidate is None:
        return
    everybody = {each.email for each in (envelope.sender, *envelope.to, *envelope.cc) if each}
    outside = {each for each in everybody if each and not colleague(each)}
    assert outside
    assert outside <= found.candidate.people
    assert envelope.sender is not None
    assert {envelope.sender.email, MARTA} <= found.candidate.people
    assert smart.words(found.candidate.subject) == smart.words(envelope.subject)
    assert smart.telling(smart.words(envelope.subject)) >= words
    assert envelope.received_at is not None
    assert timedelta(0) <= envelope.received_at - found.candidate.at <= timedelta(days=days)


@given(envelopes, candidates, st.randoms())
def test_the_order_of_candidates_does_not_matter(envelope: Envelope, known: list[Candidate], random: Any) -> None:
    mixed = random.sample(known, len(known))
    first, second = answer(envelope, *known), answer(envelope, *mixed)
    assert first.why == second.why
    if first.candidate and second.candidate:
        assert (first.candidate.at, first.candidate.key) == (second.candidate.at, second.candidate.key)


@given(envelopes, candidates, st.integers(1, 30), st.integers(2, 4))
def test_stricter_limits_never_match_more(envelope: Envelope, known: list[Candidate], days: int, words: int) -> None:
    strict = answer(envelope, *known, limits=Limits(days, words + 1))
    if strict.candidate:
        assert answer(envelope, *known, limits=Limits(days, words)).candidate == strict.candidate


@given(st.text(), st.lists(st.text()))
def test_any_subject_is_compared_without_a_fault(subject: str, others: list[str]) -> None:
    found = answer(mail(subject), *(tracked(subject=other, key=other) for other in others))
    assert found.why in Why


def test_a_subject_of_a_megabyte_is_compared_at_once() -> None:
    assert answer(mail("Re: " * 300_000 + SUBJECT), tracked()).candidate is None
