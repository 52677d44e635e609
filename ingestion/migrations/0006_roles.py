"""The groups Viewer, Operator and Administrator; `ingestion.roles` as it was when this was written."""

from django.contrib.auth.management import create_permissions
from django.db import migrations

VIEWER = {
    "people": ("view_person", "export_person", "view_channel", "view_channelalias"),
    "videos": ("view_video", "view_asset"),
    "ingestion": (
        *("view_downloadsession", "view_scan", "view_attempt", "view_worker", "view_daytotal"),
        *("view_budget", "view_limits", "view_downloadwindow"),
    ),
}
OPERATOR = {
    "people": ("import_person", "add_person", "change_person", "add_channel", "change_channel"),
    "videos": ("change_video",),
    "ingestion": ("change_downloadsession", "change_budget"),
}
ADMINISTRATOR = {
    "people": ("delete_person", "delete_channel"),
    "ingestion": ("change_limits", "add_downloadwindow", "change_downloadwindow", "delete_downloadwindow"),
    "auth": (
        *("view_user", "add_user", "change_user", "delete_user"),
        *("view_group", "add_group", "change_group", "delete_group"),
    ),
}
GROUPS = {
    "Viewer": (VIEWER,),
    "Operator": (VIEWER, OPERATOR),
    "Administrator": (VIEWER, OPERATOR, ADMINISTRATOR),
}


def granted(name):
    """(app, codename) of each permission of a group as it is made here."""
    return {(app, codename) for grants in GROUPS[name] for app, codenames in grants.items() for codename in codenames}


def make_groups(apps, schema_editor):
    """A group that staff have made under one of these names stays as it is."""
    database = schema_editor.connection.alias
    make_permissions(apps, database)
    for name in GROUPS:
        group, is_new = apps.get_model("auth", "Group").objects.using(database).get_or_create(name=name)
        if is_new:
            group.permissions.set(permissions_of(apps, database, name))


def make_permissions(apps, database):
    """Django makes them only after all migrations, so on a new database there are none by now."""
    for label in ("auth", "people", "videos", "ingestion"):
        app = apps.get_app_config(label)
        module = getattr(app, "models_module", None)
        app.models_module = module or True  # else they are not looked for: the apps of a migration's state have no modules
        create_permissions(app, verbosity=0, using=database, apps=apps)
        app.models_module = module


def permissions_of(apps, database, name):
    """Raises where one is missing: a role with holes would go unnoticed."""
    wanted = granted(name)
    rows = apps.get_model("auth", "Permission").objects.using(database).select_related("content_type")
    found = {(row.content_type.app_label, row.codename): row for row in rows}
    return [found[one] for one in sorted(wanted)]


def remove_groups(apps, schema_editor):
    """Those that nobody is in and that are as they were made; the others belong to staff by now."""
    groups = apps.get_model("auth", "Group").objects.using(schema_editor.connection.alias)
    for group in groups.filter(name__in=GROUPS, user=None):
        if set(group.permissions.values_list("content_type__app_label", "codename")) == granted(group.name):
            group.delete()


class Migration(migrations.Migration):
    dependencies = [
        ("ingestion", "0005_streams"),
        ("people", "0002_channel_limits"),
        ("videos", "0005_checksums"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
    ]

    operations = [migrations.RunPython(make_groups, remove_groups)]
