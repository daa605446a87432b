"""What the tokens and the subjects of mail lead to: tracked messages, with the people for whom that counts.

The idea: the two ways of finding a thread that are not the mail system's own word are looked up here, and only where the
sync profile wants them; whether one counts for a message is decided by `tracking.sync.decide`, which sees no database.
"""

from collections.abc import Sequence
from datetime import timedelta

from django.db.models import Exists, OuterRef
from django.db.models.functions import Lower

from mailboxes.models import Mailbox
from mailboxes.provider.port import Envelope
from tracking.engine import tokens
from tracking.engine.threads import thread_subject
from tracking.models import Activity, OutgoingMail, Participant
from tracking.sync import identity, smart, token
from tracking.sync.facts import KnownActivity, RecordRef, Similar, Vouched
from tracking.sync.smart import Candidate, Limits
from tracking.sync.token import Kind, Named

# Messages of a mailbox that are compared at most, the latest: of subjects with more of them, one is as good as another.
_ALIKE = 500


def limits_of(mailbox: Mailbox) -> Limits | None:
    """Return how strict matching by subject and people is for a mailbox; None where it is off."""
    profile = mailbox.sync_profile
    return Limits(profile.smart_days, profile.smart_words) if profile.smart else None


def thread_key(activity: Activity) -> str:
    """Return a key that leads to the thread of a tracked message (`ThreadKey`)."""
    return identity.key_of_message_id(activity.message_id) or activity.message_key


def _known(activity: Activity) -> KnownActivity:
    regarding = RecordRef(activity.regarding_kind, activity.regarding_id) if activity.regarding_id else None
    return KnownActivity(activity.message_key, activity.pk, regarding, thread_key=thread_key(activity))


# -- tokens


def vouched(mailbox: Mailbox, envelopes: Sequence[Envelope]) -> dict[str, Vouched]:
    """Return what the tokens of these messages name, by token; none where the sync profile has tokens off.

    Three queries where any message carries a token of ours, none where none does.
    """
    profile = mailbox.sync_profile
    if not profile.token:
        return {}
    named = tokens.names(
        {text for envelope in envelopes for text in token.carried(envelope, subject=profile.token_in_subject)}
    )
    if not named:
        return {}
    mails = OutgoingMail.objects.select_related("activity", "answers", "mailbox").in_bulk(_ids(named, Kind.OUTGOING))
    activities = Activity.objects.in_bulk(_ids(named, Kind.ACTIVITY))
    found: dict[str, tuple[KnownActivity, int | None, frozenset[str]]] = {}
    for text, name in named.items():
        if name.kind is Kind.ACTIVITY and (activity := activities.get(name.id)):
            found[text] = (_known(activity), activity.thread_id, frozenset())
        elif name.kind is Kind.OUTGOING and (mail := mails.get(name.id)) and mail.message_id:
            found[text] = _of_mail(mail)
    people = _people_of({thread for _known, thread, _people in found.values() if thread})
    return {
        text: Vouched(known, own | people.get(thread or 0, frozenset())) for text, (known, thread, own) in found.items()
    }


def _ids(named: dict[str, Named], kind: Kind) -> set[int]:
    return {name.id for name in named.values() if name.kind is kind}


def _of_mail(mail: OutgoingMail) -> tuple[KnownActivity, int | None, frozenset[str]]:
    """Return what a mail of ours stands for: its tracked copy, what it answers, or its own name while there is neither."""
    listed = [person.get("email", "") for person in (*mail.to, *mail.cc, *mail.bcc)]
    people = frozenset(email.strip().lower() for email in (*listed, mail.mailbox.address) if email.strip())
    tracked = mail.activity or mail.answers
    if tracked is not None:
        return _known(tracked), tracked.thread_id, people
    key = identity.key_of_message_id(mail.message_id)
    regarding = RecordRef(mail.regarding_kind, mail.regarding_id) if mail.regarding_id else None
    return KnownActivity(key, None, regarding, thread_key=key), None, people


def _people_of(threads: set[int]) -> dict[int, frozenset[str]]:
    if not threads:
        return {}
    found: dict[int, set[str]] = {}
    rows = (
        Participant.objects.filter(activity__thread__in=threads)
        .order_by()
        .values_list("activity__thread", Lower("email"))
        .distinct()
    )
    for thread, email in rows:
        found.setdefault(thread, set()).add(email.strip())
    return {thread: frozenset(emails) for thread, emails in found.items()}


# -- subject and people


def similar(mailbox: Mailbox, envelopes: Sequence[Envelope]) -> dict[tuple[str, ...], tuple[Similar, ...]]:
    """Return tracked messages with the subjects of these, by their words; none where the sync profile has matching off.

    Two queries where the subject of any message may match, none where none does.
    """
    limits = limits_of(mailbox)
    if limits is None:
        return {}
    asked = [each for each in envelopes if each.received_at and smart.may_match(each.subject, limits)]
    times = [each.received_at for each in asked if each.received_at]
    if not times:
        return {}
    # Whatever belongs together has the mailbox among its people: what others wrote under that subject is not in the way.
    concerned = Participant.objects.alias(address=Lower("email")).filter(
        activity=OuterRef("pk"), address=mailbox.address.lower()
    )
    rows = list(
        Activity.objects.alias(threads_subject=Lower("thread__subject"))
        .filter(
            Exists(concerned),
            threads_subject__in={thread_subject(each.subject).lower() for each in asked},
            received_at__range=(min(times) - timedelta(days=limits.days), max(times)),
        )
        .order_by("-received_at", "-pk")[:_ALIKE]
    )
    people: dict[int, set[str]] = {}
    for activity_id, email in Participant.objects.filter(activity__in=rows).values_list("activity", Lower("email")):
        people.setdefault(activity_id, set()).add(email.strip())
    found: dict[tuple[str, ...], list[Similar]] = {}
    for row in rows:
        candidate = Candidate(
            row.message_key,
            str(row.thread_id),
            row.subject,
            frozenset(people.get(row.pk, ())) - {""},
            row.received_at,
        )
        found.setdefault(smart.words(row.subject), []).append(Similar(candidate, _known(row)))
    return {words: tuple(each) for words, each in found.items()}
