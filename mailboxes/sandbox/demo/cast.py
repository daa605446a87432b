"""Who appears in the demo: one source for the mail, and for the CRM records beside it.

Everything here is plain data. The mail refers to people by `key`; the demo's accounts,
contacts, leads, opportunities and cases are made from the same rows, so that addresses
in messages and addresses in records cannot drift apart. All names are invented, all
domains end in `.example` (RFC 2606).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Tracking = Literal["all", "replies", "records", "enabled", "none"]


@dataclass(frozen=True, slots=True)
class Company:
    """An organisation; `own` marks ours, every other one is a CRM account."""

    key: str
    name: str
    domain: str
    street: str
    city: str
    country: str
    own: bool = False


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who writes or receives mail.

    `name` is in Latin letters, for records; `written` is the display name on their mail.
    `company` is a `Company.key`, or the plain name of an organisation that is no account.
    `kind` says which CRM record the person has; `zone` is an IANA time zone.
    """

    key: str
    name: str
    address: str
    company: str
    title: str
    role: Literal["internal", "external"]
    kind: Literal["colleague", "contact", "lead"]
    language: str
    zone: str
    written: str = ""
    phone: str = ""

    @property
    def display(self) -> str:
        """The display name as it stands in a From header."""
        return self.written or self.name

    @property
    def domain(self) -> str:
        """The part of the address behind the @."""
        return self.address.rpartition("@")[2]


@dataclass(frozen=True, slots=True)
class DemoMailbox:
    """A sandbox mailbox, with the tracking option that the demo gives it.

    `owner` is a user name; `language` (en, de, ca) is that of its folders' names.
    """

    address: str
    name: str
    tracking: Tracking
    owner: str
    language: str


@dataclass(frozen=True, slots=True)
class Opportunity:
    """A sale in progress: `account` is a `Company.key` or "", `contact` a `Person.key`."""

    key: str
    title: str
    account: str
    contact: str
    owner: str
    stage: Literal["qualify", "propose", "negotiate", "won", "lost"]
    amount_eur: int


@dataclass(frozen=True, slots=True)
class Case:
    """A customer's problem: `account` is a `Company.key`, `contact` a `Person.key`."""

    key: str
    title: str
    account: str
    contact: str
    owner: str
    state: Literal["open", "waiting", "resolved"]


companies: tuple[Company, ...] = (
    Company("turia", "Turia Instruments", "turia.example", "Carrer del Molí 18", "València",
            "Spain", own=True),
    Company("nordwerk", "Nordwerk Wasser", "nordwerk.example", "Am Klärbecken 4", "Lübeck",
            "Germany"),
    Company("aozora", "Aozora Brewing", "aozora.example", "2-7-1 Kawabata", "Kyoto", "Japan"),
)  # fmt: skip

_MADRID = "Europe/Madrid"

people: tuple[Person, ...] = (
    Person("marta", "Marta Ferrer", "marta.ferrer@turia.example", "turia", "Head of Sales",
           "internal", "colleague", "ca", _MADRID, phone="+34 900 555 011"),
    Person("joan", "Joan Ribelles i Peiró", "joan.ribelles@turia.example", "turia",
           "Account Manager", "internal", "colleague", "ca", _MADRID),
    Person("helena", "Helena Brandt", "helena.brandt@turia.example", "turia",
           "Sales Engineer, Central Europe", "internal", "colleague", "de", "Europe/Berlin"),
    Person("tomas", "Tomàs Vidal", "tomas.vidal@turia.example", "turia", "Support Lead",
           "internal", "colleague", "ca", _MADRID),
    Person("aiko", "Aiko Morita", "aiko.morita@turia.example", "turia", "Export Manager, Asia",
           "internal", "colleague", "ja", _MADRID, written="森田 愛子 (Aiko Morita)"),
    Person("samir", "Samir Haddad", "samir.haddad@turia.example", "turia", "Field Engineer",
           "internal", "colleague", "en", _MADRID),
    Person("nuria", "Núria Pons", "nuria.pons@turia.example", "turia", "Finance and Personnel",
           "internal", "colleague", "ca", _MADRID),
    Person("pau", "Pau Escrivà", "pau.escriva@turia.example", "turia", "Junior Support Engineer",
           "internal", "colleague", "ca", _MADRID),
    Person("support", "Turia Support", "support@turia.example", "turia", "Shared mailbox",
           "internal", "colleague", "en", _MADRID),
    Person("koehler", "Jürgen Köhler", "juergen.koehler@nordwerk.example", "nordwerk",
           "Head of Procurement", "external", "contact", "de", "Europe/Berlin",
           written="Köhler, Jürgen", phone="+49 30 5550 120"),
    Person("anke", "Anke Sommer", "anke.sommer@nordwerk.example", "nordwerk",
           "Laboratory Manager", "external", "contact", "de", "Europe/Berlin"),
    Person("timo", "Timo Wendt", "rechnung@nordwerk.example", "nordwerk", "Accounts Payable",
           "external", "contact", "de", "Europe/Berlin"),
    Person("arata", "Kenji Aratani", "k.aratani@aozora.example", "aozora", "Head Brewer",
           "external", "contact", "ja", "Asia/Tokyo", written="荒谷 健二"),
    Person("sakura", "Sakura Mizuno", "s.mizuno@aozora.example", "aozora", "Quality Manager",
           "external", "contact", "ja", "Asia/Tokyo", written="水野 さくら"),
    Person("eleni", "Eleni Vasilaki", "eleni@halia-olives.example", "Halia Olive Cooperative",
           "Mill Manager", "external", "lead", "el", "Europe/Athens", written="Ελένη Βασιλάκη"),
    Person("omar", "Omar Nasser", "omar.nasser@wadi-labs.example", "Wadi Labs",
           "Managing Partner", "external", "lead", "ar", "Asia/Amman", written="عمر ناصر"),
    Person("pere", "Pere Casals", "pere@estudicasals.example", "Estudi Casals",
           "Hydrologist", "external", "lead", "ca", _MADRID, written="Pere Casals i Güell"),
    Person("olga", "Olga Sirotina", "sirotina@sever-optics.example", "Sever Optics",
           "Export Desk", "external", "contact", "ru", "Europe/Riga", written="Ольга Сиротина"),
)  # fmt: skip

mailboxes: tuple[DemoMailbox, ...] = (
    DemoMailbox("marta.ferrer@turia.example", "Marta Ferrer", "all", "marta", "ca"),
    DemoMailbox("joan.ribelles@turia.example", "Joan Ribelles i Peiró", "records", "joan", "ca"),
    DemoMailbox("helena.brandt@turia.example", "Helena Brandt", "all", "helena", "de"),
    DemoMailbox("tomas.vidal@turia.example", "Tomàs Vidal", "replies", "tomas", "ca"),
    DemoMailbox("aiko.morita@turia.example", "Aiko Morita", "records", "aiko", "en"),
    DemoMailbox("samir.haddad@turia.example", "Samir Haddad", "enabled", "samir", "en"),
    DemoMailbox("nuria.pons@turia.example", "Núria Pons", "none", "nuria", "ca"),
    DemoMailbox("pau.escriva@turia.example", "Pau Escrivà", "replies", "pau", "ca"),
    DemoMailbox("support@turia.example", "Turia Support", "all", "tomas", "en"),
)

opportunities: tuple[Opportunity, ...] = (
    Opportunity("probes", "24 turbidity probes for Lübeck North", "nordwerk", "koehler",
                "marta", "negotiate", 61_800),
    Opportunity("renewal", "Service contract, third year", "nordwerk", "anke", "joan",
                "propose", 14_400),
    Opportunity("kyoto-two", "Second filling line, oxygen and turbidity", "aozora", "sakura",
                "aiko", "qualify", 38_500),
    Opportunity("halia", "Pilot at the Halia mill", "", "eleni", "joan", "qualify", 4_900),
    Opportunity("wadi", "Distribution by Wadi Labs", "", "omar", "marta", "qualify", 120_000),
    Opportunity("wells", "Nitrate network of forty village wells", "", "pere", "joan",
                "propose", 52_300),
)  # fmt: skip

cases: tuple[Case, ...] = (
    Case("broken-case", "Analyser arrived with a cracked flow cell", "aozora", "sakura",
         "tomas", "resolved"),
    Case("drift", "Probe 7 drifts after cleaning", "nordwerk", "anke", "tomas", "waiting"),
    Case("gateway", "Gateway loses its clock after a power cut", "nordwerk", "anke", "samir",
         "open"),
    Case("export", "CSV export uses the wrong decimal sign", "aozora", "arata", "pau", "open"),
)  # fmt: skip

people_by_key: dict[str, Person] = {person.key: person for person in people}
mailbox_addresses: frozenset[str] = frozenset(mailbox.address for mailbox in mailboxes)
