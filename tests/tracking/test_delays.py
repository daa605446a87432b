"""The delay from arrival to tracked: what is measured, over whose mail, and what is not."""

from datetime import timedelta

import pytest

from mailboxes.models import Mailbox
from tests import scene as scenes
from tracking.delays import STEPS, delays
from tracking.models import Activity


@pytest.fixture
def scene(organisation: scenes.Scene, db: None) -> scenes.Scene:
    scene = organisation.copy()
    Activity.objects.all().update(tracked_at=scene.now - timedelta(days=30))
    return scene


def arrive(scene: scenes.Scene, name: str, seconds: float, ago: timedelta = timedelta(minutes=20)) -> None:
    at = scene.now - ago
    made = scenes.add_message(scene, scene.thread, scene.boxes[name], 0, None, at=at - timedelta(seconds=seconds))
    Activity.objects.filter(pk=made.pk).update(tracked_at=at)


def test_percentiles_are_of_the_messages_in_the_window(scene: scenes.Scene) -> None:
    for seconds in (10, 20, 30, 100):
        arrive(scene, "anna", seconds)
    arrive(scene, "anna", 4000, timedelta(hours=5))
    hour, day, week = delays(scene.person("anna"), scene.now)
    assert (hour.messages, hour.p50, hour.longest) == (4, 25.0, 100.0)
    assert hour.p95 == pytest.approx(89.5)
    assert (day.messages, day.longest, week.messages) == (5, 4000.0, 5)
    assert dict(day.steps) == {30: 3, 60: 0, 120: 1, 300: 0, 720: 0, 3600: 0, None: 1}
    assert [end for end, _count in hour.steps] == [*STEPS, None]


def test_nothing_arrived_is_not_a_delay_of_nothing(scene: scenes.Scene) -> None:
    hour = delays(scene.person("anna"), scene.now)[0]
    assert (hour.messages, hour.p50, hour.p95, hour.longest) == (0, None, None, None)


def test_what_a_first_sync_fetched_was_never_late(scene: scenes.Scene) -> None:
    arrive(scene, "anna", 600)
    Mailbox.objects.filter(pk=scene.box.pk).update(created_at=scene.now - timedelta(minutes=25))
    assert delays(scene.person("anna"), scene.now)[0].messages == 0


def test_a_server_whose_clock_is_ahead_makes_no_negative_delay(scene: scenes.Scene) -> None:
    arrive(scene, "anna", -40)
    assert delays(scene.person("anna"), scene.now)[0].longest == 0


def test_each_person_sees_the_delays_of_the_mailboxes_they_see(scene: scenes.Scene) -> None:
    arrive(scene, "anna", 10)
    arrive(scene, "bruno", 10)
    counts = {name: delays(scene.person(name), scene.now)[0].messages for name in ("anna", "cleo", "dora", "emil")}
    assert counts == {"anna": 1, "cleo": 0, "dora": 2, "emil": 0}
