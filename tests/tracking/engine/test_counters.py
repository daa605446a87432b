"""How a run learns whether its server has change counters, and unlearns it."""

import pytest

from mailboxes.models import ServerProfile
from mailboxes.provider.memory import MemoryServer
from mailboxes.provider.memory.provider import MemoryProvider
from tests.tracking.office import Office

pytestmark = pytest.mark.django_db


@pytest.fixture
def office() -> Office:
    return Office()


def learnt():
    return ServerProfile.objects.get().counters


@pytest.mark.parametrize("full", [True, False])
def test_an_answer_about_no_folder_teaches_nothing(office, monkeypatch, full):
    anna = office.mailbox("anna")
    office.sync(anna)
    ServerProfile.objects.update(counters=None)
    with monkeypatch.context() as patch:
        patch.setattr(MemoryProvider, "counters", lambda _self, _ids: {})
        office.sync(anna, full=full)
    assert learnt() is None
    office.sync(anna)
    assert learnt() is True


def test_a_server_that_has_counters_after_all_is_found_out_by_the_full_pass(office):
    anna = office.mailbox("anna")
    office.server.counters = False
    office.sync(anna)
    assert learnt() is False
    office.server.counters = True
    assert (office.sync(anna, full=False).requests, learnt()) == (2, False)
    office.sync(anna)
    assert learnt() is True
    assert office.sync(anna, full=False).requests == 1


def test_folders_without_counters_are_read_and_only_the_full_pass_draws_conclusions(office):
    anna = office.mailbox("anna")
    office.sync(anna)
    office.server.counters = False
    office.server.deliver(anna.address)
    assert (office.sync(anna, full=False).tracked, learnt()) == (1, True)
    office.sync(anna)
    assert learnt() is False


def test_counters_seen_in_any_run_are_believed():
    office = Office(server=MemoryServer())
    anna = office.mailbox("anna")
    office.sync(anna)
    ServerProfile.objects.update(counters=None)
    office.sync(anna, full=False)
    assert learnt() is True


def test_counters_that_are_proven_not_to_move_are_not_asked_for_again(office):
    anna = office.mailbox("anna")
    ServerProfile.objects.update(counters=False, counter_facts={"create": False, "change": True, "delete": True})
    office.sync(anna)
    assert (learnt(), office.server.calls[anna.address, "counters"]) == (False, 0)
