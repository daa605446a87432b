"""An installation for the length of a bench: an empty database and queue of the servers that are there, a folder for blobs.

The data of the installation that `manage.py bench` is typed in is never touched. What a killed bench left behind is
removed by the next one.
"""

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

import redis
from django.conf import settings
from django.db import OperationalError, connection

PREFIX = "bench_"
# Marks a database of the queue's server as taken by a bench, until this time has passed.
_MARK, _MARK_SECONDS = "crmsync:bench", 6 * 3600
# From the last one on: the embedded server has 64, others usually 16.
_DATABASES = range(63, 0, -1)
# A process may have several at once.
_NUMBERS = count(1)


class NoScratch(Exception):
    """There is no room for a scratch installation; the message says what is missing."""


@contextmanager
def installation() -> Iterator[dict[str, str]]:
    """Make a scratch installation; yield the environment of processes that are to live in it. Raises `NoScratch`."""
    with _database() as database_url, _queue() as redis_url, _folder() as folder:
        yield {
            **os.environ,
            "CRMSYNC_VAR": str(settings.VAR),
            "DATABASE_URL": database_url,
            "REDIS_URL": redis_url,
            "CRMSYNC_BLOBS": str(folder / "blobs"),
            "CRMSYNC_AUTO_MIGRATE": "0",
        }


def is_scratch() -> bool:
    """Return whether this process lives in a scratch installation."""
    return str(connection.settings_dict["NAME"]).startswith(PREFIX)


@contextmanager
def _database() -> Iterator[str]:
    name = f"{PREFIX}{os.getpid()}_{next(_NUMBERS)}"
    try:
        with connection.cursor() as cursor:
            _remove_left_over()
            cursor.execute(f'CREATE DATABASE "{name}"')
    except OperationalError:
        raise
    except Exception as error:
        raise NoScratch(f"No scratch database can be made: {str(error).strip()}. The role needs CREATEDB.") from error
    try:
        yield _url_of(name)
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


def _remove_left_over() -> None:
    """Drop scratch databases whose process is gone from this machine and that nobody is connected to."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT datname FROM pg_database WHERE datname LIKE %s", [PREFIX.replace("_", r"\_") + "%"])
        for (name,) in cursor.fetchall():
            made_by = re.fullmatch(PREFIX + r"(\d+)_\d+", name)
            if made_by is None or Path(f"/proc/{made_by[1]}").exists():
                continue
            try:
                cursor.execute(f'DROP DATABASE IF EXISTS "{name}"')
            except OperationalError:
                continue  # in use, by a bench on another machine


def _url_of(name: str) -> str:
    found = connection.settings_dict
    user, password = quote(str(found["USER"]), safe=""), quote(str(found["PASSWORD"] or ""), safe="")
    sign_in = f"{user}:{password}" if password else user
    port = f":{found['PORT']}" if found["PORT"] else ""
    return f"postgres://{sign_in}@{quote(str(found['HOST']), safe='')}{port}/{name}"


@contextmanager
def _queue() -> Iterator[str]:
    """Take an empty database of the queue's server."""
    for number in _DATABASES:
        url = _redis_url(settings.REDIS_URL, number)
        with redis.Redis.from_url(url) as client:
            try:
                if client.dbsize() or not client.set(_MARK, os.getpid(), nx=True, ex=_MARK_SECONDS):
                    continue
            except redis.ResponseError:
                continue  # a server with fewer databases
            try:
                yield url
            finally:
                client.flushdb()
            return
    raise NoScratch("The queue's server has no empty database beside number 0.")


def _redis_url(url: str, number: int) -> str:
    if url.startswith("unix:"):
        return f"{url.partition('?')[0]}?db={number}"
    return urlunsplit(urlsplit(url)._replace(path=f"/{number}"))


@contextmanager
def _folder() -> Iterator[Path]:
    # Beside the real blobs: on the same disk, writing costs the same.
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=Path(settings.BLOB_ROOT).parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
