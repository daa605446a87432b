"""Runs that found something to do, by time: the overview counts and lists them among many more that did not."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("mailboxes", "0005_default_sync_profile")]

    operations = [
        migrations.AddIndex(
            "run",
            models.Index(condition=models.Q(("examined__gt", 0)), fields=["started_at"], name="run_busy"),
        ),
    ]
