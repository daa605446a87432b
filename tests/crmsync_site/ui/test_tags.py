"""How numbers, times and words are written on the screen."""

from datetime import UTC, datetime, timedelta

import pytest
from django.template import Context, Template
from django.test import RequestFactory
from django.utils import translation

from crmsync_site.ui.listing import Column, sorting
from crmsync_site.ui.templatetags import ui

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, "–"), (0, "0.0 s"), (0.42, "0.4 s"), (9.96, "10.0 s"), (12, "12 s"), (99, "99 s"), (100, "2 min"),
        (720, "12 min"), (3600, "60 min"), (7800, "2 h 10 min"), (7200, "2 h"), (86400, "24 h"), (200_000, "2 days"),
        (864_000, "10 days"),
    ],
)  # fmt: skip
def test_a_length_of_time_is_said_in_its_largest_readable_unit(seconds: float | None, words: str) -> None:
    assert ui.duration(seconds) == words


@pytest.mark.parametrize(
    ("away", "words"),
    [
        (timedelta(seconds=2), "now"), (timedelta(seconds=-40), "40 s ago"), (timedelta(minutes=-5), "5 min ago"),
        (timedelta(hours=-3, minutes=-10), "3 h ago"), (timedelta(days=-3), "3 days ago"), (timedelta(days=-20), "2 Nov 2026"),
        (timedelta(minutes=9), "in 9 min"), (timedelta(days=20), "12 Dec 2026"),
    ],
)  # fmt: skip
def test_a_moment_is_said_from_now_with_the_exact_time_beside_it(away: timedelta, words: str) -> None:
    shown = ui.moment(NOON + away, NOON)
    assert f">{words}<" in shown
    assert (NOON + away).isoformat() in shown


def test_what_lasts_is_said_with_its_length() -> None:
    assert ">for 3 h<" in ui.lasting(NOON - timedelta(hours=3, minutes=5), NOON)
    assert ">for 0.0 s<" in ui.lasting(NOON + timedelta(minutes=1), NOON)


def test_no_moment_is_a_dash() -> None:
    assert ui.lasting(None) == "–"
    assert ui.moment(None) == "–"
    assert ui.exact(None) == "–"


@pytest.mark.parametrize(
    ("share", "words"),
    [
        (None, "–"),
        (1.0, "100 %"),
        (0.99999, "99.99 %"),
        (0.9995, "99.95 %"),
        (0.5, "50 %"),
        (0.123, "12.3 %"),
        (0, "0 %"),
    ],
)
def test_a_share_is_never_rounded_up(share: float | None, words: str) -> None:
    assert ui.percent(share) == words


def test_numbers_are_grouped_as_the_language_does() -> None:
    assert ui.number(1234567) == "1,234,567"
    with translation.override("ca"):
        assert ui.number(1234567) == "1.234.567"
    assert ui.number(None) == "–"


@pytest.mark.parametrize(
    ("name", "letters"),
    [("Anna Puig", "AP"), ("anna.puig", "AP"), ("Anna Maria Puig i Serra", "AS"), ("x", "X"), ("", "?")],
)
def test_an_avatar_shows_first_letters(name: str, letters: str) -> None:
    assert ui.initials(name) == letters


def test_an_address_may_be_broken_before_its_at_and_nowhere_else() -> None:
    assert ui.breakable("a<b@c.example") == "a&lt;b<wbr>@c.example"


def test_a_badge_escapes_what_it_says() -> None:
    assert ui.badge("<b>", "ok", '"x"') == '<span class="badge ok" title="&quot;x&quot;">&lt;b&gt;</span>'


def heading(query: str) -> str:
    columns = (Column("name", "Name", ("name",)), Column("n", "Number", numeric=True))
    request = RequestFactory().get(f"/?{query}")
    order = sorting(request.GET, columns, default="name")
    template = Template("{% load ui %}{% for c in s.columns %}{% sort_heading c s %}{% endfor %}")
    return template.render(Context({"s": order, "request": request}))


def test_a_heading_sorts_the_other_way_when_it_sorts_already_and_keeps_the_filter() -> None:
    assert 'aria-sort="ascending"' in heading("q=x&page=3")
    assert 'href="?q=x&amp;sort=-name"' in heading("q=x&page=3")
    assert 'aria-sort="descending"' in heading("sort=-name")
    assert 'href="?sort=name"' in heading("sort=-name")
    assert "Number" in heading("")
    assert heading("").count("<a ") == 1
