"""One sign-in at one server: its session, its version, what it does not know; kept per process and thread.

A session is signed in once and then serves every mailbox that the sign-in may open, so clients are kept and reused. The
pool is bounded: the one used longest ago is closed for a new one.
"""

import os
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from exchangelib.configuration import Configuration
from exchangelib.credentials import BaseCredentials, Credentials
from exchangelib.transport import BASIC, NTLM, OAUTH2
from exchangelib.util import post_ratelimited
from exchangelib.version import Build, Version
from lxml import etree
from oauthlib.oauth2 import TokenExpiredError

from mailboxes.provider.errors import ProviderError, Scope
from mailboxes.provider.ews import repairs, soap
from mailboxes.provider.ews.errors import LOW_LEVEL, VERSION_REFUSED, dropped_before_answer, of_write, translate
from mailboxes.provider.ews.repairs import AppCredentials, RepairedProtocol, TypedErrors
from mailboxes.provider.ews.transport import Reach
from mailboxes.provider.port import ServerFacts

# Newest first. Every server since 2013 takes the first, and it knows all that is asked for here.
API_VERSIONS: Final = (
    "Exchange2013_SP1",
    "Exchange2013",
    "Exchange2010_SP2",
    "Exchange2010_SP1",
    "Exchange2010",
    "Exchange2007_SP1",
)
_AUTH_TYPES: Final = {"basic": BASIC, "ntlm": NTLM, "oauth": OAUTH2}


@dataclass(frozen=True)
class SignIn:
    """How to sign in where. `auth` is basic, ntlm or oauth; with oauth `username` is the application's id."""

    url: str
    auth: str
    username: str
    secret: str = field(repr=False)
    tenant: str = ""
    token_url: str = ""
    reach: Reach = field(default_factory=Reach)

    def credentials(self) -> BaseCredentials:
        """Return what exchangelib signs in with."""
        if self.auth == "oauth":
            return AppCredentials(
                client_id=self.username,
                client_secret=self.secret,
                tenant_id=self.tenant,
                token_url=self.token_url,
                ews_url=self.url,
            )
        return Credentials(self.username, self.secret)

    @property
    def key(self) -> tuple[object, ...]:
        """Return what tells one client from another: every field, of the reach what it consists of."""
        hosts = tuple(sorted((*place, each.private, each.plain_http) for place, each in self.reach.hosts.items()))
        return (self.url, self.auth, self.username, self.secret, self.tenant, self.token_url, self.reach.ca_pem, hosts)


class Client:
    """Sends requests for any mailbox of one sign-in. Used by one thread at a time.

    `facts` grows with what the server tells of itself; `without` names what it turned out not to know.
    """

    def __init__(self, sign_in: SignIn, facts: ServerFacts, clock: Callable[[], datetime]) -> None:
        repairs.apply()
        self.without: set[str] = set()
        self.facts = facts
        self._clock = clock
        if any(each.plain_http for each in sign_in.reach.hosts.values()) and sign_in.auth == "oauth":
            # oauthlib refuses plain HTTP unless told; here an administrator has told us, and `Reach` keeps to it.
            os.environ["OAUTHLIB_INSECURE_TRANSPORT"] = "1"
        self._protocol = RepairedProtocol(
            Configuration(
                service_endpoint=sign_in.url,
                credentials=sign_in.credentials(),
                auth_type=_AUTH_TYPES[sign_in.auth],
                version=Version(build=Build(15, 0)),
                retry_policy=TypedErrors(),
                max_connections=1,
            ),
            sign_in.reach,
        )

    def call(
        self, body: str, *, mailbox: str, impersonate: bool, count: Callable[[], None], again: bool = True
    ) -> etree._Element:
        """Return the answer's element; raises `ProviderError`, and `soap.Refusal` for a fault the caller may handle.

        `count` is called once for each request that is made. `again` allows to repeat a request whose connection had
        silently ended before; writes do not. A version the server does not speak is replaced by an older one, once
        and for all.
        """
        known = self.facts.api_version
        versions = [known, *(each for each in API_VERSIONS if each != known)] if known else list(API_VERSIONS)
        refused: soap.Refusal | None = None
        for version in versions:
            request = soap.envelope(body, version=version, impersonate=mailbox if impersonate else "")
            try:
                answer = self._post(request, mailbox, count, again=again)
            except soap.Refusal as refusal:
                if refusal.code not in VERSION_REFUSED:
                    raise
                refused = refused or refusal
                continue
            facts = (answer.build or self.facts.build, version)
            if facts != (self.facts.build, known):
                self.facts = ServerFacts(*facts, self.facts.auth_type)
            return answer.element
        raise refused or soap.Refusal("ErrorInvalidServerVersion")

    def _post(
        self, request: bytes, mailbox: str, count: Callable[[], None], *, again: bool, renewed: bool = False
    ) -> soap.Answer:
        session = None
        try:
            session = self._protocol.get_session()
            count()
            response, session = post_ratelimited(
                protocol=self._protocol,
                session=session,
                url=self._protocol.service_endpoint,
                headers={"X-AnchorMailbox": mailbox},
                data=request,
            )
            self._protocol.release_session(session)
            return soap.read(response.content)
        except soap.Refusal:
            raise
        except TokenExpiredError as error:
            if renewed:
                raise translate(error, self._clock()) from error
            # Nothing was sent, and the session has the next token by now.
            return self._post(request, mailbox, count, again=again, renewed=True)
        except LOW_LEVEL as error:
            if again and session is not None and session.usage_count > 1 and dropped_before_answer(error):
                return self._post(request, mailbox, count, again=False, renewed=renewed)
            found = translate(error, self._clock())
            if found.scope is Scope.CREDENTIAL:
                self._protocol.forget_token()
            raise found from error
        except BaseException:
            # A job's time limit, most likely: the connection may be in the middle of anything.
            self._protocol.close()
            raise

    def refused(self, refusal: soap.Refusal) -> ProviderError:
        """Return the port's error for a refusal."""
        return translate(refusal, self._clock())

    def refused_write(self, refusal: soap.Refusal) -> ProviderError:
        """Return the port's error for a refusal to write one item."""
        return of_write(refusal, self._clock())

    def close(self) -> None:
        """Close the connection."""
        self._protocol.close()


def utc_now() -> datetime:
    """Return the time, aware, in UTC."""
    return datetime.now(UTC)


class ClientPool:
    """The clients of this process, by sign-in and thread; at most `size`, the one used longest ago goes first."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._clients: OrderedDict[tuple[object, ...], Client] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, sign_in: SignIn, facts: ServerFacts, clock: Callable[[], datetime] = utc_now) -> Client:
        """Return the client for a sign-in in this thread, made if there is none. `facts` are hints for a new one."""
        key = (threading.get_ident(), *sign_in.key)
        with self._lock:
            client = self._clients.get(key)
            if client is None:
                client = self._clients[key] = Client(sign_in, facts, clock)
            self._clients.move_to_end(key)
            surplus = [self._clients.popitem(last=False)[1] for _ in range(len(self._clients) - self._size)]
        for each in surplus:
            each.close()
        return client

    def close(self) -> None:
        """Close every client."""
        with self._lock:
            clients = list(self._clients.values())
            self._clients.clear()
        for each in clients:
            each.close()

    def forget(self) -> None:
        """Drop every client without a word to its server: after a fork the connections are the parent's."""
        self._lock = threading.Lock()
        self._clients = OrderedDict()


POOL: Final = ClientPool(size=64)
os.register_at_fork(after_in_child=POOL.forget)
