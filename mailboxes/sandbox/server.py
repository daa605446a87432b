"""The server: connections, sign-in, faults, counting, and the way from a request to its operation.

A teaching and testing server. It keeps passwords in clear text, speaks plain HTTP, and answers
anybody at /_/ who can reach it, so it binds loopback unless told otherwise. It runs as its own
process (`manage.py sandbox`) and inside a test:

    with SandboxServer(store) as server:
        ...                      # server.url, server.faults, server.requests
"""

import base64
import binascii
import contextlib
import logging
import re
import socket
import socketserver
import struct
import sys
import threading
import time
from typing import Any, Final, Self, cast

from mailboxes.sandbox import control, moving, soap, tokens, zones
from mailboxes.sandbox.counting import RequestLog
from mailboxes.sandbox.faults import Faults, ScriptedFault, item_faults
from mailboxes.sandbox.headers import decode_bytes
from mailboxes.sandbox.http import Answer, BadRequest, HttpRequest, TooLarge, chunk, read_body, read_head
from mailboxes.sandbox.ids import MalformedId, decode_id
from mailboxes.sandbox.model import Mailbox
from mailboxes.sandbox.operations.caller import Caller
from mailboxes.sandbox.operations.registry import OPERATIONS, STREAMS
from mailboxes.sandbox.pace import Pace
from mailboxes.sandbox.store import SandboxStore
from mailboxes.sandbox.throttling import OverBudget, Throttling, cost_of
from mailboxes.sandbox.xmltext import T

log = logging.getLogger(__name__)

PATH: Final = "/EWS/Exchange.asmx"
MOST_BYTES: Final = 64 * 1024 * 1024
_ZONE: Final = re.compile(rb"<t:(Start|End)TimeZone [^>]*/>")
LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")
_IDS: Final = (f"{T}DistinguishedFolderId", f"{T}FolderId", f"{T}ItemId")
# Only Basic is offered: a client that is offered NTLM as well takes NTLM, which this server does not speak.
CHALLENGES: Final = ('Basic realm="sandbox.example"',)


class SandboxServer:
    """An EWS endpoint over a store. Use as a context manager, or `start` and `stop`.

    port=0 takes a free one. `challenges` are the WWW-Authenticate values of a 401. Raises OSError if the
    address cannot be bound.
    """

    def __init__(
        self,
        store: SandboxStore,
        port: int = 0,
        *,
        host: str = "127.0.0.1",
        challenges: tuple[str, ...] = CHALLENGES,
        most_bytes: int = MOST_BYTES,
        pace: Pace | None = None,
    ) -> None:
        self.store = store
        self.faults = Faults()
        self.requests = RequestLog()
        self.throttling = Throttling()
        self.tokens = tokens.Tokens(store)
        self.challenges = challenges
        self.most_bytes = most_bytes
        self.pace = pace or Pace()
        self._listener = _Listener((host, port), self)
        self.host, self.port = host, int(self._listener.server_address[1])
        self._thread: threading.Thread | None = None

    @property
    def root(self) -> str:
        """Where the server is, without a path: http://127.0.0.1:40001"""
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"

    @property
    def url(self) -> str:
        """The address a client is given."""
        return self.root + PATH

    def start(self) -> Self:
        """Answer in a thread of its own."""
        log.info("sandbox Exchange (a teaching and testing server) at %s", self.url)
        if self.host not in LOOPBACK:
            log.warning("the sandbox can be reached from other machines, and it keeps no secret")
        self._thread = threading.Thread(target=self._listener.serve_forever, args=(0.05,), name="sandbox", daemon=True)
        self._thread.start()
        return self

    def stop(self) -> None:
        """Stop answering and break all connections."""
        self.pace.stopped = True
        self.store.events.wake()
        if self._thread is not None:
            self._listener.shutdown()
            self._thread.join()
            self._thread = None
        self._listener.server_close()
        self._listener.break_connections()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    # -- one request

    def answer(self, request: HttpRequest) -> Answer | None:
        """Return the answer to one request; None to break the connection without one."""
        path = request.path.partition("?")[0]
        if path.startswith("/_/"):
            desk = control.Desk(self.store, self.faults, self.requests, self.throttling)
            return control.answer(desk, request.method, path, request.body)
        if self.faults.outage():
            return None
        if path == tokens.PATH:
            return self.tokens.answer(request.body, refused=bool(self.faults.take("", "", ("invalid_client",))))
        if path.lower() != PATH.lower():
            return Answer(404, b"There is nothing here; the service is at " + PATH.encode(), "text/plain")
        if request.method != "POST":
            return Answer(405, b"Only POST is answered here.", "text/plain", [("Allow", "POST")])
        found = self._protocol(request)
        self.requests.answered(found.status, len(found.body))
        return found

    def _protocol(self, request: HttpRequest) -> Answer:
        login = self._sign_in(request.headers.get("authorization", ""))
        if login is None:
            # A blocked or broken server does not ask who is there.
            blocked = self.faults.take("", "", ("forbidden", "http")) if "authorization" not in request.headers else []
            return _broken(blocked[0], self.challenges) if blocked else _unauthorized(self.challenges)
        try:
            return self._operation(login, request)
        except (moving.Elsewhere, OverBudget, soap.EwsError) as error:
            return _refusal(error)
        except Exception:
            log.exception("the sandbox failed on a request")
            return Answer(500, soap.fault(soap.Fault("ErrorInternalServerError", "An internal server error occurred.")))

    def _operation(self, login: Mailbox, request: HttpRequest) -> Answer:
        parsed = soap.read(request.body)
        operation, stream = OPERATIONS.get(parsed.operation), STREAMS.get(parsed.operation)
        if operation is None and stream is None:
            raise soap.Fault("ErrorInvalidRequest", f"The operation {parsed.operation} is not known to this server.")
        target = parsed.impersonated if parsed.impersonates else self._named(parsed) or login.address
        self.requests.operation(parsed.operation, target)
        moving.refuse(self.store, target)
        with self.throttling.admitted(target, cost_of(parsed.element) if self.throttling.limited else 1):
            return self._admitted(login, parsed, target)

    def _admitted(self, login: Mailbox, parsed: soap.Request, target: str) -> Answer:
        operation, stream = OPERATIONS.get(parsed.operation), STREAMS.get(parsed.operation)
        hit = self.faults.take(parsed.operation, target)
        for one in hit:
            if one.fault == "slow":
                time.sleep(one.seconds)
        for one in hit:
            if one.fault in ("unauthorized", "forbidden", "http"):
                return _broken(one, self.challenges)
            if one.fault == "error" and one.scope == "request":
                raise one.error()
        repeat = next((one.page for one in hit if one.fault == "repeat"), 0)
        caller = Caller(
            self.store,
            self._acting(login, parsed),
            item_faults(hit),
            _zone(parsed),
            self.pace,
            login,
            repeat,
            lambda: self.throttling.may_send(target),
        )
        with self.store.lock:
            if operation is None:
                return _cut(Answer(200, stream=stream(caller, parsed.element) if stream else None), hit)
            body = operation(caller, parsed.element)
        return _cut(Answer(200, body), hit)

    def _acting(self, login: Mailbox, request: soap.Request) -> Mailbox:
        if not request.impersonates:
            return login
        if not request.impersonated:
            raise soap.Fault("ErrorInvalidExchangeImpersonationHeaderData", "The impersonation header names nobody.")
        if not self.store.has_mailbox(request.impersonated):
            raise soap.Fault("ErrorNonExistentMailbox", "The SMTP address has no mailbox associated with it.")
        mailbox = self.store.mailbox(request.impersonated)
        if mailbox is not login and not login.impersonator:
            raise soap.Fault(
                "ErrorImpersonateUserDenied", "The account does not have permission to impersonate the requested user."
            )
        return mailbox

    def _named(self, request: soap.Request) -> str:
        """Return the mailbox that a request without impersonation is about: of the first id in it, "" if it names none."""
        for element in request.element.iter(*_IDS):
            address = element.findtext(f"{T}Mailbox/{T}EmailAddress")
            if address:
                return address.strip()
            with contextlib.suppress(MalformedId):
                owner = self.store.by_guid.get(decode_id(element.get("Id", "")).guid)
                if owner is not None:
                    return owner.address
        return ""

    def _sign_in(self, authorization: str) -> Mailbox | None:
        """Return the mailbox whose name and password these are: address, or DOMAIN\\name for its part before the @."""
        scheme, _, text = authorization.partition(" ")
        if scheme.lower() == "bearer":
            if self.faults.take("", "", ("expired_token",)):
                self.tokens.expire()
            return self.store.mailboxes.get(self.tokens.holder(text.strip()) or "")
        if scheme.lower() != "basic":
            return None
        try:
            signed = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            return None
        # Clients disagree on the encoding of a password (RFC 7617 leaves it open).
        user, colon, password = decode_bytes(signed).partition(":")
        name = user.rpartition("\\")[2].strip().lower()
        mailbox = self.store.mailboxes.get(name)
        if mailbox is None and "\\" in user:
            mailbox = next(
                (one for address, one in self.store.mailboxes.items() if address.partition("@")[0] == name), None
            )
        if mailbox is None and name in self.store.moved:
            # Whoever has moved is told where to, not that the password is wrong.
            mailbox = Mailbox(name, self.store.moved[name].password, name)
        return mailbox if mailbox is not None and colon and mailbox.password == password else None


def _zone(request: soap.Request) -> str:
    """Return the zone a request's times are in, as it is kept; "" if it names none. Raises Fault."""
    if request.zone is None:
        return ""
    try:
        return zones.definition(request.zone, "StartTimeZone")
    except zones.BadZone as error:
        raise soap.Fault("ErrorTimeZone", f"There is an error in the time zone: {error}.") from error


def _refusal(error: moving.Elsewhere | OverBudget | soap.EwsError) -> Answer:
    if isinstance(error, moving.Elsewhere):
        return Answer(302, b"", "text/html", [("Location", error.url)])
    if isinstance(error, OverBudget) and error.budget.how == "http":
        return Answer(error.budget.status, b"", "text/html", [("Retry-After", str(error.retry_after))])
    return Answer(500, soap.fault(error.fault() if isinstance(error, OverBudget) else error))


def _unauthorized(challenges: tuple[str, ...]) -> Answer:
    return Answer(401, b"", "text/html", [("WWW-Authenticate", challenge) for challenge in challenges])


def _broken(fault: ScriptedFault, challenges: tuple[str, ...]) -> Answer:
    if fault.fault == "unauthorized":
        return _unauthorized(challenges)
    status = 403 if fault.fault == "forbidden" else fault.status
    headers = [] if fault.retry_after is None else [("Retry-After", str(fault.retry_after))]
    body = f"<html><head><title>{status}</title></head><body><h1>{status}</h1></body></html>".encode()
    return Answer(status, body, "text/html; charset=utf-8", headers)


def _cut(answer: Answer, hit: list[ScriptedFault]) -> Answer:
    for one in hit:
        if one.fault == "custom_zone":
            answer.body = _ZONE.sub(
                rb'<t:\1TimeZone Id="tzone://Microsoft/Custom" Name="Customized Time Zone"/>', answer.body
            )
        if one.fault in ("reset", "truncate"):
            after = len(answer.body) // 2 if one.after is None else min(one.after, len(answer.body))
            if one.fault == "reset":
                answer.cut, answer.reset, answer.close = after, True, True
            else:
                answer.body = answer.body[:after]
    return answer


class _Listener(socketserver.ThreadingTCPServer):
    """Accepts connections, each in a thread, and knows which are open."""

    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], sandbox: SandboxServer) -> None:
        self.sandbox = sandbox
        self._open: set[socket.socket] = set()
        self._guard = threading.Lock()
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        super().__init__(address, _Connection)

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sandbox.requests.connection()
        with self._guard:
            self._open.add(connection)
        return connection, address

    def shutdown_request(self, request: Any) -> None:
        with self._guard:
            self._open.discard(request)
        super().shutdown_request(request)

    def break_connections(self) -> None:
        with self._guard:
            still = list(self._open)
        for connection in still:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - the base class names it
        log.warning("a connection from %s ended badly: %r", client_address, sys.exc_info()[1])


class _Connection(socketserver.StreamRequestHandler):
    """Answers one request after the other on one connection."""

    def handle(self) -> None:
        sandbox = cast(_Listener, self.server).sandbox
        with contextlib.suppress(ConnectionError, BrokenPipeError, TimeoutError):
            while self._one(sandbox):
                pass

    def _one(self, sandbox: SandboxServer) -> bool:
        try:
            request = read_head(cast(Any, self.rfile))
            if request is None:
                return False
            if request.headers.get("expect", "").lower() == "100-continue":
                self.request.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            request.body = read_body(cast(Any, self.rfile), request, sandbox.most_bytes)
        except TooLarge:
            error = soap.Fault("ErrorRequestStreamTooBig", "The request is larger than this server takes.")
            self.request.sendall(Answer(500, soap.fault(error), close=True).encoded())
            return False
        except BadRequest as error:
            self.request.sendall(Answer(error.status, str(error).encode(), "text/plain", close=True).encoded())
            return False
        answer = sandbox.answer(request)
        if answer is None:
            _reset(self.request)
            return False
        answer.close = answer.close or not request.keep_alive
        self.request.sendall(answer.encoded())
        if answer.stream is not None:
            self._pour(answer)
        if answer.reset:
            _reset(self.request)
        return not answer.close

    def _pour(self, answer: Answer) -> None:
        """Send a body piece by piece, as the pieces come."""
        pieces = answer.stream or iter(())
        try:
            for piece in pieces:
                self.request.sendall(chunk(piece))
                if answer.cut is not None:
                    return
            self.request.sendall(chunk(b""))
        finally:
            # An open generator would count as an open connection.
            getattr(pieces, "close", lambda: None)()


def _reset(connection: socket.socket) -> None:
    """Break a connection so that the other side sees a reset, not an orderly end."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
