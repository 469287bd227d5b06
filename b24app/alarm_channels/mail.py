"""Alarms by mail, to ALARM_EMAILS by the server of EMAIL_URL."""

from __future__ import annotations

from django.conf import settings
from django.core.mail import send_mail
from django.utils.translation import gettext as _

from b24app.alarm_channels import Message


def configured() -> bool:
    return bool(settings.ALARM_EMAILS)


def send(message: Message) -> None:
    over = message.state == "ended"
    head = _("Over: %(title)s") if over else _("Alarm: %(title)s")
    lines = [message.text, "" if over else message.to_do, message.url]
    send_mail(
        subject=(head % {"title": message.title})[:150],
        message="\n\n".join(line for line in lines if line) + "\n",
        from_email=settings.DEFAULT_FROM_EMAIL,
        recipient_list=settings.ALARM_EMAILS,
    )
