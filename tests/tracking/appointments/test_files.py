"""Files of an appointment on its page: seen, downloaded, added, removed, and why one is in no mailbox."""

import html

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from mailboxes.models import SyncProfile
from tests import scene as scenes
from tracking.appointments import files
from tracking.engine import blobs
from tracking.models import Appointment, AppointmentFile, FilesInStep, ItemLink


@pytest.fixture
def scene(organisation: scenes.Scene, db: None, client: Client) -> scenes.Scene:
    scene = organisation.copy()
    client.force_login(scene.person("anna"))
    return scene


@pytest.fixture
def review(scene: scenes.Scene) -> Appointment:
    return Appointment.objects.get(subject="Weekly review")


def page(client: Client, record: Appointment) -> str:
    answer = client.get(f"/appointments/{record.pk}/")
    assert answer.status_code == 200
    return html.unescape(answer.content.decode())


def upload(client: Client, record: Appointment, *sent: tuple[str, bytes]) -> str:
    """Send files by the form; return the page that follows."""
    held = [SimpleUploadedFile(name, data, "text/html") for name, data in sent]
    answer = client.post(f"/appointments/{record.pk}/files/add/", {"files": held}, follow=True)
    assert answer.status_code == 200
    return html.unescape(answer.content.decode())


def test_each_is_listed_with_its_size_and_whoever_added_it(client: Client, review: Appointment) -> None:
    shown = page(client, review)
    assert "agenda.txt" in shown
    assert "6\xa0bytes" in shown
    assert "anna" in shown


def test_a_download_is_never_shown_in_place(client: Client, review: Appointment) -> None:
    upload(client, review, ("page.html", b"<script>alert(1)</script>"))
    found = AppointmentFile.objects.get(name="page.html")
    answer = client.get(f"/appointments/files/{found.pk}/")
    assert answer.getvalue() == b"<script>alert(1)</script>"
    assert answer["Content-Type"] == "application/octet-stream"
    assert answer["Content-Disposition"].startswith('attachment; filename="page.html"')
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert answer["Cache-Control"] == "private, no-store"


def test_a_file_whose_bytes_are_gone_does_not_exist(client: Client, review: Appointment) -> None:
    upload(client, review, ("short.txt", b"lived only for this test"))
    found = AppointmentFile.objects.get(name="short.txt")
    blobs.path_of(found.sha256).unlink()
    assert client.get(f"/appointments/files/{found.pk}/").status_code == 404


def test_files_are_added_and_the_appointment_is_compared_again(client: Client, review: Appointment) -> None:
    before = review.modified_at
    shown = upload(client, review, ("C:\\docs\\plan.txt", b"plan"), ("notes.txt", b"notes"))
    assert "2 files added." in shown
    assert set(review.files.values_list("name", "added_by")) >= {("plan.txt", "anna"), ("notes.txt", "anna")}
    review.refresh_from_db()
    assert review.modified_at > before


def test_the_same_file_twice_is_one_and_nothing_is_compared_for_it(client: Client, review: Appointment) -> None:
    before = review.modified_at
    assert "It is attached already." in upload(client, review, ("agenda.txt", b"agenda"))
    review.refresh_from_db()
    assert (review.files.count(), review.modified_at) == (1, before)


def test_another_file_of_the_same_name_stands_beside_it(client: Client, review: Appointment) -> None:
    upload(client, review, ("agenda.txt", b"another agenda"))
    assert review.files.filter(name="agenda.txt").count() == 2


def test_what_cannot_be_taken_says_why_and_nothing_is_added(
    client: Client, review: Appointment, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "Choose a file first." in upload(client, review)
    monkeypatch.setattr(files, "MOST_BYTES", 3)
    assert "long.txt is too large: 4\xa0bytes, at most 3\xa0bytes." in upload(client, review, ("long.txt", b"four"))
    monkeypatch.setattr(files, "MOST_FILES", 1)
    assert "An appointment has 1 files at most." in upload(client, review, ("b.txt", b"b"))

    def full(_data: bytes) -> str:
        raise OSError("no space")

    monkeypatch.setattr(blobs, "put", full)
    assert "there is no room on the disk" in upload(client, review, ("c.txt", b"c"))
    assert review.files.count() == 1


def test_a_file_is_removed_and_the_appointment_is_compared_again(client: Client, review: Appointment) -> None:
    before, found = review.modified_at, review.files.get()
    answer = client.post(f"/appointments/files/{found.pk}/remove/", follow=True)
    assert "agenda.txt removed." in html.unescape(answer.content.decode())
    review.refresh_from_db()
    assert not review.files.exists()
    assert review.modified_at > before


def test_who_only_reads_the_record_downloads_and_changes_nothing(
    client: Client, scene: scenes.Scene, review: Appointment
) -> None:
    client.force_login(scene.person("emil"))
    shown = page(client, review)
    assert "agenda.txt" in shown
    assert "Attach</button>" not in shown
    found = review.files.get()
    assert client.get(f"/appointments/files/{found.pk}/").status_code == 200
    assert client.post(f"/appointments/files/{found.pk}/remove/").status_code == 403
    assert client.post(f"/appointments/{review.pk}/files/add/").status_code == 403
    client.force_login(scene.person("bruno"))
    assert client.get(f"/appointments/files/{found.pk}/").status_code == 404
    assert client.post(f"/appointments/files/{found.pk}/remove/").status_code == 404


def test_the_page_says_what_is_not_in_the_mailbox_and_why(
    client: Client, scene: scenes.Scene, review: Appointment
) -> None:
    assert "In the CRM alone: of a series no file flows." in page(client, review)
    review.recurrence = None
    review.save()
    assert "In the CRM alone: the sync profile keeps attachments where they are" in page(client, review)
    link = ItemLink.objects.create(
        mailbox=scene.box, kind="appointment", record_id=review.pk, stamp="files", item_id="i-files",
        linked_at=scene.now, synced_at=scene.now,
    )  # fmt: skip
    SyncProfile.objects.filter(pk=scene.box.sync_profile_id).update(appointment_attachments="both")
    FilesInStep.objects.create(
        link=link, left={"agenda.txt": "attachment_too_large", "logo.png": "inline"},
    )  # fmt: skip
    shown = page(client, review)
    assert "Kept in step with the mailbox by the next run." in shown
    assert "A file of an appointment is too large for the mail server" in shown
    assert "<strong>logo.png</strong>, a picture within the text" in shown
    FilesInStep.objects.update(left={FilesInStep.EVERY: "not_organizer"})
    assert "In the CRM alone: of a meeting that somebody else organises no file flows." in page(client, review)


def test_the_page_of_what_is_in_step_says_it_with_its_remedy(
    client: Client, scene: scenes.Scene, review: Appointment
) -> None:
    link = ItemLink.objects.create(
        mailbox=scene.box, kind="appointment", record_id=review.pk, stamp="files", item_id="i-files",
        linked_at=scene.now, synced_at=scene.now,
    )  # fmt: skip
    FilesInStep.objects.create(
        link=link, left={"film.mp4": "attachment_too_large", "logo.png": "inline", FilesInStep.EVERY: "series"},
    )  # fmt: skip
    shown = html.unescape(client.get(f"/mailboxes/{scene.box.pk}/in-step/").content.decode())
    assert "Weekly review: film.mp4" in shown
    assert "Remove the file, or others beside it" in shown
    assert "attachment logo.png" in shown
    assert "of a series no file flows" in shown
    client.force_login(scene.person("dora"))
    shown = html.unescape(client.get(f"/mailboxes/{scene.box.pk}/in-step/").content.decode())
    assert "film.mp4" not in shown, "who does not see the record learns nothing of its files"
