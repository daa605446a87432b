"""The offices that send: in memory, and over real EWS."""

from collections.abc import Iterator

import pytest

from mailboxes.provider.ews.client import POOL
from mailboxes.sandbox.server import SandboxServer
from mailboxes.sandbox.store import SandboxStore
from tests.tracking.outgoing.post import EwsPost, MemoryPost, Post


@pytest.fixture(autouse=True)
def _blobs(settings, tmp_path) -> None:
    settings.BLOB_ROOT = tmp_path / "blobs"


@pytest.fixture
def memory(db: None) -> MemoryPost:
    return MemoryPost()


@pytest.fixture(params=["memory", "ews"])
def post(request: pytest.FixtureRequest, db: None) -> Iterator[Post]:
    if request.param == "memory":
        yield MemoryPost()
        return
    with SandboxServer(SandboxStore()) as sandbox:
        yield EwsPost(sandbox)
    POOL.forget()
