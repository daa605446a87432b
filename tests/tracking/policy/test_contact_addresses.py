"""The choice of a contact's postal addresses as policy: drafted, said in words, tried, published; the grid goes by it."""

from datetime import timedelta

import pytest

from mailboxes.models import Mailbox, SyncProfile
from mailboxes.provider.entries import EntryKind, Field, PostalAddress
from tests.tracking.dryrun.untouched import nothing_written
from tests.tracking.linked import conftest as desk_fixtures
from tests.tracking.policy import test_pages as of_pages
from tests.tracking.policy.test_pages import SETTINGS, at, begun, text
from tracking.dryrun.outcomes import Effect
from tracking.dryrun.trial import Trial
from tracking.models import Contact, FieldDirection, PolicyDraft
from tracking.policy import drafts, pages, words
from tracking.policy.document import in_force, problems

pytestmark = pytest.mark.django_db
scene, profile, admin, desks = of_pages.scene, of_pages.profile, of_pages.admin, desk_fixtures.at
NOT_CHOSEN = "The settings of the profile say which postal addresses flow, and this is none of them."


def with_addresses(profile, choice):
    document = in_force(profile)
    return {**document, "settings": {**document["settings"], "contact_addresses": choice}}


def rows(document):
    return {row.name: row for kind in pages.grid(document) for row in kind.rows}


def test_it_is_chosen_on_the_page_and_counts_once_it_is_published(admin, profile):
    draft = begun(admin, profile)
    assert "postal addresses of contacts" in text(admin.get(at(draft))).lower()
    admin.post(at(draft), {**SETTINGS, "contact_addresses": "all", "revision": draft.revision})
    draft.refresh_from_db()
    shown = text(admin.get(at(draft)))
    assert "the business address alone" in shown
    assert "all three" in shown
    assert SyncProfile.objects.get(pk=profile.pk).contact_addresses == "business"
    Mailbox.objects.filter(sync_profile=profile).update(full_pass_asked_at=None)
    admin.post(at(draft, "publish_draft"), {"revision": draft.revision})
    assert SyncProfile.objects.get(pk=profile.pk).contact_addresses == "all"
    # Pairs are looked at again, whichever of their sides has something to give.
    assert not Mailbox.objects.filter(sync_profile=profile, full_pass_asked_at=None).exists()


def test_a_choice_that_there_is_not_is_said_and_nothing_is_saved(admin, profile):
    draft = begun(admin, profile)
    answer = admin.post(at(draft), {**SETTINGS, "contact_addresses": "none", "revision": draft.revision})
    assert "Select a valid choice" in text(answer)
    assert PolicyDraft.objects.get().proposed == draft.base
    assert problems(profile, with_addresses(profile, "none"))


def test_the_grid_fixes_what_is_not_chosen_and_forgets_no_direction(admin, profile):
    FieldDirection.objects.create(sync_profile=profile, kind="contact", field="home_address", direction="to_crm")
    found = rows(in_force(profile))
    assert (found["contact-home_address"].chosen, found["contact-home_address"].why) == ("none", NOT_CHOSEN)
    assert (found["contact-business_address"].chosen, found["contact-business_address"].why) == ("both", "")
    draft = begun(admin, profile)
    assert text(admin.get(at(draft, "draft_directions"))).count(NOT_CHOSEN) == 2
    admin.post(at(draft, "draft_directions"), {"revision": draft.revision, "contact-notes": "none"})
    draft.refresh_from_db()
    assert draft.proposed["directions"]["contact"] == {"notes": "none", "home_address": "to_crm"}
    opened = rows(with_addresses(profile, "all"))
    assert (opened["contact-home_address"].chosen, opened["contact-home_address"].why) == ("to_crm", "")


def test_a_choice_that_makes_no_sense_leaves_the_grid_as_crmsync_comes(profile):
    assert rows(with_addresses(profile, "none"))["contact-home_address"].chosen == "none"


def test_the_difference_is_said_in_words_and_concerns_no_mail(profile):
    before, after = in_force(profile), with_addresses(profile, "all")
    (found,) = words.differences(before, after)
    assert (found.what, found.before, found.after) == (
        "postal addresses of contacts", "the business address alone", "all three",
    )  # fmt: skip
    assert not drafts.changes_mail(before, after)


def test_a_dry_run_says_which_addresses_would_go_where_and_that_comes_true(desks):
    # The organisation of the pages is in the database, too.
    desk = desks(EntryKind.CONTACT, name="zoe")
    Mailbox.objects.update(entries=True)
    home, other = {"street": "Major 1"}, PostalAddress("Menor 2")
    contact = desk.record(last_name="Puig", home_address=home)
    desk.record(last_name="Serra")
    desk.sync()
    link = desk.mailbox.links.get(record_id=contact.pk)
    desk.server.change_entry(link.item_id, {Field.OTHER_ADDRESS: other})
    desk.sync()
    profile = SyncProfile.objects.get(pk=desk.mailbox.sync_profile_id)
    document = with_addresses(profile, "all")
    trial = Trial(profile, document, days=30, now=desk.now + timedelta(minutes=5))
    with nothing_written(desk.server):
        assert (trial.cost().stored, trial.cost().reads) == (0, 2)
        result = trial.run(lambda box: desk.server.provider(box.address))
    told = {(item.ref, item.effect): item.fields for item in result.outcomes.items}
    assert told == {
        (contact.pk, Effect.TO_EXCHANGE): ("home_address",), (contact.pk, Effect.TO_CRM): ("other_address",),
    }  # fmt: skip
    draft = drafts.begin(profile, by="fina", now=desk.now, proposed=document)
    drafts.publish(draft, revision=1, by="fina", now=desk.now)
    desk.sync()
    values = desk.server.provider(desk.mailbox.address).entries([link.item_id])[0].values
    assert values[Field.HOME_ADDRESS] == PostalAddress("Major 1")
    assert Contact.objects.get(pk=contact.pk).other_address["street"] == "Menor 2"
