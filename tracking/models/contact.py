"""Contacts: people, with everything that an address book holds of them."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from tracking.models.record import Account, Reachable


class Contact(Reachable):
    """A person, usually of an account. The columns are those of Outlook's address book, so that it can be kept in step."""

    first_name = models.CharField(_("first name"), max_length=100, blank=True)
    middle_name = models.CharField(_("middle name"), max_length=100, blank=True)
    last_name = models.CharField(_("last name"), max_length=100)
    account = models.ForeignKey(Account, on_delete=models.SET_NULL, null=True, blank=True, related_name="contacts")
    active = models.BooleanField(_("active"), default=True)

    job_title = models.CharField(_("job title"), max_length=200, blank=True)
    department = models.CharField(_("department"), max_length=200, blank=True)
    manager = models.CharField(_("manager"), max_length=200, blank=True)
    assistant = models.CharField(_("assistant"), max_length=200, blank=True)
    nickname = models.CharField(_("nickname"), max_length=200, blank=True)
    spouse = models.CharField(_("spouse or partner"), max_length=200, blank=True)
    children = models.CharField(_("children"), max_length=400, blank=True)
    website = models.CharField(_("web page"), max_length=400, blank=True)
    birthday = models.DateField(_("birthday"), null=True, blank=True)
    anniversary = models.DateField(_("anniversary"), null=True, blank=True)
    notes = models.TextField(_("notes"), blank=True)

    business_phone = models.CharField(_("business phone"), max_length=100, blank=True)
    business_phone2 = models.CharField(_("second business phone"), max_length=100, blank=True)
    home_phone = models.CharField(_("home phone"), max_length=100, blank=True)
    home_phone2 = models.CharField(_("second home phone"), max_length=100, blank=True)
    mobile_phone = models.CharField(_("mobile phone"), max_length=100, blank=True)
    pager = models.CharField(_("pager"), max_length=100, blank=True)
    callback_phone = models.CharField(_("callback phone"), max_length=100, blank=True)
    company_phone = models.CharField(_("company phone"), max_length=100, blank=True)
    assistant_phone = models.CharField(_("assistant's phone"), max_length=100, blank=True)
    other_phone = models.CharField(_("other phone"), max_length=100, blank=True)
    business_fax = models.CharField(_("business fax"), max_length=100, blank=True)

    # Street, city, region, postal code and country of each (`mailboxes.provider.entries.PostalAddress`).
    business_address = models.JSONField(_("business address"), default=dict, blank=True)
    home_address = models.JSONField(_("home address"), default=dict, blank=True)
    other_address = models.JSONField(_("other address"), default=dict, blank=True)

    class Meta(Reachable.Meta):
        """Listed by name; found by address and by when it was changed."""

        ordering = ["last_name", "first_name"]
        indexes = [*Reachable.Meta.indexes, models.Index(fields=["modified_at"], name="contact_modified")]

    def __str__(self) -> str:
        """Return the full name."""
        return " ".join(part for part in (self.first_name, self.middle_name, self.last_name) if part)
