"""`{type: expression, returns: {total: "round(amount * 0.9, 2)"}, log: "{amount} gives {total}"}`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _

from robots.compute import Call, Result, compute_type
from robots.expression import ExpressionError, parse
from robots.expression_functions import MAX_TEXT
from robots.problem import Problem, shown
from robots.text_template import parse_template

# What is computed depends on this evaluator too: raise it when an expression's result would change.
EVALUATOR = "e1"
MAX_LOG = 4_000


@compute_type("expression")
class ExpressionCompute:
    def check(self, compute: Mapping[str, Any], definition: Mapping[str, Any]) -> list[Problem]:
        inputs, outputs = (_ids(definition.get(name)) for name in ("properties", "return_properties"))
        problems = [
            Problem((str(key),), _("An expression compute has only “returns” and “log”."))
            for key in compute
            if key not in ("type", "returns", "log")
        ]
        returns = compute.get("returns") or {}
        if not isinstance(returns, Mapping):
            problems.append(Problem(("returns",), _("“returns” maps outputs to expressions.")))
            returns = {}
        elif outputs and not returns:
            problems.append(Problem(("returns",), _("No output has an expression.")))
        for name, source in returns.items():
            path = ("returns", str(name))
            if name not in outputs:
                problems.append(Problem(path, _("RETURN_PROPERTIES do not declare “%s”.") % shown(name, 80)))
            problems += _problems(path, lambda source=source: parse(source, inputs))
        log = compute.get("log")
        if log is not None:
            problems += _problems(("log",), lambda: parse_template(log, inputs | outputs))
        return problems

    def run(self, compute: Mapping[str, Any], call: Call) -> Result:
        names = frozenset(call.inputs)
        returns = compute.get("returns") or {}
        values: dict[str, Any] = {}
        for name, source in returns.items():
            try:
                values[name] = parse(source, names).value(call.inputs)
            except ExpressionError as error:
                raise ExpressionError(f"{name}: {error}") from None
        size = len(json.dumps(values, ensure_ascii=False, default=str).encode())
        if size > MAX_TEXT:
            raise ExpressionError(_("The results together are larger than %d bytes.") % MAX_TEXT)
        log = compute.get("log")
        if not log:
            return Result(values)
        return Result(values, log=parse_template(log).filled({**call.inputs, **values}, MAX_LOG))

    def revision(self, compute: Mapping[str, Any]) -> str:
        return EVALUATOR


def _ids(properties: Any) -> frozenset[str]:
    items = properties if isinstance(properties, (list, tuple)) else ()
    return frozenset(str(item.get("id")) for item in items if isinstance(item, Mapping))


def _problems(path: tuple[str, ...], check: Any) -> list[Problem]:
    try:
        check()
    except ExpressionError as error:
        return [Problem(path, str(error))]
    return []
