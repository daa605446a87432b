"""What people arranged in the organisation of `tests.scene`: ambiguities, unknown senders, a stopped and a split thread."""

from datetime import timedelta
from typing import TYPE_CHECKING

from tracking.arrange import history
from tracking.engine.threads import cut_off
from tracking.models import Account, AddressChoice, IgnoredDomain, Lead, Thread, ThreadStop, UnknownSender

if TYPE_CHECKING:
    from tests.scene import Scene


def arrange(scene: "Scene") -> None:
    """Two records share an address, two senders are unknown, a thread is stopped, and one was split from the first."""
    now, anna, box = scene.now, scene.people["anna"], scene.box
    for kind in (Account, Lead):
        kind.objects.update(email2="info@shared.example")
    for n, name in enumerate(("Jordi Vila", "Carme Sol")):
        UnknownSender.objects.create(
            mailbox=box, address=f"someone{n}@new.example", name=name, first_at=now - timedelta(days=n + 1),
            last_at=now - timedelta(hours=n + 1), noticed_at=now - timedelta(days=n + 1), messages=n + 1,
        )  # fmt: skip
    IgnoredDomain.objects.create(mailbox=box, domain="lists.example", by="anna", at=now - timedelta(days=3))
    AddressChoice.objects.create(owner=anna, address="desk@shared.example", by="anna", at=now - timedelta(days=2))
    stopped = Thread.objects.get(subject="Visit on Thursday")
    ThreadStop.objects.create(
        thread=stopped, mailbox=box, by="anna", at=now - timedelta(hours=3), why="settled by phone"
    )
    assert scene.thread
    other = Thread.objects.get(subject="Invoice 2026-118")
    cut_off(scene.thread.pk, [other.pk])
    first = scene.thread.activities.order_by("received_at")[0]
    history.record(
        history.What.SPLIT, by="anna", now=now - timedelta(hours=2), thread=scene.thread.pk, activity=first.pk,
        why="another subject", messages=1, new=other.pk,
    )  # fmt: skip
