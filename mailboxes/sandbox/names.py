"""The folders every mailbox is born with, and their names in the languages the sandbox knows.

Exchange names a mailbox's own folders in the language of its first sign-in. Programs that look for
"Inbox" by name break on such a mailbox, so the sandbox can make one; only the distinguished id
(left column) is the same everywhere.
"""

from typing import Final, NamedTuple


class BornFolder(NamedTuple):
    """A folder that exists from the start: distinguished id, its parent's, class."""

    distinguished: str
    parent: str
    folder_class: str


MAIL: Final = "IPF.Note"
CALENDAR: Final = "IPF.Appointment"
CONTACTS: Final = "IPF.Contact"
TASKS: Final = "IPF.Task"

BORN: Final = (
    BornFolder("root", "", ""),
    BornFolder("msgfolderroot", "root", MAIL),
    BornFolder("inbox", "msgfolderroot", MAIL),
    BornFolder("drafts", "msgfolderroot", MAIL),
    BornFolder("sentitems", "msgfolderroot", MAIL),
    BornFolder("deleteditems", "msgfolderroot", MAIL),
    BornFolder("outbox", "msgfolderroot", MAIL),
    BornFolder("junkemail", "msgfolderroot", MAIL),
    BornFolder("calendar", "msgfolderroot", CALENDAR),
    BornFolder("contacts", "msgfolderroot", CONTACTS),
    BornFolder("tasks", "msgfolderroot", TASKS),
    BornFolder("notes", "msgfolderroot", "IPF.StickyNote"),
    BornFolder("journal", "msgfolderroot", "IPF.Journal"),
    BornFolder("recoverableitemsroot", "root", ""),
    BornFolder("recoverableitemsdeletions", "recoverableitemsroot", ""),
)

_ENGLISH: Final = {
    "root": "Root",
    "msgfolderroot": "Top of Information Store",
    "inbox": "Inbox",
    "drafts": "Drafts",
    "sentitems": "Sent Items",
    "deleteditems": "Deleted Items",
    "outbox": "Outbox",
    "junkemail": "Junk Email",
    "calendar": "Calendar",
    "contacts": "Contacts",
    "tasks": "Tasks",
    "notes": "Notes",
    "journal": "Journal",
    "recoverableitemsroot": "Recoverable Items",
    "recoverableitemsdeletions": "Deletions",
}

NAMES: Final = {
    "en": _ENGLISH,
    "de": _ENGLISH
    | {
        "msgfolderroot": "Oberste Ebene des Informationsspeichers",
        "inbox": "Posteingang",
        "drafts": "Entwürfe",
        "sentitems": "Gesendete Elemente",
        "deleteditems": "Gelöschte Elemente",
        "outbox": "Postausgang",
        "junkemail": "Junk-E-Mail",
        "calendar": "Kalender",
        "contacts": "Kontakte",
        "tasks": "Aufgaben",
        "notes": "Notizen",
    },
    "ca": _ENGLISH
    | {
        "msgfolderroot": "Part superior del magatzem d'informació",
        "inbox": "Safata d'entrada",
        "drafts": "Esborranys",
        "sentitems": "Elements enviats",
        "deleteditems": "Elements suprimits",
        "outbox": "Safata de sortida",
        "junkemail": "Correu brossa",
        "calendar": "Calendari",
        "contacts": "Contactes",
        "tasks": "Tasques",
        "notes": "Notes",
        "journal": "Diari",
    },
}


def folder_names(language: str) -> dict[str, str]:
    """Return distinguished id → display name. Raises ValueError for a language we do not know."""
    if language not in NAMES:
        raise ValueError(f"no folder names for language {language!r}, known are {', '.join(sorted(NAMES))}")
    return NAMES[language]
