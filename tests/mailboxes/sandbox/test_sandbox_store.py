"""The store's own rules, and its state on disk: whole or not at all."""

import json
import logging
import os
import time
import zipfile
from pathlib import Path

import pytest

from mailboxes.sandbox import ids, statefile
from mailboxes.sandbox.changelog import Cursor
from mailboxes.sandbox.delivery import post
from mailboxes.sandbox.model import Attachment, Content
from mailboxes.sandbox.statefile import Saver, StateError
from mailboxes.sandbox.store import SandboxError, SandboxStore
from mailboxes.sandbox.written import attach
from tests.mailboxes.sandbox.wire import ANNA, BEN, mail


def filled(store: SandboxStore) -> SandboxStore:
    """Put one of everything into a store."""
    store.create_folder(ANNA, "inbox", "Projects")
    store.move_folder(store.folder(ANNA, "inbox/Projects"), store.folder(ANNA, "msgfolderroot"))
    item = store.item(store.deliver_mime(ANNA, mail(), folder="Projects", categories=["Red"]))
    attach(item.content, Attachment(-1, "a.txt", data=b"abc"))
    attach(item.content, Attachment(-1, "inner", item=Content("Message", raw=mail("inner"))))
    item.content.extended["tag:1:String"] = "<t:Value>x</t:Value>"
    item.content.body = ("HTML", "<p>é</p>")
    item.written["Subject"] = item.version
    store.set_read(item, True)
    store.remove(store.item(store.deliver_mime(ANNA, mail(number=2))))
    store.allow_delegate(ANNA, BEN)
    post(store, ANNA, [BEN, "x@outside.example"], mail(number=3))
    store.loaded.add("mark")
    return store


def dump(store: SandboxStore) -> str:
    blobs = statefile.Blobs()
    return json.dumps(statefile._store_json(store, blobs)) + repr(blobs.parts)


def test_what_was_saved_is_what_is_loaded(store: SandboxStore, tmp_path: Path) -> None:
    path = tmp_path / "state"
    statefile.save(filled(store), path)
    again = statefile.load(path)
    assert dump(again) == dump(store)
    assert again.folder(ANNA, "Projects").id == store.folder(ANNA, "Projects").id
    assert [one.name for one in tmp_path.iterdir()] == ["state"]
    assert path.stat().st_mode & 0o077 == 0, "it holds passwords"


def damaged(path: Path, how: str) -> None:
    data = path.read_bytes()
    if how == "cut":
        path.write_bytes(data[: len(data) // 2])
    elif how == "a bit in the mail":
        at = data.index(b"Good morning")
        path.write_bytes(data[:at] + b"B" + data[at + 1 :])
    elif how == "not ours":
        path.write_bytes(b"hello")
    elif how == "empty":
        path.write_bytes(b"")
    else:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("state.json", how)
            archive.writestr("blobs", b"")


@pytest.mark.parametrize(
    "how",
    [
        "cut",
        "a bit in the mail",
        "not ours",
        "empty",
        "{}",
        "[]",
        '{"format": "of tomorrow"}',
        '{"format": "crmsync sandbox state 1"}',
    ],
)
def test_a_damaged_state_is_named_and_left_alone(store: SandboxStore, tmp_path: Path, how: str) -> None:
    path = tmp_path / "state"
    statefile.save(filled(store), path)
    damaged(path, how)
    before = path.read_bytes()
    with pytest.raises(StateError, match=r"state.*move it away") as caught:
        statefile.load(path)
    assert str(path) in str(caught.value)
    assert path.read_bytes() == before


def test_a_failed_save_leaves_the_old_state(
    store: SandboxStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "state"
    statefile.save(store, path)
    before = path.read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    store.deliver_mime(ANNA, mail())
    with pytest.raises(OSError, match="No space"):
        statefile.save(store, path)
    assert path.read_bytes() == before
    assert [one.name for one in tmp_path.iterdir()] == ["state"]


def wait_for(path: Path, changed_from: bytes = b"") -> bytes:
    for _ in range(200):
        if path.exists() and (data := path.read_bytes()) != changed_from:
            return data
        time.sleep(0.02)
    raise AssertionError("the state was not saved")


def test_the_saver_writes_after_a_while_and_at_the_end(store: SandboxStore, tmp_path: Path) -> None:
    path = tmp_path / "state"
    with Saver(store, path, quiet=0.03):
        first = wait_for(path)
        store.deliver_mime(ANNA, mail())
        second = wait_for(path, first)
        stamp = path.stat().st_mtime_ns
        time.sleep(0.15)
        assert path.stat().st_mtime_ns == stamp, "nothing changed, nothing is written"
        store.deliver_mime(ANNA, mail(number=2))
    assert path.read_bytes() != second
    assert len(statefile.load(path).folder(ANNA, "inbox").items) == 2


def test_the_saver_does_not_wait_for_ever_while_things_change(store: SandboxStore, tmp_path: Path) -> None:
    path = tmp_path / "state"
    with Saver(store, path, quiet=0.02, longest=0.1):
        begun = time.monotonic()
        while not path.exists():
            store.generation += 1
            time.sleep(0.005)
            assert time.monotonic() - begun < 5


def test_a_saver_that_cannot_write_says_so_and_goes_on(
    store: SandboxStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    saver = Saver(store, tmp_path / "missing" / "state", quiet=0.02).__enter__()
    with caplog.at_level(logging.ERROR):
        for _ in range(200):
            if "cannot be written" in caplog.text:
                break
            time.sleep(0.02)
    assert "cannot be written" in caplog.text
    with pytest.raises(OSError, match="missing"):
        saver.close()


# -- the store's rules


def test_addresses_are_compared_without_case(store: SandboxStore) -> None:
    assert store.has_mailbox(ANNA.upper())
    with pytest.raises(SandboxError, match="already"):
        store.add_mailbox(ANNA.upper(), "x")
    for wrong in ("nobody", "@x", "a@", "a b@c", "a,b@c"):
        with pytest.raises(SandboxError, match="no e-mail address"):
            store.add_mailbox(wrong, "x")
    with pytest.raises(SandboxError, match="no mailbox"):
        store.mailbox("nobody@sandbox.example")
    with pytest.raises(ValueError, match="language"):
        store.add_mailbox("c@sandbox.example", "x", language="tlh")


def test_folders_are_found_by_path_name_and_id(store: SandboxStore) -> None:
    folder_id = store.create_folder(BEN, "inbox", "Projectes")
    for path in ("inbox/Projectes", "INBOX/projectes", "Safata d'entrada/Projectes", folder_id):
        assert store.folder(BEN, path).id == folder_id
    for path in ("Posteingang", "inbox/None", "", "inbox/Projectes/x"):
        with pytest.raises(SandboxError, match="no folder"):
            store.folder(BEN, path)


def test_folders_keep_their_order(store: SandboxStore) -> None:
    inbox = store.folder(ANNA, "inbox")
    outer = store.add_folder(inbox, "Outer", "IPF.Note")
    inner = store.add_folder(outer, "Inner", "IPF.Note")
    for wrong, parent in ((outer, inner), (outer, outer), (inbox, outer), (outer, store.folder(BEN, "inbox"))):
        with pytest.raises(SandboxError, match="cannot be moved"):
            store.move_folder(wrong, parent)
    with pytest.raises(SandboxError, match="cannot be deleted"):
        store.remove_folder(inbox)
    with pytest.raises(SandboxError, match="already"):
        store.rename_folder(store.add_folder(inbox, "Second", "IPF.Note"), "OUTER")
    store.rename_folder(outer, "outer")
    store.deliver_mime(ANNA, mail(), folder="inbox/outer/Inner")
    store.remove_folder(outer)
    assert [folder.name for folder in inbox.deep()] == ["Second"]


def test_an_id_ends_with_its_item(store: SandboxStore) -> None:
    item_id = store.deliver_mime(ANNA, mail())
    store.move(store.item(item_id), store.folder(ANNA, "drafts"))
    for gone in (item_id, "AAAA", store.folder(ANNA, "inbox").id):
        with pytest.raises(SandboxError):
            store.item(gone)


def test_a_person_named_twice_gets_one_copy(store: SandboxStore) -> None:
    assert len(post(store, ANNA, [BEN, BEN.upper(), " ", "x@y.example"], mail())) == 1
    assert [one.recipient for one in store.outbound] == ["x@y.example"]


def test_ids_say_only_what_they_were_made_of() -> None:
    guid = "0" * 8 + "-0000-0000-0000-" + "0" * 12
    item, folder = ids.encode_id(guid, "I", 7), ids.encode_id(guid, "F", 7)
    assert (len(item), len(folder), len(ids.encode_change_key(guid, 3))) == (152, 120, 40)
    assert ids.decode_id(item)[:3] == (guid, "I", 7)
    assert ids.decode_id(folder)[:3] == (guid, "F", 7)
    attachment = ids.encode_attachment_id(item, (0, 3))
    assert ids.decode_attachment_id(attachment) == (item, (0, 3))
    state = ids.encode_state(guid, "I", 7, Cursor(1, 2, 3))
    assert ids.decode_state(state, guid, "I", 7) == Cursor(1, 2, 3)
    for wrong in (item, folder, attachment, state[:-4], "", "AAAA", "ñ"):
        with pytest.raises(ids.MalformedId):
            ids.decode_state(wrong, guid, "I", 7)
    for scope, number in (("H", 7), ("I", 8)):
        with pytest.raises(ids.MalformedId):
            ids.decode_state(state, guid, scope, number)
    for wrong in (item, state, "AAAA"):
        with pytest.raises(ids.MalformedId):
            ids.decode_attachment_id(wrong)
    for wrong in (attachment, state, "AAAA", ""):
        with pytest.raises(ids.MalformedId):
            ids.decode_id(wrong)
