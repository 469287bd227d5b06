"""Alarms as JSON, posted to ALARM_WEBHOOK_URL (`text` is what chat programs show)."""

from __future__ import annotations

import requests
from django.conf import settings

from b24app.alarm_channels import Message
from portals.timely import TimelyAdapter, within

_SECONDS = 10


def configured() -> bool:
    return bool(settings.ALARM_WEBHOOK_URL)


def send(message: Message) -> None:
    body = {
        "state": message.state,
        "kind": message.kind,
        "subject": message.subject,
        "title": message.title,
        "text": message.text,
        "to_do": message.to_do,
        "since": message.since.isoformat(),
        "ended": message.ended.isoformat() if message.ended else None,
        "url": message.url,
    }
    with within(_SECONDS), requests.Session() as session:
        session.mount("http://", TimelyAdapter())
        session.mount("https://", TimelyAdapter())
        answer = session.post(settings.ALARM_WEBHOOK_URL, json=body, timeout=_SECONDS, allow_redirects=False)
    if not 200 <= answer.status_code < 300:
        raise ConnectionError(f"the webhook answered {answer.status_code}")
