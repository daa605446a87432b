import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):
    """What both sides last agreed on about exceptions of a series, and when somebody changed one."""

    dependencies = [
        ("tracking", "0019_contact_addresses"),
    ]

    operations = [
        migrations.AddField(model_name="itemlink", name="exceptions_base", field=models.JSONField(null=True)),
        migrations.AddField(model_name="itemlink", name="exceptions_withheld", field=models.JSONField(default=dict)),
        migrations.AddField(model_name="fieldconflict", name="original", field=models.DateTimeField(null=True)),
        migrations.AddField(
            model_name="occurrencechange",
            name="modified_at",
            field=models.DateTimeField(auto_now=True, default=django.utils.timezone.now, verbose_name="changed"),
            preserve_default=False,
        ),
    ]
