"""What exchangelib 5.6.0 gets wrong for a program that runs for months, repaired in one place.

Nothing of exchangelib is changed in place except what its own module-level state makes unavoidable (time zone ids, the
autodiscover cache, its log); everything else is a subclass. Each repair has a test that shows the fault in the version
that is installed, and the tests hold a fingerprint of every function a repair replaces or relies on: when a new version
of exchangelib touches one, it is the repair that is to be looked at again.

Two faults are avoided by not using the code at all, since `answers` reads for us: answers fed to the XML parser one
byte per step (`EWSService._get_soap_parts`), and one item with an unexpected error costing all the others
(`EWSService._get_element_container`). Their tests prove that the faults are still there.
"""

import logging
import os
import stat
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from queue import Empty
from typing import Any
from urllib.parse import urlsplit

import requests
import requests.utils
from exchangelib import autodiscover, ewsdatetime, util
from exchangelib.autodiscover import cache as autodiscover_cache
from exchangelib.configuration import Configuration
from exchangelib.credentials import BaseOAuth2Credentials, OAuth2Credentials
from exchangelib.errors import SessionPoolMaxSizeReached, TransportError, UnknownTimeZone
from exchangelib.protocol import BaseProtocol, CachingProtocol, FailFast
from exchangelib.transport import DEFAULT_HEADERS
from requests_oauthlib import OAuth2Session

from mailboxes.provider.ews.transport import GuardedAdapter, Reach

# -- sessions ---------------------------------------------------------------------------------------------------------


class NoFreeSession(TransportError):  # type: ignore[misc]  # exchangelib has no types
    """Every session of this sign-in is in use and none came back in time."""


class RepairedProtocol(BaseProtocol):  # type: ignore[misc]  # exchangelib has no types
    """A session pool for one server and sign-in that cannot lose sessions, wait for ever, or wander off.

    - A session that is given up is not replaced on the spot. Upstream makes the replacement at once, and when that
      fails (the token service is down) the slot is lost and the next caller waits for ever; here the next caller
      makes it, and gets the error.
    - Waiting for a session ends after POOL_TIMEOUT seconds with `NoFreeSession`; upstream's wait has no end.
    - A token stays when a session is given up; upstream throws it away and asks for another at every HTTP error.
    - It is not cached by upstream's metaclass, whose cache is never emptied and takes the first configuration for all
      later ones.
    - Proxies are looked up once, not at every request; redirects are refused, also those of a token service.
    """

    SESSION_POOLSIZE = 1
    TIMEOUT = (5, 30)  # seconds to connect, and between two pieces of an answer
    POOL_TIMEOUT = 35  # seconds; longer than one request may be silent
    USERAGENT = "crmsync"

    def __init__(self, config: Configuration, reach: Reach) -> None:
        super().__init__(config=config)
        self._reach = reach

    def get_session(self) -> Any:
        """Return a session, a new one if the pool has room; raises `NoFreeSession`."""
        try:
            session = self._session_pool.get(block=False)
        except Empty:
            with suppress(SessionPoolMaxSizeReached):
                self.increase_poolsize()
            try:
                session = self._session_pool.get(timeout=self.POOL_TIMEOUT)
            except Empty:
                raise NoFreeSession("no free connection") from None
        session.usage_count += 1
        return session

    def close_session(self, session: requests.Session) -> None:
        """Close the session's connection; the token, if any, stays."""
        session.close()

    def retire_session(self, session: requests.Session) -> None:
        """Give up a session and its place in the pool; the next caller makes a new one."""
        self.close_session(session)
        with self._session_pool_lock:
            self._session_pool_size -= 1

    def renew_session(self, session: requests.Session) -> Any:
        """Replace a session; when that fails its place in the pool is free for the next caller."""
        self.close_session(session)
        try:
            return self.create_session()
        except BaseException:
            with self._session_pool_lock:
                self._session_pool_size -= 1
            raise

    def refresh_credentials(self, session: requests.Session) -> Any:
        """Replace a session whose token expired by one with a new token."""
        self.forget_token()
        return self.renew_session(session)

    def forget_token(self) -> None:
        """Drop the access token, so that the next session asks for another."""
        if isinstance(self.credentials, BaseOAuth2Credentials):
            with self.credentials.lock:
                self.credentials.access_token = None

    def raw_session(
        self,
        prefix: str,
        oauth2_client: Any = None,
        oauth2_session_params: dict[str, Any] | None = None,
        oauth2_token_endpoint: str | None = None,
    ) -> requests.Session:
        """Return a session that reaches its server, and its token service, and nothing else."""
        session = (
            OAuth2Session(client=oauth2_client, **oauth2_session_params or {}) if oauth2_client else requests.Session()
        )
        session.headers.update(DEFAULT_HEADERS)
        session.headers["User-Agent"] = self.USERAGENT
        session.get_redirect_target = _no_redirect  # type: ignore[method-assign]  # for this session only
        session.trust_env = False  # asked once, below, instead of at every request
        session.proxies = requests.utils.get_environ_proxies(prefix)
        session.verify = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or True
        session.adapters.clear()
        for url in filter(None, (prefix, oauth2_token_endpoint)):
            session.mount(_origin(url), GuardedAdapter(self._reach, url))
        return session


def _no_redirect(_response: requests.Response) -> None:
    return None


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}/"


# -- errors -----------------------------------------------------------------------------------------------------------


class HttpError(TransportError):  # type: ignore[misc]  # exchangelib has no types
    """An HTTP answer that is no EWS answer. Upstream keeps the status in the text only and drops Retry-After."""

    def __init__(self, response: requests.Response) -> None:
        self.status = response.status_code
        self.headers = response.headers
        self.url = response.url
        self.body = response.content[:4000]
        super().__init__(f"HTTP {self.status} {response.reason or ''}".strip())


class TypedErrors(FailFast):  # type: ignore[misc]  # exchangelib has no types
    """Never sleeps, never retries; raises `HttpError` for whatever is not an EWS answer.

    Upstream's other policy sleeps inside the worker, without an upper bound, and retries refused passwords until the
    account is locked.
    """

    def raise_response_errors(self, response: requests.Response) -> None:
        """Accept 200, and 500 with a SOAP fault in it; raise `HttpError` for the rest."""
        if response.status_code == 200:
            return
        if response.status_code == 500 and b"Envelope" in response.content[:1000]:
            return
        raise HttpError(response)


# -- OAuth ------------------------------------------------------------------------------------------------------------


class AppCredentials(OAuth2Credentials):  # type: ignore[misc]  # exchangelib has no types
    """Client credentials whose token may expire.

    Upstream asks requests_oauthlib to refresh, which sends a grant that application tokens do not have: the first call
    after each expiry fails. With nothing but the token in the session's parameters the expiry is reported, and
    `RepairedProtocol.refresh_credentials` fetches the next token. `token_url` and the scope follow the server, since
    an Exchange of one's own may have its own authority.
    """

    def __init__(self, *, client_id: str, client_secret: str, tenant_id: str, token_url: str, ews_url: str) -> None:
        super().__init__(client_id=client_id, client_secret=client_secret, tenant_id=tenant_id)
        self._given_token_url = token_url
        self._ews_host = urlsplit(ews_url).netloc

    @property
    def token_url(self) -> str:
        """Return where tokens are asked for."""
        return self._given_token_url or str(super().token_url)

    @property
    def scope(self) -> list[str]:
        """Return the scope: everything the application may do at this server."""
        return [f"https://{self._ews_host}/.default"]

    def session_params(self) -> dict[str, Any]:
        """Return the token alone."""
        return {"token": self.access_token}


# -- state of exchangelib's own that is shared by the process ------------------------------------------------------------


def _from_ms_id(cls: type[ewsdatetime.EWSTimeZone], ms_id: str) -> ewsdatetime.EWSTimeZone:
    """Return the zone of an id, or raise `UnknownTimeZone`, which costs the field and not the whole answer.

    Upstream takes whatever has a slash for an IANA name: "tzone://Microsoft/Custom", which Exchange Online does send,
    raises a ValueError that nobody catches.
    """
    try:
        return _upstream_from_ms_id(cls, ms_id)
    except UnknownTimeZone:
        raise
    except (ValueError, OSError, TypeError) as error:
        raise UnknownTimeZone(f"Time zone {ms_id!r} is unknown") from error


_upstream_from_ms_id: Callable[..., ewsdatetime.EWSTimeZone] = ewsdatetime.EWSTimeZone.from_ms_id.__func__


class _NoContent(logging.Filter):
    """Keeps requests and answers, which hold mail, out of the log; exchangelib writes them there at ERROR level."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name == "exchangelib.util" and record.levelno >= logging.ERROR:
            record.msg, record.args = "A request failed in an unexpected way (%s).", (record.levelname,)
            record.exc_info = record.exc_text = record.stack_info = None
        return record.name != "exchangelib.util.xml"


_filter = _NoContent()
_applied = threading.Event()


def apply() -> None:
    """Repair what is shared by the process. May be called any number of times."""
    if _applied.is_set():
        return
    _applied.set()
    ewsdatetime.EWSTimeZone.from_ms_id = classmethod(_from_ms_id)
    util.log.addFilter(_filter)
    util.xml_log.addFilter(_filter)
    # A connection used by parent and child would carry the bytes of both: the child starts without any.
    os.register_at_fork(after_in_child=CachingProtocol._protocol_cache.clear)


def private_autodiscover_cache() -> Path:
    """Move exchangelib's autodiscover cache into a folder that only this user can open, and return the file's path.

    Upstream keeps pickles under a predictable name in the system's temporary folder, where another user of the machine
    can put a pickle of their own first.
    """
    current = Path(autodiscover_cache.AUTODISCOVER_PERSISTENT_STORAGE)
    if stat.S_IMODE(current.parent.stat().st_mode) != 0o700 or current.parent.stat().st_uid != os.getuid():
        folder = Path(tempfile.mkdtemp(prefix="crmsync-autodiscover-"))
        autodiscover_cache.AUTODISCOVER_PERSISTENT_STORAGE = folder / "cache"
        autodiscover.clear_cache()
    return Path(autodiscover_cache.AUTODISCOVER_PERSISTENT_STORAGE)
