"""CRM records: accounts, contacts, leads, opportunities, cases."""

from typing import Final

from django.conf import settings
from django.db import models
from django.db.models.functions import Lower
from django.utils.translation import gettext_lazy as _


class Owned(models.Model):
    """A record belongs to a person; None only when that person's user is gone."""

    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("owner"),
    )
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    modified_at = models.DateTimeField(_("changed"), auto_now=True)
    # A record that is thrown away can be had back: nobody sees it meanwhile.
    deleted_at = models.DateTimeField(_("deleted"), null=True, blank=True)

    class Meta:
        """A base, not a table."""

        abstract = True


# The columns of `Reachable`.
ADDRESS_COLUMNS: Final = ("email1", "email2", "email3")


class Reachable(Owned):
    """A record with up to three addresses, each of which mail is matched against, whatever its case."""

    email1 = models.EmailField(_("address"), blank=True)
    email2 = models.EmailField(_("second address"), blank=True)
    email3 = models.EmailField(_("third address"), blank=True)

    class Meta:
        """A base, not a table; every address column is indexed in lower case."""

        abstract = True
        indexes = [
            models.Index(Lower("email1"), name="%(class)s_email1"),
            models.Index(Lower("email2"), name="%(class)s_email2"),
            models.Index(Lower("email3"), name="%(class)s_email3"),
        ]


class Account(Reachable):
    """An organisation."""

    name = models.CharField(_("name"), max_length=200)

    class Meta(Reachable.Meta):
        """Listed by name."""

        ordering = ["name"]

    def __str__(self) -> str:
        """Return the name."""
        return self.name


class Lead(Reachable):
    """Somebody who may become a customer."""

    name = models.CharField(_("name"), max_length=200)
    company = models.CharField(_("company"), max_length=200, blank=True)

    class Meta(Reachable.Meta):
        """Listed by name."""

        ordering = ["name"]

    def __str__(self) -> str:
        """Return the name."""
        return self.name


class Opportunity(Owned):
    """A sale that may come about."""

    name = models.CharField(_("name"), max_length=200)
    account = models.ForeignKey(Account, on_delete=models.SET_NULL, null=True, blank=True, related_name="opportunities")

    class Meta:
        """Listed by name."""

        ordering = ["name"]
        verbose_name_plural = _("opportunities")

    def __str__(self) -> str:
        """Return the name."""
        return self.name


class Case(Reachable):
    """Something a customer needs solved. May have an address of its own (a queue): "any mail-enabled record"."""

    title = models.CharField(_("title"), max_length=200)
    account = models.ForeignKey(Account, on_delete=models.SET_NULL, null=True, blank=True, related_name="cases")

    class Meta(Reachable.Meta):
        """Listed by title."""

        ordering = ["title"]

    def __str__(self) -> str:
        """Return the title."""
        return self.title
