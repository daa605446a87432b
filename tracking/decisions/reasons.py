"""The sentence for each reason: what a person reads beside a decision. One table for screens, commands and docs."""

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext_lazy as _

from tracking.models.activity import RecordKind
from tracking.sync.facts import Reason

SENTENCES = {
    Reason.ALL_MAIL: _("Tracked, because this mailbox tracks all mail."),
    Reason.REPLY_TO_TRACKED: _("Tracked, because it answers a message that is tracked (reply headers)."),
    Reason.CARRIES_TOKEN: _("Tracked, because it answers mail that crmsync sent (tracking token)."),
    Reason.LIKE_TRACKED: _(
        "Tracked, because it has the subject and the people of a tracked message (%(days)s days before, %(people)s shared "
        "addresses, %(words)s telling words)."
    ),
    Reason.SAME_CONVERSATION: _("Tracked, because it belongs to the conversation of a tracked message."),
    Reason.FROM_RECORD: _("Tracked, because its sender is a %(kind)s."),
    Reason.TO_RECORD: _("Tracked, because it was sent to a %(kind)s."),
    Reason.TRACKED_FOLDER: _("Tracked, because its owner put it into a tracked folder."),
    Reason.ALREADY_TRACKED: _("Linked to the copy that is kept already: another mailbox holds the same message."),
    Reason.DUPLICATE_IN_MAILBOX: _("Linked to the copy that is kept already: this mailbox holds the message twice."),
    Reason.NOT_MAIL: _("Refused, because it is not a message."),
    Reason.DRAFT: _("Refused, because it is a draft."),
    Reason.PRIVATE: _("Refused, because its sender marked it as private."),
    Reason.BLOCKED: _("Refused, because its sender is on the list of blocked addresses and domains."),
    Reason.AUTOMATED: _("Refused, because a program sent it and automated mail is left out."),
    Reason.INTERNAL: _("Refused, because only colleagues take part and mail among colleagues is left out."),
    Reason.BEFORE_FOLDER: _("Left alone, because it was received before its tracked folder takes mail."),
    Reason.TRACKING_OFF: _("Refused, because this mailbox tracks nothing by itself."),
    Reason.NOT_A_REPLY: _("Refused, because it answers no tracked message and this mailbox tracks replies only."),
    Reason.THREAD_STOPPED: _("Refused, because its conversation was stopped: nothing more of it is tracked."),
    Reason.NO_RECORD: _("Refused, because no record has the address of the person it is from or to."),
    Reason.WRITTEN_HERE: _("Tracked, because it was written in the CRM."),
    Reason.MARKED: _("Tracked, because its owner gave it the category for it."),
    Reason.IN_STEP: _("Kept in step with a record."),
    Reason.NOT_MARKED: _("Left alone, because its owner did not ask for it to be tracked."),
    Reason.DISTRIBUTION_LIST: _("Left alone, because it is a distribution list: a list of people is no contact."),
    Reason.OTHER_KIND: _("Left alone, because it is no appointment, no contact and no task."),
    Reason.ASSIGNED_TASK: _("Left alone, because the task was given to somebody: whoever has it says how it stands."),
    Reason.RECURRING_TASK: _("Left alone, because the task comes again and again, and the CRM’s tasks come once."),
    Reason.COPY_OF_LINKED: _("Left alone, because it is a copy of an entry that is kept in step with a record."),
    Reason.LINK_ENDED: _("Left alone, because its record was deleted and it is not kept in step any more."),
    Reason.UNREADABLE: _("Set aside, because the mail server could not read it out. It is tried again by itself."),
    Reason.KILLS_WORKER: _(
        "Set aside, because reading it ended the worker or the connection several times. It is tried again once a day."
    ),
    Reason.CANNOT_STORE: _("Set aside, because the database could not take it. It is tried again by itself."),
    Reason.DISCARDED: _("Discarded by %(by)s: %(why)s"),
}


def sentence(reason: str, facts: Mapping[str, Any] | None = None) -> str:
    """Return the sentence for a stored reason, in the language in force, with its facts filled in."""
    try:
        template = SENTENCES[Reason(reason)]
    except ValueError:
        return reason
    facts = facts or {}
    kind = facts.get("kind", "")
    names = {"kind": RecordKind(kind).label if kind in RecordKind.values else kind}
    names |= {name: facts.get(name, "?") for name in ("days", "people", "words")}
    return str(template) % {**names, "by": facts.get("by", ""), "why": facts.get("why", "")}
