"""A catalog into the drafts of an application: all of it in one transaction, or nothing (design §3)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from django.db import transaction

from portals.models import Application
from robots.catalog_read import Catalog
from robots.definition import write_definition
from robots.models import Robot
from robots.publish import publish
from robots.removal import bring_back, remove


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of one robot: `did` is created, changed, unchanged, restored or removed; `version` is the
    number published now, 0 for none."""

    code: str
    did: str
    version: int = 0


@transaction.atomic
def import_catalog(
    catalog: Catalog,
    application: Application,
    *,
    publishing: bool = False,
    prune: bool = False,
    by: str = "",
    told: Callable[[Imported], None] = lambda done: None,
) -> list[Imported]:
    """Creates and changes what the catalog names; with `prune` marks the others removed, so that the
    next push deletes them on the portals. A catalog that says what is there already changes nothing and
    publishes nothing.

    `told` hears of each robot as it is done; only the return means that it is kept.
    """
    # Two imports into one application take turns.
    Application.objects.select_for_update().get(pk=application.pk)
    held = {
        robot.code: robot
        for robot in Robot.objects.filter(application=application).prefetch_related("properties")
    }
    done = []
    for definition in catalog.definitions:
        before = held.get(definition["code"])
        restored = before is not None and bring_back(before)
        robot, changed = write_definition(application, definition, before)
        version = publish(robot, by, "import_catalog") if publishing else None
        did = (
            "created" if before is None else "restored" if restored else "changed" if changed else "unchanged"
        )
        done.append(Imported(robot.code, did, version.number if version else 0))
        told(done[-1])
    if prune:
        named = {definition["code"] for definition in catalog.definitions}
        for code, robot in sorted(held.items()):
            if code not in named and remove(robot):
                done.append(Imported(code, "removed"))
                told(done[-1])
    return done
