"""The list of mailboxes: filter, sort, page, CSV, and rows that change by themselves."""

import csv
import html
import io
import re
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from mailboxes import queries_list
from mailboxes.models import Mailbox
from mailboxes.states import Intent, State
from tests import scene as scenes


@pytest.fixture
def scene(organisation: scenes.Scene, db: None, client: Client) -> scenes.Scene:
    scene = organisation.copy()
    client.force_login(scene.person("fina"))
    return scene


def listed(client: Client, query: str = "") -> list[str]:
    answer = client.get(f"/mailboxes/?{query}")
    assert answer.status_code == 200
    return re.findall(r'id="mailbox-\d+-link" href="[^"]+">([^<]+)<wbr>', answer.content.decode())


@pytest.mark.parametrize(
    ("query", "who"),
    [
        ("q=puig", ["anna.puig"]),
        ("q=Anna+puig", ["anna.puig"]),
        ("q=anna+bruno", []),
        ("state=throttled", ["julia.bosch"]),
        ("intent=paused", ["lluc.marti"]),
        ("issue=sign_in_refused", ["sales"]),
        ("intent=on&state=running", ["helena.costa"]),
    ],
)
def test_a_filter_narrows_the_list(client: Client, scene: scenes.Scene, query: str, who: list[str]) -> None:
    assert listed(client, query) == who


def test_a_filter_by_server_narrows_to_its_mailboxes(client: Client, scene: scenes.Scene) -> None:
    server = scene.boxes["ignasi.prat"].server
    expected = Mailbox.objects.filter(server=server).count()
    assert len(listed(client, f"server={server.pk}")) == expected


@pytest.mark.parametrize("query", ["state=nonsense", "server=999999", "server=x", "issue=%00", "page=x", "sort=secret"])
def test_nonsense_in_the_query_string_is_harmless(client: Client, scene: scenes.Scene, query: str) -> None:
    assert client.get(f"/mailboxes/?{query}").status_code == 200


def test_a_filter_that_fits_nothing_says_so_and_offers_to_clear_it(client: Client, scene: scenes.Scene) -> None:
    shown = client.get("/mailboxes/?q=zzz").content.decode()
    assert "No mailbox fits this filter" in shown
    assert 'href="/mailboxes/"' in shown


def test_an_owner_of_nothing_reads_where_to_begin(client: Client, scene: scenes.Scene) -> None:
    client.force_login(scene.person("cleo"))
    assert "No mailbox yet" in client.get("/mailboxes/").content.decode()


def test_the_list_sorts_by_what_its_headings_offer(client: Client, scene: scenes.Scene) -> None:
    up, down = listed(client, "sort=address"), listed(client, "sort=-address")
    assert up == sorted(up)
    assert down == up[::-1]
    due = listed(client, "sort=due")
    waiting = [box.address.split("@")[0] for box in Mailbox.objects.filter(due_at=None)]
    assert set(due[-len(waiting) :]) == set(waiting), "what is not due comes last"


def test_the_list_is_paged_and_keeps_its_filter_while_paging(client: Client, scene: scenes.Scene) -> None:
    for n in range(60):
        scenes.make_mailbox(
            scene.now, f"page{n:02}@x.example", scene.box.server, scene.person("anna"), scene.box.sync_profile
        )
    first = client.get("/mailboxes/?q=page").content.decode()
    assert "1 to 50 of 60" in html.unescape(first)
    assert 'href="?q=page&page=2"' in html.unescape(first)
    assert listed(client, "q=page&page=2") == [f"page{n}" for n in range(50, 60)]


def test_the_csv_holds_all_pages_as_filtered_and_sorted(client: Client, scene: scenes.Scene) -> None:
    answer = client.get("/mailboxes/export/?intent=on&sort=-address")
    rows = list(csv.DictReader(io.StringIO(answer.getvalue().decode("utf-8-sig"))))
    addresses = [row["address"] for row in rows]
    assert addresses == sorted(Mailbox.objects.filter(intent=Intent.ON).values_list("address", flat=True), reverse=True)
    anna = next(row for row in rows if row["address"] == scene.box.address)
    assert (anna["owner"], anna["state"], anna["interval, s"]) == ("Anna Puig", "idle", "300")
    assert int(anna["tracked, 24 h"]) > 0


def test_a_row_says_how_far_a_first_sync_is_and_until_when_a_mailbox_waits(client: Client, scene: scenes.Scene) -> None:
    shown = client.get("/mailboxes/").content.decode()
    assert re.search(r"first sync \(\d+ %\)", shown)
    assert re.search(r"throttled until \d\d:\d\d", shown)
    assert "paused until" in shown


def row_keys(client: Client) -> list[str]:
    return re.findall(r'data-live-row="([^"]+)"', client.get("/mailboxes/").content.decode())


def test_only_rows_that_changed_come_back(client: Client, scene: scenes.Scene) -> None:
    keys = row_keys(client)
    assert client.get("/mailboxes/live/", {"row": keys}).status_code == 204
    Mailbox.objects.filter(pk=scene.box.pk).update(state=State.UNREACHABLE)
    changed = client.get("/mailboxes/live/", {"row": keys}).content.decode()
    assert re.findall(r'<tr id="mailbox-(\d+)"', changed) == [str(scene.box.pk)]
    assert 'hx-swap-oob="true"' in changed
    assert f"{scene.box.address}: unreachable." in changed


def test_many_changes_are_announced_as_a_number(client: Client, scene: scenes.Scene) -> None:
    keys = row_keys(client)
    Mailbox.objects.update(state=State.DEGRADED)
    assert "mailboxes have changed." in client.get("/mailboxes/live/", {"row": keys}).content.decode()


def test_a_stranger_to_a_mailbox_learns_nothing_by_asking_for_its_row(client: Client, scene: scenes.Scene) -> None:
    client.force_login(scene.person("anna"))
    assert client.get("/mailboxes/live/", {"row": [f"{scene.boxes['bruno'].pk}-0"]}).status_code == 204


@pytest.mark.parametrize("row", ["", "x", "-", "1", "99999999999999999999-x", "1-\x00"])
def test_row_keys_that_are_none_are_left_out(client: Client, scene: scenes.Scene, row: str) -> None:
    client.force_login(scene.person("cleo"))
    assert client.get("/mailboxes/live/", {"row": [row]}).status_code == 204


def test_a_secret_that_cannot_be_read_does_not_take_the_pages_down(client: Client, scene: scenes.Scene) -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE mailboxes_serverprofile SET secret = 'gAAAA-broken'")
        cursor.execute("UPDATE mailboxes_mailbox SET secret = 'gAAAA-broken'")
    for address in ("/", "/mailboxes/", f"/mailboxes/{scene.box.pk}/", "/mailboxes/export/", "/threads/"):
        assert client.get(address).status_code == 200, address
    assert scene.thread
    assert client.get(f"/threads/{scene.thread.pk}/").status_code == 200
    assert client.post(f"/mailboxes/{scene.box.pk}/sync/").status_code == 302


def test_a_time_of_another_day_is_said_with_its_date() -> None:
    now = timezone.now()
    assert re.fullmatch(r"\d\d:\d\d", queries_list.clock(now))
    assert re.fullmatch(r"\d+ [A-Z][a-z]{2} \d\d:\d\d", queries_list.clock(now + timedelta(days=40)))
