"""Signing in and out."""

import pytest
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import PermissionDenied
from django.test import Client, RequestFactory

from security.http import signed_in
from tests import scene as scenes


@pytest.fixture
def anna(db: None) -> str:
    return scenes.make_person("anna", "Anna", "Puig").username


def test_a_stranger_is_led_back_to_the_page_they_asked_for(client: Client, anna: str) -> None:
    assert client.get("/threads/")["Location"] == "/sign-in/?next=/threads/"
    page = client.get("/sign-in/?next=/threads/").content.decode()
    assert "Sign in to see the page you asked for." in page
    answer = client.post("/sign-in/", {"username": anna, "password": scenes.PASSWORD, "next": "/threads/"})
    assert answer["Location"] == "/threads/"
    assert client.get("/threads/").status_code == 200


def test_next_never_leads_to_another_site(client: Client, anna: str) -> None:
    answer = client.post("/sign-in/", {"username": anna, "password": scenes.PASSWORD, "next": "https://evil.example/"})
    assert answer["Location"] == "/"


@pytest.mark.parametrize("username", ["anna", "nobody"])
def test_a_wrong_password_and_an_unknown_user_get_the_same_error(client: Client, anna: str, username: str) -> None:
    answer = client.post("/sign-in/", {"username": username, "password": "wrong"})
    page = answer.content.decode()
    assert answer.status_code == 200
    assert "do not go together" in page
    assert page.count('aria-invalid="true"') == 2
    assert 'aria-describedby="sign-in-error"' in page
    assert "wrong" not in page


def test_an_empty_field_says_so_beside_the_field(client: Client, anna: str) -> None:
    page = client.post("/sign-in/", {"username": "", "password": "x"}).content.decode()
    assert 'aria-describedby="id_username_error"' in page
    assert 'id="id_username_error"' in page


def test_somebody_switched_off_cannot_sign_in(client: Client, db: None) -> None:
    user = scenes.make_person("anna", "Anna", "Puig")
    user.is_active = False
    user.save()
    assert client.post("/sign-in/", {"username": "anna", "password": scenes.PASSWORD}).status_code == 200
    assert client.get("/").status_code == 302


def test_who_is_signed_in_is_not_asked_again(client: Client, anna: str) -> None:
    client.post("/sign-in/", {"username": anna, "password": scenes.PASSWORD})
    assert client.get("/sign-in/")["Location"] == "/"


def test_signing_out_is_a_post_and_ends_the_session(client: Client, anna: str) -> None:
    client.post("/sign-in/", {"username": anna, "password": scenes.PASSWORD})
    assert client.get("/sign-out/").status_code == 405
    assert client.get("/").status_code == 200
    client.post("/sign-out/")
    assert client.get("/").status_code == 302


def test_a_view_that_forgot_its_guard_still_refuses_strangers() -> None:
    request = RequestFactory().get("/")
    request.user = AnonymousUser()
    with pytest.raises(PermissionDenied):
        signed_in(request)
