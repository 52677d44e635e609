"""Whoever may see the archive sees what was done to many rows of it; `ingestion.roles` as it was when this was written."""

from django.contrib.auth.management import create_permissions
from django.db import migrations

ROLES = ("Viewer", "Operator", "Administrator")


def grant(apps, schema_editor):
    """To the groups that see the sessions: another of such a name is staff's own. Django makes permissions after all migrations."""
    database = schema_editor.connection.alias
    app = apps.get_app_config("ingestion")
    module = getattr(app, "models_module", None)
    app.models_module = module or True  # else they are not looked for: the apps of a migration's state have no modules
    create_permissions(app, verbosity=0, using=database, apps=apps)
    app.models_module = module
    permissions = apps.get_model("auth", "Permission").objects.using(database)
    view = permissions.get(content_type__app_label="ingestion", codename="view_operation")
    see_sessions = {"permissions__codename": "view_downloadsession", "permissions__content_type__app_label": "ingestion"}
    for group in apps.get_model("auth", "Group").objects.using(database).filter(name__in=ROLES, **see_sessions):
        group.permissions.add(view)


def take_back(apps, schema_editor):
    database = schema_editor.connection.alias
    permissions = apps.get_model("auth", "Permission").objects.using(database)
    for view in permissions.filter(content_type__app_label="ingestion", codename="view_operation"):
        for group in apps.get_model("auth", "Group").objects.using(database).filter(name__in=ROLES):
            group.permissions.remove(view)


class Migration(migrations.Migration):
    dependencies = [
        ("ingestion", "0008_operations"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
    ]

    operations = [migrations.RunPython(grant, take_back)]
