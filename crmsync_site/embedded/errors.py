"""What can go wrong with the embedded servers, in words for the person at the terminal."""


class ServiceError(Exception):
    """An embedded server cannot be found, started or reached; the message says what to do."""
