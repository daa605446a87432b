"""The pages of outgoing mail: writing, wrong input, replies, what became of each, and who may decide."""

import html
import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.messages import get_messages
from django.core.exceptions import ValidationError
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.utils import timezone

from mailboxes.models import Mailbox
from tests import scene as scenes
from tracking.engine import blobs
from tracking.models import Activity, Contact, OutgoingMail
from tracking.outgoing import forms as outgoing_forms
from tracking.outgoing import pages as outgoing_pages
from tracking.outgoing.forms import PeopleField, written


@pytest.fixture
def scene(organisation: scenes.Scene, db: None, client: Client, settings: Any, tmp_path: Any) -> scenes.Scene:
    settings.BLOB_ROOT = tmp_path
    scene = organisation.copy()
    client.force_login(scene.person("anna"))
    return scene


def text_of(answer: Any) -> str:
    assert answer.status_code == 200
    return html.unescape(answer.content.decode())


def said(answer: Any) -> list[str]:
    return [str(message) for message in get_messages(answer.wsgi_request)]


def fields(scene: scenes.Scene, **more: Any) -> dict[str, Any]:
    return {
        "mailbox": scene.box.pk,
        "to": "Pau Riera <pau@bombes.example>",
        "subject": "Hello",
        "text": "Good day",
        **more,
    }


def newest() -> OutgoingMail:
    return OutgoingMail.objects.order_by("-pk")[0]


def test_a_mail_is_written_sent_and_listed_with_the_reason_why_it_waits(client: Client, scene: scenes.Scene) -> None:
    answer = client.post("/outgoing/save/", fields(scene, send="1"))
    assert answer["Location"] == "/outgoing/"
    assert said(answer)[-1].startswith("It waits: sending is switched off")
    mail = newest()
    assert (mail.state, mail.author, mail.to) == (
        "waiting", scene.person("anna"), [{"email": "pau@bombes.example", "name": "Pau Riera"}],
    )  # fmt: skip
    page = text_of(client.get("/outgoing/"))
    assert "Hello" in page
    assert "It waits: sending is switched off for this mailbox. An administrator can switch it on." in page
    Mailbox.objects.filter(pk=scene.box.pk).update(outgoing=True)
    assert "It is sent by the next run" in text_of(client.get("/outgoing/"))
    answer = client.post("/outgoing/save/", fields(scene, send="1"))
    assert said(answer)[-1] == "The message is being sent. This list says when it has left."


@pytest.mark.parametrize(
    ("intent", "words"),
    [("pending", "has to approve"), ("off", "is switched off"), ("paused", "is paused"), ("archived", "is archived")],
)
def test_what_keeps_a_mailbox_off_is_said_beside_its_mail(
    client: Client, scene: scenes.Scene, intent: str, words: str
) -> None:
    Mailbox.objects.filter(pk=scene.box.pk).update(intent=intent)
    assert f"{words}" in text_of(client.get("/outgoing/"))


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"to": ""}, "Say to whom it goes."),
        ({"to": "pau@bombes.example, nobody"}, "This is not an e-mail address: nobody"),
        ({"to": "a@b, ((("}, "This is not an e-mail address"),
        ({"cc": "x" * 300 + "@y.example"}, "This is not an e-mail address"),
        ({"subject": "x" * 256}, "255"),
        ({"subject": "", "text": " \n"}, "it has neither a subject nor a text"),
        ({"to": ", ".join(f"p{n}@c.example" for n in range(101))}, "At most 100 people"),
        ({"text": "x" * 500_001}, "500000"),
        ({"mailbox": ""}, "required"),
    ],
)
def test_wrong_input_gets_a_sentence_and_keeps_what_was_typed(
    client: Client, scene: scenes.Scene, wrong: dict[str, str], words: str
) -> None:
    before = OutgoingMail.objects.count()
    page = text_of(client.post("/outgoing/save/", fields(scene, **{"subject": "Kept as it was", "send": "1", **wrong})))
    assert words in page
    assert ("Kept as it was" if "subject" not in wrong else "Good day" if "text" not in wrong else "Pau Riera") in page
    assert OutgoingMail.objects.count() == before


def test_nobody_writes_from_a_mailbox_of_somebody_else(client: Client, scene: scenes.Scene) -> None:
    for username in ("anna", "fina"):
        client.force_login(scene.person(username))
        page = text_of(client.post("/outgoing/save/", fields(scene, mailbox=scene.boxes["bruno"].pk, send="1")))
        assert "You can write from a mailbox of your own only." in page
    assert not OutgoingMail.objects.filter(mailbox=scene.boxes["bruno"]).exists()
    client.force_login(scene.person("cleo"))
    assert "You have no mailbox here" in text_of(client.get("/outgoing/new/"))
    assert "You have no mailbox here" in text_of(client.post("/outgoing/save/", fields(scene, send="1")))


def test_files_go_along_and_can_be_taken_off_again(client: Client, scene: scenes.Scene) -> None:
    files = [SimpleUploadedFile("..\\secret/offer.pdf", b"%PDF", "application/pdf"), SimpleUploadedFile("b.txt", b"b")]
    answer = client.post("/outgoing/save/", fields(scene, added=files))
    mail = newest()
    assert answer["Location"] == f"/outgoing/{mail.pk}/"
    assert [(each.name, each.content_type, each.size) for each in mail.files.all()] == [
        ("offer.pdf", "application/pdf", 4), ("b.txt", "text/plain", 1),
    ]  # fmt: skip
    assert blobs.get(mail.files.all()[0].sha256) == b"%PDF"
    page = text_of(client.get(f"/outgoing/{mail.pk}/"))
    assert "offer.pdf" in page
    client.post(f"/outgoing/{mail.pk}/save/", fields(scene, remove=[mail.files.all()[0].pk], subject="Changed"))
    mail.refresh_from_db()
    assert ([each.name for each in mail.files.all()], mail.subject) == (["b.txt"], "Changed")


def test_files_that_are_too_many_or_too_large_are_refused_before_they_are_kept(
    client: Client, scene: scenes.Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = [SimpleUploadedFile(f"{n}.txt", b"x") for n in range(21)]
    assert "At most 20 files can go along." in text_of(client.post("/outgoing/save/", fields(scene, added=many)))
    monkeypatch.setattr(outgoing_forms, "MOST_BYTES", 10)
    page = text_of(client.post("/outgoing/save/", fields(scene, added=[SimpleUploadedFile("a", b"x" * 11)])))
    assert "The files are too large together" in page
    assert "Choose the files again" in page
    empty = text_of(client.post("/outgoing/save/", fields(scene, added=[SimpleUploadedFile("empty", b"")])))
    assert "empty" in empty


def test_a_disk_that_is_full_is_said_and_nothing_is_sent(
    client: Client, scene: scenes.Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_data: bytes) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(blobs, "put", full)
    before = OutgoingMail.objects.count()
    page = text_of(client.post("/outgoing/save/", fields(scene, added=[SimpleUploadedFile("a", b"x")], send="1")))
    assert "there is no room on the disk" in page
    assert OutgoingMail.objects.count() == before


def test_a_mail_to_a_record_has_its_address_filled_in_and_is_about_it(client: Client, scene: scenes.Scene) -> None:
    contact = Contact.objects.get(last_name="Riera")
    page = text_of(client.get(f"/outgoing/new/?record=contact-{contact.pk}"))
    assert '"Pau Riera" <pau@bombes.example>' in page
    client.post("/outgoing/save/", fields(scene, record=f"contact-{contact.pk}"))
    assert (newest().regarding_kind, newest().regarding_id) == ("contact", contact.pk)
    assert f"?record=contact-{contact.pk}" in text_of(client.get(f"/records/contact/{contact.pk}/"))
    assert client.get("/outgoing/new/?record=contact-999999").status_code == 404
    assert client.get("/outgoing/new/?record=secret-1").status_code == 404
    assert client.get("/outgoing/new/?record=contact-x&answers=abc").status_code == 200
    client.force_login(scene.person("bruno"))
    assert client.get(f"/outgoing/new/?record=contact-{contact.pk}").status_code == 404


def test_a_reply_goes_to_who_wrote_and_stays_in_the_thread(client: Client, scene: scenes.Scene) -> None:
    assert scene.thread
    received = scene.thread.activities.filter(direction="incoming").order_by("pk")[0]
    page = text_of(client.get(f"/outgoing/new/?answers={received.pk}"))
    assert f'value="Re: {received.subject.removeprefix("Re: ")}"' in page
    assert '"Pau Riera" <pau@bombes.example>' in page
    client.post("/outgoing/save/", fields(scene, answers=received.pk))
    assert newest().answers == received
    assert newest().regarding_kind == received.regarding_kind == "opportunity"
    sent = scene.thread.activities.filter(direction="outgoing").order_by("pk")[0]
    answer = text_of(client.get(f"/outgoing/new/?answers={sent.pk}"))
    assert "pau@bombes.example" in answer
    assert "\n> " in answer
    hidden = Activity.objects.filter(thread=scene.hidden)[0]
    assert client.get(f"/outgoing/new/?answers={hidden.pk}").status_code == 404
    assert client.post("/outgoing/save/", fields(scene, answers=hidden.pk)).status_code == 404


def test_a_draft_is_its_authors_alone(client: Client, scene: scenes.Scene) -> None:
    draft = OutgoingMail.objects.get(subject="Still to be finished")
    assert "Still to be finished" in text_of(client.get("/outgoing/?show=drafts"))
    for username in ("fina", "emil", "bruno", "dora"):
        client.force_login(scene.person(username))
        assert client.get(f"/outgoing/{draft.pk}/").status_code == 404
        assert "Still to be finished" not in text_of(client.get("/outgoing/?show=all"))
    client.force_login(scene.person("anna"))
    client.post(f"/outgoing/{draft.pk}/decide/", {"what": "discard"})
    assert not OutgoingMail.objects.filter(pk=draft.pk).exists()


def test_a_failed_mail_says_what_to_do_and_its_owner_does_it(client: Client, scene: scenes.Scene) -> None:
    failed = OutgoingMail.objects.get(state="failed")
    page = text_of(client.get(f"/outgoing/{failed.pk}/"))
    assert "the server does not accept its recipients" in page
    assert "Correct the addresses and send the message again." in page
    answer = client.post(f"/outgoing/{failed.pk}/decide/", {"what": "correct"})
    assert answer["Location"] == f"/outgoing/{newest().pk}/"
    assert (newest().state, newest().subject) == ("draft", failed.subject)
    again = client.post(f"/outgoing/{failed.pk}/decide/", {"what": "send_again"})
    assert "Nothing was changed" in said(again)[-1]
    assert client.post(f"/outgoing/{failed.pk}/decide/", {"what": "fly"}).status_code == 404


@pytest.mark.parametrize(
    ("state", "shown", "hidden"),
    [
        ("unknown", {"It was sent", "Send again", "Discard"}, {"Correct"}),
        ("failed", {"Correct", "Send again", "Discard"}, {"It was sent"}),
        ("waiting", {"Correct", "Discard"}, {"Send again", "It was sent"}),
        ("sending", {"Discard"}, {"Send again", "Correct"}),
        ("sent", set(), {"Send again", "Discard", "Correct"}),
        ("discarded", set(), {"Send again", "Discard", "Correct"}),
    ],
)
def test_each_state_offers_what_can_be_done(
    client: Client, scene: scenes.Scene, state: str, shown: set[str], hidden: set[str]
) -> None:
    mail = OutgoingMail.objects.get(state="failed")
    OutgoingMail.objects.filter(pk=mail.pk).update(
        state=state, error_code="mail_lost" if state == "unknown" else "", make_asked_at=None
    )
    page = text_of(client.get(f"/outgoing/{mail.pk}/"))
    buttons = {word for word in shown | hidden if f">{word}</button>" in page}
    assert buttons == shown
    client.force_login(scene.person("emil"))
    assert "</button></form></div>" not in text_of(client.get(f"/outgoing/{mail.pk}/")).partition("<main")[2]


def test_a_draft_that_was_sent_meanwhile_is_not_written_over(client: Client, scene: scenes.Scene) -> None:
    draft = OutgoingMail.objects.get(subject="Still to be finished")
    client.post(f"/outgoing/{draft.pk}/save/", fields(scene, send="1", subject="First"))
    answer = client.post(f"/outgoing/{draft.pk}/save/", fields(scene, subject="Second"))
    assert "Nothing was changed" in said(answer)[-1]
    draft.refresh_from_db()
    assert (draft.subject, draft.state) == ("First", "waiting")


@pytest.mark.parametrize(
    ("typed", "people"),
    [
        ("a@b.example", [("a@b.example", "")]),
        (
            "a@b.example; Bo <b@b.example>\nc@b.example",
            [("a@b.example", ""), ("b@b.example", "Bo"), ("c@b.example", "")],
        ),
        ('"Riera, Pau" <p@b.example>', [("p@b.example", "Riera, Pau")]),
        ("A@b.example, a@B.example", [("A@b.example", "")]),
        ("新しい <n@b.example>", [("n@b.example", "新しい")]),
        ("", []),
    ],
)
def test_addresses_are_read_as_people_type_them(typed: str, people: list[tuple[str, str]]) -> None:
    found = PeopleField(required=False).clean(typed)
    assert [(each["email"], each["name"]) for each in found] == people
    assert PeopleField(required=False).clean(written(found)) == found


@pytest.mark.parametrize("typed", ["(" * 5_000, '"' * 5_000, "a@b.example, " * 50_000])
def test_no_address_is_too_strange_or_too_long_to_be_answered(typed: str) -> None:
    with pytest.raises(ValidationError):
        PeopleField(required=False).clean(typed)


@pytest.mark.parametrize("how", ["send", "save"])
def test_the_same_form_sent_twice_writes_one_mail(client: Client, scene: scenes.Scene, how: str) -> None:
    before = OutgoingMail.objects.count()
    page = text_of(client.get("/outgoing/new/"))
    (once,) = re.findall('name="once" value="([0-9a-f]{32})"', page)
    values = fields(scene, once=once, **{how: "1"})
    client.post("/outgoing/save/", values)
    answer = client.post("/outgoing/save/", values)
    assert said(answer)[-1].startswith("Nothing was changed")
    assert OutgoingMail.objects.count() == before + 1
    # Another form writes another mail.
    client.post("/outgoing/save/", fields(scene, once="0" * 32, **{how: "1"}))
    assert OutgoingMail.objects.count() == before + 2


def test_what_was_typed_wrong_is_still_written_once(client: Client, scene: scenes.Scene) -> None:
    before = OutgoingMail.objects.count()
    page = text_of(client.get("/outgoing/new/"))
    (once,) = re.findall('name="once" value="([0-9a-f]{32})"', page)
    again = text_of(client.post("/outgoing/save/", fields(scene, once=once, to="nobody", send="1")))
    assert f'name="once" value="{once}"' in again
    for _each in range(2):
        client.post("/outgoing/save/", fields(scene, once=once, send="1"))
    assert OutgoingMail.objects.count() == before + 1


def test_a_draft_of_a_mailbox_that_went_to_somebody_else_can_still_be_deleted(
    client: Client, scene: scenes.Scene
) -> None:
    client.post("/outgoing/save/", fields(scene))
    draft = newest()
    Mailbox.objects.filter(pk=scene.box.pk).update(owner=scene.person("bruno"))
    answer = client.post(f"/outgoing/{draft.pk}/decide/", {"what": "discard"})
    assert answer["Location"] == "/outgoing/"
    assert not OutgoingMail.objects.filter(pk=draft.pk).exists()


def test_ones_own_mail_is_found_without_looking_at_everybodys(scene: scenes.Scene) -> None:
    """Ten thousand mails of five hundred mailboxes: neither list may read them all."""
    box, person = scene.box, scene.person("anna")
    boxes = Mailbox.objects.bulk_create(
        Mailbox(address=f"{n}@many.example", server=box.server, owner=box.owner, sync_profile=box.sync_profile)
        for n in range(500)
    )
    author = scene.person("bruno")
    Mailbox.objects.filter(pk__in=[each.pk for each in boxes]).update(owner=author)
    now = timezone.now()
    OutgoingMail.objects.bulk_create(
        OutgoingMail(mailbox=boxes[n % 500], author=author, state="sent", created_at=now, state_since=now - timedelta(seconds=n))
        for n in range(10_000)
    )  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE tracking_outgoingmail, mailboxes_mailbox")
    for show in ("", "all"):
        plan = outgoing_pages.mails(person, show).order_by("-state_since", "-id")[:50].explain()
        assert "Seq Scan on tracking_outgoingmail" not in plan, plan
        assert "outgoing_latest" not in plan, plan
