"""Addresses of the pages of appointments."""

from django.urls import path

from tracking.appointments import views, views_files

urlpatterns = [
    path("appointments/", views.appointments, name="appointments"),
    path("appointments/<int:pk>/", views.appointment, name="appointment"),
    path("appointments/<int:pk>/files/add/", views_files.add_appointment_files, name="add_appointment_files"),
    path("appointments/files/<int:pk>/", views_files.appointment_file, name="appointment_file"),
    path("appointments/files/<int:pk>/remove/", views_files.remove_appointment_file, name="remove_appointment_file"),
    path("appointments/<int:pk>/days/<slug:at>/", views.occurrence, name="occurrence"),
    path("appointments/<int:pk>/days/<slug:at>/change/", views.change_occurrence, name="change_occurrence"),
    path("appointments/<int:pk>/days/<slug:at>/call-off/", views.call_off_occurrence, name="call_off_occurrence"),
    path("appointments/<int:pk>/days/<slug:at>/take-back/", views.take_back_occurrence, name="take_back_occurrence"),
]
