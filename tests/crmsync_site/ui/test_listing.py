"""What a query string may ask of a list, and that pages by key neither lose nor repeat a row."""

from datetime import UTC, datetime, timedelta

import pytest
from django.http import QueryDict
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from crmsync_site.ui.listing import Column, keyset, number_in, numbered, sorting, words
from tracking.models import Lead, Thread

COLUMNS = (Column("name", "Name", ("name",)), Column("company", "Company", ("company", "name")), Column("n", "Number"))
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("asked", "key", "descending"),
    [("", "name", True), ("company", "company", False), ("-company", "company", True), ("n", "name", True),
     ("password", "name", True), ("--name", "name", True)],
)  # fmt: skip
def test_only_sortable_columns_sort_and_anything_else_is_the_default(asked: str, key: str, descending: bool) -> None:
    found = sorting(QueryDict(f"sort={asked}"), COLUMNS, default="-name")
    assert (found.key, found.descending) == (key, descending)


@pytest.mark.django_db
def test_sorting_orders_rows_either_way() -> None:
    for name in ("b", "a", "c"):
        Lead.objects.create(name=name)
    upward = sorting({}, COLUMNS, default="name").apply(Lead.objects.all())
    downward = sorting({"sort": "-name"}, COLUMNS, default="name").apply(Lead.objects.all())
    assert [lead.name for lead in upward] == ["a", "b", "c"]
    assert [lead.name for lead in downward] == ["c", "b", "a"]


@pytest.mark.django_db
@pytest.mark.parametrize(("asked", "number"), [("", 1), ("2", 2), ("99", 3), ("x", 1), ("-1", 3), ("0", 3)])
def test_a_page_that_does_not_exist_is_the_nearest(asked: str, number: int) -> None:
    for n in range(5):
        Lead.objects.create(name=str(n))
    assert numbered({"page": asked}, Lead.objects.all(), size=2).number == number


@pytest.mark.parametrize(("asked", "found"), [("%00", ""), ("a%00b", "ab"), ("x" * 300, "x" * 200), ("", "")])
def test_words_are_what_a_database_takes_and_no_more_than_a_person_types(asked: str, found: str) -> None:
    assert words(QueryDict(f"q={asked}"), "q") == found
    assert words(QueryDict(""), "q") == ""


class Keyset(TestCase):
    """Pages by key over random times, many of them equal."""

    @settings(deadline=None, max_examples=30)
    @given(st.lists(st.integers(0, 6), max_size=17), st.integers(1, 5))
    def test_walking_down_and_up_again_meets_every_row_once(self, times: list[int], size: int) -> None:
        for at in times:
            moment = NOON + timedelta(minutes=at)
            Thread.objects.create(first_at=moment, last_at=moment)
        wanted = [thread.pk for thread in Thread.objects.order_by("-last_at", "-pk")]
        page = keyset({}, Thread.objects.all(), field="last_at", size=size)
        assert not page.newer
        down = [[row.pk for row in page.rows]]
        while page.older:
            page = keyset(QueryDict(page.older), Thread.objects.all(), field="last_at", size=size)
            down.append([row.pk for row in page.rows])
        up = [down[-1]]
        while page.newer:
            page = keyset(QueryDict(page.newer), Thread.objects.all(), field="last_at", size=size)
            up.insert(0, [row.pk for row in page.rows])
        assert [pk for rows in down for pk in rows] == wanted
        assert [pk for rows in up for pk in rows] == wanted


@pytest.mark.django_db
@pytest.mark.parametrize(
    "mark", ["x", "1", "1-", "-1", "1-x", "9" * 40 + "-1", "9" * 5000 + "-1", "1-" + "9" * 40, "١-١", "%00", "1e3-1"]
)
@pytest.mark.parametrize("way", ["before", "after"])
def test_a_mark_that_is_none_shows_the_first_page(mark: str, way: str) -> None:
    Thread.objects.create(first_at=NOON, last_at=NOON)
    page = keyset({way: mark}, Thread.objects.all(), field="last_at")
    assert len(page.rows) == 1
    assert not page.beside


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("17", 17),
        ("0", 0),
        ("", None),
        ("-1", None),
        ("1.5", None),
        ("٣", None),
        ("9" * 18, 10**18 - 1),
        ("9" * 19, None),
        ("9" * 5000, None),
    ],
)
def test_a_number_of_a_row_is_one_that_a_database_can_know(text, number):
    assert number_in(text) == number
