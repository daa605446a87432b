from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("mailboxes", "0012_full_pass_asked"),
    ]

    operations = [
        migrations.AddField(
            model_name="syncprofile",
            name="contact_addresses",
            field=models.CharField(
                choices=[
                    ("business", "the business address alone"),
                    ("home", "the home address alone"),
                    ("other", "the other address alone"),
                    ("all", "all three"),
                ],
                default="business",
                max_length=10,
                verbose_name="postal addresses of contacts",
            ),
        ),
    ]
