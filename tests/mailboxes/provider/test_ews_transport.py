"""Where connections may go: by host, by port, by scheme, and by the address behind the name."""

import socket
from typing import Any

import pytest

from mailboxes.provider.ews.transport import Allowed, EgressRefused, GuardedAdapter, Reach, checked_addresses

MAIL = ("mail.example.com", 443)


def resolving(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    def getaddrinfo(_host: str, port: int, **_rest: Any) -> list[Any]:
        return [(socket.AF_INET6 if ":" in each else socket.AF_INET, 1, 6, "", (each, port)) for each in addresses]

    monkeypatch.setattr("mailboxes.provider.ews.transport.socket.getaddrinfo", getaddrinfo)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.0.0.1", "192.168.1.1", "172.16.0.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
        "::1", "fe80::1%eth0", "fc00::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1",
    ],
)  # fmt: skip
def test_addresses_that_are_not_public_need_permission(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    resolving(monkeypatch, address)
    with pytest.raises(EgressRefused, match="not a public address"):
        checked_addresses(*MAIL, private=False)
    assert checked_addresses(*MAIL, private=True) == [address]


def test_one_private_address_among_public_ones_is_enough_to_refuse(monkeypatch: pytest.MonkeyPatch) -> None:
    resolving(monkeypatch, "8.8.8.8", "10.0.0.1")
    with pytest.raises(EgressRefused):
        checked_addresses(*MAIL, private=False)


def test_public_addresses_are_used_each_once(monkeypatch: pytest.MonkeyPatch) -> None:
    resolving(monkeypatch, "8.8.8.8", "2001:4860:4860::8888", "8.8.8.8")
    assert checked_addresses(*MAIL, private=False) == ["8.8.8.8", "2001:4860:4860::8888"]


@pytest.mark.parametrize(
    "url",
    [
        "https://mail.example.com:8443/EWS",
        "https://other.example.com/EWS",
        "http://mail.example.com:443/EWS",
        "http://mail.example.com/EWS",
        "https:///EWS",
    ],
)
def test_other_hosts_ports_and_schemes_are_out_of_reach(url: str) -> None:
    with pytest.raises(EgressRefused):
        Reach({MAIL: Allowed()}).allowed(url)


def test_hosts_are_compared_without_case() -> None:
    assert Reach({MAIL: Allowed(private=True)}).allowed("https://MAIL.example.com/EWS").private


def test_the_second_address_is_tried_when_the_first_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[str] = []

    def create_connection(address: tuple[str, int], *_args: Any, **_rest: Any) -> None:
        tried.append(address[0])
        raise OSError("no route") if len(tried) == 1 else TimeoutError("silent")

    resolving(monkeypatch, "8.8.8.8", "8.8.4.4")
    monkeypatch.setattr("mailboxes.provider.ews.transport.create_connection", create_connection)
    adapter = GuardedAdapter(Reach({MAIL: Allowed()}), "https://mail.example.com/")
    pool = adapter.poolmanager.connection_from_url("https://mail.example.com/")
    with pytest.raises(Exception, match="in time"):
        pool.urlopen("POST", "/", retries=False)
    assert tried == ["8.8.8.8", "8.8.4.4"]


class _Line:
    """Stands for a socket: what was sent, each time; `broken` sends nothing."""

    def __init__(self, *, broken: bool = False) -> None:
        self.sent: list[bytes] = []
        self.broken = broken

    def settimeout(self, seconds: object) -> None: ...

    def sendall(self, data: bytes) -> None:
        if self.broken:
            raise BrokenPipeError
        self.sent.append(data)


def _over(line: _Line) -> Any:
    adapter = GuardedAdapter(Reach({("localhost", 8080): Allowed(True, True)}), "http://localhost:8080/")
    connection = adapter.poolmanager.connection_from_url("http://localhost:8080/")._get_conn()
    connection.sock = line
    return connection


def test_head_and_body_of_a_request_are_sent_at_once() -> None:
    line = _Line()
    _over(line).request("POST", "/EWS/Exchange.asmx", body="<é/>".encode(), headers={"Content-Length": "5"})
    (sent,) = line.sent
    assert sent.startswith(b"POST /EWS/Exchange.asmx HTTP/1.1\r\n")
    assert sent.endswith("\r\n\r\n<é/>".encode())


def test_a_request_that_could_not_be_sent_leaves_nothing_for_the_next() -> None:
    connection = _over(_Line(broken=True))
    with pytest.raises(BrokenPipeError):
        connection.request("POST", "/", body=b"first")
    connection.close = lambda: None
    connection._HTTPConnection__state = "Idle"
    connection.sock = line = _Line()
    connection.request("POST", "/", body=b"second")
    assert [b"first" in each for each in line.sent] == [False]


def test_a_proxy_gets_the_same_trust() -> None:
    adapter = GuardedAdapter(Reach({MAIL: Allowed()}), "https://mail.example.com/")
    manager = adapter.proxy_manager_for("http://proxy.example:3128")
    assert manager.connection_pool_kw["ssl_context"] is adapter.poolmanager.connection_pool_kw["ssl_context"]
