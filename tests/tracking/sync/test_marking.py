"""What categories ask for, and what is written back on a message: decided on names alone."""

from hypothesis import given
from hypothesis import strategies as st

from mailboxes.provider.port import Envelope
from tracking.sync.facts import Outcome, Reason
from tracking.sync.marking import Names, corrected
from tracking.sync.plan import Fail, Link, Refuse, Touch

NAMES = Names("Tracked", ("Old name",), "Cannot")
words = st.lists(
    st.sampled_from(["tracked", "TRACKED", "Cannot", "CANNOT", "Red", "old NAME"]), max_size=4, unique=True
)


def mail(categories, **more):
    return Envelope("i", "1", None, (), (), (), "", categories=tuple(categories), **more)


actions = st.one_of(
    st.builds(Refuse, st.just("i"), st.just("1"), st.just(""), st.sampled_from(Reason), st.sampled_from(Outcome)),
    st.builds(Fail, st.just("i"), st.just("1"), st.just(Reason.UNREADABLE), st.sampled_from(["broken", "item_gone"])),
    st.just(Link(mail(()), "key", Reason.ALREADY_TRACKED)),
    st.just(Touch("i", "1")),
)


@given(words, actions, st.booleans())
def test_what_is_written_is_wanted_once_and_touches_no_other_category(categories, action, draft):
    envelope = mail(categories, is_draft=draft)
    written = corrected(envelope, action, NAMES, gone="item_gone")
    if written is None:
        return
    assert not draft
    others = [each for each in categories if each.lower() != "cannot"]
    assert [each for each in written if each.lower() != "cannot"] == others
    assert corrected(mail(written), action, NAMES, gone="item_gone") is None, "our own write asks for nothing more"


@given(words)
def test_a_name_that_keeps_asks_if_it_is_the_current_one(categories):
    assert NAMES.keeps(categories) or not NAMES.asks(categories)
    assert NAMES.keeps(["old name"])
    assert not NAMES.asks(["old name"])


def test_private_and_set_aside_mail_that_was_marked_says_so():
    marked = mail(["Tracked", "Red"])
    for action in (
        Refuse("i", "1", "", Reason.PRIVATE),
        Fail("i", "1", Reason.UNREADABLE, "broken"),
        Refuse("i", "1", "", Reason.DISCARDED, Outcome.DISCARDED),
    ):
        assert corrected(marked, action, NAMES, gone="item_gone") == ("Tracked", "Red", "Cannot")
        assert corrected(mail(["Red"]), action, NAMES, gone="item_gone") is None


def test_what_was_only_not_wanted_does_not():
    assert corrected(mail(["Red"]), Refuse("i", "1", "", Reason.NOT_A_REPLY), NAMES, gone="item_gone") is None
    assert corrected(mail(["Cannot"]), Refuse("i", "1", "", Reason.NOT_A_REPLY), NAMES, gone="item_gone") == ()
