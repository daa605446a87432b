"""Everything that can go wrong, in words: one table that screens, alerts, commands, docs and tests read (design §6).

The idea: an error is a code, and all that is said of the code stands in one row. `%(server)s` and its like are places
where a name may be filled in; without one a general word stands there, so every sentence can be shown as it is.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from mailboxes.provider.errors import Kind, Scope


class Who(StrEnum):
    """Who can do something about an error."""

    ADMINISTRATOR = "administrator"
    OWNER = "owner"
    NOBODY = "nobody"


class Retry(StrEnum):
    """When the same is tried again."""

    BACK_OFF = "back_off"
    NAMED_TIME = "named_time"
    PERSON = "person"
    SCHEDULE = "schedule"
    RELIST = "relist"
    QUARANTINE = "quarantine"
    NEVER = "never"


WHO_LABELS: Final[dict[str, Promise]] = {
    Who.ADMINISTRATOR: _("for the administrator"),
    Who.OWNER: _("for the owner of the mailbox"),
    Who.NOBODY: _("passes by itself"),
}
RETRY_LABELS: Final[dict[str, Promise]] = {
    Retry.BACK_OFF: _("again after a wait that grows with each failure"),
    Retry.NAMED_TIME: _("again at the time the server named, else after a wait that grows"),
    Retry.PERSON: _("not before a person has acted"),
    Retry.SCHEDULE: _("with the next run"),
    Retry.RELIST: _("at once: the folder is listed again and matched with what is known"),
    Retry.QUARANTINE: _("three times, then the item is set aside and can be tried again from the screen"),
    Retry.NEVER: _("never: it would end the same way"),
}
KIND_LABELS: Final[dict[str, Promise]] = {
    Kind.TRANSIENT: _("passing"),
    Kind.THROTTLED: _("slowed down"),
    Kind.AUTHORISATION: _("authorisation"),
    Kind.CONFIGURATION: _("configuration"),
    Kind.MAILBOX: _("mailbox"),
    Kind.ITEM: _("item"),
    Kind.BUG: _("defect"),
}
SCOPE_LABELS: Final[dict[str, Promise]] = {
    Scope.SERVER: _("server"),
    Scope.CREDENTIAL: _("sign-in"),
    Scope.MAILBOX: _("mailbox"),
    Scope.FOLDER: _("folder"),
    Scope.ITEM: _("item"),
}
# What stands in a place that nobody filled in.
GENERAL_WORDS: Final[dict[str, Promise]] = {
    "server": _("the mail server"),
    "account": _("the account crmsync signs in with"),
    "application": _("the application crmsync signs in as"),
    "mailbox": _("the mailbox"),
    "folder": _("the folder"),
}


class _Names(dict[str, str]):
    def __missing__(self, place: str) -> str:
        return str(GENERAL_WORDS[place])


@dataclass(frozen=True, slots=True)
class Text:
    """A text with places for names, in the language in force when it is read."""

    template: Promise

    def __str__(self) -> str:
        """Return the text with general words in its places."""
        return self.filled()

    def filled(self, **names: str) -> str:
        """Return the text with `names` in its places; empty ones count as not given."""
        return str(self.template) % _Names((place, name) for place, name in names.items() if name)


@dataclass(frozen=True, slots=True)
class Entry:
    """One row. `sentence` says what happened, `cause` why it does, `remedy` what to do."""

    code: str
    kind: Kind
    scope: Scope
    who: Who
    retry: Retry
    sentence: Text
    cause: Text
    remedy: Text


_ROWS: list[Entry] = []


def _row(
    code: str, kind: Kind, scope: Scope, who: Who, retry: Retry, sentence: Promise, cause: Promise, remedy: Promise
) -> None:
    _ROWS.append(Entry(code, kind, scope, who, retry, Text(sentence), Text(cause), Text(remedy)))


# One row is one call, its columns in the order of `_row`.
# fmt: off

# -- slowed down ------------------------------------------------------------------------------------------------------

_row(
    "server_busy", Kind.THROTTLED, Scope.MAILBOX, Who.NOBODY, Retry.NAMED_TIME,
    _("Exchange asked us to wait; syncing goes on by itself."),
    _("The budget that Exchange gives a mailbox or an account for requests is used up for the moment."),
    _("Nothing now. If it comes often, raise the EWS throttling policy of %(account)s, or lower “requests at once” of the server profile."),
)
_row(
    "too_many_connections", Kind.THROTTLED, Scope.CREDENTIAL, Who.ADMINISTRATOR, Retry.NAMED_TIME,
    _("Exchange counts too many connections of %(account)s at the same time."),
    _("Exchange allows 27 at once unless its throttling policy says otherwise; other programs with this account count too."),
    _("Lower “requests at once” of the server profile, or give crmsync an account of its own."),
)
_row(
    "too_many_subscriptions", Kind.THROTTLED, Scope.MAILBOX, Who.NOBODY, Retry.SCHEDULE,
    _("Other programs use up the notifications of %(mailbox)s; crmsync looks for changes on its schedule instead."),
    _("Exchange allows a limited number of notification subscriptions per mailbox."),
    _("Nothing has to be done. Fewer programs on the mailbox bring notifications back."),
)

# -- passing ----------------------------------------------------------------------------------------------------------

_row(
    "unreachable", Kind.TRANSIENT, Scope.SERVER, Who.ADMINISTRATOR, Retry.BACK_OFF,
    _("There is no way to %(server)s at the moment."),
    _("The network between crmsync and the server does not carry the connection."),
    _("If it lasts, check the route and the firewalls between this machine and the server."),
)
_row(
    "name_unresolved", Kind.TRANSIENT, Scope.SERVER, Who.ADMINISTRATOR, Retry.BACK_OFF,
    _("The name of %(server)s cannot be resolved."),
    _("The name is misspelt, or the name service of this machine does not know it or does not answer."),
    _("Check the address in the server profile and the name service (DNS) of this machine."),
)
_row(
    "connection_refused", Kind.TRANSIENT, Scope.SERVER, Who.ADMINISTRATOR, Retry.BACK_OFF,
    _("The machine of %(server)s does not accept connections on this port."),
    _("The web service is not running, the port is wrong, or a firewall refuses."),
    _("Check that the web service of Exchange runs, the port in the server profile, and the firewall."),
)
_row(
    "connection_lost", Kind.TRANSIENT, Scope.SERVER, Who.NOBODY, Retry.BACK_OFF,
    _("The connection to %(server)s broke in the middle of an answer."),
    _("The server or something on the way ended the connection; restarts and proxies do that."),
    _("Nothing at first. If it lasts, look at proxies and load balancers in front of the server."),
)
_row(
    "timed_out", Kind.TRANSIENT, Scope.SERVER, Who.NOBODY, Retry.BACK_OFF,
    _("There was no answer from %(server)s in time."),
    _("The server is overloaded or the network is slow: no connection within 5 seconds, or silence for 30."),
    _("Nothing at first. If it lasts, look at the load of the server."),
)
_row(
    "server_unavailable", Kind.TRANSIENT, Scope.SERVER, Who.NOBODY, Retry.BACK_OFF,
    _("Exchange is not available for the moment; syncing goes on by itself."),
    _("Exchange said that a part of it (mailbox store, directory, memory) cannot be reached now."),
    _("Nothing at first. If it lasts, look at the health of the Exchange server."),
)
_row(
    "server_error", Kind.TRANSIENT, Scope.SERVER, Who.NOBODY, Retry.BACK_OFF,
    _("Exchange reported an internal error; syncing goes on by itself."),
    _("Exchange failed on our request without saying why."),
    _("Nothing at first. If it lasts, look into the event log of the Exchange server."),
)
_row(
    "mailbox_moving", Kind.TRANSIENT, Scope.MAILBOX, Who.NOBODY, Retry.BACK_OFF,
    _("Exchange is moving %(mailbox)s; syncing goes on when it has arrived."),
    _("The mailbox goes to another database or server."),
    _("Nothing. If it was moved to another Exchange, connect that one and assign the mailbox to it."),
)
_row(
    "login_service_unavailable", Kind.TRANSIENT, Scope.CREDENTIAL, Who.NOBODY, Retry.BACK_OFF,
    _("The login service gave no access token; we try again."),
    _("The service at the token address did not answer, or answered with an error of its own."),
    _("Nothing at first. If it lasts, check the token address in the server profile."),
)
_row(
    "cursor_expired", Kind.TRANSIENT, Scope.FOLDER, Who.NOBODY, Retry.RELIST,
    _("Exchange has reset the change history of %(folder)s; we compare the whole folder once."),
    _("The mailbox was moved or restored, or the history is older than the server keeps."),
    _("Nothing. Nothing is stored twice."),
)

# -- authorisation ----------------------------------------------------------------------------------------------------

_row(
    "sign_in_refused", Kind.AUTHORISATION, Scope.CREDENTIAL, Who.ADMINISTRATOR, Retry.PERSON,
    _("The user name or password of %(account)s was refused."),
    _("The password was changed or mistyped. We do not try again, because repeated attempts lock accounts."),
    _("Enter the new password in the server profile (or run connect_server again); syncing goes on at once."),
)
_row(
    "account_locked", Kind.AUTHORISATION, Scope.CREDENTIAL, Who.ADMINISTRATOR, Retry.PERSON,
    _("Exchange has locked %(account)s."),
    _("There were too many attempts with a wrong password, perhaps by another program."),
    _("Unlock the account in the directory, then press “Test” on the server profile."),
)
_row(
    "account_disabled", Kind.AUTHORISATION, Scope.CREDENTIAL, Who.ADMINISTRATOR, Retry.PERSON,
    _("The directory has disabled or blocked %(account)s."),
    _("Somebody switched the account off, or a rule blocks it."),
    _("Enable the account in the directory or give crmsync another one."),
)
_row(
    "password_expired", Kind.AUTHORISATION, Scope.CREDENTIAL, Who.ADMINISTRATOR, Retry.PERSON,
    _("The password of %(account)s has expired."),
    _("The directory asks for a new password."),
    _("Set a new password and enter it in the server profile; service accounts do best with passwords that do not expire."),
)
_row(
    "app_secret_refused", Kind.AUTHORISATION, Scope.CREDENTIAL, Who.ADMINISTRATOR, Retry.PERSON,
    _("The client secret of %(application)s is wrong or has expired."),
    _("Client secrets have an end date in the directory (Entra)."),
    _("Create a new client secret in the directory and enter it in the server profile."),
)
_row(
    "access_refused", Kind.AUTHORISATION, Scope.MAILBOX, Who.ADMINISTRATOR, Retry.BACK_OFF,
    _("Exchange does not allow %(account)s to open %(mailbox)s."),
    _("The account has no full access to the mailbox, and no right to impersonate its owner."),
    _("Give the account full access to the mailbox, or the right to impersonate and switch impersonation on in the server profile."),
)
_row(
    "impersonation_refused", Kind.AUTHORISATION, Scope.MAILBOX, Who.ADMINISTRATOR, Retry.BACK_OFF,
    _("Exchange does not allow %(account)s to act as %(mailbox)s."),
    _("The right to impersonate is missing, or its scope leaves this mailbox out."),
    _("Exchange Server: assign the management role ApplicationImpersonation with a scope that holds this mailbox. Exchange Online: grant the application full_access_as_app, or a role by RBAC for Applications."),
)
_row(
    "ews_forbidden", Kind.AUTHORISATION, Scope.MAILBOX, Who.ADMINISTRATOR, Retry.BACK_OFF,
    _("Exchange Web Services are switched off for %(mailbox)s, or for crmsync."),
    _("EWS is disabled for the mailbox, or the organisation's list of allowed programs does not hold “crmsync”."),
    _("Look at Get-CASMailbox and Get-OrganizationConfig (the properties that begin with Ews), and allow EWS for the mailbox and the program."),
)
_row(
    "ews_ended_online", Kind.AUTHORISATION, Scope.SERVER, Who.ADMINISTRATOR, Retry.BACK_OFF,
    _("Exchange Online refuses Exchange Web Services for this organisation."),
    _("Microsoft blocks EWS tenant by tenant since 1 October 2026 and ends it on 1 April 2027."),
    _("Until then: set EwsEnabled to true with Set-OrganizationConfig and add the application's id to EwsAllowedAppIDs; the change takes up to a day."),
)
_row(
    "folder_refused", Kind.CONFIGURATION, Scope.FOLDER, Who.OWNER, Retry.SCHEDULE,
    _("There is no right to read %(folder)s; the other folders go on."),
    _("The account crmsync signs in with may not read this folder."),
    _("Give the right to read the folder, or stop following it."),
)
_row(
    "filter_broken", Kind.CONFIGURATION, Scope.FOLDER, Who.ADMINISTRATOR, Retry.SCHEDULE,
    _("A filter of the sync profile cannot be asked; nothing new flows past it, and what is linked stays linked."),
    _("It asks for a field or a value that does not exist, or not any more. Its name stands beside this."),
    _("Open the sync profile, mend or remove the filter, and publish the change."),
)
_row(
    "own_filter_broken", Kind.CONFIGURATION, Scope.FOLDER, Who.OWNER, Retry.SCHEDULE,
    _("A filter of the owner of %(mailbox)s cannot be asked; nothing flows by it, and what is linked stays linked."),
    _("It asks for a field or a value that does not exist, or not any more. Its name stands beside this."),
    _("Open the page Filters of the mailbox, mend or remove the filter, and publish the change."),
)

# -- configuration ----------------------------------------------------------------------------------------------------

_row(
    "misconfigured", Kind.CONFIGURATION, Scope.SERVER, Who.ADMINISTRATOR, Retry.BACK_OFF,
    _("The server profile cannot work as it stands."),
    _("Something in it does not fit the server."),
    _("Run check_mailbox for one of its mailboxes: it names the step that fails."),
)
_row(
    "certificate_untrusted", Kind.CONFIGURATION, Scope.SERVER, Who.ADMINISTRATOR, Retry.BACK_OFF,
    _("The certificate of %(server)s is not trusted."),
    _("It was issued by an authority this machine does not know, for another name, or it has expired."),
    _("Give the certificate of the issuing authority to the server profile (connect_server --ca), correct the host name, or renew the certificate."),
)
_row(
    "tls_failed", Kind.CONFIGURATION, Scope.SERVER, Who.ADMINISTRATOR, Retry.BACK_OFF,
    _("There is no encrypted connection to %(server)s."),
    _("The port does not speak TLS, or only versions that are too old."),
    _("Check the port in the server profile and that the server offers TLS 1.2 or newer."),
)
_row(
    "no_ews_here", Kind.CONFIGURATION, Scope.SERVER, Who.ADMINISTRATOR, Retry.BACK_OFF,
    _("There are no Exchange Web Services at the address of %(server)s."),
    _("The address points elsewhere; the path is normally /EWS/Exchange.asmx."),
    _("Correct the EWS address in the server profile."),
)
_row(
    "answer_is_web_page", Kind.CONFIGURATION, Scope.SERVER, Who.ADMINISTRATOR, Retry.BACK_OFF,
    _("A web page came back from %(server)s instead of an answer."),
    _("A login page or a proxy stands in front of Exchange, or the address is that of a web site."),
    _("Correct the EWS address, or let /EWS/ pass the gateway without a login page."),
)
_row(
    "redirected", Kind.CONFIGURATION, Scope.SERVER, Who.ADMINISTRATOR, Retry.BACK_OFF,
    _("An answer from %(server)s sends us to another address; crmsync does not follow on its own."),
    _("The address is out of date, or lacks https://."),
    _("Enter the new address in the server profile, if you know it and trust it."),
)
_row(
    "proxy_refused", Kind.CONFIGURATION, Scope.SERVER, Who.ADMINISTRATOR, Retry.BACK_OFF,
    _("The outgoing proxy does not let us through to %(server)s."),
    _("The proxy asks for a login, or does not allow the host."),
    _("Set the proxy for this service (HTTPS_PROXY), or allow the host in it."),
)
_row(
    "sign_in_method", Kind.CONFIGURATION, Scope.CREDENTIAL, Who.ADMINISTRATOR, Retry.BACK_OFF,
    _("The way of signing in that is set is not offered by %(server)s."),
    _("The server's virtual directory allows other methods."),
    _("Choose a method the server offers; check_mailbox lists them."),
)
_row(
    "app_refused", Kind.CONFIGURATION, Scope.CREDENTIAL, Who.ADMINISTRATOR, Retry.BACK_OFF,
    _("The directory does not accept %(application)s."),
    _("The application id or the directory (tenant) is wrong, or an administrator's consent is missing."),
    _("Check application id and tenant in the server profile, and grant consent in the directory."),
)
_row(
    "access_type_wrong", Kind.CONFIGURATION, Scope.CREDENTIAL, Who.ADMINISTRATOR, Retry.BACK_OFF,
    _("Impersonation and the kind of sign-in do not fit together."),
    _("Application credentials need impersonation; a person's own password works without."),
    _("Switch impersonation on or off in the server profile."),
)
_row(
    "version_refused", Kind.CONFIGURATION, Scope.SERVER, Who.ADMINISTRATOR, Retry.BACK_OFF,
    _("The protocol version that crmsync speaks is refused by %(server)s."),
    _("The server is older than Exchange 2007, or is none."),
    _("Run check_mailbox again; if it fails too, report the build it shows."),
)
_row(
    "autodiscover_failed", Kind.CONFIGURATION, Scope.SERVER, Who.ADMINISTRATOR, Retry.BACK_OFF,
    _("Autodiscover did not find the server."),
    _("The domain has no autodiscover records, or they lead nowhere."),
    _("Enter the EWS address by hand (connect_server --ews)."),
)
_row(
    "autodiscover_led_away", Kind.CONFIGURATION, Scope.SERVER, Who.ADMINISTRATOR, Retry.BACK_OFF,
    _("Autodiscover led to a host that is not on the list of hosts crmsync may connect to."),
    _("A redirect, an SRV record or the answer names a host other than the domain and its name autodiscover."),
    _("If the host is right: run connect_server with --ews and the server's address, or let autodiscover go there with --allow."),
)
_row(
    "egress_refused", Kind.CONFIGURATION, Scope.SERVER, Who.ADMINISTRATOR, Retry.BACK_OFF,
    _("The list of hosts crmsync may connect to does not allow %(server)s."),
    _("The host, its port, plain HTTP or the address behind the name is not on the list."),
    _("If the address is right, run connect_server with it: that puts it on the list."),
)
_row(
    "secret_missing", Kind.CONFIGURATION, Scope.CREDENTIAL, Who.ADMINISTRATOR, Retry.BACK_OFF,
    _("There is no password to sign in with."),
    _("Neither the server profile nor the mailbox has user name and password."),
    _("Enter them in the server profile (connect_server), or for the mailbox."),
)
_row(
    "secret_unreadable", Kind.CONFIGURATION, Scope.MAILBOX, Who.ADMINISTRATOR, Retry.BACK_OFF,
    _("The stored password cannot be decrypted."),
    _("The key it was written with is not among CRMSYNC_ENCRYPTION_KEYS any more."),
    _("Restore that key, or enter the password again."),
)
_row(
    "folder_gone", Kind.CONFIGURATION, Scope.FOLDER, Who.OWNER, Retry.SCHEDULE,
    _("Exchange does not know %(folder)s any more; the other folders go on."),
    _("The folder was deleted."),
    _("Stop following it, or choose another folder."),
)

# -- mailbox ----------------------------------------------------------------------------------------------------------

_row(
    "mailbox_unknown", Kind.MAILBOX, Scope.MAILBOX, Who.ADMINISTRATOR, Retry.BACK_OFF,
    _("There is no %(mailbox)s on this server."),
    _("It was deleted, has no licence, moved to another Exchange, or the address is misspelt."),
    _("Correct the address, assign the mailbox to another server profile, or archive it here."),
)
_row(
    "not_primary_address", Kind.MAILBOX, Scope.MAILBOX, Who.ADMINISTRATOR, Retry.BACK_OFF,
    _("The address of %(mailbox)s is only a second address (an alias)."),
    _("Exchange opens mailboxes by their primary address; its answer below names it."),
    _("Add the mailbox with its primary address."),
)
_row(
    "mailbox_full", Kind.MAILBOX, Scope.MAILBOX, Who.OWNER, Retry.BACK_OFF,
    _("There is no room left in %(mailbox)s; nothing can be written into it."),
    _("The quota is used up. Reading goes on."),
    _("Empty the mailbox, or have its quota raised."),
)
_row(
    "nothing_followed", Kind.MAILBOX, Scope.MAILBOX, Who.OWNER, Retry.BACK_OFF,
    _("No folder of %(mailbox)s is left to be read."),
    _("The folders that were followed are gone: the mailbox is being restored or moved, or lost its Inbox."),
    _("Look whether the mailbox opens in Outlook with an Inbox; check_mailbox names the folders that are found. The list of folders is read again with every run."),
)

# -- items ------------------------------------------------------------------------------------------------------------

_row(
    "item_unreadable", Kind.ITEM, Scope.ITEM, Who.OWNER, Retry.QUARANTINE,
    _("An item could not be read and was set aside; the others go on."),
    _("The item is damaged on the server, or of a form nobody knows."),
    _("Open it in Outlook: if that works, try it again from the list of items; else it is lost on the server."),
)
_row(
    "kills_worker", Kind.ITEM, Scope.ITEM, Who.ADMINISTRATOR, Retry.QUARANTINE,
    _("An item was set aside unread: reading it ended the worker or the connection each time."),
    _("It is so large or so odd that the worker ran out of memory, or that the server broke off, each time it was read."),
    _("Open it in Outlook: if nobody needs it, discard it. Else look into the worker's log, and raise the memory of the worker's machine before it is tried again."),
)
_row(
    "cannot_store", Kind.ITEM, Scope.ITEM, Who.ADMINISTRATOR, Retry.QUARANTINE,
    _("An item was read and could not be stored; it was set aside."),
    _("The database refuses something in it. This is a defect of crmsync."),
    _("Please report it with what the export of the item says. After an upgrade, try it again from the list of items."),
)
_row(
    "original_unreadable", Kind.ITEM, Scope.ITEM, Who.NOBODY, Retry.QUARANTINE,
    _("An item is a copy of a message that could not be read itself; both were set aside."),
    _("The first copy of the message, in the same folder, failed in the same moment."),
    _("Nothing: it is tried again by itself and then stands for the message."),
)
_row(
    "item_gone", Kind.ITEM, Scope.ITEM, Who.NOBODY, Retry.NEVER,
    _("An item was moved or deleted before it could be read."),
    _("Somebody, or a rule, was faster. Where it went, it is found."),
    _("Nothing."),
)
_row(
    "failed_folder_gone", Kind.ITEM, Scope.ITEM, Who.NOBODY, Retry.NEVER,
    _("An item that could not be read was given up: its folder is gone."),
    _("The folder was deleted in the mailbox, and with it whatever was wrong with the item."),
    _("Nothing. If the folder comes back, the item is tried again by itself."),
)
_row(
    "failed_folder_left", Kind.ITEM, Scope.ITEM, Who.NOBODY, Retry.NEVER,
    _("An item that could not be read was given up: its folder is not followed any more."),
    _("Nothing is read from folders that are not followed."),
    _("Nothing. If the folder is followed again, the item is tried again by itself."),
)
_row(
    "item_conflict", Kind.ITEM, Scope.ITEM, Who.NOBODY, Retry.SCHEDULE,
    _("An item was changed on both sides at the same moment."),
    _("It changed on the server between our reading and our writing."),
    _("Nothing: the next run takes the newer state into account."),
)
_row(
    "write_refused", Kind.ITEM, Scope.ITEM, Who.ADMINISTRATOR, Retry.QUARANTINE,
    _("The server refused to take an item as it was to be written."),
    _("A value that the server does not allow, or no right to write in that folder."),
    _("Read what the server said, below. Correct the value in the record, or the right on the folder."),
)
_row(
    "series_unsupported", Kind.ITEM, Scope.ITEM, Who.OWNER, Retry.NEVER,
    _("A series cannot be written to the mailbox: Exchange has no such pattern."),
    _("Exchange knows days, weeks, and one day of a month or of a year; not, for example, every second year."),
    _("Choose another pattern for the series."),
)
_row(
    "recipients_refused", Kind.ITEM, Scope.ITEM, Who.OWNER, Retry.PERSON,
    _("A message was not sent: the server does not accept its recipients."),
    _("An address is misspelt, or there is none."),
    _("Correct the addresses and send the message again."),
)
_row(
    "send_as_denied", Kind.ITEM, Scope.ITEM, Who.ADMINISTRATOR, Retry.PERSON,
    _("A message was not sent: this mailbox may not send in that name."),
    _("The sender is another address than the mailbox's own."),
    _("Give the mailbox the right to send as that address, or choose another sender."),
)
_row(
    "draft_changed", Kind.ITEM, Scope.ITEM, Who.OWNER, Retry.PERSON,
    _("A message was not sent: its draft was changed or thrown away in the mailbox."),
    _("Somebody, or another program, was at the draft before it had left; they may still be writing."),
    _("Look at the draft in Outlook. “Send again” sends it as it stands there; “Discard” leaves it to whoever changed it."),
)
_row(
    "mail_lost", Kind.ITEM, Scope.ITEM, Who.OWNER, Retry.PERSON,
    _("Nobody can say whether a message was sent: neither its draft nor its copy is found."),
    _("The draft was made, and crmsync was cut off; since then somebody has moved or deleted it, or its copy."),
    _("Ask the recipient, or look in Outlook. Then choose “It was sent” or “Send again”: it is never sent twice without you."),
)
_row(
    "sending_given_up", Kind.ITEM, Scope.MAILBOX, Who.OWNER, Retry.PERSON,
    _("A message was tried for a day and never came to an end; nothing more is done until somebody decides."),
    _("The server is slow with it or falls over it: it is large, or something between here and the server cuts it off."),
    _("On the page “Outgoing” send it again, correct it, or discard it; if it may have left, look in Sent Items first."),
)
_row(
    "author_refused", Kind.ITEM, Scope.ITEM, Who.ADMINISTRATOR, Retry.PERSON,
    _("A message was not sent: the mailbox does not belong to its author any more."),
    _("The mailbox was given to somebody else, or its author was switched off, while the message waited."),
    _("Discard the message; whoever owns the mailbox now can write it anew."),
)
_row(
    "outgoing_file_missing", Kind.ITEM, Scope.ITEM, Who.ADMINISTRATOR, Retry.PERSON,
    _("A message was not sent: a file that belongs to it is not on the disk."),
    _("Files lie below CRMSYNC_BLOBS; this one was removed there, or that folder is not the one it was."),
    _("Restore the folder from the backup and send again, or correct the message and add the file anew."),
)
_row(
    "attachment_too_large", Kind.ITEM, Scope.ITEM, Who.OWNER, Retry.NEVER,
    _("A file of an appointment is too large for the mail server; it stays in the CRM."),
    _("The server takes an appointment up to a certain size, with everything that is attached to it."),
    _("Remove the file, or others beside it: then it is tried again. Or have the server's limit raised."),
)
_row(
    "attachment_unreadable", Kind.ITEM, Scope.ITEM, Who.OWNER, Retry.NEVER,
    _("An attachment could not be read; the message is kept without its bytes."),
    _("It is damaged, or an attached item that has no mail form (a contact, a task)."),
    _("Open the message in Outlook if you need it."),
)
_row(
    "attachment_is_link", Kind.ITEM, Scope.ITEM, Who.NOBODY, Retry.NEVER,
    _("An attachment is a link to a file in a cloud; only its name is kept."),
    _("The bytes are not in the mailbox."),
    _("Nothing."),
)

# -- defects, and our own side ----------------------------------------------------------------------------------------

_row(
    "answer_unreadable", Kind.BUG, Scope.SERVER, Who.ADMINISTRATOR, Retry.BACK_OFF,
    _("The answer from %(server)s could not be understood."),
    _("It was cut off, or is not the protocol of Exchange Web Services."),
    _("If it lasts, check the address and what stands between here and the server; then report it with the detail below."),
)
_row(
    "request_refused", Kind.BUG, Scope.SERVER, Who.ADMINISTRATOR, Retry.BACK_OFF,
    _("Our request was called invalid by %(server)s."),
    _("The server knows less, or other things, than crmsync expects."),
    _("Please report it with the detail below and the build of the server."),
)
_row(
    "internal_error", Kind.BUG, Scope.MAILBOX, Who.ADMINISTRATOR, Retry.BACK_OFF,
    _("Something went wrong inside crmsync."),
    _("This is a defect of crmsync. Nothing is lost: the same is read again."),
    _("Please report it with the worker's log."),
)
_row(
    "worker_lost", Kind.TRANSIENT, Scope.MAILBOX, Who.NOBODY, Retry.SCHEDULE,
    _("The worker died in the middle of a run; another goes on from the last stored page."),
    _("The process was killed, ran out of memory, or its machine was restarted."),
    _("Nothing. If it comes often, look at the memory of the worker's machine."),
)
_row(
    "lease_lost", Kind.TRANSIENT, Scope.MAILBOX, Who.NOBODY, Retry.SCHEDULE,
    _("A run took so long to give a sign of life that it was handed to another worker."),
    _("The worker was paused or cut off from the database; what it did afterwards was not stored."),
    _("Nothing. If it comes often, look at the load of the worker's machine."),
)
_row(
    "out_of_time", Kind.TRANSIENT, Scope.MAILBOX, Who.NOBODY, Retry.SCHEDULE,
    _("A run reached its time limit; the next one goes on from the last stored page."),
    _("The server answers slowly, or there is very much to read."),
    _("Nothing. If it comes often, look at the response times of the server."),
)
_row(
    "late_start", Kind.TRANSIENT, Scope.MAILBOX, Who.ADMINISTRATOR, Retry.SCHEDULE,
    _("A run began late because no worker was free."),
    _("There are too few workers for the number of mailboxes, or none is running."),
    _("Start more workers (manage.py rqworker), on this or another machine."),
)
_row(
    "items_missing", Kind.BUG, Scope.FOLDER, Who.ADMINISTRATOR, Retry.SCHEDULE,
    _("Items lie in %(folder)s that could not be decided on."),
    _("The nightly comparison lists them, no change ever told of them, and reading them came to nothing."),
    _("Press “List again” for the folder on the mailbox’s page Repair; if that does not help, report it with the worker’s log."),
)
_row(
    "canary_late", Kind.TRANSIENT, Scope.MAILBOX, Who.ADMINISTRATOR, Retry.SCHEDULE,
    _("What was put into the canary mailbox has not come through in time."),
    _("Runs may end well and yet nothing arrives: a worker or the dispatcher stands still, the mail server holds mail back, or a rule in that mailbox moves it away."),
    _("Look at the page Delays which kind is late and in which direction, then at the runs of the canary mailbox."),
)
_row(
    "disk_full", Kind.TRANSIENT, Scope.MAILBOX, Who.ADMINISTRATOR, Retry.BACK_OFF,
    _("An attachment could not be written to disk; the page is read again once that works."),
    _("The disk with the attachments is full or cannot be written."),
    _("Make room on the disk (CRMSYNC_BLOBS), and check the rights of the folder."),
)
_row(
    "database_gone", Kind.TRANSIENT, Scope.MAILBOX, Who.ADMINISTRATOR, Retry.BACK_OFF,
    _("The database could not be reached in the middle of a run."),
    _("PostgreSQL was restarted or cannot be reached. Unstored pages are read again."),
    _("If it lasts, check the database server and DATABASE_URL."),
)
_row(
    "queue_gone", Kind.TRANSIENT, Scope.MAILBOX, Who.ADMINISTRATOR, Retry.BACK_OFF,
    _("The queue's server could not be reached."),
    _("Redis was restarted or cannot be reached. Nothing is lost: what is due stands in the database."),
    _("If it lasts, check the Redis server and REDIS_URL."),
)

# fmt: on

ENTRIES: Final[dict[str, Entry]] = {entry.code: entry for entry in _ROWS}


def lookup(code: str) -> Entry:
    """Return the row of `code`; for a code nobody has listed, the row of a defect."""
    return ENTRIES.get(code) or ENTRIES["internal_error"]


def as_markdown() -> str:
    """Return the whole table as the page docs/errors.md."""
    parts = [
        "# What can go wrong, and what to do",
        "",
        "Written by `manage.py error_catalogue`; the source is `mailboxes/catalogue.py`. Screens, alerts and commands say the same.",
        "",
    ]
    for kind in Kind:
        parts += [f"## {str(KIND_LABELS[kind]).capitalize()}", ""]
        for entry in (each for each in ENTRIES.values() if each.kind is kind):
            parts += [
                f"### `{entry.code}`",
                "",
                f"{entry.sentence}",
                "",
                f"- Cause: {entry.cause}",
                f"- What to do: {entry.remedy}",
                f"- Concerns: {SCOPE_LABELS[entry.scope]}; {WHO_LABELS[entry.who]}",
                f"- Tried again: {RETRY_LABELS[entry.retry]}",
                "",
            ]
    return "\n".join(parts)
