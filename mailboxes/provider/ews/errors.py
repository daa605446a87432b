"""From whatever goes wrong below to the errors of the port: one table for EWS codes, one function for all the rest.

Codes are looked up as strings: exchangelib knows 380 of the 458 that Microsoft lists, and none that a later server
will invent. What the low levels hide is found at the root of the chain of causes.
"""

import socket
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http.client import IncompleteRead
from typing import Final, NamedTuple
from urllib.parse import urlsplit

import requests
from exchangelib.errors import AutoDiscoverError, EWSError, RedirectError
from oauthlib.oauth2 import OAuth2Error
from urllib3.exceptions import HTTPError as Urllib3Error
from urllib3.exceptions import NameResolutionError, NewConnectionError, ProtocolError, ProxyError, ReadTimeoutError

from mailboxes.provider.errors import (
    AccessRefused,
    AnswerUnreadable,
    AuthRejected,
    ChangedMeanwhile,
    CursorExpired,
    FolderGone,
    ItemGone,
    ItemUnreadable,
    MailboxGone,
    Misconfigured,
    ProviderError,
    Scope,
    Throttled,
    Unavailable,
    WriteRefused,
)
from mailboxes.provider.ews.repairs import HttpError
from mailboxes.provider.ews.soap import NotAnAnswer, Refusal
from mailboxes.provider.ews.transport import EgressRefused

# What a call to the layers below may raise, and nothing else: a job's time limit or a defect of ours passes through.
LOW_LEVEL: Final = (
    EWSError,
    OAuth2Error,
    requests.RequestException,
    Urllib3Error,
    ssl.SSLError,
    OSError,
    EgressRefused,
    NotAnAnswer,
    Refusal,
)

_ONLINE_HOSTS: Final = ("outlook.office365.com", "outlook.office.com", "outlook.office365.us", "partner.outlook.cn")
_LONGEST_WAIT: Final = timedelta(days=1)


class _Row(NamedTuple):
    error: type[ProviderError]
    code: str
    scope: Scope | None = None


def _rows(row: _Row, *codes: str) -> dict[str, _Row]:
    return dict.fromkeys(codes, row)


# fmt: off
CODES: Final[dict[str, _Row]] = {
    **_rows(_Row(Throttled, "server_busy"), "ErrorServerBusy", "ErrorExceededMessageLimit"),
    **_rows(_Row(Throttled, "too_many_connections", Scope.CREDENTIAL), "ErrorExceededConnectionCount"),
    **_rows(_Row(Throttled, "too_many_subscriptions"), "ErrorExceededSubscriptionCount"),
    **_rows(
        _Row(Unavailable, "server_unavailable"),
        "ErrorConnectionFailed", "ErrorMailboxStoreUnavailable", "ErrorADUnavailable", "ErrorADOperation",
        "ErrorADSessionFilter", "ErrorInsufficientResources", "ErrorNotEnoughMemory", "ErrorInternalServerTransientError",
        "ErrorTooManyObjectsOpened", "ErrorMessageTrackingTransientError",
        "ErrorProxyCallFailed", "ErrorConnectionFailedTransientError", "ErrorBatchProcessingStopped", "ErrorClientDisconnected",
    ),
    **_rows(_Row(Unavailable, "server_error"), "ErrorInternalServerError"),
    **_rows(_Row(Unavailable, "timed_out"), "ErrorTimeoutExpired"),
    **_rows(
        _Row(Unavailable, "mailbox_moving", Scope.MAILBOX),
        "ErrorMailboxMoveInProgress", "ErrorMailboxFailover", "ErrorCrossSiteRequest", "ErrorProxyRequestNotAllowed",
        "ErrorProxyServiceDiscoveryFailed", "ErrorWrongServerVersionDelegate",
    ),
    **_rows(_Row(AuthRejected, "account_disabled"), "ErrorAccountDisabled"),
    **_rows(_Row(AuthRejected, "password_expired"), "ErrorPasswordExpired", "ErrorPasswordChangeRequired"),
    **_rows(_Row(AuthRejected, "sign_in_refused"), "ErrorInvalidNetworkServiceContext", "ErrorInvalidClientAccessTokenRequest"),
    **_rows(_Row(AuthRejected, "account_locked"), "ErrorAccountLocked"),
    **_rows(
        _Row(AccessRefused, "impersonation_refused"),
        "ErrorImpersonateUserDenied", "ErrorImpersonationDenied", "ErrorImpersonationFailed",
    ),
    **_rows(_Row(AccessRefused, "ews_ended_online", Scope.SERVER), "ErrorOrganizationAccessBlocked"),
    **_rows(_Row(AccessRefused, "access_refused"), "ErrorAccessDenied", "ErrorDelegateNoUser", "ErrorNotDelegate"),
    **_rows(
        _Row(Misconfigured, "access_type_wrong", Scope.CREDENTIAL),
        "ErrorInvalidExchangeImpersonationHeaderData", "ErrorExchangeImpersonationHeaderMissing",
        "ErrorImpersonationNotSupported",
    ),
    **_rows(
        _Row(MailboxGone, "mailbox_unknown"),
        "ErrorNonExistentMailbox", "ErrorMissingEmailAddress", "ErrorInvalidSmtpAddress", "ErrorMailboxConfiguration",
        "ErrorInvalidLicense", "ErrorMissingInformationEmailAddress", "ErrorInvalidMailbox", "ErrorMailRecipientNotFound",
    ),
    **_rows(_Row(MailboxGone, "not_primary_address"), "ErrorNonPrimarySmtpAddress"),
    **_rows(_Row(MailboxGone, "mailbox_full"), "ErrorQuotaExceeded"),
    **_rows(
        _Row(FolderGone, "folder_gone"),
        "ErrorFolderNotFound", "ErrorSyncFolderNotFound", "ErrorParentFolderNotFound", "ErrorFolderCorrupt",
        "ErrorFolderPropertyRequestFailed", "ErrorCannotUseFolderIdForItemId",
    ),
    **_rows(
        _Row(CursorExpired, "cursor_expired"),
        "ErrorInvalidSyncStateData", "ErrorSyncStateDataInvalid", "ErrorInvalidSyncFolderId",
    ),
    **_rows(
        _Row(ItemGone, "item_gone"),
        "ErrorItemNotFound", "ErrorAttachmentNotFound", "ErrorInvalidIdNotAnItemAttachmentId",
        "ErrorCalendarOccurrenceIsDeletedFromRecurrence", "ErrorCalendarOccurrenceIndexIsOutOfRecurrenceRange",
    ),
    **_rows(
        _Row(ItemUnreadable, "item_unreadable"),
        "ErrorItemCorrupt", "ErrorCorruptData", "ErrorMimeContentConversionFailed", "ErrorContentConversionFailed",
        "ErrorItemSavePropertyError", "ErrorItemSave", "ErrorInvalidPropertySet", "ErrorMimeContentInvalid",
        "ErrorInvalidId", "ErrorInvalidIdMalformed", "ErrorInvalidIdEmpty", "ErrorInvalidIdXml", "ErrorInvalidItemId",
        "ErrorInvalidIdMalformedEwsLegacyIdFormat", "ErrorMessageSizeExceeded", "ErrorDataSizeLimitExceeded",
        "ErrorInvalidIdMonikerTooLong", "ErrorInvalidIdStoreObjectIdTooLong", "ErrorCannotOpenFileAttachment",
        "ErrorInvalidAttachmentId", "ErrorAttachmentSizeLimitExceeded", "ErrorVirusDetected", "ErrorVirusMessageDeleted",
        "ErrorRightsManagementException", "ErrorCalendarOutOfRange",
    ),
    **_rows(
        _Row(ChangedMeanwhile, "item_conflict"),
        "ErrorIrresolvableConflict", "ErrorStaleObject", "ErrorInvalidChangeKey", "ErrorChangeKeyRequired",
        "ErrorChangeKeyRequiredForWriteOperations",
    ),
    **_rows(_Row(WriteRefused, "recipients_refused"), "ErrorInvalidRecipients", "ErrorInvalidRecipientSubfilter"),
    **_rows(_Row(WriteRefused, "send_as_denied"), "ErrorSendAsDenied", "ErrorSendOnBehalfOfDenied"),
    **_rows(
        _Row(Misconfigured, "version_refused"),
        "ErrorInvalidSchemaVersionForMailboxVersion", "ErrorInvalidServerVersion", "ErrorIncorrectSchemaVersion",
        "ErrorWrongServerVersion",
    ),
    **_rows(
        _Row(AnswerUnreadable, "request_refused"),
        "ErrorSchemaValidation", "ErrorInvalidRequest", "ErrorInvalidOperation", "ErrorInvalidPropertyRequest",
        "ErrorInvalidArgument", "ErrorUnsupportedPathForQuery",
    ),
}
# fmt: on

# The server knows the operation but not one of the properties asked for: asked again without the optional ones.
PROPERTY_REFUSED: Final = frozenset({"ErrorInvalidRequest", "ErrorInvalidPropertyRequest", "ErrorSchemaValidation"})
VERSION_REFUSED: Final = frozenset(code for code, row in CODES.items() if row.code == "version_refused")
# Said of one item among many, these are about the item; said of the whole request, about the server.
_OF_ONE_ITEM: Final = frozenset(
    {
        "ErrorInternalServerError",
        "ErrorAccessDenied",
        "ErrorInvalidOperation",
        "ErrorInvalidPropertyRequest",
        "ErrorTimeoutExpired",
    }
)
# Said of a request that writes, these mean what is written, or the one item that it is written on.
_OF_WHAT_IS_WRITTEN: Final = frozenset({"item_unreadable", "request_refused", "access_refused"})


def translate(error: BaseException, now: datetime) -> ProviderError:
    """Return our error for one of `LOW_LEVEL`; `now` (aware UTC) is what waits are counted from."""
    if isinstance(error, Refusal):
        return _refused(error, now)
    if isinstance(error, NotAnAnswer):
        return Misconfigured(str(error), code="answer_is_web_page") if error.page else AnswerUnreadable(str(error))
    for each in _chain(error):
        found = _known(each, now)
        if found is not None:
            return found
    return Unavailable(_detail(error), code="unreachable")


def of_item(refusal: Refusal) -> ItemUnreadable | None:
    """Return the error of one item, None when the refusal is about more than the item and must be raised."""
    row = CODES.get(refusal.code)
    if row is not None and issubclass(row.error, ItemUnreadable):
        return row.error(str(refusal), code=row.code)
    if row is None or refusal.code in _OF_ONE_ITEM:
        return ItemUnreadable(str(refusal))
    return None


def of_write(refusal: Refusal, now: datetime) -> ProviderError:
    """Return the error of a request that writes one item: what is not known to be about more is about the item."""
    row = CODES.get(refusal.code)
    if row is None or row.code in _OF_WHAT_IS_WRITTEN:
        return WriteRefused(str(refusal))
    return translate(refusal, now)


def dropped_before_answer(error: BaseException) -> bool:
    """Return whether the connection ended before anything was answered, as one that was idle too long does."""
    chain = list(_chain(error))
    cut_off = any(isinstance(each, requests.exceptions.ChunkedEncodingError) for each in chain)
    return not cut_off and any(isinstance(each, ConnectionResetError | BrokenPipeError) for each in chain)


def _refused(refusal: Refusal, now: datetime) -> ProviderError:
    row = CODES.get(refusal.code)
    if row is None:
        # An unknown code of a whole request: most likely the server's own trouble, and it heals or is seen.
        return Unavailable(str(refusal), code="server_unavailable")
    if issubclass(row.error, Throttled):
        retry_at = None if refusal.back_off is None else now + min(refusal.back_off, _LONGEST_WAIT)
        return Throttled(str(refusal), retry_at=retry_at, code=row.code, scope=row.scope)
    return row.error(str(refusal), code=row.code, scope=row.scope)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield the error and what led to it, deepest first: the root says more than what was made of it."""
    found: list[BaseException] = []
    waiting: list[object] = [error]
    while waiting:
        each = waiting.pop(0)
        if isinstance(each, BaseException) and each not in found:
            found.append(each)
            # requests and urllib3 keep the cause among the arguments or as `reason`.
            waiting += [each.__cause__, each.__context__, getattr(each, "reason", None), *each.args]
    return reversed(found)


# The first row that fits is taken. `http.client` and requests_ntlm have their errors among these (ConnectionError,
# PermissionError: the server did not answer NTLM with its challenge).
_LOW: Final[tuple[tuple[tuple[type[BaseException], ...], _Row], ...]] = (
    ((EgressRefused,), _Row(Misconfigured, "egress_refused")),
    ((ssl.SSLCertVerificationError,), _Row(Misconfigured, "certificate_untrusted")),
    ((RedirectError,), _Row(Misconfigured, "redirected")),
    ((AutoDiscoverError,), _Row(Misconfigured, "autodiscover_failed")),
    ((ProxyError, requests.exceptions.ProxyError), _Row(Misconfigured, "proxy_refused")),
    ((NameResolutionError, socket.gaierror), _Row(Unavailable, "name_unresolved")),
    ((ConnectionRefusedError,), _Row(Unavailable, "connection_refused")),
    ((TimeoutError, requests.Timeout, ReadTimeoutError), _Row(Unavailable, "timed_out")),
    ((ssl.SSLError,), _Row(Misconfigured, "tls_failed")),
    ((NewConnectionError,), _Row(Unavailable, "unreachable")),
    (
        (ConnectionError, IncompleteRead, ProtocolError, requests.exceptions.ChunkedEncodingError),
        _Row(Unavailable, "connection_lost"),
    ),
    ((PermissionError,), _Row(Misconfigured, "sign_in_method", Scope.CREDENTIAL)),
)


def _known(error: BaseException, now: datetime) -> ProviderError | None:
    if isinstance(error, HttpError):
        return _http(error, now)
    if isinstance(error, OAuth2Error):
        return _oauth(error)
    row = next((row for kinds, row in _LOW if isinstance(error, kinds)), None)
    if row is None and isinstance(error, EWSError):
        # exchangelib names its classes after the codes, and raises some of them on its own account.
        row = CODES.get(type(error).__name__)
    return None if row is None else row.error(_detail(error), code=row.code, scope=row.scope)


_STATUS: Final[dict[int, _Row]] = {
    400: _Row(AnswerUnreadable, "request_refused"),
    403: _Row(AccessRefused, "ews_forbidden"),
    404: _Row(Misconfigured, "no_ews_here"),
    405: _Row(Misconfigured, "no_ews_here"),
    407: _Row(Misconfigured, "proxy_refused"),
    410: _Row(Misconfigured, "no_ews_here"),
    413: _Row(AnswerUnreadable, "request_refused"),
    456: _Row(AuthRejected, "account_disabled"),
    457: _Row(AuthRejected, "account_disabled"),
    500: _Row(Unavailable, "server_error"),
} | dict.fromkeys((301, 302, 303, 307, 308), _Row(Misconfigured, "redirected"))


def _http(error: HttpError, now: datetime) -> ProviderError:
    retry_at = _retry_at(error, now)
    if error.status == 429 or (error.status == 503 and retry_at is not None):
        return Throttled(str(error), retry_at=retry_at)
    row = _special(error) or _STATUS.get(error.status) or _Row(Unavailable, "server_unavailable")
    # A query may hold secrets: tickets, states of a sign-in.
    location = error.headers.get("Location", "").partition("?")[0]
    said = (error.headers.get("WWW-Authenticate"), location, error.headers.get("X-CasErrorCode"))
    return row.error(" ".join(filter(None, (str(error), *said)))[:500], code=row.code, scope=row.scope)


def _special(error: HttpError) -> _Row | None:
    """Return the row of an answer that says more than its status does."""
    host = (urlsplit(error.url or "").hostname or "").lower()
    if b"currently locked out" in error.body:
        return _Row(AuthRejected, "account_locked")
    if b"server version is invalid" in error.body:
        return _Row(Misconfigured, "version_refused")
    if error.status == 401:
        return _Row(AuthRejected, "sign_in_refused")
    if error.status == 403 and host in _ONLINE_HOSTS:
        return _Row(AccessRefused, "ews_ended_online", Scope.SERVER)
    if "genericerrorpage" in error.headers.get("Location", "").lower():
        return _Row(Unavailable, "server_unavailable")
    return None


def _retry_at(error: HttpError, now: datetime) -> datetime | None:
    """Return when to come back by the header Retry-After (RFC 9110, section 10.2.3): seconds, or a date."""
    value = error.headers.get("Retry-After", "").strip()
    if value.isdecimal():
        return now + min(timedelta(seconds=min(int(value[:9]), 10**8)), _LONGEST_WAIT)
    try:
        given = parsedate_to_datetime(value)
    except (TypeError, ValueError):
        return None
    given = given.replace(tzinfo=UTC) if given.tzinfo is None else given.astimezone(UTC)
    return min(max(given, now), now + _LONGEST_WAIT)


def _oauth(error: OAuth2Error) -> ProviderError:
    code = str(error.error or "")
    detail = f"{code}: {error.description or ''}".strip(": ")
    if code == "invalid_client":
        return AuthRejected(detail, code="app_secret_refused")
    if code in ("missing_token", "server_error", "temporarily_unavailable", "token_expired"):
        return Unavailable(detail, code="login_service_unavailable", scope=Scope.CREDENTIAL)
    return Misconfigured(detail, code="app_refused", scope=Scope.CREDENTIAL)


def _detail(error: BaseException) -> str:
    """Return a short text without the addresses of objects and without the URL's query, which may hold secrets."""
    text = str(error).partition("?")[0]
    return f"{type(error).__name__}: {text[:300]}" if text else type(error).__name__
