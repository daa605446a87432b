"""Publishing while workers settle runs of the same mailboxes, in whatever order either goes through them."""

from concurrent.futures import ThreadPoolExecutor
from threading import Event
from time import sleep

import pytest
from django.db import connection, transaction
from django.utils import timezone

from mailboxes import intents
from mailboxes.models import Mailbox, SyncProfile
from tests.tracking.office import Office
from tracking.models import PolicyChange
from tracking.policy import drafts
from tracking.policy.document import in_force

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_draft_is_published_although_a_worker_blocks_it_and_is_blocked_by_it(monkeypatch):
    office = Office()
    boxes = [office.mailbox(name) for name in ("anna", "ben")]
    profile = SyncProfile.objects.get(pk=office.profile.pk)
    document = {
        **in_force(profile),
        "filters": {
            "new": {
                "scope": "system", "kind": "contact", "name": "Active ones", "excludes": False, "active": True,
                "conditions": {"any": False, "parts": [{"column": "active", "operator": "is", "value": True}]},
                "examples": [],
            }
        },
    }  # fmt: skip
    draft = drafts.begin(profile, by="fina", now=timezone.now(), proposed=document)
    begun, waiting = Event(), Event()
    want_full_pass = intents.want_full_pass

    def one_after_the_other(mailboxes, now, **more):
        # A statement over many rows goes through them in an order of its own.
        Mailbox.objects.filter(pk=boxes[0].pk).update(changed_by="publishing")
        waiting.set()
        return want_full_pass(mailboxes, now, **more)

    monkeypatch.setattr(intents, "want_full_pass", one_after_the_other)

    def settle():
        try:
            with transaction.atomic():
                Mailbox.objects.filter(pk=boxes[1].pk).update(changed_by="settling")
                begun.set()
                assert waiting.wait(10)
                # Whoever has waited longer is ended by the database: here whoever publishes.
                sleep(0.4)
                Mailbox.objects.filter(pk=boxes[0].pk).update(changed_by="settling")
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        settling = pool.submit(settle)
        assert begun.wait(10)
        drafts.publish(draft, revision=draft.revision, by="fina", now=timezone.now())
        settling.result()
    assert PolicyChange.objects.get().published_by == "fina"
    assert set(Mailbox.objects.values_list("full_pass_at", flat=True)) == {None}
