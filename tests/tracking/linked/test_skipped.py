"""The page *In step* says how many of each kind are left alone and why, and leads to exactly those."""

import csv
import html
import io
import re
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from mailboxes.models import Folder, Mailbox
from tests import scene as scenes
from tracking.decisions import reasons
from tracking.linked import skipped
from tracking.models import ItemDecision
from tracking.sync.facts import Reason

COUNTS = {
    "tasks": {"recurring_task": 3, "assigned_task": 2, "not_marked": 60},
    "contacts": {"distribution_list": 1, "not_marked": 1},
}


@pytest.fixture
def scene(organisation: scenes.Scene, db: None, client: Client) -> scenes.Scene:
    scene = organisation.copy()
    client.force_login(scene.person("anna"))
    ItemDecision.objects.filter(folder__role__in=["calendar", "contacts", "tasks"]).delete()
    for role in ("calendar", "contacts", "tasks"):
        folder = _folder(scene.box, role)
        for reason, count in COUNTS.get(role, {}).items():
            for n in range(count):
                ItemDecision.objects.create(
                    mailbox=scene.box, folder=folder, item_id=f"{role} {reason} {n}", outcome="refused", reason=reason,
                    decided_at=timezone.now(),
                )  # fmt: skip
        ItemDecision.objects.create(
            mailbox=scene.box, folder=folder, item_id=f"{role} kept", outcome="updated", reason="in_step",
            decided_at=timezone.now(),
        )  # fmt: skip
    return scene


def _folder(box: Mailbox, role: str) -> Folder:
    found, _made = Folder.objects.get_or_create(
        mailbox=box, role=role, defaults={"provider_id": role, "name": role.capitalize(), "in_step": True}
    )
    return found


def text(client: Client, address: str) -> str:
    answer: Any = client.get(address)
    assert answer.status_code == 200
    return html.unescape(" ".join(answer.content.decode().split()))


def section(client: Client, scene: scenes.Scene) -> str:
    page = text(client, f"/mailboxes/{scene.box.pk}/in-step/")
    return page.partition('id="skipped-title"')[2].partition("</section>")[0]


def test_each_kind_says_how_many_and_why_the_most_first(client: Client, scene: scenes.Scene) -> None:
    shown = section(client, scene)
    heads = re.findall(r"<h3>(\w+) <span[^>]*>(\d+)</span>", shown)
    assert heads == [("Appointment", "0"), ("Contact", "2"), ("Task", "65")]
    assert shown.count("Nothing is left alone.") == 1
    tasks = shown.partition("<h3>Task")[2]
    order = [
        tasks.index(str(reasons.SENTENCES[Reason(name)])) for name in ("not_marked", "recurring_task", "assigned_task")
    ]
    assert order == sorted(order)


def test_each_leads_to_exactly_its_list_on_the_page_and_as_csv(client: Client, scene: scenes.Scene) -> None:
    links = re.findall(r'href="(/mailboxes/\d+/decisions/)\?([^"]+)"[^>]*>Show (\d+)<', section(client, scene))
    assert len(links) == 5
    for address, query, count in links:
        rows = list(csv.reader(io.StringIO(client.get(f"{address}export/?{query}").getvalue().decode("utf-8-sig"))))
        found = {(row[1], row[2], row[4]) for row in rows[1:]}
        assert (len(rows) - 1, len(found)) == (int(count), 1)
        ((outcome, reason, folder),) = found
        page = text(client, f"{address}?{query}")
        assert outcome == "refused"
        assert page.count('<th scope="row">') == min(50, int(count))
        assert f"<strong>{folder}</strong>: {reasons.SENTENCES[Reason(reason)]}" in page
        # The next page is narrowed as this one is.
        assert ("reason=not_marked" in page.partition("decisions-table")[2]) is (int(count) > 50)


def test_what_there_is_not_narrows_nothing(client: Client, scene: scenes.Scene) -> None:
    everything = text(client, f"/mailboxes/{scene.box.pk}/decisions/").count('<th scope="row">')
    other = Folder.objects.exclude(mailbox=scene.box)[0]
    for query in ("reason=nonsense", "folder=x", "folder=999999999999999999999", f"folder={other.pk}", "folder=0"):
        page = text(client, f"/mailboxes/{scene.box.pk}/decisions/?{query}")
        assert page.count('<th scope="row">') == everything
        assert "Show all" not in page


def test_counting_is_one_query_however_many_there_are(scene: scenes.Scene, django_assert_num_queries: Any) -> None:
    person = scene.person("anna")
    # Its permissions are asked for once.
    skipped.skipped(person, scene.box)
    with django_assert_num_queries(1):
        found = skipped.skipped(person, scene.box)
    assert [one.count for one in found] == [0, 2, 65]


def test_who_may_not_see_the_mailbox_is_told_nothing(scene: scenes.Scene) -> None:
    stranger = scenes.make_person("stranger", "Some", "One")
    assert [one.count for one in skipped.skipped(stranger, scene.box)] == [0, 0, 0]
