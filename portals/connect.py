"""Full OAuth (contract §3.3): a signed-in integrator connects a portal by its address.

The hub itself sends nothing to that address; the integrator's browser goes there and comes back with a code,
which is exchanged at an allowed token server. `state` is signed, bound to the session, good once, for 10
minutes.
"""

from __future__ import annotations

import re
import secrets
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.contrib import admin
from django.contrib.auth.mixins import UserPassesTestMixin
from django.core import signing
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views import View

from portals import claim, install, transport
from portals.claim import BadClaim
from portals.install import After
from portals.models import Application, Portal
from portals.pages import application_of

STATE_SECONDS = 600
_SALT = "portals.connect"
_SESSION = "b24_connect"
_MOST_OPEN = 10
_HOST = re.compile(r"(?=.{1,253}$)[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*")


class StaffOnly(UserPassesTestMixin):
    """Signed-in staff; others are asked to sign in, or refused."""

    request: HttpRequest

    def test_func(self) -> bool:
        user = self.request.user
        return bool(user.is_active and user.is_staff)

    def handle_no_permission(self) -> HttpResponseRedirect:
        self.raise_exception = self.request.user.is_authenticated
        return super().handle_no_permission()


def bare_host(text: str) -> str:
    """`text` as a host name in small letters, with a port only where B24_ALLOW_HTTP. Raises BadClaim."""
    host, colon, port = text.strip().lower().partition(":")
    port_ok = not colon or (
        settings.B24_ALLOW_HTTP and port.isascii() and port.isdigit() and 0 < int(port) < 65536
    )
    if not _HOST.fullmatch(host) or not port_ok:
        raise BadClaim(_("Write the portal's address as a bare host name, such as example.bitrix24.com."))
    return host + colon + port


class ConnectView(StaffOnly, View):
    """`/b24/APP/connect/?portal=DOMAIN`: sends the browser to the portal's consent page; asks for DOMAIN where it
    is not given or no host name."""

    def get(self, request: HttpRequest, slug: str) -> HttpResponse:
        application = application_of(slug)
        asked = request.GET.get("portal", "").strip()
        if not asked:
            return _page(request, application, ask=True)
        try:
            host = bare_host(asked)
        except BadClaim as error:
            return _page(request, application, str(error), 400, ask=True, asked=asked[:300])
        nonce = secrets.token_urlsafe(16)
        open_ones: list[str] = request.session.get(_SESSION, [])
        request.session[_SESSION] = [*open_ones, nonce][-_MOST_OPEN:]
        state = signing.dumps({"app": application.slug, "nonce": nonce}, salt=_SALT)
        local = settings.B24_ALLOW_HTTP and transport.is_loopback(host.partition(":")[0])
        query = urlencode({"client_id": application.client_id, "state": state})
        return HttpResponseRedirect(f"{'http' if local else 'https'}://{host}/oauth/authorize/?{query}")


class OAuthView(StaffOnly, View):
    """`/b24/APP/oauth/`: where the portal sends the browser back with `code` and `state`."""

    after: After | None = None

    def get(self, request: HttpRequest, slug: str) -> HttpResponse:
        application = application_of(slug)
        if not _state_is_ours(request, slug):
            sentence = _("This connection was not started here, or too long ago. Start it again.")
            return _page(request, application, sentence, 400, ask=True)
        try:
            told = claim.from_code(
                request.GET.get("code", ""),
                request.GET.get("member_id", ""),
                request.GET.get("server_domain", ""),
            )
        except BadClaim as error:
            return _page(request, application, str(error), 400, ask=True)
        outcome = install.receive(application, told, self.after)
        if outcome.portal is None:
            sentence = _("The portal could not be connected: %(why)s") % {"why": outcome.sentence}
            return _page(request, application, sentence, 403, ask=True)
        sentence = _("The portal %(portal)s is connected.") % {"portal": outcome.portal}
        return _page(request, application, sentence, portal=outcome.portal)


def _state_is_ours(request: HttpRequest, slug: str) -> bool:
    """Signed by us, ten minutes old at most, for this application, begun in this session and not used yet."""
    try:
        state: Any = signing.loads(request.GET.get("state", ""), salt=_SALT, max_age=STATE_SECONDS)
    except signing.BadSignature:
        return False
    open_ones: list[str] = request.session.get(_SESSION, [])
    if not isinstance(state, dict) or state.get("app") != slug or state.get("nonce") not in open_ones:
        return False
    request.session[_SESSION] = [nonce for nonce in open_ones if nonce != state["nonce"]]
    # Written now: the same state must find it used even while this request is still going on.
    request.session.save()
    return True


def _page(
    request: HttpRequest,
    application: Application,
    sentence: str = "",
    status: int = 200,
    *,
    portal: Portal | None = None,
    ask: bool = False,
    asked: str = "",
) -> HttpResponse:
    """The admin's page around `sentence`; with a field for the portal's address where `ask`."""
    context = {
        **admin.site.each_context(request),
        "title": _("Connect a portal"),
        "application": application,
        "sentence": sentence,
        "portal": portal,
        "ask": ask,
        "asked": asked,
    }
    return render(request, "portals/connect.html", context, status=status)
