"""A real Chromium before a live server; whatever the browser complains of fails the test."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.utils import timezone
from playwright.sync_api import ConsoleMessage, Page, Response
from pytest_django.live_server_helper import LiveServer

from tests import scene as scenes

AXE = (Path(__file__).parent / "vendor" / "axe.min.js").read_text()


@pytest.fixture
def scene(transactional_db: None) -> scenes.Scene:
    """The organisation, as it is now."""
    return scenes.build(timezone.now())


@pytest.fixture
def complaints(page: Page) -> Iterator[list[str]]:
    """What the browser complains of: errors and warnings of the console, policy violations, answers of 500 and more."""
    heard: list[str] = []

    def console(message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            heard.append(f"{message.type}: {message.text}")

    def response(answer: Response) -> None:
        if answer.status >= 400:
            heard.append(f"{answer.status} {answer.url}")

    page.on("console", console)
    page.on("pageerror", lambda error: heard.append(f"exception: {error}"))
    page.on("response", response)
    yield heard
    assert not heard


@pytest.fixture
def sign_in(page: Page, live_server: LiveServer) -> Callable[[str], None]:
    """Sign in as one of the scene's people, through the form."""

    def sign(username: str) -> None:
        page.goto(f"{live_server.url}/sign-in/")
        page.get_by_label("User name").fill(username)
        page.get_by_label("Password").fill(scenes.PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url(f"{live_server.url}/")

    return sign


def violations(page: Page) -> list[str]:
    """Return what axe-core finds wrong with the page, one line for each place."""
    page.evaluate(AXE)
    found = page.evaluate("axe.run(document, {iframes: false, resultTypes: ['violations']})")
    return [f"{one['id']}: {node['html'][:160]}" for one in found["violations"] for node in one["nodes"]]
