"""Who calls: an application's token, a webhook's key, or nobody; with the errors of §4 in their order."""

from __future__ import annotations

from typing import Any

from sandbox import tokens
from sandbox.http_server import Request
from sandbox.model import Install, Portal
from sandbox.rest_call import Caller
from sandbox.rest_errors import RestFailure, denied, expired_token, no_auth
from sandbox.world import World, user_of


def portal_refuses(portal: Portal) -> RestFailure | None:
    """What the portal as a whole answers whoever asks."""
    if portal.deleted:
        return RestFailure("PORTAL_DELETED", "Portal was deleted", portal.deleted)
    return None


def plan_refuses(portal: Portal, install: Install | None) -> RestFailure | None:
    """A lapsed plan and an unpaid application keep what waits; the tokens stay good (§4)."""
    if not portal.commercial:
        return denied("REST API is available only on commercial plans")
    if portal.licence_lapsed or (install is not None and not install.paid):
        return RestFailure("PAYMENT_REQUIRED", "Payment required", 402)
    return None


def token_of(request: Request, params: dict[str, Any]) -> str:
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and value:
        return value.strip()
    for name in ("auth", "access_token"):
        if isinstance(params.get(name), str) and params[name]:
            return str(params[name])
    return ""


def by_token(world: World, portal: Portal, text: str) -> Caller:
    """The application and user of an access token on this portal; the lock is held."""
    if not text:
        raise no_auth()
    token = tokens.read(world, text)
    if token is None or token.kind != "a":
        raise RestFailure("invalid_token", "Unable to get application by token", 401)
    install = next((item for item in portal.installs.values() if item.id == token.install_id), None)
    if install is None:
        if world.install_by_id(token.install_id) is None:
            raise RestFailure("APPLICATION_NOT_FOUND", "Application not found", 403)
        raise RestFailure("invalid_token", "Unable to get application by token", 401)
    application = world.state.applications.get(install.client_id)
    if application is None:
        raise RestFailure("APPLICATION_NOT_FOUND", "Application not found", 403)
    if token.epoch != install.epoch:
        raise RestFailure("invalid_token", "Unable to get application by token", 401)
    if token.expires <= world.clock.now() or token.issued <= install.expired_before:
        raise expired_token()
    user = user_of(portal, token.user_id)
    if user is None or not user.active:
        raise RestFailure("authorization_error", "Unable to authorize user", 401)
    return Caller(user, install, application)


def by_webhook(portal: Portal, user_id: str, key: str) -> Caller:
    """``/rest/1/key/method``: a user without an application."""
    user = user_of(portal, int(user_id)) if user_id.isdigit() else None
    if user is None or not user.active or key != portal.webhook_key:
        raise RestFailure("INVALID_CREDENTIALS", "Invalid request credentials", 403)
    return Caller(user)
