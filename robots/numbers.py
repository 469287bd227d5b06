"""Plain decimal numbers, in and out, small enough that no arithmetic on them can run away (design §3)."""

from __future__ import annotations

import re
from decimal import ROUND_HALF_UP, Context, Decimal, DivisionByZero, InvalidOperation, Overflow

MAX_DIGITS = 30
MAX_EXPONENT = 30

# Bounded on every side: a product or quotient of legal numbers fits, and what does not raises instead of
# growing.
ARITHMETIC = Context(
    prec=50, rounding=ROUND_HALF_UP, Emin=-999, Emax=999, traps=[InvalidOperation, DivisionByZero, Overflow]
)
_OUTGOING = Context(
    prec=MAX_DIGITS,
    rounding=ROUND_HALF_UP,
    Emin=-999,
    Emax=999,
    traps=[InvalidOperation, DivisionByZero, Overflow],
)
_NUMBER = re.compile(r"[+-]?([0-9]{1,60}(\.[0-9]{0,60})?|\.[0-9]{1,60})([eE][+-]?[0-9]{1,3})?")


def read_decimal(text: str) -> Decimal | None:
    """The number that `text` spells (a dot, no separators, ASCII digits, exponent within ±30), or None.

    PHP writes large floats as `1.0E+25`, so an exponent is taken where the number stays within the limits.
    """
    text = text.strip(" \t\r\n")
    if len(text) > 130 or not _NUMBER.fullmatch(text):
        return None
    number = Decimal(text)  # at most 120 digits and a 3-digit exponent: cheap
    _sign, digits, exponent = number.as_tuple()
    if not isinstance(exponent, int) or len(digits) > MAX_DIGITS:
        return None
    if number == 0:
        # 0E+30 and -0 would survive as odd spellings of nothing
        return Decimal(0) if exponent > 0 or exponent < -MAX_EXPONENT else abs(number)
    if not -MAX_EXPONENT <= exponent <= MAX_EXPONENT or abs(number.adjusted()) > MAX_EXPONENT:
        return None
    return number


def plain(number: Decimal) -> str | None:
    """The number without exponent, rounded half up to 30 digits; None where it is beyond ±10^30 or not
    finite."""
    if not number.is_finite() or (number != 0 and number.adjusted() > MAX_EXPONENT - 1):
        return None
    if number == 0 or number.adjusted() < -MAX_EXPONENT:
        exponent = number.as_tuple().exponent
        decimals = min(max(-exponent, 0), MAX_EXPONENT) if isinstance(exponent, int) else 0
        return format(Decimal(0).scaleb(-decimals), "f") if number == 0 else "0"
    return format(_OUTGOING.plus(number), "f")
