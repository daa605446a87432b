"""Tests that documents name: whether they are there."""

import ast
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


@cache
def tests_in(file: str) -> frozenset[str]:
    """Return the names of the tests in a file (from the project's root), empty when there is no such file."""
    path = ROOT / file
    if not path.is_file():
        return frozenset()
    return frozenset(
        node.name
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and node.name.lower().startswith("test")
    )


def assert_is_there(test: str) -> None:
    """Assert that `file` has tests, or `file::function` that one."""
    file, _, function = test.partition("::")
    names = tests_in(file)
    assert names, f"{file} has no tests"
    assert not function or function in names, f"{file} has no {function}"
