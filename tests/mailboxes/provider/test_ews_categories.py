"""The list of categories in Exchange is Outlook's document: what is not ours in it stays, and what cannot be read too."""

import base64

import pytest
from lxml import etree

from mailboxes.provider.categories import Category
from mailboxes.provider.errors import Throttled
from mailboxes.provider.ews import category_list
from mailboxes.provider.ews.soap import NotAnAnswer
from mailboxes.sandbox.server import SandboxServer
from tests.mailboxes.provider.worlds import ANA, EwsWorld

OUTLOOKS = """<?xml version="1.0"?>
<categories default="Rot" lastSavedSession="5" lastSavedTime="2026-01-28T03:01:50.429" xmlns="CategoryList.xsd">
 <category name="Rot" color="0" keyboardShortcut="7" usageCount="9" guid="{2B7FC69C-7046-44A2-8FF3-007D7467DC82}"/>
 <category name="" color="3" guid="{11111111-7046-44A2-8FF3-007D7467DC82}"/>
 <later version="2"/>
</categories>"""


def keep(server: SandboxServer, text: str) -> None:
    data = base64.b64encode(text.encode()).decode()
    server.store.folder(ANA, "calendar").configurations["CategoryList"] = {"XmlData": f"<t:XmlData>{data}</t:XmlData>"}


def kept(server: SandboxServer) -> str:
    parts = server.store.folder(ANA, "calendar").configurations["CategoryList"]
    return base64.b64decode(str(etree.fromstring(f'<a xmlns:t="t">{parts["XmlData"]}</a>').xpath("string()"))).decode()


def test_what_outlook_wrote_stays_and_ours_comes_last(sandbox: SandboxServer) -> None:
    provider = EwsWorld(sandbox).provider()
    keep(sandbox, OUTLOOKS)
    assert provider.categories() == [Category("{2B7FC69C-7046-44A2-8FF3-007D7467DC82}", "Rot")]
    found = provider.ensure_categories([Category("", "Tracked & more")])
    assert found is not None
    root = etree.fromstring(kept(sandbox).encode())
    before = etree.fromstring(OUTLOOKS.encode())
    assert [dict(each.attrib) for each in root][:3] == [dict(each.attrib) for each in before]
    assert root.attrib == before.attrib
    assert (root[-1].get("name"), root[-1].get("guid"), root[-1].get("color")) == ("Tracked & more", found[0].id, "-1")


@pytest.mark.parametrize("text", ["no XML", "<other/>", '<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'])
def test_a_document_that_is_none_is_not_written_over(sandbox: SandboxServer, text: str) -> None:
    provider = EwsWorld(sandbox).provider()
    keep(sandbox, text)
    assert provider.categories() is None
    assert provider.ensure_categories([Category("", "Tracked")]) is None
    assert kept(sandbox) == text


def test_what_is_no_base64_is_no_list() -> None:
    with pytest.raises(NotAnAnswer):
        category_list.read("%%%")


def test_a_server_that_is_busy_is_not_one_without_a_list(sandbox: SandboxServer) -> None:
    provider = EwsWorld(sandbox).provider()
    sandbox.faults.add("error", operation="GetUserConfiguration", code="ErrorServerBusy", count=2)
    with pytest.raises(Throttled):
        provider.categories()
    with pytest.raises(Throttled):
        provider.ensure_categories([Category("", "Tracked")])
