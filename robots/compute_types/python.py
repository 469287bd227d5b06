"""`{type: python, function: shop.discount}`: the integrator's own function, registered with robot_handler."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _

from robots.compute import Call, CodeMissing, Result, compute_type, handler, handler_names
from robots.problem import Problem, shown


@compute_type("python")
class PythonFunction:
    def check(self, compute: Mapping[str, Any], definition: Mapping[str, Any]) -> list[Problem]:
        problems = [
            Problem((str(key),), _("A python compute has only “function”."))
            for key in compute
            if key not in ("type", "function")
        ]
        name = compute.get("function")
        if not isinstance(name, str) or not name:
            problems.append(Problem(("function",), _("Name a function registered with robot_handler.")))
            return problems
        try:
            handler(name)
        except CodeMissing as error:
            known = ", ".join(handler_names()) or _("none")
            problems.append(Problem(("function",), f"{error} " + _("Registered: %s.") % shown(known)))
        return problems

    def run(self, compute: Mapping[str, Any], call: Call) -> Result:
        return handler(str(compute.get("function"))).function(call)

    def revision(self, compute: Mapping[str, Any]) -> str:
        return handler(str(compute.get("function"))).revision
