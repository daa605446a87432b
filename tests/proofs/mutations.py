"""Mail that is wrong in every way we could think of, drawn from a seed: the same seed gives the same bytes.

The one idea: a mutation is a function from bytes and a source of randomness to bytes, and knows nothing of crmsync.
A mutant is a message of the demo with a Message-ID of its own and one to four mutations, one after the other.
"""

import base64
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

Mutation = Callable[[bytes, Random], bytes]
MUTATIONS: dict[str, Mutation] = {}

_ID = re.compile(rb"(?im)^message-id:[^\n]*(?:\n[ \t][^\n]*)*")
_NAMES = (
    b"From To Cc Bcc Sender Reply-To Subject Date Message-ID In-Reply-To References Received Content-Type "
    b"Content-Transfer-Encoding Content-Disposition Content-ID MIME-Version Auto-Submitted Importance Sensitivity "
    b"Thread-Index Thread-Topic X-Priority List-Id Return-Path"
).split()
# Python's own codecs that no mail program means are among them: a charset is a name that a stranger chose.
_CHARSETS = (
    b"utf-8 utf-7 utf-16 utf-16le utf-32 us-ascii iso-8859-1 iso-8859-8-i iso-2022-jp iso-2022-kr hz shift_jis gb18030 "
    b"big5 euc-kr koi8-r windows-1252 windows-31j cp037 x-user-defined unknown-8bit x-mac-roman idna punycode "
    b"unicode_escape raw_unicode_escape undefined rot13 base64 hex zlib mbcs none 0 utf-8* ''"
).split()
_ENCODINGS = b"7bit 8bit binary quoted-printable base64 x-uuencode uuencode x-token BASE64; none rot13".split()
_DATES = (
    b"Thu, 01 Jan 0000 00:00:00 +0000|Mon, 01 Jan 0001 00:00:00 +0000|Fri, 31 Dec 9999 23:59:59 -2359|"
    b"Sat, 01 Jan 10000 00:00:00 +0000|Wed, 30 Feb 2026 25:61:61 +0000|-|| |0|99999999999999999999|"
    b"Tue, 1 Jul 03 10:52:37 GMT|2026-03-04T10:00:00Z|Thu, 13 Feb 1969 23:32:54 -0330|Wed, 4 Mar 2026 10:00 +99999999|"
    b"4 Mar 2026|Wed Mar  4 10:00:00 2026|1 Jan -1 00:00:00|Tue, 19 Jan 2038 03:14:08 +0000|(comment) 4 Mar 2026 (more) 10:00|"
    b"Wed, 4 Mar 2026 10:00:00 +0000 (\x00)|\xd9\xa1\xd9\xa2 Mar 2026 10:00:00"
).split(b"|")
_ADDRESSES = (
    b'<>|@|a@|@b|a@b@c|"unclosed <a@b.example>|a@b.example, , ,;|undisclosed-recipients:;|Group: a@x.example, b@x.example;|'
    b"a@[127.0.0.1]|a@[IPv6:::1]|(((((deep)))))) <a@b.example>|=?utf-8?Q?a=40b.example?= <c@d.example>|"
    b'"a\\"b"@c.example|j\xc3\xbcrgen@m\xc3\xbcller.example|<a@b.example> <c@d.example>|a b c@d.example|mailto:a@b.example|'
    b"\x00@\x00.example|<@relay.example:a@b.example>|a@b.example\x0b|a"
    + b"x" * 5000
    + b"@b.example|=?utf-8?B?AAAA?= <a@b.example>"
).split(b"|")
_STRANGE = (
    "\u202eevil\u202c \u2066x\u2069 \u200b\u200d\ufeff",
    "\x00\x01\x07\x08\x0b\x0c\x1b\x1f\x7f\x85\x9f",
    "\ufffe\uffff\U0001fffe\U0010ffff",
    "Z" + "\u0300" * 300,
    "\U0001f468\u200d\U0001f469\u200d\U0001f467 \U0001f3f4\U000e0067\U000e007f",
    "]]>&lt;&#0;&#xD800;<![CDATA[<t:Item/>",
    "\u2028\u2029\r\n\t ",
)


def _mutation(function: Mutation) -> Mutation:
    MUTATIONS[function.__name__.strip("_")] = function
    return function


@dataclass(frozen=True, slots=True)
class Mutant:
    """A broken message and how it came to be: `story` names the message and what was done to it."""

    seed: int
    story: str
    raw: bytes


def mutant(seed: int, corpus: Sequence[tuple[str, bytes]]) -> Mutant:
    """Return the mutant of this seed. Every mutation is the first one of its turn: seeds go round through all of them."""
    random = Random(seed)
    names = list(MUTATIONS)
    chosen = [names[seed % len(names)], *random.sample(names, random.choice((0, 0, 1, 1, 2, 3)))]
    key, raw = random.choice(corpus)
    # Without an identity of its own a mutant would only be another copy of what is tracked already.
    if random.random() < 0.9:
        raw = _ID.sub(b"Message-ID: <%d.mutant@proof.example>" % seed, raw, count=1)
    for name in chosen:
        raw = MUTATIONS[name](raw, random)
    return Mutant(seed, f"{key}: {' + '.join(chosen)}", raw)


# -- what mutations share ---------------------------------------------------------------------------------------------


def _split(raw: bytes) -> tuple[list[bytes], bytes]:
    """Return the header fields (folded ones whole, without their line ends) and the body."""
    head, _, body = raw.replace(b"\r\n", b"\n").partition(b"\n\n")
    return re.split(rb"\n(?![ \t])", head), body


def _joined(fields: Sequence[bytes], body: bytes) -> bytes:
    return b"\r\n".join(fields) + b"\r\n\r\n" + body


def _set(raw: bytes, name: bytes, value: bytes) -> bytes:
    fields, body = _split(raw)
    kept = [each for each in fields if not each.lower().startswith(name.lower() + b":")]
    return _joined([*kept, name + b": " + value], body)


def _place(raw: bytes, random: Random) -> int:
    return random.randrange(len(raw) + 1)


def _noise(random: Random, most: int = 200) -> bytes:
    return random.randbytes(random.randint(1, most))


def _strange(random: Random) -> bytes:
    return random.choice(_STRANGE).encode("utf-8")


def _word(text: bytes, random: Random) -> bytes:
    """Return an encoded word (RFC 2047) of `text`, in B or Q, in a charset that need not be its own."""
    charset = random.choice((b"utf-8", b"utf-8", random.choice(_CHARSETS)))
    if random.random() < 0.5:
        return b"=?%s?B?%s?=" % (charset, base64.b64encode(text))
    return b"=?%s?Q?%s?=" % (charset, b"".join(b"=%02X" % byte for byte in text))


# -- bytes ------------------------------------------------------------------------------------------------------------


@_mutation
def flip_bytes(raw: bytes, random: Random) -> bytes:
    data = bytearray(raw)
    for _ in range(random.choice((1, 5, 50, 500))):
        if data:
            data[random.randrange(len(data))] = random.randrange(256)
    return bytes(data)


@_mutation
def flip_bytes_of_the_header(raw: bytes, random: Random) -> bytes:
    data = bytearray(raw)
    for _ in range(random.choice((1, 3, 20))):
        if data:
            data[random.randrange(min(len(data), 1500))] = random.randrange(256)
    return bytes(data)


@_mutation
def truncate(raw: bytes, random: Random) -> bytes:
    return raw[: _place(raw, random)]


@_mutation
def lose_the_beginning(raw: bytes, random: Random) -> bytes:
    return raw[_place(raw, random) :]


@_mutation
def drop_a_slice(raw: bytes, random: Random) -> bytes:
    at = _place(raw, random)
    return raw[:at] + raw[at + random.choice((1, 10, 100, 1000)) :]


@_mutation
def double_a_slice(raw: bytes, random: Random) -> bytes:
    at = _place(raw, random)
    return raw[:at] + raw[at : at + random.choice((10, 100, 1000))] * random.choice((2, 3, 50)) + raw[at:]


@_mutation
def shuffle_lines(raw: bytes, random: Random) -> bytes:
    lines = raw.splitlines(keepends=True)
    random.shuffle(lines)
    return b"".join(lines)


@_mutation
def insert_noise(raw: bytes, random: Random) -> bytes:
    at = _place(raw, random)
    return raw[:at] + _noise(random) + raw[at:]


@_mutation
def insert_nuls(raw: bytes, random: Random) -> bytes:
    for _ in range(random.choice((1, 3, 30))):
        at = _place(raw, random)
        raw = raw[:at] + b"\0" * random.choice((1, 1, 8)) + raw[at:]
    return raw


@_mutation
def insert_lone_surrogates(raw: bytes, random: Random) -> bytes:
    for half in (b"\xed\xa0\x80", b"\xed\xbf\xbf", b"\\ud800", b"&#xD800;"):
        at = _place(raw, random)
        raw = raw[:at] + half + raw[at:]
    return raw


@_mutation
def insert_strange_characters(raw: bytes, random: Random) -> bytes:
    at = _place(raw, random)
    return raw[:at] + _strange(random) + raw[at:]


@_mutation
def mixed_line_ends(raw: bytes, random: Random) -> bytes:
    lines = raw.replace(b"\r\n", b"\n").split(b"\n")
    ends = (b"\r\n", b"\n", b"\r", b"\r\r\n", b"\x0b", b"\x0c", b"\x1c", b"\x85", b"\n\r")
    return b"".join(line + random.choice(ends if random.random() < 0.2 else (b"\r\n", b"\n")) for line in lines)


@_mutation
def bare_carriage_returns(raw: bytes, random: Random) -> bytes:
    return raw.replace(b"\r\n", b"\n").replace(b"\n", b"\r")


@_mutation
def empty_or_nearly(raw: bytes, random: Random) -> bytes:
    return random.choice(
        (b"", b"\n", b"\r\n\r\n", b" ", b":", b"\0", b"\xff\xfe", b"From ", b"Subject:", b"\r", b"a: b")
    )


@_mutation
def only_noise(raw: bytes, random: Random) -> bytes:
    return random.randbytes(random.choice((1, 100, 5_000, 60_000)))


@_mutation
def another_encoding_of_everything(raw: bytes, random: Random) -> bytes:
    text = raw.decode("latin-1")
    return text.encode(random.choice(("utf-16", "utf-16-be", "utf-32", "utf-8-sig", "cp037")), "replace")


@_mutation
def mbox_lines(raw: bytes, random: Random) -> bytes:
    line = random.choice((b"From ", b"From someone Thu Jan  1 00:00:00 1970", b">From x", b"From \xff\0"))
    fields, body = _split(raw)
    at = random.randrange(len(fields) + 1)
    where = random.choice(("first", "head", "body"))
    if where == "first":
        return line + b"\n" + raw
    if where == "head":
        return _joined([*fields[:at], line, *fields[at:]], body)
    return _joined(fields, b"\n\n" + line + b"\n" + body + b"\n\n" + line + b"\n" + raw)


# -- header fields ----------------------------------------------------------------------------------------------------


@_mutation
def duplicate_fields(raw: bytes, random: Random) -> bytes:
    fields, body = _split(raw)
    for _ in range(random.choice((1, 3, 20))):
        fields.insert(random.randrange(len(fields) + 1), random.choice(fields))
    return _joined(fields, body)


@_mutation
def reorder_fields(raw: bytes, random: Random) -> bytes:
    fields, body = _split(raw)
    random.shuffle(fields)
    return _joined(fields, body)


@_mutation
def remove_fields(raw: bytes, random: Random) -> bytes:
    fields, body = _split(raw)
    return _joined([each for each in fields if random.random() < 0.6], body)


@_mutation
def no_header_at_all(raw: bytes, random: Random) -> bytes:
    return _split(raw)[1]


@_mutation
def no_body_at_all(raw: bytes, random: Random) -> bytes:
    return b"\r\n".join(_split(raw)[0]) + random.choice((b"", b"\r\n", b"\r\n\r\n"))


@_mutation
def folding_rubbish(raw: bytes, random: Random) -> bytes:
    fields, body = _split(raw)
    junk = (b"\n \n \n", b"\n\t", b"\r\n  ", b"\n" + b" " * 2000, b"\n\x0b ", b"\r \r ", b"\n \0")
    folded = []
    for each in fields:
        at = random.randrange(len(each) + 1)
        folded.append(each[:at] + random.choice(junk) + each[at:] if random.random() < 0.4 else each)
    if random.random() < 0.3:
        folded.insert(0, b" continues nothing")
    return _joined(folded, body)


@_mutation
def lines_that_are_no_fields(raw: bytes, random: Random) -> bytes:
    fields, body = _split(raw)
    for line in (b"no colon here", b": no name", b"a b: name with a space", b"\xe9: name not ascii", b"\0: x", b"::::"):
        fields.insert(random.randrange(len(fields) + 1), line)
    return _joined(fields, body)


@_mutation
def a_giant_field(raw: bytes, random: Random) -> bytes:
    size = random.choice((10_000, 100_000, 400_000))
    filler = random.choice((b"x", b"x ", b"\n ", b"=?utf-8?Q?=C3=A9?= ", b"<a@b.example> ", b"(", b'"', b"\\"))
    return _set(raw, random.choice(_NAMES), filler * (size // len(filler)))


@_mutation
def thousands_of_fields(raw: bytes, random: Random) -> bytes:
    fields, body = _split(raw)
    name = random.choice((b"X-Many", b"Received", b"To", b"References", b"Subject"))
    return _joined([*fields, *(b"%s: value %d" % (name, number) for number in range(3000))], body)


@_mutation
def noise_in_a_field(raw: bytes, random: Random) -> bytes:
    return _set(raw, random.choice(_NAMES), _noise(random).replace(b"\n", b" "))


@_mutation
def strange_characters_in_a_field(raw: bytes, random: Random) -> bytes:
    return _set(raw, random.choice(_NAMES), _strange(random).replace(b"\r\n", b""))


@_mutation
def an_empty_field(raw: bytes, random: Random) -> bytes:
    return _set(raw, random.choice(_NAMES), random.choice((b"", b" ", b"\t\n\t", b'""', b"<>", b"()", b";")))


@_mutation
def a_bad_date(raw: bytes, random: Random) -> bytes:
    value = random.choice(_DATES)
    if random.random() < 0.5:
        raw = _set(raw, b"Received", b"from a by b; " + random.choice(_DATES))
    return _set(raw, b"Date", value)


@_mutation
def bad_addresses(raw: bytes, random: Random) -> bytes:
    for name in random.sample((b"From", b"To", b"Cc", b"Bcc", b"Sender", b"Reply-To"), 3):
        raw = _set(raw, name, b", ".join(random.sample(_ADDRESSES, random.randint(1, 5))))
    return raw


@_mutation
def thousands_of_recipients(raw: bytes, random: Random) -> bytes:
    people = (b"Person %d <p%d@crowd.example>" % (number, number) for number in range(random.choice((1000, 4000))))
    return _set(raw, random.choice((b"To", b"Cc", b"Bcc")), b",\r\n ".join(people))


@_mutation
def an_odd_message_id(raw: bytes, random: Random) -> bytes:
    unique = b"%d@proof.example" % random.getrandbits(48)
    value = random.choice(
        (
            b"<" + b"m" * random.choice((1_000, 70_000, 300_000)) + unique + b">",
            unique,
            b"<" + unique,
            unique + b">",
            b"<<" + unique + b">>",
            b"< " + unique + b" >",
            b"<a\r\n b" + unique + b">",
            b"<\xff\0" + unique + b">",
            b"<" + unique + b"> <and.another@proof.example>",
            b"=?utf-8?Q?=3C" + unique + b"=3E?=",
            b"<>",
            b"",
        )
    )
    return _set(raw, b"Message-ID", value)


@_mutation
def odd_references(raw: bytes, random: Random) -> bytes:
    own = _ID.search(raw)
    value = random.choice(
        (
            b"\r\n ".join(b"<%d@ancestors.example>" % number for number in range(random.choice((100, 10_000)))),
            b"<" + b"r" * 100_000 + b"@x.example>",
            b"<unclosed@x.example",
            b"> <",
            own[0].partition(b":")[2].strip() if own else b"<>",
            b", ; <a@b.example>;<c@d.example>,<a@b.example>",
            b"Your message of Monday",
            b"\0",
        )
    )
    return _set(raw, random.choice((b"References", b"In-Reply-To")), value)


@_mutation
def broken_encoded_words(raw: bytes, random: Random) -> bytes:
    text = _strange(random)
    value = random.choice(
        (
            _word(text, random),
            _word(text, random) * 200,
            b" ".join(_word(text[:at], random) for at in range(1, min(len(text), 20))),
            b"=?utf-8?B?" + base64.b64encode(text).rstrip(b"=")[:-1] + b"?=",
            b"=?utf-8?B?!!!!?=",
            b"=?utf-8?Q?=ZZ=?=",
            b"=?utf-8?X?what?=",
            b"=?utf-8?Q?never ends",
            b"=?=?utf-8?Q?nested?=?=",
            b"=????=",
            b"=?" + b"x" * 10_000 + b"?Q?a?=",
            b"=?utf-7?Q?+2AA-?=",
            b"=?unicode_escape?Q?=5Cud800=5Cx00?=",
            b"=?utf-8?B?" + b"A" * 200_000 + b"?=",
        )
    )
    name = random.choice((b"Subject", b"Subject", b"From", b"To", b"Message-ID", b"Thread-Topic"))
    return _set(raw, name, value + (b" <a@b.example>" if name in (b"From", b"To") else b""))


@_mutation
def odd_control_fields(raw: bytes, random: Random) -> bytes:
    for name in (b"Auto-Submitted", b"Importance", b"Sensitivity", b"X-Priority", b"Thread-Index", b"Categories"):
        raw = _set(
            raw, name, random.choice((b"no", b"high", b"Private; x", _strange(random)[:40], b"AAAA" * 3000, b"\xff"))
        )
    return raw.replace(b"\r\n\r\n\r\n", b"\r\n\r\n", 1)


# -- structure --------------------------------------------------------------------------------------------------------


@_mutation
def another_charset(raw: bytes, random: Random) -> bytes:
    charset = random.choice(_CHARSETS)
    if b"charset=" in raw:
        return re.sub(rb'charset="?[^\s";]+"?', lambda _: b"charset=" + charset, raw)
    return _set(raw, b"Content-Type", random.choice((b"text/plain", b"text/html")) + b"; charset=" + charset)


@_mutation
def another_transfer_encoding(raw: bytes, random: Random) -> bytes:
    encoding = random.choice(_ENCODINGS)
    if b"Content-Transfer-Encoding:" in raw:
        return re.sub(rb"Content-Transfer-Encoding:[^\r\n]*", lambda _: b"Content-Transfer-Encoding: " + encoding, raw)
    return _set(raw, b"Content-Transfer-Encoding", encoding)


@_mutation
def broken_base64(raw: bytes, random: Random) -> bytes:
    body = base64.b64encode(random.randbytes(300))
    bad = random.choice(
        (body[:-3], body + b"=", body[:100] + b"!#\xff" + body[100:], b"=" * 50, b"A", b"AAAAA", b"====AAAA")
    )
    name = random.choice(
        (b"text/plain", b"application/pdf; name=a.pdf", b"image/png", b"message/rfc822", b"multipart/mixed; boundary=b")
    )
    raw = _set(_set(raw, b"Content-Type", name), b"Content-Transfer-Encoding", b"base64")
    return _joined(_split(raw)[0], bad)


@_mutation
def broken_quoted_printable(raw: bytes, random: Random) -> bytes:
    raw = _set(
        _set(raw, b"Content-Type", b"text/html; charset=utf-8"), b"Content-Transfer-Encoding", b"quoted-printable"
    )
    return _joined(
        _split(raw)[0], random.choice((b"=", b"=\r", b"=G1=8", b"=ED=A0=80 =00", b"a" * 100_000 + b"=", b"==20=\n=\n="))
    )


@_mutation
def broken_boundaries(raw: bytes, random: Random) -> bytes:
    fields, body = _split(raw)
    boundary = random.choice(
        (
            b"",
            b'""',
            b"b",
            b'"b c"',
            b'"' + b"b" * 5000 + b'"',
            b"\xff",
            b'"unclosed',
            b"'b'",
            b"=?utf-8?Q?b?=",
            b"b\0b",
        )
    )
    bare = boundary.strip(b'"')
    lines = [b"--" + bare, b"--" + bare + b"--", b"--" + bare + b" ", b"-- " + bare, b"--b", b"--"]
    parts = [
        random.choice(lines) + b"\r\n" + random.choice((b"", b"\r\n", b"Content-Type: text/html\r\n\r\n")) + body[:500]
        for _ in range(6)
    ]
    subtype = random.choice((b"mixed", b"alternative", b"related", b"signed", b"digest", b"report", b"x", b""))
    parameter = b"" if random.random() < 0.2 else b"; boundary=" + boundary
    raw = _set(_joined(fields, body), b"Content-Type", b"multipart/" + subtype + parameter)
    return _joined(_split(raw)[0], b"\r\n".join(parts))


@_mutation
def nested_multiparts(raw: bytes, random: Random) -> bytes:
    depth = random.choice((3, 30, 41, 120, 500))
    inner = b"Content-Type: text/plain\r\n\r\nat the bottom\r\n"
    for level in range(depth):
        mark = b"n%d" % level
        closing = b"--" + mark + b"--\r\n" if random.random() < 0.9 else b""
        inner = b"Content-Type: multipart/mixed; boundary=" + mark + b"\r\n\r\n--" + mark + b"\r\n" + inner + closing
    head, _, body = inner.partition(b"\r\n\r\n")
    raw = _set(raw, b"Content-Type", head.partition(b": ")[2])
    return _joined(_split(raw)[0], body)


@_mutation
def nested_messages(raw: bytes, random: Random) -> bytes:
    depth = random.choice((1, 3, 30, 120, 500))
    inner = raw[:3000]
    head = b"Subject: level\r\nMIME-Version: 1.0\r\nContent-Type: message/rfc822\r\n\r\n"
    fields, _body = _split(_set(raw, b"Content-Type", b"message/rfc822"))
    return _joined(fields, head * depth + inner)


@_mutation
def a_digest_of_itself(raw: bytes, random: Random) -> bytes:
    part = b"--d\r\nContent-Type: message/rfc822\r\n\r\n" + raw[:20_000] + b"\r\n"
    again = _set(raw, b"Content-Type", random.choice((b"multipart/digest", b"multipart/mixed")) + b"; boundary=d")
    return _joined(_split(again)[0], part * random.choice((1, 3, 12)) + b"--d--\r\n")


@_mutation
def many_parts(raw: bytes, random: Random) -> bytes:
    kind = random.choice((b"text/plain", b"text/html", b"application/octet-stream; name=same.bin", b"image/png"))
    part = b"--m\r\nContent-Type: " + kind + b"\r\nContent-ID: <same>\r\n\r\nx\r\n"
    again = _set(raw, b"Content-Type", b"multipart/related; boundary=m")
    return _joined(_split(again)[0], part * random.choice((20, 60, 400)) + b"--m--\r\n")


@_mutation
def odd_file_names(raw: bytes, random: Random) -> bytes:
    names = (
        b'filename="../../etc/passwd"',
        b"filename*=utf-8''%00%ff%zz",
        b"filename*=unknown'xx'a%20b",
        b"filename*0=a; filename*2=c; filename*1*=%62",
        b"filename*0*=utf-8''a; filename*0=b",
        b"filename*=''",
        b"filename*x=a",
        b"filename*99999999999999999999=a",
        b'filename="' + b"n" * 100_000 + b'.pdf"',
        b"filename=" + _word(_strange(random), random),
        b'filename="unclosed',
        b"filename=",
        b"filename; =; ;;",
        b"filename=\xff\xfe\x00.exe",
        b'filename="\xe2\x80\xaegnp.exe"',
        b"filename*0*=idna''%61%ff",
    )
    parts = [
        b"--f\r\nContent-Type: application/octet-stream\r\nContent-Disposition: attachment; "
        + name
        + b"\r\n\r\nbytes\r\n"
        for name in random.sample(names, 5)
    ]
    again = _set(raw, b"Content-Type", b"multipart/mixed; boundary=f")
    return _joined(_split(again)[0], b"".join(parts) + b"--f--\r\n")


@_mutation
def odd_content_types(raw: bytes, random: Random) -> bytes:
    kind = random.choice(
        (
            b"text", b"/", b"text/", b"/plain", b"text/plain/plain", b"TEXT/HTML;;;;", b"text/plain; charset", b"\0/\0",
            b"message/partial; id=1; number=1", b"message/external-body; access-type=URL", b"message/delivery-status",
            b"message/rfc822; charset=utf-8", b"application/ms-tnef", b"text/calendar; method=REQUEST", b"multipart/mixed",
            b"text/calendar; method=" + b"x" * 1000, b"application/" + b"x" * 5000, b"text/x-vcard", b"\xff\xff/\xff",
            b"text/html; charset*0=utf; charset*1=-8", b"message/global", b"text/rtf", b"multipart/appledouble; boundary=a",
        )
    )  # fmt: skip
    return _set(raw, b"Content-Type", kind)


@_mutation
def a_broken_invitation(raw: bytes, random: Random) -> bytes:
    lines = [
        b"BEGIN:VCALENDAR", b"METHOD:REQUEST", b"BEGIN:VEVENT", b"UID:" + b"u" * random.choice((1, 50_000)),
        b"DTSTART:" + random.choice((b"00000101T000000Z", b"99991231T235959Z", b"20260230T256199", b"-", b"", b"20260304")),
        b"DTSTART;TZID=Nowhere/Else:20260304T100000", b"DTEND:10000101T000000Z", b"DURATION:P99999999999W", b"SUMMARY:\0\xff",
        b"RRULE:FREQ=SECONDLY;INTERVAL=0;COUNT=-1;UNTIL=00000000", b"RRULE:FREQ=FORTNIGHTLY", b"ATTENDEE:mailto:",
        b"ATTENDEE;CN=\"x:mailto:a@b.example", b"ORGANIZER:nobody", b"X" * 80_000, b"BEGIN:VALARM", b"END:VEVENT", b"END:VCALENDAR",
    ]  # fmt: skip
    kept = [line for line in lines if random.random() < 0.85]
    method = random.choice((b"REQUEST", b"REPLY", b"CANCEL", b"COUNTER", b"PUBLISH", b"\xff", b""))
    again = _set(raw, b"Content-Type", b"text/calendar; charset=utf-8; method=" + method)
    return _joined(_split(again)[0], b"\r\n".join(kept))


@_mutation
def hostile_html(raw: bytes, random: Random) -> bytes:
    body = random.choice(
        (
            b"<div>" * 20_000,
            b"<table><tr><td>" * 3_000,
            b"<!--" + b"-" * 50_000,
            b"<a " + b"x=1 " * 20_000 + b">",
            b"&#x110000;&#0;&#xFFFFFFFF;&#xD800;&nosuch;" * 100,
            b"<svg><style><!--</style><img src=x onerror=alert(1)>",
            b"<![CDATA[ ]]> <?php ?> <!DOCTYPE x [<!ENTITY a 'b'>]> &a;",
            b"<p style='" + b"color:red;" * 10_000 + b"'>",
            b"<" * 100_000,
            b"\xff\xfe<\0p\0>\0",
        )
    )
    again = _set(_set(raw, b"Content-Type", b"text/html"), b"Content-Transfer-Encoding", b"8bit")
    return _joined(_split(again)[0], body)
