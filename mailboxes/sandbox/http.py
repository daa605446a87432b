"""As much of HTTP/1.1 as a client of Exchange needs: keep-alive, lengths, chunks, one write per answer.

The standard library's handler spends more time on parsing a request's header fields than the rest of
an idle request takes, and writes head and body apart, which costs 40 ms each through delayed
acknowledgements. Here a head is a dictionary of lower-case names and an answer is one buffer.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from http.client import responses
from typing import BinaryIO, Final

_LONGEST_LINE: Final = 65_536
_MOST_FIELDS: Final = 200


class BadRequest(Exception):
    """What came is not HTTP. `status` is what to answer before the connection is closed."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class TooLarge(BadRequest):
    """The body is larger than this server takes."""

    def __init__(self) -> None:
        super().__init__(413, "the body is too large")


@dataclass(slots=True)
class HttpRequest:
    """One request. `headers` has lower-case names; of a repeated field the last counts."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes = b""
    keep_alive: bool = True


@dataclass(slots=True)
class Answer:
    """One answer. `cut` says after how many bytes of the body the connection breaks (None: it does not).

    With `stream` the body comes in pieces, each sent as a chunk when it is there; with `cut` only the first is.
    """

    status: int
    body: bytes = b""
    content_type: str = "text/xml; charset=utf-8"
    headers: list[tuple[str, str]] = field(default_factory=list)
    close: bool = False
    cut: int | None = None
    reset: bool = False
    stream: Iterator[bytes] | None = None

    def encoded(self) -> bytes:
        """Return the answer as it goes over the wire."""
        phrase = responses.get(self.status, "Status")
        lines = [
            f"HTTP/1.1 {self.status} {phrase}",
            f"Content-Type: {self.content_type}",
            "Transfer-Encoding: chunked" if self.stream is not None else f"Content-Length: {len(self.body)}",
            "Cache-Control: private",
            *(f"{name}: {value}" for name, value in self.headers),
        ]
        if self.close:
            lines.append("Connection: close")
        body = self.body if self.cut is None else self.body[: self.cut]
        return "\r\n".join(lines).encode("latin-1", "replace") + b"\r\n\r\n" + body


def read_head(stream: BinaryIO) -> HttpRequest | None:
    """Read the head of the next request; None when the client is done. Raises BadRequest."""
    line = stream.readline(_LONGEST_LINE + 1)
    if not line.strip():
        line = stream.readline(_LONGEST_LINE + 1) if line else b""
    if not line:
        return None
    words = line.decode("latin-1").split()
    if len(words) != 3 or not words[2].startswith("HTTP/1."):
        raise BadRequest(400, "that is no HTTP request")
    headers = _read_fields(stream)
    connection = headers.get("connection", "").lower()
    keep = connection == "keep-alive" if words[2] == "HTTP/1.0" else connection != "close"
    return HttpRequest(words[0].upper(), words[1], headers, keep_alive=keep)


def _read_fields(stream: BinaryIO) -> dict[str, str]:
    headers: dict[str, str] = {}
    for _ in range(_MOST_FIELDS):
        line = stream.readline(_LONGEST_LINE + 1)
        if line in (b"\r\n", b"\n", b""):
            return headers
        name, colon, value = line.decode("latin-1").partition(":")
        if not colon or len(line) > _LONGEST_LINE:
            raise BadRequest(400, "a header field is malformed")
        headers[name.strip().lower()] = value.strip()
    raise BadRequest(431, "too many header fields")


def read_body(stream: BinaryIO, request: HttpRequest, most: int) -> bytes:
    """Read the body of a request, at most `most` bytes. Raises BadRequest, or TooLarge."""
    if request.headers.get("transfer-encoding", "").lower() == "chunked":
        return _read_chunks(stream, most)
    text = request.headers.get("content-length", "0")
    if not text.isascii() or not text.isdecimal():
        raise BadRequest(400, "the length is no number")
    length = int(text)
    if length > most:
        raise TooLarge
    body = stream.read(length)
    if len(body) != length:
        raise BadRequest(400, "the body is shorter than it said")
    return body


def _read_chunks(stream: BinaryIO, most: int) -> bytes:
    parts: list[bytes] = []
    total = 0
    while True:
        try:
            length = int(stream.readline(_LONGEST_LINE).partition(b";")[0], 16)
        except ValueError:
            raise BadRequest(400, "a chunk's length is no number") from None
        total += length
        if length < 0 or total > most:
            raise TooLarge
        if length == 0:
            break
        parts.append(stream.read(length))
        stream.readline(_LONGEST_LINE)
    while stream.readline(_LONGEST_LINE) not in (b"\r\n", b"\n", b""):
        pass
    return b"".join(parts)


def chunk(piece: bytes) -> bytes:
    """Return a piece of a body as a chunk of the wire; an empty one ends the body."""
    return f"{len(piece):x}\r\n".encode("ascii") + piece + b"\r\n"
