"""Tracking's pages of a mailbox: decisions, failed items, *Sync now*."""

import csv
import html
import io
import re
from datetime import timedelta
from unittest.mock import patch

import pytest
from django.contrib.messages import get_messages
from django.test import Client
from redis import ConnectionError as RedisGone

from mailboxes.models import Mailbox, Run
from mailboxes.states import Intent, Outcome, Trigger
from tests import scene as scenes
from tracking import actions
from tracking.models import ItemDecision, ItemFailure, Reconciliation


@pytest.fixture
def scene(organisation: scenes.Scene, db: None, client: Client) -> scenes.Scene:
    scene = organisation.copy()
    client.force_login(scene.person("anna"))
    return scene


def page(client: Client, scene: scenes.Scene, rest: str, **headers: str) -> str:
    answer = client.get(f"/mailboxes/{scene.box.pk}/{rest}", headers=headers)
    assert answer.status_code == 200
    return html.unescape(answer.content.decode())


def test_s24_a_refusal_shows_when_and_why_and_nothing_of_the_mail(client: Client, scene: scenes.Scene) -> None:
    shown = page(client, scene, "decisions/?outcome=refused")
    assert "Refused, because only colleagues take part" in shown
    assert "/threads/" not in shown.partition('id="decisions-table"')[2].partition("</table>")[0]


def test_a_decision_to_track_leads_to_the_message_for_who_may_read_it(client: Client, scene: scenes.Scene) -> None:
    tracked = ItemDecision.objects.filter(mailbox=scene.box, activity__isnull=False)[0]
    assert tracked.activity
    link = f'href="/threads/{tracked.activity.thread_id}/#message-{tracked.activity_id}"'
    assert link in page(client, scene, "decisions/?outcome=tracked")
    client.force_login(scene.person("dora"))
    assert link not in page(client, scene, "decisions/?outcome=tracked")


@pytest.mark.parametrize("outcome", [*ItemDecision.Outcome.values, "", "nonsense"])
def test_decisions_can_be_narrowed_to_an_outcome(client: Client, scene: scenes.Scene, outcome: str) -> None:
    found = ItemDecision.objects.filter(mailbox=scene.box)
    if outcome in ItemDecision.Outcome.values:
        found = found.filter(outcome=outcome)
    rows = page(client, scene, f"decisions/?outcome={outcome}").count('<th scope="row">')
    assert rows == min(50, found.count())


def test_the_summary_takes_an_excerpt_of_the_same_table(client: Client, scene: scenes.Scene) -> None:
    assert page(client, scene, "decisions/?size=8").count('<th scope="row">') == 8
    assert page(client, scene, "decisions/?size=1000000").count('<th scope="row">') == 50
    assert "decisions/?size=8" in page(client, scene, "")


def test_the_csv_of_decisions_holds_them_all_without_any_subject(client: Client, scene: scenes.Scene) -> None:
    ItemDecision.objects.filter(item_id="refused-1").update(folder=None)
    answer = client.get(f"/mailboxes/{scene.box.pk}/decisions/export/")
    body = answer.getvalue().decode("utf-8-sig")
    assert len(list(csv.DictReader(io.StringIO(body)))) == ItemDecision.objects.filter(mailbox=scene.box).count()
    assert "Offer" not in body


def test_failed_items_are_shown_with_what_to_do_and_apart_from_those_that_healed(
    client: Client, scene: scenes.Scene
) -> None:
    shown = page(client, scene, "failed-items/")
    assert shown.count('<th scope="row">') == 2
    assert "What to do:" in shown
    assert "quarantined" in shown
    assert "Nothing has healed yet" in page(client, scene, "failed-items/?show=healed")
    ItemFailure.objects.update(resolved_at=scene.now)
    assert "No item fails" in page(client, scene, "failed-items/")
    assert page(client, scene, "failed-items/?show=healed").count('<th scope="row">') == 2


# -- Sync now -----------------------------------------------------------------------------------------------------------


def press(client: Client, scene: scenes.Scene) -> str:
    answer = client.post(f"/mailboxes/{scene.box.pk}/sync/", headers={"HX-Request": "true"})
    assert answer.status_code == 200
    return html.unescape(answer.content.decode())


def test_the_button_waits_runs_and_shows_the_result(client: Client, scene: scenes.Scene) -> None:
    shown = press(client, scene)
    run = Run.objects.get(mailbox=scene.box, finished_at=None)
    assert run.trigger == Trigger.PERSON
    assert "Waiting for a worker" in shown
    again = f'hx-get="/mailboxes/{scene.box.pk}/sync/?run={run.pk}"'
    assert again in shown
    assert 'hx-trigger="every 1s"' in shown
    Run.objects.filter(pk=run.pk).update(started_at=scene.now)
    ask = f"sync/?run={run.pk}"
    assert "Running" in page(client, scene, ask, **{"HX-Request": "true"})
    Run.objects.filter(pk=run.pk).update(finished_at=scene.now, outcome=Outcome.DONE, tracked=3, refused={"draft": 1})
    answer = client.get(f"/mailboxes/{scene.box.pk}/{ask}", headers={"HX-Request": "true"})
    shown = answer.content.decode()
    assert "3 tracked, 0 updated, 1 refused" in shown
    assert "every 1s" not in shown
    assert answer["HX-Trigger-After-Settle"] == "mailbox-changed"


def test_a_run_that_failed_says_what_happened(client: Client, scene: scenes.Scene) -> None:
    run = Run.objects.create(
        mailbox=scene.box, claimed_at=scene.now, heartbeat_at=scene.now, finished_at=scene.now, outcome=Outcome.FAILED,
        error_code="unreachable",
    )  # fmt: skip
    shown = page(client, scene, f"sync/?run={run.pk}", **{"HX-Request": "true"})
    assert "failed" in shown
    assert "There is no way to the mail server" in shown


def test_pressing_twice_starts_one_run(client: Client, scene: scenes.Scene) -> None:
    press(client, scene)
    press(client, scene)
    assert Run.objects.filter(mailbox=scene.box, finished_at=None).count() == 1


def test_a_page_that_opens_during_a_run_shows_it(client: Client, scene: scenes.Scene) -> None:
    Run.objects.create(mailbox=scene.box, claimed_at=scene.now, started_at=scene.now, heartbeat_at=scene.now)
    assert "Running" in page(client, scene, "sync/", **{"HX-Request": "true"})


@pytest.mark.parametrize("run", ["", "x", "999999", "9" * 30, "-1"])
def test_a_run_that_is_none_shows_the_button(client: Client, scene: scenes.Scene, run: str) -> None:
    shown = page(client, scene, f"sync/?run={run}", **{"HX-Request": "true"})
    assert "Sync now" in shown
    assert "every 1s" not in shown


def test_without_javascript_the_page_comes_back_with_a_message(client: Client, scene: scenes.Scene) -> None:
    answer = client.post(f"/mailboxes/{scene.box.pk}/sync/", follow=True)
    assert "A run was asked for." in answer.content.decode()
    assert client.get(f"/mailboxes/{scene.box.pk}/sync/").status_code == 302


def test_a_mailbox_that_is_off_is_not_synced_and_the_page_says_so(client: Client, scene: scenes.Scene) -> None:
    Mailbox.objects.filter(pk=scene.box.pk).update(intent=Intent.OFF)
    assert "not switched on" in press(client, scene)
    answer = client.post(f"/mailboxes/{scene.box.pk}/sync/")
    assert "not switched on" in str(next(iter(get_messages(answer.wsgi_request))))
    assert not Run.objects.filter(mailbox=scene.box, finished_at=None).exists()


def test_a_queue_that_is_gone_is_said(client: Client, scene: scenes.Scene) -> None:
    with patch.object(actions, "sync_now", side_effect=RedisGone("gone")):
        assert "The queue does not answer" in press(client, scene)


def test_the_owner_of_another_mailbox_cannot_start_a_run(client: Client, scene: scenes.Scene) -> None:
    client.force_login(scene.person("bruno"))
    assert client.post(f"/mailboxes/{scene.box.pk}/sync/").status_code == 404


def test_decisions_are_paged_by_time(client: Client, scene: scenes.Scene) -> None:
    older = re.search(r'href="\?([^"]*before=[^"]+)"', page(client, scene, "decisions/?outcome=refused"))
    assert older
    assert page(client, scene, f"decisions/?{older[1]}").count('<th scope="row">') == 20


# -- failed items: what can be done ---------------------------------------------------------------------------------------


def decided(scene: scenes.Scene) -> ItemFailure:
    """Give the first failed item the decision that a run leaves with it."""
    failure = ItemFailure.objects.filter(mailbox=scene.box).order_by("pk")[0]
    ItemDecision.objects.create(
        mailbox=scene.box, folder=failure.folder, item_id=failure.item_id, outcome="quarantined", reason="unreadable",
        facts={"code": failure.code}, decided_at=scene.now,
    )  # fmt: skip
    return failure


def test_the_owner_discards_an_item_with_a_reason_and_takes_it_back(client: Client, scene: scenes.Scene) -> None:
    failure = decided(scene)
    assert page(client, scene, "failed-items/").count("Discard this item") == 2
    answer = client.post(
        f"/mailboxes/{scene.box.pk}/failed-items/{failure.pk}/discard/", {"why": "an old fax"}, follow=True
    )
    shown = html.unescape(answer.content.decode())
    assert "You can take that back" in shown
    assert shown.count('<th scope="row">') == 1
    shown = page(client, scene, "failed-items/?show=discarded")
    assert "Discarded by anna: an old fax" in shown
    assert "Nothing has healed yet" in page(client, scene, "failed-items/?show=healed")
    assert "Discarded by anna: an old fax" in page(client, scene, "decisions/?outcome=discarded")
    assert "+ 1 discarded" in page(client, scene, "")
    answer = client.post(f"/mailboxes/{scene.box.pk}/failed-items/retry/", {"item": failure.pk}, follow=True)
    assert "1 item is tried again" in answer.content.decode()
    assert Run.objects.get(mailbox=scene.box, finished_at=None).queue == "immediate"
    assert "Nothing was discarded" in page(client, scene, "failed-items/?show=discarded")


def test_all_that_is_unresolved_is_tried_again_by_one_press(client: Client, scene: scenes.Scene) -> None:
    answer = client.post(f"/mailboxes/{scene.box.pk}/failed-items/retry/", follow=True)
    assert "2 items are tried again" in answer.content.decode()
    assert ItemFailure.objects.filter(retry_at__gt=scene.now + timedelta(hours=1)).count() == 0
    ItemFailure.objects.update(resolved_at=scene.now)
    answer = client.post(f"/mailboxes/{scene.box.pk}/failed-items/retry/", follow=True)
    assert "nothing to try again" in answer.content.decode()


@pytest.mark.parametrize(("why", "resolved", "said"), [("  ", False, "in a few words"), ("x", True, "not set aside")])
def test_a_discard_that_cannot_be_is_said(
    client: Client, scene: scenes.Scene, why: str, resolved: bool, said: str
) -> None:
    failure = decided(scene)
    if resolved:
        ItemFailure.objects.update(resolved_at=scene.now)
    answer = client.post(f"/mailboxes/{scene.box.pk}/failed-items/{failure.pk}/discard/", {"why": why}, follow=True)
    assert said in answer.content.decode()
    assert ItemDecision.objects.get(item_id=failure.item_id).outcome == "quarantined"


def test_a_retry_without_queue_or_with_the_mailbox_off_is_said(client: Client, scene: scenes.Scene) -> None:
    address = f"/mailboxes/{scene.box.pk}/failed-items/retry/"
    with patch.object(actions, "sync_now", side_effect=RedisGone("gone")):
        assert "The queue does not answer" in client.post(address, follow=True).content.decode()
    Mailbox.objects.filter(pk=scene.box.pk).update(intent=Intent.OFF)
    assert "not switched on" in client.post(address, follow=True).content.decode()
    assert client.post(address, {"item": "x"}).status_code == 404


def test_an_export_is_a_json_file_without_content_and_nobody_else_gets_it(client: Client, scene: scenes.Scene) -> None:
    failure = decided(scene)
    address = f"/mailboxes/{scene.box.pk}/failed-items/{failure.pk}/export/"
    answer = client.get(address)
    assert answer.json()["error"]["code"] == "item_unreadable"
    assert answer.json()["content"] is None
    assert f'filename="failed-item-{failure.pk}.json"' in answer["Content-Disposition"]
    other = f"/mailboxes/{scene.boxes['bruno'].pk}/failed-items/{failure.pk}/export/"
    client.force_login(scene.person("fina"))
    assert client.get(other).status_code == 404


def test_who_may_only_look_sees_no_button(client: Client, scene: scenes.Scene) -> None:
    client.force_login(scene.person("dora"))
    shown = page(client, scene, "failed-items/")
    assert "Retry" not in shown
    assert "Discard this item" not in shown
    assert "JSON" in shown


# -- repair -------------------------------------------------------------------------------------------------------------------


def compare(scene: scenes.Scene, **counts: int) -> None:
    for folder in scene.box.folders.all():
        values = counts if folder.role == "inbox" else {}
        Reconciliation.objects.create(
            mailbox=scene.box, folder=folder, night=scene.now.date(), begun_at=scene.now, finished_at=scene.now,
            **{"held": 412, "tracked": 96, "refused": 314, **values},
        )  # fmt: skip


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ({}, "nothing missing"),
        ({"missing": 1, "stale": 1}, "1 missing"),
        ({"stale": 3}, "3 stale"),
        ({"recovered": 2}, "2 recovered"),
    ],
)
def test_the_last_comparison_is_shown_with_its_time(
    client: Client, scene: scenes.Scene, counts: dict[str, int], said: str
) -> None:
    assert page(client, scene, "repair/").count("not yet") == 3
    compare(scene, **counts)
    Reconciliation.objects.create(
        mailbox=scene.box, folder=scene.box.folders.all()[0], night=scene.now.date() - timedelta(days=1),
        begun_at=scene.now, finished_at=scene.now, missing=77,
    )  # fmt: skip
    shown = page(client, scene, "repair/")
    assert said in shown
    assert "77 missing" not in shown
    assert "412" in shown
    assert 'hx-select="#reconciliation"' in page(client, scene, "")
    assert 'id="reconciliation"' in shown


def test_an_unfinished_comparison_is_not_shown(client: Client, scene: scenes.Scene) -> None:
    compare(scene)
    Reconciliation.objects.update(finished_at=None)
    assert page(client, scene, "repair/").count("not yet") == 3


def test_reading_again_shows_first_what_it_comes_to(client: Client, scene: scenes.Scene) -> None:
    inbox = scene.box.folders.get(role="inbox")
    for what, asked in (("cursor", "List Inbox again?"), ("folder", "Decide again on Inbox?")):
        shown = page(client, scene, f"repair/read-again/?what={what}&folder={inbox.pk}")
        assert asked in shown
        assert "No copy is made twice, none is deleted." in shown
    assert page(client, scene, "repair/read-again/?what=mailbox").count('<th scope="row">') == 3
    scene.box.folders.update(total=None)
    assert "not known" in page(client, scene, "repair/read-again/?what=mailbox")
    assert inbox.cursor == scene.box.folders.get(pk=inbox.pk).cursor


@pytest.mark.parametrize(
    "asked", ["", "what=all", "what=folder", "what=folder&folder=x", "what=cursor&folder=999999999"]
)
def test_nonsense_is_not_found(client: Client, scene: scenes.Scene, asked: str) -> None:
    assert client.get(f"/mailboxes/{scene.box.pk}/repair/read-again/?{asked}").status_code == 404


def test_reading_again_begins_a_run_and_says_so(client: Client, scene: scenes.Scene) -> None:
    address = f"/mailboxes/{scene.box.pk}/repair/read-again/now/"
    inbox = scene.box.folders.get(role="inbox")
    answer = client.post(address, {"what": "folder", "folder": inbox.pk}, follow=True)
    assert "read again as soon as a worker is free" in answer.content.decode()
    assert scene.box.folders.get(role="inbox").cursor is None
    assert scene.box.folders.get(role="sent").cursor
    Run.objects.filter(finished_at=None).update(worker="worker-1")
    assert "A run is under way" in client.post(address, {"what": "mailbox"}, follow=True).content.decode()
    Run.objects.filter(finished_at=None).update(finished_at=scene.now)
    Mailbox.objects.filter(pk=scene.box.pk).update(intent=Intent.OFF)
    assert "not switched on" in client.post(address, {"what": "mailbox"}, follow=True).content.decode()
    with patch.object(actions, "read_again", side_effect=RedisGone("gone")):
        assert "The queue does not answer" in client.post(address, {"what": "mailbox"}, follow=True).content.decode()


def test_who_may_only_look_can_read_nothing_again(client: Client, scene: scenes.Scene) -> None:
    client.force_login(scene.person("dora"))
    assert "read-again" not in page(client, scene, "repair/")
