"""Tracked folders, seen from the mailbox: what people do to folders and mail, and what is kept of it (S27).

Each row of the table in docs/sync.md has its test here.
"""

from datetime import timedelta

import pytest

from mailboxes.models import Folder
from mailboxes.provider.errors import ItemUnreadable
from mailboxes.provider.port import FolderRole
from mailboxes.states import Track
from tests.tracking.office import Office
from tracking.dryrun.preview import preview
from tracking.models import Activity, Case, Holder, ItemDecision, ItemFailure, Opportunity, TrackedFolder
from tracking.models.activity import RegardingBy
from tracking.personal import tracked_folders
from tracking.personal.tracked_folders import Choice
from tracking.records.links import MODELS
from tracking.repair import quarantine

pytestmark = pytest.mark.django_db


class Desk(Office):
    """An office in which people have folders of their own."""

    def folder(self, mailbox, name, parent=None):
        """Make a folder in the mailbox and let a run find it; return its id."""
        found = self.server.add_folder(mailbox.address, name, parent=parent)
        self.sync(mailbox)
        return found

    def rule(self, mailbox, folder_id, **choice):
        """Have a folder tracked from the next run on, which is not done yet."""
        row = Folder.objects.get(mailbox=mailbox, provider_id=folder_id)
        return tracked_folders.add(mailbox, row, Choice(**choice), by=mailbox.owner, now=self.now)

    def reason(self, mailbox, item_id):
        return ItemDecision.objects.get(mailbox=mailbox, item_id=item_id).reason

    def about(self, item_id):
        """Return what the message of an item is about, and how it came to be."""
        activity = Holder.objects.get(item_id=item_id).activity
        return activity.regarding_id, activity.regarding_by


@pytest.fixture
def office():
    return Desk()


@pytest.fixture
def anna(office):
    mailbox = office.mailbox("anna", track=Track.NONE)
    office.sync(mailbox)
    return mailbox


def deal(name="Pumps"):
    return Opportunity.objects.create(name=name)


def regarding(record, kind="opportunity"):
    return {"regarding_kind": kind, "regarding_id": record.pk}


# -- tracking by moving


def test_s27_moving_a_message_into_a_tracked_folder_tracks_it(office, anna):
    project = office.folder(anna, "Pumps")
    office.rule(anna, project)
    item = office.server.deliver(anna.address)
    office.sync(anna)
    assert office.reason(anna, item) == "tracking_off"
    moved = office.server.move(item, project)
    report = office.sync(anna, full=False)
    assert (report.tracked, office.reason(anna, moved)) == (1, "tracked_folder")
    holder = Holder.objects.get(mailbox=anna, removed_at=None)
    assert (holder.item_id, holder.folder.name) == (moved, "Pumps")


def test_s27_a_message_that_keeps_its_id_when_it_moves_is_tracked_as_well(office, anna):
    project = office.folder(anna, "Pumps")
    office.rule(anna, project)
    item = office.server.deliver(anna.address)
    office.sync(anna)
    assert office.reason(anna, item) == "tracking_off"
    keep_id_and_move(office, anna, item, project)
    assert office.sync(anna, full=False).tracked == 1
    assert office.reason(anna, item) == "tracked_folder"


def keep_id_and_move(office, mailbox, item_id, folder_id):
    """Move as a server does whose ids survive it (immutable ids), the read flag changing on the way."""
    store = office.server
    item = store._items[item_id]
    target = store.mailbox(mailbox.address).folders[folder_id]
    source = item.folder
    del source.items[item_id]
    source.log.append(("removed", item_id))
    source.removals += 1
    source.commits += 1
    target.items[item_id], item.folder = item, target
    target.created_at[item_id] = len(target.log)
    target.log.append(("created", item_id))
    target.commits += 1
    store.set_read(item_id)


def test_s27_any_mail_folder_will_do_also_one_beside_the_inbox_and_the_inbox_itself(office, anna):
    beside = office.folder(anna, "Beside the Inbox")
    office.rule(anna, beside)
    office.server.deliver(anna.address, beside)
    assert office.sync(anna).tracked == 1
    item = office.server.deliver(anna.address)
    office.sync(anna, full=False)
    assert office.reason(anna, item) == "tracking_off"
    office.rule(anna, office.server.folder_id(anna.address, "inbox"))
    office.sync(anna)
    assert office.reason(anna, item) == "tracked_folder", "what was refused there before is decided again"


def test_by_hand_overrides_the_option_and_the_exclusions(office, anna):
    office.profile.blocked = "spam.example"
    office.profile.save()
    project = office.folder(anna, "Pumps")
    office.rule(anna, project)
    ben = office.mailbox("ben")
    for fields in (
        {"sender": "x@spam.example"},
        {"auto_submitted": "auto-generated"},
        {"sender": ben.address, "to": (anna.address,)},
    ):
        office.server.deliver(anna.address, project, **fields)
    assert office.sync(anna).tracked == 3


def test_but_not_that_something_is_private_a_draft_or_no_mail(office, anna):
    project = office.folder(anna, "Pumps")
    office.rule(anna, project)
    for fields in ({"sensitivity": "Private"}, {"is_draft": True}, {"item_class": "IPM.Appointment"}):
        office.server.deliver(anna.address, project, **fields)
    report = office.sync(anna)
    assert (report.tracked, dict(report.refused)) == (0, {"private": 1, "draft": 1, "not_mail": 1})


def test_nor_what_a_person_discarded_wherever_it_goes(office, anna):
    project = office.folder(anna, "Pumps")
    office.rule(anna, project)
    item = office.server.deliver(anna.address, project)
    office.server.fail_item(item, ItemUnreadable("broken"), methods=("contents",))
    office.sync(anna)
    quarantine.discard(ItemFailure.objects.get(), by="anna", why="not ours", now=office.now)
    office.server.heal()
    moved = office.server.move(office.server.move(item, "inbox"), project)
    assert office.sync(anna).tracked == 0
    decision = ItemDecision.objects.get(item_id=moved)
    assert (decision.outcome, decision.facts["why"]) == ("discarded", "not ours")
    assert Activity.objects.count() == 0


# -- from when on


def test_mail_received_before_the_rule_begins_is_left_alone(office, anna):
    project = office.folder(anna, "Pumps")
    office.rule(anna, project, valid_from=office.now)
    old = office.server.deliver(anna.address, project, received_at=office.now - timedelta(days=1))
    new = office.server.deliver(anna.address, project, received_at=office.now)
    office.sync(anna)
    assert (office.reason(anna, old), office.reason(anna, new)) == ("before_folder", "tracked_folder")


def test_without_a_date_everything_that_lies_there_is_taken(office, anna):
    project = office.folder(anna, "Pumps")
    for _each in range(3):
        office.server.deliver(anna.address, project)
    office.rule(anna, project)
    assert office.sync(anna).tracked == 3


def test_a_date_that_is_moved_back_takes_what_was_left_alone_before(office, anna):
    project = office.folder(anna, "Pumps")
    rule = office.rule(anna, project, valid_from=office.now)
    old = office.server.deliver(anna.address, project, received_at=office.now - timedelta(days=1))
    office.sync(anna)
    tracked_folders.change(rule, Choice(), by=anna.owner, now=office.now)
    office.sync(anna)
    assert office.reason(anna, old) == "tracked_folder"


def test_in_the_inbox_the_option_holds_for_what_came_before(office):
    ben = office.mailbox("ben", track=Track.ALL)
    office.sync(ben)
    office.rule(ben, office.server.folder_id(ben.address, "inbox"), valid_from=office.now)
    old = office.server.deliver(ben.address, received_at=office.now - timedelta(days=1))
    office.sync(ben)
    assert office.reason(ben, old) == "all_mail"


# -- subfolders, and what becomes of folders


def test_subfolders_come_along_new_ones_too(office, anna):
    project = office.folder(anna, "Pumps")
    office.rule(anna, project, subfolders=True)
    office.sync(anna)
    below = office.server.add_folder(anna.address, "Offers", parent=project)
    office.server.deliver(anna.address, below)
    assert office.sync(anna).tracked == 1


def test_without_subfolders_they_stay_out(office, anna):
    project = office.folder(anna, "Pumps")
    below = office.folder(anna, "Offers", parent=project)
    office.rule(anna, project)
    office.server.deliver(anna.address, below)
    assert office.sync(anna).tracked == 0
    assert not Folder.objects.get(provider_id=below).followed


def test_row_renamed_a_folder_stays_tracked_under_any_name(office, anna):
    project = office.folder(anna, "Pumps")
    office.rule(anna, project)
    office.sync(anna)
    office.server.rename_folder(anna.address, project, "Pumps and valves")
    office.server.deliver(anna.address, project)
    assert office.sync(anna).tracked == 1


def test_row_moved_a_folder_stays_tracked_wherever_it_lies(office, anna):
    project, other = office.folder(anna, "Pumps"), office.folder(anna, "Elsewhere")
    office.rule(anna, project)
    office.sync(anna)
    move_folder(office, anna, project, other)
    office.server.deliver(anna.address, project)
    assert office.sync(anna).tracked == 1


def move_folder(office, mailbox, folder_id, parent_id):
    office.server.mailbox(mailbox.address).folders[folder_id].parent_id = parent_id


def test_row_moved_below_a_tracked_one_and_out_of_it_again(office, anna):
    project, other = office.folder(anna, "Pumps"), office.folder(anna, "Offers")
    office.rule(anna, project, subfolders=True)
    office.sync(anna)
    move_folder(office, anna, other, project)
    first = office.server.deliver(anna.address, other)
    assert office.sync(anna).tracked == 1
    move_folder(office, anna, other, None)
    office.sync(anna)
    office.server.deliver(anna.address, other)
    assert office.sync(anna).tracked == 0
    assert not Folder.objects.get(provider_id=other).followed
    assert Holder.objects.get(item_id=first).removed_at is None, "its copy stays"


def test_row_thrown_away_nothing_more_is_taken_until_the_folder_is_had_back(office, anna):
    project = office.folder(anna, "Pumps")
    office.rule(anna, project)
    office.server.deliver(anna.address, project)
    office.sync(anna)
    move_folder(office, anna, project, office.server.folder_id(anna.address, "deleted"))
    office.sync(anna)
    office.server.deliver(anna.address, project)
    assert office.sync(anna).tracked == 0
    assert Activity.objects.count() == 1, "copies stay"
    move_folder(office, anna, project, None)
    assert office.sync(anna).tracked == 1


def test_row_deleted_for_good_copies_stay_and_a_new_folder_of_that_name_is_another(office, anna):
    project = office.folder(anna, "Pumps")
    office.rule(anna, project)
    office.server.deliver(anna.address, project)
    office.sync(anna)
    office.server.remove_folder(anna.address, project)
    again = office.folder(anna, "Pumps")
    office.server.deliver(anna.address, again)
    assert office.sync(anna).tracked == 0
    assert Activity.objects.count() == 1
    assert Folder.objects.get(provider_id=project).gone_at is not None


def test_row_mailbox_restored_rules_find_their_folders_by_path_and_nothing_is_doubled(office, anna):
    project = office.folder(anna, "Projects")
    pumps = office.folder(anna, "Pumps", parent=project)
    rule = office.rule(anna, pumps)
    office.server.deliver(anna.address, pumps)
    office.sync(anna)
    mailbox = office.server.mailbox(anna.address)
    for each in list(mailbox.folders.values()):
        del mailbox.folders[each.id]
        each.id = f"new-{each.id}"
        each.parent_id = f"new-{each.parent_id}" if each.parent_id else None
        mailbox.folders[each.id] = each
        each.epoch += 1
    office.server.deliver(anna.address, f"new-{pumps}")
    report = office.sync(anna, full=False)
    assert (report.full_pass, report.tracked) == (True, 1)
    rule.refresh_from_db()
    assert rule.folder.provider_id == f"new-{pumps}"
    assert Activity.objects.count() == 2


# -- rules that are paused, removed, too many


def test_row_untracked_what_came_before_stays_and_nothing_new_is_taken(office, anna):
    project = office.folder(anna, "Pumps")
    pumps = deal()
    rule = office.rule(anna, project, **regarding(pumps))
    first = office.server.deliver(anna.address, project)
    office.sync(anna)
    tracked_folders.remove(rule, by=anna.owner, now=office.now)
    office.server.deliver(anna.address, project)
    assert office.sync(anna).tracked == 0
    assert office.about(first) == (pumps.pk, RegardingBy.FOLDER)
    again = office.rule(anna, project)
    assert again.pk == rule.pk
    assert office.sync(anna).tracked == 1


def test_a_paused_rule_keeps_its_folder_out_of_the_one_above(office, anna):
    project = office.folder(anna, "Pumps")
    below = office.folder(anna, "Private things", parent=project)
    office.rule(anna, project, subfolders=True)
    rule = office.rule(anna, below)
    tracked_folders.pause(rule, paused=True, by=anna.owner, now=office.now)
    office.server.deliver(anna.address, below)
    assert office.sync(anna).tracked == 0
    tracked_folders.pause(rule, paused=False, by=anna.owner, now=office.now)
    assert office.sync(anna).tracked == 1


def test_there_is_a_limit_and_it_says_so(office, anna, settings):
    settings.TRACKED_FOLDERS = 2
    folders = [office.folder(anna, f"Project {n}") for n in range(3)]
    for each in folders[:2]:
        office.rule(anna, each)
    with pytest.raises(tracked_folders.TooMany) as refused:
        office.rule(anna, folders[2])
    assert "2" in str(refused.value)


@pytest.mark.parametrize("role", ["drafts", "deleted", "calendar", "contacts", "tasks"])
def test_folders_that_hold_no_kept_mail_cannot_be_tracked(office, anna, role):
    with pytest.raises(tracked_folders.NotPossible):
        office.rule(anna, office.server.folder_id(anna.address, role))


def test_one_folder_has_one_rule(office, anna):
    project = office.folder(anna, "Pumps")
    office.rule(anna, project)
    with pytest.raises(tracked_folders.NotPossible):
        office.rule(anna, project)


# -- what mail is about


@pytest.mark.parametrize("kind", ["contact", "lead", "account", "opportunity", "case"])
def test_a_folder_says_what_its_mail_is_about(office, anna, kind):
    fields = {"contact": {"last_name": "Riera"}, "case": {"title": "Leak"}}.get(kind, {"name": "Riera"})
    record = MODELS[kind].objects.create(**fields)
    project = office.folder(anna, "Pumps")
    office.rule(anna, project, **regarding(record, kind))
    item = office.server.deliver(anna.address, project)
    office.sync(anna)
    activity = Holder.objects.get(item_id=item).activity
    assert (activity.regarding_kind, activity.regarding_id, activity.regarding_by) == (kind, record.pk, "folder")


def test_a_reply_in_the_inbox_is_about_what_the_message_in_the_folder_is_about(office):
    ben = office.mailbox("ben", track=Track.REPLIES)
    office.sync(ben)
    project, pumps = office.folder(ben, "Pumps"), deal()
    office.rule(ben, project, **regarding(pumps))
    office.server.deliver(ben.address, project, message_id="<first@c.example>")
    office.sync(ben)
    reply = office.server.deliver(ben.address, in_reply_to="<first@c.example>")
    office.sync(ben, full=False)
    assert office.about(reply) == (pumps.pk, RegardingBy.THREAD)


def test_row_moved_between_two_tracked_folders_the_new_one_says_what_it_is_about(office, anna):
    first, second = office.folder(anna, "Pumps"), office.folder(anna, "Valves")
    pumps, valves = deal(), deal("Valves")
    office.rule(anna, first, **regarding(pumps))
    office.rule(anna, second, **regarding(valves))
    item = office.server.deliver(anna.address, first)
    office.sync(anna)
    moved = office.server.move(item, second)
    office.sync(anna, full=False)
    assert office.about(moved) == (valves.pk, RegardingBy.FOLDER)


def test_row_moved_into_a_folder_that_says_nothing_it_stays_about_what_it_was(office, anna):
    first, second = office.folder(anna, "Pumps"), office.folder(anna, "Valves")
    pumps = deal()
    office.rule(anna, first, **regarding(pumps))
    office.rule(anna, second)
    item = office.server.deliver(anna.address, first)
    office.sync(anna)
    moved = office.server.move(item, second)
    office.sync(anna, full=False)
    assert office.about(moved) == (pumps.pk, RegardingBy.FOLDER)
    back = office.server.move(moved, "inbox")
    office.sync(anna, full=False)
    assert office.about(back) == (pumps.pk, RegardingBy.FOLDER)


def test_tracked_mail_that_keeps_its_id_when_it_moves_is_told_by_the_new_folder(office):
    ben = office.mailbox("ben")
    office.sync(ben)
    project, pumps = office.folder(ben, "Pumps"), deal()
    office.rule(ben, project, **regarding(pumps))
    item = office.server.deliver(ben.address)
    office.sync(ben)
    keep_id_and_move(office, ben, item, project)
    office.sync(ben, full=False)
    assert office.about(item) == (pumps.pk, RegardingBy.FOLDER)


def test_row_chosen_by_hand_wins_over_the_folder(office, anna):
    first, second = office.folder(anna, "Pumps"), office.folder(anna, "Valves")
    office.rule(anna, first, **regarding(deal()))
    office.rule(anna, second, **regarding(deal("Valves")))
    item = office.server.deliver(anna.address, first)
    office.sync(anna)
    case = Case.objects.create(title="Leak")
    Activity.objects.update(
        regarding_kind="case", regarding_id=case.pk, regarding_by=RegardingBy.MANUAL, regarding_folder=None
    )
    moved = office.server.move(item, second)
    office.sync(anna, full=False)
    assert office.about(moved) == (case.pk, RegardingBy.MANUAL)


def test_row_two_owners_with_different_records_the_first_that_was_stored_stands(office, anna):
    ben = office.mailbox("ben", track=Track.NONE)
    office.sync(ben)
    hers, his = office.folder(anna, "Pumps"), office.folder(ben, "Valves")
    pumps, valves = deal(), deal("Valves")
    office.rule(anna, hers, **regarding(pumps))
    office.rule(ben, his, **regarding(valves))
    item = office.server.deliver(anna.address, hers, to=(anna.address, ben.address))
    copied = office.server.copy(item, ben.address, his)
    office.sync(anna)
    office.sync(ben)
    assert office.about(item) == office.about(copied) == (pumps.pk, RegardingBy.FOLDER)
    assert Activity.objects.count() == 1


def test_row_record_changed_asks_first_and_touches_only_what_the_folder_said(office, anna):
    project = office.folder(anna, "Pumps")
    pumps, valves = deal(), deal("Valves")
    rule = office.rule(anna, project, **regarding(pumps))
    by_folder, by_hand = (office.server.deliver(anna.address, project) for _each in range(2))
    office.sync(anna)
    Activity.objects.filter(holders__item_id=by_hand).update(regarding_by=RegardingBy.MANUAL)
    assert tracked_folders.said(rule) == 1
    tracked_folders.change(rule, Choice(**regarding(valves)), by=anna.owner, now=office.now)
    assert office.about(by_folder) == (pumps.pk, RegardingBy.FOLDER), "what is there stays unless asked"
    tracked_folders.change(rule, Choice(**regarding(valves)), relink=True, by=anna.owner, now=office.now)
    assert office.about(by_folder) == (valves.pk, RegardingBy.FOLDER)
    assert office.about(by_hand) == (pumps.pk, RegardingBy.MANUAL)
    new = office.server.deliver(anna.address, project)
    office.sync(anna, full=False)
    assert office.about(new) == (valves.pk, RegardingBy.FOLDER)


def test_row_record_taken_away_old_mail_keeps_it_and_new_mail_gets_none(office, anna):
    project = office.folder(anna, "Pumps")
    pumps = deal()
    rule = office.rule(anna, project, **regarding(pumps))
    old = office.server.deliver(anna.address, project)
    office.sync(anna)
    tracked_folders.change(rule, Choice(), by=anna.owner, now=office.now)
    new = office.server.deliver(anna.address, project)
    office.sync(anna)
    assert office.about(old) == (pumps.pk, RegardingBy.FOLDER)
    assert office.about(new) == (None, "")
    tracked_folders.change(rule, Choice(), relink=True, by=anna.owner, now=office.now)
    assert office.about(old) == (None, "")


def test_a_record_that_its_owner_may_not_see_is_not_said(office, anna):
    project = office.folder(anna, "Pumps")
    pumps = deal()
    office.rule(anna, project, **regarding(pumps))
    Opportunity.objects.update(deleted_at=office.now)
    item = office.server.deliver(anna.address, project)
    office.sync(anna)
    assert office.about(item) == (None, "")


def test_row_moved_out_of_tracked_folders_its_copy_stays(office, anna):
    project, other = office.folder(anna, "Pumps"), office.folder(anna, "Elsewhere")
    office.rule(anna, project)
    item = office.server.deliver(anna.address, project)
    office.sync(anna)
    office.server.move(item, other)
    office.sync(anna, full=False)
    assert Activity.objects.count() == 1
    assert Holder.objects.get(item_id=item).removed_at is not None


def test_a_dry_run_knows_the_rules(office, anna):
    project = office.folder(anna, "Pumps")
    office.rule(anna, project)
    office.sync(anna)
    office.server.deliver(anna.address, project)
    assert preview(anna, office.server.provider(anna.address)).tracked == 1


def test_folders_that_only_follow_because_of_roles_stay_so(office, anna):
    inbox = office.server.folder_id(anna.address, "inbox")
    rule = office.rule(anna, inbox)
    office.sync(anna)
    tracked_folders.remove(rule, by=anna.owner, now=office.now)
    office.sync(anna)
    assert Folder.objects.get(mailbox=anna, role=FolderRole.INBOX).followed
    assert TrackedFolder.objects.get().removed_at is not None


# -- two at once


def test_a_rule_that_was_removed_meanwhile_stays_removed_when_it_is_changed(office, anna):
    rule = office.rule(anna, office.folder(anna, "Pumps"))
    stale = TrackedFolder.objects.get(pk=rule.pk)
    tracked_folders.remove(rule, by=anna.owner, now=office.now)
    tracked_folders.change(stale, Choice(subfolders=True), by=anna.owner, now=office.now)
    assert TrackedFolder.objects.get().removed_at is not None


def test_a_rule_that_was_taken_away_is_not_in_the_way_of_one_whose_folder_came_back(office, anna):
    pumps = office.folder(anna, "Pumps")
    lost = office.rule(anna, pumps)
    office.sync(anna)
    box = office.server.mailbox(anna.address)
    for each in list(box.folders.values()):
        del box.folders[each.id]
        each.id = f"new-{each.id}"
        each.parent_id = f"new-{each.parent_id}" if each.parent_id else None
        box.folders[each.id] = each
        each.epoch += 1
    # Two of that name at first, so that nobody can say which it was.
    other = office.server.add_folder(anna.address, "Pumps")
    office.sync(anna)
    removed = office.rule(anna, f"new-{pumps}")
    tracked_folders.remove(removed, by=anna.owner, now=office.now)
    office.server.remove_folder(anna.address, other)
    for _each in range(2):
        assert office.sync(anna).error is None
    lost.refresh_from_db()
    assert lost.folder.provider_id == f"new-{pumps}"
