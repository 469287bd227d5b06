"""Expressions of catalogs: our own evaluator of a few AST nodes (design §3). Text from strangers, never
`eval`.

    total = parse("round(amount * (100 - percent) / 100, 2)", {"amount", "percent"})
    total.value({"amount": Decimal("1000.50"), "percent": Decimal(10)})   # Decimal("900.45")

Names, numbers, text, comparison, `and or not`, `x if c else y`, `+ - * /`, `%`, and the functions of
`expression_functions.TABLE`; no attributes, methods, subscripts, comprehensions or powers. Every number is
Decimal. Bounded in source (1,000 characters), nodes, depth, digits (50) and text (64 kB, at every step), so
that neither time nor memory can run away. None is an unset input; `a or b` gives the first that is not empty,
as in Python.
"""

from __future__ import annotations

import ast
import decimal
from collections.abc import Collection, Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from robots.expression_functions import TABLE
from robots.expression_values import ARITHMETIC_SIGNS, COMPARISON_SIGNS, ExpressionError, value_of
from robots.numbers import ARITHMETIC, read_decimal
from robots.problem import shown

__all__ = ["WORDS", "Expression", "ExpressionError", "parse"]

# What is spelled in letters beside names and functions.
WORDS = {
    "and": gettext_lazy("a and b: whether both hold"),
    "or": gettext_lazy("a or b: whether one holds; of other values the first that is not empty"),
    "not": gettext_lazy("not a: whether a does not hold or is empty"),
    "if": gettext_lazy("x if c else y: x where c holds, else y"),
    "else": gettext_lazy("x if c else y: x where c holds, else y"),
    "in": gettext_lazy("part in a: whether a list or text holds it"),
    "True": gettext_lazy("yes"),
    "False": gettext_lazy("no"),
    "None": gettext_lazy("an empty value"),
}
MAX_SOURCE = 1_000
MAX_NODES = 400
MAX_DEPTH = 100  # a sum of a hundred parts is that deep; the evaluator takes two frames a level


class Expression:
    """A parsed expression; `names` are the inputs it reads."""

    __slots__ = ("_root", "names", "source")

    def __init__(self, source: str, root: ast.expr, names: frozenset[str]) -> None:
        self.source, self._root, self.names = source, root, names

    def value(self, inputs: Mapping[str, Any]) -> Any:
        """Decimal, str, bool, date, datetime, time, list or None. Raises ExpressionError."""
        with decimal.localcontext(ARITHMETIC):
            return value_of(self._root, inputs)


def parse(source: object, names: Collection[str]) -> Expression:
    """Checks everything that can be checked before there are values. Raises ExpressionError."""
    if not isinstance(source, str):
        raise ExpressionError(_("An expression is text, not %s.") % type(source).__name__)
    return _parsed(source, frozenset(names))


@lru_cache(maxsize=1024)
def _parsed(source: str, names: frozenset[str]) -> Expression:
    if not source.strip():
        raise ExpressionError(_("The expression is empty."))
    if len(source) > MAX_SOURCE:
        raise ExpressionError(
            _("The expression has %(length)d characters, at most %(limit)d are taken.")
            % {"length": len(source), "limit": MAX_SOURCE}
        )
    line = _one_line(source)
    root = _tree(line)
    _check(root, line, names)
    used = frozenset(n.id for n in ast.walk(root) if isinstance(n, ast.Name) and n.id in names)
    return Expression(source, root, used)


def _one_line(source: str) -> str:
    """YAML folds long expressions over lines; to Python only one line is an expression. Columns stay."""
    if "\x00" in source or any(0xD800 <= ord(c) <= 0xDFFF for c in source):
        raise ExpressionError(_("The expression holds characters that are no text."))
    if "#" in source and "\n" in source.strip():
        raise ExpressionError(_("“#” can't stand in an expression of several lines."), source.index("#") + 1)
    return source.translate({ord(c): " " for c in "\n\r\t\f"}).rstrip()


def _tree(line: str) -> ast.expr:
    lead = len(line) - len(line.lstrip())
    try:
        return ast.parse(line[lead:], mode="eval").body
    except SyntaxError as error:
        column = (error.offset or 1) + lead
        raise ExpressionError(_("This is no expression: %s.") % error.msg, column) from None
    except (ValueError, RecursionError, MemoryError):  # the parser's own limits of nesting and digits
        raise ExpressionError(_("The expression is nested too deeply or holds too large a number.")) from None


def _check(root: ast.expr, line: str, names: frozenset[str]) -> None:
    """Every node is one we know, every name declared, every call of the table; numbers become Decimal in
    place."""
    lead = len(line) - len(line.lstrip())
    stripped = line[lead:].encode()
    waiting: list[tuple[ast.expr, int]] = [(root, 1)]
    count = 0
    while waiting:
        node, depth = waiting.pop()
        count += 1
        column = _column(node, stripped, lead)
        if depth > MAX_DEPTH or count > MAX_NODES:
            raise ExpressionError(_("The expression is too long or nested too deeply."), column)
        if isinstance(node, ast.Constant):
            node.value = _constant(node, stripped, column)
        elif isinstance(node, ast.Name):
            if node.id not in names:
                known = ", ".join(sorted(names)) or _("none")
                raise ExpressionError(
                    _("“%(name)s” is no input of this robot (inputs: %(known)s).")
                    % {"name": shown(node.id, 80), "known": shown(known)},
                    column,
                )
        elif isinstance(node, ast.Call):
            _check_call(node, column)
        elif not _allowed(node):
            raise ExpressionError(_("%s can't stand in an expression.") % _spoken(node), column)
        node.col_offset = column - 1  # in characters of the source from here on
        children = node.args if isinstance(node, ast.Call) else _operands(node)
        waiting.extend((child, depth + 1) for child in children)


def _column(node: ast.AST, source: bytes, lead: int) -> int:
    offset = getattr(node, "col_offset", 0)
    return lead + len(source[:offset].decode(errors="replace")) + 1


def _allowed(node: ast.AST) -> bool:
    if isinstance(node, ast.BinOp):
        return type(node.op) in ARITHMETIC_SIGNS
    if isinstance(node, ast.UnaryOp):
        return isinstance(node.op, (ast.USub, ast.UAdd, ast.Not))
    if isinstance(node, ast.Compare):
        return all(type(op) in COMPARISON_SIGNS for op in node.ops)
    return isinstance(node, (ast.BoolOp, ast.IfExp))


def _operands(node: ast.AST) -> list[ast.expr]:
    return [child for child in ast.iter_child_nodes(node) if isinstance(child, ast.expr)]


def _spoken(node: ast.AST) -> str:
    words = {
        ast.Attribute: _("An attribute or method (“.”)"),
        ast.Subscript: _("A subscript (“[…]”)"),
        ast.Pow: _("A power (“**”)"),
        ast.Lambda: "lambda",
        ast.JoinedStr: _("An f-text"),
        ast.List: _("A list"),
        ast.Tuple: _("A tuple"),
        ast.Dict: _("A map"),
    }
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):
        return words[ast.Pow]
    return words.get(type(node), type(node).__name__)


def _constant(node: ast.Constant, source: bytes, column: int) -> Any:
    value = node.value
    if value is None or isinstance(value, (bool, Decimal)):
        return value
    if isinstance(value, str):
        if "\x00" in value or any(0xD800 <= ord(c) <= 0xDFFF for c in value):
            raise ExpressionError(_("The text holds characters that no portal can store."), column)
        return value
    if isinstance(value, (int, float)):
        # Its own spelling, not the float's: 0.1 stays a tenth.
        number = read_decimal(source[node.col_offset : node.end_col_offset].decode(errors="replace"))
        if number is not None:
            return number
        raise ExpressionError(_("Write numbers as plain decimals of at most 30 digits."), column)
    raise ExpressionError(_("Only numbers and text can be written in an expression."), column)


def _check_call(node: ast.Call, column: int) -> None:
    if not isinstance(node.func, ast.Name):
        what = _spoken(node.func)
        raise ExpressionError(_("%s can't stand in an expression.") % what, column)
    function = TABLE.get(node.func.id)
    if function is None:
        raise ExpressionError(
            _("There is no function “%(name)s” (there are: %(known)s).")
            % {"name": shown(node.func.id, 80), "known": ", ".join(sorted(TABLE))},
            column,
        )
    if node.keywords or any(isinstance(arg, ast.Starred) for arg in node.args):
        raise ExpressionError(_("Functions take values by position only."), column)
    if not function.least <= len(node.args) <= function.most:
        raise ExpressionError(
            _("%(name)s takes %(least)d to %(most)d values, here it has %(count)d.")
            % {"name": node.func.id, "least": function.least, "most": function.most, "count": len(node.args)},
            column,
        )
