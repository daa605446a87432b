from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("tracking", "0013_correlation_and_backfill")]

    operations = [
        migrations.AddIndex(
            model_name="itemdecision",
            index=models.Index(
                condition=models.Q(("reason", "thread_stopped")), fields=["mailbox"], name="decision_stopped"
            ),
        ),
    ]
