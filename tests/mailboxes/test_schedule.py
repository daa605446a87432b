"""The interval between two syncs of a mailbox: its properties, and what it looks like over a day."""

import pytest
from django.utils import translation
from hypothesis import given
from hypothesis import strategies as st

from mailboxes.schedule import Bounds, Interval, Reason, in_words, next_interval, remember

NOW = 1_800_000_000.0

jitters = st.floats(-1, 1)
pairs = st.tuples(st.floats(NOW - 90_000, NOW + 600), st.integers(0, 500))
arrivals = st.lists(pairs, max_size=30)


@st.composite
def bounds(draw):
    return Bounds(*sorted(draw(st.lists(st.integers(30, 7200), min_size=3, max_size=3))))


def interval(arrived, *, backlog=False, jitter=0.0, limits=None, now=NOW) -> Interval:
    return next_interval(arrived, backlog=backlog, bounds=limits or Bounds(), now=now, jitter=jitter)


@given(arrivals, st.booleans(), bounds(), st.floats(-5, 5))
def test_s8_an_interval_is_always_within_its_bounds_whatever_the_jitter(arrived, backlog, limits, jitter):
    seconds = interval(arrived, backlog=backlog, limits=limits, jitter=jitter).seconds
    assert limits.shortest <= seconds <= limits.longest


@given(arrivals, st.tuples(st.floats(NOW - 90_000, NOW + 600), st.integers(1, 500)), bounds(), jitters)
def test_s8_more_arrivals_never_lengthen_an_interval(arrived, more, limits, jitter):
    before = interval(arrived, limits=limits, jitter=jitter).seconds
    assert interval([*arrived, more], limits=limits, jitter=jitter).seconds <= before


@given(st.lists(pairs, min_size=1, max_size=30), st.data(), bounds(), jitters)
def test_s8_larger_arrivals_never_lengthen_an_interval(arrived, data, limits, jitter):
    at = data.draw(st.integers(0, len(arrived) - 1))
    larger = list(arrived)
    larger[at] = (arrived[at][0], arrived[at][1] + data.draw(st.integers(1, 50)))
    assert (
        interval(larger, limits=limits, jitter=jitter).seconds
        <= interval(arrived, limits=limits, jitter=jitter).seconds
    )


@given(arrivals, st.booleans(), bounds(), jitters)
def test_s8_an_interval_is_deterministic_and_blind_to_the_order_of_arrivals(arrived, backlog, limits, jitter):
    one = interval(arrived, backlog=backlog, limits=limits, jitter=jitter)
    other = interval(arrived[::-1], backlog=backlog, limits=limits, jitter=jitter)
    assert one.reason.code == other.reason.code
    assert abs(one.seconds - other.seconds) <= 1  # sums of floats depend on their order in the last digit
    assert one == interval(arrived, backlog=backlog, limits=limits, jitter=jitter)


@given(arrivals, bounds(), jitters, st.floats(0, 7200))
def test_s8_waiting_longer_in_silence_never_shortens_an_interval(arrived, limits, jitter, wait):
    past = [pair for pair in arrived if pair[0] <= NOW]
    first = interval(past, limits=limits, jitter=jitter).seconds
    assert interval(past, limits=limits, jitter=jitter, now=NOW + wait).seconds >= first


def test_s8_a_mailbox_begins_with_five_minutes():
    assert interval([]) == Interval(300, Reason("start"))


def test_s8_mail_that_arrives_fast_leads_to_two_minutes():
    assert interval([(NOW, 12)]).seconds == 120
    assert interval([(NOW, 12)]).reason == Reason("arriving", {"messages": 12})


def test_s8_a_backlog_leads_to_two_minutes():
    assert interval([], backlog=True, jitter=1.0) == Interval(120, Reason("backlog"))


def test_s8_silence_stretches_the_interval_to_twelve_minutes_and_no_further():
    watched = [(NOW, 0)]
    stretched = [interval(watched, now=NOW + minutes * 60).seconds for minutes in (0, 15, 30, 60, 600)]
    assert stretched == [300, 405, 510, 720, 720]
    assert interval(watched, now=NOW + 1800).reason == Reason("quiet", {"minutes": 30})


def test_s8_one_message_in_a_quiet_mailbox_shortens_the_interval_at_once():
    quiet = [(NOW - 7200, 0)]
    assert interval(quiet).seconds == 720
    assert interval([*quiet, (NOW, 1)]).seconds < 300


def test_jitter_spreads_mailboxes_that_became_due_together():
    assert len({interval([], jitter=jitter / 10).seconds for jitter in range(-10, 11)}) == 21


def test_bounds_out_of_order_are_refused():
    with pytest.raises(ValueError, match="out of order"):
        Bounds(300, 120, 720)


def test_reasons_survive_storage_and_are_put_into_words_by_the_reader():
    reason = Reason("quiet", {"minutes": 42})
    assert Reason.parse(str(reason)) == reason
    assert Reason.parse("start") == Reason("start")
    with translation.override("en"):
        assert in_words(str(reason)) == "quiet for 42 minutes"
    assert in_words("") == ""


def test_a_quiet_mailbox_remembers_one_pair_however_often_it_is_looked_at():
    stored = remember([], at=NOW, arrived=0)
    assert stored == [[int(NOW), 0]]
    assert remember(stored, at=NOW + 300, arrived=0) is None


def test_arrivals_replace_what_was_known_of_silence():
    assert remember([[int(NOW), 0]], at=NOW + 300, arrived=4) == [[int(NOW) + 300, 4]]


@given(st.lists(st.tuples(st.integers(60, 900), st.integers(0, 4)), max_size=60))
def test_what_is_remembered_leads_to_the_interval_that_everything_would_lead_to(steps):
    stored, everything, now = [], [], NOW
    for seconds, arrived in steps:
        now += seconds
        everything.append((float(int(now)), arrived))
        changed = remember(stored, at=now, arrived=arrived)
        stored = stored if changed is None else changed
        assert abs(interval(stored, now=now).seconds - interval(everything, now=now).seconds) <= 2
        assert len([pair for pair in stored if pair[1] == 0]) <= 1
