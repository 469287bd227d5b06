"""The pages for people: which address shows what, in which language;
everything they do goes through the control API."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import jinja2

from sandbox import page_forms, page_views, texts
from sandbox.control import foreign
from sandbox.control_portals import ROUTES as PORTAL_ROUTES
from sandbox.control_routes import Ask, Sandbox, match
from sandbox.control_world import ROUTES as WORLD_ROUTES
from sandbox.http_server import Reply, Request, html_reply, redirect
from sandbox.model import Application, Portal
from sandbox.world import ControlError

HERE = Path(__file__).parent
STATIC = {"style.css": "text/css", "page.js": "text/javascript", "icon.svg": "image/svg+xml"}
POLICY = (
    "default-src 'self'; frame-src *; form-action *; img-src 'self' data:; "
    "frame-ancestors 'self'; base-uri 'none'"
)


class Pages:
    """Server-rendered, no build step, nothing from other hosts."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.world = sandbox.world
        self.routes = [*WORLD_ROUTES, *PORTAL_ROUTES]
        self.templates = jinja2.Environment(
            loader=jinja2.FileSystemLoader(HERE / "templates"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self.templates.filters["moment"] = page_views.moment
        self.templates.filters["pretty"] = page_views.pretty
        self.templates.filters["listed"] = page_views.listed

    def answer(self, request: Request) -> Reply:
        parts = [part for part in request.path.split("/") if part]
        if parts[:1] == ["static"] and len(parts) == 2 and parts[1] in STATIC:
            return self._static(parts[1], STATIC[parts[1]])
        if parts[:2] == ["api", "v1"]:
            return self._static("bx24.js", "text/javascript")
        if parts == ["favicon.ico"]:
            return redirect("/static/icon.svg", 301)
        try:
            if parts[:1] == ["do"]:
                return self._do(parts[1:], request)
            if request.verb == "GET":
                return self._show(parts, request)
        except ControlError as error:
            return self.render("error.html", request, {"problem": str(error)}, error.status)
        return self.render("error.html", request, {"problem": "405"}, 405)

    def _show(self, parts: list[str], request: Request) -> Reply:
        query = {key: value for key, value in request.params().items() if isinstance(value, str)}
        match parts:
            case []:
                return self.render("home.html", request, page_views.home(self.sandbox))
            case ["app", client_id]:
                return self.render("app.html", request, page_views.application(self.world, client_id))
            case ["portal", name]:
                return self.render("portal.html", request, page_views.portal(self.world, name))
            case ["portal", name, "live", part] if part in page_views.LIVE:
                found = page_views.portal(self.world, name)
                return self.render(f"_{part}.html", request, found, live=True)
            case ["portal", name, "run", client_id, code]:
                return self.render(
                    "run.html", request, page_views.run(self.sandbox, name, client_id, code, query)
                )
            case ["portal", name, "process", number]:
                return self.render("process.html", request, page_views.process(self.sandbox, name, number))
            case ["portal", name, "process", number, "live"]:
                return self.render(
                    "_process.html", request, page_views.process(self.sandbox, name, number), live=True
                )
            case ["portal", name, "open", client_id]:
                return self.render(
                    "frame.html", request, page_views.frame(self.sandbox, name, client_id, query)
                )
            case ["portal", name, "robot", client_id, code]:
                return self.render("robot.html", request, page_views.robot(self.world, name, client_id, code))
        return self.render("error.html", request, {"problem": "404"}, 404)

    def _do(self, path: list[str], request: Request) -> Reply:
        """A form of a page: its fields as a control request,
        then back to where it came from with what came of it."""
        if request.verb != "POST" or foreign(request):
            return self.render("error.html", request, {"problem": "403"}, 403)
        form = request.params()
        verb, back = str(form.pop("_verb", "POST")), str(form.pop("_back", "/"))
        if not back.startswith("/") or back.startswith("//"):
            back = "/"
        found = match(self.routes, verb, path)
        if isinstance(found, int):
            return self.render("error.html", request, {"problem": str(found)}, found)
        route, names = found
        try:
            result = route.run(Ask(self.sandbox, names, page_forms.body(path, form)))
        except (ControlError, TypeError, ValueError) as error:
            return back_with(back, "problem", str(error))
        if path[-1] == "run":
            return see(f"/portal/{names['name']}/process/{result['id']}")
        t = texts.translator(texts.language("", request.headers))
        return back_with(back, "said", page_forms.said(path, result, t))

    def consent(self, portal: Portal, application: Application, request: Request, refused: bool) -> Reply:
        """Full OAuth asks the person; refused, no redirect comes back at all (§2)."""
        fields = {key: value for key, value in request.params().items() if isinstance(value, str)}
        context = {"portal": portal, "application": application, "fields": fields, "refused": refused}
        return self.render("consent.html", request, context, 403 if refused else 200)

    def render(
        self, template: str, request: Request, context: dict[str, Any], status: int = 200, live: bool = False
    ) -> Reply:
        query = request.params() if request.verb == "GET" else {}
        language = texts.language(str(query.get("lang", "")), request.headers)
        with self.world.lock:
            text = self.templates.get_template(template).render(
                **context,
                t=texts.translator(language),
                language=language,
                here=request.path,
                now=self.world.clock.now(),
                offset=self.world.clock.offset,
                said=str(query.get("said", "")),
                wrong=str(query.get("problem", "")),
            )
        reply = html_reply(text, status)
        reply.headers["Content-Security-Policy"] = POLICY
        reply.headers["Cache-Control"] = "no-store"
        if query.get("lang") and not live:
            reply.headers["Set-Cookie"] = f"lang={language}; Path=/; SameSite=Lax"
        return reply

    def _static(self, name: str, kind: str) -> Reply:
        body = (HERE / "static" / name).read_bytes()
        return Reply(
            200,
            body,
            f"{kind}; charset=utf-8",
            {"Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"},
        )


def see(where: str) -> Reply:
    return redirect(where, 303)


def back_with(back: str, name: str, text: str) -> Reply:
    """Back to the page, which shows the sentence."""
    path, hash_, part = back.partition("#")
    return see(f"{path.partition('?')[0]}?{urlencode({name: text[:300]})}{hash_}{part}")
