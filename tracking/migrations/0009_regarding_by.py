from django.db import migrations, models


def note_threads(apps, _schema_editor):
    """Until now a regarding record came from the message that was answered, always."""
    apps.get_model("tracking", "Activity").objects.exclude(regarding_kind="").update(regarding_by="thread")


class Migration(migrations.Migration):
    dependencies = [("tracking", "0008_copied_entries")]

    operations = [
        migrations.AddField(
            model_name="activity",
            name="regarding_by",
            field=models.CharField(
                blank=True,
                choices=[
                    ("manual", "by hand"),
                    ("folder", "by its folder"),
                    ("thread", "from its thread"),
                    ("record", "with a record"),
                ],
                default="",
                max_length=8,
                verbose_name="regarding set",
            ),
            preserve_default=False,
        ),
        migrations.RunPython(note_threads, migrations.RunPython.noop),
    ]
