"""Files that leave: CSV that no spreadsheet runs, downloads that no browser shows, streamed under both kinds of server."""

import asyncio
import csv
import io
from collections.abc import Iterator

import pytest
from django.http import HttpRequest, StreamingHttpResponse
from django.test import AsyncRequestFactory, RequestFactory
from hypothesis import given, settings
from hypothesis import strategies as st

from crmsync_site.ui.downloads import CHUNK, csv_response, disposition, file_response


def content(response: StreamingHttpResponse) -> bytes:
    if not response.is_async:
        return response.getvalue()

    async def collected() -> bytes:
        return b"".join([part async for part in response])

    return asyncio.run(collected())


@pytest.fixture(params=["wsgi", "asgi"])
def request_(request: pytest.FixtureRequest) -> HttpRequest:
    made: HttpRequest = (RequestFactory() if request.param == "wsgi" else AsyncRequestFactory()).get("/")
    return made


def test_csv_holds_the_rows_and_opens_as_utf8(request_: HttpRequest) -> None:
    response = csv_response(request_, "people", ["name", "n"], [['Núria, "Nu"', 3], [None, -1]])
    assert response["Content-Type"] == "text/csv; charset=utf-8"
    assert 'filename="people.csv"' in response["Content-Disposition"]
    body = content(response)
    assert body.startswith(b"\xef\xbb\xbf")
    assert list(csv.reader(io.StringIO(body.decode("utf-8-sig")))) == [["name", "n"], ['Núria, "Nu"', "3"], ["", "-1"]]


@settings(deadline=None, max_examples=100)
@given(st.text())
def test_no_cell_of_text_is_a_formula(text: str) -> None:
    response = csv_response(RequestFactory().get("/"), "x", ["a"], [[text]])
    cell = content(response).decode("utf-8-sig").split("\r\n", 1)[1].lstrip('"')
    assert not cell.startswith(("=", "+", "-", "@", "\t"))


def test_rows_are_asked_for_one_by_one(request_: HttpRequest) -> None:
    made: list[int] = []

    def rows() -> Iterator[list[int]]:
        for n in range(3):
            made.append(n)
            yield [n]

    response = csv_response(request_, "x", ["n"], rows())
    assert made == []
    content(response)
    assert made == [0, 1, 2]


def test_a_file_is_streamed_and_never_shown_in_place(request_: HttpRequest) -> None:
    data = b"<script>alert(1)</script>" * CHUNK
    file = io.BytesIO(data)
    response = file_response(request_, file, "page.html", size=len(data))
    assert response["Content-Type"] == "application/octet-stream"
    assert response["Content-Disposition"].startswith("attachment;")
    assert response["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert response["Content-Length"] == str(len(data))
    assert content(response) == data
    assert file.closed


@pytest.mark.parametrize(
    ("name", "plain", "full"),
    [
        ("offer.pdf", "offer.pdf", "offer.pdf"),
        ("../../etc/passwd", "_.._etc_passwd", "_.._etc_passwd"),
        ('a"b.txt', "a_b.txt", "a%22b.txt"),
        ("見積.pdf", "__.pdf", "%E8%A6%8B%E7%A9%8D.pdf"),
        ("a\r\nSet-Cookie: x", "a  Set-Cookie: x", "a%20%20Set-Cookie%3A%20x"),
        ("", "attachment", "attachment"),
        (" .. ", "attachment", "attachment"),
    ],
)
def test_a_file_name_is_made_harmless(name: str, plain: str, full: str) -> None:
    assert disposition(name) == f"attachment; filename=\"{plain}\"; filename*=UTF-8''{full}"
