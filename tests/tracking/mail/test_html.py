"""A stranger's HTML, made safe: whatever comes in, nothing comes out that runs, fetches, or leaves the frame."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tracking.mail import html as mail_html

PNG = ("image/png", b"\x89PNG")


def nothing(_content_id: str) -> None:
    return None


def shown(html: str) -> mail_html.Shown:
    return mail_html.from_html(html, nothing)


@pytest.mark.parametrize(
    "html",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "<svg><script>alert(1)</script></svg>",
        "<a href='javascript:alert(1)'>x</a>",
        "<a href=' jAvAscript:alert(1)'>x</a>",
        "<a href='data:text/html,<script>x</script>'>x</a>",
        "<iframe src='https://x.example'></iframe>",
        "<object data='https://x.example'></object>",
        "<embed src='https://x.example'>",
        "<form action='https://x.example'><input name=q><button>go</button></form>",
        "<link rel=stylesheet href='https://x.example/a.css'>",
        "<style>@import 'https://x.example/a.css';</style>",
        "<meta http-equiv=refresh content='0;url=https://x.example'>",
        "<base href='https://x.example/'>",
        "<body background='https://x.example/a.png'>x</body>",
        "<table background='https://x.example/a.png'><tr><td>x</td></tr></table>",
        "<p style=\"background:url('https://x.example/a.png')\">x</p>",
        '<p style="background-image:url(https://x.example/a.png);color:red">x</p>',
        '<p style="list-style-image:url(https://x.example)">x</p>',
        "<p style='position:fixed;top:0;left:0'>x</p>",
        "<img srcset='https://x.example/a.png 2x'>",
        "<video src='https://x.example/a.mp4' poster='https://x.example/a.png'></video>",
        "<math><mtext><table><mglyph><style><img src=x onerror=alert(1)>",
        "<img src='data:image/svg+xml,<svg onload=alert(1)>'>",
        "<img src='//x.example/a.png'>",
        "<img src='http&#58;//x.example/a.png'>",
    ],
)
def test_nothing_runs_fetches_or_covers(html: str) -> None:
    out = shown(html).html.lower()
    for bad in ("script", "onerror", "onload", "x.example", "position", "<form", "<input", "<iframe", "<style", "url("):
        assert bad not in out, out


@settings(deadline=None)
@given(st.text(alphabet="<>\"'=/ abcsrcimgonerhtpdiv:;()&#x!-\n", max_size=200))
def test_no_arrangement_of_markup_gets_through(html: str) -> None:
    out = shown(html).html
    assert not re.search(r"<[^>]*\son\w+\s*=", out)
    assert not re.search(r"<(script|iframe|object|embed|form|style|link|meta|base)\b", out, re.IGNORECASE)
    assert not re.search(r"<img[^>]+src=", out)


def test_ordinary_mail_keeps_its_look() -> None:
    html = '<div style="color: navy; font-weight: bold">A <i>b</i></div><table border="1"><tr><td colspan="2">c</td></tr></table>'
    out = shown(html).html
    assert "color:navy" in out.replace(" ", "")
    assert 'colspan="2"' in out
    assert "<i>b</i>" in out


def test_links_lead_out_and_say_nothing_of_where_from() -> None:
    assert 'rel="noopener noreferrer nofollow"' in shown('<a href="https://example.org/">x</a>').html


@pytest.mark.parametrize(
    "address",
    ["data:text/html,x", "da&#9;ta:text/html,x", "&#1;data:text/html,x", "DATA&#10;:text/html,x", "ci&#13;d:a", "/sign-out/",
     "https:threads", "../threads/", "?q=x", "x"],
)  # fmt: skip
def test_a_link_that_leads_nowhere_outside_is_no_link(address: str) -> None:
    assert "href" not in shown(f'<a href="{address}">x</a>').html


@pytest.mark.parametrize(
    "address", ["https://a.example/?b=1", " HTTP://a.example", "mailto:a@b.example", "tel:+34", "//a.example/b"]
)
def test_a_link_that_leads_out_stays(address: str) -> None:
    assert "href" in shown(f'<a href="{address}">x</a>').html


def test_remote_images_are_left_out_and_counted() -> None:
    found = shown('<img src="https://a/x.png"><img src="http://b/y.gif" alt="logo"><img src="z.png">')
    assert found.remote_images == 3
    assert "src=" not in found.html
    assert 'alt="logo"' in found.html


def test_an_inline_image_stands_in_the_page_itself() -> None:
    asked: list[str] = []

    def inline(content_id: str) -> tuple[str, bytes]:
        asked.append(content_id)
        return PNG

    found = mail_html.from_html('<img src="cid:logo@x"><img src="CID:two">', inline)
    assert asked == ["logo@x", "two"]
    assert found.html.count('src="data:image/png;base64,iVBORw=="') == 2
    assert (found.remote_images, found.missing_images) == (0, 0)


@pytest.mark.parametrize("answer", [None, ("image/svg+xml", b"<svg/>"), ("text/html", b"x")])
def test_an_inline_image_that_is_not_there_or_none_is_counted(answer: tuple[str, bytes] | None) -> None:
    found = mail_html.from_html('<img src="cid:a">', lambda _content_id: answer)
    assert found.missing_images == 1
    assert "src=" not in found.html


def test_inline_images_together_are_bounded() -> None:
    big = ("image/png", b"x" * (mail_html.MOST_IMAGE_BYTES // 2))
    found = mail_html.from_html('<img src="cid:a"><img src="cid:b"><img src="cid:c">', lambda _content_id: big)
    assert found.missing_images == 1


def test_an_image_that_a_sender_put_into_the_text_itself_is_kept() -> None:
    assert 'src="data:image/gif;base64,AAAA"' in shown('<img src="data:image/gif;base64,AAAA">').html


def test_what_is_too_long_is_cut_and_says_so() -> None:
    assert shown("a" * (mail_html.MOST_CHARACTERS + 1)).cut
    assert mail_html.from_text("a" * (mail_html.MOST_CHARACTERS + 1)).cut
    assert not shown("a").cut


def test_deeply_nested_mail_comes_to_an_end() -> None:
    assert shown("<div>" * 20_000 + "x").html.endswith("</div>")


def test_text_is_escaped() -> None:
    assert mail_html.from_text("<b>&").safe_html == "<pre>&lt;b&gt;&amp;</pre>"
