"""Attachments are on disk, name and all, before a row says so."""

import os
from pathlib import Path

import pytest

from mailboxes.provider.memory import File
from tests.tracking.office import Office
from tracking.engine import blobs, pipeline
from tracking.models import Attachment

pytestmark = pytest.mark.django_db


@pytest.fixture
def office(tmp_path, settings) -> Office:
    settings.BLOB_ROOT = tmp_path
    return Office()


def test_the_folders_of_a_pages_attachments_are_synced_before_its_rows_are_stored(office, monkeypatch):
    synced, unsynced, sync, store = set(), [], os.fsync, pipeline.store

    def note(descriptor):
        synced.add(Path(f"/proc/self/fd/{descriptor}").readlink())
        sync(descriptor)

    def stored(page, **rest):
        digests = [each.sha256 for item in page.fetched.values() for each in item.attachments]
        unsynced.extend(each for each in digests if blobs.path_of(each).parent not in synced)
        return store(page, **rest)

    monkeypatch.setattr("os.fsync", note)
    monkeypatch.setattr(pipeline, "store", stored)
    anna = office.mailbox("anna")
    for number in range(3):
        office.server.deliver(anna.address, files=(File("a.txt", b"%d" % number), File("b.txt", b"again")))
    office.sync(anna)
    assert Attachment.objects.count() == 6
    assert unsynced == []


def test_a_disk_that_fails_to_settle_keeps_the_page_from_being_stored(office, monkeypatch):
    anna = office.mailbox("anna")
    office.server.deliver(anna.address, files=(File("a.txt", b"a"),))

    def fail(_digests):
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(blobs, "settle", fail)
        report = office.sync(anna)
    assert report.error is not None
    assert (report.error.code, Attachment.objects.count()) == ("disk_full", 0)
    assert office.sync(anna).tracked == 1
