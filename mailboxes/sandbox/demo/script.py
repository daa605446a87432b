"""Reads the authored stories: mail as an author wants to write it, not as it travels.

One file in `stories/` is one story, made of letters:

    === offer                       the letter's key, unique over all stories
    from: koehler                   a `Person.key`; so are to, cc and bcc (comma between)
    to: helena, marta
    when: 29 10:15                  29 working days ago at 10:15 of the sender's own zone;
                                    `+3 10:00` lies ahead, `25m` and `3h` are just past
    subject: Tender 24-117          left out in a reply: taken from the letter answered
    re: enquiry                     the letter answered; `fw: enquiry` the one forwarded
    attach: pdf | Offer.pdf | text  kind, file name, text; may be repeated

    The body, up to the next `===`.

Other fields: `charset`, `transfer` (quoted-printable, base64, 7bit, 8bit), `inline`
(names of pictures drawn into the HTML), `invite` (see `diary.Meeting`), `header` (a raw
extra header, may be repeated), `folder` (`joan=inbox/Nordwerk`), `as` (comma between:
`flowed`, `html` beside plain text, `htmlonly`, `noquote`, `loose`: without reply headers).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

STORIES = Path(__file__).with_name("stories")

_HOME = ZoneInfo("Europe/Madrid")

_REPEATED = {"attach", "header", "folder"}
_FIELDS = _REPEATED | {
    "from", "to", "cc", "bcc", "when", "subject", "re", "fw", "charset", "transfer",
    "inline", "invite", "as",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """One authored message; the fields are those of the module's docstring."""

    key: str
    sender: str
    to: tuple[str, ...]
    when: str
    body: str
    cc: tuple[str, ...] = ()
    bcc: tuple[str, ...] = ()
    subject: str = ""
    answers: str = ""
    forwards: str = ""
    charset: str = "utf-8"
    transfer: str = ""
    inline: tuple[str, ...] = ()
    attach: tuple[str, ...] = ()
    invite: str = ""
    headers: tuple[str, ...] = ()
    folders: Mapping[str, str]
    traits: frozenset[str] = frozenset()

    @property
    def parent(self) -> str:
        """The key of the letter answered or forwarded, or ""."""
        return self.answers or self.forwards


def read_stories(folder: Path = STORIES) -> dict[str, Letter]:
    """All letters by key, files in the order of their names.

    Raises ValueError, naming file and letter, for an unknown field, a key used twice or
    an answer to a letter that does not exist.
    """
    letters: dict[str, Letter] = {}
    for path in sorted(folder.glob("*.txt")):
        for letter in parse_story(path.read_text(encoding="utf-8"), path.name):
            if letter.key in letters:
                raise ValueError(f"{path.name}: the letter {letter.key!r} exists twice")
            letters[letter.key] = letter
    for letter in letters.values():
        if letter.parent and letter.parent not in letters:
            raise ValueError(f"{letter.key}: there is no letter {letter.parent!r} to refer to")
    return letters


def parse_story(text: str, name: str) -> Iterator[Letter]:
    """The letters of one story; text before the first `===` is a remark to the reader."""
    for block in ("\n" + text).split("\n=== ")[1:]:
        key, _, rest = block.partition("\n")
        head, _, body = rest.partition("\n\n")
        yield _letter(key.strip(), head, body.strip("\n"), name)


def _letter(key: str, head: str, body: str, name: str) -> Letter:
    single: dict[str, str] = {}
    repeated: dict[str, list[str]] = {field: [] for field in _REPEATED}
    for line in head.splitlines():
        field, colon, value = line.partition(":")
        if not colon or field not in _FIELDS:
            raise ValueError(f"{name}: letter {key!r} has an unknown line {line!r}")
        if field in _REPEATED:
            repeated[field].append(value.strip())
        else:
            single[field] = value.strip()
    return Letter(
        key=key,
        sender=single["from"],
        to=_names(single.get("to", "")),
        cc=_names(single.get("cc", "")),
        bcc=_names(single.get("bcc", "")),
        when=single["when"],
        subject=single.get("subject", ""),
        answers=single.get("re", ""),
        forwards=single.get("fw", ""),
        charset=single.get("charset", "utf-8"),
        transfer=single.get("transfer", ""),
        inline=_names(single.get("inline", "")),
        attach=tuple(repeated["attach"]),
        invite=single.get("invite", ""),
        headers=tuple(repeated["header"]),
        folders=dict(pair.split("=", 1) for pair in repeated["folder"]),
        traits=frozenset(_names(single.get("as", ""))),
        body=body,
    )


def _names(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def moment(when: str, zone: str, now: datetime) -> datetime:
    """The aware UTC time that `when` means at `now`, as the module's docstring says.

    Counted in working days, so that business mail never falls on a weekend and an
    earlier `when` is always an earlier time. Which day it is now is asked in one zone for
    all: else a thread between València and Kyoto would change its order at night.
    """
    if when.endswith(("m", "h")):
        unit = timedelta(minutes=1) if when.endswith("m") else timedelta(hours=1)
        return (now - int(when[:-1]) * unit).astimezone(UTC).replace(microsecond=0)
    days, clock = when.split()
    hour, minute = (int(part) for part in clock.split(":"))
    day = now.astimezone(_HOME).date()
    step = timedelta(days=1 if days.startswith("+") else -1)
    left = abs(int(days))
    while left:
        day += step
        if day.weekday() < 5:
            left -= 1
    return datetime.combine(day, time(hour, minute), ZoneInfo(zone)).astimezone(UTC)
