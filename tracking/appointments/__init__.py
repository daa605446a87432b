"""Appointments as people read them: when they are, and on which days a series is not as usual."""
