"""What people can have tracking do at once."""

import logging
from collections.abc import Iterable

from django.db import transaction
from django.utils import timezone

from mailboxes.claims import IMMEDIATE, AlreadyRunning, Claim, claim_one
from mailboxes.models import Folder, Mailbox, Run
from mailboxes.states import Intent, Trigger
from tracking.models import ItemFailure
from tracking.repair import quarantine
from tracking.repair.reinitialise import What, reset
from tracking.workers.transport import RedisTransport

log = logging.getLogger(__name__)


class NotOn(Exception):
    """The mailbox is not switched on; nothing is synced until somebody who may do so switches it on."""

    def __init__(self, mailbox: Mailbox) -> None:
        super().__init__(f"{mailbox.address} is not switched on ({mailbox.get_intent_display()}).")


def sync_now(mailbox: Mailbox, *, by: str) -> Run:
    """Start a run of `mailbox` at once for the user named `by`, due or not; return it, or the run already under way.

    A run that only waits in its queue is put in front of everything else. Raises `NotOn`, and `redis.RedisError` when
    the queue is gone: then nothing was started.
    """
    if mailbox.intent != Intent.ON:
        raise NotOn(mailbox)
    try:
        run = claim_one(mailbox, Trigger.PERSON, IMMEDIATE, timezone.now())
        job_id = run.batch
    except AlreadyRunning as busy:
        run = busy.run
        if run.worker or run.queue == IMMEDIATE:
            return run
        job_id = f"now-{run.batch}"
    log.info("%s wants %s synced now (run %s)", by, mailbox, run.pk)
    # After the commit, or at once outside of a transaction: a worker must find the row. The job of a run that waited
    # elsewhere finds it begun, and leaves it alone.
    claim = Claim(job_id, IMMEDIATE, mailbox.server_id, (run.pk,))
    transaction.on_commit(lambda: RedisTransport().enqueue([claim]))
    return run


def retry_items(mailbox: Mailbox, failures: Iterable[ItemFailure], *, by: str) -> int:
    """Try failed items of `mailbox` again now, discarded ones too, by a run that starts at once; return how many.

    Raises as `sync_now` does; when the queue is gone the items stay due and the next full pass tries them.
    """
    if mailbox.intent != Intent.ON:
        raise NotOn(mailbox)
    due = quarantine.retry(failures, now=timezone.now())
    if due:
        log.info("%s wants %d items of %s tried again", by, len(due), mailbox)
        sync_now(mailbox, by=by)
    return len(due)


class Busy(Exception):
    """A run of the mailbox is under way: what it works with cannot be taken from under it."""


def read_again(mailbox: Mailbox, folders: list[Folder], what: What, *, by: str) -> Run:
    """Have these folders read again by a run that starts at once; return it.

    Raises `Busy` while a run is under way, `NotOn`, and `redis.RedisError` when the queue is gone: then the next run
    reads them.
    """
    with transaction.atomic():
        run = sync_now(mailbox, by=by)
        # A worker that would begin this run now waits for the row, and finds the folders as they are then.
        waits = Run.objects.select_for_update().filter(pk=run.pk, finished_at=None, worker="")
        if not waits.values_list("pk"):
            raise Busy
        reset(mailbox, folders, what, timezone.now())
        log.info("%s wants %s of %s read again (%d folders)", by, what, mailbox, len(folders))
    return run
