"""The demo's mail: what every reader of it may count on."""

import csv
import io
import re
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailboxes.sandbox.demo import DemoMessage, messages
from mailboxes.sandbox.demo.cast import mailboxes, people_by_key
from mailboxes.sandbox.demo.compose import message_id
from mailboxes.sandbox.demo.files import draw
from mailboxes.sandbox.demo.script import STORIES, moment, read_stories

NOW = datetime(2026, 3, 4, 15, 30, tzinfo=UTC)
LETTERS = read_stories()
TRACKING = {mailbox.address: mailbox.tracking for mailbox in mailboxes}


@pytest.fixture(scope="module")
def corpus() -> list[DemoMessage]:
    return list(messages(NOW))


@pytest.fixture(scope="module")
def ordinary(corpus: list[DemoMessage]) -> dict[str, EmailMessage]:
    return {each.key: parsed(each.raw) for each in corpus if not each.oddity}


def parsed(raw: bytes) -> EmailMessage:
    return message_from_bytes(raw, policy=default)


def defects(message: EmailMessage) -> Iterator[object]:
    """What the standard library finds wrong with any part, header or content."""
    for part in message.walk():
        for value in part.values():
            yield from getattr(value, "defects", ())
        if not part.is_multipart():
            part.get_content()  # raises for a charset or encoding that does not fit
        yield from part.defects


def named_files(message: EmailMessage) -> Iterator[tuple[str, bytes]]:
    for part in message.walk():
        if part.get_filename() and not part.is_multipart():
            yield part.get_filename() or "", cast("bytes", part.get_payload(decode=True))


def test_the_corpus_is_large_enough_to_look_alive(corpus: list[DemoMessage]) -> None:
    assert 180 <= len(corpus) <= 260
    assert sum(bool(each.oddity) for each in corpus) >= 40
    assert len({each.key for each in corpus}) == len(corpus)


def test_the_same_now_gives_the_same_bytes(corpus: list[DemoMessage]) -> None:
    assert list(messages(NOW)) == corpus


def test_without_the_huge_message_the_rest_is_the_same(corpus: list[DemoMessage]) -> None:
    small = list(messages(NOW, huge=False))
    left_out = [each for each in corpus if each not in small]
    assert [each.key for each in left_out] == ["logfile-big"]
    assert 4_000_000 < len(left_out[0].raw) < 10_000_000
    assert max(len(each.raw) for each in small) < 200_000


def test_identities_do_not_depend_on_the_time(corpus: list[DemoMessage]) -> None:
    later = {each.key: each for each in messages(NOW + timedelta(days=400), huge=False)}
    for each in corpus:
        if each.key in later and not each.oddity:
            assert parsed(later[each.key].raw)["Message-ID"] == parsed(each.raw)["Message-ID"]


def test_every_message_parses_without_defect_or_says_what_is_wrong(ordinary: dict[str, EmailMessage]) -> None:
    found = {key: list(defects(message)) for key, message in ordinary.items()}
    assert {key: wrong for key, wrong in found.items() if wrong} == {}


def test_message_ids_are_unique_except_where_that_is_the_point(corpus: list[DemoMessage]) -> None:
    ids = Counter(
        re.findall(rb"(?im)^message-id: *(<[^\r\n]*>)", b"\n".join(each.raw.split(b"\r\n\r\n")[0] for each in corpus))
    )
    assert [number for number, count in ids.items() if count > 1] == [b"<the-same-id-for-all@scanner.nordwerk.example>"]
    twins = [each for each in corpus if each.oddity == "duplicate Message-ID"]
    assert len(twins) == 2
    assert twins[0].raw != twins[1].raw


def test_every_ordinary_message_names_itself_its_sender_and_its_time(ordinary: dict[str, EmailMessage]) -> None:
    for key, message in ordinary.items():
        assert message["Message-ID"], key
        assert message["Date"].datetime.tzinfo, key
        assert len(message["From"].addresses) == 1, key
        assert message["To"].addresses, key
        assert message["Subject"], key


def test_threads_resolve_to_messages_of_the_corpus(ordinary: dict[str, EmailMessage]) -> None:
    ids = {message["Message-ID"]: message for message in ordinary.values()}
    replies = [message for key, message in ordinary.items() if message["In-Reply-To"] and not key.startswith("ooo")]
    assert len(replies) >= 95
    for reply in replies:
        parent = ids[reply["In-Reply-To"]]
        chain = reply["References"].split()
        assert chain[-1] == parent["Message-ID"]
        assert chain[:-1] == (parent["References"] or "").split()
        assert parent["Date"].datetime < reply["Date"].datetime


@given(st.integers(0, 8 * 365 * 24 * 60).map(lambda minutes: NOW + timedelta(minutes=minutes)))
def test_letters_follow_the_ones_they_answer_whenever_the_demo_is_looked_at(now: datetime) -> None:
    times = {key: moment(letter.when, people_by_key[letter.sender].zone, now) for key, letter in LETTERS.items()}
    assert max(times.values()) <= now
    assert min(times.values()) > now - timedelta(days=45)
    late = [key for key, letter in LETTERS.items() if letter.parent and times[letter.parent] >= times[key]]
    assert late == []


def test_letters_travel_in_the_charset_their_author_chose(ordinary: dict[str, EmailMessage]) -> None:
    chosen = {key: letter.charset for key, letter in LETTERS.items() if letter.charset != "utf-8"}
    used = {key: next(part for part in ordinary[key].walk() if not part.is_multipart()) for key in chosen}
    assert {key: part.get_content_charset() for key, part in used.items()} == chosen


def test_quotes_stand_below_the_reply(ordinary: dict[str, EmailMessage]) -> None:
    text = ordinary["tender-confirm"].get_body(("plain",)).get_content()
    assert text.index("Modbus RTU") < text.index("Köhler, Jürgen schrieb:") < text.index("> für die Erweiterung")


def test_all_that_was_asked_for_is_there(corpus: list[DemoMessage], ordinary: dict[str, EmailMessage]) -> None:
    parts = [part for message in ordinary.values() for part in message.walk()]
    charsets = {part.get_content_charset() for part in parts}
    assert {"utf-8", "iso-8859-1", "iso-8859-7", "iso-8859-15", "iso-2022-jp", "koi8-r", "windows-1256"} <= charsets
    encodings = {str(part["Content-Transfer-Encoding"]) for part in parts}
    assert {"7bit", "8bit", "quoted-printable", "base64"} <= encodings
    methods = Counter(part.get_param("method") for part in parts if part.get_content_type() == "text/calendar")
    assert methods.keys() == {"REQUEST", "REPLY", "CANCEL"}
    types = Counter(part.get_content_type() for part in parts)
    for needed in ("multipart/related", "multipart/report", "multipart/signed", "multipart/encrypted", "message/rfc822",
                   "application/pkcs7-mime", "application/pdf", "text/csv", "application/zip", "image/png"):  # fmt: skip
        assert types[needed] >= 1, needed
    assert any(part.get_param("format") == "flowed" for part in parts)
    assert sum(message["Auto-Submitted"] is not None for message in ordinary.values()) >= 10
    assert sum(message["List-Id"] is not None for message in ordinary.values()) >= 5
    raw = b"".join(each.raw for each in corpus)
    for word in (b"=?iso-8859-1?", b"=?iso-2022-jp?", b"=?koi8-r?", b"=?utf-8?", b"filename*=utf-8''", b"filename*0*="):
        assert word in raw, word


def test_attached_files_are_valid(ordinary: dict[str, EmailMessage]) -> None:
    kinds: Counter[str] = Counter()
    for message in ordinary.values():
        for name, data in named_files(message):
            kind = name.rpartition(".")[2]
            kinds[kind] += 1
            if kind == "png":
                assert_png(data)
            elif kind == "pdf":
                assert_pdf(data)
            elif kind == "csv":
                rows = list(csv.reader(io.StringIO(data.decode())))
                assert len({len(row) for row in rows}) == 1
                assert len(rows) > 1
            elif kind == "zip":
                assert zipfile.ZipFile(io.BytesIO(data)).testzip() is None
    assert kinds["png"] >= 8
    assert kinds["pdf"] >= 25
    assert kinds["csv"] >= 8
    assert kinds["zip"] >= 2


def assert_png(data: bytes) -> None:
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    at, pixels = 8, b""
    while at < len(data):
        size, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        body = data[at + 8 : at + 8 + size]
        assert int.from_bytes(data[at + 8 + size : at + 12 + size], "big") == zlib.crc32(kind + body)
        pixels += body if kind == b"IDAT" else b""
        at += 12 + size
    assert kind == b"IEND"
    assert len(zlib.decompress(pixels)) == 36 * (1 + 72 * 3)


def assert_pdf(data: bytes) -> None:
    start = int(data.split(b"startxref\n")[1].split()[0])
    assert data[start:].startswith(b"xref")
    offsets = [int(line.split()[0]) for line in data[start:].splitlines()[3:8]]
    assert [data[offset:].split(b" ")[0] for offset in offsets] == [b"1", b"2", b"3", b"4", b"5"]
    length, drawing = re.search(rb"/Length (\d+) >>\nstream\n(.*?)\nendstream", data, re.DOTALL).groups()
    assert int(length) == len(drawing)


def test_inline_pictures_are_the_ones_the_html_shows(ordinary: dict[str, EmailMessage]) -> None:
    shown = 0
    for key, message in ordinary.items():
        pages = [part.get_content() for part in message.walk() if part.get_content_type() == "text/html"]
        wanted = set(re.findall(r"cid:([^\"]+)", "".join(pages)))
        present = {str(part["Content-ID"]).strip("<>") for part in message.walk() if part["Content-ID"]}
        assert wanted == present, key
        shown += len(present)
    assert shown >= 8


def test_holders_are_mailboxes_and_senders_keep_a_copy(corpus: list[DemoMessage]) -> None:
    for each in corpus:
        assert each.holders, each.key
        assert {address for address, _ in each.holders} <= TRACKING.keys()
        assert len(each.holders) == len({address for address, _ in each.holders})
    for letter in LETTERS.values():
        sender = people_by_key[letter.sender]
        if sender.role == "internal":
            held = next(each.holders for each in corpus if each.key == letter.key)
            assert (sender.address, "sentitems") in held


def test_blind_copies_are_held_but_not_named(corpus: list[DemoMessage]) -> None:
    offer = next(each for each in corpus if each.key == "tender-offer")
    assert ("joan.ribelles@turia.example", "inbox") in offer.holders
    assert b"joan" not in offer.raw.split(b"\r\n\r\n")[0].lower()


def test_more_than_a_hundred_messages_lie_where_they_get_tracked(corpus: list[DemoMessage]) -> None:
    """Ordinary mail with an outsider, held by a mailbox that tracks all, or all from known people."""
    outside = {person.address for person in people_by_key.values() if person.role == "external"}
    counted = 0
    for each in corpus:
        if each.oddity:
            continue
        message = parsed(each.raw)
        named = [address for header in ("From", "To", "Cc") if message[header] for address in message[header].addresses]
        if message["Auto-Submitted"] is None and outside & {address.addr_spec for address in named}:
            counted += any(
                TRACKING[holder] in {"all", "records"} for holder, folder in each.holders if "/" not in folder
            )
    assert counted > 100


def test_only_reserved_domains_appear(corpus: list[DemoMessage]) -> None:
    for each in corpus:
        if not each.oddity:
            head = each.raw.split(b"\r\n\r\n")[0].decode("ascii")
            domains = re.findall(r"@([\w.-]+)", re.sub(r"=\?.*?\?=", "", head))
            assert [domain for domain in domains if not domain.endswith(".example")] == [], each.key


def test_every_oddity_is_odd_in_its_own_way(corpus: list[DemoMessage]) -> None:
    odd = {each.key.removeprefix("odd-"): each.raw for each in corpus if each.oddity}
    assert odd["zero"] == b""
    assert b"\x00" in odd["controls"]
    assert odd["crowd"].count(b"@invited.example") == 400
    assert max(len(line) for line in odd["subject"].split(b"\r\n")) > 5000
    assert not re.search(rb"(?im)^from:", odd["no-from"])
    assert not re.search(rb"(?im)^message-id:", odd["no-id"])
    with pytest.raises(UnicodeDecodeError):
        odd["8bit"].decode()
    assert b"--b--" not in odd["no-end"]
    assert b"{date}" not in b"".join(odd.values())
    assert b"{id}" not in b"".join(odd.values())


def test_story_files_stay_small_enough_to_read() -> None:
    for path in STORIES.glob("*.txt"):
        assert path.stat().st_size < 30_000, path.name


def test_message_ids_belong_to_the_senders_domain() -> None:
    assert message_id(LETTERS["tender-enquiry"]).endswith("@nordwerk.example>")


def test_a_file_of_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="exe"):
        draw("exe", "setup.exe", "")
