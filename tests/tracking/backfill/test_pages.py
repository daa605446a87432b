"""Pages of earlier mail: a form that says what is wrong, a count, a button; and the same for a record's refused mail."""

import html
from datetime import timedelta
from typing import Any
from unittest.mock import patch

import pytest
from django.test import Client
from redis import RedisError

from mailboxes.models import Folder, Mailbox
from tests import scene as scenes
from tracking.backfill import views as views_backfill
from tracking.models import AddressMatch, Backfill, Contact, Lead, Participant

State = Backfill.State


@pytest.fixture
def scene(organisation: scenes.Scene, db: None, client: Client, monkeypatch: pytest.MonkeyPatch) -> scenes.Scene:
    scene = organisation.copy()
    client.force_login(scene.person("anna"))
    monkeypatch.setattr(views_backfill, "have_backfilled", lambda: None)
    return scene


def at(scene: scenes.Scene, rest: str = "") -> str:
    return f"/mailboxes/{scene.box.pk}/repair/backfill/{rest}"


def page(client: Client, address: str) -> str:
    answer = client.get(address)
    assert answer.status_code == 200
    return html.unescape(answer.content.decode())


def ask(client: Client, scene: scenes.Scene, **fields: str) -> Any:
    return client.post(at(scene, "count/"), {"first": "2026-03-01", "last": "2026-03-31"} | fields)


def test_the_page_says_what_was_counted_and_offers_to_track_it(client: Client, scene: scenes.Scene) -> None:
    text = page(client, at(scene))
    assert ">22</strong>" in text
    assert "Track 22" in text
    assert "it answers no tracked message" in text
    assert 'hx-trigger="every 2s"' not in text, "nothing goes on by itself"


def test_a_count_is_asked_for_and_the_page_asks_for_itself_until_it_is_there(
    client: Client, scene: scenes.Scene
) -> None:
    assert ask(client, scene).status_code == 302
    row = Backfill.objects.get(mailbox=scene.box, state=State.COUNTING)
    assert (row.asked_by, row.folder) == ("anna", None)
    assert row.since is not None
    assert row.until == row.since + timedelta(days=31), "both days are included"
    text = page(client, at(scene))
    assert 'hx-trigger="every 2s"' in text
    assert "Nothing is stored" in text
    assert "cancelled" in text, "the one that nobody confirmed stands among those before"


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"first": ""}, "This field is required"),
        ({"first": "yesterday"}, "Enter a valid date"),
        ({"first": "2026-04-01"}, "The last day is before the first"),
        ({"first": "0026-03-01"}, "four digits"),
        ({"first": "2999-03-01", "last": "2999-03-02"}, "has not come yet"),
        ({"folder": "999999999"}, "Select a valid choice"),
        ({"folder": "x"}, "Select a valid choice"),
    ],
)
def test_what_cannot_be_meant_is_said_beside_what_was_typed(
    client: Client, scene: scenes.Scene, fields: dict[str, str], words: str
) -> None:
    answer = ask(client, scene, **fields)
    text = html.unescape(answer.content.decode())
    assert answer.status_code == 422
    assert words in text
    assert 'value="2026-03-31"' in text or "last" in fields, "what was typed stays"
    assert not Backfill.objects.filter(state=State.COUNTING).exists()


def test_folders_of_others_and_those_without_mail_cannot_be_named(client: Client, scene: scenes.Scene) -> None:
    other = Folder.objects.exclude(mailbox=scene.box)[0]
    assert ask(client, scene, folder=str(other.pk)).status_code == 422
    named = Folder.objects.get(mailbox=scene.box, role="inbox")
    assert ask(client, scene, folder=str(named.pk)).status_code == 302
    assert Backfill.objects.get(state=State.COUNTING).folder == named


def test_what_was_counted_is_read_when_it_is_confirmed_and_can_be_cancelled(
    client: Client, scene: scenes.Scene
) -> None:
    row = Backfill.objects.get(mailbox=scene.box)
    assert client.post(at(scene, f"{row.pk}/read/")).status_code == 302
    row.refresh_from_db()
    assert (row.state, row.confirmed_by) == (State.READING, "anna")
    Backfill.objects.filter(pk=row.pk).update(examined=15, tracked=11, refused=4)
    text = page(client, at(scene))
    assert "15 of about 30 decided on" in text
    assert "11 tracked" in text
    assert client.post(at(scene, f"{row.pk}/read/"), follow=True).status_code == 200
    client.post(at(scene, f"{row.pk}/cancel/"))
    row.refresh_from_db()
    assert row.state == State.CANCELLED
    again = client.post(at(scene, f"{row.pk}/cancel/"), follow=True)
    assert "It has ended already" in html.unescape(again.content.decode())


def test_while_one_is_read_another_count_is_refused_in_words(client: Client, scene: scenes.Scene) -> None:
    Backfill.objects.filter(mailbox=scene.box).update(state=State.READING, error_code="timed_out")
    answer = ask(client, scene)
    assert answer.status_code == 422
    text = html.unescape(answer.content.decode())
    assert "One is being read already" in text
    assert "It goes on by itself as soon as it can" in text


def test_one_that_failed_says_why_and_goes_on_when_somebody_says_so(client: Client, scene: scenes.Scene) -> None:
    row = Backfill.objects.get(mailbox=scene.box)
    again = at(scene, f"{row.pk}/resume/")
    told = html.unescape(client.post(again, follow=True).content.decode())
    assert "It has changed meanwhile" in told, "it has not failed"
    Backfill.objects.filter(pk=row.pk).update(state=State.FAILED, error_code="folder_gone")
    text = page(client, at(scene))
    assert "It could not go on" in text
    assert "The folder was deleted" not in text, "the cause is the catalogue's to tell"
    assert "Stop following it, or choose another folder" in text
    assert "It goes on by itself" not in text
    assert again in text
    client.post(again)
    row.refresh_from_db()
    assert (row.state, row.error_code, row.finished_at) == (State.COUNTING, "", None)


def test_a_mailbox_without_its_channel_for_mail_says_so(client: Client, scene: scenes.Scene) -> None:
    Mailbox.objects.filter(pk=scene.box.pk).update(incoming=False)
    assert "its channel for mail is off" in html.unescape(ask(client, scene).content.decode())
    row = Backfill.objects.get(mailbox=scene.box)
    answer = client.post(at(scene, f"{row.pk}/read/"), follow=True)
    assert "its channel for mail is off" in html.unescape(answer.content.decode())


def test_a_queue_that_does_not_answer_costs_time_only(client: Client, scene: scenes.Scene) -> None:
    with patch.object(views_backfill, "have_backfilled", side_effect=RedisError("gone")):
        answer = client.post(at(scene, "count/"), {"first": "2026-03-01", "last": "2026-03-31"}, follow=True)
    assert "The queue does not answer" in html.unescape(answer.content.decode())
    assert Backfill.objects.filter(state=State.COUNTING).exists()


def test_somebody_elses_request_does_not_exist_under_this_mailbox(client: Client, scene: scenes.Scene) -> None:
    row = Backfill.objects.get(mailbox=scene.box)
    Backfill.objects.filter(pk=row.pk).update(mailbox=scene.boxes["bruno"])
    assert client.post(at(scene, f"{row.pk}/read/")).status_code == 404
    assert client.post(at(scene, "999999/cancel/")).status_code == 404


# -- of a record


def test_a_records_page_says_how_much_mail_names_it_and_where_more_could_be(
    client: Client, scene: scenes.Scene
) -> None:
    record = Contact.objects.get(last_name="Riera")
    Folder.objects.filter(mailbox=scene.box, role="inbox").update(refused=17)
    text = page(client, f"/records/contact/{record.pk}/mail/")
    seen = Participant.objects.filter(record_kind="contact", record_id=record.pk, activity__holders__mailbox=scene.box)
    count = seen.values("activity").distinct().count()
    assert f"{count} tracked messages that you may read are linked to it" in text
    assert "Look in refused mail" in text
    assert f'hx-get="/records/contact/{record.pk}/mail/"' in page(client, f"/records/contact/{record.pk}/")
    AddressMatch.objects.update(wanted_at=scene.now)
    assert "being matched" in page(client, f"/records/contact/{record.pk}/mail/")


def test_refused_mail_of_a_record_is_counted_in_ones_own_mailbox(client: Client, scene: scenes.Scene) -> None:
    record = Contact.objects.get(last_name="Riera")
    Folder.objects.filter(mailbox=scene.box, role="inbox").update(refused=17)
    at_record = f"/records/contact/{record.pk}/mail/"
    assert client.post(f"{at_record}count/", {"mailbox": str(scene.box.pk)}).status_code == 302
    row = Backfill.objects.get(kind="record")
    assert (row.mailbox, row.record_id) == (scene.box, record.pk)
    Backfill.objects.filter(pk=row.pk).update(
        state=State.COUNTED,
        counted={"1": {"name": "Inbox", "held": 17, "known": 0, "aside": 0, "would_track": 3, "would_link": 0,
                       "unread": 0, "refused": {}}},
    )  # fmt: skip
    assert "Track 3" in page(client, at_record)
    answer = client.post(at(scene, f"{row.pk}/read/"))
    assert answer["Location"] == at_record
    row.refresh_from_db()
    assert row.state == State.READING


@pytest.mark.parametrize("mailbox", ["", "x", "0", "999999999999999999999"])
def test_a_mailbox_that_is_not_ones_own_is_not_looked_into(client: Client, scene: scenes.Scene, mailbox: str) -> None:
    record = Contact.objects.get(last_name="Riera")
    for number in (mailbox, str(scene.boxes["bruno"].pk)):
        assert client.post(f"/records/contact/{record.pk}/mail/count/", {"mailbox": number}).status_code == 404


def test_a_record_that_one_may_not_see_or_that_has_no_addresses_has_no_such_page(
    client: Client, scene: scenes.Scene
) -> None:
    record = Contact.objects.get(last_name="Riera")
    assert client.get("/records/opportunity/1/mail/").status_code == 404
    client.force_login(scene.person("bruno"))
    assert client.get(f"/records/contact/{record.pk}/mail/").status_code == 404


def test_nobody_who_may_not_see_the_record_has_their_mail_looked_through_for_it(
    client: Client, scene: scenes.Scene
) -> None:
    client.force_login(scene.person("fina"))
    theirs = Lead.objects.create(name="New", email1="new@lead.example", owner=scene.person("fina"))
    text = page(client, f"/records/lead/{theirs.pk}/mail/")
    assert scene.box.address not in text
