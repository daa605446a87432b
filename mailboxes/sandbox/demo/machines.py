"""Well-formed mail that no person wrote: newsletters, absence notes, bounces, sealed mail.

Automated mail is what the tracking rules exclude, sealed mail is what nothing but its
envelope can be known of. Both are ordinary in every real mailbox.
"""

from __future__ import annotations

import base64
import random
from collections.abc import Iterator
from textwrap import fill

from mailboxes.sandbox.demo.rawmail import RawMail

_NEWSLETTER = """\
Date: {date}
From: "Water Weekly" <editor@waterweekly.example>
To: Subscribers <weekly@waterweekly.example>
Subject: Water Weekly %d: %s
Message-ID: {id}
List-Id: Water Weekly <weekly.waterweekly.example>
List-Unsubscribe: <https://waterweekly.example/leave?n=%d>
List-Unsubscribe-Post: List-Unsubscribe=One-Click
Precedence: bulk
MIME-Version: 1.0
Content-Type: text/html; charset=utf-8
Content-Transfer-Encoding: 8bit

<html><body><h1>%s</h1><p>%s</p>
<p><img src="https://waterweekly.example/seen.gif?n=%d" width="1" height="1" alt=""></p>
<p><small>You receive this letter because you asked for it.</small></p></body></html>
"""

_ISSUES = (
    (211, "29 06:00", "Who pays for old pipes?", "Three cities opened their books to us."),
    (212, "24 06:00", "A dry autumn in the south", "Reservoirs stand at 38 %, farmers wait."),
    (213, "19 06:00", "Nitrates, again", "What a village of 300 can do by itself."),
    (214, "14 06:00", "Zaragoza: what to see", "Our five stands of the Water Days."),
    (215, "9 06:00", "Reading the meter by radio", "Cheap, small and not always right."),
    (216, "4 06:00", "After the Water Days", "Dirty water, honest numbers: the best talk."),
)

_ABSENCE = """\
Date: {date}
From: %s
To: %s
Subject: %s
Message-ID: {id}
In-Reply-To: <%s>
Auto-Submitted: auto-replied
X-Auto-Response-Suppress: All
Precedence: bulk
MIME-Version: 1.0
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: 8bit

%s
"""

_BOUNCE = """\
Date: {date}
From: Mail Delivery System <MAILER-DAEMON@mx.turia.example>
To: %(to)s
Subject: Undelivered mail returned to sender
Message-ID: {id}
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="dsn_%(status)s"

--dsn_%(status)s
Content-Type: text/plain; charset=us-ascii

Your message could not be delivered to %(failed)s.
The remote server said: %(answer)s

--dsn_%(status)s
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.turia.example

Final-Recipient: rfc822; %(failed)s
Action: %(action)s
Status: %(status)s
Diagnostic-Code: smtp; %(answer)s

--dsn_%(status)s
Content-Type: message/rfc822

From: %(to)s
To: %(failed)s
Subject: %(subject)s
Message-ID: <returned.%(status)s@turia.example>
MIME-Version: 1.0
Content-Type: text/plain; charset=us-ascii

%(body)s

--dsn_%(status)s--
"""

_MONITOR = """\
Date: {date}
From: Gateway monitor <monitor@turia.example>
To: Turia Support <support@turia.example>
Subject: [monitor] %s
Message-ID: {id}
Auto-Submitted: auto-generated
MIME-Version: 1.0
Content-Type: text/plain; charset=us-ascii

%s
"""


def machine_mail() -> Iterator[RawMail]:
    """All of it, in no particular order of time."""
    yield from _newsletters()
    yield from _absences()
    yield from _bounces()
    yield from _monitors()
    yield from _sealed()


def _newsletters() -> Iterator[RawMail]:
    readers = (
        ("marta", "joan"),
        ("samir=inbox/Newsletters", "pau"),
        ("marta",),
        ("joan", "helena"),
        ("samir=inbox/Newsletters",),
        ("marta", "tomas"),
    )
    for (number, when, title, lead), holders in zip(_ISSUES, readers, strict=True):
        text = _NEWSLETTER % (number, title, number, title, lead, number)
        yield RawMail(f"weekly-{number}", holders, when, text, domain="waterweekly.example")


def _absences() -> Iterator[RawMail]:
    notes = (
        ("ooo-anke", "helena", "24 10:02", "Anke Sommer <anke.sommer@nordwerk.example>",
         "Abwesend: Re: Ausschreibung 24-117",
         "Ich bin bis Freitag im Werk und lese Mails erst am Abend. In Eilfällen: Labor, App. 120."),
        ("ooo-sakura", "aiko", "17 09:31", "=?utf-8?b?5rC06YeOIOOBleOBj+OCiQ==?= <s.mizuno@aozora.example>",
         "=?utf-8?b?6Ieq5YuV6L+U5L+h?=", "本日は休暇をいただいております。明日ご返信いたします。"),
        ("ooo-pere", "joan", "3 13:05", "Pere Casals <pere@estudicasals.example>",
         "Fora del despatx", "Sóc al camp, entre pous. Responc a la nit."),
        ("ooo-timo", "nuria", "5 12:01", "Buchhaltung <rechnung@nordwerk.example>",
         "Automatische Antwort: Invoice 2290", "Ihre Rechnung ist eingegangen und wird geprüft."),
    )  # fmt: skip
    addresses = {
        "helena": "helena.brandt@turia.example",
        "aiko": "aiko.morita@turia.example",
        "joan": "joan.ribelles@turia.example",
        "nuria": "nuria.pons@turia.example",
    }
    for key, holder, when, sender, subject, body in notes:
        answered = f"unseen.{key}@turia.example"
        text = _ABSENCE % (sender, addresses[holder], subject, answered, body)
        yield RawMail(key, (holder,), when, text, domain=sender.rpartition("@")[2].rstrip(">"))


def _bounces() -> Iterator[RawMail]:
    hard = {
        "to": "joan.ribelles@turia.example",
        "failed": "info@molinovell.example",
        "answer": "550 5.1.1 no such user",
        "action": "failed",
        "status": "5.1.1",
        "subject": "Your question at stand 41",
        "body": "Dear Sir, you asked for a price of the TI-40.",
    }
    slow = {
        "to": "marta.ferrer@turia.example",
        "failed": "omar.nasser@wadi-labs.example",
        "answer": "452 4.2.2 mailbox full",
        "action": "delayed",
        "status": "4.2.2",
        "subject": "Pictures of the stand",
        "body": "Dear Mr Nasser, here are the pictures.",
    }
    yield RawMail("bounce-hard", ("joan",), "6 17:20", _BOUNCE % hard, domain="mx.turia.example")
    yield RawMail("bounce-slow", ("marta",), "5 18:00", _BOUNCE % slow, domain="mx.turia.example")


def _monitors() -> Iterator[RawMail]:
    lines = (
        ("26 03:10", "nordwerk-2: battery 2.6 V", "Button cell of the clock is getting old."),
        ("16 04:55", "nordwerk-2: power lost", "Last words: supply 9.1 V and falling."),
        ("16 11:20", "nordwerk-2: back, clock wrong", "The gateway says that it is the year 2000."),
        ("2 03:10", "aozora-1: version 4.2.0", "A newer version exists."),
    )
    for number, (when, subject, body) in enumerate(lines):
        text = _MONITOR % (subject, body)
        yield RawMail(f"monitor-{number}", ("support",), when, text, domain="turia.example")


def _noise(seed: str, size: int) -> str:
    dice = random.Random(seed)  # noqa: S311  # must look like ciphertext and repeat, not be secret
    return fill(base64.b64encode(dice.randbytes(size)).decode(), 64)


def _sealed() -> Iterator[RawMail]:
    """Mail whose content only its reader can open; the ciphertext here is noise."""
    head = """\
Date: {date}
From: =?iso-8859-1?Q?K=F6hler=2C_J=FCrgen?= <juergen.koehler@nordwerk.example>
To: Marta Ferrer <marta.ferrer@turia.example>
Subject: %s
Message-ID: {id}
MIME-Version: 1.0
"""
    enveloped = head % "Vertraulich: Preise der Mitbewerber" + (
        "Content-Type: application/pkcs7-mime; smime-type=enveloped-data; name=smime.p7m\n"
        "Content-Transfer-Encoding: base64\n"
        "Content-Disposition: attachment; filename=smime.p7m\n\n" + _noise("enveloped", 1800) + "\n"
    )
    signed = head % "Unterzeichneter Rahmenvertrag" + (
        'Content-Type: multipart/signed; protocol="application/pkcs7-signature";\n'
        ' micalg=sha-256; boundary="signed"\n\n'
        "--signed\nContent-Type: text/plain; charset=us-ascii\n\n"
        "Sehr geehrte Frau Ferrer, der Vertrag ist unterzeichnet und kommt mit der Post.\n\n"
        "--signed\nContent-Type: application/pkcs7-signature; name=smime.p7s\n"
        "Content-Transfer-Encoding: base64\n"
        "Content-Disposition: attachment; filename=smime.p7s\n\n" + _noise("signed", 900) + "\n\n--signed--\n"
    )
    pgp = head.replace("=?iso-8859-1?Q?K=F6hler=2C_J=FCrgen?= <juergen.koehler@", "Timo Wendt <rechnung@") % "..." + (
        'Content-Type: multipart/encrypted; protocol="application/pgp-encrypted"; boundary="pgp"\n\n'
        "--pgp\nContent-Type: application/pgp-encrypted\n\nVersion: 1\n\n"
        "--pgp\nContent-Type: application/octet-stream; name=encrypted.asc\n\n"
        "-----BEGIN PGP MESSAGE-----\n\n" + _noise("pgp", 1200) + "\n-----END PGP MESSAGE-----\n\n--pgp--\n"
    )
    for key, when, text in (
        ("sealed-smime", "15 10:10", enveloped),
        ("sealed-signed", "1 11:45", signed),
        ("sealed-pgp", "8 15:15", pgp),
    ):
        yield RawMail(key, ("marta",), when, text, domain="nordwerk.example")
