"""The envelope around every request, and the way into every answer.

Answers are parsed whole, strictly, and without entities. What servers write although XML forbids it (references to
control characters, halves of surrogate pairs, bytes that are no UTF-8) is mended first, so that one strange subject
does not cost the mail around it.
"""

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from xml.sax.saxutils import escape, quoteattr

from lxml import etree

from mailboxes.provider.text import clean

SOAP_NS: Final = "http://schemas.xmlsoap.org/soap/envelope/"
MESSAGES_NS: Final = "http://schemas.microsoft.com/exchange/services/2006/messages"
TYPES_NS: Final = "http://schemas.microsoft.com/exchange/services/2006/types"
ERRORS_NS: Final = "http://schemas.microsoft.com/exchange/services/2006/errors"
S: Final = f"{{{SOAP_NS}}}"
M: Final = f"{{{MESSAGES_NS}}}"
T: Final = f"{{{TYPES_NS}}}"
E: Final = f"{{{ERRORS_NS}}}"
_RESPONSE_CODE: Final = f"{M}ResponseCode"

_PARSER: Final = etree.XMLParser(
    resolve_entities=False, no_network=True, load_dtd=False, huge_tree=True, remove_comments=True, remove_pis=True
)
_REFERENCE: Final = re.compile(r"&#(?:x([0-9A-Fa-f]{1,8})|([0-9]{1,10}));")
_SURROGATE_PAIR: Final = re.compile("[\ud800-\udbff][\udc00-\udfff]")


class NotAnAnswer(Exception):
    """What came back is not an EWS answer: not XML, cut off, or XML of another kind. `page` says it is a web page."""

    def __init__(self, text: str, *, page: bool = False) -> None:
        super().__init__(text)
        self.page = page


class Refusal(Exception):
    """The server answered with an error code, for the whole request or for one part of it.

    `back_off` is how long it asked to be left alone, if it did.
    """

    def __init__(self, code: str, text: str = "", back_off: timedelta | None = None) -> None:
        super().__init__(f"{code}: {text}" if text else code)
        self.code = code
        self.text = text
        self.back_off = back_off


def envelope(body: str, *, version: str, impersonate: str = "") -> bytes:
    """Return the request around `body` (XML with the prefixes m and t), acting as `impersonate` if that is given."""
    acting = (
        "<t:ExchangeImpersonation><t:ConnectingSID><t:PrimarySmtpAddress>"
        f"{escape(impersonate)}</t:PrimarySmtpAddress></t:ConnectingSID></t:ExchangeImpersonation>"
        if impersonate
        else ""
    )
    return (
        f'<?xml version="1.0" encoding="utf-8"?><s:Envelope xmlns:s="{SOAP_NS}" xmlns:m="{MESSAGES_NS}"'
        f' xmlns:t="{TYPES_NS}"><s:Header><t:RequestServerVersion Version={quoteattr(version)}/>{acting}</s:Header>'
        f"<s:Body>{body}</s:Body></s:Envelope>"
    ).encode()


@dataclass(frozen=True, slots=True)
class Answer:
    """The body's one element, and the build the server says it is ("" when it does not)."""

    element: etree._Element
    build: str


def read(content: bytes) -> Answer:
    """Return the answer in an HTTP body; raises `NotAnAnswer`, or `Refusal` for a SOAP fault."""
    root = _parse(content)
    body = root.find(f"{S}Body")
    if root.tag != f"{S}Envelope" or body is None or not len(body):
        raise NotAnAnswer("the answer is XML, but no SOAP", page=_is_page(content))
    if body[0].tag == f"{S}Fault":
        raise _fault(body[0])
    version = root.find(f"{S}Header/{T}ServerVersionInfo")
    parts = () if version is None else ("MajorVersion", "MinorVersion", "MajorBuildNumber", "MinorBuildNumber")
    build = "" if version is None else ".".join(version.get(part, "0") for part in parts)
    return Answer(body[0], build)


def refusal(message: etree._Element) -> Refusal | None:
    """Return the error that a response message carries, None when it is a success."""
    # A path would cost as much as all the rest of reading a folder's counters.
    found = next(message.iterchildren(_RESPONSE_CODE), None)
    code = "" if found is None else (found.text or "").strip()
    if message.get("ResponseClass") == "Success" and code in ("NoError", ""):
        return None
    return _refusal(code or "ErrorUnknown", message.findtext(f"{M}MessageText", ""), message.find(f"{M}MessageXml"))


def _parse(content: bytes) -> etree._Element:
    if b"<!DOCTYPE" in content[:2000] or b"<!doctype" in content[:2000]:
        raise NotAnAnswer("the answer is a web page, or has a document type", page=True)
    try:
        return etree.fromstring(content, _PARSER)
    except (etree.XMLSyntaxError, ValueError):
        pass
    try:
        return etree.fromstring(_mend(content), _PARSER)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise NotAnAnswer(f"the answer is not XML: {error}", page=_is_page(content)) from error


def _is_page(content: bytes) -> bool:
    return b"<html" in content[:2000].lower()


def _mend(content: bytes) -> bytes:
    text = content.decode("utf-8", "replace")
    text = re.sub(r"^\s*<\?xml[^>]*\?>", "", text.lstrip("\ufeff"))
    text = _REFERENCE.sub(_character, text)
    text = _SURROGATE_PAIR.sub(lambda pair: pair[0].encode("utf-16", "surrogatepass").decode("utf-16"), text)
    return clean(text).encode()


def _character(reference: re.Match[str]) -> str:
    number = int(reference[1], 16) if reference[1] else int(reference[2])
    if number > 0x10FFFF or (number < 0x20 and number not in (9, 10, 13)) or number in (0xFFFE, 0xFFFF):
        return ""
    # Halves of surrogate pairs become characters, and whole ones beside their other half; all others stay references.
    return chr(number) if 0xD800 <= number <= 0xDFFF else reference[0]


def _fault(fault: etree._Element) -> Refusal:
    detail = fault.find("detail")
    text = fault.findtext("faultstring", "")
    code = "" if detail is None else detail.findtext(f"{E}ResponseCode", "").strip()
    if detail is not None:
        text = detail.findtext(f"{E}Message", "") or text
    named = fault.findtext("faultcode", "").rpartition(":")[2].strip()
    return _refusal(code or named or "ErrorUnknown", text, None if detail is None else detail.find(f"{T}MessageXml"))


def _refusal(code: str, text: str, message_xml: etree._Element | None) -> Refusal:
    named = {} if message_xml is None else {v.get("Name", ""): v.text or "" for v in message_xml.iter(f"{T}Value")}
    inner = named.get("InnerErrorResponseCode", "").strip()
    milliseconds = named.get("BackOffMilliseconds", "").strip()
    back_off = (
        timedelta(milliseconds=int(milliseconds)) if milliseconds.isdecimal() and len(milliseconds) < 12 else None
    )
    return Refusal(inner or code, (named.get("InnerErrorMessageText") or text or "").strip(), back_off)
