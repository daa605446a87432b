"""Sync profiles as a whole, as people use them: made, renamed, assigned after a preview, made the default, deleted."""

import html
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from mailboxes.adding import add_mailbox
from mailboxes.models import Mailbox, SyncProfile
from mailboxes.states import Track
from tests import scene as scenes
from tracking.models import FieldDirection, PolicyChange, PolicyDraft, ProfileEvent, SyncFilter
from tracking.policy import document, profiles
from tracking.policy.document import in_force
from tracking.policy.profiles import NotPossible


@pytest.fixture
def scene(organisation: scenes.Scene, db: None) -> scenes.Scene:
    return organisation.copy()


@pytest.fixture
def profile(scene: scenes.Scene) -> SyncProfile:
    return scene.box.sync_profile


@pytest.fixture
def admin(client: Client, scene: scenes.Scene) -> Client:
    client.force_login(scene.person("fina"))
    return client


def text(answer: Any) -> str:
    return html.unescape(answer.content.decode())


def at(name: str, profile: SyncProfile, *more: int) -> str:
    return reverse(name, args=[profile.pk, *more])


def other(name: str = "Sales", **settings: Any) -> SyncProfile:
    return SyncProfile.objects.create(name=name, **settings)


def acts() -> list[tuple[str, str, str, str]]:
    return [(row.act, row.name, row.before, row.after) for row in ProfileEvent.objects.order_by("pk")]


# -- made and renamed


def test_a_copy_says_what_the_other_one_does_and_is_its_own_from_then_on(admin: Client, profile: SyncProfile) -> None:
    FieldDirection.objects.create(sync_profile=profile, kind="task", field="body", direction="to_crm")
    page = text(admin.get(reverse("new_profile") + f"?copy_of={profile.pk}"))
    assert f'value="{profile.pk}" selected' in page
    answer = admin.post(reverse("new_profile"), {"name": " Sales ", "copy_of": str(profile.pk)}, follow=True)
    assert "No mailbox follows it yet" in text(answer)
    made = SyncProfile.objects.get(name="Sales")
    assert document.in_force(made)["settings"] == in_force(profile)["settings"]
    assert in_force(made)["directions"] == in_force(profile)["directions"]
    ours, theirs = (sorted(map(str, in_force(each)["filters"].values())) for each in (made, profile))
    assert ours == theirs
    assert len(ours) == 2
    SyncFilter.objects.filter(sync_profile=made).delete()
    assert SyncFilter.objects.filter(sync_profile=profile).count() == 2
    assert not made.is_default
    assert acts() == [("created", "Sales", profile.name, "")]


def test_a_new_one_has_the_usual_settings(admin: Client) -> None:
    admin.post(reverse("new_profile"), {"name": "Plain", "copy_of": ""})
    made = SyncProfile.objects.get(name="Plain")
    usual = SyncProfile(name="x")
    assert {name: getattr(made, name) for name in document.SETTINGS} == {
        name: getattr(usual, name) for name in document.SETTINGS
    }
    assert in_force(made)["filters"] == {}


@pytest.mark.parametrize(
    ("name", "sentence"), [("", "Give it a name."), ("  ", "Give it a name."), ("everybody", "has this name")]
)
def test_a_name_that_cannot_be_is_said_beside_what_was_typed(
    admin: Client, profile: SyncProfile, name: str, sentence: str
) -> None:
    for address in (reverse("new_profile"), at("rename_profile", other())):
        answer = admin.post(address, {"name": name, "copy_of": str(profile.pk)})
        assert answer.status_code == 422
        assert sentence in text(answer)
        assert 'aria-describedby="id_name_error"' in text(answer)
        if name.strip():
            assert f'value="{name}"' in text(answer)
    assert acts() == []


def test_renamed_it_is_the_same_profile_and_says_who_did_it(admin: Client, profile: SyncProfile) -> None:
    assert 'value="Everybody"' in text(admin.get(at("rename_profile", profile)))
    answer = admin.post(at("rename_profile", profile), {"name": "everybody"}, follow=True)
    assert "Everybody was renamed to everybody" in text(answer), "another spelling of its own name is no other's"
    admin.post(at("rename_profile", profile), {"name": "everybody"})
    assert acts() == [("renamed", "everybody", "Everybody", "everybody")]
    assert ProfileEvent.objects.get().by == "fina"


# -- assigned


def test_assigning_shows_what_changes_before_it_is_done(
    admin: Client, scene: scenes.Scene, profile: SyncProfile
) -> None:
    target = other(track=Track.ALL, internal_domains=profile.internal_domains)
    anna, bruno = scene.boxes["anna"], scene.boxes["bruno"]
    Mailbox.objects.filter(pk=bruno.pk).update(track=Track.NONE)
    page = text(admin.get(at("assign_mailboxes", target)))
    assert anna.address in page.replace("<wbr>", "")
    ticked = {"mailbox": [str(anna.pk), str(bruno.pk)]}
    page = text(admin.post(at("assign_mailboxes", target), ticked)).replace("<wbr>", "")
    assert "Have 2 mailboxes follow Sales?" in page
    assert "all mail" in page
    assert "Only active ones" in page, "a filter that does not hold any more"
    assert "keeps its own option" in page
    assert Mailbox.objects.filter(sync_profile=target).count() == 0, "nothing is done before it was seen"
    told = page.split('name="told" value="')[1].split('"')[0]
    Mailbox.objects.update(full_pass_at=timezone.now())
    answer = admin.post(at("assign_mailboxes", target), {**ticked, "told": told}, follow=True)
    assert "2 mailboxes follow this sync profile from their next run on" in text(answer)
    moved = Mailbox.objects.filter(sync_profile=target)
    assert {box.pk for box in moved} == {anna.pk, bruno.pk}
    assert {box.full_pass_at for box in moved} == {None}, "entries and records are compared anew"
    assert Mailbox.objects.exclude(sync_profile=target).filter(full_pass_at=None).count() == 0
    assert acts() == [("assigned", "Sales", "Everybody", "Sales")] * 2
    assert f"{anna.address} follows Sales instead of Everybody" in text(answer).replace("<wbr>", "")


def test_one_mailbox_is_assigned_and_one_that_follows_it_already_is_left_alone(
    admin: Client, scene: scenes.Scene, profile: SyncProfile
) -> None:
    target = other()
    Mailbox.objects.filter(pk=scene.boxes["bruno"].pk).update(sync_profile=target)
    both = Mailbox.objects.filter(pk__in=[scene.box.pk, scene.boxes["bruno"].pk])
    found = profiles.preview(both, target)
    assert found.count == 1
    assert profiles.assign(both, target, told=found.told, by="fina", now=timezone.now()) == 1
    assert ProfileEvent.objects.get().mailbox == scene.box


@pytest.mark.parametrize("what", ["target", "source", "mailbox"])
def test_what_was_changed_after_it_was_shown_is_shown_again_instead(
    admin: Client, scene: scenes.Scene, profile: SyncProfile, what: str
) -> None:
    target, third = other(), other("Third")
    ticked = {"mailbox": [str(scene.box.pk)]}
    told = profiles.preview(Mailbox.objects.filter(pk=scene.box.pk), target).told
    match what:
        case "target":
            SyncProfile.objects.filter(pk=target.pk).update(track=Track.ALL)
        case "source":
            SyncProfile.objects.filter(pk=profile.pk).update(track=Track.ALL)
        case "mailbox":
            Mailbox.objects.filter(pk=scene.box.pk).update(sync_profile=third)
    page = text(admin.post(at("assign_mailboxes", target), {**ticked, "told": told}))
    assert "Something was changed meanwhile, so nothing was assigned" in page
    assert not Mailbox.objects.filter(sync_profile=target).exists()
    assert acts() == []


def test_a_locked_option_counts_for_a_mailbox_with_one_of_its_own(scene: scenes.Scene) -> None:
    Mailbox.objects.filter(pk=scene.box.pk).update(track=Track.NONE)
    target = other(track=Track.ALL, track_locked=True)
    (move,) = profiles.preview(Mailbox.objects.filter(pk=scene.box.pk), target).moves
    (box,) = move.boxes
    assert (box.before, box.after) == (str(Track.NONE.label), str(Track.ALL.label))


def test_filters_of_the_same_name_are_compared_and_equal_profiles_differ_in_nothing(
    scene: scenes.Scene, profile: SyncProfile
) -> None:
    copy = profiles.create("Copy", copy_of=profile, by="fina", now=timezone.now())
    boxes = Mailbox.objects.filter(pk=scene.box.pk)
    assert profiles.preview(boxes, copy).moves[0].differences == []
    SyncFilter.objects.filter(sync_profile=copy, scope="system").update(active=False)
    (difference,) = profiles.preview(boxes, copy).moves[0].differences
    assert "switched off" in difference.after


def test_nobody_assigns_a_mailbox_that_they_do_not_see(scene: scenes.Scene, client: Client) -> None:
    manager = scenes.make_person("petra", "Petra", "Mas", "security.manage_policy")
    client.force_login(manager)
    target = other()
    assert scene.box.address not in text(client.get(at("assign_mailboxes", target))).replace("<wbr>", "")
    told = profiles.preview(Mailbox.objects.filter(pk=scene.box.pk), target).told
    answer = client.post(at("assign_mailboxes", target), {"mailbox": [str(scene.box.pk), "nonsense"], "told": told})
    assert answer.status_code == 422
    assert "Tick at least one mailbox" in text(answer)
    assert not Mailbox.objects.filter(sync_profile=target).exists()


def test_the_list_is_narrowed_by_words_and_says_when_nothing_fits(admin: Client, scene: scenes.Scene) -> None:
    target = other()
    page = text(admin.get(at("assign_mailboxes", target) + "?q=bruno+everybody")).replace("<wbr>", "")
    assert scene.boxes["bruno"].address in page
    assert scene.box.address not in page
    assert "No mailbox fits this filter" in text(admin.get(at("assign_mailboxes", target) + "?q=nobody"))
    Mailbox.objects.update(sync_profile=target)
    assert "Nothing to assign" in text(admin.get(at("assign_mailboxes", target)))


def test_looking_for_mailboxes_asks_no_more_for_more(admin: Client, scene: scenes.Scene) -> None:
    target = other()

    def asked(ask: Any) -> int:
        with CaptureQueriesContext(connection) as captured:
            assert ask().status_code == 200
        return len(captured)

    def tick() -> Any:
        return admin.post(at("assign_mailboxes", target), {"mailbox": [str(box.pk) for box in Mailbox.objects.all()]})

    few = [asked(lambda: admin.get(at("assign_mailboxes", target))), asked(tick)]
    for number in range(15):
        scenes.make_mailbox(
            scene.now, f"more{number}@x.example", scene.box.server, scene.person("anna"), scene.box.sync_profile
        )
    many = [asked(lambda: admin.get(at("assign_mailboxes", target))), asked(tick)]
    assert many == few
    assert few[0] <= 7
    assert few[1] <= 14


def test_what_assigning_would_come_to_can_be_tried_and_thrown_away(
    admin: Client, scene: scenes.Scene, profile: SyncProfile
) -> None:
    target = other(track=Track.ALL)
    SyncFilter.objects.create(scope="system", sync_profile=target, kind="contact", name="Only active ones")
    before = in_force(profile)
    PolicyDraft.objects.all().delete()
    answer = admin.post(at("try_profile", target, profile.pk), follow=True)
    assert "publishing it would change every mailbox of Everybody" in text(answer)
    draft = PolicyDraft.objects.get()
    assert (draft.sync_profile, draft.base) == (profile, before)
    assert draft.proposed["settings"]["track"] == "all"
    (key,) = draft.proposed["filters"]
    assert key in before["filters"], "a filter of the same name is the same filter, changed"
    assert in_force(profile) == before


# -- the default, and the end


def test_new_mailboxes_follow_the_default_whichever_that_is(
    admin: Client, scene: scenes.Scene, profile: SyncProfile
) -> None:
    def added(address: str) -> SyncProfile:
        return add_mailbox(
            address, server=scene.box.server, owner=scene.person("anna"), track=None, enable=False, by="fina",
            now=timezone.now(),
        ).sync_profile  # fmt: skip

    assert added("one@x.example").name == "Default"
    answer = admin.post(at("default_profile", profile), follow=True)
    assert "New mailboxes follow this sync profile from now on" in text(answer)
    assert added("two@x.example") == profile
    assert SyncProfile.objects.get(is_default=True) == profile
    admin.post(at("default_profile", profile))
    assert acts() == [("default", "Everybody", "Default", "Everybody")], "a second time is no second act"
    SyncProfile.objects.update(is_default=False)
    assert added("three@x.example").name == "Default", "an installation always has one"


def test_an_empty_profile_is_deleted_once_its_name_is_typed_and_its_last_word_is_kept(
    admin: Client, scene: scenes.Scene, profile: SyncProfile
) -> None:
    made = profiles.create("Sales", copy_of=profile, by="fina", now=timezone.now())
    PolicyChange.objects.create(
        sync_profile=made, before=in_force(made), after=in_force(made), published_by="fina", published_at=timezone.now()
    )
    said = in_force(made)
    for typed in ("", "sales", "Everybody"):
        answer = admin.post(at("delete_profile", made), {"typed": typed})
        assert answer.status_code == 422
        assert "That is not its name" in text(answer)
    page = text(admin.post(at("delete_profile", made), {"typed": " Sales "}, follow=True))
    assert "Sales is deleted." in page
    assert "Sales was deleted" in page
    assert not SyncProfile.objects.filter(name="Sales").exists()
    event = ProfileEvent.objects.get(act="deleted")
    assert (event.name, event.by, event.sync_profile) == ("Sales", "fina", None)
    assert event.document == said
    assert [act for act, *_rest in acts()] == ["created", "deleted"]


def test_one_that_mailboxes_follow_or_that_is_the_default_is_not_deleted(
    admin: Client, scene: scenes.Scene, profile: SyncProfile
) -> None:
    default = SyncProfile.objects.get(is_default=True)
    for one, sentence in ((profile, "Mailboxes follow it"), (default, "New mailboxes follow it")):
        page = text(admin.get(at("delete_profile", one)))
        assert sentence in page
        assert 'name="typed"' not in page
        answer = admin.post(at("delete_profile", one), {"typed": one.name}, follow=True)
        assert sentence in text(answer)
        assert SyncProfile.objects.filter(pk=one.pk).exists()
    assert acts() == []


def test_what_is_gone_by_then_is_told(admin: Client, scene: scenes.Scene) -> None:
    gone = other()
    SyncProfile.objects.filter(pk=gone.pk).delete()
    for act in (
        lambda: profiles.rename(gone, "Other", by="fina", now=timezone.now()),
        lambda: profiles.make_default(gone, by="fina", now=timezone.now()),
        lambda: profiles.delete(gone, by="fina", now=timezone.now()),
        lambda: profiles.assign(Mailbox.objects.all(), gone, told="", by="fina", now=timezone.now()),
    ):
        with pytest.raises(NotPossible, match="gone"):
            act()


def test_what_was_done_is_read_by_managers_and_auditors_of_mailboxes_that_they_see(
    scene: scenes.Scene, profile: SyncProfile, client: Client
) -> None:
    target = other()
    boxes = Mailbox.objects.filter(pk=scene.box.pk)
    profiles.assign(boxes, target, told=profiles.preview(boxes, target).told, by="fina", now=timezone.now())
    profiles.rename(profile, "All", by="fina", now=timezone.now())
    scenes.make_person("petra", "Petra", "Mas", "security.manage_policy")
    scene.people["petra"] = type(scene.person("anna")).objects.get(username="petra")
    for name, sees in (("dora", (True, True)), ("petra", (True, False)), ("anna", (False, False))):
        client.force_login(scene.person(name))
        page = text(client.get(reverse("sync_profiles"))).replace("<wbr>", "")
        assert ("Everybody was renamed to All" in page, scene.box.address in page) == sees, name
