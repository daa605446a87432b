"""The run itself: read, decide, store; and what the engine knows of mail while it does so."""
