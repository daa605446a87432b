"""The mail systems that fit the port."""

from collections.abc import Iterator

import pytest

from mailboxes.sandbox.server import SandboxServer
from tests.mailboxes.provider.worlds import EwsWorld, MemoryWorld, World, sandbox_store


@pytest.fixture
def sandbox() -> Iterator[SandboxServer]:
    with SandboxServer(sandbox_store()) as server:
        yield server


@pytest.fixture(params=["memory", "ews by impersonation", "ews with own password"])
def world(request: pytest.FixtureRequest) -> World:
    if request.param == "memory":
        return MemoryWorld()
    return EwsWorld(request.getfixturevalue("sandbox"), impersonate=request.param == "ews by impersonation")
