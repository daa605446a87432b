"""Every row of the catalogue: the fault that makes it happen, and the place where people read what to do about it.

Faults are made where they arise: by a server that answers over a real socket, by the sandbox Exchange, by our own disk,
workers and services. What is looked at is a page of the site or the output of a command. A row without a fault fails the
test, so that no sentence is written that nobody will ever read.
"""

import html
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from io import StringIO
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.core.management import call_command
from django.db import OperationalError
from django.test import Client, override_settings
from django.utils import timezone
from redis.exceptions import ConnectionError as RedisGone
from rq.timeouts import JobTimeoutException

from mailboxes import claims, promise, runs
from mailboxes.catalogue import ENTRIES, WHO_LABELS, Text, Who
from mailboxes.models import Folder, Mailbox, Run, ServerProfile, SyncProfile
from mailboxes.provider.entries import Every, Recurrence
from mailboxes.provider.ews import answers
from mailboxes.provider.ews.client import POOL
from mailboxes.provider.ews.repairs import RepairedProtocol
from mailboxes.provider.port import AttachmentKind
from mailboxes.sandbox.server import SandboxServer
from mailboxes.states import Intent, State, Trigger
from security.commands import Failed
from security.models import AllowedHost, User
from tests.mailboxes.provider.certificates import Authority
from tests.mailboxes.provider.scripted import Said, fault, serving
from tests.mailboxes.provider.test_ews_autodiscover import World, moved, world  # noqa: F401 -- a fixture by its name
from tests.mailboxes.provider.worlds import ANA, Letter, sandbox_store
from tracking import status
from tracking.canary import tending
from tracking.engine import activities, blobs, pipeline
from tracking.linked import channel
from tracking.models import (
    Activity,
    Appointment,
    AppointmentFile,
    ItemDecision,
    ItemFailure,
    OutgoingFile,
    OutgoingMail,
    SyncFilter,
    Task,
)
from tracking.outgoing import decisions
from tracking.repair import reconcile
from tracking.sync.codec import encode
from tracking.sync.plan import Sorted
from tracking.workers import jobs

PAGE = b"<!DOCTYPE html><html><body>Sign in</body></html>"
# How the simplest run fails when every request is answered so.
SAID: dict[str, Said] = {
    "server_busy": Said(429),
    "too_many_connections": Said(500, fault("ErrorExceededConnectionCount")),
    "too_many_subscriptions": Said(500, fault("ErrorExceededSubscriptionCount")),
    "connection_lost": Said(reset=True),
    "timed_out": Said(silent=True),
    "server_unavailable": Said(503),
    "server_error": Said(500, PAGE),
    "mailbox_moving": Said(500, fault("ErrorMailboxMoveInProgress")),
    "sign_in_refused": Said(401),
    "account_locked": Said(401, b"The referenced account is currently locked out"),
    "account_disabled": Said(456),
    "password_expired": Said(500, fault("ErrorPasswordExpired")),
    "access_refused": Said(500, fault("ErrorAccessDenied")),
    "impersonation_refused": Said(500, fault("ErrorImpersonateUserDenied")),
    "ews_forbidden": Said(403, PAGE),
    "ews_ended_online": Said(500, fault("ErrorOrganizationAccessBlocked")),
    "no_ews_here": Said(404, PAGE),
    "answer_is_web_page": Said(200, PAGE),
    "redirected": Said(302, headers=(("Location", "https://elsewhere.example/owa"),)),
    "proxy_refused": Said(407),
    "access_type_wrong": Said(500, fault("ErrorInvalidExchangeImpersonationHeaderData")),
    "version_refused": Said(500, b"The specified server version is invalid."),
    "mailbox_unknown": Said(500, fault("ErrorNonExistentMailbox")),
    "not_primary_address": Said(500, fault("ErrorNonPrimarySmtpAddress")),
    "mailbox_full": Said(500, fault("ErrorQuotaExceeded")),
    "answer_unreadable": Said(200, b"not xml at all"),
    "request_refused": Said(413),
}
LOGIN: dict[str, Said] = {
    "login_service_unavailable": Said(503, b"busy"),
    "app_secret_refused": Said(401, b'{"error": "invalid_client"}', (("Content-Type", "application/json"),)),
    "app_refused": Said(400, b'{"error": "unauthorized_client"}', (("Content-Type", "application/json"),)),
}
# What a sandbox Exchange is told to do wrong, and the page on which that is read.
SCRIPTS: dict[str, tuple[dict[str, Any], str]] = {
    "cursor_expired": ({"operation": "SyncFolderItems", "code": "ErrorInvalidSyncStateData", "scope": "message"}, ""),
    "folder_refused": ({"operation": "SyncFolderItems", "code": "ErrorAccessDenied", "scope": "message"}, ""),
    "folder_gone": ({"operation": "SyncFolderItems", "code": "ErrorFolderNotFound", "scope": "message"}, ""),
    "item_unreadable": ({"operation": "GetItem", "code": "ErrorItemCorrupt", "scope": "item"}, "failed-items/"),
    "item_gone": ({"operation": "GetItem", "code": "ErrorItemNotFound", "scope": "item"}, "failed-items/"),
}
# What Exchange says of a mail that is written in the CRM, and to which request.
OUTGOING_SAID = {
    "recipients_refused": ("SendItem", "ErrorInvalidRecipients"),
    "send_as_denied": ("SendItem", "ErrorSendAsDenied"),
    "write_refused": ("CreateItem", "ErrorAccessDenied"),
}

_numbers = count(1)


@dataclass
class Stage:
    """An installation with one mailbox, and an administrator who looks at its pages."""

    client: Client
    request: pytest.FixtureRequest
    patch: pytest.MonkeyPatch
    folder: Path
    stack: ExitStack = field(default_factory=ExitStack)
    box: Mailbox | None = None

    def mailbox(self, url: str, **fields: Any) -> Mailbox:
        """Connect a server and add a mailbox of it."""
        number = next(_numbers)
        place = re.match(r"https?://([^:/]+):(\d+)", url)
        if place and fields.pop("allowed", True):
            AllowedHost.objects.get_or_create(
                host=place[1], port=int(place[2]), defaults={"private": True, "plain_http": True}
            )
        values = {"auth": "basic", "username": "crmsync@example.com", "secret": "crmsync-pw", "impersonate": True}
        server = ServerProfile.objects.create(name=f"server {number}", url=url, **{**values, **fields})
        self.box = Mailbox.objects.create(
            address=ANA, server=server, owner=User.objects.get(username="fina"), intent=Intent.ON, track="all",
            sync_profile=SyncProfile.objects.create(name=f"profile {number}", exclude_internal=False), due_at=timezone.now(),
        )  # fmt: skip
        return self.box

    def serve(self, *said: Any, tls: Any = None) -> str:
        """Have a server answer so; return its address."""
        return self.stack.enter_context(serving(*said, tls=tls)).url

    def sandbox(self) -> SandboxServer:
        """Start a sandbox Exchange and connect Ana's mailbox in it."""
        sandbox = self.stack.enter_context(SandboxServer(sandbox_store()))
        self.mailbox(sandbox.url)
        return sandbox

    def sync(self) -> str:
        """Sync by command; return what it says, its error included."""
        assert self.box is not None
        return said_by("sync_mailbox", self.box.address)

    def batch(self) -> None:
        """Sync as a worker does."""
        run = claims.claim_one(Mailbox.objects.get(), Trigger.SCHEDULE, "sync", timezone.now())
        jobs.Batch([run.pk], worker="worker-1", clock=timezone.now).work()

    def page(self, rest: str = "") -> str:
        """Look at a page of the mailbox; one that begins with / is anywhere."""
        address = rest if rest.startswith("/") else f"/mailboxes/{Mailbox.objects.get().pk}/{rest}"
        answer = self.client.get(address)
        assert answer.status_code == 200
        return html.unescape(answer.content.decode())


def said_by(*command: str) -> str:
    """What a command writes, and what it fails with."""
    out = StringIO()
    try:
        call_command(*command, stdout=out, stderr=out)
    except Failed as failed:
        out.write(str(failed))
    return out.getvalue()


@pytest.fixture
def stage(
    db: None, client: Client, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, settings
) -> Iterator[Stage]:
    settings.BLOB_ROOT = tmp_path / "blobs"
    client.force_login(User.objects.create(username="fina", is_superuser=True))
    for proxy in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(proxy, raising=False)
    monkeypatch.setattr(RepairedProtocol, "TIMEOUT", (2, 0.5))
    made = Stage(client, request, monkeypatch, tmp_path)
    with made.stack:
        yield made
    POOL.forget()


# -- the faults -------------------------------------------------------------------------------------------------------------


def answered(code: str) -> Callable[[Stage], str]:
    def make(stage: Stage) -> str:
        stage.mailbox(stage.serve(SAID[code]))
        stage.sync()
        return stage.page()

    return make


def at_login(code: str) -> Callable[[Stage], str]:
    def make(stage: Stage) -> str:
        token_url = stage.serve(LOGIN[code])
        place = re.match(r"http://([^:/]+):(\d+)", token_url)
        assert place
        AllowedHost.objects.create(host=place[1], port=int(place[2]), private=True, plain_http=True)
        stage.mailbox(stage.serve(Said(500)), auth="oauth", token_url=token_url)
        stage.sync()
        return stage.page()

    return make


def scripted(code: str) -> Callable[[Stage], str]:
    def make(stage: Stage) -> str:
        script, page = SCRIPTS[code]
        sandbox = stage.sandbox()
        sandbox.store.deliver_mime(ANA, Letter().mime(), folder="inbox")
        sandbox.faults.add("error", count=None, **script)
        stage.sync()
        return stage.page(page)

    return make


def closed(stage: Stage) -> str:
    with serving(Said(503)) as server:
        url = server.url
    stage.mailbox(url)
    stage.sync()
    return stage.page()


def nameless(stage: Stage) -> str:
    def nobody(*_args: Any, **_rest: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    stage.mailbox("https://mail.example.invalid:443/EWS/Exchange.asmx")
    stage.patch.setattr("mailboxes.provider.ews.transport.socket.getaddrinfo", nobody)
    stage.sync()
    return stage.page()


def no_route(stage: Stage) -> str:
    def away(*_args: Any, **_rest: Any) -> Any:
        raise OSError(101, "Network is unreachable")

    stage.mailbox(stage.serve(Said(503)))
    stage.patch.setattr("mailboxes.provider.ews.transport.create_connection", away)
    stage.sync()
    return stage.page()


def untrusted(stage: Stage) -> str:
    stage.mailbox(stage.serve(Said(503), tls=Authority.made().context(stage.folder)))
    stage.sync()
    return stage.page()


def no_tls(stage: Stage) -> str:
    stage.mailbox(stage.serve(Said(503)).replace("http://", "https://"))
    stage.sync()
    return stage.page()


def no_challenge(stage: Stage) -> str:
    stage.mailbox(stage.serve(Said(401, headers=(("WWW-Authenticate", "NTLM"),))), auth="ntlm", username="ORG\\svc")
    stage.sync()
    return stage.page()


def not_listed(stage: Stage) -> str:
    stage.mailbox(stage.serve(Said(503)), allowed=False)
    stage.sync()
    return stage.page()


def no_address(stage: Stage) -> str:
    stage.mailbox("")
    stage.sync()
    return stage.page()


def no_secret(stage: Stage) -> str:
    stage.mailbox(stage.serve(Said(503)), secret="")
    stage.sync()
    return stage.page()


def other_key(stage: Stage) -> str:
    stage.mailbox(stage.serve(Said(503)))
    settings = stage.request.getfixturevalue("settings")
    kept, settings.ENCRYPTION_KEYS = settings.ENCRYPTION_KEYS, [Fernet.generate_key().decode()]
    stage.batch()
    settings.ENCRYPTION_KEYS = kept
    return stage.page()


def discovered(code: str) -> Callable[[Stage], str]:
    def make(stage: Stage) -> str:
        hosts: World = stage.request.getfixturevalue("world")
        if code == "autodiscover_led_away":
            hosts.host(
                "autodiscover.example.com", moved("https://evil.example.net/autodiscover/autodiscover.svc"), port=80
            )
        secret = stage.folder / "secret"
        secret.write_text("hunter2")
        return said_by(
            "connect_server", "office", "--autodiscover", "ana@example.com", "--auth", "basic", "--username", "svc",
            "--secret-file", str(secret),
        )  # fmt: skip

    return make


def emptied(stage: Stage) -> str:
    sandbox = stage.sandbox()
    stage.sync()
    stage.patch.setattr(pipeline, "FOLLOWED", ())
    Folder.objects.all().delete()
    assert sandbox
    stage.sync()
    return stage.page()


def failed_in(code: str) -> Callable[[Stage], str]:
    def make(stage: Stage) -> str:
        sandbox = stage.sandbox()
        clients = sandbox.store.create_folder(ANA, "inbox", "Clients")
        stage.sync()
        Folder.objects.filter(name="Clients").update(followed=True, cursor=None, counters="")
        item = sandbox.store.deliver_mime(ANA, Letter().mime(), folder=clients)
        sandbox.faults.add(
            "error", count=None, operation="GetItem", code="ErrorItemCorrupt", scope="item", item_id=item
        )
        stage.sync()
        assert ItemFailure.objects.get().code == "item_unreadable"
        if code == "failed_folder_gone":
            sandbox.store.remove_folder(sandbox.store.folder(ANA, clients))
        else:
            Folder.objects.filter(name="Clients").update(followed=False)
        Mailbox.objects.update(full_pass_at=None)
        stage.sync()
        return stage.page("failed-items/?show=healed")

    return make


def killing(stage: Stage) -> str:
    sandbox = stage.sandbox()
    sandbox.store.deliver_mime(ANA, Letter().mime(), folder="inbox")
    stage.sync()
    item = sandbox.store.deliver_mime(ANA, Letter(message_id="<2@partner.example>").mime(), folder="inbox")
    read = pipeline.read_envelopes

    def dying(provider: Any, item_ids: Any, **rest: Any) -> Any:
        if item in item_ids:
            raise KeyboardInterrupt
        return read(provider, item_ids, **rest)

    stage.patch.setattr(pipeline, "read_envelopes", dying)
    for _attempt in range(6):
        with pytest.raises(KeyboardInterrupt):
            stage.sync()
    stage.sync()
    return stage.page("failed-items/")


def unstorable(stage: Stage) -> str:
    sandbox = stage.sandbox()
    sandbox.store.deliver_mime(ANA, Letter().mime(), folder="inbox")
    create = activities.create

    def refusing(tracks: Any, *rest: Any, **named: Any) -> Any:
        if tracks:
            raise ValueError("does not fit")
        return create(tracks, *rest, **named)

    stage.patch.setattr(activities, "create", refusing)
    stage.sync()
    return stage.page("failed-items/")


def copy_of_the_unreadable(stage: Stage) -> str:
    sandbox = stage.sandbox()
    first = sandbox.store.deliver_mime(ANA, Letter().mime(), folder="inbox", received=Letter().received)
    sandbox.store.deliver_mime(ANA, Letter().mime(), folder="inbox", received=Letter().received + timedelta(hours=1))
    # Its envelope can be read, its content cannot: the second call for the item, and those after it.
    sandbox.faults.add(
        "error", count=None, operation="GetItem", code="ErrorItemCorrupt", scope="item", item_id=first, from_call=2
    )
    stage.sync()
    assert set(ItemFailure.objects.values_list("code", flat=True)) == {"item_unreadable", "original_unreadable"}
    return stage.page("failed-items/")


def attached(code: str) -> Callable[[Stage], str]:
    def make(stage: Stage) -> str:
        sandbox = stage.sandbox()
        sandbox.store.deliver_mime(ANA, Letter(files=(("a.bin", b"x", "application/x-thing"),)).mime(), folder="inbox")
        if code == "attachment_is_link":
            stage.patch.setattr(answers, "_KINDS", dict.fromkeys(answers._KINDS, AttachmentKind.REFERENCE))
        else:
            sandbox.faults.add("error", count=None, operation="GetAttachment", code="ErrorItemCorrupt", scope="message")
        stage.sync()
        return stage.page(f"/threads/{Activity.objects.get().thread_id}/")

    return make


def unaskable(code: str) -> Callable[[Stage], str]:
    def make(stage: Stage) -> str:
        sandbox = stage.sandbox()
        box = Mailbox.objects.get()
        channel.switch(box, on=True, by="fina", now=timezone.now())
        whose: dict[str, Any] = {"scope": "system", "sync_profile": box.sync_profile}
        if code == "own_filter_broken":
            whose = {"scope": "owner", "mailbox": box}
        where = {"parts": [{"column": "shoe_size", "operator": "is", "value": "40"}]}
        SyncFilter.objects.create(name="By size", kind="contact", conditions=where, **whose)
        assert sandbox
        stage.sync()
        page = stage.page()
        assert "By size" in page
        return page

    return make


def full_disk(stage: Stage) -> str:
    def full(_data: bytes) -> str:
        raise OSError(28, "No space left on device")

    sandbox = stage.sandbox()
    sandbox.store.deliver_mime(ANA, Letter(files=(("a.bin", b"x", "application/x-thing"),)).mime(), folder="inbox")
    stage.patch.setattr(blobs, "put", full)
    stage.sync()
    return stage.page()


def broken_inside(problem: BaseException) -> Callable[[Stage], str]:
    def make(stage: Stage) -> str:
        def breaking(*_args: Any, **_rest: Any) -> Any:
            raise problem

        stage.sandbox()
        stage.patch.setattr(pipeline, "sync", breaking)
        stage.batch()
        return stage.page()

    return make


def silent_worker(stage: Stage) -> str:
    box = stage.mailbox("https://mail.example:443/EWS")
    long_ago = timezone.now() - timedelta(hours=1)
    run = claims.claim_one(box, Trigger.SCHEDULE, "sync", long_ago)
    runs.begin_batch([run.pk], "worker-1", long_ago)
    assert runs.abandon_stale(timezone.now()) == [run.pk]
    return stage.page()


def taken_over(stage: Stage) -> str:
    sandbox = stage.sandbox()
    sandbox.store.deliver_mime(ANA, Letter().mime(), folder="inbox")
    read = pipeline.read_envelopes

    def slow(provider: Any, item_ids: Any, **rest: Any) -> Any:
        Run.objects.update(finished_at=timezone.now())
        return read(provider, item_ids, **rest)

    stage.patch.setattr(pipeline, "read_envelopes", slow)
    return stage.sync()


def no_worker(stage: Stage) -> str:
    stage.mailbox("https://mail.example:443/EWS")
    late = timezone.now() - timedelta(seconds=promise.BOUND_SECONDS + 60)
    Mailbox.objects.update(measured_from=late, attempted_at=late, due_at=late, state=State.IDLE)
    return stage.page("/")


def silent_canary(stage: Stage) -> str:
    stage.sandbox()
    assert stage.box is not None
    canary = tending.appoint(stage.box, every_minutes=30, by="marta", now=timezone.now())
    tending.tend_one(canary, timezone.now)
    canary.rounds.update(planted_at=timezone.now() - timedelta(hours=1))
    tending.tend_one(canary, timezone.now)
    return stage.page("/")


def overlooked(stage: Stage) -> str:
    sandbox = stage.sandbox()
    sandbox.store.deliver_mime(ANA, Letter().mime(), folder="inbox")
    stage.sync()
    # As if it had never been told of; and nothing that is found out about it is asked for.
    ItemDecision.objects.all().delete()
    stage.patch.setattr(reconcile, "sort_changes", lambda changes, known: Sorted((), (), 0, ()))
    said_by("reconcile", ANA)
    return stage.page("/")


def no_queue(stage: Stage) -> str:
    def gone(_name: str) -> Any:
        raise RedisGone("gone")

    stage.patch.setattr(status, "queue", gone)
    return said_by("sync_status")


def outgoing(code: str) -> Callable[[Stage], str]:
    """Have a mail of the owner's that comes to this; its page says so."""

    def make(stage: Stage) -> str:
        sandbox = stage.sandbox()
        box = Mailbox.objects.select_related("owner").get()
        Mailbox.objects.update(outgoing=True)
        stage.sync()
        mail = OutgoingMail.objects.create(
            mailbox=box, author=box.owner, to=[{"email": "ben@example.com", "name": "Ben"}], subject="Offer", text="Good day",
            state_since=timezone.now(), created_at=timezone.now(),
        )  # fmt: skip
        if code == "outgoing_file_missing":
            OutgoingFile.objects.create(mail=mail, name="gone.pdf", size=1, sha256="0" * 64)
        decisions.send(mail, by=box.owner, now=timezone.now())
        Run.objects.filter(finished_at=None).delete()
        if code in OUTGOING_SAID:
            operation, said = OUTGOING_SAID[code]
            sandbox.faults.add("error", count=None, operation=operation, code=said, scope="message")
        elif code == "sending_given_up":
            sandbox.faults.add(
                "error", count=None, operation="SendItem", code="ErrorInternalServerError", scope="message"
            )
            with override_settings(SEND_ATTEMPTS=1):
                stage.sync()
            return stage.page(f"/outgoing/{mail.pk}/")
        elif code == "author_refused":
            Mailbox.objects.update(owner=User.objects.create(username="successor"))
        elif code in ("draft_changed", "mail_lost"):
            sandbox.faults.add("error", operation="SendItem", code="ErrorServerBusy", scope="message")
            stage.sync()
            (draft,) = list(sandbox.store.folder(ANA, "drafts").items.values())
            if code == "draft_changed":
                sandbox.store.touch(draft)
            else:
                sandbox.store.remove(draft)
            Mailbox.objects.update(not_before=None)
            OutgoingMail.objects.update(try_at=timezone.now())
        stage.sync()
        return stage.page(f"/outgoing/{mail.pk}/")

    return make


def linked(code: str) -> Callable[[Stage], str]:
    """Have the entry of a record refused; the page *In step* says so."""

    def make(stage: Stage) -> str:
        sandbox = stage.sandbox()
        assert stage.box is not None
        channel.switch(stage.box, on=True, by="fina", now=timezone.now())
        if code == "attachment_too_large":
            sandbox.store.largest_item = 1_000
            SyncProfile.objects.update(appointment_attachments="to_exchange")
            film, starts = b"x" * 1_001, timezone.now() + timedelta(days=1)
            made = Appointment.objects.create(
                owner=stage.box.owner,
                subject="Premiere",
                starts_at=starts,
                ends_at=starts + timedelta(hours=1),
                zone="UTC",
            )
            AppointmentFile.objects.create(
                appointment=made, name="film.mp4", size=len(film), sha256=blobs.put(film), added_at=timezone.now()
            )
            stage.sync()
            return stage.page("in-step/")
        if code == "series_unsupported":
            starts = timezone.now() + timedelta(days=1)
            Appointment.objects.create(
                owner=stage.box.owner, subject="Every second year", starts_at=starts, ends_at=starts + timedelta(hours=1),
                zone="Europe/Madrid",
                recurrence=encode(Recurrence(Every.YEAR, starts.date(), interval=2, day=starts.day, month=starts.month)),
            )  # fmt: skip
            stage.sync()
            return stage.page("in-step/")
        task = Task.objects.create(owner=stage.box.owner, subject="Call")
        stage.sync()
        task.subject = "Call again"
        task.save()
        sandbox.faults.add(
            "error", count=None, operation="UpdateItem", code="ErrorIrresolvableConflict", scope="message"
        )
        stage.sync()
        return stage.page("in-step/")

    return make


FAULTS: dict[str, Callable[[Stage], str]] = {
    **{code: answered(code) for code in SAID},
    **{code: at_login(code) for code in LOGIN},
    **{code: scripted(code) for code in SCRIPTS},
    **{code: discovered(code) for code in ("autodiscover_failed", "autodiscover_led_away")},
    **{code: failed_in(code) for code in ("failed_folder_gone", "failed_folder_left")},
    **{code: attached(code) for code in ("attachment_unreadable", "attachment_is_link")},
    **{
        code: outgoing(code)
        for code in (
            "draft_changed",
            "mail_lost",
            "author_refused",
            "outgoing_file_missing",
            "sending_given_up",
            *OUTGOING_SAID,
        )
    },
    "connection_refused": closed,
    "name_unresolved": nameless,
    "unreachable": no_route,
    "certificate_untrusted": untrusted,
    "tls_failed": no_tls,
    "sign_in_method": no_challenge,
    "egress_refused": not_listed,
    "misconfigured": no_address,
    "secret_missing": no_secret,
    "secret_unreadable": other_key,
    "nothing_followed": emptied,
    "filter_broken": unaskable("filter_broken"),
    "own_filter_broken": unaskable("own_filter_broken"),
    "kills_worker": killing,
    "cannot_store": unstorable,
    "original_unreadable": copy_of_the_unreadable,
    "disk_full": full_disk,
    "internal_error": broken_inside(RuntimeError("boom")),
    "out_of_time": broken_inside(JobTimeoutException()),
    "database_gone": broken_inside(OperationalError("gone")),
    "worker_lost": silent_worker,
    "lease_lost": taken_over,
    "late_start": no_worker,
    "canary_late": silent_canary,
    **{code: linked(code) for code in ("series_unsupported", "item_conflict", "attachment_too_large")},
    "items_missing": overlooked,
    "queue_gone": no_queue,
}


def names_filled_in(text: Text) -> str:
    """Return a pattern of the text with any name in each of its places."""
    parts = re.split(r"%\(\w+\)s", str(text.template))
    return ".{1,100}?".join(re.escape(part) for part in parts)


def test_every_row_has_a_fault() -> None:
    assert set(FAULTS) == set(ENTRIES)


@pytest.mark.parametrize("code", sorted(FAULTS))
def test_the_fault_is_told_with_its_remedy(stage: Stage, code: str) -> None:
    entry = ENTRIES[code]
    seen = " ".join(FAULTS[code](stage).split())
    assert re.search(names_filled_in(entry.sentence), seen), "the sentence"
    assert re.search(names_filled_in(entry.remedy), seen), "the remedy"


@pytest.mark.parametrize("code", sorted(ENTRIES))
def test_who_can_act_is_somebody_where_there_is_something_to_do(code: str) -> None:
    entry = ENTRIES[code]
    idle = str(entry.remedy).startswith("Nothing")
    assert str(WHO_LABELS[entry.who])
    if entry.who is not Who.NOBODY:
        assert not idle
