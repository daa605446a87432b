import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('mailboxes', '0010_tracked_folders'),
        ('tracking', '0011_outgoing_mail'),
    ]

    operations = [
        migrations.CreateModel(
            name='TrackedFolder',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('subfolders', models.BooleanField(default=False, verbose_name='with subfolders, new ones too')),
                ('valid_from', models.DateTimeField(blank=True, null=True, verbose_name='mail received from')),
                ('active', models.BooleanField(default=True, verbose_name='active')),
                ('regarding_kind', models.CharField(blank=True, choices=[('contact', 'contact'), ('lead', 'lead'), ('account', 'account'), ('opportunity', 'opportunity'), ('case', 'case')], max_length=12, verbose_name='regarding')),
                ('regarding_id', models.PositiveBigIntegerField(blank=True, null=True)),
                ('made_by', models.CharField(max_length=150, verbose_name='made by')),
                ('made_at', models.DateTimeField(verbose_name='made')),
                ('removed_at', models.DateTimeField(null=True, verbose_name='removed')),
                ('folder', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='mailboxes.folder', verbose_name='folder')),
                ('mailbox', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='tracked_folders', to='mailboxes.mailbox')),
            ],
            options={
                'ordering': ['mailbox', 'folder__name'],
            },
        ),
        migrations.CreateModel(
            name='CoveredFolder',
            fields=[
                ('folder', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='+', serialize=False, to='mailboxes.folder')),
                ('valid_from', models.DateTimeField(null=True)),
                ('rule', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='covered', to='tracking.trackedfolder')),
            ],
        ),
        migrations.AddField(
            model_name='activity',
            name='regarding_folder',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='regards', to='tracking.trackedfolder'),
        ),
        migrations.CreateModel(
            name='TrackingCategory',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('mail', models.BooleanField(default=False, verbose_name='track mail by category')),
                ('name', models.CharField(default='Tracked in CRM', max_length=200, verbose_name='category')),
                ('category_id', models.CharField(blank=True, max_length=60)),
                ('untrackable', models.CharField(default='Cannot be tracked in CRM', max_length=200, verbose_name='category for what cannot be tracked')),
                ('untrackable_id', models.CharField(blank=True, max_length=60)),
                ('former', models.JSONField(blank=True, default=list)),
                ('listed', models.BooleanField(null=True)),
                ('switched_at', models.DateTimeField(null=True, verbose_name='switched')),
                ('looked_at', models.DateTimeField(null=True, verbose_name='list of categories read')),
                ('mailbox', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, related_name='tracking_category', to='mailboxes.mailbox')),
            ],
        ),
    ]
