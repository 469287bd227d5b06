"""What the sandbox remembers: plain dataclasses, so that the snapshot is their fields and nothing else."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Application:
    """An entry of the application registry: one key pair for all portals (§1)."""

    client_id: str
    client_secret: str
    name: str = "Application"
    install_url: str = ""
    main_url: str = ""
    event_url: str = ""
    redirect_url: str = ""
    scope: str = "bizproc,crm"
    interface: bool = True
    version: int = 1
    status: str = "L"


@dataclass
class User:
    """Somebody on a portal; ``active`` false is a dismissed one, whose tokens stop working (§4)."""

    id: int
    name: str = "Anna"
    last_name: str = "Smith"
    admin: bool = False
    active: bool = True


@dataclass
class Registered:
    """A robot or an activity that an application registered, as the portal stores it (§5)."""

    code: str
    kind: str
    handler: str
    name: Any
    description: Any = ""
    auth_user_id: int = 0
    use_subscription: str = ""
    properties: dict[str, Any] = field(default_factory=dict)
    return_properties: dict[str, Any] = field(default_factory=dict)
    document_type: list[str] | None = None
    filter: dict[str, Any] | None = None
    use_placement: str = "N"
    placement_handler: str = ""
    added_at: float = 0.0
    changed_at: float = 0.0


@dataclass
class Binding:
    """An ``event.bind`` of an application (§3)."""

    id: int
    event: str
    handler: str
    auth_type: int = 0


@dataclass
class Install:
    """One application on one portal; ``epoch`` is part of every token, so raising it ends them all (§2)."""

    id: int
    client_id: str
    application_token: str
    installed: bool = False
    version: int = 1
    user_id: int = 1
    paid: bool = True
    days: int = 0
    epoch: int = 1
    expired_before: float = 0.0
    robots: dict[str, Registered] = field(default_factory=dict)
    bindings: list[Binding] = field(default_factory=list)
    spent: dict[str, float] = field(default_factory=dict)
    baskets: dict[str, dict[str, float]] = field(default_factory=dict)


@dataclass
class Step:
    """A robot's place in a process, and what came of it."""

    client_id: str
    code: str
    properties: dict[str, Any] = field(default_factory=dict)
    odd: dict[str, str] = field(default_factory=dict)
    # As the call brought them, in the portal's own formats.
    sent: dict[str, Any] = field(default_factory=dict)
    subscription: str | None = None
    timeout: int = 0
    state: str = "planned"
    token_id: str = ""
    called_at: float = 0.0
    saved_at: float = 0.0
    answered_at: float = 0.0
    waits: bool = False
    is_timeout: str = ""
    values: dict[str, Any] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)
    results: list[dict[str, Any]] = field(default_factory=list)
    sends: int = 0
    lost: int = 0
    queued: int = 0
    handler_status: int = 0
    handler_ms: int = -1
    handler_error: str = ""


@dataclass
class Process:
    """A workflow on a document. ``state``: waiting, running, finished, faulted, terminated (§7)."""

    id: str
    number: int
    document_id: list[str]
    document_type: list[str]
    started_at: float
    user_id: int = 1
    steps: list[Step] = field(default_factory=list)
    position: int = 0
    state: str = "running"
    saved_at: float = 0.0
    modified: float = 0.0
    locked_until: float = 0.0
    save: Any = None
    lock: float | None = None
    fault: str = ""
    log: list[dict[str, Any]] = field(default_factory=list)
    ended_at: float = 0.0

    @property
    def step(self) -> Step:
        return self.steps[self.position]

    @property
    def alive(self) -> bool:
        return self.state in ("waiting", "running")


@dataclass
class Fault:
    """Something ordered to go wrong, a number of times or by chance."""

    id: int
    kind: str
    count: int | None = None
    probability: float | None = None
    seed: int = 0
    methods: list[str] | None = None
    level: str = "request"
    seconds: float = 0.0
    status: int = 0
    error: str | None = None
    description: str = ""
    played: int = 0
    seen: int = 0


@dataclass
class Portal:
    """A Bitrix24 account. The settings are documented in README.md; each may be changed while it runs."""

    name: str
    number: int
    member_id: str
    edition: str = "cloud"
    server: str = "west"
    path: str = ""
    domain: str = ""
    by_host: bool = False
    language: str = "en"
    date_format: str = "MM/DD/YYYY"
    datetime_format: str = "MM/DD/YYYY H:MI:SS T"
    time_zone: str = "America/New_York"
    workflows: bool = True
    automation: bool = True
    commercial: bool = True
    licence: str = "us_basic"
    licence_lapsed: bool = False
    deleted: int = 0
    enterprise: bool = False
    generation: str = "background"
    save: Any = 0.0
    lock: dict[str, float] | None = None
    seed: int = 1
    continuation_seconds: float = 0.0
    operating: dict[str, float] = field(default_factory=dict)
    access_seconds: int = 3600
    access_seconds_told: int | None = None
    call_tokens: bool = True
    ids_filter: str = "list"
    handler_same_domain: bool = False
    robots_check_document_type: bool = True
    request_seconds: float = 60.0
    call_timeout: float = 10.0
    error_404_as_text: bool = False
    oauth: str = "auto"
    moved_status: int = 302
    webhook_key: str = "sandboxkey"
    former_paths: list[str] = field(default_factory=list)
    former_domains: list[str] = field(default_factory=list)
    users: list[User] = field(default_factory=list)
    installs: dict[str, Install] = field(default_factory=dict)
    processes: dict[str, Process] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    answered: dict[str, str] = field(default_factory=dict)
    counters: dict[str, float] = field(default_factory=dict)
    bucket_level: dict[str, float] = field(default_factory=dict)
    bucket_at: dict[str, float] = field(default_factory=dict)


@dataclass
class TokenServer:
    """One of the two token servers by region (§2)."""

    name: str
    scope_separator: str = ","
    errors_as_200: bool = False
    faults: list[Fault] = field(default_factory=list)


@dataclass
class State:
    """All of it: what a snapshot holds."""

    secret: str
    offset: float = 0.0
    serial: int = 0
    applications: dict[str, Application] = field(default_factory=dict)
    portals: dict[str, Portal] = field(default_factory=dict)
    servers: dict[str, TokenServer] = field(default_factory=dict)
