"""The change log against a client that applies every page it is given, over random histories."""

from hypothesis import given
from hypothesis import strategies as st

from mailboxes.sandbox.changelog import Change, ChangeLog, Cursor

STEPS = st.lists(
    st.one_of(
        st.just(("create", 0)),
        st.tuples(st.sampled_from(["update", "read", "delete"]), st.integers(0, 30)),
        st.tuples(st.just("sync"), st.integers(1, 4)),
    ),
    max_size=60,
)


class World:
    """A folder as it is, and what a client believes of it: member → version seen."""

    def __init__(self, *, newest_first: bool = False) -> None:
        self.newest_first = newest_first
        self.log = ChangeLog()
        self.versions: dict[int, int] = {}
        self.next_number = 1
        self.clock = 0
        self.cursor = Cursor()
        self.believed: dict[int, int] = {}

    def step(self, action: str, argument: int) -> None:
        self.clock += 1
        if action == "create":
            self.versions[self.next_number] = self.clock
            self.log.append(Change.CREATE, self.next_number)
            self.next_number += 1
        elif action == "sync":
            self.sync(argument)
        elif self.versions:
            number = sorted(self.versions)[argument % len(self.versions)]
            if action == "delete":
                del self.versions[number]
            else:
                self.versions[number] = self.clock
            self.log.append(Change(action), number)

    def sync(self, limit: int) -> bool:
        page = self.log.page(self.cursor, limit, self.versions.__contains__, newest_first=self.newest_first)
        assert len(page.changes) <= limit
        for change, number in page.changes:
            if change is Change.CREATE:
                assert number not in self.believed, "a creation is told once"
                self.believed[number] = self.versions[number]
            elif change is Change.DELETE:
                self.believed.pop(number, None)
            else:
                assert number in self.believed, "an update is of something known"
                self.believed[number] = self.versions[number]
        self.cursor = page.cursor
        assert self.log.knows(self.cursor)
        return page.last


@given(STEPS, st.integers(1, 5), st.booleans())
def test_a_client_that_applies_all_pages_knows_the_folder(
    steps: list[tuple[str, int]], limit: int, newest_first: bool
) -> None:
    world = World(newest_first=newest_first)
    for action, argument in steps:
        world.step(action, argument)
    for _ in range(200):
        if world.sync(limit):
            break
    assert world.believed == world.versions
    assert world.log.page(world.cursor, limit, world.versions.__contains__).changes == []


def test_a_cursor_from_a_longer_log_is_not_known() -> None:
    log = ChangeLog()
    log.append(Change.CREATE, 1)
    assert log.knows(Cursor(0, 1, 1))
    assert not log.knows(Cursor(0, 2, 2))
    assert not log.knows(Cursor(1, 0, 1))
