import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    """Files of appointments, and how far they are kept in step."""

    dependencies = [
        ("tracking", "0021_profile_events"),
    ]

    operations = [
        migrations.CreateModel(
            name="FilesInStep",
            fields=[
                (
                    "link",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="files",
                        serialize=False,
                        to="tracking.itemlink",
                    ),
                ),
                ("base", models.JSONField(default=list)),
                ("read", models.JSONField(default=dict)),
                ("left", models.JSONField(default=dict)),
                ("refused", models.JSONField(default=dict)),
                ("tries", models.JSONField(default=dict)),
            ],
        ),
        migrations.CreateModel(
            name="AppointmentFile",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=255, verbose_name="name")),
                (
                    "content_type",
                    models.CharField(default="application/octet-stream", max_length=200, verbose_name="type"),
                ),
                ("size", models.PositiveBigIntegerField(verbose_name="size")),
                ("sha256", models.CharField(max_length=64)),
                ("added_at", models.DateTimeField(verbose_name="added")),
                ("added_by", models.CharField(blank=True, max_length=150, verbose_name="added by")),
                (
                    "appointment",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="files", to="tracking.appointment"
                    ),
                ),
            ],
            options={
                "ordering": ["appointment", "added_at", "id"],
                "indexes": [models.Index(fields=["sha256"], name="appointment_file_blob")],
                "constraints": [
                    models.UniqueConstraint(fields=("appointment", "name", "sha256"), name="appointment_file_once")
                ],
            },
        ),
    ]
