"""The mail that benches import: a deterministic mailbox with the sizes of an ordinary one.

Message `number` is always the same, however many are asked for. What it is made of is stated in `DISTRIBUTION`, and
what came out is measured by `describe`.
"""

import binascii
import math
from base64 import encodebytes
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.header import Header
from email.utils import format_datetime, formataddr
from random import Random
from statistics import median
from typing import Final

DISTRIBUTION: Final = (
    "bodies log-normal, median 4 KB, 0.2 to 100 KB, 60 % HTML, 5 % in a non-Latin script; "
    "22 % of the messages with 1 to 3 attachments, log-normal, median 30 KB, 1 KB to 1 MB, every tenth one known already; "
    "35 % answers to earlier messages; 1 to 6 recipients of 400 people"
)
# Log-normal: median in bytes, spread, least, most.
_BODY: Final = (4_000, 1.0, 200, 100_000)
_ATTACHMENT: Final = (30_000, 1.5, 1_000, 1_000_000)
_HTML, _NON_LATIN, _ATTACHED, _ANSWERS, _KNOWN = 0.60, 0.05, 0.22, 0.35, 0.10
_PEOPLE: Final = 400
_BEGIN: Final = datetime(2026, 1, 5, 8, 0, tzinfo=UTC)

_WORDS: Final = """
we the offer for your plant in Manresa is attached please confirm delivery of valves by Friday since stock has to be moved
before end month our colleague will call about calibration certificate thank you kind regards invoice number price list
sensor pump flange meeting agenda minutes drawing revised order contract maintenance schedule quote shipping tracking
I have spoken with them and they agree that this can wait until next week unless you object meanwhile see below
"""
_OTHER_WORDS: Final = "договор поставка клапан спасибо письмо 見積書 納期 工場 確認 お願いします προσφορά παράδοση"


@dataclass(frozen=True, slots=True)
class Sizes:
    """What a mailbox weighs: bytes of messages as they are transported, and the share with attachments."""

    messages: int
    megabytes: float
    median_kb: float
    largest_kb: float
    with_attachments: float


def messages(count: int, *, seed: str = "crmsync", attachments: bool = True) -> Iterator[bytes]:
    """Yield `count` messages as they come from the wire (RFC 5322, CRLF), oldest first."""
    for number in range(count):
        yield message(number, seed=seed, attachments=attachments)


def message(number: int, *, seed: str = "crmsync", attachments: bool = True) -> bytes:
    """Return message `number` of the mailbox, without the attachments it may have if they are not wanted."""
    random = Random(f"{seed}/{number}")  # noqa: S311 -- the same mail every time is what is wanted
    words = (_OTHER_WORDS if random.random() < _NON_LATIN else _WORDS).split()
    html = random.random() < _HTML
    body = _part(f"text/{'html' if html else 'plain'}; charset=utf-8", _body(random, words, html=html))
    lines = _head(random, number, words)
    if not attachments or random.random() >= _ATTACHED:
        return b"\r\n".join([*lines, body])
    boundary = f"=_{number:08x}"
    lines.append(f'Content-Type: multipart/mixed; boundary="{boundary}"'.encode())
    parts = [body, *(_attachment(random, at) for at in range(random.choices((1, 2, 3), (70, 20, 10))[0]))]
    mark = f"--{boundary}".encode()
    return b"\r\n".join([*lines, b"", *(line for part in parts for line in (mark, part)), mark + b"--", b""])


def describe(mails: Iterable[bytes]) -> Sizes:
    """Return what the messages weigh. At least one is needed."""
    sizes, attached = [], 0
    for mail in mails:
        sizes.append(len(mail))
        attached += b"\r\nContent-Disposition: attachment" in mail
    return Sizes(
        messages=len(sizes),
        megabytes=round(sum(sizes) / 1e6, 1),
        median_kb=round(median(sizes) / 1e3, 1),
        largest_kb=round(max(sizes) / 1e3, 1),
        with_attachments=round(attached / len(sizes), 3),
    )


def _log_normal(random: Random, median_: int, spread: float, least: int, most: int) -> int:
    return max(least, min(most, round(random.lognormvariate(math.log(median_), spread))))


def _head(random: Random, number: int, words: list[str]) -> list[bytes]:
    subject = " ".join(random.choices(words, k=random.randint(2, 8)))
    lines = []
    if number and random.random() < _ANSWERS:
        earlier = random.randrange(max(0, number - 300), number)
        subject = f"Re: {subject}"
        lines = [f"In-Reply-To: {_message_id(earlier)}", f"References: {_message_id(earlier)}"]
    to = [_person(random.randrange(_PEOPLE)) for _ in range(random.randint(1, 3))]
    cc = [_person(random.randrange(_PEOPLE)) for _ in range(random.choice((0, 0, 0, 1, 3)))]
    lines += [
        f"From: {_person(random.randrange(_PEOPLE))}",
        f"To: {', '.join(to)}",
        *([f"Cc: {', '.join(cc)}"] if cc else []),
        f"Subject: {Header(subject, None if subject.isascii() else 'utf-8').encode(linesep=chr(13) + chr(10))}",
        f"Date: {format_datetime(_BEGIN + timedelta(minutes=7 * number))}",
        f"Message-ID: {_message_id(number)}",
        "MIME-Version: 1.0",
    ]
    return [line.encode() for line in lines]


def _message_id(number: int) -> str:
    return f"<{number:08d}.bench@mail.example>"


def _person(number: int) -> str:
    return formataddr((f"Person {number:03d} Example", f"person{number:03d}@company{number % 40}.example"))


def _body(random: Random, words: list[str], *, html: bool) -> bytes:
    size = _log_normal(random, *_BODY)
    text = bytearray(
        b"<html><head><style>p.n {margin: 0; font-family: Calibri}</style></head><body>\n" if html else b""
    )
    while len(text) < size:
        paragraph = " ".join(random.choices(words, k=60))
        text += (f'<p class="n"><span lang="EN">{paragraph}</span></p>\n' if html else f"{paragraph}\n\n").encode()
    return bytes(text + b"</body></html>\n" if html else text)


def _part(content_type: str, body: bytes) -> bytes:
    encoded = binascii.b2a_qp(body, istext=True).replace(b"\n", b"\r\n")
    return (f"Content-Type: {content_type}\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n").encode() + encoded


def _attachment(random: Random, at: int) -> bytes:
    known = random.random() < _KNOWN
    data = Random("logo").randbytes(9_000) if known else random.randbytes(_log_normal(random, *_ATTACHMENT))  # noqa: S311 -- bytes to fill files with
    head = (
        f'Content-Type: application/pdf; name="file-{at}.pdf"\r\n'
        f'Content-Disposition: attachment; filename="file-{at}.pdf"\r\n'
        "Content-Transfer-Encoding: base64\r\n\r\n"
    )
    return head.encode() + encodebytes(data).replace(b"\n", b"\r\n")
