"""Tokens: what was made can be read, and nothing else can."""

import time
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mailboxes.provider.port import Envelope
from tracking.sync import token
from tracking.sync.token import Kind, Named

KEY = "a key"
named = st.builds(Named, st.sampled_from(Kind), st.integers(1, token.MOST))
keys = st.text(min_size=1)


def envelope(**fields: Any) -> Envelope:
    empty: dict[str, Any] = {"item_id": "i", "change_key": "c", "sender": None, "to": (), "cc": (), "bcc": ()}
    return Envelope(**{**empty, "subject": "", **fields})


@given(named, keys)
def test_what_was_made_is_read(name: Named, key: str) -> None:
    made = token.make(name, key)
    assert token.read(made, key) == name
    assert len(made) == token.LENGTH
    assert token.read(f"  {made.upper()}\r\n", key) == name


@given(named, keys, keys)
def test_another_installations_token_says_nothing(name: Named, key: str, other: str) -> None:
    # HMAC pads keys with zeros: two keys that differ in those alone are one.
    assume(key.rstrip("\0") != other.rstrip("\0"))
    assert token.read(token.make(name, key), other) is None


@given(named, st.integers(0, token.LENGTH - 1), st.sampled_from("abcdefghijklmnopqrstuvwxyz234567"))
def test_a_forged_letter_makes_it_say_nothing(name: Named, place: int, letter: str) -> None:
    made = token.make(name, KEY)
    assume(made[place] != letter)
    assert token.read(made[:place] + letter + made[place + 1 :], KEY) is None


@given(named, st.integers(0, token.LENGTH - 1))
def test_a_truncated_one_says_nothing(name: Named, length: int) -> None:
    assert token.read(token.make(name, KEY)[:length], KEY) is None
    assert token.read(token.make(name, KEY) + "a" * (length + 1), KEY) is None


@given(st.text())
def test_any_text_is_refused_without_a_fault(text: str) -> None:
    assert token.read(text, KEY) is None


@given(st.text(alphabet="abcdefghijklmnopqrstuvwxyz234567", min_size=token.LENGTH, max_size=token.LENGTH))
def test_a_guess_is_refused(text: str) -> None:
    assert token.read(text, KEY) is None


@given(st.lists(named, min_size=2, unique=True))
def test_tokens_differ_where_names_do_and_do_not_follow_their_order(names: list[Named]) -> None:
    made = [token.make(name, KEY) for name in names]
    assert len(set(made)) == len(names)


def test_tokens_do_not_show_which_row_came_first() -> None:
    made = [token.make(Named(Kind.ACTIVITY, number), KEY) for number in range(1, 200)]
    assert made != sorted(made)
    # Neighbours share no beginning beyond chance: a counter would share nearly all of it.
    assert len({each[:4] for each in made}) > 190
    assert len({each[-4:] for each in made}) > 190


@pytest.mark.parametrize("number", [0, -1, token.MOST + 1])
def test_a_row_out_of_range_gets_no_token(number: int) -> None:
    with pytest.raises(ValueError, match="no token names"):
        token.make(Named(Kind.ACTIVITY, number), KEY)


def test_a_kind_of_a_later_version_says_nothing() -> None:
    made = token.make(Named(99, 5), KEY)  # type: ignore[arg-type]  # not known here
    assert token.read(made, KEY) is None


@given(named, st.from_regex(r"[0-9a-f]{8,32}", fullmatch=True))
def test_a_reply_brings_the_token_back_in_the_message_id_it_answers(name: Named, unique: str) -> None:
    made = token.make(name, KEY)
    chosen = token.message_id(made, unique, "office.example")
    assert chosen.startswith("<")
    assert chosen.endswith("@office.example>")
    assert unique in chosen
    assert token.carried(envelope(in_reply_to=chosen), subject=False) == (made,)
    assert token.carried(envelope(references=("<first@x>", chosen, "<last@x>")), subject=False) == (made,)
    assert token.carried(envelope(in_reply_to=chosen.upper()), subject=False) == (made,)


def test_without_a_token_a_message_id_is_an_ordinary_one() -> None:
    assert token.message_id("", "u", "office.example") == "<u@office.example>"
    assert token.carried(envelope(in_reply_to="<u@office.example>"), subject=True) == ()


@given(named, st.text(st.characters(exclude_categories=("Cs", "Cc"))))
def test_a_subject_carries_it_where_that_is_wanted_and_loses_it_again(name: Named, subject: str) -> None:
    assume(token.without_tokens(subject) == subject)
    made = token.make(name, KEY)
    shown = token.with_token(subject, made)
    assert token.carried(envelope(subject=shown), subject=True) == (made,)
    assert token.carried(envelope(subject=shown), subject=False) == ()
    assert token.without_tokens(shown).strip() == subject.strip()
    # Answering and sending again does not heap them up.
    assert token.with_token("Re: " + shown, made).count("[crm:") == 1
    assert token.with_token(subject, "") == subject


def test_the_header_counts_before_message_ids_and_these_before_the_subject() -> None:
    first, second, third = (token.make(Named(Kind.ACTIVITY, number), KEY) for number in (1, 2, 3))
    mail = envelope(
        token=first.upper(), in_reply_to=token.message_id(second, "u", "x"), subject=token.with_token("S", third)
    )
    assert token.carried(mail, subject=True) == (first, second, third)


def test_a_mail_with_thousands_of_them_is_looked_at_in_bounds() -> None:
    made = [token.make(Named(Kind.ACTIVITY, number), KEY) for number in range(1, 400)]
    mail = envelope(
        references=tuple(token.message_id(each, "u", "x") for each in made),
        subject=" ".join(f"[crm:{each}]" for each in made),
    )
    assert len(token.carried(mail, subject=True)) <= 40


@given(st.text(), st.text(), st.lists(st.text()), st.text())
def test_no_mail_makes_looking_for_tokens_fail(header: str, answered: str, references: list[str], subject: str) -> None:
    mail = envelope(token=header, in_reply_to=answered, references=tuple(references), subject=subject)
    for each in token.carried(mail, subject=True):
        assert token.read(each, KEY) is None


def test_a_subject_of_nothing_but_white_space_costs_no_more_than_another():
    began = time.process_time()
    assert token.without_tokens(" " * 50_000 + "x").endswith(" x")
    assert token.carried(envelope(subject=" " * 50_000), subject=True) == ()
    assert time.process_time() - began < 2
