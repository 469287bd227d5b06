"""The wiring: settings, URLs, Celery, health, the admin site."""

from b24app.celery import app as celery_app

__all__ = ["celery_app"]
