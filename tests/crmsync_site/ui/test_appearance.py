"""Theme, language, error pages, and the policy that every page carries."""

import pytest
from django.http import HttpResponse
from django.test import Client, override_settings
from django.urls import path
from django.utils import timezone

from crmsync_site import urls
from crmsync_site.ui.context import THEME_COOKIE
from tests import scene as scenes


def broken(request: object) -> HttpResponse:
    raise ZeroDivisionError


urlpatterns = [*urls.urlpatterns, path("broken/", broken)]


@pytest.fixture
def anna(db: None, client: Client) -> Client:
    client.force_login(scenes.make_person("anna", "Anna", "Puig"))
    return client


@pytest.mark.parametrize("theme", ["light", "dark", "auto"])
def test_a_theme_is_kept_in_a_cookie(anna: Client, theme: str) -> None:
    answer = anna.post("/appearance/theme/", {"theme": theme, "next": "/threads/"})
    assert answer["Location"] == "/threads/"
    assert f'data-theme="{theme}"' in anna.get("/threads/").content.decode()


def test_an_unknown_theme_changes_nothing(anna: Client) -> None:
    anna.post("/appearance/theme/", {"theme": "dark"})
    anna.post("/appearance/theme/", {"theme": '"><script>'})
    assert 'data-theme="dark"' in anna.get("/").content.decode()
    anna.cookies[THEME_COOKIE] = "nonsense"
    assert 'data-theme="auto"' in anna.get("/").content.decode()


@pytest.mark.parametrize("target", ["https://evil.example/", "//evil.example", "javascript:alert(1)", ""])
def test_choosing_a_theme_never_leads_elsewhere(anna: Client, target: str) -> None:
    assert anna.post("/appearance/theme/", {"theme": "dark", "next": target})["Location"] == "/"


def test_a_language_is_kept(anna: Client) -> None:
    anna.post("/appearance/language/", {"language": "ca", "next": "/"})
    assert '<html lang="ca"' in anna.get("/").content.decode()


def test_every_page_carries_the_policy_and_neither_script_nor_style_of_its_own(anna: Client) -> None:
    answer = anna.get("/")
    assert "default-src 'self'" in answer["Content-Security-Policy"]
    assert "unsafe" not in answer["Content-Security-Policy"]
    body = answer.content.decode()
    assert "<style" not in body
    assert " style=" not in body
    assert " onclick" not in body
    assert "<script>" not in body


def test_a_page_that_does_not_exist_says_so_in_the_design(anna: Client) -> None:
    for address in ("/nowhere/", "/mailboxes/999999/", "/mailboxes/99999999999999999999999/"):
        answer = anna.get(address)
        assert answer.status_code == 404
        assert "There is no such page" in answer.content.decode()


def test_a_stranger_gets_the_same_page_for_an_address_that_does_not_exist(client: Client, db: None) -> None:
    assert client.get("/nowhere/").status_code == 404


def test_what_is_seen_but_not_allowed_is_refused_in_the_design(client: Client, db: None) -> None:
    scene = scenes.build(timezone.now(), others=0)
    client.force_login(scene.person("dora"))
    answer = client.post(f"/mailboxes/{scene.box.pk}/sync/")
    assert answer.status_code == 403
    assert "You may not do this" in answer.content.decode()


def test_a_form_without_its_token_is_refused_with_advice(db: None) -> None:
    answer = Client(enforce_csrf_checks=True).post("/sign-in/", {"username": "anna"})
    assert answer.status_code == 403
    assert "Please send the form again" in answer.content.decode()


@override_settings(ROOT_URLCONF=__name__)
def test_a_page_that_breaks_says_that_nothing_was_lost(anna: Client) -> None:
    anna.raise_request_exception = False
    answer = anna.get("/broken/")
    assert answer.status_code == 500
    assert "Nothing was lost" in answer.content.decode()


def test_a_fragment_of_somebody_signed_out_reloads_the_page(client: Client, db: None) -> None:
    answer = client.get("/mailboxes/live/", headers={"HX-Request": "true"})
    assert (answer.status_code, answer["HX-Refresh"]) == (204, "true")


def test_a_fragment_of_somebody_signed_in_is_left_alone(anna: Client) -> None:
    answer = anna.get("/records/", headers={"HX-Request": "true"})
    assert answer.status_code == 302
