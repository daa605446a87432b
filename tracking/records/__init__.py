"""Customer records as people read them, and references to them from elsewhere."""
