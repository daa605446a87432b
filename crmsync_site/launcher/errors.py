"""Why the launcher gave up, in words for the person at the terminal."""


class LauncherError(Exception):
    """Something that has to run cannot; the message says what to do."""
