"""Every page of hub and sandbox, found from what the world holds."""

from __future__ import annotations

from tests.browser.world import World
from tests.system import life

# Table -> the admin's path of its rows.
ROWS = {
    "portals_application": "portals/application",
    "portals_portal": "portals/portal",
    "portals_portalgroup": "portals/portalgroup",
    "portals_pendinginstallation": "portals/pendinginstallation",
    "robots_robot": "robots/robot",
    "robots_robotversion": "robots/robotversion",
    "robots_registration": "robots/registration",
    "robots_foreigncode": "robots/foreigncode",
    "robots_push": "robots/push",
    "handlers_invocation": "handlers/invocation",
    "handlers_sending": "handlers/sending",
    "handlers_refusedcall": "handlers/refusedcall",
    "handlers_replayorder": "handlers/replayorder",
    "b24app_alarm": "b24app/alarm",
    "auth_user": "auth/user",
    "auth_group": "auth/group",
}
ADDED = [
    "portals/application",
    "portals/portalgroup",
    "robots/robot",
    "b24app/apitoken",
    "auth/user",
    "auth/group",
]


def hub_pages(world: World) -> list[str]:
    """Paths for a superuser."""
    first = {table: world.one(f"SELECT min(id) FROM {table}") for table in ROWS}
    failed = world.one("SELECT min(id) FROM handlers_invocation WHERE state = 'failed'")
    delivered = world.one("SELECT min(id) FROM handlers_invocation WHERE state = 'delivered'")
    held = world.one("SELECT id FROM portals_portal WHERE trouble = 'plan_lapsed'")
    gone = world.one("SELECT id FROM portals_portal WHERE state = 'uninstalled'")
    robot, version = first["robots_robot"], first["robots_robotversion"]
    check = world.one("SELECT max(id) FROM robots_push WHERE kind = 'check'")
    pages = ["", "password_change/", "b24app/apitoken/", "portals/", "robots/", "handlers/"]
    pages += [f"{path}/" for path in ROWS.values()]
    pages += [f"{path}/add/" for path in ADDED]
    pages += [f"{path}/{first[table]}/change/" for table, path in ROWS.items()]
    pages += [f"{path}/{first[table]}/history/" for table, path in ROWS.items() if path in ADDED]
    pages += [
        f"handlers/invocation/{failed}/change/",
        f"handlers/invocation/{delivered}/change/",
        f"handlers/invocation/replay/?call={failed}",
        f"handlers/invocation/release/?call={failed}",
        "handlers/invocation/?q=4711&state=failed",
        f"portals/portal/{held}/change/",
        f"portals/portal/{gone}/change/",
        f"portals/portalgroup/{first['portals_portalgroup']}/delete/",
        f"robots/robot/{robot}/trial/",
        f"robots/robot/push/?robot={robot}",
        f"robots/robot/push/?version={version}",
        f"robots/foreigncode/{first['robots_foreigncode']}/adopt/",
        f"robots/push/{check}/change/",
        "robots/registration/?error=yes",
    ]
    return [f"{world.url}/admin/{page}" for page in pages] + [f"{world.url}/api/docs/"]


def sandbox_pages(world: World) -> list[str]:
    client = life.CLIENT_ID
    process = world.hub.control.get("portals/alfa/processes")["items"][0]["id"]
    pages = [
        "",
        "portal/alfa",
        "portal/beta",
        "portal/gamma",
        f"portal/alfa/run/{client}/discount",
        f"portal/alfa/robot/{client}/discount",
        f"portal/alfa/process/{process}",
        f"portal/alfa/open/{client}",
        f"app/{client}",
        f"p/alfa/oauth/authorize/?client_id={client}",
        "portal/alfa?said=Done",
        "portal/alfa?problem=Wrong",
        "nothing",
    ]
    return [f"{world.sandbox}/{page}" for page in pages]


def signed_out_pages(world: World) -> list[str]:
    return [f"{world.url}/admin/login/", f"{world.url}/b24/demo/", f"{world.url}/b24/demo/install/"]
