"""The privilege to arrange threads that belong to others."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("security", "0002_read_all_records")]

    operations = [
        migrations.AlterModelOptions(
            "user",
            {
                "permissions": [
                    ("approve_mailboxes", "May approve mailboxes and switch their synchronisation on and off."),
                    ("manage_servers", "May connect mail servers and change how they are reached."),
                    ("manage_policy", "May change sync profiles."),
                    (
                        "read_diagnostics",
                        "May see every mailbox, its runs, decisions and errors, without the mail itself.",
                    ),
                    ("read_all_threads", "May read every tracked thread."),
                    ("read_all_records", "May read every account, contact, lead, opportunity and case."),
                    (
                        "manage_threads",
                        "May stop, split and join threads and settle addresses, in all mail that they may read.",
                    ),
                ],
                "verbose_name": "user",
                "verbose_name_plural": "users",
            },
        ),
    ]
