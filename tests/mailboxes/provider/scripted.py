"""A tiny web server that answers what a test tells it to: everything a real one, or what stands before it, ever said."""

import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

SOAP = "http://schemas.xmlsoap.org/soap/envelope/"
MESSAGES = "http://schemas.microsoft.com/exchange/services/2006/messages"
TYPES = "http://schemas.microsoft.com/exchange/services/2006/types"
ERRORS = "http://schemas.microsoft.com/exchange/services/2006/errors"


def soap(body: str, *, build: str = "") -> bytes:
    """Return an answer around `body` (prefixes m and t)."""
    parts = zip(
        ("MajorVersion", "MinorVersion", "MajorBuildNumber", "MinorBuildNumber"), build.split("."), strict=False
    )
    version = "".join(f' {name}="{value}"' for name, value in parts if value)
    header = f"<s:Header><t:ServerVersionInfo{version}/></s:Header>" if build else ""
    return (
        f'<?xml version="1.0" encoding="utf-8"?><s:Envelope xmlns:s="{SOAP}" xmlns:m="{MESSAGES}" xmlns:t="{TYPES}">'
        f"{header}<s:Body>{body}</s:Body></s:Envelope>"
    ).encode()


def fault(code: str, text: str = "no", values: str = "") -> bytes:
    """Return a SOAP fault with an EWS code; `values` are elements of MessageXml."""
    message_xml = f"<t:MessageXml>{values}</t:MessageXml>" if values else ""
    return soap(
        f'<s:Fault><faultcode xmlns:a="{TYPES}">a:{code}</faultcode><faultstring xml:lang="en-US">{text}</faultstring>'
        f'<detail><e:ResponseCode xmlns:e="{ERRORS}">{code}</e:ResponseCode><e:Message xmlns:e="{ERRORS}">{text}'
        f"</e:Message>{message_xml}</detail></s:Fault>"
    )


def messages(operation: str, *inner: str) -> bytes:
    """Return an answer with response messages, given as `success` and `error` make them."""
    named = "".join(each.replace("OPERATION", operation) for each in inner)
    return soap(
        f"<m:{operation}Response><m:ResponseMessages>{named}</m:ResponseMessages></m:{operation}Response>",
        build="15.1.2507.6",
    )


def success(inner: str) -> str:
    """Return one response message that is a success."""
    return (
        f'<m:OPERATIONResponseMessage ResponseClass="Success"><m:ResponseCode>NoError</m:ResponseCode>{inner}'
        "</m:OPERATIONResponseMessage>"
    )


def error(code: str, text: str = "no", values: str = "") -> str:
    """Return one response message that is an error."""
    message_xml = f"<m:MessageXml>{values}</m:MessageXml>" if values else ""
    return (
        f'<m:OPERATIONResponseMessage ResponseClass="Error"><m:MessageText>{text}</m:MessageText>'
        f"<m:ResponseCode>{code}</m:ResponseCode>{message_xml}</m:OPERATIONResponseMessage>"
    )


@dataclass(frozen=True)
class Said:
    """One answer. `cut` ends the connection after so many bytes of the body, `reset` before any byte; `silent` never answers."""

    status: int = 200
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    cut: int | None = None
    reset: bool = False
    hang_up: bool = False
    silent: bool = False


# What to say, or how to find out from the head of the request.
Answering = Said | Callable[[str], Said]


@dataclass
class ScriptedServer:
    """Answers one connection after the other; `answers` in turn, the last for ever. Keeps heads and bodies of requests."""

    answers: list[Answering]
    tls: ssl.SSLContext | None = None
    heads: list[str] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    connections: int = 0
    _listener: socket.socket = field(init=False)
    _over: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(0.05)

    @property
    def port(self) -> int:
        """Return the port."""
        return int(self._listener.getsockname()[1])

    @property
    def url(self) -> str:
        """Return the address to be given to a client."""
        return f"{'https' if self.tls else 'http'}://{'localhost' if self.tls else '127.0.0.1'}:{self.port}/EWS/Exchange.asmx"

    def close(self) -> None:
        """Stop."""
        self._over.set()
        self._listener.close()

    def serve(self) -> None:
        """Accept until closed; each connection in a thread of its own."""
        while not self._over.is_set():
            with contextlib.suppress(OSError):
                peer, _address = self._listener.accept()
                threading.Thread(target=self._connection, args=(peer,), daemon=True).start()

    def _connection(self, peer: socket.socket) -> None:
        self.connections += 1
        with contextlib.suppress(OSError), contextlib.closing(peer):
            peer.settimeout(5)
            stream = self.tls.wrap_socket(peer, server_side=True) if self.tls else peer
            while not self._over.is_set():
                said = self._request(stream)
                if said is None or not self._answer(stream, said):
                    return

    def _request(self, stream: socket.socket) -> Said | None:
        data = b""
        while b"\r\n\r\n" not in data:
            more = stream.recv(65536)
            if not more:
                return None
            data += more
            if data.startswith(b"\x16"):  # a TLS handshake where there is no TLS
                stream.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
                return None
        head, _, body = data.partition(b"\r\n\r\n")
        fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
        while len(body) < int(fields.get(b"content-length", b"0")):
            body += stream.recv(65536)
        with self._lock:
            self.heads.append(head.decode("latin-1"))
            self.bodies.append(body)
            said = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return said if isinstance(said, Said) else said(self.heads[-1])

    def _answer(self, stream: socket.socket, said: Said) -> bool:
        if said.silent:
            self._over.wait(5)
            return False
        if said.reset:
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return False
        lines = [f"HTTP/1.1 {said.status} Said", f"Content-Length: {len(said.body)}"]
        lines += [f"{name}: {value}" for name, value in said.headers]
        stream.sendall("\r\n".join([*lines, "", ""]).encode() + said.body[: said.cut])
        return said.cut is None and not said.hang_up


@contextlib.contextmanager
def serving(*answers: Answering, tls: ssl.SSLContext | None = None) -> Iterator[ScriptedServer]:
    """Run a server that gives these answers."""
    server = ScriptedServer(list(answers), tls)
    thread = threading.Thread(target=server.serve, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.close()
        thread.join()
