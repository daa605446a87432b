"""What people did to threads and addresses, as rows that are only ever added, and each as a sentence.

One way in (`record`) and one way out (`sentence`): whoever moves these rows to another ledger changes this module.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from tracking.models import TrackingEvent

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

What = TrackingEvent.What
# What a reason may be long: it is a sentence, not a document.
WHY_CHARACTERS = 300

# Facts in the sentences: `record` (its name where the reader may see it), `address`, `mailbox`, `thread`.
SENTENCES: "Mapping[str, StrOrPromise]" = {
    What.STOPPED: _("stopped the thread: no more of it is tracked"),
    What.RESUMED: _("took the stop back"),
    What.JOINED: _("joined two threads again"),
    What.REGARDING: _("set what it is regarding: %(record)s"),
    What.RESOLVED: _("said whose %(address)s is: %(record)s"),
    What.CHOICE_UNDONE: _("took back the choice for %(address)s"),
    What.ACCEPTED: _("accepted %(address)s as %(record)s"),
    What.CREATED: _("made a record for %(address)s: %(record)s"),
    What.IGNORED: _("ignored %(address)s"),
    What.UNIGNORED: _("listed %(address)s again"),
}


def clean(why: str) -> str:
    """Return a reason as it is kept: one line, without NUL, no longer than it may be."""
    return " ".join(why.replace("\x00", "").split())[:WHY_CHARACTERS]


def record(
    what: str,
    *,
    by: str,
    now: datetime,
    thread: int | None = None,
    activity: int | None = None,
    mailbox: int | None = None,
    why: str = "",
    **facts: Any,
) -> TrackingEvent:
    """Note that `by` did this. Facts are plain JSON: ids, addresses, counts; records as `kind` and `id`, never by name."""
    return TrackingEvent.objects.create(
        at=now,
        by=by,
        what=what,
        thread_id=thread,
        activity_id=activity,
        mailbox_id=mailbox,
        facts=facts,
        why=clean(why),
    )


def sentence(event: TrackingEvent, record_name: str) -> str:
    """Return what was done, to stand after the name of who did it. `record_name`: that of the record in its facts, in the
    words that the reader may see.
    """
    facts = event.facts
    if event.what == What.SPLIT:
        count = int(facts.get("messages", 0))
        text = ngettext("split off %(n)s message", "split off %(n)s messages", count)
        return text % {"n": count}
    template = SENTENCES.get(event.what, event.what)
    return str(template) % {"record": record_name, "address": facts.get("address", "")}
