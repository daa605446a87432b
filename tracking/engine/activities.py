"""The rows of newly tracked messages: activity, thread, body, participants, attachments; for a whole page at once."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from mailboxes.models import Mailbox
from tracking.engine.fetched import Fetched
from tracking.engine.threads import Newcomer, place
from tracking.models import Activity, Attachment, EmailBody, Participant
from tracking.models.activity import RegardingBy
from tracking.sync import decide, identity
from tracking.sync.plan import Link, Track


def thread_keys(action: Track | Link, mailbox_id: int) -> tuple[str, ...]:
    """Return every key by which the message can meet others, the nearest first (`tracking.sync.decide`)."""
    track = action if isinstance(action, Track) else action.otherwise
    return decide.thread_keys(action.envelope, mailbox_id, track.found if isinstance(track, Track) else None)


def create(
    tracks: Sequence[Track],
    fetched: Mapping[str, Fetched],
    *,
    known: Mapping[str, int],
    mailbox: Mailbox,
    now: datetime,
) -> dict[str, int]:
    """Create the activities and return their ids by message key.

    The caller holds the locks on all keys; none of the messages is tracked yet. `known` are ids of tracked messages.
    """
    rows = [_activity(action, fetched[action.envelope.item_id], mailbox, now) for action in tracks]
    pairs = list(zip(tracks, rows, strict=True))
    threads = place(
        [Newcomer(thread_keys(action, mailbox.pk), action.envelope.subject, row.received_at) for action, row in pairs]
    )
    for row, thread in zip(rows, threads, strict=True):
        row.thread = thread
    Activity.objects.bulk_create(rows)
    made = {action.message_key: row.pk for action, row in pairs}
    _set_parents(pairs, {**known, **made})
    contents = [(row, fetched[action.envelope.item_id]) for action, row in pairs]
    EmailBody.objects.bulk_create(
        EmailBody(activity=row, html=item.content.html, text=item.content.text) for row, item in contents
    )
    Participant.objects.bulk_create(each for action, row in pairs for each in _participants(action, row))
    Attachment.objects.bulk_create(each for row, item in contents for each in _attachments(row, item))
    return made


def _activity(action: Track, item: Fetched, mailbox: Mailbox, now: datetime) -> Activity:
    envelope, content = action.envelope, item.content
    regarding = action.regarding
    by_folder = action.folder if action.folder and action.folder.regarding else None
    sender = envelope.sender
    return Activity(
        message_key=action.message_key,
        message_id=envelope.message_id,
        conversation_key=identity.conversation_key(envelope),
        answers=next(iter(identity.parent_keys(envelope)), ""),
        correlation=action.found.method if action.found else "none",
        direction="outgoing" if action.outgoing else "incoming",
        subject=envelope.subject,
        sender_email=sender.email[:400] if sender else "",
        sender_name=sender.name[:400] if sender else "",
        sent_at=content.sent_at,
        received_at=envelope.received_at or content.sent_at or now,
        importance=content.importance[:10],
        size=max(content.size, 0),
        has_attachments=any(not attachment.info.inline for attachment in item.attachments),
        regarding_kind=regarding.kind if regarding else "",
        regarding_id=regarding.id if regarding else None,
        regarding_by=(RegardingBy.FOLDER if by_folder else RegardingBy.THREAD) if regarding else "",
        regarding_folder_id=by_folder.id if by_folder else None,
        owner=mailbox.owner,
        tracked_at=now,
    )


def _set_parents(pairs: Sequence[tuple[Track, Activity]], ids: Mapping[str, int]) -> None:
    """Point replies to what they answer. A second step: the parent may stand behind its reply on the same page."""
    replies = []
    for action, row in pairs:
        if action.found is not None:
            row.parent_id = action.found.activity.id or ids.get(action.found.activity.message_key)
            replies.append(row)
    Activity.objects.bulk_update(replies, ["parent"])


def _participants(action: Track, row: Activity) -> list[Participant]:
    return [
        Participant(
            activity=row,
            role=person.role,
            email=person.email[:400],
            name=person.name[:400],
            record_kind=person.record.kind if person.record else "",
            record_id=person.record.id if person.record else None,
            ambiguous=person.ambiguous,
            chosen=Participant.Chosen.ADDRESS if person.chosen else "",
        )
        for person in action.people
    ]


def _attachments(row: Activity, item: Fetched) -> list[Attachment]:
    return [
        Attachment(
            activity=row,
            position=position,
            name=stored.info.name[:400],
            content_type=stored.info.content_type[:200],
            size=stored.size or max(stored.info.size, 0),
            sha256=stored.sha256,
            inline=stored.info.inline,
            content_id=stored.info.content_id[:400],
            missing=stored.missing,
        )
        for position, stored in enumerate(item.attachments)
    ]
