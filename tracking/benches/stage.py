"""What happens inside a scratch installation: mailboxes are connected, and synced by a real worker as in everyday life.

The dispatcher's own code hands out what is due, in its own batches, through the real queue; only that mailboxes become
due is hurried along, for nobody wants to wait five minutes for each round.
"""

import time
from collections.abc import Sequence

from django.db.models import Q, QuerySet
from django.utils import timezone

from mailboxes.adding import add_mailbox
from mailboxes.models import Folder, Mailbox, Run, ServerProfile, SyncProfile
from mailboxes.states import Auth, Outcome, Track
from security import egress
from security.models import User
from tracking.benches.children import ChildFailed, cpu_seconds
from tracking.engine import category
from tracking.linked import channel
from tracking.models.category import TRACKED_NAME
from tracking.personal import tracked_folders
from tracking.workers.dispatcher import TICK_SECONDS, Dispatcher
from tracking.workers.presence import Watch
from tracking.workers.transport import RedisTransport

_POLL_SECONDS = 0.02


def connect(
    name: str, url: str, *, username: str, password: str, impersonate: bool, auth: str = "basic"
) -> ServerProfile:
    """Add a server profile and allow its host."""
    egress.allow(egress.Endpoint.of(url), by="bench", private=True)
    return ServerProfile.objects.create(
        name=name, url=url, auth=Auth(auth), username=username, secret=password, impersonate=impersonate
    )


def add(server: ServerProfile, addresses: Sequence[str]) -> list[Mailbox]:
    """Add mailboxes that track everything, without exclusions, and switch them on."""
    owner, _made = User.objects.get_or_create(username="bench", defaults={"is_superuser": True})
    profile, _made = SyncProfile.objects.get_or_create(
        name="bench", defaults={"exclude_internal": False, "exclude_automated": False}
    )
    now = timezone.now()
    added = [
        add_mailbox(address, server=server, owner=owner, track=Track.ALL, enable=True, by="bench", now=now)
        for address in addresses
    ]
    Mailbox.objects.filter(pk__in=[mailbox.pk for mailbox in added]).update(sync_profile=profile)
    return added


class Stage:
    """Mailboxes of a bench and the dispatcher that serves them. `worker` is the process that syncs them."""

    def __init__(self, mailboxes: Sequence[Mailbox], *, worker: int, patience_s: float = 120.0) -> None:
        self._ids = [mailbox.pk for mailbox in mailboxes]
        self._worker, self._patience = worker, patience_s
        self._seen, self._moved_at = 0, time.monotonic()
        self._dispatcher = Dispatcher(RedisTransport(), clock=timezone.now, watcher=Watch())

    def first_sync(self) -> None:
        """Sync until every mailbox is up to date, backlogs included; raises `ChildFailed` when one fails or nothing moves."""
        self._moved_at = time.monotonic()
        while self._busy(self._rows().filter(Q(first_sync_done=False) | Q(backlog=True))):
            self._work()

    def rounds(self, count: int) -> int:
        """Have every mailbox synced `count` times, each time as one tick of the dispatcher hands it out; return the runs."""
        before = self._finished().count()
        for _round in range(count):
            self._moved_at = time.monotonic()
            self._rows().update(due_at=timezone.now())
            while self._busy(self._rows().filter(due_at__lte=timezone.now())):
                self._work()
        return self._finished().count() - before

    def demand_full_pass(self) -> None:
        """Make the next run of each mailbox a full pass, as if the last one was an hour ago."""
        self._rows().update(full_pass_at=None)

    def follow(self, names: Sequence[str]) -> None:
        """Follow the folders of these names too, in every mailbox."""
        Folder.objects.filter(mailbox__in=self._ids, name__in=names).update(followed=True)

    def switch_everything_on(self, names: Sequence[str]) -> None:
        """Have the folders of these names tracked in every mailbox, mail tracked by category, and entries kept in step."""
        now = timezone.now()
        for mailbox in self._rows().select_related("owner", "sync_profile"):
            for folder in mailbox.folders.filter(name__in=names):
                tracked_folders.add(mailbox, folder, tracked_folders.Choice(), by=mailbox.owner, now=now)
            category.switch(mailbox, mail=True, name=TRACKED_NAME, now=now)
            channel.switch(mailbox, on=True, by="bench", now=now)

    def followed(self) -> int:
        """Return how many folders are followed, in all mailboxes together."""
        return Folder.objects.filter(mailbox__in=self._ids, followed=True).count()

    # -- inside

    def _rows(self) -> QuerySet[Mailbox]:
        return Mailbox.objects.filter(pk__in=self._ids).order_by()

    def _finished(self) -> QuerySet[Run]:
        return Run.objects.filter(mailbox__in=self._ids, finished_at__isnull=False).order_by()

    def _work(self) -> None:
        """Dispatch, as every second, and wait until what was handed out is done, for a second at most."""
        cpu_seconds(self._worker)  # raises when it has ended
        self._dispatcher.tick()
        tick = time.monotonic() + TICK_SECONDS
        while Run.objects.filter(finished_at=None).exists() and time.monotonic() < tick:
            time.sleep(_POLL_SECONDS)
        failed = self._finished().exclude(outcome__in=(Outcome.DONE, Outcome.PAUSED)).first()
        if failed is not None:
            raise ChildFailed(f"A run failed: {failed.outcome} {failed.error_code} {failed.error_detail}".strip())
        if time.monotonic() - self._moved_at > self._patience:
            raise ChildFailed(f"Nothing was synced for {self._patience:.0f} s; the worker may have ended.")
        finished = self._finished().count()
        if finished != self._seen:
            self._seen, self._moved_at = finished, time.monotonic()

    def _busy(self, waiting: QuerySet[Mailbox]) -> bool:
        return waiting.exists() or Run.objects.filter(finished_at=None).exists()
