"""The rule for migrations (docs/upgrade.md): old code goes on beside the new database."""

from __future__ import annotations

import pytest
from django.db import migrations, models
from django.db.migrations.state import ModelState, ProjectState
from django.db.models import Q

from scripts.migration_rules import complaints, released, wrong

UNIQUE = migrations.AddConstraint("thing", models.UniqueConstraint(fields=["name"], name="thing_name_once"))


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
                ("size", models.IntegerField(db_default=1)),
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
        (migrations.AddField("thing", "more", models.IntegerField(default=1)), "null=True or db_default"),
        (migrations.AlterField("thing", "note", models.CharField(max_length=50)), "NOT NULL"),
        (migrations.AlterField("thing", "name", models.CharField(max_length=20)), "shorter"),
        (migrations.AlterField("thing", "name", models.TextField()), "another type"),
        (migrations.AlterField("thing", "name", models.CharField(max_length=50, unique=True)), "unique"),
        (migrations.AlterField("thing", "name", models.CharField(max_length=50, db_column="x")), "column"),
        (migrations.AlterField("thing", "size", models.IntegerField()), "db_default"),
        (UNIQUE, "AddConstraint on thing"),
        # Old code's ON CONFLICT would find nothing to conflict with.
        (migrations.RemoveConstraint("thing", "thing_name_once"), "RemoveConstraint of thing"),
        (
            migrations.AddConstraint("thing", models.CheckConstraint(condition=~Q(name=""), name="c")),
            "AddCons",
        ),
        (migrations.AlterUniqueTogether("thing", {("name",)}), "AlterUniqueTogether"),
        (migrations.SeparateDatabaseAndState([migrations.RemoveField("thing", "name")]), "RemoveField"),
        (migrations.SeparateDatabaseAndState([migrations.RunSQL("DROP TABLE x")]), "RunSQL"),
        (migrations.RunSQL("DROP TABLE x"), "RunSQL"),
        (migrations.RunPython(migrations.RunPython.noop), "RunPython"),
    ],
)
def test_what_old_code_could_not_live_with_is_refused(
    operation: migrations.operations.base.Operation, why: str, state: ProjectState
) -> None:
    assert why in wrong(operation, "portals", state)


@pytest.mark.parametrize(
    "operation",
    [
        migrations.AddField("thing", "more", models.IntegerField(null=True)),
        migrations.AddField("thing", "more", models.IntegerField(db_default=1)),
        migrations.AlterField("thing", "name", models.CharField(max_length=80)),
        migrations.AlterField("thing", "name", models.CharField(max_length=50, null=True)),
        migrations.CreateModel("Other", [("id", models.BigAutoField(primary_key=True))]),
        migrations.AddIndex("thing", models.Index(fields=["name"], name="thing_name")),
        migrations.SeparateDatabaseAndState([], [migrations.RemoveField("thing", "name")]),
    ],
)
def test_what_it_can_live_with_passes(
    operation: migrations.operations.base.Operation, state: ProjectState
) -> None:
    assert wrong(operation, "portals", state) == ""


def test_what_cannot_be_judged_is_vouched_for_by_a_person(state: ProjectState) -> None:
    unjudged = migrations.RunPython(migrations.RunPython.noop)
    assert wrong(unjudged, "portals", state, vouched=True) == ""
    assert "AddConstraint" in wrong(UNIQUE, "portals", state, vouched=True)


def test_this_release_keeps_the_rule() -> None:
    """Since the last tag; before the first one there is nothing to keep it against."""
    tags = released()
    assert complaints(tags) == [] if tags else True
