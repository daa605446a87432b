"""Addresses of the pages of mailboxes."""

from django.urls import path

from mailboxes import views

urlpatterns = [
    path("", views.overview, name="overview"),
    path("mailboxes/", views.mailboxes, name="mailboxes"),
    path("mailboxes/export/", views.mailboxes_csv, name="mailboxes_csv"),
    path("mailboxes/live/", views.mailboxes_live, name="mailboxes_live"),
    path("mailboxes/<int:pk>/", views.mailbox, name="mailbox"),
    path("mailboxes/<int:pk>/live/", views.mailbox_live, name="mailbox_live"),
    path("mailboxes/<int:pk>/runs/", views.runs, name="runs"),
    path("mailboxes/<int:pk>/runs/export/", views.runs_csv, name="runs_csv"),
]
