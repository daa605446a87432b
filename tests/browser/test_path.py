"""The path of a person through the product, in a real browser: sign in, look, sync now, read a tracked message."""

import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import Browser, Page, expect
from pytest_django.live_server_helper import LiveServer

from mailboxes.models import Mailbox, Run
from mailboxes.states import Outcome, State
from tests import scene as scenes
from tests.scene import Scene

pytestmark = pytest.mark.browser


def test_s25_from_sign_in_to_a_tracked_message(
    page: Page, live_server: LiveServer, scene: Scene, complaints: list[str]
) -> None:
    page.goto(f"{live_server.url}/mailboxes/{scene.box.pk}/")
    expect(page).to_have_url(re.compile("/sign-in/"))
    page.get_by_label("User name").fill("anna")
    page.get_by_label("Password").fill(scenes.PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(scene.box.address)

    page.get_by_role("link", name="Overview").click()
    expect(page.get_by_role("heading", name="1 mailbox")).to_be_visible()
    expect(page.get_by_role("heading", name="Delay from arrival to tracked")).to_be_visible()
    page.get_by_role("link", name="1 idle").click()
    page.get_by_role("link", name=scene.box.address).click()

    page.get_by_role("button", name="Sync now").click()
    expect(page.get_by_role("button", name="Waiting for a worker")).to_be_disabled()
    run = Run.objects.get(mailbox=scene.box, finished_at=None)
    Run.objects.filter(pk=run.pk).update(started_at=timezone.now(), worker="worker-1")
    Mailbox.objects.filter(pk=scene.box.pk).update(state=State.RUNNING)
    expect(page.get_by_role("button", name="Running")).to_be_disabled()
    finished = timezone.now()
    Run.objects.filter(pk=run.pk).update(
        finished_at=finished, outcome=Outcome.DONE, tracked=2, refused={"internal": 3}, examined=5
    )
    Mailbox.objects.filter(pk=scene.box.pk).update(state=State.IDLE, synced_at=finished)
    expect(page.get_by_text("2 tracked, 0 updated, 3 refused")).to_be_visible()
    expect(page.get_by_role("button", name="Sync now")).to_be_enabled()
    latest = page.get_by_role("region", name="Runs, as a table").get_by_role("row").nth(1)
    expect(latest).to_contain_text("Sync now")

    page.get_by_role("link", name="Threads").click()
    page.get_by_label("Subject").fill("twelve")
    expect(page.get_by_role("region", name="Threads, as a table").get_by_role("row")).to_have_count(2)
    page.get_by_role("link", name="Offer for twelve pumps").click()
    body = page.frame_locator("iframe >> visible=true")
    expect(body.get_by_text("thank you for the")).to_be_visible()
    # The message's own image came from the blob store, the tracker's did not come at all, and no script ran.
    assert body.get_by_alt_text("Company logo").evaluate("image => image.naturalWidth") == 1
    expect(body.get_by_text("1 image would have been fetched from another server")).to_be_visible()
    expect(body.locator("script")).to_have_count(0)
    with page.expect_download() as downloading:
        page.get_by_role("link", name="offer 2026.pdf").click()
    assert downloading.value.suggested_filename == "offer 2026.pdf"


def test_a_row_changes_by_itself_while_it_is_looked_at(
    page: Page, live_server: LiveServer, scene: Scene, sign_in: Callable[[str], None], complaints: list[str]
) -> None:
    sign_in("fina")
    page.goto(f"{live_server.url}/mailboxes/?q=anna")
    row = page.get_by_role("row", name=scene.box.address)
    expect(row).to_contain_text("idle")
    Mailbox.objects.filter(pk=scene.box.pk).update(
        state=State.THROTTLED, not_before=scene.now + timedelta(minutes=5), issue_code="server_busy"
    )
    expect(row).to_contain_text("throttled until", timeout=15_000)
    expect(page.get_by_role("status").filter(has_text=scene.box.address)).to_contain_text("throttled")


def test_theme_and_language_are_kept(
    page: Page, live_server: LiveServer, scene: Scene, sign_in: Callable[[str], None], complaints: list[str]
) -> None:
    page.emulate_media(color_scheme="light")
    sign_in("anna")
    ground = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(ground)
    page.get_by_text("Anna Puig").first.click()
    page.get_by_role("button", name="Dark").click()
    assert page.evaluate(ground) != light
    page.goto(f"{live_server.url}/threads/")
    assert page.evaluate(ground) != light
    page.get_by_text("Anna Puig").first.click()
    page.get_by_role("button", name="Català").click()
    expect(page.locator("html")).to_have_attribute("lang", "ca")


def test_the_keyboard_reaches_the_content_at_once_and_closes_the_menu(
    page: Page, live_server: LiveServer, scene: Scene, sign_in: Callable[[str], None], complaints: list[str]
) -> None:
    sign_in("anna")
    page.goto(f"{live_server.url}/mailboxes/")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    page.get_by_text("Anna Puig").first.click()
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Sign out")).to_be_hidden()


def test_signed_out_elsewhere_leads_to_sign_in_not_into_a_table(
    page: Page, live_server: LiveServer, scene: Scene, sign_in: Callable[[str], None], complaints: list[str]
) -> None:
    sign_in("anna")
    page.goto(f"{live_server.url}/mailboxes/")
    page.context.clear_cookies()
    page.wait_for_url(re.compile("/sign-in/"), timeout=15_000)


def test_the_product_works_without_javascript(
    browser: Browser, live_server: LiveServer, scene: Scene, transactional_db: None
) -> None:
    context = browser.new_context(java_script_enabled=False)
    page: Page = context.new_page()
    page.goto(f"{live_server.url}/sign-in/")
    page.get_by_label("User name").fill("anna")
    page.get_by_label("Password").fill(scenes.PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("link", name="Mailboxes").click()
    page.get_by_label("Address or owner").fill("puig")
    page.get_by_role("button", name="Filter").click()
    page.get_by_role("link", name=scene.box.address).click()
    page.get_by_role("button", name="Sync now").click()
    expect(page.get_by_text("A run was asked for.")).to_be_visible()
    page.get_by_role("link", name="What was decided for each item, and why").click()
    expect(page.get_by_role("link", name="Offer for twelve pumps").first).to_be_visible()
    context.close()
