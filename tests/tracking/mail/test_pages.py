"""Pages of tracked mail: who reads what, what a message shows, and what its frame never does."""

import csv
import html
import io
import re
from datetime import timedelta

import pytest
from django.test import Client

from mailboxes.models import Mailbox
from tests import scene as scenes
from tracking.engine import blobs
from tracking.mail import pages as thread_pages
from tracking.models import Activity, Attachment, Contact, EmailBody, Holder, Lead, Participant, Thread
from tracking.models.activity import RecordKind


@pytest.fixture
def scene(organisation: scenes.Scene, db: None, client: Client) -> scenes.Scene:
    scene = organisation.copy()
    client.force_login(scene.person("anna"))
    return scene


def page(client: Client, address: str) -> str:
    answer = client.get(address)
    assert answer.status_code == 200, address
    return html.unescape(answer.content.decode())


def thread(scene: scenes.Scene) -> Thread:
    assert scene.thread
    return scene.thread


def first(scene: scenes.Scene) -> Activity:
    return thread(scene).activities.order_by("received_at")[0]


def subjects(client: Client, query: str = "") -> list[str]:
    return re.findall(r'href="/threads/\d+/">([^<]+)</a>', page(client, f"/threads/?{query}"))


def test_s23_a_person_lists_the_threads_of_their_own_mailbox_only(client: Client, scene: scenes.Scene) -> None:
    mine = subjects(client)
    assert "Re: Offer for twelve pumps" in mine
    assert "Only for Bruno" not in mine
    client.force_login(scene.person("bruno"))
    assert subjects(client) == ["Only for Bruno"]
    client.force_login(scene.person("emil"))
    assert {"Only for Bruno", "Re: Offer for twelve pumps"} <= set(subjects(client))


def test_diagnostics_do_not_open_mail(client: Client, scene: scenes.Scene) -> None:
    client.force_login(scene.person("dora"))
    assert subjects(client) == []
    decisions = page(client, f"/mailboxes/{scene.box.pk}/decisions/")
    assert "Tracked, because" in decisions
    assert "Offer" not in decisions


def test_a_thread_shows_each_person_exactly_the_messages_they_may_read(client: Client, scene: scenes.Scene) -> None:
    hidden = scenes.add_message(scene, thread(scene), scene.boxes["bruno"], 6, None)
    Activity.objects.filter(pk=hidden.pk).update(subject="Between Bruno and somebody")
    shown = page(client, f"/threads/{thread(scene).pk}/")
    assert shown.count('id="message-') == 3
    assert "Between Bruno" not in shown
    client.force_login(scene.person("bruno"))
    assert page(client, f"/threads/{thread(scene).pk}/").count('id="message-') == 1
    # Neither the list nor a search counts or finds what cannot be read.
    client.force_login(scene.person("anna"))
    assert subjects(client, "q=Between") == []
    row = next(r for r in thread_pages.thread_rows(scene.person("anna"), [thread(scene)]))
    assert row.messages == 3


@pytest.mark.parametrize("address", ["/threads/", "/threads/export/", "/records/contact/", "/records/contact/export/"])
def test_a_search_for_what_no_text_can_hold_is_answered(client: Client, scene: scenes.Scene, address: str) -> None:
    assert client.get(f"{address}?q=%00&mailbox=%00").status_code == 200


@pytest.mark.parametrize(
    ("query", "count"),
    [("q=twelve", 1), ("q=TWELVE+offer", 1), ("q=twelve+visit", 0), ("mailbox=anna", 6), ("mailbox=bruno", 0),
     ("q=見積", 1), ("q=見積もり", 1), ("q=%25", 0)],
)  # fmt: skip
def test_search_wants_every_word_in_one_subject(client: Client, scene: scenes.Scene, query: str, count: int) -> None:
    assert len(subjects(client, query)) == count


def test_a_search_that_finds_nothing_and_a_person_without_mail_are_told_different_things(
    client: Client, scene: scenes.Scene
) -> None:
    assert "No thread fits" in page(client, "/threads/?q=zzz")
    client.force_login(scene.person("cleo"))
    assert "No tracked mail yet" in page(client, "/threads/")


def test_the_csv_holds_what_the_list_holds(client: Client, scene: scenes.Scene) -> None:
    answer = client.get("/threads/export/?q=twelve")
    rows = list(csv.DictReader(io.StringIO(answer.getvalue().decode("utf-8-sig"))))
    assert [(row["subject"], row["messages"], row["regarding"]) for row in rows] == [
        ("Re: Offer for twelve pumps", "3", "12 pumps for Figueres")
    ]


def test_a_message_says_who_it_is_from_why_it_is_tracked_and_how_it_found_its_thread(
    client: Client, scene: scenes.Scene
) -> None:
    shown = page(client, f"/threads/{thread(scene).pk}/")
    pau = Contact.objects.get(last_name="Riera")
    assert f'href="/records/contact/{pau.pk}/"' in shown
    assert "Tracked, because its sender is a contact." in shown
    assert f"Inbox of {scene.box.address}" in shown
    assert "reply headers" in shown
    assert "several records have this address" in shown


def test_a_record_that_the_reader_may_not_see_is_not_named(client: Client, scene: scenes.Scene) -> None:
    Contact.objects.update(owner=scene.person("fina"))
    shown = page(client, f"/threads/{thread(scene).pk}/")
    assert "/records/contact/" not in shown
    assert "pau@bombes.example" in shown


def test_a_long_thread_is_paged(client: Client, scene: scenes.Scene) -> None:
    for n in range(60):
        scenes.add_message(scene, thread(scene), scene.box, n, None, at=scene.now - timedelta(days=2, minutes=n))
    shown = page(client, f"/threads/{thread(scene).pk}/")
    assert shown.count('id="message-') == 50
    older = re.search(r'href="\?(before=[^"]+)"', shown)
    assert older
    assert page(client, f"/threads/{thread(scene).pk}/?{older[1]}").count('id="message-') == 13


def test_a_mark_beyond_the_last_message_is_not_a_page(client: Client, scene: scenes.Scene) -> None:
    assert client.get(f"/threads/{thread(scene).pk}/?before=1-1").status_code == 404


# -- the body -----------------------------------------------------------------------------------------------------------


def body(client: Client, activity: Activity) -> str:
    return client.get(f"/messages/{activity.pk}/body/").content.decode()


def test_a_body_is_sanitised_and_says_what_was_left_out(client: Client, scene: scenes.Scene) -> None:
    shown = body(client, first(scene))
    assert "thank you for the <b>offer</b>" in shown
    assert "<script" not in shown
    assert "tracker.example" not in shown
    assert "1 image would have been fetched from another server and was left out." in shown
    assert "data:image/png;base64," in shown


def test_a_body_has_a_policy_that_runs_nothing_and_fetches_nothing(client: Client, scene: scenes.Scene) -> None:
    answer = client.get(f"/messages/{first(scene).pk}/body/")
    policy = dict(part.strip().partition(" ")[::2] for part in answer["Content-Security-Policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["img-src"] == "data:"
    assert "script-src" not in policy
    assert "allow-scripts" not in policy["sandbox"]
    assert "allow-same-origin" not in policy["sandbox"]
    assert answer["X-Frame-Options"] == "SAMEORIGIN"
    assert answer["Cache-Control"] == "private, no-store"
    frame = re.search(r"<iframe[^>]+>", page(client, f"/threads/{thread(scene).pk}/"))
    assert frame
    assert 'sandbox="allow-popups allow-popups-to-escape-sandbox"' in frame[0]


def test_plain_text_is_shown_as_it_is(client: Client, scene: scenes.Scene) -> None:
    activity = first(scene)
    EmailBody.objects.filter(pk=activity.pk).update(html="  \n", text="1 < 2 <script>x</script>\n  indented")
    assert "<pre>1 &lt; 2 &lt;script&gt;x&lt;/script&gt;\n  indented</pre>" in body(client, activity)


def test_a_message_without_text_says_so(client: Client, scene: scenes.Scene) -> None:
    EmailBody.objects.update(html="", text="")
    assert "This message has no text." in page(client, f"/threads/{thread(scene).pk}/")


def test_inline_images_come_from_this_message_alone(client: Client, scene: scenes.Scene) -> None:
    one, other = first(scene), scenes.add_message(scene, scene.hidden, scene.boxes["bruno"], 0, None)
    Attachment.objects.filter(activity=one, inline=True).delete()
    Attachment.objects.filter(activity=other).update(content_id="logo@example")
    shown = body(client, one)
    assert "data:image" not in shown
    assert "1 image of this message could not be shown." in shown


def test_an_inline_image_whose_bytes_are_gone_is_counted_as_missing(client: Client, scene: scenes.Scene) -> None:
    Attachment.objects.filter(activity=first(scene), inline=True).update(sha256="0" * 64)
    assert "1 image of this message could not be shown." in body(client, first(scene))


def test_content_ids_match_with_and_without_brackets(client: Client, scene: scenes.Scene) -> None:
    Attachment.objects.filter(activity=first(scene), inline=True).update(content_id="<logo@example>")
    assert "data:image/png" in body(client, first(scene))


# -- attachments --------------------------------------------------------------------------------------------------------


def test_an_attachment_is_downloaded_as_it_came(client: Client, scene: scenes.Scene) -> None:
    offer = first(scene).attachments.get(position=0)
    answer = client.get(f"/attachments/{offer.pk}/")
    assert answer.getvalue() == b"%PDF-1.7 offer"
    assert answer["Content-Type"] == "application/octet-stream"
    assert answer["X-Content-Type-Options"] == "nosniff"


def test_an_attachment_that_was_not_fetched_or_is_lost_does_not_exist(client: Client, scene: scenes.Scene) -> None:
    video = first(scene).attachments.get(position=2)
    assert client.get(f"/attachments/{video.pk}/").status_code == 404
    assert "not fetched" in page(client, f"/threads/{thread(scene).pk}/")
    offer = first(scene).attachments.get(position=0)
    Attachment.objects.filter(pk=offer.pk).update(sha256="f" * 64)
    assert client.get(f"/attachments/{offer.pk}/").status_code == 404


def test_a_held_copy_stays_readable_when_its_item_left_the_mailbox(client: Client, scene: scenes.Scene) -> None:
    Holder.objects.filter(mailbox=scene.box).update(removed_at=scene.now)
    assert client.get(f"/threads/{thread(scene).pk}/").status_code == 200


def test_a_mailbox_that_changes_hands_takes_its_mail_along(client: Client, scene: scenes.Scene) -> None:
    Mailbox.objects.filter(pk=scene.box.pk).update(owner=scene.person("cleo"))
    assert client.get(f"/threads/{thread(scene).pk}/").status_code == 404
    client.force_login(scene.person("cleo"))
    assert client.get(f"/threads/{thread(scene).pk}/").status_code == 200


@pytest.mark.parametrize(
    ("html", "text", "height"),
    [("", "short", "140"), ("", "line\n" * 20, "578"), ("<p>x</p>" * 100_000, "", "640"), ("<p>x</p>" * 30, "", "584")],
)
def test_frames_grow_with_their_message_within_bounds(
    client: Client, scene: scenes.Scene, html: str, text: str, height: str
) -> None:
    EmailBody.objects.update(html=html, text=text)
    assert set(re.findall(r'height="(\d+)" loading', page(client, f"/threads/{thread(scene).pk}/"))) == {height}


def test_nothing_of_the_digest_of_a_blob_reaches_the_page(client: Client, scene: scenes.Scene) -> None:
    assert blobs.put(b"%PDF-1.7 offer") not in page(client, f"/threads/{thread(scene).pk}/")


def test_who_is_copied_in_stands_under_their_role(client: Client, scene: scenes.Scene) -> None:
    sent = thread(scene).activities.get(sender_email=scene.box.address)
    Participant.objects.create(
        activity=sent, role="bcc", email="quiet@x.example", record_kind=RecordKind.LEAD, record_id=999_999
    )
    shown = page(client, f"/threads/{thread(scene).pk}/")
    assert "<dt>Bcc</dt>" in shown
    assert "quiet@x.example" in shown


def test_a_blind_copy_is_known_to_the_sender_and_to_whoever_got_it_alone(client: Client, scene: scenes.Scene) -> None:
    sent = thread(scene).activities.get(sender_email=scene.box.address)
    bruno = scene.boxes["bruno"]
    Holder.objects.create(activity=sent, mailbox=bruno, item_id="copy", since=scene.now)
    lead = Lead.objects.create(name="Quiet", email1="quiet@x.example", owner=scene.person("bruno"))
    quiet = Participant.objects.create(
        activity=sent, role="bcc", email="quiet@x.example", record_kind=RecordKind.LEAD, record_id=lead.pk
    )
    client.force_login(scene.person("bruno"))
    shown = page(client, f"/threads/{thread(scene).pk}/")
    assert "info@shared.example" in shown
    assert "Bcc" not in shown
    assert "quiet@x.example" not in shown
    # Nor does a record give away that it took part.
    assert re.search(r'data-label="Threads">0<', page(client, "/records/lead/"))
    assert "No tracked mail that you may read" in page(client, f"/records/lead/{lead.pk}/")
    Participant.objects.filter(pk=quiet.pk).update(email=bruno.address.upper())
    assert "<dt>Bcc</dt>" in page(client, f"/threads/{thread(scene).pk}/")
    Participant.objects.filter(pk=quiet.pk).update(email="quiet@x.example")
    client.force_login(scene.person("emil"))
    assert "<dt>Bcc</dt>" in page(client, f"/threads/{thread(scene).pk}/")
