"""Every address of the site times every kind of person: what each may see, and that what they may not does not exist.

An address that is missing from the table fails the test, so that no page is added without somebody saying who may see it.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from django.db import transaction
from django.http import QueryDict
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from tests import scene as scenes
from tests.scene import organisation  # noqa: F401 -- a fixture
from tracking.appointments.pages import key
from tracking.models import (
    AddressChoice,
    Appointment,
    AppointmentFile,
    Backfill,
    Contact,
    DryRun,
    FieldConflict,
    IgnoredDomain,
    ItemFailure,
    LinkState,
    OccurrenceChange,
    OutgoingMail,
    PolicyChange,
    PolicyDraft,
    ThreadCut,
    ThreadStop,
    UnknownSender,
)
from tracking.models.folder import TrackedFolder

PEOPLE = ("anna", "bruno", "cleo", "dora", "emil", "fina")


@dataclass(frozen=True)
class Page:
    """An address, and the people for whom it exists; for all others it answers `else_`."""

    name: str
    people: str = "anna bruno cleo dora emil fina"
    args: tuple[str, ...] = ()
    answer: int = 200
    else_: int = 404
    method: str = "get"
    fragment: bool = False
    asked: str = ""
    # Who sees what it is about, and may not do it; none named: those who see the mailbox.
    sees: str = ""


BOX, THREAD, BODY, FILE, RECORD, HIDDEN, FAILED = "box", "thread", "message", "file", "record", "hidden", "failed"
BRAKE, CONFLICT, RULE = "brake", "conflict", "rule"
MAIL, DRAFT = "mail", "draft"
RANGE = "range"
PROFILE, POLICY, OWN_POLICY, DRY_RUN, CHANGE = "profile", "policy", "own_policy", "dry_run", "change"
SENDER, CHOICE, DOMAIN, STOPPED, STOP, CUT = "sender", "choice", "domain", "stopped", "stop", "cut"
SERIES, DAY, HUNG = "series", "day", "hung"
SEE_BOX = "anna dora fina"
READ_ANNA = "anna emil fina"
MATRIX = [
    Page("overview"),
    Page("mailboxes"),
    Page("mailboxes_csv"),
    Page("mailboxes_live", answer=204),
    Page("mailbox", SEE_BOX, (BOX,)),
    Page("mailbox_live", SEE_BOX, (BOX,)),
    Page("runs", SEE_BOX, (BOX,)),
    Page("runs_csv", SEE_BOX, (BOX,)),
    Page("decisions", SEE_BOX, (BOX,)),
    Page("decisions_csv", SEE_BOX, (BOX,)),
    Page("failed_items", SEE_BOX, (BOX,)),
    Page("retry_failed", "anna fina", (BOX,), answer=302, else_=0, method="post"),
    Page("discard_failed", "anna fina", (BOX, FAILED), answer=302, else_=0, method="post"),
    Page("export_failed", SEE_BOX, (BOX, FAILED)),
    Page("repair", SEE_BOX, (BOX,)),
    Page("backfill", SEE_BOX, (BOX,)),
    Page(
        "count_range", "anna fina", (BOX,), answer=302, else_=0, method="post", asked="first=2026-03-01&last=2026-03-02"
    ),
    Page("read_backfill", "anna fina", (BOX, RANGE), answer=302, else_=0, method="post"),
    Page("cancel_backfill", "anna fina", (BOX, RANGE), answer=302, else_=0, method="post"),
    Page("resume_backfill", "anna fina", (BOX, RANGE), answer=302, else_=0, method="post"),
    Page("record_mail", "anna emil fina", ("contact", RECORD)),
    Page("count_record_mail", "anna fina", ("contact", RECORD), answer=302, method="post", asked="mailbox={box}"),
    Page("read_again_preview", "anna fina", (BOX,), else_=0, asked="what=mailbox"),
    Page("read_again", "anna fina", (BOX,), answer=302, else_=0, method="post", asked="what=mailbox"),
    Page("personal_options", SEE_BOX, (BOX,)),
    Page("save_track", "anna fina", (BOX,), answer=302, else_=0, method="post"),
    Page("save_category", "anna fina", (BOX,), answer=302, else_=0, method="post", asked="name=Customers"),
    Page("lock_track", "fina", (BOX,), answer=302, else_=0, method="post"),
    Page("new_tracked_folder", "anna fina", (BOX,), else_=0),
    Page("add_tracked_folder", "anna fina", (BOX,), answer=400, else_=0, method="post"),
    Page("tracked_folder", "anna fina", (BOX, RULE), else_=0),
    Page("change_tracked_folder", "anna fina", (BOX, RULE), answer=400, else_=0, method="post"),
    Page("pause_tracked_folder", "anna fina", (BOX, RULE), answer=302, else_=0, method="post"),
    Page("remove_tracked_folder", "anna fina", (BOX, RULE), answer=302, else_=0, method="post"),
    Page("in_step", SEE_BOX, (BOX,)),
    Page("switch_channel", "fina", (BOX, "outgoing"), answer=302, else_=0, method="post"),
    Page("release_brake", "anna fina", (BOX, BRAKE), answer=302, else_=0, method="post"),
    Page("take_other", SEE_BOX, (BOX, CONFLICT), answer=302, method="post"),
    # Dora sees the mailbox but may start nothing.
    Page("sync_now", "anna fina", (BOX,), else_=0, fragment=True),
    Page("sync_now", "anna fina", (BOX,), answer=302, else_=0, method="post"),
    Page("threads"),
    Page("threads_csv"),
    Page("thread", READ_ANNA, (THREAD,)),
    Page("thread", "bruno emil fina", (HIDDEN,)),
    Page("message_body", READ_ANNA, (BODY,)),
    Page("attachment", READ_ANNA, (FILE,)),
    Page("thread_regarding", "anna fina", (THREAD,), else_=0, sees=READ_ANNA),
    Page(
        "set_regarding", "anna fina", (THREAD,), answer=302, else_=0, method="post", sees=READ_ANNA, asked="record=none"
    ),
    Page("split_thread", "anna fina", (THREAD,), else_=0, sees=READ_ANNA),
    Page(
        "split_off",
        "anna fina",
        (THREAD,),
        answer=302,
        else_=0,
        method="post",
        sees=READ_ANNA,
        asked="message={message}&why=w",
    ),
    Page(
        "join_thread", "anna fina", (THREAD,), answer=302, else_=0, method="post", sees=READ_ANNA, asked="other={cut}"
    ),
    Page("stop_thread", "anna fina", (THREAD,), else_=0, sees=READ_ANNA),
    Page("stop_now", "anna fina", (THREAD,), answer=302, else_=0, method="post", sees=READ_ANNA),
    # Emil may read the thread, and does not learn from which mailbox it is stopped.
    Page("resume_thread", "anna fina", (STOPPED,), answer=302, method="post", asked="stop={stop}"),
    Page("evaluate_stopped", "anna fina", (STOPPED,), answer=302, method="post", asked="stop={stop}"),
    Page("ambiguities"),
    Page("addresses_waiting"),
    Page("settle_address", answer=302, method="post"),
    Page("address_choices"),
    Page("undo_choice", "anna fina", (CHOICE,), answer=302, method="post"),
    Page("unknown_senders"),
    Page("unknown_senders_csv"),
    Page("settle_senders", answer=302, method="post"),
    Page("link_sender", "anna fina", (SENDER,), else_=0, sees=READ_ANNA),
    Page("link_sender_to", "anna fina", (SENDER,), answer=302, else_=0, method="post", sees=READ_ANNA),
    Page("listen_again", "anna fina", (DOMAIN,), answer=302, method="post"),
    Page("delays"),
    Page("outgoing"),
    Page("compose"),
    # What is missing is asked for; nothing is saved.
    Page("save_mail", method="post"),
    Page("outgoing_mail", READ_ANNA, (MAIL,)),
    Page("outgoing_mail", "anna", (DRAFT,)),
    Page("save_draft", "anna", (DRAFT,), method="post"),
    Page("decide_mail", "anna", (MAIL,), answer=302, else_=0, method="post", asked="what=send_again", sees=READ_ANNA),
    Page("sync_profiles"),
    Page("sync_profile", "anna bruno dora fina", (PROFILE,)),
    Page("begin_draft", "fina", (PROFILE,), answer=302, else_=0, method="post", sees="anna bruno dora"),
    Page("apply_templates", "fina", (PROFILE,), else_=0, sees="anna bruno dora"),
    Page("new_profile", "fina", else_=403),
    Page("rename_profile", "fina", (PROFILE,), else_=0, sees="anna bruno dora"),
    Page("default_profile", "fina", (PROFILE,), answer=302, else_=0, method="post", sees="anna bruno dora"),
    Page("assign_mailboxes", "fina", (PROFILE,), else_=0, sees="anna bruno dora"),
    Page("try_profile", "fina", (PROFILE, PROFILE), answer=302, else_=0, method="post", sees="anna bruno dora"),
    Page("delete_profile", "fina", (PROFILE,), else_=0, sees="anna bruno dora"),
    # A draft of a sync profile is for those who manage them, one of own filters for their owner.
    Page("draft", "fina", (POLICY,)),
    Page("draft", "anna", (OWN_POLICY,)),
    Page("draft_directions", "fina", (POLICY,)),
    Page("draft_filter", "fina", (POLICY, "new"), asked="scope=system&kind=task"),
    Page("draft_filter", "anna", (OWN_POLICY, "new"), asked="scope=owner&kind=task"),
    Page("publish_draft", "fina", (POLICY,), answer=302, method="post", asked="revision=1"),
    Page("take_over_draft", "fina", (POLICY,), answer=302, method="post", asked="revision=1"),
    Page("discard_draft", "fina", (POLICY,), answer=302, method="post"),
    Page("discard_draft", "anna", (OWN_POLICY,), answer=302, method="post"),
    Page("try_draft", "fina", (POLICY,), method="post"),
    Page("dry_run", "fina", (DRY_RUN,)),
    Page("policy_change", "dora fina", (CHANGE,)),
    Page("revert_change", "fina", (CHANGE,), answer=302, else_=0, method="post", sees="dora"),
    Page("own_filters", SEE_BOX, (BOX,)),
    Page("begin_own_draft", "anna", (BOX,), answer=302, else_=0, method="post"),
    Page("records", answer=302),
    Page("records_of", args=("contact",)),
    Page("records_csv", args=("contact",)),
    Page("record", READ_ANNA, ("contact", RECORD)),
    Page("appointments"),
    Page("appointment", READ_ANNA, (SERIES,)),
    Page("appointment_file", READ_ANNA, (HUNG,)),
    # Who reads every record may write none of others.
    Page("add_appointment_files", "anna", (SERIES,), answer=302, else_=0, method="post", sees=READ_ANNA),
    Page("remove_appointment_file", "anna", (HUNG,), answer=302, else_=0, method="post", sees=READ_ANNA),
    Page("occurrence", "anna", (SERIES, DAY), else_=0, sees=READ_ANNA),
    Page(
        "change_occurrence",
        "anna",
        (SERIES, DAY),
        answer=302,
        else_=0,
        method="post",
        sees=READ_ANNA,
        asked="subject=Once&begins=2100-01-01T10:00&ends=2100-01-01T11:00",
    ),
    Page("call_off_occurrence", "anna", (SERIES, DAY), answer=302, else_=0, method="post", sees=READ_ANNA),
    Page("take_back_occurrence", "anna", (SERIES, DAY), answer=302, else_=0, method="post", sees=READ_ANNA),
    Page("set_theme", answer=302, method="post"),
    Page("set_language", answer=302, method="post"),
    Page("sign_in", answer=302),
    Page("sign_out", answer=302, method="post"),
]
# Without signing in: sign-in itself, the choice of theme and language, and how the installation is.
OPEN = {"sign_in", "set_theme", "set_language", "health"}
# A form that is shown and sent at the same address.
BOTH = {
    "sync_now", "sign_in", "apply_templates", "draft", "draft_directions", "draft_filter", "new_profile", "rename_profile",
    "assign_mailboxes", "delete_profile",
}  # fmt: skip
# Pages of others, tested with what they belong to.
ELSEWHERE = {"health"}


@pytest.fixture
def scene(organisation: scenes.Scene, db: None) -> scenes.Scene:  # noqa: F811 -- the fixture by its name
    return organisation.copy()


def urls(patterns: list[URLPattern | URLResolver]) -> Iterator[str]:
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            yield from urls(pattern.url_patterns)
        else:
            yield pattern.name or str(pattern.pattern)


def names(scene: scenes.Scene) -> dict[str, int | str]:
    """Return what the rows of the matrix call by a word."""
    assert scene.thread
    assert scene.hidden
    first = scene.thread.activities.get(parent=None, subject="Offer for twelve pumps")
    return {
        BOX: scene.box.pk,
        THREAD: scene.thread.pk,
        HIDDEN: scene.hidden.pk,
        BODY: first.pk,
        FILE: first.attachments.get(position=0).pk,
        RECORD: Contact.objects.get(last_name="Riera").pk,
        SERIES: Appointment.objects.get(subject="Weekly review").pk,
        HUNG: AppointmentFile.objects.get().pk,
        DAY: key(OccurrenceChange.objects.get(cancelled=False).original),
        BRAKE: LinkState.objects.get(mailbox=scene.box, kind="task").pk,
        SENDER: UnknownSender.objects.get(name="Jordi Vila").pk,
        CHOICE: AddressChoice.objects.get().pk,
        DOMAIN: IgnoredDomain.objects.get().pk,
        STOPPED: ThreadStop.objects.get().thread_id,
        STOP: ThreadStop.objects.get().pk,
        CUT: ThreadCut.objects.get(low=scene.thread).high_id,
        CONFLICT: FieldConflict.objects.get(link__mailbox=scene.box).pk,
        RANGE: Backfill.objects.get(mailbox=scene.box).pk,
        RULE: TrackedFolder.objects.get(mailbox=scene.box).pk,
        MAIL: OutgoingMail.objects.get(subject="Offer for twelve pumps, corrected").pk,
        PROFILE: scene.box.sync_profile_id,
        POLICY: PolicyDraft.objects.get(mailbox=None).pk,
        OWN_POLICY: PolicyDraft.objects.get(mailbox=scene.box).pk,
        DRY_RUN: DryRun.objects.get().pk,
        CHANGE: PolicyChange.objects.get().pk,
        DRAFT: OutgoingMail.objects.get(subject="Still to be finished").pk,
        FAILED: ItemFailure.objects.filter(mailbox=scene.box).order_by("pk")[0].pk,
    }


def address(page: Page, scene: scenes.Scene) -> str:
    keys = names(scene)
    return reverse(page.name, args=[keys.get(arg, arg) for arg in page.args])


def ask(client: Client, page: Page, scene: scenes.Scene) -> int:
    headers = {"HX-Request": "true"} if page.fragment else {}
    asked = QueryDict(page.asked.format_map(names(scene))).dict()
    # Each asks of the same rows: what one did is taken back before the next.
    with transaction.atomic():
        answer = int(getattr(client, page.method)(address(page, scene), asked, headers=headers).status_code)
        transaction.set_rollback(True)
    return answer


def test_every_address_stands_in_the_matrix() -> None:
    assert set(urls(get_resolver().url_patterns)) - ELSEWHERE == {page.name for page in MATRIX}


def test_people_see_what_the_matrix_says_and_nothing_else(scene: scenes.Scene, client: Client) -> None:
    seen, expected = {}, {}
    for username, page in itertools.product(PEOPLE, MATRIX):
        client.force_login(scene.person(username))
        here = username in page.people.split()
        # What is seen but not allowed is refused (403); what is not seen does not exist (404).
        otherwise = page.else_ or (403 if username in (page.sees or SEE_BOX).split() else 404)
        key = f"{username}: {page.method} {page.name} {page.args}"
        expected[key] = page.answer if here else otherwise
        seen[key] = ask(client, page, scene)
    assert seen == expected


def test_strangers_are_sent_to_sign_in(scene: scenes.Scene, client: Client) -> None:
    for page in MATRIX:
        if page.name in OPEN:
            continue
        answer = getattr(client, page.method)(address(page, scene))
        assert answer.status_code == 302, page.name
        assert answer["Location"].startswith("/sign-in/?next="), page.name


def test_people_who_were_switched_off_are_strangers(scene: scenes.Scene, client: Client) -> None:
    fina = scene.person("fina")
    client.force_login(fina)
    fina.is_active = False
    fina.save()
    assert client.get("/")["Location"].startswith("/sign-in/")


def test_changing_pages_refuse_reading_methods_and_reading_pages_refuse_changes(
    scene: scenes.Scene, client: Client
) -> None:
    client.force_login(scene.person("fina"))
    for page in MATRIX:
        if page.name in BOTH:
            continue
        other = client.post if page.method == "get" else client.get
        assert other(address(page, scene)).status_code in {405, 302 if page.name == "set_language" else 405}, page.name
