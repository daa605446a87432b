"""Spellings of an address: its own first, lenient ones only where nobody has it as it stands."""

from hypothesis import given
from hypothesis import strategies as st

from tracking.sync.addresses import Spelling, same_domains, spellings, under_any_spelling

GOOGLE = same_domains("gmail.com googlemail.com")
LENIENT = Spelling(domains=GOOGLE)


def test_a_subaddress_is_the_persons_own() -> None:
    assert spellings("Anna+News@Example.org ", Spelling()) == ("anna+news@example.org", "anna@example.org")
    assert spellings("anna+a+b@example.org", Spelling()) == ("anna+a+b@example.org", "anna@example.org")


def test_switched_off_an_address_is_what_it_is() -> None:
    assert spellings("anna+news@example.org", Spelling(plus=False)) == ("anna+news@example.org",)


def test_domains_that_are_the_same_are_tried_both_ways() -> None:
    assert spellings("anna@googlemail.com", LENIENT) == ("anna@googlemail.com", "anna@gmail.com")
    assert spellings("anna@gmail.com", LENIENT) == ("anna@gmail.com", "anna@googlemail.com")
    assert set(spellings("anna+x@gmail.com", LENIENT)) == {
        "anna+x@gmail.com", "anna+x@googlemail.com", "anna@gmail.com", "anna@googlemail.com",
    }  # fmt: skip


def test_what_is_no_address_has_no_other_spelling() -> None:
    assert spellings("", LENIENT) == ()
    assert spellings("+news@example.org", LENIENT) == ("+news@example.org",)
    assert spellings("@example.org", LENIENT) == ("@example.org",)
    assert spellings("anna+news", LENIENT) == ("anna+news",)


def test_lines_of_domains_take_what_people_type() -> None:
    assert same_domains("Gmail.com, googlemail.com\n\n @old.example\nnew.example gmail.com") == {
        "gmail.com": "gmail.com",
        "googlemail.com": "gmail.com",
        "old.example": "old.example",
        "new.example": "new.example",
    }


def test_a_record_that_has_the_very_address_comes_before_one_that_has_it_without_its_word() -> None:
    found = {"anna+news@example.org": ("list",), "anna@example.org": ("anna",)}
    asked = ["anna+news@example.org", "anna+other@example.org", "ben@example.org"]
    assert under_any_spelling(asked, found, Spelling()) == {
        "anna+news@example.org": ("list",),
        "anna+other@example.org": ("anna",),
    }


@given(st.text(), st.booleans())
def test_every_address_is_its_own_first_spelling(address: str, plus: bool) -> None:
    found = spellings(address, Spelling(plus, GOOGLE))
    assert len(found) == len(set(found))
    if address.strip():
        assert found[0] == address.strip().lower()


@given(st.emails(), st.from_regex(r"[a-z0-9]{1,9}", fullmatch=True))
def test_spellings_never_lead_to_somebody_else(address: str, word: str) -> None:
    local, _, domain = address.lower().rpartition("@")
    for each in spellings(f"{local}+{word}@{domain}", LENIENT):
        name, _, place = each.rpartition("@")
        assert name.partition("+")[0] == local.partition("+")[0]
        assert GOOGLE.get(place, place) == GOOGLE.get(domain, domain)
