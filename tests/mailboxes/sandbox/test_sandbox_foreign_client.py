"""A client that is not exchangelib drives every kind of item: ews-javascript-api under Node.

It writes, asks and reads differently, so answers that fit one client only show themselves here. It is
installed at test time, by its lock file, into a cache outside the project; without Node, npm or a
package registry the test skips and says so.
"""

import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from mailboxes.sandbox.http import Answer, HttpRequest
from mailboxes.sandbox.server import SandboxServer
from mailboxes.sandbox.store import SandboxStore
from tests import ews_schema
from tests.mailboxes.sandbox.wire import ANNA, BEN, PASSWORDS

HERE = Path(__file__).parent / "foreign"
FILES = ("package.json", "package-lock.json")


def loudly(reason: str) -> None:
    pytest.skip(f"NO FOREIGN CLIENT: {reason}; the sandbox was driven by exchangelib alone")


@pytest.fixture(scope="session")
def modules() -> Path:
    """Return the folder of the client's modules, installed if it is not there yet."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        loudly("there is no node with npm on this machine")
    lock = b"".join((HERE / name).read_bytes() for name in FILES)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "crmsync-tests"
    place = cache / f"ews-javascript-api-{hashlib.sha256(lock).hexdigest()[:16]}"
    if not place.is_dir():
        # Made beside its place and moved there, so that two test runs do not meet in it.
        beside = cache / f"{place.name}.{os.getpid()}"
        beside.mkdir(parents=True)
        for name in FILES:
            shutil.copy(HERE / name, beside)
        install = [str(npm), "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        done = subprocess.run(install, cwd=beside, capture_output=True, text=True, timeout=300, check=False)
        if done.returncode:
            shutil.rmtree(beside)
            loudly(f"npm could not install it ({done.stderr.strip().splitlines()[-1:]})")
        try:
            beside.rename(place)
        except OSError:
            shutil.rmtree(beside)
    return place / "node_modules"


class Listening(SandboxServer):
    """A server that holds every answer of the protocol against its schema."""

    invalid: tuple[str, ...] = ()
    answered = 0

    def answer(self, request: HttpRequest) -> Answer | None:
        found = super().answer(request)
        if found is not None and ews_schema.schema() is not None and found.status in (200, 500) and found.body:
            self.answered += 1
            self.invalid += tuple(ews_schema.validate(found.body))
        return found


@pytest.fixture
def seen(modules: Path, store: SandboxStore) -> tuple[dict[str, Any], Listening]:
    """Return what the client read, and the server it read it from."""
    with Listening(store) as server:
        people = [part for address in (ANNA, BEN) for part in (address, PASSWORDS[address])]
        done = subprocess.run(
            [str(shutil.which("node")), str(HERE / "drive.js"), server.url, *people],
            env=os.environ | {"NODE_PATH": str(modules), "NODE_OPTIONS": ""},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        return json.loads(done.stdout), server


@pytest.mark.slow
def test_a_foreign_client_drives_every_kind_of_item(
    store: SandboxStore, seen: tuple[dict[str, Any], Listening]
) -> None:
    told, server = seen
    lives = {
        "message": (
            ["From afar", "Plain words", BEN, ["CRM"]],
            ["From afar, again", "Plain words", BEN, ["CRM"]],
        ),
        "appointment": (
            ["Review", "Room 1", "2026-11-23T09:00:00.000Z", "Private", "Single"],
            ["Review", "Room 2", "2026-11-23T09:30:00.000Z", "Private", "Single"],
        ),
        "contact": (
            ["Zoe Quill", "Quill, Zoe", "Quill", "zoe@quill.example", "+34 600"],
            ["Zoe Quill", "Quill, Zoe", "Feather", "zoe@quill.example", "+34 601"],
        ),
        "task": (
            ["Call", "NotStarted", 0, "2026-11-30T00:00:00.000Z"],
            ["Call", "InProgress", 40, "2026-11-30T00:00:00.000Z"],
        ),
        "list": (["Buyers", 2], ["All buyers", 2]),
    }
    for kind, (read, changed) in lives.items():
        life = told[kind]
        assert (life["read"], life["changed"], life["moved"]) == (read, changed, changed), kind
        assert life["told"] == [["Create"], ["Update"], ["Delete"]], kind
        assert (life["newId"], life["oldId"], life["gone"]) == (True, "ErrorItemNotFound", "ErrorItemNotFound"), kind
    assert told["series"] == {
        "master": ["RecurringMaster", True],
        "differs": [1, 1],
        "beyond": "ErrorCalendarOccurrenceIndexIsOutOfRecurrenceRange",
        "deleted": "ErrorCalendarOccurrenceIsDeletedFromRecurrence",
        "view": [["2026-11-23T09:00:00.000Z", "Occurrence"], ["2026-11-30T11:00:00.000Z", "Exception"]],
        "requests": ["MeetingRequest", "MeetingRequest"],
        "unanswered": "NoResponseReceived",
        "answered": "Accept",
        "attendee": "Accept",
        "cancelled": True,
    }
    assert told["conflict"] == ["ErrorIrresolvableConflict", "42"]
    assert told["told"] == ["Created", "NewMail"]
    assert [one.kind for one in store.departed] == ["request", "update", "response", "cancellation", "mail"]
    assert server.invalid == ()
    assert server.answered > 60 or ews_schema.schema() is None
