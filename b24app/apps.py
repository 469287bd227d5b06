from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class HubConfig(AppConfig):
    name = "b24app"
    verbose_name = _("The hub itself")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        # Registers pages of the admin, and the numbered system checks.
        from b24app import admin_alarms, admin_people, admin_tokens, checks  # noqa: F401  (imported for their registrations)
