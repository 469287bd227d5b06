"""The three ways in of §3, opening, updating and uninstalling: what the portal sends, and what it forgets."""

from __future__ import annotations

import secrets
from typing import Any
from urllib.parse import urlencode, urlsplit

from sandbox import events, php_forms, tokens
from sandbox.account import scopes_of
from sandbox.courier import Courier
from sandbox.model import Application, Install, Portal, User
from sandbox.world import ControlError, World, user_of


class Installations:
    """Puts applications on portals. Nothing is sent while the lock is held."""

    def __init__(self, world: World, courier: Courier) -> None:
        self.world = world
        self.courier = courier

    def record(
        self, portal: Portal, application: Application, user_id: int, token: str = "", drop: bool = False
    ) -> Install:
        """The installation on the portal: a new one, or the one there is,
        with what it registered or without."""
        with self.world.lock:
            former = portal.installs.get(application.client_id)
            install = former or Install(self.world.serial(), application.client_id, secrets.token_hex(16))
            if former is not None and drop:
                self.drop_registered(former)
            if token:
                install.application_token = given_or_new(token)
            install.user_id, install.version = user_id, application.version
            portal.installs[application.client_id] = install
            self.world.dirty = True
            return install

    def drop_registered(self, install: Install) -> None:
        """Robots, activities and bindings: placed robots are blocked from now on (§3)."""
        install.robots.clear()
        install.bindings.clear()
        self.world.dirty = True

    # -- frame --------------------

    def frame(
        self, portal: Portal, install: Install, user: User, placement: str = "DEFAULT", options: Any = ""
    ) -> tuple[str, dict[str, Any]]:
        """Query string and body of a page opened in the portal's frame (§3.1); the lock is held."""
        world, application = self.world, self.world.application(install.client_id)
        query = urlencode(
            {
                "DOMAIN": world.domain(portal),
                "PROTOCOL": 1 if world.scheme == "https" else 0,
                "LANG": portal.language,
                "APP_SID": secrets.token_hex(16),
            }
        )
        pair = tokens.pair(world, portal, install, user.id)
        body = {
            "AUTH_ID": pair["access_token"],
            "AUTH_EXPIRES": pair["expires_in"],
            "REFRESH_ID": pair["refresh_token"],
            "SERVER_ENDPOINT": world.server_endpoint(portal),
            "APPLICATION_TOKEN": install.application_token,
            "APPLICATION_SCOPE": ",".join(scopes_of(application.scope)),
            "member_id": portal.member_id,
            "status": application.status,
            "PLACEMENT": placement,
            "PLACEMENT_OPTIONS": options,
        }
        return query, body

    def post_frame(
        self, portal: Portal, install: Install, user: User, url: str, **more: Any
    ) -> dict[str, Any]:
        """POSTs a page as the portal's frame would and reads what came; no browser runs, so a page that names
        ``installFinish`` counts as one that calls it."""
        with self.world.lock:
            query, body = self.frame(portal, install, user, **more)
        address = url + ("&" if urlsplit(url).query else "?") + query
        delivery = self.courier.deliver(address, php_forms.encode(body), 30.0)
        entry = {"kind": "frame", "code": install.client_id, "url": url}
        events.note_call(self.world, portal, entry, delivery)
        if 200 <= delivery.status < 300 and "installFinish" in delivery.body:
            self.finish(install)
        return {
            "status": delivery.status,
            "ms": delivery.ms,
            "error": delivery.error,
            "installed": install.installed,
            "application_token": install.application_token,
            "body": delivery.body[:20_000],
        }

    def by_frame(
        self, portal: Portal, application: Application, user_id: int, token: str, drop: bool = False
    ) -> dict[str, Any]:
        """Installs with an interface: by the install page where there is one,
        else at once and opened (§3.1)."""
        user = self.user(portal, user_id)
        url = application.install_url or application.main_url
        if not url:
            raise ControlError("the application has neither an install nor a main address")
        install = self.record(portal, application, user_id, token, drop)
        if not application.install_url:
            self.finish(install)
        return self.post_frame(portal, install, user, url)

    def finish(self, install: Install) -> None:
        """``BX24.installFinish()``: from now on the portal sends events."""
        with self.world.lock:
            install.installed = True
            self.world.dirty = True

    def open(self, portal: Portal, client_id: str, user_id: int, url: str = "") -> dict[str, Any]:
        """The main page, opened by any user of the portal, with tokens of his own (§3)."""
        application = self.world.application(client_id)
        address = url or application.main_url or application.install_url
        if not address:
            raise ControlError("the application has no page to open")
        return self.post_frame(
            portal, self.world.install(portal, client_id), self.user(portal, user_id), address
        )

    # -- event --------------------

    def by_event(
        self,
        portal: Portal,
        application: Application,
        user_id: int,
        token: str,
        repeat: int,
        drop: bool = False,
    ) -> dict[str, Any]:
        """``ONAPPINSTALL``, the one event that comes by itself; it may come again (§3.2)."""
        url = application.event_url or application.install_url
        if not url:
            raise ControlError("the application has no address for events")
        self.user(portal, user_id)
        install = self.record(portal, application, user_id, token, drop)
        with self.world.lock:
            install.installed = True
            data = {
                "VERSION": install.version,
                "ACTIVE": "Y",
                "INSTALLED": "Y",
                "LANGUAGE_ID": portal.language,
            }
            auth = self.event_auth(portal, install, user_id)
        answer: dict[str, Any] = {}
        for _ in range(max(1, repeat)):
            answer = events.send_one(self.world, self.courier, portal, "ONAPPINSTALL", url, 0, data, auth)
        return {
            "status": answer["status"],
            "ms": answer["ms"],
            "error": answer["error"],
            "installed": True,
            "application_token": install.application_token,
            "body": "",
        }

    def event_auth(self, portal: Portal, install: Install, user_id: int) -> dict[str, Any]:
        """``auth`` of an installation or update, with tokens of the user who did it."""
        world, application = self.world, self.world.application(install.client_id)
        return {
            **tokens.pair(world, portal, install, user_id),
            "scope": ",".join(scopes_of(application.scope)),
            "domain": world.domain(portal),
            "server_endpoint": world.server_endpoint(portal),
            "status": application.status,
            "client_endpoint": world.client_endpoint(portal),
            "member_id": portal.member_id,
            "user_id": user_id,
            "application_token": install.application_token,
        }

    # -- full OAuth --------------------

    def authorize(self, portal: Portal, application: Application, state: str, user_id: int) -> str:
        """Where the portal sends the person back to, with a code that lives 30 s (§3.3)."""
        target = application.redirect_url or application.main_url
        if not target:
            raise ControlError("the application has no redirect address")
        with self.world.lock:
            user = self.user(portal, user_id)
            install = portal.installs.get(application.client_id) or self.record(portal, application, user.id)
            code = tokens.issue(self.world, "c", install, user.id, tokens.CODE_SECONDS)
            query = {
                "code": code,
                "domain": self.world.domain(portal),
                "member_id": portal.member_id,
                "scope": ",".join(scopes_of(application.scope)),
                "server_domain": urlsplit(self.world.server_url(portal.server)).netloc,
                "state": state,
            }
        return target + ("&" if urlsplit(target).query else "?") + urlencode(query)

    # -- update and uninstall --------------------

    def update(
        self, portal: Portal, client_id: str, version: int | None, token: str, drop: bool
    ) -> dict[str, Any]:
        """A new version: what was registered goes,
        bound handlers hear of it with the *updated* token (§3)."""
        with self.world.lock:
            install = self.world.install(portal, client_id)
            previous, bindings = install.version, list(install.bindings)
            install.version = version or previous + 1
            if token:
                install.application_token = given_or_new(token)
            data = {"VERSION": install.version, "PREVIOUS_VERSION": previous, "LANGUAGE_ID": portal.language}
            auth = self.event_auth(portal, install, install.user_id)
            ghost = Install(
                install.id, client_id, install.application_token, install.installed, bindings=bindings
            )
            if drop:
                self.drop_registered(install)
        sent = events.send_bound(self.world, self.courier, portal, ghost, "ONAPPUPDATE", data, auth)
        return {
            "sent": len(sent),
            "calls": sent,
            "application_token": install.application_token,
            "version": install.version,
        }

    def uninstall(self, portal: Portal, client_id: str, clean: bool) -> dict[str, Any]:
        """Gone at once, tokens too; bound handlers hear of it, without tokens (§3)."""
        with self.world.lock:
            install = self.world.install(portal, client_id)
            del portal.installs[client_id]
            self.world.dirty = True
            data = {"LANGUAGE_ID": portal.language, "CLEAN": 1 if clean else 0}
            auth = {
                "domain": self.world.domain(portal),
                "server_endpoint": self.world.server_endpoint(portal),
                "client_endpoint": self.world.client_endpoint(portal),
                "member_id": portal.member_id,
                "application_token": install.application_token,
            }
        sent = events.send_bound(self.world, self.courier, portal, install, "ONAPPUNINSTALL", data, auth)
        return {"sent": len(sent), "calls": sent}

    def expire(self, portal: Portal, client_id: str = "") -> int:
        """All access tokens given out so far are expired: of one application, or of all."""
        with self.world.lock:
            count = 0
            for install in portal.installs.values():
                if client_id in ("", install.client_id):
                    install.expired_before = self.world.clock.now()
                    count += 1
            return count

    def user(self, portal: Portal, user_id: int) -> User:
        user = user_of(portal, user_id)
        if user is None:
            raise ControlError(f"{portal.name} has no user {user_id}")
        return user


def given_or_new(wish: str) -> str:
    """The text given, or a fresh one for the word ``new``."""
    return secrets.token_hex(16) if wish == "new" else wish
