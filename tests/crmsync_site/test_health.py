"""`GET /health/` tells the truth, quickly, whatever is gone."""

import asyncio
import json
import socket
import time
from collections.abc import Iterator

import pytest
import redis
from django.conf import settings
from django.db import connections
from django.test import AsyncClient, Client
from pytest_django import Settings
from rq import Queue, Worker

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def nowhere() -> Iterator[int]:
    """The port of a server that takes connections and never says a word."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server.getsockname()[1]


@pytest.fixture
def worker(redis: "redis.Redis") -> Iterator[Worker]:
    living = Worker([Queue("sync", connection=redis)], connection=redis)
    living.register_birth()
    yield living
    living.register_death()


def test_all_is_well_with_a_worker(client: Client, worker: Worker) -> None:
    answer = client.get("/health/")
    assert answer.status_code == 200
    assert answer.json() == {"status": "ok", "database": "ok", "redis": "ok", "workers": 1, "mailboxes": 0}
    assert "no-store" in answer["Cache-Control"]


def test_without_a_worker_it_is_degraded(client: Client) -> None:
    answer = client.get("/health/")
    assert (answer.status_code, answer.json()["status"], answer.json()["workers"]) == (200, "degraded", 0)


def test_a_worker_that_was_killed_does_not_count(client: Client, worker: Worker, redis: "redis.Redis") -> None:
    redis.delete(worker.key)  # its heartbeat ran out
    assert client.get("/health/").json()["workers"] == 0


def test_without_redis_it_fails_and_names_it(client: Client, settings: Settings) -> None:
    settings.REDIS_URL = "unix:///nowhere/valkey.sock"
    answer = client.get("/health/")
    assert answer.status_code == 503
    assert answer.json() == {
        "status": "failing",
        "database": "ok",
        "redis": "unreachable",
        "workers": None,
        "mailboxes": 0,
    }


def test_without_the_database_it_fails_and_names_it(
    client: Client, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(connections.settings["default"], "HOST", "/nowhere")
    answer = client.get("/health/")
    assert answer.status_code == 503
    assert answer.json() == {
        "status": "failing",
        "database": "unreachable",
        "redis": "ok",
        "workers": 1,
        "mailboxes": None,
    }


def test_servers_that_hang_do_not_hold_up_the_answer(
    nowhere: int, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.REDIS_URL = f"redis://:geheim@127.0.0.1:{nowhere}/0"
    monkeypatch.setitem(connections.settings["default"], "HOST", "127.0.0.1")
    monkeypatch.setitem(connections.settings["default"], "PORT", nowhere)

    async def ask() -> tuple[bytes, int, float]:
        await AsyncClient().get("/health/")  # loads what a server has loaded long since
        started = time.monotonic()
        answer = await AsyncClient().get("/health/")
        return answer.content, answer.status_code, time.monotonic() - started

    content, status, seconds = asyncio.run(ask())
    assert seconds < 2
    assert status == 503
    found = json.loads(content)
    assert (found["database"], found["redis"]) == ("unreachable", "unreachable")
    assert "geheim" not in content.decode()


def test_it_is_only_read(client: Client) -> None:
    assert client.post("/health/").status_code == 405


def test_a_proxy_may_ask_without_tls(client: Client) -> None:
    assert any(pattern == r"^health/$" for pattern in settings.SECURE_REDIRECT_EXEMPT)
