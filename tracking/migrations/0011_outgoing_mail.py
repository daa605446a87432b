import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
        ("mailboxes", "0009_channels"),
        ("tracking", "0011_arrangements"),
    ]

    operations = [
        migrations.CreateModel(
            name="OutgoingMail",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("to", models.JSONField(default=list, verbose_name="to")),
                ("cc", models.JSONField(default=list, verbose_name="cc")),
                ("bcc", models.JSONField(default=list, verbose_name="bcc")),
                ("subject", models.CharField(blank=True, max_length=255, verbose_name="subject")),
                ("text", models.TextField(blank=True, verbose_name="text")),
                ("html", models.TextField(blank=True, verbose_name="HTML")),
                (
                    "regarding_kind",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("contact", "contact"),
                            ("lead", "lead"),
                            ("account", "account"),
                            ("opportunity", "opportunity"),
                            ("case", "case"),
                        ],
                        max_length=12,
                        verbose_name="regarding",
                    ),
                ),
                ("regarding_id", models.PositiveBigIntegerField(null=True)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("draft", "draft"),
                            ("waiting", "waiting"),
                            ("sending", "being sent"),
                            ("sent", "sent"),
                            ("failed", "failed"),
                            ("unknown", "unknown"),
                            ("discarded", "discarded"),
                        ],
                        default="draft",
                        max_length=10,
                        verbose_name="state",
                    ),
                ),
                ("state_since", models.DateTimeField(verbose_name="since")),
                ("created_at", models.DateTimeField(verbose_name="written")),
                ("decided_by", models.CharField(blank=True, max_length=150, verbose_name="decided by")),
                ("stamp", models.CharField(blank=True, max_length=64)),
                ("message_id", models.CharField(blank=True, max_length=400, verbose_name="Message-ID")),
                ("make_asked_at", models.DateTimeField(null=True)),
                ("item_id", models.CharField(blank=True, max_length=1000)),
                ("change_key", models.CharField(blank=True, max_length=400)),
                ("send_asked_at", models.DateTimeField(null=True)),
                ("sent_at", models.DateTimeField(null=True, verbose_name="sent")),
                ("as_it_is", models.BooleanField(default=False)),
                ("try_at", models.DateTimeField(null=True, verbose_name="next attempt")),
                ("attempts", models.PositiveSmallIntegerField(default=0, verbose_name="attempts")),
                ("error_code", models.CharField(blank=True, max_length=60, verbose_name="error")),
                ("error_detail", models.TextField(blank=True, verbose_name="detail")),
                (
                    "activity",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="written_here",
                        to="tracking.activity",
                        verbose_name="tracked as",
                    ),
                ),
                (
                    "answers",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to="tracking.activity",
                    ),
                ),
                (
                    "author",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="outgoing_mail",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="author",
                    ),
                ),
                (
                    "mailbox",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="outgoing_mail",
                        to="mailboxes.mailbox",
                        verbose_name="mailbox",
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "outgoing mail",
                "ordering": ["-state_since", "-id"],
                "indexes": [
                    models.Index(
                        condition=models.Q(("try_at__isnull", False)), fields=["mailbox", "try_at"], name="outgoing_due"
                    ),
                    models.Index(fields=["author", "-state_since"], name="outgoing_of_author"),
                    models.Index(fields=["-state_since", "-id"], name="outgoing_latest"),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("stamp", ""), _negated=True), fields=("stamp",), name="outgoing_stamp_once"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="OutgoingFile",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=255, verbose_name="name")),
                (
                    "content_type",
                    models.CharField(default="application/octet-stream", max_length=200, verbose_name="type"),
                ),
                ("size", models.PositiveBigIntegerField(verbose_name="size")),
                ("sha256", models.CharField(max_length=64)),
                (
                    "mail",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="files",
                        to="tracking.outgoingmail",
                    ),
                ),
            ],
            options={"ordering": ["mail", "id"]},
        ),
    ]
