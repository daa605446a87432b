"""What handing out due mailboxes needs to remember: slots, turns, and since when the promise is owed."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("mailboxes", "0002_initial")]

    operations = [
        migrations.AddField("mailbox", "measured_from", models.DateTimeField(null=True, verbose_name="promise owed since")),
        migrations.AddField("serverprofile", "claimed_at", models.DateTimeField(null=True)),
        migrations.AddField("run", "batch", models.CharField(blank=True, default="", max_length=40), preserve_default=False),
        migrations.AddIndex(
            "mailbox",
            models.Index(condition=models.Q(("intent", "on")), fields=["server", "due_at"], name="mailbox_due_of_server"),
        ),
        migrations.AddIndex(
            "run",
            models.Index(condition=models.Q(("examined", 0), ("outcome", "done")), fields=["finished_at"], name="run_idle"),
        ),
    ]
