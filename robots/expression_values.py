"""Values of checked expression nodes (robots.expression): a few lines a node, each bounded."""

from __future__ import annotations

import ast
import decimal
from collections.abc import Callable, Mapping
from datetime import date, time
from decimal import Decimal
from typing import Any

from django.utils.translation import gettext as _

from robots.expression_functions import MAX_TEXT, TABLE, Refused, kind_of, sized


class ExpressionError(ValueError):
    """Wrong at import, or could not be computed. `column` counts from 1 in the source, None for the whole."""

    def __init__(self, message: str, column: int | None = None) -> None:
        self.column = column
        super().__init__(
            _("%(message)s (at character %(column)d)") % {"message": message, "column": column}
            if column
            else message
        )


ARITHMETIC_SIGNS: dict[type[ast.operator], str] = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.Div: "/",
    ast.Mod: "%",
}
COMPARISON_SIGNS: dict[type[ast.cmpop], str] = {
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.In: "in",
    ast.NotIn: "not in",
}


def value_of(node: ast.AST, inputs: Mapping[str, Any]) -> Any:
    """Under the bounded context of numbers.ARITHMETIC. Raises ExpressionError with the node's column."""
    try:
        return _EVALUATE[type(node)](node, inputs)
    except Refused as error:
        raise ExpressionError(str(error), getattr(node, "col_offset", 0) + 1) from None
    except decimal.DivisionByZero:
        raise ExpressionError(_("Division by zero"), getattr(node, "col_offset", 0) + 1) from None
    except (decimal.DecimalException, OverflowError, ZeroDivisionError):
        message = _("The number grows beyond what can be counted with")
        raise ExpressionError(message, getattr(node, "col_offset", 0) + 1) from None


def _constant_value(node: Any, inputs: Mapping[str, Any]) -> Any:
    return node.value


def _name(node: Any, inputs: Mapping[str, Any]) -> Any:
    value = inputs.get(node.id)
    return [_exact(item) for item in value] if isinstance(value, list) else _exact(value)


def _exact(value: Any) -> Any:
    return Decimal(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _bool_op(node: Any, inputs: Mapping[str, Any]) -> Any:
    stop_at = isinstance(node.op, ast.Or)
    value: Any = None
    for part in node.values:
        value = value_of(part, inputs)
        if bool(value) is stop_at:
            return value
    return value


def _unary(node: Any, inputs: Mapping[str, Any]) -> Any:
    value = value_of(node.operand, inputs)
    if isinstance(node.op, ast.Not):
        return not value
    if not isinstance(value, Decimal):
        raise Refused(_("A sign stands before numbers, not before %s") % kind_of(value))
    return -value if isinstance(node.op, ast.USub) else +value


def _binary(node: Any, inputs: Mapping[str, Any]) -> Any:
    left, right = value_of(node.left, inputs), value_of(node.right, inputs)
    sign = ARITHMETIC_SIGNS[type(node.op)]
    if isinstance(left, Decimal) and isinstance(right, Decimal):
        if sign in "/%" and not right:
            raise Refused(_("Division by zero"))
        return _NUMBERS[sign](left, right)
    if sign == "+" and isinstance(left, str) and isinstance(right, str):
        if len(left) + len(right) > MAX_TEXT:
            raise Refused(_("The text grows above %d characters") % MAX_TEXT)
        return left + right
    raise Refused(
        _("“%(sign)s” can't take %(left)s and %(right)s")
        % {"sign": sign, "left": kind_of(left), "right": kind_of(right)}
    )


_NUMBERS: dict[str, Callable[[Decimal, Decimal], Decimal]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
    "%": lambda a, b: a % b,
}


def _compare(node: Any, inputs: Mapping[str, Any]) -> bool:
    left = value_of(node.left, inputs)
    for operator, operand in zip(node.ops, node.comparators, strict=True):
        right = value_of(operand, inputs)
        if not _holds(COMPARISON_SIGNS[type(operator)], left, right):
            return False
        left = right
    return True


def _holds(sign: str, left: Any, right: Any) -> bool:
    if sign in ("==", "!="):
        # True == 1 in Python; here a yes/no equals no number.
        same = isinstance(left, bool) is isinstance(right, bool) and left == right
        return same is (sign == "==")
    if sign in ("in", "not in"):
        if not (isinstance(right, list) or (isinstance(right, str) and isinstance(left, str))):
            raise Refused(_("“in” looks into a list or a text, not into %s") % kind_of(right))
        return (left in right) is (sign == "in")
    if kind_of(left) != kind_of(right) or not isinstance(left, (Decimal, str, date, time)):
        raise Refused(
            _("“%(sign)s” can't compare %(left)s with %(right)s")
            % {"sign": sign, "left": kind_of(left), "right": kind_of(right)}
        )
    smaller, equal = left < right, left == right
    return bool({"<": smaller, "<=": smaller or equal, ">": not (smaller or equal), ">=": not smaller}[sign])


def _if(node: Any, inputs: Mapping[str, Any]) -> Any:
    return value_of(node.body if value_of(node.test, inputs) else node.orelse, inputs)


def _call(node: Any, inputs: Mapping[str, Any]) -> Any:
    return sized(TABLE[node.func.id].run(*[value_of(argument, inputs) for argument in node.args]))


_EVALUATE: dict[type[ast.AST], Callable[[Any, Mapping[str, Any]], Any]] = {
    ast.Constant: _constant_value,
    ast.Name: _name,
    ast.BoolOp: _bool_op,
    ast.UnaryOp: _unary,
    ast.BinOp: _binary,
    ast.Compare: _compare,
    ast.IfExp: _if,
    ast.Call: _call,
}
