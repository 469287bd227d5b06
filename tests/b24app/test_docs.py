"""What the docs say of names that stand in the code: settings, commands, states, troubles, functions, links."""

from __future__ import annotations

import re
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from django.apps import apps
from django.core.management import get_commands

from handlers.models import Cause, Confirmation, State
from portals.models import Portal
from robots.catalog_read import PROPERTY, ROBOT, read_catalog
from robots.value_types import TYPES
from scripts import expression_functions

ROOT = Path(__file__).resolve().parent.parent.parent
DOCS = ROOT / "docs"
OPERATIONS = (DOCS / "operations.md").read_text(encoding="utf-8")
ARCHITECTURE = (DOCS / "architecture.md").read_text(encoding="utf-8")
WRITING = (DOCS / "writing-robots.md").read_text(encoding="utf-8")
# Read from the environment by names in these; what the hub itself sets for its children is no setting.
SOURCES = [
    "b24app/settings.py",
    "b24app/env.py",
    "b24app/celery.py",
    "gunicorn.conf.py",
    "portals/failpoint.py",
]
_READ = re.compile(
    r"""(?:env\.\w+|text|flag|number|comma_list|secret|_setting|_?kept_secret|environ\.get)\(\s*"([A-Z][A-Z0-9_]+)["]"""
)
_BY_NAME = {"EXIT_WITH_PARENT"}
_NO_SETTINGS = {"B24_RUNNER", "DJANGO_SETTINGS_MODULE"}
LINK = re.compile(r"\]\(([^)\s]+)\)")


def _section(text: str, title: str) -> str:
    """What stands under a heading, up to the next of its rank."""
    rank = re.match("#+", title)
    assert rank is not None
    start = text.index(f"\n{title}\n")
    end = re.compile(rf"\n#{{1,{len(rank[0])}}} ").search(text, start + len(title) + 1)
    return text[start : end.start() if end else None]


def _first_cells(table: str) -> set[str]:
    """Every `code` in the first cell of each row."""
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    return {name for cell in rows for name in re.findall(r"`([^`]+)`", cell)}


def _settings_in_code() -> set[str]:
    found = set(_BY_NAME)
    for source in SOURCES:
        found |= set(_READ.findall((ROOT / source).read_text(encoding="utf-8")))
    return found - _NO_SETTINGS


def test_every_setting_stands_in_the_table_and_no_other() -> None:
    told = _first_cells(_section(OPERATIONS, "## Settings"))
    assert told == _settings_in_code()


def test_the_reader_of_settings_finds_what_settings_hold() -> None:
    """Else a way of reading that the expression above does not know would let a setting go untold."""
    names = set(
        re.findall(r'"([A-Z][A-Z0-9_]{4,})"', (ROOT / "b24app" / "settings.py").read_text(encoding="utf-8"))
    )
    django = {
        "DEFAULT_",
        "SERVE_",
        "SCHEMA_",
        "PREPROCESSING_",
        "ENUM_",
        "BACKEND",
        "APP_DIRS",
        "OPTIONS",
        "TITLE",
    }
    known = {
        name
        for name in names
        if any(name.startswith(own) for own in (*django, "HTTP_", "DESCRIPTION", "VERSION", "OAS_"))
    }
    assert names - known - {"DENY"} <= _settings_in_code()


def test_every_command_of_ours_is_told() -> None:
    ours = {
        name
        for name, app in get_commands().items()
        if app.split(".")[0] in ("portals", "robots", "handlers", "b24app")
    }
    told = {name.split()[0] for name in _first_cells(_section(OPERATIONS, "## Commands"))}
    assert told == ours


def test_every_trouble_of_a_portal_is_told() -> None:
    assert _first_cells(_section(OPERATIONS, "## When a portal is in trouble")) == set(Portal.Trouble.values)


def test_every_figure_that_an_alarm_names_is_counted() -> None:
    counted = (ROOT / "b24app" / "metrics.py").read_text(encoding="utf-8")
    named = set(re.findall(r"\bb24_[a-z_]+", _section(OPERATIONS, "## Watching")))
    assert named
    assert {name for name in named if f'"{name}"' not in counted} == set()


def test_every_state_cause_and_confirmation_is_told() -> None:
    told = set(re.findall(r"`([a-z_]+)`", _section(ARCHITECTURE, "## States")))
    on_the_way = _section(ARCHITECTURE, "## States").split("\n|")[0]
    for state in State.values:
        assert state in told or state in on_the_way, state
    assert set(Cause.values) <= told
    assert set(filter(None, Confirmation.values)) <= told


def test_every_table_of_ours_is_told() -> None:
    """Histories are django-simple-history's."""
    models = {
        model.__name__
        for room in ("portals", "robots", "handlers")
        for model in apps.get_app_config(room).get_models()
        if not model.__name__.startswith("Historical")
    }
    assert _first_cells(_section(ARCHITECTURE, "## Tables")) == models


def test_the_modules_that_pages_name_are_there() -> None:
    rooms = r"`((?:portals|robots|handlers|b24app|scripts|sandbox|tests)/[\w/.*]+)`"
    for page in (ARCHITECTURE, WRITING, (DOCS / "decisions.md").read_text(encoding="utf-8")):
        for name in re.findall(rooms, page):
            assert list(ROOT.glob(name)) or list(ROOT.glob(f"{name}/")), name


def test_the_functions_of_expressions_are_those_of_the_code() -> None:
    assert expression_functions.page_with_functions(WRITING) == WRITING


def test_every_type_is_told() -> None:
    told = _first_cells(_section(WRITING, "## Types"))
    assert set(TYPES) <= told


def test_the_catalog_shown_is_one_and_shows_every_field() -> None:
    shown = re.search(r"```yaml\n(.*?)```", WRITING, re.DOTALL)
    assert shown is not None
    catalog = read_catalog(shown[1].encode())
    assert [definition["code"] for definition in catalog.definitions] == ["discount"]
    assert catalog.warnings == []
    page = _section(WRITING, "## A catalog file")
    for name in (*ROBOT, *PROPERTY):
        assert re.search(rf"\b{name}\b", page), name


@pytest.mark.parametrize("page", sorted([ROOT / "README.md", *DOCS.glob("*.md")]), ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in LINK.findall(page.read_text(encoding="utf-8")):
        target, _, place = link.partition("#")
        if "://" in target:
            continue
        aim = (page.parent / target).resolve() if target else page
        assert aim.exists(), link
        if place and aim.suffix == ".md":
            titles = re.findall(r"^#+ (.+)$", aim.read_text(encoding="utf-8"), re.MULTILINE)
            assert place in {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}, (
                link
            )


def test_every_picture_is_shown_somewhere() -> None:
    pages = "".join(page.read_text(encoding="utf-8") for page in (ROOT / "README.md", *DOCS.glob("*.md")))
    shown = set(re.findall(r"(?:\]\(|src=\")(?:docs/)?((?:screenshots|pictures)/[\w.-]+)", pages))
    there = {
        f"{file.parent.name}/{file.name}"
        for kind in ("screenshots", "pictures")
        for file in (DOCS / kind).iterdir()
    }
    assert shown == there


def test_pictures_are_well_formed_and_small() -> None:
    for picture in (DOCS / "pictures").glob("*.svg"):
        assert ET.parse(picture).getroot().tag.endswith("svg")  # noqa: S314  (our own file)
    whole = sum(file.stat().st_size for file in (DOCS / "screenshots").glob("*.png"))
    assert 0 < whole < 2_000_000


def test_make_has_the_targets_that_the_readme_names() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    targets = set(re.findall(r"\bmake ([a-z]+)", readme))
    listed = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert {target for target in targets if f"make {target}" not in listed and target != "help"} == set()
