"""The geometry of the drawings: everything inside, in proportion, and every failure marked."""

from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from crmsync_site.ui.charts import HEIGHT, LEFT, WIDTH, Span, stacked, timeline

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


@settings(deadline=None, max_examples=100)
@given(st.lists(st.integers(0, 10_000), max_size=12))
def test_parts_fill_the_bar_in_proportion(counts: list[int]) -> None:
    segments = stacked([(f"part {n}", "ok", count) for n, count in enumerate(counts)])
    assert len(segments) == sum(1 for count in counts if count)
    if segments:
        assert abs(sum(segment.width for segment in segments) - 100) < 0.1
        assert segments[0].x == 0


@settings(deadline=None, max_examples=100)
@given(
    st.lists(st.tuples(st.floats(0, 1), st.floats(0, 5000), st.booleans()), max_size=60),
    st.sampled_from([3, 24, 168, 20_000]),
)
def test_every_span_is_drawn_inside_and_no_failure_is_lost(spans: list[tuple[float, float, bool]], hours: int) -> None:
    since = NOON - timedelta(hours=hours)
    made = [
        Span(since + timedelta(hours=hours * place), seconds, "bad" if failed else "ok", failed, "")
        for place, seconds, failed in spans
    ]
    drawn = timeline(made, since=since, until=NOON)
    assert drawn.spans == len(made)
    assert bool([bar for bar in drawn.bars if bar.dot]) == any(failed for _place, _seconds, failed in spans)
    for bar in drawn.bars:
        assert bar.x >= LEFT
        assert bar.x + bar.width <= WIDTH
        assert 0 <= bar.y <= bar.y + bar.height <= HEIGHT + 0.01
        assert bar.x < bar.middle < bar.x + bar.width
    assert len(drawn.x_ticks) <= 9


def test_what_lies_outside_is_left_out_and_what_shares_a_column_is_counted() -> None:
    spans = [
        Span(NOON - timedelta(hours=30), 1, "ok", False, "too old"),
        Span(NOON, 2, "ok", False, "short"),
        Span(NOON - timedelta(seconds=1), 3, "bad", True, "failed"),
    ]
    drawn = timeline(spans, since=NOON - timedelta(hours=24), until=NOON)
    assert drawn.spans == 2
    assert [(bar.tone, bar.dot, bar.title) for bar in drawn.bars] == [("bad", True, "failed (+1)")]
    assert [tick.label for tick in drawn.y_ticks] == ["0 s", "2.5 s", "5 s"]


def test_axes_say_hours_within_a_day_and_days_within_a_week() -> None:
    day = timeline([], since=NOON - timedelta(hours=24), until=NOON)
    assert [tick.label for tick in day.x_ticks][:3] == ["15:00", "18:00", "21:00"]
    week = timeline([], since=NOON - timedelta(days=7), until=NOON)
    assert [tick.label for tick in week.x_ticks][:2] == ["16.11.", "17.11."]
    assert (
        timeline([Span(NOON, 400, "ok", False, "")], since=NOON - timedelta(hours=1), until=NOON)
        .y_ticks[-1]
        .label.endswith("min")
    )
