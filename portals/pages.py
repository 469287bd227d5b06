"""What a portal posts to us beside handler calls: its frame pages and its events (contract §3)."""

from __future__ import annotations

import logging
from typing import Any

from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.utils import translation
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _
from django.views import View
from django.views.decorators.csrf import csrf_exempt

from portals import claim, events, frame, incoming, install
from portals.claim import BadClaim
from portals.incoming import BadForm, Incoming
from portals.install import After, Outcome
from portals.models import Application

log = logging.getLogger(__name__)


def application_of(slug: str) -> Application:
    """Raises Http404."""
    try:
        return Application.objects.get(slug=slug)
    except Application.DoesNotExist:
        raise Http404("No such application") from None


@method_decorator(csrf_exempt, name="dispatch")
class PortalForm(View):
    """Reads a form that comes from a portal, which has no session and no CSRF token with us."""

    http_method_names = ["post"]
    # Called with the portal where it has to be given its robots (again); set by `as_view(after=…)`.
    after: After | None = None

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        try:
            return self._answered(request, application_of(kwargs["slug"]))
        except (OperationalError, InterfaceError) as error:
            log.warning("%s waits for the database: %s", request.path, type(error).__name__)
            return _away(request)

    def _answered(self, request: HttpRequest, application: Application) -> HttpResponseBase:
        query = incoming.query(request)
        with translation.override(frame.language_of(query)):
            if request.method != "POST":
                sentence = _("This address is opened by Bitrix24, inside the portal.")
                return frame.page(request, sentence, title=application.name, status=405)
            form: dict[str, Any] = {}
            try:
                told = incoming.read(request)
                form = told.form
                return self.answer(request, application, told)
            except BadForm as error:
                return self.bad(request, application, query, form, error.sentence, error.status)
            except BadClaim as error:
                return self.bad(request, application, query, form, str(error), 400)

    def bad(
        self,
        request: HttpRequest,
        application: Application,
        query: dict[str, Any],
        form: dict[str, Any],
        sentence: str,
        status: int,
    ) -> HttpResponse:
        """For a person in the portal's frame a page of it; an event is answered a line of text."""
        if self.is_event(form):
            return HttpResponse(sentence, status=status, content_type="text/plain; charset=utf-8")
        origin = frame.claimed_origin(query)
        return frame.page(request, sentence, title=application.name, origin=origin, status=status)

    def is_event(self, form: dict[str, Any]) -> bool:
        return bool(events.name_of(form))

    def answer(self, request: HttpRequest, application: Application, told: Incoming) -> HttpResponse:
        raise Http404


class EventsView(PortalForm):
    """`/b24/APP/events/`: answers a line of text; 403 where an event is not this portal's."""

    def is_event(self, form: dict[str, Any]) -> bool:
        return True

    def answer(self, request: HttpRequest, application: Application, told: Incoming) -> HttpResponse:
        if not events.name_of(told.form):
            raise BadClaim("The form is no event: its field `event` is missing.")
        return _event(events.receive(application, told.form, self.after))


class InstallView(PortalForm):
    """`/b24/APP/install/`: the install page, and ONAPPINSTALL of applications without an interface."""

    def answer(self, request: HttpRequest, application: Application, told: Incoming) -> HttpResponse:
        if events.name_of(told.form):
            return _event(events.receive(application, told.form, self.after))
        told_of = claim.from_frame(told.query, told.form, claim.FRAME)
        outcome = install.receive(application, told_of, self.after)
        return _frame(request, application, told, outcome, finish=True)


class AppView(PortalForm):
    """`/b24/APP/`: the application's page in the frame; shows nothing of a portal that is not verified."""

    def answer(self, request: HttpRequest, application: Application, told: Incoming) -> HttpResponse:
        outcome = install.receive(
            application, claim.from_frame(told.query, told.form, claim.OPEN), self.after
        )
        return _frame(request, application, told, outcome, finish=False)


def _away(request: HttpRequest) -> HttpResponse:
    """503 for a person whose application can't be looked up: the database is away."""
    query = dict(request.GET.items())
    with translation.override(frame.language_of(query)):
        response = frame.page(
            request,
            _("The application can't answer at the moment. Open it again in a few minutes."),
            title=_("Not available at the moment"),
            origin=frame.claimed_origin(query),
            status=503,
        )
    response["Retry-After"] = "60"
    return response


def _event(outcome: Outcome) -> HttpResponse:
    status = 403 if outcome.result == "refused" else 200
    return HttpResponse(outcome.sentence or outcome.result, status=status, content_type="text/plain")


def _frame(
    request: HttpRequest, application: Application, told: Incoming, outcome: Outcome, *, finish: bool
) -> HttpResponse:
    if outcome.result == "refused":
        return frame.page(
            request,
            _("The installation could not be confirmed: %(why)s") % {"why": outcome.sentence},
            title=application.name,
            origin=frame.claimed_origin(told.query),
            status=403,
        )
    if outcome.result == "pending" or outcome.portal is None:
        # The portal sends no events before installFinish, so it is called though nothing is verified yet.
        return frame.page(
            request,
            _(
                "The installation is being confirmed with Bitrix24's authorisation server, which does not"
                " answer at the moment. It will be finished by itself; there is nothing to do."
            ),
            title=application.name,
            origin=frame.claimed_origin(told.query),
            finish=finish,
        )
    if not outcome.portal.has_working_token:
        # A form that was used before brought nothing, and this portal needs a new one.
        return frame.page(
            request,
            _(
                "The portal's authorisation was lost. Close the application and open it again on the portal;"
                " reloading the page is not enough."
            ),
            title=application.name,
            origin=frame.origin_of(outcome.portal.client_endpoint),
            finish=finish,
        )
    # Which robots a portal gets is decided elsewhere: a reinstalled one what it had, a further one what most
    # others have, an application's first one nothing before a push.
    sentence = _(
        "The application is installed. The automation rules that its operator provides for this portal appear in"
        " it by themselves; if there are none yet, they appear once the operator provides them."
    )
    if outcome.portal.token_is_admin is False:
        sentence += " " + _(
            "It was opened by someone who is no administrator: let an administrator open it once, so that the"
            " automation rules can be registered."
        )
    return frame.page(
        request,
        sentence,
        title=application.name,
        origin=frame.origin_of(outcome.portal.client_endpoint),
        finish=finish,
    )
