"""Where crmsync may connect to: what an administrator listed, and nothing else."""

import pytest

from security.egress import Endpoint, NotAllowed, allow, require_allowed
from security.models import AllowedHost

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("url", "endpoint"),
    [
        ("https://Mail.Example/EWS", Endpoint("https", "mail.example", 443)),
        ("http://127.0.0.1:8080/", Endpoint("http", "127.0.0.1", 8080)),
        ("https://[::1]:444/x", Endpoint("https", "::1", 444)),
    ],
)
def test_an_address_has_an_endpoint(url, endpoint):
    assert Endpoint.of(url) == endpoint


@pytest.mark.parametrize("url", ["", "mail.example", "ftp://mail.example", "https://", "file:///etc/passwd"])
def test_what_is_no_web_address_is_refused(url):
    with pytest.raises(ValueError, match="not a web address"):
        Endpoint.of(url)


def test_credentials_in_an_address_are_refused():
    with pytest.raises(ValueError, match="user name or password"):
        Endpoint.of("https://me:secret@mail.example/")


def test_nothing_is_reached_that_is_not_listed():
    with pytest.raises(NotAllowed, match=r"mail\.example:443 is not on the list"):
        require_allowed("https://mail.example/EWS")
    allow(Endpoint.of("https://mail.example/"), by="admin", private=False)
    assert str(require_allowed("https://mail.example/EWS")) == "mail.example:443"
    with pytest.raises(NotAllowed):
        require_allowed("https://mail.example:8443/EWS")


def test_plain_http_has_to_be_allowed_by_name():
    allow(Endpoint("https", "mail.example", 80), by="admin", private=False)
    with pytest.raises(NotAllowed, match="HTTPS only"):
        require_allowed("http://mail.example/")
    allow(Endpoint.of("http://mail.example/"), by="admin", private=True)
    row = require_allowed("http://mail.example/")
    assert (row.private, row.plain_http, AllowedHost.objects.count()) == (True, True, 1)
