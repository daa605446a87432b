"""Every installation begins with one sync profile, whose values are the model's defaults."""

from django.db import migrations


def create(apps, schema_editor):
    apps.get_model("mailboxes", "SyncProfile").objects.get_or_create(name="Default")


class Migration(migrations.Migration):
    dependencies = [("mailboxes", "0004_careful_folders")]
    operations = [migrations.RunPython(create, migrations.RunPython.noop)]
