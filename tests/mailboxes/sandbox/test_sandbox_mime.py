"""Reading messages: what people send, what programs get wrong, and bytes that are nothing at all."""

from functools import lru_cache
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lxml import etree

from mailboxes.sandbox import demo, mime
from mailboxes.sandbox.headers import decode_bytes, decoded, epoch_of
from mailboxes.sandbox.html import from_text, to_text
from mailboxes.sandbox.http import HttpRequest
from mailboxes.sandbox.server import SandboxServer
from mailboxes.sandbox.store import SandboxStore
from mailboxes.sandbox.xmltext import TYPES_NS, clean, escape
from tests import ews_schema
from tests.mailboxes.sandbox.wire import ANNA, ENVELOPE, Reply, mail, signed

EVERYTHING = (
    "<m:GetItem><m:ItemShape><t:BaseShape>AllProperties</t:BaseShape><t:IncludeMimeContent>true</t:IncludeMimeContent>"
    '<t:AdditionalProperties><t:FieldURI FieldURI="item:TextBody"/><t:FieldURI FieldURI="item:UniqueBody"/>'
    '<t:ExtendedFieldURI PropertyTag="0x300b" PropertyType="Binary"/></t:AdditionalProperties></m:ItemShape>'
    '<m:ItemIds><t:ItemId Id="{}"/></m:ItemIds></m:GetItem>'
)


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("=?utf-8?q?h=C3=A9?=", "hé"),
        ("=?utf-8?b?5pel5pys?= =?utf-8?b?6Kqe?=", "日本語"),
        ("=?no-such-charset?q?abc?=", "abc"),
        ("=?utf-8?b?a?=", "=?utf-8?b?a?="),
        ("=?utf-8?b?abc?=", "i·"),
        ("a\r\n  b\tc", "a b c"),
        (b"caf\xe9".decode("ascii", "surrogateescape"), "café"),
        ("caf\u00e9".encode().decode("ascii", "surrogateescape"), "café"),
    ],
)
def test_header_text_is_decoded_as_far_as_it_goes(raw: str, text: str) -> None:
    assert decoded(raw) == text


@pytest.mark.parametrize(
    ("data", "charset", "text"),
    [
        (b"h\xc3\xa9", "utf-8", "hé"),
        (b"h\xe9", "", "hé"),
        (b"h\xe9", "utf-8", "hé"),
        (b"abc", "base64", "abc"),
        (b"abc", "x\x00y", "abc"),
        (b"\x81\x8d", "utf-8", "\ufffd\ufffd"),
    ],
)
def test_bytes_become_text_whatever_charset_they_claim(data: bytes, charset: str, text: str) -> None:
    assert decode_bytes(data, charset) == text


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("Thu, 01 Jan 1970 00:00:10 +0000", 10),
        ("Thu, 01 Jan 1970 01:00:10 +0100", 10),
        ("1 Jan 70 00:00:10 GMT", 10),
        ("yesterday", None),
        ("", None),
        ("Mon, 99 Foo 99999999 99:99:99 +9999", None),
        ("Thu, 01 Jan 0000 00:00:10 +0000", 946684810),
    ],
)
def test_dates_are_read_or_given_up(text: str, at: int | None) -> None:
    assert epoch_of(text) == at


def test_the_time_of_receipt_is_the_newest_hop_and_else_the_date() -> None:
    hops = b"Received: from a by b;\r\n Fri, 20 Nov 2026 10:00:00 +0000\r\nReceived: from c; Fri, 20 Nov 2026 09:00:00 +0000\r\n"
    assert mime.epoch_of(hops + mail()) == 1795168800
    assert mime.epoch_of(mail()) == 1795163400
    assert mime.epoch_of(b"Received: nonsense\r\n" + mail()) == 1795163400
    assert mime.epoch_of(b"Subject: x\r\n\r\nDate: Fri, 20 Nov 2026 09:30:00 +0100\r\n") is None


@pytest.mark.parametrize(
    ("subject", "topic"),
    [
        ("RE: Fwd: Offer", "Offer"),
        ("AW: WG: Angebot", "Angebot"),
        ("Re[2]: x", "x"),
        ("Regards", "Regards"),
        ("Re:", ""),
    ],
)
def test_a_topic_is_a_subject_without_prefixes(subject: str, topic: str) -> None:
    assert mime.topic_of(subject) == topic


def test_html_and_text_are_made_from_each_other() -> None:
    assert (
        to_text("<style>p{}</style><p>One &amp; <b>two</b></p><p>three<br>four</p><!-- no -->")
        == "One & two\nthree\nfour"
    )
    assert to_text(from_text("a < b\n& c")) == "a < b\n& c"


def test_text_that_xml_cannot_carry_is_replaced() -> None:
    assert clean("a\x00b\x1fc\ud800d\ufffee\t\n") == "a\ufffdb\ufffdc\ufffdd\ufffde\t\n"
    assert escape('<a b="c">&\r\n') == "&lt;a b=&quot;c&quot;&gt;&amp;&#13;\n"


@given(st.text())
def test_any_text_survives_a_parser_once_it_is_escaped(text: str) -> None:
    element = etree.fromstring(f'<t:a xmlns:t="{TYPES_NS}">{escape(text)}</t:a>')
    assert (element.text or "") == clean(text)


BROKEN = {
    "nothing": b"",
    "only a body": b"\r\n\r\nhello",
    "no blank line": b"Subject: x",
    "a mailbox separator": b"From x@y Mon Jan 1 00:00:00 2026\nSubject: x\n\nbody",
    "no end of multipart": b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\npart",
    "no boundary": b"Content-Type: multipart/mixed\r\n\r\n--b\r\n\r\npart\r\n--b--",
    "a boundary that never comes": b"Content-Type: multipart/mixed; boundary=b\r\n\r\nno parts here",
    "a boundary that is itself": b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nx\r\n--b--",
    "base64 that is none": b"Content-Transfer-Encoding: base64\r\n\r\n!!!a",
    "an unknown encoding": b"Content-Transfer-Encoding: rot26\r\n\r\nabc",
    "an encoded multipart": b"Content-Type: multipart/mixed; boundary=b\r\nContent-Transfer-Encoding: base64\r\n\r\n--b\r\n\r\nx\r\n--b--",
    "a first line that continues": b" continued\r\nSubject: x\r\n\r\nx",
    "a header without a colon": b"Subject x\r\nTo: a@b\r\n\r\nx",
    "control characters": b"Subject: a\x00b\x07c\r\nFrom: \x1b[31m <a@b>\r\n\r\n\x00\x01\x02",
    "eight-bit headers": b"Subject: \xff\xfe\xe9\r\nFrom: \xe9 <\xe9@b>\r\n\r\nx",
    "uuencoded": b"Content-Transfer-Encoding: x-uuencode\r\n\r\nbegin 644 f\r\n#86)C\r\nend",
    "a delivery report": b"Content-Type: multipart/report; boundary=b\r\n\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\nStatus: 5.1.1\r\n\r\nAction: failed\r\n--b--",
    "a message in base64": b"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\nU3ViamVjdDogeA0KDQp4",
    "a message that is empty": b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: message/rfc822\r\n\r\n\r\n--b--",
    "addresses that are none": b'From: <<>>\r\nTo: ,,;:@@"\r\nCc: undisclosed-recipients:;\r\nReply-To: =?x?\r\n\r\nx',
    "a file name from hell": b"Content-Type: application/x; name*0*=utf-8''%FF; name*1=\"\\\"; name*x=3\r\nContent-Disposition: attachment\r\n\r\nx",
    "thread index that is none": b"Thread-Index: !!!!\r\nSubject: x\r\n\r\nx",
    "two of everything": b"Subject: a\r\nSubject: b\r\nFrom: a@b\r\nFrom: c@d\r\nMessage-ID: <1>\r\nMessage-ID: <2>\r\n\r\nx",
    "an unreadable invitation": b"Content-Type: text/calendar; method=REQUEST\r\n\r\nBEGIN:VCALENDAR\r\nDTSTART:never\r\n",
    "a charset with a zero": b'Content-Type: text/plain; charset="a\x00b"\r\n\r\nx',
    "deeply nested": b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (level, level) for level in range(1500)
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_messages_are_served_with_what_can_be_had(quiet: SandboxServer, name: str) -> None:
    reply = loaded_and_read(quiet, BROKEN[name])
    assert reply.codes == ["NoError"]


def loaded_and_read(server: SandboxServer, raw: bytes) -> Reply:
    """Deliver bytes, then ask for everything about them and for every attachment; hold it against the schema."""
    item_id = server.store.deliver_mime(ANNA, raw)
    reply = call(server, EVERYTHING.format(item_id))
    for attachment in reply.all("t:AttachmentId"):
        inner = call(
            server,
            f'<m:GetAttachment><m:AttachmentIds><t:AttachmentId Id="{attachment.get("Id")}"/></m:AttachmentIds></m:GetAttachment>',
        )
        assert inner.codes == ["NoError"]
    return reply


def call(server: SandboxServer, operation: str) -> Reply:
    answer = server.answer(
        HttpRequest("POST", "/EWS/Exchange.asmx", signed(ANNA), (ENVELOPE % ("", operation)).encode())
    )
    assert answer is not None
    if ews_schema.schema() is not None:
        assert ews_schema.validate(answer.body) == []
    return Reply(answer.status, answer.body)


def test_a_header_that_repeats_counts_once(quiet: SandboxServer) -> None:
    reply = loaded_and_read(quiet, BROKEN["two of everything"])
    assert reply.texts("t:Subject") == ["a"]
    assert reply.texts("t:InternetMessageId") == ["<1>"]


def test_messages_inside_messages_are_reached_all_the_way_down(quiet: SandboxServer) -> None:
    inner = mail(
        "innermost",
        Content_Type="multipart/mixed; boundary=c",
        text="--c\r\nContent-Disposition: attachment; filename=x.bin\r\n\r\ndata\r\n--c--",
    )
    middle = mail(
        "middle",
        Content_Type="multipart/mixed; boundary=b",
        text="--b\r\nContent-Type: message/rfc822\r\n\r\n" + inner.decode() + "\r\n--b--",
    )
    outer = mail(
        "outer",
        Content_Type="multipart/mixed; boundary=a",
        text="--a\r\nContent-Type: message/rfc822\r\n\r\n" + middle.decode() + "\r\n--a--",
    )
    found = call(quiet, EVERYTHING.format(quiet.store.deliver_mime(ANNA, outer))).all("t:AttachmentId")
    subjects = []
    contents = []
    while found:
        (one,) = found
        reply = call(
            quiet,
            f'<m:GetAttachment><m:AttachmentIds><t:AttachmentId Id="{one.get("Id")}"/></m:AttachmentIds></m:GetAttachment>',
        )
        subjects += reply.texts("t:Subject")
        contents += reply.texts("t:Content")
        found = reply.all("t:Attachments/*/t:AttachmentId")
    assert subjects == ["middle", "innermost"]
    assert contents == ["ZGF0YQ=="]


HEADERS = st.sampled_from(
    b"Subject From To Cc Date Message-ID References In-Reply-To Reply-To Importance Received Thread-Index "
    b"Content-Type Content-Transfer-Encoding Content-Disposition Content-ID".split()
)
VALUES = st.one_of(
    st.binary(max_size=40),
    st.sampled_from(
        b"multipart/mixed; boundary=b|text/html; charset=utf-16|message/rfc822|base64|quoted-printable|<a@b> <c@d>|inline|"
        b"text/calendar; method=REQUEST|attachment; filename*=x|=?utf-8?b?w6k=?= <a@b.c>".split(b"|")
    ),
)
BODIES = st.one_of(
    st.binary(max_size=200),
    st.sampled_from(
        [
            b"--b\r\n\r\nx\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nA: b\r\n\r\n--b--",
            b"BEGIN:VCALENDAR\nBEGIN:VEVENT\nDTSTART:1\nEND:VEVENT",
        ]
    ),
)
MESSAGES: Any = st.builds(
    lambda fields, body: b"".join(name + b": " + value + b"\r\n" for name, value in fields) + b"\r\n" + body,
    st.lists(st.tuples(HEADERS, VALUES), max_size=8),
    BODIES,
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.one_of(MESSAGES, st.binary(max_size=400)))
def test_no_bytes_fail_to_be_loaded_and_read(quiet: SandboxServer, raw: bytes) -> None:
    assert loaded_and_read(quiet, raw).codes == ["NoError"]


@lru_cache(maxsize=1)
def demo_messages() -> list[bytes]:
    store = SandboxStore()
    demo.load(store)
    raws = [item.content.raw for box in store.mailboxes.values() for item in box.distinguished["inbox"].items.values()]
    return [raw for raw in raws if raw is not None and len(raw) < 50_000]


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_no_mutation_of_the_demo_corpus_fails(quiet: SandboxServer, data: st.DataObject) -> None:
    raw = data.draw(st.sampled_from(demo_messages()))
    at = data.draw(st.integers(0, len(raw)))
    changed = raw[:at] + data.draw(st.binary(max_size=6)) + raw[at + data.draw(st.integers(0, 60)) :]
    assert loaded_and_read(quiet, changed).codes == ["NoError"]
