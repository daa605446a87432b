"""Requests of people who have signed in, for type checkers and for those who forget a decorator."""

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest

from security.models import User


def signed_in(request: HttpRequest) -> User:
    """Return who is signed in; refuses strangers, whom the middleware sends to sign-in before any view anyway."""
    if not isinstance(request.user, User):
        raise PermissionDenied
    return request.user
