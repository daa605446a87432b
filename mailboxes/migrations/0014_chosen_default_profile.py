"""Which sync profile new mailboxes follow is chosen; until now it was the one called Default."""

from django.db import migrations, models


def choose(apps, schema_editor):
    apps.get_model("mailboxes", "SyncProfile").objects.filter(name="Default").update(is_default=True)


class Migration(migrations.Migration):
    dependencies = [("mailboxes", "0013_contact_addresses")]

    operations = [
        migrations.AddField(
            model_name="syncprofile",
            name="is_default",
            field=models.BooleanField(default=False, verbose_name="for new mailboxes"),
        ),
        migrations.RunPython(choose, migrations.RunPython.noop),
        migrations.AddConstraint(
            model_name="syncprofile",
            constraint=models.UniqueConstraint(
                condition=models.Q(("is_default", True)), fields=("is_default",), name="one_default_profile"
            ),
        ),
    ]
