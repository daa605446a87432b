"""The page of a mailbox and its runs."""

import csv
import io
import re
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from mailboxes import queries_page
from mailboxes.models import Folder, Mailbox, Run, ServerProfile
from mailboxes.provider.port import FolderRole
from mailboxes.states import Outcome, State, Trigger
from tests import scene as scenes


@pytest.fixture
def scene(organisation: scenes.Scene, db: None, client: Client) -> scenes.Scene:
    scene = organisation.copy()
    client.force_login(scene.person("fina"))
    return scene


def shown(client: Client, scene: scenes.Scene, rest: str = "", name: str = "anna") -> str:
    answer = client.get(f"/mailboxes/{scene.boxes[name].pk}/{rest}")
    assert answer.status_code == 200
    return answer.content.decode()


def test_it_says_when_the_next_run_is_and_why(client: Client, scene: scenes.Scene) -> None:
    page = shown(client, scene)
    assert "Interval 5 min: quiet for 14 minutes" in page
    assert "2 min, usually 5 min, at most 12 min" in page


def test_runs_are_drawn_and_failures_marked(client: Client, scene: scenes.Scene) -> None:
    page = shown(client, scene)
    drawn = queries_page.drawn(Run.objects.filter(mailbox=scene.box), window=timedelta(hours=24), now=timezone.now())
    assert page.count("<circle") == sum(bar.dot for bar in drawn.bars) > 0
    assert 'role="img"' in page
    assert " style=" not in page


@pytest.mark.parametrize("window", ["3h", "24h", "7d", "nonsense"])
def test_the_time_that_is_drawn_can_be_chosen(client: Client, scene: scenes.Scene, window: str) -> None:
    page = shown(client, scene, f"?window={window}")
    chosen = window if window in queries_page.WINDOWS else "24h"
    assert f'href="?window={chosen}" aria-current="true"' in page


def test_a_run_under_way_is_drawn_up_to_now(scene: scenes.Scene) -> None:
    box = scene.boxes["helena.costa"]
    now = timezone.now() + timedelta(seconds=30)
    drawn = queries_page.drawn(Run.objects.filter(mailbox=box, finished_at=None), window=timedelta(hours=3), now=now)
    assert [bar.tone for bar in drawn.bars] == ["busy"]
    row = queries_page.run_rows(list(Run.objects.filter(mailbox=box, finished_at=None)))[0]
    assert row.seconds is None


@pytest.mark.parametrize(
    ("counters", "words"),
    [
        (True, "one request: the server has change counters"),
        (False, "3 requests, one per followed folder: the server has no change counters"),
        (None, "not known yet whether the server has change counters"),
    ],
)
def test_it_says_what_an_idle_run_costs_on_this_server(
    client: Client, scene: scenes.Scene, counters: bool | None, words: str
) -> None:
    ServerProfile.objects.filter(pk=scene.box.server_id).update(counters=counters)
    assert words in shown(client, scene)


def test_folders_are_shown_with_their_counts_and_where_they_stand(client: Client, scene: scenes.Scene) -> None:
    inbox = Folder.objects.get(mailbox=scene.box, role=FolderRole.INBOX)
    assert "up to date" in shown(client, scene)
    Folder.objects.filter(pk=inbox.pk).update(listing_before=scene.now)
    assert "Its cursor had expired" in shown(client, scene)
    Folder.objects.filter(pk=inbox.pk).update(
        listing_before=None, more=True, issue_code="folder_gone", gone_at=scene.now
    )
    page = shown(client, scene)
    assert "reading on" in page
    assert "gone <time" in page
    Folder.objects.filter(pk=inbox.pk).update(more=False, synced_at=None)
    assert "not read yet" in shown(client, scene)


def test_what_a_folder_still_waits_for_is_what_no_decision_covers() -> None:
    folder = Folder(total=10, tracked=3, refused=4, quarantined=1)
    assert queries_page.FolderRow(folder, None).waiting == 2
    assert queries_page.FolderRow(Folder(total=None), None).waiting is None


def test_an_issue_is_said_with_cause_remedy_and_who_can_act(client: Client, scene: scenes.Scene) -> None:
    page = shown(client, scene, name="sales")
    row = queries_page.header(scene.boxes["sales"], scene.now)
    assert row.issue
    for words in (row.issue.sentence, row.issue.cause, row.issue.remedy, row.issue.who):
        assert words in page


def test_errors_of_late_are_grouped_with_their_remedy(client: Client, scene: scenes.Scene) -> None:
    found = queries_page.failures(Run.objects.filter(mailbox=scene.box))
    failed = Run.objects.filter(mailbox=scene.box, outcome=Outcome.FAILED)
    assert [(one.issue.code, one.times) for one in found] == [("unreachable", failed.count())]
    assert found[0].last == failed.order_by("-claimed_at")[0].claimed_at
    assert "connection refused" in shown(client, scene)


def test_a_mailbox_that_never_ran_says_so(client: Client, scene: scenes.Scene) -> None:
    box = scenes.make_mailbox(
        scene.now,
        "new@x.example",
        scene.box.server,
        scene.person("anna"),
        scene.box.sync_profile,
        State.NEVER_TESTED,
        "pending",
    )
    page = client.get(f"/mailboxes/{box.pk}/").content.decode()
    for words in (
        "No run has succeeded yet",
        "No run in this time.",
        "None yet: folders are found by the first run.",
        "Not scheduled",
        "No run of this mailbox has failed.",
    ):
        assert words in page
    assert "No run to show" in client.get(f"/mailboxes/{box.pk}/runs/").content.decode()


def test_the_head_comes_back_only_when_it_changed_and_tells_the_rest_of_the_page(
    client: Client, scene: scenes.Scene
) -> None:
    key = re.search(r"live/\?row=([^\"]+)", shown(client, scene))
    assert key
    address = f"/mailboxes/{scene.box.pk}/live/?row={key[1]}"
    assert client.get(address).status_code == 204
    Mailbox.objects.filter(pk=scene.box.pk).update(state=State.RUNNING)
    answer = client.get(address)
    assert answer["HX-Trigger"] == "mailbox-changed"
    assert "running" in answer.content.decode()


def test_the_button_is_shown_to_those_who_may_press_it(client: Client, scene: scenes.Scene) -> None:
    assert "Sync now" in shown(client, scene)
    client.force_login(scene.person("dora"))
    assert f'action="/mailboxes/{scene.box.pk}/sync/"' not in shown(client, scene)


def test_runs_are_listed_newest_first_and_paged(client: Client, scene: scenes.Scene) -> None:
    first = shown(client, scene, "runs/")
    assert first.count('<th scope="row">') == 50
    older = re.search(r'href="\?(before=[^"]+)"', first)
    assert older
    second = shown(client, scene, f"runs/?{older[1]}")
    assert second.count('<th scope="row">') == 50
    assert "Newest</a>" in second


def test_runs_can_be_narrowed_to_those_with_something_to_do_or_to_an_outcome(
    client: Client, scene: scenes.Scene
) -> None:
    failed = Run.objects.filter(mailbox=scene.box, outcome=Outcome.FAILED).count()
    assert shown(client, scene, "runs/?outcome=failed").count('<th scope="row">') == failed
    busy = shown(client, scene, "runs/?outcome=busy")
    assert busy.count('<th scope="row">') == min(
        50, Run.objects.filter(mailbox=scene.box, examined__gt=0).count() + failed
    )
    assert client.get(f"/mailboxes/{scene.box.pk}/runs/?outcome=nonsense").status_code == 200


def test_the_csv_of_runs_holds_them_all(client: Client, scene: scenes.Scene) -> None:
    Run.objects.create(
        mailbox=scene.box, claimed_at=scene.now, heartbeat_at=scene.now, finished_at=scene.now, outcome=Outcome.DONE,
        trigger=Trigger.COMMAND, examined=7, tracked=2, refused={"internal": 4, "draft": 1},
    )  # fmt: skip
    answer = client.get(f"/mailboxes/{scene.box.pk}/runs/export/")
    rows = list(csv.DictReader(io.StringIO(answer.getvalue().decode("utf-8-sig"))))
    assert len(rows) == Run.objects.filter(mailbox=scene.box).count()
    assert (rows[0]["refused"], rows[0]["started by"], rows[0]["started"]) == ("5", "command", "–")
