"""What there is to see: portals in good and bad order, robots, calls that ended well and badly, pushes."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from tests.system import life
from tests.system.hub import Hub
from tests.system.processes import until

HALF = """
application: demo
robots:
  - code: half
    kind: robot
    name: {en: Part of a sum, ru: Часть суммы}
    subscription: wait
    properties:
      - {id: amount, type: double, name: {en: Amount, ru: Сумма}}
      - {id: parts, type: double, name: {en: Parts, ru: Частей}}
    return_properties:
      - {id: part, type: double, name: {en: Part, ru: Часть}}
    compute: {type: expression, returns: {part: "amount / parts"}}
"""
PEOPLE = """
from django.contrib.auth.models import Group, User
User.objects.create_superuser("admin", password="{password}")
for name in ("auditors", "operators", "integrators"):
    User.objects.create_user(name, password="{password}", is_staff=True).groups.add(Group.objects.get(name=name))
"""
MORE = """
import datetime as dt, json
from django.utils import timezone
from b24app.alarm import Alarm
from handlers.models import Invocation, RefusedCall, ReplayOrder
from portals.models import PendingInstallation, Portal, PortalGroup, PortalSetting
from robots.models import ForeignCode, Push
from robots.push_order import order_check
from handlers import replay_orders
now = timezone.now()
alfa = Portal.objects.get(member_id="{alfa}", application__slug="demo")
alfa.groups.add(PortalGroup.objects.create(name="Canary"))
PortalSetting.objects.create(portal=alfa, name="erp_key", value="x")
RefusedCall.objects.create(at=now, reason="portal_unknown", domain="stranger.example.com", robot_code="discount")
PendingInstallation.objects.create(application=alfa.application, member_id="a"*32, claim_hash=b"1"*32,
    application_token_hash=b"2"*32, way="frame", received_at=now, next_try_at=now + dt.timedelta(days=1))
ForeignCode.objects.create(portal=alfa, kind="robot", code="discount_of_others", seen_at=now)
gone = Portal.objects.create(application=alfa.application, member_id="d"*32, domain="gone.bitrix24.com",
    state="uninstalled", uninstalled_at=now)
for ended in (None, now):
    Alarm.objects.create(kind="robot_failing", subject="half", opened_at=now, ended_at=ended,
        seen_at=now + dt.timedelta(days=1), params={{"robot": "half", "calls": 9, "failed": 9}},
        told={{"mail": "ended" if ended else "open"}})
order = replay_orders.draft("replay", Invocation.objects.filter(state="failed"), "admin")
order_check([gone], "admin")
print(json.dumps({{"alfa": alfa.pk, "gone": gone.pk, "order": order.pk}}))
"""


@dataclass
class World:
    hub: Hub
    url: str
    sandbox: str
    password: str = "a-password-of-the-tests"
    members: dict[str, str] = field(default_factory=dict)
    # Deal of the call that failed.
    deal: str = "DEAL_4711"

    def one(self, statement: str) -> int:
        """A number of the database."""
        return int(self.hub.rows(statement)[0][0])


def build(hub: Hub) -> World:
    world = World(hub, hub.url, hub.control.base)
    life.make_application(hub)
    world.members = {
        "alfa": life.install(hub, "alfa", "frame", time_zone="Europe/Moscow"),
        "beta": life.install(hub, "beta", "event", generation="at_once", server="ru", language="ru"),
        "gamma": life.install(hub, "gamma", "frame"),
    }
    _second_application(hub)
    hub.manage("import_catalog", life.CATALOG, "--publish")
    catalog = Path(hub.folder) / "half.yaml"
    catalog.write_text(HALF)
    hub.manage("import_catalog", str(catalog), "--publish")
    hub.manage("push_robots")
    hub.manage("shell", "-c", PEOPLE.format(password=world.password))
    for number in range(4):
        life.arrives(hub, "alfa", "discount", amount=str(100 + number), percent="15")
    life.arrives(hub, "beta", "split_list", text="a, b,,a", separator=",")
    deal = ["crm", "CCrmDocumentDeal", world.deal]
    for name in ("alfa", "beta"):
        hub.control.run(name, life.CLIENT_ID, "half", properties={"amount": "5", "parts": "0"}, document=deal)
    until(
        lambda: world.one("SELECT count(*) FROM handlers_invocation WHERE state = 'failed'") == 2,
        "two calls have failed",
    )
    hub.control.post("portals", name="gamma", commercial=False)
    hub.manage("check_robots", status=None)
    hub.manage("shell", "-c", MORE.format(**world.members))
    return world


def _second_application(hub: Hub) -> None:
    """On the account that has one already: the two share its limits."""
    hub.manage(
        "create_application",
        "second",
        "--name",
        "Second",
        "--client-id",
        "app.second",
        text=life.SECRET + "\n",
    )
    base = f"{hub.url}/b24/second/"
    hub.control.post(
        "apps",
        client_id="app.second",
        client_secret=life.SECRET,
        install_url=f"{base}install/",
        main_url=base,
        event_url=f"{base}install/",
        redirect_url=f"{base}oauth/",
    )
    told = hub.control.post("portals/alfa/install", client_id="app.second", way="event")
    assert told["status"] == 200, told
