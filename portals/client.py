"""REST of one portal (contract §4): the only way in which the hub talks to a portal.

    client = PortalClient(portal)
    client.call("bizproc.robot.list")
    client.batch({"a": ("bizproc.event.send", {...})})

Each request reads the portal's row again (tokens, trouble and address are other processes' to change), leaves
a portal in trouble alone but for one probe a minute, takes from the account's bucket, renews the token once
where it is refused, and writes down what the answer tells of the portal.
"""

from __future__ import annotations

import time
from typing import Any

from portals import batch, bucket, errors, learn, operating, refresh, transport, trouble
from portals.batch import BatchAnswer, Commands
from portals.errors import CommandRefused, Passes, PortalTrouble, TokenRefused
from portals.models import Portal
from portals.php_query import can_batch

__all__ = ["BatchAnswer", "PortalClient", "can_batch"]

SECONDS = 30.0
PERSON_PATIENCE = 30.0
_RESULT = "bizproc.event.send"
# What any application may ask of any portal, and how long that may take.
_LITTLE, _PROBE_SECONDS = "app.info", 5.0
_FIELDS = [
    *refresh.FIELDS,
    "trouble",
    "trouble_text",
    "trouble_since",
    "ask_again_at",
    "answered_at",
    "is_cloud",
    "has_workflows",
    "has_robots",
    "instances",
    "token_is_admin",
    "clock_ahead",
]


class PortalClient:
    """Calls one portal with its own application's token.

    `person`: somebody waits for it, so it passes a portal's trouble, may use the reserved part of the bucket
    and waits for it. `patience`: seconds to wait for the bucket (default: 30 for a person, none in the
    background). `paid`: the caller has taken the first request from the bucket already.
    """

    def __init__(
        self, portal: Portal, person: bool = False, patience: float | None = None, paid: bool = False
    ) -> None:
        self.portal = portal
        self.paid = paid
        self.person = person
        self.patience = (PERSON_PATIENCE if person else 0.0) if patience is None else patience

    def call(self, method: str, params: dict[str, Any] | None = None, timeout: float = SECONDS) -> Any:
        """The `result` of one method. Raises the RestError family."""
        return self.ask(method, params, timeout).get("result")

    def ask(
        self, method: str, params: dict[str, Any] | None = None, timeout: float = SECONDS
    ) -> dict[str, Any]:
        """The whole answer (`result`, `time`, `next`, `total`). Raises the RestError family."""
        self._read_portal()
        self._probe(method)
        blocked = operating.blocked(self.portal.member_id, self.portal.application_id)
        if method in blocked:
            raise _over_its_time(blocked[method])
        answer, _took = self._request(method, params or {}, timeout)
        trouble.clear(self.portal)
        times = answer.get("time")
        operating.note(self.portal.member_id, self.portal.application_id, method, times)
        learn.answered(self.portal, method)
        learn.edition(self.portal, times)
        return answer

    def batch(self, commands: Commands, timeout: float = batch.SECONDS) -> BatchAnswer:
        """Up to 50 commands in one request; each key is answered in `results` or `errors`.

        What concerns the whole request raises; commands over their operating time are not sent and have it as
        their error. Params must pass `can_batch`.
        """
        self._read_portal()
        self._probe("batch")
        blocked = operating.blocked(self.portal.member_id, self.portal.application_id)
        held = {key: blocked[method] for key, (method, _) in commands.items() if method in blocked}
        sent = {key: command for key, command in commands.items() if key not in held}
        if held and not sent:
            raise _over_its_time(min(held.values()))
        answer, took = self._request("batch", batch.build(sent), timeout)
        read = batch.read(answer, sent, took)
        self._learn_of_batch(sent, read, batch.times_by_key(answer))
        for key, seconds in held.items():
            read.errors[key] = _over_its_time(seconds)
        return read

    def _read_portal(self) -> None:
        """The row as it is now. Raises PortalTrouble, without a request, where there is no point in one."""
        portal = self.portal
        try:
            with trouble.readable_secrets():
                portal.refresh_from_db(fields=_FIELDS)
        except PortalTrouble as error:
            portal.refresh_from_db(fields=["trouble", "trouble_since"])
            trouble.record(portal, error)
            raise
        if portal.state != Portal.State.INSTALLED:
            raise PortalTrouble("application_gone", "uninstalled", "The application is not installed there.")
        if portal.token_state in (Portal.Token.LOST, Portal.Token.NONE):
            lost = PortalTrouble("token_lost", "no_token", "There is no working token.")
            # Or whoever has results for it would claim them again and again.
            trouble.record(portal, lost)
            raise lost
        if portal.trouble and not self.person and not trouble.may_ask(portal):
            raise PortalTrouble(portal.trouble, "waiting", portal.trouble_text)

    def _probe(self, method: str) -> None:
        """A portal that gave no answer is asked for little first: one that takes a batch and says nothing holds its
        sender for over a minute, and each result in it counts as sent. Its trouble ends with the answer to more."""
        if self.person or method == _LITTLE or self.portal.trouble != Portal.Trouble.UNREACHABLE:
            return
        try:
            self._request(_LITTLE, {}, _PROBE_SECONDS)
        except CommandRefused:
            pass
        except errors.UnknownAnswer as error:
            silent = PortalTrouble("unreachable", error.code, error.text)
            trouble.record(self.portal, silent)
            raise silent from None

    def _request(self, method: str, params: dict[str, Any], timeout: float) -> tuple[dict[str, Any], float]:
        """One request, repeated once where the token or the address proved old; (answer, seconds)."""
        try:
            answer = self._repeated(method, params, timeout)
        except PortalTrouble as error:
            trouble.record(self.portal, error)
            raise
        except Passes as error:
            self._obey(error, method)
            self._lives(error)
            raise
        except CommandRefused as error:
            # It answered; that one command is refused.
            trouble.clear(self.portal)
            learn.refused(self.portal, method, error)
            raise
        return answer

    def _repeated(self, method: str, params: dict[str, Any], timeout: float) -> tuple[dict[str, Any], float]:
        portal = self.portal
        if refresh.expired(portal):
            self._renew()
        used, endpoint = portal.access_token, portal.client_endpoint
        try:
            return self._post(method, params, timeout)
        except TokenRefused:
            self._renew(used)
        except PortalTrouble as error:
            # A redirect is not followed: the token server says where the portal is now (§1).
            if error.trouble != Portal.Trouble.MOVED:
                raise
            self._renew(used)
            if portal.client_endpoint == endpoint:
                raise
        try:
            return self._post(method, params, timeout)
        except TokenRefused as error:
            raise Passes(error.code, error.text, error.status, 60.0) from None

    def _renew(self, refused: str = "") -> None:
        """A token server that is away says nothing of the request, which was not sent."""
        try:
            refresh.refresh(self.portal, refused=refused)
        except Passes as error:
            error.waits_for = errors.TOKEN_SERVER
            raise

    def _post(self, method: str, params: dict[str, Any], timeout: float) -> tuple[dict[str, Any], float]:
        self._take()
        portal = self.portal
        try:
            answer = transport.post(
                portal.client_endpoint + method,
                data={**params, "auth": portal.access_token},
                timeout=timeout,
            )
        except Passes as error:
            if error.code == "unreachable":
                raise PortalTrouble("unreachable", error.code, error.text) from None
            raise
        data = errors.read(answer.status, answer.body, method)
        if not isinstance(data, dict) or "result" not in data:
            raise errors.UnknownAnswer("half_answer", "The answer has no result.", answer.status)
        learn.clock(portal, batch.started(data), answer.seconds)
        return data, answer.seconds

    def _take(self) -> None:
        """Waits for the account's bucket for as long as patience lasts. Raises Passes("bucket")."""
        if self.paid:
            self.paid = False
            return
        end = time.monotonic() + self.patience
        while True:
            wait = bucket.take(self.portal.member_id, person=self.person)
            if wait == 0.0:
                return
            if time.monotonic() + wait > end:
                raise Passes("bucket", "The portal's request limit is used up for now.", retry_after=wait)
            time.sleep(wait)

    def _obey(self, error: Passes, method: str) -> None:
        """503 and 429 hold for every process, so they are written down."""
        code = error.code.lower()
        if code == "query_limit_exceeded":
            bucket.report_limited(self.portal.member_id)
            error.retry_after = max(bucket.snapshot(self.portal.member_id).blocked_for, 0.5)
        elif code == "operation_time_limit":
            error.retry_after = operating.block(self.portal.member_id, self.portal.application_id, method)

    def _lives(self, error: Passes) -> None:
        """That it can't now is an answer: it is not silent, and is asked again when it says, not in a minute."""
        if not self.portal.trouble or error.status is None or isinstance(error, errors.UnknownAnswer):
            return
        if self.portal.trouble == Portal.Trouble.UNREACHABLE:
            trouble.clear(self.portal)
        else:
            trouble.ask_in(self.portal.pk, error.retry_after)

    def _learn_of_batch(self, commands: Commands, read: BatchAnswer, times: dict[str, Any]) -> None:
        portal = self.portal
        # One note a method: the commands of one batch tell a growing figure.
        for method, key in {method: key for key, (method, _) in commands.items() if key in times}.items():
            operating.note(portal.member_id, portal.application_id, method, times[key])
        for method in {commands[key][0] for key in read.results}:
            learn.answered(portal, method)
        # `operating` is told of the commands, never of the batch itself (§4).
        learn.edition(portal, next(iter(times.values()), None))
        for key, error in read.errors.items():
            method = commands[key][0]
            if isinstance(error, CommandRefused):
                learn.refused(portal, method, error)
            elif isinstance(error, TokenRefused):
                # It ran out midway; the next request renews it first.
                refresh.distrust(portal)
            elif error.code.lower() == "operation_time_limit" and isinstance(error, Passes):
                error.retry_after = operating.block(portal.member_id, portal.application_id, method)
        # A batch of which no result passed tells of the portal what its commands told, whatever became of lines and
        # looks beside them. Not cleared before: a trouble that lasts has the beginning it had.
        troubles = [error for error in read.errors.values() if isinstance(error, PortalTrouble)]
        telling = [key for key, (method, _) in commands.items() if method == _RESULT] or commands
        if troubles and not any(key in read.results for key in telling):
            trouble.record(portal, troubles[0])
        else:
            trouble.clear(portal)


def _over_its_time(seconds: float) -> Passes:
    return Passes("OPERATION_TIME_LIMIT", "The method has used its share of time.", None, max(seconds, 1.0))
