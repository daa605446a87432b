"""Names of time zones: Exchange knows those of Windows, crmsync those of the tz database.

Several zones of the database share one of Windows, so the way there and back may end in another zone of the same rules
("Europe/Madrid" comes back as "Europe/Paris"). That is why the name is written on the item as well (`spans`).
"""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from tzlocal.windows_tz import tz_win, win_tz

UTC_NAME: Final = "UTC"
_UTC_IDS: Final = frozenset({"UTC", "tzone://Microsoft/Utc", "Etc/UTC", "Coordinated Universal Time"})
# Two zones that agree on these days of these years are taken for one.
_YEARS: Final = range(2010, 2031)


def zone(name: str) -> ZoneInfo | None:
    """Return the zone of the tz database with this name, None if there is none."""
    try:
        return ZoneInfo(name) if name else None
    except (ZoneInfoNotFoundError, ValueError, OSError):
        # OSError: the name is a directory of the database.
        return None


@lru_cache(maxsize=1024)
def windows_name(name: str) -> str:
    """Return Windows' name of a zone; of one without, that of a zone with the same rules; "UTC" if there is none."""
    if name in tz_win:
        return str(tz_win[name])
    wanted = zone(name)
    if wanted is None:
        return UTC_NAME
    rules = _offsets(wanted)
    same = (each for each, iana in win_tz.items() if (there := zone(iana)) is not None and _offsets(there) == rules)
    return next(same, UTC_NAME)


def iana_name(identifier: str) -> str:
    """Return the zone of the tz database for an id that a server gives, "" for one that nobody knows.

    Servers also give names of the tz database, and "Customized Time Zone" or tzone://Microsoft/Custom for no name.
    """
    if identifier in _UTC_IDS:
        return UTC_NAME
    known = win_tz.get(identifier)
    if known is not None:
        return str(known)
    return identifier if zone(identifier) is not None else ""


@lru_cache(maxsize=1024)
def _offsets(where: ZoneInfo) -> tuple[timedelta | None, ...]:
    return tuple(
        datetime(year, month, day, tzinfo=UTC).astimezone(where).utcoffset()
        for year in _YEARS
        for month in range(1, 13)
        for day in (1, 8, 15, 22, 29)
        if (month, day) != (2, 29)
    )
