"""Which rule holds in which folder: the tree and the rules decide, nothing else."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailboxes.provider.port import FolderRole
from tracking.sync.folder_rules import NEVER, Place, Rule, covered, indexed, may_be_tracked, path

GONE = datetime(2026, 3, 2, tzinfo=UTC)


def place(pk, parent=0, role=FolderRole.OTHER, **more):
    return Place(pk, f"f{pk}", f"f{parent}" if parent else "", role, f"n{pk}", **more)


TREE = [place(1, role=FolderRole.INBOX), place(2, 1), place(3, 2), place(4, 3), place(5, role=FolderRole.DELETED)]


def rule(pk, *, subfolders=True, active=True):
    return Rule(pk, subfolders, active)


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ({}, {}),
        ({2: rule(20, subfolders=False)}, {2: 20}),
        ({2: rule(20)}, {2: 20, 3: 20, 4: 20}),
        ({2: rule(20), 3: rule(30)}, {2: 20, 3: 30, 4: 30}),
        ({2: rule(20), 3: rule(30, subfolders=False)}, {2: 20, 3: 30, 4: 20}),
        ({2: rule(20), 3: rule(30, active=False)}, {2: 20}),
        ({2: rule(20), 3: rule(30, subfolders=False, active=False)}, {2: 20, 4: 20}),
        ({1: rule(10)}, {1: 10, 2: 10, 3: 10, 4: 10}),
        ({5: rule(50)}, {}),
    ],
)
def test_the_nearest_rule_decides(rules, expected):
    assert covered(TREE, rules) == expected


def test_a_folder_that_was_thrown_away_is_covered_by_nothing():
    thrown = [place(5, role=FolderRole.DELETED), place(2, 5), place(3, 2)]
    assert covered(thrown, {2: rule(20)}) == {}
    assert not may_be_tracked(thrown[1], indexed(thrown))
    assert may_be_tracked(TREE[1], indexed(TREE))


def test_the_path_is_the_names_from_the_root_down():
    assert path(TREE[3], indexed(TREE)) == ("n1", "n2", "n3", "n4")


def grown(told):
    """Return a tree of folders from what is said of each: the place of its parent in the list, its role, whether it is gone."""
    return [
        Place(pk, f"f{pk}", f"f{above}" if above else "", role, gone_at=GONE if gone else None)
        for pk, (above, role, gone) in enumerate(told, start=1)
    ]


trees = st.lists(st.tuples(st.integers(0, 8), st.sampled_from(FolderRole), st.booleans()), max_size=8).map(grown)
rules = st.dictionaries(
    st.integers(1, 8), st.builds(Rule, st.integers(1, 99), st.booleans(), st.booleans()), max_size=5
)


@given(trees, rules)
def test_any_tree_circles_included_has_an_answer_and_only_active_rules_hold_where_folders_are(tree, rules):
    found = covered(tree, rules)
    by_pk = {each.pk: each for each in tree}
    for pk, rule_pk in found.items():
        assert by_pk[pk].gone_at is None
        assert by_pk[pk].role not in NEVER
        assert any(rule.pk == rule_pk and rule.active for rule in rules.values())
        if pk in rules:
            assert rules[pk].active


@given(trees, rules)
def test_a_rule_more_takes_no_folder_from_the_reach_of_the_others_but_its_own(tree, rules):
    without = covered(tree, rules)
    free = next((each for each in tree if each.pk not in rules), None)
    if free is None:
        return
    more = covered(tree, {**rules, free.pk: Rule(1000, subfolders=False, active=True)})
    assert {pk: r for pk, r in more.items() if pk != free.pk} == {pk: r for pk, r in without.items() if pk != free.pk}
