#!/usr/bin/env python3
"""Runs the management commands; `crmsync_site.embedded.entry` first makes the services ready that a command needs."""

import os
import sys

from django.core.management import execute_from_command_line

from crmsync_site.embedded.entry import services_for

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "crmsync_site.settings")
    with services_for(sys.argv):
        execute_from_command_line(sys.argv)
