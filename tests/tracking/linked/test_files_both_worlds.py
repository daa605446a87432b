"""Files of appointments over both mail systems, in memory and a sandbox Exchange over EWS; and whatever dies, none twice.

`Place.sync` asserts that no notice left.
"""

import contextlib
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest
from django.db import connection

from mailboxes.models import Run
from mailboxes.provider.entries import EntryKind, Field, Span
from mailboxes.provider.port import AttachmentBytes
from mailboxes.provider.writing import Attached
from mailboxes.sandbox.server import SandboxServer
from tests.mailboxes.provider.worlds import EwsWorld, Letter, MemoryWorld, sandbox_store
from tests.tracking.linked.places import Place
from tests.tracking.outgoing.post import Death, Killed, Mortal
from tracking.engine import blobs
from tracking.linked.files import MOST_BYTES
from tracking.models import Appointment, AppointmentFile, FilesInStep, ItemLink

pytestmark = pytest.mark.django_db
TEN = datetime.now(UTC).replace(hour=10, minute=0, second=0, microsecond=0) + timedelta(days=14)
HOUR = timedelta(hours=1)
PLAN, NOTES = ("Plà <1> & 2.pdf", bytes(range(256))), ("notes.txt", b"what was said")


@pytest.fixture(params=["memory", "ews"])
def place(request):
    with contextlib.ExitStack() as stack:
        world = (
            MemoryWorld()
            if request.param == "memory"
            else EwsWorld(stack.enter_context(SandboxServer(sandbox_store())))
        )
        made = Place(world, EntryKind.APPOINTMENT)
        made.set_profile(appointment_attachments="both")
        yield made


def appointment(place: Place, *held: tuple[str, bytes]) -> Appointment:
    record: Appointment = place.record(subject="Offer", starts_at=TEN, ends_at=TEN + HOUR, zone="Europe/Madrid")
    for name, data in held:
        add(record, name, data)
    return record


def add(record: Appointment, name: str, data: bytes) -> None:
    AppointmentFile.objects.create(
        appointment=record, name=name, size=len(data), sha256=blobs.put(data), added_at=datetime.now(UTC)
    )
    record.refresh_from_db()
    record.save()


def take(record: Appointment, name: str) -> None:
    AppointmentFile.objects.filter(appointment=record, name=name).delete()
    record.refresh_from_db()
    record.save()


def here(record: Appointment) -> list[tuple[str, bytes]]:
    return sorted((each.name, blobs.get(each.sha256)) for each in AppointmentFile.objects.filter(appointment=record))


def hanging(place: Place) -> Attached:
    (found,) = place.world.provider().attached([ItemLink.objects.get().item_id])
    assert isinstance(found, Attached)
    return found


def there(place: Place) -> list[tuple[str, bytes]]:
    infos = hanging(place).attachments
    found = place.world.provider().attachments(infos)
    return sorted(
        (info.name, each.data) for info, each in zip(infos, found, strict=True) if isinstance(each, AttachmentBytes)
    )


def test_files_flow_both_ways_and_come_to_rest(place):
    record = appointment(place, PLAN)
    place.sync()
    assert there(place) == here(record) == [PLAN]
    place.world.hang(ItemLink.objects.get().item_id, *NOTES)
    place.sync()
    assert there(place) == here(record) == sorted([NOTES, PLAN])
    take(record, NOTES[0])
    place.sync()
    assert there(place) == here(record) == [PLAN]
    place.world.provider().detach(hanging(place).attachments[0].id)
    place.sync()
    assert there(place) == here(record) == []
    assert (place.sync().written, place.sync(full=True).written) == (0, 0)


def test_a_tracked_appointment_brings_its_files(place):
    values = {Field.SUBJECT: "Theirs", Field.SPAN: Span(TEN, TEN + HOUR, "Europe/Madrid")}
    item_id = place.put(values)
    place.world.hang(item_id, *PLAN)
    place.world.hang(item_id, "logo.png", b"png", inline=True)
    place.world.hang(item_id, "a mail", Letter().mime(), item=True)
    place.sync()
    assert here(Appointment.objects.get()) == [PLAN]
    assert FilesInStep.objects.get().left == {"logo.png": "inline", "a mail": "item"}


def test_what_the_server_does_not_take_stays_here_and_the_fields_flow(place):
    place.world.hang_at_most(1_000_000)
    record = appointment(place, ("film.mp4", b"x" * 1_500_000), NOTES)
    place.sync()
    assert there(place) == [NOTES]
    assert FilesInStep.objects.get().left == {"film.mp4": "attachment_too_large"}
    requests = place.provider.requests
    place.sync()
    assert place.provider.requests - requests == 1, "it is not sent again"
    assert len(here(record)) == 2


def test_a_file_as_large_as_we_take_is_taken(place):
    record = appointment(place, ("film.mp4", b"x" * MOST_BYTES))
    place.sync()
    assert [(name, len(data)) for name, data in there(place)] == [("film.mp4", MOST_BYTES)]
    assert [(name, len(data)) for name, data in here(record)] == [("film.mp4", MOST_BYTES)]


def die(place: Place, death: Death) -> None:
    """Do one run whose process dies, and have its lease given back as if it had run out."""
    inner = place.provider
    place.provider = Mortal(inner, death.edge)
    try:
        with contextlib.suppress(Killed), connection.execute_wrapper(death.before_statement):
            place.sync()
    finally:
        place.provider = inner
        Run.objects.filter(finished_at=None).update(finished_at=datetime.now(UTC), outcome="failed")


def everywhere(place: Place, change: Any) -> list[str]:
    """Have `change` made again and again, and a run die at one place more each time; return the places."""
    for nth in count(1):
        wanted = change(nth)
        death = Death(nth)
        die(place, death)
        place.sync()
        place.sync()
        record = Appointment.objects.get()
        assert there(place) == here(record) == sorted(wanted), f"died at {nth}: {death.struck}"
        if not death.struck:
            return death.seen
    raise AssertionError


def test_killed_at_every_step_no_file_hangs_there_twice_and_none_is_lost(place):
    record = appointment(place)
    place.sync()
    before: list[tuple[str, bytes]] = []

    def change(nth: int) -> list[tuple[str, bytes]]:
        """Add one file on each side, and take away on each side one of those before."""
        ours, theirs = (f"{nth} ours.txt", b"ours %d" % nth), (f"{nth} theirs.txt", b"theirs %d" % nth)
        for name, _data in before:
            if name.endswith("theirs.txt"):
                take(record, name)
            else:
                (info,) = (each for each in hanging(place).attachments if each.name == name)
                place.world.provider().detach(info.id)
        add(record, *ours)
        place.world.hang(ItemLink.objects.get().item_id, *theirs)
        before[:] = [ours, theirs]
        return [ours, theirs]

    seen = everywhere(place, change)
    for name in ("attach", "detach", "attached", "attachments"):
        assert {f"before {name}", f"after {name}"} <= set(seen)
    assert sum(each.startswith("RELEASE SAVEPOINT") for each in seen) >= 3
    assert not FilesInStep.objects.exclude(tries={}).exists()


def test_killed_while_a_new_appointment_is_made_its_file_hangs_there_once(place):
    place.sync()
    for nth in count(1):
        Appointment.objects.all().delete()
        ItemLink.objects.all().delete()
        record = appointment(place, (f"{nth}.txt", b"%d" % nth))
        death = Death(nth)
        die(place, death)
        place.sync()
        place.sync()
        assert there(place) == here(record) == [(f"{nth}.txt", b"%d" % nth)], f"died at {nth}: {death.struck}"
        if not death.struck:
            break
    assert {"before attach", "after attach"} <= set(death.seen)
