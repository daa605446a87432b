"""What every test may rely on: a PostgreSQL and a Valkey of the session's own, an empty queue, a real Chromium.

Each process of a parallel run shares the servers (the first starts them, the last stops them) but has its own database
in each of them.
"""

import asyncio
import os
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from urllib.parse import quote

import pytest
import redis as redis_client
from django.conf import settings
from django.db import connection, connections

from crmsync_site.embedded import locks
from crmsync_site.embedded import services as embedded
from crmsync_site.embedded.addresses import KEEPER_LOCK

# Playwright's sync API keeps an event loop in the test's thread, where Django would refuse the ORM.
os.environ.setdefault("DJANGO_ALLOW_ASYNC_UNSAFE", "true")

# While a loop runs, Django keeps its connections elsewhere than without one. Playwright's counts as running from the first
# browser test on, also when a module's rows are made or a test's transaction is begun, but not in the test itself: it
# would see nothing of the one and commit past the other. One connection for a thread, whatever runs in it.
connections._connections = threading.local()

SESSION_LOCK = "session.lock"
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if CHROMIUM is None:
        for item in items:
            if item.get_closest_marker("browser"):
                item.add_marker(pytest.mark.skip(reason="no Chromium: install the package chromium or set CHROMIUM"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if CHROMIUM is None:
        terminalreporter.write_line("NO CHROMIUM: the browser tests did NOT run.", red=True, bold=True)
    reports = [report for reports in terminalreporter.stats.values() for report in reports]
    for said, how in (("schedules", "in process"), ("schedules over EWS", "with real workers over EWS")):
        steps = [
            number for report in reports if getattr(report, "when", "") == "call"
            for name, value in report.user_properties if name == said for number in value
        ]  # fmt: skip
        if steps:
            terminalreporter.write_line(
                f"State machine {how}: {len(steps)} schedules, median of {median(steps):.0f} steps."
            )


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    if "PYTEST_XDIST_WORKER" in os.environ:
        return
    folder = Path(os.environ["CRMSYNC_TEST_VAR"])
    lock = locks.open_lock(folder / SESSION_LOCK)  # held until this process ends, however it ends
    locks.share(lock)
    remove_left_over(folder.parent)


def pytest_unconfigure() -> None:
    # The workers of a parallel run have ended by now; they only share the folder.
    if "PYTEST_XDIST_WORKER" not in os.environ and "CRMSYNC_TEST_VAR" in os.environ:
        shutil.rmtree(os.environ["CRMSYNC_TEST_VAR"], ignore_errors=True)


def remove_left_over(parent: Path) -> None:
    """Remove the folders of sessions that were killed: theirs is the lock that nobody holds."""
    for folder in parent.glob("crmsync-test-*"):
        try:
            if folder.stat().st_uid != os.geteuid() or folder.stat().st_mtime > time.time() - 60:
                continue  # somebody else's, or so new that its lock may not be taken yet
            lock = locks.open_lock(folder / SESSION_LOCK)
        except OSError:
            continue
        if not locks.is_held(folder / KEEPER_LOCK) and locks.try_exclusive(lock):
            shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


@pytest.fixture(scope="session", autouse=True)
def services() -> Iterator[None]:
    """PostgreSQL and Valkey in the session's own folder, for the length of the session."""
    with embedded.using(Path(settings.VAR), ("postgres", "valkey"), volatile=True):
        yield


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings_parallel_suffix: None, services: None) -> None:
    """pytest-django makes its database after this: the server has to run by then."""


@pytest.fixture(scope="session")
def _redis(services: None) -> Iterator["redis_client.Redis"]:
    with redis_client.Redis.from_url(settings.REDIS_URL) as client:
        yield client


@pytest.fixture(autouse=True)
def redis(_redis: "redis_client.Redis") -> "redis_client.Redis":
    """A client of this process's own Valkey database, which is empty when a test starts."""
    _redis.flushdb()
    return _redis


@pytest.fixture
def process_env(transactional_db: None) -> dict[str, str]:
    """The environment for a real process (`manage.py ...`) that is to see this test's database and queue."""
    database = connection.settings_dict
    return {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "crmsync_site.settings",
        "DATABASE_URL": f"postgres://{database['USER']}@{quote(database['HOST'], safe='')}:{database['PORT']}/{database['NAME']}",
        "REDIS_URL": settings.REDIS_URL,
        "CRMSYNC_AUTO_MIGRATE": "0",
    }


@pytest.fixture(autouse=True)
def _no_event_loop(request: pytest.FixtureRequest) -> Iterator[None]:
    """Once a browser test has run, Playwright's loop counts as running in this thread, and async views refuse to."""
    loop = asyncio._get_running_loop()
    if loop is None or request.node.get_closest_marker("browser"):
        yield
        return
    asyncio._set_running_loop(None)
    yield
    asyncio._set_running_loop(loop)


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, object]) -> dict[str, object]:
    """Debian's Chromium, without what it would ask of the network on its own."""
    switches = "--no-sandbox --disable-gpu --disable-background-networking --disable-component-update --disable-sync --no-first-run --disable-quic"
    return {**browser_type_launch_args, "executable_path": CHROMIUM, "args": switches.split()}
