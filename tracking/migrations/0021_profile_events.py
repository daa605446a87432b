"""What was done with sync profiles as a whole."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("mailboxes", "0014_chosen_default_profile"),
        ("tracking", "0020_series_exceptions"),
    ]

    operations = [
        migrations.CreateModel(
            name="ProfileEvent",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "act",
                    models.CharField(
                        choices=[
                            ("created", "created"),
                            ("renamed", "renamed"),
                            ("assigned", "assigned"),
                            ("default", "made the default"),
                            ("deleted", "deleted"),
                        ],
                        max_length=10,
                    ),
                ),
                ("name", models.CharField(max_length=100, verbose_name="name")),
                ("before", models.CharField(blank=True, max_length=100)),
                ("after", models.CharField(blank=True, max_length=100)),
                ("document", models.JSONField(null=True)),
                ("by", models.CharField(max_length=150, verbose_name="by")),
                ("at", models.DateTimeField(verbose_name="at")),
                (
                    "mailbox",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="profile_events",
                        to="mailboxes.mailbox",
                    ),
                ),
                (
                    "sync_profile",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="events",
                        to="mailboxes.syncprofile",
                    ),
                ),
            ],
            options={
                "ordering": ["-at", "-pk"],
                "indexes": [models.Index(fields=["sync_profile", "-at"], name="profile_event_latest")],
            },
        ),
    ]
