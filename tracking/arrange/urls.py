"""Addresses of the pages where people settle what planning does not guess: addresses, and how threads belong together."""

from django.urls import path

from tracking.arrange import views_addresses
from tracking.arrange import views_threads as views_arrange

urlpatterns = [
    path("addresses/", views_addresses.ambiguous, name="ambiguities"),
    path("addresses/waiting/", views_addresses.addresses_waiting, name="addresses_waiting"),
    path("addresses/settle/", views_addresses.settle_address, name="settle_address"),
    path("addresses/remembered/", views_addresses.address_choices, name="address_choices"),
    path("addresses/remembered/<int:pk>/undo/", views_addresses.undo_choice, name="undo_choice"),
    path("addresses/unknown/", views_addresses.senders, name="unknown_senders"),
    path("addresses/unknown/export/", views_addresses.senders_csv, name="unknown_senders_csv"),
    path("addresses/unknown/settle/", views_addresses.settle_senders, name="settle_senders"),
    path("addresses/unknown/<int:pk>/link/", views_addresses.link_sender, name="link_sender"),
    path("addresses/unknown/<int:pk>/link/now/", views_addresses.link_sender_to, name="link_sender_to"),
    path("addresses/domains/<int:pk>/listen/", views_addresses.listen_again, name="listen_again"),
    path("threads/<int:pk>/regarding/", views_arrange.thread_regarding, name="thread_regarding"),
    path("threads/<int:pk>/regarding/set/", views_arrange.set_regarding, name="set_regarding"),
    path("threads/<int:pk>/split/", views_arrange.split_thread, name="split_thread"),
    path("threads/<int:pk>/split/now/", views_arrange.split_off, name="split_off"),
    path("threads/<int:pk>/join/", views_arrange.join_thread, name="join_thread"),
    path("threads/<int:pk>/stop/", views_arrange.stop_thread, name="stop_thread"),
    path("threads/<int:pk>/stop/now/", views_arrange.stop_now, name="stop_now"),
    path("threads/<int:pk>/resume/", views_arrange.resume_thread, name="resume_thread"),
    path("threads/<int:pk>/evaluate/", views_arrange.evaluate_stopped, name="evaluate_stopped"),
]
