"""People, and the mail servers they have allowed crmsync to reach."""

from django.contrib.auth.models import AbstractUser
from django.db import models
from django.utils.translation import gettext_lazy as _

from security.privileges import PRIVILEGES


class User(AbstractUser):
    """A person who signs in: administrator, auditor, owner or member, by groups and privileges."""

    class Meta(AbstractUser.Meta):
        """Privileges hang on the user model, since they are not about one kind of object."""

        permissions = PRIVILEGES

    def __str__(self) -> str:
        """Return the person's name, or the user name."""
        return self.get_full_name() or self.username


class AllowedHost(models.Model):
    """A host and port that crmsync may connect to. Nothing that is not listed here is ever contacted (design §7)."""

    host = models.CharField(_("host"), max_length=253)
    port = models.PositiveIntegerField(_("port"))
    private = models.BooleanField(
        _("private address allowed"),
        default=False,
        help_text=_("The host may resolve to a loopback or private address."),
    )
    plain_http = models.BooleanField(_("plain HTTP allowed"), default=False)
    added_by = models.CharField(_("added by"), max_length=150)
    added_at = models.DateTimeField(_("added"), auto_now_add=True)

    class Meta:
        """One row per host and port."""

        constraints = [models.UniqueConstraint(fields=["host", "port"], name="allowed_host_once")]

    def __str__(self) -> str:
        """Return `host:port`."""
        return f"{self.host}:{self.port}"
