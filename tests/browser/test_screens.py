"""Every screen, light in English and dark in Catalan, wide and on a phone: no accessibility violation, no policy violation,
no sideways scroll.

With CRMSYNC_TEST_SHOTS=folder each is photographed as well.
"""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page
from pytest_django.live_server_helper import LiveServer

from mailboxes.models import SyncProfile
from tests.browser.conftest import violations
from tests.scene import Scene
from tracking.models import (
    Appointment,
    Contact,
    DryRun,
    OutgoingMail,
    PolicyChange,
    PolicyDraft,
    Thread,
    UnknownSender,
)

pytestmark = [pytest.mark.browser, pytest.mark.slow]
SIZES = {"wide": (1280, 900), "phone": (390, 844)}
SHOTS = os.environ.get("CRMSYNC_TEST_SHOTS")


def addresses(scene: Scene) -> dict[str, str]:
    box = f"/mailboxes/{scene.box.pk}/"
    stopped = f"/mailboxes/{scene.boxes['sales'].pk}/"
    assert scene.thread is not None
    return {
        "overview": "/",
        "mailboxes": "/mailboxes/",
        "mailboxes-none": "/mailboxes/?q=nobody",
        "mailbox": box,
        "mailbox-stopped": stopped,
        "runs": f"{box}runs/",
        "decisions": f"{box}decisions/",
        "failed-items": f"{box}failed-items/",
        "in-step": f"{box}in-step/",
        "options": f"{box}options/",
        "tracked-folder": f"{box}tracked-folders/new/",
        "repair": f"{box}repair/",
        "read-again": f"{box}repair/read-again/?what=mailbox",
        "backfill": f"{box}repair/backfill/",
        "record-mail": f"/records/contact/{Contact.objects.get(last_name='Riera').pk}/mail/",
        "failed-items-discarded": f"{box}failed-items/?show=discarded",
        "filters": f"{box}filters/",
        "sync-profiles": "/sync-profiles/",
        "sync-profile": f"/sync-profiles/{scene.box.sync_profile_id}/",
        "draft": f"/drafts/{PolicyDraft.objects.get(mailbox=None).pk}/",
        "draft-directions": f"/drafts/{PolicyDraft.objects.get(mailbox=None).pk}/directions/",
        "draft-filter": f"/drafts/{PolicyDraft.objects.get(mailbox=None).pk}/filters/new/?scope=system&kind=contact",
        "dry-run": f"/dry-runs/{DryRun.objects.get().pk}/",
        "policy-change": f"/policy-changes/{PolicyChange.objects.get().pk}/",
        "new-profile": "/sync-profiles/new/",
        "assign-mailboxes": f"/sync-profiles/{SyncProfile.objects.exclude(pk=scene.box.sync_profile_id).get().pk}/mailboxes/",
        "delete-profile": f"/sync-profiles/{SyncProfile.objects.exclude(pk=scene.box.sync_profile_id).get().pk}/delete/",
        "templates": f"/sync-profiles/{scene.box.sync_profile_id}/templates/",
        "threads": "/threads/",
        "thread": f"/threads/{scene.thread.pk}/",
        "thread-stopped": f"/threads/{Thread.objects.get(subject='Visit on Thursday').pk}/",
        "thread-regarding": f"/threads/{scene.thread.pk}/regarding/?q=pau",
        "thread-split": f"/threads/{scene.thread.pk}/split/",
        "thread-stop": f"/threads/{scene.thread.pk}/stop/",
        "ambiguities": "/addresses/",
        "unknown-senders": "/addresses/unknown/",
        "unknown-senders-ignored": "/addresses/unknown/?state=ignored",
        "unknown-senders-link": f"/addresses/unknown/{UnknownSender.objects.get(name='Jordi Vila').pk}/link/?q=pau",
        "address-choices": "/addresses/remembered/",
        "delays": "/delays/",
        "outgoing": "/outgoing/?show=all",
        "outgoing-nothing": "/outgoing/?show=sent",
        "outgoing-mail": f"/outgoing/{OutgoingMail.objects.get(state='failed').pk}/",
        "compose": "/outgoing/new/",
        "records": "/records/contact/",
        "record": f"/records/contact/{Contact.objects.get(last_name='Riera').pk}/",
        "appointments": "/appointments/",
        "appointment": f"/appointments/{Appointment.objects.get(subject='Weekly review').pk}/",
    }


def check(page: Page, name: str, theme: str) -> None:
    for size, (width, height) in SIZES.items():
        page.set_viewport_size({"width": width, "height": height})
        if SHOTS:
            page.screenshot(path=Path(SHOTS) / f"{name}-{theme}-{size}.png", full_page=True)
        assert violations(page) == [], f"{name}, {theme}, {size}"
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), f"{name} scrolls sideways"


@pytest.mark.parametrize(("theme", "language"), [("light", "en"), ("dark", "ca")])
def test_every_screen_is_accessible_and_fits(
    page: Page,
    live_server: LiveServer,
    scene: Scene,
    sign_in: Callable[[str], None],
    complaints: list[str],
    theme: str,
    language: str,
) -> None:
    page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
    page.goto(f"{live_server.url}/sign-in/")
    check(page, "sign-in", theme)
    sign_in("fina")
    page.context.add_cookies([{"name": "django_language", "value": language, "url": live_server.url}])
    for name, address in addresses(scene).items():
        page.goto(f"{live_server.url}{address}")
        page.wait_for_load_state("networkidle")
        check(page, name, theme)
