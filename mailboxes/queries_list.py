"""The list of mailboxes: rows with everything a row shows, in a fixed number of queries whatever their number."""

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import F, QuerySet, Sum
from django.http import Http404
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from crmsync_site.ui.listing import Column
from mailboxes.issues import Issue, issue_of_mailbox
from mailboxes.models import Folder, Mailbox, Run, ServerProfile
from mailboxes.schedule import in_words
from mailboxes.states import INTENT_TONES, STATE_TONES, Intent, State, Track
from security.access import Person, visible

DAY = timedelta(hours=24)
COLUMNS = (
    Column("address", gettext_lazy("Mailbox"), ("address",)),
    Column("owner", gettext_lazy("Owner"), ("owner__last_name", "owner__first_name", "owner__username")),
    Column("state", gettext_lazy("Intent and state"), ("intent", "state")),
    Column("synced", gettext_lazy("Last success"), ("synced_at",)),
    Column("due", gettext_lazy("Next run"), ("due_at",)),
    Column("items", gettext_lazy("Tracked / refused, 24 h"), numeric=True),
    Column("quarantined", gettext_lazy("Quarantined"), numeric=True),
)


@dataclass(frozen=True, slots=True)
class Row:
    """One mailbox as a list shows it. `tracked` and `refused` are of the last 24 hours; `first_sync` is a share."""

    mailbox: Mailbox
    tracked: int
    refused: int
    quarantined: int
    first_sync: float | None
    issue: Issue | None

    @property
    def tag(self) -> str:
        """Return a short mark of what the row shows: another mark, another look."""
        box = self.mailbox
        shown = (
            box.intent, box.paused_until, box.state, box.not_before, box.synced_at, box.due_at, box.interval_reason,
            box.issue_code, self.tracked, self.refused, self.quarantined, self.first_sync,
        )  # fmt: skip
        return f"{zlib.crc32(repr(shown).encode()):08x}"

    @property
    def live_key(self) -> str:
        """Return what a page sends back to learn whether this row has changed: `pk-tag`."""
        return f"{self.mailbox.pk}-{self.tag}"

    @property
    def intent_tone(self) -> str:
        """Return the tone of the intent's badge."""
        return INTENT_TONES[self.mailbox.intent]

    @property
    def intent_words(self) -> str:
        """Return the intent, with the end of a pause."""
        if self.mailbox.intent == Intent.PAUSED and self.mailbox.paused_until:
            return _("paused until %(time)s") % {"time": clock(self.mailbox.paused_until)}
        return self.mailbox.get_intent_display()

    @property
    def state_tone(self) -> str:
        """Return the tone of the state's badge."""
        return STATE_TONES[self.mailbox.state]

    @property
    def state_words(self) -> str:
        """Return the state, with how far or until when where that is known."""
        if self.mailbox.state == State.FIRST_SYNC and self.first_sync is not None:
            return _("first sync (%(n)s %%)") % {"n": int(100 * self.first_sync)}
        if self.mailbox.state == State.THROTTLED and self.mailbox.not_before:
            return _("throttled until %(time)s") % {"time": clock(self.mailbox.not_before)}
        return self.mailbox.get_state_display()

    @property
    def interval_words(self) -> str:
        """Return why the next run is when it is."""
        return in_words(self.mailbox.interval_reason)

    @property
    def track_words(self) -> str:
        """Return the tracking option in force."""
        return str(Track(self.mailbox.effective_track).label)


def clock(at: datetime) -> str:
    """Return the time of day, with the date when it is not today."""
    local = timezone.localtime(at)
    time = f"{local:%H:%M}"
    return time if local.date() == timezone.localdate() else f"{date_format(local, 'j M')} {time}"


def mailboxes(person: Person) -> QuerySet[Mailbox]:
    """Return the mailboxes `person` may see, with owner, server and sync profile, without any secret."""
    # An unreadable secret (a lost key) must not take the list down with it.
    return (
        visible(person, Mailbox)
        .select_related("owner", "server", "sync_profile")
        .defer("secret", "server__secret", "server__ca_pem", "arrivals")
    )


def mailbox_or_404(person: Person, pk: int) -> Mailbox:
    """Return the mailbox that `person` may see, as `mailboxes` does; raises Http404 otherwise."""
    found = mailboxes(person).filter(pk=pk).first()
    if found is None:
        raise Http404
    return found


def rows(found: Sequence[Mailbox], now: datetime) -> list[Row]:
    """Return `found` as rows; two queries."""
    ids = [mailbox.pk for mailbox in found]
    items, folders = _items(ids, now), _folders(ids)
    made = []
    for mailbox in found:
        tracked, refused = items.get(mailbox.pk, (0, 0))
        total, done, quarantined = folders.get(mailbox.pk, (0, 0, 0))
        progress = min(1.0, done / total) if total and mailbox.state == State.FIRST_SYNC else None
        made.append(Row(mailbox, tracked, refused, quarantined, progress, issue_of_mailbox(mailbox)))
    return made


def _items(ids: Iterable[int], now: datetime) -> dict[int, tuple[int, int]]:
    sums = (
        Run.objects.filter(mailbox__in=ids, claimed_at__gt=now - DAY)
        .order_by()
        .values_list("mailbox")
        .annotate(
            Sum("tracked"), refused_sum=Sum(F("examined") - F("tracked") - F("updated") - F("quarantined"), default=0)
        )
    )
    return {mailbox: (tracked, refused) for mailbox, tracked, refused in sums}


def _folders(ids: Iterable[int]) -> dict[int, tuple[int, int, int]]:
    sums = (
        Folder.objects.filter(mailbox__in=ids, followed=True, gone_at=None)
        .order_by()
        .values_list("mailbox")
        .annotate(
            Sum("total", default=0),
            done=Sum(F("tracked") + F("refused") + F("quarantined") + F("discarded"), default=0),
            aside=Sum("quarantined", default=0),
        )
    )
    return {mailbox: (total, done, aside) for mailbox, total, done, aside in sums}


def servers(person: Person) -> QuerySet[ServerProfile]:
    """Return the servers a list can be narrowed to."""
    return visible(person, ServerProfile).defer("secret")


def issue_codes(person: Person) -> list[str]:
    """Return the codes of the issues that mailboxes have now."""
    found = visible(person, Mailbox).exclude(issue_code="").order_by("issue_code")
    return list(found.values_list("issue_code", flat=True).distinct())


def changed(person: Person, keys: Iterable[str], now: datetime) -> list[Row]:
    """Return the rows among `keys` (`pk-tag`) that look different now; what cannot be read is left out."""
    tags: dict[int, str] = {}
    for key in keys:
        pk, _dash, tag = key.partition("-")
        if pk.isascii() and pk.isdigit() and len(pk) < 19:
            tags[int(pk)] = tag
    found = rows(list(mailboxes(person).filter(pk__in=tags)), now)
    return [row for row in found if row.tag != tags[row.mailbox.pk]]
