"""Changing what syncs: drafts that can be tried, published in one step, and taken back (S16)."""
