"""Fixtures of the pages' tests."""

from tests.scene import organisation

__all__ = ["organisation"]
