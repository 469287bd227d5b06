"""A published version never changes: a rule of the database, not of one class's `save` (design §4).

Deleting is left to the foreign keys (PROTECT), so that a test's flush can still empty the table on SQLite.
"""

from django.db import migrations

POSTGRESQL = [
    """
    CREATE FUNCTION robots_version_is_frozen() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION 'A published robot version cannot be changed.' USING ERRCODE = 'integrity_constraint_violation';
    END $$
    """,
    """
    CREATE TRIGGER robots_version_frozen BEFORE UPDATE ON robots_robotversion
    FOR EACH ROW EXECUTE FUNCTION robots_version_is_frozen()
    """,
]
SQLITE = [
    """
    CREATE TRIGGER robots_version_frozen BEFORE UPDATE ON robots_robotversion
    BEGIN SELECT RAISE(ABORT, 'A published robot version cannot be changed.'); END
    """,
]


def freeze(apps, schema_editor):
    for statement in POSTGRESQL if schema_editor.connection.vendor == "postgresql" else SQLITE:
        schema_editor.execute(statement)


def thaw(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("DROP TRIGGER robots_version_frozen ON robots_robotversion")
        schema_editor.execute("DROP FUNCTION robots_version_is_frozen()")
    else:
        schema_editor.execute("DROP TRIGGER robots_version_frozen")


class Migration(migrations.Migration):
    dependencies = [("robots", "0001_initial")]
    operations = [migrations.RunPython(freeze, thaw)]
