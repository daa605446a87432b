from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("tracking", "0016_canary")]

    operations = [
        migrations.AddIndex(
            model_name="itemlink",
            index=models.Index(condition=models.Q(("uid", ""), _negated=True), fields=["uid"], name="link_of_meeting"),
        ),
    ]
