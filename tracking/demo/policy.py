"""Policy of the demo organisation: a system filter, an owner's filter with examples, and a draft that is ready to be tried."""

from datetime import datetime
from typing import Any

from mailboxes.models import Mailbox, SyncProfile
from mailboxes.states import Track
from security.models import User
from tracking.models import PolicyDraft, SyncFilter, Task
from tracking.policy import drafts
from tracking.policy.document import in_force


def make(profile: SyncProfile, owner: User, now: datetime) -> None:
    """Make them for `profile` and for the mailbox of `owner`, unless any of their kind is there."""
    if PolicyDraft.objects.exists() or SyncFilter.objects.filter(scope=SyncFilter.Scope.SYSTEM).exists():
        return
    SyncFilter.objects.create(
        scope=SyncFilter.Scope.SYSTEM, sync_profile=profile, kind="contact", name="Only active contacts",
        conditions=_all({"column": "active", "operator": "is", "value": True}),
    )  # fmt: skip
    _of_owner(owner)
    document = in_force(profile)
    proposed = {
        **document,
        "settings": {**document["settings"], "track": Track.ALL.value, "blocked": "newsletters.example"},
        "directions": {"contact": {"notes": "to_crm"}},
    }
    drafts.begin(profile, by="demo", now=now, proposed=proposed)


def _of_owner(owner: User) -> None:
    mailbox = Mailbox.objects.filter(owner=owner, entries=True).order_by("pk").first()
    call = Task.objects.filter(owner=owner, kind=Task.Kind.PHONE_CALL).first()
    other = Task.objects.filter(owner=owner).exclude(kind=Task.Kind.PHONE_CALL).first()
    if mailbox is None or call is None or other is None:
        return
    SyncFilter.objects.create(
        scope=SyncFilter.Scope.OWNER, mailbox=mailbox, kind="task", name="Calls about deliveries",
        conditions=_all(
            {"column": "kind", "operator": "is", "value": Task.Kind.PHONE_CALL.value},
            {"any": True, "parts": [
                {"column": "description", "operator": "contains", "value": "delivery"},
                {"column": "importance", "operator": "is", "value": "High"},
            ]},
        ),
        examples=[{"record": call.pk, "must": True}, {"record": other.pk, "must": False}],
    )  # fmt: skip


def _all(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"any": False, "parts": list(parts)}
