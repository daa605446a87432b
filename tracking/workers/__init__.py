"""Processes: the dispatcher that claims what is due, the workers that do it, and the nightly jobs."""
