"""import_catalog and export_catalog: one transaction, byte-equal round trips, removal and return."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from robots.catalog_read import read_catalog
from robots.catalog_write import write_catalog
from robots.definition import normal
from robots.models import Robot, RobotVersion
from tests.factories import ApplicationFactory
from tests.robots.test_catalog_read import GOOD

pytestmark = pytest.mark.django_db

SECOND = """\
  - code: Act
    kind: activity
    name: Act
    subscription: no_wait
    compute: {type: expression, returns: {}}
    on_failure: release
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    ApplicationFactory(slug="main")
    path = tmp_path / "catalog.yaml"
    path.write_text(GOOD + SECOND)
    return path


def run(command: str, *args: Any, **options: Any) -> str:
    out = io.StringIO()
    call_command(command, *args, stdout=out, stderr=io.StringIO(), **options)
    return out.getvalue()


def test_import_twice_changes_nothing_the_second_time(file: Path) -> None:
    assert "main: 2 created, 2 published." in run("import_catalog", file, publish=True)
    stamps = list(Robot.objects.values_list("code", "updated_at"))
    histories = Robot.history.count()
    assert "main: 2 unchanged, 0 published." in run("import_catalog", file, publish=True)
    assert list(Robot.objects.values_list("code", "updated_at")) == stamps
    assert Robot.history.count() == histories
    assert RobotVersion.objects.count() == 2


def test_a_change_publishes_one_version_more_of_that_robot_only(file: Path) -> None:
    run("import_catalog", file, publish=True)
    file.write_text(file.read_text().replace("Takes a percentage off", "Less"))
    out = run("import_catalog", file, publish=True)
    assert "discount: changed, published as version 2" in out
    assert "Act: unchanged" in out
    assert sorted(RobotVersion.objects.values_list("code", "number")) == [
        ("Act", 1),
        ("discount", 1),
        ("discount", 2),
    ]


def test_export_import_export_gives_the_same_bytes(file: Path, tmp_path: Path) -> None:
    run("import_catalog", file)
    first = run("export_catalog")
    (tmp_path / "again.yaml").write_text(first)
    assert "2 unchanged" in run("import_catalog", tmp_path / "again.yaml")
    ApplicationFactory(slug="other")
    run("import_catalog", tmp_path / "again.yaml", application="other")
    assert run("export_catalog", application="main") == first
    assert run("export_catalog", application="other") == first.replace(
        "application: main", "application: other"
    )
    # By code, languages with English first, properties in their own order, defaults left out.
    assert first.index("code: Act") < first.index("code: discount")
    assert "name: {en: Discount, 'no': Rabatt, ru: Скидка}" in first
    assert first.index("id: amount") < first.index("id: percent") < first.index("id: tags")
    assert "kind: robot" not in first
    assert "required: false" not in first


def test_prune_marks_the_others_removed_and_a_later_import_brings_one_back(file: Path) -> None:
    run("import_catalog", file)
    file.write_text(GOOD)
    assert "Act: removed" in run("import_catalog", file, prune=True)
    assert Robot.objects.get(code="Act").removed_at is not None
    assert "code: Act" not in run("export_catalog")
    assert "main: 1 unchanged, 0 published." in run("import_catalog", file, prune=True)
    file.write_text(GOOD + SECOND)
    assert "Act: restored" in run("import_catalog", file)
    assert Robot.objects.get(code="Act").removed_at is None


def test_without_prune_the_others_stay(file: Path) -> None:
    run("import_catalog", file)
    file.write_text(GOOD)
    run("import_catalog", file)
    assert Robot.objects.get(code="Act").removed_at is None


def test_properties_change_place_direction_and_case_without_colliding(file: Path) -> None:
    run("import_catalog", file)
    text = file.read_text()
    moved = text.replace(
        "- {id: amount, type: double, name: {en: Amount}, required: true}\n      ", ""
    ).replace(
        "- {id: total, type: double, name: {en: Total}}",
        "- {id: total, type: double, name: T}\n      - {id: Amount, type: double, name: A}",
    )
    moved = moved.replace('"round(amount * (100 - percent) / 100, 2)"', '"percent"').replace(
        "{amount} less {percent}% is {total}", "{percent}"
    )
    file.write_text(moved)
    run("import_catalog", file)
    robot = Robot.objects.get(code="discount")
    assert list(robot.properties.filter(direction="out").values_list("identifier", flat=True)) == [
        "total",
        "Amount",
    ]
    assert list(robot.properties.filter(direction="in").values_list("identifier", flat=True)) == [
        "percent",
        "no",
        "tags",
    ]


def test_a_wrong_file_changes_nothing_and_is_exit_code_2(file: Path) -> None:
    file.write_text(GOOD + SECOND.replace("activity", "actvity"))
    err = io.StringIO()
    with pytest.raises(CommandError) as refused:
        call_command("import_catalog", file, stderr=err)
    assert refused.value.returncode == 2
    assert "line 23: robots[1].kind: " in err.getvalue()
    assert not Robot.objects.exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"application": "nobody"}, "There is no application 'nobody'. There are: main."),
        ({}, "Say which application"),
    ],
)
def test_export_refuses_where_it_is_not_clear_which(options: dict[str, str], said: str) -> None:
    ApplicationFactory(slug="main")
    if not options:
        ApplicationFactory(slug="second")
    with pytest.raises(CommandError) as refused:
        run("export_catalog", **options)
    assert said in str(refused.value)
    assert refused.value.returncode == 2
    assert "main" in str(refused.value)


def test_a_missing_file_is_exit_code_2() -> None:
    with pytest.raises(CommandError) as refused:
        run("import_catalog", "/nowhere/catalog.yaml")
    assert refused.value.returncode == 2


ANY_TEXT = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1, max_size=60
).filter(lambda text: text.strip())
TEXT = st.one_of(ANY_TEXT, st.dictionaries(st.sampled_from(["en", "ru", "no"]), ANY_TEXT, min_size=1))


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=TEXT,
    description=TEXT,
    option=ANY_TEXT,
    title=TEXT,
    log=ANY_TEXT,
    code=st.from_regex(r"\A[a-zA-Z0-9.\-_]+\Z"),
)
def test_any_text_survives_the_round_trip(
    monkeypatch: pytest.MonkeyPatch, name: Any, description: Any, option: str, title: Any, log: str, code: str
) -> None:
    # The YAML is what is tried here; what texts mean is the rules' own test.
    monkeypatch.setattr("robots.catalog_read.check_definition", lambda definition: [])
    definition = normal(
        {
            "code": code,
            "name": name,
            "description": description,
            "properties": [
                {"id": "a", "type": "select", "name": name, "options": {option: title}, "default": option}
            ],
            "compute": {"type": "expression", "log": log},
        }
    )
    written = write_catalog("main", [definition])
    (read,) = read_catalog(written.encode()).definitions
    assert read == definition
    assert write_catalog("main", [read]) == written
