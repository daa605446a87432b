"""The demo organisation: people who can sign in, their mailboxes at the sandbox Exchange, and customer records.

Made of the same rows as the sandbox's mail, so that addresses in messages and in records agree. Safe to repeat: what is
there already is left as it is.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.contrib.auth.models import Group, Permission
from django.utils import timezone

from mailboxes.adding import add_mailbox
from mailboxes.claims import AlreadyRunning
from mailboxes.connection import open_provider
from mailboxes.models import Folder, Mailbox, ServerProfile, SyncProfile
from mailboxes.sandbox.demo import cast
from mailboxes.sandbox.demo.load import SERVICE_ADDRESS
from mailboxes.states import Auth, Track, Unknown
from security import egress, privileges
from security.models import User
from tracking import channels
from tracking.arrange import stops
from tracking.demo import policy as demo_policy
from tracking.engine import category, foreground
from tracking.linked import channel
from tracking.models import (
    Account,
    Appointment,
    Attendance,
    Case,
    Contact,
    Lead,
    Opportunity,
    OutgoingMail,
    Task,
    Thread,
    ThreadStop,
    TrackedFolder,
)
from tracking.models.category import TRACKED_NAME
from tracking.outgoing import decisions
from tracking.personal import tracked_folders

SERVER = "Sandbox Exchange"
PROFILE = "Turia Instruments"
# Colleagues see each other's customers: their mail is matched against all of them.
MEMBERS = "Members"
# How long the demo waits for a mailbox that is being read already.
_PATIENCE_S = 5.0
# A folder that one of them keeps for a customer's mail, and whose mail it is.
TRACKED_FOLDER, TRACKED_ACCOUNT = "Nordwerk", "Nordwerk Wasser"


@dataclass(frozen=True, slots=True)
class SignIn:
    """Somebody who can look at the demo."""

    username: str
    name: str
    mailbox: str
    track: str


def make(*, url: str, service_password: str, password: str, now: datetime) -> list[SignIn]:
    """Create what is missing of the demo organisation, connected to the sandbox at `url`; return who can sign in."""
    server = _server(url, service_password)
    own = next(company for company in cast.companies if company.own)
    profile, _made = SyncProfile.objects.get_or_create(
        name=PROFILE, defaults={"internal_domains": own.domain, "unknown_senders": Unknown.STAGE}
    )
    users = _users(password)
    for box in cast.mailboxes:
        if Mailbox.objects.filter(address__iexact=box.address).exists():
            continue
        track = None if box.tracking == profile.track else Track(box.tracking)
        mailbox = add_mailbox(
            box.address, server=server, owner=users[box.owner], track=track, enable=True, by="demo", now=now
        )
        Mailbox.objects.filter(pk=mailbox.pk).update(sync_profile=profile)
    _records(users)
    # Before anything asks for a run: it reads her mailbox itself.
    _stopped(users["marta"], now)
    _planned(users["marta"], now)
    demo_policy.make(profile, users["marta"], now)
    _written(users, now)
    _by_hand(users["joan"], now)
    return [
        SignIn(box.owner, box.name, box.address, box.tracking)
        for box in cast.mailboxes
        if box.name == users[box.owner].get_full_name()
    ]


def _server(url: str, service_password: str) -> ServerProfile:
    egress.allow(egress.Endpoint.of(url), by="demo", private=True)
    server, _made = ServerProfile.objects.update_or_create(
        name=SERVER,
        defaults={
            "url": url,
            "auth": Auth.BASIC,
            "username": SERVICE_ADDRESS,
            "secret": service_password,
            "impersonate": True,
        },
    )
    return server


def _users(password: str) -> dict[str, User]:
    users = {}
    members, _made = Group.objects.get_or_create(name=MEMBERS)
    members.permissions.add(Permission.objects.get(codename=privileges.READ_ALL_RECORDS.partition(".")[2]))
    for person in cast.people:
        if person.role != "internal" or not any(box.owner == person.key for box in cast.mailboxes):
            continue
        first, _, last = person.name.partition(" ")
        user, made = User.objects.get_or_create(
            username=person.key, defaults={"first_name": first, "last_name": last, "email": person.address}
        )
        if made:
            user.set_password(password)
            user.save(update_fields=["password"])
            user.groups.add(members)
        users[person.key] = user
    return users


def _records(users: dict[str, User]) -> None:
    if Account.objects.exists() or Contact.objects.exists() or Lead.objects.exists():
        return
    accounts = {
        company.key: Account.objects.create(name=company.name, owner=users["marta"])
        for company in cast.companies
        if not company.own
    }
    for person in cast.people:
        first, _, last = person.name.partition(" ")
        if person.kind == "contact":
            Contact.objects.create(
                first_name=first, last_name=last, email1=person.address, account=accounts.get(person.company)
            )
        elif person.kind == "lead":
            Lead.objects.create(name=person.name, company=person.company, email1=person.address)
    _twice(accounts, users["marta"])
    for sale in cast.opportunities:
        Opportunity.objects.create(name=sale.title, account=accounts.get(sale.account), owner=users[sale.owner])
    for case in cast.cases:
        Case.objects.create(title=case.title, account=accounts.get(case.account), owner=users[case.owner])


def _by_hand(owner: User, now: datetime) -> None:
    """Have a folder of one person's tracked, with the account that its mail is about, and mail by category."""
    mailbox = Mailbox.objects.filter(owner=owner).order_by("pk").first()
    account = Account.objects.filter(name=TRACKED_ACCOUNT).first()
    if mailbox is None or account is None or TrackedFolder.objects.exists():
        return
    found = next((info for info in open_provider(mailbox).folders() if info.name == TRACKED_FOLDER), None)
    if found is not None:
        folder, _made = Folder.objects.get_or_create(
            mailbox=mailbox, provider_id=found.id,
            defaults={"name": found.name, "role": found.role.value, "parent_id_at_provider": found.parent_id or ""},
        )  # fmt: skip
        about = tracked_folders.Choice(subfolders=True, regarding_kind="account", regarding_id=account.pk)
        tracked_folders.add(mailbox, folder, about, by=owner, now=now)
    category.switch(mailbox, mail=True, name=TRACKED_NAME, now=now)


def _twice(accounts: dict[str, Account], owner: User) -> None:
    """Give two people's addresses to a second record each, as happens to every CRM: an account's, and an old lead's."""
    people = {person.key: person for person in cast.people}
    Account.objects.filter(pk=accounts["nordwerk"].pk).update(email1=people["timo"].address)
    Lead.objects.create(name=f"{people['omar'].name} (water fair)", email1=people["omar"].address, owner=owner)


def _written(users: dict[str, User], now: datetime) -> None:
    """Have one person send a mail to a customer, and another write one that waits, since sending is off for their mailbox."""
    if OutgoingMail.objects.exists():
        return
    customer = next(person for person in cast.people if person.kind == "contact")
    texts = {
        "marta": (
            "The offer you asked for",
            "Good day,\n\nthe offer for the flow meters is ready; may I call you tomorrow?",
        ),
        "joan": ("Date of the visit", "Good day,\n\nis Thursday at nine all right for you?"),
    }
    for username, (subject, text) in texts.items():
        mailbox = Mailbox.objects.filter(owner=users[username]).order_by("pk").first()
        if mailbox is None:
            continue
        if username == "marta":
            channels.switch(mailbox, channels.Channel.OUTGOING, on=True, by="demo", now=now)
        contact = Contact.objects.filter(email1__iexact=customer.address).first()
        mail = OutgoingMail.objects.create(
            mailbox=mailbox, author=users[username], to=[{"email": customer.address, "name": customer.name}],
            subject=subject, text=f"{text}\n\n{users[username].get_full_name()}", created_at=now, state_since=now,
            regarding_kind="contact" if contact else "", regarding_id=contact.pk if contact else None,
        )  # fmt: skip
        decisions.send(mail, by=users[username], now=now)


def _planned(owner: User, now: datetime) -> None:
    """Plan a visit and two things to do for one person, and keep them in step with their mailbox."""
    mailbox = Mailbox.objects.filter(owner=owner).order_by("pk").first()
    if mailbox is None or Task.objects.exists() or Appointment.objects.exists():
        return
    begins = (now + timedelta(days=3)).replace(hour=9, minute=0, second=0, microsecond=0)
    visit = Appointment.objects.create(
        owner=owner, subject="Visit about the flow meters", location="Their works, gate 2", zone="Europe/Madrid",
        starts_at=begins, ends_at=begins + timedelta(hours=1),
    )  # fmt: skip
    customer = next(person for person in cast.people if person.kind == "contact")
    Attendance.objects.create(
        appointment=visit, role=Attendance.Role.REQUIRED, email=customer.address, name=customer.name
    )
    Task.objects.create(owner=owner, subject="Send the drawings", due_date=begins.date())
    Task.objects.create(
        owner=owner, kind=Task.Kind.PHONE_CALL, subject=f"Call {customer.name} back", due_date=now.date(),
        importance="High", description="About the delivery in two parts.",
    )  # fmt: skip
    channel.switch(mailbox, on=True, by="demo", now=now)


def _stopped(owner: User, now: datetime) -> None:
    """Stop one thread of a person whose mailbox is read to the end for it, unless any thread was stopped before."""
    mailbox = (
        Mailbox.objects.filter(owner=owner).select_related("server", "sync_profile", "owner").order_by("pk").first()
    )
    if mailbox is None or ThreadStop.objects.exists():
        return
    if not mailbox.first_sync_done:
        try:
            foreground.sync_now(mailbox, clock=timezone.now, wait_s=_PATIENCE_S)
        except AlreadyRunning:
            # Its workers are at it: the next time the demo is made there are threads to choose from.
            return
    thread = (
        Thread.objects.filter(activities__owner=owner, messages__gte=2).distinct().order_by("-last_at", "-pk").first()
    )
    if thread is not None:
        stops.stop(thread, mailbox=mailbox, by=owner.username, why="They went with somebody else.", now=now)
