"""Blobs that no row names go, and no other: whoever stores the same bytes at that very moment keeps them."""

import os
from datetime import timedelta

import pytest
from django.utils import timezone

from tests.tracking.office import Office
from tracking.engine import blobs
from tracking.models import Activity, Attachment, OutgoingFile, OutgoingMail
from tracking.workers import blob_sweep, housekeeping

pytestmark = pytest.mark.django_db

OLD = timedelta(days=3)


@pytest.fixture(autouse=True)
def _root(tmp_path, settings):
    settings.BLOB_ROOT = tmp_path / "blobs"


@pytest.fixture
def office():
    return Office()


def stored(data, *, age=OLD):
    digest = blobs.put(data)
    then = (timezone.now() - age).timestamp()
    os.utime(blobs.path_of(digest), (then, then))
    return digest


def sweep_all(now=None):
    return sum(blob_sweep.sweep(f"{folder:02x}", now or timezone.now()) for folder in range(256))


def is_there(digest):
    return blobs.path_of(digest).exists()


def test_what_is_named_stays_what_is_young_stays_and_the_rest_goes(office):
    mailbox = office.mailbox("anna")
    mail = OutgoingMail.objects.create(
        mailbox=mailbox, author=mailbox.owner, state_since=timezone.now(), created_at=timezone.now()
    )
    attached, sent, young, old = (
        stored(b"attached"),
        stored(b"sent"),
        stored(b"young", age=timedelta(hours=1)),
        stored(b"old"),
    )
    OutgoingFile.objects.create(mail=mail, name="x", size=4, sha256=sent)
    office.server.deliver(mailbox.address)
    office.sync(mailbox)
    Attachment.objects.create(activity=Activity.objects.get(), position=0, sha256=attached)
    assert sweep_all() == 1
    assert [is_there(digest) for digest in (attached, sent, young, old)] == [True, True, True, False]
    assert sweep_all() == 0


def test_a_folder_of_which_most_is_unnamed_is_left_alone(caplog, settings):
    folder = settings.BLOB_ROOT / "00"
    folder.mkdir(parents=True)
    then = (timezone.now() - OLD).timestamp()
    for number in range(30):
        (folder / f"{number:062x}").write_bytes(b"x")
        os.utime(folder / f"{number:062x}", (then, then))
    assert sweep_all() == 0
    assert len(list(folder.iterdir())) == 30
    assert "is this the database that belongs to them?" in caplog.text


def test_a_draft_that_a_killed_worker_left_goes():
    folder = blobs.path_of(stored(b"x", age=timedelta(0))).parent
    draft = folder / ".draft-abc"
    draft.write_bytes(b"half")
    then = (timezone.now() - OLD).timestamp()
    os.utime(draft, (then, then))
    assert sweep_all() == 1
    assert not draft.exists()


def test_bytes_that_are_stored_again_are_young_again():
    digest = stored(b"again")
    blobs.put(b"again")
    assert sweep_all() == 0
    assert is_there(digest)


def test_bytes_that_are_stored_while_they_are_moved_aside_are_kept(monkeypatch):
    digest = stored(b"at this moment")
    named = blob_sweep._named

    def meanwhile(digests):
        found = named(digests)
        blobs.put(b"at this moment")  # found it, and made it young, before it is moved
        return found

    monkeypatch.setattr(blob_sweep, "_named", meanwhile)
    assert sweep_all() == 0
    assert blobs.get(digest) == b"at this moment"


def test_bytes_that_are_stored_after_they_were_moved_aside_are_written_anew(monkeypatch):
    digest = stored(b"a moment later")
    is_old = blob_sweep._is_old

    def meanwhile(path, now):
        if path.name.startswith(".swept-"):
            blobs.put(b"a moment later")
        return is_old(path, now)

    monkeypatch.setattr(blob_sweep, "_is_old", meanwhile)
    assert sweep_all() == 1
    assert blobs.get(digest) == b"a moment later"


def test_a_sweep_that_was_killed_is_made_good_by_the_next(office):
    digest = stored(b"named all the same")
    path = blobs.path_of(digest)
    path.rename(path.with_name(".swept-" + path.name))
    mailbox = office.mailbox("anna")
    office.server.deliver(mailbox.address)
    office.sync(mailbox)
    Attachment.objects.create(activity=Activity.objects.get(), position=0, sha256=digest)
    sweep_all()
    assert blobs.get(digest) == b"named all the same"
    # Written anew meanwhile, the one that was set aside is one too many.
    path.with_name(".swept-" + path.name).write_bytes(b"named all the same")
    sweep_all()
    assert [one.name for one in path.parent.iterdir()] == [path.name]


def test_every_folder_has_its_turn_within_two_days():
    digests = [stored(bytes([number])) for number in range(100)]
    for turn in range(256):
        blob_sweep.sweep_next(timezone.now() + turn * timedelta(minutes=10), timedelta(minutes=10))
    assert not any(is_there(digest) for digest in digests)


def test_housekeeping_sweeps(monkeypatch):
    swept = []
    monkeypatch.setattr(blob_sweep, "sweep", lambda folder, now: swept.append(folder) or 0)
    monkeypatch.setattr(housekeeping, "clean_registries", lambda queue: None)
    housekeeping.tidy()
    assert len(swept) == 1


def test_where_nothing_was_ever_stored_there_is_nothing_to_sweep():
    assert sweep_all() == 0
