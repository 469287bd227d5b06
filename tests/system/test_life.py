"""The whole life of a robot through HTTP, on real processes, on each database and broker."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system import life
from tests.system.hub import Hub, running
from tests.system.life import CLIENT_ID, CODES
from tests.system.processes import ROOT, until
from tests.system.servers import Stack

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def hub(stack: Stack) -> Iterator[Hub]:
    with running(stack) as started:
        started.start()
        life.make_application(started)
        yield started
    assert started.left() == []


def test_the_whole_life_of_a_robot(hub: Hub, tmp_path: Path) -> None:
    control = hub.control

    # In by all three ways: cloud and box, both token servers, both generations.
    life.install(hub, "alfa", "frame", generation="background", server="west", time_zone="Europe/Moscow")
    life.install(hub, "beta", "event", generation="at_once", server="ru", edition="box", language="ru")
    life.connect(hub, "gamma", generation="background", server="west")

    # Described in a file, published, pushed; what the portals hold is what the file says.
    life.publish_and_push(hub)
    for name in ("alfa", "beta", "gamma"):
        held = control.robots(name, CLIENT_ID)
        assert set(held) == CODES
        assert held["discount"]["handler"].startswith(f"{hub.url}/b24/demo/handler/?v=")
        assert held["who_asks"]["kind"] == "activity"
        assert not any(robot["dropped"] for robot in held.values())
    hub.manage("check_robots")

    # Called, computed, answered; each portal's process goes on with the values.
    for name in ("alfa", "beta", "gamma"):
        assert float(life.arrives(hub, name, "discount", amount="1000.50", percent="15")["total"]) == 850.43
    due = life.arrives(hub, "alfa", "working_day", start="20.11.2026", days="3")["due"]
    assert due == "2026-11-25T00:00:00+03:00"
    assert life.arrives(hub, "beta", "split_list", text="a, b,,a", separator=",")["parts"] == ["a", "b"]
    assert life.arrives(hub, "beta", "phone", number="8 (495) 123-45-67")["valid"] == "Y"

    # A line of the robot's own in the process's log, before the result.
    process = control.run("gamma", CLIENT_ID, "who_asks", document=life.DEAL)
    told = control.finished("gamma", process)
    assert any("The portal answered" in str(line) for line in told["log"]), told["log"]

    # One that does not wait is taken in and computed; nothing is sent.
    note = control.run("alfa", CLIENT_ID, "note", properties={"text": "hello"}, document=life.DEAL)
    until(lambda: control.process("alfa", note)["handler_status"] == 200, "the note's call was taken in")
    assert life.until_all_ended(hub) == {"delivered": 7, "not_awaited": 1}
    for name in ("alfa", "beta", "gamma"):
        stats = control.stats(name)
        assert (stats["doubled"], stats["limit_503"], stats["handler_failed"]) == (0, 0, 0)

    # A changed file is pending until it is pushed, then on the portal.
    changed = tmp_path / "catalog.yaml"
    changed.write_text((ROOT / life.CATALOG).read_text().replace("en: Discount,", "en: Rebate,"))
    hub.manage("import_catalog", str(changed), "--publish")
    hub.manage("push_robots", "--dry-run", status=3)
    hub.manage("push_robots")
    assert control.robots("alfa", CLIENT_ID)["discount"]["name"]["en"] == "Rebate"
    hub.manage("push_robots", "--dry-run")

    # Uninstalled: the portal drops everything. Installed again: the hub brings everything back by itself.
    assert control.post("portals/alfa/uninstall", client_id=CLIENT_ID)["sent"] == 1
    until(
        lambda: hub.rows("SELECT count(*) FROM portals_portal WHERE state = 'uninstalled'") == [(1,)],
        "the hub knows of the uninstallation",
    )
    assert control.robots("alfa", CLIENT_ID) == {}
    life.install(hub, "alfa", "frame")
    life.until_held(hub, "alfa")
    assert float(life.arrives(hub, "alfa", "discount", amount="10", percent="50")["total"]) == 5

    # Updated, with a new application token: dropped by the portal, brought back, and the new token is taken.
    assert (
        control.post("portals/beta/update", client_id=CLIENT_ID, version=2, application_token="new")["sent"]
        == 1
    )
    life.until_held(hub, "beta")
    assert float(life.arrives(hub, "beta", "discount", amount="10", percent="50")["total"]) == 5

    # And the story can be read by whoever keeps it running.
    life.until_all_ended(hub)
    ready = hub.ready()
    assert (ready["status"], ready["database"], ready["broker"]) == ("ready", "ok", "ok")
    person = life.sign_in(hub)
    for page in ("portals/portal", "robots/robot", "robots/registration", "handlers/invocation"):
        answer = person.get(f"{hub.url}/admin/{page}/", timeout=30)
        assert answer.status_code == 200, f"{page}: {answer.status_code}"


def test_sigterm_ends_each_within_its_time_and_nothing_stays(hub: Hub) -> None:
    """After all that, idle: STOP_SECONDS of `stop` is the rule itself."""
    for process in (hub.beat, hub.worker, hub.web, hub.sandbox):
        process.stop()
    assert hub.left() == []
