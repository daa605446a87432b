"""The blob store: the same bytes once, nothing half-written, a clear error when they are not there."""

import os
from pathlib import Path

import pytest

from tracking.engine import blobs


@pytest.fixture(autouse=True)
def _root(tmp_path, settings):
    settings.BLOB_ROOT = tmp_path / "blobs"


def files(root):
    return [path for path in root.rglob("*") if path.is_file()]


def test_the_same_bytes_are_one_file(settings):
    assert blobs.put(b"abc") == blobs.put(b"abc") != blobs.put(b"")
    assert len(files(settings.BLOB_ROOT)) == 2
    assert blobs.get(blobs.put(b"abc")) == b"abc"


def test_a_file_that_was_cut_short_is_written_again():
    digest = blobs.put(b"abc")
    blobs.path_of(digest).write_bytes(b"a")
    assert blobs.get(blobs.put(b"abc")) == b"abc"


def test_a_failed_write_leaves_nothing_behind(settings, monkeypatch):
    def full(_descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        blobs.put(b"abc")
    assert files(settings.BLOB_ROOT) == []


def test_a_missing_blob_is_an_error():
    with pytest.raises(FileNotFoundError):
        blobs.get("0" * 64)


def names_synced(monkeypatch):
    """Return a list that names what is synced from now on."""
    synced, sync = [], os.fsync

    def note(descriptor):
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink())
        sync(descriptor)

    monkeypatch.setattr("os.fsync", note)
    return synced


def test_settled_blobs_have_their_names_on_disk_each_folder_once(settings, monkeypatch):
    synced = names_synced(monkeypatch)
    digests = [blobs.put(bytes([number])) for number in range(3)]
    folders = {blobs.path_of(each).parent for each in digests}
    assert not folders & set(synced)
    blobs.settle([*digests, *digests])
    assert sorted(path for path in synced if path.is_dir()) == sorted({*folders, settings.BLOB_ROOT})


def test_a_blob_that_another_worker_has_just_written_is_settled_too(monkeypatch):
    digest = blobs.put(b"abc")
    synced = names_synced(monkeypatch)
    blobs.settle([blobs.put(b"abc")])
    assert blobs.path_of(digest).parent in synced


def test_what_was_never_written_needs_no_settling():
    blobs.settle([])
    blobs.settle(["0" * 64])
