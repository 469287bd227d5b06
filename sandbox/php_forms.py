"""PHP's form encoding: ``a[b][0]=c`` to nested maps and back,
since the platform speaks nothing else in its queue (§6)."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qsl, quote_plus

MAX_FIELDS = 20_000
MAX_DEPTH = 64


def parse(text: str) -> dict[str, Any]:
    """A query or form body as PHP's ``parse_str`` reads it; maps whose keys are 0…n become lists."""
    root: dict[str, Any] = {}
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=MAX_FIELDS, errors="replace")
    except ValueError:  # more fields than any portal takes
        return {}
    for name, value in pairs:
        put(root, name, value)
    return {name: tidy(value) for name, value in root.items()}


def put(root: dict[str, Any], name: str, value: Any) -> None:
    """Sets one bracketed name; an empty bracket appends, a scalar in the way is replaced, as in PHP."""
    keys = split_name(name)
    if not keys or len(keys) > MAX_DEPTH:
        return
    node = root
    for key in keys[:-1]:
        slot = key if key != "" else next_index(node)
        below = node.get(slot)
        if not isinstance(below, dict):
            below = {}
            node[slot] = below
        node = below
    last = keys[-1]
    node[last if last != "" else next_index(node)] = value


def split_name(name: str) -> list[str]:
    """``a[b][]`` is ``["a", "b", ""]``; an unclosed bracket ends the name."""
    head, bracket, rest = name.partition("[")
    if not head:
        return []
    keys = [head]
    while bracket:
        inner, closed, rest = rest.partition("]")
        if not closed:
            break
        keys.append(inner)
        if not rest.startswith("["):
            break
        rest = rest[1:]
    return keys


def next_index(node: dict[str, Any]) -> str:
    """The key PHP gives to ``[]``: one more than the largest; the last one, where they came in order."""
    if not node or next(reversed(node)) == str(len(node) - 1):
        return str(len(node))
    numbers = [int(key) for key in node if key.isdigit()]
    return str(max(numbers) + 1 if numbers else 0)


def tidy(value: Any) -> Any:
    """A map with keys 0…n in order is a list to everyone who reads it later."""
    if not isinstance(value, dict):
        return value
    inner = {key: tidy(item) for key, item in value.items()}
    if inner and all(key == str(number) for number, key in enumerate(inner)):
        return list(inner.values())
    return inner


def read_json(body: bytes) -> dict[str, Any]:
    """§4: malformed JSON, or JSON that is no map, is read as an empty request;
    half a surrogate is malformed too."""
    try:
        value = json.loads(body, parse_constant=refuse_constant)
        if b"\\u" in body:
            json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def refuse_constant(name: str) -> float:
    """NaN and Infinity are no JSON."""
    raise ValueError(name)


def encode(fields: dict[str, Any]) -> str:
    """Nested maps and lists as a form; empty lists vanish, booleans are 1 and 0, None is left out (§6)."""
    pairs: list[str] = []
    for name, value in fields.items():
        collect(pairs, quote_plus(str(name)), value)
    return "&".join(pairs)


def collect(pairs: list[str], name: str, value: Any) -> None:
    if value is None:
        return
    if isinstance(value, dict):
        for key, item in value.items():
            collect(pairs, f"{name}%5B{quote_plus(str(key))}%5D", item)
    elif isinstance(value, (list, tuple)):
        for number, item in enumerate(value):
            collect(pairs, f"{name}%5B{number}%5D", item)
    elif isinstance(value, bool):
        pairs.append(f"{name}={int(value)}")
    else:
        pairs.append(f"{name}={quote_plus(str(value))}")
