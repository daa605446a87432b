"""When to look whether a draft has turned up that was given up for lost."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("tracking", "0022_appointment_files")]

    operations = [
        migrations.AddField(
            model_name="outgoingmail",
            name="stray_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.AddIndex(
            model_name="outgoingmail",
            index=models.Index(
                condition=models.Q(("stray_at__isnull", False)), fields=["mailbox", "stray_at"], name="outgoing_stray"
            ),
        ),
    ]
