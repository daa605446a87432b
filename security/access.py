"""The one door: every object a person can reach goes through `visible` or `get_visible_or_404`.

Each app registers its kinds in its own `access_rules.py`. A kind without rules is invisible, to administrators too.
What a person may not see does not exist for them: 404, never 403 (design §7).
"""

from collections.abc import Callable
from typing import Any, TypeVar

from django.contrib.auth.models import AnonymousUser
from django.db.models import Model, QuerySet
from django.http import Http404

from security.models import User

Kind = TypeVar("Kind", bound=Model)
Person = User | AnonymousUser
_rules: dict[type[Model], Callable[[User], QuerySet[Any]]] = {}


def register(model: type[Kind], visible_to: Callable[[User], QuerySet[Kind]]) -> None:
    """Say which rows of `model` a signed-in, active user may see."""
    _rules[model] = visible_to


def visible(person: Person, model: type[Kind]) -> QuerySet[Kind]:
    """Return the rows of `model` that `person` may see; none for strangers, inactive users and unregistered kinds."""
    rule = _rules.get(model)
    if rule is None or not isinstance(person, User) or not person.is_active:
        return model._default_manager.none()
    return rule(person)


def get_visible_or_404(person: Person, model: type[Kind], **lookup: Any) -> Kind:
    """Return the one row of `model` that fits `lookup` and that `person` may see; raises Http404 otherwise."""
    row = visible(person, model).filter(**lookup).first()
    if row is None:
        raise Http404
    return row
