from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("tracking", "0014_decision_stopped")]

    operations = [
        migrations.AddField("backfill", "found", models.PositiveIntegerField(default=0)),
        migrations.AddField("backfill", "attempts", models.PositiveSmallIntegerField(default=0)),
        migrations.AddField("backfill", "careful", models.PositiveSmallIntegerField(default=0)),
        # Finds addresses by their beginning: `anna+anything@` belongs to whoever has `anna@`.
        migrations.RunSQL(
            "CREATE INDEX participant_email_prefix ON tracking_participant (lower(email) text_pattern_ops)",
            "DROP INDEX participant_email_prefix",
        ),
    ]
