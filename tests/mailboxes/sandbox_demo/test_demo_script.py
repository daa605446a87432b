"""The authored format: what authors may write, and what they are told when it is wrong."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from mailboxes.sandbox.demo.script import moment, parse_story, read_stories

STORY = """A remark to the reader.

=== one
from: anke
to: helena, marta
when: 2 09:00
subject: Hello: there
attach: pdf | a.pdf | text: with colon
as: html, flowed

First paragraph.

Second paragraph.

=== two
from: helena
to: anke
when: 1 09:00
re: one
folder: marta=inbox/Nordwerk

Yes.
"""


def test_a_story_becomes_letters() -> None:
    one, two = parse_story(STORY, "story.txt")
    assert (one.key, one.sender, one.to, one.subject) == ("one", "anke", ("helena", "marta"), "Hello: there")
    assert one.attach == ("pdf | a.pdf | text: with colon",)
    assert one.traits == {"html", "flowed"}
    assert one.body == "First paragraph.\n\nSecond paragraph."
    assert (two.answers, two.parent, dict(two.folders)) == ("one", "one", {"marta": "inbox/Nordwerk"})


def test_an_unknown_field_is_named() -> None:
    with pytest.raises(ValueError, match=r"story\.txt: letter 'one' has an unknown line 'form: anke'"):
        list(parse_story(STORY.replace("from: anke", "form: anke"), "story.txt"))


def test_a_key_used_twice_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(STORY)
    (tmp_path / "b.txt").write_text(STORY)
    with pytest.raises(ValueError, match="'one' exists twice"):
        read_stories(tmp_path)


def test_an_answer_to_nothing_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(STORY.replace("re: one", "re: none"))
    with pytest.raises(ValueError, match="no letter 'none'"):
        read_stories(tmp_path)


@pytest.mark.parametrize(
    ("when", "zone", "expected"),
    [
        ("1 09:00", "Europe/Madrid", "2026-03-06T08:00"),  # Monday: one working day back is Friday
        ("6 09:00", "Asia/Tokyo", "2026-02-27T00:00"),
        ("+5 23:30", "Europe/Athens", "2026-03-16T21:30"),
        ("25m", "Asia/Tokyo", "2026-03-09T09:35"),
        ("3h", "Asia/Tokyo", "2026-03-09T07:00"),
    ],
)
def test_times_count_working_days_from_now(when: str, zone: str, expected: str) -> None:
    monday = datetime(2026, 3, 9, 10, 0, tzinfo=UTC)
    assert moment(when, zone, monday) == datetime.fromisoformat(expected).replace(tzinfo=UTC)


def test_local_times_follow_daylight_saving() -> None:
    summer = datetime(2026, 4, 1, 10, 0, tzinfo=UTC)
    assert moment("1 09:00", "Europe/Madrid", summer).hour == 7
    assert moment("5 09:00", "Europe/Madrid", summer).hour == 8
