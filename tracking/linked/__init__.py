"""Appointments, contacts and tasks: records and entries kept in step, both ways."""
