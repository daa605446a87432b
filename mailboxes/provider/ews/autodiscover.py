"""Finding the EWS address of a mailbox. Done once, when a server is connected; the address is then kept.

The applications of Exchange Online cannot use autodiscover, and need not: there is one address for all.
"""

from datetime import UTC, datetime

from exchangelib.autodiscover.discovery import Autodiscovery
from exchangelib.credentials import Credentials
from exchangelib.protocol import CachingProtocol

from mailboxes.provider.errors import Misconfigured
from mailboxes.provider.ews import repairs
from mailboxes.provider.ews.errors import LOW_LEVEL, translate

ONLINE = "https://outlook.office365.com/EWS/Exchange.asmx"


def discover(address: str, *, auth: str, username: str, secret: str) -> str:
    """Return the EWS address for the mailbox `address`; raises `ProviderError` (autodiscover_failed, …)."""
    if auth == "oauth":
        return ONLINE
    repairs.apply()
    repairs.private_autodiscover_cache()
    try:
        found, _protocol = Autodiscovery(email=address, credentials=Credentials(username, secret)).discover()
        url = str(found.ews_url or "")
    except LOW_LEVEL as error:
        # Upstream swallows every reason on the way; what is left is that nothing was found.
        translated = translate(error, datetime.now(UTC))
        raise Misconfigured(translated.detail, code="autodiscover_failed") from error
    finally:
        CachingProtocol.clear_cache()
    if not url:
        raise Misconfigured("autodiscover answered without an EWS address", code="autodiscover_failed")
    return url
