"""PHP's own reading and writing of forms: one process that answers line by line (contract §6)."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from typing import Any

# Ways in and out as base64, since what is read need not be text of any charset.
_PROGRAM = r"""
function told($value) {
    if (!is_array($value)) return base64_encode((string)$value);
    $pairs = [];
    foreach ($value as $key => $inner) $pairs[] = [base64_encode((string)$key), told($inner)];
    return $pairs;
}
while (($line = fgets(STDIN)) !== false) {
    [$what, $data] = explode(' ', rtrim($line, "\n"), 2);
    if ($what === 'build') {
        echo json_encode(base64_encode(http_build_query(json_decode(base64_decode($data), true)))), "\n";
    } else {
        parse_str(base64_decode($data), $form);
        echo json_encode(told($form), JSON_THROW_ON_ERROR, 1024), "\n";
    }
}
"""


def there() -> bool:
    return shutil.which("php") is not None


class Php:
    """A PHP process; `end` it."""

    def __init__(self) -> None:
        command = ["php", "-n", "-d", "max_input_vars=1000000", "-d", "display_errors=0", "-r", _PROGRAM]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )

    def parse_str(self, body: bytes) -> Any:
        """What PHP reads: nested dicts of text keys (lists too, with keys 0…n), leaves as bytes."""
        return _leaves(self._ask("parse", body))

    def http_build_query(self, data: Any) -> bytes:
        """What PHP writes of `data` (dicts, lists, texts, numbers, booleans, None)."""
        return base64.b64decode(self._ask("build", json.dumps(data).encode()))

    def _ask(self, what: str, data: bytes) -> Any:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(f"{what} {base64.b64encode(data).decode()}\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, f"PHP ended at {data!r}"
        return json.loads(line)

    def end(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(10)


def _leaves(told: Any) -> Any:
    if isinstance(told, str):
        return base64.b64decode(told)
    return {base64.b64decode(key).decode("utf-8", "replace"): _leaves(inner) for key, inner in told}
