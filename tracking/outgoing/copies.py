"""The copy in Sent Items of a mail that was written in the CRM, once it is tracked: copy and mail are one activity.

Whoever finds the copy first, the run that sent it or one that reads Sent Items later, ends here. From then on text and
files are kept with the activity alone: where that is untracked, nothing of them stays behind (S26).
"""

from collections.abc import Mapping
from datetime import datetime

from django.db import transaction
from django.db.models.functions import Coalesce

from mailboxes.models import Run
from tracking.engine.apply import keep_lease
from tracking.models import Activity, ItemDecision, OutgoingFile, OutgoingMail
from tracking.models.activity import RegardingBy
from tracking.outgoing.giving_up import GIVEN_UP, settled


def note(run: Run, copies: Mapping[str, str], now: datetime) -> None:
    """Join mail with its tracked copies: `copies` are item ids by stamp. Those that are not tracked are left alone."""
    open_mail = {
        mail.stamp: mail
        for mail in OutgoingMail.objects.filter(mailbox=run.mailbox_id, stamp__in=copies.keys(), activity=None)
    }
    if not open_mail:
        return
    tracked = dict(
        ItemDecision.objects.filter(
            mailbox=run.mailbox_id, item_id__in=copies.values(), activity__isnull=False
        ).values_list("item_id", "activity_id")
    )
    for stamp, mail in open_mail.items():
        if copies[stamp] in tracked:
            _join(run, mail, tracked[copies[stamp]], now)


def _join(run: Run, mail: OutgoingMail, activity_id: int, now: datetime) -> None:
    sent = OutgoingMail.State.SENT
    with transaction.atomic():
        keep_lease(run, now)
        OutgoingMail.objects.filter(pk=mail.pk).update(
            state=sent,
            state_since=mail.state_since if mail.state == sent else now,
            sent_at=Coalesce("sent_at", now),
            activity=activity_id,
            try_at=None,
            error_code="",
            error_detail="",
            text="",
            html="",
        )
        OutgoingFile.objects.filter(mail=mail).delete()
        if mail.error_code == GIVEN_UP:
            settled(mail.mailbox_id, now)
        if mail.regarding_kind:
            # Whoever wrote it has said what it is about; what somebody has said of the activity since stands.
            Activity.objects.filter(pk=activity_id).exclude(regarding_by=RegardingBy.MANUAL).update(
                regarding_kind=mail.regarding_kind, regarding_id=mail.regarding_id, regarding_by=RegardingBy.MANUAL
            )
