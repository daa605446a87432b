"""Applying a profile's templates again to mailboxes that have filters already: shown first, then done one by one.

A filter of the owner's with a template's name and kind becomes as the template is, and what is missing is added. Whatever
else an owner has stays. Each mailbox has its own row of history, so that its owner can take it back.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from django.db.models import QuerySet

from mailboxes.models import Mailbox, SyncProfile
from mailboxes.provider.entries import EntryKind
from security.models import User
from tracking.models import SyncFilter
from tracking.policy import drafts, words
from tracking.policy.document import Document, in_force
from tracking.policy.examples import same_conditions, unseen
from tracking.policy.words import Difference

# Shown and done at once; the rest is the next page's.
AT_ONCE = 200
_COPIED = ("excludes", "conditions", "active")


@dataclass(frozen=True, slots=True)
class Plan:
    """What applying the templates would change in one mailbox."""

    mailbox: Mailbox
    present: Document
    document: Document
    differences: Sequence[Difference]
    templates: Sequence[Document]


def plans(profile: SyncProfile, seen: QuerySet[Mailbox]) -> list[Plan]:
    """Return a plan for each mailbox of the profile, among those that the reader sees, in which anything would change;
    the first `AT_ONCE` of them: once those are done, there are others.
    """
    wanted = [
        each
        for each in in_force(profile)["filters"].values()
        if each["scope"] == SyncFilter.Scope.TEMPLATE and each["active"]
    ]
    boxes = seen.filter(sync_profile=profile).select_related("owner").prefetch_related("filters").order_by("pk")
    found = (_plan(mailbox, wanted) for mailbox in boxes.iterator(chunk_size=AT_ONCE))
    return list(islice((plan for plan in found if plan is not None), AT_ONCE))


def _plan(mailbox: Mailbox, wanted: Sequence[Document]) -> Plan | None:
    present = in_force(mailbox)
    document = _applied(present, wanted)
    differences = words.differences(present, document)
    return Plan(mailbox, present, document, differences, wanted) if differences else None


def _applied(present: Document, wanted: Sequence[Document]) -> Document:
    document = copy.deepcopy(present)
    for number, template in enumerate(wanted):
        same = [
            each
            for each in document["filters"].values()
            if (each["kind"], each["name"]) == (template["kind"], template["name"])
        ]
        if not same:
            same = [document["filters"].setdefault(f"template-{number}", _own(template))]
        for each in same:
            each.update({name: template[name] for name in _COPIED})
    return document


def _own(template: Document) -> Document:
    # The records that are its examples are not the owner's.
    return {**copy.deepcopy(template), "scope": SyncFilter.Scope.OWNER.value, "examples": []}


def apply(chosen: Sequence[Plan], *, by: User, now: datetime) -> tuple[int, list[str]]:
    """Bring the plans into force, each by itself; return how many, and the addresses whose examples stand against it:
    they would fail, or are of records that `by` may not see, and must not learn about from the answer.
    """
    left = [plan.mailbox.address for plan in chosen if not _published(plan, by=by, now=now)]
    return len(chosen) - len(left), left


def _probes(plan: Plan, person: User) -> bool:
    """Tell whether a filter would get other conditions that the person may not try on its examples."""
    found = (
        (EntryKind(each["kind"]), plan.present["filters"][key], each)
        for key, each in plan.document["filters"].items()
        if key in plan.present["filters"] and each["examples"]
    )
    return any(
        not same_conditions(kind, before["conditions"], after["conditions"]) and unseen(person, kind, after["examples"])
        for kind, before, after in found
    )


def _published(plan: Plan, *, by: User, now: datetime) -> bool:
    if _probes(plan, by):
        return False
    draft = drafts.begin(plan.mailbox, by=by.get_username(), now=now, base=plan.present, proposed=plan.document)
    try:
        drafts.publish(draft, revision=draft.revision, by=by.get_username(), now=now)
    except drafts.Overtaken:
        # Its owner published something meanwhile: that stays, and the templates are applied to it.
        drafts.discard(draft)
        again = _plan(Mailbox.objects.select_related("owner").get(pk=plan.mailbox.pk), plan.templates)
        return again is None or _published(again, by=by, now=now)
    except (drafts.NotPublishable, drafts.NothingChanged):
        drafts.discard(draft)
        return False
    return True
