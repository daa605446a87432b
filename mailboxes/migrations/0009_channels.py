from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("mailboxes", "0009_unknown_senders")]

    operations = [
        migrations.AddField(
            model_name="mailbox",
            name="incoming",
            field=models.BooleanField(default=True, verbose_name="read mail"),
        ),
        migrations.AddField(
            model_name="mailbox",
            name="outgoing",
            field=models.BooleanField(default=False, verbose_name="send mail written in the CRM"),
        ),
        migrations.AddField(
            model_name="mailbox",
            name="mail_due_at",
            field=models.DateTimeField(null=True, verbose_name="next mail to send"),
        ),
    ]
