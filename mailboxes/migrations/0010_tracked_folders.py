from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("mailboxes", "0009_channels")]

    operations = [
        migrations.AddField(
            model_name="syncprofile",
            name="track_locked",
            field=models.BooleanField(default=False, verbose_name="mailboxes may not choose another option"),
        ),
    ]
