from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("tracking", "0017_meetings")]

    operations = [
        migrations.AddIndex(
            model_name="outgoingmail",
            index=models.Index(
                condition=models.Q(("state__in", ("waiting", "sending", "failed", "unknown"))),
                fields=["-state_since", "-id"],
                name="outgoing_open",
            ),
        ),
    ]
