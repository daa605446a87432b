from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("tracking", "0015_backfill_attempts")]

    operations = [
        migrations.AddField(
            model_name="linkstate",
            name="rules",
            field=models.CharField(blank=True, max_length=64),
        ),
    ]
