"""What the sandbox's tests share: names, a message, a raw answer, a request over a real connection."""

import base64
import http.client
from collections.abc import Callable
from dataclasses import dataclass

from lxml import etree

from mailboxes.sandbox.server import SandboxServer

ANNA, BEN, SERVICE = "anna@sandbox.example", "ben@sandbox.example", "crmsync@sandbox.example"
PASSWORDS = {ANNA: "anna-pw", BEN: "ben-pw", SERVICE: "service-pw"}
SOAP = "http://schemas.xmlsoap.org/soap/envelope/"
M = "{http://schemas.microsoft.com/exchange/services/2006/messages}"
T = "{http://schemas.microsoft.com/exchange/services/2006/types}"
ENVELOPE = (
    '<?xml version="1.0" encoding="utf-8"?>'
    f'<s:Envelope xmlns:s="{SOAP}" xmlns:m="{M[1:-1]}" xmlns:t="{T[1:-1]}"><s:Header>%s</s:Header><s:Body>%s</s:Body></s:Envelope>'
)


def mail(subject: str = "Hello", *, number: int = 1, text: str = "Good morning", **headers: str) -> bytes:
    """Write a simple message; `headers` (In_Reply_To=…) come on top."""
    fields = {
        "From": "Carla <carla@outside.example>",
        "To": f"Anna <{ANNA}>",
        "Subject": subject,
        "Date": "Fri, 20 Nov 2026 09:30:00 +0100",
        "Message-ID": f"<{number}@outside.example>",
    } | {name.replace("_", "-"): value for name, value in headers.items()}
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"{head}\r\n{text}\r\n".encode()


@dataclass(frozen=True)
class Reply:
    """A raw answer: HTTP status, and the envelope read."""

    status: int
    xml: bytes

    @property
    def root(self) -> etree._Element:
        return etree.fromstring(self.xml)

    def texts(self, path: str) -> list[str]:
        """Return the texts of all elements of a path such as "m:ResponseCode"."""
        return [element.text or "" for element in self.all(path)]

    def all(self, path: str) -> list[etree._Element]:
        found = self.root.findall(f".//{path}", {"m": M[1:-1], "t": T[1:-1], "s": SOAP})
        return list(found)

    @property
    def codes(self) -> list[str]:
        """Return the response codes: of a fault, or one per response message."""
        fault = self.root.find(".//{http://schemas.microsoft.com/exchange/services/2006/errors}ResponseCode")
        return [fault.text or ""] if fault is not None else self.texts("m:ResponseCode")


Ask = Callable[..., Reply]


def signed(user: str) -> dict[str, str]:
    """Return the header fields of a signed-in request."""
    token = base64.b64encode(f"{user}:{PASSWORDS[user]}".encode()).decode()
    return {"authorization": f"Basic {token}"}


def over_http(
    server: SandboxServer, method: str, path: str, body: bytes = b"", **headers: str
) -> tuple[int, dict[str, str], bytes]:
    """Make one request over a real connection; return status, header fields (lower case), body."""
    connection = http.client.HTTPConnection(server.host, server.port, timeout=10)
    try:
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    finally:
        connection.close()
