"""Old and new code run side by side during an upgrade (docs/upgrade.md): what a migration may not do in one step.

Looks at the migrations that the last release (tag v…) does not have; before the first release there are none to
look at. Refused: what code of the last release still reads or writes is dropped or renamed, a new column that it
would have to fill, a column that becomes narrower, of another type or NOT NULL, a constraint that it may break.
That is done a release later: `unused_since = "v1.2"` in the Migration names the released tag whose code no longer
uses or breaks it. Python and SQL can't be judged: `old_code_goes_on = "why"` in the Migration vouches for them.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
ROOMS = ("portals", "robots", "handlers", "b24app")
# Old code meets nothing else than before.
HARMLESS = {
    "CreateModel",
    "AddIndex",
    "AddIndexConcurrently",
    "RemoveIndex",
    "RemoveIndexConcurrently",
    "RenameIndex",
}
HARMLESS |= {"AlterModelOptions", "AlterModelManagers", "AlterModelTableComment"}


def main() -> int:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    import django

    django.setup()
    tags = released()
    if not tags:
        print("No release yet: every migration may still be made anew.")
        return 0
    found = complaints(tags)
    for complaint in found:
        print(complaint)
    print(
        f"{len(found)} migrations of {tags[-1]} and later break the rule"
        if found
        else f"since {tags[-1]}: well"
    )
    return 1 if found else 0


def released() -> list[str]:
    """Tags of releases, the oldest first."""
    told = subprocess.run(
        ["git", "tag", "--list", "v*", "--sort=v:refname", "--merged"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    return told.stdout.split()


def complaints(tags: list[str]) -> list[str]:
    from django.db.migrations.loader import MigrationLoader

    loader = MigrationLoader(None)
    known = _files_of(tags[-1])
    found: list[str] = []
    for (app, name), migration in sorted(loader.disk_migrations.items()):
        if app not in ROOMS or f"{app}/migrations/{name}.py" in known:
            continue
        if getattr(migration, "unused_since", None) in tags:
            continue
        state = loader.project_state(migration.dependencies)
        vouched = bool(getattr(migration, "old_code_goes_on", ""))
        for operation in migration.operations:
            if why := wrong(operation, app, state, vouched):
                found.append(f"{app}.{name}: {why}")
            operation.state_forwards(app, state)
    return found


def wrong(operation: Any, app: str, state: Any, vouched: bool = False) -> str:
    """Why code of the last release could not go on beside this operation; '' where it could. `vouched`: a person
    says that it can, of what can't be judged."""
    kind = type(operation).__name__
    if kind in HARMLESS:
        return ""
    if kind == "SeparateDatabaseAndState":
        return _wrong_within(operation, app, state, vouched)
    if kind in (
        "DeleteModel",
        "RenameModel",
        "RemoveField",
        "RenameField",
        "AlterModelTable",
        "RemoveConstraint",
    ):
        return f"{kind} of {_named(operation)}: do it a release after its last use, with unused_since"
    if kind in ("AddConstraint", "AlterUniqueTogether"):
        return f"{kind} on {_named(operation)}: old code may still write what it forbids; a release later"
    if kind == "AddField":
        field = operation.field
        if field.null or field.has_db_default() or field.many_to_many:
            return ""
        return f"AddField {_named(operation)}: give it null=True or db_default, or old code can't insert"
    if kind == "AlterField":
        before = state.models[app, operation.model_name_lower].fields[operation.name]
        return _narrower(before, operation.field, _named(operation))
    return (
        "" if vouched else f"{kind}: its effect can't be judged; where it is harmless, say old_code_goes_on"
    )


def _wrong_within(operation: Any, app: str, state: Any, vouched: bool) -> str:
    """What is done to the database counts, whatever the state is told."""
    within = state.clone()
    for each in operation.database_operations:
        if why := wrong(each, app, within, vouched):
            return why
        each.state_forwards(app, within)
    return ""


def _narrower(before: Any, after: Any, name: str) -> str:
    if before.get_internal_type() != after.get_internal_type():
        return f"AlterField {name}: another type; add a column and move over in two releases"
    if before.db_column != after.db_column:
        return f"AlterField {name}: another column; add one and move over in two releases"
    if before.has_db_default() and not (after.has_db_default() or after.null):
        return f"AlterField {name}: without its db_default old code can't insert"
    if before.null and not after.null:
        return f"AlterField {name}: NOT NULL; old code may still write nothing there"
    longest = (getattr(before, "max_length", None), getattr(after, "max_length", None))
    if longest[1] is not None and (longest[0] is None or longest[1] < longest[0]):
        return f"AlterField {name}: shorter than what old code writes"
    if after.unique and not before.unique:
        return f"AlterField {name}: unique; old code may still write doubles"
    return ""


def _named(operation: Any) -> str:
    model = getattr(operation, "model_name", "") or getattr(operation, "name", "")
    field = getattr(operation, "name", "") if getattr(operation, "model_name", "") else ""
    return ".".join(part for part in (model, field) if part)


def _files_of(tag: str) -> set[str]:
    told = subprocess.run(
        ["git", "ls-tree", "-r", "--name-only", tag, *ROOMS],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return {line for line in told.stdout.split() if "/migrations/" in line}


if __name__ == "__main__":
    sys.exit(main())
