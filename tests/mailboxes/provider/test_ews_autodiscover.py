"""Autodiscover contacts what the typed domain leads to in the first place, what is on the list, and nothing else."""

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest
from exchangelib.autodiscover.discovery import Autodiscovery, SrvRecord

from mailboxes.provider.errors import Misconfigured
from mailboxes.provider.ews.autodiscover import discover
from mailboxes.provider.ews.transport import Allowed, Reach
from tests.mailboxes.provider.certificates import Authority
from tests.mailboxes.provider.scripted import SOAP, Said, serving

ANSWERS: Final = "http://schemas.microsoft.com/exchange/2010/Autodiscover"
FOUND: Final = "https://mail.example.com/EWS/Exchange.asmx"
MAIL: Final = {("mail.example.com", 443): Allowed()}


def settings(*, ews_url: str = "", error: str = "NoError", target: str = "") -> Said:
    """Return an answer of the service, as Exchange writes it."""
    setting = f"<a:UserSetting><a:Name>ExternalEwsUrl</a:Name><a:Value>{ews_url}</a:Value></a:UserSetting>"
    return Said(
        body=(
            f'<?xml version="1.0"?><s:Envelope xmlns:s="{SOAP}" xmlns:a="{ANSWERS}"><s:Body>'
            "<a:GetUserSettingsResponseMessage><a:Response><a:ErrorCode>NoError</a:ErrorCode><a:ErrorMessage/>"
            f"<a:UserResponses><a:UserResponse><a:ErrorCode>{error}</a:ErrorCode><a:ErrorMessage>no</a:ErrorMessage>"
            f"<a:RedirectTarget>{target}</a:RedirectTarget><a:UserSettingErrors/>"
            f"<a:UserSettings>{setting if ews_url else ''}</a:UserSettings>"
            "</a:UserResponse></a:UserResponses></a:Response></a:GetUserSettingsResponseMessage></s:Body></s:Envelope>"
        ).encode()
    )


def moved(url: str) -> Said:
    return Said(302, headers=(("Location", url),))


@dataclass
class World:
    """Hosts on loopback under the names they have in the test; `contacted` holds every connection that was begun."""

    authority: Authority
    folder: Path
    stack: ExitStack
    contacted: list[tuple[str, int]] = field(default_factory=list)
    looked_up: list[str] = field(default_factory=list)
    hosts: dict[tuple[str, int], int] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)

    def host(self, name: str, *answers: Said | Callable[[str], Said], port: int = 443) -> None:
        tls = None if port == 80 else self.authority.context(self.folder, host=name)
        self.hosts[name, port] = self.stack.enter_context(serving(*answers, tls=tls)).port

    def resolve(self, host: str, port: Any, *_args: Any, **_rest: Any) -> list[Any]:
        if host.startswith("8.8.8."):
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, port))]
        self.looked_up.append(host)
        if host not in {name for name, _port in self.hosts}:
            raise socket.gaierror(socket.EAI_NONAME, "unknown name")
        if host not in self.names:
            self.names.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (f"8.8.8.{self.names.index(host)}", port))]

    def reach(self, **listed: Any) -> Reach:
        return Reach(listed.get("hosts", {}), self.authority.pem)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[World]:
    connect = socket.socket.connect
    with ExitStack() as stack:
        made = World(Authority.made(), tmp_path, stack)

        def to_loopback(self: socket.socket, address: tuple[str, int]) -> None:
            place = (made.names[int(address[0].rpartition(".")[2])], address[1])
            made.contacted.append(place)
            if place not in made.hosts:
                raise ConnectionRefusedError
            connect(self, ("127.0.0.1", made.hosts[place]))

        monkeypatch.setattr(socket, "getaddrinfo", made.resolve)
        monkeypatch.setattr(socket.socket, "connect", to_loopback)
        monkeypatch.setattr(Autodiscovery, "_get_srv_records", lambda _self, _name: [])
        for proxy in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.delenv(proxy, raising=False)
        yield made


def found(reach: Reach) -> str:
    return discover("ana@example.com", auth="basic", username="u", secret="hunter2", reach=reach)


def refused(reach: Reach) -> str:
    with pytest.raises(Misconfigured) as caught:
        found(reach)
    assert caught.value.code == "autodiscover_led_away"
    return caught.value.detail


def test_the_typed_domain_and_its_autodiscover_name_are_contacted(world: World) -> None:
    world.host("autodiscover.example.com", settings(ews_url=FOUND))
    world.host("example.com", Said(404))
    assert found(world.reach(hosts=MAIL)) == FOUND
    assert set(world.contacted) == {("example.com", 443), ("autodiscover.example.com", 443)}


def test_a_server_at_a_name_the_domain_gives_needs_no_entry(world: World) -> None:
    url = "https://autodiscover.example.com/EWS/Exchange.asmx"
    world.host("autodiscover.example.com", settings(ews_url=url))
    assert found(world.reach()) == url


@pytest.mark.parametrize(
    "url",
    [FOUND, "https://10.0.0.5/EWS/Exchange.asmx", "http://autodiscover.example.com/EWS/Exchange.asmx"],
)
def test_a_server_that_nobody_allowed_is_named_and_not_taken(world: World, url: str) -> None:
    world.host("autodiscover.example.com", settings(ews_url=url))
    assert url in refused(world.reach())


def test_a_redirect_elsewhere_is_neither_looked_up_nor_contacted_but_named(world: World) -> None:
    world.host("autodiscover.example.com", moved("https://evil.example.net/autodiscover/autodiscover.svc"), port=80)
    world.host("evil.example.net", settings(ews_url="https://evil.example.net/EWS/Exchange.asmx"))
    assert "evil.example.net:443" in refused(world.reach())
    assert "evil.example.net" not in world.looked_up


def test_a_redirect_to_a_host_on_the_list_is_followed(world: World) -> None:
    world.host("autodiscover.example.com", moved("https://mail.example.com/autodiscover/autodiscover.svc"), port=80)
    world.host("mail.example.com", settings(ews_url=FOUND))
    assert found(world.reach(hosts=MAIL)) == FOUND
    assert ("mail.example.com", 443) in world.contacted


def test_a_redirect_after_signing_in_is_held_to_the_list_too(world: World) -> None:
    away = moved("https://evil.example.net/autodiscover/autodiscover.svc")
    world.host("autodiscover.example.com", settings(), away)
    world.host("evil.example.net", settings(ews_url=FOUND))
    assert "evil.example.net:443" in refused(world.reach(hosts=MAIL))
    assert "evil.example.net" not in world.looked_up


@pytest.mark.parametrize(
    ("error", "target"),
    [("RedirectUrl", "https://evil.example.net/autodiscover/x"), ("RedirectAddress", "ana@evil.example.net")],
)
def test_a_redirect_in_an_answer_is_held_to_the_list_too(world: World, error: str, target: str) -> None:
    world.host("autodiscover.example.com", settings(error=error, target=target))
    world.host("evil.example.net", settings(ews_url=FOUND))
    assert "evil.example.net:443" in refused(world.reach(hosts=MAIL))
    assert "evil.example.net" not in world.looked_up


def test_a_host_that_a_service_record_names_is_held_to_the_list_too(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        Autodiscovery, "_get_srv_records", lambda _self, _name: [SrvRecord(0, 0, 443, "evil.example.net")]
    )
    world.host("evil.example.net", settings(ews_url=FOUND))
    assert "evil.example.net:443" in refused(world.reach(hosts=MAIL))
    assert "evil.example.net" not in world.looked_up
    listed = {**MAIL, ("evil.example.net", 443): Allowed()}
    assert found(world.reach(hosts=listed)) == FOUND


def test_a_listed_host_behind_a_private_address_is_refused_unless_the_list_says_so(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.host("autodiscover.example.com", moved("https://mail.example.com/x"), port=80)

    def resolve(host: str, *args: Any, **rest: Any) -> list[Any]:
        return [(2, 1, 6, "", ("10.0.0.5", 443))] if host == "mail.example.com" else world.resolve(host, *args, **rest)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    assert "10.0.0.5" in refused(world.reach(hosts=MAIL))


def test_a_domain_without_a_server_is_one_clear_error(world: World) -> None:
    with pytest.raises(Misconfigured) as caught:
        found(world.reach(hosts=MAIL))
    assert caught.value.code == "autodiscover_failed"
    assert not world.contacted


def test_an_answer_without_an_address_is_one_clear_error(world: World) -> None:
    world.host("autodiscover.example.com", settings())
    with pytest.raises(Misconfigured) as caught:
        found(world.reach(hosts=MAIL))
    assert caught.value.code == "autodiscover_failed"
