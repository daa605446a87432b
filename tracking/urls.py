"""Addresses of the pages of threads, decisions and records."""

from django.urls import include, path

from tracking.decisions import views as views_mailbox
from tracking.linked import views as views_linked
from tracking.mail import views as views_threads
from tracking.outgoing import views as views_outgoing
from tracking.personal import views_options, views_tracked_folders
from tracking.records import views as views_records
from tracking.repair import views_quarantine, views_repair

urlpatterns = [
    path("", include("tracking.appointments.urls")),
    path("", include("tracking.arrange.urls")),
    path("", include("tracking.backfill.urls")),
    path("", include("tracking.policy.urls")),
    path("threads/", views_threads.threads, name="threads"),
    path("threads/export/", views_threads.threads_csv, name="threads_csv"),
    path("threads/<int:pk>/", views_threads.thread, name="thread"),
    path("messages/<int:pk>/body/", views_threads.message_body, name="message_body"),
    path("attachments/<int:pk>/", views_threads.attachment, name="attachment"),
    path("delays/", views_threads.delay_page, name="delays"),
    path("mailboxes/<int:pk>/decisions/", views_mailbox.decisions, name="decisions"),
    path("mailboxes/<int:pk>/decisions/export/", views_mailbox.decisions_csv, name="decisions_csv"),
    path("mailboxes/<int:pk>/failed-items/", views_quarantine.failed_items, name="failed_items"),
    path("mailboxes/<int:pk>/failed-items/retry/", views_quarantine.retry_failed, name="retry_failed"),
    path("mailboxes/<int:pk>/failed-items/<int:item>/discard/", views_quarantine.discard_failed, name="discard_failed"),
    path("mailboxes/<int:pk>/failed-items/<int:item>/export/", views_quarantine.export_failed, name="export_failed"),
    path("mailboxes/<int:pk>/repair/", views_repair.repair, name="repair"),
    path("mailboxes/<int:pk>/repair/read-again/", views_repair.read_again_preview, name="read_again_preview"),
    path("mailboxes/<int:pk>/repair/read-again/now/", views_repair.read_again, name="read_again"),
    path("mailboxes/<int:pk>/options/", views_options.personal_options, name="personal_options"),
    path("mailboxes/<int:pk>/options/track/", views_options.save_track, name="save_track"),
    path("mailboxes/<int:pk>/options/category/", views_options.save_category, name="save_category"),
    path("mailboxes/<int:pk>/options/lock/", views_options.lock_track, name="lock_track"),
    path(
        "mailboxes/<int:pk>/tracked-folders/new/", views_tracked_folders.new_tracked_folder, name="new_tracked_folder"
    ),
    path(
        "mailboxes/<int:pk>/tracked-folders/add/", views_tracked_folders.add_tracked_folder, name="add_tracked_folder"
    ),
    path("mailboxes/<int:pk>/tracked-folders/<int:rule>/", views_tracked_folders.tracked_folder, name="tracked_folder"),
    path(
        "mailboxes/<int:pk>/tracked-folders/<int:rule>/change/",
        views_tracked_folders.change_tracked_folder,
        name="change_tracked_folder",
    ),
    path(
        "mailboxes/<int:pk>/tracked-folders/<int:rule>/pause/",
        views_tracked_folders.pause_tracked_folder,
        name="pause_tracked_folder",
    ),
    path(
        "mailboxes/<int:pk>/tracked-folders/<int:rule>/remove/",
        views_tracked_folders.remove_tracked_folder,
        name="remove_tracked_folder",
    ),
    path("mailboxes/<int:pk>/in-step/", views_linked.in_step, name="in_step"),
    path("mailboxes/<int:pk>/channels/<slug:channel>/", views_linked.switch_channel, name="switch_channel"),
    path("mailboxes/<int:pk>/in-step/brakes/<int:state>/", views_linked.release_brake, name="release_brake"),
    path("mailboxes/<int:pk>/in-step/conflicts/<int:conflict>/", views_linked.take_other, name="take_other"),
    path("mailboxes/<int:pk>/sync/", views_mailbox.sync_now, name="sync_now"),
    path("outgoing/", views_outgoing.outgoing, name="outgoing"),
    path("outgoing/new/", views_outgoing.compose, name="compose"),
    path("outgoing/save/", views_outgoing.save_mail, name="save_mail"),
    path("outgoing/<int:pk>/", views_outgoing.outgoing_mail, name="outgoing_mail"),
    path("outgoing/<int:pk>/save/", views_outgoing.save_mail, name="save_draft"),
    path("outgoing/<int:pk>/decide/", views_outgoing.decide_mail, name="decide_mail"),
    path("records/", views_records.records, name="records"),
    path("records/<slug:kind>/", views_records.records_of, name="records_of"),
    path("records/<slug:kind>/export/", views_records.records_csv, name="records_csv"),
    path("records/<slug:kind>/<int:pk>/", views_records.record, name="record"),
]
