"""The one door: closed by default, for kinds nobody registered and for people who are not (or no longer) anybody."""

import pytest
from django.contrib.auth.models import AnonymousUser, Group
from django.http import Http404

from security.access import get_visible_or_404, visible
from security.models import User
from tracking.models import Contact

pytestmark = pytest.mark.django_db


def test_a_kind_without_rules_is_invisible_to_administrators_too():
    Group.objects.create(name="g")
    admin = User.objects.create_superuser("admin")
    assert not visible(admin, Group).exists()


def test_strangers_and_inactive_people_see_nothing():
    contact = Contact.objects.create(last_name="Kim")
    admin = User.objects.create_superuser("admin")
    assert visible(admin, Contact).get() == contact
    assert not visible(AnonymousUser(), Contact).exists()
    admin.is_active = False
    assert not visible(admin, Contact).exists()


def test_what_is_invisible_does_not_exist():
    contact = Contact.objects.create(last_name="Kim")
    outsider = User.objects.create_user("outsider", first_name="Olga", last_name="Out")
    with pytest.raises(Http404):
        get_visible_or_404(outsider, Contact, pk=contact.pk)
    contact.owner = outsider
    contact.save()
    assert get_visible_or_404(outsider, Contact, pk=contact.pk) == contact
    assert str(outsider) == "Olga Out"
