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
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
import requests.utils
from exchangelib import autodiscover, ewsdatetime, util
from exchangelib.autodiscover import cache as autodiscover_cache
from exchangelib.configuration import Configuration
from exchangelib.credentials import BaseOAuth2Credentials, OAuth2Credentials
from exchangelib.errors import TransportError, UnknownTimeZone
from exchangelib.protocol import BaseProtocol, CachingProtocol, FailFast
from exchangelib.transport import DEFAULT_HEADERS
from requests_oauthlib import OAuth2Session

from mailboxes.provider.ews.transport import GuardedAdapter, Reach

# -- sessions ---------------------------------------------------------------------------------------------------------


class RepairedProtocol(BaseProtocol):  # type: ignore[misc]  # exchangelib has no types
    """The session of one thread for one server and sign-in: it cannot be lost, waited for, or sent elsewhere.

    - There is one session and no pool. Upstream's pool loses a session's place when its replacement cannot be made (the
      token service is down) or a job's time limit strikes at the wrong moment, and then waits for it for ever.
    - A session that is given up is not replaced on the spot: the next caller makes it, and gets the error if there is
      one.
    - A token stays when a session is given up; upstream throws it away and asks for another at every HTTP error.
    - It is not in upstream's cache, which is never emptied and takes the first configuration for all later ones.
    - Proxies are looked up once, not at every request; redirects are refused, also those of a token service.
    """

    TIMEOUT = (5, 30)  # seconds to connect, and between two pieces of an answer
    USERAGENT = "crmsync"

    def __init__(self, config: Configuration, reach: Reach) -> None:
        self._session: Any = None
        super().__init__(config=config)
        self._reach = reach

    def get_session(self) -> Any:
        """Return the session, made if there is none; raises what signing in for a token raises."""
        if self._session is None:
            self._session = self.create_session()
        self._session.usage_count += 1
        return self._session

    def release_session(self, session: requests.Session) -> None:
        """Keep the session for the next caller."""
        self._session = session

    def retire_session(self, session: requests.Session) -> None:
        """Give up the session; the next caller makes a new one."""
        self._session = None
        session.close()

    def renew_session(self, session: requests.Session) -> Any:
        """Replace the session."""
        self.retire_session(session)
        return self.get_session()

    def refresh_credentials(self, session: requests.Session) -> Any:
        """Replace a session whose token expired by one with a new token."""
        self.forget_token()
        return self.renew_session(session)

    def close(self) -> None:
        """Close the connection."""
        if self._session is not None:
            self.retire_session(self._session)

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
