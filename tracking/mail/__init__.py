"""Tracked mail as people read it: threads, messages, bodies made safe."""
