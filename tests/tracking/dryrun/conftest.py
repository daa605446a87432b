"""Fixtures of dry runs: a maker of desks."""

from tests.tracking.linked.conftest import at

__all__ = ["at"]
