"""check_mailbox: each step a verdict with its remedy, one attempt each, and what is learnt is stored."""

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.utils import timezone

from mailboxes import intents
from mailboxes.adding import add_mailbox
from mailboxes.check import Name, Step, Verdict, check, prevents_sync
from mailboxes.connection import open_provider
from mailboxes.management.commands.check_mailbox import Command
from mailboxes.models import Folder, Mailbox, ServerProfile
from mailboxes.provider.errors import AuthRejected, Misconfigured
from mailboxes.sandbox import soap as sandbox_soap
from mailboxes.sandbox.server import SandboxServer
from mailboxes.sandbox.store import SandboxStore
from mailboxes.servers import Given, connect
from mailboxes.states import Auth, Intent, State
from security.commands import Failed
from security.models import AllowedHost, User
from tests.mailboxes.provider.certificates import Authority
from tests.mailboxes.provider.scripted import Said, serving
from tests.mailboxes.provider.worlds import ANA, SERVICE, sandbox_store

pytestmark = pytest.mark.django_db


@pytest.fixture
def store() -> SandboxStore:
    return sandbox_store()


@pytest.fixture
def sandbox(store: SandboxStore) -> Iterator[SandboxServer]:
    with SandboxServer(store) as running:
        yield running


def mailbox_at(url: str, *, ca_pem: str = "", auth: Auth = Auth.BASIC, address: str = ANA, **own: str) -> Mailbox:
    given = Given("office", url, auth, SERVICE, "crmsync-pw", impersonate=True, ca_pem=ca_pem)
    server = connect(given, by="test", now=timezone.now()).server
    owner, _made = User.objects.get_or_create(username="ana")
    mailbox = add_mailbox(address, server=server, owner=owner, track=None, enable=True, by="test", now=timezone.now())
    for name, value in own.items():
        setattr(mailbox, name, value)
    mailbox.save()
    return mailbox


@pytest.fixture
def mailbox(sandbox: SandboxServer) -> Mailbox:
    return mailbox_at(sandbox.url)


def checked(mailbox: Mailbox, pauses: list[float] | None = None) -> dict[Name, Step]:
    """Return the steps of a check; every step must be there, in order."""
    mailbox = Mailbox.objects.select_related("server").get(pk=mailbox.pk)
    pause: Callable[[float], None] = (pauses if pauses is not None else []).append
    steps = list(check(mailbox, timezone.now, pause))
    assert [step.name for step in steps] == list(Name)
    return {step.name: step for step in steps}


def failed(steps: dict[Name, Step]) -> Step:
    """Return the one step that failed; those after it were not tried."""
    (found,) = [step for step in steps.values() if step.verdict is Verdict.FAILED]
    after = list(steps.values())[list(Name).index(found.name) + 1 :]
    assert all(step.verdict is Verdict.SKIPPED for step in after)
    assert found.remedy
    assert "crmsync-pw" not in str(steps)
    return found


# -- a mailbox that works ---------------------------------------------------------------------------------------------


def test_a_healthy_mailbox_passes_and_what_was_learnt_is_stored(mailbox: Mailbox, sandbox: SandboxServer) -> None:
    steps = checked(mailbox)
    assert {name for name, step in steps.items() if step.verdict is not Verdict.OK} == {Name.TLS}
    assert steps[Name.TLS].verdict is Verdict.WARNING, "a connection without encryption is worth a word"
    assert not prevents_sync(list(steps.values()))
    server = ServerProfile.objects.get()
    assert (server.build, server.api_version, server.counters) == ("15.2.1748.10", "Exchange2013_SP1", True)
    assert server.counter_facts == {"create": True, "change": True, "delete": True}
    assert server.tested_at is not None
    followed = Folder.objects.filter(mailbox=mailbox, followed=True).values_list("role", "name")
    assert dict(followed) == {"inbox": "Posteingang", "sent": "Gesendete Elemente"}


def test_the_draft_is_gone_afterwards(mailbox: Mailbox, store: SandboxStore) -> None:
    checked(mailbox)
    assert not store.folder(ANA, "drafts").items
    assert not store.folder(ANA, "deleteditems").items


def test_a_second_check_keeps_what_people_chose(mailbox: Mailbox) -> None:
    checked(mailbox)
    Folder.objects.filter(role="sent").update(followed=False)
    Folder.objects.filter(role="inbox").update(cursor="kept")
    checked(mailbox)
    assert Folder.objects.get(role="sent").followed is False
    assert Folder.objects.get(role="inbox").cursor == "kept"


def test_what_is_learnt_makes_later_connections_cheap(mailbox: Mailbox, sandbox: SandboxServer) -> None:
    checked(mailbox)
    fresh = Mailbox.objects.select_related("server").get()
    folders = list(Folder.objects.filter(followed=True).values_list("provider_id", flat=True))
    sandbox.requests.reset()
    open_provider(fresh).counters(folders)
    assert sandbox.requests.total == 1


# -- counters ---------------------------------------------------------------------------------------------------------


def test_a_server_without_counters_syncs_at_the_price_of_a_request_per_folder(
    mailbox: Mailbox, store: SandboxStore
) -> None:
    store.change_counters = False
    step = checked(mailbox)[Name.COUNTERS]
    assert step.verdict is Verdict.WARNING
    assert "one request for each followed folder" in step.sentence
    assert ServerProfile.objects.get().counters is False


def test_counters_of_whole_seconds_are_given_a_second(
    mailbox: Mailbox, store: SandboxStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1_800_000_000.0]
    store.clock = lambda: now[0]
    # As real servers do: within one second nothing shows.
    monkeypatch.setattr(
        "mailboxes.sandbox.model.Folder.committed", lambda folder, at: setattr(folder, "commit_second", at)
    )
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        now[0] += seconds

    fresh = Mailbox.objects.select_related("server").get()
    steps = {step.name: step for step in check(fresh, timezone.now, pause)}
    assert steps[Name.COUNTERS].verdict is Verdict.OK
    assert pauses
    assert ServerProfile.objects.get().counter_facts["change"] is True
    assert not store.folder(ANA, "drafts").items


@pytest.mark.parametrize(
    ("kinds", "facts", "used"),
    [
        ({"CHANGE"}, {"create": True, "change": False, "delete": True}, True),
        ({"CREATE", "CHANGE", "DELETE"}, {"create": False, "change": False, "delete": False}, False),
    ],
)
def test_counters_that_overlook_changes_are_found_out(
    mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch, kinds: set[str], facts: dict[str, bool], used: bool
) -> None:
    provider_type = type(open_provider(mailbox))
    real = provider_type.counters

    def counters(provider: Any, ids: list[str]) -> dict[str, str | None]:
        found = real(provider, ids)
        if "CREATE" in kinds:
            return dict.fromkeys(found, "same")
        # The number of items and of deletions, without the time of the last change.
        return {each: "/".join((value or "").split("/")[1:]) for each, value in found.items()}

    monkeypatch.setattr(provider_type, "counters", counters)
    step = checked(mailbox)[Name.COUNTERS]
    assert step.verdict is Verdict.WARNING
    server = ServerProfile.objects.get()
    assert (server.counter_facts, server.counters) == (facts, used)


def test_without_the_right_to_write_drafts_reading_is_not_prevented(mailbox: Mailbox, sandbox: SandboxServer) -> None:
    sandbox.faults.add("error", operation="CreateItem", code="ErrorAccessDenied", count=None)
    steps = checked(mailbox)
    assert steps[Name.COUNTERS].verdict is Verdict.WARNING
    assert not prevents_sync(list(steps.values()))
    assert ServerProfile.objects.get().counters is True


# -- what can be wrong ------------------------------------------------------------------------------------------------


def test_a_wrong_password_ends_the_test_after_one_attempt(mailbox: Mailbox, sandbox: SandboxServer) -> None:
    server = ServerProfile.objects.get()
    server.secret = "wrong"
    server.save()
    step = failed(checked(mailbox))
    assert (step.name, step.code) == (Name.AUTHENTICATION, "sign_in_refused")
    assert SERVICE in step.sentence
    # One without a sign-in to see what is offered, one with it.
    assert sandbox.requests.listed()["statuses"] == {"401": 2}


def test_a_mailbox_that_does_not_exist(sandbox: SandboxServer) -> None:
    step = failed(checked(mailbox_at(sandbox.url, address="nobody@example.com")))
    assert (step.name, step.code) == (Name.MAILBOX, "mailbox_unknown")
    assert "nobody@example.com" in step.sentence


def test_an_account_that_may_not_impersonate(store: SandboxStore, mailbox: Mailbox) -> None:
    store.mailbox(SERVICE).impersonator = False
    step = failed(checked(mailbox))
    assert (step.name, step.code) == (Name.MAILBOX, "impersonation_refused")


def test_a_host_that_nobody_allowed(mailbox: Mailbox, sandbox: SandboxServer) -> None:
    AllowedHost.objects.all().delete()
    step = failed(checked(mailbox))
    assert (step.name, step.code) == (Name.ALLOWED, "egress_refused")
    assert sandbox.requests.listed()["connections"] == 0


def test_a_name_that_cannot_be_resolved() -> None:
    step = failed(checked(mailbox_at("https://mail.example.invalid/EWS/Exchange.asmx")))
    assert (step.name, step.code) == (Name.RESOLUTION, "name_unresolved")
    assert "mail.example.invalid" in step.sentence


def test_a_port_where_nobody_listens(sandbox: SandboxServer, mailbox: Mailbox) -> None:
    sandbox.stop()
    step = failed(checked(mailbox))
    assert (step.name, step.code) == (Name.CONNECTION, "connection_refused")


def test_a_path_without_ews(sandbox: SandboxServer) -> None:
    step = failed(checked(mailbox_at(sandbox.root + "/owa")))
    assert (step.name, step.code) == (Name.SERVICE, "no_ews_here")


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (Said(200, b"<!DOCTYPE html><html>Sign in</html>"), "answer_is_web_page"),
        (Said(302, headers=(("Location", "https://elsewhere.example/"),)), "redirected"),
        (Said(403), "ews_forbidden"),
        (Said(503), "server_unavailable"),
    ],
)
def test_what_stands_at_the_address_instead(said: Said, code: str) -> None:
    with serving(said) as server:
        step = failed(checked(mailbox_at(server.url)))
    assert (step.name, step.code) == (Name.SERVICE, code)


def test_a_method_that_is_not_offered_is_named(sandbox: SandboxServer) -> None:
    steps = checked(mailbox_at(sandbox.url, auth=Auth.NTLM))
    assert steps[Name.SERVICE].verdict is Verdict.WARNING
    assert "basic" in steps[Name.SERVICE].sentence
    assert failed(steps).name is Name.AUTHENTICATION


def test_a_server_without_any_sign_in_is_worth_a_word(sandbox: SandboxServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "_sign_in", lambda _authorization: sandbox.store.mailbox(SERVICE))
    steps = checked(mailbox_at(sandbox.url))
    assert steps[Name.SERVICE].verdict is Verdict.WARNING
    assert not prevents_sync(list(steps.values()))


def test_a_folder_that_may_not_be_read(mailbox: Mailbox, sandbox: SandboxServer) -> None:
    sandbox.faults.add("error", operation="SyncFolderItems", scope="message", code="ErrorAccessDenied", from_call=2)
    steps = checked(mailbox)
    assert (steps[Name.RIGHTS].verdict, steps[Name.RIGHTS].code) == (Verdict.WARNING, "folder_refused")
    assert "Gesendete Elemente" in steps[Name.RIGHTS].sentence
    sandbox.faults.add("error", operation="SyncFolderItems", scope="message", code="ErrorAccessDenied")
    assert failed(checked(mailbox)).name is Name.RIGHTS


def test_a_mailbox_without_sent_mail_and_drafts(mailbox: Mailbox, store: SandboxStore) -> None:
    for name in ("sentitems", "drafts"):
        del store.mailbox(ANA).distinguished[name]
    steps = checked(mailbox)
    assert steps[Name.FOLDERS].verdict is Verdict.WARNING
    assert steps[Name.COUNTERS].verdict is Verdict.WARNING
    assert not prevents_sync(list(steps.values()))


# -- TLS --------------------------------------------------------------------------------------------------------------


class Gateway:
    """TLS in front of a scripted server."""

    def __init__(self, folder: Path) -> None:
        self.authority = Authority.made()
        self.folder = folder

    def steps(self, *, trusted: bool = True, host: str = "localhost", days: int = 90) -> dict[Name, Step]:
        with serving(Said(503), tls=self.authority.context(self.folder, host=host, days=days)) as server:
            return checked(mailbox_at(server.url, ca_pem=self.authority.pem if trusted else ""))


@pytest.fixture
def gateway(tmp_path: Path) -> Gateway:
    return Gateway(tmp_path)


def test_a_trusted_certificate_passes(gateway: Gateway) -> None:
    assert gateway.steps()[Name.TLS].verdict is Verdict.OK


def test_a_certificate_that_ends_soon_is_worth_a_word(gateway: Gateway) -> None:
    assert gateway.steps(days=5)[Name.TLS].verdict is Verdict.WARNING


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ({"trusted": False}, "unable to get local issuer certificate"),
        ({"days": -1}, "certificate has expired"),
        ({"host": "other.example"}, "Hostname mismatch"),
    ],
)
def test_an_untrusted_certificate_says_exactly_why(gateway: Gateway, how: dict[str, Any], reason: str) -> None:
    step = failed(gateway.steps(**how))
    assert (step.name, step.code) == (Name.TLS, "certificate_untrusted")
    assert reason in step.detail


def test_an_outgoing_proxy_resolves_and_connects(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(Said(407)) as proxy:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
        monkeypatch.setenv("no_proxy", "")
        mailbox = mailbox_at("http://mail.example.invalid/EWS/Exchange.asmx")
        steps = checked(mailbox)
    assert steps[Name.RESOLUTION].verdict is steps[Name.CONNECTION].verdict is Verdict.SKIPPED
    assert (failed(steps).name, failed(steps).code) == (Name.SERVICE, "proxy_refused")


# -- own credentials, repair ------------------------------------------------------------------------------------------


def test_a_mailbox_may_sign_in_for_itself(sandbox: SandboxServer) -> None:
    steps = checked(mailbox_at(sandbox.url, username=ANA, secret="ana-pw"))
    assert not prevents_sync(list(steps.values()))
    assert sandbox.requests.count("GetFolder", SERVICE) == 0


def test_no_password_at_all_is_said(mailbox: Mailbox) -> None:
    server = ServerProfile.objects.get()
    server.secret = ""
    server.save()
    step = failed(checked(mailbox))
    assert (step.name, step.code) == (Name.ALLOWED, "secret_missing")


def test_a_profile_without_an_address_cannot_be_opened(mailbox: Mailbox) -> None:
    mailbox.server.url = ""
    with pytest.raises(Misconfigured):
        open_provider(mailbox)


def test_a_sign_in_that_works_again_lets_the_server_s_mailboxes_go_on(mailbox: Mailbox) -> None:
    intents.stop_server(mailbox.server, AuthRejected("HTTP 401"), timezone.now())
    mailbox.refresh_from_db()
    assert mailbox.state == State.SIGN_IN_FAILED
    checked(mailbox)
    mailbox.refresh_from_db()
    assert mailbox.state == State.FIRST_SYNC
    assert mailbox.intent == Intent.ON
    assert ServerProfile.objects.get().stopped_at is None


def test_a_mailbox_s_own_sign_in_that_works_again_lets_it_go_on(sandbox: SandboxServer) -> None:
    mailbox = mailbox_at(sandbox.url, username=ANA, secret="ana-pw", state=State.SIGN_IN_FAILED)
    checked(mailbox)
    mailbox.refresh_from_db()
    assert mailbox.state == State.FIRST_SYNC


# -- the command ------------------------------------------------------------------------------------------------------


def typed(address: str = ANA) -> tuple[dict[str, Any], str, Failed | None]:
    out, err = io.StringIO(), io.StringIO()
    failure: Failed | None = None
    try:
        call_command(Command(stdout=out, stderr=err), address, "--json")
    except Failed as error:
        failure = error
    return json.loads(out.getvalue()), err.getvalue(), failure


def test_the_command_writes_one_document_and_a_line_per_step(mailbox: Mailbox) -> None:
    document, notes, failure = typed(ANA.upper())
    assert failure is None
    assert document["ok"] is True
    assert [step["name"] for step in document["steps"]] == [str(name) for name in Name]
    assert document["counter_facts"] == {"create": True, "change": True, "delete": True}
    assert len(notes.strip().splitlines()) == len(Name)


def test_the_command_fails_when_something_prevents_syncing(sandbox: SandboxServer) -> None:
    mailbox_at(sandbox.url, address="nobody@example.com")
    document, notes, failure = typed("nobody@example.com")
    assert document["ok"] is False
    assert failure is not None
    assert (failure.code, failure.returncode) == ("mailbox_unknown", 1)
    assert "What to do:" in notes


def test_the_command_knows_only_mailboxes_that_were_added() -> None:
    document, _notes, failure = typed("stranger@example.com")
    assert failure is not None
    assert document["error"] == failure.code == "mailbox_not_added"


def test_the_human_answer_is_a_sentence(mailbox: Mailbox, capsys: pytest.CaptureFixture[str]) -> None:
    call_command(Command(), ANA)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(Name) + 1
    assert lines[-1] == f"{ANA}: nothing prevents syncing."


def test_nothing_is_contacted_before_it_is_allowed() -> None:
    with serving(Said(200)) as server:
        mailbox = mailbox_at(server.url)
        AllowedHost.objects.update(plain_http=False)
        step = failed(checked(mailbox))
    assert step.code == "egress_refused"
    assert server.connections == 0


def test_behind_a_proxy_the_certificate_is_checked_with_the_first_request(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(Said(407)) as proxy:
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{proxy.port}")
        monkeypatch.setenv("no_proxy", "")
        steps = checked(mailbox_at("https://mail.example.invalid/EWS/Exchange.asmx"))
    assert steps[Name.TLS].verdict is Verdict.SKIPPED
    assert failed(steps).name is Name.SERVICE


def test_a_server_that_hides_its_version_is_worth_a_word(mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch) -> None:
    without = sandbox_soap._OPEN.replace(sandbox_soap.VERSION_HEADER, "")
    monkeypatch.setattr(sandbox_soap, "_OPEN", without)
    assert checked(mailbox)[Name.VERSION].verdict is Verdict.WARNING
