"""What robot code is written against, and the registries that find it (design §3).

    from robots.compute import Call, Result, robot_handler

    @robot_handler("shop.discount")
    def discount(call: Call) -> Result:
        return Result({"total": call.inputs["amount"] * 2}, log="doubled")

Python functions register by name from any installed app's `robot_handlers.py`. Ways to compute (`type:` of a
catalog's `compute`) are classes registered with `compute_type`, one file an entry in `robots/compute_types/`.
No Django models here: this runs in the runner, which has no token, key or bucket.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
import pkgutil
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from robots.problem import Problem


@dataclass(frozen=True, slots=True)
class Result:
    """`values`: id → value of the types RETURN_PROPERTIES declare (None is left out); `log`: LOG_MESSAGE."""

    values: Mapping[str, Any] = field(default_factory=dict)
    log: str | None = None


class PortalError(Exception):
    """A REST request of robot code failed. `code` and `text` as the portal said them; `retry_after` is a
    number of seconds where the same request may succeed later: left uncaught, the whole call is then tried
    again. `waits_for` says what it waits for where no robot is to blame (the portal's trouble, its limit of
    requests, the token server): left uncaught, the call waits as well, and no try is counted."""

    def __init__(self, code: str, text: str, retry_after: float | None = None, waits_for: str = "") -> None:
        self.code, self.text, self.retry_after, self.waits_for = code, text, retry_after, waits_for
        super().__init__(f"{code}: {text}" if code else text)


class NotInTestRun(Exception):
    """`call.portal.client` and `.settings` belong to a portal; a test run has none."""

    def __init__(self) -> None:
        super().__init__("not in a test run")


class CodeMissing(LookupError):
    """The compute type or the Python function that a version names is not registered (any more)."""


class PortalClient(Protocol):
    """REST on the portal that called, with the hub's own token, limiter and retries."""

    def call(self, method: str, params: Mapping[str, Any] | None = None) -> Any:
        """The answer's `result`. Raises PortalError."""
        ...


@dataclass(frozen=True, slots=True)
class CallPortal:
    """The portal that called. `settings` are its own (`settings["erp_key"]`), decrypted, str to str."""

    client: PortalClient
    settings: Mapping[str, str] = field(repr=False)
    domain: str = ""
    member_id: str = ""
    zone: str = "UTC"


@dataclass(frozen=True, slots=True)
class Call:
    """One call of one robot.

    `id` is the same at each try of this call (use it as an idempotency key); `inputs` hold every declared
    property by its id, typed; `document` is `(module, object, id)` where the portal named it; `waits` tells
    whether anyone waits for the result.
    """

    id: str
    code: str
    inputs: Mapping[str, Any]
    portal: CallPortal
    waits: bool = True
    workflow_id: str = ""
    document: tuple[str, ...] = ()
    _log: Callable[[str], None] = field(default=lambda text: None, repr=False)

    def log(self, text: object) -> None:
        """A line in the process's own log (bizproc.activity.log), sent before the result, in order.

        At most 50 lines of 4,000 characters; dropped for a robot that does not wait, though the
        invocation shows them."""
        self._log(str(text))


class ComputeType(Protocol):
    """A way to compute. `compute` is the catalog's mapping, `type` included."""

    def check(self, compute: Mapping[str, Any], definition: Mapping[str, Any]) -> list[Problem]:
        """What is wrong with it, paths relative to the compute section."""
        ...

    def run(self, compute: Mapping[str, Any], call: Call) -> Result:
        """Runs in the runner. Raises whatever robot code raises; CodeMissing where there is none."""
        ...

    def revision(self, compute: Mapping[str, Any]) -> str:
        """What fixes the code beside the version; "" where the version alone does. Raises CodeMissing."""
        ...


Handler = Callable[[Call], Result]
_Type = TypeVar("_Type", bound=type)

_HANDLER_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*")
_types: dict[str, ComputeType] = {}
_handlers: dict[str, RegisteredHandler] = {}
_found = False
_finding = threading.RLock()
# app name → what its robot_handlers.py raised; one broken app does not take the others' robots along.
load_errors: dict[str, BaseException] = {}


@dataclass(frozen=True, slots=True)
class RegisteredHandler:
    """A Python function by the name catalogs use, with the revision of its source when it was loaded."""

    name: str
    function: Handler
    revision: str


def robot_handler(name: str) -> Callable[[Handler], Handler]:
    """Registers a function under `name` (dotted identifiers). Raises ValueError where the name is taken."""
    if not _HANDLER_NAME.fullmatch(name) or len(name) > 200:
        raise ValueError(f"robot_handler({name[:200]!r}): write dotted names such as “shop.discount”.")

    def register(function: Handler) -> Handler:
        known = _handlers.get(name)
        if known is not None and _origin(known.function) != _origin(function):
            raise ValueError(f"robot_handler({name!r}): {_origin(known.function)} has that name already.")
        _handlers[name] = RegisteredHandler(name, function, _revision_of(function))
        return function

    return register


def compute_type(name: str) -> Callable[[_Type], _Type]:
    """Registers a class of ComputeType's shape (made without arguments) as `type: name`."""

    def register(cls: _Type) -> _Type:
        _types[name] = cls()
        return cls

    return register


def autodiscover() -> None:
    """Loads every compute type and every installed app's `robot_handlers.py`, once a process.

    Django must be set up. What an app's module raises is kept in `load_errors`, not raised.
    """
    global _found
    with _finding:
        if _found:
            return
        _load_types()
        from django.apps import apps
        from django.utils.module_loading import module_has_submodule

        for config in apps.get_app_configs():
            if config.module is None or not module_has_submodule(config.module, "robot_handlers"):
                continue
            try:
                importlib.import_module(f"{config.name}.robot_handlers")
            except Exception as error:
                load_errors[config.name] = error
        _found = True


def _load_types() -> None:
    from robots import compute_types

    for module in pkgutil.iter_modules(compute_types.__path__):
        importlib.import_module(f"{compute_types.__name__}.{module.name}")


def handler_names() -> list[str]:
    """Names of all registered Python functions, sorted."""
    autodiscover()
    return sorted(_handlers)


def handler(name: str) -> RegisteredHandler:
    """Raises CodeMissing with a sentence that says where to look."""
    autodiscover()
    try:
        return _handlers[name]
    except KeyError:
        failed = "".join(
            f" {app}.robot_handlers could not be loaded ({type(error).__name__}: {error})."[:500]
            for app, error in load_errors.items()
        )
        raise CodeMissing(f"No robot_handler is registered as “{name[:200]}”.{failed}") from None


def compute_type_names() -> list[str]:
    """Names of all compute types, sorted."""
    autodiscover()
    return sorted(_types)


def find_type(name: object) -> ComputeType:
    """Raises CodeMissing."""
    autodiscover()
    found = _types.get(name) if isinstance(name, str) else None
    if found is None:
        raise CodeMissing(
            f"There is no compute type “{str(name)[:200]}”; there are {', '.join(sorted(_types))}."
        )
    return found


def _origin(function: Callable[..., Any]) -> str:
    return f"{getattr(function, '__module__', '?')}.{getattr(function, '__qualname__', '?')}"


def _revision_of(function: Callable[..., Any]) -> str:
    """First 12 hex digits over the module's source and the function's name, read when it is loaded."""
    digest = hashlib.sha256(_origin(function).encode())
    for part in _source(function):
        digest.update(part)
    return digest.hexdigest()[:12]


def _source(function: Callable[..., Any]) -> Iterator[bytes]:
    try:
        path = inspect.getsourcefile(inspect.unwrap(function))
        if path is not None:
            with open(path, "rb") as file:
                yield file.read()
    except (OSError, TypeError, ValueError):
        # No source at hand (compiled, made at run time): its byte code tells versions apart as well.
        yield getattr(getattr(function, "__code__", None), "co_code", b"")
