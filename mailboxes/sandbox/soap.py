"""Requests read, answers written: the envelope around every operation.

A request is read by a parser that expands no entities, loads nothing and refuses a document type. An
answer is assembled from strings, in the namespaces and the order of the published schema, and always
carries the server's version as Exchange 2019 and SE do.
"""

from dataclasses import dataclass
from typing import Final

from lxml import etree

from mailboxes.sandbox.xmltext import ERRORS_NS, MESSAGES_NS, SOAP_NS, TYPES_NS, M, T, children, escape, local_name

VERSION_HEADER: Final = (
    f'<s:Header><h:ServerVersionInfo MajorVersion="15" MinorVersion="2" MajorBuildNumber="1748" MinorBuildNumber="10"'
    f' Version="V2017_07_11" xmlns:h="{TYPES_NS}"/></s:Header>'
)
_OPEN: Final = (
    f'<?xml version="1.0" encoding="utf-8"?><s:Envelope xmlns:s="{SOAP_NS}">{VERSION_HEADER}'
    f'<s:Body xmlns:m="{MESSAGES_NS}" xmlns:t="{TYPES_NS}">'
)
_CLOSE: Final = "</s:Body></s:Envelope>"

DEEPEST: Final = 200


class EwsError(Exception):
    """An error the protocol has a code for: of one item in an answer, or of the whole request as a fault.

    `values` are named values of MessageXml (BackOffMilliseconds).
    """

    def __init__(self, code: str, text: str, values: dict[str, str] | None = None) -> None:
        super().__init__(f"{code}: {text}")
        self.code = code
        self.text = text
        self.values = values or {}


class Fault(EwsError):
    """An error of the whole request: a SOAP fault with HTTP status 500."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request: the operation's name, its element, and whom the caller wants to act as ("" for itself).

    `zone` is the zone that times without one are in (t:TimeZoneContext), None if the request names none.
    """

    operation: str
    element: etree._Element
    impersonated: str
    impersonates: bool
    zone: etree._Element | None = None


def read(body: bytes) -> Request:
    """Return the request in an HTTP body. Raises Fault for everything that is none."""
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, huge_tree=True, remove_comments=True, remove_pis=True
    )
    try:
        envelope = etree.fromstring(body, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise Fault("ErrorInvalidRequest", f"The request is not well-formed XML: {error}") from error
    if envelope.getroottree().docinfo.internalDTD is not None:
        raise Fault("ErrorInvalidRequest", "The request has a document type, which is not accepted.")
    if envelope.tag != f"{{{SOAP_NS}}}Envelope":
        raise Fault("ErrorInvalidRequest", "The request is no SOAP envelope.")
    soap_body = envelope.find(f"{{{SOAP_NS}}}Body")
    operations = children(soap_body) if soap_body is not None else []
    if len(operations) != 1 or not str(operations[0].tag).startswith(M):
        raise Fault("ErrorSchemaValidation", "The request failed schema validation: the body must hold one operation.")
    _check_depth(operations[0])
    impersonation = envelope.find(f"{{{SOAP_NS}}}Header/{T}ExchangeImpersonation/{T}ConnectingSID")
    address = ""
    if impersonation is not None:
        named = [
            impersonation.findtext(f"{T}{name}") for name in ("PrimarySmtpAddress", "SmtpAddress", "PrincipalName")
        ]
        address = next((name.strip() for name in named if name), "")
    zone = envelope.find(f"{{{SOAP_NS}}}Header/{T}TimeZoneContext/{T}TimeZoneDefinition")
    return Request(local_name(operations[0]), operations[0], address, impersonation is not None, zone)


def _check_depth(element: etree._Element) -> None:
    """Refuse a request nested so deeply that reading it by recursion would fail."""
    level, depth = [element], 0
    while level:
        depth += 1
        if depth > DEEPEST:
            raise Fault("ErrorSchemaValidation", "The request failed schema validation: it is nested too deeply.")
        level = [child for one in level for child in one]


def envelope(inner: str) -> bytes:
    """Return the HTTP body of an answer."""
    return f"{_OPEN}{inner}{_CLOSE}".encode("utf-8", "replace")


def response(operation: str, messages: list[str]) -> bytes:
    """Return the answer of an operation that answers with a list of response messages."""
    inner = "".join(messages)
    return envelope(f"<m:{operation}Response><m:ResponseMessages>{inner}</m:ResponseMessages></m:{operation}Response>")


def success(operation: str, inner: str = "") -> str:
    """Return one response message of an operation that worked."""
    return (
        f'<m:{operation}ResponseMessage ResponseClass="Success"><m:ResponseCode>NoError</m:ResponseCode>'
        f"{inner}</m:{operation}ResponseMessage>"
    )


def failure(operation: str, error: EwsError, inner: str = "") -> str:
    """Return one response message that says why it did not."""
    detail = _message_xml("m", error.values)
    return (
        f'<m:{operation}ResponseMessage ResponseClass="Error"><m:MessageText>{escape(error.text)}</m:MessageText>'
        f"<m:ResponseCode>{error.code}</m:ResponseCode><m:DescriptiveLinkKey>0</m:DescriptiveLinkKey>"
        f"{detail}{inner}</m:{operation}ResponseMessage>"
    )


def fault(error: EwsError) -> bytes:
    """Return the HTTP body (status 500) of a SOAP fault."""
    return envelope(
        f"<s:Fault><faultcode>t:{error.code}</faultcode><faultstring>{escape(error.text)}</faultstring><detail>"
        f'<e:ResponseCode xmlns:e="{ERRORS_NS}">{error.code}</e:ResponseCode>'
        f'<e:Message xmlns:e="{ERRORS_NS}">{escape(error.text)}</e:Message>'
        f"{_message_xml('t', error.values)}</detail></s:Fault>"
    )


def _message_xml(prefix: str, values: dict[str, str]) -> str:
    if not values:
        return ""
    inner = "".join(f'<t:Value Name="{escape(name)}">{escape(value)}</t:Value>' for name, value in values.items())
    return f"<{prefix}:MessageXml>{inner}</{prefix}:MessageXml>"
