"""What a dry run counts, reads, leaves unread and never writes; as rows, jobs and the command (S16)."""

import json
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from redis.exceptions import ConnectionError as RedisGone

from mailboxes.models import Mailbox, ServerProfile, SyncProfile
from mailboxes.provider.entries import EntryKind, Field
from mailboxes.provider.errors import AccessRefused, AuthRejected, Scope, Throttled, Unavailable
from mailboxes.states import Intent, State
from security.commands import Failed, WrongUse
from security.models import User
from security.secrets import SecretUnreadable
from tests.tracking.dryrun.untouched import nothing_written
from tests.tracking.office import Office
from tracking.dryrun import rows, trial
from tracking.dryrun.mail import not_automated_since
from tracking.dryrun.outcomes import Answer, Effect, Fate, Item, Moves, Outcomes, of_mail, of_pair, of_records
from tracking.dryrun.trial import Trial, totals
from tracking.models import Contact, DryRun, ItemDecision, ItemLink, PolicyChange, SyncFilter
from tracking.policy import drafts
from tracking.policy.document import in_force
from tracking.workers import housekeeping

pytestmark = pytest.mark.django_db


@pytest.fixture
def office():
    office = Office()
    SyncProfile.objects.filter(pk=office.profile.pk).update(track="all", exclude_automated=False)
    return office


@pytest.fixture
def anna(office):
    box = office.mailbox("anna", track="")
    Contact.objects.create(last_name="Riera", email1="pau@c.example")
    for number, (sender, automated) in enumerate(
        [("pau@c.example", ""), ("who@else.example", ""), ("robot@else.example", "auto-generated")]
    ):
        office.server.deliver(
            box.address, message_id=f"<{number}@c.example>", sender=sender, to=[box.address], auto_submitted=automated
        )
    office.sync(box)
    return box


def profile_of(office):
    return SyncProfile.objects.get(pk=office.profile.pk)


def with_settings(office, **settings):
    document = in_force(profile_of(office))
    return {**document, "settings": {**document["settings"], **settings}}


def tried(office, document, *, read=True, days=30, subject=None, **more):
    subject = subject or profile_of(office)
    made = Trial(subject, document, days=days, now=office.now)
    with nothing_written(office.server):
        cost = made.cost()
        result = made.run((lambda box: office.server.provider(box.address)) if read else None, **more)
    return cost, result, dict(totals(result))


def test_tracked_mail_is_judged_from_what_is_stored_and_nothing_is_read(office, anna):
    cost, result, counted = tried(office, with_settings(office, track="records"))
    assert (cost.stored, cost.reads, cost.mailboxes) == (3, 0, 1)
    assert result.read == 0
    assert counted == {("mail", "drop"): 2, ("mail", "reason"): 1}
    assert {item.after for item in result.outcomes.of(Effect.DROP)} == {"no_record"}


def test_whether_a_program_sent_a_message_is_not_stored_so_it_is_read_or_unclear(office, anna):
    document = with_settings(office, exclude_automated=True)
    cost, result, counted = tried(office, document)
    assert cost.reads == 3
    assert result.read == 3
    assert counted == {("mail", "drop"): 1, ("mail", "same"): 2}
    _cost, result, counted = tried(office, document, read=False)
    assert counted == {("mail", "unclear"): 3}


def test_since_when_no_automated_mail_was_tracked_is_known_from_the_history(office, anna):
    profile = profile_of(office)
    assert not_automated_since(profile) is None
    draft = drafts.begin(profile, by="a", now=office.now, proposed=with_settings(office, exclude_automated=True))
    change = drafts.publish(draft, revision=1, by="a", now=office.now + timedelta(minutes=1))
    assert not_automated_since(profile_of(office)) == change.published_at
    cost, _result, _counted = tried(office, with_settings(office, track="records"))
    assert cost.reads == 3
    PolicyChange.objects.all().delete()
    cost, _result, _counted = tried(office, with_settings(office, track="records"))
    assert cost.reads == 0


@pytest.fixture
def boxes(office):
    """Four mailboxes with one refused message each."""
    SyncProfile.objects.filter(pk=office.profile.pk).update(track="none")
    found = [office.mailbox(f"box{number}", track="") for number in range(4)]
    for number, box in enumerate(found):
        office.server.deliver(box.address, message_id=f"<b{number}@c.example>", sender="pau@c.example")
        office.sync(box)
    return found


def asked(office, boxes, method="envelopes"):
    return [office.server.calls[box.address, method] for box in boxes]


@pytest.mark.parametrize(
    ("error", "own", "requests"),
    [
        (AuthRejected(), "", [1, 0, 0, 0]),
        (AuthRejected(), "own", [1, 1, 1, 1]),
        (Throttled(scope=Scope.SERVER), "", [1, 0, 0, 0]),
        (Unavailable(), "", [1, 1, 1, 0]),
        (AccessRefused(), "", [1, 1, 1, 1]),
    ],
)
def test_what_is_refused_for_all_is_not_asked_of_every_mailbox(office, boxes, error, own, requests):
    Mailbox.objects.update(username=own)
    before = asked(office, boxes)
    office.server.fail("envelopes", error, times=4)
    _cost, result, counted = tried(office, with_settings(office, track="all"))
    assert [now - was for now, was in zip(asked(office, boxes), before, strict=True)] == requests
    assert result.errors == {box.pk: error.code for box in boxes}
    assert counted == {("mail", "unclear"): 4}


@pytest.mark.parametrize(
    ("server", "mailbox", "code"),
    [
        ({"stopped_code": "sign_in_refused"}, {}, "sign_in_refused"),
        ({"not_before": timedelta(hours=1)}, {}, "server_busy"),
        ({}, {"not_before": timedelta(hours=1), "issue_code": "unreachable"}, "unreachable"),
        ({}, {"state": State.SIGN_IN_FAILED, "issue_code": "sign_in_refused"}, "sign_in_refused"),
    ],
)
def test_what_no_run_would_ask_is_not_asked(office, boxes, server, mailbox, code):
    if server.get("stopped_code"):
        server = {**server, "stopped_at": office.now}
    for rows_of, fields in ((ServerProfile.objects, server), (Mailbox.objects, mailbox)):
        later = {name: office.now + value for name, value in fields.items() if isinstance(value, timedelta)}
        rows_of.update(**{**fields, **later})
    before = asked(office, boxes)
    _cost, result, counted = tried(office, with_settings(office, track="all"))
    assert asked(office, boxes) == before
    assert set(result.errors.values()) == {code}
    assert counted == {("mail", "unclear"): 4}


def test_s15_no_mail_is_read_of_a_mailbox_whose_channel_is_off(office, boxes):
    Mailbox.objects.filter(pk__in=[box.pk for box in boxes[:3]]).update(incoming=False)
    before = asked(office, boxes)
    cost, result, counted = tried(office, with_settings(office, track="all"))
    assert (cost.reads, result.read, counted) == (1, 1, {("mail", "add"): 1})
    assert [now - was for now, was in zip(asked(office, boxes), before, strict=True)] == [0, 0, 0, 1]


def test_what_it_would_cost_is_asked_in_as_many_queries_whatever_the_mailboxes(office, boxes):
    document = {**with_settings(office, track="all"), "directions": {"task": {"subject": "to_crm"}}}

    def queries():
        with CaptureQueriesContext(connection) as captured:
            cost = Trial(profile_of(office), document, days=30, now=office.now).cost()
        return len(captured), cost.reads

    few, reads = queries()
    for number in range(10):
        office.mailbox(f"more{number}", track="")
    assert queries() == (few, reads)


def test_a_draft_that_is_gone_when_its_dry_run_ends_is_no_error(office, anna, monkeypatch):
    draft = drafts.begin(anna, by="a", now=office.now)
    run = DryRun.objects.create(
        draft=draft, revision=1, proposed=draft.proposed, days=1, asked_by=anna.owner, asked_at=office.now,
        expires_at=office.now,
    )  # fmt: skip
    monkeypatch.setattr(rows.Trial, "run", lambda *_args, **_more: drafts.discard(draft) or trial.Result())
    rows.work(run.pk)
    assert not DryRun.objects.exists()


def test_refused_mail_is_read_again_up_to_the_cap_the_latest_first(office, anna):
    SyncProfile.objects.filter(pk=office.profile.pk).update(track="none")
    for number in range(10, 15):
        office.server.deliver(
            anna.address, message_id=f"<{number}@c.example>", sender="pau@c.example", to=["x@y.example"]
        )
    office.sync(anna)
    cost, result, counted = tried(office, with_settings(office, track="all"), most_read=2)
    assert cost.reads == 5
    assert (result.read, result.not_read) == (2, 3)
    assert counted["mail", "add"] == 2
    assert counted["mail", "unclear"] == 3
    assert {item.ref for item in result.outcomes.of(Effect.ADD)} == set(
        ItemDecision.objects.filter(outcome="refused").order_by("-pk").values_list("pk", flat=True)[:2]
    )
    _cost, result, counted = tried(office, with_settings(office, track="all"), read=False)
    assert counted["mail", "unclear"] == 5
    assert result.not_read == 5


def test_only_the_days_asked_for_are_looked_at(office, anna):
    office.now += timedelta(days=10)
    cost, _result, counted = tried(office, with_settings(office, track="none"), days=3)
    assert (cost.stored, counted) == (0, {})


@pytest.mark.parametrize("error", [Unavailable("no answer"), SecretUnreadable()])
def test_a_mailbox_that_cannot_be_read_is_named_and_unclear_and_the_others_go_on(office, anna, error):
    ben = office.mailbox("ben", track="")
    office.server.deliver(ben.address, message_id="<b@c.example>", sender="pau@c.example", to=[ben.address])
    office.sync(ben)

    def open_provider(box):
        if box.pk == anna.pk:
            raise error
        return office.server.provider(box.address)

    made = Trial(profile_of(office), with_settings(office, exclude_automated=True), days=30, now=office.now)
    result = made.run(open_provider)
    assert result.errors == {anna.pk: getattr(error, "code", "secret_unreadable")}
    assert {(item.mailbox, item.effect) for item in result.outcomes.items} == {(anna.pk, Effect.UNCLEAR)}
    assert result.outcomes.counts[ben.pk, "mail", Effect.SAME, "all_mail", "all_mail"] == 1


def test_a_secret_that_cannot_be_decrypted_is_its_own_mailboxs_trouble(office, anna, settings):
    office.mailbox("bruno")
    Mailbox.objects.filter(pk=anna.pk).update(username="anna", secret="a password")
    settings.ENCRYPTION_KEYS = ["another key"]
    made = Trial(profile_of(office), with_settings(office, exclude_automated=True), days=30, now=office.now)
    assert made.cost().mailboxes == 2

    def provide(mailbox):
        assert mailbox.secret is None
        return office.server.provider(mailbox.address)

    assert made.run(provide).errors == {anna.pk: "secret_unreadable"}


def test_what_was_put_right_by_hand_and_mailboxes_that_are_off_are_left_out(office, anna):
    Mailbox.objects.update(intent=Intent.OFF)
    cost, result, counted = tried(office, with_settings(office, track="none"))
    assert (cost.mailboxes, counted, result.read) == (0, {}, 0)
    Mailbox.objects.update(intent=Intent.ON)
    ItemDecision.objects.update(reason="marked")
    assert tried(office, with_settings(office, track="none"))[2] == {}


def test_a_schedule_says_nothing_of_any_item(office, anna):
    cost, _result, counted = tried(office, with_settings(office, max_seconds=900))
    assert (cost.reads, cost.stored, counted) == (0, 0, {})


def test_directions_say_which_fields_of_which_pairs_would_be_overwritten(at):
    desk = at(EntryKind.TASK)
    Mailbox.objects.update(entries=True)
    record = desk.record(subject="Call", description="ours")
    desk.sync()
    document = in_force(desk.office.profile)
    closed = {**document, "directions": {"task": {Field.BODY.value: "none"}}}
    draft = drafts.begin(desk.office.profile, by="a", now=desk.now, proposed=closed)
    drafts.publish(draft, revision=1, by="a", now=desk.now)
    desk.server.change_entry(desk.link().item_id, {Field.BODY: "theirs"})
    desk.sync(full=True)
    record.refresh_from_db()
    assert record.description == "ours"
    opened = {**document, "directions": {}}
    cost, result, counted = tried(desk.office, opened)
    assert cost.reads == 1
    assert [(item.effect, item.ref, item.fields) for item in result.outcomes.items] == [
        (Effect.TO_CRM, record.pk, (Field.BODY.value,))
    ]
    _cost, result, counted = tried(desk.office, opened, read=False)
    assert counted["task", "unclear"] == 1
    # What its owner made private meanwhile is not read.
    desk.server.change_entry(desk.link().item_id, {}, sensitivity="Private")
    assert tried(desk.office, opened)[1].outcomes.of(Effect.TO_CRM) == []
    assert ItemLink.objects.count() == 1


def test_an_owner_tries_their_own_filters_without_anybody_elses_mailbox(at):
    desk = at(EntryKind.TASK)
    Mailbox.objects.update(entries=True)
    record = desk.record(subject="Call")
    desk.sync()
    box = Mailbox.objects.get()
    document = in_force(box)
    document["filters"] = {}
    cost, result, _counted = tried(desk.office, document, subject=box)
    assert cost.mailboxes == 1
    assert [(item.effect, item.ref) for item in result.outcomes.items] == [(Effect.UNLINK, record.pk)]
    SyncFilter.objects.create(
        scope="owner", mailbox=box, kind="task", name="no such", conditions={"parts": [{"column": "size"}]}
    )
    Mailbox.objects.update(entries=False)
    assert tried(desk.office, document, subject=box)[2] == {}


# -- pure


def test_what_stays_refused_or_tracked_is_no_effect_of_the_change():
    kept, refused, untold = Answer(kept=True, reason="a"), Answer(kept=False, reason="b"), Answer(kept=None)
    answers = {1: (kept, refused), 2: (refused, kept), 3: (kept, kept), 4: (untold, kept), 5: (kept, Answer(True, "c"))}
    before = {ref: pair[0] for ref, pair in answers.items()}
    after = {ref: pair[1] for ref, pair in answers.items()}
    effects = [item.effect for item in of_mail(1, before, after, is_kept=True)]
    assert effects == [Effect.DROP, Effect.KEPT_IN, Effect.SAME, Effect.UNCLEAR, Effect.REASON]
    effects = [item.effect for item in of_mail(1, before, after, is_kept=False)]
    assert effects == [Effect.KEPT_OUT, Effect.ADD, Effect.SAME, Effect.UNCLEAR, Effect.REASON]


def test_fates_and_moves_compared():
    before = {1: Fate.CREATE, 2: Fate.UNLINK, 3: Fate.LINKED, 5: Fate.AGAIN, 6: Fate.LINKED}
    after = {1: Fate.LEFT, 2: Fate.LINKED, 3: Fate.UNLINK, 4: Fate.CREATE, 6: Fate.LINKED, 7: Fate.AGAIN}
    assert [item.effect for item in of_records(1, "task", before, after)] == [
        Effect.NOT_MADE, Effect.STAYS, Effect.UNLINK, Effect.CREATE, Effect.NOT_MADE, Effect.SAME, Effect.AGAIN,
    ]  # fmt: skip
    old, new = Moves(frozenset({"notes"}), frozenset({"pager"})), Moves(frozenset({"name"}))
    found = {item.effect: item.fields for item in of_pair(1, "contact", 2, old, new)}
    assert found == {Effect.TO_EXCHANGE: ("name",), Effect.NOT_WRITTEN: ("notes", "pager")}


def test_lists_are_cut_and_counts_are_whole():
    outcomes = Outcomes(3)
    outcomes.add(Item(1, "mail", Effect.ADD, ref, "a", "b") for ref in range(7))
    outcomes.add([Item(1, "mail", Effect.SAME, 9)])
    kept = outcomes.as_json()
    assert len(kept["items"]) == len(outcomes.items) == 3
    assert kept["counts"] == [[1, "mail", "add", "a", "b", 7], [1, "mail", "same", "", "", 1]]


# -- rows and jobs


@pytest.fixture
def draft(office, anna):
    return drafts.begin(
        profile_of(office), by="fina", now=office.now, proposed=with_settings(office, exclude_automated=True)
    )


def ask(draft, office, *, read, has_worker=True):
    fina, _made = User.objects.get_or_create(username="fina")
    cost = rows.trial_of(draft, days=30, now=office.now).cost()
    return rows.begin(draft, days=30, read=read, by=fina, now=office.now, cost=cost, has_worker=has_worker)


def test_what_reads_from_exchange_is_a_workers_and_the_row_says_how_far(draft, office, monkeypatch):
    put = []
    monkeypatch.setattr(rows, "queue", lambda _name: type("Q", (), {"enqueue": lambda _self, *a, **k: put.append(a)})())
    run = ask(draft, office, read=True)
    assert put == [(rows.JOB, run.pk)]
    assert run.state == "waiting"
    monkeypatch.setattr(rows, "open_provider", lambda box: office.server.provider(box.address))
    monkeypatch.setattr(
        rows.carry_out, "__kwdefaults__", {**(rows.carry_out.__kwdefaults__ or {}), "open_with": rows.open_provider}
    )
    with nothing_written(office.server, but=["tracking_dryrun"]):
        rows.work(run.pk)
    run.refresh_from_db()
    assert (run.state, run.done, run.total) == ("done", 1, 1)
    assert run.result["read"] == 3
    assert "else.example" not in json.dumps(run.result)
    finished = run.finished_at
    rows.work(run.pk)
    rows.work(run.pk + 1000)
    run.refresh_from_db()
    assert run.finished_at == finished


def test_without_reading_a_small_one_is_done_at_once(draft, office):
    run = ask(draft, office, read=False)
    assert run.state == "done"
    assert run.result["counts"] == [[run.result["counts"][0][0], "mail", "unclear", "", "", 3]]


def test_a_queue_that_is_gone_begins_nothing(draft, office, monkeypatch):
    def gone(_name):
        raise RedisGone

    monkeypatch.setattr(rows, "queue", gone)
    with pytest.raises(RedisGone):
        ask(draft, office, read=True)
    assert not DryRun.objects.exists()


def test_an_error_is_the_rows_state_and_names_nothing(draft, office, monkeypatch, caplog):
    def broken(*_args, **_more):
        raise ValueError("secret subject")

    monkeypatch.setattr(trial.Trial, "run", broken)
    run = ask(draft, office, read=False)
    assert (run.state, run.error) == ("failed", "internal_error")
    assert run.result == {}
    assert "Dry run" in caplog.text


@pytest.mark.parametrize("state", ["waiting", "running"])
def test_one_whose_worker_died_ends_as_failed_and_is_not_taken_up_after_that(draft, office, state):
    run = ask(draft, office, read=False)
    DryRun.objects.update(state=state, finished_at=None)
    assert rows.give_up(run.asked_at + timedelta(hours=2)) == 0
    assert rows.give_up(run.asked_at + timedelta(hours=4)) == 1
    rows.work(run.pk)
    run.refresh_from_db()
    assert (run.state, run.error) == ("failed", "worker_lost")


def test_results_are_forgotten_after_a_week(draft, office):
    ask(draft, office, read=False)
    DryRun.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    housekeeping.prune(timezone.now())
    assert not DryRun.objects.exists()


# -- the command


def said(*command):
    out, err = StringIO(), StringIO()
    call_command("dry_run", *command, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


def test_the_command_tries_settings_or_a_draft_and_writes_nothing(draft, office, monkeypatch):
    from_command = "tracking.management.commands.dry_run"
    monkeypatch.setattr(f"{from_command}.timezone.now", lambda: office.now)
    monkeypatch.setattr(f"{from_command}.open_provider", lambda box: office.server.provider(box.address))
    name = office.profile.name
    with nothing_written(office.server):
        out, err = said(name, "--set", "track=records", "--set", "blocked=a.example,b.example", "--json")
    document = json.loads(out)
    assert document["to_read"] == 0
    assert {row["effect"]: row["items"] for row in document["totals"]} == {"drop": 2, "reason": 1}
    assert document["mailboxes"][0]["address"] == "anna@office.example"
    out, err = said(name, "--draft", str(draft.pk), "--days", "7")
    assert "3 items would have to be read" in err
    assert "unclear without reading" in out
    out, _err = said(name, "--draft", str(draft.pk), "--read")
    assert "would have been refused" in out
    assert "(3 items read, 0 not)" in out


@pytest.mark.parametrize(
    ("arguments", "error", "sentence"),
    [
        (["nobody"], Failed, "There is no sync profile nobody."),
        (["{name}"], WrongUse, "either --draft or at least one --set"),
        (["{name}", "--set", "colour=red"], WrongUse, "'colour=red' is no setting"),
        (["{name}", "--set", "exclude_internal=maybe"], WrongUse, "is true or false"),
        (["{name}", "--set", "max_seconds=soon"], WrongUse, "is a number"),
        (["{name}", "--set", "max_seconds=1"], WrongUse, "Settings"),
        (["{name}", "--set", "track=some"], WrongUse, "Settings"),
        (["{name}", "--set", "track=all", "--days", "0"], WrongUse, "1 or more"),
        (["{name}", "--draft", "999"], Failed, "There is no draft 999"),
    ],
)
def test_the_command_says_what_is_wrong(office, arguments, error, sentence):
    with pytest.raises(error, match=sentence):
        said(*(each.format(name=office.profile.name) for each in arguments))


def test_yes_and_numbers_are_understood(office, anna):
    out, _err = said(office.profile.name, "--set", "exclude_internal=yes", "--set", "max_seconds=900", "--json")
    assert json.loads(out)["profile"] == office.profile.name
