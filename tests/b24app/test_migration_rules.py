"""The rule for migrations (docs/upgrade.md): old code goes on beside the new database."""

from __future__ import annotations

import pytest
from django.db import migrations, models
from django.db.migrations.state import ModelState, ProjectState

from scripts.migration_rules import complaints, released, wrong


@pytest.fixture
def state() -> ProjectState:
    made = ProjectState()
    made.add_model(
        ModelState(
            "portals",
            "Thing",
            [
                ("id", models.BigAutoField(primary_key=True)),
                ("name", models.CharField(max_length=50)),
                ("note", models.CharField(max_length=50, null=True)),
            ],
        )
    )
    return made


@pytest.mark.parametrize(
    ("operation", "why"),
    [
        (migrations.RemoveField("thing", "name"), "RemoveField of thing.name"),
        (migrations.DeleteModel("Thing"), "DeleteModel of Thing"),
        (migrations.RenameField("thing", "name", "title"), "RenameField"),
        (migrations.RenameModel("Thing", "Item"), "RenameModel"),
        (migrations.AddField("thing", "size", models.IntegerField(default=1)), "null=True or db_default"),
        (migrations.AlterField("thing", "note", models.CharField(max_length=50)), "NOT NULL"),
        (migrations.AlterField("thing", "name", models.CharField(max_length=20)), "shorter"),
        (migrations.AlterField("thing", "name", models.TextField()), "another type"),
        (migrations.AlterField("thing", "name", models.CharField(max_length=50, unique=True)), "unique"),
        (migrations.RunSQL("DROP TABLE x"), "RunSQL"),
    ],
)
def test_what_old_code_could_not_live_with_is_refused(
    operation: migrations.operations.base.Operation, why: str, state: ProjectState
) -> None:
    assert why in wrong(operation, "portals", state)


@pytest.mark.parametrize(
    "operation",
    [
        migrations.AddField("thing", "size", models.IntegerField(null=True)),
        migrations.AddField("thing", "size", models.IntegerField(db_default=1)),
        migrations.AlterField("thing", "name", models.CharField(max_length=80)),
        migrations.AlterField("thing", "name", models.CharField(max_length=50, null=True)),
        migrations.CreateModel("Other", [("id", models.BigAutoField(primary_key=True))]),
        migrations.AddIndex("thing", models.Index(fields=["name"], name="thing_name")),
    ],
)
def test_what_it_can_live_with_passes(
    operation: migrations.operations.base.Operation, state: ProjectState
) -> None:
    assert wrong(operation, "portals", state) == ""


def test_this_release_keeps_the_rule() -> None:
    """Since the last tag; before the first one there is nothing to keep it against."""
    tags = released()
    assert complaints(tags) == [] if tags else True
