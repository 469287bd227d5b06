"""Publishing: a draft frozen as a version, and what a new version would mean for robots already placed."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

from django.db import transaction
from django.utils.translation import gettext as _

from portals.clock import db_now
from robots.definition import Definition, definition_of
from robots.models import Robot, RobotVersion
from robots.payload import Payload, dump, load, payload_of
from robots.problem import Problem
from robots.rules import check_definition


class PublishRefused(Exception):
    """The draft breaks rules a portal would refuse, or drop in silence: `problems` says which and where."""

    def __init__(self, robot: Robot, problems: list[Problem]) -> None:
        self.robot, self.problems = robot, problems
        super().__init__("; ".join(str(problem) for problem in problems))


def publish(robot: Robot, by: str = "", note: str = "") -> RobotVersion | None:
    """Freezes the draft; None where the latest version says the same. Makes no call (design §4).

    Raises PublishRefused for a draft that breaks a rule or is removed.
    """
    with transaction.atomic():
        # One publisher of a robot at a time, so that numbers have no gap and nothing is published twice.
        locked = Robot.objects.select_for_update().get(pk=robot.pk)
        if locked.removed_at is not None:
            raise PublishRefused(robot, [Problem((), _("This robot is removed; bring it back first."))])
        definition = definition_of(locked)
        problems = check_definition(definition)
        if problems:
            raise PublishRefused(robot, problems)
        latest = latest_version(locked)
        digest = digest_of(definition)
        if latest is not None and latest.digest == digest:
            return None
        return RobotVersion.objects.create(
            robot=robot,
            number=latest.number + 1 if latest else 1,
            kind=definition["kind"],
            code=definition["code"],
            payload_text=dump(payload_of(definition)),
            compute=definition["compute"],
            on_failure=definition["on_failure"],
            digest=digest,
            note=note[:500],
            published_by=by[:150],
            published_at=db_now(),
        )


def latest_version(robot: Robot) -> RobotVersion | None:
    return RobotVersion.objects.filter(robot=robot).order_by("-number").first()


def unpublished_changes(robot: Robot) -> bool:
    """Whether the draft says something else than its latest version."""
    latest = latest_version(robot)
    return latest is None or latest.digest != digest_of(definition_of(robot))


def digest_of(definition: Definition) -> str:
    """What makes two versions the same: the payload in its order, how it computes and what a failure does."""
    parts = [
        definition["kind"],
        dump(payload_of(definition)),
        json.dumps(definition["compute"], sort_keys=True, ensure_ascii=False),
        definition["on_failure"],
    ]
    return hashlib.sha256(json.dumps(parts, ensure_ascii=False).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Verdict:
    """`reasons` are sentences; breaking is what takes something from a robot placed with the old version."""

    reasons: list[str]

    @property
    def breaking(self) -> bool:
        return bool(self.reasons)

    @property
    def meaning(self) -> str:
        """What it means for robots that are placed in processes already."""
        if not self.breaking:
            return _("Robots that are placed already go on as they are.")
        return _(
            "Robots that are placed already keep the settings they were saved with, and from the push on this "
            "version computes them: look through each of them and save it again."
        )


def verdict(old: RobotVersion, new: RobotVersion) -> Verdict:
    """Compatible, or what breaks in processes that hold the old one: input removed or of another type, new
    required input, output removed or of another type, code or kind changed."""
    before, after = load(old.payload_text) or {}, load(new.payload_text) or {}
    reasons = []
    if old.code != new.code:
        reasons.append(_("The code was %(old)s and is %(new)s.") % {"old": old.code, "new": new.code})
    if old.kind != new.kind:
        reasons.append(
            _("Its kind was %(old)s and is %(new)s: placed ones stop in between.")
            % {"old": old.kind, "new": new.kind}
        )
    reasons += _lost(before, after, "PROPERTIES", _("Input"))
    reasons += _lost(before, after, "RETURN_PROPERTIES", _("Output"))
    held = before.get("PROPERTIES", {})
    for key, spelled in after.get("PROPERTIES", {}).items():
        if spelled["Required"] != "Y" or spelled.get("Default") is not None:
            continue
        if key not in held or held[key]["Required"] != "Y":
            reasons.append(_("Input “%s” is required now; placed robots may not have it.") % key)
    return Verdict(reasons)


def _lost(before: Payload, after: Payload, name: str, word: str) -> list[str]:
    reasons = []
    for key, old in before.get(name, {}).items():
        new = after.get(name, {}).get(key)
        if new is None:
            reasons.append(_("%(word)s “%(id)s” is gone.") % {"word": word, "id": key})
        elif (old["Type"], old["Multiple"]) != (new["Type"], new["Multiple"]):
            reasons.append(
                _("%(word)s “%(id)s” was %(old)s and is %(new)s.")
                % {"word": word, "id": key, "old": _spoken(old), "new": _spoken(new)}
            )
    return reasons


def _spoken(spelled: Payload) -> str:
    return f"{spelled['Type']}[]" if spelled["Multiple"] == "Y" else str(spelled["Type"])
