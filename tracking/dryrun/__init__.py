"""Trying a change of policy: what it would have come to on the last days, with nothing written (S16)."""
