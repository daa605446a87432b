"""A small organisation as rows: people with different rights, mailboxes in every state, mail, decisions, failures.

Named people, so that tests read as sentences. Anna owns a mailbox with mail. Bruno owns another. Cleo owns nothing.
Dora may see every mailbox, but no mail. Emil may read every thread and record, but sees no mailbox. Fina is the
administrator.
"""

import copy
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.db import transaction
from django.utils import timezone
from pytest_django.plugin import DjangoDbBlocker

from mailboxes.models import Alert, Folder, LateGap, Mailbox, PromiseBucket, Run, ServerProfile, SyncProfile
from mailboxes.provider.entries import Every, Recurrence, Span
from mailboxes.provider.port import FolderRole
from mailboxes.states import Auth, Intent, Outcome, State, Track, Trigger
from security.models import User
from tests import scene_people
from tracking.engine import blobs
from tracking.models import (
    Account,
    Activity,
    AddressMatch,
    Appointment,
    AppointmentFile,
    Attachment,
    Backfill,
    Case,
    Contact,
    CoveredFolder,
    DryRun,
    EmailBody,
    FieldConflict,
    Holder,
    ItemDecision,
    ItemFailure,
    ItemLink,
    Lead,
    LinkState,
    Opportunity,
    OutgoingMail,
    Participant,
    PolicyChange,
    SyncFilter,
    Task,
    Thread,
    TrackedFolder,
    TrackingCategory,
)
from tracking.models.activity import Correlation, Direction, RecordKind
from tracking.policy import document, drafts
from tracking.sync.codec import encode

PASSWORD = "a long enough password"
DOT = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c49444154789c63606060000000040001f61738550000000049454e44ae426082"
)
HTML = """<div style="font-family:Georgia"><p>Good morning Anna,</p><p>thank you for the <b>offer</b>. Two questions
before we sign:</p><ol><li>Does the price include the installation?</li><li>Can you deliver before the
15th?</li></ol><table border="1" cellpadding="6"><tr><th>Item</th><th>Pieces</th></tr><tr><td>Pump P-40</td><td>12</td>
</tr><tr><td>Valve V-7</td><td>48</td></tr></table><p><img src="cid:logo@example" alt="Company logo" width="64" height="64"></p>
<p><img src="https://tracker.example/open.gif" width="1" height="1"><a href="https://example.org/terms">Our terms</a></p>
<script>document.body.textContent = "owned"</script></div>"""
TEXT = "Hello Pau,\n\nyes, the installation is included. The 15th works for us.\n\nBest regards\nAnna\n"


@dataclass(slots=True)
class Scene:
    """What was built, by name."""

    now: datetime
    people: dict[str, User] = field(default_factory=dict)
    boxes: dict[str, Mailbox] = field(default_factory=dict)
    thread: Thread | None = None
    hidden: Thread | None = None

    def person(self, name: str) -> User:
        return self.people[name]

    def copy(self) -> "Scene":
        """Return the same rows as objects of its own: the database takes back what a test does, this the rest."""
        return copy.deepcopy(self)

    @property
    def box(self) -> Mailbox:
        return self.boxes["anna"]


def build(now: datetime, *, others: int = 12) -> Scene:
    """Build the organisation as it is at `now`; `others` is how many more mailboxes there are besides Anna's and Bruno's."""
    scene = Scene(now)
    # Made by a migration, and gone where a test before emptied the database.
    SyncProfile.objects.get_or_create(name="Default", defaults={"is_default": True})
    _people(scene)
    _mailboxes(scene, others)
    _runs(scene)
    _promise(scene)
    _mail(scene)
    _policy(scene)
    return scene


@pytest.fixture(scope="module")
def organisation(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[Scene]:
    """The organisation, built once for all tests of a module and taken back after them; a test works on `Scene.copy`."""
    with django_db_blocker.unblock(), transaction.atomic():
        yield build(timezone.now())
        transaction.set_rollback(True)


def _policy(scene: Scene) -> None:
    """Propose a change of the sync profile, tried once, after one that was published; and one of Anna's own filters."""
    now, profile = scene.now, scene.box.sync_profile
    SyncFilter.objects.create(
        scope="system", sync_profile=profile, kind="contact", name="Only active ones",
        conditions={"any": False, "parts": [{"column": "active", "operator": "is", "value": True}]},
    )  # fmt: skip
    SyncFilter.objects.create(
        scope="template", sync_profile=profile, kind="task", name="My open tasks",
        conditions={"any": False, "parts": [{"column": "owner", "operator": "is_me", "value": None}]},
    )  # fmt: skip
    before = document.in_force(profile)
    published = {**before, "settings": {**before["settings"], "blocked": "spam.example"}}
    PolicyChange.objects.create(
        sync_profile=profile, before=published, after=before, published_by="fina", published_at=now - timedelta(days=2)
    )
    proposed = {
        **before,
        "settings": {**before["settings"], "track": "all"},
        "directions": {"contact": {"notes": "to_crm"}},
    }
    draft = drafts.begin(profile, by="fina", now=now - timedelta(hours=1), proposed=proposed)
    tracked = ItemDecision.objects.filter(mailbox=scene.box, outcome="tracked").order_by("pk")
    refused = ItemDecision.objects.filter(mailbox=scene.box, reason="not_a_reply").order_by("pk")
    items = [
        *([scene.box.pk, "mail", "add", row.pk, "not_a_reply", "all_mail", []] for row in refused),
        *([scene.box.pk, "mail", "reason", row.pk, row.reason, "all_mail", []] for row in tracked),
    ]
    counts = [[scene.box.pk, "mail", "add", "not_a_reply", "all_mail", len(refused)]]
    counts += [[scene.box.pk, "mail", "reason", "from_record", "all_mail", len(tracked)]]
    DryRun.objects.create(
        draft=draft, revision=1, proposed=proposed, days=30, read_mailboxes=True, state="done", done=2, total=2,
        result={"counts": counts, "items": items, "read": len(refused), "not_read": 0, "errors": {}},
        asked_by=scene.people["fina"], asked_at=now, finished_at=now, expires_at=now + timedelta(days=7),
    )  # fmt: skip
    drafts.begin(scene.box, by="anna", now=now)


def make_person(username: str, first: str, last: str, *privileges: str, administrator: bool = False) -> User:
    user = User(username=username, first_name=first, last_name=last, email=f"{username}@tramuntana.example")
    user.is_superuser = administrator
    user.set_password(PASSWORD)
    user.save()
    user.user_permissions.set(Permission.objects.filter(codename__in=[p.partition(".")[2] for p in privileges]))
    return user


def _people(scene: Scene) -> None:
    everyone = (
        ("anna", "Anna", "Puig", ()),
        ("bruno", "Bruno", "Serra", ()),
        ("cleo", "Cleo", "Vidal", ()),
        ("dora", "Dora", "Ferrer", ("security.read_diagnostics",)),
        ("emil", "Emil", "Roca", ("security.read_all_threads", "security.read_all_records")),
    )
    for username, first, last, privileges in everyone:
        scene.people[username] = make_person(username, first, last, *privileges)
    scene.people["fina"] = make_person("fina", "Fina", "Mas", administrator=True)


_OTHERS = (
    ("gerard.soler", State.IDLE, Intent.ON, ""),
    ("helena.costa", State.RUNNING, Intent.ON, ""),
    ("ignasi.prat", State.FIRST_SYNC, Intent.ON, ""),
    ("julia.bosch", State.THROTTLED, Intent.ON, "server_busy"),
    ("sales", State.SIGN_IN_FAILED, Intent.ON, "sign_in_refused"),
    ("support", State.IDLE, Intent.ON, ""),
    ("karim.haddad", State.UNREACHABLE, Intent.ON, "unreachable"),
    ("lluc.marti", State.IDLE, Intent.PAUSED, ""),
    ("mireia.font", State.NEVER_TESTED, Intent.PENDING, ""),
    ("nuria.sala", State.IDLE, Intent.OFF, ""),
    ("oriol.camps", State.DEGRADED, Intent.ON, "folder_gone"),
    ("paula.vila", State.IDLE, Intent.ON, ""),
)


def _mailboxes(scene: Scene, others: int) -> None:
    now = scene.now
    main = ServerProfile.objects.create(
        name="Exchange Barcelona", url="https://mail.tramuntana.example/EWS/Exchange.asmx", auth=Auth.NTLM,
        username="TRAMUNTANA\\crmsync", secret="s3cret", impersonate=True, counters=True, build="15.2.1544.9",
    )  # fmt: skip
    old = ServerProfile.objects.create(
        name="Exchange Girona", url="https://mail2.tramuntana.example/EWS/Exchange.asmx", auth=Auth.BASIC,
        username="crmsync", secret="s3cret", counters=False, build="15.1.2507.39",
    )  # fmt: skip
    profile = SyncProfile.objects.create(name="Everybody", internal_domains="tramuntana.example")
    for name in ("anna", "bruno"):
        address = f"{name}.{scene.people[name].last_name.lower()}@tramuntana.example"
        scene.boxes[name] = make_mailbox(now, address, main, scene.people[name], profile, State.IDLE, Intent.ON)
    for n in range(others):
        name, state, intent, issue = _OTHERS[n % len(_OTHERS)]
        name = name if n < len(_OTHERS) else f"{name}.{n}"
        owner = scene.people["fina"]
        box = make_mailbox(
            now, f"{name}@tramuntana.example", old if n % 3 == 2 else main, owner, profile, state, intent, issue
        )
        scene.boxes[name] = box
        if issue:
            Alert.objects.create(
                code=issue, mailbox=box, server=box.server if state == State.SIGN_IN_FAILED else None, since=now - timedelta(hours=2),
                seen_at=now, times=4,
            )  # fmt: skip


def make_mailbox(
    now: datetime,
    address: str,
    server: ServerProfile,
    owner: User,
    profile: SyncProfile,
    state: str = State.IDLE,
    intent: str = Intent.ON,
    issue: str = "",
) -> Mailbox:
    spread = zlib.crc32(address.encode()) % 240
    waits = state in {State.SIGN_IN_FAILED, State.NEVER_TESTED} or intent != Intent.ON
    box = Mailbox.objects.create(
        address=address, server=server, owner=owner, sync_profile=profile, intent=intent, state=state,
        track=Track.RECORDS if spread % 4 == 0 else "", changed_by="fina", issue_code=issue, state_since=now,
        due_at=None if waits else now + timedelta(seconds=20 + spread),
        not_before=now + timedelta(minutes=9) if state == State.THROTTLED else None,
        paused_until=now + timedelta(days=3) if intent == Intent.PAUSED else None,
        interval_s=None if waits else 300, interval_reason="" if waits else "quiet?minutes=14",
        measured_from=None if waits else now - timedelta(seconds=spread),
        attempted_at=None if waits else now - timedelta(seconds=spread), failures=2 if issue else 0,
        synced_at=None if state == State.NEVER_TESTED else now - timedelta(seconds=spread),
        first_sync_done=state != State.FIRST_SYNC,
    )  # fmt: skip
    Mailbox.objects.filter(pk=box.pk).update(created_at=now - timedelta(days=20))
    if state != State.NEVER_TESTED:
        for role, name, total in ((FolderRole.INBOX, "Inbox", 412), (FolderRole.SENT, "Sent Items", 188)):
            partly = 4 if state == State.FIRST_SYNC else 1
            Folder.objects.create(
                mailbox=box, provider_id=f"AAMk-{address}-{role}", name=name, role=role, followed=True, cursor="H4sI",
                total=total, tracked=96 // partly, refused=(total - 98) // partly, quarantined=2 if role == FolderRole.INBOX else 0,
                changed_at=now - timedelta(minutes=16), synced_at=now - timedelta(seconds=spread), more=partly == 4,
            )  # fmt: skip
    return box


def _runs(scene: Scene) -> None:
    runs = []
    for place, box in enumerate(scene.boxes.values()):
        if box.state == State.NEVER_TESTED or box.intent not in {Intent.ON, Intent.PAUSED}:
            continue
        count = 280 if place == 0 else 30
        for n in range(1, count):
            at = scene.now - timedelta(seconds=301 * n + place * 7)
            dice = zlib.crc32(f"{place}-{n}".encode()) % 100
            busy, failed = dice < 22, dice in {97, 98}
            tracked, refused = (dice % 5, dice % 7) if busy else (0, 0)
            runs.append(
                Run(
                    mailbox=box, trigger=Trigger.PERSON if dice == 50 else Trigger.SCHEDULE, queue="sync", worker="worker-1",
                    due_at=at, claimed_at=at, started_at=at + timedelta(milliseconds=300),
                    finished_at=at + timedelta(milliseconds=420 + (dice * 130 if busy else dice * 6) + (15000 if failed else 0)),
                    heartbeat_at=at, outcome=Outcome.FAILED if failed else Outcome.DONE, reached_server=not failed,
                    error_code="unreachable" if failed else "", error_detail="connection refused" if failed else "",
                    requests=6 if busy else 1, examined=tracked + refused, tracked=tracked,
                    refused={"not_a_reply": refused} if refused else {}, full_pass=n % 12 == 0, interval_s=300,
                    interval_reason=f"arriving?messages={tracked}" if tracked else "quiet?minutes=14",
                )
            )  # fmt: skip
    Run.objects.bulk_create(runs)
    if "helena.costa" in scene.boxes:
        at, box = scene.now, scene.boxes["helena.costa"]
        Run.objects.create(mailbox=box, claimed_at=at, started_at=at, heartbeat_at=at, queue="sync", worker="worker-2")


def _promise(scene: Scene) -> None:
    begun = scene.now.replace(second=0, microsecond=0) - timedelta(minutes=scene.now.minute % 5)
    PromiseBucket.objects.bulk_create(
        PromiseBucket(begins_at=begun - timedelta(minutes=5 * n), gaps=14, kept=13 if n in {40, 41, 300} else 14)
        for n in range(1, 7 * 24 * 12)
    )
    late = scene.boxes.get("karim.haddad", scene.box)
    LateGap.objects.create(
        mailbox=late, since=scene.now - timedelta(hours=5), until=scene.now - timedelta(hours=4, minutes=40), bound_s=720,
        cause="unreachable",
    )  # fmt: skip


def _mail(scene: Scene) -> None:
    now, anna, bruno = scene.now, scene.people["anna"], scene.people["bruno"]
    account = Account.objects.create(name="Bombes Empordà", email1="info@bombes.example", owner=anna)
    pau = Contact.objects.create(
        first_name="Pau", last_name="Riera", email1="pau@bombes.example", account=account, owner=anna
    )
    Lead.objects.create(name="Marta Gil", company="Tallers Gil", email1="marta@gil.example", owner=anna)
    deal = Opportunity.objects.create(name="12 pumps for Figueres", account=account, owner=anna)
    Case.objects.create(title="Valve leaks at 8 bar", account=account, email1="case-118@tramuntana.example", owner=anna)
    subjects = (
        "Offer for twelve pumps", "Visit on Thursday", "Invoice 2026-118", "Re: noise of pump P-40", "新しい見積もりのお願い",
        "Conditions of the maintenance contract, second draft with the changes your colleagues asked for in March",
    )  # fmt: skip
    for n, subject in enumerate(subjects):
        thread = make_thread(
            scene,
            scene.box,
            subject,
            messages=3 if n == 0 else 1,
            age=timedelta(hours=5 * n + 1),
            contact=pau,
            deal=deal,
        )
        if n == 0:
            scene.thread = thread
    scene.hidden = make_thread(scene, scene.boxes["bruno"], "Only for Bruno", messages=1, age=timedelta(hours=2))
    _refusals(scene)
    inbox = Folder.objects.get(mailbox=scene.box, role=FolderRole.INBOX)
    for n, code in enumerate(("item_unreadable", "item_unreadable")):
        ItemFailure.objects.create(
            mailbox=scene.box, folder=inbox, item_id=f"broken-{n}", code=code, detail="the server sent half an answer",
            attempts=3, first_at=now - timedelta(hours=9), last_at=now - timedelta(hours=1 + n),
            retry_at=now + timedelta(hours=20), quarantined_at=now - timedelta(hours=1),
        )  # fmt: skip
    assert bruno.pk
    scene_people.arrange(scene)
    _linked(scene, pau)
    _outgoing(scene)
    _by_hand(scene, deal)
    _earlier(scene)


def _earlier(scene: Scene) -> None:
    """Have earlier mail of Anna's counted that nobody has confirmed yet, and a record matched."""
    inbox = Folder.objects.get(mailbox=scene.box, role=FolderRole.INBOX)
    Backfill.objects.create(
        mailbox=scene.box, kind="range", state="counted", since=scene.now - timedelta(days=90),
        until=scene.now - timedelta(days=60), asked_by="anna", asked_at=scene.now - timedelta(minutes=9),
        counted={str(inbox.pk): {"name": inbox.name, "held": 412, "known": 380, "aside": 2, "would_track": 21,
                                 "would_link": 1, "unread": 0, "refused": {"not_a_reply": 6, "internal": 2}}},
    )  # fmt: skip
    AddressMatch.objects.create(
        record_kind="contact", record_id=Contact.objects.get(last_name="Riera").pk,
        matched_at=scene.now - timedelta(hours=9), linked=3,
    )  # fmt: skip


def _by_hand(scene: Scene, deal: Opportunity) -> None:
    """Let Anna track a folder of hers with a record that its mail is about, and mail by category."""
    folder = Folder.objects.create(
        mailbox=scene.box, provider_id="AAMk-figueres", name="Figueres", role=FolderRole.OTHER, followed=True,
        parent_id_at_provider=Folder.objects.get(mailbox=scene.box, role=FolderRole.INBOX).provider_id, cursor="H4sI",
    )  # fmt: skip
    rule = TrackedFolder.objects.create(
        mailbox=scene.box, folder=folder, subfolders=True, regarding_kind="opportunity", regarding_id=deal.pk,
        made_by="anna", made_at=scene.now - timedelta(days=2), valid_from=scene.now - timedelta(days=30),
    )  # fmt: skip
    CoveredFolder.objects.create(folder=folder, rule=rule, valid_from=rule.valid_from)
    TrackingCategory.objects.create(mailbox=scene.box, mail=True, category_id="{1}", listed=True)


def _linked(scene: Scene, pau: Contact) -> None:
    """Keep a contact and some tasks of Anna's in step: one conflict, one value held back, a brake that holds."""
    now, anna, box = scene.now, scene.people["anna"], scene.box
    Mailbox.objects.filter(pk=box.pk).update(entries=True)
    Contact.objects.filter(pk=pau.pk).update(mobile_phone="+34 600 222 222")
    tasks = [Task.objects.create(owner=anna, subject=f"Call {n}", deleted_at=now) for n in range(6)]
    records: list[tuple[str, int]] = [("contact", pau.pk), *(("task", task.pk) for task in tasks)]
    links = [
        ItemLink.objects.create(
            mailbox=box, kind=kind, record_id=pk, stamp=f"stamp-{kind}-{pk}", item_id=f"entry-{kind}-{pk}",
            linked_at=now - timedelta(days=9), synced_at=now - timedelta(minutes=7),
        )
        for kind, pk in records
    ]  # fmt: skip
    ItemLink.objects.filter(pk=links[0].pk).update(withheld={"job_title": "may_not_write", "notes": "too_long"})
    FieldConflict.objects.create(
        link=links[0], field="mobile_phone", base="+34 600 000 000", ours="+34 600 111 111", theirs="+34 600 222 222",
        ours_at=now - timedelta(hours=3), theirs_at=now - timedelta(hours=2), winner="exchange",
        found_at=now - timedelta(hours=2),
    )  # fmt: skip
    _series(scene)
    brake = [{"link": link.pk, "remedy": "delete_entry", "code": "task_deleted"} for link in links[1:]]
    for kind in ("appointment", "contact", "task"):
        held = kind == "task"
        LinkState.objects.create(
            mailbox=box, kind=kind, records_seen_at=now, braked_at=now - timedelta(hours=1) if held else None,
            brake=brake if held else [],
        )  # fmt: skip


def _series(scene: Scene) -> None:
    """Have a weekly review of Anna's from tomorrow on, one day of it moved and another called off."""
    start = scene.now.replace(hour=8, minute=0, second=0, microsecond=0) + timedelta(days=1)
    weekly = Recurrence(Every.WEEK, start.date(), count=20)
    review = Appointment.objects.create(
        owner=scene.people["anna"], subject="Weekly review", location="Room 1", starts_at=start,
        ends_at=start + timedelta(hours=1), zone="UTC", recurrence=encode(weekly),
    )  # fmt: skip
    second, third = start + timedelta(days=7), start + timedelta(days=14)
    moved = Span(second + timedelta(hours=2), second + timedelta(hours=3), "UTC")
    review.changes.create(original=second, values={"span": encode(moved), "location": "Room 2"})
    review.changes.create(original=third, cancelled=True)
    AppointmentFile.objects.create(
        appointment=review, name="agenda.txt", content_type="text/plain", size=6, sha256=blobs.put(b"agenda"),
        added_at=scene.now, added_by="anna",
    )  # fmt: skip


def _outgoing(scene: Scene) -> None:
    """Have mail of Anna's that failed, that waits for its channel, and a draft."""
    values: dict[str, Any] = {
        "mailbox": scene.box, "author": scene.people["anna"], "to": [{"email": "pau@bombes.example", "name": "Pau Riera"}],
        "text": "Good day,\n\nhere is the offer.", "created_at": scene.now - timedelta(hours=1),
        "state_since": scene.now - timedelta(minutes=20),
    }  # fmt: skip
    OutgoingMail.objects.create(
        subject="Offer for twelve pumps, corrected", state="failed", error_code="recipients_refused",
        error_detail="ErrorInvalidRecipients", stamp="mail-failed", attempts=1, make_asked_at=scene.now, **values,
    )  # fmt: skip
    OutgoingMail.objects.create(subject="Visit on Friday", state="waiting", stamp="mail-waiting", **values)
    OutgoingMail.objects.create(subject="Still to be finished", **values)


def make_thread(
    scene: Scene,
    box: Mailbox,
    subject: str,
    *,
    messages: int,
    age: timedelta,
    contact: Contact | None = None,
    deal: Opportunity | None = None,
) -> Thread:
    """Track a conversation of `messages` messages with `contact` in `box`, the last of them `age` ago."""
    last = scene.now - age
    thread = Thread.objects.create(
        subject=subject, first_at=last - timedelta(hours=messages - 1), last_at=last, messages=messages
    )
    for n in range(messages):
        add_message(scene, thread, box, n, contact, at=last - timedelta(hours=messages - 1 - n), deal=deal)
    return thread


def add_message(
    scene: Scene,
    thread: Thread | None,
    box: Mailbox,
    n: int,
    contact: Contact | None,
    *,
    at: datetime | None = None,
    deal: Opportunity | None = None,
) -> Activity:
    """Track the `n`th message of a thread, held by `box`; odd ones are sent, even ones received."""
    assert thread is not None
    at = at or scene.now - timedelta(minutes=n)
    inbox = Folder.objects.get(mailbox=box, role=FolderRole.INBOX)
    stranger = ("Pau Riera", contact.email1) if contact else ("Somebody Else", "somebody@else.example")
    us = (str(box.owner), box.address)
    outgoing = n % 2 == 1
    sender, receiver = (us, stranger) if outgoing else (stranger, us)
    key = f"{zlib.crc32(f'{box.pk} {thread.pk} {n} {at}'.encode()):064x}"
    activity = Activity.objects.create(
        thread=thread, message_key=key, message_id=f"<{key}@example>", owner=box.owner, tracked_at=at + timedelta(seconds=70 + 40 * n),
        correlation=Correlation.REPLY_HEADERS if n else Correlation.NONE, received_at=at, sent_at=at, size=18_000,
        direction=Direction.OUTGOING if outgoing else Direction.INCOMING, subject=f"Re: {thread.subject}" if n else thread.subject,
        sender_email=sender[1], sender_name=sender[0], has_attachments=not outgoing,
        regarding_kind=RecordKind.OPPORTUNITY if deal else "", regarding_id=deal.pk if deal else None,
    )  # fmt: skip
    EmailBody.objects.create(activity=activity, html="" if outgoing else HTML, text=TEXT if outgoing else "")
    _participants(activity, sender, receiver, contact)
    Holder.objects.create(activity=activity, mailbox=box, folder=inbox, item_id=f"item-{key}", since=at)
    ItemDecision.objects.create(
        mailbox=box, folder=inbox, item_id=f"item-{key}", outcome=ItemDecision.Outcome.TRACKED, activity=activity,
        reason="reply_to_tracked" if n else "from_record", facts={} if n else {"kind": "contact"}, decided_at=activity.tracked_at,
    )  # fmt: skip
    if not outgoing:
        _attachments(activity)
    return activity


def _participants(
    activity: Activity, sender: tuple[str, str], receiver: tuple[str, str], contact: Contact | None
) -> None:
    for role, (name, email) in (("from", sender), ("to", receiver)):
        known = contact is not None and email == contact.email1
        Participant.objects.create(
            activity=activity, role=role, email=email, name=name, record_kind=RecordKind.CONTACT if known else "",
            record_id=contact.pk if known and contact else None,
        )  # fmt: skip
    Participant.objects.create(
        activity=activity, role="cc", email="info@shared.example", name="Reception", ambiguous=True
    )


def _attachments(activity: Activity) -> None:
    parts = (
        ("offer 2026.pdf", "application/pdf", b"%PDF-1.7 offer", False, ""),
        ("logo.png", "image/png", DOT, True, "logo@example"),
    )
    for position, (name, kind, data, inline, content_id) in enumerate(parts):
        Attachment.objects.create(
            activity=activity, position=position, name=name, content_type=kind, size=len(data), sha256=blobs.put(data),
            inline=inline, content_id=content_id,
        )  # fmt: skip
    Attachment.objects.create(
        activity=activity, position=2, name="video.mp4", content_type="video/mp4", size=900_000_000, missing="too_large"
    )


def _refusals(scene: Scene) -> None:
    inbox = Folder.objects.get(mailbox=scene.box, role=FolderRole.INBOX)
    reasons = ("not_a_reply", "internal", "automated", "no_record", "private", "blocked")
    ItemDecision.objects.bulk_create(
        ItemDecision(
            mailbox=scene.box, folder=inbox, item_id=f"refused-{n}", outcome=ItemDecision.Outcome.REFUSED,
            reason=reasons[n % len(reasons)], decided_at=scene.now - timedelta(minutes=13 * n + 4),
        )
        for n in range(70)
    )  # fmt: skip
