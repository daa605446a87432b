"""How a mail system is reached."""

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

from mailboxes.states import Auth
from security.secrets import EncryptedTextField


class ServerProfile(models.Model):
    """A mail system: address, sign-in, trust, how many requests at once, and what was learnt of it.

    `url` is empty when autodiscover is to find it (`autodiscover_address` then holds the address to start from).
    With OAuth, `username` is the application id, `secret` its client secret and `tenant` the directory.
    """

    name = models.CharField(_("name"), max_length=100, unique=True)
    url = models.URLField(_("EWS address"), max_length=500, blank=True)
    autodiscover_address = models.EmailField(_("address for autodiscover"), blank=True)
    auth = models.CharField(_("sign-in"), max_length=10, choices=Auth)
    username = models.CharField(_("user name"), max_length=254, blank=True)
    secret = EncryptedTextField(_("password"), blank=True, null=True)
    tenant = models.CharField(_("directory (tenant)"), max_length=100, blank=True)
    token_url = models.URLField(_("token address"), max_length=500, blank=True)
    impersonate = models.BooleanField(_("impersonation"), default=False)
    ca_pem = models.TextField(_("certificates of a private authority (PEM)"), blank=True)
    concurrency = models.PositiveSmallIntegerField(
        _("requests at once"), default=4, validators=[MinValueValidator(1), MaxValueValidator(27)]
    )

    # -- learnt by check_mailbox or by the first run, and passed back to the adapter as hints
    build = models.CharField(_("build"), max_length=40, blank=True)
    api_version = models.CharField(_("protocol version"), max_length=40, blank=True)
    counters = models.BooleanField(_("has change counters"), null=True)
    counter_facts = models.JSONField(_("what moves the counters"), default=dict, blank=True)
    tested_at = models.DateTimeField(_("tested"), null=True)

    # -- what holds every mailbox of the server back, if anything does
    # A hold that is over stays here; one whose failures are not 0 lets a single mailbox try (mailboxes.claims).
    not_before = models.DateTimeField(_("not before"), null=True)
    # When mailboxes of this server were last handed out: servers take turns by it.
    claimed_at = models.DateTimeField(null=True)
    failures = models.PositiveIntegerField(_("failures in a row"), default=0)
    stopped_code = models.CharField(_("stopped because"), max_length=60, blank=True)
    stopped_detail = models.TextField(_("detail"), blank=True)
    stopped_at = models.DateTimeField(_("stopped"), null=True)

    class Meta:
        """Listed by name."""

        ordering = ["name"]

    def __str__(self) -> str:
        """Return the name."""
        return self.name
