"""The overview: counts that lead to exactly what they count, causes with remedies, and what to do when there is nothing."""

import html
import re
from datetime import timedelta

import pytest
from django.test import Client

from mailboxes import queries_overview
from mailboxes.models import Alert, LateGap, Mailbox, PromiseBucket, Run
from mailboxes.states import Outcome, State
from tests import scene as scenes


@pytest.fixture
def scene(organisation: scenes.Scene, db: None) -> scenes.Scene:
    return organisation.copy()


def page(client: Client, scene: scenes.Scene, username: str, address: str = "/") -> str:
    client.force_login(scene.person(username))
    answer = client.get(address)
    assert answer.status_code == 200
    return html.unescape(answer.content.decode())


def test_each_count_leads_to_a_list_of_exactly_that_many(client: Client, scene: scenes.Scene) -> None:
    counts = queries_overview.states(scene.person("fina"))
    assert sum(one.count for one in counts) == Mailbox.objects.count()
    for one in counts:
        listed = page(client, scene, "fina", one.url)
        assert len(re.findall(r"<tr id=.mailbox-", listed)) == one.count, one.url


def test_causes_are_grouped_and_lead_to_the_mailboxes_they_hold_up(client: Client, scene: scenes.Scene) -> None:
    server = scene.boxes["karim.haddad"].server
    for name in ("gerard.soler", "paula.vila"):
        box = scene.boxes[name]
        Mailbox.objects.filter(pk=box.pk).update(server=server, issue_code="unreachable", state=State.UNREACHABLE)
        Alert.objects.create(code="unreachable", mailbox=box, since=scene.now, seen_at=scene.now)
    causes = queries_overview.causes(scene.person("fina"))
    worst = causes[0]
    assert (worst.issue.code, worst.place, worst.mailboxes) == ("unreachable", server.name, 3)
    assert len(re.findall(r"<tr id=.mailbox-", page(client, scene, "fina", worst.url))) == 3
    shown = page(client, scene, "fina")
    assert worst.issue.sentence in shown
    assert worst.issue.remedy in shown
    assert worst.issue.who in shown


def test_a_resolved_alert_is_gone(scene: scenes.Scene) -> None:
    Alert.objects.update(resolved_at=scene.now)
    assert queries_overview.causes(scene.person("fina")) == []


def test_an_owner_sees_their_own_mailbox_and_what_is_wrong_with_its_server(client: Client, scene: scenes.Scene) -> None:
    Alert.objects.create(code="certificate_expired", server=scene.box.server, since=scene.now, seen_at=scene.now)
    shown = page(client, scene, "anna")
    assert "1 mailbox" in shown
    assert "Needs attention" in shown
    assert [cause.issue.code for cause in queries_overview.causes(scene.person("anna"))] == ["certificate_expired"]
    assert scene.boxes["bruno"].address not in shown
    # Figures over everybody's mailboxes are for those who see them all.
    assert "Promise kept" not in shown


def test_the_promise_is_shown_with_the_gaps_behind_it(client: Client, scene: scenes.Scene) -> None:
    PromiseBucket.objects.all().delete()
    PromiseBucket.objects.create(begins_at=scene.now - timedelta(minutes=10), gaps=200, kept=199)
    shown = page(client, scene, "dora")
    assert "99.50 %" in shown
    assert "199 of 200 intervals within the bound" in shown


def test_nothing_measured_is_not_called_kept(client: Client, scene: scenes.Scene) -> None:
    PromiseBucket.objects.all().delete()
    assert page(client, scene, "dora").count("Nothing measured yet.") == 3


@pytest.mark.parametrize(("ratio", "tone"), [(None, "off"), (1.0, "ok"), (0.98, "warn"), (0.5, "bad")])
def test_the_less_of_the_promise_is_kept_the_louder_it_is_shown(ratio: float | None, tone: str) -> None:
    assert queries_overview._kept_tone(ratio) == tone


def test_the_longest_waits_are_named_with_their_cause(client: Client, scene: scenes.Scene) -> None:
    LateGap.objects.create(
        mailbox=scene.box, since=scene.now - timedelta(hours=3), until=scene.now - timedelta(hours=1), bound_s=720,
        cause="server_busy",
    )  # fmt: skip
    shown = page(client, scene, "fina")
    assert re.search(r"2 h</strong>\s*<span class=.faint.>instead of 12 min", shown)
    assert "Exchange asked us to wait" in shown


def test_volume_counts_what_runs_of_the_last_day_did(scene: scenes.Scene) -> None:
    Run.objects.all().delete()
    for age, tracked in ((1, 2), (30, 50)):
        at = scene.now - timedelta(hours=age)
        Run.objects.create(
            mailbox=scene.box, claimed_at=at, started_at=at, heartbeat_at=at, finished_at=at, outcome=Outcome.DONE,
            examined=tracked + 4, tracked=tracked, refused={"internal": 3}, quarantined=1,
        )  # fmt: skip
    assert queries_overview.volume(scene.person("anna"), scene.now) == queries_overview.Volume(1, 2, 3, 1)


def test_an_owner_without_mailbox_is_told_who_can_help(client: Client, scene: scenes.Scene) -> None:
    shown = page(client, scene, "cleo")
    assert "No mailbox of yours is connected" in shown
    assert "manage.py" not in shown
