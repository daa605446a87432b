"""Addresses of the pages on which mail is looked at again."""

from django.urls import path

from tracking.backfill import views as views_backfill

urlpatterns = [
    path("mailboxes/<int:pk>/repair/backfill/", views_backfill.backfill, name="backfill"),
    path("mailboxes/<int:pk>/repair/backfill/count/", views_backfill.count_range, name="count_range"),
    path("mailboxes/<int:pk>/repair/backfill/<int:backfill>/read/", views_backfill.read_backfill, name="read_backfill"),
    path(
        "mailboxes/<int:pk>/repair/backfill/<int:backfill>/cancel/",
        views_backfill.cancel_backfill,
        name="cancel_backfill",
    ),
    path(
        "mailboxes/<int:pk>/repair/backfill/<int:backfill>/resume/",
        views_backfill.resume_backfill,
        name="resume_backfill",
    ),
    path("records/<slug:kind>/<int:pk>/mail/", views_backfill.record_mail, name="record_mail"),
    path("records/<slug:kind>/<int:pk>/mail/count/", views_backfill.count_record_mail, name="count_record_mail"),
]
