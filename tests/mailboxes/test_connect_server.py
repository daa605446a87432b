"""connect_server: what it writes, what it allows, and how it refuses what makes no sense."""

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.utils import timezone

from mailboxes import intents
from mailboxes.connection import reach_of, token_url
from mailboxes.management.commands.connect_server import Command
from mailboxes.models import ServerProfile
from mailboxes.provider.errors import AuthRejected, Misconfigured
from mailboxes.provider.ews import autodiscover
from mailboxes.provider.ews.transport import Reach
from security.commands import Failed, WrongUse
from security.models import AllowedHost
from tests.mailboxes.provider.certificates import Authority

pytestmark = pytest.mark.django_db

PASSWORD = "hunter2"
URL = "https://mail.example.com/EWS/Exchange.asmx"
LOCAL = "http://127.0.0.1:8123/EWS/Exchange.asmx"
BASIC = ("--auth", "basic", "--username", "svc@example.com")


@pytest.fixture(autouse=True)
def names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names that resolve without a name service: public, private, and none."""
    known = {
        "mail.example.com": "8.8.4.4",
        "intranet.example.com": "10.1.2.3",
        "127.0.0.1": "127.0.0.1",
        "login.microsoftonline.com": "8.8.8.8",
        "login.example.com": "8.8.8.8",
    }

    def getaddrinfo(host: str, *_args: Any, **_rest: Any) -> list[Any]:
        if host not in known:
            raise OSError("unknown name")
        return [(2, 1, 6, "", (known[host], 0))]

    monkeypatch.setattr("mailboxes.servers.socket.getaddrinfo", getaddrinfo)


class Typed:
    """The command as typed, with the secret on standard input."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.monkeypatch = monkeypatch
        self.warnings = ""

    def __call__(self, *argv: str, secret: str = f"{PASSWORD}\n") -> dict[str, Any]:
        self.monkeypatch.setattr("sys.stdin", io.StringIO(secret))
        out, err = io.StringIO(), io.StringIO()
        try:
            call_command(Command(stdout=out, stderr=err, no_color=True), *argv, "--json")
        finally:
            self.warnings = err.getvalue()
        assert "hunter2" not in out.getvalue() + err.getvalue()
        return dict(json.loads(out.getvalue()))


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> Typed:
    return Typed(monkeypatch)


# -- what it writes ---------------------------------------------------------------------------------------------------


def test_a_server_is_connected_and_its_host_allowed(typed: Typed) -> None:
    document = typed("office", "--ews", URL, *BASIC, "--impersonate", "--concurrency", "7")
    server = ServerProfile.objects.get(name="office")
    assert (server.url, server.auth, server.username, server.impersonate, server.concurrency) == (
        URL, "basic", "svc@example.com", True, 7,
    )  # fmt: skip
    assert server.secret == "hunter2"
    host = AllowedHost.objects.get()
    assert (host.host, host.port, host.private, host.plain_http) == ("mail.example.com", 443, False, False)
    assert document["created"] is True
    assert document["allowed"] == ["mail.example.com:443"]
    assert document["warnings"] == []


def test_the_same_name_again_changes_the_server(typed: Typed) -> None:
    typed("office", "--ews", URL, *BASIC)
    document = typed("office", "--ews", URL, "--auth", "ntlm", "--username", "ORG\\svc", secret="new one\n")
    server = ServerProfile.objects.get()
    assert (server.auth, server.username, server.secret) == ("ntlm", "ORG\\svc", "new one")
    assert document["created"] is False


def test_the_password_may_be_left_as_it_is(typed: Typed) -> None:
    typed("office", "--ews", URL, *BASIC)
    typed("office", "--ews", URL, *BASIC, "--impersonate", secret="")
    assert ServerProfile.objects.get().secret == "hunter2"


def test_what_stopped_the_server_is_forgotten(typed: Typed) -> None:
    typed("office", "--ews", URL, *BASIC)
    intents.stop_server(ServerProfile.objects.get(), AuthRejected("HTTP 401"), timezone.now())
    ServerProfile.objects.update(not_before=timezone.now(), failures=9)
    typed("office", "--ews", URL, *BASIC)
    server = ServerProfile.objects.get()
    assert (server.stopped_at, server.stopped_code, server.not_before, server.failures) == (None, "", None, 0)


def test_what_was_learnt_stays_with_the_address(typed: Typed) -> None:
    typed("office", "--ews", URL, *BASIC)
    ServerProfile.objects.update(build="15.2.1", api_version="Exchange2016", counters=True)
    typed("office", "--ews", URL, *BASIC)
    assert ServerProfile.objects.get().build == "15.2.1"
    typed("office", "--ews", LOCAL, *BASIC)
    server = ServerProfile.objects.get()
    assert (server.build, server.api_version, server.counters) == ("", "", None)


def test_the_usual_path_is_filled_in(typed: Typed) -> None:
    assert typed("office", "--ews", "https://mail.example.com", *BASIC)["url"] == URL
    assert "usual one" in typed.warnings


def test_the_human_answer_says_what_comes_next(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("hunter2"))
    call_command(Command(), "office", "--ews", URL, *BASIC)
    assert capsys.readouterr().out.startswith("Connected office: ")


# -- what it allows ---------------------------------------------------------------------------------------------------


def test_loopback_and_plain_http_are_allowed_because_typed_with_a_warning(typed: Typed) -> None:
    document = typed("sandbox", "--ews", LOCAL, *BASIC)
    host = AllowedHost.objects.get()
    assert (host.host, host.port, host.private, host.plain_http) == ("127.0.0.1", 8123, True, True)
    assert len(document["warnings"]) == 2
    assert "without encryption" in typed.warnings
    assert "because you typed it" in typed.warnings


def test_a_private_network_is_allowed_because_typed_with_a_warning(typed: Typed) -> None:
    typed("office", "--ews", "https://intranet.example.com/EWS/Exchange.asmx", *BASIC)
    assert AllowedHost.objects.get().private is True
    assert "10.1.2.3" in typed.warnings


def test_a_name_that_does_not_resolve_yet_is_a_warning(typed: Typed) -> None:
    typed("office", "--ews", "https://later.example.com/EWS/Exchange.asmx", *BASIC)
    assert "cannot be resolved" in typed.warnings


def test_oauth_allows_the_login_service_too(typed: Typed) -> None:
    oauth = ("--auth", "oauth", "--username", "app-id")
    typed("online", "--ews", URL, *oauth, "--tenant", "contoso")
    assert set(AllowedHost.objects.values_list("host", flat=True)) == {"mail.example.com", "login.microsoftonline.com"}
    assert token_url(ServerProfile.objects.get()).endswith("/contoso/oauth2/v2.0/token")
    typed("own", "--ews", URL, *oauth, "--token-url", "https://login.example.com/token")
    reach = reach_of(ServerProfile.objects.get(name="own"))
    assert set(reach.hosts) == {("mail.example.com", 443), ("login.example.com", 443)}


def test_a_private_authority_is_kept(typed: Typed, tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.write_text(Authority.made().pem)
    typed("office", "--ews", URL, *BASIC, "--ca", str(file))
    assert ServerProfile.objects.get().ca_pem == file.read_text()


def test_the_password_may_come_from_a_file(typed: Typed, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("from a file\n")
    typed("office", "--ews", URL, *BASIC, "--secret-file", str(file), secret="")
    assert ServerProfile.objects.get().secret == "from a file"


def test_at_a_terminal_the_password_is_asked_for(typed: Typed, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr("getpass.getpass", lambda _prompt: "typed in")
    monkeypatch.setattr("sys.stdin", Terminal())
    call_command(Command(stdout=io.StringIO(), stderr=io.StringIO()), "office", "--ews", URL, *BASIC)
    assert ServerProfile.objects.get().secret == "typed in"


def test_without_standard_input_there_is_no_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", None)
    with pytest.raises(WrongUse, match="password"):
        call_command(Command(stdout=io.StringIO(), stderr=io.StringIO()), "office", "--ews", URL, *BASIC)


# -- what it refuses --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (("--ews", "mail.example.com", *BASIC), "https://"),
        (("--ews", "ftp://mail.example.com/x", *BASIC), "https://"),
        (("--ews", "https://", *BASIC), "https://"),
        (("--ews", "https://user:pw@mail.example.com/x", *BASIC), "user name or password"),
        (("--ews", "https://mail.example.com:99999/x", *BASIC), "https://"),
        (("--ews", URL + "?wsdl", *BASIC), "no ?"),
        (("--ews", URL, "--auth", "kerberos", "--username", "x"), "kerberos"),
        (("--ews", URL, "--auth", "basic", "--username", " "), "user name"),
        (("--ews", URL, "--auth", "oauth", "--username", "app"), "--tenant"),
        (("--ews", URL, "--auth", "oauth", "--username", "app", "--token-url", "login"), "web address"),
        (("--ews", URL, *BASIC, "--concurrency", "0"), "1 to 27"),
        (("--ews", URL, *BASIC, "--concurrency", "many"), "many"),
        (("--ews", URL, *BASIC, "--ca", "/nowhere/ca.pem"), "cannot be read"),
        (("--ews", URL, *BASIC, "--secret-file", "/nowhere/secret"), "cannot be read"),
        (("--ews", URL, "--autodiscover", "ana@example.com", *BASIC), "not allowed with"),
        (("--autodiscover", "nobody", *BASIC), "not an e-mail address"),
        (BASIC, "required"),
        (("--ews", URL, *BASIC, "--allow", "mail.example.com"), "goes with --autodiscover"),
        (("--autodiscover", "ana@example.com", *BASIC, "--allow", "u:p@mail.example.com"), "HOST or HOST:PORT"),
    ],
)
def test_wrong_use_says_what_to_give_and_changes_nothing(typed: Typed, argv: tuple[str, ...], said: str) -> None:
    with pytest.raises(WrongUse, match=said.replace("?", r"\?")) as caught:
        typed("office", *argv)
    assert caught.value.returncode == 2
    assert not ServerProfile.objects.exists()
    assert not AllowedHost.objects.exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [("no certificate", "no certificate"), ("-----BEGIN PRIVATE KEY-----", "private key"), (b"\xff\xfe", "not text")],
)
def test_a_file_that_is_no_authority_is_refused(typed: Typed, tmp_path: Path, text: str | bytes, said: str) -> None:
    file = tmp_path / "ca.pem"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(WrongUse, match=said):
        typed("office", "--ews", URL, *BASIC, "--ca", str(file))


@pytest.mark.parametrize("secret", ["", "\n", "two\nlines\n"])
def test_a_new_server_needs_one_password(typed: Typed, secret: str) -> None:
    with pytest.raises(WrongUse, match="password"):
        typed("office", "--ews", URL, *BASIC, secret=secret)


def test_an_empty_password_file_is_refused(typed: Typed, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("\n")
    with pytest.raises(WrongUse, match="is empty"):
        typed("office", "--ews", URL, *BASIC, "--secret-file", str(tmp_path / "secret"))


@pytest.mark.parametrize("name", ["", "x" * 101])
def test_a_name_has_1_to_100_characters(typed: Typed, name: str) -> None:
    with pytest.raises(WrongUse, match="1 to 100"):
        typed(name, "--ews", URL, *BASIC)


# -- autodiscover -----------------------------------------------------------------------------------------------------


def test_autodiscover_finds_the_address(typed: Typed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mailboxes.management.commands.connect_server.discover", lambda address, **_rest: URL)
    typed("office", "--autodiscover", "ana@example.com", *BASIC)
    server = ServerProfile.objects.get()
    assert (server.url, server.autodiscover_address) == (URL, "ana@example.com")


def test_autodiscover_that_finds_nothing_fails(typed: Typed, monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(*_args: Any, **_rest: Any) -> str:
        raise Misconfigured("no records", code="autodiscover_failed")

    monkeypatch.setattr("mailboxes.management.commands.connect_server.discover", nothing)
    with pytest.raises(Failed, match="--ews") as caught:
        typed("office", "--autodiscover", "ana@example.com", *BASIC)
    assert (caught.value.code, caught.value.returncode) == ("autodiscover_failed", 1)


def test_autodiscover_needs_the_password(typed: Typed) -> None:
    with pytest.raises(WrongUse, match="signs in"):
        typed("office", "--autodiscover", "ana@example.com", *BASIC, secret="")


def test_applications_of_exchange_online_need_no_autodiscover() -> None:
    found = autodiscover.discover("ana@example.com", auth="oauth", username="app", secret="s", reach=Reach())
    assert found == "https://outlook.office365.com/EWS/Exchange.asmx"


@pytest.mark.parametrize("allow", [(), ("--allow", "mail.example.com", "--allow", "other.example.com:8443")])
def test_autodiscover_may_lead_to_what_is_listed_and_what_is_typed(
    typed: Typed, monkeypatch: pytest.MonkeyPatch, allow: tuple[str, ...]
) -> None:
    AllowedHost.objects.create(host="listed.example.com", port=443, private=True)
    given: list[Reach] = []

    def found(_address: str, *, reach: Reach, **_rest: Any) -> str:
        given.append(reach)
        return URL

    monkeypatch.setattr("mailboxes.management.commands.connect_server.discover", found)
    typed("office", "--autodiscover", "ana@example.com", *BASIC, *allow)
    typed_hosts = {("mail.example.com", 443), ("other.example.com", 8443)} if allow else set()
    assert set(given[0].hosts) == {("listed.example.com", 443), *typed_hosts}
    assert given[0].hosts["listed.example.com", 443].private


def test_autodiscover_that_is_led_away_names_the_host_and_the_way_out(
    typed: Typed, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_args: Any, **_rest: Any) -> str:
        raise Misconfigured("evil.example.net:443 is not on the list", code="autodiscover_led_away")

    monkeypatch.setattr("mailboxes.management.commands.connect_server.discover", away)
    with pytest.raises(Failed, match=r"--allow.*evil\.example\.net:443") as caught:
        typed("office", "--autodiscover", "ana@example.com", *BASIC)
    assert (caught.value.code, caught.value.returncode) == ("autodiscover_led_away", 1)
    assert not AllowedHost.objects.exists()


# -- as a process -----------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_as_typed_in_a_shell(process_env: dict[str, str]) -> None:
    def run(*argv: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "manage.py", "connect_server", *argv],
            input="hunter2\n", capture_output=True, text=True, env=process_env, check=False, timeout=60,
        )  # fmt: skip

    done = run("sandbox", "--ews", LOCAL, *BASIC, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["allowed"] == ["127.0.0.1:8123"]
    assert "Warning:" in done.stderr
    wrong = run("sandbox", "--ews", "nonsense", *BASIC, "--json")
    assert wrong.returncode == 2
    assert json.loads(wrong.stdout)["error"] == "wrong_use"
