from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("mailboxes", "0014_chosen_default_profile"),
    ]

    operations = [
        migrations.AddField(
            model_name="syncprofile",
            name="appointment_attachments",
            field=models.CharField(
                choices=[
                    ("none", "stay where they are"),
                    ("both", "flow both ways"),
                    ("to_crm", "flow from Exchange to the CRM"),
                    ("to_exchange", "flow from the CRM to Exchange"),
                ],
                default="none",
                max_length=12,
                verbose_name="attachments of appointments",
            ),
        ),
    ]
