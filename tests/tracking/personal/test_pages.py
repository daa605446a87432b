"""Personal options and tracked folders as people use them: what the pages say, what buttons do, what wrong input says (S27)."""

import pytest
from django.urls import reverse

from mailboxes.models import Folder, Mailbox, SyncProfile
from mailboxes.provider.errors import Unavailable
from mailboxes.provider.memory import MemoryServer
from mailboxes.states import Intent, Track
from security.models import User
from tests.tracking.office import Office
from tracking.models import Activity, Opportunity, TrackedFolder, TrackingCategory
from tracking.models.activity import RegardingBy
from tracking.personal import options, tracked_folders, views_tracked_folders
from tracking.personal.tracked_folders import Choice

pytestmark = pytest.mark.django_db


@pytest.fixture
def office(monkeypatch):
    made = Office(server=MemoryServer())
    monkeypatch.setattr(views_tracked_folders, "open_provider", lambda mailbox: made.server.provider(mailbox.address))
    # No button starts a run that needs a queue.
    monkeypatch.setattr(views_tracked_folders.actions, "sync_now", lambda _mailbox, by: by)
    return made


@pytest.fixture
def anna(office):
    mailbox = office.mailbox("anna", track="")
    office.server.add_folder(mailbox.address, "Pumps", parent="inbox")
    office.server.add_folder(mailbox.address, "Beside")
    office.sync(mailbox)
    return Mailbox.objects.get(pk=mailbox.pk)


@pytest.fixture
def signed_in(client, anna):
    client.force_login(anna.owner)
    return client


def page(client, mailbox):
    return client.get(reverse("personal_options", args=[mailbox.pk])).content.decode()


def folder(mailbox, name="Pumps"):
    return Folder.objects.get(mailbox=mailbox, name=name)


def post(client, url, mailbox, /, *more, **values):
    return client.post(reverse(url, args=[mailbox.pk, *more]), values, follow=True)


# -- the tracking option


def test_s27_personal_options_say_where_the_option_comes_from_and_let_its_owner_choose(signed_in, anna):
    assert "set by office" in page(signed_in, anna)
    answer = post(signed_in, "save_track", anna, track="records")
    assert "what was decided stays" in answer.content.decode()
    anna.refresh_from_db()
    assert (anna.track, options.track_of(anna).source) == (Track.RECORDS, options.Source.OWN)
    assert "own choice" in page(signed_in, anna)
    post(signed_in, "save_track", anna, track="")
    anna.refresh_from_db()
    assert options.track_of(anna).source == options.Source.PROFILE


def test_s27_what_the_profile_locks_nobody_chooses(signed_in, anna):
    Mailbox.objects.update(track=Track.ALL)
    answer = post(signed_in, "lock_track", anna, on="1")
    assert "1 mailbox had a choice" in answer.content.decode()
    anna = Mailbox.objects.select_related("sync_profile").get(pk=anna.pk)
    assert anna.effective_track == Track.REPLIES
    shown = page(signed_in, anna)
    assert "locked by office" in shown
    assert "Nothing was changed" in post(signed_in, "save_track", anna, track="none").content.decode()
    assert Mailbox.objects.get(pk=anna.pk).track == Track.ALL
    post(signed_in, "lock_track", anna, on="0")
    assert Mailbox.objects.select_related("sync_profile").get(pk=anna.pk).effective_track == Track.ALL


def test_nonsense_is_no_option(signed_in, anna):
    assert "no such tracking option" in post(signed_in, "save_track", anna, track="everything").content.decode()
    assert Mailbox.objects.get(pk=anna.pk).track == ""


def test_each_choice_is_explained_and_channels_are_shown(signed_in, anna):
    shown = page(signed_in, anna)
    for words in (
        "answers one that is kept",
        "Nothing is kept by itself",
        "Mail in",
        "Mail out",
        "Appointments, contacts",
    ):
        assert words in shown


# -- the category


def test_s27_the_category_is_switched_and_named_by_its_owner(signed_in, anna):
    post(signed_in, "save_category", anna, mail="on", name="  Our   customers ")
    row = TrackingCategory.objects.get()
    assert (row.mail, row.name, row.mailbox) == (True, "Our customers", anna)
    assert Mailbox.objects.get(pk=anna.pk).full_pass_at is None
    post(signed_in, "save_category", anna, name="Our customers")
    row.refresh_from_db()
    assert not row.mail


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("", "needs a name"),
        ("a, b", "comma"),
        ("a;b", "comma"),
        ("x" * 300, "200"),
        ("Cannot be tracked in CRM", "cannot be tracked. Choose"),
    ],
)
def test_a_wrong_name_says_why_and_stays_in_the_field(signed_in, anna, name, says):
    answer = post(signed_in, "save_category", anna, mail="on", name=name)
    assert answer.status_code == 400
    assert says in answer.content.decode()
    assert name in answer.content.decode()
    assert not TrackingCategory.objects.exists()


# -- tracked folders


def test_s27_a_folder_is_added_after_a_look_at_what_it_would_take(office, signed_in, anna):
    for _each in range(3):
        office.server.deliver(anna.address, folder(anna).provider_id)
    form = signed_in.get(reverse("new_tracked_folder", args=[anna.pk])).content.decode()
    assert "Pumps" in form
    assert "Beside" in form
    assert "Calendar" not in form
    assert "Drafts" not in form
    looked = post(signed_in, "add_tracked_folder", anna, folder=folder(anna).pk, step="preview")
    assert looked.context["preview"].new == 3
    assert "Track Pumps?" in looked.content.decode()
    assert not TrackedFolder.objects.exists()
    post(
        signed_in, "add_tracked_folder", anna, folder=folder(anna).pk, step="save", subfolders="on", since="2026-01-31"
    )
    rule = TrackedFolder.objects.get()
    assert (rule.folder, rule.subfolders, rule.made_by) == (folder(anna), True, "anna")
    assert f"{rule.valid_from:%Y-%m-%d %H:%M}" == "2026-01-31 00:00"
    assert "Pumps" in page(signed_in, anna)
    assert (
        "Pumps" not in signed_in.get(reverse("new_tracked_folder", args=[anna.pk])).content.decode().split("<select")[1]
    )


def test_the_look_counts_subfolders_dates_and_what_is_tracked_already(office, signed_in, anna):
    below = office.server.add_folder(anna.address, "Offers", parent=folder(anna).provider_id)
    Mailbox.objects.update(track=Track.ALL)
    office.sync(anna)
    old = office.now.replace(year=2020)
    office.server.deliver(anna.address, folder(anna).provider_id, received_at=old)
    office.server.deliver(anna.address, below, received_at=office.now)
    rule = tracked_folders.add(anna, folder(anna), Choice(), by=anna.owner, now=office.now)
    office.sync(anna)
    tracked_folders.remove(rule, by=anna.owner, now=office.now)
    ask = {"folder": folder(anna).pk, "step": "preview"}
    first = post(signed_in, "add_tracked_folder", anna, **ask).context["preview"]
    assert (first.folders, first.messages, first.tracked, first.new) == (1, 1, 1, 0)
    more = post(signed_in, "add_tracked_folder", anna, **ask, subfolders="on", since="2025-01-01").context["preview"]
    assert (more.folders, more.messages, more.tracked, more.new) == (2, 1, 0, 1)


def test_a_server_that_does_not_answer_costs_the_figure_and_not_the_page(office, signed_in, anna):
    office.server.fail("count", Unavailable("down"))
    answer = post(signed_in, "add_tracked_folder", anna, folder=folder(anna).pk, step="preview")
    assert answer.status_code == 200
    assert "could not be counted" in answer.content.decode()


def test_a_record_is_found_by_its_name_and_what_was_typed_stays(signed_in, anna):
    deal = Opportunity.objects.create(name="Twelve pumps")
    answer = post(
        signed_in, "add_tracked_folder", anna, folder=folder(anna).pk, since="2026-01-31", words="pumps", step="search"
    )
    shown = answer.content.decode()
    assert f'value="opportunity:{deal.pk}"' in shown
    assert "2026-01-31" in shown
    post(signed_in, "add_tracked_folder", anna, folder=folder(anna).pk, regarding=f"opportunity:{deal.pk}", step="save")
    rule = TrackedFolder.objects.get()
    assert (rule.regarding_kind, rule.regarding_id) == ("opportunity", deal.pk)
    assert "Twelve pumps" in page(signed_in, anna)
    wrong = post(signed_in, "add_tracked_folder", anna, words="pumps", step="preview")
    assert f'value="opportunity:{deal.pk}"' in wrong.content.decode(), "what was found stays beside what is wrong"
    none = post(signed_in, "add_tracked_folder", anna, words="nobody", step="search")
    assert "No record of that name" in none.content.decode()


@pytest.mark.parametrize(
    "off",
    [{"intent": Intent.PENDING}, {"incoming": False}, {"state": "sign_in_failed", "issue_code": "sign_in_refused"}],
)
def test_a_mailbox_that_is_not_read_is_not_asked_for_a_count_either(office, signed_in, anna, off):
    Mailbox.objects.update(**off)
    answer = post(signed_in, "add_tracked_folder", anna, folder=folder(anna).pk, step="preview")
    assert "was not counted" in answer.content.decode()
    assert office.server.calls[anna.address, "count"] == 0


def test_a_record_that_the_person_may_not_see_stays_when_something_else_is_changed(office, client, anna):
    deal = Opportunity.objects.create(name="Secret deal")
    choice = Choice(regarding_kind="opportunity", regarding_id=deal.pk)
    rule = tracked_folders.add(anna, folder(anna), choice, by=anna.owner, now=office.now)
    plain = User.objects.create_user("plain")
    Mailbox.objects.update(owner=plain)
    client.force_login(plain)
    shown = client.get(reverse("tracked_folder", args=[anna.pk, rule.pk])).content.decode()
    assert "Secret deal" not in shown
    assert f'value="opportunity:{deal.pk}" checked' in shown


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({}, "Choose a folder"),
        ({"folder": "999999"}, "cannot be tracked"),
        ({"folder": "x"}, "cannot be tracked"),
        ({"since": "yesterday"}, "This is no date"),
        ({"since": "0001-01-01"}, "This is no date"),
        ({"regarding": "planet:3"}, "This is no record"),
        ({"regarding": "contact:²"}, "This is no record"),
        ({"regarding": "contact:999"}, "may not see this record"),
    ],
)
def test_wrong_input_says_what_is_wrong_and_nothing_is_tracked(signed_in, anna, values, says):
    values = {"folder": folder(anna).pk, **values} if values else {}
    answer = post(signed_in, "add_tracked_folder", anna, **values, step="save")
    assert answer.status_code == 400
    assert says in answer.content.decode()
    assert not TrackedFolder.objects.exists()


def test_the_limit_is_said_on_the_form(office, signed_in, anna, settings):
    settings.TRACKED_FOLDERS = 1
    tracked_folders.add(anna, folder(anna, "Beside"), Choice(), by=anna.owner, now=office.now)
    answer = post(signed_in, "add_tracked_folder", anna, folder=folder(anna).pk, step="preview")
    assert answer.status_code == 400
    assert "has them all" in answer.content.decode()


def test_another_record_asks_whether_mail_follows_and_how_much(office, signed_in, anna):
    deal, other = (Opportunity.objects.create(name=name) for name in ("Pumps", "Valves"))
    choice = Choice(regarding_kind="opportunity", regarding_id=deal.pk)
    rule = tracked_folders.add(anna, folder(anna), choice, by=anna.owner, now=office.now)
    office.server.deliver(anna.address, folder(anna).provider_id)
    office.sync(anna)
    assert Activity.objects.get().regarding_by == RegardingBy.FOLDER
    change = {"folder": rule.folder_id, "regarding": f"opportunity:{other.pk}", "step": "save"}
    asked = post(signed_in, "change_tracked_folder", anna, rule.pk, **change)
    assert asked.context["said"] == 1
    assert Activity.objects.get().regarding_id == deal.pk
    done = post(signed_in, "change_tracked_folder", anna, rule.pk, **change, relink="1")
    assert "1 message follows" in done.content.decode()
    assert Activity.objects.get().regarding_id == other.pk


def test_a_rule_is_shown_changed_paused_taken_up_and_removed(office, signed_in, anna):
    rule = tracked_folders.add(anna, folder(anna), Choice(valid_from=office.now), by=anna.owner, now=office.now)
    shown = signed_in.get(reverse("tracked_folder", args=[anna.pk, rule.pk])).content.decode()
    assert f"{office.now:%Y-%m-%d}" in shown
    post(signed_in, "change_tracked_folder", anna, rule.pk, folder=rule.folder_id, subfolders="on", step="save")
    rule.refresh_from_db()
    assert (rule.subfolders, rule.valid_from) == (True, None)
    post(signed_in, "pause_tracked_folder", anna, rule.pk, on="0")
    assert "paused" in page(signed_in, anna)
    post(signed_in, "pause_tracked_folder", anna, rule.pk, on="1")
    rule.refresh_from_db()
    assert rule.active
    post(signed_in, "remove_tracked_folder", anna, rule.pk)
    assert "No folder is tracked" in page(signed_in, anna)
    assert signed_in.get(reverse("tracked_folder", args=[anna.pk, rule.pk])).status_code == 404


def test_a_folder_that_is_gone_or_thrown_away_says_so(office, signed_in, anna):
    tracked_folders.add(anna, folder(anna), Choice(), by=anna.owner, now=office.now)
    office.server.mailbox(anna.address).folders[folder(anna).provider_id].parent_id = office.server.folder_id(
        anna.address, "deleted"
    )
    office.sync(anna)
    assert "thrown away" in page(signed_in, anna)
    office.server.remove_folder(anna.address, folder(anna).provider_id)
    office.sync(anna)
    assert "folder is gone" in page(signed_in, anna)


def test_an_own_choice_counts_for_new_mail_only(office, signed_in, anna):
    item = office.server.deliver(anna.address)
    office.sync(anna)
    post(signed_in, "save_track", anna, track="all")
    office.sync(anna)
    assert Activity.objects.count() == 0
    office.server.deliver(anna.address)
    office.sync(anna)
    assert Activity.objects.count() == 1
    assert item


def test_the_lock_is_the_profiles_and_reaches_all_its_mailboxes(office, signed_in, anna):
    office.mailbox("ben", track=Track.ALL)
    profile = SyncProfile.objects.get(pk=anna.sync_profile_id)
    assert options.lock_track(profile, locked=True, by="fina") == 1
    assert options.lock_track(profile, locked=False, by="fina") == 0
