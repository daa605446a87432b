"""A message for every defect that the standard library's mail parser knows (`email.errors.MessageDefect`).

`provoked` says which defects a message really has: in its structure, in every header field and in every payload.
"""

import email
import email.errors
import email.message
import email.policy
from collections.abc import Iterator

_HEAD = b"From: Kim <kim@customer.example>\r\nTo: anna@proof.example\r\nMIME-Version: 1.0\r\n"
_TEXT = b"\r\nA line.\r\n"
_BASE64 = b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n"

SAMPLES: dict[str, bytes] = {
    "NoBoundaryInMultipartDefect": _HEAD + b"Content-Type: multipart/mixed\r\n" + _TEXT,
    "MultipartInvariantViolationDefect": _HEAD + b"Content-Type: multipart/mixed\r\n" + _TEXT,
    "StartBoundaryNotFoundDefect": _HEAD + b"Content-Type: multipart/mixed; boundary=b\r\n" + _TEXT,
    "CloseBoundaryNotFoundDefect": _HEAD
    + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nopen end\r\n",
    "InvalidMultipartContentTransferEncodingDefect": _HEAD
    + b"Content-Type: multipart/mixed; boundary=b\r\nContent-Transfer-Encoding: base64\r\n\r\n--b\r\n\r\nx\r\n--b--\r\n",
    "FirstHeaderLineIsContinuationDefect": b" continues nothing\r\n" + _HEAD + _TEXT,
    "MisplacedEnvelopeHeaderDefect": _HEAD + b"From kim Thu Jan  1 00:00:00 1970\r\nSubject: after\r\n" + _TEXT,
    "MissingHeaderBodySeparatorDefect": _HEAD + b"this is the body already\r\n" + _TEXT,
    "UndecodableBytesDefect": b"From: J\xfcrgen <juergen@customer.example>\r\nTo: anna@proof.example\r\n" + _TEXT,
    "InvalidBase64PaddingDefect": _HEAD + _BASE64 + b"dmk\r\n",
    "InvalidBase64CharactersDefect": _HEAD + _BASE64 + b"dm\x01k===\r\n",
    "InvalidBase64LengthDefect": _HEAD + _BASE64 + b"abcde\r\n",
    "InvalidHeaderDefect": b"From: Kim <kim@@customer.example>\r\nTo: (\r\n" + _TEXT,
    "HeaderMissingRequiredValue": _HEAD + b"Date:\r\n" + _TEXT,
    "NonPrintableDefect": b"From: K\x07im <kim@customer.example>\r\nTo: an\x01na@proof.example\r\n" + _TEXT,
    "ObsoleteHeaderDefect": b"From: Kim.K. <kim @ customer.example>\r\nTo: a..b@proof.example,,\r\n" + _TEXT,
    "NonASCIILocalPartDefect": b"From: =?utf-8?q?J?= <j\xc3\xbcrgen@customer.example>\r\nTo: \xc3\xa9@proof.example\r\n"
    + _TEXT,
    "InvalidDateDefect": _HEAD + b"Date: the day after tomorrow\r\n" + _TEXT,
}


def classes() -> Iterator[type[email.errors.MessageDefect]]:
    """Yield every class of defect that the parser can report (those that others derive from are no reports)."""
    waiting = [email.errors.MessageDefect]
    while waiting:
        found = waiting.pop()
        below = found.__subclasses__()
        waiting += below
        if not below and found.__module__ == email.errors.__name__:
            yield found


def provoked(raw: bytes) -> set[str]:
    """Return the names of the defects that the parser finds in a message."""
    message = email.message_from_bytes(raw, policy=email.policy.default)
    found: set[str] = set()
    for part in message.walk():
        for value in part.values():
            found |= {type(defect).__name__ for defect in getattr(value, "defects", ())}
        if not part.is_multipart():
            part.get_payload(decode=True)
        found |= {type(defect).__name__ for defect in part.defects}
    return found
