"""Tracked folders in a run: which rule is in force where, what is followed because of it, and what mail becomes about.

A full pass settles it, after it has brought the list of folders up to date: folders that came under a rule are followed,
those that left it are not, and where a rule reaches further than before, what was refused is read again. Between two full
passes nothing is asked: an idle run must not pay for rules.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from django.db import connection, transaction
from django.db.models import Q

from mailboxes.models import Folder, Mailbox
from mailboxes.provider.port import FolderRole
from security.access import visible
from security.models import User
from tracking.models import Activity, CoveredFolder, TrackedFolder
from tracking.models.activity import RegardingBy
from tracking.records.links import MODELS
from tracking.repair.reinitialise import What, reset
from tracking.sync import folder_rules
from tracking.sync.facts import FolderRule, RecordRef

# Folders that go within this time of each other went together: a mailbox was restored, or moved to another server.
_TOGETHER: Final = timedelta(hours=1)
_ANY: Final = """
SELECT EXISTS (SELECT 1 FROM tracking_trackedfolder WHERE mailbox_id = %(mailbox)s AND removed_at IS NULL)
OR EXISTS (SELECT 1 FROM tracking_coveredfolder c JOIN mailboxes_folder f ON f.id = c.folder_id
    WHERE f.mailbox_id = %(mailbox)s)
"""


def settle(mailbox: Mailbox, folders: Sequence[Folder], followed: Collection[str], now: datetime) -> bool:
    """Bring what is followed into line with the rules; return whether anything changed. `folders`: all of the mailbox,
    as the server has them now; `followed`: the roles that are read whatever the rules say. The caller has the lease.
    """
    if not _any(mailbox):
        return False
    rules = {rule.folder_id: rule for rule in TrackedFolder.objects.filter(mailbox=mailbox, removed_at=None)}
    before = {row.folder_id: row for row in CoveredFolder.objects.filter(folder__mailbox=mailbox)}
    places = places_of(folders)
    if _take_up(rules, places):
        rules = {rule.folder_id: rule for rule in rules.values()}
    said = {pk: folder_rules.Rule(rule.pk, rule.subfolders, rule.active) for pk, rule in rules.items()}
    covered = folder_rules.covered(places, said)
    by_pk = {rule.pk: rule for rule in rules.values()}
    wanted = {folder_id: by_pk[rule_id] for folder_id, rule_id in covered.items()}
    with transaction.atomic():
        return _put_in_force(mailbox, {folder.pk: folder for folder in folders}, wanted, before, followed, now)


def _any(mailbox: Mailbox) -> bool:
    """Tell whether anything is in force, or was: most mailboxes have no rule, and every full pass asks."""
    with connection.cursor() as cursor:
        cursor.execute(_ANY, {"mailbox": mailbox.pk})
        (found,) = cursor.fetchone()
        return bool(found)


def places_of(folders: Sequence[Folder]) -> list[folder_rules.Place]:
    """Return the folders as the tree that the rules are applied to."""
    return [
        folder_rules.Place(
            each.pk, each.provider_id, each.parent_id_at_provider, FolderRole(each.role), each.name, each.gone_at
        )
        for each in folders
    ]


def _take_up(rules: Mapping[int, TrackedFolder], places: Sequence[folder_rules.Place]) -> bool:
    """Bind rules again whose folders all got new ids at once; return whether any was.

    A folder that went alone was deleted, and one that is made under its name later is another. But one that went together
    with the Inbox, of which there is a new one, is there under a new id: it is known by its path.
    """
    replaced = [place.gone_at for place in places if place.role == FolderRole.INBOX and place.gone_at is not None]
    there = [place for place in places if place.gone_at is None]
    here = folder_rules.indexed(there)
    if not replaced or not any(place.role == FolderRole.INBOX for place in there):
        return False
    gone = [place for place in places if place.gone_at is not None]
    before = folder_rules.indexed(gone)
    found = False
    for place in gone:
        rule = rules.get(place.pk)
        if rule is None or not any(abs(at - place.gone_at) <= _TOGETHER for at in replaced if place.gone_at):
            continue
        was = folder_rules.path(place, before)
        same = [each for each in there if folder_rules.path(each, here) == was and each.pk not in rules]
        if len(same) == 1:
            # A rule that was taken away gives way to the one that is in force.
            TrackedFolder.objects.filter(folder=same[0].pk).exclude(removed_at=None).delete()
            rule.folder_id, found = same[0].pk, True
            rule.save(update_fields=["folder"])
    return found


def _put_in_force(
    mailbox: Mailbox,
    folders: Mapping[int, Folder],
    wanted: Mapping[int, TrackedFolder],
    before: Mapping[int, CoveredFolder],
    followed: Collection[str],
    now: datetime,
) -> bool:
    left = [pk for pk in before if pk not in wanted]
    CoveredFolder.objects.filter(pk__in=left).delete()
    unread = [pk for pk in left if pk in folders and folders[pk].role not in followed]
    Folder.objects.filter(pk__in=unread).update(followed=False)
    CoveredFolder.objects.bulk_create(
        [CoveredFolder(folder_id=pk, rule=rule, valid_from=rule.valid_from) for pk, rule in wanted.items()],
        update_conflicts=True, unique_fields=["folder"], update_fields=["rule", "valid_from"],
    )  # fmt: skip
    fresh = [pk for pk in wanted if not folders[pk].followed]
    Folder.objects.filter(pk__in=fresh).update(followed=True)
    again = [
        folders[pk] for pk, rule in wanted.items() if _reaches_further(rule, before.get(pk)) and folders[pk].cursor
    ]
    if again:
        # What was refused there is decided again; what is tracked is matched and not read.
        reset(mailbox, again, What.FOLDER, now)
    return bool(left or fresh or again)


def _reaches_further(rule: TrackedFolder, before: CoveredFolder | None) -> bool:
    if before is None:
        return True
    if before.valid_from is None:
        return False
    return rule.valid_from is None or rule.valid_from < before.valid_from


def rule_in(folder: Folder, owner: User) -> FolderRule | None:
    """Return the rule in force in a folder; of a record that the mailbox's owner may not see any more it says nothing."""
    row = CoveredFolder.objects.filter(folder=folder.pk).select_related("rule").first() if folder.pk else None
    if row is None:
        return None
    rule, regarding = row.rule, None
    if rule.regarding_id and visible(owner, MODELS[rule.regarding_kind]).filter(pk=rule.regarding_id).exists():
        regarding = RecordRef(rule.regarding_kind, rule.regarding_id)
    only = folder.role not in (FolderRole.INBOX, FolderRole.SENT)
    return FolderRule(rule.pk, rule.valid_from, regarding, only)


def regard(rule: FolderRule, activity_ids: Collection[int], mailbox: Mailbox) -> int:
    """Let a folder say what messages that came into it are about; return how many changed.

    What a person chose stays. So does what a folder of another mailbox said first: a message lies in many mailboxes, and
    is about one record.
    """
    if rule.regarding is None or not activity_ids:
        return 0
    theirs = Q(regarding_by=RegardingBy.MANUAL) | (
        Q(regarding_by=RegardingBy.FOLDER) & ~Q(regarding_folder__mailbox=mailbox)
    )
    rows = Activity.objects.filter(pk__in=activity_ids).exclude(theirs)
    if rule.valid_from is not None:
        rows = rows.filter(received_at__gte=rule.valid_from)
    return rows.update(
        regarding_kind=rule.regarding.kind, regarding_id=rule.regarding.id,
        regarding_by=RegardingBy.FOLDER, regarding_folder=rule.id,
    )  # fmt: skip
