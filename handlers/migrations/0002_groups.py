"""Three groups as shipped; an installation may change them afterwards, this runs once.

What a person may do is told by Django's own permissions, so that the admin's form for groups says it too:
pushing needs *change registration*, replaying *add call*, releasing *change call*, pausing *change portal*.
Nobody gets an add or change form for these rows by that: their admin pages are read-only for all.
"""

from django.apps.registry import Apps
from django.db import migrations

AUDITOR = {
    "portals": ["view_application", "view_portal", "view_portalgroup", "view_pendinginstallation"],
    "robots": [
        "view_robot",
        "view_property",
        "view_robotversion",
        "view_registration",
        "view_foreigncode",
        "view_push",
    ],
    "handlers": ["view_invocation", "view_attempt", "view_sending", "view_refusedcall", "view_replayorder"],
    "b24app": ["view_alarm"],
}
OPERATOR = {
    "portals": ["change_portal"],
    "robots": ["change_registration"],
    "handlers": ["add_invocation", "change_invocation"],
}
INTEGRATOR = {
    "portals": [
        "add_application",
        "change_application",
        "add_portalgroup",
        "change_portalgroup",
        "delete_portalgroup",
        "add_portalsetting",
        "change_portalsetting",
        "delete_portalsetting",
        "view_portalsetting",
    ],
    "robots": [
        "add_robot",
        "change_robot",
        "delete_robot",
        "add_property",
        "change_property",
        "delete_property",
        "add_robotversion",
    ],
}
GROUPS = {
    "auditors": [AUDITOR],
    "operators": [AUDITOR, OPERATOR],
    "integrators": [AUDITOR, OPERATOR, INTEGRATOR],
}


def make_groups(apps: Apps, schema_editor: object) -> None:
    """Permissions come by post_migrate, after all migrations: those that are named are made here if need be."""
    Group = apps.get_model("auth", "Group")
    Permission = apps.get_model("auth", "Permission")
    ContentType = apps.get_model("contenttypes", "ContentType")
    for name, parts in GROUPS.items():
        group, _made = Group.objects.get_or_create(name=name)
        for part in parts:
            for room, codenames in part.items():
                for codename in codenames:
                    model = codename.split("_", 1)[1]
                    content_type, _made = ContentType.objects.get_or_create(app_label=room, model=model)
                    permission, _made = Permission.objects.get_or_create(
                        content_type=content_type,
                        codename=codename,
                        defaults={"name": _title(apps, room, codename, model)},
                    )
                    group.permissions.add(permission)


def _title(apps: Apps, room: str, codename: str, model: str) -> str:
    """The name that post_migrate would have given."""
    action = codename.split("_", 1)[0]
    return f"Can {action} {apps.get_model(room, model)._meta.verbose_name}"[:255]


class Migration(migrations.Migration):
    dependencies = [
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
        ("b24app", "0002_alarm"),
        ("portals", "0001_initial"),
        ("robots", "0001_initial"),
        ("handlers", "0001_initial"),
    ]

    operations = [migrations.RunPython(make_groups, migrations.RunPython.noop)]
