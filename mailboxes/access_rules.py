"""Who may see which mailbox, and what hangs on it: its owner, and people with a privilege over all of them.

Seeing a mailbox shows its state, runs, folders and decisions; never mail, which has rules of its own (tracking).
"""

from django.db.models import Exists, OuterRef, Q, QuerySet

from mailboxes.models import Alert, Folder, LateGap, Mailbox, Run, ServerProfile, SyncProfile
from security import privileges
from security.access import register
from security.models import User

_OVER_ALL = (privileges.READ_DIAGNOSTICS, privileges.APPROVE_MAILBOXES)


def sees_all(user: User) -> bool:
    """Return whether `user` may see every mailbox."""
    return any(user.has_perm(privilege) for privilege in _OVER_ALL)


def may_sync(user: User, mailbox: Mailbox) -> bool:
    """Return whether `user`, who sees `mailbox`, may start a run of it: its owner, and who may switch it on and off."""
    return mailbox.owner_id == user.pk or user.has_perm(privileges.APPROVE_MAILBOXES)


def _mailboxes(user: User) -> QuerySet[Mailbox]:
    return Mailbox.objects.all() if sees_all(user) else Mailbox.objects.filter(owner=user)


def _runs(user: User) -> QuerySet[Run]:
    return Run.objects.all() if sees_all(user) else Run.objects.filter(mailbox__owner=user)


def _folders(user: User) -> QuerySet[Folder]:
    return Folder.objects.all() if sees_all(user) else Folder.objects.filter(mailbox__owner=user)


def _late_gaps(user: User) -> QuerySet[LateGap]:
    return LateGap.objects.all() if sees_all(user) else LateGap.objects.filter(mailbox__owner=user)


def _servers(user: User) -> QuerySet[ServerProfile]:
    if sees_all(user) or user.has_perm(privileges.MANAGE_SERVERS):
        return ServerProfile.objects.all()
    return ServerProfile.objects.filter(Exists(Mailbox.objects.filter(server=OuterRef("pk"), owner=user)))


def _sync_profiles(user: User) -> QuerySet[SyncProfile]:
    if sees_all(user) or user.has_perm(privileges.MANAGE_POLICY):
        return SyncProfile.objects.all()
    return SyncProfile.objects.filter(Exists(Mailbox.objects.filter(sync_profile=OuterRef("pk"), owner=user)))


def _alerts(user: User) -> QuerySet[Alert]:
    if sees_all(user):
        return Alert.objects.all()
    own = Q(mailbox__owner=user) | Q(folder__mailbox__owner=user)
    of_server = Q(mailbox=None, folder=None) & Q(Exists(Mailbox.objects.filter(server=OuterRef("server"), owner=user)))
    return Alert.objects.filter(own | of_server)


register(Mailbox, _mailboxes)
register(Run, _runs)
register(Folder, _folders)
register(LateGap, _late_gaps)
register(ServerProfile, _servers)
register(SyncProfile, _sync_profiles)
register(Alert, _alerts)
