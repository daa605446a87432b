"""Testing a mailbox step by step, from the server's name to what moves its change counters.

The idea: each step is a verdict of its own with what to do about it, and a step is tried only when those before it held.
One attempt each, no retries: a refused sign-in ends the test at once, because repeated ones lock accounts. What is found
out (version, counters, folders) is stored, so that runs need not ask again.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from urllib.parse import urlsplit

from django.utils.translation import gettext as _

from mailboxes import intents
from mailboxes.catalogue import lookup
from mailboxes.connection import open_provider, sign_in_of
from mailboxes.counter_proof import prove
from mailboxes.models import Folder, Mailbox, ServerProfile
from mailboxes.provider.errors import Kind, ProviderError, Scope
from mailboxes.provider.ews import probe
from mailboxes.provider.ews.adapter import EwsProvider
from mailboxes.provider.ews.client import SignIn
from mailboxes.provider.port import FolderInfo, FolderRole
from mailboxes.states import WAITS_FOR_PERSON

FOLLOWED = (FolderRole.INBOX, FolderRole.SENT)
CERTIFICATE_NOTICE = timedelta(days=21)


class Verdict(StrEnum):
    """What came of a step."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    SKIPPED = "skipped"


class Name(StrEnum):
    """The steps, in their order."""

    ALLOWED = "allowed"
    RESOLUTION = "name_resolution"
    CONNECTION = "connection"
    TLS = "tls"
    SERVICE = "service"
    AUTHENTICATION = "authentication"
    MAILBOX = "mailbox"
    VERSION = "version"
    FOLDERS = "folders"
    RIGHTS = "rights"
    COUNTERS = "counters"


@dataclass(frozen=True, slots=True)
class Step:
    """One step: what was found, and what to do when that is not good. `code` is the catalogue's, empty when all is well."""

    name: Name
    verdict: Verdict
    sentence: str
    remedy: str = ""
    code: str = ""
    detail: str = ""


def check(mailbox: Mailbox, clock: Callable[[], datetime], pause: Callable[[float], None]) -> Iterator[Step]:
    """Yield a step for every `Name`, as they are done. `clock` returns aware UTC, `pause` waits some seconds."""
    test = _Test(mailbox, clock, pause)
    left = list(Name)
    for name, work in zip(Name, test.steps(), strict=True):
        left.remove(name)
        try:
            yield from work()
        except ProviderError as error:
            place = test.place_of(error, name)
            if place is not name:
                # The request that failed got further than this step: what failed is what a later step is about.
                yield Step(name, Verdict.OK, _("The sign-in was accepted."))
                left.remove(place)
            yield _failed(place, error, mailbox)
            for each in left:
                yield Step(each, Verdict.SKIPPED, _("Not tried, because an earlier step failed."))
            return


def prevents_sync(steps: Sequence[Step]) -> bool:
    """Return whether a step failed: what is only a warning does not keep a mailbox from syncing."""
    return any(step.verdict is Verdict.FAILED for step in steps)


def _failed(name: Name, error: ProviderError, mailbox: Mailbox) -> Step:
    entry = lookup(error.code)
    server = mailbox.server
    names = {
        "server": urlsplit(server.url).netloc or server.name,
        "account": mailbox.username or server.username,
        "application": server.username,
        "mailbox": mailbox.address,
    }
    return Step(
        name, Verdict.FAILED, entry.sentence.filled(**names), entry.remedy.filled(**names), error.code, error.detail
    )


@dataclass
class _Test:
    mailbox: Mailbox
    clock: Callable[[], datetime]
    pause: Callable[[float], None]
    sign_in: SignIn | None = None
    addresses: list[str] = field(default_factory=list)
    address: str = ""
    infos: list[FolderInfo] = field(default_factory=list)
    _provider: EwsProvider | None = None

    @property
    def server(self) -> ServerProfile:
        return self.mailbox.server

    @property
    def provider(self) -> EwsProvider:
        if self._provider is None:
            self._provider = open_provider(self.mailbox, self.clock)
        return self._provider

    @property
    def given(self) -> SignIn:
        assert self.sign_in is not None  # noqa: S101 -- told to the type checker: the first step has set it
        return self.sign_in

    def steps(self) -> tuple[Callable[[], Iterator[Step]], ...]:
        """Return the work of each `Name`, in its order."""
        return (
            self._allowed,
            self._resolution,
            self._connection,
            self._tls,
            self._service,
            self._authentication,
            self._mailbox,
            self._version,
            self._folders,
            self._rights,
            self._counters,
        )

    def place_of(self, error: ProviderError, name: Name) -> Name:
        """Return the step that an error is about: the first request signs in and opens the mailbox at once."""
        about_mailbox = error.kind in (Kind.AUTHORISATION, Kind.MAILBOX) and error.scope is Scope.MAILBOX
        return Name.MAILBOX if name is Name.AUTHENTICATION and about_mailbox else name

    # -- the way to the server

    def _allowed(self) -> Iterator[Step]:
        self.sign_in = sign_in_of(self.mailbox)
        yield Step(Name.ALLOWED, Verdict.OK, _("The host is on the list of hosts crmsync may contact."))

    def _resolution(self) -> Iterator[Step]:
        if probe.uses_proxy(self.given.url):
            yield Step(Name.RESOLUTION, Verdict.SKIPPED, _("An outgoing proxy resolves the name."))
            return
        self.addresses = probe.resolve(self.given.url, self.given.reach)
        yield Step(Name.RESOLUTION, Verdict.OK, _("The name leads to %s.") % ", ".join(self.addresses))

    def _connection(self) -> Iterator[Step]:
        if not self.addresses:
            yield Step(Name.CONNECTION, Verdict.SKIPPED, _("An outgoing proxy makes the connection."))
            return
        self.address = probe.connect(self.given.url, self.addresses)
        yield Step(Name.CONNECTION, Verdict.OK, _("%s accepts connections.") % self.address)

    def _tls(self) -> Iterator[Step]:
        if urlsplit(self.given.url).scheme == "http":
            yield Step(
                Name.TLS,
                Verdict.WARNING,
                _("The connection is not encrypted: password and mail can be read on the way."),
                _("Use an address that begins with https://."),
            )
            return
        if not self.address:
            yield Step(Name.TLS, Verdict.SKIPPED, _("The certificate is checked with the first request."))
            return
        ends = probe.certificate_end(self.given.url, self.address, self.given.reach)
        if ends is not None and ends - self.clock() < CERTIFICATE_NOTICE:
            yield Step(
                Name.TLS, Verdict.WARNING, _("The certificate ends on %s.") % f"{ends:%Y-%m-%d}", _("Renew it in time.")
            )
            return
        yield Step(Name.TLS, Verdict.OK, _("The connection is encrypted and the certificate is trusted."))

    def _service(self) -> Iterator[Step]:
        offered = probe.offer(self.given.url, self.given.reach, self.mailbox.address)
        methods = ", ".join(offered.methods) or _("none")
        if offered.open:
            yield Step(
                Name.SERVICE,
                Verdict.WARNING,
                _("Exchange Web Services answer without any sign-in."),
                _("If this is no test server, switch off anonymous access."),
            )
        elif offered.includes(self.given.auth):
            yield Step(Name.SERVICE, Verdict.OK, _("Exchange Web Services are there; sign-in methods: %s.") % methods)
        else:
            # Behind some gateways the list is incomplete, so that only the sign-in itself can tell.
            entry = lookup("sign_in_method")
            yield Step(
                Name.SERVICE,
                Verdict.WARNING,
                _("The server does not list the method that is set (%(set)s); it lists: %(methods)s.")
                % {"set": self.given.auth, "methods": methods},
                str(entry.remedy),
                entry.code,
            )

    # -- signed in

    def _authentication(self) -> Iterator[Step]:
        self.infos = self.provider.well_known_folders()
        self._repaired()
        yield Step(Name.AUTHENTICATION, Verdict.OK, _("The sign-in was accepted."))

    def _repaired(self) -> None:
        """A person has made the sign-in work again: what waited for that goes on."""
        if not self.mailbox.username and self.server.stopped_at is not None:
            intents.server_repaired(self.server, self.clock())
        if self.mailbox.username and self.mailbox.state in WAITS_FOR_PERSON:
            intents.mailbox_repaired(self.mailbox, self.clock())

    def _mailbox(self) -> Iterator[Step]:
        yield Step(Name.MAILBOX, Verdict.OK, _("%s can be opened.") % self.mailbox.address)

    def _version(self) -> Iterator[Step]:
        facts = self.provider.facts
        self.server.build, self.server.api_version = facts.build[:40], facts.api_version[:40]
        self.server.tested_at = self.clock()
        self.server.save(update_fields=["build", "api_version", "tested_at"])
        if not facts.build:
            yield Step(Name.VERSION, Verdict.WARNING, _("The server does not say which version it is."))
            return
        spoken = {"build": facts.build, "version": facts.api_version}
        yield Step(Name.VERSION, Verdict.OK, _("Build %(build)s, spoken to as %(version)s.") % spoken)

    def _folders(self) -> Iterator[Step]:
        for info in self.infos:
            known = {"name": info.name[:400], "role": info.role.value, "total": info.total, "gone_at": None}
            Folder.objects.update_or_create(
                mailbox=self.mailbox,
                provider_id=info.id,
                defaults=known,
                create_defaults={**known, "followed": info.role in FOLLOWED},
            )
        found = {info.role: info for info in self.infos}
        named = ", ".join(f"{info.name} ({info.total if info.total is not None else '?'})" for info in self._followed())
        if FolderRole.SENT in found:
            yield Step(Name.FOLDERS, Verdict.OK, _("Found: %s.") % named)
        else:
            yield Step(
                Name.FOLDERS,
                Verdict.WARNING,
                _("Found: %s. There is no folder for sent mail.") % named,
                _("Mail that the owner sends cannot be tracked until there is one."),
            )

    def _followed(self) -> list[FolderInfo]:
        return [info for role in FOLLOWED for info in self.infos if info.role is role]

    def _rights(self) -> Iterator[Step]:
        for info in self._followed():
            try:
                self.provider.changes(info.id, None, 1)
            except ProviderError as error:
                if error.scope is not Scope.FOLDER or info.role is FolderRole.INBOX:
                    raise
                entry = lookup(error.code)
                yield Step(
                    Name.RIGHTS,
                    Verdict.WARNING,
                    entry.sentence.filled(folder=info.name),
                    entry.remedy.filled(folder=info.name),
                    error.code,
                    error.detail,
                )
                return
        yield Step(Name.RIGHTS, Verdict.OK, _("The followed folders can be read."))

    # -- change counters

    def _counters(self) -> Iterator[Step]:
        drafts = next((info for info in self.infos if info.role is FolderRole.DRAFTS), None)
        watched = drafts or self._followed()[0]
        if self.provider.counters([watched.id]).get(watched.id) is None:
            self._store(counters=False, facts={})
            yield Step(
                Name.COUNTERS,
                Verdict.WARNING,
                _("The server has no change counters: an idle run takes one request for each followed folder."),
                _("Nothing has to be done."),
            )
            return
        if drafts is None:
            self._store(counters=True, facts={})
            yield Step(
                Name.COUNTERS,
                Verdict.WARNING,
                _("There are change counters; without a folder for drafts they cannot be proven."),
            )
            return
        try:
            facts = prove(self.provider, drafts.id, self.pause)
        except ProviderError as error:
            # Reading does not need the right to write; the hourly full pass makes good what counters might miss.
            self._store(counters=True, facts={})
            yield Step(
                Name.COUNTERS,
                Verdict.WARNING,
                _("There are change counters; what moves them could not be proven, because no draft could be made."),
                _("Give the account the right to write drafts if you want to know."),
                error.code,
                error.detail,
            )
            return
        self._store(counters=facts["create"], facts=facts)
        yield _proven(facts)

    def _store(self, *, counters: bool, facts: dict[str, bool]) -> None:
        self.server.counters, self.server.counter_facts = counters, facts
        self.server.tested_at = self.clock()
        self.server.save(update_fields=["counters", "counter_facts", "tested_at"])


def _proven(facts: dict[str, bool]) -> Step:
    words = {"create": _("new items"), "change": _("changes"), "delete": _("deletions")}
    moved = ", ".join(words[each] for each, moves in facts.items() if moves)
    missed = ", ".join(words[each] for each, moves in facts.items() if not moves)
    if not missed:
        return Step(
            Name.COUNTERS, Verdict.OK, _("Change counters are moved by: %s. An idle run takes one request.") % moved
        )
    if not facts["create"]:
        return Step(
            Name.COUNTERS,
            Verdict.WARNING,
            _("The server's change counters do not move with new items; they are not used."),
            _("Nothing has to be done: an idle run takes one request for each followed folder."),
        )
    return Step(
        Name.COUNTERS,
        Verdict.WARNING,
        _("Change counters are moved by: %(moved)s; not by: %(missed)s.") % {"moved": moved, "missed": missed},
        _("Nothing has to be done: the hourly full pass finds the rest."),
    )
