"""Two workers at once: copies of the same messages, and parts of the same threads, in mailboxes synced in parallel."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection

from mailboxes.models import Mailbox
from tests.tracking.office import Office
from tracking.engine import pipeline
from tracking.models import Activity, Thread, ThreadKey

pytestmark = pytest.mark.django_db(transaction=True)


def _sync(office: Office, mailbox: Mailbox) -> int:
    try:
        return office.sync(mailbox).examined
    finally:
        connection.close()


def test_mailboxes_synced_in_parallel_share_messages_and_threads(monkeypatch, tmp_path, settings):
    settings.BLOB_ROOT = tmp_path
    monkeypatch.setattr(pipeline, "PAGE_ITEMS", 7)
    office = Office()
    boxes = [office.mailbox(name) for name in ("anna", "ben", "cleo")]
    count = 60
    for number in range(count):
        # Threads of ten; the mailboxes see them in different orders, so that threads meet and are merged.
        fields = {"message_id": f"<{number}@c.example>", "conversation_id": "" if number % 3 else f"c{number // 10}"}
        if number % 10:
            fields["in_reply_to"] = f"<{number - 1}@c.example>"
        for place, box in enumerate(boxes):
            office.server.deliver(
                box.address, received_at=office.now.replace(minute=(number * 7 * (place + 1)) % 60), **fields
            )
    with ThreadPoolExecutor(len(boxes)) as pool:
        examined = list(pool.map(lambda box: _sync(office, box), boxes))
    assert examined == [count] * 3
    assert Activity.objects.count() == count
    assert all(activity.holders.count() == 3 for activity in Activity.objects.all())
    threads = list(Thread.objects.all())
    assert len(threads) == count // 10
    assert all(thread.messages == thread.activities.count() == 10 for thread in threads)
    assert set(ThreadKey.objects.values_list("thread", flat=True)) == {thread.pk for thread in threads}
