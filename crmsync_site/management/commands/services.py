"""`manage.py services [PROGRAM ...]`: the servers for a program that is none of ours, such as pg_dump or redis-cli."""

import argparse
import json
import os
import subprocess
import sys
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import connection

from crmsync_site.embedded import services
from crmsync_site.embedded.privilege import Account
from crmsync_site.embedded.programs import postgres_programs


class Command(BaseCommand):
    """Tell where the servers are, or run a program that finds them in its environment."""

    help = "Prints where database and queue are, or runs PROGRAM (pg_dump, psql, ...) with PGHOST and its kin set."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Take everything after the command's name as the program's."""
        parser.add_argument("program", nargs=argparse.REMAINDER, help="a program and its arguments")

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ARG002 -- Django's signature
        """Run the program and exit with its code, or print one JSON document without passwords."""
        database = connection.get_connection_params()
        where = {
            "PGHOST": database.get("host", ""),
            "PGPORT": str(database.get("port", "")),
            "PGUSER": database.get("user", ""),
            "PGDATABASE": database.get("dbname", ""),
        }
        if not options["program"]:
            self.stdout.write(json.dumps({**where, "embedded": list(services.needed())}, indent=2))
            return
        path = os.environ.get("PATH", os.defpath)
        if "postgres" in services.needed():
            folder, _ = postgres_programs(Account(os.geteuid(), os.getegid()))
            path = f"{folder}{os.pathsep}{path}"
        secret = {"PGPASSWORD": database["password"]} if database.get("password") else {}
        env = {**os.environ, **{key: value for key, value in where.items() if value}, **secret, "PATH": path}
        try:
            done = subprocess.run(options["program"], env={**env, "REDIS_URL": settings.REDIS_URL}, check=False)  # noqa: S603 -- what the administrator typed
        except OSError as error:
            raise CommandError(f"{options['program'][0]}: {error.strerror}") from error
        sys.exit(done.returncode)
