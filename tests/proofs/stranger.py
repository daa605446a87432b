"""An EWS server with other habits than the sandbox's: a filter in front of it that changes requests and answers.

The one idea: what is allowed by HTTP, XML and the protocol, but not done by the sandbox, is done here. Habits are small
functions over the parsed request and the parsed answer; how the answer is written, and how it travels, is a `Manner`.
Every request of the client is held against the protocol's published schema, where that is on the machine.
"""

import gzip
import http.client
import re
import socket
import ssl
import struct
import sys
import threading
from collections.abc import Callable, Sequence
from copy import deepcopy as copy_of
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import urlsplit

from lxml import etree

from mailboxes.sandbox.xmltext import ERRORS_NS, MESSAGES_NS, SOAP_NS, TYPES_NS, M, T
from tests import ews_schema

BREAK = "break"
Element = etree._Element
# Looks at a request; may change it, return an answer of its own (status and body), or BREAK the connection.
Before = Callable[[Element], "tuple[int, bytes] | str | None"]
# Changes an answer, the whole envelope.
After = Callable[[Element], None]


@dataclass(frozen=True)
class Manner:
    """How answers are written and sent."""

    pretty: bool = False
    prefixes: dict[str | None, str] = field(default_factory=dict)
    declaration: str = '<?xml version="1.0" encoding="utf-8"?>'
    encoding: str = "utf-8"
    zipped: bool = False
    chunked: bool = False
    close: bool = False
    http10: bool = False
    shout: bool = False
    content_type: str = "text/xml; charset=utf-8"
    rewrite: Callable[[bytes], bytes] | None = None


class Stranger:
    """Serves `upstream` (a sandbox's URL) with other habits; `url` is what a client is given. A context manager."""

    def __init__(
        self,
        upstream: str,
        *,
        before: Sequence[Before] = (),
        after: Sequence[After] = (),
        manner: Manner | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        parts = urlsplit(upstream)
        self.host, self.port, self.path = parts.hostname or "", parts.port or 80, parts.path
        self.before, self.after, self.manner = list(before), list(after), manner or Manner()
        self.invalid: list[str] = []
        self.operations: list[str] = []
        self.sign_ins = 0
        self.failures: list[BaseException | None] = []
        self._server = _Server(self, tls)
        scheme = "http" if tls is None else "https"
        self.url = f"{scheme}://127.0.0.1:{self._server.server_address[1]}{self.path}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        if self.failures:
            raise AssertionError("the filter itself failed") from self.failures[0]

    def exchange(self, body: bytes, authorization: str) -> tuple[int, bytes, list[tuple[str, str]]] | None:
        """Return status, body and header fields of the answer to a request; None to break the connection."""
        request = etree.fromstring(body)
        self.operations.append(_operation(request))
        if ews_schema.schema() is not None:
            self.invalid += ews_schema.validate(body)
        for habit in self.before:
            own = habit(request)
            if own == BREAK:
                return None
            if isinstance(own, tuple):
                return (*own, [])
        status, content, fields = self._upstream(etree.tostring(request), authorization)
        if not content.lstrip().startswith(b"<?xml"):
            return status, content, fields
        answer = etree.fromstring(content)
        for change in self.after:
            change(answer)
        return status, self._written(answer), fields

    def _upstream(self, body: bytes, authorization: str) -> tuple[int, bytes, list[tuple[str, str]]]:
        connection = http.client.HTTPConnection(self.host, self.port, timeout=60)
        headers = {"Content-Type": "text/xml; charset=utf-8"}
        if authorization:
            headers["Authorization"] = authorization
        try:
            connection.request("POST", self.path, body, headers)
            answer = connection.getresponse()
            kept = [(name, value) for name, value in answer.getheaders() if name.lower() == "www-authenticate"]
            return answer.status, answer.read(), kept
        finally:
            connection.close()

    def _written(self, answer: Element) -> bytes:
        manner = self.manner
        if manner.prefixes:
            answer = _rebuilt(answer, manner.prefixes)
        if manner.pretty:
            etree.indent(answer, "\t")
        text = etree.tostring(answer, encoding="unicode")
        content = (manner.declaration + text).encode(manner.encoding)
        return manner.rewrite(content) if manner.rewrite else content


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, stranger: Stranger, tls: ssl.SSLContext | None) -> None:
        self.stranger = stranger
        super().__init__(("127.0.0.1", 0), _Handler)
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Note what is wrong with the filter itself; a client may break a connection (an untrusted certificate)."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            self.stranger.failures.append(error)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server
    timeout = 60

    def log_message(self, *_: Any) -> None:
        """Be quiet."""

    def do_POST(self) -> None:
        stranger = self.server.stranger
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        authorization = self.headers.get("Authorization", "")
        stranger.sign_ins += bool(authorization)
        found = stranger.exchange(body, authorization)
        if found is None:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
            self.connection.close()
            return
        self._send(*found)

    def _send(self, status: int, content: bytes, fields: list[tuple[str, str]]) -> None:
        manner = self.server.stranger.manner
        if manner.http10:
            self.protocol_version = "HTTP/1.0"
        fields = [("Content-Type", manner.content_type), *fields]
        if manner.zipped and "gzip" in self.headers.get("Accept-Encoding", ""):
            content = gzip.compress(content)
            fields.append(("Content-Encoding", "gzip"))
        if manner.chunked:
            fields.append(("Transfer-Encoding", "chunked"))
        elif not manner.http10:
            fields.append(("Content-Length", str(len(content))))
        if manner.close or manner.http10:
            self.close_connection = True
            fields.append(("Connection", "close"))
        self.send_response(status)
        for name, value in fields:
            self.send_header(name.upper() if manner.shout else name, value)
        self.end_headers()
        if manner.chunked:
            pieces = [content[at : at + 1000] for at in range(0, len(content), 1000)]
            content = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
        self.wfile.write(content)


def _operation(request: Element) -> str:
    return str(etree.QName(next(iter(next(request.iter(f"{{{SOAP_NS}}}Body"))))).localname)


def _rebuilt(element: Element, prefixes: dict[str | None, str]) -> Element:
    """Return the same tree with these prefixes (None: the default namespace) instead of its own."""
    copy = etree.Element(element.tag, nsmap=prefixes)  # type: ignore[arg-type]  # the stubs forget the default namespace
    _fill(copy, element)
    return copy


def _fill(copy: Element, element: Element) -> None:
    copy.text, copy.tail = element.text, element.tail
    for name, value in element.attrib.items():
        copy.set(name, value)
    for child in element:
        if isinstance(child.tag, str):
            _fill(etree.SubElement(copy, child.tag), child)
        else:
            copy.append(copy_of(child))


# -- answers of one's own ---------------------------------------------------------------------------------------------


def fault(code: str, text: str = "The request is refused.") -> tuple[int, bytes]:
    """Return the answer of a server that refuses a whole request, in the form Exchange gives it."""
    return 500, (
        f'<?xml version="1.0" encoding="utf-8"?><s:Envelope xmlns:s="{SOAP_NS}"><s:Body><s:Fault>'
        f'<faultcode xmlns:a="{TYPES_NS}">a:{code}</faultcode><faultstring xml:lang="en-US">{text}</faultstring><detail>'
        f'<e:ResponseCode xmlns:e="{ERRORS_NS}">{code}</e:ResponseCode>'
        f'<e:Message xmlns:e="{ERRORS_NS}">{text}</e:Message></detail></s:Fault></s:Body></s:Envelope>'
    ).encode()


def refused_each(request: Element, code: str, count: int) -> tuple[int, bytes]:
    """Return an answer in which every one of `count` response messages is this error."""
    name = _operation(request)
    message = (
        f'<m:{name}ResponseMessage ResponseClass="Error"><m:MessageText>no</m:MessageText>'
        f"<m:ResponseCode>{code}</m:ResponseCode><m:DescriptiveLinkKey>0</m:DescriptiveLinkKey><m:Items/>"
        f"</m:{name}ResponseMessage>"
    )
    return 200, (
        f'<?xml version="1.0" encoding="utf-8"?><s:Envelope xmlns:s="{SOAP_NS}" xmlns:m="{MESSAGES_NS}"><s:Body>'
        f"<m:{name}Response><m:ResponseMessages>{message * count}</m:ResponseMessages></m:{name}Response>"
        "</s:Body></s:Envelope>"
    ).encode()


# -- habits -----------------------------------------------------------------------------------------------------------


def left_out(*names: str) -> After:
    """Leave out these elements, wherever they stand (a name with @ is an attribute)."""

    def change(answer: Element) -> None:
        for name in names:
            if name.startswith("@"):
                for element in answer.iter():
                    if name[1:] in element.attrib:
                        del element.attrib[name[1:]]
            else:
                for element in list(answer.iter(f"{T}{name}")):
                    element.getparent().remove(element)

    return change


def something_new(answer: Element) -> None:
    """Add what a later version might: elements, attributes, kinds of change and of folder, comments."""
    for path in (f"{M}Items/*", f"{T}Folders/*", f"{M}Folders/*"):
        for element in list(answer.iterfind(f".//{path}")):
            new = etree.SubElement(element, f"{T}NewIn2031", Level="3")
            etree.SubElement(new, f"{T}ItemId", Id="not-an-item", ChangeKey="x")
            etree.SubElement(element, "{urn:elsewhere}Extension").text = "?"
            element.insert(0, etree.Comment(" a comment "))
            element.insert(0, etree.ProcessingInstruction("server", "says"))
            element.set("Fresh", "true")
    for changes in answer.iter(f"{M}Changes"):
        etree.SubElement(etree.SubElement(changes, f"{T}Highlighted"), f"{T}Something")
    for folders in answer.iter(f"{M}ResponseMessages"):
        folders.addprevious(etree.Comment(" before the messages "))


class SmallPages:
    """Answers with fewer changes and folders than asked for, and says so; names the last change again on the next page."""

    def __init__(self, most: int, *, repeat: bool = False, empty: bool = False) -> None:
        self.most, self.repeat, self.empty = most, repeat, empty
        self._last: dict[str, Element] = {}
        self._folder = ""
        self._calls = 0

    def before(self, request: Element) -> tuple[int, bytes] | None:
        """Ask the sandbox for less."""
        for element in request.iter(f"{M}MaxChangesReturned"):
            element.text = str(min(self.most, int(element.text or "1")))
            self._folder = str(next(request.iter(f"{T}FolderId")).get("Id"))
        for element in request.iter(f"{M}IndexedPageFolderView"):
            element.set("MaxEntriesReturned", str(self.most))
        return None

    def after(self, answer: Element) -> None:
        """Say one change twice, on two pages."""
        for changes in answer.iter(f"{M}Changes"):
            if self.repeat and self._folder in self._last:
                changes.insert(0, self._last.pop(self._folder))
            if len(changes):
                copy = etree.fromstring(etree.tostring(changes[-1]))
                self._last[self._folder] = copy


def old_versions_only(version: str) -> Before:
    """Refuse every protocol version but one."""

    def before(request: Element) -> tuple[int, bytes] | None:
        asked = next(request.iter(f"{T}RequestServerVersion"))
        if asked.get("Version") != version:
            return fault("ErrorInvalidServerVersion", "The specified server version is invalid.")
        asked.set("Version", "Exchange2013_SP1")
        return None

    return before


def no_extended_properties(code: str, *, each: bool) -> Before:
    """Refuse every request for an extended property, as a whole or in each response message."""

    def before(request: Element) -> tuple[int, bytes] | None:
        if next(request.iter(f"{T}ExtendedFieldURI"), None) is None:
            return None
        count = sum(1 for tag in ("ItemId", "FolderId", "DistinguishedFolderId") for _ in request.iter(f"{T}{tag}"))
        return refused_each(request, code, count) if each else fault(code)

    return before


class LongIds:
    """Ids as long as they come, with every character that base64 and XML allow, different from each other by case."""

    tail = "+/=-_&<'" + "Aa" * 180

    def before(self, request: Element) -> None:
        """Give the sandbox its own ids back."""
        for element in request.iter(f"{T}ItemId", f"{T}FolderId", f"{T}AttachmentId"):
            element.set("Id", str(element.get("Id")).removesuffix(self.tail))

    def after(self, answer: Element) -> None:
        """Make every id long."""
        for element in answer.iter(f"{T}ItemId", f"{T}FolderId", f"{T}AttachmentId", f"{T}ParentFolderId"):
            element.set("Id", str(element.get("Id")) + self.tail)


def other_times(form: str) -> After:
    """Write every time in another form that xs:dateTime allows."""
    forms: dict[str, Callable[[str], str]] = {
        "fraction": lambda text: text.replace("Z", ".9999999Z"),
        "offset": lambda text: text.replace("Z", "+00:00"),
        "no zone": lambda text: text.replace("Z", ""),
        "space": lambda text: f"\n  {text} ",
    }

    def after(answer: Element) -> None:
        for element in answer.iter(f"{T}DateTimeReceived", f"{T}DateTimeSent"):
            element.text = forms[form](element.text or "")

    return after


def directory_names(answer: Element) -> None:
    """Name people of the own organisation by their place in the directory, not by an SMTP address."""
    for mailbox in answer.iter(f"{T}Mailbox"):
        address = mailbox.find(f"{T}EmailAddress")
        if address is not None and (address.text or "").endswith("@turia.example"):
            address.text = "/O=ORG/OU=FIRST/CN=RECIPIENTS/CN=SOMEBODY"
            for routing in mailbox.iter(f"{T}RoutingType"):
                routing.text = "EX"


_SUBJECT = re.compile(rb"(<t:Subject[^>]*>)")


def forbidden_characters(content: bytes) -> bytes:
    """Write what XML forbids and servers write all the same: references to control characters, half pairs, bad bytes."""
    return _SUBJECT.sub(rb"\1&#x1;&#x0;&#xD83D;&#xDE00;&#xD800;&#xFFFF;\\x0b" + b"\x0b\xff", content)


class Deaf:
    """Breaks the connection, or answers nothing for a while, whenever an item of these is asked for."""

    def __init__(self, item_ids: Sequence[str]) -> None:
        self.item_ids = set(item_ids)
        self.hits = 0

    def __call__(self, request: Element) -> str | None:
        if any(element.get("Id") in self.item_ids for element in request.iter(f"{T}ItemId")):
            self.hits += 1
            return BREAK
        return None
