"""Starting processes from a request: which document,
which robots are allowed on it, with what in their properties."""

from __future__ import annotations

import threading
import time
from typing import Any

from sandbox import registry_rules
from sandbox.model import Portal, Process, Registered, Step
from sandbox.processes import Processes
from sandbox.values import ODD
from sandbox.world import ControlError, World

DOCUMENTS: dict[str, list[str]] = {
    "DEAL": ["crm", "CCrmDocumentDeal", "DEAL"],
    "LEAD": ["crm", "CCrmDocumentLead", "LEAD"],
    "CONTACT": ["crm", "CCrmDocumentContact", "CONTACT"],
    "COMPANY": ["crm", "CCrmDocumentCompany", "COMPANY"],
    "QUOTE": ["crm", "Bitrix\\Crm\\Integration\\BizProc\\Document\\Quote", "QUOTE"],
    "SMART_INVOICE": ["crm", "Bitrix\\Crm\\Integration\\BizProc\\Document\\SmartInvoice", "SMART_INVOICE"],
    "ORDER": ["crm", "Bitrix\\Crm\\Integration\\BizProc\\Document\\Order", "ORDER"],
    "TASK": ["tasks", "Bitrix\\Tasks\\Integration\\Bizproc\\Document\\Task", "TASK_PROJECT_1"],
    "LIST": ["lists", "BizprocDocument", "iblock_1"],
    "DISK": ["disk", "Bitrix\\Disk\\BizProcDocument", "STORAGE_1"],
}
STEP_KEYS = {"client_id", "code", "properties", "subscription", "timeout", "odd"}
RUN_KEYS = STEP_KEYS | {"document", "document_type", "user", "save", "lock", "steps", "count", "per_second"}
MOST = 200_000


class Running:
    """One process, or a burst of them."""

    def __init__(self, world: World, engine: Processes) -> None:
        self.world = world
        self.engine = engine

    def run(self, portal: Portal, wish: dict[str, Any], number: int = 1) -> Process:
        """Starts one process;
        raises ControlError where a robot is not there or FILTER keeps it off the document."""
        unknown = set(wish) - RUN_KEYS
        if unknown:
            raise ControlError(f"a run has no {', '.join(sorted(unknown))}")
        document_type, document_id = document_of(wish, number)
        wishes = [{**item} for item in wish["steps"]] if wish.get("steps") else [wish]
        for item in wishes:
            item.setdefault("client_id", wish.get("client_id"))
        with self.world.lock:
            steps = [self._step(portal, item, document_type, number) for item in wishes]
            lock = None if wish.get("lock") is None else float(wish["lock"])
            user = int(wish.get("user", 1))
            return self.engine.start(portal, steps, document_id, document_type, user, wish.get("save"), lock)

    def burst(self, portal: Portal, wish: dict[str, Any]) -> dict[str, Any]:
        """``count`` processes at a stroke, or spread at ``per_second``."""
        count, pace = int(wish.get("count", 0)), float(wish.get("per_second") or 0)
        if not 0 < count <= MOST:
            raise ControlError(f"count is between 1 and {MOST}")
        first = self.run(portal, wish, 1)
        if pace > 0:
            threading.Thread(target=self._paced, args=(portal, wish, count, pace), daemon=True).start()
            return {"count": count, "first": first.id, "last": None}
        last = first
        for number in range(2, count + 1):
            last = self.run(portal, wish, number)
        return {"count": count, "first": first.id, "last": last.id}

    def _paced(self, portal: Portal, wish: dict[str, Any], count: int, pace: float) -> None:
        started = time.monotonic()
        for number in range(2, count + 1):
            time.sleep(max(0.0, started + (number - 1) / pace - time.monotonic()))
            if self.world.state.portals.get(portal.name) is not portal:
                return
            try:
                self.run(portal, wish, number)
            except ControlError:
                self.world.count(portal, "burst_refused")

    def _step(self, portal: Portal, wish: dict[str, Any], document_type: list[str], number: int) -> Step:
        unknown = set(wish) - RUN_KEYS
        if unknown:
            raise ControlError(f"a step has no {', '.join(sorted(unknown))}")
        client_id, code = wish.get("client_id"), wish.get("code")
        if not client_id and len(portal.installs) == 1:
            client_id = next(iter(portal.installs))
        if not client_id or not code:
            raise ControlError("a run names client_id and code")
        robot = self.world.install(portal, str(client_id)).robots.get(str(code))
        if robot is None:
            raise ControlError(f"{client_id} has registered no {code!r} on {portal.name}", 409)
        if not registry_rules.allowed(robot.filter, portal.edition, document_type):
            raise ControlError(
                f"FILTER keeps {code!r} off {'/'.join(document_type)} on a {portal.edition} portal", 409
            )
        odd = {str(key): str(value) for key, value in (wish.get("odd") or {}).items()}
        wrong = set(odd.values()) - set(ODD)
        if wrong:
            raise ControlError(f"odd forms are {', '.join(ODD)}")
        return Step(
            client_id=str(client_id),
            code=robot.code,
            properties={
                str(key): numbered(value, number) for key, value in (wish.get("properties") or {}).items()
            },
            odd=odd,
            subscription=wish.get("subscription"),
            timeout=int(wish.get("timeout") or 0),
        )


def numbered(value: Any, number: int) -> Any:
    """``{n}`` in a text, or in the texts of a list, is the process's number in its burst."""
    if isinstance(value, list):
        return [numbered(item, number) for item in value]
    return value.replace("{n}", str(number)) if isinstance(value, str) else value


def document_of(wish: dict[str, Any], number: int) -> tuple[list[str], list[str]]:
    """Type and id: ``document`` is a word of DOCUMENTS, an id such as DEAL_42, or a full triple."""
    document = numbered(wish.get("document") or "DEAL", number)
    kind = wish.get("document_type")
    if isinstance(document, str):
        word, _, tail = document.rpartition("_") if document not in DOCUMENTS else (document, "", "")
        found = kind or DOCUMENTS.get(word or document)
        if found is None:
            raise ControlError(f"there is no document {document!r}; there are {', '.join(DOCUMENTS)}")
        return list(found), [found[0], found[1], document if tail else f"{document}_{number}"]
    if not isinstance(document, list) or len(document) != 3:
        raise ControlError("a document is [module, entity, id]")
    if kind is None:
        entity = next((item for item in DOCUMENTS.values() if item[1] == document[1]), None)
        kind = entity or [document[0], document[1], str(document[2]).rpartition("_")[0] or str(document[2])]
    return [str(item) for item in kind], [str(item) for item in document]


def robots_for(portal: Portal, document_type: list[str]) -> list[tuple[str, Registered]]:
    """Client id and robot of all that FILTER shows on a document."""
    return [
        (client_id, robot)
        for client_id, install in portal.installs.items()
        for robot in install.robots.values()
        if registry_rules.allowed(robot.filter, portal.edition, document_type)
    ]
