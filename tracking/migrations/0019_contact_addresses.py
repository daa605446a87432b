"""Which postal addresses flow was said by directions until now; what flowed goes on flowing."""

from django.db import migrations

_BY_DIRECTION = ("home_address", "other_address")


def take_over(apps, schema_editor):
    """Have profiles that let a home or other address flow keep all three, and close what was closed by its direction."""
    rows = apps.get_model("tracking", "FieldDirection").objects.filter(kind="contact", field__in=_BY_DIRECTION)
    profiles = apps.get_model("mailboxes", "SyncProfile").objects
    opened = {}
    for row in rows.exclude(direction="none"):
        opened.setdefault(row.sync_profile_id, set()).add(row.field)
    for profile, fields in opened.items():
        profiles.filter(pk=profile).update(contact_addresses="all")
        for name in _BY_DIRECTION:
            if name not in fields:
                rows.model.objects.update_or_create(
                    sync_profile_id=profile, kind="contact", field=name, defaults={"direction": "none"}
                )
    # As crmsync comes, they flow both ways once they are chosen.
    rows.filter(direction="both").delete()


class Migration(migrations.Migration):
    dependencies = [
        ("tracking", "0018_outgoing_open"),
        ("mailboxes", "0013_contact_addresses"),
    ]

    operations = [migrations.RunPython(take_over, migrations.RunPython.noop)]
