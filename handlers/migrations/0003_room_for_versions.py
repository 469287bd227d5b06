"""Room on each page for the versions that a call's row has on its way (docs/decisions.md).

A page that is full sends each version to another one: to any old page of a long log that has a little room left.
"""

from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor


def leave_room(apps: Apps, editor: BaseDatabaseSchemaEditor) -> None:
    if editor.connection.vendor == "postgresql":
        editor.execute("ALTER TABLE handlers_invocation SET (fillfactor = 85)")


class Migration(migrations.Migration):
    dependencies = [("handlers", "0002_groups")]

    operations = [migrations.RunPython(leave_room, migrations.RunPython.noop)]
