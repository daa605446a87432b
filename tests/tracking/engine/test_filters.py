"""Filters: what may be asked, and that one record in memory and the whole table give the same answer."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mailboxes.provider.entries import EntryKind
from security.models import User
from tracking.engine.filter_queries import COLUMNS, as_q
from tracking.models import Task
from tracking.sync.filters import (
    BARE,
    OPERATORS,
    Asker,
    Condition,
    FilterWrong,
    Group,
    Holds,
    Operator,
    Scalar,
    chosen,
    matches,
    read,
    write,
)

TODAY = date(2026, 3, 2)
NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
ASKER = Asker(user_id=1, now=NOW, today=TODAY)
CASES = COLUMNS[EntryKind.TASK]


def where(column, operator, value=None):
    """Return a filter of one condition as JSON."""
    return {"any": False, "parts": [{"column": column, "operator": operator, "value": value}]}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (None, "list of parts"),
        ({"parts": "x"}, "list of parts"),
        (where("secret", "is", "x"), "no column 'secret'"),
        (where("subject", "sounds_like", "x"), "no condition 'sounds_like'"),
        (where("subject", "at_least", "x"), "cannot be asked"),
        (where("subject", "contains", "  "), "is no value"),
        (where("subject", "is", 3), "is no value"),
        (where("due_date", "is", "soon"), "no day"),
        (where("due_date", "next_days", -1), "number of days"),
        (where("due_date", "next_days", True), "number of days"),
        (where("percent_complete", "is", True), "is no value"),
        ({"parts": [3]}, "no column 3"),
        ({"parts": [{"parts": [{"parts": [{"parts": [{"parts": []}]}]}]}]}, "too deep"),
    ],
)
def test_a_filter_that_cannot_be_asked_says_why(data, message):
    with pytest.raises(FilterWrong, match=message):
        read(data, CASES)


def test_all_any_and_groups():
    big = Condition("percent_complete", Operator.AT_LEAST, 50)
    mine = Condition("owner", Operator.IS_ME)
    record: dict[str, Scalar] = {"percent_complete": 60, "owner": 2}
    assert matches(Group((big,)), record, ASKER)
    assert not matches(Group((big, mine)), record, ASKER)
    assert matches(Group((big, mine), any=True), record, ASKER)
    assert matches(Group((Group((mine,)), Group((big,))), any=True), record, ASKER)
    assert matches(Group(), record, ASKER)
    assert matches(Group(any=True), record, ASKER)


def test_s16_a_system_filter_narrows_what_an_owners_filter_lets_through():
    mine, open_ones = Group((Condition("owner", Operator.IS_ME),)), Group((Condition("status", Operator.IS, "open"),))
    done: dict[str, Scalar] = {"owner": 1, "status": "done"}
    assert not chosen(done, [mine], [], [open_ones], ASKER)
    assert chosen({**done, "status": "OPEN"}, [mine], [], [open_ones], ASKER)
    assert not chosen({**done, "status": "open"}, [mine], [open_ones], [], ASKER)
    assert not chosen({**done, "status": "open"}, [], [], [], ASKER)


def _condition(column):
    holds = CASES[column]
    texts = st.text(st.sampled_from("aAßẞéÉiIİıσς%_\\ "), min_size=1, max_size=3).filter(lambda text: text.strip())
    value_of = {
        Holds.TEXT: texts,
        Holds.CHOICE: texts,
        Holds.NUMBER: st.integers(0, 100),
        Holds.DAY: st.dates(TODAY - timedelta(days=3), TODAY + timedelta(days=3)),
    }

    def build(operator):
        if operator in BARE:
            return st.just(Condition(column, operator))
        if operator in (Operator.LAST_DAYS, Operator.NEXT_DAYS):
            return st.builds(Condition, st.just(column), st.just(operator), st.integers(0, 3))
        return st.builds(Condition, st.just(column), st.just(operator), value_of[holds].map(_stripped))

    return st.sampled_from(OPERATORS[holds]).flatmap(build)


def _stripped(value):
    return value.strip() if isinstance(value, str) else value


ASKED = ("subject", "due_date", "percent_complete", "owner", "status")
trees = st.recursive(
    st.builds(
        Group,
        st.lists(st.sampled_from(ASKED).flatmap(_condition), min_size=1, max_size=3).map(tuple),
        any=st.booleans(),
    ),
    lambda inner: st.builds(Group, st.lists(inner, min_size=1, max_size=2).map(tuple), any=st.booleans()),
    max_leaves=3,
)


@given(tree=trees)
def test_a_filter_is_stored_and_read_again(tree):
    assert read(write(tree), CASES, depth=9) == tree


@pytest.mark.django_db
@given(
    tree=trees,
    subject=st.text(st.sampled_from("aAßẞéÉiIİıσς%_\\ "), max_size=4),
    due=st.none() | st.dates(TODAY - timedelta(days=4), TODAY + timedelta(days=4)),
    percent=st.integers(0, 100),
    mine=st.sampled_from([True, False, None]),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_one_record_and_the_whole_table_answer_alike(tree, subject, due, percent, mine):
    me, _made = User.objects.get_or_create(username="me")
    other, _made = User.objects.get_or_create(username="other")
    owner = {True: me, False: other, None: None}[mine]
    task = Task.objects.create(subject=subject, due_date=due, percent_complete=percent, owner=owner)
    asker = Asker(me.pk, NOW, TODAY)
    record = {"subject": subject, "due_date": due, "percent_complete": percent, "status": task.status}
    found = Task.objects.filter(as_q(tree, CASES, asker), pk=task.pk).exists()
    assert found is matches(tree, {**record, "owner": owner.pk if owner else None}, asker)
    task.delete()
