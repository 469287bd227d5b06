"""Every rule of contract §5 that a definition can break, checked before a portal sees it.

`definition` is a plain dict of the catalog's shape (design §3): code, kind, name, description, subscription,
auth_user_id, document_type, filter, properties, return_properties, compute, on_failure; "" and None count as
absent. A text is a string or {lang: string}. Nothing here asks a database: that a code is free is the
caller's to check.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from robots.compute import CodeMissing, compute_type_names, find_type
from robots.problem import Problem, shown
from robots.rules_properties import MAPS, check_properties
from robots.rules_text import check_name, check_text

__all__ = ["Problem", "check_definition", "check_warnings"]

MAX_CODE = 128
_CODE = re.compile(r"[a-zA-Z0-9.\-_]+")
WRONG_CODE = gettext_lazy("A code has only the characters a-z, A-Z, 0-9, “.”, “-” and “_”.")
_KNOWN = (
    "code",
    "kind",
    "name",
    "description",
    "subscription",
    "auth_user_id",
    "document_type",
    "filter",
    "properties",
    "return_properties",
    "compute",
    "on_failure",
)
_EDITIONS = ("b24", "box")
# A module, a PHP class or a type's name. Brackets, quotes and commas are a list that something spelled out as text.
_DOCUMENT_PART = re.compile(r"""[^\s,'"\[\]…]{1,255}""")
MAX_FILTER_ENTRIES = 200


def check_definition(definition: object) -> list[Problem]:
    """All that is wrong, each with its path and a sentence; [] where a portal would take it as it is."""
    if not isinstance(definition, Mapping):
        return [Problem((), _("A robot is a map of its fields, not %s.") % shown(definition, 80))]
    problems = [
        Problem((str(key),), _("There is no field “%s” in a robot.") % shown(key, 80))
        for key in definition
        if key not in _KNOWN
    ]
    problems += _code(definition.get("code"))
    problems += _one_of(definition, "kind", ("robot", "activity"))
    problems += check_name(("name",), definition.get("name"))
    problems += check_text(("description",), definition.get("description"))
    problems += _one_of(definition, "subscription", ("wait", "no_wait", "choice"))
    problems += _auth_user(definition.get("auth_user_id"))
    problems += _document_type(definition.get("document_type"))
    problems += _filter(definition.get("filter"))
    problems += check_properties(definition)
    problems += _compute(definition)
    problems += _one_of(definition, "on_failure", ("hold", "release"))
    return problems


def check_warnings(definition: Mapping[str, Any]) -> list[Problem]:
    """What a portal takes and people are surprised by. Call it on a definition without problems."""
    warnings: list[Problem] = []
    if definition.get("subscription") in (None, "", "choice"):
        warnings.append(
            Problem(
                ("subscription",),
                _(
                    "Left out, a portal may let whoever places the robot choose, or not wait at all: "
                    "the result then never arrives. Choose “waits for the result” (wait) or “does not wait” (no_wait)."
                ),
            )
        )
    includes = (definition.get("filter") or {}).get("include") or []
    for edition, where in (("b24", _("the cloud")), ("box", _("every box"))):
        if edition in includes and any(isinstance(entry, (list, tuple)) for entry in includes):
            warnings.append(
                Problem(
                    ("filter", "include"),
                    _("“%(edition)s” beside document types shows the robot everywhere in %(where)s.")
                    % {"edition": edition, "where": where},
                )
            )
    for name in MAPS:
        for index, item in enumerate(definition.get(name) or []):
            kind = str(item.get("type"))
            if kind == "time" or ":" in kind:
                warnings.append(
                    Problem(
                        (name, index, "type"),
                        _("“%s” is known to newer portals, or to some document types, only.")
                        % shown(kind, 80),
                    )
                )
    return warnings


def _code(code: object) -> list[Problem]:
    if code in (None, ""):
        return [Problem(("code",), _("A robot needs a code."))]
    if not isinstance(code, str) or not _CODE.fullmatch(code):
        return [Problem(("code",), str(WRONG_CODE))]
    if len(code) > MAX_CODE:
        return [
            Problem(
                ("code",),
                _("A code has at most %(limit)d characters, this one has %(count)d.")
                % {"limit": MAX_CODE, "count": len(code)},
            )
        ]
    return []


def _one_of(definition: Mapping[str, Any], name: str, allowed: tuple[str, ...]) -> list[Problem]:
    value = definition.get(name)
    if value in (None, "") or (isinstance(value, str) and value in allowed):
        return []
    return [
        Problem(
            (name,),
            _("“%(value)s” is not one of %(allowed)s.")
            % {"value": shown(value, 80), "allowed": ", ".join(allowed)},
        )
    ]


def _auth_user(value: object) -> list[Problem]:
    if value in (None, ""):
        return []
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 2**31 - 1:
        return [Problem(("auth_user_id",), _("This is a user's number, 1 or above; leave it out for none."))]
    return []


def _document_type(value: object) -> list[Problem]:
    if value in (None, "", []):
        return []
    if not isinstance(value, (list, tuple)) or len(value) != 3 or not all(map(_document_part, value)):
        return [
            Problem(
                ("document_type",),
                _("A document type has three parts, such as [crm, CCrmDocumentDeal, DEAL]."),
            )
        ]
    return []


def _document_part(part: object) -> bool:
    return isinstance(part, str) and part.isprintable() and bool(_DOCUMENT_PART.fullmatch(part))


def _filter(value: object) -> list[Problem]:
    if value in (None, "", {}):
        return []
    if not isinstance(value, Mapping):
        return [Problem(("filter",), _("A filter has “include” and “exclude”."))]
    problems = [
        Problem(("filter", str(key)), _("A filter has only “include” and “exclude”."))
        for key in value
        if key not in ("include", "exclude")
    ]
    for side in ("include", "exclude"):
        entries = value.get(side)
        if entries in (None, ""):
            continue
        if not isinstance(entries, (list, tuple)):
            problems.append(Problem(("filter", side), _("This is a list of document types and editions.")))
            continue
        if len(entries) > MAX_FILTER_ENTRIES:
            problems.append(
                Problem(("filter", side), _("At most %d entries are taken.") % MAX_FILTER_ENTRIES)
            )
        problems += _entries(side, entries[:MAX_FILTER_ENTRIES])
    return problems


def _entries(side: str, entries: Iterable[object]) -> list[Problem]:
    problems = []
    for index, entry in enumerate(entries):
        right = entry in _EDITIONS if isinstance(entry, str) else _prefix(entry)
        if not right:
            problems.append(
                Problem(
                    ("filter", side, index),
                    _(
                        "“%s” is no filter entry: write b24, box, or one to three parts of a document type "
                        "such as [crm, CCrmDocumentDeal]."
                    )
                    % shown(entry, 80),
                )
            )
    return problems


def _prefix(entry: object) -> bool:
    if not isinstance(entry, (list, tuple)) or not 1 <= len(entry) <= 3:
        return False
    # [b24] is no module: who writes it means the edition.
    return all(map(_document_part, entry)) and not (len(entry) == 1 and entry[0] in _EDITIONS)


def _compute(definition: Mapping[str, Any]) -> list[Problem]:
    compute = definition.get("compute")
    if not isinstance(compute, Mapping) or not compute.get("type"):
        known = ", ".join(compute_type_names())
        return [Problem(("compute",), _("Say how it computes: “type” is one of %s.") % known)]
    try:
        kind = find_type(compute["type"])
    except CodeMissing as error:
        return [Problem(("compute", "type"), str(error))]
    return [problem.under("compute") for problem in kind.check(compute, definition)]
